#include "report/excerpt.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace meshproof {
namespace {

constexpr char kReplacement[] = "\xEF\xBF\xBD";
constexpr size_t kMostColumns = 140;  // of a line that is shown whole
constexpr size_t kBefore = 40;        // columns kept in front of the carets of a longer one

size_t SequenceLength(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xE0) return 2;
  return lead < 0xF0 ? 3 : 4;
}

// C1 controls, and the characters that embed, override or isolate a direction.
bool IsTreacherous(std::string_view c) {
  if (c.size() == 2) return c[0] == '\xC2' && static_cast<unsigned char>(c[1]) < 0xA0;
  if (c.size() != 3 || c[0] != '\xE2') return false;
  auto third = static_cast<unsigned char>(c[2]);
  if (c[1] == '\x80') return (third >= 0xAA && third <= 0xAE) || third == 0x8E || third == 0x8F;
  return c[1] == '\x81' && third >= 0xA6 && third <= 0xA9;
}

// The characters of a text, each as it is shown; one a code point, so that columns stay true.
std::vector<std::string> Cells(std::string_view text) {
  std::vector<std::string> cells;
  while (!text.empty()) {
    size_t valid = std::min(FindInvalidUtf8(text), text.size());
    for (size_t at = 0; at < valid;) {
      size_t length = SequenceLength(static_cast<unsigned char>(text[at]));
      std::string_view c = text.substr(at, length);
      at += length;
      auto lead = static_cast<unsigned char>(c[0]);
      if (c[0] == '\t') {
        cells.emplace_back(" ");
      } else if (c[0] == '\n') {
        cells.emplace_back("\\n");
      } else if (lead < 0x20 || lead == 0x7F || IsTreacherous(c)) {
        cells.emplace_back(kReplacement);
      } else {
        cells.emplace_back(c);
      }
    }
    text.remove_prefix(valid);
    if (text.empty()) break;
    // Continuation bytes belong to the character before them, as Locate counts.
    if ((static_cast<unsigned char>(text[0]) & 0xC0U) != 0x80U) cells.emplace_back(kReplacement);
    text.remove_prefix(1);
  }
  return cells;
}

std::string Glue(const std::vector<std::string>& cells, size_t begin, size_t end) {
  std::string out;
  for (size_t i = begin; i < std::min(end, cells.size()); ++i) out += cells[i];
  return out;
}

// Most text is: a column a byte, shown as it is.
bool IsPrintableAscii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

// A line by columns, without the blanks at its end.
class Columns {
 public:
  explicit Columns(std::string_view text) {
    if (IsPrintableAscii(text)) {
      text_ = text.substr(0, text.find_last_not_of(' ') + 1);
      return;
    }
    cells_ = Cells(text);
    while (!cells_.empty() && cells_.back() == " ") cells_.pop_back();
  }
  size_t size() const { return std::max(text_.size(), cells_.size()); }
  std::string Cut(size_t begin, size_t end) const {
    if (cells_.empty()) return std::string(text_.substr(begin, end - begin));
    return Glue(cells_, begin, end);
  }

 private:
  std::string_view text_;  // or `cells_`
  std::vector<std::string> cells_;
};

}  // namespace

std::string Printable(std::string_view text) {
  if (IsPrintableAscii(text)) return std::string(text);
  std::vector<std::string> cells = Cells(text);
  return Glue(cells, 0, cells.size());
}

std::string Excerpt(const Span& span, const Style& style) {
  if (!span) return "";
  Location place = Locate(span);
  const Columns cells(span.file->Line(place.line));
  size_t from = static_cast<size_t>(place.column - 1);
  bool goes_on = place.end_line > place.line;
  size_t to = goes_on ? cells.size() : static_cast<size_t>(place.end_column - 1);
  // An end at the start of the next line ends this one.
  if (place.end_line == place.line + 1 && place.end_column == 1) goes_on = false;
  to = std::max(to, from + 1);

  size_t begin = 0, end = cells.size();
  if (cells.size() > kMostColumns) {
    begin = from > kBefore ? from - kBefore : 0;
    end = std::min(cells.size(), begin + kMostColumns);
    to = std::min(to, end + 1);
  }
  std::string cut = begin > 0 ? "..." : "";
  std::string number = std::to_string(place.line);
  if (number.size() < 4) number.insert(0, 4 - number.size(), ' ');
  std::string blank(number.size(), ' ');
  std::string out = style.Dim(number + " |");
  std::string line = cut + cells.Cut(begin, end) + (end < cells.size() ? "..." : "");
  if (!line.empty()) out += " " + line;
  out += "\n" + style.Dim(blank + " |") + " " + std::string(cut.size() + from - begin, ' ') +
         style.Bad(std::string(to - from, '^')) + "\n";
  if (goes_on) out += style.Dim(blank + " | ...") + "\n";
  return out;
}

}  // namespace meshproof

#include "base/span.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include "base/check.h"

namespace meshproof {
namespace {

// Code points in `text`: every byte that does not continue another.
int CodePoints(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

bool operator==(const Location& a, const Location& b) {
  return std::tie(a.file, a.line, a.column, a.end_line, a.end_column) ==
         std::tie(b.file, b.line, b.column, b.end_line, b.end_column);
}

bool operator<(const Location& a, const Location& b) {
  return std::tie(a.file, a.line, a.column, a.end_line, a.end_column) <
         std::tie(b.file, b.line, b.column, b.end_line, b.end_column);
}

std::string ToString(const Location& location) {
  return location.file + ":" + std::to_string(location.line) + ":" +
         std::to_string(location.column);
}

SourceFile::SourceFile(std::string name, std::string text)
    : name_(std::move(name)), text_(std::move(text)) {}

const std::vector<uint32_t>& SourceFile::Starts() const {
  std::call_once(once_, [this] {
    starts_.reserve(1 + text_.size() / 16);
    starts_.push_back(0);
    const char* begin = text_.data();
    const char* end = begin + text_.size();
    for (const char* at = begin; (at = static_cast<const char*>(std::memchr(
                                      at, '\n', static_cast<size_t>(end - at)))) != nullptr;) {
      starts_.push_back(static_cast<uint32_t>(++at - begin));
    }
  });
  return starts_;
}

int SourceFile::LineOf(uint32_t offset) const {
  const auto& starts = Starts();
  auto after = std::upper_bound(starts.begin(), starts.end(), offset);
  return static_cast<int>(after - starts.begin());
}

uint32_t SourceFile::LineStart(int line) const {
  const auto& starts = Starts();
  MESHPROOF_CHECK(line >= 1);
  size_t index = static_cast<size_t>(line - 1);
  return index < starts.size() ? starts[index] : static_cast<uint32_t>(text_.size());
}

int SourceFile::LineCount() const {
  return static_cast<int>(Starts().size());
}

std::string_view SourceFile::Line(int line) const {
  if (line < 1 || line > LineCount()) return {};
  uint32_t start = LineStart(line);
  size_t stop = text_.find('\n', start);
  std::string_view text = text_;
  text = text.substr(start, stop == std::string::npos ? std::string::npos : stop - start);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

Location Locate(const Span& span) {
  MESHPROOF_CHECK(span.file != nullptr);
  const SourceFile& file = *span.file;
  uint32_t size = static_cast<uint32_t>(file.text().size());
  uint32_t begin = std::min(span.begin, size);
  uint32_t end = std::max(begin, std::min(span.end, size));
  auto place = [&](uint32_t offset, int* line, int* column) {
    *line = file.LineOf(offset);
    uint32_t start = file.LineStart(*line);
    *column = CodePoints(file.text().substr(start, offset - start)) + 1;
  };
  Location location;
  location.file = file.name();
  place(begin, &location.line, &location.column);
  place(end, &location.end_line, &location.end_column);
  return location;
}

}  // namespace meshproof

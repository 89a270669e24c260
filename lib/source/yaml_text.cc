#include "source/yaml_text.h"

#include <algorithm>

#include "base/text.h"

namespace meshproof {
namespace {

bool IsBlank(char c) {
  return c == ' ' || c == '\t';
}

bool IsBreak(char c) {
  return c == '\n' || c == '\r';
}

bool IsFlowIndicator(char c) {
  return c == ',' || c == '[' || c == ']' || c == '{' || c == '}';
}

uint32_t Size(std::string_view text) {
  return static_cast<uint32_t>(text.size());
}

std::string_view LineAt(std::string_view text, uint32_t begin) {
  return text.substr(begin, LineEnd(text, begin) - begin);
}

// Past the break of the line that holds `at`.
uint32_t NextLine(std::string_view text, uint32_t at) {
  size_t found = text.find('\n', at);
  return found == std::string_view::npos ? Size(text) : static_cast<uint32_t>(found + 1);
}

// Whether the line, without its comment, ends in the header of a block scalar; `*indent` is then
// the column that the scalar's lines go past.
bool OpensBlockScalar(std::string_view line, uint32_t* indent) {
  for (size_t at = line.find('#'); at != std::string_view::npos; at = line.find('#', at + 1)) {
    if (at > 0 && IsBlank(line[at - 1])) {
      line = line.substr(0, at);
      break;
    }
  }
  line =
      TrimSpace(line) == "" ? std::string_view() : line.substr(0, line.find_last_not_of(" \t") + 1);
  size_t header = line.find_last_not_of("+-0123456789");
  if (header == std::string_view::npos || (line[header] != '|' && line[header] != '>'))
    return false;
  if (line.size() - header > 3) return false;
  if (header > 0 && !IsBlank(line[header - 1])) return false;
  std::string_view before = TrimSpace(line.substr(0, header));
  if (!before.empty() && before.back() != ':' && before.back() != '-') return false;
  size_t start = line.find_first_not_of(' ');
  if (before.ends_with(':')) {
    while (line.substr(start).starts_with("- ")) start = line.find_first_not_of(' ', start + 1);
  }
  *indent = static_cast<uint32_t>(start);
  return true;
}

// `{{` at `at` of a line: does it stand where a value or a key starts?
bool IsStructural(std::string_view line, size_t at) {
  char quote = 0;
  for (size_t i = 0; i < at; ++i) {
    char c = line[i];
    bool starts_token = i == 0 || IsBlank(line[i - 1]) || IsFlowIndicator(line[i - 1]);
    if (quote != 0) {
      if (c == '\\' && quote == '"') {
        ++i;
      } else if (c == quote) {
        quote = 0;
      }
    } else if ((c == '"' || c == '\'') && starts_token) {
      quote = c;
    } else if (c == '#' && (i == 0 || IsBlank(line[i - 1]))) {
      return false;
    }
  }
  if (quote != 0) return false;
  size_t before = at;
  while (before > 0 && IsBlank(line[before - 1])) --before;
  if (before == 0) return true;
  char c = line[before - 1];
  if (c == ':' || c == '-' || c == '?') return before < at;
  return IsFlowIndicator(c);
}

}  // namespace

uint32_t LineEnd(std::string_view text, uint32_t at) {
  size_t found = text.find('\n', at);
  if (found == std::string_view::npos) found = text.size();
  if (found > at && text[found - 1] == '\r') --found;
  return static_cast<uint32_t>(found);
}

uint32_t ColumnOf(std::string_view text, uint32_t at) {
  if (at == 0) return 0;
  size_t found = text.rfind('\n', at - 1);
  return found == std::string_view::npos ? at : at - static_cast<uint32_t>(found) - 1;
}

uint32_t SkipSpace(std::string_view text, uint32_t at) {
  for (uint32_t start = at; at < text.size(); ++at) {
    char c = text[at];
    if (IsBlank(c) || IsBreak(c)) continue;
    if (c != '#') return at;
    if (at > start && !IsBlank(text[at - 1]) && !IsBreak(text[at - 1])) return at;
    at = LineEnd(text, at);
    if (at == text.size()) break;
  }
  return Size(text);
}

Properties SkipProperties(std::string_view text, uint32_t at) {
  Properties properties{at, at};
  while (properties.node < text.size()) {
    uint32_t here = properties.node;
    char first = text[here];
    if (first != '&' && first != '!') break;
    if (text.substr(here).starts_with("!<")) {
      size_t close = text.find('>', here);
      here = close == std::string_view::npos ? Size(text) : static_cast<uint32_t>(close + 1);
    } else {
      while (here < text.size() && !IsBlank(text[here]) && !IsBreak(text[here]) &&
             !IsFlowIndicator(text[here])) {
        ++here;
      }
    }
    properties.end = here;
    properties.node = SkipSpace(text, here);
  }
  return properties;
}

uint32_t PlainEnd(std::string_view text, uint32_t at, std::string_view value) {
  if (text.substr(at, value.size()) == value) return at + Size(value);
  // Folded over lines: blanks around breaks are gone, a break is a blank or a break.
  uint32_t end = at;
  size_t read = 0;
  while (read < value.size() && at < text.size()) {
    if (IsBlank(text[at]) || IsBreak(text[at])) {
      uint32_t next = at;
      bool broken = false;
      for (; next < text.size() && (IsBlank(text[next]) || IsBreak(text[next])); ++next) {
        broken = broken || IsBreak(text[next]);
      }
      if (broken) {
        while (read < value.size() && (IsBlank(value[read]) || IsBreak(value[read]))) ++read;
        at = next;
        continue;
      }
    }
    if (text[at] != value[read]) break;
    ++at;
    ++read;
    end = at;
  }
  return end;
}

std::optional<uint32_t> QuotedEnd(std::string_view text, uint32_t at) {
  char quote = text[at];
  for (++at; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '\'' && at + 1 < text.size() && text[at + 1] == quote) {
        ++at;
      } else {
        return at + 1;
      }
    }
  }
  return std::nullopt;
}

uint32_t AliasEnd(std::string_view text, uint32_t at) {
  ++at;
  while (at < text.size() && !IsBlank(text[at]) && !IsBreak(text[at]) &&
         !IsFlowIndicator(text[at])) {
    ++at;
  }
  return std::min(at, Size(text));
}

uint32_t BlockEnd(std::string_view text, uint32_t at, std::string_view value,
                  std::optional<Comment>* comment) {
  uint32_t header = at + 1;
  while (header < text.size() && (text[header] == '+' || text[header] == '-' ||
                                  (text[header] >= '0' && text[header] <= '9'))) {
    ++header;
  }
  uint32_t line_end = LineEnd(text, header);
  uint32_t hash = header;
  while (hash < line_end && IsBlank(text[hash])) ++hash;

  size_t first = value.find_first_not_of(" \n");
  if (first == std::string_view::npos) return header;
  if (hash < line_end && hash > header && text[hash] == '#') *comment = {hash, line_end, false};
  size_t value_line = value.rfind('\n', first);
  size_t extra = value_line == std::string_view::npos ? first : first - value_line - 1;

  uint32_t end = header;
  std::optional<uint32_t> indent;
  for (uint32_t line = NextLine(text, header); line < text.size(); line = NextLine(text, line)) {
    std::string_view content = LineAt(text, line);
    size_t blanks = content.find_first_not_of(' ');
    if (blanks == std::string_view::npos) continue;
    if (!indent) {
      indent = static_cast<uint32_t>(blanks - std::min(blanks, extra));
    } else if (blanks < *indent) {
      break;
    }
    if (content.find_first_not_of(" \t") == std::string_view::npos) continue;
    end = line + Size(content);
  }
  return end;
}

uint32_t NullLength(std::string_view text, uint32_t at) {
  std::string_view rest = text.substr(std::min<size_t>(at, text.size()));
  uint32_t length = 0;
  if (rest.starts_with("~")) length = 1;
  if (rest.starts_with("null") || rest.starts_with("Null") || rest.starts_with("NULL")) length = 4;
  if (length == 0 || length == rest.size()) return length;
  char next = rest[length];
  bool ends = IsBlank(next) || IsBreak(next) || IsFlowIndicator(next) || next == ':';
  return ends ? length : 0;
}

std::optional<uint32_t> FindLoneDirective(std::string_view text, uint32_t at) {
  uint32_t line = SkipSpace(text, at);
  if (line >= text.size() || text[line] != '%' || (line > at && text[line - 1] != '\n')) {
    return std::nullopt;
  }
  for (uint32_t next = line; next < text.size(); next = NextLine(text, next)) {
    if (text.substr(next).starts_with("---")) return std::nullopt;
  }
  return line;
}

size_t LostBreaks(std::string_view raw, bool empty) {
  size_t breaks = 0;
  size_t at = raw.size() - 1;
  for (; at > 1 && (IsBlank(raw[at - 1]) || IsBreak(raw[at - 1])); --at) {
    if (raw[at - 1] == '\n') ++breaks;
  }
  if (breaks < 2 || (raw[0] == '"' && raw[at - 1] == '\\')) return 0;
  return breaks - 1 - (empty ? 0 : 1);
}

std::optional<uint32_t> FindTemplate(std::string_view text, uint32_t at) {
  std::optional<uint32_t> block;
  for (uint32_t line = at; line < text.size(); line = NextLine(text, line)) {
    std::string_view content = LineAt(text, line);
    size_t indent = content.find_first_not_of(' ');
    if (indent == std::string_view::npos) continue;
    if (block) {
      if (indent > *block) continue;
      block.reset();
    }
    for (size_t brace = content.find("{{"); brace != std::string_view::npos;
         brace = content.find("{{", brace + 2)) {
      if (IsStructural(content, brace)) return line + static_cast<uint32_t>(brace);
    }
    uint32_t opened = 0;
    if (OpensBlockScalar(content, &opened)) block = opened;
  }
  return std::nullopt;
}

bool IsClosed(std::string_view text, uint32_t at) {
  int depth = 0;
  while (at < text.size()) {
    char c = text[at];
    bool starts_token = at > 0 && (IsBlank(text[at - 1]) || IsBreak(text[at - 1]) ||
                                   IsFlowIndicator(text[at - 1]) || text[at - 1] == ':');
    if (starts_token && (c == '"' || c == '\'')) {
      at = QuotedEnd(text, at).value_or(Size(text));
      continue;
    }
    if (c == '#' && at > 0 && (IsBlank(text[at - 1]) || IsBreak(text[at - 1]))) {
      at = LineEnd(text, at);
      continue;
    }
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && --depth == 0) return true;
    ++at;
  }
  return false;
}

std::optional<uint32_t> FindOpenQuote(std::string_view text, uint32_t at) {
  bool starts_token = true;
  while (at < text.size()) {
    char c = text[at];
    if (starts_token && (c == '"' || c == '\'')) {
      std::optional<uint32_t> end = QuotedEnd(text, at);
      if (!end) return at;
      at = *end;
      starts_token = false;
      continue;
    }
    if (c == '#' && (at == 0 || IsBlank(text[at - 1]) || IsBreak(text[at - 1]))) {
      at = LineEnd(text, at);
      continue;
    }
    if (IsBreak(c) || IsFlowIndicator(c)) {
      starts_token = true;
    } else if (c == ':' || c == '-' || c == '?') {
      starts_token = at + 1 >= text.size() || IsBlank(text[at + 1]) || IsBreak(text[at + 1]) ||
                     text[at + 1] == '"';
    } else if (!IsBlank(c)) {
      starts_token = false;
    }
    ++at;
  }
  return std::nullopt;
}

}  // namespace meshproof

#include "source/document_stream.h"

#include <cstring>

namespace meshproof {
namespace {

bool IsBlankOrBreak(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool IsMarker(std::string_view text, size_t at, char c) {
  if (text.size() - at < 3 || text[at] != c || text[at + 1] != c || text[at + 2] != c) return false;
  return at + 3 == text.size() || IsBlankOrBreak(text[at + 3]);
}

size_t NextLine(std::string_view text, size_t at) {
  const void* found = std::memchr(text.data() + at, '\n', text.size() - at);
  if (found == nullptr) return text.size();
  return static_cast<size_t>(static_cast<const char*>(found) - text.data()) + 1;
}

}  // namespace

bool HasContent(std::string_view text) {
  for (size_t line = 0; line < text.size(); line = NextLine(text, line)) {
    if (text[line] == '%') continue;
    size_t at = line;
    while (at < text.size() && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r')) ++at;
    if (at < text.size() && text[at] != '\n' && text[at] != '#') return true;
  }
  return false;
}

std::vector<DocumentText> SplitStream(std::string_view text, uint32_t from) {
  std::vector<DocumentText> documents;
  size_t begin = from;
  bool started = false;  // the `---` of the document at `begin` has been seen
  auto cut = [&](size_t end) {
    if (end > begin) {
      documents.push_back({static_cast<uint32_t>(begin), static_cast<uint32_t>(end)});
    }
    begin = end;
  };
  for (size_t line = from; line < text.size(); line = NextLine(text, line)) {
    if (IsMarker(text, line, '-')) {
      if (started || HasContent(text.substr(begin, line - begin))) cut(line);
      started = true;
    } else if (IsMarker(text, line, '.')) {
      cut(NextLine(text, line));
      started = false;
    }
  }
  cut(text.size());
  return documents;
}

JsonSplit SplitJson(std::string_view text, uint32_t begin, uint32_t end, int depth_limit) {
  // Each restart reads the rest again; a text that asks for more of them is no stream of values.
  constexpr int kMaxRestarts = 64;
  JsonSplit split;
  JsonText value;
  int depth = 0;
  int restarts = 0;
  uint32_t restart = 0;  // where a value could start anew if the open one turns out to have no end
  uint32_t at = begin;
  auto finish = [&](uint32_t value_end) {
    value.text.end = value_end;
    split.values.push_back(value);
    depth = 0;
  };
  while (true) {
    if (at >= end) {
      if (depth == 0) break;
      if (restart == 0 || ++restarts > kMaxRestarts) {
        finish(end);
        break;
      }
      at = restart;
      finish(at);
      continue;
    }
    char c = text[at];
    if (c == '"') {
      for (++at; at < end && text[at] != '"' && text[at] != '\n'; ++at) {
        if (text[at] == '\\' && at + 1 < end) ++at;
      }
      if (at < end) ++at;
      if (depth == 0) split.only_values = false;
      continue;
    }
    if (c == '{' || c == '[') {
      if (depth == 0) {
        value = {{at, at}, false, 0};
        restart = 0;
      } else if (c == '{' && restart == 0 && text[at - 1] == '\n') {
        restart = at;
      }
      if (++depth == depth_limit + 1 && !value.too_deep) {
        value.too_deep = true;
        value.deepest = at;
      }
    } else if (c == '}' || c == ']') {
      if (depth == 0) {
        split.only_values = false;
      } else if (--depth == 0) {
        finish(at + 1);
      }
    } else if (depth == 0 && !IsBlankOrBreak(c)) {
      split.only_values = false;
    }
    ++at;
  }
  return split;
}

}  // namespace meshproof

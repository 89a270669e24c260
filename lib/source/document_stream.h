#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace meshproof {

// The text of one document of a stream: its directives, its `---`, its content and its `...`.
struct DocumentText {
  uint32_t begin = 0;
  uint32_t end = 0;
};

// Cuts text[from..] at the lines `---` and `...`. Both end a document wherever they stand at the
// start of a line, so the cuts are right even where a document's content is broken. Directives and
// comments before a `---` belong to the document that it starts.
std::vector<DocumentText> SplitStream(std::string_view text, uint32_t from);

// Whether there is anything but blanks, comments and directives.
bool HasContent(std::string_view text);

// One value of a stretch of JSON.
struct JsonText {
  DocumentText text;
  bool too_deep = false;
  uint32_t deepest = 0;  // of a value that is too deep: the bracket that goes past the limit
};

struct JsonSplit {
  std::vector<JsonText> values;
  bool only_values = true;  // nothing but blanks stands between them
};

// Cuts a text of JSON values that follow each other (NDJSON, several answers of kubectl) into
// values by counting brackets outside strings. A line that starts with `{` inside an unclosed value
// starts the next one, so that one broken value does not swallow the rest.
JsonSplit SplitJson(std::string_view text, uint32_t begin, uint32_t end, int depth_limit);

}  // namespace meshproof

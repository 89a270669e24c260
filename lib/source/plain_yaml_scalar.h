#pragma once

#include <limits>
#include <string>
#include <string_view>

#include "source/node.h"

namespace meshproof {

// Scalars, for PlainYamlReader. All pointers are into text that ends with a line break or NUL,
// which every scan stops at.

// A blank, a line break or the end of the text.
inline bool EndsWord(char c) {
  return c == ' ' || c == '\n' || c == '\0';
}

// Where the text of the next line starts, if it may go on with a scalar of a collection in
// `column`: null where it is blank, not deeper, or has tabs in front.
const char* NextLineOf(const char* line_end, int column);

// The `column` of a scalar that must end on its line.
constexpr int kOneLine = std::numeric_limits<int>::max();

// Behind the last character of the plain scalar that starts at `at`, blanks at its end left out;
// `*stop` is what follows those blanks: the `:` behind a key, the `#` of a comment, or the end of
// the line. Null where this is no plain scalar or holds what only the general reader knows (tabs,
// carriage returns).
const char* PlainScalarEnd(const char* at, const char** stop);

// The same for a line that goes on with a plain scalar, where any character may begin the text.
const char* PlainLineEnd(const char* at, const char** stop);

// The same between brackets, where commas and brackets end a scalar too. Takes fewer characters
// than YAML allows.
const char* FlowScalarEnd(const char* at);

// Behind the closing quote of the scalar of a collection in `column` whose opening quote stands at
// `at`; null where it is not closed, or is left to the general reader: for an escape, an empty
// line, or a line that is not deeper than the collection.
struct QuotedScalar {
  const char* end = nullptr;
  bool verbatim = true;  // the value is what stands between the quotes
};
QuotedScalar ScanQuotedScalar(const char* at, int column);

// The value of a quoted scalar `raw`, quotes included, that ScanQuotedScalar has found.
void Unquote(std::string_view raw, std::string* value);

// ResolvePlainScalar, with a short way for most words.
ScalarType TypeOfPlain(std::string_view text);

}  // namespace meshproof

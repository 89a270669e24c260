#pragma once

#include <string>
#include <string_view>

#include "base/span.h"
#include "report/style.h"

// Pieces of the input as a terminal can show them.
namespace meshproof {

// `text` on one line and harmless to a terminal: control characters, characters that turn the
// direction of text and bytes that are not UTF-8 become U+FFFD, line breaks "\n", tabs blanks.
std::string Printable(std::string_view text);

// The first line of the span with its number in a gutter and carets below what the span covers:
//
//    12 |     mode: PERMISSIVE
//       |           ^^^^^^^^^^
//
// A long line is cut around the carets; `...` says that the span goes on below. Empty where the
// span has no file.
std::string Excerpt(const Span& span, const Style& style = {});

}  // namespace meshproof

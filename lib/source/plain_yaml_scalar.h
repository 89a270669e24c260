#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "source/node.h"

namespace meshproof {

// Scalars of one line, for PlainYamlReader. All pointers are into text that ends with a line break
// or NUL, which every scan stops at.

// Behind the last character of the plain scalar that starts at `at`, blanks at its end left out;
// `*stop` is what follows those blanks: the `:` behind a key, the `#` of a comment, or the end of
// the line. Null where this is no plain scalar or holds what only the general reader knows (tabs,
// carriage returns).
const char* PlainScalarEnd(const char* at, const char** stop);

// The same between brackets, where commas and brackets end a scalar too. Takes fewer characters
// than YAML allows.
const char* FlowScalarEnd(const char* at);

// Behind the closing quote of the scalar whose opening quote stands at `at`; null where it is not
// closed on its line or has an escape that is left to the general reader. `*verbatim` says whether
// its value is what stands between the quotes.
const char* QuotedScalarEnd(const char* at, bool* verbatim);

// The value of a quoted scalar `raw`, quotes included, that QuotedScalarEnd has found.
void Unquote(std::string_view raw, std::string* value);

// ResolvePlainScalar, with a short way for most words.
ScalarType TypeOfPlain(std::string_view text);

}  // namespace meshproof

#pragma once

#include <optional>
#include <string_view>

#include "base/json.h"

namespace meshproof {

// The JSON object that Envoy finds in `text` when it reads a token or a key set: protobuf's parser
// of google.protobuf.Struct in its lenient mode. Looser than JSON: single quotes, bare-word keys, a
// comma before a closing bracket, control bytes in strings, `null` for the empty object. Stricter:
// no key twice, no number beyond a double, at most 100 levels, no lone surrogate escape. Every
// number is a double for Envoy; those without fraction up to 2^53 are integers here.
std::optional<Json> ParseStructJson(std::string_view text);

}  // namespace meshproof

#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

// Texts that istiod reads with Go's own parsers.
namespace meshproof {

// strconv.ParseBool: 1 t T TRUE true True, 0 f F FALSE false False.
std::optional<bool> ParseGoBool(std::string_view text);

// time.ParseDuration, in nanoseconds: "300ms", "-1.5h", "2h45m"; "0" needs no unit. Nothing where
// it is none or does not fit.
std::optional<int64_t> ParseGoDuration(std::string_view text);

}  // namespace meshproof

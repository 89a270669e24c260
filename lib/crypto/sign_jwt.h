#pragma once

#include <string>
#include <string_view>

namespace meshproof {

// A token over `claims` (JSON) that the key set of the same secret verifies (HS256).
std::string SignJwt(std::string_view claims, std::string_view secret);
std::string HmacKeySet(std::string_view secret);

}  // namespace meshproof

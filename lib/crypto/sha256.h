#pragma once

#include <string>
#include <string_view>

namespace meshproof {

// Lower-case hexadecimal.
std::string Sha256Hex(std::string_view data);

}  // namespace meshproof

#pragma once

#include <string_view>

namespace meshproof {

// True only where NormalizePath leaves the path as it is, whatever the options; a quick look that
// most paths pass.
bool IsNormalPath(std::string_view path);

}  // namespace meshproof

#pragma once

#include <string_view>

namespace meshproof {

// Whether a path matches a glob: `*` and `?` within a name, `**` as a whole name for any number of
// folders.
bool GlobMatches(std::string_view glob, std::string_view path);

// Whether `path` or a folder above it matches. A glob without `/` is compared with single names.
bool GlobCovers(std::string_view glob, std::string_view path);

}  // namespace meshproof

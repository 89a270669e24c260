#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace meshproof {

// A query string as Envoy's QueryParamsMulti holds it: by name, values in order. A parameter
// without `=` has the value "".
using QueryParams = std::map<std::string, std::vector<std::string>, std::less<>>;

enum class PercentDecoding { kNo, kYes };
// Of a path with its query; nothing where it has none.
QueryParams ParseQuery(std::string_view path, PercentDecoding decoding);
// The path without its query, then the parameters in order of their names; none: no `?` either.
std::string ReplaceQuery(std::string_view path, const QueryParams& params);

}  // namespace meshproof

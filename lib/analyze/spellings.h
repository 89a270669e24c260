#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "match/path.h"
#include "model/model.h"

// Other ways to write what a value of a policy names, and what of them a proxy still sees as
// another value.
namespace meshproof {

struct Spelling {
  std::string covered;  // a value that the policy's value matches
  std::string sent;     // what a client sends in its place
  std::string seen;     // what a rule sees of it
  std::string how;      // "a doubled slash"
  // Only applications that cut path parameters (`;x`) off, as servlet containers do, take the two
  // for one.
  bool parameters = false;
};

// Spellings of a path that many applications treat as that path, and the proxy does not.
std::vector<Spelling> PathSpellings(std::string_view path, const PathOptions& options);

// Neighbours of a value of `paths` that it does not match: with and without the last slash, and
// below it. None for a path to a file, a lone star or `/`.
std::vector<Spelling> PathEdges(std::string_view value);

// Other spellings of the hosts that a value of `hosts` matches, which it does not match.
std::vector<Spelling> HostSpellings(std::string_view value);

// A path template with `x` in place of each `{*}` and `{**}`.
std::string FillTemplate(std::string_view pattern);

// A value that a pattern of `hosts`, `methods` or headers matches.
std::string SampleOf(std::string_view pattern);
// The same of `paths`, templates too; starts with a slash.
std::string SamplePath(std::string_view pattern);

// Whether istiod makes an exact comparison of the value: it holds no star that counts and no
// template.
bool IsExactPath(std::string_view value);

// Whether a value of `methods` matches the method (istio-semantics section 1.4, class H).
bool CoversMethod(const TextList& values, std::string_view method);
// The value that does; null where none.
const Text* CoveringMethod(const TextList& values, std::string_view method);

}  // namespace meshproof

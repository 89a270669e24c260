#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "match/string_matcher.h"

namespace meshproof {

// HttpConnectionManager.PathWithEscapedSlashesAction.
enum class EscapedSlashes {
  kKeepUnchanged,
  kRejectRequest,
  kUnescapeAndRedirect,
  kUnescapeAndForward
};

struct PathOptions {
  bool normalize = false;
  bool merge_slashes = false;
  EscapedSlashes escaped_slashes = EscapedSlashes::kKeepUnchanged;
};

struct NormalizedPath {
  enum class Outcome { kOk, kReject, kRedirect };  // kReject: 400, kRedirect: 307 to `path`
  Outcome outcome = Outcome::kOk;
  std::string path;  // with its query
};

// What Envoy's connection manager does to the path of a request, in Istio's bootstrap (fragment
// stripped, `..;x` segments recognised): envoy-facts section 5 and the oracle's facts, section 5.
NormalizedPath NormalizePath(std::string_view path, const PathOptions& options);

// What `url_path` and path templates look at: the path before the first of `?` and `#`.
std::string_view PathWithoutQuery(std::string_view path);

// envoy.extensions.path.match.uri_template: `*` one segment, `**` the rest, `{name}`,
// `{name=pattern}`, both also with literal text around them in their segment (since Envoy 1.40). To
// be matched with PathWithoutQuery. An error says, in Envoy's own words, why it would refuse the
// template (and the listener).
Result<Regex> CompilePathTemplate(std::string_view path_template);

}  // namespace meshproof

#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "mesh/mesh.h"
#include "proxy/config.h"

// One token before one jwt_authn filter, without a mesh around it.
namespace meshproof {

struct TokenAnswer {
  // kUndetermined: a key set is not in the input, or Envoy refuses the configuration.
  enum class Kind { kAccepted, kRefused, kUndetermined } kind = Kind::kUndetermined;
  int status = 0;       // 200, 401 or 403; 0 where undetermined
  std::string body;     // of the refusal: Envoy's own words
  std::string details;  // response_code_details of the refusal
  std::string missing;  // kUndetermined: what would have to be known
  std::string place;    // where the token was sent: "Authorization: Bearer <token>"
  // Headers that the filter sets for what stands behind it.
  std::vector<std::pair<std::string, std::string>> headers;
  Origin origin;  // the jwtRule that accepted or refused; object null: none
};

// What Envoy answers to a request that carries `token` where the filter looks for tokens of its
// issuer, else where it looks first. `now`: seconds since the epoch.
TokenAnswer AskJwtFilter(const JwtFilter& filter, const std::string& token, int64_t now);

// The filter that takes tokens of one provider, or none, as istiod writes it.
JwtFilter SingleProvider(JwtProvider provider);

// One jwtRule asked alone.
struct TokenCheck {
  Origin origin;  // object null: the key set beside the mesh
  std::string issuer;
  bool same_issuer = false;  // the token is of this rule's issuer, or the rule takes any
  TokenAnswer answer;
};

// `token` before every jwtRule of the mesh, those of its issuer first. `spare_keys`, where not
// null, is the text of a key set that stands in for the one of each rule whose own is not in the
// input.
std::vector<TokenCheck> CheckToken(const Mesh& mesh, const std::string& token, int64_t now,
                                   const std::string* spare_keys);

// The first jwt_authn filter of a proxy; null where it has none.
const JwtFilter* FindJwtFilter(const ProxyConfig& proxy);

// Gives every provider whose key set is not in the input this one.
void FillKeys(const std::string& keys, JwtFilter* filter);

}  // namespace meshproof

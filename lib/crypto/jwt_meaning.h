#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

// What people need to know beside Envoy's own words about a token.
namespace meshproof {

// One of Envoy's status strings (envoy-facts section 2.7), explained.
struct JwtMeaning {
  std::string_view status;
  std::string_view why;  // a clause: what Envoy found
  std::string_view fix;  // what lets the token through
};

// By the text of the status, blanks as such or as `_` (as they stand in response_code_details);
// null where it is none of them.
const JwtMeaning* FindJwtMeaning(std::string_view status);

// iss/sub, what `request.auth.principal` and `requestPrincipals` are compared with; "" where the
// token lacks one of them.
std::string RequestPrincipalOf(const Json& claims);

// A Kubernetes service account's token, bound or of the old kind.
struct ServiceAccountToken {
  std::string ns, account;
  std::string pod;       // "" = not bound to a pod
  bool expires = false;  // tokens of the old kind, kept in Secrets, do not
};
// `claims` of a token; false where it is no such token.
bool ReadServiceAccountToken(const Json& claims, ServiceAccountToken* out);

// Claims that no condition on `request.auth.claims` can match: Istio's matchers compare strings and
// lists of strings only (envoy-facts section 1.2). Nested ones as "a.b"; the registered claims that
// are numbers by definition (exp, iat, nbf, auth_time) are left out.
std::vector<std::string> UnmatchableClaims(const Json& claims);

}  // namespace meshproof

#include "crypto/jwt_meaning.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace meshproof {
namespace {

constexpr std::string_view kNotAToken = "send the token itself, whole, and nothing behind it";
constexpr std::string_view kReissue = "have the issuer issue a token that follows RFC 7519";
constexpr std::string_view kKeys = "give the RequestAuthentication the issuer's current key set";

// Of the statuses that speak of the key set, those that a loaded configuration can still answer.
constexpr std::array kMeanings = {
    JwtMeaning{"Jwt is missing", "no token stands where this proxy looks for one",
               "send a token, in the Authorization header unless fromHeaders or fromParams say "
               "otherwise"},
    JwtMeaning{"Jwt not yet valid", "the token's nbf lies more than 60 seconds ahead",
               "wait, or set the clocks right"},
    JwtMeaning{"Jwt is expired", "the token's exp lies more than 60 seconds back",
               "get a new token from the issuer"},
    JwtMeaning{"Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
               "what was sent is no token, or a part of one", kNotAToken},
    JwtMeaning{"Jwt header is an invalid Base64url encoded",
               "the token's header is not base64url: the token is cut or mangled", kNotAToken},
    JwtMeaning{"Jwt header is an invalid JSON",
               "the token's header is not JSON: something else was sent", kNotAToken},
    JwtMeaning{"Jwt header [alg] field is required and must be a string",
               "the token's header names no algorithm", kReissue},
    JwtMeaning{"Jwt header [alg] is not supported",
               "the token is signed with an algorithm that Envoy does not take",
               "have the issuer sign with RS, PS, ES or HS 256, 384 or 512, or EdDSA"},
    JwtMeaning{"Jwt header [kid] field is not a string", "the token's key id is no string",
               kReissue},
    JwtMeaning{"Jwt payload is an invalid Base64url encoded",
               "the token's payload is not base64url: the token is cut or mangled", kNotAToken},
    JwtMeaning{"Jwt payload is an invalid JSON",
               "the token's payload is not JSON, or names a claim twice", kReissue},
    JwtMeaning{"Jwt payload [iss] field is not a string", "the claim iss is no string", kReissue},
    JwtMeaning{"Jwt payload [sub] field is not a string", "the claim sub is no string", kReissue},
    JwtMeaning{"Jwt payload [jti] field is not a string", "the claim jti is no string", kReissue},
    JwtMeaning{"Jwt payload [iat] field is not an integer", "the claim iat is no number", kReissue},
    JwtMeaning{"Jwt payload [nbf] field is not an integer", "the claim nbf is no number", kReissue},
    JwtMeaning{"Jwt payload [exp] field is not an integer", "the claim exp is no number", kReissue},
    JwtMeaning{"Jwt payload [iat] field is not a positive 64 bit integer",
               "the claim iat is negative or too large", kReissue},
    JwtMeaning{"Jwt payload [nbf] field is not a positive 64 bit integer",
               "the claim nbf is negative or too large", kReissue},
    JwtMeaning{"Jwt payload [exp] field is not a positive 64 bit integer",
               "the claim exp is negative or too large", kReissue},
    JwtMeaning{"Jwt payload [aud] field is not a string or string list",
               "the claim aud is neither a string nor a list of strings", kReissue},
    JwtMeaning{"Jwt signature is an invalid Base64url encoded",
               "the token's signature is not base64url: the token is mangled, or something stands "
               "behind it in the header",
               kNotAToken},
    JwtMeaning{"Jwt issuer is not configured",
               "no RequestAuthentication that reaches this proxy names the token's issuer",
               "send a token of a configured issuer, or add a jwtRule whose issuer is the token's "
               "iss, letter by letter"},
    JwtMeaning{"Audiences in Jwt are not allowed",
               "none of the token's audiences is among the audiences of the jwtRule",
               "get a token for a listed audience, or add the token's aud to the rule's audiences"},
    JwtMeaning{"Jwt verification fails", "no key of the set verifies the signature",
               "send a token that its issuer signed, or update the key set"},
    JwtMeaning{"Jwks doesn't have key to match kid or alg from Jwt",
               "the key set has no key with the token's kid and algorithm", kKeys},
    JwtMeaning{"Jwks doesn't have any valid public key", "no key of the set can be used", kKeys},
    JwtMeaning{"Jwks remote fetch is failed", "the proxy could not fetch the key set",
               "let the proxy reach the jwksUri"},
    JwtMeaning{"Jwt ED25519 signature is wrong length",
               "the signature cannot be one of the key that Envoy tried", kReissue},
};

// `_` in `text` stands for a blank.
bool SameStatus(std::string_view status, std::string_view text) {
  return status.size() == text.size() &&
         std::equal(status.begin(), status.end(), text.begin(),
                    [](char a, char b) { return a == b || (a == ' ' && b == '_'); });
}

std::string StringOf(const Json* value) {
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

void Collect(const Json& claims, const std::string& prefix, int depth,
             std::vector<std::string>* out) {
  constexpr std::array kNumbers = {"exp", "iat", "nbf", "auth_time"};
  constexpr int kMaxDepth = 8;
  for (const auto& [name, value] : claims.as_object()) {
    if (prefix.empty() && std::find(kNumbers.begin(), kNumbers.end(), name) != kNumbers.end()) {
      continue;
    }
    if (value.is_number() || value.is_bool() || value.is_null()) out->push_back(prefix + name);
    if (value.is_object() && depth < kMaxDepth) Collect(value, prefix + name + ".", depth + 1, out);
    if (!value.is_array()) continue;
    const auto& items = value.as_array();
    bool no_string =
        std::none_of(items.begin(), items.end(), [](const Json& item) { return item.is_string(); });
    if (no_string) out->push_back(prefix + name);
  }
}

}  // namespace

const JwtMeaning* FindJwtMeaning(std::string_view status) {
  for (const auto& meaning : kMeanings) {
    if (SameStatus(meaning.status, status)) return &meaning;
  }
  return nullptr;
}

std::string RequestPrincipalOf(const Json& claims) {
  std::string issuer = StringOf(claims.Find("iss"));
  std::string subject = StringOf(claims.Find("sub"));
  return issuer.empty() || subject.empty() ? std::string() : issuer + "/" + subject;
}

bool ReadServiceAccountToken(const Json& claims, ServiceAccountToken* out) {
  constexpr std::string_view kSubject = "system:serviceaccount:";
  std::string subject = StringOf(claims.Find("sub"));
  if (!subject.starts_with(kSubject)) return false;
  auto parts = Split(std::string_view(subject).substr(kSubject.size()), ':');
  if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) return false;
  out->ns = std::string(parts[0]);
  out->account = std::string(parts[1]);
  if (const Json* bound = claims.Find("kubernetes.io")) {
    if (const Json* pod = bound->Find("pod")) out->pod = StringOf(pod->Find("name"));
  }
  out->expires = claims.Find("exp") != nullptr;
  return true;
}

std::vector<std::string> UnmatchableClaims(const Json& claims) {
  std::vector<std::string> out;
  if (claims.is_object()) Collect(claims, "", 0, &out);
  return out;
}

}  // namespace meshproof

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace meshproof {

// Envoy's JWT and JWKS status strings (source/common/jwt/status.cc; envoy-facts section 2.7), as
// the very text that stands in the body of a 401.
struct JwtStatus {
  std::string text;  // "" = OK
  bool ok() const { return text.empty(); }
};

// A parsed token; the signature is not verified yet.
struct Jwt {
  std::string alg;
  std::optional<std::string> kid;
  std::optional<std::string> issuer;
  std::optional<std::string> subject;
  std::vector<std::string> audiences;
  uint64_t not_before = 0;  // seconds since the epoch; 0 = not given
  uint64_t expires = 0;     // 0 = not given or 0: never expires
  Json header;
  Json payload;
  std::string signed_part;  // header.payload as sent
  std::string signature;    // bytes
};

struct ParsedJwt {
  JwtStatus status;
  Jwt jwt;
};

// envoy-facts section 2.3: the pieces, base64url, JSON (duplicate keys refused) and types.
ParsedJwt ParseJwt(std::string_view token);

// A key set as Envoy loads it (envoy-facts section 2.4). Cheap to copy, immutable. The empty text
// is a set without keys, which Envoy takes and then fails every token with.
class Jwks {
 public:
  struct Key;
  // `status` is not OK where Envoy could not load the set (it then refuses the listener).
  static Jwks Parse(std::string_view text);

  const JwtStatus& status() const { return status_; }
  size_t size() const;
  // Key choice and verification; the text is Envoy's. A set that could not be loaded fails with its
  // own status. Thread-safe.
  JwtStatus Verify(const Jwt& jwt) const;

 private:
  JwtStatus status_;
  std::shared_ptr<const std::vector<Key>> keys_;
};

// Verification without the signature in Envoy's order: nbf, exp, audience (with `now` in seconds
// since the epoch and 60 s skew unless given). `issuer` is compared by the caller.
JwtStatus CheckTimes(const Jwt& jwt, int64_t now, int64_t skew_seconds = 60);
// Envoy's overlap rule: a leading http:// or https:// and one trailing slash are ignored on both
// sides. No configured audience allows all.
bool AudienceAllowed(const std::vector<std::string>& configured,
                     const std::vector<std::string>& token);

// Base64url as Envoy takes it: blanks are skipped, padding (`=`, and `.` for it) is either absent
// or of the right length, leftover bits are ignored. Nothing on bad input, `+` and `/` among it.
std::optional<std::string> DecodeBase64Url(std::string_view text);

}  // namespace meshproof

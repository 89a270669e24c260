// Tokens as Envoy's jwt_authn reads them (envoy-facts sections 2.2, 2.3 and 2.7): the checks, their
// order and their texts. Signatures are verified in jwks.cc.
#include "crypto/jwt.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "crypto/struct_json.h"

namespace meshproof {
namespace {

// One section of a token, in Envoy's words.
struct Section {
  const char* bad_base64;
  const char* bad_json;
};
constexpr Section kHeader = {"Jwt header is an invalid Base64url encoded",
                             "Jwt header is an invalid JSON"};
constexpr Section kPayload = {"Jwt payload is an invalid Base64url encoded",
                              "Jwt payload is an invalid JSON"};

constexpr std::array<std::string_view, 13> kAlgorithms = {
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256",
    "ES384", "ES512", "HS256", "HS384", "HS512", "EdDSA"};

constexpr double kUint64Limit = 18446744073709551616.0;  // 2^64

std::vector<std::string_view> NonEmptyPieces(std::string_view token) {
  std::vector<std::string_view> pieces = Split(token, '.');
  std::erase_if(pieces, [](std::string_view piece) { return piece.empty(); });
  return pieces;
}

// Each Read function returns the text of the failure, "" where there is none.
std::string ReadSection(std::string_view piece, const Section& section, Json* out) {
  auto text = DecodeBase64Url(piece);
  if (!text) return section.bad_base64;
  auto json = ParseStructJson(*text);
  if (!json) return section.bad_json;
  *out = std::move(*json);
  return "";
}

std::string ReadString(const Json& payload, const char* name, std::optional<std::string>* out) {
  const Json* value = payload.Find(name);
  if (value == nullptr) return "";
  if (!value->is_string()) return fmt::format("Jwt payload [{}] field is not a string", name);
  *out = value->as_string();
  return "";
}

std::string ReadSeconds(const Json& payload, const char* name, uint64_t* out) {
  const Json* value = payload.Find(name);
  if (value == nullptr) return "";
  if (!value->is_number()) return fmt::format("Jwt payload [{}] field is not an integer", name);
  double seconds = value->as_double();
  if (seconds < 0 || seconds >= kUint64Limit) {
    return fmt::format("Jwt payload [{}] field is not a positive 64 bit integer", name);
  }
  *out = static_cast<uint64_t>(seconds);
  return "";
}

std::string ReadAudiences(const Json& payload, std::vector<std::string>* out) {
  const Json* value = payload.Find("aud");
  if (value == nullptr) return "";
  if (value->is_string()) {
    out->push_back(value->as_string());
    return "";
  }
  bool strings =
      value->is_array() && std::all_of(value->as_array().begin(), value->as_array().end(),
                                       [](const Json& item) { return item.is_string(); });
  if (!strings) return "Jwt payload [aud] field is not a string or string list";
  for (const Json& item : value->as_array()) out->push_back(item.as_string());
  return "";
}

std::string ReadHeader(std::string_view piece, Jwt* jwt) {
  if (std::string bad = ReadSection(piece, kHeader, &jwt->header); !bad.empty()) return bad;
  const Json* alg = jwt->header.Find("alg");
  if (alg == nullptr || !alg->is_string()) {
    return "Jwt header [alg] field is required and must be a string";
  }
  jwt->alg = alg->as_string();
  if (std::find(kAlgorithms.begin(), kAlgorithms.end(), jwt->alg) == kAlgorithms.end()) {
    return "Jwt header [alg] is not supported";
  }
  const Json* kid = jwt->header.Find("kid");
  if (kid == nullptr) return "";
  if (!kid->is_string()) return "Jwt header [kid] field is not a string";
  jwt->kid = kid->as_string();
  return "";
}

std::string ReadPayload(std::string_view piece, Jwt* jwt) {
  if (std::string bad = ReadSection(piece, kPayload, &jwt->payload); !bad.empty()) return bad;
  const Json& payload = jwt->payload;
  uint64_t issued_at = 0;
  std::optional<std::string> id;
  std::string bad = ReadString(payload, "iss", &jwt->issuer);
  if (bad.empty()) bad = ReadString(payload, "sub", &jwt->subject);
  if (bad.empty()) bad = ReadSeconds(payload, "iat", &issued_at);
  if (bad.empty()) bad = ReadSeconds(payload, "nbf", &jwt->not_before);
  if (bad.empty()) bad = ReadSeconds(payload, "exp", &jwt->expires);
  if (bad.empty()) bad = ReadString(payload, "jti", &id);
  if (bad.empty()) bad = ReadAudiences(payload, &jwt->audiences);
  return bad;
}

std::string ReadToken(std::string_view token, Jwt* jwt) {
  std::vector<std::string_view> pieces = NonEmptyPieces(token);
  if (pieces.size() != 3) {
    return "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
  }
  if (std::string bad = ReadHeader(pieces[0], jwt); !bad.empty()) return bad;
  if (std::string bad = ReadPayload(pieces[1], jwt); !bad.empty()) return bad;
  auto signature = DecodeBase64Url(pieces[2]);
  if (!signature) return "Jwt signature is an invalid Base64url encoded";
  jwt->signature = std::move(*signature);
  jwt->signed_part = fmt::format("{}.{}", pieces[0], pieces[1]);
  return "";
}

std::string_view AudienceCore(std::string_view audience) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (audience.starts_with(scheme)) {
      audience.remove_prefix(scheme.size());
      break;
    }
  }
  if (audience.ends_with('/')) audience.remove_suffix(1);
  return audience;
}

int SextetValue(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '-') return 62;
  return c == '_' ? 63 : -1;
}

bool IsBlank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

ParsedJwt ParseJwt(std::string_view token) {
  ParsedJwt parsed;
  parsed.status.text = ReadToken(token, &parsed.jwt);
  return parsed;
}

JwtStatus CheckTimes(const Jwt& jwt, int64_t now, int64_t skew_seconds) {
  // 128 bits: both sides of Envoy's comparisons reach up to 2^64.
  __extension__ using Wide = __int128;
  if (static_cast<Wide>(now) + skew_seconds < static_cast<Wide>(jwt.not_before)) {
    return {"Jwt not yet valid"};
  }
  if (jwt.expires != 0 && static_cast<Wide>(now) > static_cast<Wide>(jwt.expires) + skew_seconds) {
    return {"Jwt is expired"};
  }
  return {};
}

bool AudienceAllowed(const std::vector<std::string>& configured,
                     const std::vector<std::string>& token) {
  if (configured.empty()) return true;
  return std::any_of(token.begin(), token.end(), [&](const std::string& audience) {
    return std::any_of(configured.begin(), configured.end(), [&](const std::string& allowed) {
      return AudienceCore(allowed) == AudienceCore(audience);
    });
  });
}

std::optional<std::string> DecodeBase64Url(std::string_view text) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;  // of sextets since the last whole group of four
  size_t at = 0;
  for (; at < text.size(); ++at) {
    if (IsBlank(text[at])) continue;
    int sextet = SextetValue(text[at]);
    if (sextet < 0) break;
    bits = bits << 6 | static_cast<uint32_t>(sextet);
    count = (count + 1) % 4;
    if (count != 1) out.push_back(static_cast<char>(bits >> (count == 0 ? 0 : count == 3 ? 2 : 4)));
  }
  int padding = 0;
  for (; at < text.size(); ++at) {
    if (IsBlank(text[at])) continue;
    if (text[at] != '=' && text[at] != '.') return std::nullopt;
    ++padding;
  }
  if (count == 1 || (padding != 0 && padding != (4 - count) % 4)) return std::nullopt;
  return out;
}

}  // namespace meshproof

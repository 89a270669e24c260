// Tokens and key sets of any bytes: nothing crashes, and every answer is one of Envoy's.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/json.h"
#include "crypto/jwt.h"
#include "crypto/struct_json.h"

namespace meshproof {
namespace {

constexpr char kBase64Url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string EncodeBase64Url(std::string_view bytes) {
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : bytes) {
    bits = (bits << 8 | static_cast<unsigned char>(c)) & 0xFFFF;
    for (count += 8; count >= 6; count -= 6) out.push_back(kBase64Url[bits >> (count - 6) & 63]);
  }
  if (count > 0) out.push_back(kBase64Url[bits << (6 - count) & 63]);
  return out;
}

void CheckToken(std::string_view token, const Jwks& keys) {
  ParsedJwt parsed = ParseJwt(token);
  if (!parsed.status.ok()) return;
  MESHPROOF_CHECK(!parsed.jwt.alg.empty());
  MESHPROOF_CHECK(parsed.jwt.payload.is_object());
  CheckTimes(parsed.jwt, 1700000000);
  // No fuzzer signs anything: only an HMAC of a key that it chose itself could verify.
  JwtStatus status = keys.Verify(parsed.jwt);
  MESHPROOF_CHECK(!status.ok() || keys.size() > 0);
}

}  // namespace
}  // namespace meshproof

// The input is a key set, a newline, and a token: as it stands where the line holds a dot, else as
// header, payload and signature in clear, separated by NUL.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace meshproof;
  if (size > 8192) return 0;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t cut = text.find('\n');
  std::string_view token = cut == std::string_view::npos ? text : text.substr(cut + 1);
  Jwks keys = Jwks::Parse(text.substr(0, cut));
  MESHPROOF_CHECK(keys.status().ok() || keys.size() == 0);
  CheckToken(token, keys);

  size_t first = token.find('\0');
  size_t second = first == std::string_view::npos ? first : token.find('\0', first + 1);
  if (second != std::string_view::npos) {
    CheckToken(EncodeBase64Url(token.substr(0, first)) + "." +
                   EncodeBase64Url(token.substr(first + 1, second - first - 1)) + "." +
                   EncodeBase64Url(token.substr(second + 1)),
               keys);
  }
  MESHPROOF_CHECK(DecodeBase64Url(EncodeBase64Url(text)) == std::string(text));
  if (auto json = ParseStructJson(text)) {
    MESHPROOF_CHECK(json->is_object());
    MESHPROOF_CHECK(ParseStructJson(WriteJson(*json)).has_value());
  }
  return 0;
}

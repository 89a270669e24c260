#include "crypto/sign_jwt.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdint>

namespace meshproof {
namespace {

std::string EncodeBase64Url(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) text += kAlphabet[bits >> (count - 6) & 63];
  }
  if (count > 0) text += kAlphabet[bits << (6 - count) & 63];
  return text;
}

}  // namespace

std::string SignJwt(std::string_view claims, std::string_view secret) {
  std::string text =
      EncodeBase64Url(R"({"alg":"HS256","typ":"JWT"})") + "." + EncodeBase64Url(claims);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &length);
  return text + "." + EncodeBase64Url({reinterpret_cast<const char*>(digest), length});
}

std::string HmacKeySet(std::string_view secret) {
  return R"({"keys":[{"kty":"oct","alg":"HS256","k":")" + EncodeBase64Url(secret) + R"("}]})";
}

}  // namespace meshproof

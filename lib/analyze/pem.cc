#include "analyze/pem.h"

#include <cstdint>

#include "crypto/base64.h"

namespace meshproof {
namespace {

// A DER sequence that is as long as it says.
bool IsDerSequence(std::string_view der) {
  constexpr unsigned kSequence = 0x30;
  constexpr unsigned kLong = 0x80;
  if (der.size() < 2 || static_cast<unsigned char>(der[0]) != kSequence) return false;
  unsigned first = static_cast<unsigned char>(der[1]);
  if (first < kLong) return der.size() == 2 + first;
  size_t count = first - kLong;
  if (count == 0 || count > 4 || der.size() < 2 + count) return false;
  size_t length = 0;
  for (size_t i = 0; i < count; ++i) length = length * 256 + static_cast<unsigned char>(der[2 + i]);
  return der.size() == 2 + count + length;
}

}  // namespace

std::string PemProblem(std::string_view text, std::string_view label) {
  constexpr std::string_view kBegin = "-----BEGIN ";
  constexpr std::string_view kDashes = "-----";
  size_t at = 0;
  while ((at = text.find(kBegin, at)) != std::string_view::npos) {
    size_t name = at + kBegin.size();
    size_t name_end = text.find(kDashes, name);
    if (name_end == std::string_view::npos) break;
    std::string_view found = text.substr(name, name_end - name);
    size_t body = name_end + kDashes.size();
    at = body;
    if (!found.ends_with(label)) continue;
    std::string end = "-----END " + std::string(found) + "-----";
    size_t body_end = text.find(end, body);
    if (body_end == std::string_view::npos) return "its PEM block is cut off";
    std::string_view inner = text.substr(body, body_end - body);
    if (inner.find(':') != std::string_view::npos) return {};  // headers: an encrypted key
    auto der = DecodeBase64(inner);
    if (!der) return "its PEM block is no base64";
    return IsDerSequence(*der) ? "" : "its PEM block holds no ASN.1 structure";
  }
  return "it holds no PEM block `" + std::string(label) + "`";
}

}  // namespace meshproof

// Addresses and blocks as istiod validates them and Envoy compares them: a block never holds an
// address of the other family, and an IPv4-mapped IPv6 address is IPv6 (envoy-facts section 1.2).
#include "match/ip.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/text.h"

namespace meshproof {
namespace {

int Bits(const IpAddress& address) {
  return address.v6 ? 128 : 32;
}

bool SameLeadingBits(const IpAddress& a, const IpAddress& b, int count) {
  auto whole = static_cast<size_t>(count / 8);
  if (!std::equal(a.bytes.begin(), a.bytes.begin() + whole, b.bytes.begin())) return false;
  int rest = count % 8;
  return rest == 0 || (a.bytes[whole] ^ b.bytes[whole]) >> (8 - rest) == 0;
}

void ClearHostBits(IpAddress* address, int length) {
  for (int bit = length; bit < 128;) {
    auto byte = static_cast<size_t>(bit / 8);
    int kept = bit % 8;
    address->bytes[byte] = static_cast<uint8_t>(address->bytes[byte] & (0xFF00U >> kept));
    bit += 8 - kept;
  }
}

}  // namespace

std::optional<IpAddress> ParseIpAddress(std::string_view text) {
  // The longest text of an address is 45 bytes; inet_pton would stop at a NUL.
  if (text.empty() || text.size() > 45 || text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  IpAddress address;
  address.v6 = text.find(':') != std::string_view::npos;
  if (inet_pton(address.v6 ? AF_INET6 : AF_INET, std::string(text).c_str(), address.bytes.data()) !=
      1) {
    return std::nullopt;
  }
  return address;
}

std::string ToString(const IpAddress& address) {
  char buffer[INET6_ADDRSTRLEN] = "";
  inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), buffer, sizeof buffer);
  return buffer;
}

bool CidrRange::Contains(const IpAddress& other) const {
  return address.v6 == other.v6 && SameLeadingBits(address, other, length);
}

bool CidrRange::Contains(const CidrRange& other) const {
  return length <= other.length && Contains(other.address);
}

bool CidrRange::Overlaps(const CidrRange& other) const {
  return Contains(other) || other.Contains(*this);
}

std::optional<CidrRange> ParseCidr(std::string_view text) {
  size_t slash = text.find('/');
  auto address = ParseIpAddress(text.substr(0, slash));
  if (!address) return std::nullopt;
  CidrRange range{*address, Bits(*address)};
  if (slash == std::string_view::npos) return range;
  std::string_view digits = text.substr(slash + 1);
  auto length = ParseUnsigned(digits);
  bool leading_zero = digits.size() > 1 && digits[0] == '0';
  if (!length || leading_zero || *length > static_cast<unsigned long>(range.length)) {
    return std::nullopt;
  }
  range.length = static_cast<int>(*length);
  ClearHostBits(&range.address, range.length);
  return range;
}

std::string ToString(const CidrRange& range) {
  return ToString(range.address) + "/" + std::to_string(range.length);
}

}  // namespace meshproof

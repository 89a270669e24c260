#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace meshproof {

// An IPv4 or IPv6 address. An IPv4-mapped IPv6 address is IPv6, as for Envoy.
struct IpAddress {
  bool v6 = false;
  std::array<uint8_t, 16> bytes{};  // network order; IPv4 in the first four

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

// Bare addresses only: no port, brackets, zone, blanks or leading zeros in IPv4 (Go's
// netip.ParseAddr and Envoy agree on these).
std::optional<IpAddress> ParseIpAddress(std::string_view text);
std::string ToString(const IpAddress& address);

// A block with its host bits cleared.
struct CidrRange {
  IpAddress address;
  int length = 0;  // 0..32 or 0..128

  bool Contains(const IpAddress& other) const;  // never across families
  bool Contains(const CidrRange& other) const;  // `other` lies wholly in this
  bool Overlaps(const CidrRange& other) const;
  friend bool operator==(const CidrRange&, const CidrRange&) = default;
};

// `10.0.0.0/8`, `10.1.2.3/8` (host bits are cleared), or a single address (/32, /128).
std::optional<CidrRange> ParseCidr(std::string_view text);
std::string ToString(const CidrRange& range);

}  // namespace meshproof

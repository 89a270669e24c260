#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "match/ip.h"

namespace meshproof {

struct MeshService;

// An address that is known exactly, only as a range (a pod whose address nobody states), or not at
// all. A rule whose block cuts the range is undetermined.
struct Address {
  std::variant<std::monostate, IpAddress, CidrRange> value;
  bool known() const { return std::holds_alternative<IpAddress>(value); }
};
std::string ToString(
    const Address& address);  // "10.0.0.1", "an address in 10.244.0.0/16", "unknown"

// What a client certificate shows. Empty lists: no such name.
struct Certificate {
  bool trusted = true;  // signed by the mesh's root
  std::vector<std::string> uri_sans;
  std::vector<std::string> dns_sans;
  std::string subject;
};

enum class WireTls { kPlaintext, kTls };

// A connection as it reaches a proxy.
struct Connection {
  Address source;
  Address destination;
  uint32_t destination_port = 0;
  WireTls tls = WireTls::kPlaintext;
  std::optional<Certificate> certificate;  // what the client has to show, if asked
  std::string sni;
  std::vector<std::string> alpn;
  // It arrives through an HBONE tunnel, whose ends have shown each other their certificates:
  // `certificate` is the client's there, the rest is what the tunnel carries.
  bool hbone = false;
  // At a waypoint: the Service that is addressed; null where it is a pod.
  const MeshService* service = nullptr;
};

enum class WireProtocol { kHttp1, kHttp10, kHttp2, kGrpc, kTcp };

enum class ExtAuthzAnswer { kAllow, kDeny, kError };

// The request as the client sends it; bytes, not decoded.
struct ProxyRequest {
  Connection connection;
  WireProtocol protocol = WireProtocol::kHttp1;
  std::string method = "GET";
  std::string path = "/";
  std::optional<std::string> authority;                      // absent: no Host header
  std::vector<std::pair<std::string, std::string>> headers;  // in order, names as sent
  // A token taken as valid with these claims (meshtest `claims`); beside it no token is looked for.
  std::optional<Json> claims;
  std::optional<ExtAuthzAnswer> ext_authz;  // of every authorizer, or
  std::map<std::string, ExtAuthzAnswer> ext_authz_by_provider;
  int64_t now = 0;  // seconds since the epoch
  // What the last entry of the x-forwarded-for header stands for, where a proxy before this one
  // appended an address that is not known exactly.
  std::optional<Address> forwarded_for;
  // Names, in lower case, of headers that such a proxy made and whose value is not known; of an
  // address that they end in `headers` has the known beginning.
  std::vector<std::string> opaque_headers;
};

}  // namespace meshproof

// Which protocol istiod takes a port to speak (istio-semantics section 6): `appProtocol`, else the
// port's name up to the first dash, else TCP for a few well-known numbers, else sniffed.
#include "base/text.h"
#include "mesh/mesh.h"

namespace meshproof {
namespace {

struct NamedProtocol {
  std::string_view name;
  Protocol protocol;
};

constexpr NamedProtocol kNames[] = {
    {"tcp", Protocol::kTcp},     {"udp", Protocol::kUdp},         {"grpc", Protocol::kGrpc},
    {"http", Protocol::kHttp},   {"http_proxy", Protocol::kHttp}, {"http2", Protocol::kHttp2},
    {"https", Protocol::kHttps}, {"tls", Protocol::kTls},         {"mongo", Protocol::kTcp},
    {"redis", Protocol::kTcp},   {"mysql", Protocol::kTcp},       {"grpc-web", Protocol::kGrpc},
};

bool IsWellKnownTcpPort(int port) {
  return port == 25 || port == 53 || port == 3306 || port == 27017;
}

}  // namespace

bool IsHttp(Protocol protocol) {
  return protocol == Protocol::kHttp || protocol == Protocol::kHttp2 || protocol == Protocol::kGrpc;
}

std::string_view ToString(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp:
      return "http";
    case Protocol::kHttp2:
      return "http2";
    case Protocol::kGrpc:
      return "grpc";
    case Protocol::kTcp:
      return "tcp";
    case Protocol::kTls:
      return "tls";
    case Protocol::kHttps:
      return "https";
    case Protocol::kUdp:
      return "udp";
    case Protocol::kAuto:
      return "auto";
  }
  return "auto";
}

Protocol ParseProtocol(std::string_view name) {
  for (const NamedProtocol& known : kNames) {
    if (EqualsIgnoreCase(name, known.name)) return known.protocol;
  }
  return Protocol::kAuto;
}

Protocol SelectProtocol(int service_port, PortProtocol transport, std::string_view name,
                        const std::optional<std::string_view>& app_protocol) {
  if (transport == PortProtocol::kUdp) return Protocol::kUdp;
  if (app_protocol) {
    name = *app_protocol;
    if (name == "kubernetes.io/h2c") return Protocol::kHttp2;
    if (name == "kubernetes.io/ws") return Protocol::kHttp;
    if (name == "kubernetes.io/wss") return Protocol::kHttps;
  }
  if (StartsWithIgnoreCase(name, "grpc-web")) return Protocol::kGrpc;
  Protocol protocol = ParseProtocol(name.substr(0, name.find('-')));
  if (protocol == Protocol::kAuto && IsWellKnownTcpPort(service_port)) return Protocol::kTcp;
  return protocol;
}

std::vector<std::string> MeshAlpn(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp2:
    case Protocol::kGrpc:
      return {"istio-h2", "istio", "h2"};
    case Protocol::kTcp:
    case Protocol::kTls:
    case Protocol::kHttps:
    case Protocol::kUdp:
      return {"istio-peer-exchange", "istio"};
    case Protocol::kHttp:
    case Protocol::kAuto:
      break;
  }
  return {"istio-http/1.1", "istio", "http/1.1"};
}

}  // namespace meshproof

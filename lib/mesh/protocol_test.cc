#include <doctest/doctest.h>

#include "mesh/mesh.h"

namespace meshproof::protocol_test {
namespace {

TEST_CASE("protocol selection") {
  struct Case {
    int port;
    PortProtocol transport;
    std::string_view name;
    std::optional<std::string_view> app_protocol;
    Protocol expected;
  };
  const auto tcp = PortProtocol::kTcp;
  const auto udp = PortProtocol::kUdp;
  const std::optional<std::string_view> none;
  const Case cases[] = {
      {80, tcp, "", none, Protocol::kAuto},
      {80, tcp, "http", none, Protocol::kHttp},
      {80, tcp, "http-web", none, Protocol::kHttp},
      {80, tcp, "HTTP-web", none, Protocol::kHttp},
      {80, tcp, "httpweb", none, Protocol::kAuto},
      {80, tcp, "web-http", none, Protocol::kAuto},
      {80, tcp, "http2", none, Protocol::kHttp2},
      {80, tcp, "http_proxy", none, Protocol::kHttp},
      {80, tcp, "grpc", none, Protocol::kGrpc},
      {80, tcp, "grpc-web", none, Protocol::kGrpc},
      {80, tcp, "grpc-webby", none, Protocol::kGrpc},
      {80, tcp, "GRPC-Web-x", none, Protocol::kGrpc},
      {443, tcp, "https", none, Protocol::kHttps},
      {443, tcp, "tls-x", none, Protocol::kTls},
      {80, tcp, "tcp-raw", none, Protocol::kTcp},
      {80, tcp, "mongo", none, Protocol::kTcp},
      {80, tcp, "redis", none, Protocol::kTcp},
      {80, tcp, "mysql", none, Protocol::kTcp},
      {80, tcp, "udp", none, Protocol::kUdp},
      {80, udp, "http", none, Protocol::kUdp},
      {80, udp, "", "http", Protocol::kUdp},
      {80, tcp, "tcp", "http", Protocol::kHttp},
      {80, tcp, "http", "tcp", Protocol::kTcp},
      {80, tcp, "http", "", Protocol::kAuto},
      {80, tcp, "http", "example.com/custom", Protocol::kAuto},
      {80, tcp, "", "kubernetes.io/h2c", Protocol::kHttp2},
      {80, tcp, "", "kubernetes.io/ws", Protocol::kHttp},
      {80, tcp, "", "kubernetes.io/wss", Protocol::kHttps},
      {80, tcp, "", "HTTP2", Protocol::kHttp2},
      {80, tcp, "kubernetes.io/h2c", none, Protocol::kAuto},
      {25, tcp, "", none, Protocol::kTcp},
      {53, tcp, "dns", none, Protocol::kTcp},
      {3306, tcp, "db", none, Protocol::kTcp},
      {27017, tcp, "", "custom", Protocol::kTcp},
      {3306, tcp, "http", none, Protocol::kHttp},
      {8080, tcp, "3306", none, Protocol::kAuto},
  };
  for (const Case& c : cases) {
    CAPTURE(c.port);
    CAPTURE(c.name);
    CHECK(ToString(SelectProtocol(c.port, c.transport, c.name, c.app_protocol)) ==
          ToString(c.expected));
  }
}

TEST_CASE("mesh ALPN by protocol") {
  CHECK(MeshAlpn(Protocol::kHttp) ==
        std::vector<std::string>{"istio-http/1.1", "istio", "http/1.1"});
  CHECK(MeshAlpn(Protocol::kAuto) == MeshAlpn(Protocol::kHttp));
  CHECK(MeshAlpn(Protocol::kHttp2) == std::vector<std::string>{"istio-h2", "istio", "h2"});
  CHECK(MeshAlpn(Protocol::kGrpc) == MeshAlpn(Protocol::kHttp2));
  CHECK(MeshAlpn(Protocol::kTcp) == std::vector<std::string>{"istio-peer-exchange", "istio"});
  CHECK(MeshAlpn(Protocol::kHttps) == MeshAlpn(Protocol::kTcp));
}

}  // namespace
}  // namespace meshproof::protocol_test

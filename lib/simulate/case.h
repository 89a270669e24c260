#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "mesh/mesh.h"
#include "proxy/compile.h"
#include "simulate/simulate.h"
#include "simulate/verdict.h"

namespace meshproof {

class ZtunnelConfig;

enum class CaseTls { kAuto, kMtls, kPlaintext };

// One request in the terms of a mesh: a meshtest case (PRODUCT.md, `test`) or a `can` command line.
struct Case {
  std::string name;
  Span span;
  // from
  std::string from_workload;  // "ns/name" or ""
  bool from_outside = false;
  std::optional<std::string> from_identity;
  std::optional<IpAddress> from_ip;
  CaseTls tls = CaseTls::kAuto;
  // to
  std::string to_workload;  // "ns/name" or ""
  std::string to_host;
  int to_port = 0;  // 0 = not given
  std::optional<IpAddress> to_ip;
  WireProtocol protocol = WireProtocol::kHttp1;
  std::optional<std::string> method;  // GET; gRPC: POST
  std::string path = "/";
  std::optional<std::string> host;  // the authority
  std::vector<std::pair<std::string, std::string>> headers;
  std::optional<std::string> sni;
  struct Token {
    std::string text;                   // the token itself, already read from its file
    std::string header, param, cookie;  // exactly one, or none: Authorization: Bearer
    std::optional<std::string> prefix;  // absent with `header` = none
  };
  std::vector<Token> tokens;
  std::optional<Json> claims;
  std::optional<ExtAuthzAnswer> ext_authz;
  std::map<std::string, ExtAuthzAnswer> ext_authz_by_provider;
  std::optional<int64_t> now;
  bool follow = false;
};

// What dumps tell of a mesh: it counts in place of what istiod would push.
struct DumpedMesh {
  // To the workload of that namespace and name. Of replicas the first one counts.
  std::vector<std::shared_ptr<const ProxyConfig>> proxies;
  std::shared_ptr<const ZtunnelConfig> ztunnel;  // may be null
  // Workloads at which nobody knows who lets in what, with what would have to be known.
  std::unordered_map<const Workload*, std::string> unknown;
};

// A mesh made ready for questions: each proxy is compiled and indexed when it is first asked.
// Thread-safe.
class World {
 public:
  // `dumped`: configurations that proxies were found to run (DumpedMesh::proxies).
  explicit World(std::shared_ptr<const Mesh> mesh,
                 const std::vector<std::shared_ptr<const ProxyConfig>>& dumped = {});
  World(std::shared_ptr<const Mesh> mesh, DumpedMesh dumped);
  ~World();

  const Mesh& mesh() const;
  // Of a workload with a sidecar, a gateway or a waypoint.
  const ProxySimulator& Proxy(const Workload& workload) const;
  const ZtunnelConfig& Ztunnel() const;
  // What would have to be known to say what this workload lets in; "" where it is known.
  const std::string& Unknown(const Workload& workload) const;

  // Whether addresses that nobody states are taken from the mesh's ranges (`test`) or are unknown
  // (`can`). An error: the case names something that is not in the input, or asks the impossible.
  enum class Addresses { kAssume, kUnknown };
  Result<Verdict> Run(const Case& question, Addresses addresses, Detail detail) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace meshproof

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "mesh/mesh.h"
#include "report/ambient.h"
#include "report/style.h"

// What `describe` says of one workload, and its formats.
namespace meshproof {

struct Description {
  const Workload* workload = nullptr;

  struct Port {
    int port = 0;
    std::string protocol;
    EffectiveMode mtls;
    const MeshService* service = nullptr;
    int service_port = 0;
    const Gateway* gateway = nullptr;  // a gateway's listener
  };
  std::vector<Port> ports;
  EffectiveMode other_ports;  // those that nothing declares

  struct Issuer {
    std::string issuer;
    const RequestAuthentication* policy = nullptr;
    Span span;
  };
  std::vector<Issuer> jwt;

  // In the order in which the proxy evaluates them.
  struct Policy {
    std::string_view stage;  // custom, audit, deny, allow
    const AuthorizationPolicy* policy = nullptr;
  };
  std::vector<Policy> policies;

  struct Route {
    const Gateway* gateway = nullptr;  // null: sidecars (`mesh`)
    const VirtualService* virtual_service = nullptr;
    std::string text;  // "hosts shop.example.com, uri prefix /api/orders"
    std::string destination;
    Span span;
  };
  std::vector<Route> routes;

  std::vector<std::string> unprotected;
  std::string known_from;  // the dumps, where no manifest speaks of the workload
  bool identity_known = true;

  std::shared_ptr<const ZtunnelConfig> ztunnel;  // set in an ambient mesh
  std::optional<AmbientDescription> ambient;
};

// `dumped`: what ztunnels were sent by their dumps; null: what istiod sends by the manifests.
Description Describe(const Mesh& mesh, const Workload& workload,
                     std::shared_ptr<const ZtunnelConfig> dumped = nullptr);

Json DescriptionJson(const Description& description);
std::string DescriptionText(const Description& description, const Style& style = {});

std::string_view ToString(MtlsMode mode);

}  // namespace meshproof

#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "match/ip.h"
#include "source/node.h"

// Objects that stand for what dumps say of a mesh.
namespace meshproof {

// What manifests name, as far as a dump could name it too.
struct KnownObjects {
  std::set<std::string> workloads, pods, services, gateways;  // "ns/name", "/name" without one
  std::set<std::string> hosts;                                // of ServiceEntries
  bool mesh_config = false;

  void Note(const Node& node);  // a document, or a list of objects
  bool HasService(const std::string& ns, const std::string& name, const std::string& host) const;
  bool HasGateway(const std::string& ns, const std::string& name) const;
};

inline constexpr std::string_view kGatewayNameLabel = "gateway.networking.k8s.io/gateway-name";

Json MadeList(Json element);
Json MadeMetadata(const std::string& ns, const std::string& name, Json labels);
Json MadeObject(const char* api_version, const char* kind, Json metadata);
// A Gateway of waypoints, for Services and pods of every namespace.
Json MadeWaypoint(const std::string& ns, const std::string& name);
Json MadeMeshConfig(const std::string& trust_domain);

// A Service, or for a host that is none of Kubernetes' a ServiceEntry, with the pods of these
// labels.
struct MadeService {
  std::string ns, name, host;
  std::vector<IpAddress> addresses;         // none: headless
  std::vector<std::pair<int, Json>> ports;  // with the targetPort
  Json labels, selector;
};
bool IsKubernetesHost(const std::string& host, const std::string& ns, const std::string& name);
Json MadeServiceObject(MadeService service);

}  // namespace meshproof

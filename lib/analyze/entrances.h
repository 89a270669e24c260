#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/rule.h"
#include "proxy/config.h"

// Ways from outside the cluster through a gateway of the mesh to its workloads, as the gateway's
// configuration has them.
namespace meshproof {

// A Service whose load balancer the cloud keeps inside its network.
bool IsInternalLoadBalancer(const Service& service);

enum class Facing { kInternet, kUnknown, kInside };
// Whether people outside reach a gateway: a Service of type LoadBalancer or NodePort, external
// addresses, the node's network. kUnknown: the input holds no Service of it.
Facing FacingOf(const Analysis& analysis, const Workload& gateway);

struct Entrance {  // one route to one Service
  const Workload* gateway = nullptr;
  int port = 0;  // that the proxy listens on
  const Listener* listener = nullptr;
  const FilterChain* chain = nullptr;
  const RouteConfiguration* routes = nullptr;
  const VirtualHost* host = nullptr;
  const Route* route = nullptr;
  const MeshService* service = nullptr;
  int service_port = 0;
  std::string authority;  // a host name that gets there
  Facing facing = Facing::kUnknown;
};

// Of the gateways that face the internet or may (with `inside` of all); in the order of workloads,
// listeners and routes.
std::vector<Entrance> FindEntrances(const Analysis& analysis, bool inside = false);

// A request of somebody outside, with neither certificate nor token, to the end of the way; no
// external authorizer lets it through.
Case RequestTo(const Entrance& entrance, std::string path, std::string method = "GET");

// A request that takes this route and no earlier one; nothing where none does or none is found.
std::optional<Case> RequestOf(const Entrance& entrance);

// "gateway edge/gw (port 8443, host shop.example.com)".
std::string Describe(const Entrance& entrance);

}  // namespace meshproof

#pragma once

#include <string>
#include <vector>

#include "mesh/mesh.h"
#include "proxy/config.h"

namespace meshproof {

// One HTTP(S) server of a gateway whose routes go into a route configuration.
struct RoutedServer {
  const Gateway* gateway = nullptr;
  const GatewayServer* server = nullptr;
  std::vector<std::string> hosts;  // NormalizeServerHosts
};

// The route configuration of a gateway's servers from the VirtualServices bound to them.
RouteConfiguration BuildGatewayRoutes(const Mesh& mesh, const Workload& workload, std::string name,
                                      const std::vector<RoutedServer>& servers);

}  // namespace meshproof

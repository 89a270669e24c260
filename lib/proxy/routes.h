#pragma once

#include <memory>
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

// The routes of a waypoint's chain for one Service port: those of VirtualServices and routes of the
// Gateway API that apply to the Service, else everything goes to the Service itself.
std::shared_ptr<const RouteConfiguration> BuildWaypointRoutes(const Mesh& mesh,
                                                              const Workload& workload,
                                                              const MeshService& service,
                                                              const MeshServicePort& port);

// What one match of a route becomes, as istiod translates it; the gateways, ports and clients that
// it is meant for are not part of it.
RouteMatch TranslateRouteMatch(const HttpMatch& match);

}  // namespace meshproof

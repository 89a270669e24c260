#pragma once

#include "base/json.h"
#include "proxy/config.h"

namespace meshproof {

Json EmitRouteMatch(const RouteMatch& match);
Json EmitRoutes(const RouteConfiguration& routes);
// envoy.config.route.v3.WeightedCluster's and TcpProxy's list.
Json EmitWeightedClusters(const std::vector<WeightedCluster>& clusters);

}  // namespace meshproof

#pragma once

#include <string>

#include "mesh/mesh.h"
#include "proxy/config.h"
#include "proxy/filter_builder.h"

namespace meshproof {

// The listener of a waypoint where tunnels have ended: chains for each port of each Service that it
// serves, and two for pods that are addressed directly (istio-semantics sections 1.1, 6 and 7.3).
Listener BuildWaypoint(const Mesh& mesh, const Workload& workload, const FilterBuilder& filters);

// "inbound-vip|80|http|web.shop.svc.cluster.local": what a Service's chain forwards to.
std::string VipCluster(int port, bool http, std::string_view subset, std::string_view host);

}  // namespace meshproof

#pragma once

#include "mesh/mesh.h"
#include "proxy/config.h"
#include "proxy/filter_builder.h"

namespace meshproof {

// Listeners and route configurations of a gateway workload, from the Gateways that select it.
void BuildGateway(const Mesh& mesh, const Workload& workload, const FilterBuilder& filters,
                  ProxyConfig* proxy);

}  // namespace meshproof

#pragma once

#include <string>
#include <string_view>

#include "mesh/mesh.h"
#include "proxy/config.h"

// Names of clusters as istiod builds them, and which of them exist.
namespace meshproof {

// A host as an Istio object writes it: one without a dot (and star) is a Service of `ns`.
std::string QualifyHost(std::string_view host, std::string_view ns, const MeshConfig& config);

// "outbound|<port>|<subset>|<host>" of a route's destination; `listener_port` where neither the
// destination nor the Service says which port.
std::string DestinationCluster(const Mesh& mesh, const Destination& destination,
                               std::string_view ns, int listener_port);

// Whether istiod pushes this cluster to the proxy: inbound ones always, outbound ones where the
// Service has the port and a DestinationRule the subset.
bool ClusterExists(const Mesh& mesh, const Workload& workload, std::string_view name);

// Sets `clusters` to the existing ones among all that listeners and routes name, sorted.
void ListClusters(const Mesh& mesh, const Workload& workload, ProxyConfig* proxy);

}  // namespace meshproof

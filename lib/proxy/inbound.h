#pragma once

#include "mesh/mesh.h"
#include "proxy/config.h"
#include "proxy/filter_builder.h"

namespace meshproof {

// A sidecar's listener `virtualInbound` (istio-semantics section 4).
Listener BuildVirtualInbound(const Mesh& mesh, const Workload& workload,
                             const FilterBuilder& filters);

// meshConfig.pathNormalization (section 6).
PathOptions PathOptionsOf(const MeshConfig& config);
// "TLSv1_3" where meshMTLS asks for it, else "".
std::string MinTlsVersion(const MeshConfig& config);

// Where HBONE tunnels to a sidecar end: the same policies, with identities from filter state, no
// TLS and so nothing of PeerAuthentication (istio-semantics section 7.3).
Listener BuildTunnelInbound(const Mesh& mesh, const Workload& workload,
                            const FilterBuilder& filters);

}  // namespace meshproof

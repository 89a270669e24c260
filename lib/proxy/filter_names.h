#pragma once

#include <string_view>

// Names by which Envoy and Istio know a filter or a piece of filter state.
namespace meshproof {

inline constexpr std::string_view kNetworkRbac = "envoy.filters.network.rbac";
// The identity of the peer behind a tunnel: what the connect originator's filter leaves.
inline constexpr std::string_view kPeerPrincipal = "io.istio.peer_principal";

}  // namespace meshproof

#pragma once

#include <string_view>

// The labels and annotations by which Istio and the Gateway API say what an object is for, and
// their API groups.
namespace meshproof {

inline constexpr std::string_view kRevisionLabel = "istio.io/rev";
inline constexpr std::string_view kDataplaneModeLabel = "istio.io/dataplane-mode";
inline constexpr std::string_view kUseWaypointLabel = "istio.io/use-waypoint";
inline constexpr std::string_view kUseWaypointNamespaceLabel = "istio.io/use-waypoint-namespace";
inline constexpr std::string_view kGatewayNameLabel = "gateway.networking.k8s.io/gateway-name";
inline constexpr std::string_view kGatewayApiGroup = "gateway.networking.k8s.io";

}  // namespace meshproof

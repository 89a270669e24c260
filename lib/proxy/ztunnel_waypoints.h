#pragma once

#include <string>
#include <vector>

#include "mesh/mesh.h"
#include "proxy/dump.h"

namespace meshproof {

// A Service or workload of the manifests that a ztunnel sends through another waypoint than they
// say. Where a dump names a waypoint that it does not hold, nothing is said.
struct WaypointDifference {
  std::string what;                    // "Service shop/web", "pod shop/web-1"
  std::string dumped, manifests;       // "ns/name" of the waypoint; "" = none
  const ObjectMeta* object = nullptr;  // of the manifests
  Span span;                           // in the dump
};
// In the order of the dump, Services first.
std::vector<WaypointDifference> CompareWaypoints(const Mesh& mesh, const ZtunnelDump& dump);

}  // namespace meshproof

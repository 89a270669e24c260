#pragma once

#include <string>

#include "mesh/mesh.h"

namespace meshproof {

// "namespace/name", as commands take it and verdicts show it.
inline std::string NameOf(const Workload& workload) {
  return workload.ns + "/" + workload.name;
}
// That of its Gateway.
inline std::string NameOf(const Waypoint& waypoint) {
  return waypoint.gateway->meta.ns + "/" + std::string(waypoint.gateway->meta.name);
}

}  // namespace meshproof

#pragma once

#include <string>
#include <vector>

#include "proxy/dump.h"
#include "proxy/made_objects.h"

namespace meshproof {

// The Services that waypoints' dumps name, without pods behind them, and the Gateways, as JSON
// documents, one a line. What is known already is left out.
std::string ObjectsOfWaypoints(const std::vector<DumpedWaypoint>& waypoints,
                               const KnownObjects& known);

}  // namespace meshproof

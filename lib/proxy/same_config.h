#pragma once

#include "proxy/config.h"

namespace meshproof {

// Whether two configurations decide alike because they say the same, wherever in the input it was
// said: all that `EmitProxy` writes is equal. False for waypoints, whose listeners lead to objects
// of a mesh.
bool SameConfig(const ProxyConfig& a, const ProxyConfig& b);

}  // namespace meshproof

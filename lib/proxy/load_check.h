#pragma once

#include "proxy/config.h"

namespace meshproof {

// Why Envoy would refuse which listener of this proxy; what it refuses it does not serve.
std::vector<LoadFailure> FindLoadFailures(const ProxyConfig& proxy);

}  // namespace meshproof

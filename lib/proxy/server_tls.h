#pragma once

#include "model/model.h"
#include "proxy/config.h"

namespace meshproof {

// The TLS context of a Gateway server or a Sidecar ingress listener that terminates TLS. `tcp`:
// what comes out is no HTTP.
TlsContext ServerTlsContext(const TlsSettings& settings, bool tcp);

}  // namespace meshproof

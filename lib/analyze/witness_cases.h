#pragma once

#include <optional>

#include "analyze/rule.h"

// Requests that show what a finding says, for AttachWitness.
namespace meshproof {

// A plaintext request from outside the mesh straight to a port of the workload; the protocol is
// what the port speaks.
Case PlaintextCase(const Workload& target, int port, Protocol protocol);

// A request of another workload of the mesh with its own proxy and identity; nothing where none has
// a sidecar.
std::optional<Case> MeshCase(const Analysis& analysis, const Workload& target, int port,
                             Protocol protocol);

// The first declared inbound port; nothing where none is.
std::optional<InboundPort> FirstPort(const Analysis& analysis, const Workload& workload);

}  // namespace meshproof

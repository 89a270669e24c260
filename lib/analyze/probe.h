#pragma once

#include <optional>

#include "analyze/rule.h"

// Requests of somebody who has neither an identity of the mesh nor a token, made to fit what the
// ALLOW rules of a workload ask of the request itself.
namespace meshproof {

struct Probe {
  std::optional<Case> passed;  // the first that the simulator lets through
  bool undetermined = false;   // none passed, and of one the verdict depends on what is not known
};

// Asks in plaintext, from outside the mesh, at a port that the pod listens on.
Probe ProbeFromOutside(const Analysis& analysis, const Workload& workload, int port);

// The protocol of that port as the workload's Services declare it.
WireProtocol ProbeProtocol(const Mesh& mesh, const Workload& workload, int port);

}  // namespace meshproof

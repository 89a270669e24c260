#pragma once

#include "mesh/mesh.h"

namespace meshproof {

// Most rules ask for other callers than their neighbours and ask nothing twice: a request made of
// the values that are written shows that they are alive, and no diagram is needed. True only where
// every enforced rule of the policies decides some HTTP request to one of the declared ports of a
// sidecar alone; false says nothing.
bool AllPlainlyAlive(const PolicySet& policies, const std::vector<InboundPort>& declared,
                     const EffectiveMtls& mtls);

}  // namespace meshproof

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analyze/drift_comparison.h"
#include "simulate/request.h"
#include "simulate/verdict.h"

// Requests that are asked of the proxy and of what the manifests compile into.
namespace meshproof {

std::string VerdictText(const Verdict& verdict);
std::string RequestText(const ProxyRequest& request);

// Who is let in at all is not the filters' doing.
bool EndsBeforeRules(const Verdict& verdict);

// Requests on the chain's port, as the mesh's workloads and strangers send them.
std::vector<ProxyRequest> SeedRequests(const DriftComparison& comparison, const ChainPair& pair);

// The request in the terms of the mesh, as `can --dump` takes it, where that gives the verdict
// that the dump gave.
std::optional<Witness> WitnessOf(const DriftComparison& comparison, const ProxyRequest& request,
                                 Outcome seen);

}  // namespace meshproof

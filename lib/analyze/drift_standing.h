#pragma once

#include <string>
#include <vector>

#include "analyze/drift.h"

// What a dump shows of itself, with or without manifests.
namespace meshproof {

// "ns/pod" of a dump; its file where it does not say whose it is.
std::string WhoOf(const ProxyDump& dump);

// MP0906: key sets that istiod made up.
void FindPlaceholders(const DriftInput& input, size_t index, std::vector<DriftDifference>* out);

// MP0907: who may reach the admin port, what Envoy refused, what is older than the manifests.
void FindStanding(const DriftInput& input, size_t index, std::vector<DriftDifference>* out);

}  // namespace meshproof

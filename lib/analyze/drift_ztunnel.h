#pragma once

#include <vector>

#include "analyze/drift.h"

namespace meshproof {

// What one ztunnel has other than istiod sends by the manifests: policies (MP0901, MP0902), how
// pods are reached (MP0903), waypoints (MP0904), accounts and certificates (MP0905). `index` counts
// Dumps::ztunnels.
void FindZtunnelDrift(const DriftInput& input, size_t index, std::vector<DriftDifference>* out);

}  // namespace meshproof

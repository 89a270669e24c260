#pragma once

#include <string_view>
#include <vector>

#include "analyze/drift.h"

namespace meshproof {

// Whether a key set is one that istiod makes up where it cannot fetch the real one: no key at all,
// or an RSA key whose modulus is text (the URI) instead of a number.
bool IsPlaceholderKeySet(std::string_view jwks);

// MP0905 of one dump: the workload's certificate is expired, close to it, or another's. `workload`
// may be null.
void FindCertificateDrift(const DriftInput& input, size_t index, const Workload* workload,
                          std::vector<DriftDifference>* out);
// MP0905 among dumps: root sets that differ.
// Certificates that a ztunnel holds for its pods.
void FindZtunnelCertificateDrift(const DriftInput& input, size_t index,
                                 std::vector<DriftDifference>* out);

void FindRootDrift(const DriftInput& input, std::vector<DriftDifference>* out);

}  // namespace meshproof

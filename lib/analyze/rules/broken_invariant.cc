// Invariants are written beside the mesh and asked by `prove`, which reports this rule.
#include "analyze/rule.h"

namespace meshproof {

void CheckBrokenInvariant(const Analysis&, Reporter&) {}

}  // namespace meshproof

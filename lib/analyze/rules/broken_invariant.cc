// Invariants are written beside the mesh and asked by `prove`, which reports this rule.
#include "analyze/rule.h"

namespace meshproof::broken_invariant {

void Check(const Analysis&, Reporter&) {}

}  // namespace meshproof::broken_invariant

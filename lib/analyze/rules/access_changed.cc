// A change is between two inputs: `diff` asks, and reports this rule.
#include "analyze/rule.h"

namespace meshproof::access_changed {

void Check(const Analysis&, Reporter&) {}

}  // namespace meshproof::access_changed

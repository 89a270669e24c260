#include "analyze/rule.h"

namespace meshproof::useless_suppression {

// Whether a suppression hides anything is known only when all other rules have reported, so the
// driver itself finds these (driver.cc, ReportSuppressions) and there is nothing to do here.
void Check(const Analysis&, Reporter&) {}

}  // namespace meshproof::useless_suppression

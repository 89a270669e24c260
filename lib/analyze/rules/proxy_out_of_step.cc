#include "analyze/drift.h"

namespace meshproof {

void CheckProxyOutOfStep(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0907", reporter);
}

}  // namespace meshproof

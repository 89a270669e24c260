#include "analyze/drift.h"

namespace meshproof {

void CheckProxyPoliciesDiffer(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0901", reporter);
}

}  // namespace meshproof

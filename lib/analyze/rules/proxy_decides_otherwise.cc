#include "analyze/drift.h"

namespace meshproof {

void CheckProxyDecidesOtherwise(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0902", reporter);
}

}  // namespace meshproof

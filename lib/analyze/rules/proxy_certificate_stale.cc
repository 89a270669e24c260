#include "analyze/drift.h"

namespace meshproof {

void CheckProxyCertificateStale(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0905", reporter);
}

}  // namespace meshproof

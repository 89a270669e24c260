#include "analyze/drift.h"

namespace meshproof::proxy_certificate_stale {

void Check(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0905", reporter);
}

}  // namespace meshproof::proxy_certificate_stale

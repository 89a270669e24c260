#include "analyze/drift.h"

namespace meshproof::proxy_policies_differ {

void Check(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0901", reporter);
}

}  // namespace meshproof::proxy_policies_differ

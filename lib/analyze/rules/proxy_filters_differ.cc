#include "analyze/drift.h"

namespace meshproof::proxy_filters_differ {

void Check(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0904", reporter);
}

}  // namespace meshproof::proxy_filters_differ

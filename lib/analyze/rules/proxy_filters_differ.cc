#include "analyze/drift.h"

namespace meshproof {

void CheckProxyFiltersDiffer(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0904", reporter);
}

}  // namespace meshproof

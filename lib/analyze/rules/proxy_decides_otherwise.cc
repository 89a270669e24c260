#include "analyze/drift.h"

namespace meshproof::proxy_decides_otherwise {

void Check(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0902", reporter);
}

}  // namespace meshproof::proxy_decides_otherwise

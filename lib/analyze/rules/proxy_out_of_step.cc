#include "analyze/drift.h"

namespace meshproof::proxy_out_of_step {

void Check(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0907", reporter);
}

}  // namespace meshproof::proxy_out_of_step

#include "analyze/drift.h"

namespace meshproof {

void CheckPlaceholderJwks(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0906", reporter);
}

}  // namespace meshproof

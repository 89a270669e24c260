#include "analyze/drift.h"

namespace meshproof {

void CheckProxyTakesPlaintext(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0903", reporter);
}

}  // namespace meshproof

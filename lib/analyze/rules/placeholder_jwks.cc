#include "analyze/drift.h"

namespace meshproof::placeholder_jwks {

void Check(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0906", reporter);
}

}  // namespace meshproof::placeholder_jwks

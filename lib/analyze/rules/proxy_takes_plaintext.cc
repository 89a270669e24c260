#include "analyze/drift.h"

namespace meshproof::proxy_takes_plaintext {

void Check(const Analysis& analysis, Reporter& reporter) {
  ReportDrift(analysis, "MP0903", reporter);
}

}  // namespace meshproof::proxy_takes_plaintext

#include "model/admission.h"

namespace meshproof {

// The errors of portLevelMtls are the schema's own rules; the webhook repeats them.
void AdmitPeerAuthentication(const PeerAuthentication& policy, Report& report) {
  AdmitMetadata(policy.meta, false, report);
  AdmitSelector(policy.selector, report);
}

}  // namespace meshproof

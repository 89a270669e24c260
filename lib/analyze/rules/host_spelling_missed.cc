// `hosts` is compared with the whole authority, its port and a dot at its end included, ignoring
// case (istio-semantics section 1.5); routes are looked up without the port. A DENY for `x` (or an
// ALLOW for everything but `x`) therefore misses `x:8080`.
#include "analyze/rule.h"
#include "analyze/slips.h"

namespace meshproof::host_spelling_missed {

void Check(const Analysis& analysis, Reporter& reporter) {
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    for (const Slip& slip : FindSlips(analysis, policy, SlipKind::kHost)) {
      const Spelling& spelling = slip.spelling;
      // Few clients send it, and a list with its ports is what is advised: unsafe-pattern notes it.
      if (spelling.sent.ends_with('.')) continue;
      const std::string value(slip.value.value);
      bool port = spelling.sent.ends_with(":8080");
      std::string twin = port ? value + ":*" : spelling.sent;
      std::string message = "a request for `" + spelling.sent + "`, " + spelling.how +
                            ", gets through where `" + spelling.covered +
                            "` is refused: the whole authority is compared with `" + value + "`; " +
                            "add `" + twin + "`";
      Finding& finding = reporter.Report(policy.meta, slip.value.span, std::move(message));
      finding.field_path = slip.field_path;
      if (value.starts_with('*') && port) {
        // No pattern has a star at both ends.
        finding.message = finding.message.substr(0, finding.message.rfind("add `")) +
                          "list the hosts by name, each with its `:*` twin, or allow the hosts "
                          "that are meant to be open";
        finding.fix = "Name the hosts one by one, with and without `:*`.";
      } else {
        finding.fix = "Add `" + twin + "` to the list.";
      }
      AttachSlip(analysis, slip, &finding);
    }
  }
}

}  // namespace meshproof::host_spelling_missed

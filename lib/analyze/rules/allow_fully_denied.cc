// ALLOW rules of which DENY rules take everything: DENY is asked first (istio-semantics section 1),
// so what is written as a permission is never granted.
#include <set>
#include <string>
#include <vector>

#include "analyze/pod_fields.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

namespace meshproof::allow_fully_denied {
namespace {

// The place that shows it; null where the rule lets something in, or nobody knows.
const RulePlace* DeniedAt(const RuleFate& fate) {
  const RulePlace* shown = nullptr;
  for (const RulePlace& place : fate.places) {
    if (place.status->kind == RuleStatus::Kind::kUnreachable) continue;
    if (place.status->kind != RuleStatus::Kind::kDenied || place.status->by.empty()) return nullptr;
    if (shown == nullptr) shown = &place;
  }
  return shown;
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  for (const RuleFate& fate : analysis.reach->Fates()) {
    const AuthorizationPolicy& policy = *fate.policy;
    if (policy.action != AuthorizationPolicy::Action::kAllow) continue;
    const RulePlace* place = DeniedAt(fate);
    if (place == nullptr) continue;
    const std::vector<const RbacPolicy*>& by = place->status->by;
    const ObjectMeta* first = by.front()->origin.object;
    std::string who = first == nullptr ? "DENY rules" : "the DENY rules of " + Describe(*first);
    Finding& finding = reporter.Report(
        policy.meta, policy.rules[fate.rule].span,
        "this ALLOW rule never lets anything in: " + who + (by.size() > 1 ? " and others" : "") +
            " refuse every request that it matches, and DENY is asked first; narrow the DENY "
            "rule, or remove this one");
    for (const RbacPolicy* rule : by) {
      if (rule->origin.span) {
        finding.related.push_back({rule->origin.span, "refuses what the rule allows"});
      }
    }
    finding.field_path = "spec.rules[" + std::to_string(fate.rule) + "]";
    finding.fix = "Narrow the DENY rule so that what is meant to be allowed is not in it.";
    Answer refused = analysis.reach->Find(place->site->workload(), place->port,
                                          Region::Rule(policy.meta, static_cast<int>(fate.rule)),
                                          Wanted::kRefused);
    if (refused.found()) AttachExample(analysis, *refused.example, &finding);
  }
}

}  // namespace meshproof::allow_fully_denied

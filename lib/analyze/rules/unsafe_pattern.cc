// A rule that names what is to be kept out (`paths`, `hosts`, header values of a DENY; `notPaths`,
// `notHosts`, `notMethods`, `notValues` of an ALLOW) lets through whatever it fails to name. The
// shape alone is no fault: it is said only where a request gets through that is near to one that is
// refused.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "analyze/reach.h"
#include "analyze/rule.h"
#include "analyze/slips.h"

namespace meshproof::unsafe_pattern {
namespace {

std::string SlipsBy(const Slip& slip) {
  const Spelling& spelling = slip.spelling;
  switch (slip.kind) {
    case SlipKind::kHeader:
      return "a request without the header `" + slip.header + "` gets through where `" +
             slip.header + ": " + spelling.covered + "` is refused";
    case SlipKind::kMethod:
      return spelling.sent + " gets through where " + spelling.covered + " is refused";
    default:
      return "`" + spelling.sent + "` gets through where `" + spelling.covered + "` is refused";
  }
}

void Report(const Analysis& analysis, const AuthorizationPolicy& policy, const Slip& slip,
            Reporter& reporter) {
  std::string message = IsDeny(policy)
                            ? "the DENY rule lists what is to be kept out, and whatever it does "
                              "not list is open: " +
                                  SlipsBy(slip) +
                                  "; allow what is meant to be open, or deny all but that (`not…`)"
                            : "the ALLOW rule opens all but what it lists: " + SlipsBy(slip) +
                                  "; list what is meant to be open";
  Finding& finding = reporter.Report(policy.meta, slip.value.span, std::move(message));
  // Which spelling is missed is a finding of its own there; this one is about the rule's shape.
  if (slip.kind != SlipKind::kHeader) finding.severity = Severity::kInfo;
  finding.field_path = slip.field_path;
  finding.fix = IsDeny(policy) ? "Turn the rule round: allow what is meant to be open."
                               : "List what is meant to be open.";
  AttachSlip(analysis, slip, &finding);
}

// An ALLOW rule for every token but some: `notRequestPrincipals` holds where there is no token.
void CheckTokens(const Analysis& analysis, const AuthorizationPolicy& policy, Reporter& reporter) {
  if (policy.dry_run || policy.action != AuthorizationPolicy::Action::kAllow) return;
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    const auto& from = policy.rules[i].from;
    for (size_t j = 0; j < from.size(); ++j) {
      const TextList& excluded = from[j].not_request_principals;
      if (excluded.empty() || !from[j].request_principals.empty()) continue;
      // Without any token is what `*` asks for.
      if (excluded.values.front().value == "*") continue;
      Region region = Region::And({Region::Rule(policy.meta, static_cast<int>(i)),
                                   RegionOf(from[j], policy.meta.ns),
                                   Region::Not(Region::Is(Region::Field::kToken))});
      for (const Site* site : analysis.reach->SitesOf(policy)) {
        if (site->policies.request_authentications.empty()) continue;
        std::vector<int> ports = analysis.reach->CalledPorts(*site);
        if (ports.empty()) continue;
        Answer answer =
            analysis.reach->Find(site->workload(), ports.front(), region, Wanted::kAllowed);
        if (!answer.found()) continue;
        const Text& first = excluded.values.front();
        Finding& finding = reporter.Report(
            policy.meta, first.span,
            "the ALLOW rule opens all but what it lists: a request without any token gets through "
            "where a token of `" +
                std::string(first.value) +
                "` is refused; list the `requestPrincipals` that are meant");
        finding.field_path = "spec.rules[" + std::to_string(i) + "].from[" + std::to_string(j) +
                             "].source.notRequestPrincipals[0]";
        finding.fix = "List the `requestPrincipals` that are meant to be let in.";
        AttachExample(analysis, *answer.example, &finding);
        break;
      }
    }
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  constexpr SlipKind kKinds[] = {SlipKind::kHeader, SlipKind::kEdge, SlipKind::kHost,
                                 SlipKind::kSpelling, SlipKind::kMethod};
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    std::map<int, Slip> of_rule;
    for (SlipKind kind : kKinds) {
      if (kind == SlipKind::kMethod && IsDeny(policy)) continue;
      if (of_rule.size() == policy.rules.size()) break;
      for (Slip& slip : FindSlips(analysis, policy, kind)) {
        int rule = slip.rule;
        of_rule.try_emplace(rule, std::move(slip));
      }
    }
    for (const auto& [rule, slip] : of_rule) Report(analysis, policy, slip, reporter);
    CheckTokens(analysis, policy, reporter);
  }
}

}  // namespace meshproof::unsafe_pattern

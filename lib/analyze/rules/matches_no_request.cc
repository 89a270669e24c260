// Rules whose conditions exclude each other, or ask for a value that no request has. Conditions of
// one source or operation all have to hold, and so do those under `when` (istio-semantics section
// 1.3); which of them clash is what the diagram of the rule says, and the fewest are named.
#include <string>
#include <vector>

#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

namespace meshproof::matches_no_request {
namespace {

// The lists that the reason names: "ipBlocks [..] and notIpBlocks [..] exclude each other".
std::vector<const PolicyList*> NamedIn(const std::string& reason,
                                       const std::vector<PolicyList>& lists) {
  std::vector<const PolicyList*> named;
  for (const PolicyList& list : lists) {
    std::string start = list.name + " [";
    bool found = reason.starts_with(start) || reason.find(" and " + start) != std::string::npos;
    if (found) named.push_back(&list);
  }
  return named;
}

bool VerifiesTokens(const Site& site) {
  for (const RequestAuthentication* one : site.policies.request_authentications) {
    if (!one->jwt_rules.empty()) return true;
  }
  return false;
}

// Other rules say it better: no token is ever verified there (MP0302), no certificate ever seen
// (MP0407).
bool IsSaidElsewhere(const RuleFate& fate, const std::vector<const PolicyList*>& named) {
  if (named.size() != 1 || named.front()->negative) return false;
  using Subject = PolicyList::Subject;
  if (named.front()->subject == Subject::kIdentity) return true;
  if (named.front()->subject != Subject::kToken) return false;
  for (const RulePlace& place : fate.places) {
    if (VerifiesTokens(*place.site)) return false;
  }
  return true;
}

std::string EffectOf(AuthorizationPolicy::Action action) {
  switch (action) {
    case AuthorizationPolicy::Action::kAllow:
      return "nothing is let in by it";
    case AuthorizationPolicy::Action::kDeny:
      return "nothing is refused by it";
    default:
      return "the authorizer is never asked";
  }
}

void Report(const Analysis& analysis, const RuleFate& fate, Reporter& reporter) {
  const AuthorizationPolicy& policy = *fate.policy;
  const AuthorizationPolicy::Rule& rule = policy.rules[fate.rule];
  std::vector<PolicyList> lists = ListsOf(rule);
  const std::string& reason = fate.places.front().status->reason;
  if (lists.empty() || reason == "nothing reaches it") return;
  std::vector<const PolicyList*> named = NamedIn(reason, lists);
  if (IsSaidElsewhere(fate, named)) return;
  const PolicyList& first = named.empty() ? lists.front() : *named.front();
  Finding& finding = reporter.Report(policy.meta, named.empty() ? rule.span : first.span,
                                     "this rule matches no request: " + reason + ", so " +
                                         EffectOf(policy.action) +
                                         "; take back one of the conditions, or remove the rule");
  for (size_t i = 1; i < named.size(); ++i) {
    finding.related.push_back({named[i]->span, "`" + named[i]->name + "` excludes it"});
  }
  finding.field_path = named.empty() ? "spec.rules[" + std::to_string(fate.rule) + "]"
                                     : FieldPathOf(fate.rule, first);
  finding.fix = "Take back one of the conditions that exclude each other.";
  // A request like those that were meant.
  const RulePlace& place = fate.places.front();
  bool deny = policy.action == AuthorizationPolicy::Action::kDeny;
  if (policy.action == AuthorizationPolicy::Action::kCustom) return;
  Answer meant =
      analysis.reach->Find(place.site->workload(), place.port, RegionOf(rule, policy.meta.ns, true),
                           deny ? Wanted::kAllowed : Wanted::kRefused);
  if (meant.found()) AttachExample(analysis, *meant.example, &finding);
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  for (const RuleFate& fate : analysis.reach->Fates()) {
    if (fate.Everywhere(RuleStatus::Kind::kUnreachable)) Report(analysis, fate, reporter);
  }
}

}  // namespace meshproof::matches_no_request

// Rules, values and policies that could be removed without any request being decided otherwise:
// what they match is in the union of other rules of the same action, or a DENY rule matches only
// what no ALLOW rule lets in. Found by the diagrams of all rules of each port; values of one list
// that contain each other by the forms of istio-semantics section 1.4.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analyze/pod_fields.h"
#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

namespace meshproof::without_effect {
namespace {

using Kind = RuleStatus::Kind;
using RuleName = std::pair<const ObjectMeta*, int>;

// Covered wherever it matches anything. Denied rules are MP0402's.
const RulePlace* CoveredAt(const RuleFate& fate) {
  const RulePlace* shown = nullptr;
  for (const RulePlace& place : fate.places) {
    if (place.status->kind == Kind::kUnreachable) continue;
    if (place.status->kind != Kind::kCovered) return nullptr;
    bool says_more = shown == nullptr || (shown->status->by.empty() && !place.status->by.empty());
    if (says_more) shown = &place;
  }
  return shown;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Run() {
    std::map<const AuthorizationPolicy*, std::vector<const RuleFate*>> gone;
    // From the last one: of two that say the same, the one that was there first stays.
    const std::vector<RuleFate>& fates = analysis_.reach->Fates();
    for (auto at = fates.rbegin(); at != fates.rend(); ++at) {
      const RuleFate& fate = *at;
      const RulePlace* place = CoveredAt(fate);
      if (place == nullptr || LeansOnGone(fate)) continue;
      gone_.insert({&fate.policy->meta, static_cast<int>(fate.rule)});
      gone[fate.policy].push_back(&fate);
    }
    for (const auto& [policy, own] : gone) {
      if (own.size() > 1 && own.size() == policy->rules.size()) {
        ReportPolicy(*policy, own);
      } else {
        for (const RuleFate* fate : own) ReportRule(*fate);
      }
    }
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      for (size_t i = 0; i < policy.rules.size(); ++i) CheckValues(policy, i);
    }
  }

 private:
  // Two rules that say the same: one of them is needed.
  bool LeansOnGone(const RuleFate& fate) const {
    return std::any_of(fate.places.begin(), fate.places.end(), [&](const RulePlace& place) {
      const auto& by = place.status->by;
      return std::any_of(by.begin(), by.end(), [&](const RbacPolicy* rule) {
        return gone_.contains({rule->origin.object, rule->origin.rule});
      });
    });
  }

  void AddCover(const RuleFate& fate, Finding* finding) const {
    for (const RbacPolicy* rule : CoveredAt(fate)->status->by) {
      if (!rule->origin.span || finding->related.size() == 5) continue;
      finding->related.push_back({rule->origin.span, "decides about these requests already"});
    }
  }

  static std::string Why(const RuleFate& fate) {
    const RuleStatus& status = *CoveredAt(fate)->status;
    if (status.by.empty()) return "no ALLOW rule lets in what it refuses";
    const ObjectMeta* other = status.by.front()->origin.object;
    std::string where = other == nullptr || other == &fate.policy->meta
                            ? "another rule of this policy"
                            : "a rule of " + Describe(*other);
    if (status.by.size() > 1) where = std::to_string(status.by.size()) + " other rules together";
    return where + " matches all that it matches";
  }

  void ReportRule(const RuleFate& fate) {
    const AuthorizationPolicy& policy = *fate.policy;
    Finding& finding = reporter_.Report(
        policy.meta, policy.rules[fate.rule].span,
        "this rule decides nothing: " + Why(fate) +
            ", so it could be removed without any request being decided otherwise; remove it, or "
            "correct what was meant to differ");
    AddCover(fate, &finding);
    finding.field_path = "spec.rules[" + std::to_string(fate.rule) + "]";
    finding.fix = "Remove the rule.";
  }

  void ReportPolicy(const AuthorizationPolicy& policy, const std::vector<const RuleFate*>& fates) {
    Finding& finding =
        reporter_.Report(policy.meta, policy.meta.span,
                         "none of the " + std::to_string(fates.size()) +
                             " rules of this policy decides anything: " + Why(*fates.front()) +
                             "; remove the policy, or correct what was meant to differ");
    for (const RuleFate* fate : fates) AddCover(*fate, &finding);
    finding.fix = "Remove the policy.";
  }

  // "/api/v1" beside "/api/*".
  static bool Contains(std::string_view wide, std::string_view narrow) {
    if (wide == narrow || wide.empty()) return wide == narrow;
    if (wide == "*") return !narrow.empty();
    if (wide.find('{') != std::string_view::npos || narrow.find('{') != std::string_view::npos) {
      return false;
    }
    auto stars = std::count(wide.begin(), wide.end(), '*');
    if (stars != 1) return false;
    bool narrow_starred = narrow.find('*') != std::string_view::npos;
    if (wide.back() == '*') {
      std::string_view prefix = wide.substr(0, wide.size() - 1);
      bool anchored = !narrow_starred || narrow.front() != '*';
      return anchored && narrow.starts_with(prefix) && narrow.find('*') >= prefix.size();
    }
    if (wide.front() != '*') return false;
    bool anchored =
        !narrow_starred || (narrow.front() == '*' && narrow.find('*', 1) == narrow.npos);
    return anchored && narrow.ends_with(wide.substr(1));
  }

  void CheckValues(const AuthorizationPolicy& policy, size_t index) {
    for (const PolicyList& list : ListsOf(policy.rules[index])) {
      bool text = list.name == "paths" || list.name == "notPaths" || list.name == "hosts" ||
                  list.name == "notHosts" || list.name == "methods" || list.name == "notMethods";
      if (!text) continue;
      const std::vector<Text>& values = list.values->values;
      for (size_t i = 0; i < values.size(); ++i) {
        for (size_t j = 0; j < values.size(); ++j) {
          if (i == j || !Contains(values[j].value, values[i].value)) continue;
          if (values[i].value == values[j].value && j > i) continue;
          ReportValue(policy, index, list, i, j);
          break;
        }
      }
    }
  }

  void ReportValue(const AuthorizationPolicy& policy, size_t rule, const PolicyList& list,
                   size_t narrow, size_t wide) {
    const Text& value = list.values->values[narrow];
    const Text& other = list.values->values[wide];
    Finding& finding = reporter_.Report(
        policy.meta, value.span,
        "`" + std::string(value.value) + "` adds nothing: `" + std::string(other.value) +
            "` in the same list covers it; remove it, or correct the wider one");
    finding.related.push_back({other.span, "covers it"});
    finding.field_path = FieldPathOf(rule, list) + "[" + std::to_string(narrow) + "]";
    finding.fix = "Remove the value.";
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::set<RuleName> gone_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::without_effect

// Workloads that take tokens of several issuers. Any one valid token satisfies the filter and a
// second, invalid one rides along; a rule on a claim, or on any request principal, that does not
// say whose takes the weaker issuer's word (istio-semantics section 3: requirements are ORed,
// providers are never merged or de-duplicated). Also one issuer that is defined twice otherwise.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analyze/names.h"
#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

namespace meshproof::issuer_not_pinned {
namespace {

using Subject = PolicyList::Subject;
using Field = Region::Field;

struct Place {
  const RequestAuthentication* policy = nullptr;
  const JwtRule* rule = nullptr;
  size_t index = 0;
};

std::vector<Place> JwtRulesOf(const Site& site) {
  std::vector<Place> rules;
  for (const RequestAuthentication* policy : site.policies.request_authentications) {
    for (size_t i = 0; i < policy->jwt_rules.size(); ++i) {
      rules.push_back({policy, &policy->jwt_rules[i], i});
    }
  }
  return rules;
}

std::set<std::string_view> ValuesOf(const TextList& list) {
  std::set<std::string_view> values;
  for (const Text& text : list.values) values.insert(text.value);
  return values;
}

// What differs between two definitions of one issuer; "" where nothing does.
std::string DifferenceOf(const JwtRule& a, const JwtRule& b) {
  std::vector<std::string> parts;
  if (a.jwks.value != b.jwks.value || a.jwks_uri.value != b.jwks_uri.value) parts.push_back("keys");
  if (ValuesOf(a.audiences) != ValuesOf(b.audiences)) parts.push_back("audiences");
  auto headers = [](const JwtRule& rule) {
    std::set<std::pair<std::string_view, std::string_view>> names;
    for (const JwtRule::Header& header : rule.from_headers) {
      names.insert({header.name.value, header.prefix.value});
    }
    return names;
  };
  if (headers(a) != headers(b) || ValuesOf(a.from_params) != ValuesOf(b.from_params) ||
      ValuesOf(a.from_cookies) != ValuesOf(b.from_cookies)) {
    parts.push_back("places of the token");
  }
  return ListNames(parts);
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Run() {
    for (const Site& site : analysis_.reach->Sites()) {
      std::vector<Place> rules = JwtRulesOf(site);
      if (rules.size() < 2) continue;
      CheckTwins(site, rules);
      std::map<std::string_view, Place> issuers;
      for (const Place& place : rules) issuers.try_emplace(place.rule->issuer.value, place);
      if (issuers.size() > 1) CheckPolicies(site, issuers);
    }
  }

 private:
  void CheckTwins(const Site& site, const std::vector<Place>& rules) {
    std::map<std::string_view, Place> first;
    for (const Place& place : rules) {
      auto [known, added] = first.try_emplace(place.rule->issuer.value, place);
      if (added) continue;
      std::string difference = DifferenceOf(*known->second.rule, *place.rule);
      if (difference.empty() || !reported_.insert(place.rule).second) continue;
      Span span = place.rule->issuer.span ? place.rule->issuer.span : place.rule->span;
      Finding& finding = reporter_.Report(
          place.policy->meta, span,
          "issuer `" + std::string(place.rule->issuer.value) + "` is defined twice for " +
              NamesOf({&site}) + " with other " + difference +
              ": the rules are not merged, and a token that satisfies the weaker one is valid; "
              "keep one definition");
      const JwtRule& other = *known->second.rule;
      finding.related.push_back(
          {other.issuer.span ? other.issuer.span : other.span, "the other definition"});
      finding.field_path = "spec.jwtRules[" + std::to_string(place.index) + "].issuer";
      finding.fix = "Keep one definition of the issuer.";
    }
  }

  void CheckPolicies(const Site& site, const std::map<std::string_view, Place>& issuers) {
    for (const AuthorizationPolicy* policy : site.policies.allow) {
      if (policy->dry_run) continue;
      for (size_t i = 0; i < policy->rules.size(); ++i) CheckRule(site, issuers, *policy, i);
    }
  }

  // Whether a list says whose tokens it means.
  static bool PinsIssuer(const PolicyList& list, const std::map<std::string_view, Place>& issuers) {
    if (list.subject != Subject::kToken || list.negative) return false;
    bool claim = list.name == "when request.auth.claims[iss]";
    bool principal = list.name == "requestPrincipals" || list.name == "when request.auth.principal";
    if (!claim && !principal) return false;
    return std::all_of(
        list.values->values.begin(), list.values->values.end(), [&](const Text& text) {
          std::string_view issuer =
              principal ? text.value.substr(0, text.value.rfind('/')) : text.value;
          if (issuer.find('*') == issuer.npos) return true;
          // A prefix that one of them alone has.
          if (!issuer.ends_with('*') || issuer.size() < 2) return false;
          issuer.remove_suffix(1);
          return std::count_if(issuers.begin(), issuers.end(),
                               [&](const auto& one) { return one.first.starts_with(issuer); }) < 2;
        });
  }

  void CheckRule(const Site& site, const std::map<std::string_view, Place>& issuers,
                 const AuthorizationPolicy& policy, size_t index) {
    std::vector<PolicyList> lists = ListsOf(policy.rules[index]);
    const PolicyList* open = nullptr;
    bool claim = false;
    for (const PolicyList& list : lists) {
      if (list.subject != Subject::kToken || list.negative) continue;
      if (PinsIssuer(list, issuers)) {
        // Beside a source of its own the others stay open; the engine decides.
        if (list.condition != nullptr) return;
        continue;
      }
      bool own_claim = list.condition != nullptr;
      if (open == nullptr || (own_claim && !claim)) open = &list;
      claim |= own_claim;
    }
    if (open == nullptr || reported_rules_.contains(&policy.rules[index])) return;
    const Reach& reach = *analysis_.reach;
    for (int port : analysis_.reach->CalledPorts(site)) {
      std::vector<std::string> takes;
      std::optional<Example> example;
      const Place* last = nullptr;
      for (const auto& [issuer, place] : issuers) {
        if (issuer.empty()) continue;
        Region region =
            Region::And({Region::Rule(policy.meta, static_cast<int>(index)),
                         Region::Is(Field::kRequestPrincipal, std::string(issuer) + "/*")});
        Answer answer = reach.Find(site.workload(), port, region, Wanted::kAllowed);
        if (!answer.found()) continue;
        takes.push_back("`" + std::string(issuer) + "`");
        // The one that is listed last was probably added later.
        bool later = last == nullptr || place.policy != last->policy || place.index > last->index;
        if (later) {
          example = std::move(answer.example);
          last = &place;
        }
      }
      if (takes.size() < 2) continue;
      Report(site, policy, index, *open, takes, *example, *last);
      return;
    }
  }

  void Report(const Site& site, const AuthorizationPolicy& policy, size_t index,
              const PolicyList& list, const std::vector<std::string>& issuers,
              const Example& example, const Place& last) {
    reported_rules_.insert(&policy.rules[index]);
    Finding& finding = reporter_.Report(
        policy.meta, list.span,
        "this rule does not say whose token it means: " + NamesOf({&site}) + " takes tokens of " +
            ListNames(issuers) +
            ", and whatever the least trusted of them writes satisfies it; name the issuer in "
            "`requestPrincipals`");
    finding.related.push_back({last.rule->issuer.span ? last.rule->issuer.span : last.rule->span,
                               "tokens of this issuer satisfy it too"});
    finding.field_path = FieldPathOf(index, list);
    finding.fix = "Name the issuer: `requestPrincipals: [\"<issuer>/*\"]`.";
    AttachExample(analysis_, example, &finding);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::set<const JwtRule*> reported_;
  std::set<const AuthorizationPolicy::Rule*> reported_rules_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::issuer_not_pinned

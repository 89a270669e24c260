// ALLOW rules that exclude values of something a request need not have: a negation of what is
// absent holds (istio-semantics section 1.3), so a request that leaves it out is let in. And claim
// keys with a dot, which name one claim and not a claim in a claim.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::absent_value_matches {
namespace {

using Field = Region::Field;

constexpr std::string_view kClaims = "request.auth.claims[";

bool IsStar(const TextList& list) {
  return list.values.size() == 1 && list.values.front().value == "*";
}

// Requests without what the list excludes values of; nothing: it is always there.
std::optional<Region> AbsenceOf(const PolicyList& list) {
  auto none = [](Field field, std::string name = {}) {
    return Region::Not(Region::Is(field, "*", std::move(name)));
  };
  if (list.name == "notRequestPrincipals") return Region::Not(Region::Is(Field::kToken));
  if (list.condition == nullptr) return std::nullopt;
  std::string_view key = list.condition->key.value;
  if (key.starts_with(kClaims) && key.ends_with(']')) {
    return none(Field::kClaim, std::string(key.substr(kClaims.size() - 1)));
  }
  if (key.starts_with("request.auth.")) return Region::Not(Region::Is(Field::kToken));
  if (auto header = HeaderOfKey(key)) {
    std::string name(*header);
    static constexpr std::string_view kAlways[] = {":method", ":path",   ":authority",
                                                   "host",    ":scheme", "x-request-id"};
    bool always = std::any_of(std::begin(kAlways), std::end(kAlways),
                              [&](std::string_view one) { return EqualsIgnoreCase(one, name); });
    if (always) return std::nullopt;
    return none(Field::kHeader, std::move(name));
  }
  if (key == "connection.sni") return none(Field::kServerName);
  return std::nullopt;
}

std::string WhatIsAbsent(const PolicyList& list) {
  if (list.subject == PolicyList::Subject::kToken) {
    return list.condition != nullptr && list.condition->key.value.starts_with(kClaims)
               ? "a request without that claim, or without any token,"
               : "a request without a token";
  }
  return list.subject == PolicyList::Subject::kHttp ? "a request without that header"
                                                    : "a connection without a server name";
}

void CheckAbsence(const Analysis& analysis, const AuthorizationPolicy& policy, size_t index,
                  const PolicyList& list, Reporter& reporter) {
  // Excluding every value is the way to say that there shall be none.
  if (!list.negative || IsStar(*list.values)) return;
  std::optional<Region> absence = AbsenceOf(list);
  if (!absence) return;
  const Region region = Region::And({Region::Rule(policy.meta, static_cast<int>(index)), *absence});
  for (const Site* site : analysis.reach->SitesOf(policy)) {
    for (int port : analysis.reach->CalledPorts(*site)) {
      Answer answer = analysis.reach->Find(site->workload(), port, region, Wanted::kAllowed);
      if (!answer.found()) continue;
      std::string what = list.condition != nullptr
                             ? "`notValues` of `" + std::string(list.condition->key.value) + "`"
                             : "`" + list.name + "`";
      Finding& finding = reporter.Report(
          policy.meta, list.span,
          what + " is satisfied where nothing is there to compare: " + WhatIsAbsent(list) +
              " is let in by this rule; ask for a value that is wanted beside the exclusion, or "
              "put the exclusion into a DENY rule");
      finding.field_path = FieldPathOf(index, list);
      finding.fix = "Also require the value to be there.";
      AttachExample(analysis, *answer.example, &finding);
      return;
    }
  }
}

// "realm_access.roles" of "request.auth.claims[realm_access.roles]"; "" where there is no dot that
// was probably meant as a step. Names of claims that are addresses hold dots, too.
std::string DottedClaim(std::string_view key) {
  if (!key.starts_with(kClaims) || !key.ends_with(']')) return "";
  std::string_view name = key.substr(kClaims.size(), key.size() - kClaims.size() - 1);
  auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  std::vector<std::string_view> steps = Split(name, '.');
  bool all =
      steps.size() > 1 && std::all_of(steps.begin(), steps.end(), [&](std::string_view step) {
        return !step.empty() && std::all_of(step.begin(), step.end(), plain);
      });
  return all ? std::string(name) : "";
}

void CheckClaimKey(const AuthorizationPolicy& policy, size_t rule, size_t index,
                   Reporter& reporter) {
  const Text& key = policy.rules[rule].when[index].key;
  std::string dotted = DottedClaim(key.value);
  if (dotted.empty()) return;
  std::string nested;
  for (std::string_view step : Split(dotted, '.')) nested += "[" + std::string(step) + "]";
  Finding& finding = reporter.Report(
      policy.meta, key.span,
      "`" + std::string(key.value) + "` asks for one claim whose name is `" + dotted +
          "`, and a claim inside another has its own brackets: the condition sees nothing; write `"
          "request.auth.claims" +
          nested + "`");
  finding.field_path =
      "spec.rules[" + std::to_string(rule) + "].when[" + std::to_string(index) + "].key";
  finding.fix = "Write `request.auth.claims" + nested + "`.";
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      const AuthorizationPolicy::Rule& rule = policy.rules[i];
      for (size_t j = 0; j < rule.when.size(); ++j) CheckClaimKey(policy, i, j, reporter);
      if (policy.dry_run || policy.action != AuthorizationPolicy::Action::kAllow) continue;
      for (const PolicyList& list : ListsOf(rule))
        CheckAbsence(analysis, policy, i, list, reporter);
    }
  }
}

}  // namespace meshproof::absent_value_matches

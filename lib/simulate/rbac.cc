// Envoy's RBAC filters on one request. Policies are tried in byte order of their names and the
// first that matches is the effective one; ALLOW admits on a match, DENY refuses on one, LOG never
// refuses. Shadow rules run first and only leave metadata, which gates the external authorizer.
// A policy whose match is not known is an open question of the run.

#include "simulate/rbac.h"

#include <algorithm>

#include "base/text.h"
#include "simulate/rbac_index.h"

namespace meshproof {
namespace {

constexpr std::string_view kBadCustom = "bad-CUSTOM-action";

std::string Reasons(const std::vector<std::string>& reasons) {
  return reasons.empty() ? "a condition cannot be seen through" : Join(reasons, "; ");
}

// Whether a policy matches; where that is open it is asked about.
bool Takes(const RbacPolicy& policy, Stream* stream, FilterLevel level) {
  const Truth matched = Evaluate(policy, *stream, level, nullptr);
  if (matched != Truth::kUnknown) return matched == Truth::kTrue;
  std::vector<std::string> reasons;
  Evaluate(policy, *stream, level, &reasons);
  const bool answer = stream->questions->Ask(&policy, Reasons(reasons));
  stream->AddStep(Stage::kNone, Step::Result::kUnknown,
                  "whether " + policy.name + " matches is not known: " + Reasons(reasons),
                  policy.origin);
  return answer;
}

// The first policy that matches.
const RbacPolicy* EffectivePolicy(const Rbac& rules, Stream* stream, FilterLevel level) {
  const RbacIndex* index =
      stream->rbac_indexes == nullptr ? nullptr : stream->rbac_indexes->Find(rules);
  if (index == nullptr) {
    for (const auto& policy : rules.policies) {
      if (Takes(*policy, stream, level)) return policy.get();
    }
    return nullptr;
  }
  std::pmr::vector<uint32_t> positions(stream->headers.arena());
  index->Find(*stream, &positions);
  for (uint32_t position : positions) {
    const RbacPolicy& policy = *rules.policies[position];
    if (Takes(policy, stream, level)) return &policy;
  }
  return nullptr;
}

// A predicate's truth, asked about where it is open.
bool Settle(const Predicate& predicate, Stream* stream, FilterLevel level) {
  Truth matched = Evaluate(predicate, *stream, level, nullptr);
  if (matched == Truth::kUnknown) {
    std::vector<std::string> reasons;
    Evaluate(predicate, *stream, level, &reasons);
    matched = ToTruth(stream->questions->Ask(&predicate, Reasons(reasons)));
  }
  return matched == Truth::kTrue;
}

// What a matcher tree comes to: null where it says nothing.
const RbacMatcher::Outcome* Decide(const RbacMatcher& matcher, Stream* stream, FilterLevel level) {
  auto follow = [&](const RbacMatcher::Outcome& outcome) {
    return outcome.nested != nullptr ? Decide(*outcome.nested, stream, level) : &outcome;
  };
  for (const auto& field : matcher.fields) {
    if (!Settle(field.predicate, stream, level)) continue;
    if (const auto* decided = follow(field.outcome)) return decided;
  }
  return matcher.on_no_match ? follow(*matcher.on_no_match) : nullptr;
}

void SetMetadata(std::pmr::vector<RbacMetadata>* metadata, std::string_view prefix,
                 std::string_view key, std::string_view value) {
  for (auto& entry : *metadata) {
    if (entry.prefix == prefix && entry.key == key) {
      entry.value = value;
      return;
    }
  }
  metadata->push_back({prefix, key, value});
}

bool IsAllowed(Rbac::Action action, bool matched) {
  switch (action) {
    case Rbac::Action::kAllow:
      return matched;
    case Rbac::Action::kDeny:
      return !matched;
    case Rbac::Action::kLog:
      return true;
  }
  return true;
}

Stage StageOf(const Rbac& rules, const RbacPolicy* policy) {
  if (policy != nullptr && policy->name.find(kBadCustom) != std::string::npos) {
    return Stage::kCustom;
  }
  return rules.action == Rbac::Action::kAllow ? Stage::kAllow : Stage::kDeny;
}

std::string_view ActionName(Rbac::Action action) {
  switch (action) {
    case Rbac::Action::kAllow:
      return "ALLOW";
    case Rbac::Action::kDeny:
      return "DENY";
    case Rbac::Action::kLog:
      return "AUDIT";
  }
  return "";
}

// What a filter leaves in its metadata. The HTTP filter publishes it when it is through, so that
// its own rules do not see what its shadow rules found.
struct Findings {
  std::string_view shadow_id, shadow_result;
  std::string_view enforced_id, enforced_result;
};

void Publish(const RbacFilter& filter, const Findings& findings,
             std::pmr::vector<RbacMetadata>* metadata) {
  auto set = [&](std::string_view prefix, std::string_view key, std::string_view value) {
    if (!value.empty()) SetMetadata(metadata, prefix, key, value);
  };
  set(filter.shadow_rules_stat_prefix, "shadow_effective_policy_id", findings.shadow_id);
  set(filter.shadow_rules_stat_prefix, "shadow_engine_result", findings.shadow_result);
  set(filter.rules_stat_prefix, "enforced_effective_policy_id", findings.enforced_id);
  set(filter.rules_stat_prefix, "enforced_engine_result", findings.enforced_result);
}

void RunShadow(const RbacFilter& filter, FilterLevel level, Stream* stream, Findings* findings) {
  const Rbac& rules = *filter.shadow_rules;
  const RbacPolicy* policy = EffectivePolicy(rules, stream, level);
  if (policy != nullptr) findings->shadow_id = policy->name;
  findings->shadow_result = IsAllowed(rules.action, policy != nullptr) ? "allowed" : "denied";
  bool custom = filter.shadow_rules_stat_prefix == "istio_ext_authz_";
  if (custom && policy != nullptr) stream->custom_policy = policy;
  if (!stream->trace) return;
  std::string text =
      custom ? "CUSTOM: " : "dry run of " + std::string(ActionName(rules.action)) + ": ";
  text += policy != nullptr ? policy->name + " matches" : "no rule matches";
  stream->AddStep(custom ? Stage::kCustom : StageOf(rules, policy),
                  policy != nullptr ? Step::Result::kMatch : Step::Result::kNoMatch,
                  std::move(text), policy != nullptr ? policy->origin : Origin());
}

void Refuse(const Rbac& rules, const RbacPolicy* policy, FilterLevel level, Stream* stream) {
  Stage stage = StageOf(rules, policy);
  std::string details = RbacDetails(policy != nullptr ? std::string_view(policy->name) : "none");
  if (level == FilterLevel::kNetwork) {
    CloseConnection(stream, stage, std::move(details));
  } else {
    SendLocalReply(stream, Outcome::kDeny, 403, std::move(details), "RBAC: access denied", stage);
  }
  stream->verdict->decided_by = policy != nullptr ? policy->origin : Origin();
  if (policy == nullptr && stream->trace) {
    stream->verdict->near_misses = FindNearMisses(rules, *stream, level);
  }
}

// A matcher tree that says nothing refuses; its actions refuse or let pass by themselves.
FilterStatus EnforceMatcher(const RbacFilter& filter, FilterLevel level, Stream* stream,
                            Findings* findings) {
  const RbacMatcher::Outcome* outcome = Decide(*filter.matcher, stream, level);
  if (outcome != nullptr && !outcome->opaque.empty()) {
    EndUndetermined(stream, "action " + outcome->opaque + " of a matcher cannot be seen through");
    return FilterStatus::kStop;
  }
  bool allowed = outcome != nullptr && outcome->action != Rbac::Action::kDeny;
  if (outcome != nullptr) findings->enforced_id = outcome->name;
  findings->enforced_result = allowed ? "allowed" : "denied";
  Origin origin;
  if (outcome != nullptr) origin.span = outcome->span;
  if (stream->trace) {
    stream->AddStep(allowed ? Stage::kAllow : Stage::kDeny,
                    allowed ? Step::Result::kMatch : Step::Result::kRefuse,
                    outcome == nullptr ? std::string("RBAC matcher: nothing matches")
                                       : "RBAC matcher: " + outcome->name + " matches",
                    origin);
  }
  if (allowed) return FilterStatus::kContinue;
  std::string details = RbacDetails(outcome != nullptr ? std::string_view(outcome->name) : "none");
  Stage stage = outcome != nullptr ? Stage::kDeny : Stage::kAllow;
  if (level == FilterLevel::kNetwork) {
    CloseConnection(stream, stage, std::move(details));
  } else {
    SendLocalReply(stream, Outcome::kDeny, 403, std::move(details), "RBAC: access denied", stage);
  }
  stream->verdict->decided_by = origin;
  return FilterStatus::kStop;
}

void RunShadowMatcher(const RbacFilter& filter, FilterLevel level, Stream* stream,
                      Findings* findings) {
  const RbacMatcher::Outcome* outcome = Decide(*filter.shadow_matcher, stream, level);
  bool allowed = outcome != nullptr && outcome->action != Rbac::Action::kDeny;
  if (outcome != nullptr) findings->shadow_id = outcome->name;
  findings->shadow_result = allowed ? "allowed" : "denied";
}

FilterStatus Enforce(const RbacFilter& filter, FilterLevel level, Stream* stream,
                     Findings* findings) {
  const Rbac& rules = *filter.rules;
  const RbacPolicy* policy = EffectivePolicy(rules, stream, level);
  bool allowed = IsAllowed(rules.action, policy != nullptr);
  if (policy != nullptr) findings->enforced_id = policy->name;
  findings->enforced_result = allowed ? "allowed" : "denied";
  if (stream->trace) {
    std::string text(ActionName(rules.action));
    text += policy != nullptr ? ": " + policy->name + " matches" : ": no rule matches";
    Step::Result result = !allowed            ? Step::Result::kRefuse
                          : policy != nullptr ? Step::Result::kMatch
                                              : Step::Result::kNoMatch;
    stream->AddStep(rules.action == Rbac::Action::kLog ? Stage::kNone : StageOf(rules, policy),
                    result, std::move(text), policy != nullptr ? policy->origin : Origin());
  }
  if (!allowed) {
    Refuse(rules, policy, level, stream);
    return FilterStatus::kStop;
  }
  if (rules.action == Rbac::Action::kAllow) stream->verdict->decided_by = policy->origin;
  return FilterStatus::kContinue;
}

}  // namespace

Truth Evaluate(const RbacPolicy& policy, Stream& stream, FilterLevel level,
               std::vector<std::string>* unknown) {
  auto any_of = [&](const std::vector<Predicate>& predicates) {
    Truth result = Truth::kFalse;
    for (const auto& predicate : predicates) {
      Truth value = Evaluate(predicate, stream, level, unknown);
      if (value == Truth::kTrue) return value;
      if (value == Truth::kUnknown) result = value;
    }
    return result;
  };
  Truth permitted = any_of(policy.permissions);
  if (permitted == Truth::kFalse) return permitted;
  Truth identified = any_of(policy.principals);
  if (identified == Truth::kFalse) return identified;
  if (policy.has_condition) {
    if (unknown != nullptr) {
      unknown->push_back("the CEL condition of " + policy.name + " cannot be seen through");
    }
    return Truth::kUnknown;
  }
  if (permitted == Truth::kUnknown || identified == Truth::kUnknown) return Truth::kUnknown;
  return Truth::kTrue;
}

std::string RbacDetails(std::string_view policy_id) {
  constexpr std::string_view kBefore = "rbac_access_denied_matched_policy[";
  std::string details;
  details.reserve(kBefore.size() + policy_id.size() + 1);
  details.append(kBefore).append(policy_id).push_back(']');
  std::replace_if(
      details.begin() + kBefore.size(), details.end(),
      [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }, '_');
  return details;
}

FilterStatus RunRbac(const RbacFilter& filter, FilterLevel level, Stream* stream) {
  Findings findings;
  if (filter.shadow_matcher != nullptr) {
    RunShadowMatcher(filter, level, stream, &findings);
  } else if (filter.shadow_rules) {
    RunShadow(filter, level, stream, &findings);
  }
  // The network filter publishes what its shadow rules found, at once, and nothing else.
  if (level == FilterLevel::kNetwork) Publish(filter, findings, &stream->network_rbac);
  FilterStatus status = FilterStatus::kContinue;
  if (filter.matcher != nullptr) {
    status = EnforceMatcher(filter, level, stream, &findings);
  } else if (filter.rules) {
    status = Enforce(filter, level, stream, &findings);
  }
  if (level == FilterLevel::kHttp) Publish(filter, findings, &stream->http_rbac);
  return status;
}

}  // namespace meshproof

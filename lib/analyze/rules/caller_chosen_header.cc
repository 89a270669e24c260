// Rules that decide by what the caller writes: a header, without a condition on who calls. Every
// line of a repeated header is tested on its own (envoy-facts section 1.3), a header may be left
// out, and nothing removes it on the way. Headers that a RequestAuthentication fills from a
// verified token are not the caller's: Envoy removes them first.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::caller_chosen_header {
namespace {

constexpr size_t kMostSites = 3;  // that are asked for a request

// They say what is asked for, or are the proxy's own.
bool IsOfTheRequest(std::string_view name) {
  static const std::set<std::string_view> kNames = {":method",
                                                    ":path",
                                                    ":authority",
                                                    ":scheme",
                                                    "host",
                                                    "content-type",
                                                    "content-length",
                                                    "accept",
                                                    "upgrade",
                                                    "connection",
                                                    "te",
                                                    "access-control-request-method",
                                                    "range",
                                                    "x-forwarded-client-cert"};
  return kNames.contains(name);
}

bool NamesCaller(const AuthorizationPolicy::Source& source) {
  return !source.principals.empty() || !source.request_principals.empty() ||
         !source.namespaces.empty() || !source.service_accounts.empty() ||
         !source.trust_domains.empty() || !source.ip_blocks.empty() ||
         !source.remote_ip_blocks.empty() || !source.not_principals.empty() ||
         !source.not_namespaces.empty() || !source.not_service_accounts.empty() ||
         !source.not_request_principals.empty();
}

bool NamesCaller(const AuthorizationPolicy::Condition& condition) {
  const std::string_view key = condition.key.value;
  return key.starts_with("source.") || key.starts_with("request.auth.") || key == "remote.ip";
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const RequestAuthentication& object : analysis.model.request_authentications) {
      for (const JwtRule& rule : object.jwt_rules) {
        if (!rule.output_payload_to_header.value.empty()) {
          from_token_.insert(ToLower(rule.output_payload_to_header.value));
        }
        for (const JwtRule::ClaimToHeader& claim : rule.output_claim_to_headers) {
          from_token_.insert(ToLower(claim.header.value));
        }
      }
    }
  }

  void Check(const AuthorizationPolicy& policy) {
    for (size_t r = 0; r < policy.rules.size(); ++r) CheckRule(policy, r);
  }

 private:
  void CheckRule(const AuthorizationPolicy& policy, size_t index) {
    const AuthorizationPolicy::Rule& rule = policy.rules[index];
    const bool caller =
        (!rule.from.empty() && std::all_of(rule.from.begin(), rule.from.end(),
                                           [](const auto& from) { return NamesCaller(from); })) ||
        std::any_of(rule.when.begin(), rule.when.end(),
                    [](const auto& condition) { return NamesCaller(condition); });
    if (caller) return;
    using Action = AuthorizationPolicy::Action;
    for (const AuthorizationPolicy::Condition& condition : rule.when) {
      const std::string name =
          ToLower(HeaderOfKey(condition.key.value).value_or(std::string_view()));
      if (name.empty() || IsOfTheRequest(name) || from_token_.contains(name)) continue;
      const bool positive = !condition.values.empty();
      if (!positive && condition.not_values.empty()) continue;
      std::string effect;
      switch (policy.action) {
        case Action::kAllow:
          effect = positive ? "whoever sends it is admitted"
                            : "whoever leaves it out, or sends something else, is admitted";
          break;
        case Action::kDeny:
          // Refusing requests that carry a header takes nothing from those without.
          if (positive) continue;
          effect = "whoever sends it is not refused";
          break;
        case Action::kCustom:
          effect = positive ? "the authorizer is not asked about whoever leaves it out"
                            : "the authorizer is not asked about whoever sends it";
          break;
        case Action::kAudit:
          continue;
      }
      Report(policy, index, condition, name, positive, effect);
    }
  }

  void Report(const AuthorizationPolicy& policy, size_t index,
              const AuthorizationPolicy::Condition& condition, const std::string& name,
              bool positive, const std::string& effect) {
    const TextList& values = positive ? condition.values : condition.not_values;
    std::vector<std::string> texts;
    for (const Text& value : values.values) texts.emplace_back(value.value);
    Finding& finding =
        ReportAt(reporter_, policy.meta, condition.key.span,
                 "the rule decides by header `" + name + "` (" + (positive ? "" : "not ") +
                     ListNames(texts, 3) +
                     "), which the caller writes, and asks nobody who they are: " + effect +
                     "; add `principals`, or a condition on a token's claims",
                 "Add `principals` or `requestPrincipals` to the rule.");
    finding.detail = name;
    if (policy.action == AuthorizationPolicy::Action::kAllow) ShowAdmitted(policy, index, &finding);
  }

  // Somebody without an identity or a token whom this very rule lets in.
  void ShowAdmitted(const AuthorizationPolicy& policy, size_t index, Finding* finding) {
    std::vector<const Site*> sites = analysis_.reach->SitesOf(policy);
    if (sites.size() > kMostSites) sites.resize(kMostSites);
    const Region region = Region::And({Region::Rule(policy.meta, static_cast<int>(index)),
                                       Region::Not(Region::Is(Region::Field::kToken))});
    for (const Site* site : sites) {
      for (int port : analysis_.reach->CalledPorts(*site)) {
        const Answer answer =
            analysis_.reach->Find(site->workload(), port, region, Wanted::kAllowedByAnyAuthorizer);
        if (!answer.found()) continue;
        if (AttachWitness(analysis_, answer.example->request, Outcome::kAllow, finding)) return;
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::set<std::string> from_token_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    if (!policy.dry_run) checker.Check(policy);
  }
}

}  // namespace meshproof::caller_chosen_header

// A principal with a star is compared as text: `*/sa/admin` is any namespace's account `admin`,
// `…/sa/bask*` any account that begins so (istio-semantics section 1.4, class P). Whoever may make
// a namespace or an account of that name holds the identity.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "analyze/reach.h"
#include "analyze/rule.h"
#include "analyze/value_forms.h"
#include "base/text.h"

namespace meshproof::principal_open_to_outsiders {
namespace {

struct Outsider {
  std::string identity;  // without spiffe://
  std::string makes;     // "a namespace" or "an account in namespace shop"
};

std::optional<Outsider> OfSuffix(std::string_view pattern, const std::string& domain) {
  std::string_view rest = pattern.substr(1);
  std::vector<std::string_view> parts = Split(rest, '/');
  bool segment = rest.starts_with('/');
  const std::string attacker = domain + "/ns/attacker";
  const std::string last(parts.back());
  if (segment) {
    // "/admin", "/sa/admin": the namespace is open.
    if (parts.size() == 2 || (parts.size() == 3 && parts[1] == "sa")) {
      return Outsider{attacker + "/sa/" + last, "a namespace"};
    }
    return std::nullopt;
  }
  if (parts.size() == 1) return Outsider{attacker + "/sa/x" + last, "a namespace"};
  if (parts.size() == 2 && std::string_view("sa").ends_with(parts[0])) {
    return Outsider{attacker + "/sa/" + last, "a namespace"};
  }
  if (parts.size() == 3 && parts[1] == "sa") {
    return Outsider{attacker + std::string(parts[0]) + "/sa/" + last, "a namespace"};
  }
  return std::nullopt;
}

std::optional<Outsider> OfPrefix(std::string_view pattern, const std::string& domain) {
  std::string prefix(pattern.substr(0, pattern.size() - 1));
  if (prefix.empty() || prefix.ends_with('/')) return std::nullopt;
  std::vector<std::string_view> parts = Split(prefix, '/');
  if (parts[0] != domain && parts[0] != "cluster.local") return std::nullopt;
  if (parts.size() == 3) return Outsider{prefix + "-attacker/sa/default", "a namespace"};
  if (parts.size() == 5) {
    return Outsider{prefix + "-attacker", "an account in namespace " + std::string(parts[2])};
  }
  return std::nullopt;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const AuthorizationPolicy& policy) {
    bool deny = policy.action == AuthorizationPolicy::Action::kDeny;
    if (policy.dry_run || (!deny && policy.action != AuthorizationPolicy::Action::kAllow)) return;
    for (const PolicyValue& value : ValuesOf(policy)) {
      // Of a DENY what it spares.
      if (value.kind != PolicyValue::Kind::kPrincipal || value.negated != deny) continue;
      std::string_view text = value.text->value;
      if (text.size() < 2 || PrincipalForm(text, analysis_.model.mesh_config)) continue;
      const std::string& domain = analysis_.model.mesh_config.trust_domain;
      std::optional<Outsider> outsider;
      if (text.starts_with('*')) {
        outsider = OfSuffix(text, domain);
      } else if (text.ends_with('*')) {
        outsider = OfPrefix(text, domain);
      }
      if (outsider) Ask(policy, value, *outsider, deny);
    }
  }

 private:
  static size_t RuleOf(const PolicyValue& value) {
    size_t open = value.field_path.find('[');
    size_t close = value.field_path.find(']');
    return ParseUnsigned(value.field_path.substr(open + 1, close - open - 1)).value_or(0);
  }

  void Ask(const AuthorizationPolicy& policy, const PolicyValue& value, const Outsider& outsider,
           bool deny) {
    size_t index = RuleOf(value);
    constexpr size_t kMostSites = 3;
    std::vector<const Site*> sites = analysis_.reach->SitesOf(policy);
    if (sites.size() > kMostSites) sites.resize(kMostSites);
    for (const Site* site : sites) {
      Region who = Region::Is(Region::Field::kIdentity, outsider.identity);
      if (deny) {
        // It would have been refused under another name.
        Region rest = RegionWithoutSources(policy.rules[index], policy.meta.ns);
        who = Region::And({who, rest});
      } else {
        std::vector<Region> others;
        for (const AuthorizationPolicy* other : site->policies.allow) {
          for (size_t k = 0; k < other->rules.size(); ++k) {
            if (other == &policy && k == index) continue;
            others.push_back(Region::Rule(other->meta, static_cast<int>(k)));
          }
        }
        who = Region::And({who, Region::Rule(policy.meta, static_cast<int>(index)),
                           Region::Not(Region::Or(std::move(others)))});
      }
      for (int port : analysis_.reach->CalledPorts(*site)) {
        Answer answer = analysis_.reach->Find(site->workload(), port, who, Wanted::kAllowed);
        if (!answer.found()) continue;
        if (deny && !RefusesOthers(*answer.example, policy)) continue;
        Report(policy, value, outsider, *answer.example);
        return;
      }
    }
  }

  static Region RegionWithoutSources(const AuthorizationPolicy::Rule& rule, std::string_view ns) {
    AuthorizationPolicy::Rule rest = rule;
    rest.from.clear();
    std::erase_if(rest.when, [](const AuthorizationPolicy::Condition& condition) {
      return condition.key.value == "source.principal";
    });
    return RegionOf(rest, ns);
  }

  // The same request under an identity that nothing names.
  bool RefusesOthers(const Example& example, const AuthorizationPolicy& policy) const {
    Case other = example.request;
    other.from_identity =
        "spiffe://" + analysis_.model.mesh_config.trust_domain + "/ns/stranger/sa/nobody";
    if (!other.now) other.now = analysis_.now;
    auto verdict = analysis_.world.Run(other, World::Addresses::kAssume, Detail::kVerdict);
    return verdict.ok() && verdict.value().outcome == Outcome::kDeny &&
           verdict.value().decided_by.object == &policy.meta;
  }

  void Report(const AuthorizationPolicy& policy, const PolicyValue& value, const Outsider& outsider,
              const Example& example) {
    Finding& finding = reporter_.Report(policy.meta, value.text->span,
                                        "`" + std::string(value.text->value) +
                                            "` is an identity that outsiders can get: whoever "
                                            "may make " +
                                            outsider.makes + " gets in as " + outsider.identity +
                                            "; write the whole principal");
    finding.field_path = value.field_path;
    finding.fix = "Write the whole principal, `trust-domain/ns/NAMESPACE/sa/ACCOUNT`.";
    AttachExample(analysis_, example, &finding);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    checker.Check(policy);
  }
}

}  // namespace meshproof::principal_open_to_outsiders

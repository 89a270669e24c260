// Which security filters a proxy gets. A filter of an action is there as soon as one policy of that
// action reaches the workload, even if all its rules had to be dropped: an ALLOW filter without a
// rule denies everything. Dry-run rules become shadow rules. CUSTOM is a DENY rule set in the
// shadow and an ext_authz filter that asks only where it matched; with a broken provider, or
// several of them on one workload, the rules are enforced as DENY.

#include "proxy/filter_builder.h"

#include <algorithm>

#include "proxy/jwt.h"
#include "proxy/trust_domain.h"

namespace meshproof {
namespace {

Rbac::Action ActionOf(const AuthorizationPolicy& policy) {
  switch (policy.action) {
    case AuthorizationPolicy::Action::kAllow:
      return Rbac::Action::kAllow;
    case AuthorizationPolicy::Action::kAudit:
      return Rbac::Action::kLog;
    case AuthorizationPolicy::Action::kDeny:
    case AuthorizationPolicy::Action::kCustom:
      return Rbac::Action::kDeny;
  }
  return Rbac::Action::kDeny;
}

// istiod reads the shadow rules' action, and absent ones count as ALLOW.
std::string ShadowPrefix(const std::optional<Rbac>& shadow) {
  if (!shadow || shadow->action == Rbac::Action::kAllow) return "istio_dry_run_allow_";
  return shadow->action == Rbac::Action::kDeny ? "istio_dry_run_deny_" : "";
}

using Policies = std::vector<const AuthorizationPolicy*>;

void Partition(const Policies& policies, Policies* enforced, Policies* dry_run) {
  for (const AuthorizationPolicy* policy : policies) {
    (policy->dry_run ? dry_run : enforced)->push_back(policy);
  }
}

}  // namespace

FilterBuilder::FilterBuilder(const Mesh& mesh)
    : mesh_(mesh), trust_domains_(TrustDomainBundle(mesh.config())) {}

const RbacPolicies& FilterBuilder::Rules(const AuthorizationPolicy& policy, const Form& form,
                                         Variant variant) const {
  {
    const std::lock_guard lock(mutex_);
    const auto known = rules_.find({&policy, form, variant});
    if (known != rules_.end()) return *known->second;
  }
  RuleContext context;
  context.kind = form.kind;
  context.tunnelled = form.peer == Peer::kTunnel;
  context.action = ActionOf(policy);
  context.trust_domains = trust_domains_;
  if (variant != Variant::kPlain) {
    context.name_prefix = "istio-ext-authz-";
    const std::string_view provider = policy.provider.value;
    if (!provider.empty()) context.name_prefix += std::string(provider) + "-";
  }
  if (variant == Variant::kBrokenCustom) {
    context.name_suffix = "-deny-due-to-bad-CUSTOM-action";
  }
  auto rules = std::make_unique<const RbacPolicies>(CompileRules(policy, context));
  // Whoever is first is heard: everybody has the same rules.
  const std::lock_guard lock(mutex_);
  std::unique_ptr<const RbacPolicies>& kept = rules_[{&policy, form, variant}];
  if (kept == nullptr) kept = std::move(rules);
  return *kept;
}

const ResolvedProvider& FilterBuilder::Provider(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<const ResolvedProvider>& provider = providers_[name];
  if (provider == nullptr) {
    provider = std::make_unique<const ResolvedProvider>(ResolveProvider(mesh_, name));
  }
  return *provider;
}

Rbac FilterBuilder::Combine(const Policies& policies, Rbac::Action action, const Form& form,
                            Variant variant) const {
  Rbac rbac;
  rbac.action = action;
  for (const AuthorizationPolicy* policy : policies) {
    const RbacPolicies& rules = Rules(*policy, form, variant);
    rbac.policies.insert(rbac.policies.end(), rules.begin(), rules.end());
  }
  SortPolicies(&rbac.policies);
  return rbac;
}

std::optional<RbacFilter> FilterBuilder::Enforce(const Policies& policies, Rbac::Action action,
                                                 const Form& form) const {
  if (policies.empty()) return std::nullopt;
  Policies enforced, dry_run;
  Partition(policies, &enforced, &dry_run);
  RbacFilter filter;
  if (!enforced.empty()) filter.rules = Combine(enforced, action, form, Variant::kPlain);
  if (!dry_run.empty()) filter.shadow_rules = Combine(dry_run, action, form, Variant::kPlain);
  filter.shadow_rules_stat_prefix = ShadowPrefix(filter.shadow_rules);
  if (form.kind == FilterKind::kNetwork) filter.stat_prefix = "tcp.";
  return filter;
}

std::vector<FilterBuilder::CustomPair> FilterBuilder::Custom(const Policies& policies,
                                                             const Form& form) const {
  std::map<std::string, Policies> by_provider;
  for (const AuthorizationPolicy* policy : policies) {
    by_provider[std::string(policy->provider.value)].push_back(policy);
  }
  const bool several_allowed =
      mesh_.FeatureEnabled("PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", false);
  const bool conflict = by_provider.size() > 1 && !several_allowed;
  std::vector<CustomPair> pairs;
  for (const auto& [name, own] : by_provider) {
    const ResolvedProvider& provider = Provider(name);
    CustomPair pair;
    if (form.kind == FilterKind::kNetwork) pair.gate.stat_prefix = "tcp.";
    if (conflict || !provider.error.empty()) {
      pair.gate.rules = Combine(own, Rbac::Action::kDeny, form, Variant::kBrokenCustom);
      pairs.push_back(std::move(pair));
      continue;
    }
    pair.service = form.kind == FilterKind::kHttp ? provider.http : provider.network;
    if (!pair.service) continue;  // an HTTP provider protects no TCP traffic
    // Dry-run CUSTOM does not pass validation; stored, istiod puts it into the enforced rules.
    Policies shadow, dry_run;
    Partition(own, &shadow, &dry_run);
    if (!dry_run.empty()) {
      pair.gate.rules = Combine(dry_run, Rbac::Action::kDeny, form, Variant::kCustom);
    }
    if (!shadow.empty()) {
      pair.gate.shadow_rules = Combine(shadow, Rbac::Action::kDeny, form, Variant::kCustom);
    }
    pair.gate.shadow_rules_stat_prefix = "istio_ext_authz_";
    pair.service->origin = {&own.front()->meta, -1, own.front()->provider.span};
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

std::vector<HttpFilter> FilterBuilder::HttpFilters(const PolicySet& policies,
                                                   bool clear_route_cache, Peer peer) const {
  const Form form{FilterKind::kHttp, peer};
  std::vector<HttpFilter> filters;
  for (CustomPair& pair : Custom(policies.custom, form)) {
    filters.emplace_back(std::move(pair.gate));
    if (pair.service) filters.emplace_back(*std::move(pair.service));
  }
  if (std::optional<JwtFilter> jwt =
          CompileJwtFilter(mesh_, policies.request_authentications, mesh_.config().root_namespace,
                           clear_route_cache)) {
    filters.emplace_back(*std::move(jwt));
  }
  const auto add = [&](const Policies& own, Rbac::Action action) {
    std::optional<RbacFilter> filter = Enforce(own, action, form);
    if (filter) filters.emplace_back(*std::move(filter));
  };
  add(policies.audit, Rbac::Action::kLog);
  add(policies.deny, Rbac::Action::kDeny);
  add(policies.allow, Rbac::Action::kAllow);
  return filters;
}

std::vector<NetworkFilter> FilterBuilder::NetworkFilters(const PolicySet& policies,
                                                         Peer peer) const {
  const Form form{FilterKind::kNetwork, peer};
  std::vector<NetworkFilter> filters;
  for (CustomPair& pair : Custom(policies.custom, form)) {
    filters.emplace_back(std::move(pair.gate));
    if (pair.service) filters.emplace_back(*std::move(pair.service));
  }
  const auto add = [&](const Policies& own, Rbac::Action action) {
    std::optional<RbacFilter> filter = Enforce(own, action, form);
    if (filter) filters.emplace_back(*std::move(filter));
  };
  add(policies.audit, Rbac::Action::kLog);
  add(policies.deny, Rbac::Action::kDeny);
  add(policies.allow, Rbac::Action::kAllow);
  return filters;
}

}  // namespace meshproof

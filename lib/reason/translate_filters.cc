// What the filters of a chain say in their order: CUSTOM, jwt_authn, RBAC, and those that cannot be
// seen through (envoy-facts sections 1 to 3 and 5).

#include <algorithm>

#include "reason/translator.h"

namespace meshproof {
namespace {

constexpr std::string_view kShadowId = "shadow_effective_policy_id";

}  // namespace

RuleInChain PortModel::Translator::TranslateRule(const std::shared_ptr<const RbacPolicy>& policy,
                                                 Rbac::Action action, bool custom,
                                                 const Scope& scope) {
  RuleInChain rule;
  rule.policy = policy.get();
  rule.action = action;
  rule.custom = custom;
  std::vector<Expr> permissions, principals;
  for (const Predicate& one : policy->permissions) permissions.push_back(Translate(one, scope));
  for (const Predicate& one : policy->principals) principals.push_back(Translate(one, scope));
  Expr condition = kAlways;
  if (policy->has_condition) {
    condition = Opaque("condition of " + policy->name,
                       "the CEL condition of " + policy->name + " cannot be seen through");
  }
  std::vector<Expr> any;
  for (size_t i = 0; i < permissions.size(); ++i) {
    for (size_t j = 0; j < principals.size(); ++j) {
      Expr both = space.And(condition, space.And(permissions[i], principals[j]));
      rule.pairs.push_back({i, j, both});
    }
  }
  for (const Predicate* part : ConditionsOf(*policy)) {
    rule.conditions.emplace_back(part, Translate(*part, scope));
  }
  rule.match = space.And(condition, space.And(space.OrAll(std::move(permissions)),
                                              space.OrAll(std::move(principals))));
  return rule;
}

void PortModel::Translator::RunShadow(const RbacFilter& filter, const Scope& scope,
                                      ChainModel* chain, ShadowIds* ids) {
  const Rbac& rules = *filter.shadow_rules;
  bool custom = filter.shadow_rules_stat_prefix == "istio_ext_authz_";
  if (!custom) return;  // dry run: nothing reads what it leaves
  Expr none_yet = kAlways;
  std::vector<std::pair<std::string, Expr>> now;
  for (const auto& policy : rules.policies) {
    RuleInChain rule = TranslateRule(policy, rules.action, true, scope);
    rule.enforced = false;
    now.emplace_back(policy->name, space.And(none_yet, rule.match));
    none_yet = space.And(none_yet, space.Not(rule.match));
    chain->rules.push_back(std::move(rule));
  }
  for (auto& [id, when] : ids->ids) when = space.And(when, none_yet);
  ids->ids.insert(ids->ids.end(), now.begin(), now.end());
}

void PortModel::Translator::Enforce(const RbacFilter& filter, const Scope& scope,
                                    ChainModel* chain) {
  const Rbac& rules = *filter.rules;
  std::vector<Expr> any;
  for (const auto& policy : rules.policies) {
    bool broken = policy->name.find("bad-CUSTOM-action") != std::string::npos;
    chain->rules.push_back(TranslateRule(policy, rules.action, broken, scope));
    any.push_back(chain->rules.back().match);
  }
  Expr matched = space.OrAll(std::move(any));
  if (rules.action == Rbac::Action::kAllow) {
    ++chain->allow_filters;
    chain->admitted = space.And(chain->admitted, matched);
  } else if (rules.action == Rbac::Action::kDeny) {
    chain->denied = space.Or(chain->denied, matched);
  }
}

void PortModel::Translator::AskAuthorizer(const ExtAuthzFilter& filter, Expr route_found,
                                          const ShadowIds& http, const ShadowIds& network,
                                          ChainModel* chain) {
  Expr open = kAlways;
  if (!filter.gate_filter.empty()) {
    const ShadowIds& ids = filter.gate_filter == kNetworkRbac ? network : http;
    bool known = filter.gate_key == std::string("istio_ext_authz_") + std::string(kShadowId);
    std::vector<Expr> any;
    for (const auto& [id, when] : ids.ids) {
      if (known && id.starts_with(filter.gate_prefix)) any.push_back(when);
    }
    open = space.OrAll(std::move(any));
  }
  open = space.And(open, route_found);
  model.providers_.insert(filter.provider);
  Expr agrees = Flag(std::string(kAuthorizer) + filter.provider);
  chain->gates.emplace_back(filter.provider, open);
  chain->custom_ok = space.And(chain->custom_ok, space.Or(space.Not(open), agrees));
}

// The token that the request carries is one that a provider of this filter
// accepts.
Expr PortModel::Translator::Accepted(const JwtFilter& jwt) {
  std::vector<Expr> any;
  for (const JwtProvider& provider : jwt.providers) {
    Expr accepts = kAlways;
    if (provider.issuer.empty()) {
      accepts = space.IsPresent(Issuer());
    } else {
      accepts = Text(Issuer(), {StringPattern::Kind::kExact, provider.issuer, false}, 0);
    }
    std::vector<Expr> audiences;
    for (const std::string& audience : provider.audiences) {
      audiences.push_back(Text(Claim({"aud"}), {StringPattern::Kind::kExact, audience, false}));
    }
    if (!audiences.empty()) accepts = space.And(accepts, space.OrAll(std::move(audiences)));
    any.push_back(accepts);
  }
  return space.OrAll(std::move(any));
}

bool PortModel::Translator::NeedsToken(const JwtRequirement& requirement) {
  using Kind = JwtRequirement::Kind;
  switch (requirement.kind) {
    case Kind::kProvider:
      return true;
    case Kind::kAny:
      return std::all_of(requirement.children.begin(), requirement.children.end(), NeedsToken);
    case Kind::kAll:
      return std::any_of(requirement.children.begin(), requirement.children.end(), NeedsToken);
    case Kind::kAllowMissing:
    case Kind::kAllowMissingOrFailed:
      return false;
  }
  return false;
}

void PortModel::Translator::CheckToken(const JwtFilter& jwt, Scope* scope, ChainModel* chain,
                                       SideModel* side) {
  Expr accepted = Accepted(jwt);
  Expr token = space.IsPresent(Issuer());
  Expr rest = kAlways;
  Expr checked = kNever;
  Expr strict = kNever;
  for (const JwtRuleMatch& rule : jwt.rules) {
    Expr matches = rule.prefix == "/"
                       ? kAlways
                       : Text(Path(), {StringPattern::Kind::kPrefix, rule.prefix, false});
    if (rule.requirement) {
      checked = space.Or(checked, space.And(rest, matches));
      if (NeedsToken(*rule.requirement)) strict = space.Or(strict, space.And(rest, matches));
    }
    rest = space.And(rest, space.Not(matches));
  }
  chain->jwt = &jwt;
  side->has_jwt = true;
  side->token_accepted = space.Or(side->token_accepted, accepted);
  scope->jwt = &jwt;
  scope->payload = space.And(space.And(checked, token), accepted);
  Expr refused = space.And(checked, space.And(token, space.Not(accepted)));
  if (jwt.bypass_cors_preflight && strict != kNever) {
    strict = space.And(strict, space.Not(Opaque("preflight", "a CORS preflight is not checked")));
  }
  refused = space.Or(refused, space.And(strict, space.Not(token)));
  chain->token_ok = space.Not(refused);
}

void PortModel::Translator::RunHttp(const HttpConnectionManager& manager, Scope scope,
                                    ChainModel* chain, SideModel* side) {
  chain->http = true;
  scope.http = true;
  scope.remote_is_source = manager.use_remote_address && manager.xff_num_trusted_hops == 0;
  model.edge_ = manager.use_remote_address;
  model.trusted_hops_ = manager.xff_num_trusted_hops;
  Scope after_jwt = scope;
  Expr route_found = kAlways;
  const RouteConfiguration* routes = manager.routes.get();
  if (routes == nullptr && !manager.rds.empty()) {
    routes = side->proxy->FindRoutes(manager.rds);
    if (routes == nullptr) {
      route_found = Opaque("routes " + manager.rds,
                           "route configuration " + manager.rds + " is not in the input");
    }
  }
  bool gateway = side->proxy->mode == ProxyMode::kGateway;
  // Claims that routes ask about are those of a verified token.
  for (const HttpFilter& filter : manager.http_filters) {
    const auto* jwt = std::get_if<JwtFilter>(&filter);
    if (jwt == nullptr) continue;
    ChainModel unused;
    SideModel unused_side;
    CheckToken(*jwt, &after_jwt, &unused, &unused_side);
  }
  if (routes != nullptr && gateway) Routes(*routes, after_jwt, chain, &route_found);
  ShadowIds ids, no_ids;
  BlurWhatDumpsHave(manager, chain);
  for (const HttpFilter& filter : manager.http_filters) {
    if (std::visit([](const auto& any) { return any.disabled; }, filter)) continue;
    if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
      if (rbac->shadow_rules) RunShadow(*rbac, scope, chain, &ids);
      if (rbac->rules) Enforce(*rbac, scope, chain);
    } else if (const auto* jwt = std::get_if<JwtFilter>(&filter)) {
      CheckToken(*jwt, &scope, chain, side);
    } else if (const auto* authorizer = std::get_if<ExtAuthzFilter>(&filter)) {
      AskAuthorizer(*authorizer, route_found, ids, no_ids, chain);
    } else if (const auto* opaque = std::get_if<OpaqueFilter>(&filter);
               opaque != nullptr && opaque->effect == OpaqueFilter::Effect::kUnknown) {
      chain->clear = space.And(
          chain->clear,
          Opaque("filter " + opaque->name, "filter " + opaque->name + " cannot be seen through"));
    }
  }
}

// What Envoy has and istiod does not use is not reasoned about: it may let pass or not.
void PortModel::Translator::BlurWhatDumpsHave(const HttpConnectionManager& manager,
                                              ChainModel* chain) {
  auto blur = [&](const std::string& what) {
    chain->clear = space.And(chain->clear, Opaque(what, what + " is not reasoned about"));
  };
  for (const std::string& setting : manager.opaque) blur("setting " + setting);
  for (const HttpFilter& filter : manager.http_filters) {
    const auto* rbac = std::get_if<RbacFilter>(&filter);
    if (rbac != nullptr && rbac->matcher != nullptr) blur("an RBAC matcher tree");
    if (std::visit([](const auto& any) { return any.disabled; }, filter)) {
      blur("a filter that routes may turn on");
    }
  }
  if (manager.routes == nullptr) return;
  for (const VirtualHost& virtual_host : manager.routes->virtual_hosts) {
    bool changed = !virtual_host.overrides.empty();
    for (const Route& route : virtual_host.routes) changed |= !route.overrides.empty();
    if (changed) blur("what routes change of filters");
  }
}

void PortModel::Translator::RunNetwork(Scope scope, ChainModel* chain, SideModel* side) {
  scope.http = false;
  ShadowIds ids, no_ids;
  bool ends = false;
  for (const NetworkFilter& filter : *chain->chain->filters) {
    if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
      if (rbac->shadow_rules) RunShadow(*rbac, scope, chain, &ids);
      if (rbac->rules) Enforce(*rbac, scope, chain);
    } else if (const auto* authorizer = std::get_if<ExtAuthzFilter>(&filter)) {
      AskAuthorizer(*authorizer, kAlways, no_ids, ids, chain);
    } else if (const auto* tcp = std::get_if<TcpProxy>(&filter)) {
      if (tcp->cluster == "BlackHoleCluster") chain->clear = kNever;
      ends = true;
      break;
    } else if (const auto* http =
                   std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter)) {
      RunHttp(**http, scope, chain, side);
      ends = true;
      break;
    } else if (const auto* opaque = std::get_if<OpaqueFilter>(&filter);
               opaque != nullptr && opaque->effect == OpaqueFilter::Effect::kUnknown) {
      chain->clear = space.And(
          chain->clear,
          Opaque("filter " + opaque->name, "filter " + opaque->name + " cannot be seen through"));
    }
  }
  if (!ends) chain->clear = kNever;
}

}  // namespace meshproof

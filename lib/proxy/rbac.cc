// One rule of an AuthorizationPolicy becomes one RBAC policy: each entry of `to` a permission, each
// entry of `from` a principal, inside an entry the AND over its fields, inside a field the OR over
// its values and NOT of the OR over the negated ones. Conditions (`when`) on the destination are
// repeated in every permission, all others in every principal.
//
// What cannot be expressed is the heart of it (istio-semantics section 1.3): an unknown key skips
// the rule for every action; a bad value or an HTTP field in a network filter skips the rule for
// ALLOW, and for DENY and AUDIT drops just itself, which makes the rule wider.

#include "proxy/rbac.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "base/text.h"
#include "match/ip.h"
#include "match/path.h"
#include "proxy/filter_names.h"
#include "proxy/string_class.h"
#include "proxy/trust_domain.h"

namespace meshproof {
namespace {

constexpr std::string_view kJwtFilter = "envoy.filters.http.jwt_authn";
constexpr std::string_view kRequestHeaders = "request.headers";
constexpr std::string_view kRequestClaims = "request.auth.claims";
constexpr std::string_view kExperimental = "experimental.envoy.filters.";

Predicate Leaf(decltype(Predicate::match) match) {
  Predicate predicate;
  predicate.match = std::move(match);
  return predicate;
}

Predicate Not(Predicate inner) {
  NotPredicate negation;
  negation.inner.push_back(std::move(inner));
  return Leaf(std::move(negation));
}

Predicate And(std::vector<Predicate> all) {
  if (all.empty()) all.push_back(Leaf(AnyPredicate{}));
  return Leaf(AndPredicate{std::move(all)});
}

// The values of one list turned into a matcher each. Nothing: the value cannot be expressed.
using ValueCompiler = std::function<std::optional<Predicate>(std::string_view)>;

std::optional<Predicate> CompileAddress(AddressField field, std::string_view value) {
  const std::optional<CidrRange> range = ParseCidr(value);
  if (!range) return std::nullopt;
  const std::optional<IpAddress> address = ParseIpAddress(value.substr(0, value.find('/')));
  AddressPredicate predicate;
  predicate.field = field;
  predicate.range = *range;
  predicate.address_prefix = ToString(address ? *address : range->address);
  return Leaf(std::move(predicate));
}

std::optional<Predicate> CompilePort(std::string_view value) {
  const std::optional<unsigned long> port = ParseUnsigned(value);
  if (!port || *port > 65535) return std::nullopt;
  PortPredicate predicate;
  predicate.begin = static_cast<uint32_t>(*port);
  predicate.end = predicate.begin + 1;
  return Leaf(predicate);
}

std::optional<Predicate> CompilePath(std::string_view value) {
  if (std::optional<std::string> path_template = PathTemplateOf(value)) {
    PathTemplatePredicate predicate;
    Result<Regex> regex = CompilePathTemplate(*path_template);
    if (regex.ok()) predicate.regex = regex.Take();
    predicate.path_template = *std::move(path_template);
    return Leaf(std::move(predicate));
  }
  return Leaf(UrlPathPredicate{MatchString(value)});
}

Predicate PeerNamed(StringMatcher name, bool tunnelled) {
  if (tunnelled) return Leaf(FilterStatePredicate{std::string(kPeerPrincipal), std::move(name)});
  return Leaf(AuthenticatedPredicate{std::move(name)});
}

Predicate ClaimIs(std::string_view claim, StringMatcher matcher) {
  MetadataPredicate predicate;
  predicate.filter = std::string(kJwtFilter);
  predicate.path = {"payload", std::string(claim)};
  predicate.value.kind = ValueMatcher::Kind::kString;
  predicate.value.string = std::move(matcher);
  return Leaf(std::move(predicate));
}

Predicate CompileRequestPrincipal(std::string_view value) {
  std::pair<StringMatcher, StringMatcher> matchers = MatchRequestPrincipal(value);
  std::vector<Predicate> both;
  both.push_back(ClaimIs("iss", std::move(matchers.first)));
  both.push_back(ClaimIs("sub", std::move(matchers.second)));
  return Leaf(AndPredicate{std::move(both)});
}

ValueMatcher CompileExperimentalValue(std::string_view value) {
  ValueMatcher matcher;
  matcher.kind = ValueMatcher::Kind::kString;
  if (value.size() < 2 || !value.starts_with('[') || !value.ends_with(']')) {
    matcher.string = MatchString(value);
    return matcher;
  }
  // istiod trims every bracket on both ends.
  while (!value.empty() && (value.front() == '[' || value.front() == ']')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == '[' || value.back() == ']')) value.remove_suffix(1);
  matcher.string = MatchString(value);
  ValueMatcher list;
  list.kind = ValueMatcher::Kind::kList;
  list.children.push_back(std::move(matcher));
  return list;
}

// How istiod writes one kind of list.
struct ListForm {
  bool http_only = false;    // not to be had in a network filter
  bool distinct = false;     // equal alternatives are written once
  bool bare_single = false;  // a single alternative stands without an OR around it
};
constexpr ListForm kPlainList = {};
constexpr ListForm kHttpList = {.http_only = true};
constexpr ListForm kRequestPrincipalList = {.http_only = true, .bare_single = true};
constexpr ListForm kTrustDomainList = {.distinct = true};

const StringMatcher* PeerName(const Predicate& predicate) {
  if (const auto* state = std::get_if<FilterStatePredicate>(&predicate.match)) return &state->value;
  const auto* peer = std::get_if<AuthenticatedPredicate>(&predicate.match);
  return peer != nullptr && peer->principal_name ? &*peer->principal_name : nullptr;
}

bool IsSameName(const Predicate& a, const Predicate& b) {
  const StringMatcher* x = PeerName(a);
  const StringMatcher* y = PeerName(b);
  return x != nullptr && y != nullptr && x->kind == y->kind && x->value == y->value;
}

// Collects the AND of one permission or principal; `failed` once an ALLOW rule has to go.
class Conjunction {
 public:
  Conjunction(const RuleContext& context, bool* failed) : context_(context), failed_(failed) {}

  void Add(std::string_view field, const TextList& values, std::string_view not_field,
           const TextList& not_values, const ListForm& form, const ValueCompiler& compile) {
    AddList(field, values, false, form, compile);
    AddList(not_field, not_values, true, form, compile);
  }

  // A list that becomes one metadata condition as a whole.
  void AddWhole(std::string_view field, const TextList& values, const TextList& not_values,
                bool http_only, const std::optional<MetadataPredicate>& base,
                const std::function<ValueMatcher(const TextList&)>& compile) {
    AddWholeList(field, values, false, http_only, base, compile);
    AddWholeList(field, not_values, true, http_only, base, compile);
  }

  std::vector<Predicate> Take() { return std::move(all_); }

 private:
  bool NotForNetwork(bool http_only) const {
    return http_only && context_.kind == FilterKind::kNetwork;
  }
  void Fail() {
    if (context_.action == Rbac::Action::kAllow) *failed_ = true;
  }

  void AddList(std::string_view field, const TextList& list, bool negated, const ListForm& form,
               const ValueCompiler& compile) {
    if (list.empty()) return;
    if (NotForNetwork(form.http_only)) return Fail();
    OrPredicate any;
    any.any.reserve(list.values.size());
    for (const Text& value : list.values) {
      std::optional<Predicate> leaf = compile(value.value);
      if (!leaf) {
        Fail();
        continue;
      }
      AddAlternatives(value, *std::move(leaf), form.distinct, &any);
    }
    if (any.any.empty()) return;
    const bool bare = form.bare_single && any.any.size() == 1;
    Predicate predicate = bare ? std::move(any.any.front()) : Leaf(std::move(any));
    if (negated) predicate = Not(std::move(predicate));
    Name(field, list, &predicate);
    all_.push_back(std::move(predicate));
  }

  // A value that trust domains have multiplied arrives as an OR and joins the list flat.
  static void AddAlternatives(const Text& value, Predicate leaf, bool distinct, OrPredicate* any) {
    const auto add = [&](Predicate& each) {
      const bool known =
          distinct && std::any_of(any->any.begin(), any->any.end(),
                                  [&](const auto& b) { return IsSameName(each, b); });
      if (known) return;
      each.span = value.span;
      each.written = std::string(value.value);
      any->any.push_back(std::move(each));
    };
    auto* alternatives = std::get_if<OrPredicate>(&leaf.match);
    if (alternatives == nullptr) return add(leaf);
    for (Predicate& each : alternatives->any) add(each);
  }

  void AddWholeList(std::string_view field, const TextList& list, bool negated, bool http_only,
                    const std::optional<MetadataPredicate>& base,
                    const std::function<ValueMatcher(const TextList&)>& compile) {
    if (list.empty()) return;
    if (NotForNetwork(http_only) || !base) return Fail();
    MetadataPredicate metadata = *base;
    metadata.value = compile(list);
    Predicate predicate = Leaf(std::move(metadata));
    std::vector<std::string> written;
    for (const Text& value : list.values) written.emplace_back(value.value);
    predicate.written = Join(written, ", ");
    if (negated) {
      Name(field, list, &predicate);
      predicate = Not(std::move(predicate));
    }
    Name(field, list, &predicate);
    all_.push_back(std::move(predicate));
  }

  static void Name(std::string_view field, const TextList& list, Predicate* predicate) {
    predicate->field = std::string(field);
    predicate->span = list.span;
  }

  const RuleContext& context_;
  bool* failed_;
  std::vector<Predicate> all_;
};

class RuleCompiler {
 public:
  RuleCompiler(const AuthorizationPolicy& policy, const AuthorizationPolicy::Rule& rule,
               const RuleContext& context)
      : policy_(policy), rule_(rule), context_(context) {}

  // Nothing: istiod skips the rule.
  std::optional<RbacPolicy> Compile() {
    for (const auto& condition : rule_.when) {
      if (SideOf(condition.key.value) == Side::kUnknown) return std::nullopt;
    }
    RbacPolicy compiled;
    if (rule_.to.empty()) compiled.permissions.push_back(CompilePermission(nullptr));
    for (const auto& operation : rule_.to) {
      compiled.permissions.push_back(CompilePermission(&operation));
    }
    if (rule_.from.empty()) compiled.principals.push_back(CompilePrincipal(nullptr));
    for (const auto& source : rule_.from) {
      compiled.principals.push_back(CompilePrincipal(&source));
    }
    if (failed_) return std::nullopt;
    return compiled;
  }

 private:
  enum class Side { kUnknown, kDestination, kSource };

  static Side SideOf(std::string_view key) {
    if (key == "destination.ip" || key == "destination.port" || key == "connection.sni" ||
        key.starts_with(kExperimental)) {
      return Side::kDestination;
    }
    for (const std::string_view known :
         {"source.ip", "remote.ip", "source.namespace", "source.serviceAccount", "source.principal",
          "source.trustDomain", "request.auth.principal", "request.auth.audiences",
          "request.auth.presenter"}) {
      if (key == known) return Side::kSource;
    }
    const bool prefixed = key.starts_with(kRequestHeaders) || key.starts_with(kRequestClaims);
    return prefixed ? Side::kSource : Side::kUnknown;
  }

  Predicate CompilePermission(const AuthorizationPolicy::Operation* operation) {
    Conjunction all(context_, &failed_);
    if (operation != nullptr) {
      all.Add("hosts", operation->hosts, "notHosts", operation->not_hosts, kHttpList,
              [](std::string_view value) -> std::optional<Predicate> {
                return Leaf(HeaderPredicate{MatchHeader(":authority", value, true)});
              });
      all.Add("methods", operation->methods, "notMethods", operation->not_methods, kHttpList,
              [](std::string_view value) -> std::optional<Predicate> {
                return Leaf(HeaderPredicate{MatchHeader(":method", value, false)});
              });
      all.Add("paths", operation->paths, "notPaths", operation->not_paths, kHttpList, CompilePath);
      all.Add("ports", operation->ports, "notPorts", operation->not_ports, kPlainList, CompilePort);
    }
    for (const auto& condition : rule_.when) {
      if (SideOf(condition.key.value) == Side::kDestination) {
        AddDestinationCondition(condition, &all);
      }
    }
    return And(all.Take());
  }

  void AddDestinationCondition(const AuthorizationPolicy::Condition& condition, Conjunction* all) {
    const std::string_view key = condition.key.value;
    const std::string field = "when " + std::string(key);
    const auto add = [&](const ValueCompiler& compile) {
      all->Add(field, condition.values, field, condition.not_values, kPlainList, compile);
    };
    if (key == "destination.ip") {
      add([](std::string_view value) { return CompileAddress(AddressField::kDestination, value); });
    } else if (key == "destination.port") {
      add(CompilePort);
    } else if (key == "connection.sni") {
      add([](std::string_view value) -> std::optional<Predicate> {
        return Leaf(ServerNamePredicate{MatchString(value)});
      });
    } else {
      all->AddWhole(field, condition.values, condition.not_values, false, ExperimentalBase(key),
                    [](const TextList& values) {
                      ValueMatcher any;
                      any.kind = ValueMatcher::Kind::kOr;
                      for (const Text& value : values.values) {
                        any.children.push_back(CompileExperimentalValue(value.value));
                      }
                      if (any.children.size() == 1) {
                        ValueMatcher only = std::move(any.children.front());
                        return only;
                      }
                      return any;
                    });
    }
  }

  // `experimental.envoy.filters.a.b[c]`: filter envoy.filters.a.b, key c.
  static std::optional<MetadataPredicate> ExperimentalBase(std::string_view key) {
    const size_t bracket = key.find('[');
    if (bracket == std::string_view::npos || !key.ends_with(']')) return std::nullopt;
    MetadataPredicate base;
    base.filter = std::string(
        key.substr(sizeof("experimental.") - 1, bracket - (sizeof("experimental.") - 1)));
    base.path = {std::string(key.substr(bracket + 1, key.size() - bracket - 2))};
    return base;
  }

  Predicate CompilePrincipal(const AuthorizationPolicy::Source* source) {
    Conjunction all(context_, &failed_);
    if (source != nullptr) AddSource(*source, &all);
    for (const auto& condition : rule_.when) {
      if (SideOf(condition.key.value) == Side::kSource) AddSourceCondition(condition, &all);
    }
    return And(all.Take());
  }

  void AddSource(const AuthorizationPolicy::Source& source, Conjunction* all) {
    all->Add("principals", source.principals, "notPrincipals", source.not_principals, kPlainList,
             PrincipalCompiler());
    all->Add("requestPrincipals", source.request_principals, "notRequestPrincipals",
             source.not_request_principals, kRequestPrincipalList, CompileRequestPrincipal);
    all->Add("serviceAccounts", source.service_accounts, "notServiceAccounts",
             source.not_service_accounts, kPlainList, ServiceAccountCompiler());
    all->Add("trustDomains", source.trust_domains, "notTrustDomains", source.not_trust_domains,
             kTrustDomainList, TrustDomainCompiler());
    all->Add("namespaces", source.namespaces, "notNamespaces", source.not_namespaces, kPlainList,
             NamespaceCompiler());
    all->Add("remoteIpBlocks", source.remote_ip_blocks, "notRemoteIpBlocks",
             source.not_remote_ip_blocks, kPlainList,
             [](std::string_view value) { return CompileAddress(AddressField::kRemote, value); });
    all->Add(
        "ipBlocks", source.ip_blocks, "notIpBlocks", source.not_ip_blocks, kPlainList,
        [](std::string_view value) { return CompileAddress(AddressField::kDirectRemote, value); });
  }

  void AddSourceCondition(const AuthorizationPolicy::Condition& condition, Conjunction* all) {
    const std::string_view key = condition.key.value;
    const std::string field = "when " + std::string(key);
    const auto add = [&](const ListForm& form, const ValueCompiler& compile) {
      all->Add(field, condition.values, field, condition.not_values, form, compile);
    };
    if (key == "source.ip") {
      add(kPlainList, [](std::string_view value) {
        return CompileAddress(AddressField::kDirectRemote, value);
      });
    } else if (key == "remote.ip") {
      add(kPlainList,
          [](std::string_view value) { return CompileAddress(AddressField::kRemote, value); });
    } else if (key == "source.namespace") {
      add(kPlainList, NamespaceCompiler());
    } else if (key == "source.serviceAccount") {
      add(kPlainList, ServiceAccountCompiler());
    } else if (key == "source.principal") {
      add(kPlainList, PrincipalCompiler());
    } else if (key == "source.trustDomain") {
      add(kTrustDomainList, TrustDomainCompiler());
    } else if (key == "request.auth.principal") {
      add(kRequestPrincipalList, CompileRequestPrincipal);
    } else if (key == "request.auth.audiences") {
      AddClaim(condition, std::vector<std::string>{"aud"}, all);
    } else if (key == "request.auth.presenter") {
      AddClaim(condition, std::vector<std::string>{"azp"}, all);
    } else if (key.starts_with(kRequestHeaders)) {
      const std::optional<std::string> name = NameInBrackets(key.substr(kRequestHeaders.size()));
      add(kHttpList, [&name](std::string_view value) -> std::optional<Predicate> {
        if (!name) return std::nullopt;
        return Leaf(HeaderPredicate{MatchHeader(*name, value, false)});
      });
    } else {
      AddClaim(condition, NamesInNestedBrackets(key.substr(kRequestClaims.size())), all);
    }
  }

  static void AddClaim(const AuthorizationPolicy::Condition& condition,
                       const std::optional<std::vector<std::string>>& claim, Conjunction* all) {
    std::optional<MetadataPredicate> base;
    if (claim) {
      base.emplace();
      base->filter = std::string(kJwtFilter);
      base->path = {"payload"};
      base->path.insert(base->path.end(), claim->begin(), claim->end());
    }
    all->AddWhole("when " + std::string(condition.key.value), condition.values,
                  condition.not_values, true, base, [](const TextList& values) {
                    std::vector<StringMatcher> alternatives;
                    for (const Text& value : values.values) {
                      alternatives.push_back(MatchString(value.value));
                    }
                    return MatchClaim(std::move(alternatives));
                  });
  }

  ValueCompiler PrincipalCompiler() const {
    return [this](std::string_view value) -> std::optional<Predicate> {
      OrPredicate any;
      for (const std::string& each : ExpandPrincipal(value, context_.trust_domains)) {
        any.any.push_back(PeerNamed(MatchPrincipal(each), context_.tunnelled));
      }
      return Leaf(std::move(any));
    };
  }
  ValueCompiler TrustDomainCompiler() const {
    return [this](std::string_view value) -> std::optional<Predicate> {
      OrPredicate any;
      for (const std::string& each : ExpandTrustDomain(value, context_.trust_domains)) {
        any.any.push_back(PeerNamed(MatchTrustDomain(each), context_.tunnelled));
      }
      return Leaf(std::move(any));
    };
  }
  ValueCompiler ServiceAccountCompiler() const {
    return [this](std::string_view value) -> std::optional<Predicate> {
      return PeerNamed(MatchServiceAccount(value, policy_.meta.ns), context_.tunnelled);
    };
  }
  ValueCompiler NamespaceCompiler() const {
    return [this](std::string_view value) -> std::optional<Predicate> {
      return PeerNamed(MatchNamespace(value), context_.tunnelled);
    };
  }

  const AuthorizationPolicy& policy_;
  const AuthorizationPolicy::Rule& rule_;
  const RuleContext& context_;
  bool failed_ = false;
};

std::string RuleName(const AuthorizationPolicy& policy, size_t index, const RuleContext& context) {
  return context.name_prefix + "ns[" + policy.meta.ns + "]-policy[" +
         std::string(policy.meta.name) + "]-rule[" + std::to_string(index) + "]" +
         context.name_suffix;
}

std::shared_ptr<const RbacPolicy> NeverMatches(const AuthorizationPolicy& policy,
                                               const RuleContext& context) {
  auto never = std::make_shared<RbacPolicy>();
  never->name = RuleName(policy, 0, context);
  never->permissions.push_back(Not(Leaf(AnyPredicate{})));
  never->principals.push_back(Not(Leaf(AnyPredicate{})));
  never->origin.object = &policy.meta;
  never->origin.span = policy.meta.span;
  return never;
}

}  // namespace

RbacPolicies CompileRules(const AuthorizationPolicy& policy, const RuleContext& context) {
  if (policy.rules.empty()) return {NeverMatches(policy, context)};
  RbacPolicies compiled;
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    const AuthorizationPolicy::Rule& rule = policy.rules[i];
    if (rule.null) continue;
    std::optional<RbacPolicy> one = RuleCompiler(policy, rule, context).Compile();
    if (!one) continue;
    one->name = RuleName(policy, i, context);
    one->origin.object = &policy.meta;
    one->origin.rule = static_cast<int>(i);
    one->origin.span = rule.span;
    compiled.push_back(std::make_shared<const RbacPolicy>(*std::move(one)));
  }
  return compiled;
}

void SortPolicies(RbacPolicies* policies) {
  const auto name_of = [](const auto& policy) -> const std::string& { return policy->name; };
  std::stable_sort(policies->begin(), policies->end(),
                   [&](const auto& a, const auto& b) { return name_of(a) < name_of(b); });
  policies->erase(
      std::unique(policies->begin(), policies->end(),
                  [&](const auto& a, const auto& b) { return name_of(a) == name_of(b); }),
      policies->end());
}

}  // namespace meshproof

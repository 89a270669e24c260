// Identities are compared by equality of their parts only (istio-semantics section 1.5) as long as
// no pattern is among them: then a renaming of namespaces and of service accounts that keeps
// different names different changes no answer. Everything else that decides has to be equal, and
// stands in the key as it is.

#include "analyze/twins.h"

#include <algorithm>

#include "analyze/policy_lists.h"
#include "analyze/reach.h"

namespace meshproof {
namespace {

void Add(std::string_view text, std::string* key) {
  *key += std::to_string(text.size());
  *key += ':';
  *key += text;
}

void Add(const void* object, std::string* key) {
  *key += std::to_string(reinterpret_cast<uintptr_t>(object)) + ",";
}

bool IsName(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

bool AddName(std::string_view name, Shape* shape) {
  if (!IsName(name)) return false;
  shape->key += "$" + std::to_string(shape->PlaceOf(name));
  return true;
}

struct Identity {
  std::string_view domain, ns, account;
};

// "cluster.local/ns/shop/sa/web", nothing else.
std::optional<Identity> ParseIdentity(std::string_view text) {
  constexpr std::string_view kNamespace = "/ns/", kAccount = "/sa/";
  size_t ns = text.find(kNamespace);
  if (ns == text.npos) return std::nullopt;
  size_t account = text.find(kAccount, ns);
  if (account == text.npos) return std::nullopt;
  size_t ns_begin = ns + kNamespace.size();
  return Identity{text.substr(0, ns), text.substr(ns_begin, account - ns_begin),
                  text.substr(account + kAccount.size())};
}

bool AddIdentity(std::string_view text, Shape* shape) {
  auto identity = ParseIdentity(text);
  if (!identity || !IsName(identity->domain)) return false;
  Add(identity->domain, &shape->key);
  return AddName(identity->ns, shape) && AddName(identity->account, shape);
}

bool AddAccount(std::string_view text, std::string_view ns, Shape* shape) {
  size_t slash = text.find('/');
  if (slash != text.npos) ns = text.substr(0, slash);
  return AddName(ns, shape) && AddName(slash == text.npos ? text : text.substr(slash + 1), shape);
}

bool AddList(const PolicyList& list, std::string_view ns, Shape* shape) {
  shape->key += list.path + "=" + list.name + (list.negative ? "!" : "");
  if (list.name == "when destination.ip") return false;  // each workload has its own
  ListField field = FieldOf(list);
  for (const Text& value : list.values->values) {
    bool said = true;
    switch (field) {
      case ListField::kPrincipal:
        said = AddIdentity(value.value, shape);
        break;
      case ListField::kNamespace:
        said = AddName(value.value, shape);
        break;
      case ListField::kAccount:
        said = AddAccount(value.value, ns, shape);
        break;
      default:
        Add(value.value, &shape->key);
    }
    if (!said) return false;
  }
  return true;
}

bool AddPolicy(const AuthorizationPolicy& policy, Shape* shape) {
  std::string& key = shape->key;
  key += "{" + std::to_string(static_cast<int>(policy.action)) + (policy.dry_run ? "d" : "e");
  Add(policy.provider.value, &key);
  for (const AuthorizationPolicy::Rule& rule : policy.rules) {
    key += "[" + std::to_string(rule.from.size()) + "," + std::to_string(rule.to.size()) + "," +
           std::to_string(rule.when.size()) + (rule.null ? "n" : "");
    for (const PolicyList& list : ListsOf(rule)) {
      if (!AddList(list, policy.meta.ns, shape)) return false;
    }
  }
  return true;
}

const std::vector<const AuthorizationPolicy*> PoliciesOf(const Site& site) {
  std::vector<const AuthorizationPolicy*> all;
  const PolicySet& set = site.policies;
  for (const auto* list : {&set.custom, &set.deny, &set.allow, &set.audit}) {
    all.insert(all.end(), list->begin(), list->end());
  }
  return all;
}

// How many of the policies come before this one where the proxy sorts rules by name.
ptrdiff_t RankOf(const AuthorizationPolicy& policy,
                 const std::vector<const AuthorizationPolicy*>& policies) {
  if (policies.size() == 1) return 0;
  const auto name_of = [](const AuthorizationPolicy& one) {
    return "ns[" + one.meta.ns + "]-policy[" + std::string(one.meta.name) + "]";
  };
  const std::string name = name_of(policy);
  return std::count_if(policies.begin(), policies.end(), [&](const AuthorizationPolicy* other) {
    return other->action == policy.action && name_of(*other) < name;
  });
}

struct CompiledRule {
  size_t policy = 0;  // by PoliciesOf
  int rule = 0;
  const RbacPolicy* compiled = nullptr;
};

// The rules of a site's policies as its proxy has them, in an order that twins share: the same rule
// stands in the chains of HTTP and of TCP, compiled apart.
class RuleCollector {
 public:
  RuleCollector(const Site& site, const ProxyConfig& proxy) : policies_(PoliciesOf(site)) {
    for (const Listener& listener : proxy.listeners) {
      for (const FilterChain& chain : listener.filter_chains) {
        if (chain.filters != nullptr && IsNew(chain.filters.get())) Visit(*chain.filters);
      }
    }
    std::stable_sort(rules_.begin(), rules_.end(), [](const auto& a, const auto& b) {
      return a.policy != b.policy ? a.policy < b.policy : a.rule < b.rule;
    });
  }
  const std::vector<CompiledRule>& rules() const { return rules_; }

 private:
  bool IsNew(const void* object) {
    const bool known = std::find(seen_.begin(), seen_.end(), object) != seen_.end();
    if (!known) seen_.push_back(object);
    return !known;
  }
  void Visit(const std::vector<NetworkFilter>& filters) {
    for (const NetworkFilter& filter : filters) {
      if (const auto* rbac = std::get_if<RbacFilter>(&filter)) Visit(*rbac);
      const auto* http = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
      if (http == nullptr || !IsNew(http->get())) continue;
      for (const HttpFilter& each : (*http)->http_filters) {
        if (const auto* rbac = std::get_if<RbacFilter>(&each)) Visit(*rbac);
      }
    }
  }
  void Visit(const RbacFilter& filter) {
    for (const auto* rules : {&filter.rules, &filter.shadow_rules}) {
      if (!*rules) continue;
      for (const auto& policy : (*rules)->policies) {
        const auto own = std::find_if(
            policies_.begin(), policies_.end(),
            [&](const AuthorizationPolicy* one) { return &one->meta == policy->origin.object; });
        if (own == policies_.end() || !IsNew(policy.get())) continue;
        rules_.push_back(
            {static_cast<size_t>(own - policies_.begin()), policy->origin.rule, policy.get()});
      }
    }
  }

  const std::vector<const AuthorizationPolicy*> policies_;
  std::vector<const void*> seen_;
  std::vector<CompiledRule> rules_;
};

}  // namespace

size_t Shape::PlaceOf(std::string_view name) {
  auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) found = names.insert(names.end(), std::string(name));
  return static_cast<size_t>(found - names.begin());
}

std::optional<Shape> ShapeOf(const Mesh& mesh, const Site& site) {
  const Workload& workload = site.workload();
  if (workload.mode != ProxyMode::kSidecar || !mesh.UnmodelledFor(workload).empty()) {
    return std::nullopt;
  }
  Shape shape;
  const std::vector<const AuthorizationPolicy*> policies = PoliciesOf(site);
  for (const AuthorizationPolicy* policy : policies) {
    if (!AddPolicy(*policy, &shape)) return std::nullopt;
    // Of rules that cover each other it is the order that says which one is told.
    shape.key += "#" + std::to_string(RankOf(*policy, policies));
  }
  shape.key += '|';
  for (const RequestAuthentication* one : site.policies.request_authentications) {
    Add(one, &shape.key);
  }
  EffectiveMtls mtls = mesh.MtlsFor(workload);
  shape.key += "|" + std::to_string(static_cast<int>(mtls.workload.mode));
  for (const auto& [port, mode] : mtls.ports) {
    shape.key += "," + std::to_string(port) + "=" + std::to_string(static_cast<int>(mode.mode));
  }
  for (const InboundPort& port : site.declared) {
    if (port.ingress != nullptr) return std::nullopt;
    shape.key +=
        "|" + std::to_string(port.port) + "/" + std::to_string(static_cast<int>(port.protocol));
  }
  return shape;
}

std::optional<std::string> Translation::OfName(std::string_view name) const {
  const std::vector<std::string>& own = from_.shape.names;
  const std::vector<std::string>& others = to_.shape.names;
  auto found = std::find(own.begin(), own.end(), name);
  if (found != own.end()) return others[static_cast<size_t>(found - own.begin())];
  // A stranger here has to be one there.
  if (!IsName(name) || std::find(others.begin(), others.end(), name) != others.end()) {
    return std::nullopt;
  }
  return std::string(name);
}

std::optional<std::string> Translation::OfAccount(std::string_view account) const {
  size_t slash = account.find('/');
  if (slash == account.npos) return std::nullopt;
  auto ns = OfName(account.substr(0, slash)), name = OfName(account.substr(slash + 1));
  if (!ns || !name) return std::nullopt;
  return *ns + "/" + *name;
}

std::optional<std::string> Translation::OfIdentity(std::string_view identity) const {
  auto parsed = ParseIdentity(identity);
  if (!parsed) return std::nullopt;
  auto ns = OfName(parsed->ns), account = OfName(parsed->account);
  if (!ns || !account) return std::nullopt;
  return std::string(parsed->domain) + "/ns/" + *ns + "/sa/" + *account;
}

bool Translation::Translate(Region* region) const {
  for (Region& child : region->children) {
    if (!Translate(&child)) return false;
  }
  if (region->kind != Region::Kind::kField || region->value == "*") return true;
  std::optional<std::string> value;
  switch (region->field) {
    case Region::Field::kRule: {
      const auto own = PoliciesOf(from_.site), others = PoliciesOf(to_.site);
      auto found = std::find_if(own.begin(), own.end(), [&](const AuthorizationPolicy* policy) {
        return &policy->meta == region->object;
      });
      if (found == own.end()) return false;
      region->object = &others[static_cast<size_t>(found - own.begin())]->meta;
      return true;
    }
    case Region::Field::kIdentity:
      value = OfIdentity(region->value);
      break;
    case Region::Field::kNamespace:
      value = OfName(region->value);
      break;
    case Region::Field::kServiceAccount:
      value = OfAccount(region->value);
      break;
    default:
      return true;
  }
  if (!value) return false;
  region->value = *std::move(value);
  return true;
}

std::optional<Region> Translation::Of(const Region& region) const {
  Region translated = region;
  if (!Translate(&translated)) return std::nullopt;
  return translated;
}

RuleTranslation::RuleTranslation(const End& from, const End& to) {
  const RuleCollector own(from.site, from.proxy), others(to.site, to.proxy);
  if (own.rules().size() != others.rules().size()) return;
  for (size_t i = 0; i < own.rules().size(); ++i) {
    const CompiledRule &here = own.rules()[i], &there = others.rules()[i];
    if (here.policy != there.policy || here.rule != there.rule) {
      rules_.clear();
      return;
    }
    rules_.emplace_back(here.compiled, there.compiled);
  }
}

const RbacPolicy* RuleTranslation::Of(const RbacPolicy* rule) const {
  for (const auto& [here, there] : rules_) {
    if (here == rule) return there;
  }
  return nullptr;
}

std::optional<RuleStatus> RuleTranslation::Of(const RuleStatus& status) const {
  RuleStatus translated;
  translated.policy = Of(status.policy);
  translated.action = status.action;
  translated.custom = status.custom;
  translated.kind = status.kind;
  translated.reason = status.reason;
  translated.conflict = status.conflict;
  if (translated.policy == nullptr) return std::nullopt;
  for (const RbacPolicy* by : status.by) {
    translated.by.push_back(Of(by));
    if (translated.by.back() == nullptr) return std::nullopt;
  }
  if (!translated.conflict.empty()) {
    if (ConditionsOf(*translated.policy).size() != ConditionsOf(*status.policy).size()) {
      return std::nullopt;
    }
    translated.reason = ConflictText(*translated.policy, translated.conflict);
  }
  return translated;
}

}  // namespace meshproof

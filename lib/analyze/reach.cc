// Which workloads are alike for a rule is decided before any proxy is compiled: by the objects that
// make its inbound configuration (istio-semantics section 6: policies, RequestAuthentications,
// PeerAuthentication modes, declared ports and their protocol; section 1: the namespace, which
// `serviceAccounts` default to).

#include "analyze/reach.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <unordered_map>

#include "analyze/names.h"
#include "analyze/plainly_alive.h"
#include "analyze/policy_lists.h"
#include "analyze/rule.h"
#include "analyze/twins.h"
#include "base/parallel.h"
#include "base/text.h"
#include "reason/model.h"

namespace meshproof {
namespace {

// Small enough that a mesh of adversarial policies is still analyzed in reasonable time; a usual
// question needs a thousandth of it. `exposure` and `prove` have more.
constexpr Budget kBudget = {.classes = 20'000, .nodes = 500'000, .seconds = 2};

template <typename T>
void AddPointers(const std::vector<T>& pointers, std::string* key) {
  for (const auto* pointer : pointers) {
    *key += std::to_string(reinterpret_cast<uintptr_t>(pointer)) + ",";
  }
  *key += ';';
}

std::string KeyOf(const Mesh& mesh, const Workload& workload, const Site& site) {
  std::vector<const ObjectMeta*> unmodelled = mesh.UnmodelledFor(workload);
  if (workload.mode != ProxyMode::kSidecar || !unmodelled.empty()) return "";
  std::string key = workload.ns + ";";
  AddPointers(site.policies.custom, &key);
  AddPointers(site.policies.deny, &key);
  AddPointers(site.policies.allow, &key);
  AddPointers(site.policies.audit, &key);
  AddPointers(site.policies.request_authentications, &key);
  EffectiveMtls mtls = mesh.MtlsFor(workload);
  key += std::to_string(static_cast<int>(mtls.workload.mode));
  for (const auto& [port, mode] : mtls.ports) {
    key += "," + std::to_string(port) + "=" + std::to_string(static_cast<int>(mode.mode));
  }
  for (const InboundPort& port : site.declared) {
    key += ";" + std::to_string(port.port) + "/" + std::to_string(static_cast<int>(port.protocol));
    if (port.ingress != nullptr) {
      key += "@" + std::to_string(reinterpret_cast<uintptr_t>(port.ingress));
    }
  }
  return key;
}

bool HasPolicies(const PolicySet& set) {
  return !set.custom.empty() || !set.deny.empty() || !set.allow.empty() || !set.audit.empty() ||
         !set.request_authentications.empty();
}

std::vector<Site> FindSites(const Mesh& mesh) {
  std::vector<Site> sites;
  std::unordered_map<std::string, size_t> known;
  for (const Workload& workload : mesh.workloads()) {
    if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kGateway) continue;
    Site site;
    site.policies = mesh.PoliciesFor(workload);
    if (!HasPolicies(site.policies)) continue;
    site.declared = mesh.InboundPorts(workload);
    std::string key = KeyOf(mesh, workload, site);
    if (!key.empty()) {
      auto [found, added] = known.try_emplace(key, sites.size());
      if (!added) {
        sites[found->second].workloads.push_back(&workload);
        continue;
      }
    }
    site.workloads.push_back(&workload);
    sites.push_back(std::move(site));
  }
  return sites;
}

}  // namespace

bool Site::Has(const AuthorizationPolicy& policy) const {
  for (const auto* list : {&policies.custom, &policies.deny, &policies.allow, &policies.audit}) {
    if (std::find(list->begin(), list->end(), &policy) != list->end()) return true;
  }
  return false;
}

bool RuleFate::Everywhere(RuleStatus::Kind kind) const {
  return !places.empty() && std::all_of(places.begin(), places.end(), [&](const RulePlace& place) {
    return place.status->kind == kind;
  });
}

struct Reach::Impl {
  explicit Impl(const World& w) : world(w), reasoner(w, kBudget), callers(w.mesh()) {}

  void FindFates();
  void FindStatuses(size_t site);
  void FindTwins();
  bool IsPlainlyAlive(const Site& site) const;
  // The statuses of the twin's rules as those of the site's own.
  std::optional<std::vector<RuleStatus>> ToldStatuses(size_t site,
                                                      const std::vector<RuleStatus>& of_twin,
                                                      bool examples) const;
  std::optional<Answer> FindAtTwin(size_t site, int port, const Region& region,
                                   Wanted wanted) const;
  std::optional<Example> ToldBy(const Translation& back, const Workload& workload,
                                const Example& example) const;

  const World& world;
  Reasoner reasoner;
  const Callers callers;
  std::once_flag sites_once, fates_once;
  std::vector<Site> sites;
  std::unordered_map<const AuthorizationPolicy*, std::vector<size_t>> sites_of;
  std::unordered_map<const Workload*, size_t> site_of;  // of the one that stands for the others
  std::vector<std::optional<Shape>> shapes;             // by site
  std::vector<size_t> first_twin;                       // by site; itself where it has none
  std::vector<std::vector<int>> ports;                  // by site; none: nothing was asked
  std::vector<std::vector<std::vector<RuleStatus>>> statuses;  // by site and port
  std::vector<RuleFate> fates;
};

bool Reach::Impl::IsPlainlyAlive(const Site& site) const {
  const Workload& workload = site.workload();
  return workload.mode == ProxyMode::kSidecar &&
         AllPlainlyAlive(site.policies, site.declared, world.mesh().MtlsFor(workload));
}

std::optional<std::vector<RuleStatus>> Reach::Impl::ToldStatuses(
    size_t site, const std::vector<RuleStatus>& of_twin, bool examples) const {
  const size_t twin = first_twin[site];
  const Workload& workload = sites[site].workload();
  const ProxyConfig& own = world.Proxy(workload).proxy();
  const ProxyConfig& other = world.Proxy(sites[twin].workload()).proxy();
  if (own.from_dump || other.from_dump) return std::nullopt;
  const RuleTranslation rules({sites[twin], other}, {sites[site], own});
  const Translation back({sites[twin], *shapes[twin]}, {sites[site], *shapes[site]});
  std::vector<RuleStatus> told;
  for (const RuleStatus& status : of_twin) {
    std::optional<RuleStatus> translated = rules.Of(status);
    if (!translated) return std::nullopt;
    if (examples && status.example) {
      // A caller whom no rule names is chosen anew among those that the site sees.
      const Case& request = status.example->request;
      if (!request.from_workload.empty() || request.from_identity) return std::nullopt;
      translated->example = ToldBy(back, workload, *status.example);
      if (!translated->example) return std::nullopt;
    }
    told.push_back(*std::move(translated));
  }
  return told;
}

// Without examples where a twin tells.
void Reach::Impl::FindStatuses(size_t site) {
  const size_t twin = first_twin[site];
  if (twin != site) {
    if (ports[twin].empty()) return;
    for (const std::vector<RuleStatus>& at_port : statuses[twin]) {
      auto told = ToldStatuses(site, at_port, false);
      if (!told) break;
      statuses[site].push_back(*std::move(told));
    }
    ports[site] = ports[twin];
    if (statuses[site].size() == ports[site].size()) return;
    statuses[site].clear();
  } else if (IsPlainlyAlive(sites[site])) {
    return;
  }
  const Workload& workload = sites[site].workload();
  ports[site] = reasoner.Ports(workload);
  for (int port : ports[site]) statuses[site].push_back(reasoner.RuleStatuses(workload, port));
}

void Reach::Impl::FindFates() {
  statuses.resize(sites.size());
  ports.resize(sites.size());
  std::vector<size_t> first, told;
  for (size_t i = 0; i < sites.size(); ++i) (first_twin[i] == i ? first : told).push_back(i);
  for (const auto* some : {&first, &told}) {
    ParallelFor(some->size(), [&](size_t i) { FindStatuses((*some)[i]); }, 0);
  }
  std::unordered_map<const ObjectMeta*, std::vector<size_t>> fate_of;  // by rule
  for (const AuthorizationPolicy& policy : world.mesh().model().authorization_policies) {
    if (policy.dry_run || policy.action == AuthorizationPolicy::Action::kAudit) continue;
    std::vector<size_t>& own = fate_of[&policy.meta];
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      own.push_back(fates.size());
      fates.push_back({&policy, i, {}});
    }
  }
  // Of a site that nobody had to ask every rule is taken to be alive.
  static const RuleStatus kTakenAlive = [] {
    RuleStatus status;
    status.kind = RuleStatus::Kind::kLive;
    return status;
  }();
  for (size_t i = 0; i < sites.size(); ++i) {
    const PolicySet& set = sites[i].policies;
    for (const auto* list : {&set.custom, &set.deny, &set.allow}) {
      for (const AuthorizationPolicy* policy : *list) {
        if (!statuses[i].empty() || policy->dry_run) continue;
        for (size_t index : fate_of[&policy->meta]) {
          fates[index].places.push_back({&sites[i], 0, &kTakenAlive});
        }
      }
    }
    for (size_t p = 0; p < statuses[i].size(); ++p) {
      // The port that stands for all others speaks TCP, too, where a DENY rule loses its HTTP
      // fields and matches more (istio-semantics section 1.3): nothing that the author thought of.
      bool nobody_calls = p + 1 == ports[i].size() && !sites[i].declared.empty() &&
                          sites[i].workload().mode == ProxyMode::kSidecar;
      for (const RuleStatus& status : statuses[i][p]) {
        auto found = fate_of.find(status.policy->origin.object);
        int rule = status.policy->origin.rule;
        if (found == fate_of.end() || rule < 0) continue;
        auto index = static_cast<size_t>(rule);
        if (index >= found->second.size()) continue;
        bool widens = status.custom || status.action == Rbac::Action::kDeny;
        if (nobody_calls && widens &&
            HasHttpOnly(fates[found->second[index]].policy->rules[index])) {
          continue;
        }
        fates[found->second[index]].places.push_back({&sites[i], ports[i][p], &status});
      }
    }
  }
}

std::vector<RuleStatus> Reach::RuleStatuses(const Site& site, int port) const {
  Sites();
  const Workload& workload = site.workload();
  const size_t index = impl_->site_of.at(&workload);
  const size_t twin = impl_->first_twin[index];
  if (twin != index) {
    const Workload& other = impl_->sites[twin].workload();
    auto told = impl_->ToldStatuses(index, impl_->reasoner.RuleStatuses(other, port), true);
    if (told) return *std::move(told);
  }
  return impl_->reasoner.RuleStatuses(workload, port);
}

Reach::Reach(const World& world) : impl_(std::make_unique<Impl>(world)) {}
Reach::~Reach() = default;

void Reach::Impl::FindTwins() {
  std::unordered_map<std::string_view, size_t> known;
  for (size_t i = 0; i < sites.size(); ++i) {
    site_of[&sites[i].workload()] = i;
    shapes.push_back(ShapeOf(world.mesh(), sites[i]));
    first_twin.push_back(i);
  }
  for (size_t i = 0; i < sites.size(); ++i) {
    if (shapes[i]) first_twin[i] = known.try_emplace(shapes[i]->key, i).first->second;
  }
}

// The request of a twin's example, sent here; nothing where it is judged otherwise.
std::optional<Example> Reach::Impl::ToldBy(const Translation& back, const Workload& workload,
                                           const Example& example) const {
  Case request = example.request;
  request.to_workload = workload.ns + "/" + workload.name;
  if (!request.from_workload.empty()) {
    size_t slash = request.from_workload.find('/');
    const Workload* caller = world.mesh().FindWorkload(request.from_workload.substr(0, slash),
                                                       request.from_workload.substr(slash + 1));
    if (caller == nullptr) return std::nullopt;
    request.from_identity = caller->identity;
    request.from_workload.clear();
    request.from_outside = true;
  }
  if (request.from_identity) {
    request.from_identity = back.OfIdentity(*request.from_identity);
    if (!request.from_identity) return std::nullopt;
    auto known = callers.sidecars.find(*request.from_identity);
    if (known != callers.sidecars.end()) {
      request.from_workload = known->second->ns + "/" + known->second->name;
      request.from_outside = false;
      request.from_identity.reset();
    }
  }
  auto verdict = world.Run(request, World::Addresses::kUnknown, Detail::kHops);
  if (!verdict.ok() || verdict.value().outcome != example.verdict.outcome) return std::nullopt;
  return Example{std::move(request), verdict.Take()};
}

std::optional<Answer> Reach::Impl::FindAtTwin(size_t site, int port, const Region& region,
                                              Wanted wanted) const {
  size_t twin = first_twin[site];
  const Translation::End here{sites[site], *shapes[site]}, there{sites[twin], *shapes[twin]};
  auto asked = Translation(here, there).Of(region);
  if (!asked) return std::nullopt;
  Answer answer = reasoner.Find(sites[twin].workload(), port, *asked, wanted);
  answer.region.clear();
  if (!answer.found()) return answer;
  answer.example = ToldBy(Translation(there, here), sites[site].workload(), *answer.example);
  if (!answer.example) return std::nullopt;
  return answer;
}

Answer Reach::Find(const Workload& workload, int port, const Region& region, Wanted wanted) const {
  Sites();
  auto found = impl_->site_of.find(&workload);
  if (found != impl_->site_of.end() && impl_->first_twin[found->second] != found->second) {
    auto told = impl_->FindAtTwin(found->second, port, region, wanted);
    if (told) return *std::move(told);
  }
  return impl_->reasoner.Find(workload, port, region, wanted);
}

const Reasoner& Reach::reasoner() const {
  return impl_->reasoner;
}

const std::vector<Site>& Reach::Sites() const {
  std::call_once(impl_->sites_once, [&] {
    impl_->sites = FindSites(impl_->world.mesh());
    for (size_t i = 0; i < impl_->sites.size(); ++i) {
      const PolicySet& set = impl_->sites[i].policies;
      for (const auto* list : {&set.custom, &set.deny, &set.allow, &set.audit}) {
        for (const AuthorizationPolicy* policy : *list) impl_->sites_of[policy].push_back(i);
      }
    }
    impl_->FindTwins();
  });
  return impl_->sites;
}

std::vector<const Site*> Reach::SitesOf(const AuthorizationPolicy& policy) const {
  const std::vector<Site>& sites = Sites();
  std::vector<const Site*> own;
  auto found = impl_->sites_of.find(&policy);
  if (found == impl_->sites_of.end()) return own;
  for (size_t index : found->second) own.push_back(&sites[index]);
  return own;
}

std::vector<int> Reach::CalledPorts(const Site& site) const {
  std::vector<int> ports;
  for (const InboundPort& port : site.declared) ports.push_back(port.port);
  if (!ports.empty()) return ports;
  if (site.workload().mode == ProxyMode::kGateway) return reasoner().Ports(site.workload());
  return {reasoner().OtherPort(site.workload())};
}

const std::vector<RuleFate>& Reach::Fates() const {
  Sites();
  std::call_once(impl_->fates_once, [&] { impl_->FindFates(); });
  return impl_->fates;
}

// --- regions ---

namespace {

using RegionField = Region::Field;

void AddList(RegionField field, const TextList& values, const TextList& excluded,
             std::string_view ns, bool positive, std::vector<Region>* all) {
  if (!values.empty()) all->push_back(AnyOfField(field, values, ns));
  if (!positive && !excluded.empty()) {
    all->push_back(Region::Not(AnyOfField(field, excluded, ns)));
  }
}

// The claims of "request.auth.claims[a][b]" as Region names them: "[a][b]".
struct ConditionField {
  RegionField field;
  std::string name;
};

bool FieldOf(std::string_view key, ConditionField* out) {
  static constexpr std::pair<std::string_view, RegionField> kPlain[] = {
      {"source.ip", RegionField::kSourceIp},
      {"remote.ip", RegionField::kRemoteIp},
      {"source.namespace", RegionField::kNamespace},
      {"source.serviceAccount", RegionField::kServiceAccount},
      {"source.principal", RegionField::kIdentity},
      {"request.auth.principal", RegionField::kRequestPrincipal},
      {"connection.sni", RegionField::kServerName},
  };
  for (const auto& [name, field] : kPlain) {
    if (key == name) {
      *out = {field, ""};
      return true;
    }
  }
  constexpr std::string_view kClaims = "request.auth.claims[";
  if (auto header = HeaderOfKey(key)) {
    *out = {RegionField::kHeader, std::string(*header)};
    return true;
  }
  if (key.starts_with(kClaims) && key.ends_with(']')) {
    *out = {RegionField::kClaim, std::string(key.substr(kClaims.size() - 1))};
    return true;
  }
  if (key == "request.auth.audiences" || key == "request.auth.presenter") {
    *out = {RegionField::kClaim, key == "request.auth.audiences" ? "[aud]" : "[azp]"};
    return true;
  }
  return false;
}

}  // namespace

Region AnyOfField(Region::Field field, const TextList& values, std::string_view ns) {
  std::vector<Region> any;
  for (const Text& text : values.values) {
    std::string value(text.value);
    if (field == RegionField::kServiceAccount && value.find('/') == std::string::npos) {
      value = std::string(ns) + "/" + value;
    }
    any.push_back(Region::Is(field, std::move(value)));
  }
  return Region::Or(std::move(any));
}

Region RegionOf(const AuthorizationPolicy::Source& source, std::string_view ns, bool positive) {
  std::vector<Region> all;
  auto add = [&](RegionField field, const TextList& values, const TextList& excluded) {
    AddList(field, values, excluded, ns, positive, &all);
  };
  add(RegionField::kIdentity, source.principals, source.not_principals);
  add(RegionField::kRequestPrincipal, source.request_principals, source.not_request_principals);
  add(RegionField::kNamespace, source.namespaces, source.not_namespaces);
  add(RegionField::kServiceAccount, source.service_accounts, source.not_service_accounts);
  add(RegionField::kSourceIp, source.ip_blocks, source.not_ip_blocks);
  add(RegionField::kRemoteIp, source.remote_ip_blocks, source.not_remote_ip_blocks);
  return Region::And(std::move(all));
}

Region RegionOf(const AuthorizationPolicy::Operation& operation, bool positive) {
  std::vector<Region> all;
  auto add = [&](RegionField field, const TextList& values, const TextList& excluded) {
    AddList(field, values, excluded, {}, positive, &all);
  };
  add(RegionField::kHost, operation.hosts, operation.not_hosts);
  add(RegionField::kMethod, operation.methods, operation.not_methods);
  add(RegionField::kPath, operation.paths, operation.not_paths);
  return Region::And(std::move(all));
}

Region RegionOf(const AuthorizationPolicy::Condition& condition, std::string_view ns,
                bool positive) {
  ConditionField field;
  if (!FieldOf(condition.key.value, &field)) return Region::All();
  std::vector<Region> all;
  auto any_of = [&](const TextList& values) {
    Region any = AnyOfField(field.field, values, ns);
    for (Region& value : any.children) value.name = field.name;
    return any;
  };
  if (!condition.values.empty()) all.push_back(any_of(condition.values));
  if (!positive && !condition.not_values.empty()) {
    all.push_back(Region::Not(any_of(condition.not_values)));
  }
  return Region::And(std::move(all));
}

Region RegionOf(const AuthorizationPolicy::Rule& rule, std::string_view ns, bool positive) {
  std::vector<Region> all;
  if (!rule.from.empty()) {
    std::vector<Region> any;
    for (const auto& source : rule.from) any.push_back(RegionOf(source, ns, positive));
    all.push_back(Region::Or(std::move(any)));
  }
  if (!rule.to.empty()) {
    std::vector<Region> any;
    for (const auto& operation : rule.to) any.push_back(RegionOf(operation, positive));
    all.push_back(Region::Or(std::move(any)));
  }
  for (const auto& condition : rule.when) all.push_back(RegionOf(condition, ns, positive));
  return Region::And(std::move(all));
}

bool AttachExample(const Analysis& analysis, const Example& example, Finding* finding) {
  Case asked = example.request;
  if (!asked.now) asked.now = analysis.now;
  auto verdict = analysis.world.Run(asked, World::Addresses::kUnknown, Detail::kTrace);
  if (!verdict.ok() || verdict.value().outcome != example.verdict.outcome) return false;
  finding->witness = Witness{std::move(asked), verdict.Take()};
  finding->certainty = Certainty::kProven;
  return true;
}

std::string NamesOf(const std::vector<const Site*>& sites) {
  std::vector<std::string> names;
  for (const Site* site : sites) {
    for (const Workload* workload : site->workloads) {
      names.push_back(workload->ns + "/" + workload->name);
    }
  }
  return ListNames(names, 3);
}

std::string InWords(const Case& request) {
  std::string text;
  if (request.protocol == WireProtocol::kTcp) {
    text = "a connection to port " + std::to_string(request.to_port);
  } else {
    text = "`" + request.method.value_or("GET") + " " + request.path + "`";
    if (request.host) text += " of host " + *request.host;
  }
  if (request.from_identity) {
    text += " by " + *request.from_identity;
  } else if (request.tls == CaseTls::kPlaintext) {
    text += " in plaintext";
  }
  if (request.claims || !request.tokens.empty()) text += " with a token";
  return text;
}

}  // namespace meshproof

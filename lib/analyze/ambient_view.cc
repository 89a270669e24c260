#include "analyze/ambient_view.h"

#include <algorithm>
#include <array>
#include <set>

#include "analyze/names.h"
#include "analyze/witness_cases.h"
#include "base/text.h"

namespace meshproof {
namespace {

constexpr std::string_view kScheme = "spiffe://";

std::string WithScheme(std::string_view identity) {
  if (identity.find("://") != std::string_view::npos) return std::string(identity);
  return std::string(kScheme) + std::string(identity);
}

std::string ObjectKey(std::string_view kind, std::string_view ns, std::string_view name) {
  return std::string(kind) + "/" + std::string(ns) + "/" + std::string(name);
}

// A text that the matcher takes; "" where that is not plain.
std::string ExampleOf(std::string_view pattern) {
  if (pattern == "*") return "x";
  if (pattern.find('{') != std::string_view::npos) return "";
  std::string text(pattern);
  if (text.ends_with('*')) text.pop_back();
  if (text.starts_with('*')) text.erase(0, 1);
  return text;
}

std::string IdentityOf(const AuthorizationPolicy::Rule& rule, const MeshConfig& config,
                       const AuthorizationPolicy& policy) {
  const auto exact = [](const TextList& list) -> std::string {
    for (const Text& value : list.values) {
      if (value.value.find('*') == std::string_view::npos) return std::string(value.value);
    }
    return "";
  };
  for (const AuthorizationPolicy::Source& source : rule.from) {
    std::string principal = exact(source.principals);
    if (!principal.empty()) return principal;
    const std::string ns = exact(source.namespaces);
    if (!ns.empty()) return config.trust_domain + "/ns/" + ns + "/sa/default";
    std::string account = exact(source.service_accounts);
    if (!account.empty()) {
      const size_t slash = account.find('/');
      const std::string in = slash == std::string::npos ? policy.meta.ns : account.substr(0, slash);
      if (slash != std::string::npos) account.erase(0, slash + 1);
      return config.trust_domain + "/ns/" + in + "/sa/" + account;
    }
  }
  for (const AuthorizationPolicy::Condition& condition : rule.when) {
    if (condition.key.value == "source.principal") {
      std::string principal = exact(condition.values);
      if (!principal.empty()) return principal;
    }
  }
  return "";
}

}  // namespace

AmbientView::AmbientView(const Analysis& analysis) : analysis_(analysis), index_(*analysis.index) {
  const Mesh& mesh = analysis.mesh;
  services_.resize(mesh.workloads().size());
  for (const Workload& workload : mesh.workloads()) {
    if (!workload.identity.empty()) by_identity_.emplace(workload.identity, &workload);
    if (workload.mode != ProxyMode::kAmbient) continue;
    all_.push_back(&workload);
    if (workload.labels.empty()) without_labels_.push_back(&workload);
    if (const Waypoint* waypoint = mesh.WaypointFor(workload).waypoint) {
      guarded_[waypoint].workloads.push_back(&workload);
    }
  }
  for (const MeshService& service : mesh.services()) {
    for (const size_t index : service.workloads) services_[index].push_back(&service);
    const std::string_view kind = service.kubernetes ? "Service" : "ServiceEntry";
    by_object_.emplace(ObjectKey(kind, service.ns, service.name), &service);
    if (const Waypoint* waypoint = mesh.WaypointFor(service).waypoint) {
      guarded_[waypoint].services.push_back(&service);
    }
  }
}

std::vector<const Workload*> AmbientView::Reached(const ObjectMeta& meta,
                                                  const Selector& selector) const {
  const bool root = meta.ns == analysis_.model.mesh_config.root_namespace;
  const std::string ns = root ? std::string() : meta.ns;
  std::vector<const Workload*> out;
  const auto keep = [&](const std::vector<const Workload*>& candidates) {
    for (const Workload* workload : candidates) {
      if (workload->mode == ProxyMode::kAmbient) out.push_back(workload);
    }
  };
  if (!selector.present) {
    keep(index_.InNamespace(ns));
    return out;
  }
  if (selector.has_match_labels) keep(index_.Selected(selector.match_labels, ns));
  for (const Workload* workload : without_labels_) {
    const bool known = std::find(out.begin(), out.end(), workload) != out.end();
    if (!known && (root || workload->ns == meta.ns)) out.push_back(workload);
  }
  return out;
}

std::vector<const Workload*> AmbientView::Selected(const ObjectMeta& meta,
                                                   const Selector& selector) const {
  const bool root = meta.ns == analysis_.model.mesh_config.root_namespace;
  return index_.Selected(selector.match_labels, root ? std::string() : meta.ns);
}

std::vector<AmbientView::Way> AmbientView::WaypointsBefore(const Workload& workload) const {
  std::vector<Way> out;
  for (const MeshService* service : ServicesOf(workload)) {
    if (service->headless) continue;
    if (const Waypoint* waypoint = analysis_.mesh.WaypointFor(*service).waypoint) {
      out.push_back({service, waypoint});
    }
  }
  if (const Waypoint* waypoint = analysis_.mesh.WaypointFor(workload).waypoint) {
    out.push_back({nullptr, waypoint});
  }
  return out;
}

const std::vector<const MeshService*>& AmbientView::ServicesOf(const Workload& workload) const {
  return services_[static_cast<size_t>(&workload - analysis_.mesh.workloads().data())];
}

const MeshService* AmbientView::FindService(std::string_view kind, std::string_view ns,
                                            std::string_view name) const {
  const auto found = by_object_.find(ObjectKey(kind, ns, name));
  return found == by_object_.end() ? nullptr : found->second;
}

const AmbientView::Guarded& AmbientView::GuardedBy(const Waypoint& waypoint) const {
  static const Guarded kNothing;
  const auto found = guarded_.find(&waypoint);
  return found == guarded_.end() ? kNothing : found->second;
}

const Workload* AmbientView::Client(const Workload* target) const {
  for (const Workload* workload : all_) {
    if (workload != target) return workload;
  }
  return target != nullptr && target->mode == ProxyMode::kAmbient ? target : nullptr;
}

const Workload* AmbientView::WithIdentity(std::string_view identity) const {
  const auto found = by_identity_.find(WithScheme(identity));
  return found == by_identity_.end() ? nullptr : found->second;
}

std::string PrincipalOf(const Waypoint& waypoint) {
  if (waypoint.workload == nullptr) return "";
  std::string_view identity = waypoint.workload->identity;
  if (identity.starts_with(kScheme)) identity.remove_prefix(kScheme.size());
  return std::string(identity);
}

std::string NameAll(const std::vector<const Workload*>& workloads) {
  std::vector<std::string> names;
  for (const Workload* workload : workloads) names.push_back(workload->ns + "/" + workload->name);
  return ListNames(names, 3);
}

std::optional<Case> DirectRequest(const AmbientView& view, const Workload& target, int port,
                                  Protocol protocol, std::string_view identity) {
  if (identity.empty()) return PlaintextCase(target, port, protocol);
  const Workload* caller = view.WithIdentity(identity);
  Case question = PlaintextCase(target, port, protocol);
  question.from_outside = false;
  question.tls = CaseTls::kAuto;
  if (caller == nullptr || caller->mode == ProxyMode::kWaypoint ||
      caller->mode == ProxyMode::kNone) {
    question.from_identity = WithScheme(identity);
    caller = view.Client(&target);
  }
  if (caller == nullptr) return std::nullopt;
  question.from_workload = caller->ns + "/" + caller->name;
  return question;
}

std::optional<Case> RequestOf(const AmbientView& view, const Analysis& analysis,
                              const AuthorizationPolicy& policy, size_t rule_index,
                              const Workload& target) {
  if (rule_index >= policy.rules.size()) return std::nullopt;
  const AuthorizationPolicy::Rule& rule = policy.rules[rule_index];
  const std::vector<InboundPort> ports = analysis.mesh.InboundPorts(target);
  int port = 0;
  Protocol protocol = Protocol::kAuto;
  std::string method, path, host;
  for (const AuthorizationPolicy::Operation& to : rule.to) {
    for (const Text& value : to.ports.values) {
      const auto number = ParseUnsigned(value.value);
      if (port == 0 && number && *number <= 65535) port = static_cast<int>(*number);
    }
    if (method.empty() && !to.methods.empty()) method = ExampleOf(to.methods.values[0].value);
    if (path.empty() && !to.paths.empty()) path = ExampleOf(to.paths.values[0].value);
    if (host.empty() && !to.hosts.empty()) host = ExampleOf(to.hosts.values[0].value);
  }
  for (const InboundPort& inbound : ports) {
    if (port == 0 || inbound.port == port) {
      port = inbound.port;
      protocol = inbound.protocol;
      break;
    }
  }
  if (port == 0) return std::nullopt;
  std::string identity = IdentityOf(rule, analysis.model.mesh_config, policy);
  if (identity.empty()) {
    const Workload* caller = view.Client(&target);
    if (caller != nullptr) identity = caller->identity;
  }
  auto question = DirectRequest(view, target, port, protocol, identity);
  if (!question || question->protocol == WireProtocol::kTcp) return question;
  if (!method.empty()) question->method = method;
  if (!path.empty()) question->path = path.starts_with('/') ? path : "/" + path;
  if (!host.empty() && host != "x") question->host = host;
  return question;
}

bool AttachRefusal(const Analysis& analysis, const Case& question, Finding* finding) {
  return AttachWitness(analysis, question, Outcome::kReject, finding) ||
         AttachWitness(analysis, question, Outcome::kDeny, finding);
}

bool IsTrustDomainField(std::string_view field) {
  return field == "trustDomains" || field == "notTrustDomains";
}

bool IsPeerKeyUnknownToZtunnel(std::string_view field) {
  constexpr std::array<std::string_view, 4> kKeys = {"when source.serviceAccount",
                                                     "when source.trustDomain",
                                                     "when connection.sni", "when remote.ip"};
  return std::find(kKeys.begin(), kKeys.end(), field) != kKeys.end();
}

PolicyIndex::PolicyIndex(const Model& model) {
  for (const AuthorizationPolicy& policy : model.authorization_policies) {
    by_meta_.emplace(&policy.meta, &policy);
  }
}

const AuthorizationPolicy* PolicyIndex::Find(const ObjectMeta* meta) const {
  const auto found = by_meta_.find(meta);
  return found == by_meta_.end() ? nullptr : found->second;
}

}  // namespace meshproof

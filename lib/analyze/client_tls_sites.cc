// Which TLS block of which DestinationRule decides for whom. A port entry replaces the block above
// it, also where it has none of its own; a subset's policy stands before the rule's
// (istio-semantics section 5).
#include "analyze/client_tls_sites.h"

#include <algorithm>
#include <set>

#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "base/text.h"
#include "mesh/hosts.h"

namespace meshproof {
namespace {

void AddSites(const DestinationRule& rule, const DestinationRule::Subset* subset,
              const TrafficPolicy& policy, const Node* node, const std::string& path,
              std::vector<TlsSite>* sites) {
  const SourceFile* file = rule.meta.file;
  const auto place = [&](TlsSite site, const Node* at, std::string at_path, Span otherwise) {
    site.rule = &rule;
    site.subset = subset;
    site.node = at;
    site.span = at != nullptr ? SpanOf(file, *at) : otherwise;
    site.path = std::move(at_path);
    sites->push_back(std::move(site));
  };
  if (policy.tls) {
    TlsSite site;
    site.tls = &*policy.tls;
    place(std::move(site), NodeAt(node, {"tls"}), path + ".tls", policy.tls->span);
  }
  const Node* entries = NodeAt(node, {"portLevelSettings"});
  for (size_t i = 0; i < policy.ports.size(); ++i) {
    const TrafficPolicy::Port& port = policy.ports[i];
    const Node* entry = entries != nullptr && entries->items().size() == policy.ports.size()
                            ? &entries->items()[i]
                            : nullptr;
    std::string entry_path = path + ".portLevelSettings[" + std::to_string(i) + "]";
    TlsSite site;
    site.port = port.port;
    if (port.tls) {
      site.tls = &*port.tls;
      place(std::move(site), NodeAt(entry, {"tls"}), entry_path + ".tls", port.tls->span);
    } else {
      place(std::move(site), entry, entry_path, port.span);
    }
  }
}

}  // namespace

Span TlsSite::FieldSpan(std::string_view field) const {
  const Node* value = tls != nullptr && node != nullptr ? node->Find(field) : nullptr;
  return value == nullptr ? span : SpanOf(rule->meta.file, *value);
}

std::string TlsSite::FieldPath(std::string_view field) const {
  const Node* value = tls != nullptr && node != nullptr ? node->Find(field) : nullptr;
  return value == nullptr ? path : path + "." + std::string(field);
}

std::vector<TlsSite> TlsSitesOf(const DestinationRule& rule) {
  std::vector<TlsSite> sites;
  const Node* spec = NodeAt(rule.meta.node, {"spec"});
  if (rule.policy) {
    AddSites(rule, nullptr, *rule.policy, NodeAt(spec, {"trafficPolicy"}), "spec.trafficPolicy",
             &sites);
  }
  const Node* subsets = NodeAt(spec, {"subsets"});
  for (size_t i = 0; i < rule.subsets.size(); ++i) {
    if (!rule.subsets[i].policy) continue;
    const Node* node = subsets != nullptr && subsets->items().size() == rule.subsets.size()
                           ? NodeAt(&subsets->items()[i], {"trafficPolicy"})
                           : nullptr;
    AddSites(rule, &rule.subsets[i], *rule.subsets[i].policy, node,
             "spec.subsets[" + std::to_string(i) + "].trafficPolicy", &sites);
  }
  return sites;
}

const TlsSite* DecidingSite(const std::vector<TlsSite>& sites, std::string_view subset, int port) {
  // From the weakest to the strongest claim: later ones replace earlier ones.
  const TlsSite* whole = nullptr;
  const TlsSite* of_subset = nullptr;
  for (const TlsSite& site : sites) {
    bool mine = site.subset == nullptr || site.subset->name.value == subset;
    if (!mine || (site.port != 0 && site.port != port)) continue;
    const TlsSite*& slot = site.subset == nullptr ? whole : of_subset;
    slot = &site;
  }
  return !subset.empty() && of_subset != nullptr ? of_subset : whole;
}

std::string_view ToString(ClientTls::Mode mode) {
  switch (mode) {
    case ClientTls::Mode::kDisable:
      return "DISABLE";
    case ClientTls::Mode::kSimple:
      return "SIMPLE";
    case ClientTls::Mode::kMutual:
      return "MUTUAL";
    case ClientTls::Mode::kIstioMutual:
      return "ISTIO_MUTUAL";
  }
  return "DISABLE";
}

ClientTlsSurvey::ClientTlsSurvey(const Analysis& analysis) : analysis_(analysis) {
  for (const Workload& workload : analysis.mesh.workloads()) {
    if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kGateway) continue;
    auto [it, added] = client_of_.emplace(workload.ns, &workload);
    if (!added && it->second->mode == ProxyMode::kGateway) it->second = &workload;
  }
  std::set<std::string> seen;
  for (const Workload& workload : analysis.mesh.workloads()) {
    auto it = client_of_.find(workload.ns);
    if (it != client_of_.end() && seen.insert(workload.ns).second) clients_.push_back(it->second);
  }
  for (const DestinationRule& rule : analysis.model.destination_rules) {
    Workload& client = assumed_[rule.meta.ns];
    client.ns = rule.meta.ns;
    client.mode = ProxyMode::kSidecar;
    client.tls_mode_istio = true;
  }
}

std::vector<const MeshService*> ClientTlsSurvey::Covered(const DestinationRule& rule) const {
  const Mesh& mesh = analysis_.mesh;
  std::vector<const MeshService*> covered;
  std::string host =
      CompleteHost(ToLower(rule.host.value), rule.meta.ns, analysis_.model.mesh_config.domain);
  if (!host.starts_with('*')) {
    if (const MeshService* service = mesh.FindService(host)) covered.push_back(service);
    return covered;
  }
  for (const MeshService& service : mesh.services()) {
    if (HostCovers(host, service.host)) covered.push_back(&service);
  }
  return covered;
}

bool ClientTlsSurvey::Applies(const DestinationRule& rule, const Workload& client,
                              const MeshService& service) const {
  const DestinationRule* found = analysis_.mesh.DestinationRuleFor(client, service);
  if (found == nullptr) return false;
  if (found == &rule) return true;
  // istiod merges rules of one namespace and host; the lookup names the first of them.
  const std::string& domain = analysis_.model.mesh_config.domain;
  return found->meta.ns == rule.meta.ns &&
         CompleteHost(ToLower(found->host.value), found->meta.ns, domain) ==
             CompleteHost(ToLower(rule.host.value), rule.meta.ns, domain);
}

const Workload* ClientTlsSurvey::ClientOf(const DestinationRule& rule, const MeshService& service,
                                          size_t* budget, bool* seen) const {
  *seen = true;
  const Mesh& mesh = analysis_.mesh;
  const auto fits = [&](const Workload& client) {
    return mesh.IsVisible(client, service) && Applies(rule, client, service);
  };
  if (rule.workload_selector.present) {
    bool any = false;
    for (const Workload& workload : mesh.workloads()) {
      if (workload.ns != rule.meta.ns ||
          !Selects(rule.workload_selector.match_labels, workload.labels) ||
          (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kGateway)) {
        continue;
      }
      any = true;
      if (fits(workload)) return &workload;
    }
    if (any || !clients_.empty()) return nullptr;
  }
  for (const std::string& ns : {rule.meta.ns, service.ns}) {
    auto it = client_of_.find(ns);
    if (it != client_of_.end() && fits(*it->second)) return it->second;
  }
  // The rule of a namespace that is neither the Service's nor the root stays in it.
  bool exported =
      rule.meta.ns == service.ns || rule.meta.ns == analysis_.model.mesh_config.root_namespace;
  if (exported) {
    for (const Workload* client : clients_) {
      if (*budget == 0) break;
      if (fits(*client)) return client;
      --*budget;
    }
  }
  if (client_of_.contains(rule.meta.ns) || (exported && !clients_.empty())) return nullptr;
  *seen = false;
  const Workload& assumed = assumed_.at(rule.meta.ns);
  return fits(assumed) ? &assumed : nullptr;
}

const Workload* ClientTlsSurvey::AnyClient(const MeshService& service) const {
  auto it = client_of_.find(service.ns);
  if (it != client_of_.end() && analysis_.mesh.IsVisible(*it->second, service)) return it->second;
  for (const Workload* client : clients_) {
    if (analysis_.mesh.IsVisible(*client, service)) return client;
  }
  return nullptr;
}

bool ClientTlsSurvey::MayHaveProxy(const Workload& workload, bool* sure) const {
  *sure = true;
  if (workload.mode == ProxyMode::kSidecar) return true;
  if (workload.mode != ProxyMode::kNone) return false;
  if (workload.entry != nullptr) return false;
  if (analysis_.mesh.FindNamespace(workload.ns) != nullptr) return false;
  *sure = false;
  const Labels none;
  const PodWorkload* pod = workload.pod;
  if (pod == nullptr || pod->host_network) return false;
  for (const Labels* labels : {&pod->pod_labels, &pod->pod_annotations}) {
    const std::string* inject = FindLabel(*labels, "sidecar.istio.io/inject");
    if (inject != nullptr && *inject == "false") return false;
  }
  return true;
}

void ClientTlsSurvey::VisitUses(const DestinationRule& rule,
                                const std::function<void(const TlsUse&)>& visit) const {
  const Mesh& mesh = analysis_.mesh;
  const std::vector<TlsSite> sites = TlsSitesOf(rule);
  std::vector<const DestinationRule::Subset*> subsets = {nullptr};
  for (const DestinationRule::Subset& subset : rule.subsets) {
    // A subset without a policy of its own is as the rule.
    if (subset.policy) subsets.push_back(&subset);
  }
  size_t budget = 200;
  for (const MeshService* service : Covered(rule)) {
    if (service->external) continue;
    bool client_seen = false;
    const Workload* client = ClientOf(rule, *service, &budget, &client_seen);
    if (client == nullptr) continue;
    for (const MeshServicePort& port : service->ports) {
      if (port.protocol == Protocol::kUdp) continue;
      for (size_t index : service->workloads) {
        const Workload& server = mesh.workloads()[index];
        if (server.mode == ProxyMode::kGateway || server.mode == ProxyMode::kWaypoint) continue;
        int target = mesh.TargetPort(*service, port, server);
        if (target == 0) continue;
        for (const DestinationRule::Subset* subset : subsets) {
          if (subset != nullptr && !Selects(subset->labels, server.labels)) continue;
          TlsUse use;
          use.subset = subset == nullptr ? std::string_view() : subset->name.value;
          use.choice = mesh.ChooseClientTls(*client, *service, port, use.subset, server);
          if (use.choice.rule != nullptr && use.choice.rule != &rule) continue;
          use.site = DecidingSite(sites, use.subset, port.port);
          // Without settings of its own here, a subset is as the rule.
          if (subset != nullptr && (use.site == nullptr || use.site->subset == nullptr)) continue;
          bool sure = true;
          use.server_proxy = MayHaveProxy(server, &sure);
          use.seen = client_seen && sure;
          use.service = service;
          use.port = &port;
          use.client = client;
          use.server = &server;
          use.target_port = target;
          use.mode = mesh.MtlsFor(server).ForPort(target);
          visit(use);
        }
      }
    }
  }
}

std::string SayPlaces(const std::vector<std::string>& places) {
  std::vector<std::string> unique;
  std::set<std::string> seen;
  for (const std::string& place : places) {
    if (seen.insert(place).second) unique.push_back(place);
  }
  return ListNames(unique, 3);
}

}  // namespace meshproof

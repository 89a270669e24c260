// A DestinationRule with SIMPLE or MUTUAL and a credentialName but no workloadSelector. Sidecars
// may not read a Secret that a rule for all workloads names, so istiod leaves the TLS context out
// of their clusters and what should be encrypted leaves in plaintext; gateways do read it
// (istio-semantics section 5).
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "analyze/client_tls_sites.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::credential_without_selector {
namespace {

bool Ignored(const TlsSite& site) {
  if (site.tls == nullptr) return false;
  std::string_view name = site.tls->credential_name.value;
  bool originates =
      site.tls->mode == ClientTls::Mode::kSimple || site.tls->mode == ClientTls::Mode::kMutual;
  return originates && !name.empty() && !name.starts_with("configmap://") &&
         !name.starts_with("invalid://");
}

// Hosts that VirtualServices of sidecars send elsewhere on every route: the usual egress gateway,
// where sidecars never use the cluster that the rule is about.
std::set<std::string, std::less<>> Rerouted(const Analysis& analysis) {
  std::set<std::string, std::less<>> hosts;
  for (const VirtualService* service : analysis.mesh.MeshVirtualServices()) {
    bool any = false;
    bool direct = false;
    const auto leads = [&](const std::vector<RouteDestination>& routes) {
      for (const RouteDestination& route : routes) {
        any = true;
        for (const Text& host : service->hosts.values) {
          direct = direct || EqualsIgnoreCase(route.destination.host.value, host.value);
        }
      }
    };
    const auto of_sidecars = [&](const TextList& gateways) {
      if (gateways.empty()) return true;
      for (const Text& gateway : gateways.values) {
        if (gateway.value == "mesh") return true;
      }
      return false;
    };
    for (const HttpRoute& route : service->http) {
      bool mine = route.matches.empty();
      for (const HttpMatch& match : route.matches) mine = mine || of_sidecars(match.gateways);
      if (mine) leads(route.routes);
    }
    for (const std::vector<L4Route>* routes : {&service->tls, &service->tcp}) {
      for (const L4Route& route : *routes) {
        bool mine = route.matches.empty();
        for (const L4Match& match : route.matches) mine = mine || of_sidecars(match.gateways);
        if (mine) leads(route.routes);
      }
    }
    if (!any || direct) continue;
    for (const Text& host : service->hosts.values) hosts.insert(ToLower(host.value));
  }
  return hosts;
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  std::set<std::string, std::less<>> rerouted = Rerouted(analysis);
  std::unordered_map<std::string, std::vector<std::string>> sidecars;
  std::vector<std::string> all;
  bool sees_clients = false;
  for (const Workload& workload : analysis.mesh.workloads()) {
    sees_clients = sees_clients || workload.mode != ProxyMode::kNone ||
                   analysis.mesh.FindNamespace(workload.ns) != nullptr;
    if (workload.mode != ProxyMode::kSidecar) continue;
    std::string name = workload.ns + "/" + workload.name;
    sidecars[workload.ns].push_back(name);
    all.push_back(std::move(name));
  }
  for (const DestinationRule& rule : analysis.model.destination_rules) {
    if (rule.workload_selector.present && !rule.workload_selector.match_labels.empty()) continue;
    std::vector<TlsSite> sites = TlsSitesOf(rule);
    std::erase_if(sites, [](const TlsSite& site) { return !Ignored(site); });
    if (sites.empty()) continue;
    bool here = false;
    bool everywhere = rule.export_to.empty();
    std::vector<std::string> named;
    for (const Text& to : rule.export_to.values) {
      everywhere = everywhere || to.value == "*";
      here = here || to.value == ".";
      auto it = sidecars.find(std::string(to.value));
      if (it != sidecars.end()) named.insert(named.end(), it->second.begin(), it->second.end());
    }
    if (auto it = sidecars.find(rule.meta.ns); here && it != sidecars.end()) {
      named.insert(named.end(), it->second.begin(), it->second.end());
    }
    const std::vector<std::string>& clients = everywhere ? all : named;
    if (clients.empty() && sees_clients) continue;
    for (const TlsSite& site : sites) {
      bool elsewhere = rerouted.contains(ToLower(rule.host.value));
      Finding& finding = reporter.Report(
          rule.meta, site.FieldSpan("credentialName"),
          "sidecars do not read `credentialName` from a rule without `workloadSelector` and build "
          "no TLS at all: " +
              (clients.empty()
                   ? std::string("they send")
                   : ListNames(clients, 3) + (clients.size() == 1 ? " sends" : " send")) +
              " everything to `" + std::string(rule.host.value) + "` in plaintext" +
              (elsewhere ? " where a route does not lead through a gateway" : "") +
              "; add a `workloadSelector` (and let the clients' accounts read the Secret), or "
              "originate TLS at an egress gateway");
      if (elsewhere) finding.severity = Severity::kInfo;
      finding.field_path = site.FieldPath("credentialName");
      finding.fix = "Add `workloadSelector.matchLabels` of the clients.";
      finding.istioctl_codes = {"IST0128"};
    }
  }
}

}  // namespace meshproof::credential_without_selector

// Gateways bind to pods by labels in every namespace unless PILOT_SCOPE_GATEWAY_TO_NAMESPACE is
// set, and their credentials are read from the namespace of the pods. So whoever may write a
// Gateway anywhere opens listeners on a shared ingress and serves with the keys that lie beside it.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/rule.h"

namespace meshproof::shared_gateway {
namespace {

using Owners = std::map<std::string, const Gateway*>;  // one Gateway of each namespace

std::vector<std::string> NamespacesBut(const Owners& owners, const std::string& ns) {
  std::vector<std::string> names;
  for (const auto& [name, gateway] : owners) {
    if (name != ns) names.push_back(name);
  }
  return names;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const Workload& workload) {
    Owners owners;
    std::map<std::string_view, Owners> credentials;
    std::vector<Mesh::BoundServer> servers = analysis_.mesh.GatewayServersFor(workload);
    for (const Mesh::BoundServer& bound : servers) {
      owners.emplace(bound.gateway->meta.ns, bound.gateway);
      const auto& tls = bound.server->tls;
      if (tls && !tls->credential_name.value.empty()) {
        credentials[tls->credential_name.value].emplace(bound.gateway->meta.ns, bound.gateway);
      }
    }
    for (const Mesh::BoundServer& bound : servers) {
      if (bound.gateway->meta.ns == workload.ns) continue;
      if (said_.insert(bound.gateway).second) Selected(workload, *bound.gateway, owners);
      const auto& tls = bound.server->tls;
      if (!tls || tls->credential_name.value.empty()) continue;
      const Owners& users = credentials[tls->credential_name.value];
      if (users.size() < 2 || !said_.insert(bound.server).second) continue;
      Shared(workload, *bound.gateway, tls->credential_name, users);
    }
  }

 private:
  void Selected(const Workload& workload, const Gateway& gateway, const Owners& owners) {
    std::vector<std::string> others = NamespacesBut(owners, gateway.meta.ns);
    const std::string pods = workload.ns + "/" + workload.name;
    Finding& finding = ReportAt(
        reporter_, gateway.meta, gateway.selector_span,
        "this Gateway opens listeners on workload " + pods + " of another namespace" +
            (others.empty() ? "" : ", which those of " + ListNames(others) + " use too") +
            ", so every namespace may claim hosts and ports there and serve with the Secrets of " +
            workload.ns +
            "; give the namespace a gateway workload of its own, or set "
            "PILOT_SCOPE_GATEWAY_TO_NAMESPACE at istiod and keep Gateways beside their workload",
        "Run a gateway workload in namespace " + gateway.meta.ns + ", or move this Gateway to " +
            workload.ns + ".");
    // One user of a shared installation is how the samples are; tenants are more than one.
    if (others.empty()) finding.severity = Severity::kInfo;
    if (workload.object != nullptr) {
      finding.related.push_back({workload.object->span, "the workload that is selected"});
    }
    for (const auto& [ns, other] : owners) {
      if (ns != gateway.meta.ns) {
        finding.related.push_back({other->meta.span, "a Gateway of namespace " + ns});
      }
    }
  }

  void Shared(const Workload& workload, const Gateway& gateway, const Text& credential,
              const Owners& users) {
    const std::string name(credential.value);
    Finding& finding = ReportAt(
        reporter_, gateway.meta, credential.span,
        "credential `" + name + "` is Secret " + workload.ns + "/" + name +
            " and also that of Gateways of " + ListNames(NamespacesBut(users, gateway.meta.ns)) +
            ", so this namespace serves with a key that is not its own and can answer for its "
            "hosts; give each tenant a credential of its own",
        "Use a credential that only namespace " + gateway.meta.ns + " uses.");
    finding.detail = "credential";
    for (const auto& [ns, other] : users) {
      if (ns != gateway.meta.ns) {
        finding.related.push_back({other->meta.span, "uses the same credential"});
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::set<const void*> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const Workload& workload : analysis.mesh.workloads()) {
    if (workload.mode == ProxyMode::kGateway) checker.Check(workload);
  }
}

}  // namespace meshproof::shared_gateway

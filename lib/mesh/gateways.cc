// Which Gateway servers a gateway pod runs, on which port, and which VirtualServices hang on them.
// A Gateway selects pods of any namespace by their labels, all gateways where it has no selector.
// The port in it is that of the gateway's Service: the proxy listens on what the oldest Service
// maps it to, on the number itself where no Service has it.
#include <algorithm>

#include "mesh/builder.h"
#include "mesh/hosts.h"
#include "mesh/order.h"

namespace meshproof {
namespace {

constexpr std::string_view kNoTranslation =
    "experimental.istio.io/disable-gateway-port-translation";

// "ns/name" of a Gateway as a VirtualService of `ns` names it: `name`, `ns/name`, `./name`, or the
// old `name.ns.svc.…`.
std::string CompleteGateway(std::string_view name, std::string_view ns) {
  const size_t slash = name.find('/');
  if (slash != std::string_view::npos) {
    if (name.substr(0, slash) != ".") return std::string(name);
    return std::string(ns) + std::string(name.substr(slash));
  }
  const size_t dot = name.find('.');
  if (dot == std::string_view::npos) return std::string(ns) + "/" + std::string(name);
  std::string_view rest = name.substr(dot + 1);
  rest = rest.substr(0, rest.find('.'));
  return std::string(rest) + "/" + std::string(name.substr(0, dot));
}

bool Exported(const VirtualService& service, std::string_view client) {
  std::vector<std::string_view> values;
  for (const Text& value : service.export_to.values) values.push_back(value.value);
  return IsExportedTo(values, service.meta.ns, client);
}

}  // namespace

void MeshBuilder::IndexGateways() {
  for (const Gateway& gateway : model_.gateways) mesh_.gateways_.push_back(&gateway);
  for (const auto& gateway : mesh_.made_gateways_) mesh_.gateways_.push_back(gateway.get());
  SortOldestFirst(&mesh_.gateways_);
  std::vector<const VirtualService*> services;
  for (const VirtualService& service : model_.virtual_services) {
    if (!service.hosts.empty()) services.push_back(&service);
  }
  for (const auto& service : mesh_.made_virtual_services_) {
    // Those of Services stand in `service_routes_`.
    if (service->gateways.values.front().value != "mesh") services.push_back(service.get());
  }
  SortOldestFirst(&services);
  for (const VirtualService* service : services) {
    if (service->gateways.empty()) mesh_.mesh_virtual_services_.push_back(service);
    std::set<std::string> seen;
    for (const Text& name : service->gateways.values) {
      if (name.value == "mesh") {
        if (seen.insert("mesh").second) mesh_.mesh_virtual_services_.push_back(service);
        continue;
      }
      std::string key = CompleteGateway(name.value, service->meta.ns);
      if (seen.insert(key).second) mesh_.virtual_services_[key].push_back(service);
    }
  }
}

// A Gateway of the Gateway API runs on the pods that istiod makes for it (by their label), or on
// those of the Service that its `addresses` name.
bool Mesh::Serves(const Workload& workload, const K8sGateway& gateway) const {
  if (gateway.addresses.empty()) return workload.gateway == &gateway;
  for (const Text& address : gateway.addresses) {
    const std::vector<size_t>& services = services_of_workload_[IndexOf(workload)];
    const bool behind = std::any_of(services.begin(), services.end(), [&](size_t i) {
      return services_[i].host == address.value ||
             services_[i].name + "." + services_[i].ns == address.value ||
             (services_[i].ns == gateway.meta.ns && services_[i].name == address.value);
    });
    if (behind) return true;
  }
  return false;
}

std::vector<Mesh::BoundServer> Mesh::GatewayServersFor(const Workload& workload) const {
  std::vector<BoundServer> out;
  if (workload.mode != ProxyMode::kGateway) return out;
  const std::vector<ServiceTarget> targets = ServiceTargets(workload);
  const bool own_namespace_only = FeatureEnabled("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", false);
  for (const Gateway* gateway : gateways_) {
    if (own_namespace_only && gateway->meta.ns != workload.ns) continue;
    if (gateway->made_from ? !Serves(workload, *gateway->made_from)
                           : !Selects(gateway->selector, workload.labels)) {
      continue;
    }
    for (const GatewayServer& server : gateway->servers) {
      int port = server.port;
      for (const ServiceTarget& target : targets) {
        if (target.port->port != server.port) continue;
        if (FindLabel(target.service->object->labels, kNoTranslation)) continue;
        port = target.target_port;
        break;
      }
      out.push_back({gateway, &server, port});
    }
  }
  return out;
}

std::vector<const VirtualService*> Mesh::VirtualServicesFor(
    const Gateway& gateway, std::string_view proxy_namespace) const {
  std::vector<const VirtualService*> out;
  auto it = virtual_services_.find(gateway.meta.ns + "/" + std::string(gateway.meta.name));
  if (it == virtual_services_.end()) return out;
  for (const VirtualService* service : it->second) {
    if (proxy_namespace.empty() || Exported(*service, proxy_namespace)) out.push_back(service);
  }
  return out;
}

}  // namespace meshproof

// The ports for which istiod builds chains of their own on a sidecar. Without ingress listeners in
// a Sidecar resource these are the target ports of all Services that select the pod; where several
// target one port the oldest Service decides, its protocol with it. Ingress listeners replace them
// all, unless PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE says that Services add theirs.
#include <algorithm>
#include <set>

#include "mesh/mesh.h"

namespace meshproof {

std::vector<Mesh::ServiceTarget> Mesh::ServiceTargets(const Workload& workload) const {
  std::vector<ServiceTarget> out;
  for (size_t i : services_of_workload_[IndexOf(workload)]) {
    const MeshService& service = services_[i];
    // One Service's ports to one target with one protocol are one to istiod: the first.
    std::set<std::pair<int, Protocol>> seen;
    for (const MeshServicePort& port : service.ports) {
      if (port.protocol == Protocol::kUdp) continue;
      const int target = TargetPort(service, port, workload);
      if (target == 0 || !seen.emplace(target, port.protocol).second) continue;
      out.push_back({&service, &port, target});
    }
  }
  return out;
}

std::optional<std::pair<const MeshService*, const MeshServicePort*>> Mesh::ServiceForPort(
    const Workload& workload, int container_port) const {
  for (const ServiceTarget& target : ServiceTargets(workload)) {
    if (target.target_port == container_port) return std::pair(target.service, target.port);
  }
  return std::nullopt;
}

const Sidecar* Mesh::SidecarFor(const Workload& workload) const {
  if (workload.mode != ProxyMode::kSidecar) return nullptr;
  if (auto it = sidecars_.find(workload.ns); it != sidecars_.end()) {
    for (const Sidecar* sidecar : it->second) {
      if (Selects(sidecar->workload_selector.match_labels, workload.labels)) return sidecar;
    }
  }
  if (auto it = sidecars_.find(config().root_namespace); it != sidecars_.end()) {
    for (const Sidecar* sidecar : it->second) {
      if (!sidecar->workload_selector.present) return sidecar;
    }
  }
  return nullptr;
}

std::vector<InboundPort> Mesh::InboundPorts(const Workload& workload) const {
  std::vector<InboundPort> out;
  if (workload.mode == ProxyMode::kGateway || workload.mode == ProxyMode::kWaypoint) return out;
  std::set<int> taken;
  const Sidecar* sidecar = SidecarFor(workload);
  const bool has_ingress = sidecar && !sidecar->ingress.empty();
  if (has_ingress) {
    for (const Sidecar::Ingress& ingress : sidecar->ingress) {
      const Protocol protocol = ParseProtocol(ingress.protocol.value);
      if (protocol == Protocol::kUdp || !taken.insert(ingress.port).second) continue;
      out.push_back({ingress.port, protocol, nullptr, ingress.port, &ingress});
    }
  }
  if (!has_ingress || FeatureEnabled("PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE", false)) {
    for (const ServiceTarget& target : ServiceTargets(workload)) {
      if (!taken.insert(target.target_port).second) continue;
      out.push_back(
          {target.target_port, target.port->protocol, target.service, target.port->port, nullptr});
    }
  }
  std::sort(out.begin(), out.end(),
            [](const InboundPort& a, const InboundPort& b) { return a.port < b.port; });
  return out;
}

}  // namespace meshproof

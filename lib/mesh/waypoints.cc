// Who is behind a waypoint (istio-semantics section 7.3). The label istio.io/use-waypoint of the
// object decides, else its namespace's; `none` opts out. A waypoint that is named but not there (or
// that has no address yet, may not be used from this namespace, or does not serve this kind of
// traffic) means none at all: there is no falling back to the namespace's.
#include <algorithm>

#include "mesh/builder.h"
#include "mesh/made_file.h"
#include "model/labels.h"

namespace meshproof {
namespace {

constexpr std::string_view kWaypointFor = "istio.io/waypoint-for";
constexpr std::string_view kIngressUseWaypoint = "istio.io/ingress-use-waypoint";
constexpr int kHbonePort = 15008;

std::string NameOf(const K8sGateway& gateway) {
  return gateway.meta.ns + "/" + std::string(gateway.meta.name);
}

std::string_view LabelOr(const Labels& labels, std::string_view key, std::string_view otherwise) {
  const std::string* value = FindLabel(labels, key);
  return value ? std::string_view(*value) : otherwise;
}

const GatewayClass* ClassOf(const Model& model, const K8sGateway& gateway) {
  for (const GatewayClass& candidate : model.gateway_classes) {
    if (candidate.meta.name == gateway.class_name.value) return &candidate;
  }
  return nullptr;
}

std::string_view TrafficType(const Model& model, const K8sGateway& gateway) {
  if (const std::string* own = FindLabel(gateway.meta.labels, kWaypointFor)) return *own;
  const GatewayClass* gateway_class = ClassOf(model, gateway);
  return gateway_class ? LabelOr(gateway_class->meta.labels, kWaypointFor, "service") : "service";
}

// The rules of the HBONE listener; without one only the waypoint's own namespace may use it.
bool AllowsNamespace(const Mesh& mesh, const K8sGateway& gateway, const std::string& ns) {
  AllowedRoutes rules;
  for (const K8sListener& listener : gateway.listeners) {
    if (listener.protocol.value != "HBONE" || listener.port != kHbonePort) continue;
    rules = listener.allowed_routes;
    break;
  }
  switch (rules.from) {
    case AllowedRoutes::From::kAll:
      return true;
    case AllowedRoutes::From::kNone:
      return false;
    case AllowedRoutes::From::kSelector: {
      const Namespace* object = mesh.FindNamespace(ns);
      return object != nullptr && !rules.opaque && Selects(rules.selector, object->meta.labels);
    }
    case AllowedRoutes::From::kSame:
      return gateway.meta.ns == ns;
  }
  return false;
}

bool UsesAmbient(const Model& model, const std::vector<Workload>& workloads) {
  for (const Workload& workload : workloads) {
    if (workload.mode == ProxyMode::kAmbient || workload.mode == ProxyMode::kWaypoint) return true;
  }
  for (const K8sGateway& gateway : model.k8s_gateways) {
    if (gateway.class_name.value == "istio-waypoint") return true;
  }
  return std::any_of(model.namespaces.begin(), model.namespaces.end(), [](const Namespace& ns) {
    return LabelOr(ns.meta.labels, kDataplaneModeLabel, "") == "ambient";
  });
}

IpAddress Nth(const CidrRange& range, uint32_t n) {
  IpAddress address = range.address;
  const int last = address.v6 ? 15 : 3;
  for (int i = last; n != 0 && i >= 0; --i, n >>= 8) {
    const uint32_t sum = address.bytes[static_cast<size_t>(i)] + (n & 0xFF);
    address.bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(sum & 0xFF);
    n += (sum >> 8) << 8;
  }
  return address;
}

}  // namespace

void MeshBuilder::FindWaypoints() {
  const std::optional<std::string_view> flag = mesh_.Feature("PILOT_ENABLE_AMBIENT");
  mesh_.ambient_ = flag ? mesh_.FeatureEnabled("PILOT_ENABLE_AMBIENT", false)
                        : UsesAmbient(model_, mesh_.workloads_);
  for (const K8sGateway& gateway : model_.k8s_gateways) {
    // The address is written once the proxies are ready; what comes from no cluster has no status.
    if (gateway.has_status && !gateway.has_status_address) continue;
    Waypoint waypoint;
    waypoint.gateway = &gateway;
    for (const Workload& workload : mesh_.workloads_) {
      if (workload.gateway == &gateway && waypoint.workload == nullptr) {
        waypoint.workload = &workload;
      }
    }
    waypoint.service = mesh_.FindService(std::string(gateway.meta.name) + "." + gateway.meta.ns +
                                         ".svc." + model_.mesh_config.domain);
    const std::string_view type = TrafficType(model_, gateway);
    waypoint.for_services = type == "service" || type == "all";
    waypoint.for_workloads = type == "workload" || type == "all";
    mesh_.waypoints_.push_back(waypoint);
  }
  std::sort(mesh_.waypoints_.begin(), mesh_.waypoints_.end(),
            [](const Waypoint& a, const Waypoint& b) {
              return std::tie(a.gateway->meta.ns, a.gateway->meta.name) <
                     std::tie(b.gateway->meta.ns, b.gateway->meta.name);
            });
}

const K8sGateway* Mesh::FindK8sGateway(std::string_view ns, std::string_view name) const {
  for (const K8sGateway& gateway : model_->k8s_gateways) {
    if (gateway.meta.ns == ns && gateway.meta.name == name) return &gateway;
  }
  return nullptr;
}

bool Mesh::TakesHbone(const Workload& workload) const {
  if (workload.mode == ProxyMode::kAmbient) return true;
  return workload.mode == ProxyMode::kSidecar && ambient_;
}

const Waypoint* Mesh::WaypointOf(const Workload& proxy) const {
  if (proxy.mode != ProxyMode::kWaypoint || proxy.gateway == nullptr) return nullptr;
  for (const Waypoint& waypoint : waypoints_) {
    if (waypoint.gateway == proxy.gateway) return &waypoint;
  }
  return nullptr;
}

WaypointChoice Mesh::ChooseWaypoint(const Labels& labels, const std::string& ns) const {
  WaypointChoice choice;
  const Namespace* object = FindNamespace(ns);
  const std::string* name = FindLabel(labels, kUseWaypointLabel);
  const Labels* at = &labels;
  std::string whose = "label ";
  if (name && *name == "none") {
    choice.reason = "label istio.io/use-waypoint: none";
    return choice;
  }
  if (!name || name->empty()) {
    name = object ? FindLabel(object->meta.labels, kUseWaypointLabel) : nullptr;
    at = object ? &object->meta.labels : nullptr;
    whose = "namespace label ";
  }
  if (!name || name->empty() || *name == "none") {
    choice.reason = name && *name == "none" ? "namespace label istio.io/use-waypoint: none"
                                            : "no label istio.io/use-waypoint";
    return choice;
  }
  const std::string_view waypoint_ns = LabelOr(*at, kUseWaypointNamespaceLabel, ns);
  choice.asked_for = true;
  choice.reason = whose + std::string(kUseWaypointLabel) + ": " + *name;
  for (const Waypoint& waypoint : waypoints_) {
    if (waypoint.gateway->meta.ns != waypoint_ns || waypoint.gateway->meta.name != *name) continue;
    if (!AllowsNamespace(*this, *waypoint.gateway, ns)) {
      choice.reason += ", but " + NameOf(*waypoint.gateway) + " allows no use from namespace " + ns;
      return choice;
    }
    choice.waypoint = &waypoint;
    return choice;
  }
  const K8sGateway* known = FindK8sGateway(waypoint_ns, *name);
  choice.reason += known ? ", but it has no address in its status yet"
                         : ", but there is no Gateway " + std::string(waypoint_ns) + "/" + *name;
  return choice;
}

namespace {

// A ztunnel's dump names the waypoint itself, by no label.
void SayOfDump(const ObjectMeta* object, WaypointChoice* choice) {
  if (object == nullptr || !IsMade(*object)) return;
  choice->reason = choice->waypoint != nullptr ? "a dump says so" : "no dump names one";
}

}  // namespace

WaypointChoice Mesh::WaypointFor(const MeshService& service) const {
  // What leads to a waypoint has none.
  for (size_t i : service.workloads) {
    if (workloads_[i].mode == ProxyMode::kWaypoint) return {nullptr, false, "it is a waypoint's"};
  }
  WaypointChoice choice = ChooseWaypoint(service.object->labels, service.ns);
  if (choice.waypoint && !choice.waypoint->for_services) {
    choice.reason += ", but that waypoint is not for Services (istio.io/waypoint-for)";
    choice.waypoint = nullptr;
  }
  SayOfDump(service.object, &choice);
  return choice;
}

WaypointChoice Mesh::WaypointFor(const Workload& workload) const {
  if (workload.mode == ProxyMode::kWaypoint) return {nullptr, false, "it is a waypoint"};
  WaypointChoice choice = ChooseWaypoint(workload.labels, workload.ns);
  if (choice.waypoint && !choice.waypoint->for_workloads) {
    choice.reason += ", but that waypoint is not for workloads (istio.io/waypoint-for)";
    choice.waypoint = nullptr;
  }
  SayOfDump(workload.object, &choice);
  return choice;
}

bool Mesh::IngressUsesWaypoint(const MeshService& service) const {
  const std::string* own = FindLabel(service.object->labels, kIngressUseWaypoint);
  if (own) return *own == "true";
  const Namespace* ns = FindNamespace(service.ns);
  return ns != nullptr && LabelOr(ns->meta.labels, kIngressUseWaypoint, "") == "true";
}

const ReferenceGrant* Mesh::FindReferenceGrant(std::string_view from_kind, std::string_view from_ns,
                                               std::string_view to_kind, std::string_view to_ns,
                                               std::string_view to_name) const {
  for (const ReferenceGrant& grant : model_->reference_grants) {
    if (grant.meta.ns != to_ns) continue;
    const bool from =
        std::any_of(grant.from.begin(), grant.from.end(), [&](const ReferenceGrant::Peer& peer) {
          return peer.kind.value == from_kind && peer.ns.value == from_ns &&
                 peer.group.value == "gateway.networking.k8s.io";
        });
    const bool to =
        std::any_of(grant.to.begin(), grant.to.end(), [&](const ReferenceGrant::Peer& peer) {
          return peer.kind.value == to_kind &&
                 (peer.name.value.empty() || peer.name.value == to_name);
        });
    if (from && to) return &grant;
  }
  return nullptr;
}

IpAddress Mesh::StandInAddress(const MeshService& service) const {
  if (!service.addresses.empty()) return service.addresses.front();
  const auto index = static_cast<uint32_t>(&service - services_.data());
  for (uint32_t n = index + 1;; n += static_cast<uint32_t>(services_.size())) {
    const IpAddress address = Nth(options_.service_cidrs.front(), n);
    if (service_addresses_.count(address) == 0) return address;
  }
}

IpAddress Mesh::StandInAddress(const Workload& workload) const {
  if (!workload.ips.empty()) return workload.ips.front();
  const auto index = static_cast<uint32_t>(IndexOf(workload));
  for (uint32_t n = index + 1;; n += static_cast<uint32_t>(workloads_.size())) {
    const IpAddress address = Nth(options_.pod_cidrs.front(), n);
    if (workload_addresses_.count(address) == 0) return address;
  }
}

}  // namespace meshproof

#include "proxy/ztunnel_objects.h"

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/text.h"

namespace meshproof {
namespace {

constexpr std::string_view kServedLabel = "meshproof.dump/service-";

bool SpeaksHbone(const DumpedWorkload& workload) {
  return EqualsIgnoreCase(workload.protocol, "HBONE");
}

// Where a Service's port leads differs from pod to pod: they name it.
std::string PortName(const std::string& label, int port) {
  return "p" + label.substr(kServedLabel.size()) + "-" + std::to_string(port);
}

// The most frequent trust domain of the workloads; "" where it is the default one.
std::string TrustDomainIn(const std::vector<ZtunnelDump>& dumps) {
  std::map<std::string, size_t> counts;
  for (const ZtunnelDump& dump : dumps) {
    for (const DumpedWorkload& workload : dump.workloads) ++counts[workload.trust_domain];
  }
  std::string best;
  size_t most = 0;
  for (const auto& [domain, count] : counts) {
    if (count > most) best = domain, most = count;
  }
  return best == "cluster.local" ? std::string() : best;
}

bool Alike(const DumpedWorkload& a, const DumpedWorkload& b) {
  return a.protocol == b.protocol && a.policies == b.policies && a.waypoint == b.waypoint &&
         a.native_tunnel == b.native_tunnel && a.service_account == b.service_account;
}

}  // namespace

bool SaysNativeOfAll(const ZtunnelDump& dump) {
  bool any = false;
  for (const DumpedWorkload& workload : dump.workloads) {
    if (!SpeaksHbone(workload)) continue;
    if (!workload.native_tunnel) return false;
    any = true;
  }
  return any;
}

bool IsCaptured(const ZtunnelDump& dump, const DumpedWorkload& workload) {
  if (!SpeaksHbone(workload)) return false;
  return !workload.native_tunnel || dump.served.contains(workload.ns + "/" + workload.name) ||
         SaysNativeOfAll(dump);
}

ZtunnelObjects::ZtunnelObjects(const std::vector<ZtunnelDump>& dumps, const KnownObjects& known)
    : dumps_(dumps), known_(known) {
  for (const ZtunnelDump& dump : dumps) {
    for (const DumpedService& service : dump.services) {
      destinations_.emplace(service.ns + "/" + service.host, &service);
      for (const IpAddress& vip : service.vips) destinations_.emplace(ToString(vip), &service);
    }
  }
  for (const ZtunnelDump& dump : dumps) {
    for (const DumpedWorkload& workload : dump.workloads) AddWaypoint(workload.waypoint);
    for (const DumpedService& service : dump.services) AddWaypoint(service.waypoint);
  }
  std::set<std::string> seen;
  for (const ZtunnelDump& dump : dumps) {
    for (const DumpedService& service : dump.services) {
      if (seen.insert(service.ns + "/" + service.host).second) AddService(service);
    }
  }
}

const DumpedService* ZtunnelObjects::FindDestination(const std::string& destination) const {
  const auto found = destinations_.find(destination);
  return found == destinations_.end() ? nullptr : found->second;
}

void ZtunnelObjects::AddWaypoint(const std::string& destination) {
  const DumpedService* service = FindDestination(destination);
  if (service != nullptr) waypoints_.insert({service->ns, service->name});
}

void ZtunnelObjects::AddService(const DumpedService& service) {
  const bool of_waypoint = waypoints_.contains({service.ns, service.name});
  Served served{&service, of_waypoint
                              ? std::string()
                              : std::string(kServedLabel) + std::to_string(services_.size())};
  for (const auto& endpoint : service.endpoints) {
    Labels& labels = labels_[endpoint.workload_uid];
    if (of_waypoint) {
      labels.emplace_back(kGatewayNameLabel, service.name);
      continue;
    }
    labels.emplace_back(served.label, "true");
    for (const auto& [port, target] : endpoint.ports) {
      const auto same = [port = port](const auto& own) { return own.first == port; };
      const auto own = std::find_if(service.ports.begin(), service.ports.end(), same);
      if (own == service.ports.end() || own->second != 0 || target == 0) continue;
      ports_[endpoint.workload_uid].emplace_back(PortName(served.label, port), target);
    }
  }
  services_.push_back(std::move(served));
}

Labels ZtunnelObjects::LabelsOf(const std::string& ns, const std::string& workload) const {
  for (const ZtunnelDump& dump : dumps_) {
    for (const DumpedWorkload& dumped : dump.workloads) {
      if (dumped.ns != ns || (dumped.workload != workload && dumped.name != workload)) continue;
      const auto found = labels_.find(dumped.uid);
      if (found != labels_.end()) return found->second;
    }
  }
  return {};
}

std::string ZtunnelObjects::Text(const std::set<std::string>& dumped) const {
  std::string text;
  const std::string domain = TrustDomainIn(dumps_);
  if (!domain.empty() && !known_.mesh_config) text += WriteJson(MadeMeshConfig(domain)) + "\n";
  for (const auto& [ns, name] : waypoints_) {
    if (!known_.HasGateway(ns, name)) text += WriteJson(MadeWaypoint(ns, name)) + "\n";
  }
  for (const Served& served : services_) {
    const DumpedService& service = *served.service;
    const bool named = known_.HasService(service.ns, service.name, service.host);
    if (!named) text += WriteJson(ServiceJson(served)) + "\n";
  }
  std::set<std::string> made = dumped;
  for (const ZtunnelDump& dump : dumps_) {
    text += Pods(dump, made);
    for (const DumpedWorkload& workload : dump.workloads) {
      made.insert(workload.ns + "/" + workload.workload);
      made.insert(workload.ns + "/" + workload.name);
    }
  }
  return text;
}

void ZtunnelObjects::SetWaypoint(const std::string& destination, Json* labels) const {
  const DumpedService* waypoint = FindDestination(destination);
  labels->Set("istio.io/use-waypoint", waypoint == nullptr ? "none" : waypoint->name);
  if (waypoint != nullptr) labels->Set("istio.io/use-waypoint-namespace", waypoint->ns);
}

Json ZtunnelObjects::ServiceJson(const Served& served) const {
  const DumpedService& service = *served.service;
  MadeService made;
  made.ns = service.ns;
  made.name = service.name;
  made.host = service.host;
  made.addresses = service.vips;
  for (const auto& [port, target] : service.ports) {
    Json to = target != 0            ? Json(target)
              : served.label.empty() ? Json(port)
                                     : Json(PortName(served.label, port));
    made.ports.emplace_back(port, std::move(to));
  }
  made.labels = Json::MakeObject();
  SetWaypoint(service.waypoint, &made.labels);
  made.selector = served.label.empty()
                      ? Json::MakeObject({{std::string(kGatewayNameLabel), service.name}})
                      : Json::MakeObject({{served.label, "true"}});
  return MadeServiceObject(std::move(made));
}

void ZtunnelObjects::AddTo(KnownObjects* known) const {
  for (const auto& [ns, name] : waypoints_) known->gateways.insert(ns + "/" + name);
  for (const Served& served : services_) {
    const DumpedService& service = *served.service;
    known->services.insert(service.ns + "/" + service.name);
    known->hosts.insert(service.host);
  }
}

std::string ZtunnelObjects::Pods(const ZtunnelDump& dump,
                                 const std::set<std::string>& dumped) const {
  std::map<Name, std::vector<const DumpedWorkload*>> by_controller;
  for (const DumpedWorkload& workload : dump.workloads) {
    by_controller[{workload.ns, workload.workload}].push_back(&workload);
  }
  std::string text;
  for (const DumpedWorkload& workload : dump.workloads) {
    const std::string own = workload.ns + "/" + workload.name;
    const std::string controller = workload.ns + "/" + workload.workload;
    if (dumped.contains(own) || dumped.contains(controller) || known_.pods.contains(own)) continue;
    const bool captured = IsCaptured(dump, workload);
    const bool named = known_.workloads.contains(controller) || known_.workloads.contains(own);
    if ((named && !captured) || known_.workloads.contains("/" + workload.workload)) continue;
    // Pods of one controller are one workload, but where they are not alike.
    const auto& pods = by_controller[{workload.ns, workload.workload}];
    const bool owned = !workload.workload.empty() && workload.workload != workload.name &&
                       std::all_of(pods.begin(), pods.end(), [&](const DumpedWorkload* pod) {
                         return Alike(*pod, workload);
                       });
    text += WriteJson(PodJson(workload, captured, owned)) + "\n";
  }
  return text;
}

Json ZtunnelObjects::PodJson(const DumpedWorkload& workload, bool captured, bool owned) const {
  const auto found = labels_.find(workload.uid);
  const Labels served = found == labels_.end() ? Labels() : found->second;
  Json labels = Json::MakeObject();
  for (const auto& [key, value] : served) labels.Set(key, value);
  const bool waypoint = FindLabel(served, kGatewayNameLabel) != nullptr;
  const bool sidecar = !waypoint && !captured && !EqualsIgnoreCase(workload.protocol, "TCP");
  if (waypoint) labels.Set("gateway.istio.io/managed", "istio.io-mesh-controller");
  if (!sidecar && !waypoint) {
    labels.Set("istio.io/dataplane-mode", captured ? "ambient" : "none");
    labels.Set("sidecar.istio.io/inject", "false");
  }
  SetWaypoint(workload.waypoint, &labels);
  Json metadata = MadeMetadata(workload.ns, workload.name, std::move(labels));
  if (sidecar) {
    metadata.Set("annotations", Json::MakeObject({{"sidecar.istio.io/status", "{}"}}));
  }
  if (owned) {
    metadata.Set("ownerReferences", MadeList(Json::MakeObject({{"apiVersion", "apps/v1"},
                                                               {"kind", "ReplicaSet"},
                                                               {"controller", true},
                                                               {"name", workload.workload}})));
  }
  Json container = Json::MakeObject({{"name", "app"}, {"ports", NamedPorts(workload)}});
  Json spec = Json::MakeObject(
      {{"serviceAccountName",
        workload.service_account.empty() ? std::string("default") : workload.service_account},
       {"containers", MadeList(std::move(container))}});
  if (workload.host_network) spec.Set("hostNetwork", true);
  Json pod = MadeObject("v1", "Pod", std::move(metadata));
  pod.Set("spec", std::move(spec));
  if (workload.ips.empty()) return pod;
  Json status = Json::MakeObject({{"podIP", ToString(workload.ips.front())}});
  Json ips = Json::MakeArray();
  for (const IpAddress& ip : workload.ips) ips.Append(Json::MakeObject({{"ip", ToString(ip)}}));
  status.Set("podIPs", std::move(ips));
  pod.Set("status", std::move(status));
  return pod;
}

Json ZtunnelObjects::NamedPorts(const DumpedWorkload& workload) const {
  Json ports = Json::MakeArray();
  const auto found = ports_.find(workload.uid);
  if (found == ports_.end()) return ports;
  for (const auto& [name, port] : found->second) {
    ports.Append(Json::MakeObject({{"name", name}, {"containerPort", port}}));
  }
  return ports;
}

}  // namespace meshproof

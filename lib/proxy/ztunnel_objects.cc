#include "proxy/ztunnel_objects.h"

#include <algorithm>
#include <map>

#include "base/json.h"
#include "base/text.h"

namespace meshproof {
namespace {

constexpr std::string_view kGatewayLabel = "gateway.networking.k8s.io/gateway-name";
constexpr std::string_view kServedLabel = "meshproof.dump/service-";

std::string ScalarOf(const Node* node) {
  return node != nullptr && node->kind == NodeKind::kScalar ? std::string(node->text)
                                                            : std::string();
}

Json ListOf(Json element) {
  Json list = Json::MakeArray();
  list.Append(std::move(element));
  return list;
}

Json MetadataJson(const std::string& ns, const std::string& name, Json labels) {
  return Json::MakeObject({{"name", name}, {"namespace", ns}, {"labels", std::move(labels)}});
}

Json ObjectJson(const char* api_version, const char* kind, Json metadata) {
  Json out = Json::MakeObject({{"apiVersion", api_version}, {"kind", kind}});
  out.Set("metadata", std::move(metadata));
  return out;
}

bool SpeaksHbone(const DumpedWorkload& workload) {
  return EqualsIgnoreCase(workload.protocol, "HBONE");
}

// Where a Service's port leads differs from pod to pod: they name it.
std::string PortName(const std::string& label, int port) {
  return "p" + label.substr(kServedLabel.size()) + "-" + std::to_string(port);
}

bool IsKubernetesHost(const DumpedService& service) {
  return service.host.starts_with(service.name + "." + service.ns + ".svc.");
}

Json GatewayJson(const std::string& ns, const std::string& name) {
  Json labels = Json::MakeObject({{"istio.io/waypoint-for", "all"}});
  Json out = ObjectJson("gateway.networking.k8s.io/v1", "Gateway",
                        MetadataJson(ns, name, std::move(labels)));
  Json everybody = Json::MakeObject({{"namespaces", Json::MakeObject({{"from", "All"}})}});
  Json listener = Json::MakeObject({{"name", "mesh"}, {"port", 15008}, {"protocol", "HBONE"}});
  listener.Set("allowedRoutes", std::move(everybody));
  out.Set("spec", Json::MakeObject({{"gatewayClassName", "istio-waypoint"},
                                    {"listeners", ListOf(std::move(listener))}}));
  return out;
}

Json AddressesJson(const std::vector<IpAddress>& addresses) {
  Json out = Json::MakeArray();
  for (const IpAddress& address : addresses) out.Append(ToString(address));
  return out;
}

Json PortsJson(const DumpedService& service, const std::string& label) {
  Json ports = Json::MakeArray();
  for (const auto& [port, target] : service.ports) {
    Json entry = Json::MakeObject({{"name", "p" + std::to_string(port)}, {"port", port}});
    if (target != 0) {
      entry.Set("targetPort", target);
    } else if (!label.empty()) {
      entry.Set("targetPort", PortName(label, port));
    }
    ports.Append(std::move(entry));
  }
  return ports;
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

bool Holds(const std::set<std::string>& names, const std::string& ns, const std::string& name) {
  return names.contains(ns + "/" + name) || names.contains("/" + name);
}

}  // namespace

void KnownObjects::Note(const Node& node) {
  if (!node.IsMapping()) return;
  if (const Node* items = node.Find("items"); items != nullptr && items->IsSequence()) {
    for (const Node& item : items->items()) Note(item);
    return;
  }
  static const std::set<std::string_view> kControllers = {
      "Deployment", "StatefulSet",           "DaemonSet",    "ReplicaSet", "Job", "CronJob",
      "Pod",        "ReplicationController", "WorkloadEntry"};
  const std::string kind = ScalarOf(node.Find("kind"));
  const Node* metadata = node.Find("metadata");
  if (metadata == nullptr || !metadata->IsMapping()) return;
  const std::string name = ScalarOf(metadata->Find("name"));
  const std::string full = ScalarOf(metadata->Find("namespace")) + "/" + name;
  if (kControllers.contains(kind)) workloads.insert(full);
  if (kind == "Pod") pods.insert(full);
  if (kind == "Service") services.insert(full);
  if (kind == "Gateway") gateways.insert(full);
  mesh_config |= kind == "IstioOperator" || (kind == "ConfigMap" && name.starts_with("istio"));
  if (kind != "ServiceEntry") return;
  const Node* spec = node.Find("spec");
  const Node* list = spec != nullptr && spec->IsMapping() ? spec->Find("hosts") : nullptr;
  if (list == nullptr || !list->IsSequence()) return;
  for (const Node& host : list->items()) hosts.insert(ScalarOf(&host));
}

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
      labels.emplace_back(kGatewayLabel, service.name);
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
  if (!domain.empty() && !known_.mesh_config) {
    Json map =
        ObjectJson("v1", "ConfigMap", MetadataJson("istio-system", "istio", Json::MakeObject()));
    map.Set("data", Json::MakeObject({{"mesh", "trustDomain: " + domain + "\n"}}));
    text += WriteJson(map) + "\n";
  }
  for (const auto& [ns, name] : waypoints_) {
    if (Holds(known_.gateways, ns, name)) continue;
    text += WriteJson(GatewayJson(ns, name)) + "\n";
  }
  for (const Served& served : services_) {
    const DumpedService& service = *served.service;
    const bool named = IsKubernetesHost(service) ? Holds(known_.services, service.ns, service.name)
                                                 : known_.hosts.contains(service.host);
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
  Json selector = served.label.empty()
                      ? Json::MakeObject({{std::string(kGatewayLabel), service.name}})
                      : Json::MakeObject({{served.label, "true"}});
  Json labels = Json::MakeObject();
  SetWaypoint(service.waypoint, &labels);
  Json metadata = MetadataJson(service.ns, service.name, std::move(labels));
  Json spec = Json::MakeObject({{"ports", PortsJson(service, served.label)}});
  if (!IsKubernetesHost(service)) {
    spec.Set("hosts", ListOf(service.host));
    if (!service.vips.empty()) spec.Set("addresses", AddressesJson(service.vips));
    spec.Set("resolution", "STATIC");
    spec.Set("workloadSelector", Json::MakeObject({{"labels", std::move(selector)}}));
    Json object = ObjectJson("networking.istio.io/v1", "ServiceEntry", std::move(metadata));
    object.Set("spec", std::move(spec));
    return object;
  }
  spec.Set("clusterIP", service.vips.empty() ? "None" : ToString(service.vips.front()));
  if (!service.vips.empty()) spec.Set("clusterIPs", AddressesJson(service.vips));
  spec.Set("selector", std::move(selector));
  Json object = ObjectJson("v1", "Service", std::move(metadata));
  object.Set("spec", std::move(spec));
  return object;
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
  const bool waypoint = FindLabel(served, kGatewayLabel) != nullptr;
  const bool sidecar = !waypoint && !captured && !EqualsIgnoreCase(workload.protocol, "TCP");
  if (waypoint) labels.Set("gateway.istio.io/managed", "istio.io-mesh-controller");
  if (!sidecar && !waypoint) {
    labels.Set("istio.io/dataplane-mode", captured ? "ambient" : "none");
    labels.Set("sidecar.istio.io/inject", "false");
  }
  SetWaypoint(workload.waypoint, &labels);
  Json metadata = MetadataJson(workload.ns, workload.name, std::move(labels));
  if (sidecar) {
    metadata.Set("annotations", Json::MakeObject({{"sidecar.istio.io/status", "{}"}}));
  }
  if (owned) {
    metadata.Set("ownerReferences", ListOf(Json::MakeObject({{"apiVersion", "apps/v1"},
                                                             {"kind", "ReplicaSet"},
                                                             {"name", workload.workload}})));
  }
  Json container = Json::MakeObject({{"name", "app"}, {"ports", NamedPorts(workload)}});
  Json spec = Json::MakeObject(
      {{"serviceAccountName",
        workload.service_account.empty() ? std::string("default") : workload.service_account},
       {"containers", ListOf(std::move(container))}});
  if (workload.host_network) spec.Set("hostNetwork", true);
  Json pod = ObjectJson("v1", "Pod", std::move(metadata));
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

#include "proxy/made_objects.h"

namespace meshproof {
namespace {

std::string ScalarOf(const Node* node) {
  return node != nullptr && node->kind == NodeKind::kScalar ? std::string(node->text)
                                                            : std::string();
}

bool Holds(const std::set<std::string>& names, const std::string& ns, const std::string& name) {
  return names.contains(ns + "/" + name) || names.contains("/" + name);
}

Json AddressesJson(const std::vector<IpAddress>& addresses) {
  Json out = Json::MakeArray();
  for (const IpAddress& address : addresses) out.Append(ToString(address));
  return out;
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
  const Node* data = kind == "ConfigMap" ? node.Find("data") : nullptr;
  mesh_config |= kind == "IstioOperator" ||
                 (data != nullptr && data->IsMapping() && data->Find("mesh") != nullptr);
  if (kind != "ServiceEntry") return;
  const Node* spec = node.Find("spec");
  const Node* list = spec != nullptr && spec->IsMapping() ? spec->Find("hosts") : nullptr;
  if (list == nullptr || !list->IsSequence()) return;
  for (const Node& host : list->items()) hosts.insert(ScalarOf(&host));
}

bool KnownObjects::HasService(const std::string& ns, const std::string& name,
                              const std::string& host) const {
  return IsKubernetesHost(host, ns, name) ? Holds(services, ns, name) : hosts.contains(host);
}

bool KnownObjects::HasGateway(const std::string& ns, const std::string& name) const {
  return Holds(gateways, ns, name);
}

Json MadeList(Json element) {
  Json list = Json::MakeArray();
  list.Append(std::move(element));
  return list;
}

Json MadeMetadata(const std::string& ns, const std::string& name, Json labels) {
  return Json::MakeObject({{"name", name}, {"namespace", ns}, {"labels", std::move(labels)}});
}

Json MadeObject(const char* api_version, const char* kind, Json metadata) {
  Json out = Json::MakeObject({{"apiVersion", api_version}, {"kind", kind}});
  out.Set("metadata", std::move(metadata));
  return out;
}

Json MadeWaypoint(const std::string& ns, const std::string& name) {
  Json labels = Json::MakeObject({{"istio.io/waypoint-for", "all"}});
  Json out = MadeObject("gateway.networking.k8s.io/v1", "Gateway",
                        MadeMetadata(ns, name, std::move(labels)));
  Json everybody = Json::MakeObject({{"namespaces", Json::MakeObject({{"from", "All"}})}});
  Json listener = Json::MakeObject({{"name", "mesh"}, {"port", 15008}, {"protocol", "HBONE"}});
  listener.Set("allowedRoutes", std::move(everybody));
  out.Set("spec", Json::MakeObject({{"gatewayClassName", "istio-waypoint"},
                                    {"listeners", MadeList(std::move(listener))}}));
  return out;
}

Json MadeMeshConfig(const std::string& trust_domain) {
  Json map =
      MadeObject("v1", "ConfigMap", MadeMetadata("istio-system", "istio", Json::MakeObject()));
  map.Set("data", Json::MakeObject({{"mesh", "trustDomain: " + trust_domain + "\n"}}));
  return map;
}

bool IsKubernetesHost(const std::string& host, const std::string& ns, const std::string& name) {
  return host.starts_with(name + "." + ns + ".svc.");
}

Json MadeServiceObject(MadeService service) {
  Json metadata = MadeMetadata(service.ns, service.name, std::move(service.labels));
  Json ports = Json::MakeArray();
  for (auto& [port, target] : service.ports) {
    ports.Append(Json::MakeObject(
        {{"name", "p" + std::to_string(port)}, {"port", port}, {"targetPort", std::move(target)}}));
  }
  Json spec = Json::MakeObject({{"ports", std::move(ports)}});
  if (!IsKubernetesHost(service.host, service.ns, service.name)) {
    spec.Set("hosts", MadeList(service.host));
    if (!service.addresses.empty()) spec.Set("addresses", AddressesJson(service.addresses));
    spec.Set("location", "MESH_INTERNAL");
    spec.Set("resolution", "STATIC");
    spec.Set("workloadSelector", Json::MakeObject({{"labels", std::move(service.selector)}}));
    Json object = MadeObject("networking.istio.io/v1", "ServiceEntry", std::move(metadata));
    object.Set("spec", std::move(spec));
    return object;
  }
  spec.Set("clusterIP", service.addresses.empty() ? "None" : ToString(service.addresses.front()));
  if (!service.addresses.empty()) spec.Set("clusterIPs", AddressesJson(service.addresses));
  spec.Set("selector", std::move(service.selector));
  Json object = MadeObject("v1", "Service", std::move(metadata));
  object.Set("spec", std::move(spec));
  return object;
}

}  // namespace meshproof

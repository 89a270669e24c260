// What istiod sends to ztunnel, in proto-JSON: values that are protobuf's defaults are left out.

#include "base/text.h"
#include "proxy/ztunnel.h"

namespace meshproof {
namespace {

Json EmitString(const ZtunnelString& value) {
  switch (value.kind) {
    case ZtunnelString::Kind::kExact:
      return Json::MakeObject({{"exact", value.value}});
    case ZtunnelString::Kind::kPrefix:
      return Json::MakeObject({{"prefix", value.value}});
    case ZtunnelString::Kind::kSuffix:
      return Json::MakeObject({{"suffix", value.value}});
    case ZtunnelString::Kind::kPresence:
      break;
  }
  return Json::MakeObject({{"presence", Json::MakeObject()}});
}

Json EmitAccount(const ZtunnelAccount& account) {
  return Json::MakeObject({{"namespace", account.ns}, {"serviceAccount", account.name}});
}

Json EmitBlock(const ZtunnelBlock& block) {
  Json out = Json::MakeObject({{"address", block.address}});
  if (block.range.length != 0) out.Set("length", block.range.length);
  return out;
}

Json EmitPort(const ZtunnelPort& port) {
  return Json(static_cast<int64_t>(port.port));
}

template <typename T>
void Set(std::string_view key, const std::vector<T>& values, Json (*emit)(const T&), Json* out) {
  if (values.empty()) return;
  Json list = Json::MakeArray();
  for (const T& value : values) list.Append(emit(value));
  out->Set(std::string(key), std::move(list));
}

Json EmitMatch(const ZtunnelMatch& match) {
  Json out = Json::MakeObject();
  Set("namespaces", match.namespaces, EmitString, &out);
  Set("not_namespaces", match.not_namespaces, EmitString, &out);
  Set("service_accounts", match.service_accounts, EmitAccount, &out);
  Set("not_service_accounts", match.not_service_accounts, EmitAccount, &out);
  Set("principals", match.principals, EmitString, &out);
  Set("not_principals", match.not_principals, EmitString, &out);
  Set("source_ips", match.source_ips, EmitBlock, &out);
  Set("not_source_ips", match.not_source_ips, EmitBlock, &out);
  Set("destination_ips", match.destination_ips, EmitBlock, &out);
  Set("not_destination_ips", match.not_destination_ips, EmitBlock, &out);
  Set("destination_ports", match.destination_ports, EmitPort, &out);
  Set("not_destination_ports", match.not_destination_ports, EmitPort, &out);
  return out;
}

Json EmitClause(const ZtunnelClause& clause) {
  Json out = Json::MakeObject();
  Set("matches", clause.matches, EmitMatch, &out);
  return out;
}

Json EmitGroup(const ZtunnelGroup& group) {
  Json out = Json::MakeObject();
  Set("rules", group.clauses, EmitClause, &out);
  return out;
}

Json EmitPolicy(const ZtunnelPolicy& policy) {
  Json out = Json::MakeObject({{"name", policy.name}, {"namespace", policy.ns}});
  if (policy.scope == ZtunnelPolicy::Scope::kWorkload) out.Set("scope", "WORKLOAD_SELECTOR");
  if (policy.scope == ZtunnelPolicy::Scope::kNamespace) out.Set("scope", "NAMESPACE");
  if (policy.action == ZtunnelPolicy::Action::kDeny) out.Set("action", "DENY");
  if (policy.dry_run) out.Set("dry_run", true);
  Set("groups", policy.groups, EmitGroup, &out);
  return out;
}

Json EmitWaypoint(const WaypointChoice& choice, const Mesh& mesh) {
  const ObjectMeta& meta = choice.waypoint->gateway->meta;
  const std::string host =
      choice.waypoint->service != nullptr
          ? choice.waypoint->service->host
          : std::string(meta.name) + "." + meta.ns + ".svc." + mesh.config().domain;
  return Json::MakeObject(
      {{"hostname", Json::MakeObject({{"namespace", meta.ns}, {"hostname", host}})},
       {"hbone_mtls_port", 15008}});
}

Json EmitServicesOf(const Mesh& mesh, const Workload& workload) {
  Json out = Json::MakeObject();
  for (const MeshService& service : mesh.services()) {
    bool member = false;
    for (const size_t index : service.workloads) member |= &mesh.workloads()[index] == &workload;
    if (!member) continue;
    Json ports = Json::MakeArray();
    for (const MeshServicePort& port : service.ports) {
      if (port.protocol == Protocol::kUdp) continue;
      const int target = mesh.TargetPort(service, port, workload);
      if (target == 0) continue;
      ports.Append(Json::MakeObject({{"service_port", port.port}, {"target_port", target}}));
    }
    out.Set(service.ns + "/" + service.host, Json::MakeObject({{"ports", std::move(ports)}}));
  }
  return out;
}

Json EmitWorkload(const ZtunnelConfig& config, const Workload& workload) {
  const Mesh& mesh = config.mesh();
  Json out = Json::MakeObject({{"namespace", workload.ns}, {"name", workload.name}});
  Json addresses = Json::MakeArray();
  for (const IpAddress& ip : workload.ips) addresses.Append(ToString(ip));
  if (workload.ips.empty()) addresses.Append(ToString(mesh.StandInAddress(workload)));
  out.Set("addresses", std::move(addresses));
  out.Set("service_account", workload.service_account);
  if (mesh.config().trust_domain != "cluster.local") {
    out.Set("trust_domain", mesh.config().trust_domain);
  }
  if (mesh.TakesHbone(workload)) {
    out.Set("tunnel_protocol", "HBONE");
    if (workload.mode == ProxyMode::kSidecar) out.Set("native_tunnel", true);
  }
  const WaypointChoice waypoint = mesh.WaypointFor(workload);
  if (waypoint.waypoint != nullptr) out.Set("waypoint", EmitWaypoint(waypoint, mesh));
  const std::vector<std::string>& listed = config.For(workload).listed;
  if (!listed.empty()) {
    Json names = Json::MakeArray();
    for (const std::string& name : listed) names.Append(name);
    out.Set("authorization_policies", std::move(names));
  }
  Json services = EmitServicesOf(mesh, workload);
  if (!services.as_object().empty()) out.Set("services", std::move(services));
  return out;
}

const char* AppProtocol(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp:
      return "HTTP11";
    case Protocol::kHttp2:
      return "HTTP2";
    case Protocol::kGrpc:
      return "GRPC";
    case Protocol::kTls:
    case Protocol::kHttps:
      return "TLS";
    case Protocol::kTcp:
      return "TCP";
    case Protocol::kUdp:
    case Protocol::kAuto:
      break;
  }
  return nullptr;
}

Json EmitService(const Mesh& mesh, const MeshService& service) {
  Json out = Json::MakeObject({{"namespace", service.ns}, {"hostname", service.host}});
  Json addresses = Json::MakeArray();
  for (const IpAddress& address : service.addresses) {
    addresses.Append(Json::MakeObject({{"address", ToString(address)}}));
  }
  if (service.addresses.empty() && !service.headless) {
    addresses.Append(Json::MakeObject({{"address", ToString(mesh.StandInAddress(service))}}));
  }
  if (!addresses.as_array().empty()) out.Set("addresses", std::move(addresses));
  bool of_waypoint = false;
  for (const size_t index : service.workloads) {
    of_waypoint |= mesh.workloads()[index].mode == ProxyMode::kWaypoint;
  }
  Json ports = Json::MakeArray();
  for (const MeshServicePort& port : service.ports) {
    if (port.protocol == Protocol::kUdp) continue;
    Json entry = Json::MakeObject({{"service_port", port.port}});
    // A named target differs from pod to pod: their entries say it.
    const std::optional<unsigned long> target = ParseUnsigned(port.target_port.value);
    if (port.target_port.value.empty()) {
      entry.Set("target_port", port.port);
    } else if (target) {
      entry.Set("target_port", static_cast<int64_t>(*target));
    }
    const char* protocol = AppProtocol(port.protocol);
    if (protocol != nullptr && !of_waypoint) entry.Set("app_protocol", protocol);
    ports.Append(std::move(entry));
  }
  if (!ports.as_array().empty()) out.Set("ports", std::move(ports));
  const WaypointChoice waypoint = mesh.WaypointFor(service);
  if (waypoint.waypoint != nullptr) out.Set("waypoint", EmitWaypoint(waypoint, mesh));
  return out;
}

}  // namespace

Json EmitZtunnel(const ZtunnelConfig& config) {
  const Mesh& mesh = config.mesh();
  Json authorizations = Json::MakeArray();
  for (const ZtunnelPolicy& policy : config.policies()) authorizations.Append(EmitPolicy(policy));
  Json workloads = Json::MakeArray();
  for (const Workload& workload : mesh.workloads()) {
    workloads.Append(EmitWorkload(config, workload));
  }
  Json services = Json::MakeArray();
  for (const MeshService& service : mesh.services()) services.Append(EmitService(mesh, service));
  return Json::MakeObject({{"authorizations", std::move(authorizations)},
                           {"workloads", std::move(workloads)},
                           {"services", std::move(services)}});
}

}  // namespace meshproof

#pragma once

#include <string>

#include "base/json.h"
#include "proxy/ztunnel.h"

// What the admin interface of a ztunnel prints that was sent a configuration.
namespace meshproof {

class ZtunnelDumpWriter {
 public:
  explicit ZtunnelDumpWriter(const ZtunnelConfig& config) : config_(config) {}

  Json Write() const {
    Json workloads = Json::MakeArray(), services = Json::MakeArray(), policies = Json::MakeArray();
    for (const Workload& workload : mesh().workloads()) workloads.Append(WorkloadJson(workload));
    for (const MeshService& service : mesh().services()) services.Append(ServiceJson(service));
    for (const ZtunnelPolicy& policy : config_.policies()) policies.Append(PolicyJson(policy));
    return Json::MakeObject({{"workloads", std::move(workloads)},
                             {"services", std::move(services)},
                             {"policies", std::move(policies)},
                             {"certificates", Json::MakeArray()}});
  }

 private:
  const Mesh& mesh() const { return config_.mesh(); }

  static std::string UidOf(const Workload& workload) {
    return "Kubernetes//Pod/" + workload.ns + "/" + workload.name + "-x1";
  }

  Json WaypointJson(const Waypoint& waypoint) const {
    const ObjectMeta& meta = waypoint.gateway->meta;
    const std::string host = waypoint.service != nullptr
                                 ? waypoint.service->host
                                 : std::string(meta.name) + "." + meta.ns + ".svc.cluster.local";
    return Json::MakeObject({{"destination", meta.ns + "/" + host}, {"hboneMtlsPort", 15008}});
  }

  Json WorkloadJson(const Workload& workload) const {
    Json out = Json::MakeObject({{"uid", UidOf(workload)},
                                 {"name", workload.name + "-x1"},
                                 {"namespace", workload.ns},
                                 {"workloadName", workload.name},
                                 {"serviceAccount", workload.service_account},
                                 {"trustDomain", mesh().config().trust_domain},
                                 {"protocol", mesh().TakesHbone(workload) ? "HBONE" : "TCP"}});
    if (workload.mode == ProxyMode::kSidecar) out.Set("nativeTunnel", mesh().TakesHbone(workload));
    Json ips = Json::MakeArray(), listed = Json::MakeArray();
    for (const IpAddress& ip : workload.ips) ips.Append(ToString(ip));
    for (const std::string& name : config_.For(workload).listed) listed.Append(name);
    out.Set("workloadIps", std::move(ips));
    out.Set("authorizationPolicies", std::move(listed));
    const Waypoint* waypoint = mesh().WaypointFor(workload).waypoint;
    if (waypoint != nullptr) out.Set("waypoint", WaypointJson(*waypoint));
    return out;
  }

  Json ServiceJson(const MeshService& service) const {
    Json vips = Json::MakeArray(), ports = Json::MakeObject(), endpoints = Json::MakeObject();
    for (const IpAddress& vip : service.addresses) vips.Append("network1/" + ToString(vip));
    if (service.addresses.empty() && !service.headless) {
      vips.Append("/" + ToString(mesh().StandInAddress(service)));
    }
    for (const MeshServicePort& port : service.ports) {
      if (port.protocol != Protocol::kUdp) ports.Set(std::to_string(port.port), 0);
    }
    for (const size_t index : service.workloads) {
      const Workload& workload = mesh().workloads()[index];
      Json own = Json::MakeObject();
      for (const MeshServicePort& port : service.ports) {
        const int target = mesh().TargetPort(service, port, workload);
        if (target != 0) own.Set(std::to_string(port.port), target);
      }
      endpoints.Set(UidOf(workload) + ":" + std::to_string(index),
                    Json::MakeObject({{"workloadUid", UidOf(workload)}, {"port", std::move(own)}}));
    }
    Json out = Json::MakeObject({{"name", service.name},
                                 {"namespace", service.ns},
                                 {"hostname", service.host},
                                 {"vips", std::move(vips)},
                                 {"ports", std::move(ports)},
                                 {"endpoints", std::move(endpoints)}});
    const Waypoint* waypoint = mesh().WaypointFor(service).waypoint;
    if (waypoint != nullptr) out.Set("waypoint", WaypointJson(*waypoint));
    return out;
  }

  static Json Item(const ZtunnelString& value) {
    switch (value.kind) {
      case ZtunnelString::Kind::kExact:
        return Json::MakeObject({{"Exact", value.value}});
      case ZtunnelString::Kind::kPrefix:
        return Json::MakeObject({{"Prefix", value.value}});
      case ZtunnelString::Kind::kSuffix:
        return Json::MakeObject({{"Suffix", value.value}});
      case ZtunnelString::Kind::kPresence:
        break;
    }
    return Json::MakeObject({{"Presence", Json::MakeArray()}});
  }
  static Json Item(const ZtunnelAccount& account) {
    return Json::MakeObject({{"namespace", account.ns}, {"serviceAccount", account.name}});
  }
  static Json Item(const ZtunnelBlock& block) { return ToString(block.range); }
  static Json Item(const ZtunnelPort& port) { return static_cast<int64_t>(port.port); }

  template <typename T>
  static void Add(const char* name, const std::vector<T>& values, Json* match) {
    if (values.empty()) return;
    Json list = Json::MakeArray();
    for (const T& value : values) list.Append(Item(value));
    match->Set(name, std::move(list));
  }

  static Json MatchJson(const ZtunnelMatch& match) {
    Json out = Json::MakeObject();
    Add("namespaces", match.namespaces, &out);
    Add("notNamespaces", match.not_namespaces, &out);
    Add("principals", match.principals, &out);
    Add("notPrincipals", match.not_principals, &out);
    Add("serviceAccounts", match.service_accounts, &out);
    Add("notServiceAccounts", match.not_service_accounts, &out);
    Add("sourceIps", match.source_ips, &out);
    Add("notSourceIps", match.not_source_ips, &out);
    Add("destinationIps", match.destination_ips, &out);
    Add("notDestinationIps", match.not_destination_ips, &out);
    Add("destinationPorts", match.destination_ports, &out);
    Add("notDestinationPorts", match.not_destination_ports, &out);
    return out;
  }

  static Json PolicyJson(const ZtunnelPolicy& policy) {
    static constexpr const char* kScopes[] = {"Global", "Namespace", "WorkloadSelector"};
    Json rules = Json::MakeArray();
    for (const ZtunnelGroup& group : policy.groups) {
      Json clauses = Json::MakeArray();
      for (const ZtunnelClause& clause : group.clauses) {
        Json matches = Json::MakeArray();
        for (const ZtunnelMatch& match : clause.matches) matches.Append(MatchJson(match));
        clauses.Append(std::move(matches));
      }
      rules.Append(std::move(clauses));
    }
    Json out = Json::MakeObject(
        {{"name", policy.name},
         {"namespace", policy.ns},
         {"scope", kScopes[static_cast<size_t>(policy.scope)]},
         {"action", policy.action == ZtunnelPolicy::Action::kDeny ? "Deny" : "Allow"},
         {"rules", std::move(rules)}});
    if (policy.dry_run) out.Set("dryRun", true);
    return out;
  }

  const ZtunnelConfig& config_;
};

}  // namespace meshproof

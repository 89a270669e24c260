#include "report/graph.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "base/text.h"
#include "proxy/ztunnel.h"
#include "report/parts.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

class Builder {
 public:
  explicit Builder(const Mesh& mesh) : mesh_(mesh) {}

  Graph Build(const Workload* only) {
    for (const auto& workload : mesh_.workloads()) {
      if (only == nullptr || only == &workload) AddWorkload(workload);
    }
    AddServices(only);
    AddRoutes();
    return Take();
  }

 private:
  static std::string WorkloadId(const Workload& workload) {
    return "workload:" + workload.ns + "/" + workload.name;
  }

  void AddNode(const Graph::Node& node) { nodes_.try_emplace(node.id, node); }

  void AddEdge(std::string from, std::string to, std::string kind, const ObjectMeta* policy = {},
               int rule = -1) {
    edges_.push_back({std::move(from), std::move(to), std::move(kind), policy, rule});
  }

  void AddWorkload(const Workload& workload) {
    std::string id = WorkloadId(workload);
    bool gateway = workload.mode == ProxyMode::kGateway;
    AddNode({id, gateway ? "gateway" : "workload", workload.ns, workload.name,
             std::string(ProxyModeName(workload.mode)), workload.name});
    if (workload.mode == ProxyMode::kNone) return;
    if (workload.mode == ProxyMode::kAmbient) return AddAmbient(workload, id);
    if (workload.mode == ProxyMode::kWaypoint) return AddWaypoint(workload, id);
    PolicySet set = mesh_.PoliciesFor(workload);
    for (const auto* policy : set.custom) AddPolicy(*policy, "custom", id);
    for (const auto* policy : set.audit) AddPolicy(*policy, "audits", id);
    for (const auto* policy : set.deny) AddPolicy(*policy, "denies", id);
    for (const auto* policy : set.allow) AddPolicy(*policy, "allows", id);
    for (const auto* policy : set.request_authentications) {
      AddEdge(PolicyNode(policy->meta), id, "authenticates", &policy->meta);
    }
    if (workload.mode != ProxyMode::kSidecar) return;
    EffectiveMtls mtls = mesh_.MtlsFor(workload);
    std::set<const PeerAuthentication*> deciding = {mtls.workload.source};
    for (const auto& [port, mode] : mtls.ports) deciding.insert(mode.source);
    deciding.erase(nullptr);
    for (const auto* policy : deciding) {
      AddEdge(PolicyNode(policy->meta), id, "mtls", &policy->meta);
    }
  }

  // What ztunnel enforces of the policies, and the PeerAuthentication that makes it strict.
  void AddAmbient(const Workload& workload, const std::string& id) {
    if (!ztunnel_) ztunnel_.emplace(mesh_);
    for (const ZtunnelPolicy* sent : ztunnel_->PoliciesFor(workload)) {
      if (sent->from_peer_authentication) continue;
      const bool deny = sent->action == ZtunnelPolicy::Action::kDeny;
      for (const auto& policy : mesh_.model().authorization_policies) {
        if (&policy.meta == sent->object) AddPolicy(policy, deny ? "denies" : "allows", id);
      }
    }
    const PeerAuthentication* strict = ztunnel_->For(workload).strict_by;
    if (strict != nullptr) AddEdge(PolicyNode(strict->meta), id, "mtls", &strict->meta);
  }

  // A waypoint stands before Services: their policies and its own reach it, and it routes to them.
  void AddWaypoint(const Workload& workload, const std::string& id) {
    const Waypoint* waypoint = mesh_.WaypointOf(workload);
    const auto add = [&](const PolicySet& set) {
      for (const auto* policy : set.custom) AddPolicy(*policy, "custom", id);
      for (const auto* policy : set.audit) AddPolicy(*policy, "audits", id);
      for (const auto* policy : set.deny) AddPolicy(*policy, "denies", id);
      for (const auto* policy : set.allow) AddPolicy(*policy, "allows", id);
      for (const auto* policy : set.request_authentications) {
        AddEdge(PolicyNode(policy->meta), id, "authenticates", &policy->meta);
      }
    };
    add(mesh_.PoliciesFor(workload, nullptr));
    if (waypoint == nullptr) return;
    for (const auto& service : mesh_.services()) {
      if (mesh_.WaypointFor(service).waypoint != waypoint) continue;
      add(mesh_.PoliciesFor(workload, &service));
      AddEdge(id, ServiceNode(service), "routes");
    }
    for (const auto& other : mesh_.workloads()) {
      if (mesh_.WaypointFor(other).waypoint != waypoint) continue;
      AddNode({WorkloadId(other), "workload", other.ns, other.name,
               std::string(ProxyModeName(other.mode)), other.name});
      AddEdge(id, WorkloadId(other), "routes");
    }
  }

  std::string PolicyNode(const ObjectMeta& meta) {
    std::string id = "policy:" + ToString(meta);
    AddNode({id, "policy", meta.ns, std::string(meta.name), "",
             std::string(meta.kind) + " " + std::string(meta.name)});
    return id;
  }

  void AddPolicy(const AuthorizationPolicy& policy, const std::string& kind,
                 const std::string& workload) {
    std::string node = PolicyNode(policy.meta);
    AddEdge(node, workload, policy.target_refs.empty() ? "selects" : "targets", &policy.meta);
    if (policy.dry_run) return;
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      const auto& rule = policy.rules[i];
      if (rule.null) continue;
      for (const auto& caller : Callers(rule)) {
        std::string id = "caller:" + caller;
        AddNode({id, "caller", "", caller, "", caller});
        AddEdge(id, workload, kind, &policy.meta, static_cast<int>(i));
      }
    }
  }

  // Whom a rule names, one text for each `source`.
  static std::vector<std::string> Callers(const AuthorizationPolicy::Rule& rule) {
    std::vector<std::string> callers;
    for (const auto& source : rule.from) callers.push_back(SourceText(source));
    if (callers.empty()) callers.emplace_back("anyone");
    return callers;
  }

  static std::string SourceText(const AuthorizationPolicy::Source& source) {
    std::vector<std::string> parts;
    auto add = [&](std::string_view name, const TextList& list) {
      if (list.empty()) return;
      std::vector<std::string> values;
      for (const auto& value : list.values) values.emplace_back(value.value);
      parts.push_back(std::string(name) + " " + Join(values, ", "));
    };
    add("principals", source.principals);
    add("not principals", source.not_principals);
    add("requestPrincipals", source.request_principals);
    add("not requestPrincipals", source.not_request_principals);
    add("namespaces", source.namespaces);
    add("not namespaces", source.not_namespaces);
    add("serviceAccounts", source.service_accounts);
    add("not serviceAccounts", source.not_service_accounts);
    add("trustDomains", source.trust_domains);
    add("not trustDomains", source.not_trust_domains);
    add("ipBlocks", source.ip_blocks);
    add("not ipBlocks", source.not_ip_blocks);
    add("remoteIpBlocks", source.remote_ip_blocks);
    add("not remoteIpBlocks", source.not_remote_ip_blocks);
    return parts.empty() ? "anyone" : Join(parts, "; ");
  }

  void AddServices(const Workload* only) {
    for (const auto& service : mesh_.services()) {
      for (size_t index : service.workloads) {
        const Workload& workload = mesh_.workloads()[index];
        if (only != nullptr && only != &workload) continue;
        AddEdge(ServiceNode(service), WorkloadId(workload), "selects");
      }
    }
  }

  std::string ServiceNode(const MeshService& service) {
    std::string id = "service:" + service.host;
    AddNode({id, "service", service.ns, service.host, "", service.host});
    return id;
  }

  // Gateway workload -> Service, by the VirtualServices bound to the Gateways that select it.
  // Around one workload only what leads to it, or what it leads to itself.
  void AddRoutes() {
    std::set<std::string> known;
    for (const auto& [id, node] : nodes_) known.insert(id);
    for (const auto& gateway : mesh_.workloads()) {
      if (gateway.mode != ProxyMode::kGateway) continue;
      std::set<const Gateway*> bound;
      for (const auto& server : mesh_.GatewayServersFor(gateway)) bound.insert(server.gateway);
      for (const auto* object : bound) {
        for (const auto* routes : mesh_.VirtualServicesFor(*object))
          AddRoutes(gateway, *routes, known);
      }
    }
  }

  void AddRoutes(const Workload& gateway, const VirtualService& routes,
                 const std::set<std::string>& known) {
    auto add = [&](const std::vector<RouteDestination>& destinations) {
      for (const auto& entry : destinations) {
        const MeshService* service =
            mesh_.ResolveHost(entry.destination.host.value, routes.meta.ns);
        if (service == nullptr) continue;
        std::string from = WorkloadId(gateway);
        std::string to = "service:" + service->host;
        if (!known.contains(from) && !known.contains(to)) continue;
        AddNode({from, "gateway", gateway.ns, gateway.name,
                 std::string(ProxyModeName(gateway.mode)), gateway.name});
        ServiceNode(*service);
        AddEdge(from, to, "routes", &routes.meta);
      }
    };
    for (const auto& route : routes.http) add(route.routes);
    for (const auto& route : routes.tls) add(route.routes);
    for (const auto& route : routes.tcp) add(route.routes);
  }

  Graph Take() {
    Graph graph;
    for (auto& [id, node] : nodes_) graph.nodes.push_back(std::move(node));
    auto key = [](const Graph::Edge& edge) {
      return std::make_tuple(edge.from, edge.to, edge.kind,
                             edge.policy == nullptr ? std::string() : ToString(*edge.policy),
                             edge.rule);
    };
    std::map<decltype(key(edges_.front())), Graph::Edge> sorted;
    for (auto& edge : edges_) sorted.try_emplace(key(edge), edge);
    for (auto& [ignored, edge] : sorted) graph.edges.push_back(std::move(edge));
    return graph;
  }

  const Mesh& mesh_;
  std::optional<ZtunnelConfig> ztunnel_;
  std::map<std::string, Graph::Node> nodes_;
  std::vector<Graph::Edge> edges_;
};

}  // namespace

Graph BuildGraph(const Mesh& mesh, const Workload* only) {
  return Builder(mesh).Build(only);
}

}  // namespace meshproof

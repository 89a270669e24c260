// Which policies reach which proxy (istio-semantics section 1.1). Searched are the root namespace
// and the proxy's own, each once. For a sidecar or classic gateway an object with targetRefs does
// not exist; one without reaches it by its selector, and without a selector always. A Gateway API
// gateway (a pod that carries the Gateway's name as a label) also takes what targets its Gateway; a
// waypoint takes nothing else; in the chains of a Service also what targets that Service, from the
// Service's namespace.
#include <algorithm>

#include "mesh/builder.h"
#include "mesh/order.h"
#include "model/labels.h"

namespace meshproof {
namespace {

template <typename T>
void Index(const std::vector<T>& objects,
           std::unordered_map<std::string, std::vector<const T*>>* by_namespace) {
  for (const T& object : objects) (*by_namespace)[object.meta.ns].push_back(&object);
  for (auto& [ns, list] : *by_namespace) SortOldestFirst(&list);
}

bool TargetsGateway(const TargetRef& target, const ObjectMeta& policy, const Workload& proxy,
                    const std::string& gateway) {
  return target.kind.value == "Gateway" && target.group.value == "gateway.networking.k8s.io" &&
         target.name.value == gateway && policy.ns == proxy.ns &&
         (target.ns.value.empty() || target.ns.value == proxy.ns);
}

bool TargetsWaypointClass(const TargetRef& target, const ObjectMeta& policy,
                          std::string_view root_namespace) {
  return target.kind.value == "GatewayClass" && target.group.value == "gateway.networking.k8s.io" &&
         target.name.value == "istio-waypoint" && policy.ns == root_namespace;
}

bool TargetsService(const TargetRef& target, const ObjectMeta& policy, const MeshService& service) {
  const std::string_view group = target.group.value;
  if (target.name.value != service.name || policy.ns != service.ns) return false;
  if (service.kubernetes) {
    return target.kind.value == "Service" && (group.empty() || group == "core");
  }
  return target.kind.value == "ServiceEntry" && group == "networking.istio.io";
}

struct Reach {
  const Workload& proxy;
  std::string_view root_namespace;
  const MeshService* service = nullptr;  // whose chains these are, at a waypoint
  bool selectors_reach_gateways = true;  // ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY
  const std::string* gateway = FindLabel(proxy.labels, kGatewayNameLabel);

  template <typename Policy>
  bool operator()(const Policy& policy) const {
    const bool waypoint = proxy.mode == ProxyMode::kWaypoint;
    if (!policy.target_refs.empty()) {
      if (!gateway) return false;
      return std::any_of(
          policy.target_refs.begin(), policy.target_refs.end(), [&](const TargetRef& target) {
            return TargetsGateway(target, policy.meta, proxy, *gateway) ||
                   (waypoint && TargetsWaypointClass(target, policy.meta, root_namespace)) ||
                   (waypoint && service && TargetsService(target, policy.meta, *service));
          });
    }
    if (waypoint || (gateway && !selectors_reach_gateways)) return false;
    return Selects(policy.selector.match_labels, proxy.labels);
  }
};

template <typename T, typename Visit>
void VisitNamespace(const std::unordered_map<std::string, std::vector<const T*>>& by_namespace,
                    const std::string& ns, const Visit& visit) {
  auto it = by_namespace.find(ns);
  if (it == by_namespace.end()) return;
  for (const T* object : it->second) visit(object);
}

}  // namespace

void MeshBuilder::IndexPolicies() {
  Index(model_.authorization_policies, &mesh_.authorization_);
  Index(model_.request_authentications, &mesh_.request_);
  Index(model_.peer_authentications, &mesh_.peer_);
  Index(model_.envoy_filters, &mesh_.envoy_filters_);
  Index(model_.others, &mesh_.others_);
  Index(model_.sidecars, &mesh_.sidecars_);
  for (auto& [ns, list] : mesh_.sidecars_) {
    std::stable_partition(list.begin(), list.end(),
                          [](const Sidecar* s) { return s->workload_selector.present; });
  }
}

PolicySet Mesh::PoliciesFor(const Workload& workload) const {
  return PoliciesFor(workload, nullptr);
}

PolicySet Mesh::PoliciesFor(const Workload& workload, const MeshService* service) const {
  PolicySet out;
  const std::string& root = config().root_namespace;
  const Reach reaches{workload, root, service,
                      FeatureEnabled("ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY", true)};
  auto add = [&](const AuthorizationPolicy* policy) {
    if (!reaches(*policy)) return;
    switch (policy->action) {
      case AuthorizationPolicy::Action::kAllow:
        return out.allow.push_back(policy);
      case AuthorizationPolicy::Action::kDeny:
        return out.deny.push_back(policy);
      case AuthorizationPolicy::Action::kAudit:
        return out.audit.push_back(policy);
      case AuthorizationPolicy::Action::kCustom:
        return out.custom.push_back(policy);
    }
  };
  const bool other_namespace = service && service->ns != root && service->ns != workload.ns;
  VisitNamespace(authorization_, root, add);
  if (workload.ns != root) VisitNamespace(authorization_, workload.ns, add);
  if (other_namespace) VisitNamespace(authorization_, service->ns, add);

  auto add_request = [&](const RequestAuthentication* policy) {
    if (reaches(*policy)) out.request_authentications.push_back(policy);
  };
  VisitNamespace(request_, workload.ns, add_request);
  if (workload.ns != root) VisitNamespace(request_, root, add_request);
  if (other_namespace) VisitNamespace(request_, service->ns, add_request);
  return out;
}

}  // namespace meshproof

// Which pods get a proxy. Two stages, as the API server and istiod take them: the webhook's
// selectors on namespace and pod labels, then istiod's own test, where host networking, system
// namespaces and the label or annotation `sidecar.istio.io/inject` can still say no. The annotation
// alone never brings a pod to the webhook. What the template made of it decides between sidecar and
// gateway; ambient capture takes what was not injected.
#include "mesh/injection.h"

#include <algorithm>

#include "base/text.h"
#include "model/labels.h"
#include "source/node.h"

namespace meshproof {
namespace {

constexpr std::string_view kInject = "sidecar.istio.io/inject";
constexpr std::string_view kInjectionLabel = "istio-injection";
constexpr std::string_view kTemplates = "inject.istio.io/templates";
constexpr std::string_view kStatus = "sidecar.istio.io/status";
constexpr std::string_view kManaged = "gateway.istio.io/managed";

bool IsSystemNamespace(std::string_view ns) {
  return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease" ||
         ns == "local-path-storage";
}

std::string Label(std::string_view where, std::string_view key, std::string_view value) {
  std::string out(where);
  out.append(" ").append(key).append(": ").append(value);
  return out;
}

// Stage one. `reason` tells what decided.
bool ReachesWebhook(const PodFacts& pod, const Revisions& revisions, std::string* reason) {
  static const Labels kNone;
  const Labels& namespace_labels = pod.namespace_labels ? *pod.namespace_labels : kNone;
  const std::string* injection = FindLabel(namespace_labels, kInjectionLabel);
  const std::string* namespace_revision = FindLabel(namespace_labels, kRevisionLabel);
  const std::string* inject = FindLabel(*pod.labels, kInject);
  const std::string* pod_revision = FindLabel(*pod.labels, kRevisionLabel);
  const bool opted_out = inject && *inject == "false";
  const auto opt_out = [&] { *reason = Label("pod label", kInject, "false"); };
  if (injection) {
    *reason = Label("namespace label", kInjectionLabel, *injection);
    if (*injection != "enabled") return false;
    if (opted_out) opt_out();
    return !opted_out;
  }
  if (namespace_revision) {
    std::string why;
    const bool accepted = revisions.Accepts(*namespace_revision, &why);
    *reason = Label("namespace label", kRevisionLabel, *namespace_revision) + why;
    if (!accepted) return false;
    if (opted_out) opt_out();
    return !opted_out;
  }
  if (opted_out) {
    opt_out();
    return false;
  }
  if (pod_revision) {
    std::string why;
    const bool accepted = revisions.Accepts(*pod_revision, &why);
    *reason = Label("pod label", kRevisionLabel, *pod_revision) + why;
    return accepted;
  }
  if (inject && *inject == "true") {
    *reason = Label("pod label", kInject, "true");
    return true;
  }
  *reason = pod.namespace_labels ? "neither namespace nor pod ask for injection"
                                 : "the namespace's labels are not in the input and the pod does "
                                   "not ask for injection";
  return false;
}

// Stage two; leaves `reason` of a pod that passes as it is.
bool PassesInjector(const PodFacts& pod, std::string* reason) {
  if (pod.host_network) {
    *reason = "hostNetwork: true";
    return false;
  }
  if (IsSystemNamespace(pod.ns)) {
    *reason = "namespace " + std::string(pod.ns) + " is never injected";
    return false;
  }
  if (const std::string* label = FindLabel(*pod.labels, kInject)) {
    if (*label == "false") *reason = Label("pod label", kInject, "false");
    return *label != "false";
  }
  const std::string* annotation = FindLabel(*pod.annotations, kInject);
  if (annotation && *annotation == "false") {
    *reason = Label("pod annotation", kInject, "false");
    return false;
  }
  return true;
}

bool UsesTemplate(const Labels& annotations, std::string_view name) {
  const std::string* templates = FindLabel(annotations, kTemplates);
  if (!templates) return false;
  for (std::string_view piece : Split(*templates, ',')) {
    if (TrimSpace(piece) == name) return true;
  }
  return false;
}

const Node* Find(const Node* node, std::string_view key) {
  return node ? node->Find(key) : nullptr;
}

const Node* PodSpec(const ObjectMeta& meta) {
  const Node* spec = Find(meta.node, "spec");
  if (meta.kind == "Pod") return spec;
  if (const Node* job = Find(spec, "jobTemplate")) spec = Find(job, "spec");
  return Find(Find(spec, "template"), "spec");
}

// The role in the arguments of a container `istio-proxy` that stands there: `proxy router`,
// `proxy sidecar` or `proxy waypoint`; "" where it has none.
std::string_view ProxyRole(const PodWorkload& pod) {
  const Node* spec = PodSpec(pod.meta);
  for (std::string_view list : {"containers", "initContainers"}) {
    const Node* containers = Find(spec, list);
    if (!containers || !containers->IsSequence()) continue;
    for (const Node& container : containers->items()) {
      const Node* name = Find(&container, "name");
      const Node* args = Find(&container, "args");
      if (!name || name->text != "istio-proxy" || !args || !args->IsSequence()) continue;
      for (const Node& arg : args->items()) {
        if (arg.text == "router" || arg.text == "sidecar" || arg.text == "waypoint") {
          return arg.text;
        }
      }
    }
  }
  return "";
}

bool HasGatewayLabels(const Labels& labels) {
  const std::string* istio = FindLabel(labels, "istio");
  const std::string* app = FindLabel(labels, "app");
  return (istio && (*istio == "ingressgateway" || *istio == "egressgateway")) ||
         (app && (*app == "istio-ingressgateway" || *app == "istio-egressgateway"));
}

ProxyDecision DecideExistingProxy(const PodFacts& facts, const PodWorkload& pod) {
  const std::string_view role = ProxyRole(pod);
  if (role == "waypoint") return {ProxyMode::kWaypoint, "container istio-proxy runs as a waypoint"};
  if (role == "router") return {ProxyMode::kGateway, "container istio-proxy runs as a gateway"};
  if (UsesTemplate(*facts.annotations, "gateway")) {
    return {ProxyMode::kGateway, Label("pod annotation", kTemplates, "gateway")};
  }
  if (role.empty() && HasGatewayLabels(*facts.labels)) {
    return {ProxyMode::kGateway, "container istio-proxy and the labels of Istio's gateways"};
  }
  return {ProxyMode::kSidecar, pod.has_proxy_container ? "container istio-proxy"
                                                       : "pod annotation " + std::string(kStatus)};
}

ProxyDecision DecideGatewayApiProxy(const PodFacts& facts, const std::string& gateway,
                                    const std::set<std::string>& waypoint_gateways) {
  const std::string reason = Label("pod label", kGatewayNameLabel, gateway);
  const std::string* managed = FindLabel(*facts.labels, kManaged);
  const bool waypoint = (managed && *managed == "istio.io-mesh-controller") ||
                        waypoint_gateways.count(std::string(facts.ns) + "/" + gateway) > 0;
  return {waypoint ? ProxyMode::kWaypoint : ProxyMode::kGateway, reason};
}

// A pod as the cluster runs it, not one that somebody wrote: what it lacks it does not have.
bool IsLive(const PodWorkload& pod) {
  return pod.meta.kind == "Pod" && !pod.meta.created.empty() && !pod.ips.empty();
}

}  // namespace

bool IsIstiod(const PodWorkload& pod) {
  const std::string* app = FindLabel(pod.pod_labels, "app");
  return app && *app == "istiod";
}

Revisions Revisions::Of(const Model& model) {
  Revisions out;
  for (const PodWorkload& pod : model.pod_workloads) {
    if (!IsIstiod(pod)) continue;
    const std::string* revision = FindLabel(pod.pod_labels, kRevisionLabel);
    if (!revision) revision = FindLabel(pod.meta.labels, kRevisionLabel);
    out.Add(revision ? std::string_view(*revision) : "");
  }
  return out;
}

void Revisions::Add(std::string_view revision) {
  known_.emplace(revision.empty() ? "default" : revision);
}

bool Revisions::Accepts(std::string_view revision, std::string* reason) const {
  reason->clear();
  if (known_.empty()) {
    *reason = " (no istiod in the input: taken as this mesh's)";
    return true;
  }
  if (known_.count(revision) > 0) return true;
  if (known_.size() == 1 && *known_.begin() == "default") {
    *reason = " names another revision";
    return false;
  }
  *reason = " (no istiod of that revision in the input: taken as a tag)";
  return true;
}

Injection DecideInjection(const PodFacts& pod, const Revisions& revisions) {
  Injection out;
  out.injected = ReachesWebhook(pod, revisions, &out.reason) && PassesInjector(pod, &out.reason);
  return out;
}

Injection DecideAmbientCapture(const PodFacts& pod) {
  if (pod.host_network || FindLabel(*pod.annotations, kStatus)) return {};
  const std::string* own = FindLabel(*pod.labels, kDataplaneModeLabel);
  if (own && *own == "ambient") return {true, Label("pod label", kDataplaneModeLabel, "ambient")};
  if (own && *own == "none") return {};
  if (!pod.namespace_labels) return {};
  const std::string* inherited = FindLabel(*pod.namespace_labels, kDataplaneModeLabel);
  if (!inherited || *inherited != "ambient") return {};
  return {true, Label("namespace label", kDataplaneModeLabel, "ambient")};
}

std::set<std::string> WaypointGateways(const Model& model) {
  std::set<std::string> out;
  for (const K8sGateway& gateway : model.k8s_gateways) {
    if (gateway.class_name.value == "istio-waypoint") {
      out.insert(gateway.meta.ns + "/" + std::string(gateway.meta.name));
    }
  }
  return out;
}

ProxyDecision DecideProxy(const PodFacts& facts, const PodWorkload& pod, const Revisions& revisions,
                          const std::set<std::string>& waypoint_gateways) {
  if (const std::string* gateway = FindLabel(*facts.labels, kGatewayNameLabel)) {
    return DecideGatewayApiProxy(facts, *gateway, waypoint_gateways);
  }
  if (pod.has_proxy_container || FindLabel(*facts.annotations, kStatus)) {
    return DecideExistingProxy(facts, pod);
  }
  Injection injection = DecideInjection(facts, revisions);
  if (injection.injected && IsLive(pod)) {
    injection = {false, "the running pod has no container istio-proxy"};
  }
  if (injection.injected) {
    if (UsesTemplate(*facts.annotations, "gateway")) {
      return {ProxyMode::kGateway,
              injection.reason + ", " + Label("annotation", kTemplates, "gateway")};
    }
    if (UsesTemplate(*facts.annotations, "grpc-agent") &&
        !UsesTemplate(*facts.annotations, "sidecar")) {
      return {ProxyMode::kNone, Label("pod annotation", kTemplates, "grpc-agent")};
    }
    return {ProxyMode::kSidecar, injection.reason};
  }
  Injection ambient = DecideAmbientCapture(facts);
  if (ambient.injected) {
    return {ProxyMode::kAmbient, ambient.reason};
  }
  return {ProxyMode::kNone, injection.reason};
}

}  // namespace meshproof

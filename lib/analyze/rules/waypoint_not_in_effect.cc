// Labels that ask for a waypoint and get none (istio-semantics section 7.3): nothing of the name,
// another namespace, not shared, the wrong kind of traffic, nobody enrolled. What istiod wrote into
// a status says the same of a live mesh. And what only a waypoint would do, where none stands: the
// HTTP parts of VirtualServices and DestinationRules. A waypoint takes routes from its own and the
// Service's namespace alone.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/witness_cases.h"
#include "model/labels.h"

namespace meshproof::waypoint_not_in_effect {
namespace {

constexpr std::string_view kWaypointClass = "istio-waypoint";

Span LabelPlace(const ObjectMeta& meta) {
  const Node* value = NodeAt(meta.node, {"metadata", "labels", kUseWaypointLabel});
  return value == nullptr ? meta.span : SpanOf(meta.file, *value);
}

bool Asks(const Labels& labels) {
  const std::string* name = FindLabel(labels, kUseWaypointLabel);
  return name != nullptr && !name->empty() && *name != "none";
}

struct Condition {
  const Node* status = nullptr;
  std::string_view type, reason, message;
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), view_(analysis.views->Ambient()) {}

  void CheckLabels() {
    for (const Namespace& ns : analysis_.model.namespaces) {
      if (Asks(ns.meta.labels)) CheckNamespace(ns);
    }
    for (const MeshService& service : analysis_.mesh.services()) {
      if (service.object == nullptr || !Asks(service.object->labels)) continue;
      if (!reported_.insert(service.object).second) continue;
      const WaypointChoice choice = analysis_.mesh.WaypointFor(service);
      if (choice.waypoint != nullptr) {
        CheckIsWaypoint(*service.object, LabelPlace(*service.object), choice);
      } else if (choice.asked_for) {
        Report(*service.object, LabelPlace(*service.object), service.object->labels, service.ns,
               "traffic to " + service.host, choice.reason);
      }
    }
    for (const Workload& workload : analysis_.mesh.workloads()) {
      if (workload.object == nullptr || !Asks(workload.labels)) continue;
      const Span place = workload.pod != nullptr
                             ? PodLabelPlace(*workload.object, kUseWaypointLabel)
                             : LabelPlace(*workload.object);
      if (workload.mode != ProxyMode::kAmbient) {
        ReportNotAmbient(workload, place);
        continue;
      }
      const WaypointChoice choice = analysis_.mesh.WaypointFor(workload);
      if (choice.waypoint == nullptr && choice.asked_for) {
        Report(*workload.object, place, workload.labels, workload.ns,
               "traffic to the pods of " + workload.ns + "/" + workload.name, choice.reason);
      }
    }
  }

  void CheckStatus() {
    const std::vector<RawObject> objects =
        ObjectsOf(analysis_.objects, {"Service", "ServiceEntry", "Gateway", "HTTPRoute",
                                      "GRPCRoute", "TLSRoute", "TCPRoute", "AuthorizationPolicy"});
    for (const RawObject& object : objects) {
      if (object.kind == "Gateway" && !object.api_version.starts_with("gateway.networking.k8s.io"))
        continue;
      if (object.kind == "Service" && object.api_version != "v1") continue;
      if (!IsIstios(object)) continue;
      for (const Condition& condition : Conditions(object)) {
        if (!IsNegative(object, condition)) continue;
        const std::string said = condition.message.empty() ? std::string(condition.reason)
                                                           : std::string(condition.message);
        Finding& finding = reporter_.Report(
            NameOf(object), SpanOf(object.file, *condition.status),
            "its status says " + std::string(condition.type) + " is " +
                std::string(condition.status->text) + (said.empty() ? "" : " (" + said + ")") +
                ": " + Consequence(object) + "; correct what the status names");
        finding.field_path = FieldPathAt(*object.node, condition.status->begin);
        finding.detail = std::string(condition.type);
        finding.fix = "Correct what the status names.";
        finding.severity = object.kind == "Gateway" || object.kind.ends_with("Route")
                               ? Severity::kWarning
                               : Severity::kError;
      }
    }
  }

  void CheckRoutes() {
    if (!view_.any()) return;
    for (const VirtualService& routes : analysis_.model.virtual_services) {
      if (routes.http.empty() && routes.tls.empty()) continue;
      const bool mesh = routes.gateways.empty() ||
                        std::any_of(routes.gateways.values.begin(), routes.gateways.values.end(),
                                    [](const Text& gateway) { return gateway.value == "mesh"; });
      if (!mesh) continue;
      std::set<const MeshService*> seen;
      for (const Text& host : routes.hosts.values) {
        CheckHost(routes.meta, host, true, &seen);
      }
    }
    for (const DestinationRule& rule : analysis_.model.destination_rules) {
      if (!HasHttpSettings(rule)) continue;
      std::set<const MeshService*> seen;
      CheckHost(rule.meta, rule.host, false, &seen);
    }
    for (const K8sRoute& route : analysis_.model.k8s_routes) {
      for (const K8sParentRef& parent : route.parents) {
        if (parent.kind.value != "Service") continue;
        const std::string ns =
            parent.ns.value.empty() ? route.meta.ns : std::string(parent.ns.value);
        const MeshService* service = view_.FindService("Service", ns, parent.name.value);
        const Span place = parent.name.span ? parent.name.span : parent.span;
        if (service != nullptr) CheckService(route.meta, place, *service, true);
      }
    }
  }

 private:
  void Report(const ObjectMeta& meta, Span place, const Labels& labels, const std::string& ns,
              const std::string& traffic, const std::string& reason) {
    const std::string* name = FindLabel(labels, kUseWaypointLabel);
    const std::string* other = FindLabel(labels, kUseWaypointNamespaceLabel);
    const std::string waypoint_ns = other == nullptr ? ns : *other;
    std::string message = traffic + " passes no waypoint (" + reason +
                          "), and policies for one are enforced by nobody";
    message += "; " + Advice(*name, waypoint_ns, reason);
    Finding& finding = reporter_.Report(meta, place, std::move(message));
    if (meta.node != nullptr) finding.field_path = FieldPathAt(*meta.node, place.begin);
    finding.fix = "Name a waypoint that exists, is shared with this namespace and serves it.";
    finding.istioctl_codes.emplace();
    if (meta.kind == "Service" || meta.kind == "ServiceEntry") finding.istioctl_codes = {"IST0171"};
    const K8sGateway* gateway = analysis_.mesh.FindK8sGateway(waypoint_ns, *name);
    if (gateway != nullptr) finding.related.push_back({gateway->meta.span, "the waypoint"});
    if (gateway == nullptr && !analysis_.SeesNamespace(waypoint_ns)) {
      finding.severity = Severity::kInfo;
      finding.certainty = Certainty::kCannotSee;
    }
  }

  std::string Advice(const std::string& name, const std::string& ns,
                     const std::string& reason) const {
    if (reason.find("allows no use") != std::string::npos) {
      return "let its HBONE listener's `allowedRoutes` take this namespace, or use a waypoint of "
             "this namespace";
    }
    if (reason.find("istio.io/waypoint-for") != std::string::npos) {
      return "label the Gateway `istio.io/waypoint-for: all`, or use another waypoint";
    }
    if (reason.find("no address") != std::string::npos) {
      return "find out why its proxy is not ready";
    }
    std::vector<std::string> elsewhere;
    std::vector<std::string> here;
    for (const K8sGateway& gateway : analysis_.model.k8s_gateways) {
      if (gateway.meta.ns == ns) here.emplace_back(gateway.meta.name);
      if (gateway.meta.name == name && gateway.meta.ns != ns) elsewhere.push_back(gateway.meta.ns);
    }
    if (!elsewhere.empty()) {
      return "it is in namespace " + ListNames(elsewhere) + ": add the label `" +
             std::string(kUseWaypointNamespaceLabel) + "`";
    }
    const std::string nearest = NearestName(name, here);
    if (!nearest.empty()) return "the nearest is `" + nearest + "`";
    return "make the waypoint, or name one that exists";
  }

  // The waypoint that the namespace's label names, whether it serves anything or not.
  const Waypoint* NamedBy(const Namespace& ns) const {
    const std::string* name = FindLabel(ns.meta.labels, kUseWaypointLabel);
    const std::string* other = FindLabel(ns.meta.labels, kUseWaypointNamespaceLabel);
    const std::string_view in = other == nullptr ? ns.meta.name : std::string_view(*other);
    for (const Waypoint& waypoint : analysis_.mesh.waypoints()) {
      if (waypoint.gateway->meta.ns == in && waypoint.gateway->meta.name == *name) return &waypoint;
    }
    return nullptr;
  }

  // One finding for the namespace, whatever in it relies on the label.
  void CheckNamespace(const Namespace& ns) {
    const std::string name(ns.meta.name);
    const Span place = LabelPlace(ns.meta);
    const auto& inside = view_.index().InNamespace(name);
    const Waypoint* named = NamedBy(ns);
    bool works = false;
    bool serves = false;
    std::string reason;
    const auto note = [&](const WaypointChoice& choice) {
      works = works || choice.waypoint != nullptr;
      if (choice.waypoint != nullptr && !serves) {
        serves = true;
        CheckIsWaypoint(ns.meta, place, choice);
      }
      // A waypoint for one kind of traffic is not meant for the other.
      const bool other_kind = named != nullptr && (named->for_services || named->for_workloads) &&
                              choice.reason.find("istio.io/waypoint-for") != std::string::npos;
      if (choice.waypoint == nullptr && choice.asked_for && !other_kind && reason.empty()) {
        reason = choice.reason;
      }
    };
    for (const MeshService& service : analysis_.mesh.services()) {
      if (service.ns != name || service.object == nullptr) continue;
      if (FindLabel(service.object->labels, kUseWaypointLabel) != nullptr) continue;
      note(analysis_.mesh.WaypointFor(service));
    }
    for (const Workload* workload : inside) {
      if (workload->mode == ProxyMode::kAmbient && !Asks(workload->labels)) {
        note(analysis_.mesh.WaypointFor(*workload));
      }
    }
    if (!works && !reason.empty()) {
      Report(ns.meta, place, ns.meta.labels, name, "traffic to namespace " + name, reason);
      return;
    }
    if (!works && reason.empty()) return CheckEmpty(ns, place);
    // The pods of a namespace that is not in the mesh.
    if (FindLabel(ns.meta.labels, kDataplaneModeLabel) != nullptr) return;
    bool ambient = false;
    const Workload* other = nullptr;
    for (const Workload* workload : inside) {
      if (workload->mode == ProxyMode::kWaypoint || workload->mode == ProxyMode::kGateway) continue;
      ambient = ambient || workload->mode == ProxyMode::kAmbient;
      other = workload;
    }
    if (ambient || other == nullptr) return;
    Finding& finding = reporter_.Report(
        ns.meta, place,
        "namespace " + name + " uses a waypoint, but none of its pods is in ambient mode, so " +
            other->ns + "/" + other->name +
            " is reached past the waypoint by all but ambient callers, and no ztunnel can keep "
            "them out; label the namespace `istio.io/dataplane-mode: ambient`");
    finding.severity = Severity::kWarning;
    finding.istioctl_codes.emplace();
    finding.detail = "not ambient";
    finding.fix = "Label the namespace istio.io/dataplane-mode: ambient.";
    finding.field_path = FieldPathAt(*ns.meta.node, place.begin);
  }

  // A label in a namespace of which nothing else is known.
  void CheckEmpty(const Namespace& ns, Span place) {
    const std::string* name = FindLabel(ns.meta.labels, kUseWaypointLabel);
    const std::string* other = FindLabel(ns.meta.labels, kUseWaypointNamespaceLabel);
    const std::string waypoint_ns = other == nullptr ? std::string(ns.meta.name) : *other;
    if (analysis_.mesh.FindK8sGateway(waypoint_ns, *name) != nullptr) return;
    Report(ns.meta, place, ns.meta.labels, std::string(ns.meta.name),
           "traffic to namespace " + std::string(ns.meta.name),
           "there is no Gateway " + waypoint_ns + "/" + *name);
  }

  // The label names a Gateway that is none.
  void CheckIsWaypoint(const ObjectMeta& meta, Span place, const WaypointChoice& choice) {
    const K8sGateway& gateway = *choice.waypoint->gateway;
    if (gateway.class_name.value == kWaypointClass) return;
    const bool hbone =
        std::any_of(gateway.listeners.begin(), gateway.listeners.end(),
                    [](const K8sListener& listener) { return listener.protocol.value == "HBONE"; });
    if (hbone) return;
    Finding& finding = reporter_.Report(
        meta, place,
        "Gateway " + NameOf(*choice.waypoint) + " is no waypoint (class `" +
            std::string(gateway.class_name.value) +
            "`, no HBONE listener), so callers are sent where nobody listens; name a Gateway of "
            "class `istio-waypoint`");
    finding.field_path = FieldPathAt(*meta.node, place.begin);
    finding.istioctl_codes.emplace();
    finding.detail = "class";
    finding.fix = "Name a Gateway of class istio-waypoint.";
    finding.related.push_back({gateway.meta.span, "this Gateway"});
  }

  void ReportNotAmbient(const Workload& workload, Span place) {
    if (workload.mode == ProxyMode::kWaypoint || workload.mode == ProxyMode::kGateway) return;
    Finding& finding = reporter_.Report(
        *workload.object, place,
        "`istio.io/use-waypoint` does nothing for " + Describe(workload) + ", which is not in " +
            "ambient mode (" + workload.mode_reason +
            "); enrol it with `istio.io/dataplane-mode: ambient`, or remove the label");
    finding.severity = Severity::kWarning;
    finding.istioctl_codes.emplace();
    finding.fix = "Enrol the pods in ambient mode, or remove the label.";
    finding.field_path = FieldPathAt(*workload.object->node, place.begin);
  }

  // ---- status

  bool IsIstios(const RawObject& object) const {
    if (object.kind != "Gateway") return true;
    const Node* name = NodeAt(object.node, {"spec", "gatewayClassName"});
    if (name == nullptr || name->text.starts_with("istio")) return true;
    for (const GatewayClass& known : analysis_.model.gateway_classes) {
      if (known.meta.name == name->text) return known.controller.value.starts_with("istio.io/");
    }
    return false;
  }

  static std::vector<Condition> Conditions(const RawObject& object) {
    std::vector<Condition> out;
    const auto text = [](const Node& node, std::string_view key) -> std::string_view {
      const Node* value = NodeAt(&node, {key});
      return value == nullptr ? std::string_view() : std::string_view(value->text);
    };
    const auto read = [&](const Node* list) {
      if (list == nullptr) return;
      for (const Node& item : list->items()) {
        const Node* status = NodeAt(&item, {"status"});
        if (status == nullptr) continue;
        out.push_back({status, text(item, "type"), text(item, "reason"), text(item, "message")});
      }
    };
    read(NodeAt(object.node, {"status", "conditions"}));
    if (const Node* parents = NodeAt(object.node, {"status", "parents"})) {
      for (const Node& parent : parents->items()) {
        const std::string_view controller = text(parent, "controllerName");
        if (controller.empty() || controller.starts_with("istio.io/")) {
          read(NodeAt(&parent, {"conditions"}));
        }
      }
    }
    return out;
  }

  static bool IsNegative(const RawObject& object, const Condition& condition) {
    const bool no = condition.status->text == "False";
    if (object.kind == "Service" || object.kind == "ServiceEntry") {
      return no && condition.type == "istio.io/WaypointBound";
    }
    if (object.kind == "AuthorizationPolicy") {
      return condition.type == "WaypointAccepted" && (no || condition.reason == "PartiallyInvalid");
    }
    return no && (condition.type == "Accepted" || condition.type == "Programmed" ||
                  condition.type == "ResolvedRefs");
  }

  static std::string Consequence(const RawObject& object) {
    if (object.kind == "Service" || object.kind == "ServiceEntry") {
      return "no waypoint stands before it, and policies for one are enforced by nobody";
    }
    if (object.kind == "AuthorizationPolicy") return "not every target enforces it";
    if (object.kind == "Gateway") return "it does not run as it is written";
    return "it does not route as it is written";
  }

  // ---- routes and rules that only a waypoint would apply

  static bool HasHttpSettings(const DestinationRule& rule) {
    const Node* spec = NodeAt(rule.meta.node, {"spec"});
    const auto of_policy = [](const Node* policy) {
      if (policy == nullptr) return false;
      if (NodeAt(policy, {"connectionPool", "http"}) != nullptr) return true;
      if (NodeAt(policy, {"outlierDetection"}) != nullptr) return true;
      const Node* hash = NodeAt(policy, {"loadBalancer", "consistentHash"});
      return hash != nullptr && (NodeAt(hash, {"httpHeaderName"}) != nullptr ||
                                 NodeAt(hash, {"httpCookie"}) != nullptr);
    };
    if (spec == nullptr) return false;
    if (of_policy(NodeAt(spec, {"trafficPolicy"}))) return true;
    const Node* subsets = NodeAt(spec, {"subsets"});
    if (subsets == nullptr) return false;
    return std::any_of(subsets->items().begin(), subsets->items().end(), [&](const Node& subset) {
      return of_policy(NodeAt(&subset, {"trafficPolicy"}));
    });
  }

  void CheckHost(const ObjectMeta& meta, const Text& host, bool routes,
                 std::set<const MeshService*>* seen) {
    if (host.value.find('*') != std::string_view::npos) return;
    const MeshService* service = analysis_.mesh.ResolveObjectHost(host.value, meta.ns);
    if (service == nullptr || !service->kubernetes || !seen->insert(service).second) return;
    CheckService(meta, host.span ? host.span : meta.span, *service, routes);
  }

  void CheckService(const ObjectMeta& meta, Span place, const MeshService& target, bool routes) {
    const MeshService* service = &target;
    const bool ambient =
        std::any_of(service->workloads.begin(), service->workloads.end(), [&](const size_t index) {
          return analysis_.mesh.workloads()[index].mode == ProxyMode::kAmbient;
        });
    if (!ambient) return;
    const WaypointChoice choice = analysis_.mesh.WaypointFor(*service);
    std::string message;
    if (choice.waypoint == nullptr) {
      message = "no waypoint stands before Service " + service->name + " of namespace " +
                service->ns + " (" + choice.reason + "), so ambient callers " +
                (routes ? "meet none of these routes: ztunnel forwards connections, not requests"
                        : "meet none of these HTTP settings") +
                "; give the Service a waypoint";
    } else if (routes && meta.ns != service->ns && meta.ns != choice.waypoint->gateway->meta.ns) {
      message = "waypoint " + NameOf(*choice.waypoint) + " takes routes for Service " +
                service->name + " from namespace " + service->ns +
                (choice.waypoint->gateway->meta.ns == service->ns
                     ? std::string()
                     : " and its own, " + choice.waypoint->gateway->meta.ns) +
                " alone, so ambient callers meet none of these; move them there";
    } else {
      return;
    }
    Finding& finding = reporter_.Report(meta, place, std::move(message));
    finding.field_path = FieldPathAt(*meta.node, place.begin);
    finding.severity = routes ? Severity::kWarning : Severity::kInfo;
    finding.istioctl_codes.emplace();
    finding.fix = choice.waypoint == nullptr ? "Give the Service a waypoint."
                                             : "Move it into the namespace of the Service.";
    if (service->object != nullptr)
      finding.related.push_back({service->object->span, "the Service"});
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const AmbientView& view_;
  std::set<const ObjectMeta*> reported_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  checker.CheckLabels();
  checker.CheckStatus();
  checker.CheckRoutes();
}

}  // namespace meshproof::waypoint_not_in_effect

// Ways into a mesh workload from outside the cluster that pass no gateway of the mesh: a Service of
// type NodePort or LoadBalancer, externalIPs, a hostPort, an Ingress of another controller.
// Reported only where the simulator lets a plaintext request without identity through at that port.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/entrances.h"
#include "analyze/pod_fields.h"
#include "analyze/probe.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::gateway_walked_around {
namespace {

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const MeshService& service : analysis.mesh.services()) {
      if (service.service != nullptr) services_[service.ns + "/" + service.name] = &service;
    }
  }

  void CheckService(const MeshService& service) {
    const Service& object = *service.service;
    const Node* external = NodeAt(object.meta.node, {"spec", "externalIPs"});
    const Node* place = NodeAt(object.meta.node, {"spec", "type"});
    std::string way;
    if (object.type == "LoadBalancer" || object.type == "NodePort") {
      way = "type " + std::string(object.type);
    } else if (external != nullptr && external->IsSequence() && !external->items().empty()) {
      way = "external address " + std::string(external->items().front().text);
      place = &external->items().front();
    } else {
      return;
    }
    for (const MeshServicePort& port : service.ports) {
      const Entrance entrance = FindEntrance(service, port);
      if (entrance.workload == nullptr) continue;
      Finding& finding = reporter_.Report(
          object.meta, place == nullptr ? object.meta.span : SpanOf(object.meta.file, *place),
          "Service " + service.ns + "/" + service.name + " (" + way + ") leads port " +
              std::to_string(port.port) + " from outside the cluster straight to " +
              Describe(*entrance.workload) + ", which " + Accepts(entrance) +
              ", so the mesh's gateways and what they check are walked around; make it a "
              "ClusterIP Service behind a gateway, or refuse plaintext at the workload");
      if (IsInternalLoadBalancer(object)) finding.severity = Severity::kWarning;
      finding.fix = "Use type ClusterIP and route to the Service from a Gateway.";
      Finish(entrance, std::to_string(port.port), &finding);
    }
  }

  void CheckHostPorts(const Workload& workload) {
    if (workload.pod == nullptr || !IsTarget(workload) || workload.pod->host_network) return;
    for (const PodContainer& container : ContainersOf(workload.pod->meta)) {
      const Node* ports = NodeAt(container.node, {"ports"});
      if (ports == nullptr || !ports->IsSequence()) continue;
      for (const Node& port : ports->items()) {
        const Node* host = NodeAt(&port, {"hostPort"});
        const Node* number = NodeAt(&port, {"containerPort"});
        const Node* transport = NodeAt(&port, {"protocol"});
        if (host == nullptr || number == nullptr || !number->AsInt() || host->AsInt() == 0)
          continue;
        if (transport != nullptr && transport->text != "TCP") continue;
        Entrance entrance = Ask(workload, static_cast<int>(*number->AsInt()));
        if (entrance.workload == nullptr) continue;
        Finding& finding = reporter_.Report(
            workload.pod->meta, SpanOf(workload.pod->meta.file, *host),
            "hostPort " + std::string(host->text) + " of every node leads straight to " +
                Describe(workload) + ", which " + Accepts(entrance) +
                ", so the mesh's gateways and what they check are walked around; remove the "
                "hostPort, or refuse plaintext at the workload");
        finding.fix = "Remove the hostPort and route to the workload from a Gateway.";
        Finish(entrance, std::string(host->text), &finding);
      }
    }
  }

  void CheckIngress(const RawObject& ingress) {
    const Node* name = NodeAt(ingress.node, {"spec", "ingressClassName"});
    if (name == nullptr) {
      name = NodeAt(ingress.node, {"metadata", "annotations", "kubernetes.io/ingress.class"});
    }
    if (name != nullptr && name->text == "istio") return;
    std::set<std::string> seen;
    CheckBackend(ingress, NodeAt(ingress.node, {"spec", "defaultBackend"}), name, &seen);
    const Node* rules = NodeAt(ingress.node, {"spec", "rules"});
    if (rules == nullptr) return;
    for (const Node& rule : rules->items()) {
      const Node* paths = NodeAt(&rule, {"http", "paths"});
      if (paths == nullptr) continue;
      for (const Node& path : paths->items()) {
        CheckBackend(ingress, NodeAt(&path, {"backend"}), name, &seen);
      }
    }
  }

 private:
  // Where a request of an outsider comes in; no workload: nowhere.
  struct Entrance {
    const Workload* workload = nullptr;
    int port = 0;
    std::optional<Case> request;  // none: the verdict depends on what is not known
  };

  static bool IsTarget(const Workload& workload) {
    return workload.mode == ProxyMode::kSidecar || workload.mode == ProxyMode::kAmbient;
  }

  Entrance Ask(const Workload& workload, int port) const {
    Probe probe = ProbeFromOutside(analysis_, workload, port);
    if (!probe.passed && !probe.undetermined) return {};
    return {&workload, port, std::move(probe.passed)};
  }

  Entrance FindEntrance(const MeshService& service, const MeshServicePort& port) const {
    if (port.protocol == Protocol::kUdp) return {};
    for (size_t index : service.workloads) {
      const Workload& workload = analysis_.mesh.workloads()[index];
      int target = IsTarget(workload) ? analysis_.mesh.TargetPort(service, port, workload) : 0;
      if (target == 0) continue;
      Entrance entrance = Ask(workload, target);
      if (entrance.workload != nullptr) return entrance;
    }
    return {};
  }

  static std::string Accepts(const Entrance& entrance) {
    return entrance.request ? "accepts it in plaintext and without an identity"
                            : "may accept it in plaintext (an external authorizer decides)";
  }

  void Finish(const Entrance& entrance, std::string detail, Finding* finding) {
    finding->detail = std::move(detail);
    if (entrance.workload->object != nullptr) {
      finding->related.push_back({entrance.workload->object->span,
                                  "port " + std::to_string(entrance.port) + " accepts plaintext"});
    }
    if (entrance.request) AttachWitness(analysis_, *entrance.request, Outcome::kAllow, finding);
  }

  void CheckBackend(const RawObject& ingress, const Node* backend, const Node* class_name,
                    std::set<std::string>* seen) {
    const Node* name = NodeAt(backend, {"service", "name"});
    if (name == nullptr) return;
    std::string ns = ingress.ns.empty() ? "default" : std::string(ingress.ns);
    auto found = services_.find(ns + "/" + std::string(name->text));
    if (found == services_.end()) return;
    const MeshService& service = *found->second;
    const Node* number = NodeAt(backend, {"service", "port", "number"});
    const Node* port_name = NodeAt(backend, {"service", "port", "name"});
    for (const MeshServicePort& port : service.ports) {
      if (number != nullptr && number->AsInt() != port.port) continue;
      if (port_name != nullptr && port_name->text != port.name) continue;
      if (!seen->insert(service.name + ":" + std::to_string(port.port)).second) continue;
      const Entrance entrance = FindEntrance(service, port);
      if (entrance.workload == nullptr) continue;
      std::string controller = class_name == nullptr
                                   ? "the cluster's default ingress controller"
                                   : "ingress class `" + std::string(class_name->text) + "`";
      Finding& finding = reporter_.Report(
          NameOf(ingress), SpanOf(ingress.file, *name),
          controller + " leads from outside to port " + std::to_string(port.port) + " of Service " +
              ns + "/" + service.name + " and so straight to " + Describe(*entrance.workload) +
              ", which " + Accepts(entrance) +
              ", so the mesh's gateways and what they check are walked around; route to it from a "
              "Gateway of the mesh, or refuse plaintext at the workload");
      finding.fix = "Use ingress class istio, or a Gateway and a VirtualService.";
      finding.field_path = FieldPathAt(*ingress.node, name->begin);
      Finish(entrance, std::to_string(port.port), &finding);
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<std::string, const MeshService*> services_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const MeshService& service : analysis.mesh.services()) {
    if (service.service != nullptr) checker.CheckService(service);
  }
  for (const Workload& workload : analysis.mesh.workloads()) checker.CheckHostPorts(workload);
  for (const RawObject& ingress : ObjectsOf(analysis.objects, {"Ingress"})) {
    checker.CheckIngress(ingress);
  }
}

}  // namespace meshproof::gateway_walked_around

// Ports that proxies and istiod keep for those who run the mesh. They are reached past the
// sidecar's own filters (15020, 15090), or show and change configuration without asking who calls
// (15000, 15004; istiod's 8080, 15010, 15014). istiod's Service holds 15010 and 15014 inside the
// cluster and gateways hold 15021 as the charts ship them; 15012 and 15017 are authenticated and
// may go through a gateway to other clusters.
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::control_port_exposed {
namespace {

struct ControlPort {
  int port;
  bool of_istiod;
  std::string_view what;
};

constexpr ControlPort kControlPorts[] = {
    {15000, false, "the proxy's admin interface, which shows its configuration and can stop it"},
    {15004, false, "the agent's debug interface, which shows the configuration of proxies"},
    {15020, false, "the agent's metrics and health, which are served past the sidecar's filters"},
    {15090, false, "Envoy's metrics, which are served past the sidecar's filters"},
    {8080, true, "istiod's debug interface, which shows the whole mesh without a login"},
    {15010, true, "istiod's plaintext XDS, which gives anybody any proxy's configuration"},
    {15014, true, "istiod's metrics and debug pages"},
};

const ControlPort* FindControlPort(int port, bool of_istiod) {
  for (const ControlPort& known : kControlPorts) {
    if (known.port == port && known.of_istiod == of_istiod) return &known;
  }
  return nullptr;
}

bool HasValue(const Labels& labels, std::string_view key, std::string_view value) {
  const std::string* found = FindLabel(labels, key);
  return found != nullptr && *found == value;
}

bool IsIstiod(const Labels& labels) {
  return HasValue(labels, "app", "istiod") || HasValue(labels, "istio", "pilot");
}

bool IsIstiodName(std::string_view name) {
  return name == "istiod" || name.starts_with("istiod-");
}

bool HasProxy(const Workload& workload) {
  return workload.mode == ProxyMode::kSidecar || workload.mode == ProxyMode::kGateway ||
         workload.mode == ProxyMode::kWaypoint ||
         (workload.pod != nullptr && workload.pod->has_proxy_container) ||
         HasValue(workload.labels, "app", "ztunnel");
}

// Where a port of a Service ends.
struct Exposure {
  const ControlPort* port = nullptr;
  const Workload* workload = nullptr;  // null: not in the input
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const MeshService& service : analysis.mesh.services()) {
      if (service.service != nullptr) services_[service.ns + "/" + service.name] = &service;
    }
  }

  void CheckService(const MeshService& service) {
    const Service& object = *service.service;
    const std::string way = WayIn(object);
    const bool own = IsIstiodName(object.meta.name) && IsIstiod(object.selector);
    for (const MeshServicePort& port : service.ports) {
      std::optional<Exposure> exposure = Find(service, port);
      if (!exposure) continue;
      // Inside the cluster istiod's own Service is as it should be, and so are those for scraping.
      const bool shipped = exposure->port->port == 15010 || exposure->port->port == 15014;
      if (way.empty() && exposure->port->of_istiod && (own || shipped)) continue;
      const Span span = PortPlace(object, port);
      Finding& finding =
          reporter_.Report(object.meta, span,
                           "Service " + service.ns + "/" + service.name + way + " leads port " +
                               std::to_string(port.port) + " to " + Say(*exposure) +
                               (way.empty() ? ", so every client of the Service reaches it"
                                            : ", so everybody outside the cluster reaches it") +
                               "; take the port out of the Service");
      finding.fix = "Remove the port from the Service.";
      Finish(*exposure, object.meta, "port " + std::to_string(port.port), &finding);
    }
  }

  void CheckSidecar(const Sidecar& sidecar) {
    for (const Sidecar::Ingress& ingress : sidecar.ingress) {
      std::string_view endpoint = ingress.default_endpoint.value;
      size_t colon = endpoint.rfind(':');
      if (colon == std::string_view::npos) continue;
      std::optional<unsigned long> number = ParseUnsigned(endpoint.substr(colon + 1));
      const ControlPort* port =
          number && *number < 65536 ? FindControlPort(static_cast<int>(*number), false) : nullptr;
      if (port == nullptr) continue;
      Finding& finding = reporter_.Report(
          sidecar.meta, ingress.default_endpoint.span,
          "the Sidecar forwards its port " + std::to_string(ingress.port) + " to `" +
              std::string(endpoint) + "`, " + std::string(port->what) +
              ", so whoever may call the workload reaches it; forward to the application");
      finding.fix = "Forward to a port of the application.";
      Finish({port, nullptr}, sidecar.meta, "ingress " + std::to_string(ingress.port), &finding);
      finding.certainty = Certainty::kLikely;
    }
  }

  void CheckWorkload(const Workload& workload) {
    if (workload.pod == nullptr || !seen_.insert(workload.pod).second) return;
    const ObjectMeta& meta = workload.pod->meta;
    const bool istiod = IsIstiod(workload.labels);
    if (!istiod && !HasProxy(workload)) return;
    if (istiod && workload.pod->host_network) {
      const Node* place = NodeAt(PodSpec(meta), {"hostNetwork"});
      Finding& finding = reporter_.Report(
          meta, place == nullptr ? meta.span : SpanOf(meta.file, *place),
          Describe(meta) +
              " is in the network of its node, so whoever reaches the node reaches istiod's debug "
              "interface (8080) and plaintext XDS (15010); run it in the pod network");
      finding.fix = "Remove `hostNetwork`.";
      Finish({FindControlPort(15010, true), nullptr}, meta, "host network", &finding);
      finding.certainty = Certainty::kLikely;
    }
    for (const PodContainer& container : ContainersOf(meta)) {
      for (const Node& port : ListItems(NodeAt(container.node, {"ports"}))) {
        const Node* host = NodeAt(&port, {"hostPort"});
        const Node* number = NodeAt(&port, {"containerPort"});
        if (host == nullptr || number == nullptr || host->AsInt().value_or(0) == 0) continue;
        std::optional<int64_t> inside = number->AsInt();
        if (!inside || *inside < 1 || *inside > 65535) continue;
        const ControlPort* known = FindControlPort(static_cast<int>(*inside), istiod);
        if (known == nullptr) continue;
        Finding& finding =
            reporter_.Report(meta, SpanOf(meta.file, *host),
                             "hostPort " + std::string(host->text) +
                                 " of every node leads to port " + std::to_string(*inside) +
                                 " of " + Describe(meta) + ", " + std::string(known->what) +
                                 ", so whoever reaches a node reaches it; remove the hostPort");
        finding.fix = "Remove the hostPort.";
        Finish({known, &workload}, meta, "hostPort " + std::string(host->text), &finding);
      }
    }
  }

  void CheckRoutes(const VirtualService& routes) {
    bool at_gateway = false;
    for (const Text& gateway : routes.gateways.values) {
      at_gateway = at_gateway || gateway.value != "mesh";
    }
    if (!at_gateway) return;
    for (const HttpRoute& route : routes.http) {
      bool reached = route.matches.empty();
      for (const HttpMatch& match : route.matches) reached = reached || Leads(match.gateways);
      if (reached) CheckDestinations(routes, route.routes);
    }
    for (const auto* list : {&routes.tls, &routes.tcp}) {
      for (const L4Route& route : *list) {
        bool reached = route.matches.empty();
        for (const L4Match& match : route.matches) reached = reached || Leads(match.gateways);
        if (reached) CheckDestinations(routes, route.routes);
      }
    }
  }

  void CheckApiRoute(const RawObject& route) {
    bool at_gateway = false;
    for (const Node& parent : ListItems(NodeAt(route.node, {"spec", "parentRefs"}))) {
      const Node* kind = NodeAt(&parent, {"kind"});
      at_gateway = at_gateway || kind == nullptr || kind->text == "Gateway";
    }
    if (!at_gateway) return;
    for (const Node& rule : ListItems(NodeAt(route.node, {"spec", "rules"}))) {
      for (const Node& backend : ListItems(NodeAt(&rule, {"backendRefs"}))) {
        const Node* kind = NodeAt(&backend, {"kind"});
        const Node* name = NodeAt(&backend, {"name"});
        const Node* ns = NodeAt(&backend, {"namespace"});
        const Node* port = NodeAt(&backend, {"port"});
        if (name == nullptr || (kind != nullptr && kind->text != "Service")) continue;
        CheckBackend(route, *name, ns == nullptr ? std::string_view() : ns->text,
                     port == nullptr ? std::string_view() : port->text);
      }
    }
  }

  void CheckIngress(const RawObject& ingress) {
    const auto check = [&](const Node* backend) {
      const Node* name = NodeAt(backend, {"service", "name"});
      if (name == nullptr) return;
      const Node* port = NodeAt(backend, {"service", "port", "number"});
      if (port == nullptr) port = NodeAt(backend, {"service", "port", "name"});
      CheckBackend(ingress, *name, "", port == nullptr ? std::string_view() : port->text);
    };
    check(NodeAt(ingress.node, {"spec", "defaultBackend"}));
    for (const Node& rule : ListItems(NodeAt(ingress.node, {"spec", "rules"}))) {
      for (const Node& path : ListItems(NodeAt(&rule, {"http", "paths"}))) {
        check(NodeAt(&path, {"backend"}));
      }
    }
  }

 private:
  static bool Leads(const TextList& gateways) {
    if (gateways.empty()) return true;
    for (const Text& gateway : gateways.values) {
      if (gateway.value != "mesh") return true;
    }
    return false;
  }

  // How the Service is reached from outside; "" where it is not.
  static std::string WayIn(const Service& service) {
    if (service.type == "LoadBalancer" || service.type == "NodePort") {
      return " (type " + std::string(service.type) + ")";
    }
    const Node* external = NodeAt(service.meta.node, {"spec", "externalIPs"});
    if (external != nullptr && external->IsSequence() && !external->items().empty()) {
      return " (external address " + std::string(external->items().front().text) + ")";
    }
    return "";
  }

  std::optional<Exposure> Find(const MeshService& service, const MeshServicePort& port) const {
    for (size_t index : service.workloads) {
      const Workload& workload = analysis_.mesh.workloads()[index];
      const bool istiod = IsIstiod(workload.labels);
      if (!istiod && !HasProxy(workload)) continue;
      int target = analysis_.mesh.TargetPort(service, port, workload);
      // The injected container names this port and is not in the manifest.
      if (target == 0 && port.target_port.value == "http-envoy-prom") target = 15090;
      const ControlPort* known = FindControlPort(target, istiod);
      if (known != nullptr) return Exposure{known, &workload};
    }
    if (!service.workloads.empty() || service.service->selector.empty()) return std::nullopt;
    std::string_view written = port.target_port.value;
    int target = port.port;
    if (!written.empty()) {
      std::optional<unsigned long> number = ParseUnsigned(written);
      target = number && *number < 65536 ? static_cast<int>(*number) : 0;
      if (written == "http-envoy-prom") target = 15090;
    }
    const ControlPort* known = FindControlPort(target, IsIstiod(service.service->selector));
    if (known == nullptr) return std::nullopt;
    return Exposure{known, nullptr};
  }

  static std::string Say(const Exposure& exposure) {
    std::string text = std::to_string(exposure.port->port);
    if (exposure.workload != nullptr) text += " of " + Describe(*exposure.workload);
    return text + ", " + std::string(exposure.port->what);
  }

  static Span PortPlace(const Service& service, const MeshServicePort& port) {
    for (const ServicePort& written : service.ports) {
      if (written.port != port.port || written.name.value != port.name) continue;
      return written.target_port.span ? written.target_port.span : written.span;
    }
    return service.meta.span;
  }

  void Finish(const Exposure& exposure, const ObjectMeta& meta, std::string detail,
              Finding* finding) const {
    FinishAt(exposure, meta.node, std::move(detail), finding);
  }

  void FinishAt(const Exposure& exposure, const Node* root, std::string detail,
                Finding* finding) const {
    finding->detail = std::move(detail);
    if (root != nullptr && finding->span) finding->field_path = FieldPathOf(*root, finding->span);
    if (exposure.workload == nullptr) {
      finding->certainty = Certainty::kCannotSee;
    } else if (exposure.workload->object != nullptr) {
      finding->related.push_back(
          {exposure.workload->object->span, "has port " + std::to_string(exposure.port->port)});
    }
  }

  void CheckDestinations(const VirtualService& routes,
                         const std::vector<RouteDestination>& destinations) {
    for (const RouteDestination& route : destinations) {
      const Destination& destination = route.destination;
      const MeshService* service =
          analysis_.mesh.ResolveObjectHost(destination.host.value, routes.meta.ns);
      std::optional<Exposure> exposure = FindBackend(
          service, destination.host.value, destination.port, /*port_name=*/std::string_view());
      if (!exposure) continue;
      Finding& finding =
          ReportAt(reporter_, routes.meta, destination.host.span,
                   "this route leads from a gateway to " + Say(*exposure) +
                       ", so the gateway's clients reach it; route to a port of the application",
                   "Remove the route, or route to another port.");
      Finish(*exposure, routes.meta,
             std::string(destination.host.value) + ":" + std::to_string(destination.port),
             &finding);
    }
  }

  // `host` is of use where the Service is not in the input.
  std::optional<Exposure> FindBackend(const MeshService* service, std::string_view host, int number,
                                      std::string_view port_name) const {
    if (service == nullptr) {
      std::string_view name = host.substr(0, host.find('.'));
      const ControlPort* known = IsIstiodName(name) ? FindControlPort(number, true) : nullptr;
      if (known == nullptr) return std::nullopt;
      return Exposure{known, nullptr};
    }
    if (service->service == nullptr) return std::nullopt;
    for (const MeshServicePort& port : service->ports) {
      if (number != 0 && port.port != number) continue;
      if (!port_name.empty() && port.name != port_name) continue;
      if (number == 0 && port_name.empty() && service->ports.size() > 1) break;
      return Find(*service, port);
    }
    return std::nullopt;
  }

  void CheckBackend(const RawObject& route, const Node& name, std::string_view ns,
                    std::string_view port) {
    std::string own = route.ns.empty() ? "default" : std::string(route.ns);
    const std::string key = (ns.empty() ? own : std::string(ns)) + "/" + std::string(name.text);
    auto found = services_.find(key);
    std::optional<unsigned long> number = ParseUnsigned(port);
    int value = number && *number < 65536 ? static_cast<int>(*number) : 0;
    std::optional<Exposure> exposure =
        FindBackend(found == services_.end() ? nullptr : found->second, name.text, value,
                    number ? std::string_view() : port);
    if (!exposure) return;
    Finding& finding = reporter_.Report(
        NameOf(route), SpanOf(route.file, name),
        "this " + std::string(route.kind) + " leads from outside to " + Say(*exposure) +
            ", so clients of the gateway reach it; route to a port of the application");
    finding.fix = "Remove the backend, or route to another port.";
    FinishAt(*exposure, route.node, key + ":" + std::string(port), &finding);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<std::string, const MeshService*> services_;
  std::set<const PodWorkload*> seen_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const MeshService& service : analysis.mesh.services()) {
    if (service.service != nullptr) checker.CheckService(service);
  }
  for (const Sidecar& sidecar : analysis.model.sidecars) checker.CheckSidecar(sidecar);
  for (const Workload& workload : analysis.mesh.workloads()) checker.CheckWorkload(workload);
  for (const VirtualService& routes : analysis.model.virtual_services) checker.CheckRoutes(routes);
  for (const RawObject& route :
       ObjectsOf(analysis.objects, {"HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute"})) {
    checker.CheckApiRoute(route);
  }
  for (const RawObject& ingress : ObjectsOf(analysis.objects, {"Ingress"})) {
    checker.CheckIngress(ingress);
  }
}

}  // namespace meshproof::control_port_exposed

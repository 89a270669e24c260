// Service ports whose protocol istiod does not know or knows twice (istio-semantics section 6,
// "Protocol"): appProtocol, else the port's name, else the well-known numbers, else the proxy
// sniffs and rules on methods, paths and hosts hold only for what it takes for HTTP.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/rule.h"

namespace meshproof::protocol_not_explicit {
namespace {

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const Service& service) {
    if (IsPlatformNamespace(service.meta.ns, analysis_.model.mesh_config)) return;
    for (size_t i = 0; i < service.ports.size(); ++i) CheckPort(service, i);
  }

  void Check(const ServiceEntry& entry) {
    if (!entry.addresses.empty() || entry.resolution == "NONE" || entry.resolution.empty()) {
      if (!entry.addresses.empty() || !entry.mesh_external) return;
    }
    for (size_t i = 0; i < entry.ports.size(); ++i) {
      const ServiceEntry::Port& port = entry.ports[i];
      if (ParseProtocol(port.protocol.value) != Protocol::kTcp && !port.protocol.value.empty())
        continue;
      Span place = port.protocol.span ? port.protocol.span : entry.meta.span;
      Finding& finding = Report(
          entry.meta, place,
          "port " + std::to_string(port.port) + " of ServiceEntry " + Name(entry.meta) +
              " is TCP and the entry has no addresses, so the listener takes the port of every "
              "address and traffic to other hosts is taken for this one; give the entry addresses",
          "IST0134");
      finding.field_path = "spec.ports[" + std::to_string(i) + "]";
      finding.fix = "Add `addresses`.";
    }
  }

  void Check(const VirtualService& route) {
    auto check = [&](const std::vector<RouteDestination>& destinations) {
      for (const RouteDestination& destination : destinations)
        Check(route, destination.destination);
    };
    for (const HttpRoute& http : route.http) check(http.routes);
    for (const L4Route& tls : route.tls) check(tls.routes);
    for (const L4Route& tcp : route.tcp) check(tcp.routes);
  }

  // Services that disagree about one port of a workload, or about one port of their own.
  void CheckWorkloads() {
    const std::vector<Workload>& workloads = analysis_.mesh.workloads();
    std::vector<std::vector<const MeshService*>> services(workloads.size());
    for (const MeshService& service : analysis_.mesh.services()) {
      if (service.service == nullptr) continue;
      for (size_t index : service.workloads) services[index].push_back(&service);
    }
    for (size_t i = 0; i < workloads.size(); ++i) {
      if (services[i].size() < 2 || workloads[i].object == nullptr ||
          workloads[i].mode == ProxyMode::kGateway) {
        continue;
      }
      CheckTargets(workloads[i], services[i]);
      CheckNumbers(workloads[i], services[i]);
    }
  }

 private:
  static std::string Name(const ObjectMeta& meta) { return meta.ns + "/" + std::string(meta.name); }

  Finding& Report(const ObjectMeta& meta, Span place, std::string message, std::string code) {
    Finding& finding = reporter_.Report(meta, place, std::move(message));
    finding.istioctl_codes = {std::move(code)};
    return finding;
  }

  void CheckPort(const Service& service, size_t index) {
    const ServicePort& port = service.ports[index];
    std::optional<std::string_view> app;
    if (port.app_protocol) app = port.app_protocol->value;
    if (SelectProtocol(port.port, port.protocol, port.name.value, app) != Protocol::kAuto) return;
    std::string what = "port " + std::to_string(port.port) + " of Service " + Name(service.meta);
    Span place = port.span;
    std::string field = "spec.ports[" + std::to_string(index) + "]";
    std::string why;
    if (port.app_protocol && !port.app_protocol->value.empty()) {
      why = " has `appProtocol: " + std::string(port.app_protocol->value) +
            "`, which Istio does not know";
      place = port.app_protocol->span;
      field += ".appProtocol";
    } else if (!port.name.value.empty()) {
      why = " is named `" + std::string(port.name.value) + "`, which says no protocol";
      place = port.name.span;
      field += ".name";
    } else {
      why = " has neither a name nor an appProtocol";
    }
    bool external = service.type == "ExternalName";
    Finding& finding = Report(
        service.meta, place,
        what + why +
            (external ? ", so traffic for other hosts on the port may be taken for this one"
                      : ", so the proxy sniffs, and rules on methods, paths, hosts and tokens hold "
                        "only for what looks like HTTP") +
            "; set `appProtocol` or name the port `http-…`, `grpc-…`, `tls-…` or `tcp-…`",
        external ? "IST0150" : "IST0118");
    finding.field_path = std::move(field);
    finding.fix = "Set `appProtocol` to what the port speaks.";
    if (!external) {
      finding.related.push_back({port.span, "chains on it: HTTP after sniffing, else TCP"});
    }
  }

  void Check(const VirtualService& route, const Destination& destination) {
    if (destination.port != 0 || destination.host.value.empty()) return;
    const MeshService* service =
        analysis_.mesh.ResolveObjectHost(destination.host.value, route.meta.ns);
    if (service == nullptr || service->ports.size() < 2) return;
    std::vector<std::string> ports;
    for (const MeshServicePort& port : service->ports) ports.push_back(std::to_string(port.port));
    Finding& finding = Report(
        route.meta, destination.host.span,
        "the route names no port of " + service->host + ", which has ports " + ListNames(ports) +
            ", so traffic goes to the port that it came for or nowhere; name one in "
            "`destination.port.number`",
        "IST0112");
    finding.field_path = FieldPathAt(*route.meta.node, destination.host.span.begin);
    finding.fix = "Name the port.";
    if (service->object != nullptr)
      finding.related.push_back({service->object->span, "this Service"});
  }

  struct Use {
    const MeshService* service;
    const MeshServicePort* port;
  };

  void CheckTargets(const Workload& workload, const std::vector<const MeshService*>& services) {
    std::map<int, std::vector<Use>> uses;
    for (const MeshService* service : services) {
      for (const MeshServicePort& port : service->ports) {
        if (port.protocol == Protocol::kUdp) continue;
        int target = analysis_.mesh.TargetPort(*service, port, workload);
        if (target != 0) uses[target].push_back({service, &port});
      }
    }
    for (const auto& [target, list] : uses) {
      const Use& first = list.front();
      for (const Use& use : list) {
        if (use.service == first.service || use.port->protocol == first.port->protocol) continue;
        Finding& finding = Report(
            *workload.object, workload.object->span,
            "Services " + Name(*first.service->object) + " and " + Name(*use.service->object) +
                " call port " + std::to_string(target) + " of " + Describe(workload) + " " +
                std::string(ToString(first.port->protocol)) + " and " +
                std::string(ToString(use.port->protocol)) +
                ": the older Service decides, and rules of the other protocol do not hold; give "
                "both the same protocol",
            first.port->port == use.port->port ? "IST0116" : "IST0137");
        finding.detail = std::to_string(target);
        finding.related.push_back(
            {first.service->object->span, "says " + std::string(ToString(first.port->protocol))});
        finding.related.push_back(
            {use.service->object->span, "says " + std::string(ToString(use.port->protocol))});
        break;
      }
    }
  }

  // As it stands there: what Kubernetes does not know is still told apart.
  static std::string_view WrittenProtocol(const Service& service, size_t index) {
    const Node* ports = NodeAt(service.meta.node, {"spec", "ports"});
    if (ports == nullptr || index >= ports->items().size()) return "TCP";
    const Node* protocol = NodeAt(&ports->items()[index], {"protocol"});
    return protocol == nullptr || protocol->text.empty() ? "TCP" : protocol->text;
  }

  void CheckNumbers(const Workload& workload, const std::vector<const MeshService*>& services) {
    std::map<int, std::pair<const MeshService*, std::string_view>> seen;
    std::set<int> reported;
    for (const MeshService* service : services) {
      for (size_t i = 0; i < service->service->ports.size(); ++i) {
        const ServicePort& port = service->service->ports[i];
        const std::string_view protocol = WrittenProtocol(*service->service, i);
        auto [place, fresh] = seen.try_emplace(port.port, service, protocol);
        if (fresh || place->second.first == service || place->second.second == protocol ||
            !reported.insert(port.port).second) {
          continue;
        }
        Finding& finding = Report(
            *workload.object, workload.object->span,
            "Services " + Name(*place->second.first->object) + " and " + Name(*service->object) +
                " give port " + std::to_string(port.port) + " to " + Describe(workload) + " as " +
                std::string(place->second.second) + " and as " + std::string(protocol) +
                ", of which the proxy sees TCP alone; use different ports or one Service",
            "IST0116");
        finding.detail = "transport " + std::to_string(port.port);
        finding.related.push_back({service->object->span, "the other Service"});
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const Service& service : analysis.model.services) checker.Check(service);
  for (const ServiceEntry& entry : analysis.model.service_entries) checker.Check(entry);
  for (const VirtualService& route : analysis.model.virtual_services) checker.Check(route);
  checker.CheckWorkloads();
}

}  // namespace meshproof::protocol_not_explicit

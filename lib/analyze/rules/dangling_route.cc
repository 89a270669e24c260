// References of routing that lead nowhere: istiod drops the route or leaves a cluster that does not
// exist, and the proxy answers 503 or 404. Hosts are completed as istiod does it: a name without a
// dot with the namespace of the object, all others as they stand.
#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "analyze/host_index.h"
#include "analyze/raw_objects.h"
#include "analyze/route_parents.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "match/ip.h"
#include "mesh/hosts.h"
#include "model/labels.h"

namespace meshproof::dangling_route {
namespace {

constexpr std::string_view kNetworking = "networking.istio.io";

std::span<const Node> ItemsOf(const Node* list) {
  return list == nullptr ? std::span<const Node>() : list->items();
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), hosts_(analysis) {
    for (const Gateway& gateway : analysis.model.gateways) {
      gateways_[{gateway.meta.ns, std::string(gateway.meta.name)}] = &gateway;
    }
    for (const VirtualService& service : analysis.model.virtual_services) {
      virtual_services_[{service.meta.ns, std::string(service.meta.name)}] = &service;
    }
    for (const OtherObject& object : analysis.model.others) {
      if (object.meta.kind == "ReferenceGrant") grants_[object.meta.ns].push_back(&object.meta);
      if (object.meta.kind == "Gateway") {
        gateway_api_[{object.meta.ns, std::string(object.meta.name)}] = &object.meta;
      }
    }
    const std::string& domain = analysis.model.mesh_config.domain;
    for (const DestinationRule& rule : analysis.model.destination_rules) {
      std::string host = CompleteHost(ToLower(rule.host.value), rule.meta.ns, domain);
      for (const DestinationRule::Subset& subset : rule.subsets) {
        subsets_[host].emplace(subset.name.value);
      }
      rules_of_host_.emplace(host, &rule);
    }
  }

  // What the input cannot hold at all is not missed in it.
  bool SeesServices() const {
    return analysis_.HasServices() || !analysis_.model.service_entries.empty();
  }

  void Check(const VirtualService& service) {
    CheckGateways(service);
    ExportTo(service.meta, service.export_to);
    for (const HttpRoute& route : service.http) {
      if (route.has_delegate) Delegate(service, route);
      for (const RouteDestination& to : route.routes) RouteTo(service.meta, to.destination);
    }
    for (const auto* routes : {&service.tls, &service.tcp}) {
      for (const L4Route& route : *routes) {
        for (const RouteDestination& to : route.routes) RouteTo(service.meta, to.destination);
      }
    }
    for (const Node& route : ItemsOf(NodeAt(service.meta.node, {"spec", "http"}))) {
      if (const Node* mirror = NodeAt(&route, {"mirror"})) Mirror(service.meta, *mirror);
      for (const Node& mirror : ItemsOf(NodeAt(&route, {"mirrors"}))) {
        if (const Node* to = NodeAt(&mirror, {"destination"})) Mirror(service.meta, *to);
      }
    }
  }

  void Check(const DestinationRule& rule) {
    ExportTo(rule.meta, rule.export_to);
    if (!SeesServices() || rule.host.value.empty()) return;
    std::string_view host = rule.host.value;
    if (host.find('*') != std::string_view::npos) {
      if (host == "*" || hosts_.CoversAny(host, "", rule.meta.ns)) return;
      std::string suffix = "svc." + analysis_.model.mesh_config.domain;
      // A rule for every host of the cluster or of a zone waits for what comes.
      if (host.ends_with(".local") && host.size() <= suffix.size() + 2) return;
      Finding& finding = Add(rule.meta, rule.host.span,
                             "no service of the registry has a host that `" + std::string(host) +
                                 "` covers, so this rule applies to nothing; name hosts that exist",
                             "Name hosts that exist.");
      finding.severity = Severity::kInfo;
      finding.istioctl_codes = {"IST0174"};
      return;
    }
    HostIndex::Lookup found = hosts_.Find(host, rule.meta.ns);
    if (found.service == nullptr) {
      return NoHost(rule.meta, rule.host, found, "this rule applies to nothing", "IST0174", true);
    }
    for (const DestinationRule::Subset& subset : rule.subsets) {
      Subset(rule, subset, *found.service);
    }
  }

  void Check(const ServiceEntry& entry) { ExportTo(entry.meta, entry.export_to); }

  void Check(const Sidecar& sidecar) {
    for (const Text& value : sidecar.egress_hosts.values) {
      size_t slash = value.value.find('/');
      if (slash == std::string_view::npos || !SeesServices()) continue;
      std::string_view ns = value.value.substr(0, slash);
      std::string host = ToLower(value.value.substr(slash + 1));
      if (ns == "~") continue;
      if (ns == ".") ns = sidecar.meta.ns;
      if (ns == "*") ns = "";
      if (!ns.empty() && !hosts_.names().HasNamespace(ns)) {
        UnknownNamespace(sidecar.meta, value.span, ns,
                         "nothing is let out by this entry and its services are not reached");
        continue;
      }
      if (host == "*" || hosts_.CoversAny(host, ns, sidecar.meta.ns)) continue;
      HostIndex::Lookup found = hosts_.Find(host, sidecar.meta.ns);
      if (!ns.empty() && found.service != nullptr) {
        Add(sidecar.meta, value.span,
            "host `" + host + "` is not a service of namespace " + std::string(ns) + " but of " +
                found.service->ns +
                ", so the entry lets nothing out and the host is not reached; write `" +
                found.service->ns + "/" + host + "`",
            "Write `" + found.service->ns + "/" + host + "`.");
        continue;
      }
      if (!ns.empty() && !hosts_.HasServicesIn(ns) && found.nearest.empty()) {
        OutOfView(sidecar.meta, value.span, "the services of namespace " + std::string(ns));
        continue;
      }
      NoHost(sidecar.meta, {value.value.substr(slash + 1), value.span}, found,
             "the entry lets nothing out", "", false);
    }
  }

  // Target ports by name must be declared; numbers need not be.
  void Check(const MeshService& service) {
    if (service.service == nullptr) return;
    for (const ServicePort& port : service.service->ports) {
      std::string_view target = port.target_port.value;
      if (target.empty() || service.workloads.empty()) continue;
      auto number = ParseUnsigned(target);
      bool found = false;
      bool declared = false;
      std::vector<std::string> names;
      for (size_t i : service.workloads) {
        const Workload& workload = analysis_.mesh.workloads()[i];
        // Pods with injected or unknown containers declare nothing.
        if (workload.pod == nullptr || workload.pod->ports.empty()) {
          found = found || number.has_value() || workload.pod == nullptr;
          continue;
        }
        declared = true;
        for (const ContainerPort& own : workload.pod->ports) {
          found = found || (number ? static_cast<unsigned long>(own.port) == *number
                                   : own.name.value == target);
          if (!number && !own.name.value.empty()) names.emplace_back(own.name.value);
        }
      }
      if (found || (number && !declared)) continue;
      TargetPort(service, port, number.has_value(), names);
    }
  }

  // Parents that exist and take no such route.
  void Check(const K8sRoute& route) {
    for (const K8sParentRef& parent : route.parents) {
      if (!parent.kind.value.empty() && parent.kind.value != "Gateway") continue;
      const std::string ns = parent.ns.value.empty() ? route.meta.ns : std::string(parent.ns.value);
      const K8sGateway* gateway = analysis_.mesh.FindK8sGateway(ns, parent.name.value);
      // A ListenerSet may bring listeners of its own.
      if (gateway == nullptr || hosts_.names().HasKind(kGatewayApiGroup, "ListenerSet")) continue;
      const std::optional<RefusedRoute> refused =
          WhyNotAttached(analysis_.mesh, route, parent, *gateway);
      if (!refused) continue;
      Finding& finding = Add(route.meta, parent.name.span ? parent.name.span : parent.span,
                             refused->reason +
                                 ", so this route is attached to nothing and requests for it get "
                                 "404; " +
                                 refused->advice,
                             "Let a listener take the route.");
      finding.related.push_back({gateway->meta.span, "the Gateway"});
    }
  }

  void CheckOther(const OtherObject& object) {
    std::string_view kind = object.meta.kind;
    if (GroupOfVersion(object.meta.api_version) != kGatewayApiGroup) return;
    if (kind == "ReferenceGrant") return Grant(object.meta);
    if (!kind.ends_with("Route")) return;
    for (const Node& ref : ItemsOf(NodeAt(object.meta.node, {"spec", "parentRefs"}))) {
      Parent(object.meta, ref);
    }
    for (const Node& rule : ItemsOf(NodeAt(object.meta.node, {"spec", "rules"}))) {
      for (const Node& ref : ItemsOf(NodeAt(&rule, {"backendRefs"}))) Backend(object.meta, ref);
      for (const Node& filter : ItemsOf(NodeAt(&rule, {"filters"}))) {
        if (const Node* ref = NodeAt(&filter, {"requestMirror", "backendRef"})) {
          Backend(object.meta, *ref);
        }
      }
    }
  }

 private:
  Finding& Add(const ObjectMeta& meta, Span span, std::string message, std::string fix) {
    Finding& finding = reporter_.Report(meta, span, std::move(message));
    finding.istioctl_codes.emplace();
    if (meta.node != nullptr) {
      finding.field_path = FieldPathAt(*meta.node, finding.span.begin);
    }
    finding.fix = std::move(fix);
    return finding;
  }

  bool SaidBefore(const std::string& what) { return !said_.insert(what).second; }

  void OutOfView(const ObjectMeta& meta, Span span, const std::string& what) {
    if (SaidBefore(what)) return;
    Finding& finding = Add(meta, span,
                           what +
                               " are outside my view, so this reference cannot be followed; add "
                               "their manifests, or make sure that they exist",
                           "");
    finding.severity = Severity::kInfo;
    finding.certainty = Certainty::kCannotSee;
    finding.detail = what;
    if (meta.kind == "VirtualService") finding.istioctl_codes = {"IST0101"};
    if (meta.kind == "DestinationRule") finding.istioctl_codes = {"IST0174"};
  }

  void UnknownNamespace(const ObjectMeta& meta, Span span, std::string_view ns,
                        const std::string& effect) {
    std::string nearest = NearestName(ns, hosts_.names().namespaces());
    if (!IsTypoOf(ns, nearest)) {
      return OutOfView(meta, span, "the objects of namespace " + std::string(ns));
    }
    Add(meta, span,
        "there is no namespace " + std::string(ns) + ", so " + effect + "; did you mean `" +
            nearest + "`?",
        "Write `" + nearest + "`.");
  }

  void ExportTo(const ObjectMeta& meta, const TextList& list) {
    for (const Text& value : list.values) {
      if (value.value == "*" || value.value == "." || value.value == "~" || value.value.empty()) {
        continue;
      }
      if (hosts_.names().HasNamespace(value.value)) continue;
      UnknownNamespace(meta, value.span, value.value, "nobody sees the object by this entry");
    }
  }

  // What to say of a host that resolves to nothing the object's namespace sees.
  void NoHost(const ObjectMeta& meta, const Text& host, const HostIndex::Lookup& found,
              const std::string& effect, std::string code, bool rule) {
    if (found.host.ends_with(".svc.clusterset.local") || ParseIpAddress(host.value)) return;
    std::string name = "`" + std::string(host.value) + "`";
    if (found.hidden != nullptr) {
      Finding& finding =
          Add(meta, host.span,
              "host " + name + " exists and is not exported to namespace " + meta.ns + ", so " +
                  effect + "; add the namespace to its `exportTo`",
              "Export the service to namespace " + meta.ns + ".");
      if (found.hidden->object != nullptr) {
        finding.related.push_back({found.hidden->object->span, "the service, with its exportTo"});
      }
      if (!code.empty()) finding.istioctl_codes = {std::move(code)};
      return;
    }
    if (!found.in_view) {
      return OutOfView(
          meta, host.span,
          "the services of namespace " +
              std::string(NamespaceOfHost(found.host, analysis_.model.mesh_config.domain)));
    }
    std::string message = "no service has the host " + name;
    if (found.host != ToLower(host.value)) message += " (" + found.host + ")";
    message += ", so " + effect;
    if (!found.nearest.empty()) {
      message += "; did you mean `" + found.nearest + "`?";
    } else if (found.external) {
      message += "; add a ServiceEntry for it, or name a service that exists";
    } else {
      message += "; name a service that exists";
    }
    Finding& finding =
        Add(meta, host.span, std::move(message),
            found.nearest.empty() ? "Name a host that exists." : "Write `" + found.nearest + "`.");
    if (!found.nearest.empty() && host.span) {
      finding.edits.push_back({host.span, found.nearest});
    }
    if (!code.empty()) finding.istioctl_codes = {std::move(code)};
    // An outside host that is let through anyway; the rule is only superfluous.
    if (rule && found.external && found.nearest.empty() &&
        !analysis_.model.mesh_config.registry_only) {
      finding.severity = Severity::kInfo;
    }
  }

  void CheckGateways(const VirtualService& service) {
    bool mesh = service.gateways.empty();
    std::vector<const Gateway*> bound;
    bool all_found = true;
    for (const Text& value : service.gateways.values) {
      if (value.value == "mesh") {
        mesh = true;
        continue;
      }
      if (value.value.find("istio-autogenerated-k8s-gateway") != std::string_view::npos) {
        all_found = false;
        continue;
      }
      auto [ns, name] = GatewayNamed(value.value, service.meta.ns);
      auto found = gateways_.find({ns, name});
      if (found == gateways_.end()) {
        all_found = false;
        NoGateway(service, value, ns, name);
        continue;
      }
      bound.push_back(found->second);
      CheckHosts(service, value, *found->second);
    }
    if (!mesh && all_found && !bound.empty()) CheckEachHost(service, bound);
  }

  // Namespace and name: `name`, `ns/name`, `./name`, or the old form `name.ns[.svc.domain]`.
  static std::pair<std::string, std::string> GatewayNamed(std::string_view written,
                                                          const std::string& own) {
    size_t slash = written.find('/');
    if (slash != std::string_view::npos) {
      std::string_view ns = written.substr(0, slash);
      return {ns == "." ? own : std::string(ns), std::string(written.substr(slash + 1))};
    }
    std::vector<std::string_view> parts = Split(written, '.');
    if (parts.size() == 1) return {own, std::string(written)};
    return {std::string(parts[1]), std::string(parts[0])};
  }

  void NoGateway(const VirtualService& service, const Text& value, const std::string& ns,
                 const std::string& name) {
    std::vector<std::string> elsewhere = hosts_.names().NamespacesOf(kNetworking, "Gateway", name);
    std::string head = "namespace " + ns + " has no Gateway " + name +
                       ", so no port serves these "
                       "routes by it";
    if (!elsewhere.empty()) {
      std::string written = elsewhere.front() + "/" + name;
      Finding& finding = Add(service.meta, value.span, head + "; write `" + written + "`",
                             "Write `" + written + "`.");
      finding.edits.push_back({value.span, written});
      finding.istioctl_codes = {"IST0101"};
      return;
    }
    if (hosts_.names().HasObject(kGatewayApiGroup, "Gateway", ns, name)) {
      Add(service.meta, value.span,
          name +
              " is a Gateway of the Gateway API, to which a VirtualService cannot be bound, so "
              "no port serves these routes by it; write an HTTPRoute",
          "Write an HTTPRoute for it.")
          .istioctl_codes = {"IST0101"};
      return;
    }
    const std::set<std::string>& known = hosts_.names().Objects(kNetworking, "Gateway", ns);
    std::string nearest = NearestName(name, known);
    if (known.empty() && ns != service.meta.ns && !analysis_.SeesNamespace(ns)) {
      return OutOfView(service.meta, value.span, "the Gateways of namespace " + ns);
    }
    std::string written = ns == service.meta.ns ? nearest : ns + "/" + nearest;
    Finding& finding =
        Add(service.meta, value.span,
            nearest.empty() ? head + "; name a Gateway that exists"
                            : head + "; did you mean `" + written + "`?",
            nearest.empty() ? "Name a Gateway that exists." : "Write `" + written + "`.");
    if (!nearest.empty()) finding.edits.push_back({value.span, written});
    finding.istioctl_codes = {"IST0101"};
  }

  // The hosts of a Gateway that routes of namespace `ns` may use.
  static std::vector<std::string> HostsOf(const Gateway& gateway, std::string_view ns) {
    std::vector<std::string> hosts;
    for (const GatewayServer& server : gateway.servers) {
      for (const Text& value : server.hosts.values) {
        size_t slash = value.value.find('/');
        std::string_view from =
            slash == std::string_view::npos ? std::string_view("*") : value.value.substr(0, slash);
        if (from == ".") from = gateway.meta.ns;
        if (from != "*" && from != ns) continue;
        hosts.push_back(
            ToLower(slash == std::string_view::npos ? value.value : value.value.substr(slash + 1)));
      }
    }
    return hosts;
  }

  static bool Overlap(std::string_view a, std::string_view b) {
    return HostCovers(a, b) || HostCovers(b, a);
  }

  static bool AnyOverlap(const std::vector<std::string>& hosts, std::string_view host) {
    std::string lower = ToLower(host);
    return std::any_of(hosts.begin(), hosts.end(),
                       [&](const std::string& own) { return Overlap(own, lower); });
  }

  void CheckHosts(const VirtualService& service, const Text& value, const Gateway& gateway) {
    std::vector<std::string> hosts = HostsOf(gateway, service.meta.ns);
    for (const Text& host : service.hosts.values) {
      if (AnyOverlap(hosts, host.value)) return;
    }
    if (service.hosts.empty()) return;
    std::vector<std::string> own;
    for (const Text& host : service.hosts.values) own.emplace_back(host.value);
    Finding& finding =
        Add(service.meta, value.span,
            "Gateway " + std::string(value.value) + " serves " +
                (hosts.empty() ? "no host to namespace " + service.meta.ns : ListNames(hosts)) +
                " and none of " + ListNames(own) +
                ", so these routes are not served by it; add the hosts to the Gateway, or bind to "
                "another",
            "Make the hosts of the two agree.");
    finding.istioctl_codes = {"IST0132"};
    finding.related.push_back({gateway.meta.span, "the Gateway"});
    no_host_.insert(&service);
  }

  // One host among others that no Gateway serves.
  void CheckEachHost(const VirtualService& service, const std::vector<const Gateway*>& bound) {
    if (no_host_.contains(&service)) return;
    std::vector<std::string> hosts;
    for (const Gateway* gateway : bound) {
      for (std::string& host : HostsOf(*gateway, service.meta.ns)) hosts.push_back(std::move(host));
    }
    for (const Text& host : service.hosts.values) {
      if (AnyOverlap(hosts, host.value)) continue;
      Add(service.meta, host.span,
          "no Gateway of this VirtualService serves the host " + std::string(host.value) + " (" +
              ListNames(hosts) +
              " are), so its routes are never used for it; add it to the Gateway",
          "Add the host to the Gateway, or remove it here.")
          .istioctl_codes = {"IST0132"};
    }
  }

  void Delegate(const VirtualService& service, const HttpRoute& route) {
    std::string ns(route.delegate_namespace.value.empty() ? service.meta.ns
                                                          : route.delegate_namespace.value);
    std::string name(route.delegate_name.value);
    Span span = route.delegate_name.span ? route.delegate_name.span : route.span;
    auto found = virtual_services_.find({ns, name});
    if (found == virtual_services_.end()) {
      const std::set<std::string>& known =
          hosts_.names().Objects(kNetworking, "VirtualService", ns);
      std::string nearest = NearestName(name, known);
      if (known.empty() && ns != service.meta.ns && !analysis_.SeesNamespace(ns)) {
        return OutOfView(service.meta, span, "the VirtualServices of namespace " + ns);
      }
      Add(service.meta, span,
          "namespace " + ns + " has no VirtualService " + name +
              " to delegate to, so this route is dropped" +
              (nearest.empty() ? "; name one that exists" : "; did you mean `" + nearest + "`?"),
          nearest.empty() ? "Name a VirtualService that exists." : "Write `" + nearest + "`.");
    } else if (!found->second->hosts.empty()) {
      Finding& finding = Add(service.meta, span,
                             "VirtualService " + ns + "/" + name +
                                 " has hosts of its own and cannot be delegated to, so this route "
                                 "is dropped; take its hosts away",
                             "Remove `hosts` from the VirtualService that is delegated to.");
      finding.related.push_back({found->second->meta.span, "the VirtualService"});
    }
  }

  void RouteTo(const ObjectMeta& meta, const Destination& to) {
    if (to.host.value.empty() || !SeesServices()) return;
    HostIndex::Lookup found = hosts_.Find(to.host.value, meta.ns);
    if (found.service == nullptr) {
      return NoHost(meta, to.host, found, "requests on this route get 503", "IST0101", false);
    }
    CheckPort(meta, to, *found.service);
    if (!to.subset.value.empty()) CheckSubset(meta, to, found);
  }

  void CheckPort(const ObjectMeta& meta, const Destination& to, const MeshService& service) {
    if (to.port == 0 || service.FindPort(to.port) != nullptr || service.ports.empty()) return;
    std::vector<std::string> ports;
    for (const MeshServicePort& port : service.ports) ports.push_back(std::to_string(port.port));
    Finding& finding =
        Add(meta, to.span ? to.span : to.host.span,
            "service " + service.host + " has no port " + std::to_string(to.port) + " (it has " +
                ListNames(ports) + "), so requests on this route get 503; name one of its ports",
            "Name a port of the service.");
    finding.istioctl_codes = {"IST0101"};
    finding.detail = "port";
    if (meta.node != nullptr && to.span) PointToPort(meta, to, &finding);
    if (service.object != nullptr) finding.related.push_back({service.object->span, "the service"});
  }

  // The number itself, which the model does not keep the place of.
  static void PointToPort(const ObjectMeta& meta, const Destination& to, Finding* finding) {
    const Node* found = nullptr;
    std::vector<const Node*> open = {meta.node};
    while (!open.empty() && found == nullptr) {
      const Node* node = open.back();
      open.pop_back();
      if (node->begin == to.span.begin && node->end == to.span.end && node->IsMapping() &&
          node->Find("host") != nullptr) {
        found = NodeAt(node, {"port", "number"});
        break;
      }
      for (const Entry& entry : node->entries()) open.push_back(&entry.value);
      for (const Node& item : node->items()) open.push_back(&item);
    }
    if (found == nullptr) return;
    finding->span = SpanOf(meta.file, *found);
    finding->field_path = FieldPathAt(*meta.node, found->begin);
  }

  void CheckSubset(const ObjectMeta& meta, const Destination& to, const HostIndex::Lookup& found) {
    std::string name(to.subset.value);
    std::set<std::string> known;
    bool any_rule = false;
    VisitCoveringHosts(found.host, [&](const std::string& host) {
      any_rule = any_rule || rules_of_host_.contains(host);
      auto subsets = subsets_.find(host);
      if (subsets != subsets_.end()) known.insert(subsets->second.begin(), subsets->second.end());
      return false;
    });
    if (known.contains(name)) return;
    std::string nearest = NearestName(name, known);
    std::string message =
        any_rule ? "no DestinationRule for " + found.host + " defines subset `" + name + "`"
                 : "no DestinationRule for " + found.host +
                       " is in the input, so nothing defines subset `" + name + "`";
    message += ", and requests on this route get 503";
    message += nearest.empty() ? "; define it, or name one that exists"
                               : "; did you mean `" + nearest + "`?";
    Finding& finding = Add(
        meta, to.subset.span, std::move(message),
        nearest.empty() ? "Define the subset in a DestinationRule." : "Write `" + nearest + "`.");
    if (!nearest.empty()) finding.edits.push_back({to.subset.span, nearest});
    finding.istioctl_codes = {"IST0101"};
  }

  // A mirror's destination, which the model does not keep.
  void Mirror(const ObjectMeta& meta, const Node& node) {
    Destination to;
    to.span = SpanOf(meta.file, node);
    const auto text = [&](std::string_view key) {
      const Node* value = NodeAt(&node, {key});
      return value == nullptr ? Text{} : Text{value->text, SpanOf(meta.file, *value)};
    };
    to.host = text("host");
    to.subset = text("subset");
    if (const Node* port = NodeAt(&node, {"port", "number"})) {
      auto number = ParseUnsigned(port->text);
      if (number && *number <= 65535) to.port = static_cast<int>(*number);
    }
    if (to.host.value.empty() || !SeesServices()) return;
    HostIndex::Lookup found = hosts_.Find(to.host.value, meta.ns);
    if (found.service == nullptr) {
      return NoHost(meta, to.host, found, "nothing is mirrored", "IST0101", false);
    }
    CheckPort(meta, to, *found.service);
    if (!to.subset.value.empty()) CheckSubset(meta, to, found);
  }

  static bool IsLocality(std::string_view key) {
    return key.starts_with("topology.") || key.starts_with("kubernetes.io/") ||
           key.starts_with("failure-domain.");
  }

  void Subset(const DestinationRule& rule, const DestinationRule::Subset& subset,
              const MeshService& service) {
    if (subset.labels.empty()) {
      // A subset may be there for its own policy.
      Finding& finding =
          Add(rule.meta, subset.name.span ? subset.name.span : subset.span,
              "subset " + std::string(subset.name.value) +
                  " has no labels, so it takes in every pod of the service; give it labels, or "
                  "route to the service itself",
              "Give the subset labels.");
      finding.severity = Severity::kInfo;
      return;
    }
    Labels wanted;
    for (const auto& label : subset.labels) {
      if (!IsLocality(label.first)) wanted.push_back(label);
    }
    std::vector<std::string> seen;
    bool any = false;
    for (size_t i : service.workloads) {
      const Workload& workload = analysis_.mesh.workloads()[i];
      any = true;
      if (Selects(wanted, workload.labels)) return;
      if (!wanted.empty()) {
        const std::string* value = FindLabel(workload.labels, wanted.front().first);
        if (value != nullptr) seen.push_back("`" + wanted.front().first + "=" + *value + "`");
      }
    }
    if (service.entry != nullptr) {
      for (const ServiceEntry::Endpoint& endpoint : service.entry->endpoints) {
        any = true;
        if (Selects(wanted, endpoint.labels)) return;
      }
    }
    // Of a service whose own selector finds none of the namespace's pods a subset finds none
    // either.
    any = any || (service.service != nullptr && service.service->has_selector &&
                  hosts_.names().HasWorkloads(service.ns));
    // Without a pod in the input nothing can be said.
    if (!any || wanted.empty()) return;
    std::string labels;
    for (const auto& [key, value] : wanted) {
      if (!labels.empty()) labels += ", ";
      labels += key + "=" + value;
    }
    std::sort(seen.begin(), seen.end());
    seen.erase(std::unique(seen.begin(), seen.end()), seen.end());
    Finding& finding =
        Add(rule.meta, LabelsSpan(rule, subset),
            "no pod of " + service.host + " has the labels `" + labels + "` of subset " +
                std::string(subset.name.value) + ", so requests to the subset get 503; " +
                (seen.empty() ? "write labels that the pods carry"
                              : "the pods have " + ListNames(seen)),
            "Write labels that the pods carry.");
    finding.istioctl_codes = {"IST0173"};
    finding.detail = subset.name.value;
    if (service.object != nullptr) finding.related.push_back({service.object->span, "the service"});
  }

  static Span LabelsSpan(const DestinationRule& rule, const DestinationRule::Subset& subset) {
    for (const Node& node : ItemsOf(NodeAt(rule.meta.node, {"spec", "subsets"}))) {
      const Node* name = NodeAt(&node, {"name"});
      const Node* labels = NodeAt(&node, {"labels"});
      if (name == nullptr || labels == nullptr || name->text != subset.name.value) continue;
      if (!subset.name.span || name->begin == subset.name.span.begin) {
        return SpanOf(rule.meta.file, *labels);
      }
    }
    return subset.name.span ? subset.name.span : subset.span;
  }

  void TargetPort(const MeshService& service, const ServicePort& port, bool number,
                  const std::vector<std::string>& names) {
    std::string target(port.target_port.value);
    std::string nearest = NearestName(target, names);
    std::string message =
        number ? "no container behind Service " + service.name + " declares port " + target +
                     ", so connections to it are refused unless one listens without saying so; "
                     "declare the port, or name one that is"
               : "no container behind Service " + service.name + " has a port named `" + target +
                     "`, so the Service port leads nowhere" +
                     (nearest.empty() ? "; name a port of the container"
                                      : "; did you mean `" + nearest + "`?");
    Finding& finding = Add(service.service->meta, port.target_port.span, std::move(message),
                           "Name a port that the containers have.");
    finding.detail = std::to_string(port.port);
    if (number) {
      finding.severity = Severity::kInfo;
      finding.certainty = Certainty::kCannotSee;
    }
  }

  void Parent(const ObjectMeta& meta, const Node& ref) {
    const Node* kind_node = NodeAt(&ref, {"kind"});
    const Node* name_node = NodeAt(&ref, {"name"});
    std::string_view kind = kind_node == nullptr ? "Gateway" : kind_node->text;
    if (name_node == nullptr) return;
    std::string name(name_node->text);
    const Node* ns_node = NodeAt(&ref, {"namespace"});
    std::string ns(ns_node == nullptr ? meta.ns : ns_node->text);
    std::string_view group = kGatewayApiGroup;
    if (kind == "Service") group = "";
    if (kind == "ServiceEntry") group = kNetworking;
    if (kind != "Gateway" && kind != "Service" && kind != "ServiceEntry") return;
    Span span = SpanOf(meta.file, *name_node);
    if (!hosts_.names().HasObject(group, kind, ns, name)) {
      return NoObject(meta, span, group, kind, ns, name, "the route is attached to nothing");
    }
    if (kind == "Gateway") Section(meta, ref, ns, name);
  }

  // sectionName and port of a reference to a Gateway.
  void Section(const ObjectMeta& meta, const Node& ref, const std::string& ns,
               const std::string& name) {
    const Node* section = NodeAt(&ref, {"sectionName"});
    if (section == nullptr) return;
    auto found = gateway_api_.find({ns, name});
    if (found != gateway_api_.end()) {
      const ObjectMeta& gateway = *found->second;
      std::vector<std::string> names;
      for (const Node& listener : ItemsOf(NodeAt(gateway.node, {"spec", "listeners"}))) {
        const Node* own = NodeAt(&listener, {"name"});
        if (own == nullptr) continue;
        if (own->text == section->text) return;
        names.emplace_back(own->text);
      }
      // Listeners may come from a ListenerSet.
      if (hosts_.names().HasKind(kGatewayApiGroup, "ListenerSet") || names.empty()) return;
      Finding& finding =
          Add(meta, SpanOf(meta.file, *section),
              "Gateway " + ns + "/" + name + " has no listener `" + std::string(section->text) +
                  "`, so the route is attached to nothing; its listeners are " + ListNames(names),
              "Name a listener of the Gateway.");
      finding.related.push_back({gateway.span, "the Gateway"});
    }
  }

  void NoObject(const ObjectMeta& meta, Span span, std::string_view group, std::string_view kind,
                const std::string& ns, const std::string& name, const std::string& effect) {
    const std::set<std::string>& known = hosts_.names().Objects(group, kind, ns);
    std::string nearest = NearestName(name, known);
    bool in_view = !known.empty() || ns == meta.ns || analysis_.SeesNamespace(ns);
    if (!in_view) {
      return OutOfView(meta, span,
                       "the objects of kind " + std::string(kind) + " of namespace " + ns);
    }
    std::vector<std::string> elsewhere = hosts_.names().NamespacesOf(group, kind, name);
    std::string message =
        "namespace " + ns + " has no " + std::string(kind) + " " + name + ", so " + effect;
    if (!elsewhere.empty()) {
      message += "; " + ListNames(elsewhere) + " has one: set `namespace`";
    } else if (!nearest.empty()) {
      message += "; did you mean `" + nearest + "`?";
    } else {
      message += "; name one that exists";
    }
    Finding& finding =
        Add(meta, span, std::move(message),
            nearest.empty() ? "Name an object that exists." : "Write `" + nearest + "`.");
    if (!nearest.empty() && elsewhere.empty()) finding.edits.push_back({span, nearest});
    if (known.empty() && !hosts_.names().HasKind(group, kind)) {
      finding.certainty = Certainty::kCannotSee;
      finding.severity = Severity::kInfo;
    }
  }

  void Backend(const ObjectMeta& meta, const Node& ref) {
    const Node* kind = NodeAt(&ref, {"kind"});
    const Node* name = NodeAt(&ref, {"name"});
    if (name == nullptr) return;
    const Node* ns_node = NodeAt(&ref, {"namespace"});
    std::string ns(ns_node == nullptr ? meta.ns : ns_node->text);
    Span span = SpanOf(meta.file, *name);
    if (kind != nullptr && kind->text == "Hostname") {
      if (!SeesServices()) return;
      HostIndex::Lookup found = hosts_.Find(name->text, ns);
      if (found.service == nullptr) {
        NoHost(meta, {name->text, span}, found, "requests on this route get 500", "", false);
      }
      return;
    }
    if (kind != nullptr && kind->text != "Service" && kind->text != "ServiceEntry") return;
    bool entry = kind != nullptr && kind->text == "ServiceEntry";
    std::string_view group = entry ? kNetworking : std::string_view();
    std::string_view what = entry ? "ServiceEntry" : "Service";
    if (!hosts_.names().HasObject(group, what, ns, std::string(name->text))) {
      return NoObject(meta, span, group, what, ns, std::string(name->text),
                      "requests on this route get 500");
    }
    if (!entry) {
      BackendPort(meta, ref, ns, *name);
      BackendGrant(meta, ns, *name);
    }
  }

  void BackendPort(const ObjectMeta& meta, const Node& ref, const std::string& ns,
                   const Node& name) {
    const Node* port = NodeAt(&ref, {"port"});
    auto number = port == nullptr ? std::nullopt : ParseUnsigned(port->text);
    const MeshService* service = analysis_.mesh.FindService(
        std::string(name.text) + "." + ns + ".svc." + analysis_.model.mesh_config.domain);
    if (!number || *number > 65535 || service == nullptr || service->ports.empty() ||
        service->FindPort(static_cast<int>(*number)) != nullptr) {
      return;
    }
    std::vector<std::string> ports;
    for (const MeshServicePort& own : service->ports) ports.push_back(std::to_string(own.port));
    Add(meta, SpanOf(meta.file, *port),
        "Service " + ns + "/" + std::string(name.text) + " has no port " + std::string(port->text) +
            " (it has " + ListNames(ports) +
            "), so requests on this route get 500; name one of "
            "its ports",
        "Name a port of the Service.");
  }

  // A Service of another namespace needs that namespace's consent.
  void BackendGrant(const ObjectMeta& meta, const std::string& ns, const Node& name) {
    if (ns == meta.ns) return;
    auto grants = grants_.find(ns);
    for (const ObjectMeta* grant :
         grants == grants_.end() ? std::vector<const ObjectMeta*>() : grants->second) {
      bool from = false;
      bool to = false;
      for (const Node& source : ItemsOf(NodeAt(grant->node, {"spec", "from"}))) {
        const Node* kind = NodeAt(&source, {"kind"});
        const Node* from_ns = NodeAt(&source, {"namespace"});
        from = from || (kind != nullptr && kind->text == meta.kind && from_ns != nullptr &&
                        from_ns->text == meta.ns);
      }
      for (const Node& target : ItemsOf(NodeAt(grant->node, {"spec", "to"}))) {
        const Node* kind = NodeAt(&target, {"kind"});
        const Node* to_name = NodeAt(&target, {"name"});
        to = to || (kind != nullptr && kind->text == "Service" &&
                    (to_name == nullptr || to_name->text == name.text));
      }
      if (from && to) return;
    }
    Add(meta, SpanOf(meta.file, name),
        "no ReferenceGrant of namespace " + ns + " lets a " + std::string(meta.kind) +
            " of namespace " + meta.ns +
            " use its Services, so requests on this route get 500; "
            "add the grant",
        "Add a ReferenceGrant to namespace " + ns + ".");
  }

  void Grant(const ObjectMeta& meta) {
    for (const Node& target : ItemsOf(NodeAt(meta.node, {"spec", "to"}))) {
      const Node* kind = NodeAt(&target, {"kind"});
      const Node* name = NodeAt(&target, {"name"});
      if (kind == nullptr || name == nullptr || name->text.empty()) continue;
      if (kind->text != "Service" && kind->text != "Secret") continue;
      if (hosts_.names().HasObject("", kind->text, meta.ns, name->text)) continue;
      // Secrets are seldom beside the manifests.
      if (hosts_.names().Objects("", kind->text, meta.ns).empty()) continue;
      NoObject(meta, SpanOf(meta.file, *name), "", kind->text, meta.ns, std::string(name->text),
               "the grant grants nothing");
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  HostIndex hosts_;
  std::map<std::pair<std::string, std::string>, const Gateway*> gateways_;
  std::map<std::pair<std::string, std::string>, const VirtualService*> virtual_services_;
  std::map<std::string, std::set<std::string>> subsets_;  // by host
  std::multimap<std::string, const DestinationRule*> rules_of_host_;
  std::map<std::pair<std::string, std::string>, const ObjectMeta*> gateway_api_;
  std::map<std::string, std::vector<const ObjectMeta*>> grants_;  // by namespace
  std::set<const VirtualService*> no_host_;
  std::set<std::string> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const Model& model = analysis.model;
  Checker checker(analysis, reporter);
  for (const VirtualService& service : model.virtual_services) checker.Check(service);
  for (const DestinationRule& rule : model.destination_rules) checker.Check(rule);
  for (const ServiceEntry& entry : model.service_entries) checker.Check(entry);
  for (const Sidecar& sidecar : model.sidecars) checker.Check(sidecar);
  for (const MeshService& service : analysis.mesh.services()) checker.Check(service);
  for (const OtherObject& object : model.others) checker.CheckOther(object);
  for (const K8sRoute& route : model.k8s_routes) checker.Check(route);
}

}  // namespace meshproof::dangling_route

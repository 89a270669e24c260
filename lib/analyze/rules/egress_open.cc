// Ways out of the mesh that nothing decides. A sidecar sends what it does not know to anywhere
// under ALLOW_ANY, and to a 502 or a reset under REGISTRY_ONLY; a Sidecar resource that has an
// outboundTrafficPolicy replaces the mesh's, also where it names no mode (that reads as
// REGISTRY_ONLY). What iptables does not redirect meets no sidecar at all. An egress gateway holds
// only those requests that a route of the client's own sidecar leads to it, and authorization
// policies are asked for requests that come in, never for those that go out.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "analyze/mesh_config_fields.h"
#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "match/ip.h"
#include "source/source.h"

namespace meshproof::egress_open {
namespace {

constexpr std::string_view kAnywhere = "203.0.113.7:443";  // an address of nobody's

std::string_view ScalarAt(const Node* node, std::initializer_list<std::string_view> path) {
  const Node* value = NodeAt(node, path);
  return value != nullptr && value->kind == NodeKind::kScalar ? value->text : std::string_view();
}

Finding& ReportOn(Reporter& reporter, const ObjectMeta& meta, const Span& span, std::string message,
                  std::string fix) {
  Finding& finding = reporter.Report(meta, span, std::move(message));
  if (meta.node != nullptr && span && span.file == meta.file) {
    finding.field_path = FieldPathOf(*meta.node, span);
  }
  finding.fix = std::move(fix);
  return finding;
}

std::string SayWorkloads(const std::vector<const Workload*>& workloads) {
  std::vector<std::string> names;
  for (const Workload* workload : workloads) names.push_back(workload->ns + "/" + workload->name);
  return ListNames(names, 3);
}

bool HasText(const TextList& list, std::string_view value) {
  return std::any_of(list.values.begin(), list.values.end(),
                     [&](const Text& text) { return text.value == value; });
}

// --- Which sidecars let unknown destinations through -------------------------------------------

class OutboundModes {
 public:
  OutboundModes(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {
    for (const Workload& workload : analysis.mesh.workloads()) {
      if (workload.mode != ProxyMode::kSidecar) continue;
      const Sidecar* sidecar = analysis.mesh.SidecarFor(workload);
      const Node* policy = sidecar == nullptr ? nullptr : PolicyOf(*sidecar);
      if (policy != nullptr) {
        by_sidecar_[sidecar].push_back(&workload);
        restricted_ = restricted_ || ScalarAt(policy, {"mode"}) != "ALLOW_ANY";
      } else {
        by_mesh_.push_back(&workload);
      }
    }
    for (const MeshService& service : analysis.mesh.services()) {
      if (service.external) external_.push_back(&service);
    }
    restricted_ = restricted_ || (IsConfigSeen() && analysis.mesh.config().registry_only);
  }

  // Some sidecar is known to refuse what it does not know.
  bool restricted() const { return restricted_; }

  void CheckMesh() {
    if (!IsConfigSeen() || analysis_.mesh.config().registry_only) return;
    if (by_mesh_.empty() && analysis_.HasWorkloads()) return;
    MeshConfigField field = FindMeshConfigField(analysis_.model, {"outboundTrafficPolicy", "mode"});
    std::string who = by_mesh_.empty() ? "every sidecar sends"
                                       : "the sidecars of " + SayWorkloads(by_mesh_) + " send";
    Finding& finding = reporter_.Report(
        MeshConfigName(analysis_.model), field.span,
        std::string("outboundTrafficPolicy of the mesh is ALLOW_ANY") +
            (field.value == nullptr ? " (the default)" : "") + ", so " + who +
            " to any address outside the mesh, such as " + std::string(kAnywhere) +
            ", through PassthroughCluster; set REGISTRY_ONLY and name each external host in a "
            "ServiceEntry");
    finding.fix = "Set `outboundTrafficPolicy.mode` to REGISTRY_ONLY.";
    if (field.value != nullptr) finding.edits.push_back({field.span, "REGISTRY_ONLY"});
    finding.field_path = "data.mesh.outboundTrafficPolicy.mode";
    finding.detail = "mesh";
    if (!by_mesh_.empty() && by_mesh_.front()->object != nullptr) {
      finding.related.push_back({by_mesh_.front()->object->span, "may call any address"});
    }
  }

  void Check(const Sidecar& sidecar) {
    const Node* policy = PolicyOf(sidecar);
    if (policy != nullptr) CheckPolicy(sidecar, *policy);
    CheckRootSelector(sidecar);
    for (const Text& host : sidecar.egress_hosts.values) {
      if (host.value == "*/*") CheckStar(sidecar, host);
    }
  }

 private:
  static const Node* PolicyOf(const Sidecar& sidecar) {
    return NodeAt(sidecar.meta.node, {"spec", "outboundTrafficPolicy"});
  }

  bool IsConfigSeen() const { return analysis_.HasMeshConfig() || !analysis_.model.nested.empty(); }

  void CheckPolicy(const Sidecar& sidecar, const Node& policy) {
    const Node* mode = NodeAt(&policy, {"mode"});
    if (mode == nullptr) {
      Finding& finding = ReportOn(
          reporter_, sidecar.meta, SpanOf(sidecar.meta.file, policy),
          "`outboundTrafficPolicy` without `mode` replaces the mesh's policy by REGISTRY_ONLY, "
          "which is easily taken for the mesh's default; write the mode",
          "Write `mode: REGISTRY_ONLY`, or leave the block out.");
      finding.severity = Severity::kInfo;
      finding.detail = "no mode";
      return;
    }
    if (mode->text != "ALLOW_ANY") return;
    auto users = by_sidecar_.find(&sidecar);
    if (users == by_sidecar_.end() && analysis_.SeesNamespace(sidecar.meta.ns) &&
        analysis_.HasWorkloads()) {
      return;
    }
    Finding& finding = ReportOn(
        reporter_, sidecar.meta, SpanOf(sidecar.meta.file, *mode),
        "this Sidecar sets ALLOW_ANY" +
            std::string(analysis_.mesh.config().registry_only ? " where the mesh is REGISTRY_ONLY"
                                                              : "") +
            ", so " +
            (users == by_sidecar_.end() ? "its workloads send"
                                        : SayWorkloads(users->second) + " may send") +
            " to any address outside the mesh, such as " + std::string(kAnywhere) +
            "; set REGISTRY_ONLY and name each external host in a ServiceEntry",
        "Set `mode: REGISTRY_ONLY`.");
    finding.edits.push_back({finding.span, "REGISTRY_ONLY"});
    finding.detail = "mode";
    if (users != by_sidecar_.end() && users->second.front()->object != nullptr) {
      finding.related.push_back({users->second.front()->object->span, "may call any address"});
    }
  }

  // A Sidecar of the root namespace is the default of all namespaces only without a selector.
  void CheckRootSelector(const Sidecar& sidecar) {
    if (sidecar.meta.ns != analysis_.mesh.config().root_namespace) return;
    if (!sidecar.workload_selector.present || sidecar.workload_selector.match_labels.empty()) {
      return;
    }
    bool used =
        std::any_of(analysis_.mesh.workloads().begin(), analysis_.mesh.workloads().end(),
                    [&](const Workload& workload) {
                      return workload.ns == sidecar.meta.ns &&
                             Selects(sidecar.workload_selector.match_labels, workload.labels);
                    });
    Finding& finding = ReportOn(
        reporter_, sidecar.meta, sidecar.workload_selector.span,
        "a Sidecar of the root namespace with a workloadSelector is no default of the mesh: it "
        "limits only the workloads of " +
            sidecar.meta.ns +
            " that it selects, so the egress of all other namespaces stays as it is; leave the "
            "selector out if the whole mesh is meant",
        "Remove `workloadSelector`.");
    if (used) finding.severity = Severity::kInfo;
    finding.detail = "root selector";
  }

  void CheckStar(const Sidecar& sidecar, const Text& host) {
    std::vector<std::string> outside;
    for (const MeshService* service : external_) {
      if (service->ns != sidecar.meta.ns && IsExported(*service, sidecar)) {
        outside.push_back(service->host);
      }
    }
    Finding& finding = ReportOn(
        reporter_, sidecar.meta, host.span,
        "egress host `*/*` takes in every Service and external host that any namespace exports" +
            (outside.empty() ? std::string() : ", such as " + ListNames(outside, 2)) +
            ", so whoever may write a ServiceEntry anywhere opens a way out for these workloads; "
            "name the namespaces or hosts that they call",
        "Name the namespaces that these workloads call, as in `./*` and `shop/*`.");
    if (outside.empty()) finding.severity = Severity::kInfo;
    finding.detail = "star";
  }

  static bool IsExported(const MeshService& service, const Sidecar& sidecar) {
    if (service.entry == nullptr || service.entry->export_to.empty()) return true;
    return HasText(service.entry->export_to, "*") ||
           HasText(service.entry->export_to, sidecar.meta.ns);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::vector<const MeshService*> external_;
  std::vector<const Workload*> by_mesh_;
  std::map<const Sidecar*, std::vector<const Workload*>> by_sidecar_;
  bool restricted_ = false;
};

// --- Traffic that no sidecar sees --------------------------------------------------------------

// "any port of 198.51.100.0" for the first block of a list.
std::string SampleOf(std::string_view blocks) {
  for (std::string_view piece : Split(blocks, ',')) {
    if (std::optional<CidrRange> range = ParseCidr(TrimSpace(piece))) return ToString(*range);
  }
  return "";
}

void CheckExclusions(const Workload& workload, Reporter& reporter) {
  if (workload.mode != ProxyMode::kSidecar || workload.pod == nullptr) return;
  const PodWorkload& pod = *workload.pod;
  const auto report = [&](std::string_view key, std::string_view effect,
                          const std::string& reached) {
    const std::string* value = FindLabel(pod.pod_annotations, key);
    Finding& finding = ReportOn(
        reporter, pod.meta, PodAnnotationPlace(pod.meta, key),
        "annotation " + std::string(key) + " (`" + *value + "`) " + std::string(effect) + " of " +
            Describe(workload) + " leaves without its sidecar, so it reaches " + reached +
            " whatever REGISTRY_ONLY, ServiceEntries and the egress gateway say; remove it, and "
            "let a ServiceEntry name the host",
        "Remove the annotation and describe the host in a ServiceEntry.");
    finding.detail = std::string(key);
  };
  constexpr std::string_view kPorts = "traffic.sidecar.istio.io/excludeOutboundPorts";
  const std::string* ports = FindLabel(pod.pod_annotations, kPorts);
  if (ports != nullptr && !ParsePortList(*ports).empty()) {
    std::vector<std::string> names;
    for (int port : ParsePortList(*ports)) names.push_back(std::to_string(port));
    report(kPorts, "says that traffic", "any address at port " + ListNames(names));
  }
  constexpr std::string_view kExcluded = "traffic.sidecar.istio.io/excludeOutboundIPRanges";
  const std::string* excluded = FindLabel(pod.pod_annotations, kExcluded);
  if (excluded != nullptr && !SampleOf(*excluded).empty()) {
    report(kExcluded, "says that traffic", SampleOf(*excluded) + " on every port");
  }
  constexpr std::string_view kIncluded = "traffic.sidecar.istio.io/includeOutboundIPRanges";
  const std::string* included = FindLabel(pod.pod_annotations, kIncluded);
  if (included != nullptr && TrimSpace(*included) != "*" &&
      included->find("0.0.0.0/0") == std::string::npos) {
    report(kIncluded, "redirects these addresses alone: all other traffic",
           "any other address, such as " + std::string(kAnywhere) + ",");
  }
}

// The injector's own defaults, which hold for every pod without annotations.
void CheckInjectorValues(const Node* values, const ObjectName& object, const Node* root,
                         const Span& span, const SourceFile* file, Reporter& reporter) {
  const Node* proxy = NodeAt(values, {"global", "proxy"});
  constexpr std::string_view kKeys[] = {"excludeOutboundPorts", "excludeIPRanges",
                                        "includeIPRanges"};
  for (std::string_view key : kKeys) {
    const Node* value = NodeAt(proxy, {key});
    if (value == nullptr || value->kind != NodeKind::kScalar) continue;
    std::string_view text = TrimSpace(value->text);
    bool narrows = key == "includeIPRanges" ? text != "*" && text != "0.0.0.0/0" : !text.empty();
    if (!narrows) continue;
    Finding& finding = reporter.Report(
        object, file == nullptr ? span : SpanOf(file, *value),
        "the injector's `global.proxy." + std::string(key) + "` (`" + std::string(text) + "`) " +
            (key == "includeIPRanges" ? "redirects these addresses alone"
                                      : "leaves these out of the redirection") +
            ", so every pod of the mesh reaches " +
            (key == "includeIPRanges"        ? "all others, such as " + std::string(kAnywhere) + ","
             : key == "excludeOutboundPorts" ? std::string("them at any address")
                                             : std::string("them")) +
            " without a sidecar; leave it at its default");
    finding.fix = "Leave `global.proxy." + std::string(key) + "` at its default.";
    finding.detail = std::string(key);
    if (root != nullptr && finding.span) finding.field_path = FieldPathOf(*root, finding.span);
  }
}

// --- ServiceEntries that stand for everybody ---------------------------------------------------

void CheckEntry(const ServiceEntry& entry, bool restricted, Reporter& reporter) {
  if (!entry.mesh_external) return;
  const std::string later = restricted ? "" : ", and would under REGISTRY_ONLY too";
  const bool any_address = entry.resolution.empty() || entry.resolution == "NONE";
  const auto finish = [&](Finding& finding, std::string detail) {
    if (!restricted) finding.severity = Severity::kInfo;
    finding.detail = std::move(detail);
  };
  for (const Text& host : entry.hosts.values) {
    if (!host.value.starts_with('*')) continue;
    std::string sample = "any" + std::string(host.value.substr(1));
    finish(ReportOn(reporter, entry.meta, host.span,
                    "wildcard host `" + std::string(host.value) +
                        "` opens the way to every name under it, such as " + sample +
                        (any_address ? ", and to any address for who writes such a name as Host or "
                                       "SNI (resolution NONE)"
                                     : "") +
                        later + "; name the hosts that are called",
                    "Name each host that is called."),
           "host");
  }
  for (const Text& address : entry.addresses.values) {
    std::optional<CidrRange> range = ParseCidr(address.value);
    if (!range || range->length > 0) continue;
    finish(ReportOn(reporter, entry.meta, address.span,
                    "address `" + std::string(address.value) +
                        "` is every address there is, so this ServiceEntry opens its ports to all "
                        "of them, such as " +
                        std::string(kAnywhere) + later + "; name the addresses that are called",
                    "Name the addresses that are called."),
           "address");
  }
  if (!any_address || !entry.addresses.empty() || !entry.endpoints.empty()) return;
  for (const ServiceEntry::Port& port : entry.ports) {
    if (ParseProtocol(port.protocol.value) != Protocol::kTcp) continue;
    finish(ReportOn(reporter, entry.meta, port.protocol.span ? port.protocol.span : entry.meta.span,
                    "TCP port " + std::to_string(port.port) +
                        " without `addresses` and with resolution NONE matches every address, so "
                        "it opens the port to all of them whatever `hosts` says" +
                        later + "; name the addresses, or resolve by DNS",
                    "Name the addresses, or set `resolution: DNS`."),
           "port " + std::to_string(port.port));
  }
}

// --- Routes that pass the egress gateway by ----------------------------------------------------

class EgressGateways {
 public:
  EgressGateways(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {
    for (const MeshService& service : analysis.mesh.services()) {
      if (service.external) external_[service.host].push_back(&service);
    }
    for (const Workload& workload : analysis.mesh.workloads()) {
      if (workload.mode != ProxyMode::kSidecar) continue;
      clients_.try_emplace(workload.ns, &workload);
    }
    for (const VirtualService* routes : analysis.mesh.MeshVirtualServices()) {
      for (const Text& host : routes->hosts.values) ++holders_[ToLower(host.value)];
    }
  }

  void Check(const VirtualService& routes) {
    for (const Text& host : routes.hosts.values) {
      auto found = external_.find(ToLower(host.value));
      if (found == external_.end()) continue;
      std::vector<Step> steps = StepsOf(routes, found->first);
      bool used =
          std::any_of(steps.begin(), steps.end(), [](const Step& step) { return step.to_gateway; });
      if (!used) continue;
      const MeshService& service = *found->second.front();
      const Workload* client = ClientOf(service, nullptr);
      if (client == nullptr && !clients_.empty()) continue;
      for (const MeshServicePort& port : service.ports) {
        CheckPort(routes, host, service, port, steps, client);
      }
      CheckExport(routes, host, service);
    }
  }

 private:
  enum class Layer { kHttp, kTls, kTcp };

  // A route that sidecars follow, for one port (0: any).
  struct Step {
    Layer layer = Layer::kHttp;
    int port = 0;
    bool always = true;  // nothing but the port is asked
    bool to_gateway = false;
    Span direct;  // a destination that is the host itself
  };

  static bool InMesh(const TextList& gateways) {
    return gateways.empty() || HasText(gateways, "mesh");
  }

  bool IsEgressGateway(const Destination& destination, const std::string& ns) const {
    const MeshService* service = analysis_.mesh.ResolveObjectHost(destination.host.value, ns);
    if (service == nullptr) {
      // The gateway's Service is seldom among the files of an application.
      std::string_view name = destination.host.value;
      return name.substr(0, name.find('.')).find("egress") != std::string_view::npos;
    }
    return std::any_of(service->workloads.begin(), service->workloads.end(), [&](size_t index) {
      return analysis_.mesh.workloads()[index].mode == ProxyMode::kGateway;
    });
  }

  void Fill(const std::vector<RouteDestination>& destinations, const VirtualService& routes,
            const std::string& host, Step* step) const {
    for (const RouteDestination& route : destinations) {
      if (EqualsIgnoreCase(route.destination.host.value, host)) {
        step->direct = route.destination.host.span;
      } else if (IsEgressGateway(route.destination, routes.meta.ns)) {
        step->to_gateway = true;
      }
    }
  }

  std::vector<Step> StepsOf(const VirtualService& routes, const std::string& host) const {
    std::vector<Step> steps;
    for (const HttpRoute& route : routes.http) {
      Step step;
      Fill(route.routes, routes, host, &step);
      if (route.matches.empty()) steps.push_back(step);
      for (const HttpMatch& match : route.matches) {
        if (!InMesh(match.gateways)) continue;
        step.port = match.port;
        step.always = match.uri.kind == StringMatch::Kind::kNone &&
                      match.scheme.kind == StringMatch::Kind::kNone &&
                      match.method.kind == StringMatch::Kind::kNone &&
                      match.authority.kind == StringMatch::Kind::kNone && match.headers.empty() &&
                      match.without_headers.empty() && match.query_params.empty() &&
                      match.source_labels.empty() && match.source_namespace.empty();
        steps.push_back(step);
      }
    }
    const auto add_l4 = [&](const std::vector<L4Route>& l4, Layer layer) {
      for (const L4Route& route : l4) {
        Step step;
        step.layer = layer;
        Fill(route.routes, routes, host, &step);
        if (route.matches.empty()) steps.push_back(step);
        for (const L4Match& match : route.matches) {
          if (!InMesh(match.gateways)) continue;
          if (!match.sni_hosts.empty() && !HasText(match.sni_hosts, host)) continue;
          step.port = match.port;
          step.always = match.source_labels.empty() && match.destination_subnets.empty();
          steps.push_back(step);
        }
      }
    };
    add_l4(routes.tls, Layer::kTls);
    add_l4(routes.tcp, Layer::kTcp);
    return steps;
  }

  static bool Concerns(const Step& step, const MeshServicePort& port) {
    if (step.port != 0 && step.port != port.port) return false;
    switch (port.protocol) {
      case Protocol::kTls:
      case Protocol::kHttps:
        return step.layer != Layer::kHttp;
      case Protocol::kTcp:
        return step.layer == Layer::kTcp;
      default:
        return step.layer == Layer::kHttp;
    }
  }

  void CheckPort(const VirtualService& routes, const Text& host, const MeshService& service,
                 const MeshServicePort& port, const std::vector<Step>& steps,
                 const Workload* client) {
    if (port.protocol == Protocol::kUdp) return;
    const std::string address = std::string(host.value) + ":" + std::to_string(port.port);
    const std::string who = client == nullptr ? "every client" : client->ns + "/" + client->name;
    bool any = false;
    for (const Step& step : steps) {
      if (!Concerns(step, port)) continue;
      any = true;
      if (step.direct) {
        Finding& finding = ReportOn(
            reporter_, routes.meta, step.direct,
            "this route leads " + who + " straight to " + address +
                " while another leads to the egress gateway, so what the gateway decides and logs "
                "can be passed by; let sidecars route to the gateway alone (`gateways: [mesh]`), "
                "and the gateway to the host",
            "Limit this route to the egress gateway's own Gateway by `match.gateways`.");
        Finish(service, client, "direct " + std::to_string(port.port), &finding);
      }
      if (step.always) return;
    }
    if (any) return;
    Finding& finding = ReportOn(
        reporter_, routes.meta, host.span,
        "port " + std::to_string(port.port) + " of " + std::string(host.value) +
            " has no route to the egress gateway, though the host's other ports have one, so " +
            who + " sends to " + address +
            " directly; route this port through the gateway too, or take it out of the "
            "ServiceEntry",
        "Add a route for the port that leads sidecars to the egress gateway.");
    Finish(service, client, "port " + std::to_string(port.port), &finding);
  }

  // Namespaces that see the ServiceEntry and not the route.
  void CheckExport(const VirtualService& routes, const Text& host, const MeshService& service) {
    if (routes.export_to.empty() || HasText(routes.export_to, "*")) return;
    if (holders_[ToLower(host.value)] > 1) return;
    const Workload* client = ClientOf(service, &routes);
    if (client == nullptr) return;
    Finding& finding = ReportOn(
        reporter_, routes.meta, routes.export_to.span,
        "the route to the egress gateway is exported less widely than ServiceEntry " + service.ns +
            "/" + service.name + ", so " + client->ns + "/" + client->name + " sends to " +
            std::string(host.value) + " directly; export both to the same namespaces",
        "Give the ServiceEntry and the VirtualService the same `exportTo`.");
    Finish(service, client, "export", &finding);
  }

  // A sidecar that sees the external host; `unseen` must not be exported to it.
  const Workload* ClientOf(const MeshService& service, const VirtualService* unseen) const {
    for (const auto& [ns, client] : clients_) {
      if (unseen != nullptr && (HasText(unseen->export_to, ns) ||
                                (ns == unseen->meta.ns && HasText(unseen->export_to, ".")))) {
        continue;
      }
      if (analysis_.mesh.IsVisible(*client, service)) return client;
    }
    return nullptr;
  }

  static void Finish(const MeshService& service, const Workload* client, std::string_view detail,
                     Finding* finding) {
    finding->detail = service.host + " " + std::string(detail);
    if (service.object != nullptr) {
      finding->related.push_back({service.object->span, "makes the host known to sidecars"});
    }
    if (client != nullptr && client->object != nullptr) {
      finding->related.push_back({client->object->span, "reaches it without the gateway"});
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<std::string, std::vector<const MeshService*>, std::less<>> external_;  // by host
  std::map<std::string, const Workload*> clients_;  // a sidecar of each namespace
  std::map<std::string, int> holders_;              // mesh VirtualServices by host
};

// --- Policies that were meant for what goes out -------------------------------------------------

class InboundWalls {
 public:
  InboundWalls(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {
    for (const MeshService& service : analysis.mesh.services()) {
      if (service.external) external_.try_emplace(service.host, &service);
    }
    for (const Workload& workload : analysis.mesh.workloads()) {
      if (workload.mode != ProxyMode::kGateway && workload.mode != ProxyMode::kWaypoint) continue;
      gateways_.push_back(&workload);
    }
  }

  void Check(const AuthorizationPolicy& policy) {
    if (policy.action != AuthorizationPolicy::Action::kDeny || policy.dry_run) return;
    if (!policy.target_refs.empty() || external_.empty() || HoldsAtGateway(policy)) return;
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      for (const AuthorizationPolicy::Operation& operation : rule.to) {
        for (const Text& host : operation.hosts.values) CheckHost(policy, host);
      }
    }
  }

 private:
  bool HoldsAtGateway(const AuthorizationPolicy& policy) const {
    const bool mesh_wide = policy.meta.ns == analysis_.mesh.config().root_namespace;
    return std::any_of(gateways_.begin(), gateways_.end(), [&](const Workload* gateway) {
      return (mesh_wide || gateway->ns == policy.meta.ns) &&
             Selects(policy.selector.match_labels, gateway->labels);
    });
  }

  void CheckHost(const AuthorizationPolicy& policy, const Text& host) {
    std::string name = ToLower(host.value);
    size_t colon = name.find(':');
    if (colon != std::string::npos) name.resize(colon);
    const MeshService* service = nullptr;
    auto found = external_.find(name);
    if (found != external_.end()) {
      service = found->second;
    } else if (name.starts_with("*.")) {
      for (const auto& [known, candidate] : external_) {
        if (known.ends_with(std::string_view(name).substr(1))) service = candidate;
      }
    }
    if (service == nullptr) return;
    Finding& finding = ReportOn(
        reporter_, policy.meta, host.span,
        "`" + std::string(host.value) + "` is outside the mesh (ServiceEntry " + service->ns + "/" +
            service->name +
            ") and policies are asked for requests that come in, so this DENY keeps no workload "
            "from calling it; route the host through an egress gateway and put the policy there",
        "Put the policy on the egress gateway that the host is routed through.");
    finding.detail = name;
    if (service->object != nullptr) {
      finding.related.push_back({service->object->span, "the host is outside the mesh"});
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<std::string, const MeshService*, std::less<>> external_;
  std::vector<const Workload*> gateways_;
};

void CheckInstallation(const Analysis& analysis, Reporter& reporter) {
  for (const RawObject& object :
       ObjectsOf(analysis.objects, {"IstioOperator", "Istio", "ConfigMap"})) {
    if (object.kind != "ConfigMap") {
      CheckInjectorValues(NodeAt(object.node, {"spec", "values"}), NameOf(object), object.node,
                          object.span, object.file, reporter);
      continue;
    }
    const Node* text = NodeAt(object.node, {"data", "values"});
    if (text == nullptr || !object.name.starts_with("istio-sidecar-injector")) continue;
    const ParsedFile parsed = ParseText("values", std::string(text->text));
    for (const Document& document : parsed.documents) {
      CheckInjectorValues(document.root(), NameOf(object), object.node, SpanOf(object.file, *text),
                          nullptr, reporter);
    }
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  OutboundModes modes(analysis, reporter);
  modes.CheckMesh();
  for (const Sidecar& sidecar : analysis.model.sidecars) modes.Check(sidecar);
  for (const Workload& workload : analysis.mesh.workloads()) CheckExclusions(workload, reporter);
  for (const ServiceEntry& entry : analysis.model.service_entries) {
    CheckEntry(entry, modes.restricted(), reporter);
  }
  EgressGateways gateways(analysis, reporter);
  for (const VirtualService* routes : analysis.mesh.MeshVirtualServices()) gateways.Check(*routes);
  InboundWalls walls(analysis, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    walls.Check(policy);
  }
  CheckInstallation(analysis, reporter);
}

}  // namespace meshproof::egress_open

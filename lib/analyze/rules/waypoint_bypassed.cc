// Who reaches a pod past the waypoint that guards its Service (istio-semantics sections 5 and 7.2).
// Ambient callers of the Service go through it; sidecars, gateways without
// istio.io/ingress-use-waypoint, pods outside the mesh and whoever dials the pod's address do not.
// There only ztunnel decides, so it has to let in the waypoint and nobody else. Which callers it
// lets in is asked of the simulator: somebody unknown, nobody at all, and whom its ALLOW policies
// name.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/witness_cases.h"

namespace meshproof::waypoint_bypassed {
namespace {

struct Entrance {
  std::string who;
  Case question;
  bool refused = false;  // the waypoint refuses the same request
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), view_(analysis.views->Ambient()) {
    FindRoutes();
  }

  void Run() {
    for (const MeshService& service : analysis_.mesh.services()) {
      const Waypoint* waypoint = analysis_.mesh.WaypointFor(service).waypoint;
      if (waypoint == nullptr || waypoint->workload == nullptr || service.headless) continue;
      const PolicySet policies = analysis_.mesh.PoliciesFor(*waypoint->workload, &service);
      const ObjectMeta* first = Enforces(policies);
      if (first == nullptr) continue;
      policies_ = policies;
      CheckService(service, *waypoint, *first);
    }
    for (const Workload* workload : view_.all()) {
      const Waypoint* waypoint = analysis_.mesh.WaypointFor(*workload).waypoint;
      if (waypoint == nullptr || waypoint->workload == nullptr) continue;
      const PolicySet policies = analysis_.mesh.PoliciesFor(*waypoint->workload, nullptr);
      const ObjectMeta* first = Enforces(policies);
      if (first == nullptr || reported_.count(workload) > 0) continue;
      policies_ = policies;
      CheckWorkload(*workload, *waypoint, *first);
    }
  }

 private:
  // What the waypoint would refuse requests by; null: it enforces nothing.
  static const ObjectMeta* Enforces(const PolicySet& policies) {
    for (const auto* list : {&policies.custom, &policies.deny, &policies.allow}) {
      for (const AuthorizationPolicy* policy : *list) {
        if (!policy->dry_run) return &policy->meta;
      }
    }
    if (!policies.request_authentications.empty()) {
      return &policies.request_authentications.front()->meta;
    }
    return nullptr;
  }

  // The gateways whose routes name a Service.
  void FindRoutes() {
    const Mesh& mesh = analysis_.mesh;
    for (const Workload& workload : mesh.workloads()) {
      if (workload.mode != ProxyMode::kGateway) continue;
      std::set<const Gateway*> seen;
      for (const Mesh::BoundServer& bound : mesh.GatewayServersFor(workload)) {
        if (!seen.insert(bound.gateway).second) continue;
        for (const VirtualService* routes : mesh.VirtualServicesFor(*bound.gateway, workload.ns)) {
          for (const HttpRoute& http : routes->http) {
            for (const RouteDestination& to : http.routes) AddRoute(workload, *routes, to);
          }
          for (const auto* list : {&routes->tls, &routes->tcp}) {
            for (const L4Route& route : *list) {
              for (const RouteDestination& to : route.routes) AddRoute(workload, *routes, to);
            }
          }
        }
      }
    }
  }

  void AddRoute(const Workload& gateway, const VirtualService& routes, const RouteDestination& to) {
    const MeshService* service =
        analysis_.mesh.ResolveObjectHost(to.destination.host.value, routes.meta.ns);
    if (service != nullptr) gateways_[service].insert(&gateway);
  }

  // Whether the request is let in at the pod.
  bool Enters(const Case& question) const {
    Case asked = question;
    asked.now = analysis_.now;
    auto verdict = analysis_.world.Run(asked, World::Addresses::kAssume, Detail::kVerdict);
    return verdict.ok() && verdict.value().outcome == Outcome::kAllow;
  }

  // Whether the waypoint refuses what it would be asked if this request, or one of somebody unknown
  // in place of nobody, came through it.
  bool RefusedByWaypoint(Case question, const MeshService& service, int port) const {
    const Workload* ambient = view_.Client(nullptr);
    if (ambient == nullptr) ambient = AnyAmbient();
    if (ambient == nullptr) return false;
    const size_t slash = question.from_workload.find('/');
    const Workload* caller =
        slash == std::string::npos
            ? nullptr
            : analysis_.mesh.FindWorkload(question.from_workload.substr(0, slash),
                                          question.from_workload.substr(slash + 1));
    if (caller == nullptr) {
      question.from_identity = Stranger();
    } else if (caller->mode != ProxyMode::kAmbient && !question.from_identity) {
      question.from_identity = caller->identity;
    }
    if (caller == nullptr || caller->mode != ProxyMode::kAmbient) {
      question.from_workload = ambient->ns + "/" + ambient->name;
    }
    question.from_outside = false;
    question.tls = CaseTls::kAuto;
    question.now = analysis_.now;
    question.to_workload.clear();
    question.to_host = service.host;
    question.to_port = port;
    auto verdict = analysis_.world.Run(question, World::Addresses::kAssume, Detail::kVerdict);
    return verdict.ok() && verdict.value().outcome != Outcome::kAllow;
  }

  const Workload* AnyAmbient() const { return view_.any() ? view_.all().front() : nullptr; }

  std::string Stranger() const {
    return "spiffe://" + analysis_.model.mesh_config.trust_domain + "/ns/default/sa/somebody-else";
  }

  // Identities that ALLOW policies of the workload's ztunnel or sidecar name in full; waypoints and
  // gateways, which are asked by the ways that they go, are left out.
  std::set<std::string> NamedCallers(const Workload& workload) const {
    std::set<std::string> named;
    for (const AuthorizationPolicy* policy : analysis_.mesh.PoliciesFor(workload).allow) {
      for (const AuthorizationPolicy::Rule& rule : policy->rules) {
        for (const AuthorizationPolicy::Source& source : rule.from) {
          for (const Text& principal : source.principals.values) {
            constexpr size_t kMost = 8;
            const bool plain = principal.value.find('*') == std::string_view::npos;
            const std::string text(principal.value);
            const Workload* known = view_.WithIdentity(text);
            const bool proxy = known != nullptr && (known->mode == ProxyMode::kWaypoint ||
                                                    known->mode == ProxyMode::kGateway);
            if (plain && !proxy && named.size() < kMost) named.insert(text);
          }
        }
      }
    }
    return named;
  }

  // The request, and others that the waypoint's policies speak of.
  std::vector<Case> Variants(const Case& question, const Workload& target) const {
    constexpr size_t kMost = 8;
    std::vector<Case> out = {question};
    if (question.protocol == WireProtocol::kTcp) return out;
    for (const auto* list : {&policies_.deny, &policies_.allow}) {
      for (const AuthorizationPolicy* policy : *list) {
        for (size_t i = 0; i < policy->rules.size() && out.size() < kMost; ++i) {
          const auto meant = RequestOf(view_, analysis_, *policy, i, target);
          if (!meant || (!meant->method && meant->path == "/" && !meant->host)) continue;
          out.push_back(question);
          out.back().method = meant->method;
          out.back().path = meant->path;
          out.back().host = meant->host;
        }
      }
    }
    out.push_back(question);
    out.back().method = "DELETE";
    out.back().path = "/not-for-everybody";
    return out;
  }

  // `meant`: the pods' own policies let this caller in by name, or it is a gateway. That is a way
  // past the waypoint only where the waypoint's policies let it through as well, for some requests
  // and not for others; else it was meant to come directly.
  void Try(const std::string& who, const Case& question, const Workload& target,
           const MeshService* service, int port, bool meant, std::vector<Entrance>* found) const {
    // ztunnel does not look at requests: whom it keeps out it keeps out.
    if (target.mode != ProxyMode::kSidecar && !Enters(question)) return;
    std::optional<Entrance> best;
    bool passes = false;
    for (const Case& variant : Variants(question, target)) {
      const bool refused = service != nullptr && RefusedByWaypoint(variant, *service, port);
      passes = passes || !refused;
      if (best && (best->refused || !refused)) continue;
      if (Enters(variant)) best = Entrance{who, variant, refused};
    }
    if (!best || (meant && !(best->refused && passes))) return;
    // Nobody without an identity gets to a waypoint, whatever it says.
    if (!best->refused && !question.from_outside) return;
    found->push_back(*std::move(best));
  }

  std::vector<Entrance> EntrancesOf(const Workload& workload, int port, Protocol protocol,
                                    const MeshService* service, int service_port) const {
    std::vector<Entrance> found;
    Try("any pod or host that can reach it, in plaintext,", PlaintextCase(workload, port, protocol),
        workload, service, service_port, false, &found);
    // By the pod's address: a waypoint for workloads would stand in the way of ambient callers.
    if (service == nullptr) return found;
    const size_t before = found.size();
    if (auto question = DirectRequest(view_, workload, port, protocol, Stranger())) {
      Try("any workload of the mesh", *question, workload, service, service_port, false, &found);
    }
    const bool everybody = found.size() > before;
    for (const std::string& caller : NamedCallers(workload)) {
      if (everybody) break;
      if (auto question = DirectRequest(view_, workload, port, protocol, caller)) {
        Try("`" + caller + "`", *question, workload, service, service_port, true, &found);
      }
    }
    const auto routed = gateways_.find(service);
    if (routed == gateways_.end() || analysis_.mesh.IngressUsesWaypoint(*service)) return found;
    for (const Workload* gateway : routed->second) {
      Case question = PlaintextCase(workload, 0, protocol);
      question.from_outside = false;
      question.tls = CaseTls::kAuto;
      question.from_workload = gateway->ns + "/" + gateway->name;
      question.to_workload.clear();
      question.to_host = service->host;
      question.to_port = service_port;
      Try("gateway " + gateway->ns + "/" + gateway->name, question, workload, service, service_port,
          true, &found);
    }
    return found;
  }

  static std::string Fix(const Workload& workload, const Waypoint& waypoint) {
    if (workload.mode == ProxyMode::kNone) {
      return "enrol the pods in ambient mode and let them take connections of `" +
             PrincipalOf(waypoint) + "` only";
    }
    return "add an ALLOW policy by selector that names only the waypoint, `" +
           PrincipalOf(waypoint) + "`";
  }

  void CheckService(const MeshService& service, const Waypoint& waypoint,
                    const ObjectMeta& policy) {
    if (service.object == nullptr) return;
    for (const MeshServicePort& port : service.ports) {
      if (port.protocol == Protocol::kUdp) continue;
      for (const size_t index : service.workloads) {
        const Workload& workload = analysis_.mesh.workloads()[index];
        if (workload.mode == ProxyMode::kWaypoint || workload.mode == ProxyMode::kGateway) continue;
        const int target = analysis_.mesh.TargetPort(service, port, workload);
        if (target == 0) continue;
        const std::vector<Entrance> found =
            EntrancesOf(workload, target, port.protocol, &service, port.port);
        if (found.empty()) continue;
        ReportService(service, waypoint, policy, workload, target, found);
        reported_.insert(&workload);
        return;  // one finding a Service
      }
    }
  }

  void ReportService(const MeshService& service, const Waypoint& waypoint, const ObjectMeta& policy,
                     const Workload& workload, int port, const std::vector<Entrance>& found) {
    std::vector<std::string> who;
    bool by_gateway = false;
    for (const Entrance& entrance : found) {
      who.push_back(entrance.who);
      by_gateway = by_gateway || entrance.who.starts_with("gateway ");
    }
    std::string fix = Fix(workload, waypoint);
    if (by_gateway) {
      fix += ", and label Service " + service.name + " `istio.io/ingress-use-waypoint: \"true\"`";
    }
    Finding& finding = reporter_.Report(
        *service.object, service.object->span,
        "waypoint " + NameOf(waypoint) + " guards Service " + service.name + ", but " +
            ListNames(who, 3) + (who.size() == 1 ? " gets" : " get") + " past it to port " +
            std::to_string(port) + " of " + workload.ns + "/" + workload.name +
            (workload.mode == ProxyMode::kNone ? ", which is in no mesh" : "") +
            ", where its policies are not evaluated; " + fix);
    finding.field_path = "";
    finding.fix = "Let the pods take connections of the waypoint only.";
    finding.related.push_back({policy.span, "the waypoint's policy that is not asked"});
    finding.related.push_back({waypoint.gateway->meta.span, "the waypoint"});
    if (workload.object != nullptr) {
      finding.related.push_back({workload.object->span, "what is reached past it"});
    }
    Attach(found, &finding);
  }

  // What the waypoint refuses tells more, and of that the last: a gateway or a named caller.
  void Attach(const std::vector<Entrance>& found, Finding* finding) {
    for (const bool refused : {true, false}) {
      for (auto entrance = found.rbegin(); entrance != found.rend(); ++entrance) {
        if (entrance->refused != refused) continue;
        if (AttachWitness(analysis_, entrance->question, Outcome::kAllow, finding)) return;
      }
    }
  }

  void CheckWorkload(const Workload& workload, const Waypoint& waypoint, const ObjectMeta& policy) {
    if (workload.object == nullptr) return;
    for (const InboundPort& port : analysis_.mesh.InboundPorts(workload)) {
      std::vector<Entrance> found =
          EntrancesOf(workload, port.port, port.protocol, nullptr, port.port);
      if (found.empty()) continue;
      Finding& finding = reporter_.Report(
          *workload.object, workload.object->span,
          "waypoint " + NameOf(waypoint) + " guards the address of " + workload.ns + "/" +
              workload.name + ", but " + found.front().who + " gets past it to port " +
              std::to_string(port.port) + ", where its policies are not evaluated; " +
              Fix(workload, waypoint));
      finding.fix = "Let the pods take connections of the waypoint only.";
      finding.related.push_back({policy.span, "the waypoint's policy that is not asked"});
      finding.related.push_back({waypoint.gateway->meta.span, "the waypoint"});
      Attach(found, &finding);
      return;
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const AmbientView& view_;
  std::map<const MeshService*, std::set<const Workload*>> gateways_;
  std::set<const Workload*> reported_;
  PolicySet policies_;  // of the waypoint at hand
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::waypoint_bypassed

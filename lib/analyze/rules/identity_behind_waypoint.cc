// Behind a waypoint ztunnel sees the waypoint's identity and not the caller's (istio-semantics
// section 7.2): an ALLOW that lists callers cuts the waypoint off, a DENY of callers meets none of
// those that come through it. The reverse: an ALLOW that lists a waypoint at a workload that no
// waypoint stands before.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/witness_cases.h"

namespace meshproof::identity_behind_waypoint {
namespace {

// Whether a rule speaks of callers by who they are.
bool NamesCallers(const ZtunnelMatch& match) {
  return !match.principals.empty() || !match.namespaces.empty() || !match.service_accounts.empty();
}

bool NamesCallers(const ZtunnelPolicy& policy) {
  for (const ZtunnelGroup& group : policy.groups) {
    for (const ZtunnelClause& clause : group.clauses) {
      for (const ZtunnelMatch& match : clause.matches) {
        if (NamesCallers(match)) return true;
      }
    }
  }
  return false;
}

Span FirstCaller(const ZtunnelPolicy& policy) {
  for (const ZtunnelGroup& group : policy.groups) {
    for (const ZtunnelClause& clause : group.clauses) {
      for (const ZtunnelMatch& match : clause.matches) {
        if (!match.principals.empty()) return match.principals.front().span;
        if (!match.namespaces.empty()) return match.namespaces.front().span;
        if (!match.service_accounts.empty()) return match.service_accounts.front().span;
      }
    }
  }
  return {};
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        view_(analysis.views->Ambient()),
        policies_(analysis.model) {
    for (const Waypoint& waypoint : analysis.mesh.waypoints()) {
      const std::string principal = PrincipalOf(waypoint);
      const bool is_one =
          waypoint.workload != nullptr && waypoint.workload->mode == ProxyMode::kWaypoint;
      if (is_one && !principal.empty()) waypoints_.emplace(principal, &waypoint);
    }
  }

  void Run() {
    if (waypoints_.empty()) return;
    for (const Workload* workload : view_.all()) {
      const std::vector<AmbientView::Way> ways = view_.WaypointsBefore(*workload);
      std::vector<const ZtunnelPolicy*> allow, deny;
      for (const ZtunnelPolicy* policy : view_.ztunnel().PoliciesFor(*workload)) {
        if (policies_.Find(policy->object) == nullptr || policy->dry_run) continue;
        (policy->action == ZtunnelPolicy::Action::kAllow ? allow : deny).push_back(policy);
      }
      std::set<const Waypoint*> seen;
      for (const AmbientView::Way& way : ways) {
        if (way.waypoint->workload == nullptr || !seen.insert(way.waypoint).second) continue;
        CheckCutOff(*workload, way, allow);
        CheckUnseen(*workload, way, deny);
      }
      if (ways.empty()) CheckNotEnrolled(*workload, allow);
    }
  }

 private:
  static std::string Name(const ZtunnelPolicy& policy) {
    return "AuthorizationPolicy " + policy.Name();
  }

  Finding& Report(const ZtunnelPolicy& policy, Span span, std::string message,
                  const Workload& workload) {
    Finding& finding =
        reporter_.Report(*policy.object, span ? span : policy.object->span, std::move(message));
    if (span) finding.field_path = FieldPathOf(*policy.object->node, span);
    finding.detail = workload.ns + "/" + workload.name;
    return finding;
  }

  // Which port the waypoint's connections for this way arrive at; nothing where none is known.
  std::optional<std::pair<int, Protocol>> PortOf(const Workload& workload,
                                                 const AmbientView::Way& way) const {
    if (way.service != nullptr) {
      for (const MeshServicePort& port : way.service->ports) {
        const int target = analysis_.mesh.TargetPort(*way.service, port, workload);
        if (target != 0 && port.protocol != Protocol::kUdp) return std::pair(target, port.protocol);
      }
      return std::nullopt;
    }
    const std::vector<InboundPort> ports = analysis_.mesh.InboundPorts(workload);
    if (ports.empty()) return std::nullopt;
    return std::pair(ports.front().port, ports.front().protocol);
  }

  // The waypoint's own connection to the pod.
  std::optional<Case> FromWaypoint(const Workload& workload, const AmbientView::Way& way) const {
    const auto port = PortOf(workload, way);
    if (!port) return std::nullopt;
    return DirectRequest(view_, workload, port->first, port->second, PrincipalOf(*way.waypoint));
  }

  Case ThroughWaypoint(const Workload& workload, const AmbientView::Way& way,
                       const Workload& caller) const {
    const auto port = PortOf(workload, way);
    Case question =
        PlaintextCase(workload, port ? port->first : 0, port ? port->second : Protocol::kAuto);
    question.from_outside = false;
    question.tls = CaseTls::kAuto;
    question.from_workload = caller.ns + "/" + caller.name;
    question.follow = true;
    if (way.service != nullptr) {
      question.to_workload.clear();
      question.to_host = way.service->host;
      question.to_port = way.service->ports.front().port;
    }
    return question;
  }

  void CheckCutOff(const Workload& workload, const AmbientView::Way& way,
                   const std::vector<const ZtunnelPolicy*>& allow) {
    const auto listing = std::find_if(allow.begin(), allow.end(), [](const ZtunnelPolicy* policy) {
      return NamesCallers(*policy);
    });
    if (listing == allow.end()) return;
    auto question = FromWaypoint(workload, way);
    if (!question) return;
    question->now = analysis_.now;
    // A waypoint for workloads would send the question through itself.
    if (way.service == nullptr) return;
    auto verdict = analysis_.world.Run(*question, World::Addresses::kAssume, Detail::kVerdict);
    if (!verdict.ok() || verdict.value().outcome == Outcome::kAllow ||
        verdict.value().outcome == Outcome::kUndetermined) {
      return;
    }
    const ZtunnelPolicy& policy = **listing;
    if (!cut_off_.insert({&policy, way.waypoint}).second) return;
    Finding& finding = Report(
        policy, FirstCaller(policy),
        "this lists the callers of " + workload.ns + "/" + workload.name +
            ", but they come through waypoint " + NameOf(*way.waypoint) + ", and ztunnel sees `" +
            PrincipalOf(*way.waypoint) +
            "` in their place and refuses it; list that identity here, and the callers in a policy "
            "whose `targetRefs` name " +
            (way.service == nullptr ? "the waypoint" : "Service " + way.service->name),
        workload);
    finding.fix = "List the waypoint's identity here and the callers at the waypoint.";
    finding.related.push_back({way.waypoint->gateway->meta.span, "the waypoint"});
    // Somebody whom the policy lists.
    if (const Workload* caller = ListedCaller(policy)) {
      if (AttachRefusal(analysis_, ThroughWaypoint(workload, way, *caller), &finding)) return;
    }
    AttachRefusal(analysis_, *question, &finding);
  }

  const Workload* ListedCaller(const ZtunnelPolicy& policy) const {
    for (const ZtunnelGroup& group : policy.groups) {
      for (const ZtunnelClause& clause : group.clauses) {
        for (const ZtunnelMatch& match : clause.matches) {
          for (const ZtunnelString& principal : match.principals) {
            if (principal.kind != ZtunnelString::Kind::kExact) continue;
            const Workload* caller = view_.WithIdentity(principal.value);
            if (caller != nullptr && caller->mode == ProxyMode::kAmbient) return caller;
          }
          for (const ZtunnelString& ns : match.namespaces) {
            for (const Workload* caller : view_.index().InNamespace(ns.value)) {
              if (caller->mode == ProxyMode::kAmbient) return caller;
            }
          }
        }
      }
    }
    return nullptr;
  }

  void CheckUnseen(const Workload& workload, const AmbientView::Way& way,
                   const std::vector<const ZtunnelPolicy*>& deny) {
    if (way.service == nullptr) return;
    for (const ZtunnelPolicy* policy : deny) {
      if (!NamesCallers(*policy)) continue;
      const Workload* caller = ListedCaller(*policy);
      if (caller == nullptr || caller == &workload) continue;
      Case question = ThroughWaypoint(workload, way, *caller);
      question.now = analysis_.now;
      auto verdict = analysis_.world.Run(question, World::Addresses::kAssume, Detail::kVerdict);
      if (!verdict.ok() || verdict.value().outcome != Outcome::kAllow) continue;
      if (!unseen_.insert({policy, way.waypoint}).second) continue;
      Finding& finding =
          Report(*policy, FirstCaller(*policy),
                 "this denies " + caller->ns + "/" + caller->name + " access to " + workload.ns +
                     "/" + workload.name + ", but it comes through waypoint " +
                     NameOf(*way.waypoint) + ", and ztunnel sees `" + PrincipalOf(*way.waypoint) +
                     "` in its place, so it is let in; deny it at the waypoint, by `targetRefs` to "
                     "Service " +
                     way.service->name,
                 workload);
      finding.fix = "Deny the caller at the waypoint, by targetRefs.";
      finding.related.push_back({way.waypoint->gateway->meta.span, "the waypoint"});
      AttachWitness(analysis_, question, Outcome::kAllow, &finding);
    }
  }

  void CheckNotEnrolled(const Workload& workload, const std::vector<const ZtunnelPolicy*>& allow) {
    if (allow.empty()) return;
    const ZtunnelPolicy* first = nullptr;
    const Waypoint* waypoint = nullptr;
    Span span;
    for (const ZtunnelPolicy* policy : allow) {
      for (const ZtunnelGroup& group : policy->groups) {
        const ZtunnelString* only = OnlyWaypoint(group);
        if (only == nullptr) return;  // others are let in as well
        if (first != nullptr) continue;
        first = policy;
        span = only->span;
        waypoint = waypoints_.find(only->value)->second;
      }
    }
    if (first == nullptr || !cut_off_.insert({first, waypoint}).second) return;
    Finding& finding =
        Report(*first, span,
               "this lets waypoint " + NameOf(*waypoint) + " alone in at " + workload.ns + "/" +
                   workload.name +
                   ", but no Service or label sends traffic through it, so ztunnel sees the "
                   "callers themselves and refuses them all; label the namespace or Service "
                   "`istio.io/use-waypoint: " +
                   std::string(waypoint->gateway->meta.name) + "`, or list the callers",
               workload);
    finding.fix = "Send the traffic through the waypoint, or list the callers.";
    finding.related.push_back({waypoint->gateway->meta.span, "the waypoint"});
    const std::vector<InboundPort> ports = analysis_.mesh.InboundPorts(workload);
    const Workload* caller = view_.Client(&workload);
    if (ports.empty() || caller == nullptr) return;
    auto question = DirectRequest(view_, workload, ports.front().port, ports.front().protocol,
                                  caller->identity);
    if (question) AttachRefusal(analysis_, *question, &finding);
  }

  // The principal of a group that lets nobody but waypoints in; null: it lets others in.
  const ZtunnelString* OnlyWaypoint(const ZtunnelGroup& group) const {
    for (const ZtunnelClause& clause : group.clauses) {
      const ZtunnelString* found = nullptr;
      bool all = !clause.matches.empty();
      for (const ZtunnelMatch& match : clause.matches) {
        all = all && !match.principals.empty();
        for (const ZtunnelString& principal : match.principals) {
          const bool known = principal.kind == ZtunnelString::Kind::kExact &&
                             waypoints_.count(principal.value) > 0;
          all = all && known;
          if (known && found == nullptr) found = &principal;
        }
      }
      if (all) return found;
    }
    return nullptr;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const AmbientView& view_;
  PolicyIndex policies_;
  std::map<std::string, const Waypoint*> waypoints_;
  std::set<std::pair<const ZtunnelPolicy*, const Waypoint*>> cut_off_, unseen_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::identity_behind_waypoint

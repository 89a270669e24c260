// `ipBlocks` compares the direct peer. Behind an HBONE tunnel that is no address of a client: at a
// waypoint, and at a sidecar that ambient callers reach, no block ever matches and every negation
// holds (spec of the request space; istio-semantics section 7.3). `remoteIpBlocks` has the client's
// address there.
#include <algorithm>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/witness_cases.h"
#include "match/ip.h"

namespace meshproof::address_behind_tunnel {
namespace {

struct Use {
  std::string field;
  const TextList* list = nullptr;
  bool negative = false;
};

std::vector<Use> UsesOf(const AuthorizationPolicy::Rule& rule) {
  std::vector<Use> uses;
  for (const AuthorizationPolicy::Source& source : rule.from) {
    if (!source.ip_blocks.empty()) uses.push_back({"ipBlocks", &source.ip_blocks, false});
    if (!source.not_ip_blocks.empty()) uses.push_back({"notIpBlocks", &source.not_ip_blocks, true});
  }
  for (const AuthorizationPolicy::Condition& condition : rule.when) {
    if (condition.key.value != "source.ip") continue;
    if (!condition.values.empty()) uses.push_back({"when source.ip", &condition.values, false});
    if (!condition.not_values.empty()) {
      uses.push_back({"when source.ip", &condition.not_values, true});
    }
  }
  return uses;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), view_(analysis.views->Ambient()) {}

  void Run() {
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      const bool any = std::any_of(policy.rules.begin(), policy.rules.end(),
                                   [](const auto& rule) { return !UsesOf(rule).empty(); });
      if (!any) continue;
      if (policy.target_refs.empty()) {
        CheckSidecars(policy);
      } else {
        CheckWaypoints(policy);
      }
    }
  }

 private:
  // The Service through whose waypoint this policy decides; `waypoint` is set where it is one's at
  // all.
  const MeshService* Guarded(const AuthorizationPolicy& policy, const Waypoint** waypoint) const {
    for (const TargetRef& ref : policy.target_refs) {
      if (ref.kind.value == "Service" || ref.kind.value == "ServiceEntry") {
        const MeshService* service =
            view_.FindService(ref.kind.value, policy.meta.ns, ref.name.value);
        if (service == nullptr) continue;
        const Waypoint* found = analysis_.mesh.WaypointFor(*service).waypoint;
        if (found == nullptr) continue;
        *waypoint = found;
        return service;
      }
      for (const Waypoint& candidate : analysis_.mesh.waypoints()) {
        const bool by_name = ref.kind.value == "Gateway" &&
                             candidate.gateway->meta.ns == policy.meta.ns &&
                             candidate.gateway->meta.name == ref.name.value;
        const bool by_class = ref.kind.value == "GatewayClass" &&
                              ref.name.value == "istio-waypoint" &&
                              policy.meta.ns == analysis_.model.mesh_config.root_namespace;
        if (!by_name && !by_class) continue;
        if (candidate.gateway->class_name.value != "istio-waypoint") continue;
        *waypoint = &candidate;
        const AmbientView::Guarded& guarded = view_.GuardedBy(candidate);
        if (!guarded.services.empty()) return guarded.services.front();
      }
    }
    return nullptr;
  }

  static std::string Effect(const AuthorizationPolicy& policy, const Use& use) {
    const bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
    if (use.negative) {
      return allow ? "always holds: the addresses that it excepts are let in"
                   : "always holds: the addresses that it spares are refused too";
    }
    return allow ? "never matches: the rule lets nobody in"
                 : "never matches: the rule denies nobody";
  }

  void CheckWaypoints(const AuthorizationPolicy& policy) {
    const Waypoint* waypoint = nullptr;
    const MeshService* service = Guarded(policy, &waypoint);
    if (waypoint == nullptr) return;
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      for (const Use& use : UsesOf(policy.rules[i])) {
        Finding& finding =
            Report(policy, use, i,
                   "`" + use.field + "` looks at the direct peer, and at waypoint " +
                       NameOf(*waypoint) + " that is a tunnel without a client's address, so it " +
                       Effect(policy, use) + "; write `" + Instead(use) + "`");
        finding.related.push_back({waypoint->gateway->meta.span, "the waypoint"});
        if (policy.dry_run || service == nullptr) continue;
        AttachAtWaypoint(policy, i, use, *service, &finding);
      }
    }
  }

  static std::string Instead(const Use& use) {
    if (use.field == "ipBlocks") return "remoteIpBlocks";
    if (use.field == "notIpBlocks") return "notRemoteIpBlocks";
    return "remote.ip";
  }

  Finding& Report(const AuthorizationPolicy& policy, const Use& use, size_t rule,
                  std::string message) {
    const Span span = use.list->values.front().span;
    Finding& finding = reporter_.Report(policy.meta, span, std::move(message));
    finding.field_path = FieldPathOf(*policy.meta.node, span);
    finding.detail = "rule " + std::to_string(rule) + " " + use.field;
    finding.fix = "Write " + Instead(use) + ".";
    return finding;
  }

  void AttachAtWaypoint(const AuthorizationPolicy& policy, size_t rule, const Use& use,
                        const MeshService& service, Finding* finding) {
    if (service.workloads.empty() || service.ports.empty()) return;
    const Workload& target = analysis_.mesh.workloads()[service.workloads.front()];
    auto question = RequestOf(view_, analysis_, policy, rule, target);
    if (!question || question->from_workload.empty()) return;
    question->to_workload.clear();
    question->to_host = service.host;
    question->to_port = service.ports.front().port;
    const auto block = ParseCidr(use.list->values.front().value);
    if (block) question->from_ip = block->address;
    const bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
    if (allow == use.negative) {
      AttachWitness(analysis_, *question, Outcome::kAllow, finding);
    } else {
      AttachRefusal(analysis_, *question, finding);
    }
  }

  void CheckSidecars(const AuthorizationPolicy& policy) {
    if (!analysis_.mesh.AmbientEnabled() || !view_.any()) return;
    std::vector<const Workload*> sidecars;
    for (const Workload* workload : view_.Selected(policy.meta, policy.selector)) {
      if (workload->mode == ProxyMode::kSidecar) sidecars.push_back(workload);
    }
    if (sidecars.empty()) return;
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      for (const Use& use : UsesOf(policy.rules[i])) {
        Finding& finding =
            Report(policy, use, i,
                   "`" + use.field + "` looks at the direct peer, and ambient callers such as " +
                       view_.all().front()->ns + "/" + view_.all().front()->name +
                       " reach the sidecar of " + NameAll(sidecars) +
                       " through a tunnel without an address, so for them it " +
                       Effect(policy, use) + "; name them by `principals`");
        finding.severity = Severity::kWarning;
        finding.fix = "Name ambient callers by their identity.";
        if (policy.dry_run) continue;
        AttachAtSidecar(policy, i, use, *sidecars.front(), &finding);
      }
    }
  }

  void AttachAtSidecar(const AuthorizationPolicy& policy, size_t rule, const Use& use,
                       const Workload& target, Finding* finding) {
    auto question = RequestOf(view_, analysis_, policy, rule, target);
    const Workload* caller = view_.Client(&target);
    if (!question || caller == nullptr) return;
    question->from_outside = false;
    question->tls = CaseTls::kAuto;
    question->from_workload = caller->ns + "/" + caller->name;
    const auto block = ParseCidr(use.list->values.front().value);
    if (block) question->from_ip = block->address;
    const bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
    if (allow == use.negative) {
      AttachWitness(analysis_, *question, Outcome::kAllow, finding);
    } else {
      AttachRefusal(analysis_, *question, finding);
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const AmbientView& view_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::address_behind_tunnel

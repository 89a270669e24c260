// Workloads whose only policies are AUDIT or dry-run: both go to shadow rules or the access log and
// refuse nothing (istio-semantics sections 1.2 and 7). Also the opposite surprise: with
// AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY istiod sends dry-run policies to ztunnel, and one
// before 1.29 does not know the mark and enforces them.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/client_tls_sites.h"
#include "analyze/istio_version.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"

namespace meshproof::nothing_enforced {
namespace {

using Policies = std::vector<const AuthorizationPolicy*>;

bool IsPassive(const AuthorizationPolicy& policy) {
  return policy.dry_run || policy.action == AuthorizationPolicy::Action::kAudit;
}

Span PlaceOf(const AuthorizationPolicy& policy) {
  if (!policy.dry_run) return policy.action_span ? policy.action_span : policy.meta.span;
  const Node* mark = NodeAt(policy.meta.node, {"metadata", "annotations", "istio.io/dry-run"});
  return mark == nullptr ? policy.meta.span : SpanOf(policy.meta.file, *mark);
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), survey_(analysis) {
    for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
      if (IsPassive(policy)) continue;
      if (!policy.target_refs.empty()) at_waypoints_.insert(policy.meta.ns);
      enforcing_namespaces_.insert(policy.meta.ns);
    }
  }

  void Run() {
    std::map<const AuthorizationPolicy*, std::vector<const Workload*>> open;
    std::map<const AuthorizationPolicy*, std::vector<const Workload*>> enforced;
    const bool sent =
        analysis_.mesh.FeatureEnabled("AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY", false) &&
        IsOlderThan(analysis_, 29);
    for (const Workload& workload : analysis_.mesh.workloads()) {
      bool sure = true;
      if (workload.mode == ProxyMode::kNone && !survey_.MayHaveProxy(workload, &sure)) continue;
      Policies passive;
      if (!Passive(workload, &passive)) {
        for (const AuthorizationPolicy* policy : passive) open[policy].push_back(&workload);
      }
      if (!sent || workload.mode != ProxyMode::kAmbient) continue;
      for (const AuthorizationPolicy* policy : passive) {
        if (policy->dry_run) enforced[policy].push_back(&workload);
      }
    }
    for (const auto& [policy, workloads] : open) ReportOpen(*policy, workloads);
    for (const auto& [policy, workloads] : enforced) ReportEnforced(*policy, workloads);
    if (!analysis_.HasWorkloads()) CheckUnseen();
  }

 private:
  // Collects the passive policies; true where another one enforces.
  bool Passive(const Workload& workload, Policies* passive) const {
    PolicySet set = analysis_.mesh.PoliciesFor(workload);
    bool enforcing = false;
    for (const Policies* list : {&set.custom, &set.deny, &set.allow, &set.audit}) {
      for (const AuthorizationPolicy* policy : *list) {
        if (IsPassive(*policy)) {
          passive->push_back(policy);
        } else {
          enforcing = true;
        }
      }
    }
    // The Services of the namespace may be guarded at a waypoint.
    return enforcing ||
           (workload.mode == ProxyMode::kAmbient && at_waypoints_.contains(workload.ns));
  }

  void ReportOpen(const AuthorizationPolicy& policy,
                  const std::vector<const Workload*>& workloads) {
    // Gateways often leave the decision to the workloads behind them.
    const auto decides = [](const Workload* workload) {
      return workload->mode != ProxyMode::kGateway;
    };
    const bool gateways_alone = std::none_of(workloads.begin(), workloads.end(), decides);
    std::vector<std::string> names;
    for (const Workload* workload : workloads) {
      if (gateways_alone || decides(workload)) names.push_back(workload->ns + "/" + workload->name);
    }
    Finding& finding = Report(
        policy, ListNames(names, 3) + (names.size() == 1 ? " has" : " have") + " no other policy");
    if (gateways_alone) finding.severity = Severity::kWarning;
    for (const Workload* workload : workloads) {
      auto port = FirstPort(analysis_, *workload);
      if (workload->mode != ProxyMode::kSidecar || !port) continue;
      auto question = MeshCase(analysis_, *workload, port->port, port->protocol);
      if (question) AttachWitness(analysis_, *question, Outcome::kAllow, &finding);
      break;
    }
  }

  Finding& Report(const AuthorizationPolicy& policy, const std::string& who) {
    std::string what = policy.dry_run ? "a dry-run policy is only logged"
                                      : "`AUDIT` marks requests for the log and refuses none";
    Finding& finding =
        reporter_.Report(policy.meta, PlaceOf(policy),
                         what + ", and " + who + ": every request is let in; " +
                             (policy.dry_run ? "remove `istio.io/dry-run` once the log shows what "
                                               "is expected, or enforce another policy beside it"
                                             : "add an ALLOW policy with the callers that may"));
    if (finding.span) finding.field_path = FieldPathAt(*policy.meta.node, finding.span.begin);
    finding.fix = policy.dry_run ? "Remove the annotation `istio.io/dry-run`."
                                 : "Add an ALLOW policy for the same workloads.";
    return finding;
  }

  void ReportEnforced(const AuthorizationPolicy& policy,
                      const std::vector<const Workload*>& workloads) {
    std::vector<std::string> names;
    for (const Workload* workload : workloads) {
      names.push_back(workload->ns + "/" + workload->name);
    }
    Finding& finding = reporter_.Report(
        policy.meta, PlaceOf(policy),
        "this dry-run policy is enforced on " + ListNames(names, 3) +
            ": AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY sends it to ztunnel, and ztunnel " +
            analysis_.istio_version +
            " does not know dry-run; update ztunnel to 1.29 or turn the flag off");
    if (finding.span) finding.field_path = FieldPathAt(*policy.meta.node, finding.span.begin);
    finding.detail = "enforced";
    finding.fix = "Turn the flag off until ztunnel is at 1.29.";
  }

  // Policies alone: nothing of the namespace or the root enforces.
  void CheckUnseen() {
    const std::string& root = analysis_.model.mesh_config.root_namespace;
    if (enforcing_namespaces_.contains(root)) return;
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      if (!IsPassive(policy) || enforcing_namespaces_.contains(policy.meta.ns)) continue;
      if (policy.meta.ns == root && !enforcing_namespaces_.empty()) continue;
      Report(policy, "the input has no other policy for what it selects");
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  ClientTlsSurvey survey_;
  std::set<std::string> at_waypoints_, enforcing_namespaces_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::nothing_enforced

// Workloads that no enforcing ALLOW policy reaches. Envoy lets through whatever no policy denies
// where no ALLOW policy exists (istio-semantics section 1): AUDIT, DENY, CUSTOM and dry-run
// policies leave the default open. A DENY rule without conditions closes it too.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/probe.h"
#include "analyze/rule.h"

namespace meshproof::no_default_deny {
namespace {

// One finding for the whole namespace where more of its workloads than this are open.
constexpr size_t kMostSingle = 3;
// Asking the simulator compiles a proxy.
constexpr int kMostWitnesses = 8;

bool DeniesAll(const AuthorizationPolicy& policy) {
  for (const AuthorizationPolicy::Rule& rule : policy.rules) {
    if (!rule.null && rule.from.empty() && rule.to.empty() && rule.when.empty()) return true;
  }
  return false;
}

bool Closes(const AuthorizationPolicy& policy) {
  if (policy.dry_run) return false;
  return policy.action == AuthorizationPolicy::Action::kAllow ||
         (policy.action == AuthorizationPolicy::Action::kDeny && DeniesAll(policy));
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
      if (!Closes(policy)) continue;
      for (const TargetRef& target : policy.target_refs) {
        std::string kind(target.kind.value);
        if (kind == "GatewayClass") closed_waypoints_ = true;
        targeted_.insert(kind + "/" + policy.meta.ns + "/" + std::string(target.name.value));
      }
    }
  }

  void Check() {
    std::map<std::string, std::vector<const Workload*>> open;
    const std::vector<Workload>& workloads = analysis_.mesh.workloads();
    std::map<size_t, std::vector<const MeshService*>> services;
    for (const MeshService& service : analysis_.mesh.services()) {
      for (size_t index : service.workloads) services[index].push_back(&service);
    }
    for (size_t i = 0; i < workloads.size(); ++i) {
      const Workload& workload = workloads[i];
      if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kAmbient) continue;
      if (workload.object == nullptr ||
          IsPlatformNamespace(workload.ns, analysis_.model.mesh_config)) {
        continue;
      }
      // A job calls; nobody calls it.
      bool job = workload.object->kind == "Job" || workload.object->kind == "CronJob";
      if ((job && services[i].empty()) || IsClosed(workload, services[i])) continue;
      open[workload.ns].push_back(&workload);
    }
    for (const auto& [ns, list] : open) {
      if (list.size() > kMostSingle) {
        ReportNamespace(ns, list);
      } else {
        for (const Workload* workload : list) ReportWorkload(*workload);
      }
    }
  }

 private:
  bool IsClosed(const Workload& workload, const std::vector<const MeshService*>& services) const {
    PolicySet policies = analysis_.mesh.PoliciesFor(workload);
    for (const AuthorizationPolicy* policy : policies.allow) {
      if (Closes(*policy)) return true;
    }
    for (const AuthorizationPolicy* policy : policies.deny) {
      if (Closes(*policy)) return true;
    }
    return workload.mode == ProxyMode::kAmbient && IsClosedByWaypoint(workload, services);
  }

  bool IsClosedByWaypoint(const Workload& workload,
                          const std::vector<const MeshService*>& services) const {
    if (targeted_.empty()) return false;
    const Namespace* ns = analysis_.mesh.FindNamespace(workload.ns);
    if (ns != nullptr && IsTargetedWaypoint(workload.ns, ns->meta.labels)) return true;
    for (const MeshService* service : services) {
      if (targeted_.count((service->kubernetes ? "Service/" : "ServiceEntry/") + service->ns + "/" +
                          service->name) > 0) {
        return true;
      }
      if (service->object != nullptr && IsTargetedWaypoint(service->ns, service->object->labels)) {
        return true;
      }
    }
    return IsTargetedWaypoint(workload.ns, workload.labels);
  }

  bool IsTargetedWaypoint(const std::string& ns, const Labels& labels) const {
    const std::string* name = FindLabel(labels, "istio.io/use-waypoint");
    if (name == nullptr || *name == "none") return false;
    const std::string* other = FindLabel(labels, "istio.io/use-waypoint-namespace");
    return closed_waypoints_ ||
           targeted_.count("Gateway/" + (other == nullptr ? ns : *other) + "/" + *name) > 0;
  }

  // What there is instead of an ALLOW policy.
  std::string Instead(const Workload& workload, std::vector<Related>* related) const {
    PolicySet policies = analysis_.mesh.PoliciesFor(workload);
    std::string text;
    auto add = [&](const std::vector<const AuthorizationPolicy*>& list, std::string_view what) {
      if (list.empty()) return;
      text += text.empty() ? " (only " : ", ";
      text += what;
      related->push_back(
          {list.front()->meta.span, Describe(list.front()->meta) + " is " + std::string(what)});
    };
    add(policies.allow, "a dry run, which enforces nothing");
    add(policies.audit, "AUDIT, which enforces nothing");
    add(policies.deny, "DENY, which lets everything else in");
    add(policies.custom, "CUSTOM, which lets everything else in");
    return text.empty() ? text : text + ")";
  }

  void ReportWorkload(const Workload& workload) {
    std::vector<Related> related;
    std::string instead = Instead(workload, &related);
    Finding& finding = reporter_.Report(
        *workload.object, workload.object->span,
        Describe(workload) + " has no enforcing ALLOW policy" + instead +
            ", so every caller that reaches it is let in; add an ALLOW policy that names its "
            "callers, or one without rules to refuse all");
    finding.related = std::move(related);
    finding.fix = "Add an AuthorizationPolicy with `spec: {}` to namespace " + workload.ns +
                  "; until ALLOW rules name them, the callers of " + workload.name +
                  " are refused.";
    Show(workload, &finding);
  }

  void ReportNamespace(const std::string& ns, const std::vector<const Workload*>& list) {
    const Namespace* object = analysis_.mesh.FindNamespace(ns);
    const ObjectMeta& meta = object != nullptr ? object->meta : *list.front()->object;
    std::vector<std::string> names;
    for (const Workload* workload : list) names.push_back(workload->name);
    Finding& finding = reporter_.Report(
        meta, meta.span,
        std::to_string(list.size()) + " workloads of namespace " + ns +
            " have no enforcing ALLOW policy (" + ListNames(names) +
            "), so every caller that reaches them is let in; add one without rules to the "
            "namespace and ALLOW policies for the callers that are meant");
    for (const Workload* workload : list) {
      if (finding.related.size() == 5) break;
      finding.related.push_back({workload->object->span, "nothing refuses callers here"});
    }
    finding.detail = ns;
    finding.fix = "Add an AuthorizationPolicy with `spec: {}` to namespace " + ns +
                  "; until ALLOW rules name them, the callers of " + ListNames(names) +
                  " are refused.";
    Show(*list.front(), &finding);
  }

  // A caller whom no policy names, with an identity of the mesh so that mTLS does not refuse it.
  void Show(const Workload& workload, Finding* finding) {
    if (witnesses_ >= kMostWitnesses) return;
    std::vector<InboundPort> ports = analysis_.mesh.InboundPorts(workload);
    if (ports.empty()) return;
    ++witnesses_;
    Case question;
    question.name = "a caller whom no policy names";
    question.from_outside = true;
    question.from_identity =
        "spiffe://" + analysis_.model.mesh_config.trust_domain + "/ns/default/sa/anybody";
    question.tls = CaseTls::kMtls;
    question.to_workload = workload.ns + "/" + workload.name;
    question.to_port = ports.front().port;
    question.protocol = ProbeProtocol(analysis_.mesh, workload, question.to_port);
    AttachWitness(analysis_, question, Outcome::kAllow, finding);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::set<std::string> targeted_;  // "Kind/namespace/name" that closing policies target
  bool closed_waypoints_ = false;   // by a policy on the GatewayClass
  int witnesses_ = 0;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Check();
}

}  // namespace meshproof::no_default_deny

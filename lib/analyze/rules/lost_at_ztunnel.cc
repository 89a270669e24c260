// What does not reach ztunnel although it speaks of the connection or the peer, or is a whole
// policy (istio-semantics section 7.1): trustDomains and notTrustDomains go without a word, some
// keys of `when` count as HTTP, and AUDIT, CUSTOM and dry-run policies are not sent at all.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/witness_cases.h"

namespace meshproof::lost_at_ztunnel {
namespace {

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        view_(analysis.views->Ambient()),
        policies_(analysis.model) {}

  void Run() {
    if (!view_.any()) return;
    for (const ZtunnelPolicy& policy : view_.ztunnel().policies()) {
      const AuthorizationPolicy* source = policies_.Find(policy.object);
      if (source == nullptr || policy.losses.empty()) continue;
      const std::vector<const Workload*> reached = view_.Reached(source->meta, source->selector);
      if (reached.empty()) continue;
      for (const ZtunnelLoss& loss : policy.losses) {
        if (IsTrustDomainField(loss.field)) {
          ReportTrustDomains(*source, policy, loss, reached);
        } else if (IsPeerKeyUnknownToZtunnel(loss.field)) {
          ReportKey(*source, policy, loss, reached);
        }
      }
    }
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      CheckOmitted(policy);
    }
  }

 private:
  Finding& Report(const AuthorizationPolicy& source, Span span, std::string message) {
    Finding& finding = reporter_.Report(source.meta, span, std::move(message));
    finding.field_path = FieldPathOf(*source.meta.node, span);
    return finding;
  }

  static const ZtunnelGroup* GroupOf(const ZtunnelPolicy& policy, int rule) {
    for (const ZtunnelGroup& group : policy.groups) {
      if (group.origin.rule == rule) return &group;
    }
    return nullptr;
  }

  static bool HasEmptyMatch(const ZtunnelGroup& group) {
    return std::any_of(group.clauses.begin(), group.clauses.end(), [](const auto& clause) {
      return std::any_of(clause.matches.begin(), clause.matches.end(),
                         [](const ZtunnelMatch& match) { return match.empty(); });
    });
  }

  void ReportTrustDomains(const AuthorizationPolicy& source, const ZtunnelPolicy& policy,
                          const ZtunnelLoss& loss, const std::vector<const Workload*>& reached) {
    const ZtunnelGroup* group = GroupOf(policy, loss.rule);
    const bool alone = group != nullptr && HasEmptyMatch(*group);
    const bool allow = policy.action == ZtunnelPolicy::Action::kAllow;
    const std::string where = NameAll(reached);
    std::string effect;
    if (alone) {
      effect = allow ? "nothing is left of the source, which then matches nobody: the rule lets "
                       "nobody in at " +
                           where
                     : "nothing is left of the source, which then matches nobody: the rule denies "
                       "nothing at " +
                           where;
    } else if (loss.field == "trustDomains") {
      effect = allow ? "the rest of the source lets callers of every trust domain in at " + where
                     : "the rest of the source denies callers of every trust domain at " + where;
    } else {
      effect = allow ? "the trust domains that it excepts are let in at " + where
                     : "the trust domains that it spares are denied at " + where;
    }
    Finding& finding =
        Report(source, loss.span,
               "`" + loss.field +
                   "` is dropped on the way to ztunnel, without a status that says so: " + effect +
                   "; write the trust domain in `principals`");
    finding.detail = "rule " + std::to_string(loss.rule);
    finding.fix = "Write principals with their trust domain.";
    if (!source.dry_run && !alone) Attach(source, loss, allow, *reached.front(), &finding);
  }

  // A caller of the same namespace in another domain cannot be one of the mesh: ztunnel refuses its
  // certificate. So the request is one of the mesh's own domain where the rule wants another.
  void Attach(const AuthorizationPolicy& source, const ZtunnelLoss& loss, bool allow,
              const Workload& target, Finding* finding) {
    const std::string& own = analysis_.model.mesh_config.trust_domain;
    bool names_own = false;
    for (const auto& from : source.rules[static_cast<size_t>(loss.rule)].from) {
      const TextList& list =
          loss.field == "trustDomains" ? from.trust_domains : from.not_trust_domains;
      for (const Text& value : list.values) names_own = names_own || value.value == own;
    }
    if (names_own != (loss.field == "notTrustDomains")) return;
    auto question = RequestOf(view_, analysis_, source, static_cast<size_t>(loss.rule), target);
    if (!question) return;
    if (allow) {
      AttachWitness(analysis_, *question, Outcome::kAllow, finding);
    } else {
      AttachRefusal(analysis_, *question, finding);
    }
  }

  void ReportKey(const AuthorizationPolicy& source, const ZtunnelPolicy& policy,
                 const ZtunnelLoss& loss, const std::vector<const Workload*>& reached) {
    const std::string key = loss.field.substr(std::string_view("when ").size());
    const std::string where = NameAll(reached);
    const bool allow = policy.action == ZtunnelPolicy::Action::kAllow;
    std::string effect = allow ? "the whole rule is left out and lets nobody in at " + where
                               : "the rule has no effect at " + where;
    std::string instead = "use a key that ztunnel knows";
    if (key == "source.serviceAccount") instead = "write `from.source.serviceAccounts`";
    if (key == "source.trustDomain") instead = "write the trust domain in `principals`";
    if (key == "remote.ip") instead = "write `ipBlocks`, which ztunnel compares with the caller";
    Finding& finding = Report(source, loss.span,
                              "condition `" + key + "` counts as HTTP for ztunnel: " + effect +
                                  "; " + instead + ", or let a waypoint decide");
    finding.detail = "rule " + std::to_string(loss.rule);
    finding.fix = "Use a field that ztunnel knows.";
    if (source.dry_run) return;
    auto question =
        RequestOf(view_, analysis_, source, static_cast<size_t>(loss.rule), *reached.front());
    if (!question) return;
    if (allow) {
      AttachRefusal(analysis_, *question, &finding);
    } else {
      AttachWitness(analysis_, *question, Outcome::kAllow, &finding);
    }
  }

  void CheckOmitted(const AuthorizationPolicy& policy) {
    const ZtunnelOmission omission = OmissionOf(analysis_.mesh, policy);
    if (omission == ZtunnelOmission::kNone || omission == ZtunnelOmission::kTargetRef) return;
    const std::vector<const Workload*> reached = view_.Reached(policy.meta, policy.selector);
    if (reached.empty()) return;
    const std::string where = NameAll(reached);
    const Span place = policy.action_span ? policy.action_span : policy.meta.span;
    switch (omission) {
      case ZtunnelOmission::kAudit: {
        Finding& finding =
            Report(policy, place,
                   "ztunnel has no `AUDIT`: istiod does not send it this policy, so nothing is "
                   "marked at " +
                       where + "; audit at a waypoint by `targetRefs`, or read ztunnel's log");
        finding.severity = Severity::kWarning;
        finding.fix = "Name the target in `targetRefs`, so that a waypoint audits.";
        break;
      }
      case ZtunnelOmission::kCustom: {
        Finding& finding =
            Report(policy, place,
                   "ztunnel asks no external authorizer: istiod does not send it this `CUSTOM` "
                   "policy, so at " +
                       where +
                       " requests are let in without asking; put a waypoint before it and name it "
                       "in `targetRefs`");
        finding.fix = "Name the target in `targetRefs`, so that a waypoint asks the authorizer.";
        AttachUnasked(policy, reached, &finding);
        break;
      }
      default: {
        Finding& finding = Report(
            policy, policy.meta.span,
            "a dry-run policy is not sent to ztunnel unless istiod runs with "
            "AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY (1.29), so the log of " +
                where + " says nothing about it; do not enforce it on the strength of that log");
        finding.severity = Severity::kInfo;
        finding.detail = "dry-run";
        break;
      }
    }
  }

  void AttachUnasked(const AuthorizationPolicy& policy, const std::vector<const Workload*>& reached,
                     Finding* finding) {
    if (policy.rules.empty()) return;
    for (const Workload* workload : reached) {
      auto question = RequestOf(view_, analysis_, policy, 0, *workload);
      if (!question) continue;
      question->ext_authz = ExtAuthzAnswer::kDeny;
      if (AttachWitness(analysis_, *question, Outcome::kAllow, finding)) return;
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const AmbientView& view_;
  PolicyIndex policies_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::lost_at_ztunnel

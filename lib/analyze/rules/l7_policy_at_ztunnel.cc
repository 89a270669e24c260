// What istiod leaves out of a policy on its way to ztunnel because it speaks of HTTP
// (istio-semantics section 7.1): an ALLOW loses the rule, a DENY the field. Of a DENY of which
// nothing is left in one of its clauses the rule never matches; what stays beside a lost field
// denies more than was written. Lost fields that speak of the peer are lost-at-ztunnel.
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
#include "base/text.h"

namespace meshproof::l7_policy_at_ztunnel {
namespace {

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        view_(analysis.views->Ambient()),
        policies_(analysis.model) {}

  void Run() {
    if (view_.any()) CheckSent();
    CheckStatus();
  }

 private:
  void CheckSent() {
    for (const ZtunnelPolicy& policy : view_.ztunnel().policies()) {
      const AuthorizationPolicy* source = policies_.Find(policy.object);
      if (source == nullptr || policy.losses.empty()) continue;
      const std::vector<const Workload*> reached = view_.Reached(source->meta, source->selector);
      if (reached.empty()) continue;
      std::map<int, std::vector<const ZtunnelLoss*>> by_rule;
      for (const ZtunnelLoss& loss : policy.losses) {
        if (IsTrustDomainField(loss.field) || IsPeerKeyUnknownToZtunnel(loss.field)) continue;
        by_rule[loss.rule].push_back(&loss);
      }
      for (const auto& [rule, losses] : by_rule) Report(*source, policy, rule, losses, reached);
    }
  }

  static std::string FieldsOf(const std::vector<const ZtunnelLoss*>& losses) {
    std::vector<std::string> fields;
    for (const ZtunnelLoss* loss : losses) {
      std::string field = "`" + loss->field + "`";
      if (std::find(fields.begin(), fields.end(), field) == fields.end()) {
        fields.push_back(std::move(field));
      }
    }
    return ListNames(fields);
  }

  // Of a DENY: whether what is left of the rule can match anything.
  static bool IsDead(const ZtunnelPolicy& policy, int rule) {
    for (const ZtunnelGroup& group : policy.groups) {
      if (group.origin.rule != rule) continue;
      return std::any_of(
          group.clauses.begin(), group.clauses.end(), [](const ZtunnelClause& clause) {
            return !clause.matches.empty() &&
                   std::all_of(clause.matches.begin(), clause.matches.end(),
                               [](const ZtunnelMatch& match) { return match.empty(); });
          });
    }
    return false;
  }

  std::string Advice(const std::vector<const Workload*>& reached) const {
    for (const Workload* workload : reached) {
      for (const AmbientView::Way& way : view_.WaypointsBefore(*workload)) {
        const std::string target =
            way.service == nullptr
                ? "Gateway " + std::string(way.waypoint->gateway->meta.name)
                : std::string(way.service->kubernetes ? "Service " : "") + way.service->name;
        return "name what it guards in `targetRefs` (" + target + "), so that waypoint " +
               NameOf(*way.waypoint) +
               " enforces it, and keep only identities, addresses and "
               "ports in policies by selector";
      }
    }
    return "put a waypoint before it and name it in `targetRefs`, or keep only identities, "
           "addresses and ports here";
  }

  void Report(const AuthorizationPolicy& source, const ZtunnelPolicy& policy, int rule,
              const std::vector<const ZtunnelLoss*>& losses,
              const std::vector<const Workload*>& reached) {
    const std::string which = "rule " + std::to_string(rule);
    const std::string fields = FieldsOf(losses);
    const std::string where = NameAll(reached);
    std::string message;
    const bool allow = policy.action == ZtunnelPolicy::Action::kAllow;
    const bool dead = !allow && IsDead(policy, rule);
    if (allow) {
      message = which + " allows by " + fields + ", which ztunnel cannot see: it gets the policy " +
                "without this rule, so " +
                (policy.groups.empty() ? "nobody is let in at " + where
                                       : "at " + where + " it lets nobody in");
    } else if (dead) {
      message = which + " denies by " + fields + ", which ztunnel cannot see: nothing is left of " +
                "it, so at " + where + " it denies nothing";
    } else {
      message = which + " denies by " + fields +
                ", which ztunnel cannot see: it gets the rest of " + "the rule alone, so at " +
                where + " it denies all that this rest matches";
    }
    Finding& finding =
        reporter_.Report(source.meta, losses.front()->span, message + "; " + Advice(reached));
    finding.field_path = FieldPathOf(*source.meta.node, losses.front()->span);
    finding.detail = which;
    finding.fix = "Name the target in `targetRefs`, so that a waypoint enforces the policy.";
    if (source.dry_run) {
      finding.severity = Severity::kInfo;
      return;
    }
    const size_t index = static_cast<size_t>(rule);
    for (const Workload* workload : reached) {
      auto question = RequestOf(view_, analysis_, source, index, *workload);
      if (!question) continue;
      if (dead) {
        if (AttachWitness(analysis_, *question, Outcome::kAllow, &finding)) break;
        continue;
      }
      if (!allow) Avoid(source.rules[index], &*question);
      if (AttachRefusal(analysis_, *question, &finding)) break;
    }
  }

  // Makes a request that the rule as it is written does not match, by the fields that were lost.
  static void Avoid(const AuthorizationPolicy::Rule& rule, Case* question) {
    constexpr std::string_view kMethods[] = {"GET", "POST", "PUT", "DELETE", "PATCH"};
    std::set<std::string_view> named;
    for (const AuthorizationPolicy::Operation& to : rule.to) {
      for (const Text& method : to.methods.values) named.insert(method.value);
    }
    for (const std::string_view method : kMethods) {
      if (named.count(method) == 0) {
        question->method = std::string(method);
        break;
      }
    }
    question->path = "/elsewhere";
  }

  // What istiod itself wrote.
  void CheckStatus() {
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      const Node* conditions = NodeAt(policy.meta.node, {"status", "conditions"});
      if (conditions == nullptr) continue;
      for (const Node& condition : conditions->items()) {
        const Node* type = NodeAt(&condition, {"type"});
        const Node* status = NodeAt(&condition, {"status"});
        if (type == nullptr || status == nullptr || type->text != "ZtunnelAccepted") continue;
        if (status->text != "False") continue;
        const Node* text = NodeAt(&condition, {"message"});
        Finding& finding = reporter_.Report(
            policy.meta, SpanOf(policy.meta.file, *status),
            "istiod did not give this policy to ztunnel as it is written" +
                (text == nullptr ? std::string() : " (" + std::string(text->text) + ")") +
                ", so ambient workloads do not enforce it; name what it guards in `targetRefs`, so "
                "that a waypoint does");
        finding.field_path = FieldPathAt(*policy.meta.node, status->begin);
        finding.detail = "status";
        finding.fix = "Name the target in `targetRefs`, so that a waypoint enforces the policy.";
      }
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

}  // namespace meshproof::l7_policy_at_ztunnel

// Rules on the caller's identity at ports where no caller has one: mTLS is disabled there, or a
// gateway ends TLS without asking for a certificate (istio-semantics sections 4 and 6). An ALLOW
// rule lets nobody in, a DENY rule refuses nobody.
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

namespace meshproof::identity_never_seen {
namespace {

using Field = Region::Field;
using Subject = PolicyList::Subject;

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Run() {
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      bool deny = policy.action == AuthorizationPolicy::Action::kDeny;
      if (policy.dry_run || (!deny && policy.action != AuthorizationPolicy::Action::kAllow)) {
        continue;
      }
      for (size_t i = 0; i < policy.rules.size(); ++i) CheckRule(policy, i);
    }
  }

 private:
  void CheckRule(const AuthorizationPolicy& policy, size_t index) {
    const AuthorizationPolicy::Rule& rule = policy.rules[index];
    std::vector<PolicyList> lists = ListsOf(rule);
    auto named = std::find_if(lists.begin(), lists.end(), [](const PolicyList& list) {
      return list.subject == Subject::kIdentity && !list.negative;
    });
    if (named == lists.end()) return;
    // Every source has to name somebody, or one of them works without.
    for (const AuthorizationPolicy::Source& source : rule.from) {
      bool asks = std::any_of(lists.begin(), lists.end(), [&](const PolicyList& list) {
        bool own = list.source == &source || list.condition != nullptr;
        return own && list.subject == Subject::kIdentity && !list.negative;
      });
      if (!asks) return;
    }
    for (const Site* site : analysis_.reach->SitesOf(policy)) {
      for (int port : analysis_.reach->CalledPorts(*site)) {
        if (CheckPort(policy, index, *named, *site, port)) return;
      }
    }
  }

  // Whether nobody can show a certificate at the port.
  bool SeesNobody(const Site& site, int port) {
    auto [known, added] = sees_nobody_.try_emplace({&site.workload(), port}, false);
    if (!added) return known->second;
    if (site.workload().mode == ProxyMode::kSidecar) {
      known->second =
          analysis_.mesh.MtlsFor(site.workload()).ForPort(port).mode == MtlsMode::kDisable;
      return known->second;
    }
    const Reach& reach = *analysis_.reach;
    auto none = [&](Wanted wanted) {
      Region shown = Region::Is(Field::kMutualTls);
      return reach.Find(site.workload(), port, shown, wanted).empty();
    };
    known->second = none(Wanted::kAllowed) && none(Wanted::kRefused);
    return known->second;
  }

  bool CheckPort(const AuthorizationPolicy& policy, size_t index, const PolicyList& list,
                 const Site& site, int port) {
    if (!SeesNobody(site, port)) return false;
    const Reach& reach = *analysis_.reach;
    const Workload& workload = site.workload();
    bool deny = policy.action == AuthorizationPolicy::Action::kDeny;
    const AuthorizationPolicy::Rule& rule = policy.rules[index];
    std::vector<Region> meant;
    for (const AuthorizationPolicy::Operation& operation : rule.to) {
      meant.push_back(RegionOf(operation));
    }
    Region region = meant.empty() ? Region::All() : Region::Or(std::move(meant));
    Answer allowed = reach.Find(workload, port, region, Wanted::kAllowed);
    // The port may be meant for callers that other rules let in.
    if (deny ? !allowed.found() : !allowed.empty()) return false;
    if (!IsAboutPort(rule, port)) return false;
    bool gateway = workload.mode == ProxyMode::kGateway;
    std::string why = gateway ? "this gateway ends TLS without a client certificate of the mesh"
                              : "mTLS is disabled there";
    Finding& finding = reporter_.Report(
        policy.meta, list.span,
        "`" + list.name + "` matches no caller at port " + std::to_string(port) + " of " +
            workload.ns + "/" + workload.name + ": " + why +
            ", so nobody has an identity and the " +
            (deny ? "rule refuses nobody" : "rule lets nobody in") +
            (gateway ? "; decide at the workloads behind it, or by token or address here"
                     : "; let the port take mTLS, or decide by something else"));
    const EffectiveMode mode = analysis_.mesh.MtlsFor(workload).ForPort(port);
    if (!gateway && mode.source != nullptr) {
      finding.related.push_back(
          {mode.span ? mode.span : mode.source->meta.span, "mTLS is disabled here"});
    }
    finding.field_path = FieldPathOf(index, list);
    finding.fix = gateway ? "Move the rule to the workloads behind the gateway."
                          : "Set mTLS of the port to STRICT or PERMISSIVE.";
    Answer shown = deny ? std::move(allowed) : reach.Find(workload, port, region, Wanted::kRefused);
    if (shown.found()) AttachExample(analysis_, *shown.example, &finding);
    return true;
  }

  // Whether the rule's own ports leave this one in.
  static bool IsAboutPort(const AuthorizationPolicy::Rule& rule, int port) {
    if (rule.to.empty()) return true;
    const std::string number = std::to_string(port);
    auto holds = [&](const TextList& ports) {
      return std::any_of(ports.values.begin(), ports.values.end(),
                         [&](const Text& text) { return text.value == number; });
    };
    return std::any_of(rule.to.begin(), rule.to.end(), [&](const auto& operation) {
      return (operation.ports.empty() || holds(operation.ports)) && !holds(operation.not_ports);
    });
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<std::pair<const Workload*, int>, bool> sees_nobody_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::identity_never_seen

// Conditions on tokens where no RequestAuthentication verifies any: nothing is ever written where
// they look (istio-semantics section 3), so an ALLOW rule that needs a token lets nobody in, a DENY
// rule for requests without one refuses everybody, and a route on a claim is never taken.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

namespace meshproof::token_never_verified {
namespace {

using Subject = PolicyList::Subject;

bool VerifiesTokens(const PolicySet& policies) {
  const auto& all = policies.request_authentications;
  return std::any_of(all.begin(), all.end(),
                     [](const RequestAuthentication* one) { return !one->jwt_rules.empty(); });
}

bool IsStar(const TextList& list) {
  return list.values.size() == 1 && list.values.front().value == "*";
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Run() {
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      bool decides = policy.action == AuthorizationPolicy::Action::kAllow ||
                     policy.action == AuthorizationPolicy::Action::kDeny;
      if (policy.dry_run || !decides) continue;
      for (size_t i = 0; i < policy.rules.size(); ++i) CheckRule(policy, i);
    }
    CheckRoutes();
  }

 private:
  void CheckRule(const AuthorizationPolicy& policy, size_t index) {
    std::vector<PolicyList> lists = ListsOf(policy.rules[index]);
    std::erase_if(lists, [](const PolicyList& list) { return list.subject != Subject::kToken; });
    if (lists.empty()) return;
    // What needs a token says more than what excludes one.
    auto positive = std::find_if(lists.begin(), lists.end(),
                                 [](const PolicyList& list) { return !list.negative; });
    const PolicyList& list = positive == lists.end() ? lists.front() : *positive;
    bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
    // Requests without any token are let in where none is verified: what the author wrote.
    if (allow && list.negative && IsStar(*list.values)) return;
    std::vector<const Site*> without;
    size_t all = 0;
    for (const Site* site : analysis_.reach->SitesOf(policy)) {
      all += site->workloads.size();
      if (!VerifiesTokens(site->policies) && Shows(policy, index, list, *site, nullptr)) {
        without.push_back(site);
      }
    }
    if (!without.empty()) Report(policy, index, list, without, all);
  }

  // Whether the effect is there: a rule that needs a token is dead, one that excludes some matches
  // although there is none. With `finding`, a request is put on it.
  bool Shows(const AuthorizationPolicy& policy, size_t index, const PolicyList& list,
             const Site& site, Finding* finding) const {
    const Reach& reach = *analysis_.reach;
    bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
    const Region rule = Region::Rule(policy.meta, static_cast<int>(index));
    for (int port : analysis_.reach->CalledPorts(site)) {
      const Workload& workload = site.workload();
      if (list.negative) {
        Answer hit = reach.Find(workload, port, rule, allow ? Wanted::kAllowed : Wanted::kRefused);
        if (!hit.found()) continue;
        if (finding != nullptr) AttachExample(analysis_, *hit.example, finding);
        return true;
      }
      if (!reach.Find(workload, port, rule, Wanted::kAllowed).empty()) continue;
      if (!reach.Find(workload, port, rule, Wanted::kRefused).empty()) continue;
      if (finding != nullptr) {
        Answer meant = reach.Find(workload, port, Meant(policy, index),
                                  allow ? Wanted::kRefused : Wanted::kAllowed);
        if (meant.found()) AttachExample(analysis_, *meant.example, finding);
      }
      return true;
    }
    return false;
  }

  // What the rule asks beside tokens.
  static Region Meant(const AuthorizationPolicy& policy, size_t index) {
    AuthorizationPolicy::Rule rule = policy.rules[index];
    for (AuthorizationPolicy::Source& source : rule.from) {
      source.request_principals = {};
      source.not_request_principals = {};
    }
    std::erase_if(rule.when, [](const AuthorizationPolicy::Condition& condition) {
      return condition.key.value.starts_with("request.auth.");
    });
    return RegionOf(rule, policy.meta.ns);
  }

  void Report(const AuthorizationPolicy& policy, size_t index, const PolicyList& list,
              const std::vector<const Site*>& without, size_t all) {
    bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
    std::string effect =
        list.negative ? (allow ? "every request counts as one without a token and is let in"
                               : "every request counts as one without a token and is refused")
                      : (allow ? "the rule lets nobody in" : "the rule refuses nobody");
    size_t count = 0;
    for (const Site* site : without) count += site->workloads.size();
    std::string some =
        count < all ? " (of the " + std::to_string(all) + " that it applies to)" : "";
    Finding& finding = reporter_.Report(
        policy.meta, list.span,
        "`" + list.name + "` asks for a token, and no RequestAuthentication applies to " +
            NamesOf(without) + some + ": no token is ever verified there, so " + effect +
            "; add a RequestAuthentication for the issuer that selects them");
    finding.istioctl_codes.emplace();
    finding.field_path = FieldPathOf(index, list);
    finding.fix = "Add a RequestAuthentication that selects the same workloads.";
    Shows(policy, index, list, *without.front(), &finding);
  }

  // --- routes on claims ---

  void CheckRoutes() {
    bool any = std::any_of(
        analysis_.model.virtual_services.begin(), analysis_.model.virtual_services.end(),
        [](const VirtualService& one) { return ClaimHeader(one).header != nullptr; });
    if (!any) return;
    std::map<const VirtualService*, std::set<const Workload*>> gateways;
    for (const Workload& workload : analysis_.mesh.workloads()) {
      if (workload.mode != ProxyMode::kGateway) continue;
      bool verifies = VerifiesTokens(analysis_.mesh.PoliciesFor(workload));
      for (const Mesh::BoundServer& bound : analysis_.mesh.GatewayServersFor(workload)) {
        for (const VirtualService* service :
             analysis_.mesh.VirtualServicesFor(*bound.gateway, workload.ns)) {
          if (!verifies) gateways[service].insert(&workload);
        }
      }
    }
    for (const VirtualService& service : analysis_.model.virtual_services) {
      auto found = gateways.find(&service);
      if (found != gateways.end()) ReportRoute(service, found->second);
    }
  }

  struct Claim {
    const Text* header = nullptr;
    std::string path;
  };
  static Claim ClaimHeader(const VirtualService& service) {
    for (size_t i = 0; i < service.http.size(); ++i) {
      const HttpRoute& route = service.http[i];
      for (size_t j = 0; j < route.matches.size(); ++j) {
        for (const auto* list : {&route.matches[j].headers, &route.matches[j].without_headers}) {
          for (const auto& [name, value] : *list) {
            if (!name.value.starts_with("@request.auth.claims")) continue;
            std::string key = list == &route.matches[j].headers ? ".headers" : ".withoutHeaders";
            return {&name,
                    "spec.http[" + std::to_string(i) + "].match[" + std::to_string(j) + "]" + key};
          }
        }
      }
    }
    return {};
  }

  void ReportRoute(const VirtualService& service, const std::set<const Workload*>& gateways) {
    Claim claim = ClaimHeader(service);
    if (claim.header == nullptr) return;
    const Workload* first = *std::min_element(
        gateways.begin(), gateways.end(), [](const Workload* a, const Workload* b) {
          return std::tie(a->ns, a->name) < std::tie(b->ns, b->name);
        });
    Finding& finding = reporter_.Report(
        service.meta, claim.header->span,
        "this route looks at the claim `" + std::string(claim.header->value) +
            "`, and no RequestAuthentication applies to the gateway " + first->ns + "/" +
            first->name +
            ": no token is verified there, so no request has the claim and requests fall through "
            "to the routes below; add a RequestAuthentication that selects the gateway");
    finding.field_path = claim.path;
    finding.fix = "Add a RequestAuthentication that selects the gateway.";
  }

  const Analysis& analysis_;
  Reporter& reporter_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::token_never_verified

// Hosts, methods, paths, headers and tokens in a rule that also stands at a port whose proxy sees
// bytes only. istiod leaves such an ALLOW rule out there, all of it, and takes from a DENY rule
// what TCP cannot hold, so that it refuses more (istio-semantics section 1.3). Decided for each
// port: an ALLOW rule where nothing else lets anybody in, a DENY rule where it alone refuses.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

namespace meshproof::http_rule_on_tcp {
namespace {

bool IsBytes(Protocol protocol) {
  return protocol == Protocol::kTcp || protocol == Protocol::kTls || protocol == Protocol::kHttps;
}

const PolicyList* HttpList(const std::vector<PolicyList>& lists) {
  auto found = std::find_if(lists.begin(), lists.end(), IsHttpOnly);
  return found == lists.end() ? nullptr : &*found;
}

bool Names(const TextList& ports, int port) {
  const std::string number = std::to_string(port);
  return std::any_of(ports.values.begin(), ports.values.end(),
                     [&](const Text& text) { return text.value == number; });
}

// Whether the author limited the rule to other ports.
bool LeavesOut(const AuthorizationPolicy::Rule& rule, int port) {
  for (const AuthorizationPolicy::Condition& condition : rule.when) {
    if (condition.key.value != "destination.port") continue;
    if (Names(condition.not_values, port)) return true;
    if (!condition.values.empty() && !Names(condition.values, port)) return true;
  }
  if (rule.to.empty()) return false;
  return std::all_of(rule.to.begin(), rule.to.end(), [&](const auto& operation) {
    return Names(operation.not_ports, port) ||
           (!operation.ports.empty() && !Names(operation.ports, port));
  });
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Run() {
    for (const Site& site : analysis_.reach->Sites()) {
      for (int port : BytePorts(site)) {
        CheckAllow(site, port);
        CheckDeny(site, port);
      }
    }
    for (const auto& [key, effect] : effects_) Report(*key.first, key.second, effect);
  }

 private:
  struct Effect {
    std::vector<std::string> ports;  // "5432 of shop/db"
    Example example;
  };

  std::set<int> BytePorts(const Site& site) const {
    std::set<int> ports;
    for (const InboundPort& port : site.declared) {
      if (IsBytes(port.protocol)) ports.insert(port.port);
    }
    if (site.workload().mode != ProxyMode::kGateway) return ports;
    std::set<int> http;
    for (const Mesh::BoundServer& bound : analysis_.mesh.GatewayServersFor(site.workload())) {
      Protocol protocol = ParseProtocol(bound.server->protocol.value);
      bool passes =
          bound.server->tls && (bound.server->tls->mode == TlsSettings::Mode::kPassthrough ||
                                bound.server->tls->mode == TlsSettings::Mode::kAutoPassthrough);
      bool bytes = protocol == Protocol::kTcp || protocol == Protocol::kTls ||
                   (protocol == Protocol::kHttps && passes);
      (bytes ? ports : http).insert(bound.listen_port);
    }
    for (int port : http) ports.erase(port);
    return ports;
  }

  void Add(const AuthorizationPolicy& policy, size_t rule, const Site& site, int port,
           const Example& example) {
    auto [found, added] = effects_.try_emplace({&policy, rule});
    if (added) found->second.example = example;
    found->second.ports.push_back(std::to_string(port) + " of " + NamesOf({&site}));
  }

  void CheckAllow(const Site& site, int port) {
    std::vector<std::pair<const AuthorizationPolicy*, size_t>> lost;
    for (const AuthorizationPolicy* policy : site.policies.allow) {
      if (policy->dry_run) continue;
      for (size_t i = 0; i < policy->rules.size(); ++i) {
        const AuthorizationPolicy::Rule& rule = policy->rules[i];
        if (HasHttpOnly(rule) && !LeavesOut(rule, port)) lost.push_back({policy, i});
      }
    }
    if (lost.empty()) return;
    const Reach& reach = *analysis_.reach;
    if (!reach.Find(site.workload(), port, Region::All(), Wanted::kAllowed).empty()) return;
    // A client that the proxy understands.
    Answer refused =
        reach.Find(site.workload(), port, Region::Is(Region::Field::kMutualTls), Wanted::kRefused);
    if (!refused.found()) {
      refused = reach.Find(site.workload(), port, Region::All(), Wanted::kRefused);
    }
    if (!refused.found()) return;
    for (const auto& [policy, rule] : lost) Add(*policy, rule, site, port, *refused.example);
  }

  void CheckDeny(const Site& site, int port) {
    bool any =
        std::any_of(site.policies.deny.begin(), site.policies.deny.end(),
                    [](const AuthorizationPolicy* policy) {
                      return !policy->dry_run &&
                             std::any_of(policy->rules.begin(), policy->rules.end(), HasHttpOnly);
                    });
    if (!any) return;
    for (const RuleStatus& status : analysis_.reach->RuleStatuses(site, port)) {
      if (status.action != Rbac::Action::kDeny || status.custom || !status.example) continue;
      if (status.kind != RuleStatus::Kind::kLive || status.policy->origin.rule < 0) continue;
      for (const AuthorizationPolicy* policy : site.policies.deny) {
        auto rule = static_cast<size_t>(status.policy->origin.rule);
        if (&policy->meta != status.policy->origin.object || rule >= policy->rules.size()) continue;
        if (!HasHttpOnly(policy->rules[rule])) continue;
        Add(*policy, rule, site, port, *status.example);
      }
    }
  }

  void Report(const AuthorizationPolicy& policy, size_t rule, const Effect& effect) {
    std::vector<PolicyList> lists = ListsOf(policy.rules[rule]);
    const PolicyList& list = *HttpList(lists);
    bool deny = policy.action == AuthorizationPolicy::Action::kDeny;
    std::string ports =
        (effect.ports.size() == 1 ? "port " : "ports ") + ListNames(effect.ports, 3);
    std::string message =
        deny ? "`" + list.name + "` is not looked at on TCP " + ports +
                   ": the rest of this DENY rule refuses connections there that it was not meant "
                   "for; name the HTTP ports in the rule"
             : "`" + list.name + "` cannot be asked on TCP " + ports +
                   ": istiod leaves this ALLOW rule out there and nothing else lets anybody in, so "
                   "every connection is closed; add a rule for that port without HTTP fields";
    Finding& finding = reporter_.Report(policy.meta, list.span, std::move(message));
    finding.field_path = FieldPathOf(rule, list);
    finding.fix = deny ? "Limit the rule to the HTTP ports with `ports`."
                       : "Add a rule with `ports` and without HTTP fields for the TCP port.";
    AttachExample(analysis_, effect.example, &finding);
  }

  struct ByPlace {
    using Key = std::pair<const AuthorizationPolicy*, size_t>;
    bool operator()(const Key& a, const Key& b) const {
      return a.first == b.first ? a.second < b.second : a.first < b.first;
    }
  };

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<std::pair<const AuthorizationPolicy*, size_t>, Effect, ByPlace> effects_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::http_rule_on_tcp

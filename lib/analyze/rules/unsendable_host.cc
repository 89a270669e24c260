// Values of `hosts` that no client sends. The field is compared, ignoring case, with the whole
// authority: a port is part of it and is always written where it is not the scheme's own; a star
// counts at one end alone (istio-semantics section 1.4). What clients send follows from the
// registry (name, name.ns, name.ns.svc, the full name), from the routes that lead to the workloads,
// whose hosts arrive as they were sent, and from the servers of gateways.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "analyze/authorities.h"
#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "analyze/workload_index.h"
#include "base/text.h"

namespace meshproof::unsendable_host {
namespace {

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), index_(*analysis.index), authorities_(analysis) {}

  static bool HasHosts(const AuthorizationPolicy& policy) {
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      for (const AuthorizationPolicy::Operation& operation : rule.to) {
        if (!operation.hosts.empty() || !operation.not_hosts.empty()) return true;
      }
    }
    return false;
  }

  void Check(const AuthorizationPolicy& policy) {
    if (!HasHosts(policy)) return;
    Scope scope = ScopeOf(policy);
    if (scope.workloads.empty() && scope.services.empty()) return;
    for (size_t r = 0; r < policy.rules.size(); ++r) {
      for (const AuthorizationPolicy::Operation& operation : policy.rules[r].to) {
        for (const Text& host : operation.hosts.values) {
          CheckHost(policy, policy.rules[r], operation, host, false, scope);
        }
        for (const Text& host : operation.not_hosts.values) {
          CheckHost(policy, policy.rules[r], operation, host, true, scope);
        }
      }
    }
  }

 private:
  struct Scope {
    std::unordered_set<const Workload*> workloads;
    std::vector<const Workload*> in_order;
    std::vector<const MeshService*> services;  // of targetRefs
  };

  Scope ScopeOf(const AuthorizationPolicy& policy) {
    Scope scope;
    std::vector<const Workload*> selected;
    if (policy.target_refs.empty()) {
      const bool root = policy.meta.ns == analysis_.model.mesh_config.root_namespace;
      selected = index_.Selected(policy.selector.match_labels, root ? "" : policy.meta.ns);
    }
    for (const TargetRef& target : policy.target_refs) {
      if (target.kind.value == "Service") {
        const MeshService* service =
            analysis_.mesh.ResolveObjectHost(target.name.value, policy.meta.ns);
        if (service != nullptr) scope.services.push_back(service);
      } else if (target.kind.value == "ServiceEntry") {
        for (const MeshService& service : analysis_.mesh.services()) {
          if (service.entry != nullptr && service.entry->meta.ns == policy.meta.ns &&
              service.entry->meta.name == target.name.value) {
            scope.services.push_back(&service);
          }
        }
      } else if (target.kind.value == "Gateway") {
        for (const Workload* workload : index_.InNamespace(policy.meta.ns)) {
          if (workload->gateway != nullptr && workload->gateway->meta.name == target.name.value &&
              workload->mode == ProxyMode::kGateway) {
            selected.push_back(workload);
          }
        }
      }
    }
    for (const Workload* workload : selected) {
      // Without a Service in the input nobody knows how it is called.
      if (workload->mode == ProxyMode::kWaypoint) continue;
      if (!authorities_.Knows(*workload)) return {};
      scope.workloads.insert(workload);
      scope.in_order.push_back(workload);
    }
    return scope;
  }

  bool CanGet(std::string_view value, const Scope& scope) const {
    if (!scope.workloads.empty() && authorities_.CanGet(value, scope.workloads)) return true;
    return std::any_of(
        scope.services.begin(), scope.services.end(),
        [&](const MeshService* service) { return authorities_.CanGet(value, *service); });
  }

  void CheckHost(const AuthorizationPolicy& policy, const AuthorizationPolicy::Rule& rule,
                 const AuthorizationPolicy::Operation& operation, const Text& host, bool negated,
                 const Scope& scope) {
    const std::string value = ToLower(host.value);
    if (value.empty() || CanGet(value, scope)) return;
    std::vector<std::string> meant;
    for (const MeshService* service : scope.services) Append(authorities_.Meant(*service), &meant);
    for (const Workload* workload : scope.in_order) {
      if (meant.size() > 100) break;
      Append(authorities_.Meant(*workload), &meant);
    }
    const Reason reason = Explain(value, meant, scope);
    Finding& finding = ReportAt(reporter_, policy.meta, host.span,
                                std::string(negated ? "notHosts" : "hosts") + " value `" +
                                    std::string(host.value) + "` is never sent to " +
                                    Subject(scope) + ": " + reason.why + ", so " +
                                    Effect(policy, operation, negated) + "; " + reason.action,
                                reason.better.empty() ? "Name a host that clients send."
                                                      : "Write `" + reason.better + "`.");
    if (reason.certain_edit) finding.edits.push_back({host.span, reason.better});
    // A name of no cluster: another ingress may lead here with it.
    if (reason.external && !authorities_.HasRoutesFromOutside(scope.workloads)) {
      finding.certainty = Certainty::kCannotSee;
      finding.severity = Severity::kInfo;
    }
    Show(policy, rule, operation, negated, reason.better, scope, &finding);
  }

  static void Append(std::vector<std::string> from, std::vector<std::string>* to) {
    for (std::string& one : from) {
      if (std::find(to->begin(), to->end(), one) == to->end()) to->push_back(std::move(one));
    }
  }

  struct Reason {
    std::string why, action, better;
    bool certain_edit = false, external = false;
  };

  Reason Explain(const std::string& value, const std::vector<std::string>& meant,
                 const Scope& scope) const {
    Reason reason;
    const size_t inner = value.find('*', 1);
    if (value.size() > 1 && inner != std::string::npos &&
        (inner + 1 != value.size() || value.front() == '*')) {
      reason.why = "only a star at one end stands for anything, the other one is a plain character";
      if (value.ends_with(":*") && value.front() == '*') {
        const std::string without = value.substr(0, value.size() - 2);
        reason.better = CanGet(without, scope) ? without : "";
      }
      reason.action = reason.better.empty() ? "keep one star"
                                            : "write `" + reason.better +
                                                  "`, and each port that clients write as a value "
                                                  "of its own";
      return reason;
    }
    // The name without a port that clients have to write.
    for (const std::string& one : meant) {
      const size_t colon = one.find(':');
      if (colon == std::string::npos) continue;
      const std::string name = one.substr(0, colon);
      const std::string_view rest = std::string_view(one).substr(colon);
      const bool same = value == name || (value.starts_with('*') && value.size() > 1 &&
                                          name.ends_with(value.substr(1)));
      const bool shorter = !same && !value.starts_with('*') && name.starts_with(value + ".");
      if (!same && !shorter) continue;
      reason.why = "clients write the port, as in `" + one + "`";
      reason.better = value + std::string(rest);
      reason.action = "write `" + reason.better + "`" +
                      (value.starts_with('*') ? "" : ", or `" + value + ":*`");
      reason.certain_edit = true;
      return reason;
    }
    const std::string domain = "." + analysis_.model.mesh_config.domain;
    reason.external = value.find('.') != std::string::npos && !value.ends_with(domain) &&
                      value.find(".svc") == std::string::npos &&
                      value.find(':') == std::string::npos;
    const std::string nearest = NearestName(value, meant);
    if (!nearest.empty()) {
      reason.external = false;
      reason.better = nearest;
      reason.why = "no Service and no route has such a name";
      reason.action = "did you mean `" + nearest + "`?";
      reason.certain_edit = true;
      return reason;
    }
    reason.why = value.starts_with('*') ? "no Service and no route has a name that ends so"
                                        : "no Service and no route leads such a name there";
    if (!meant.empty()) {
      reason.better = meant.front();
      reason.action = "clients send " + ListNames(meant, 3);
    } else {
      reason.action = "name a host that clients send";
    }
    return reason;
  }

  static std::string Subject(const Scope& scope) {
    std::vector<std::string> names;
    for (const MeshService* service : scope.services) {
      names.push_back("Service " + service->ns + "/" + service->name);
    }
    for (const Workload* workload : scope.in_order) {
      names.push_back(workload->ns + "/" + workload->name);
    }
    return ListNames(names, 2);
  }

  static std::string Effect(const AuthorizationPolicy& policy,
                            const AuthorizationPolicy::Operation& operation, bool negated) {
    const bool alone = operation.hosts.values.size() == 1;
    if (negated) return "it excepts nothing";
    switch (policy.action) {
      case AuthorizationPolicy::Action::kAllow:
        return alone ? "the rule admits nobody" : "the value admits nobody";
      case AuthorizationPolicy::Action::kDeny:
        return alone ? "the rule refuses nobody" : "the value refuses nobody";
      case AuthorizationPolicy::Action::kAudit:
      case AuthorizationPolicy::Action::kCustom:
        break;
    }
    return alone ? "the rule matches nothing" : "the value matches nothing";
  }

  // The request that was meant: refused by an ALLOW rule, let through by a DENY rule.
  void Show(const AuthorizationPolicy& policy, const AuthorizationPolicy::Rule& rule,
            const AuthorizationPolicy::Operation& operation, bool negated,
            const std::string& better, const Scope& scope, Finding* finding) {
    if (negated || better.empty() || scope.in_order.empty() ||
        better.find('*') != std::string::npos)
      return;
    const Workload& target = *scope.in_order.front();
    if (target.mode != ProxyMode::kSidecar) return;
    const std::vector<InboundPort> ports = analysis_.mesh.InboundPorts(target);
    auto http = std::find_if(ports.begin(), ports.end(),
                             [](const InboundPort& port) { return IsHttp(port.protocol); });
    if (http == ports.end()) return;
    Case question;
    question.name = "the request that was meant";
    question.to_workload = target.ns + "/" + target.name;
    question.to_port = http->port;
    question.host = better;
    question.tls = CaseTls::kMtls;
    question.from_identity = target.identity;
    if (!rule.from.empty() && !rule.from.front().principals.empty()) {
      const std::string_view principal = rule.from.front().principals.values.front().value;
      if (principal.find('*') == std::string_view::npos) {
        question.from_identity = "spiffe://" + std::string(principal);
      }
    }
    if (!operation.methods.empty() && operation.methods.values.front().value != "*") {
      question.method = std::string(operation.methods.values.front().value);
    }
    if (!operation.paths.empty()) {
      std::string path(operation.paths.values.front().value);
      if (path.find('{') != std::string::npos || path.starts_with('*')) return;
      if (path.ends_with('*')) path.pop_back();
      question.path = path;
    }
    if (policy.action == AuthorizationPolicy::Action::kAllow) {
      AttachWitness(analysis_, question, Outcome::kDeny, finding);
    } else if (policy.action == AuthorizationPolicy::Action::kDeny) {
      AttachWitness(analysis_, question, Outcome::kAllow, finding);
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const WorkloadIndex& index_;
  Authorities authorities_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const auto& policies = analysis.model.authorization_policies;
  // The names of all Services are a lot to collect for nobody.
  if (!analysis.HasWorkloads() || std::none_of(policies.begin(), policies.end(), Checker::HasHosts))
    return;
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : policies) {
    checker.Check(policy);
  }
}

}  // namespace meshproof::unsendable_host

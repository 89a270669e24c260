// Mesh policy and NetworkPolicy of one workload. A NetworkPolicy for ingress that selects a pod
// lets in what one of them names, by pod, namespace, address and port; it works on every packet,
// also where no proxy is in the way (UDP, ports that are not captured, a pod that lost its
// sidecar). What one lets in and the other does not is either dead or unguarded.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"
#include "base/text.h"
#include "match/labels.h"

namespace meshproof::network_policy_differs {
namespace {

// Three-valued, for selectors that are not read.
enum class Says { kNo, kMaybe, kYes };

Says SelectsPod(const Node* selector, const Labels& labels) {
  if (selector == nullptr) return Says::kYes;
  const Node* match = selector->Find("matchLabels");
  if (match != nullptr) {
    for (const auto& entry : match->entries()) {
      const std::string* value = FindLabel(labels, entry.key.text);
      if (value == nullptr || *value != entry.value.text) return Says::kNo;
    }
  }
  return ListItems(NodeAt(selector, {"matchExpressions"})).empty() ? Says::kYes : Says::kMaybe;
}

struct Guard {
  const RawObject* object = nullptr;
  const Node* selector = nullptr;
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        objects_(ObjectsOf(analysis.objects, {"NetworkPolicy"})) {
    for (const RawObject& object : objects_) {
      bool ingress = NodeAt(object.node, {"spec", "policyTypes"}) == nullptr;
      for (const Node& type : ListItems(NodeAt(object.node, {"spec", "policyTypes"}))) {
        ingress = ingress || type.text == "Ingress";
      }
      if (!ingress) continue;
      const std::string ns(object.ns.empty() ? "default" : object.ns);
      guards_[ns].push_back({&object, NodeAt(object.node, {"spec", "podSelector"})});
    }
    for (const Workload& workload : analysis.mesh.workloads()) {
      by_identity_[workload.identity].push_back(&workload);
    }
  }

  void Check(const Workload& workload) {
    if (workload.mode != ProxyMode::kSidecar || workload.pod == nullptr) return;
    const PolicySet policies = analysis_.mesh.PoliciesFor(workload);
    const std::vector<Guard> guards = GuardsOf(workload);
    if (policies.allow.empty() && policies.deny.empty()) return;
    CheckUdp(workload, guards);
    if (guards.empty()) {
      const AuthorizationPolicy* policy =
          policies.allow.empty() ? policies.deny.front() : policies.allow.front();
      if (policy->meta.ns == workload.ns) unbacked_[workload.ns].emplace_back(&workload, policy);
      return;
    }
    for (const AuthorizationPolicy* policy : policies.allow) {
      for (const AuthorizationPolicy::Rule& rule : policy->rules) {
        for (const AuthorizationPolicy::Source& source : rule.from) {
          for (const Text& principal : source.principals.values) {
            CheckCaller(workload, guards, *policy, principal);
          }
        }
      }
    }
  }

  // One note a namespace.
  void ReportUnbacked() {
    for (const auto& [ns, workloads] : unbacked_) {
      std::vector<std::string> names;
      for (const auto& [workload, policy] : workloads) names.push_back(workload->name);
      const AuthorizationPolicy& policy = *workloads.front().second;
      Finding& finding = ReportAt(
          reporter_, policy.meta, policy.meta.span,
          "no NetworkPolicy backs the mesh's policies for " + ListNames(names, 3) +
              " in namespace " + ns +
              ", so what does not pass the sidecar (UDP, ports that are not captured, a pod "
              "without a proxy) is open to the whole cluster; add one that lets in the same "
              "callers",
          "Add a NetworkPolicy for the namespace.");
      finding.detail = "unbacked";
    }
  }

 private:
  std::vector<Guard> GuardsOf(const Workload& workload) const {
    std::vector<Guard> guards;
    auto found = guards_.find(workload.ns);
    if (found == guards_.end()) return guards;
    for (const Guard& guard : found->second) {
      if (SelectsPod(guard.selector, workload.labels) != Says::kNo) guards.push_back(guard);
    }
    return guards;
  }

  Labels NamespaceLabels(const std::string& name) const {
    const Namespace* ns = analysis_.mesh.FindNamespace(name);
    Labels labels = ns == nullptr ? Labels() : ns->meta.labels;
    labels.emplace_back("kubernetes.io/metadata.name", name);
    return labels;
  }

  // Whether a `from` entry names the caller.
  Says Names(const Node& peer, const Workload& caller, const std::string& own_ns) const {
    if (peer.Find("ipBlock") != nullptr) {
      const Node* cidr = NodeAt(&peer, {"ipBlock", "cidr"});
      return cidr != nullptr && cidr->text == "0.0.0.0/0" ? Says::kYes : Says::kMaybe;
    }
    const Node* namespaces = peer.Find("namespaceSelector");
    Says where = caller.ns == own_ns ? Says::kYes : Says::kNo;
    if (namespaces != nullptr) {
      // Labels of a namespace that is not in the input are not known.
      if (analysis_.mesh.FindNamespace(caller.ns) == nullptr) return Says::kMaybe;
      where = SelectsPod(namespaces, NamespaceLabels(caller.ns));
    }
    const Says which = SelectsPod(peer.Find("podSelector"), caller.labels);
    return std::min(where, which);
  }

  static Says TakesPort(const Node& rule, int port, std::string_view protocol) {
    const std::span<const Node> ports = ListItems(NodeAt(&rule, {"ports"}));
    if (ports.empty()) return Says::kYes;
    Says any = Says::kNo;
    for (const Node& entry : ports) {
      const Node* transport = entry.Find("protocol");
      if ((transport == nullptr ? std::string_view("TCP") : transport->text) != protocol) continue;
      const Node* number = entry.Find("port");
      if (number == nullptr) return Says::kYes;
      const std::optional<int64_t> value = number->AsInt();
      if (!value) {
        any = Says::kMaybe;  // a port by name
        continue;
      }
      const Node* end = entry.Find("endPort");
      const int64_t last = end == nullptr ? *value : end->AsInt().value_or(*value);
      if (port >= *value && port <= last) return Says::kYes;
    }
    return any;
  }

  Says LetsIn(const std::vector<Guard>& guards, const Workload& target, const Workload* caller,
              int port, std::string_view protocol) const {
    Says any = Says::kNo;
    for (const Guard& guard : guards) {
      if (SelectsPod(guard.selector, target.labels) == Says::kMaybe) any = Says::kMaybe;
      for (const Node& rule : ListItems(NodeAt(guard.object->node, {"spec", "ingress"}))) {
        const Says by_port = TakesPort(rule, port, protocol);
        const std::span<const Node> from = ListItems(NodeAt(&rule, {"from"}));
        Says peer = from.empty() ? Says::kYes : Says::kNo;
        for (const Node& one : from) {
          peer = std::max(peer, caller == nullptr ? Says::kNo : Names(one, *caller, target.ns));
        }
        any = std::max(any, std::min(by_port, peer));
      }
    }
    return any;
  }

  void CheckCaller(const Workload& target, const std::vector<Guard>& guards,
                   const AuthorizationPolicy& policy, const Text& principal) {
    auto found = by_identity_.find("spiffe://" + std::string(principal.value));
    if (found == by_identity_.end()) return;
    const Workload& caller = *found->second.front();
    const std::vector<InboundPort> ports = analysis_.mesh.InboundPorts(target);
    if (ports.empty() || &caller == &target) return;
    for (const InboundPort& port : ports) {
      if (LetsIn(guards, target, &caller, port.port, "TCP") != Says::kNo) return;
    }
    if (!said_.emplace(&target, principal.value).second) return;
    Finding& finding =
        ReportAt(reporter_, policy.meta, principal.span,
                 "the policy admits " + Describe(caller) + " to " + Describe(target) +
                     " and NetworkPolicy " + std::string(guards.front().object->name) +
                     " lets it in on no port, so its connections time out; let both say the same",
                 "Add the caller to the NetworkPolicy, or remove it here.");
    finding.detail = target.name;
    finding.related.push_back({guards.front().object->span, "does not name the caller"});
    Case question;
    question.name = "a caller that only the mesh admits";
    question.from_workload = caller.ns + "/" + caller.name;
    question.to_workload = target.ns + "/" + target.name;
    question.to_port = ports.front().port;
    AttachWitness(analysis_, question, Outcome::kAllow, &finding);
  }

  void CheckUdp(const Workload& workload, const std::vector<Guard>& guards) {
    for (const ContainerPort& port : workload.pod->ports) {
      if (port.protocol != PortProtocol::kUdp) continue;
      if (!guards.empty()) {
        // Selected, and not open to everybody: it is guarded.
        if (LetsIn(guards, workload, nullptr, port.port, "UDP") != Says::kYes) continue;
      }
      Finding& finding = ReportAt(
          reporter_, workload.pod->meta, PortPlace(workload, port.port),
          Describe(workload) + " takes UDP on port " + std::to_string(port.port) +
              ", which no sidecar sees, and " +
              (guards.empty() ? "no NetworkPolicy selects it"
                              : "its NetworkPolicy lets everybody in there") +
              ", so the mesh's policies do not hold for it; name the callers in a NetworkPolicy",
          "Add a NetworkPolicy that names the callers of the UDP port.");
      finding.detail = std::to_string(port.port);
    }
  }

  static Span PortPlace(const Workload& workload, int port) {
    for (const PodContainer& container : ContainersOf(workload.pod->meta)) {
      for (const Node& entry : ListItems(NodeAt(container.node, {"ports"}))) {
        const Node* number = entry.Find("containerPort");
        const Node* protocol = entry.Find("protocol");
        if (number != nullptr && number->AsInt() == port && protocol != nullptr &&
            protocol->text == "UDP") {
          return SpanOf(workload.pod->meta.file, *number);
        }
      }
    }
    return workload.pod->meta.span;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const std::vector<RawObject> objects_;
  std::map<std::string, std::vector<Guard>> guards_;  // by namespace
  std::unordered_map<std::string, std::vector<const Workload*>> by_identity_;
  std::map<std::string, std::vector<std::pair<const Workload*, const AuthorizationPolicy*>>>
      unbacked_;
  std::set<std::pair<const Workload*, std::string_view>> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const Workload& workload : analysis.mesh.workloads()) checker.Check(workload);
  checker.ReportUnbacked();
}

}  // namespace meshproof::network_policy_differs

// Rules on addresses that see another one than the author meant (envoy-facts section 5). `ipBlocks`
// is the peer of the connection: behind a gateway the gateway, behind a load balancer that rewrites
// addresses a node, at a waypoint nothing at all. `remoteIpBlocks` is worked out from
// X-Forwarded-For: gateways append the peer and look as many entries back as proxies are trusted;
// sidecars and waypoints append nothing and take the last entry, which is the caller's own.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analyze/entrances.h"
#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"
#include "analyze/workload_index.h"
#include "base/text.h"
#include "match/ip.h"

namespace meshproof::address_not_the_clients {
namespace {

bool IsInside(const IpAddress& address) {
  static const std::vector<CidrRange> kInside = [] {
    std::vector<CidrRange> ranges;
    for (const char* text : {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10",
                             "127.0.0.0/8", "169.254.0.0/16", "fc00::/7", "fe80::/10", "::1/128"}) {
      if (auto range = ParseCidr(text)) ranges.push_back(*range);
    }
    return ranges;
  }();
  return std::any_of(kInside.begin(), kInside.end(),
                     [&](const CidrRange& range) { return range.Contains(address); });
}

std::string_view AddressPart(std::string_view block) {
  return block.substr(0, block.find('/'));
}

// A block of addresses that people on the internet have; not the whole of them.
bool IsPublic(std::string_view block) {
  const std::optional<IpAddress> address = ParseIpAddress(AddressPart(block));
  return address && !IsInside(*address) && !block.ends_with("/0");
}

struct List {
  const TextList* values = nullptr;
  bool remote = false, negative = false;
  const char* name = "";
  const AuthorizationPolicy::Source* source = nullptr;
};

std::vector<List> AddressListsOf(const AuthorizationPolicy::Rule& rule) {
  std::vector<List> lists;
  const auto add = [&](const TextList& values, bool remote, bool negative, const char* name,
                       const AuthorizationPolicy::Source* source) {
    if (!values.empty()) lists.push_back({&values, remote, negative, name, source});
  };
  for (const AuthorizationPolicy::Source& source : rule.from) {
    add(source.ip_blocks, false, false, "ipBlocks", &source);
    add(source.not_ip_blocks, false, true, "notIpBlocks", &source);
    add(source.remote_ip_blocks, true, false, "remoteIpBlocks", &source);
    add(source.not_remote_ip_blocks, true, true, "notRemoteIpBlocks", &source);
  }
  for (const AuthorizationPolicy::Condition& condition : rule.when) {
    const bool remote = condition.key.value == "remote.ip";
    if (!remote && condition.key.value != "source.ip") continue;
    const char* name = remote ? "when remote.ip" : "when source.ip";
    add(condition.values, remote, false, name, nullptr);
    add(condition.not_values, remote, true, name, nullptr);
  }
  return lists;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), index_(*analysis.index) {
    for (const MeshService& service : analysis.mesh.services()) {
      for (size_t index : service.workloads) {
        services_[&analysis.mesh.workloads()[index]].push_back(&service);
      }
    }
    for (const Workload& workload : analysis.mesh.workloads()) {
      if (workload.mode == ProxyMode::kGateway) gateway_identities_.insert(workload.identity);
    }
  }

  void Check(const AuthorizationPolicy& policy) {
    bool any = false;
    for (const AuthorizationPolicy::Rule& rule : policy.rules)
      any = any || !AddressListsOf(rule).empty();
    if (!any) return;
    const Scope scope = ScopeOf(policy);
    for (size_t r = 0; r < policy.rules.size(); ++r) {
      for (const List& list : AddressListsOf(policy.rules[r])) {
        if (list.remote) {
          CheckRemote(policy, policy.rules[r], list, scope);
        } else {
          CheckDirect(policy, list, scope);
        }
      }
    }
  }

 private:
  struct Scope {
    const Workload* gateway = nullptr;  // the first of each kind
    const Workload* sidecar = nullptr;
    const Workload* waypoint = nullptr;
  };

  Scope ScopeOf(const AuthorizationPolicy& policy) const {
    Scope scope;
    if (policy.target_refs.empty()) {
      const bool root = policy.meta.ns == analysis_.model.mesh_config.root_namespace;
      for (const Workload* workload :
           index_.Selected(policy.selector.match_labels, root ? "" : policy.meta.ns)) {
        const Workload** place = workload->mode == ProxyMode::kGateway   ? &scope.gateway
                                 : workload->mode == ProxyMode::kSidecar ? &scope.sidecar
                                                                         : nullptr;
        if (place != nullptr && *place == nullptr) *place = workload;
      }
    }
    for (const TargetRef& target : policy.target_refs) {
      for (const Workload* workload : index_.InNamespace(policy.meta.ns)) {
        if (target.kind.value == "Gateway" &&
            (workload->gateway == nullptr || workload->gateway->meta.name != target.name.value)) {
          continue;
        }
        if (target.kind.value == "Gateway" && workload->mode == ProxyMode::kGateway) {
          scope.gateway = workload;
        } else if (workload->mode == ProxyMode::kWaypoint) {
          scope.waypoint = workload;
        }
      }
    }
    return scope;
  }

  Finding& Say(const AuthorizationPolicy& policy, const List& list, const std::string& what,
               std::string fix) {
    const Text& first = list.values->values.front();
    std::string blocks;
    for (const Text& value : list.values->values) {
      if (blocks.size() > 40) {
        blocks += ", …";
        break;
      }
      blocks += (blocks.empty() ? "" : ", ") + std::string(value.value);
    }
    Finding& finding =
        ReportAt(reporter_, policy.meta, first.span,
                 std::string(list.name) + " [" + blocks + "] " + what, std::move(fix));
    finding.detail = list.name;
    return finding;
  }

  static std::string Effect(const AuthorizationPolicy& policy, const List& list) {
    const bool deny = policy.action == AuthorizationPolicy::Action::kDeny;
    if (list.negative)
      return deny ? "the rule refuses whom it was to spare"
                  : "the rule admits "
                    "anybody";
    return deny ? "the rule refuses nobody of them" : "the rule admits nobody of them";
  }

  void CheckDirect(const AuthorizationPolicy& policy, const List& list, const Scope& scope) {
    if (scope.waypoint != nullptr) {
      Say(policy, list,
          "never matches at waypoint " + Name(*scope.waypoint) +
              ", where the peer's address is not known to the rule, so " + Effect(policy, list) +
              "; name identities, or remoteIpBlocks at the gateway in front",
          "Name identities in place of addresses.");
      return;
    }
    if (scope.gateway != nullptr && scope.sidecar == nullptr) {
      CheckAtGateway(policy, list, *scope.gateway);
      return;
    }
    if (scope.sidecar == nullptr) return;
    const Text* outside = FirstPublic(*list.values);
    if (outside == nullptr || IsPublished(*scope.sidecar)) return;
    Say(policy, list,
        "sees the address of the pod that connects: who comes from " + std::string(outside->value) +
            " reaches " + Name(*scope.sidecar) +
            " through a gateway and shows the gateway's address, so " + Effect(policy, list) +
            "; put the rule, with remoteIpBlocks, at the gateway",
        "Put the rule at the gateway, with `remoteIpBlocks`.");
  }

  static const Text* FirstPublic(const TextList& list) {
    for (const Text& value : list.values) {
      if (IsPublic(value.value)) return &value;
    }
    return nullptr;
  }

  static std::string Name(const Workload& workload) { return workload.ns + "/" + workload.name; }

  // The Service that leads from outside to it.
  const MeshService* Entry(const Workload& workload) const {
    auto found = services_.find(&workload);
    if (found == services_.end()) return nullptr;
    for (const MeshService* service : found->second) {
      if (service->service == nullptr) continue;
      const std::string_view type = service->service->type;
      if (type == "LoadBalancer" || type == "NodePort") return service;
    }
    return nullptr;
  }

  bool IsPublished(const Workload& workload) const {
    return Entry(workload) != nullptr || (workload.pod != nullptr && workload.pod->host_network);
  }

  static bool KeepsAddresses(const Service& service) {
    const Node* policy = NodeAt(service.meta.node, {"spec", "externalTrafficPolicy"});
    return policy != nullptr && policy->text == "Local";
  }

  void CheckAtGateway(const AuthorizationPolicy& policy, const List& list,
                      const Workload& gateway) {
    const uint32_t trusted = analysis_.model.mesh_config.num_trusted_proxies;
    if (trusted > 0) {
      Say(policy, list,
          "sees the address of the proxy in front of gateway " + Name(gateway) + " (" +
              std::to_string(trusted) +
              " are trusted, `numTrustedProxies`) and not the client's, so " +
              Effect(policy, list) + "; use remoteIpBlocks",
          "Use `remoteIpBlocks`.");
      return;
    }
    const MeshService* entry = Entry(gateway);
    if (entry == nullptr || entry->service->meta.node == nullptr ||
        KeepsAddresses(*entry->service)) {
      return;
    }
    Finding& finding =
        Say(policy, list,
            "sees the address of a node: Service " + entry->ns + "/" + entry->name +
                " leads to gateway " + Name(gateway) +
                " with externalTrafficPolicy Cluster, which hides the client's, so " +
                Effect(policy, list) + "; set externalTrafficPolicy: Local",
            "Set `externalTrafficPolicy: Local` on the Service.");
    finding.related.push_back({entry->service->meta.span, "rewrites the client's address"});
    // With an own load balancer the node's address may be what is meant.
    if (FirstPublic(*list.values) == nullptr) finding.severity = Severity::kWarning;
  }

  void CheckRemote(const AuthorizationPolicy& policy, const AuthorizationPolicy::Rule& rule,
                   const List& list, const Scope& scope) {
    const Workload* place = scope.waypoint != nullptr ? scope.waypoint : scope.sidecar;
    if (place == nullptr || (scope.gateway != nullptr && scope.waypoint == nullptr)) {
      if (scope.gateway != nullptr) CheckRemoteAtGateway(policy, list, *scope.gateway);
      return;
    }
    if (OnlyFromGateways(rule, list)) return;
    const bool deny = policy.action == AuthorizationPolicy::Action::kDeny;
    Finding& finding =
        Say(policy, list,
            "is compared with the last entry of X-Forwarded-For, which at " +
                std::string(scope.waypoint != nullptr ? "waypoint " : "the sidecar of ") +
                Name(*place) + " is the caller's own, so whoever connects " +
                (deny == list.negative ? "writes an address that is admitted"
                                       : "writes another address and is not refused") +
                "; put the rule at the gateway, or name the gateway's identity beside it",
            "Put the rule at the gateway, or add `principals` with the gateway's identity.");
    Forge(policy, rule, list, *place, &finding);
  }

  void CheckRemoteAtGateway(const AuthorizationPolicy& policy, const List& list,
                            const Workload& gateway) {
    if (analysis_.model.mesh_config.num_trusted_proxies > 0) return;
    const MeshService* entry = Entry(gateway);
    if (entry == nullptr || entry->service->meta.node == nullptr ||
        KeepsAddresses(*entry->service) || FirstPublic(*list.values) == nullptr) {
      return;
    }
    Finding& finding =
        Say(policy, list,
            "sees the address of a node: Service " + entry->ns + "/" + entry->name +
                " leads to gateway " + Name(gateway) +
                " with externalTrafficPolicy Cluster, which hides the client's, and no proxy in "
                "front is trusted, so " +
                Effect(policy, list) +
                "; set externalTrafficPolicy: Local, or numTrustedProxies where a proxy adds "
                "X-Forwarded-For",
            "Set `externalTrafficPolicy: Local` on the Service.");
    finding.severity = Severity::kWarning;
    finding.related.push_back({entry->service->meta.span, "rewrites the client's address"});
  }

  // Every source of the rule is a gateway of the mesh, which writes the last entry itself.
  bool OnlyFromGateways(const AuthorizationPolicy::Rule& rule, const List& list) const {
    const auto only = [&](const AuthorizationPolicy::Source& source) {
      if (source.principals.empty()) return false;
      return std::all_of(
          source.principals.values.begin(), source.principals.values.end(),
          [&](const Text& principal) {
            return gateway_identities_.contains("spiffe://" + std::string(principal.value));
          });
    };
    if (list.source != nullptr) return only(*list.source);
    return !rule.from.empty() && std::all_of(rule.from.begin(), rule.from.end(), only);
  }

  // A plain request with a forged header, beside what else the rule asks for.
  void Forge(const AuthorizationPolicy& policy, const AuthorizationPolicy::Rule& rule,
             const List& list, const Workload& target, Finding* finding) {
    if (target.mode != ProxyMode::kSidecar) return;
    const std::optional<InboundPort> port = FirstPort(analysis_, target);
    if (!port || !IsHttp(port->protocol)) return;
    const std::string inside(AddressPart(list.values->values.front().value));
    std::vector<Case> questions = {PlaintextCase(target, port->port, port->protocol)};
    if (auto mesh = MeshCase(analysis_, target, port->port, port->protocol)) {
      questions.push_back(*std::move(mesh));
    }
    if (list.source != nullptr && !list.source->principals.empty()) {
      const std::string_view principal = list.source->principals.values.front().value;
      if (principal.find('*') == std::string_view::npos) {
        questions.push_back(questions.front());
        questions.back().tls = CaseTls::kMtls;
        questions.back().from_outside = false;
        questions.back().from_identity = "spiffe://" + std::string(principal);
      }
    }
    const bool deny = policy.action == AuthorizationPolicy::Action::kDeny;
    for (Case& question : questions) {
      for (const AuthorizationPolicy::Operation& operation : rule.to) {
        if (!operation.methods.empty() && operation.methods.values.front().value != "*") {
          question.method = std::string(operation.methods.values.front().value);
        }
        if (operation.paths.empty()) continue;
        std::string path(operation.paths.values.front().value);
        if (path.ends_with('*')) path.pop_back();
        if (path.starts_with('/') && path.find('{') == std::string::npos) question.path = path;
      }
      Case honest = question, forged = question;
      // An address of the list where it lets in, another one where it shuts out.
      const bool pretend_inside = deny == list.negative;
      const std::string other = "203.0.113.250";
      forged.headers.emplace_back("x-forwarded-for", pretend_inside ? inside : other);
      honest.headers.emplace_back("x-forwarded-for", pretend_inside ? other : inside);
      auto refused = analysis_.world.Run(honest, World::Addresses::kAssume, Detail::kVerdict);
      if (!refused.ok() || refused.value().outcome != Outcome::kDeny) continue;
      forged.name = "a forged X-Forwarded-For";
      if (AttachWitness(analysis_, forged, Outcome::kAllow, finding)) return;
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const WorkloadIndex& index_;
  std::map<const Workload*, std::vector<const MeshService*>> services_;
  std::set<std::string> gateway_identities_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    if (!policy.dry_run) checker.Check(policy);
  }
}

}  // namespace meshproof::address_not_the_clients

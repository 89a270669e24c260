// `ports` and destination.port of an AuthorizationPolicy and the keys of portLevelMtls are compared
// with the port that the proxy's workload listens on (istio-semantics sections 1.5 and 4), not with
// the port of the Service in front of it. A gateway listens on the target port of its Service.
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "analyze/names.h"
#include "analyze/probe.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"
#include "analyze/workload_index.h"
#include "base/text.h"

namespace meshproof::service_port_in_policy {
namespace {

// The ports of one workload as the input shows them.
struct Ports {
  std::set<int> listens;            // what the proxy sees as destination port
  std::multimap<int, int> service;  // Service port -> port of the workload
  bool known = false;               // the input shows at least one port
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), index_(*analysis.index) {}

  void Check(const AuthorizationPolicy& policy) {
    // A waypoint compares the port that the client dialled.
    if (!policy.target_refs.empty() || !HasPorts(policy)) return;
    std::vector<const Workload*> workloads = Selected(policy.meta, policy.selector);
    if (workloads.empty()) return;
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      for (const AuthorizationPolicy::Operation& operation : rule.to) {
        for (const Text& port : operation.ports.values) {
          Port(policy, rule, port, false, "ports", workloads);
        }
        for (const Text& port : operation.not_ports.values) {
          Port(policy, rule, port, true, "notPorts", workloads);
        }
      }
      for (const AuthorizationPolicy::Condition& condition : rule.when) {
        if (condition.key.value != "destination.port") continue;
        for (const Text& port : condition.values.values) {
          Port(policy, rule, port, false, "destination.port", workloads);
        }
        for (const Text& port : condition.not_values.values) {
          Port(policy, rule, port, true, "destination.port", workloads);
        }
      }
    }
  }

  void Check(const PeerAuthentication& policy) {
    if (policy.ports.empty() || policy.selector.match_labels.empty() ||
        policy.meta.ns == analysis_.model.mesh_config.root_namespace) {
      return;
    }
    std::vector<const Workload*> workloads =
        index_.Selected(policy.selector.match_labels, policy.meta.ns);
    for (const PeerAuthentication::Port& port : policy.ports) {
      auto found = LookUp(port.port, workloads);
      if (!found) continue;
      Span span = port.span;
      std::string message =
          Subject(port.port, *found, workloads) + ", so the mode of this entry holds nowhere and " +
          (found->workload_port != 0 ? "port " + std::to_string(found->workload_port) +
                                           " keeps the mode "
                                           "of the workload"
                                     : "all ports keep the mode of the workload");
      Finish(policy.meta, span, std::move(message), port.port, *found);
    }
  }

 private:
  struct Miss {
    const Workload* workload = nullptr;  // one of those that are meant
    const MeshService* service = nullptr;
    int workload_port = 0;  // where the Service port leads; 0: it is no Service port either
    std::string listens;    // "8080 and 9090"
  };

  static bool HasPorts(const AuthorizationPolicy& policy) {
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      for (const AuthorizationPolicy::Operation& operation : rule.to) {
        if (!operation.ports.empty() || !operation.not_ports.empty()) return true;
      }
      for (const AuthorizationPolicy::Condition& condition : rule.when) {
        if (condition.key.value == "destination.port") return true;
      }
    }
    return false;
  }

  std::vector<const Workload*> Selected(const ObjectMeta& meta, const Selector& selector) {
    bool mesh_wide = meta.ns == analysis_.model.mesh_config.root_namespace;
    std::vector<const Workload*> workloads =
        index_.Selected(selector.match_labels, mesh_wide ? "" : meta.ns);
    std::erase_if(workloads, [](const Workload* workload) {
      return workload->mode == ProxyMode::kNone || workload->mode == ProxyMode::kWaypoint;
    });
    return workloads;
  }

  const Ports& PortsOf(const Workload& workload) {
    auto [place, is_new] = ports_.try_emplace(&workload);
    Ports& ports = place->second;
    if (!is_new) return ports;
    if (workload.mode == ProxyMode::kGateway) {
      for (const Mesh::BoundServer& server : analysis_.mesh.GatewayServersFor(workload)) {
        ports.listens.insert(server.listen_port);
      }
    }
    for (const InboundPort& port : analysis_.mesh.InboundPorts(workload)) {
      ports.listens.insert(port.port);
      if (port.service_port != 0) ports.service.emplace(port.service_port, port.port);
    }
    // What a gateway's containers declare says little: its proxy opens what Gateways ask for.
    if (workload.pod != nullptr && workload.mode != ProxyMode::kGateway) {
      for (const ContainerPort& port : workload.pod->ports) ports.listens.insert(port.port);
    }
    ports.known = !ports.listens.empty();
    return ports;
  }

  // Nothing where some workload listens on the port, or where the input does not show enough.
  std::optional<Miss> LookUp(int port, const std::vector<const Workload*>& workloads) {
    Miss miss;
    std::set<int> all;
    for (const Workload* workload : workloads) {
      const Ports& ports = PortsOf(*workload);
      if (!ports.known || ports.listens.contains(port)) return std::nullopt;
      all.insert(ports.listens.begin(), ports.listens.end());
    }
    for (const Workload* workload : workloads) {
      for (const MeshService& service : ServicesOf(*workload)) {
        const MeshServicePort* service_port = service.FindPort(port);
        if (service_port == nullptr) continue;
        int target = analysis_.mesh.TargetPort(service, *service_port, *workload);
        if (target == 0 || target == port) continue;
        miss.workload = workload;
        miss.service = &service;
        miss.workload_port = target;
        break;
      }
      if (miss.workload != nullptr) break;
    }
    if (miss.workload == nullptr) {
      if (workloads.empty()) return std::nullopt;
      miss.workload = workloads.front();
    }
    std::vector<std::string> listed;
    for (int listened : all) listed.push_back(std::to_string(listened));
    miss.listens = ListNames(listed);
    return miss;
  }

  // Services in front of a workload, in the mesh's order.
  std::vector<std::reference_wrapper<const MeshService>> ServicesOf(const Workload& workload) {
    if (services_.empty()) {
      for (const MeshService& service : analysis_.mesh.services()) {
        for (size_t i : service.workloads) {
          services_[&analysis_.mesh.workloads()[i]].push_back(std::cref(service));
        }
      }
    }
    auto found = services_.find(&workload);
    return found == services_.end() ? std::vector<std::reference_wrapper<const MeshService>>()
                                    : found->second;
  }

  static std::string Subject(int port, const Miss& miss,
                             const std::vector<const Workload*>& workloads) {
    std::string name = miss.workload->ns + "/" + miss.workload->name;
    if (miss.workload_port != 0) {
      return std::to_string(port) + " is the port of Service " + miss.service->name +
             ", and a policy is compared with the port of the workload: " + name + " listens on " +
             std::to_string(miss.workload_port);
    }
    return "nothing listens on port " + std::to_string(port) + ": " +
           (workloads.size() == 1 ? name + " has " : "the workloads that are selected have ") +
           miss.listens;
  }

  static std::string Effect(const AuthorizationPolicy& policy, bool negative) {
    bool denies = policy.action == AuthorizationPolicy::Action::kDeny;
    if (negative) {
      return denies ? "the port that was to be exempt is denied with the others"
                    : "the port that was to be left out is matched with the others";
    }
    switch (policy.action) {
      case AuthorizationPolicy::Action::kDeny:
        return "nothing is denied on it";
      case AuthorizationPolicy::Action::kAllow:
        return "nothing is admitted by it";
      default:
        return "it matches no request";
    }
  }

  void Port(const AuthorizationPolicy& policy, const AuthorizationPolicy::Rule& rule,
            const Text& value, bool negative, std::string_view field,
            const std::vector<const Workload*>& workloads) {
    auto number = ParseUnsigned(value.value);
    if (!number || *number == 0 || *number > 65535) return;
    int port = static_cast<int>(*number);
    // The proxy's own ports; what reaches them is not the workload's inbound traffic.
    if (port >= 15000 && port < 15100) return;
    auto miss = LookUp(port, workloads);
    if (!miss) return;
    // A port that nobody has needs no exception.
    bool idle = negative && miss->workload_port == 0;
    std::string message = Subject(port, *miss, workloads) + ", so this value of `" +
                          std::string(field) + "` leaves nothing out";
    if (!idle) {
      message = Subject(port, *miss, workloads) + ", so with this value of `" + std::string(field) +
                "` " + Effect(policy, negative);
    }
    Finding& finding = Finish(policy.meta, value.span, std::move(message), port, *miss);
    if (idle) finding.severity = Severity::kInfo;
    if (miss->workload_port != 0) {
      std::string_view text =
          value.span.file->text().substr(value.span.begin, value.span.end - value.span.begin);
      size_t at = text.find(value.value);
      if (at != std::string_view::npos) {
        auto begin = value.span.begin + static_cast<uint32_t>(at);
        finding.edits.push_back(
            {{value.span.file, begin, begin + static_cast<uint32_t>(value.value.size())},
             std::to_string(miss->workload_port)});
      }
    }
    if (!negative) Show(policy, rule, *miss, &finding);
  }

  Finding& Finish(const ObjectMeta& meta, Span span, std::string message, int port,
                  const Miss& miss) {
    message += miss.workload_port != 0 ? "; write " + std::to_string(miss.workload_port)
                                       : "; write a port that the workload listens on";
    Finding& finding = reporter_.Report(meta, span, std::move(message));
    finding.field_path = FieldPathAt(*meta.node, finding.span.begin);
    finding.detail = std::to_string(port);
    finding.fix = miss.workload_port != 0 ? "Write " + std::to_string(miss.workload_port) + "."
                                          : "Write a port that the workload listens on.";
    if (miss.service != nullptr && miss.service->service != nullptr) {
      for (const ServicePort& own : miss.service->service->ports) {
        if (own.port != port) continue;
        finding.related.push_back({own.span, "Service port " + std::to_string(port) + " leads to " +
                                                 std::to_string(miss.workload_port)});
      }
    }
    return finding;
  }

  // A request on the port that was meant: admitted although it was to be denied, or denied although
  // it was to be admitted.
  void Show(const AuthorizationPolicy& policy, const AuthorizationPolicy::Rule& rule,
            const Miss& miss, Finding* finding) {
    bool denies = policy.action == AuthorizationPolicy::Action::kDeny;
    if (miss.workload->mode == ProxyMode::kGateway ||
        (!denies && policy.action != AuthorizationPolicy::Action::kAllow)) {
      return;
    }
    auto declared = FirstPort(analysis_, *miss.workload);
    if (!declared) return;
    int port = miss.workload_port != 0 ? miss.workload_port : declared->port;
    Case question = PlaintextCase(*miss.workload, port, declared->protocol);
    question.protocol = ProbeProtocol(analysis_.mesh, *miss.workload, port);
    question.name = "a request on the port that the workload listens on";
    if (const Workload* caller = CallerOf(rule)) {
      question.from_outside = false;
      question.tls = CaseTls::kAuto;
      question.from_workload = caller->ns + "/" + caller->name;
    }
    AttachWitness(analysis_, question, denies ? Outcome::kAllow : Outcome::kDeny, finding);
  }

  // A workload that one of the rule's principals names.
  const Workload* CallerOf(const AuthorizationPolicy::Rule& rule) {
    if (callers_.empty()) {
      for (const Workload& workload : analysis_.mesh.workloads()) {
        if (!workload.identity.empty()) callers_.try_emplace(workload.identity, &workload);
      }
    }
    for (const AuthorizationPolicy::Source& source : rule.from) {
      for (const Text& principal : source.principals.values) {
        auto found = callers_.find("spiffe://" + std::string(principal.value));
        if (found != callers_.end()) return found->second;
      }
    }
    return nullptr;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const WorkloadIndex& index_;
  std::map<const Workload*, Ports> ports_;
  std::map<const Workload*, std::vector<std::reference_wrapper<const MeshService>>> services_;
  std::map<std::string, const Workload*> callers_;  // by identity
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  if (!analysis.HasWorkloads()) return;
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    checker.Check(policy);
  }
  for (const PeerAuthentication& policy : analysis.model.peer_authentications) {
    checker.Check(policy);
  }
}

}  // namespace meshproof::service_port_in_policy

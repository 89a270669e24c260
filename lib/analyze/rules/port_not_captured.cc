// Inbound ports that the redirect to the sidecar leaves out although a policy governs them. The
// iptables rules of a pod come from annotations alone; what they leave out reaches the application
// without mTLS, tokens or authorization. Also Sidecar ingress listeners whose number a policy on
// the application's port does not name: the listener's port is the one that is compared.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::port_not_captured {
namespace {

constexpr std::string_view kExclude = "traffic.sidecar.istio.io/excludeInboundPorts";
constexpr std::string_view kInclude = "traffic.sidecar.istio.io/includeInboundPorts";
constexpr std::string_view kInterfaces = "traffic.sidecar.istio.io/excludeInterfaces";
constexpr std::string_view kInterception = "sidecar.istio.io/interceptionMode";

bool IsProxyPort(int port) {
  return port == 15020 || port == 15021 || port == 15090;
}

bool NamesPort(const AuthorizationPolicy::Rule& rule, int port) {
  if (rule.to.empty()) return true;
  for (const AuthorizationPolicy::Operation& operation : rule.to) {
    if (operation.ports.empty()) return true;
    for (const Text& value : operation.ports.values) {
      if (value.value == std::to_string(port)) return true;
    }
  }
  return false;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const Workload& workload) {
    if (workload.mode != ProxyMode::kSidecar || workload.pod == nullptr) return;
    const Labels& annotations = workload.pod->pod_annotations;
    const std::string* mode = FindLabel(annotations, kInterception);
    if (mode != nullptr && *mode == "NONE") {
      for (int port : KnownPorts(workload)) {
        Report(workload, port, kInterception, "is not redirected (interception mode NONE)",
               "remove the annotation");
      }
      return;
    }
    if (const std::string* include = FindLabel(annotations, kInclude);
        include != nullptr && TrimSpace(*include) != "*") {
      std::vector<int> listed = ParsePortList(*include);
      for (int port : KnownPorts(workload)) {
        if (std::find(listed.begin(), listed.end(), port) != listed.end()) continue;
        Report(workload, port, kInclude, "is not in the list of captured ports",
               "add " + std::to_string(port) + " to it or remove the annotation");
      }
    } else if (const std::string* exclude = FindLabel(annotations, kExclude)) {
      std::vector<int> ports = ParsePortList(*exclude);
      for (int port : std::set<int>(ports.begin(), ports.end())) {
        Report(workload, port, kExclude, "is excluded from capture",
               "remove " + std::to_string(port) + " from the annotation");
      }
    }
    if (const std::string* interfaces = FindLabel(annotations, kInterfaces);
        interfaces != nullptr && !TrimSpace(*interfaces).empty()) {
      CheckInterfaces(workload, *interfaces);
    }
  }

  // A policy that names the application's port where the Sidecar listens on another.
  void CheckIngress(const Workload& workload) {
    const Sidecar* sidecar = analysis_.mesh.SidecarFor(workload);
    if (sidecar == nullptr || sidecar->ingress.empty()) return;
    PolicySet policies = analysis_.mesh.PoliciesFor(workload);
    for (const Sidecar::Ingress& ingress : sidecar->ingress) {
      size_t colon = ingress.default_endpoint.value.rfind(':');
      if (colon == std::string_view::npos) continue;
      std::optional<unsigned long> own =
          ParseUnsigned(ingress.default_endpoint.value.substr(colon + 1));
      if (!own || static_cast<int>(*own) == ingress.port) continue;
      for (const auto* list : {&policies.custom, &policies.deny}) {
        for (const AuthorizationPolicy* policy : *list) {
          if (!policy->dry_run)
            CheckRemapped(*sidecar, ingress, static_cast<int>(*own), workload, *policy);
        }
      }
    }
  }

 private:
  static std::vector<int> Unique(const std::set<int>& ports) {
    return {ports.begin(), ports.end()};
  }

  std::vector<int> KnownPorts(const Workload& workload) const {
    std::set<int> ports;
    for (const InboundPort& port : analysis_.mesh.InboundPorts(workload)) ports.insert(port.port);
    for (const ContainerPort& port : workload.pod->ports) {
      if (port.protocol == PortProtocol::kTcp) ports.insert(port.port);
    }
    return Unique(ports);
  }

  // What governs the port; `strong`: more than the mode of the whole workload.
  std::vector<Related> Governing(const Workload& workload, int port, bool* strong) const {
    std::vector<Related> found;
    PolicySet policies = analysis_.mesh.PoliciesFor(workload);
    auto add = [&](const ObjectMeta& meta) {
      found.push_back({meta.span, Describe(meta) + " governs port " + std::to_string(port)});
      *strong = true;
    };
    for (const AuthorizationPolicy* policy : policies.allow) {
      if (!policy->dry_run) add(policy->meta);
    }
    for (const auto* list : {&policies.deny, &policies.custom}) {
      for (const AuthorizationPolicy* policy : *list) {
        if (policy->dry_run) continue;
        for (const AuthorizationPolicy::Rule& rule : policy->rules) {
          if (!NamesPort(rule, port)) continue;
          add(policy->meta);
          break;
        }
      }
    }
    for (const RequestAuthentication* request : policies.request_authentications) {
      add(request->meta);
    }
    EffectiveMtls mtls = analysis_.mesh.MtlsFor(workload);
    const EffectiveMode& mode = mtls.ForPort(port);
    if (mode.mode == MtlsMode::kStrict && mode.source != nullptr) {
      found.push_back({mode.span ? mode.span : mode.source->meta.span,
                       Describe(mode.source->meta) + " demands mTLS"});
      if (mode.source->selector.present || !mode.source->ports.empty()) *strong = true;
    }
    return found;
  }

  void Report(const Workload& workload, int port, std::string_view annotation,
              std::string_view what, const std::string& instead) {
    if (IsProxyPort(port)) return;
    bool strong = false;
    std::vector<Related> governing = Governing(workload, port, &strong);
    if (governing.empty()) return;
    const ObjectMeta& meta = workload.pod->meta;
    Finding& finding = reporter_.Report(
        meta, PodAnnotationPlace(meta, annotation),
        "port " + std::to_string(port) + " of " + Describe(workload) + " " + std::string(what) +
            " by `" + std::string(annotation) +
            "`, so a plaintext request to it reaches the application and meets none of " +
            Count(governing.size()) + " that govern it; " + instead);
    if (!strong) finding.severity = Severity::kWarning;
    Finish(std::move(governing), std::to_string(port), &finding);
  }

  void CheckInterfaces(const Workload& workload, const std::string& interfaces) {
    std::vector<int> ports = KnownPorts(workload);
    bool strong = false;
    std::vector<Related> governing =
        Governing(workload, ports.empty() ? 0 : ports.front(), &strong);
    if (governing.empty()) return;
    const ObjectMeta& meta = workload.pod->meta;
    Finding& finding = reporter_.Report(
        meta, PodAnnotationPlace(meta, kInterfaces),
        "what comes in through interface " + interfaces + " of " + Describe(workload) +
            " is excluded from capture by `" + std::string(kInterfaces) +
            "`, so a plaintext request over it reaches the application and meets none of " +
            Count(governing.size()) + " that govern it; remove the annotation");
    if (!strong) finding.severity = Severity::kWarning;
    Finish(std::move(governing), interfaces, &finding);
  }

  static std::string Count(size_t count) {
    return count == 1 ? "the policies (1)" : "the " + std::to_string(count) + " policies";
  }

  static void Finish(std::vector<Related> governing, std::string detail, Finding* finding) {
    finding->detail = std::move(detail);
    finding->field_path = "capture";
    if (governing.size() > 5) governing.resize(5);
    finding->related = std::move(governing);
    finding->fix = "Let the sidecar capture the port.";
  }

  void CheckRemapped(const Sidecar& sidecar, const Sidecar::Ingress& ingress, int own,
                     const Workload& workload, const AuthorizationPolicy& policy) {
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      for (const AuthorizationPolicy::Operation& operation : rule.to) {
        bool names_own = false;
        bool names_listener = false;
        Span place;
        for (const Text& value : operation.ports.values) {
          if (value.value == std::to_string(own)) {
            names_own = true;
            place = value.span;
          }
          names_listener = names_listener || value.value == std::to_string(ingress.port);
        }
        std::string key =
            ToString(policy.meta) + std::to_string(ingress.port) + ToString(sidecar.meta);
        if (!names_own || names_listener || !reported_.insert(key).second) continue;
        Finding& finding = reporter_.Report(
            sidecar.meta, ingress.span,
            "the Sidecar listens on port " + std::to_string(ingress.port) + " and forwards to " +
                std::to_string(own) + " of " + Describe(workload) + ", but " +
                Describe(policy.meta) + " names port " + std::to_string(own) +
                ": the listener's port is compared, so a request to " +
                std::to_string(ingress.port) + " does not meet the policy; name " +
                std::to_string(ingress.port) + " in the policy too");
        finding.related.push_back({place, "this port is not the listener's"});
        finding.detail = ToString(policy.meta);
        finding.fix = "Add \"" + std::to_string(ingress.port) + "\" to the policy's ports.";
        Case question;
        question.name = "a request to the Sidecar's listener";
        question.from_outside = true;
        question.to_workload = workload.ns + "/" + workload.name;
        question.to_port = ingress.port;
        AttachWitness(analysis_, question, Outcome::kAllow, &finding);
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::set<std::string> reported_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const Workload& workload : analysis.mesh.workloads()) {
    checker.Check(workload);
    if (workload.mode == ProxyMode::kSidecar) checker.CheckIngress(workload);
  }
}

}  // namespace meshproof::port_not_captured

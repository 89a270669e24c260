// `portLevelMtls` entries that open a port of a STRICT workload, and STRICT entries for a port that
// the workload does not have (keys are ports of the pod, not of the Service), so that the port that
// was meant stays weak. Only the oldest policy that selects a workload counts (istio-semantics
// section 4).
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/client_tls_sites.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"

namespace meshproof::weaker_port_mtls {
namespace {

std::string_view Name(MtlsMode mode) {
  switch (mode) {
    case MtlsMode::kDisable:
      return "DISABLE";
    case MtlsMode::kPermissive:
      return "PERMISSIVE";
    case MtlsMode::kStrict:
      return "STRICT";
    case MtlsMode::kUnset:
      break;
  }
  return "UNSET";
}

// The workloads for which one entry counts.
struct Use {
  const PeerAuthentication* policy = nullptr;
  const PeerAuthentication::Port* entry = nullptr;
  EffectiveMode rest;  // of the other ports
  std::vector<const Workload*> workloads;
};

std::set<int> PortsOf(const Analysis& analysis, const Workload& workload) {
  std::set<int> ports;
  for (const InboundPort& port : analysis.mesh.InboundPorts(workload)) ports.insert(port.port);
  if (workload.pod != nullptr) {
    for (const ContainerPort& port : workload.pod->ports) {
      if (port.protocol == PortProtocol::kTcp) ports.insert(port.port);
    }
  }
  return ports;
}

// ztunnel: under a STRICT parent, DISABLE entries of a policy without a mode of its own stay STRICT
// unless another entry is PERMISSIVE.
bool StaysStrict(const Workload& workload, const PeerAuthentication& policy) {
  if (workload.mode != ProxyMode::kAmbient || policy.mode != MtlsMode::kUnset) return false;
  return std::none_of(policy.ports.begin(), policy.ports.end(),
                      [](const auto& port) { return port.mode == MtlsMode::kPermissive; });
}

std::string NameAll(const std::set<int>& ports) {
  std::vector<std::string> names;
  for (int port : ports) names.push_back(std::to_string(port));
  return ListNames(names);
}

void ReportHole(const Analysis& analysis, const Use& use, bool declared, Reporter& reporter) {
  std::string port = std::to_string(use.entry->port);
  Finding& finding = reporter.Report(
      use.policy->meta, use.entry->span,
      "port " + port + " of " + NameAll(use.workloads) + " is " +
          std::string(Name(use.entry->mode)) +
          " while the rest is STRICT: it takes plaintext from " + "whoever reaches the pod" +
          (declared ? "" : " (no Service or container declares this port today)") +
          "; remove the entry or write STRICT");
  if (!declared) finding.severity = Severity::kWarning;
  finding.field_path = FieldPathAt(*use.policy->meta.node, use.entry->span.begin);
  finding.fix = "Remove the entry, or set its mode to STRICT.";
  if (use.rest.span) {
    finding.related.push_back({use.rest.span, "STRICT for the other ports comes from here"});
  }
  for (const Workload* workload : use.workloads) {
    if (workload->mode != ProxyMode::kSidecar || !declared) continue;
    Protocol protocol = Protocol::kAuto;
    for (const InboundPort& inbound : analysis.mesh.InboundPorts(*workload)) {
      if (inbound.port == use.entry->port) protocol = inbound.protocol;
    }
    AttachWitness(analysis, PlaintextCase(*workload, use.entry->port, protocol), Outcome::kAllow,
                  &finding);
    break;
  }
}

// The pod's port behind a Service port of this number; 0 where there is none.
int BehindServicePort(const Analysis& analysis, const Workload& workload, int number) {
  for (const InboundPort& inbound : analysis.mesh.InboundPorts(workload)) {
    if (inbound.service != nullptr && inbound.service_port == number) return inbound.port;
  }
  return 0;
}

void ReportAbsent(const Analysis& analysis, const Use& use, const std::set<int>& ports,
                  Reporter& reporter) {
  std::string port = std::to_string(use.entry->port);
  int meant = BehindServicePort(analysis, *use.workloads.front(), use.entry->port);
  std::string message =
      "STRICT is set for port " + port + ", but " + NameAll(use.workloads) + " has no such port";
  if (meant != 0) {
    message += " (it is the Service's; the pod listens on " + std::to_string(meant) + ")";
  } else {
    message += " (it has " + NameAll(ports) + ")";
  }
  message += ", so the ports that it has stay " + std::string(Name(use.rest.mode)) +
             "; write the port that the pod listens on";
  Finding& finding = reporter.Report(use.policy->meta, use.entry->span, std::move(message));
  finding.field_path = FieldPathAt(*use.policy->meta.node, use.entry->span.begin);
  finding.fix = meant != 0 ? "Write " + std::to_string(meant) + " in place of " + port + "."
                           : "Write the port that the pod listens on.";
  if (use.rest.span) {
    finding.related.push_back({use.rest.span, "the mode of its other ports comes from here"});
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  ClientTlsSurvey survey(analysis);
  std::map<std::tuple<const PeerAuthentication*, int, bool, bool>, Use> uses;
  std::map<std::tuple<const PeerAuthentication*, int, bool, bool>, std::set<int>> known;
  for (const Workload& workload : analysis.mesh.workloads()) {
    bool sure = true;
    if (workload.mode != ProxyMode::kAmbient && !survey.MayHaveProxy(workload, &sure)) continue;
    EffectiveMtls mtls = analysis.mesh.MtlsFor(workload);
    if (mtls.ports.empty()) continue;
    std::set<int> ports = PortsOf(analysis, workload);
    for (const auto& [number, mode] : mtls.ports) {
      const PeerAuthentication* policy = mode.source;
      if (policy == nullptr) continue;
      auto entry = std::find_if(policy->ports.begin(), policy->ports.end(),
                                [n = number](const auto& port) { return port.port == n; });
      if (entry == policy->ports.end() || entry->mode == MtlsMode::kUnset) continue;
      bool strict_rest = mtls.workload.mode == MtlsMode::kStrict;
      bool declared = ports.contains(number);
      bool hole = strict_rest && mode.mode != MtlsMode::kStrict;
      bool absent = !strict_rest && mode.mode == MtlsMode::kStrict && !declared && !ports.empty();
      if (!hole && !absent) continue;
      if (hole && StaysStrict(workload, *policy) && mode.mode == MtlsMode::kDisable) continue;
      auto key = std::tuple(policy, number, hole, declared);
      Use& use = uses[key];
      use.policy = policy;
      use.entry = &*entry;
      use.rest = mtls.workload;
      use.workloads.push_back(&workload);
      known[key].insert(ports.begin(), ports.end());
    }
  }
  for (const auto& [key, use] : uses) {
    if (std::get<2>(key)) {
      ReportHole(analysis, use, std::get<3>(key), reporter);
    } else {
      ReportAbsent(analysis, use, known[key], reporter);
    }
  }
  // Workloads that are not in the input: what the policy alone says.
  if (analysis.HasWorkloads()) return;
  for (const PeerAuthentication& policy : analysis.model.peer_authentications) {
    if (policy.selector.match_labels.empty()) continue;
    EffectiveMode rest = analysis.mesh.NamespaceMtls(policy.meta.ns);
    if (policy.mode != MtlsMode::kUnset) rest = {policy.mode, &policy, policy.mode_span};
    if (rest.mode != MtlsMode::kStrict) continue;
    for (const PeerAuthentication::Port& port : policy.ports) {
      if (port.mode != MtlsMode::kPermissive && port.mode != MtlsMode::kDisable) continue;
      Finding& finding = reporter.Report(
          policy.meta, port.span,
          "port " + std::to_string(port.port) + " is " + std::string(Name(port.mode)) +
              " while the rest is STRICT: it takes plaintext from whoever reaches the pods that "
              "this policy selects (none is in the input); remove the entry or write STRICT");
      finding.field_path = FieldPathAt(*policy.meta.node, port.span.begin);
      finding.fix = "Remove the entry, or set its mode to STRICT.";
    }
  }
}

}  // namespace meshproof::weaker_port_mtls

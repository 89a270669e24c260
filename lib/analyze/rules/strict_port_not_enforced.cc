// STRICT as it is written against what ztunnel enforces (istio-semantics section 4). istiod decides
// in two places which converted policy a workload lists and which ones exist; where they disagree
// the workload lists one that is never sent, and ztunnel skips it. A `selector: {}` in the root
// namespace is mesh-wide for sidecars and nothing for ambient pods.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/witness_cases.h"

namespace meshproof::strict_port_not_enforced {
namespace {

struct Open {
  const Workload* workload = nullptr;
  int port = 0;  // 0: ports that nothing names
  Protocol protocol = Protocol::kAuto;
};

struct Failure {
  const PeerAuthentication* policy = nullptr;
  Span span;
  std::vector<Open> open;
  std::string missing;  // the policy that is listed and never sent; "" where none is
};

std::string PortText(int port) {
  return port == 0 ? "other ports" : "port " + std::to_string(port);
}

// "8080 STRICT is open, 9090 PERMISSIVE".
std::string Table(const Analysis& analysis, const ZtunnelConfig& ztunnel,
                  const Workload& workload) {
  const EffectiveMtls mtls = analysis.mesh.MtlsFor(workload);
  std::set<int> ports = {0};
  for (const InboundPort& port : analysis.mesh.InboundPorts(workload)) ports.insert(port.port);
  for (const auto& [port, mode] : mtls.ports) ports.insert(port);
  std::vector<std::string> rows;
  for (const int port : ports) {
    const bool strict = mtls.ForPort(port).mode == MtlsMode::kStrict;
    const bool enforced = ztunnel.StrictOn(workload, static_cast<uint32_t>(port)) != nullptr;
    std::string row = PortText(port) + ": " + (strict ? "STRICT" : "not strict");
    if (strict != enforced) row += enforced ? ", enforced as STRICT" : ", not enforced";
    rows.push_back(std::move(row));
  }
  return ListNames(rows, 8);
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const AmbientView& view = analysis.views->Ambient();
  if (!view.any()) return;
  const ZtunnelConfig& ztunnel = view.ztunnel();
  std::map<std::pair<const PeerAuthentication*, uint32_t>, Failure> failures;
  for (const Workload* workload : view.all()) {
    const EffectiveMtls mtls = analysis.mesh.MtlsFor(*workload);
    std::map<int, Protocol> ports;
    for (const InboundPort& port : analysis.mesh.InboundPorts(*workload)) {
      ports.emplace(port.port, port.protocol);
    }
    for (const auto& [port, mode] : mtls.ports) ports.emplace(port, Protocol::kAuto);
    if (ports.empty()) ports.emplace(0, Protocol::kAuto);
    std::string missing;
    for (const std::string& name : ztunnel.For(*workload).listed) {
      if (ztunnel.Find(name) == nullptr) missing = name;
    }
    for (const auto& [port, protocol] : ports) {
      const EffectiveMode& mode = mtls.ForPort(port);
      if (mode.mode != MtlsMode::kStrict || mode.source == nullptr) continue;
      if (ztunnel.StrictOn(*workload, static_cast<uint32_t>(port)) != nullptr) continue;
      Failure& failure = failures[{mode.source, mode.span.begin}];
      failure.policy = mode.source;
      failure.span = mode.span;
      failure.open.push_back({workload, port, protocol});
      if (failure.missing.empty()) failure.missing = missing;
    }
  }
  for (const auto& [place, failure] : failures) {
    std::vector<std::string> places;
    for (const Open& open : failure.open) {
      places.push_back(open.workload->ns + "/" + open.workload->name +
                       (open.port == 0 ? "" : ":" + std::to_string(open.port)));
    }
    std::string why;
    std::string instead;
    if (failure.policy->meta.ns == analysis.model.mesh_config.root_namespace &&
        failure.policy->selector.present) {
      why = "in ambient mode a policy of the root namespace counts only without any `selector`";
      instead = "remove `selector: {}`";
    } else if (!failure.missing.empty()) {
      why = "istiod makes the workload list policy " + failure.missing + " and never sends it";
      instead =
          "set the mode of the whole workload to STRICT, or give the exception a policy of "
          "its own with STRICT beside it";
    } else {
      why = "istiod converts it to nothing that ztunnel enforces";
      instead = "set the mode of the whole workload to STRICT";
    }
    Finding& finding = reporter.Report(
        failure.policy->meta, failure.span,
        "STRICT is not enforced at " + ListNames(places, 3) +
            ", which takes plaintext from whoever reaches the pod: " + why + "; " + instead);
    finding.field_path = FieldPathAt(*failure.policy->meta.node, failure.span.begin);
    finding.fix = "Set the mode of the whole workload to STRICT.";
    const Open& first = failure.open.front();
    if (first.workload->object != nullptr) {
      finding.related.push_back({first.workload->object->span,
                                 "its ports: " + Table(analysis, ztunnel, *first.workload)});
    }
    for (const Open& open : failure.open) {
      const Case question =
          PlaintextCase(*open.workload, open.port == 0 ? 8080 : open.port, open.protocol);
      if (AttachWitness(analysis, question, Outcome::kAllow, &finding)) break;
    }
  }
}

}  // namespace meshproof::strict_port_not_enforced

// Compares each dump with the configuration that the manifests compile into, chain by chain: which
// policies stand there, whether rules of the same name decide alike, the order of the security
// filters and the settings of the connection manager, who may come in plaintext. Chains are paired
// by what they match, so that another order or spelling (older releases of Istio write header
// matchers otherwise) is no difference; a chain that only one side has is judged by what it lets
// in.

#include "analyze/drift.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "analyze/drift_certificates.h"
#include "analyze/drift_comparison.h"
#include "analyze/drift_rules.h"
#include "analyze/drift_standing.h"
#include "analyze/drift_ztunnel.h"
#include "proxy/compile.h"
#include "proxy/dump_input.h"

namespace meshproof {
namespace {

// The order of the parts is the order of the differences.
void CompareProxy(DriftComparison comparison) {
  if (comparison.dump.has_listeners) {
    ComparePolicies(comparison);
    CompareProviders(comparison);
    CompareRequirements(comparison);
    CompareOverrides(comparison);
    CompareOrder(comparison);
    CompareSettings(comparison);
    CompareInbound(comparison);
  }
  CompareClusters(comparison);
}

// MP0901 among replicas where no manifest says what is right.
void CompareReplicas(const DriftInput& input, const std::vector<size_t>& replicas,
                     std::vector<DriftDifference>* out) {
  auto names = [&](size_t index) {
    std::set<std::string> keys;
    for (const Listener& listener : input.dumps.proxies[index].config->listeners) {
      for (const FilterChain& chain : listener.filter_chains) {
        for (const auto& [key, place] : PoliciesOf(ViewOf(chain))) {
          keys.insert(key + " " + CanonicalText(*place.policy));
        }
      }
    }
    return keys;
  };
  std::set<std::string> first = names(replicas.front());
  for (size_t i = 1; i < replicas.size(); ++i) {
    if (names(replicas[i]) == first) continue;
    const ProxyDump& a = input.dumps.proxies[replicas.front()];
    const ProxyDump& b = input.dumps.proxies[replicas[i]];
    DriftDifference difference;
    difference.code = "MP0901";
    difference.proxy = replicas[i];
    difference.span = b.span;
    difference.message = "the replicas " + WhoOf(a) + " and " + WhoOf(b) + " of " + a.config->ns +
                         "/" + a.config->workload +
                         " enforce different policies: which one answers is chance; see which of " +
                         "them lacks an update (istioctl proxy-status)";
    difference.related.push_back({a.span, "the other replica"});
    difference.detail = WhoOf(b) + " replicas";
    out->push_back(std::move(difference));
  }
}

}  // namespace

std::vector<DriftDifference> FindDrift(const DriftInput& input) {
  std::vector<DriftDifference> out;
  std::shared_ptr<const Mesh> mesh(std::shared_ptr<const Mesh>(), &input.mesh);
  Compiler compiler(mesh);
  std::map<std::pair<std::string, std::string>, std::vector<size_t>> replicas;
  for (size_t i = 0; i < input.dumps.proxies.size(); ++i) {
    const ProxyDump& dump = input.dumps.proxies[i];
    const Workload* workload = input.mesh.FindWorkload(dump.config->ns, dump.config->workload);
    bool has_proxy = workload != nullptr && workload->mode != ProxyMode::kNone &&
                     workload->mode != ProxyMode::kAmbient;
    if (has_proxy && !IsFromDump(*workload)) {
      auto expected = compiler.Compile(*workload);
      if (expected->unmodelled.empty()) {
        CompareProxy(DriftComparison(input, i, *workload, std::move(expected), &out));
      }
    } else if (!dump.config->workload.empty()) {
      replicas[{dump.config->ns, dump.config->workload}].push_back(i);
    }
    FindPlaceholders(input, i, &out);
    FindStanding(input, i, &out);
    FindCertificateDrift(input, i, workload, &out);
  }
  for (const auto& [name, indexes] : replicas) {
    if (indexes.size() > 1) CompareReplicas(input, indexes, &out);
  }
  for (size_t i = 0; i < input.dumps.ztunnels.size(); ++i) FindZtunnelDrift(input, i, &out);
  FindRootDrift(input, &out);
  return out;
}

void ReportDrift(const Analysis& analysis, std::string_view code, Reporter& reporter) {
  if (analysis.drift == nullptr) return;
  for (const DriftDifference& difference : *analysis.drift) {
    if (difference.code != code) continue;
    const auto& proxies = analysis.dumps->proxies;
    ObjectName name;
    if (difference.object != nullptr) {
      name = NameOf(*difference.object);
    } else if (difference.proxy >= proxies.size()) {
      name.kind = "Ztunnel";
      name.name = analysis.dumps->ztunnels[difference.proxy - proxies.size()].file;
    } else {
      const ProxyDump& dump = proxies[difference.proxy];
      name.kind = "Proxy";
      name.ns = dump.config->ns;
      name.name = dump.pod.empty() ? dump.config->workload : dump.pod;
    }
    Finding& finding = reporter.Report(std::move(name), difference.span, difference.message);
    finding.related = difference.related;
    finding.detail = difference.detail;
    finding.fix = difference.fix;
    finding.certainty = difference.certainty;
    finding.witness = difference.witness;
    finding.dump = difference.proxy;
    if (difference.severity) finding.severity = *difference.severity;
  }
}

}  // namespace meshproof

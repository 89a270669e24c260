#include "analyze/drift_comparison.h"

#include <utility>

#include "base/text.h"

namespace meshproof {

DriftComparison::DriftComparison(const DriftInput& drift_input, size_t proxy,
                                 const Workload& proxy_workload,
                                 std::shared_ptr<const ProxyConfig> by_manifests,
                                 std::vector<DriftDifference>* differences)
    : input(drift_input),
      dump(drift_input.dumps.proxies[proxy]),
      index(proxy),
      workload(proxy_workload),
      expected(std::move(by_manifests)),
      who(workload.ns + "/" + workload.name),
      pairs(PairChains(*expected, *dump.config)),
      versions(FindVersionDifferences(input.mesh, workload, dump.istio_version)),
      out(*differences) {}

DriftDifference& DriftComparison::Add(std::string code, Span span, std::string message) {
  DriftDifference difference;
  difference.code = std::move(code);
  difference.proxy = index;
  difference.span = span ? span : dump.span;
  difference.message = std::move(message);
  out.push_back(std::move(difference));
  return out.back();
}

void DriftComparison::ExplainByVersion(std::string_view kind, std::string_view name,
                                       DriftDifference* difference) {
  for (const VersionDifference& version : versions) {
    const ObjectMeta& object = *version.object;
    if (object.kind != kind || object.ns + "/" + std::string(object.name) != name) continue;
    difference->code.clear();
    difference->message = ToString(object) + " is not enforced as written in the proxy of " + who +
                          ": Istio " + dump.istio_version + " " + version.text + " (changed in " +
                          version.since + ")";
    difference->object = &object;
    difference->span = version.span;
    return;
  }
}

std::string ListText(const std::set<std::string>& texts) {
  return Join(std::vector<std::string>(texts.begin(), texts.end()), ", ");
}

}  // namespace meshproof

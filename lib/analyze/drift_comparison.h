#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/drift.h"
#include "analyze/drift_chains.h"
#include "analyze/drift_version.h"

namespace meshproof {

// One proxy's dump beside what the manifests compile into, and where its differences go.
struct DriftComparison {
  DriftComparison(const DriftInput& drift_input, size_t proxy, const Workload& proxy_workload,
                  std::shared_ptr<const ProxyConfig> by_manifests,
                  std::vector<DriftDifference>* differences);

  const DriftInput& input;
  const ProxyDump& dump;
  size_t index;  // of the dump
  const Workload& workload;
  std::shared_ptr<const ProxyConfig> expected;
  std::string who;  // "ns/workload"
  std::vector<ChainPair> pairs;
  std::vector<VersionDifference> versions;
  std::vector<DriftDifference>& out;

  // Valid until the next one is added. Without a span it stands at the dump's beginning.
  DriftDifference& Add(std::string code, Span span, std::string message);
  // What the release of Istio makes otherwise is no drift; `name` is "ns/name".
  void ExplainByVersion(std::string_view kind, std::string_view name, DriftDifference* difference);
};

// MP0901: policies that are missing or that nobody wrote. MP0902: the same name, another meaning.
void ComparePolicies(DriftComparison& comparison);
// MP0901 for RequestAuthentication: issuers; MP0902: what is asked of their tokens.
void CompareProviders(DriftComparison& comparison);
// MP0902: what jwt_authn's own rules ask of which request.
void CompareRequirements(DriftComparison& comparison);
// MP0904: security filters that a route switches off; MP0902: rules that it gives them.
void CompareOverrides(DriftComparison& comparison);
// MP0904: security filters that are absent, put out of order or turned into mere shadows.
void CompareOrder(DriftComparison& comparison);
// MP0904: settings of the connection manager that change what the rules see.
void CompareSettings(DriftComparison& comparison);
// MP0903: a port that takes plaintext in the dump and not by the manifests; TLS that the manifests
// want from a peer of the mesh and the proxy takes from others.
void CompareInbound(DriftComparison& comparison);
// MP0903: an outbound cluster that sends plaintext where mutual TLS is chosen.
void CompareClusters(DriftComparison& comparison);

// "port 80, port 8080".
std::string ListText(const std::set<std::string>& texts);

}  // namespace meshproof

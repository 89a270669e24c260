#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analyze/finding.h"
#include "analyze/rule.h"
#include "proxy/dump.h"
#include "simulate/simulate.h"

// What proxies run against what the manifests would have them run. All differences are found in one
// pass over each dump; the rules MP0901 to MP0907 report theirs.
namespace meshproof {

struct DriftDifference {
  std::string code;                    // of the rule that reports it; "": the release explains it
  size_t proxy = 0;                    // index into Dumps::proxies, behind them into ztunnels
  std::string message;                 // what, why, what to do
  const ObjectMeta* object = nullptr;  // the manifest's, where there is one
  Span span;  // in the dump; in the manifest where the dump lacks something
  std::vector<Related> related;
  std::string detail;
  std::string fix;
  Certainty certainty = Certainty::kLikely;
  std::optional<Severity> severity;  // other than the rule's
  // A request that tells the two apart, with the verdict of the dump; where it is, the difference
  // is proven.
  std::optional<Witness> witness;
};

struct DriftInput {
  const Mesh& mesh;
  const Dumps& dumps;
  int64_t now = 0;  // seconds since the epoch
};

// Differences by proxy, in the order of the dumps. A part that a dump does not have is not
// compared.
std::vector<DriftDifference> FindDrift(const DriftInput& input);

// Reports the differences of one rule.
void ReportDrift(const Analysis& analysis, std::string_view code, Reporter& reporter);

}  // namespace meshproof

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analyze/finding.h"
#include "analyze/rule.h"
#include "base/result.h"
#include "proxy/dump.h"

namespace meshproof {

struct AnalyzeOptions {
  // By code, name or group ("MP03"); checked by ResolveRules.
  std::vector<std::string> only, skip;
  // Severity by code, name or group; nothing = off. More specific keys win.
  std::map<std::string, std::optional<Severity>> severities;
  int64_t now = 0;
  std::string istio_version;
  bool show_suppressed = false;
  std::shared_ptr<const Dumps> dumps;  // for the rules of MP09; may be null
  unsigned threads = 0;
};

struct AnalyzeResult {
  std::vector<Finding> findings;  // sorted by file, place, code; suppressed ones only if asked for
  size_t suppressed = 0;
  std::shared_ptr<const void> workings;  // what the rules have asked; nobody needs it any more
};

// An error names the unknown rule and the nearest one.
Result<bool> CheckRuleNames(const AnalyzeOptions& options);

// Whether the options let a rule run.
bool IsRuleOn(const AnalyzeOptions& options, const Rule& rule);

// Runs every rule that is on, in parallel; applies suppressions; sorts once. The order of the input
// and the number of threads never change the result.
AnalyzeResult Analyze(const Mesh& mesh, const World& world, const AnalyzeOptions& options);

// SHA-256 (hex) of code, object and field path: survives moved lines.
std::string Fingerprint(const Finding& finding);

}  // namespace meshproof

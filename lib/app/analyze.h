#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof analyze`: what is wrong with this mesh?
struct AnalyzeCommandOptions {
  InputOptions input;
  std::vector<std::string> formats;  // "sarif", "sarif=out.sarif"; none = text
  std::optional<std::string> fail_on, min_severity;
  std::vector<std::string> only, skip;  // codes, names, groups; each may be a list with commas
  bool istioctl_codes = false;
  std::optional<std::string> baseline, write_baseline;
  bool prune_baseline = false;
  bool show_suppressed = false;
  std::optional<std::string> now;
  unsigned threads = 0;  // 0 = one a core; for tests, the result is the same
};

Exit RunAnalyze(const AnalyzeCommandOptions& options, const Host& host);

// `meshproof explain RULE` prints a rule's page, `meshproof rules` lists them.
struct ExplainOptions {
  std::string rule;
  std::string format = "text";
};
struct RulesOptions {
  std::string format = "text";
};

Exit RunExplain(const ExplainOptions& options, const Host& host);
Exit RunRules(const RulesOptions& options, const Host& host);

}  // namespace meshproof

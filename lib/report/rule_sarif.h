#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/span.h"

// SARIF 2.1.0 of commands that report one rule (`diff`, `prove`).
namespace meshproof {

struct RuleResult {
  std::string_view level;  // "error", "warning", "note"
  std::string text;        // whole sentences
  Span span;               // may be empty
  std::string kind;        // property "kind"; "" = none
};

// `code` is one of AllRules().
std::string RuleSarif(std::string_view code, const std::vector<RuleResult>& results,
                      const std::string& version);

}  // namespace meshproof

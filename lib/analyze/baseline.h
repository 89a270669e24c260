#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analyze/finding.h"
#include "base/json.h"
#include "base/result.h"

// Findings that are known and accepted for now (PRODUCT.md, *Baseline*): a file of fingerprints,
// which survive moved lines. Of several findings with one fingerprint as many are known as the
// file lists.
namespace meshproof {

struct BaselineEntry {
  std::string fingerprint, code;
  ObjectName object;
  std::string message;

  friend bool operator==(const BaselineEntry&, const BaselineEntry&) = default;
};

using Baseline = std::vector<BaselineEntry>;

// An error says what is wrong; another version of the format is one.
Result<Baseline> ParseBaseline(std::string_view text);
// Sorted, so that changes of the file can be read.
std::string WriteBaseline(Baseline baseline);

// Every finding that is not suppressed.
Baseline MakeBaseline(const std::vector<Finding>& findings);

// Takes the known ones out of `findings` (suppressed ones are left alone) and says which entries
// knew none.
struct BaselineUse {
  size_t hidden = 0;
  Baseline unused;
};
BaselineUse HideKnown(const Baseline& baseline, std::vector<Finding>* findings);

}  // namespace meshproof

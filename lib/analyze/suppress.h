#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analyze/finding.h"
#include "analyze/rule.h"

// What authors silence: `# meshproof: ignore[name, MP0401] reason until=2027-01-31` on the line or
// alone on the one above, an object's annotation `meshproof/ignore: "[name] reason"`, and
// istioctl's `galley.istio.io/analyze-suppress: IST0101,IST0102` (or `*`).
namespace meshproof {

struct SuppressionSite {
  Span span;
  std::vector<std::string> rules;  // codes, names or groups as written
  std::string reason;
  std::string until;  // "YYYY-MM-DD" or ""
  // What it covers: one line of its file, or an object.
  int line = 0;  // 0: the object
  ObjectName object;
  Span body;              // of an object that is not in the model: what stands in it is covered too
  bool istioctl = false;  // names IST codes; needs no reason
  bool used = false;
};

// Reads every suppression of the input. `malformed` gets what is wrong with those that cannot be
// used: no list, no reason, an unknown rule, a bad date.
struct MalformedSuppression {
  Span span;
  ObjectName object;
  std::string message;
};
std::vector<SuppressionSite> FindSuppressions(const Model& model,
                                              std::vector<MalformedSuppression>* malformed);

// Parses what stands behind `meshproof:` in a comment or in the annotation.
bool ParseSuppression(std::string_view text, SuppressionSite* site, std::string* problem);

// Marks findings that a site covers (expired ones cover nothing) and sites that covered any.
// `today` is "YYYY-MM-DD".
void ApplySuppressions(std::string_view today, std::vector<SuppressionSite>* sites,
                       std::vector<Finding>* findings);

// "MP0401", its name, or its group "MP04".
bool NamesRule(std::string_view written, const Rule& rule);
// What is wrong with a code, name or group that names no rule, with the nearest one; "" where it
// names any.
std::string UnknownRule(std::string_view written);
// The date of a moment, UTC.
std::string DateOf(int64_t seconds_since_epoch);

}  // namespace meshproof

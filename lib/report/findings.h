#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analyze/finding.h"
#include "base/json.h"
#include "report/style.h"

// What `analyze` found, and its formats: one file each. All of them show the same findings.
namespace meshproof {

struct FindingsReport {
  std::string version;             // of meshproof
  std::vector<Finding> findings;   // sorted; suppressed ones only where they are to be shown
  std::vector<std::string> files;  // that were read, sorted
  size_t objects = 0;
  size_t suppressed = 0;
  size_t baseline = 0;  // hidden because the baseline knows them
  Json skipped = Json::MakeArray();
  bool istioctl_codes = false;      // show them beside the rule (JSON always has them)
  std::optional<Severity> fail_on;  // nothing: never
  std::string directory;            // absolute; paths in it are shown relative to it

  // Suppressed findings do not count.
  size_t Count(Severity severity) const;
  // Whether a finding makes the run fail.
  bool Fails(const Finding& finding) const;
  bool Fails() const;
};

// Where to point; nothing where the finding is about no file.
std::optional<Location> PlaceOf(const Finding& finding);
// The codes of istioctl that it stands for: its own list, else its rule's.
const std::vector<std::string>& IstioctlCodes(const Finding& finding);
// "AuthorizationPolicy shop/orders", or "" where it is about no object.
std::string ObjectText(const ObjectName& object);
// "permissive-mtls/MP0201", with istioctl's codes where the report shows them.
std::string RuleText(const FindingsReport& report, const Finding& finding);
// "2 errors, 1 warning, 3 files, 12 objects; 4 suppressed, 1 in the baseline".
std::string SummaryText(const FindingsReport& report);
// "GET orders.shop:80/ from outside to … -> allow 200".
std::string WitnessText(const Witness& witness);

std::string FindingsText(const FindingsReport& report, const Style& style = {});
std::string FindingsConcise(const FindingsReport& report);
Json FindingsJson(const FindingsReport& report);
std::string FindingsSarif(const FindingsReport& report);
std::string FindingsGithub(const FindingsReport& report);
std::string FindingsJunit(const FindingsReport& report);
std::string FindingsGitlab(const FindingsReport& report);
std::string FindingsMarkdown(const FindingsReport& report);

}  // namespace meshproof

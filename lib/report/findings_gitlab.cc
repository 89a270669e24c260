// GitLab's code quality report: an array of issues, each with a unique fingerprint and a path.
#include <map>

#include "analyze/driver.h"
#include "analyze/rule.h"
#include "crypto/sha256.h"
#include "report/findings.h"
#include "report/rule_page.h"

namespace meshproof {
namespace {

std::string_view GitlabSeverity(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "critical";
    case Severity::kWarning:
      return "major";
    case Severity::kInfo:
      return "info";
  }
  return "info";
}

}  // namespace

std::string FindingsGitlab(const FindingsReport& report) {
  Json out = Json::MakeArray();
  std::map<std::string, int> seen;
  for (const Finding& finding : report.findings) {
    if (finding.suppressed) continue;
    std::string fingerprint = Fingerprint(finding);
    int before = seen[fingerprint]++;
    if (before > 0) fingerprint = Sha256Hex(fingerprint + "#" + std::to_string(before));
    Location place = PlaceOf(finding).value_or(Location{".", 1, 1, 1, 1});
    std::string text = finding.message;
    if (finding.witness) text += ". Witness: " + WitnessText(*finding.witness);
    if (!finding.fix.empty()) text += ". " + finding.fix;
    if (report.istioctl_codes && !IstioctlCodes(finding).empty()) {
      text += " [" + RuleText(report, finding) + "]";
    }
    Json issue = Json::MakeObject(
        {{"description", text},
         {"check_name", finding.rule->code + "/" + std::string(finding.rule->slug)},
         {"fingerprint", fingerprint},
         {"severity", GitlabSeverity(finding.severity)}});
    issue.Set("location",
              Json::MakeObject(
                  {{"path", RelativePath(report.directory, place.file)},
                   {"lines", Json::MakeObject({{"begin", place.line}, {"end", place.end_line}})}}));
    out.Append(std::move(issue));
  }
  return WriteJson(out, 2) + "\n";
}

}  // namespace meshproof

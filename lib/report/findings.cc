#include "report/findings.h"

#include <algorithm>

#include "analyze/rule.h"
#include "base/text.h"
#include "report/excerpt.h"
#include "report/parts.h"
#include "report/request_text.h"
#include "report/verdict_text.h"

namespace meshproof {

size_t FindingsReport::Count(Severity severity) const {
  return static_cast<size_t>(std::count_if(
      findings.begin(), findings.end(),
      [&](const Finding& finding) { return finding.severity == severity && !finding.suppressed; }));
}

bool FindingsReport::Fails(const Finding& finding) const {
  return fail_on && finding.severity >= *fail_on && !finding.suppressed;
}

bool FindingsReport::Fails() const {
  return std::any_of(findings.begin(), findings.end(),
                     [&](const Finding& finding) { return Fails(finding); });
}

std::optional<Location> PlaceOf(const Finding& finding) {
  if (finding.span) return Locate(finding.span);
  if (finding.file.empty()) return std::nullopt;
  return Location{finding.file, 1, 1, 1, 1};
}

const std::vector<std::string>& IstioctlCodes(const Finding& finding) {
  return finding.istioctl_codes ? *finding.istioctl_codes : finding.rule->istioctl;
}

std::string ObjectText(const ObjectName& object) {
  if (object.kind.empty()) return "";
  return object.kind + " " + (object.ns.empty() ? "" : object.ns + "/") + object.name;
}

std::string RuleText(const FindingsReport& report, const Finding& finding) {
  std::string text = std::string(finding.rule->slug) + "/" + finding.rule->code;
  if (report.istioctl_codes) {
    for (const auto& code : IstioctlCodes(finding)) text += ", " + code;
  }
  return text;
}

std::string SummaryText(const FindingsReport& report) {
  std::string text = Counted(report.Count(Severity::kError), "error") + ", " +
                     Counted(report.Count(Severity::kWarning), "warning") + ", " +
                     std::to_string(report.Count(Severity::kInfo)) + " info in " +
                     Counted(report.files.size(), "file") + " with " +
                     Counted(report.objects, "object");
  if (report.suppressed > 0) text += "; " + std::to_string(report.suppressed) + " suppressed";
  if (report.baseline > 0) text += "; " + std::to_string(report.baseline) + " in the baseline";
  return text;
}

std::string WitnessText(const Witness& witness) {
  return Printable(QuestionText(witness.question)) + "  ->  " + VerdictLine(witness.verdict);
}

}  // namespace meshproof

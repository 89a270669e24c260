// One line each, as compilers write them, for editors and grep.
#include "report/excerpt.h"
#include "report/findings.h"

namespace meshproof {

std::string FindingsConcise(const FindingsReport& report) {
  std::string out;
  for (const Finding& finding : report.findings) {
    if (auto place = PlaceOf(finding)) out += Printable(ToString(*place)) + ": ";
    out += std::string(ToString(finding.severity)) + "[" + RuleText(report, finding) +
           "]: " + Printable(finding.message);
    if (finding.suppressed) out += " (suppressed: " + Printable(finding.suppressed->reason) + ")";
    out += "\n";
  }
  return out;
}

}  // namespace meshproof

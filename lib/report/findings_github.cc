// Workflow commands of GitHub Actions: each finding becomes an annotation of its line.
#include "analyze/rule.h"
#include "report/excerpt.h"
#include "report/findings.h"
#include "report/rule_page.h"

namespace meshproof {
namespace {

// The runner decodes these; in properties `:` and `,` separate.
std::string Escape(std::string_view text, bool property) {
  std::string out;
  for (char c : text) {
    if (c == '%') {
      out += "%25";
    } else if (c == '\r') {
      out += "%0D";
    } else if (c == '\n') {
      out += "%0A";
    } else if (property && c == ':') {
      out += "%3A";
    } else if (property && c == ',') {
      out += "%2C";
    } else {
      out += c;
    }
  }
  return out;
}

std::string_view Command(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "error";
    case Severity::kWarning:
      return "warning";
    case Severity::kInfo:
      return "notice";
  }
  return "notice";
}

}  // namespace

std::string FindingsGithub(const FindingsReport& report) {
  std::string out;
  for (const Finding& finding : report.findings) {
    if (finding.suppressed) continue;
    std::string properties;
    if (auto place = PlaceOf(finding)) {
      properties = "file=" + Escape(RelativePath(report.directory, place->file), true) +
                   ",line=" + std::to_string(place->line) +
                   ",endLine=" + std::to_string(place->end_line);
      // Columns of an annotation over several lines are ignored, or refused.
      if (place->line == place->end_line) {
        properties += ",col=" + std::to_string(place->column) +
                      ",endColumn=" + std::to_string(place->end_column);
      }
      properties += ",";
    }
    properties += "title=" + Escape(RuleText(report, finding), true);
    std::string text = Printable(finding.message);
    if (finding.witness) text += "\nwitness: " + WitnessText(*finding.witness);
    if (!finding.fix.empty()) text += "\nhelp: " + Printable(finding.fix);
    out += "::" + std::string(Command(finding.severity)) + " " + properties +
           "::" + Escape(text, false) + "\n";
  }
  return out;
}

}  // namespace meshproof

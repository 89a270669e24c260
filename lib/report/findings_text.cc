// For people: where, what, the lines that it is about, a request that shows it, what to do.
#include "analyze/rule.h"
#include "base/text.h"
#include "report/excerpt.h"
#include "report/findings.h"
#include "report/parts.h"
#include "report/request_text.h"

namespace meshproof {
namespace {

std::string Paint(Severity severity, std::string_view text, const Style& style) {
  switch (severity) {
    case Severity::kError:
      return style.Bad(text);
    case Severity::kWarning:
      return style.Unsure(text);
    case Severity::kInfo:
      return style.Bold(text);
  }
  return std::string(text);
}

void AppendHead(const FindingsReport& report, const Finding& finding, const Style& style,
                std::string* out) {
  auto place = PlaceOf(finding);
  if (place) *out += style.Bold(Printable(ToString(*place)) + ":") + " ";
  std::string head =
      std::string(ToString(finding.severity)) + "[" + RuleText(report, finding) + "]";
  *out += Paint(finding.severity, head, style) + ": " + Printable(finding.message) + "\n";
  *out += Excerpt(finding.span, style);
}

void AppendSubject(const Finding& finding, const Style& style, std::string* out) {
  std::string object = Printable(ObjectText(finding.object));
  if (!object.empty()) *out += style.Dim("     =") + " in " + object + "\n";
  if (finding.certainty == Certainty::kCannotSee) {
    *out += style.Dim("     =") + " cannot see: what this speaks of may exist outside the input\n";
  }
}

void AppendEdits(const Finding& finding, std::string* out) {
  for (const Edit& edit : finding.edits) {
    std::string_view old =
        edit.span.file->text().substr(edit.span.begin, edit.span.end - edit.span.begin);
    *out += "      " + Printable(PlaceText(edit.span)) + ": ";
    if (old.empty()) {
      *out += "insert `" + Printable(edit.new_text) + "`\n";
    } else if (edit.new_text.empty()) {
      *out += "remove `" + Printable(old) + "`\n";
    } else {
      *out += "`" + Printable(old) + "` becomes `" + Printable(edit.new_text) + "`\n";
    }
  }
}

void AppendFinding(const FindingsReport& report, const Finding& finding, const Style& style,
                   std::string* out) {
  AppendHead(report, finding, style, out);
  AppendSubject(finding, style, out);
  for (const Related& related : finding.related) {
    *out += "  " + style.Bold("note:") + " ";
    if (related.span) *out += Printable(PlaceText(related.span)) + ": ";
    *out += Printable(related.message) + "\n" + Excerpt(related.span, style);
  }
  if (finding.witness) {
    *out += "  " + style.Bold("witness:") + " " + WitnessText(*finding.witness) + "\n";
    *out += "      " + Printable(CurlText(finding.witness->question)) + "\n";
  }
  if (!finding.fix.empty() || !finding.edits.empty()) {
    *out += "  " + style.Bold("help:") + " " +
            (finding.fix.empty() ? "change" : Printable(finding.fix)) + "\n";
    AppendEdits(finding, out);
  }
  if (finding.suppressed) {
    *out += "  " + style.Bold("suppressed:") + " " + Printable(finding.suppressed->reason);
    if (!finding.suppressed->until.empty()) *out += " (until " + finding.suppressed->until + ")";
    *out += "\n";
  }
  *out += "\n";
}

}  // namespace

std::string FindingsText(const FindingsReport& report, const Style& style) {
  std::string out = TextOfEach(report.findings.size(), [&](size_t i, std::string* text) {
    AppendFinding(report, report.findings[i], style, text);
  });
  out += SummaryText(report) + "\n";
  return out;
}

}  // namespace meshproof

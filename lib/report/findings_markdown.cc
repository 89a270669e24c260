// A comment of a pull request: a table for each severity, the worst first, details folded away.
#include <utility>

#include "analyze/rule.h"
#include "report/excerpt.h"
#include "report/findings.h"
#include "report/parts.h"
#include "report/request_text.h"
#include "report/rule_page.h"

namespace meshproof {
namespace {

// GitHub refuses a comment of more than 65,536 characters.
constexpr size_t kMostBytes = 60000;

// Text in a cell: nothing in it may end the cell, open a tag, mention anybody, or be a link or
// emphasis.
std::string Cell(std::string_view text) {
  constexpr std::string_view kMarks = "|\\[]*_~`";
  std::string out;
  for (char c : Printable(text)) {
    if (kMarks.find(c) != std::string_view::npos) {
      out += '\\';
      out += c;
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '@') {
      out += "&#64;";
    } else {
      out += c;
    }
  }
  return out;
}

// A message quotes with backquotes; inside of them Markdown shows characters as they are, entities
// too, and only `|` still ends a cell.
std::string MessageCell(std::string_view message) {
  std::string text = Printable(message);
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    size_t open = text.find('`', at);
    size_t close = open == std::string::npos ? open : text.find('`', open + 1);
    if (close == std::string::npos) break;
    out += Cell(std::string_view(text).substr(at, open - at));
    for (char c : std::string_view(text).substr(open, close + 1 - open)) {
      out += c == '|' ? "\\|" : std::string(1, c);
    }
    at = close + 1;
  }
  return out + Cell(std::string_view(text).substr(at));
}

std::string Code(std::string_view text) {
  std::string inner = Printable(text);
  std::string fence = "`";
  while (inner.find(fence) != std::string::npos) fence += "`";
  bool pad = inner.starts_with('`') || inner.ends_with('`');
  return fence + (pad ? " " : "") + inner + (pad ? " " : "") + fence;
}

std::string CodeCell(std::string_view text) {
  std::string out;
  for (char c : Code(text)) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

std::string Row(const FindingsReport& report, const Finding& finding) {
  auto place = PlaceOf(finding);
  std::string where = place ? CodeCell(RelativePath(report.directory, place->file) + ":" +
                                       std::to_string(place->line))
                            : "";
  std::string what = MessageCell(finding.message);
  if (finding.certainty == Certainty::kProven && finding.witness) {
    what += "<br>Witness: " + CodeCell(WitnessText(*finding.witness));
  }
  if (!finding.fix.empty()) what += "<br>**Fix:** " + MessageCell(finding.fix);
  if (finding.suppressed) what += "<br>*Suppressed:* " + Cell(finding.suppressed->reason);
  return "| " + where + " | " + Cell(RuleText(report, finding)) + " | " +
         Cell(ObjectText(finding.object)) + " | " + what + " |\n";
}

constexpr char kHead[] = "| Where | Rule | Object | What |\n|---|---|---|---|\n";

std::string Folded(const std::string& title, const std::string& rows) {
  return "<details><summary>" + title + "</summary>\n\n" + kHead + rows + "\n</details>\n";
}

std::string Title(Severity severity, size_t count) {
  switch (severity) {
    case Severity::kError:
      return Counted(count, "error");
    case Severity::kWarning:
      return Counted(count, "warning");
    case Severity::kInfo:
      return std::to_string(count) + " info";
  }
  return "";
}

}  // namespace

std::string FindingsMarkdown(const FindingsReport& report) {
  std::string out = "### meshproof: " +
                    std::string(report.Fails() ? "findings to look at" : "nothing that fails") +
                    "\n\n" + SummaryText(report) + "\n";
  size_t left_out = 0;
  // The rows of the findings that `shows` takes, and how many these are.
  auto take = [&](const auto& shows) {
    std::string rows;
    size_t count = 0;
    for (const Finding& finding : report.findings) {
      if (!shows(finding)) continue;
      std::string row = Row(report, finding);
      ++count;
      if (out.size() + rows.size() + row.size() > kMostBytes) {
        ++left_out;
      } else {
        rows += row;
      }
    }
    return std::make_pair(rows, count);
  };
  for (Severity severity : {Severity::kError, Severity::kWarning, Severity::kInfo}) {
    auto [rows, count] = take([&](const Finding& finding) {
      return finding.severity == severity && !finding.suppressed;
    });
    if (rows.empty()) continue;
    std::string title = Title(severity, count);
    out += "\n";
    out +=
        severity == Severity::kInfo ? Folded(title, rows) : "#### " + title + "\n\n" + kHead + rows;
  }
  auto [rows, count] = take([](const Finding& finding) { return finding.suppressed.has_value(); });
  if (!rows.empty()) out += "\n" + Folded(std::to_string(count) + " suppressed", rows);
  if (left_out > 0) {
    out += "\n" + std::to_string(left_out) + " more are left out, for the length of a comment.\n";
  }
  return out;
}

}  // namespace meshproof

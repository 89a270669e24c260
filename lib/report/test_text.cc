#include "report/parts.h"
#include "report/test_report.h"
#include "report/verdict_text.h"

namespace meshproof {
namespace {

constexpr size_t kCaseNearMisses = 2;

void AppendFailure(const CaseReport& test, const Style& style, std::string* out) {
  bool failed = test.outcome == CaseOutcome::kFail;
  *out += style.Bad(failed ? "FAIL" : "ERROR") + "  " + PlaceText(test.span) + "  " +
          style.Bold(test.name) + "\n";
  if (!failed || !test.got) {
    *out += "      " + test.message + "\n";
    return;
  }
  for (const auto& mismatch : test.mismatches) {
    *out += "      " + mismatch.field + ": expected " + mismatch.expected + ", got " +
            mismatch.got + "\n";
  }
  *out += "      verdict: " + VerdictLine(*test.got) + "; " + DecisionText(*test.got) + "\n";
  for (const auto& reason : test.got->missing) *out += "      missing: " + reason + "\n";
  size_t shown = 0;
  for (const auto& miss : test.got->near_misses) {
    if (shown++ == kCaseNearMisses) break;
    *out += "      near miss: " + NearMissText(miss) + "\n";
  }
}

void AppendCoverage(const TestReport& report, std::string* out) {
  size_t exercised = 0;
  for (const auto& row : report.coverage) exercised += row.cases > 0;
  *out += "coverage: " + std::to_string(exercised) + " of " +
          Counted(report.coverage.size(), "policy rule") + " exercised\n";
  for (const auto& row : report.coverage) {
    if (row.cases > 0) continue;
    *out += "  not exercised: rule " + std::to_string(row.rule) + " of " + ObjectText(*row.policy) +
            " (" + PlaceText(row.span) + ")\n";
  }
}

}  // namespace

size_t TestReport::Count(CaseOutcome outcome) const {
  size_t count = 0;
  for (const auto& file : files) {
    for (const auto& test : file.cases) count += test.outcome == outcome;
  }
  return count;
}

std::string_view ToString(CaseOutcome outcome) {
  switch (outcome) {
    case CaseOutcome::kPass:
      return "pass";
    case CaseOutcome::kFail:
      return "fail";
    case CaseOutcome::kError:
      return "error";
  }
  return "error";
}

std::string TestReportText(const TestReport& report, const Style& style) {
  std::string out;
  for (const auto& file : report.files) {
    for (const auto& test : file.cases) {
      if (test.outcome != CaseOutcome::kPass) AppendFailure(test, style, &out);
    }
  }
  if (!out.empty()) out += "\n";
  if (report.with_coverage) AppendCoverage(report, &out);
  size_t failed = report.Count(CaseOutcome::kFail);
  size_t errors = report.Count(CaseOutcome::kError);
  std::string summary = std::to_string(report.Count(CaseOutcome::kPass)) + " passed, " +
                        std::to_string(failed) + " failed, " + Counted(errors, "error");
  out += failed + errors == 0 ? style.Good(summary) : style.Bad(summary);
  out += " in " + Counted(report.files.size(), "file") + "\n";
  return out;
}

}  // namespace meshproof

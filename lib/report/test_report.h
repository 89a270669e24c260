#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "report/style.h"
#include "simulate/meshtest.h"
#include "simulate/verdict.h"

// What came out of running policy tests, and its formats.
namespace meshproof {

enum class CaseOutcome { kPass, kFail, kError };

struct CaseReport {
  std::string name;
  CaseOutcome outcome = CaseOutcome::kPass;
  Span span;
  Json expected;
  std::optional<Verdict> got;  // absent: kError
  std::vector<Mismatch> mismatches;
  std::string message;  // of a failure or an error; one line
};

struct FileReport {
  std::string file;
  std::vector<CaseReport> cases;
};

struct CoverageRow {
  const ObjectMeta* policy = nullptr;
  int rule = 0;
  Span span;
  size_t cases = 0;  // that the rule matched
};

struct TestReport {
  std::vector<FileReport> files;
  bool with_coverage = false;
  std::vector<CoverageRow> coverage;

  size_t Count(CaseOutcome outcome) const;
};

std::string_view ToString(CaseOutcome outcome);

std::string TestReportText(const TestReport& report, const Style& style = {});
Json TestReportJson(const TestReport& report);
std::string TestReportJunit(const TestReport& report);
std::string TestReportTap(const TestReport& report);

}  // namespace meshproof

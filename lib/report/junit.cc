#include "report/parts.h"
#include "report/test_report.h"
#include "report/verdict_text.h"
#include "report/xml.h"

namespace meshproof {
namespace {

std::string CaseCounts(size_t tests, size_t failures, size_t errors) {
  return XmlAttribute("tests", std::to_string(tests)) +
         XmlAttribute("failures", std::to_string(failures)) +
         XmlAttribute("errors", std::to_string(errors));
}

void AppendCase(const FileReport& file, const CaseReport& test, std::string* out) {
  *out += "    <testcase" + XmlAttribute("classname", file.file) + XmlAttribute("name", test.name);
  if (test.span) {
    *out += XmlAttribute("file", file.file) +
            XmlAttribute("line", std::to_string(Locate(test.span).line));
  }
  if (test.outcome == CaseOutcome::kPass) {
    *out += "/>\n";
    return;
  }
  std::string_view element = test.outcome == CaseOutcome::kFail ? "failure" : "error";
  *out += ">\n      <" + std::string(element) + XmlAttribute("message", test.message) + ">";
  if (test.got) *out += XmlText(VerdictText(*test.got, ""));
  *out += "</" + std::string(element) + ">\n    </testcase>\n";
}

}  // namespace

std::string TestReportJunit(const TestReport& report) {
  size_t passed = report.Count(CaseOutcome::kPass);
  size_t failed = report.Count(CaseOutcome::kFail);
  size_t errors = report.Count(CaseOutcome::kError);
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites" +
                    CaseCounts(passed + failed + errors, failed, errors) + ">\n";
  for (const auto& file : report.files) {
    size_t suite_failed = 0, suite_errors = 0;
    for (const auto& test : file.cases) {
      suite_failed += test.outcome == CaseOutcome::kFail;
      suite_errors += test.outcome == CaseOutcome::kError;
    }
    out += "  <testsuite" + XmlAttribute("name", file.file) +
           CaseCounts(file.cases.size(), suite_failed, suite_errors) + ">\n";
    for (const auto& test : file.cases) AppendCase(file, test, &out);
    out += "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

}  // namespace meshproof

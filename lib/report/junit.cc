#include "base/text.h"
#include "report/parts.h"
#include "report/test_report.h"
#include "report/verdict_text.h"

namespace meshproof {
namespace {

// XML 1.0 has no way to write most control characters: they become U+FFFD, as do bytes that are
// not UTF-8.
std::string Escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t valid = FindInvalidUtf8(text);
    for (char c : text.substr(0, valid)) {
      if (c == '&') {
        out += "&amp;";
      } else if (c == '<') {
        out += "&lt;";
      } else if (c == '>') {
        out += "&gt;";
      } else if (c == '"') {
        out += "&quot;";
      } else if (c == '\n') {
        out += "&#10;";
      } else if (static_cast<unsigned char>(c) < 0x20 && c != '\t') {
        out += "\xEF\xBF\xBD";
      } else {
        out += c;
      }
    }
    if (valid == std::string_view::npos) break;
    out += "\xEF\xBF\xBD";
    text.remove_prefix(valid + 1);
  }
  return out;
}

std::string Attribute(std::string_view name, std::string_view value) {
  return " " + std::string(name) + "=\"" + Escape(value) + "\"";
}

std::string Counts(size_t tests, size_t failures, size_t errors) {
  return Attribute("tests", std::to_string(tests)) +
         Attribute("failures", std::to_string(failures)) +
         Attribute("errors", std::to_string(errors));
}

void AppendCase(const FileReport& file, const CaseReport& test, std::string* out) {
  *out += "    <testcase" + Attribute("classname", file.file) + Attribute("name", test.name);
  if (test.span) {
    *out +=
        Attribute("file", file.file) + Attribute("line", std::to_string(Locate(test.span).line));
  }
  if (test.outcome == CaseOutcome::kPass) {
    *out += "/>\n";
    return;
  }
  std::string_view element = test.outcome == CaseOutcome::kFail ? "failure" : "error";
  *out += ">\n      <" + std::string(element) + Attribute("message", test.message) + ">";
  if (test.got) *out += Escape(VerdictText(*test.got, ""));
  *out += "</" + std::string(element) + ">\n    </testcase>\n";
}

}  // namespace

std::string TestReportJunit(const TestReport& report) {
  size_t passed = report.Count(CaseOutcome::kPass);
  size_t failed = report.Count(CaseOutcome::kFail);
  size_t errors = report.Count(CaseOutcome::kError);
  std::string out = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites" +
                    Counts(passed + failed + errors, failed, errors) + ">\n";
  for (const auto& file : report.files) {
    size_t suite_failed = 0, suite_errors = 0;
    for (const auto& test : file.cases) {
      suite_failed += test.outcome == CaseOutcome::kFail;
      suite_errors += test.outcome == CaseOutcome::kError;
    }
    out += "  <testsuite" + Attribute("name", file.file) +
           Counts(file.cases.size(), suite_failed, suite_errors) + ">\n";
    for (const auto& test : file.cases) AppendCase(file, test, &out);
    out += "  </testsuite>\n";
  }
  return out + "</testsuites>\n";
}

}  // namespace meshproof

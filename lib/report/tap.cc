#include "base/json.h"
#include "report/parts.h"
#include "report/test_report.h"
#include "report/verdict_text.h"

namespace meshproof {
namespace {

// `#` starts a directive and `\` escapes it; a description is one line.
std::string TapDescription(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '#' || c == '\\') out += '\\';
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

void AppendBlock(const CaseReport& test, std::string* out) {
  // A JSON string is a YAML one.
  auto field = [&](std::string_view name, std::string_view value) {
    *out += "  " + std::string(name) + ": " + WriteJson(Json(value)) + "\n";
  };
  *out += "  ---\n";
  field("message", test.message);
  field("severity", test.outcome == CaseOutcome::kFail ? "fail" : "error");
  if (test.span) field("at", PlaceText(test.span));
  if (test.got) {
    field("got", VerdictLine(*test.got) + "; " + DecisionText(*test.got));
    if (!test.got->near_misses.empty()) {
      field("near_miss", NearMissText(test.got->near_misses.front()));
    }
  }
  *out += "  ...\n";
}

}  // namespace

// TAP version 14.
std::string TestReportTap(const TestReport& report) {
  size_t total = 0;
  for (const auto& file : report.files) total += file.cases.size();
  std::string out = "TAP version 14\n1.." + std::to_string(total) + "\n";
  size_t number = 0;
  for (const auto& file : report.files) {
    for (const auto& test : file.cases) {
      bool passed = test.outcome == CaseOutcome::kPass;
      out += (passed ? "ok " : "not ok ") + std::to_string(++number) + " - " +
             TapDescription(file.file + ": " + test.name) + "\n";
      if (!passed) AppendBlock(test, &out);
    }
  }
  return out;
}

}  // namespace meshproof

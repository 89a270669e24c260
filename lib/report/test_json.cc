#include "report/parts.h"
#include "report/test_report.h"
#include "report/verdict_json.h"

namespace meshproof {

Json TestReportJson(const TestReport& report) {
  Json files = Json::MakeArray();
  for (const auto& file : report.files) {
    Json cases = Json::MakeArray();
    for (const auto& test : file.cases) {
      Json out = Json::MakeObject({{"name", test.name}, {"outcome", ToString(test.outcome)}});
      out.Set("location", LocationJson(test.span));
      out.Set("expected", test.expected);
      out.Set("got", test.got ? VerdictJson(*test.got) : Json());
      out.Set("message", test.message);
      cases.Append(std::move(out));
    }
    files.Append(Json::MakeObject({{"file", file.file}, {"cases", std::move(cases)}}));
  }
  Json summary = Json::MakeObject({{"passed", report.Count(CaseOutcome::kPass)},
                                   {"failed", report.Count(CaseOutcome::kFail)},
                                   {"errors", report.Count(CaseOutcome::kError)}});
  Json out = Json::MakeObject({{"version", 1}});
  out.Set("files", std::move(files));
  out.Set("summary", std::move(summary));
  if (report.with_coverage) {
    Json coverage = Json::MakeArray();
    for (const auto& row : report.coverage) {
      Json entry = Json::MakeObject({{"policy", ObjectJson(row.policy)}, {"rule", row.rule}});
      entry.Set("location", LocationJson(row.span));
      entry.Set("cases", row.cases);
      coverage.Append(std::move(entry));
    }
    out.Set("coverage", std::move(coverage));
  }
  return out;
}

}  // namespace meshproof

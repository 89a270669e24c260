// The format that others build on: keys, their order and their meaning are a contract.
#include <algorithm>

#include "analyze/driver.h"
#include "analyze/rule.h"
#include "base/parallel.h"
#include "report/findings.h"
#include "report/parts.h"
#include "report/request_text.h"
#include "report/verdict_json.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

Json ToJson(const Location& place) {
  return Json::MakeObject({{"file", place.file},
                           {"line", place.line},
                           {"column", place.column},
                           {"end_line", place.end_line},
                           {"end_column", place.end_column}});
}

Json ToJson(const ObjectName& object) {
  if (object.kind.empty()) return nullptr;
  return Json::MakeObject({{"kind", object.kind}, {"namespace", object.ns}, {"name", object.name}});
}

Json RelatedJson(const Finding& finding) {
  Json out = Json::MakeArray();
  for (const Related& related : finding.related) {
    Json entry = Json::MakeObject();
    entry.Set("location", LocationJson(related.span));
    entry.Set("message", related.message);
    out.Append(std::move(entry));
  }
  return out;
}

Json WitnessJson(const Finding& finding) {
  if (!finding.witness) return nullptr;
  Json out = Json::MakeObject();
  out.Set("request", CaseToJson(finding.witness->question));
  out.Set("verdict", VerdictJson(finding.witness->verdict));
  out.Set("curl", CurlText(finding.witness->question));
  return out;
}

Json FixJson(const Finding& finding) {
  if (finding.fix.empty() && finding.edits.empty()) return nullptr;
  Json edits = Json::MakeArray();
  for (const Edit& edit : finding.edits) {
    Json entry = Json::MakeObject();
    entry.Set("location", LocationJson(edit.span));
    entry.Set("new_text", edit.new_text);
    edits.Append(std::move(entry));
  }
  Json out = Json::MakeObject({{"text", finding.fix}});
  out.Set("edits", std::move(edits));
  return out;
}

Json FindingJson(const Finding& finding) {
  Json out = Json::MakeObject({{"code", finding.rule->code},
                               {"name", finding.rule->slug},
                               {"severity", ToString(finding.severity)},
                               {"certainty", ToString(finding.certainty)},
                               {"message", finding.message}});
  auto place = PlaceOf(finding);
  out.Set("object", ToJson(finding.object));
  out.Set("location", place ? ToJson(*place) : Json());
  out.Set("related", RelatedJson(finding));
  out.Set("witness", WitnessJson(finding));
  out.Set("fix", FixJson(finding));
  out.Set("fingerprint", Fingerprint(finding));
  Json codes = Json::MakeArray();
  for (const auto& code : IstioctlCodes(finding)) codes.Append(code);
  out.Set("istioctl_codes", std::move(codes));
  Json suppressed;
  if (finding.suppressed) {
    const auto& until = finding.suppressed->until;
    suppressed = Json::MakeObject({{"reason", finding.suppressed->reason}});
    suppressed.Set("until", until.empty() ? Json() : Json(until));
  }
  out.Set("suppressed", std::move(suppressed));
  return out;
}

}  // namespace

Json FindingsJson(const FindingsReport& report) {
  Json findings = Json::MakeArray();
  std::vector<Json> each(report.findings.size());
  constexpr size_t kRun = 256;  // findings; fewer are not worth a thread
  ParallelFor((each.size() + kRun - 1) / kRun, [&](size_t run) {
    const size_t end = std::min(each.size(), (run + 1) * kRun);
    for (size_t i = run * kRun; i < end; ++i) each[i] = FindingJson(report.findings[i]);
  });
  for (Json& finding : each) findings.Append(std::move(finding));
  Json out = Json::MakeObject({{"version", 1}});
  out.Set("findings", std::move(findings));
  out.Set("skipped", report.skipped);
  out.Set("summary", Json::MakeObject({{"error", report.Count(Severity::kError)},
                                       {"warning", report.Count(Severity::kWarning)},
                                       {"info", report.Count(Severity::kInfo)},
                                       {"suppressed", report.suppressed},
                                       {"baseline", report.baseline},
                                       {"files", report.files.size()},
                                       {"objects", report.objects}}));
  return out;
}

}  // namespace meshproof

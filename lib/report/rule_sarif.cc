#include "report/rule_sarif.h"

#include "analyze/rule.h"
#include "base/check.h"
#include "base/json.h"

namespace meshproof {
namespace {

Json ResultJson(const RuleResult& result, const std::string& code) {
  Json out = Json::MakeObject({{"ruleId", code}, {"level", result.level}});
  out.Set("message", Json::MakeObject({{"text", result.text}}));
  Json locations = Json::MakeArray();
  if (result.span) {
    Location place = Locate(result.span);
    Json region = Json::MakeObject({{"startLine", place.line}, {"startColumn", place.column}});
    Json physical = Json::MakeObject();
    physical.Set("artifactLocation", Json::MakeObject({{"uri", place.file}}));
    physical.Set("region", std::move(region));
    locations.Append(Json::MakeObject({{"physicalLocation", std::move(physical)}}));
  }
  out.Set("locations", std::move(locations));
  if (!result.kind.empty()) {
    out.Set("properties", Json::MakeObject({{"kind", result.kind}}));
  }
  return out;
}

}  // namespace

std::string RuleSarif(std::string_view code, const std::vector<RuleResult>& results,
                      const std::string& version) {
  const Rule* rule = FindRule(code);
  MESHPROOF_CHECK(rule != nullptr);
  Json list = Json::MakeArray();
  for (const RuleResult& result : results) list.Append(ResultJson(result, rule->code));
  Json about = Json::MakeObject({{"id", rule->code}, {"name", rule->slug}});
  about.Set("shortDescription", Json::MakeObject({{"text", rule->summary + "."}}));
  Json driver = Json::MakeObject({{"name", "meshproof"}, {"version", version}});
  driver.Set("rules", Json(Json::Array{std::move(about)}));
  Json run = Json::MakeObject({{"tool", Json::MakeObject({{"driver", std::move(driver)}})}});
  run.Set("columnKind", "unicodeCodePoints");
  run.Set("results", std::move(list));
  Json out = Json::MakeObject(
      {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"}, {"version", "2.1.0"}});
  out.Set("runs", Json(Json::Array{std::move(run)}));
  return WriteJson(out, 2) + "\n";
}

}  // namespace meshproof

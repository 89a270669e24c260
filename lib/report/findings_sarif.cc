// SARIF 2.1.0 for code scanning: paths relative to the working directory, columns in code points,
// every rule with its page. https://docs.oasis-open.org/sarif/sarif/v2.1.0/
#include <algorithm>

#include "analyze/driver.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "report/findings.h"
#include "report/parts.h"
#include "report/request_text.h"
#include "report/rule_page.h"

namespace meshproof {
namespace {

constexpr char kFingerprint[] = "meshproof/v1";

std::string_view SarifLevel(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "error";
    case Severity::kWarning:
      return "warning";
    case Severity::kInfo:
      return "note";
  }
  return "note";
}

// GitHub sorts alerts by this number: high, medium, low.
std::string_view SecuritySeverity(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return "8.0";
    case Severity::kWarning:
      return "5.0";
    case Severity::kInfo:
      return "2.0";
  }
  return "2.0";
}

// A path as a URI reference.
std::string Uri(std::string_view path) {
  constexpr std::string_view kKept = "-_.~/!$&'()*+,;=@";
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out = path.starts_with('/') ? "file://" : "";
  for (char c : path) {
    auto byte = static_cast<unsigned char>(c);
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (plain || kKept.find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    }
  }
  return out;
}

// "a sentence" as "A sentence."
std::string Sentence(std::string_view text) {
  std::string out(text);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 32);
  if (!out.empty() && !out.ends_with('.')) out += ".";
  return out;
}

Json Text(std::string_view text) {
  return Json::MakeObject({{"text", text}});
}

Json Region(const Location& place) {
  return Json::MakeObject({{"startLine", place.line},
                           {"startColumn", place.column},
                           {"endLine", place.end_line},
                           {"endColumn", place.end_column}});
}

Json Artifact(const FindingsReport& report, const std::string& file) {
  return Json::MakeObject({{"uri", Uri(RelativePath(report.directory, file))}});
}

Json PhysicalLocation(const FindingsReport& report, const Location& place) {
  Json out = Json::MakeObject();
  out.Set("artifactLocation", Artifact(report, place.file));
  out.Set("region", Region(place));
  return out;
}

Json RuleJson(const Rule& rule) {
  Json out = Json::MakeObject({{"id", rule.code}, {"name", rule.slug}});
  out.Set("shortDescription", Text(Sentence(rule.summary)));
  std::string what = rule.summary;
  for (const PageSection& section : SectionsOf(rule.page)) {
    if (section.title == "What it finds") what = std::string(TrimSpace(section.text));
  }
  out.Set("fullDescription", Text(Sentence(what)));
  std::string page(BodyOf(rule.page));
  out.Set("help", Json::MakeObject({{"text", PageText(rule, Style{})}, {"markdown", page}}));
  for (const auto& ref : rule.refs) {
    if (!ref.starts_with("https://")) continue;
    out.Set("helpUri", ref);
    break;
  }
  out.Set("defaultConfiguration", Json::MakeObject({{"level", SarifLevel(rule.severity)}}));
  Json tags = Json::MakeArray();
  tags.Append("security");
  tags.Append("istio");
  for (const auto& code : rule.istioctl) tags.Append(code);
  Json properties = Json::MakeObject({{"security-severity", SecuritySeverity(rule.severity)}});
  properties.Set("tags", std::move(tags));
  out.Set("properties", std::move(properties));
  return out;
}

Json Locations(const FindingsReport& report, const Finding& finding) {
  Json location = Json::MakeObject();
  if (auto place = PlaceOf(finding)) {
    location.Set("physicalLocation", PhysicalLocation(report, *place));
  }
  const ObjectName& object = finding.object;
  if (!object.kind.empty()) {
    Json logical =
        Json::MakeObject({{"name", object.name},
                          {"fullyQualifiedName", object.kind + "/" + object.ns + "/" + object.name},
                          {"kind", "resource"}});
    location.Set("logicalLocations", Json(Json::Array{std::move(logical)}));
  }
  Json out = Json::MakeArray();
  if (!location.as_object().empty()) out.Append(std::move(location));
  return out;
}

Json RelatedLocations(const FindingsReport& report, const Finding& finding) {
  Json out = Json::MakeArray();
  int id = 0;
  for (const Related& related : finding.related) {
    if (!related.span) continue;
    Json entry = Json::MakeObject({{"id", ++id}});
    entry.Set("physicalLocation", PhysicalLocation(report, Locate(related.span)));
    entry.Set("message", Text(Sentence(related.message)));
    out.Append(std::move(entry));
  }
  return out;
}

// A fix that states exact edits; advice alone stands in the message.
Json Fixes(const FindingsReport& report, const Finding& finding) {
  Json changes = Json::MakeArray();
  std::vector<std::string> files;
  for (const Edit& edit : finding.edits) {
    const std::string& file = edit.span.file->name();
    if (std::find(files.begin(), files.end(), file) == files.end()) files.push_back(file);
  }
  for (const auto& file : files) {
    Json replacements = Json::MakeArray();
    for (const Edit& edit : finding.edits) {
      if (edit.span.file->name() != file) continue;
      Json replacement = Json::MakeObject();
      replacement.Set("deletedRegion", Region(Locate(edit.span)));
      if (!edit.new_text.empty()) replacement.Set("insertedContent", Text(edit.new_text));
      replacements.Append(std::move(replacement));
    }
    Json change = Json::MakeObject();
    change.Set("artifactLocation", Artifact(report, file));
    change.Set("replacements", std::move(replacements));
    changes.Append(std::move(change));
  }
  Json fix = Json::MakeObject();
  fix.Set("description", Text(finding.fix.empty() ? "Apply the edits." : Sentence(finding.fix)));
  fix.Set("artifactChanges", std::move(changes));
  return Json(Json::Array{std::move(fix)});
}

Json ResultJson(const FindingsReport& report, const Finding& finding, size_t rule_index) {
  Json out = Json::MakeObject({{"ruleId", finding.rule->code},
                               {"ruleIndex", rule_index},
                               {"level", SarifLevel(finding.severity)}});
  std::string text = Sentence(finding.message);
  if (finding.witness) text += "\nWitness: " + Sentence(WitnessText(*finding.witness));
  if (!finding.fix.empty()) text += "\nFix: " + Sentence(finding.fix);
  // "[text](target)" would be a link.
  for (size_t at = 0; (at = text.find("](", at)) != std::string::npos; at += 3) {
    text.insert(at + 1, " ");
  }
  out.Set("message", Text(text));
  out.Set("locations", Locations(report, finding));
  Json related = RelatedLocations(report, finding);
  if (!related.as_array().empty()) out.Set("relatedLocations", std::move(related));
  out.Set("partialFingerprints", Json::MakeObject({{kFingerprint, Fingerprint(finding)}}));
  if (!finding.edits.empty()) out.Set("fixes", Fixes(report, finding));
  if (finding.suppressed) {
    Json suppression = Json::MakeObject({{"kind", "inSource"}, {"status", "accepted"}});
    suppression.Set("justification", finding.suppressed->reason);
    out.Set("suppressions", Json(Json::Array{std::move(suppression)}));
  }
  Json properties = Json::MakeObject({{"certainty", ToString(finding.certainty)}});
  if (finding.witness) properties.Set("curl", CurlText(finding.witness->question));
  if (report.istioctl_codes) {
    Json codes = Json::MakeArray();
    for (const auto& code : IstioctlCodes(finding)) codes.Append(code);
    properties.Set("istioctlCodes", std::move(codes));
  }
  out.Set("properties", std::move(properties));
  return out;
}

}  // namespace

std::string FindingsSarif(const FindingsReport& report) {
  Json rules = Json::MakeArray();
  for (const Rule& rule : AllRules()) rules.Append(RuleJson(rule));
  Json driver = Json::MakeObject(
      {{"name", "meshproof"}, {"version", report.version}, {"semanticVersion", report.version}});
  driver.Set("rules", std::move(rules));
  Json results = Json::MakeArray();
  for (const Finding& finding : report.findings) {
    auto index = static_cast<size_t>(finding.rule - AllRules().data());
    results.Append(ResultJson(report, finding, index));
  }
  Json tool = Json::MakeObject();
  tool.Set("driver", std::move(driver));
  Json run = Json::MakeObject();
  run.Set("tool", std::move(tool));
  run.Set("columnKind", "unicodeCodePoints");
  run.Set("results", std::move(results));
  Json out = Json::MakeObject(
      {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"}, {"version", "2.1.0"}});
  out.Set("runs", Json(Json::Array{std::move(run)}));
  return WriteJson(out, 2) + "\n";
}

}  // namespace meshproof

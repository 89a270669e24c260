#include "report/change.h"

#include <algorithm>

#include "base/text.h"
#include "report/access.h"
#include "report/parts.h"
#include "report/request_text.h"
#include "report/rule_sarif.h"
#include "report/verdict_json.h"
#include "report/verdict_text.h"

namespace meshproof {
namespace {

// The rule that `diff` reports (rules/access-changed.md).
constexpr const char* kRule = "MP0422";

Json CauseJson(const Verdict& verdict) {
  Json out = Json::MakeArray();
  Json place = LocationJson(PlaceOf(verdict.decided_by));
  if (!place.is_null()) out.Append(std::move(place));
  return out;
}

std::string CauseText(const Verdict& verdict) {
  std::string text = std::string(ToString(verdict.outcome));
  if (verdict.status != 0) text += " " + std::to_string(verdict.status);
  if (verdict.decided_by.object != nullptr) {
    text += ", " + OriginText(verdict.decided_by);
  } else {
    bool allowed = verdict.outcome == Outcome::kAllow;
    bool by_policy = verdict.stage == Stage::kAllow || verdict.stage == Stage::kNone;
    if (by_policy) text += allowed ? ", no ALLOW policy applies" : ", no ALLOW rule matches";
  }
  return text;
}

Json DifferenceJson(const Difference& difference) {
  Json out = Json::MakeObject({{"code", kRule}, {"region", difference.region}});
  out.Set("witness", ExampleJson(&difference.new_example));
  out.Set("old_verdict", VerdictJson(difference.old_example.verdict));
  out.Set("old", CauseJson(difference.old_example.verdict));
  out.Set("new", CauseJson(difference.new_example.verdict));
  return out;
}

Json WorkloadsJson(const std::vector<const Workload*>& workloads) {
  Json out = Json::MakeArray();
  for (const Workload* workload : workloads) out.Append(ObjectJson(workload->object));
  return out;
}

std::string NamesText(const ChangeReport::Group& group) {
  constexpr size_t kShown = 5;
  std::vector<std::string> names(
      group.names.begin(),
      group.names.begin() + static_cast<std::ptrdiff_t>(std::min(kShown, group.names.size())));
  std::string text = Join(names, ", ");
  if (group.names.size() > kShown) {
    text += " and " + std::to_string(group.names.size() - kShown) + " more";
  }
  return text;
}

void AppendDifferences(const std::vector<Difference>& differences, const std::string& title,
                       std::string* out) {
  for (const Difference& difference : differences) {
    *out += "  " + title + " [" + kRule + "]: " + difference.region + "\n";
    *out += "    " + QuestionText(difference.new_example.request) + "\n";
    *out += "    old: " + CauseText(difference.old_example.verdict) + "\n";
    *out += "    new: " + CauseText(difference.new_example.verdict) + "\n";
  }
}

std::string Code(const std::string& text) {
  std::string out = "`";
  for (char c : text) out += c == '`' ? '\'' : c;
  return out + "`";
}

void AppendMarkdown(const std::vector<Difference>& differences, const std::string& title,
                    std::string* out) {
  if (differences.empty()) return;
  *out += "**" + title + "**\n\n";
  for (const Difference& difference : differences) {
    *out += "- " + difference.region + "\n";
    *out += "  - " + Code(QuestionText(difference.new_example.request)) + "\n";
    *out += "  - old: " + CauseText(difference.old_example.verdict) + "\n";
    *out += "  - new: " + CauseText(difference.new_example.verdict) + "\n";
  }
  *out += "\n";
}

std::string Summary(const ChangeReport& report) {
  size_t opened = 0;
  size_t shut = 0;
  for (const auto& group : report.groups) {
    opened += group.newly_allowed.size();
    shut += group.newly_refused.size();
  }
  std::string text =
      std::to_string(opened) + " newly allowed, " + std::to_string(shut) + " newly denied";
  if (!report.undetermined.empty()) {
    text += ", " + std::to_string(report.undetermined.size()) + " undetermined";
  }
  return text;
}

std::vector<std::string> NamesOf(const std::vector<const Workload*>& workloads) {
  std::vector<std::string> names;
  for (const Workload* workload : workloads) names.push_back(workload->ns + "/" + workload->name);
  return names;
}

RuleResult SarifResult(const Difference& difference, const std::string& names, bool opened) {
  RuleResult result;
  result.level = opened ? "warning" : "note";
  result.kind = opened ? "newly-allowed" : "newly-denied";
  result.text = names + ": " + (opened ? "newly allowed: " : "newly denied: ") + difference.region +
                ". Request: " + QuestionText(difference.new_example.request) +
                ". Old: " + CauseText(difference.old_example.verdict) +
                ". New: " + CauseText(difference.new_example.verdict) + ".";
  result.span = PlaceOf(difference.new_example.verdict.decided_by);
  if (!result.span) result.span = PlaceOf(difference.old_example.verdict.decided_by);
  return result;
}

}  // namespace

bool ChangeReport::opens() const {
  return std::any_of(groups.begin(), groups.end(),
                     [](const Group& group) { return !group.newly_allowed.empty(); });
}

bool ChangeReport::differs() const {
  return opens() || std::any_of(groups.begin(), groups.end(),
                                [](const Group& group) { return !group.newly_refused.empty(); });
}

Json ChangeJson(const ChangeReport& report) {
  Json workloads = Json::MakeArray();
  for (const auto& group : report.groups) {
    Json objects = Json::MakeArray();
    for (const ObjectMeta* object : group.objects) objects.Append(ObjectJson(object));
    Json opened = Json::MakeArray();
    for (const Difference& one : group.newly_allowed) opened.Append(DifferenceJson(one));
    Json shut = Json::MakeArray();
    for (const Difference& one : group.newly_refused) shut.Append(DifferenceJson(one));
    Json notes = Json::MakeArray();
    for (const std::string& note : group.notes) notes.Append(note);
    Json entry = Json::MakeObject({{"objects", std::move(objects)}});
    entry.Set("newly_allowed", std::move(opened));
    entry.Set("newly_denied", std::move(shut));
    entry.Set("notes", std::move(notes));
    workloads.Append(std::move(entry));
  }
  Json undetermined = Json::MakeArray();
  for (const std::string& reason : report.undetermined) undetermined.Append(reason);
  Json out = Json::MakeObject({{"version", 1}, {"workloads", std::move(workloads)}});
  out.Set("added", WorkloadsJson(report.added));
  out.Set("removed", WorkloadsJson(report.removed));
  out.Set("undetermined", std::move(undetermined));
  return out;
}

std::string ChangeText(const ChangeReport& report, const Style& style) {
  std::string out;
  for (const auto& group : report.groups) {
    out += style.Bold(NamesText(group)) + "\n";
    for (const std::string& note : group.notes) out += "  note: " + note + "\n";
    AppendDifferences(group.newly_allowed, style.Bad("newly allowed"), &out);
    AppendDifferences(group.newly_refused, style.Unsure("newly denied"), &out);
    out += "\n";
  }
  if (!report.added.empty()) out += "new workloads: " + Join(NamesOf(report.added), ", ") + "\n";
  if (!report.removed.empty()) out += "gone: " + Join(NamesOf(report.removed), ", ") + "\n";
  for (const std::string& reason : report.undetermined) out += "undetermined: " + reason + "\n";
  return out + Summary(report) + "\n";
}

std::string ChangeMarkdown(const ChangeReport& report) {
  std::string out = "## Access: " + Summary(report) + "\n\n";
  for (const auto& group : report.groups) {
    out += "### " + NamesText(group) + "\n\n";
    for (const std::string& note : group.notes) out += "> " + note + "\n\n";
    AppendMarkdown(group.newly_allowed, "Newly allowed", &out);
    AppendMarkdown(group.newly_refused, "Newly denied", &out);
  }
  if (!report.added.empty()) out += "New workloads: " + Join(NamesOf(report.added), ", ") + "\n\n";
  if (!report.removed.empty()) out += "Gone: " + Join(NamesOf(report.removed), ", ") + "\n\n";
  for (const std::string& reason : report.undetermined) out += "- undetermined: " + reason + "\n";
  return out;
}

std::string ChangeSarif(const ChangeReport& report, const std::string& version) {
  std::vector<RuleResult> results;
  for (const auto& group : report.groups) {
    for (const Difference& one : group.newly_allowed) {
      results.push_back(SarifResult(one, NamesText(group), true));
    }
    for (const Difference& one : group.newly_refused) {
      results.push_back(SarifResult(one, NamesText(group), false));
    }
  }
  return RuleSarif(kRule, results, version);
}

}  // namespace meshproof

#include "analyze/rule.h"

#include <algorithm>

#include "analyze/rule_table.h"
#include "base/check.h"
#include "base/text.h"

namespace meshproof {
namespace {

Severity ParseSeverity(std::string_view text) {
  if (text == "error") return Severity::kError;
  if (text == "warning") return Severity::kWarning;
  MESHPROOF_CHECK(text == "info");
  return Severity::kInfo;
}

// "[a, b]" or "a".
std::vector<std::string> ParseList(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  std::vector<std::string> values;
  for (std::string_view piece : Split(text, ',')) {
    piece = TrimSpace(piece);
    if (!piece.empty()) values.emplace_back(piece);
  }
  return values;
}

// The page opens with "---", one `key: value` a line, "---". A page that does not is our bug.
Rule MakeRule(const RulePage& page) {
  Rule rule;
  rule.slug = page.slug;
  rule.page = page.page;
  rule.check = page.check;
  std::vector<std::string_view> lines = Split(page.page, '\n');
  MESHPROOF_CHECK(lines.size() > 2 && lines[0] == "---");
  for (size_t i = 1; lines[i] != "---"; ++i) {
    MESHPROOF_CHECK(i + 1 < lines.size());
    size_t colon = lines[i].find(": ");
    MESHPROOF_CHECK(colon != std::string_view::npos);
    std::string_view key = lines[i].substr(0, colon);
    std::string_view value = TrimSpace(lines[i].substr(colon + 2));
    if (key == "code") {
      rule.code = value;
    } else if (key == "name") {
      MESHPROOF_CHECK(value == page.slug);
    } else if (key == "severity") {
      rule.severity = ParseSeverity(value);
    } else if (key == "summary") {
      rule.summary = value;
    } else if (key == "kinds") {
      rule.kinds = ParseList(value);
    } else if (key == "since") {
      rule.since = value;
    } else if (key == "istioctl") {
      rule.istioctl = ParseList(value);
    } else {
      // `command`: which command reports it; `analyze` does not.
      MESHPROOF_CHECK(key == "fix" || key == "refs" || key == "command");
      if (key == "refs") rule.refs = ParseList(value);
    }
  }
  MESHPROOF_CHECK(!rule.code.empty() && !rule.summary.empty() && !rule.since.empty());
  return rule;
}

}  // namespace

std::string_view ToString(Certainty certainty) {
  switch (certainty) {
    case Certainty::kProven:
      return "proven";
    case Certainty::kLikely:
      return "likely";
    case Certainty::kCannotSee:
      return "cannot-see";
  }
  return "likely";
}

ObjectName NameOf(const ObjectMeta& meta) {
  return {std::string(meta.kind), meta.ns, std::string(meta.name)};
}

bool Analysis::SeesNamespace(std::string_view ns) const {
  if (mesh.FindNamespace(ns) != nullptr) return true;
  return std::any_of(mesh.workloads().begin(), mesh.workloads().end(),
                     [&](const Workload& workload) { return workload.ns == ns; });
}

Finding& Reporter::Report(const ObjectMeta& object, Span span, std::string message) {
  return Report(NameOf(object), span ? span : object.span, std::move(message));
}

Finding& Reporter::Report(ObjectName object, Span span, std::string message) {
  Finding finding;
  finding.rule = &rule_;
  finding.severity = rule_.severity;
  finding.object = std::move(object);
  finding.span = span;
  finding.message = std::move(message);
  findings_.push_back(std::move(finding));
  return findings_.back();
}

std::span<const Rule> AllRules() {
  static const std::vector<Rule> kRules = [] {
    std::vector<Rule> rules;
    for (const RulePage& page : RulePages()) rules.push_back(MakeRule(page));
    std::sort(rules.begin(), rules.end(),
              [](const Rule& a, const Rule& b) { return a.code < b.code; });
    return rules;
  }();
  return kRules;
}

const Rule* FindRule(std::string_view code_or_name) {
  for (const Rule& rule : AllRules()) {
    if (EqualsIgnoreCase(rule.code, code_or_name) || EqualsIgnoreCase(rule.slug, code_or_name)) {
      return &rule;
    }
  }
  return nullptr;
}

bool AttachWitness(const Analysis& analysis, const Case& question, Outcome expected,
                   Finding* finding) {
  Case asked = question;
  if (!asked.now) asked.now = analysis.now;
  auto verdict = analysis.world.Run(asked, World::Addresses::kAssume, Detail::kTrace);
  if (!verdict.ok() || verdict.value().outcome != expected) return false;
  finding->witness = Witness{std::move(asked), verdict.Take()};
  finding->certainty = Certainty::kProven;
  return true;
}

}  // namespace meshproof

// Runs the rules over one snapshot. Rules do not know of each other, of suppressions, of the
// baseline or of formats: they report, and what happens to a finding is decided here, once.

#include "analyze/driver.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <tuple>

#include "analyze/drift.h"
#include "analyze/reach.h"
#include "analyze/shared_views.h"
#include "analyze/suppress.h"
#include "analyze/workload_index.h"
#include "base/parallel.h"
#include "base/text.h"
#include "crypto/sha256.h"
#include "proxy/dump_input.h"

namespace meshproof {
namespace {

constexpr std::string_view kSuppressionRule = "useless-suppression";

bool NamesAny(const std::vector<std::string>& written, const Rule& rule) {
  return std::any_of(written.begin(), written.end(),
                     [&](const std::string& name) { return NamesRule(name, rule); });
}

// The severity that the settings give a rule; a code or name beats a group.
std::optional<Severity> SeverityOf(const AnalyzeOptions& options, const Rule& rule) {
  std::optional<Severity> severity = rule.severity;
  size_t best = 0;
  for (const auto& [name, value] : options.severities) {
    if (!NamesRule(name, rule) || name.size() < best) continue;
    severity = value;
    best = name.size();
  }
  return severity;
}

auto SortKey(const Finding& finding) {
  std::string_view file =
      finding.span ? std::string_view(finding.span.file->name()) : std::string_view(finding.file);
  return std::make_tuple(file, finding.span.begin, std::string_view(finding.rule->code),
                         finding.span.end, std::string_view(finding.object.kind),
                         std::string_view(finding.object.ns), std::string_view(finding.object.name),
                         std::string_view(finding.message));
}

// Findings are large: each is moved once.
void SortFindings(std::vector<Finding>* findings) {
  std::vector<Finding*> order;
  order.reserve(findings->size());
  for (Finding& finding : *findings) order.push_back(&finding);
  std::stable_sort(order.begin(), order.end(),
                   [](const Finding* a, const Finding* b) { return SortKey(*a) < SortKey(*b); });
  order.erase(
      std::unique(order.begin(), order.end(),
                  [](const Finding* a, const Finding* b) { return SortKey(*a) == SortKey(*b); }),
      order.end());
  std::vector<Finding> sorted;
  sorted.reserve(order.size());
  for (Finding* finding : order) sorted.push_back(std::move(*finding));
  *findings = std::move(sorted);
}

void ReportSuppressions(const std::vector<SuppressionSite>& sites,
                        const std::vector<MalformedSuppression>& malformed, std::string_view today,
                        const AnalyzeOptions& options, std::vector<Finding>* findings) {
  const Rule* rule = FindRule(kSuppressionRule);
  if (rule == nullptr || !IsRuleOn(options, *rule)) return;
  Reporter reporter(*rule);
  for (const auto& bad : malformed) {
    reporter.Report(bad.object, bad.span, "this suppression is not used: " + bad.message);
  }
  bool all_rules = options.only.empty() && options.skip.empty();
  for (const auto& site : sites) {
    if (!site.until.empty() && site.until < today) {
      reporter.Report(site.object, site.span,
                      "this suppression expired on " + site.until +
                          ", and its findings are reported again; remove it or renew it");
    } else if (!site.used && !site.istioctl && all_rules) {
      reporter.Report(site.object, site.span,
                      "this suppression of " + Join(site.rules, ", ") +
                          " hides nothing; remove it, or put it on the line of the finding or "
                          "the one above");
    }
  }
  for (Finding& finding : reporter.Take()) {
    finding.severity = *SeverityOf(options, *rule);
    findings->push_back(std::move(finding));
  }
}

// What all rules share, made at once.
struct Workings {
  Workings(const Mesh& mesh, const World& world, unsigned threads) : reach(world) {
    const std::function<void()> parts[] = {
        [&] { objects = ReadRawObjects(mesh.model()); },
        [&] { reach.Sites(); },
        [&] { index.emplace(mesh); },
        [&] { suppressions = FindSuppressions(mesh.model(), &malformed); },
    };
    ParallelFor(std::size(parts), [&](size_t i) { parts[i](); }, threads);
  }

  Reach reach;
  std::vector<RawObject> objects;
  std::optional<WorkloadIndex> index;
  std::vector<SuppressionSite> suppressions;
  std::vector<MalformedSuppression> malformed;
};

// Output says nothing of the time of the run; only tokens are judged by it.
void DropTime(Finding* finding) {
  if (finding->witness && finding->witness->question.tokens.empty()) {
    finding->witness->question.now.reset();
  }
}

}  // namespace

Result<bool> CheckRuleNames(const AnalyzeOptions& options) {
  std::vector<std::string> written = options.only;
  written.insert(written.end(), options.skip.begin(), options.skip.end());
  for (const auto& [name, severity] : options.severities) written.push_back(name);
  for (const std::string& name : written) {
    std::string unknown = UnknownRule(name);
    if (!unknown.empty()) return Error{unknown + " (`meshproof rules` lists them)"};
  }
  return true;
}

bool IsRuleOn(const AnalyzeOptions& options, const Rule& rule) {
  if (!options.only.empty() && !NamesAny(options.only, rule)) return false;
  return !NamesAny(options.skip, rule) && SeverityOf(options, rule).has_value();
}

AnalyzeResult Analyze(const Mesh& mesh, const World& world, const AnalyzeOptions& options) {
  const auto workings = std::make_shared<Workings>(mesh, world, options.threads);
  Analysis analysis{mesh.model(),      mesh,        world,
                    workings->objects, options.now, options.istio_version};
  analysis.reach = &workings->reach;
  analysis.index = &*workings->index;
  const SharedViews views(analysis);
  analysis.views = &views;
  std::vector<DriftDifference> drift;
  if (options.dumps != nullptr) {
    drift = FindDrift({mesh, *options.dumps, options.now});
    analysis.dumps = options.dumps.get();
    analysis.drift = &drift;
  }
  std::vector<const Rule*> rules;
  for (const Rule& rule : AllRules()) {
    if (IsRuleOn(options, rule)) rules.push_back(&rule);
  }
  std::vector<std::vector<Finding>> slots(rules.size());
  ParallelFor(
      rules.size(),
      [&](size_t i) {
        Reporter reporter(*rules[i]);
        rules[i]->check(analysis, reporter);
        slots[i] = reporter.Take();
        // A rule that marks a finding down (or up) keeps its word unless the user decides.
        std::optional<Severity> severity = SeverityOf(options, *rules[i]);
        if (severity != rules[i]->severity) {
          for (Finding& finding : slots[i]) finding.severity = *severity;
        }
      },
      options.threads);
  for (auto& slot : slots) {
    for (Finding& finding : slot) DropTime(&finding);
  }
  AnalyzeResult result;
  result.workings = workings;
  size_t count = 0;
  for (const auto& slot : slots) count += slot.size();
  result.findings.reserve(count);
  for (auto& slot : slots) {
    std::move(slot.begin(), slot.end(), std::back_inserter(result.findings));
    slot = {};
  }
  if (options.dumps != nullptr) {
    // Nobody wrote what stands for a dump's proxy.
    std::erase_if(result.findings, [](const Finding& finding) {
      return finding.span.file != nullptr && IsMadeForDumps(*finding.span.file);
    });
  }
  std::string today = DateOf(options.now);
  ApplySuppressions(today, &workings->suppressions, &result.findings);
  ReportSuppressions(workings->suppressions, workings->malformed, today, options, &result.findings);
  SortFindings(&result.findings);
  auto shown = [](const Finding& finding) { return !finding.suppressed.has_value(); };
  result.suppressed =
      result.findings.size() -
      static_cast<size_t>(std::count_if(result.findings.begin(), result.findings.end(), shown));
  if (!options.show_suppressed) {
    std::erase_if(result.findings, [&](const Finding& finding) { return !shown(finding); });
  }
  return result;
}

std::string Fingerprint(const Finding& finding) {
  return Sha256Hex(finding.rule->code + "\n" + finding.object.kind + "/" + finding.object.ns + "/" +
                   finding.object.name + "\n" + finding.field_path + "\n" + finding.detail);
}

}  // namespace meshproof

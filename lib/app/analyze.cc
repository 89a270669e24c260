// Findings in the order: rules run (and suppress), the baseline hides what is known, the least
// severity hides what nobody asked for. What is left is what every format shows and what the exit
// status speaks of.

#include "app/analyze.h"

#include <algorithm>
#include <chrono>
#include <functional>

#include "analyze/baseline.h"
#include "analyze/driver.h"
#include "app/version.h"
#include "base/text.h"
#include "report/findings.h"
#include "report/parts.h"
#include "simulate/fields.h"

namespace meshproof {
namespace {

constexpr std::string_view kBrokenDocument = "broken-document";

const std::vector<std::string> kFormats = {"text",   "concise", "json",   "sarif",
                                           "github", "junit",   "gitlab", "markdown"};

struct Output {
  std::string format;
  std::string file;  // "" = standard output
};

Result<std::vector<Output>> ParseOutputs(const std::vector<std::string>& written) {
  std::vector<Output> outputs;
  for (const auto& text : written) {
    size_t equals = text.find('=');
    Output output{text.substr(0, equals), ""};
    if (std::find(kFormats.begin(), kFormats.end(), output.format) == kFormats.end()) {
      std::string message = "unknown format `" + output.format + "`";
      if (auto near = Nearest(output.format, kFormats))
        message += "; did you mean `" + *near + "`?";
      return Error{message + " (" + Join(kFormats, ", ") + ")"};
    }
    if (equals != std::string::npos) {
      output.file = text.substr(equals + 1);
      if (output.file.empty()) return Error{"`--format " + text + "` names no file"};
      if (output.file == "-") output.file.clear();
    }
    for (const auto& other : outputs) {
      if (other.file != output.file) continue;
      return Error{output.file.empty()
                       ? "two formats for standard output; write one of them as FORMAT=FILE"
                       : "two formats for the file " + output.file};
    }
    outputs.push_back(std::move(output));
  }
  if (outputs.empty()) outputs.push_back({"text", ""});
  return outputs;
}

Severity ParseSeverity(std::string_view text) {
  if (text == "error") return Severity::kError;
  return text == "warning" ? Severity::kWarning : Severity::kInfo;
}

std::vector<std::string> SplitLists(const std::vector<std::string>& written) {
  std::vector<std::string> out;
  for (const auto& list : written) {
    for (std::string_view piece : Split(list, ',')) out.emplace_back(TrimSpace(piece));
  }
  return out;
}

Result<AnalyzeOptions> MakeOptions(const AnalyzeCommandOptions& options, const Settings& settings) {
  AnalyzeOptions out;
  out.only = SplitLists(options.only);
  out.skip = SplitLists(options.skip);
  if (auto known = CheckRuleNames(out); !known.ok()) return known.error();
  for (const auto& [rule, severity] : settings.rules) {
    out.severities[rule] =
        severity == "off" ? std::nullopt : std::optional<Severity>(ParseSeverity(severity));
  }
  if (options.now) {
    auto now = ParseTime(*options.now);
    if (!now) {
      return Error{"`--now` is a time such as 2026-03-01T12:00:00Z, not `" + *options.now + "`"};
    }
    out.now = *now;
  } else {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    out.now = std::chrono::duration_cast<std::chrono::seconds>(since).count();
  }
  const auto& version = options.input.istio_version;
  out.istio_version = version.value_or(settings.mesh.istio_version.value_or(""));
  out.show_suppressed = options.show_suppressed;
  out.threads = options.threads;
  return out;
}

// What hides known findings, and the files that go with it.
class BaselineFile {
 public:
  BaselineFile(const AnalyzeCommandOptions& options, const Settings& settings, const Host& host)
      : options_(options), host_(host) {
    path_ = options.baseline ? options.baseline : settings.baseline;
  }

  // Before anything else is done: a run that cannot end well should not begin.
  Result<bool> Open() {
    if (options_.write_baseline && options_.prune_baseline) {
      return Error{"--write-baseline and --prune-baseline do not go together"};
    }
    if (options_.prune_baseline && !path_) {
      return Error{"--prune-baseline needs --baseline FILE, or `baseline` in the settings"};
    }
    if (options_.write_baseline || !path_) return true;
    auto text = host_.files.Read(*path_);
    if (!text.ok()) return Error{"the baseline cannot be read: " + text.error().message};
    auto parsed = ParseBaseline(text.value());
    if (!parsed.ok()) {
      return Error{"the baseline " + *path_ + " cannot be used: " + parsed.error().message};
    }
    entries_ = parsed.Take();
    return true;
  }

  // Takes the known findings out and writes what was asked for.
  Result<bool> Apply(const AnalyzeOptions& options, FindingsReport* report) {
    if (options_.write_baseline) {
      Baseline all = MakeBaseline(report->findings);
      auto written = host_.write(*options_.write_baseline, WriteBaseline(all));
      if (!written.ok()) return Error{"the baseline: " + written.error().message};
      host_.err << "note: " << Counted(all.size(), "finding") << " written to "
                << *options_.write_baseline << "\n";
      report->baseline = HideKnown(all, &report->findings).hidden;
      return true;
    }
    if (!path_) return true;
    BaselineUse use = HideKnown(entries_, &report->findings);
    report->baseline = use.hidden;
    // A rule that did not run says nothing about its entries.
    std::erase_if(use.unused, [&](const BaselineEntry& entry) {
      const Rule* rule = FindRule(entry.code);
      return rule != nullptr && !IsRuleOn(options, *rule);
    });
    if (use.unused.empty()) return true;
    std::string stale = Counted(use.unused.size(), "finding") + " of the baseline " +
                        (use.unused.size() == 1 ? "is" : "are") + " not found any more";
    if (!options_.prune_baseline) {
      host_.err << "note: " << stale << "; --prune-baseline takes them out\n";
      return true;
    }
    for (const BaselineEntry& entry : use.unused) {
      entries_.erase(std::find(entries_.begin(), entries_.end(), entry));
    }
    auto written = host_.write(*path_, WriteBaseline(entries_));
    if (!written.ok()) return Error{"the baseline: " + written.error().message};
    host_.err << "note: " << stale << "; taken out of " << *path_ << "\n";
    return true;
  }

 private:
  const AnalyzeCommandOptions& options_;
  const Host& host_;
  std::optional<std::string> path_;
  Baseline entries_;
};

std::string Format(const FindingsReport& report, const std::string& format, const Style& style) {
  if (format == "concise") return FindingsConcise(report);
  if (format == "json") return WriteJson(FindingsJson(report), 2) + "\n";
  if (format == "sarif") return FindingsSarif(report);
  if (format == "github") return FindingsGithub(report);
  if (format == "junit") return FindingsJunit(report);
  if (format == "gitlab") return FindingsGitlab(report);
  if (format == "markdown") return FindingsMarkdown(report);
  return FindingsText(report, style);
}

// A document that cannot be read is a finding; where its rule does not run it must not get lost.
bool NameBrokenDocuments(const Input& input, const AnalyzeOptions& options, const Host& host) {
  const Rule* rule = FindRule(kBrokenDocument);
  if (!input.broken || (rule != nullptr && IsRuleOn(options, *rule))) return false;
  for (const auto& diagnostic : input.model->diagnostics) {
    if (IsBroken(diagnostic)) host.err << ToString(diagnostic) << "\n";
  }
  // Who turns the rule off knows; who runs some other rule only does not.
  AnalyzeOptions others = options;
  others.only.clear();
  return rule == nullptr || IsRuleOn(others, *rule);
}

FindingsReport MakeReport(const Input& input, const AnalyzeOptions& analyze_options,
                          const AnalyzeCommandOptions& options, const Settings& settings,
                          const Host& host) {
  auto world = std::make_shared<const World>(input.mesh);
  Keep(host, world);
  AnalyzeOptions with_dumps = analyze_options;
  with_dumps.dumps = input.dumps;
  AnalyzeResult result = Analyze(*input.mesh, *world, with_dumps);
  Keep(host, result.workings);
  FindingsReport report;
  report.version = kVersion;
  report.findings = std::move(result.findings);
  report.suppressed = result.suppressed;
  for (const auto& file : input.model->files) report.files.push_back(file.file->name());
  report.objects = input.model->objects;
  report.skipped = SkippedJson(*input.model);
  report.istioctl_codes = options.istioctl_codes;
  std::string fail_on = options.fail_on.value_or(settings.fail_on.value_or("warning"));
  if (fail_on != "never") report.fail_on = ParseSeverity(fail_on);
  report.directory = host.directory;
  return report;
}

}  // namespace

Exit RunAnalyze(const AnalyzeCommandOptions& options, const Host& host) {
  auto outputs = ParseOutputs(options.formats);
  if (!outputs.ok()) return Fail(host, outputs.error());
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  auto analyze_options = MakeOptions(options, settings.value());
  if (!analyze_options.ok()) return Fail(host, analyze_options.error());
  BaselineFile baseline(options, settings.value(), host);
  if (auto open = baseline.Open(); !open.ok()) return Fail(host, open.error());
  auto loaded = LoadForAnalysis(options.input, settings.value(), host, options.threads);
  if (!loaded.ok()) return Fail(host, loaded.error());
  const auto input = std::make_shared<const Input>(loaded.Take());
  Keep(host, input);
  const auto made = std::make_shared<FindingsReport>(
      MakeReport(*input, analyze_options.value(), options, settings.value(), host));
  Keep(host, made);
  FindingsReport& report = *made;
  Exit exit = Exit::kOk;
  if (NameBrokenDocuments(*input, analyze_options.value(), host)) exit = Exit::kUnusable;
  auto known = baseline.Apply(analyze_options.value(), &report);
  if (!known.ok()) exit = Fail(host, known.error());
  if (options.min_severity) {
    Severity least = ParseSeverity(*options.min_severity);
    std::erase_if(report.findings,
                  [&](const Finding& finding) { return finding.severity < least; });
  }
  for (const Output& output : outputs.value()) {
    std::string text = Format(report, output.format, Style{host.colour && output.file.empty()});
    if (output.file.empty()) {
      host.out << text;
    } else if (auto written = host.write(output.file, text); !written.ok()) {
      exit = Fail(host, written.error());
    }
  }
  return Worse(exit, report.Fails() ? Exit::kRefused : Exit::kOk);
}

}  // namespace meshproof

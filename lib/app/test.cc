#include "app/test.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "app/log.h"
#include "base/parallel.h"
#include "base/text.h"
#include "report/test_report.h"

namespace meshproof {
namespace {

// Shows of every directory only what can hold policy tests, so that looking for them does not
// read the meshes beside them.
class MeshTestsOnly : public FileSystem {
 public:
  explicit MeshTestsOnly(const FileSystem& files) : files_(files) {}

  Result<std::string> Read(const std::string& path) const override { return files_.Read(path); }
  Kind Stat(const std::string& path) const override { return files_.Stat(path); }
  Result<std::vector<std::string>> List(const std::string& path) const override {
    auto names = files_.List(path);
    if (!names.ok()) return names;
    std::vector<std::string> kept;
    for (auto& name : names.value()) {
      if (IsMeshTestName(name) || files_.Stat(path + "/" + name) == Kind::kDirectory) {
        kept.push_back(std::move(name));
      }
    }
    return kept;
  }

 private:
  const FileSystem& files_;
};

// One mesh that tests run against, loaded once however many files name it.
struct LoadedMesh {
  std::vector<MeshTestSource> sources;
  std::optional<Input> input;
  std::unique_ptr<World> world;
  std::string error;
  std::vector<std::string> notes;
};

// One case, and where its report goes.
struct Job {
  const MeshTestCase* test = nullptr;
  LoadedMesh* mesh = nullptr;
  CaseReport* report = nullptr;
  std::vector<std::pair<const AuthorizationPolicy*, int>> matched;
};

struct Suite {
  std::vector<MeshTestFile> files;
  std::vector<std::string> other_paths;  // PATHs that are no policy tests
};

Result<Suite> FindTests(const TestOptions& options, const Settings& settings, const Host& host) {
  MeshTestsOnly tests_only(host.files);
  std::vector<std::string> paths = EffectivePaths(options.input, settings);
  LoadOptions load_options;
  load_options.ignore = settings.ignore;
  auto load = LoadPaths(paths, tests_only, load_options);
  if (!load.ok()) return load.error();
  Suite suite;
  std::set<std::string> test_names;
  for (const auto& diagnostic : load.value().diagnostics) {
    host.err << ToString(diagnostic) << "\n";
  }
  std::vector<const ParsedFile*> found;
  for (const auto& file : load.value().files) {
    if (!LooksLikeMeshTest(file)) continue;
    found.push_back(&file);
    test_names.insert(file.file->name());
  }
  if (found.empty()) {
    return Error{"no policy test (*.meshtest.yaml) in " + Join(paths, ", ")};
  }
  suite.files.resize(found.size());
  ParallelFor(found.size(),
              [&](size_t i) { suite.files[i] = DecodeMeshTest(*found[i], host.files); });
  for (auto& path : paths) {
    if (!test_names.contains(path) && !test_names.contains(ResolvePath("", path))) {
      suite.other_paths.push_back(std::move(path));
    }
  }
  return suite;
}

void LoadOne(const TestOptions& options, const Settings& settings, const Host& host,
             unsigned threads, LoadedMesh* mesh) {
  std::vector<InputPath> paths;
  for (const auto& source : mesh->sources) paths.push_back({source.path, source.ns});
  auto input = LoadMesh(paths, options.input, settings, host.files, threads, &mesh->notes);
  if (!input.ok()) {
    mesh->error = input.error().message;
    return;
  }
  mesh->input = input.Take();
  mesh->world = std::make_unique<World>(mesh->input->mesh, FromDumps(*mesh->input));
}

// Loads every distinct list of sources. Notes are printed in order, each once.
std::map<std::vector<MeshTestSource>, LoadedMesh> LoadMeshes(const Suite& suite,
                                                             const TestOptions& options,
                                                             const Settings& settings,
                                                             const Host& host) {
  std::map<std::vector<MeshTestSource>, LoadedMesh> meshes;
  std::vector<LoadedMesh*> order;
  for (const auto& file : suite.files) {
    std::vector<MeshTestSource> sources = file.mesh;
    if (!file.names_mesh) {
      for (const auto& path : suite.other_paths) sources.push_back({path, ""});
    }
    auto [at, fresh] = meshes.try_emplace(sources);
    if (!fresh) continue;
    at->second.sources = sources;
    order.push_back(&at->second);
  }
  // Many meshes are loaded beside each other, one alone with all threads.
  unsigned threads = order.size() > 1 ? 1 : 0;
  ParallelFor(order.size(), [&](size_t i) {
    if (order[i]->sources.empty()) {
      order[i]->error = "the test names no `mesh`, and no PATH holds one";
    } else {
      LoadOne(options, settings, host, threads, order[i]);
    }
  });
  std::set<std::string> printed;
  for (const auto* mesh : order) {
    for (const auto& note : mesh->notes) {
      if (printed.insert(note).second) host.err << note;
    }
  }
  return meshes;
}

std::string OneLine(const std::vector<Diagnostic>& errors) {
  std::vector<std::string> messages;
  for (const auto& error : errors) {
    std::string text = error.span ? ToString(Locate(error.span)) + ": " : "";
    messages.push_back(text + error.message);
  }
  return Join(messages, "; ");
}

std::string Message(const std::vector<Mismatch>& mismatches) {
  std::vector<std::string> texts;
  for (const auto& mismatch : mismatches) {
    texts.push_back(mismatch.field + ": expected " + mismatch.expected + ", got " + mismatch.got);
  }
  return Join(texts, "; ");
}

// The rules of AuthorizationPolicies that matched on the way.
void CollectMatches(const Verdict& verdict, const Model& model, Job* job) {
  auto add = [&](const Origin& origin) {
    if (origin.object == nullptr || origin.rule < 0) return;
    for (const auto& policy : model.authorization_policies) {
      if (&policy.meta == origin.object) job->matched.emplace_back(&policy, origin.rule);
    }
  };
  for (const auto& step : verdict.steps) {
    if (step.result == Step::Result::kMatch || step.result == Step::Result::kRefuse) {
      add(step.origin);
    }
  }
  add(verdict.decided_by);
  std::sort(job->matched.begin(), job->matched.end());
  job->matched.erase(std::unique(job->matched.begin(), job->matched.end()), job->matched.end());
}

void RunCase(const TestOptions& options, const Settings& settings, Job* job) {
  CaseReport& report = *job->report;
  const MeshTestCase& test = *job->test;
  report.outcome = CaseOutcome::kError;
  if (!test.errors.empty()) {
    report.message = OneLine(test.errors);
    return;
  }
  if (job->mesh->world == nullptr) {
    report.message = job->mesh->error;
    return;
  }
  Case question = test.question;
  if (!question.ext_authz) {
    question.ext_authz_by_provider.insert(settings.ext_authz.begin(), settings.ext_authz.end());
  }
  bool trace = options.coverage || options.format == "json" || test.expect.enforced_at.has_value();
  const World& world = *job->mesh->world;
  auto run = [&](Detail detail) { return world.Run(question, World::Addresses::kAssume, detail); };
  auto verdict = run(trace ? Detail::kTrace : Detail::kVerdict);
  if (!verdict.ok()) {
    report.message = verdict.error().message;
    return;
  }
  report.mismatches = Compare(test.expect, verdict.value());
  report.message = Message(report.mismatches);
  report.outcome = report.mismatches.empty() ? CaseOutcome::kPass : CaseOutcome::kFail;
  // Near misses cost time and only a failure shows them.
  if (report.outcome == CaseOutcome::kFail && !trace) verdict = run(Detail::kTrace);
  if (options.coverage) CollectMatches(verdict.value(), *job->mesh->input->model, job);
  if (trace || report.outcome == CaseOutcome::kFail) report.got = verdict.Take();
}

// Counts by place: the same file read for two meshes is one policy.
std::vector<CoverageRow> Coverage(const std::map<std::vector<MeshTestSource>, LoadedMesh>& meshes,
                                  const std::vector<Job>& jobs) {
  using Key = std::tuple<std::string, int, int, std::string, int>;
  std::map<Key, CoverageRow> rows;
  auto key = [](const AuthorizationPolicy& policy, int rule) {
    Location place = Locate(policy.rules[static_cast<size_t>(rule)].span
                                ? policy.rules[static_cast<size_t>(rule)].span
                                : policy.meta.span);
    return Key{place.file, place.line, place.column, ToString(policy.meta), rule};
  };
  for (const auto& [sources, mesh] : meshes) {
    if (!mesh.input) continue;
    for (const auto& policy : mesh.input->model->authorization_policies) {
      if (policy.dry_run) continue;
      for (size_t i = 0; i < policy.rules.size(); ++i) {
        if (policy.rules[i].null) continue;
        int rule = static_cast<int>(i);
        Span span = policy.rules[i].span ? policy.rules[i].span : policy.meta.span;
        rows.try_emplace(key(policy, rule), CoverageRow{&policy.meta, rule, span, 0});
      }
    }
  }
  for (const auto& job : jobs) {
    for (const auto& [policy, rule] : job.matched) {
      if (static_cast<size_t>(rule) >= policy->rules.size()) continue;
      auto row = rows.find(key(*policy, rule));
      if (row != rows.end()) ++row->second.cases;
    }
  }
  std::vector<CoverageRow> out;
  for (auto& [ignored, row] : rows) out.push_back(row);
  return out;
}

void NoteUnusedPaths(const Suite& suite, const Host& host) {
  const bool used = std::any_of(suite.files.begin(), suite.files.end(),
                                [](const MeshTestFile& file) { return !file.names_mesh; });
  if (used || suite.files.empty()) return;
  for (const std::string& path : suite.other_paths) {
    if (host.files.Stat(path) != FileSystem::Kind::kFile) continue;
    host.err << "note: " << path << " is not asked: every test names its own `mesh`"
             << " (`--dump FILE` adds a dump to each)\n";
  }
}

// A file that cannot be used shows as one case that could not be run, in every format.
CaseReport UnusableFile(const MeshTestFile& file) {
  CaseReport report;
  report.name = "the file as a whole";
  report.outcome = CaseOutcome::kError;
  report.span = file.errors.front().span;
  report.message = OneLine(file.errors);
  return report;
}

}  // namespace

Exit RunTest(const TestOptions& options, const Host& host) {
  if (options.record) {
    RecordOptions record{options.input, *options.record, options.log_format, options.workload};
    return RunRecord(record, host);
  }
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  auto suite = FindTests(options, settings.value(), host);
  if (!suite.ok()) return Fail(host, suite.error());
  NoteUnusedPaths(suite.value(), host);
  auto meshes = LoadMeshes(suite.value(), options, settings.value(), host);

  TestReport report;
  std::vector<Job> jobs;
  for (const auto& file : suite.value().files) {
    FileReport& out = report.files.emplace_back();
    out.file = file.file->name();
    if (!file.errors.empty()) {
      out.cases.push_back(UnusableFile(file));
    } else {
      out.cases.resize(file.cases.size());
    }
  }
  for (size_t f = 0; f < suite.value().files.size(); ++f) {
    const MeshTestFile& file = suite.value().files[f];
    if (!file.errors.empty()) continue;
    std::vector<MeshTestSource> sources = file.mesh;
    if (!file.names_mesh) {
      for (const auto& path : suite.value().other_paths) sources.push_back({path, ""});
    }
    for (size_t i = 0; i < file.cases.size(); ++i) {
      CaseReport* slot = &report.files[f].cases[i];
      slot->name = file.cases[i].question.name;
      slot->span = file.cases[i].question.span;
      slot->expected = file.cases[i].expect.written;
      jobs.push_back({&file.cases[i], &meshes.at(sources), slot, {}});
    }
  }
  ParallelFor(jobs.size(), [&](size_t i) { RunCase(options, settings.value(), &jobs[i]); });
  report.with_coverage = options.coverage;
  if (options.coverage) report.coverage = Coverage(meshes, jobs);

  if (options.format == "json") {
    host.out << WriteJson(TestReportJson(report), 2) << "\n";
  } else if (options.format == "junit") {
    host.out << TestReportJunit(report);
  } else if (options.format == "tap") {
    host.out << TestReportTap(report);
  } else {
    host.out << TestReportText(report, Style{host.colour});
  }
  Exit exit = report.Count(CaseOutcome::kFail) > 0 ? Exit::kRefused : Exit::kOk;
  if (report.Count(CaseOutcome::kError) > 0) exit = Exit::kUnusable;
  for (const auto& [sources, mesh] : meshes) {
    if (mesh.input && mesh.input->broken) exit = Exit::kUnusable;
  }
  return exit;
}

}  // namespace meshproof

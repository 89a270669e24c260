// analyze, explain and rules, run whole and in memory; and what must not change their bytes: the
// order of the input and the number of threads.

#include "app/analyze.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "analyze/rule.h"
#include "app/memory_files.h"
#include "base/text.h"
#include "report/rule_page.h"

namespace meshproof::analyze_test {
namespace {

namespace fs = std::filesystem;

constexpr char kNow[] = "2026-11-18T00:00:00Z";

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in.good(), path.string());
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// An error (MP0002), a warning (MP0201) and an info (MP0006: no namespace).
constexpr char kPolicies[] = R"(apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec:
  mtls: {mode: PERMISSIVE}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict}
spec:
  mtls: {mode: STRICT}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  selecter: {matchLabels: {app: orders}}
  action: DENY
  rules: [{to: [{operation: {methods: [DELETE]}}]}]
)";
const std::vector<std::string> kThree = {"--only", "MP0002,permissive-mtls", "--only", "MP0006"};

std::vector<std::string> Arguments(std::vector<std::string> more,
                                   const std::vector<std::string>& first = kThree) {
  std::vector<std::string> all = {"analyze", "mesh.yaml", "--now", kNow};
  all.insert(all.end(), first.begin(), first.end());
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

MemoryFiles Files() {
  MemoryFiles files;
  files.Put("mesh.yaml", kPolicies);
  return files;
}

// Lines of the concise format without their messages.
std::vector<std::string> Concise(const std::string& out) {
  std::vector<std::string> lines;
  for (std::string_view line : Split(out, '\n')) {
    if (!line.empty()) lines.emplace_back(line.substr(0, line.find("]: ") + 1));
  }
  return lines;
}

const std::vector<std::string> kAll = {"mesh.yaml:5:16: warning[permissive-mtls/MP0201]",
                                       "mesh.yaml:9:18: info[namespace-not-given/MP0006]",
                                       "mesh.yaml:17:3: error[unknown-field/MP0002]"};

const std::vector<std::string> kFormats = {"text",   "concise", "json",   "sarif",
                                           "github", "junit",   "gitlab", "markdown"};

TEST_CASE("analyze: findings and their exit status") {
  Ran ran = Run(Arguments({"--format", "concise"}), Files());
  CHECK(ran.status == 1);
  CHECK(Concise(ran.out) == kAll);
  CHECK(ran.err.empty());

  MemoryFiles clean;
  clean.Put("mesh.yaml", kSmallMesh);
  ran = Run({"analyze", "--only", "MP02"}, clean);
  CHECK(ran.status == 0);
  CHECK(ran.out == "0 errors, 0 warnings, 0 info in 1 file with 13 objects\n");
}

TEST_CASE("analyze: --fail-on and --min-severity give the same status in every format") {
  struct Row {
    std::vector<std::string> arguments;
    int status;
    size_t findings;
  };
  const Row rows[] = {
      {{}, 1, 3},
      {{"--fail-on", "error"}, 1, 3},
      {{"--fail-on", "info"}, 1, 3},
      {{"--fail-on", "never"}, 0, 3},
      {{"--skip", "MP0002", "--fail-on", "error"}, 0, 2},
      {{"--skip", "MP0002", "--fail-on", "warning"}, 1, 2},
      {{"--skip", "MP0002,MP0201"}, 0, 1},
      {{"--skip", "MP0002,MP0201", "--fail-on", "info"}, 1, 1},
      {{"--min-severity", "warning"}, 1, 2},
      {{"--min-severity", "error"}, 1, 1},
      {{"--min-severity", "error", "--skip", "MP0002"}, 0, 0},
      {{"--min-severity", "info", "--fail-on", "never"}, 0, 3},
  };
  for (const Row& row : rows) {
    CAPTURE(row.arguments);
    std::vector<std::string> concise = row.arguments;
    concise.insert(concise.end(), {"--format", "concise"});
    CHECK(Concise(Run(Arguments(concise), Files()).out).size() == row.findings);
    for (const auto& format : kFormats) {
      CAPTURE(format);
      std::vector<std::string> more = row.arguments;
      more.insert(more.end(), {"--format", format});
      CHECK(Run(Arguments(more), Files()).status == row.status);
    }
  }
}

TEST_CASE("analyze: several formats at once, each as it is alone") {
  std::vector<std::string> more;
  for (const auto& format : kFormats) {
    more.push_back("--format");
    more.push_back(format == "markdown" ? format : format + "=out/" + format + "=x");
  }
  Ran ran = Run(Arguments(more), Files());
  CHECK(ran.status == 1);
  CHECK(ran.written.size() == kFormats.size() - 1);
  for (const auto& format : kFormats) {
    CAPTURE(format);
    Ran alone = Run(Arguments({"--format", format}), Files());
    CHECK_FALSE(alone.out.empty());
    CHECK((format == "markdown" ? ran.out : ran.written["out/" + format + "=x"]) == alone.out);
  }
  Ran file = Run(Arguments({"--format", "sarif=a.sarif"}), Files());
  CHECK(file.out.empty());
  CHECK(file.status == 1);
  Ran standard = Run(Arguments({"--format", "json=-", "--format", "text=t"}), Files());
  CHECK(standard.out.starts_with("{"));
  CHECK(Contains(standard.written["t"], "1 error, 1 warning, 1 info in 1 file with 3 objects\n"));
}

TEST_CASE("analyze: a command line that cannot be used: status 2, nothing printed") {
  struct Row {
    std::vector<std::string> arguments;
    const char* message;
  };
  const Row rows[] = {
      {{"--only", "nosuchrule"}, "no rule \"nosuchrule\" (`meshproof rules` lists them)"},
      {{"--only", "permisive-mtls"}, "did you mean \"permissive-mtls\"?"},
      {{"--only", "MP0201,weaker-port-mtl"}, "did you mean \"weaker-port-mtls\"?"},
      {{"--skip", "MP77"}, "no rule \"MP77\""},
      {{"--only", ""}, "no rule \"\""},
      {{"--format", "sariff"}, "unknown format `sariff`; did you mean `sarif`?"},
      {{"--format", "html"}, "unknown format `html` (text, concise, json,"},
      {{"--format", "sarif="}, "`--format sarif=` names no file"},
      {{"--format", "text", "--format", "json"},
       "two formats for standard output; write one of them as FORMAT=FILE"},
      {{"--format", "text=-", "--format", "json"}, "two formats for standard output"},
      {{"--format", "text=a", "--format", "json=a"}, "two formats for the file a"},
      {{"--fail-on", "sometimes"}, "sometimes"},
      {{"--min-severity", "never"}, "never"},
      {{"--now", "yesterday"}, "`--now` is a time such as 2026-03-01T12:00:00Z, not `yesterday`"},
      {{"--fali-on", "error"}, "unknown option `--fali-on`; did you mean `--fail-on`?"},
      {{"--baseline", "missing.json"}, "the baseline cannot be read: missing.json"},
      {{"--baseline", "old.json"},
       "the baseline old.json cannot be used: its version is 7, and only version 1 can be read; "
       "write it anew with --write-baseline"},
      {{"--prune-baseline"}, "--prune-baseline needs --baseline FILE"},
      {{"--prune-baseline", "--write-baseline", "b.json"},
       "--write-baseline and --prune-baseline do not go together"},
      {{"--config", "bad.yaml"}, "bad.yaml:1:1: error: unknown key `fail-on` in the settings"},
      {{"gone.yaml"}, "gone.yaml"},
  };
  MemoryFiles files = Files();
  files.Put("old.json", "{\"version\": 7, \"findings\": []}\n");
  files.Put("bad.yaml", "fail-on: error\n");
  for (const Row& row : rows) {
    CAPTURE(row.message);
    std::vector<std::string> arguments = {"analyze", "mesh.yaml"};
    arguments.insert(arguments.end(), row.arguments.begin(), row.arguments.end());
    Ran ran = Run(arguments, files);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK(ran.written.empty());
    CHECK_MESSAGE(Contains(ran.err, row.message), ran.err);
    CHECK(ran.err.starts_with("meshproof: "));
  }
}

TEST_CASE("analyze: a file that cannot be written: the others are, status 2") {
  Ran ran = Run(Arguments({"--format", "json=readonly/out.json", "--format", "sarif=ok.sarif",
                           "--format", "concise"}),
                Files());
  CHECK(ran.status == 2);
  CHECK(ran.err == "meshproof: readonly/out.json cannot be written\n");
  CHECK(ran.written.contains("ok.sarif"));
  CHECK(Concise(ran.out) == kAll);
  for (const char* option : {"--write-baseline", "--format"}) {
    std::string file = std::string(option) == "--format" ? "text=readonly/x" : "readonly/x";
    CHECK(Run(Arguments({option, file, "--fail-on", "never"}), Files()).status == 2);
  }
}

TEST_CASE("analyze: the settings say severities, what fails, and what is off") {
  MemoryFiles files = Files();
  files.Put(".meshproof.yaml",
            "rules: {MP0002: info, permissive-mtls: off, MP0006: error}\nfail_on: error\n");
  Ran ran = Run(Arguments({"--format", "concise"}), files);
  CHECK(ran.status == 1);
  CHECK(Concise(ran.out) ==
        std::vector<std::string>{"mesh.yaml:9:18: error[namespace-not-given/MP0006]",
                                 "mesh.yaml:17:3: info[unknown-field/MP0002]"});
  CHECK(Run(Arguments({"--skip", "MP0006"}), files).status == 0);
  CHECK(Run(Arguments({"--fail-on", "info", "--skip", "MP0006"}), files).status == 1);
  files.Put(".meshproof.yaml", "# none\nrules:\n  MP0201: error\n  permisive-mtls: off\n");
  ran = Run(Arguments({}), files);
  CHECK(ran.status == 2);
  CHECK(Contains(ran.err, ".meshproof.yaml:4:3: error: no rule \"permisive-mtls\"; did you mean"));
}

TEST_CASE("analyze: suppressed findings are counted, and shown where asked for") {
  MemoryFiles files;
  std::string text = kPolicies;
  text.insert(text.find("PERMISSIVE}") + 11, " # meshproof: ignore[MP0201] clients move");
  files.Put("mesh.yaml", text);
  Ran ran = Run(Arguments({"--skip", "MP0002"}), files);
  CHECK(ran.status == 0);
  CHECK(Contains(ran.out, "0 errors, 0 warnings, 1 info in 1 file with 3 objects; 1 suppressed\n"));
  ran = Run(Arguments({"--skip", "MP0002", "--show-suppressed"}), files);
  CHECK(ran.status == 0);
  CHECK(Contains(ran.out, "  suppressed: clients move\n"));
  Ran json = Run(Arguments({"--show-suppressed", "--format", "json"}), files);
  CHECK(Contains(json.out, "\"reason\": \"clients move\",\n        \"until\": null"));
  Ran sarif = Run(Arguments({"--show-suppressed", "--format", "sarif"}), files);
  CHECK(Contains(sarif.out, "\"justification\": \"clients move\""));
}

TEST_CASE("analyze: a baseline hides what is known, by what it is and not where") {
  MemoryFiles files = Files();
  Ran written = Run(Arguments({"--write-baseline", "b.json"}), files);
  CHECK(written.status == 0);
  CHECK(written.err == "note: 3 findings written to b.json\n");
  CHECK(Contains(written.out, "; 3 in the baseline\n"));
  files.Put("b.json", written.written["b.json"]);
  files.Put("mesh.yaml", "# moved\n\n" + std::string(kPolicies));
  Ran known = Run(Arguments({"--baseline", "b.json"}), files);
  CHECK(known.status == 0);
  CHECK(known.err.empty());
  CHECK(known.out == "0 errors, 0 warnings, 0 info in 1 file with 3 objects; 3 in the baseline\n");
  CHECK(known.written.empty());

  // One is mended, one is new.
  std::string changed = kPolicies;
  changed.replace(changed.find("PERMISSIVE"), 10, "STRICT");
  changed +=
      "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
      "metadata: {name: b, namespace: bank}\nspec: {mtls: {mode: DISABLE}}\n";
  files.Put("mesh.yaml", changed);
  Ran fresh = Run(Arguments({"--baseline", "b.json", "--format", "concise"}), files);
  CHECK(fresh.status == 1);
  CHECK(Concise(fresh.out) ==
        std::vector<std::string>{"mesh.yaml:24:21: error[permissive-mtls/MP0201]"});
  CHECK(fresh.err ==
        "note: 1 finding of the baseline is not found any more; --prune-baseline takes them out\n");
  Ran pruned = Run(Arguments({"--baseline", "b.json", "--prune-baseline"}), files);
  CHECK(pruned.status == 1);
  CHECK(pruned.err ==
        "note: 1 finding of the baseline is not found any more; taken out of b.json\n");
  files.Put("b.json", pruned.written["b.json"]);
  CHECK_FALSE(Contains(pruned.written["b.json"], "MP0201"));
  CHECK(Contains(pruned.written["b.json"], "MP0002"));
  CHECK(Run(Arguments({"--baseline", "b.json"}), files).err.empty());

  // A rule that does not run says nothing about its entries.
  Ran some = Run(Arguments({"--baseline", "b.json", "--prune-baseline", "--skip", "MP00"}), files);
  CHECK(some.err.empty());
  CHECK(some.written.empty());

  // The settings may name it; the command line wins.
  files.Put(".meshproof.yaml", "baseline: b.json\n");
  CHECK(Contains(Run(Arguments({}), files).out, "; 2 in the baseline\n"));
  files.Put("none.json", "{\"version\": 1, \"findings\": []}\n");
  CHECK_FALSE(Contains(Run(Arguments({"--baseline", "none.json"}), files).out, "in the baseline"));
}

TEST_CASE("analyze: what cannot be analyzed is a finding or a count, never silence") {
  struct Row {
    const char* text;
    int status;
    const char* finding;  // its concise line up to the message; "" = none
    const char* says;
    const char* skipped;  // of the JSON
  };
  const Row rows[] = {
      {"kind: A\n\tb: c\n", 1, "x.yaml:2:1: error[broken-document/MP0001]", "tab", "[]"},
      {"apiVersion: v1\nkind: Service\nmetadata:\n  name: {{ .Values.name }}\n", 1,
       "x.yaml:4:9: error[broken-document/MP0001]", "helm template CHART",
       R"([{"file":"x.yaml","location":{"file":"x.yaml","line":4,"column":9,"end_line":4,)"
       R"("end_column":27},"kind":null,"reason":"template","count":1}])"},
      {"apiVersion: security.istio.io/v3\nkind: AuthorizationPolicy\n"
       "metadata: {name: a, namespace: b}\n",
       1, "x.yaml:1:13: warning[not-analyzed/MP0008]",
       "AuthorizationPolicy of security.istio.io/v3",
       R"([{"file":"x.yaml","location":{"file":"x.yaml","line":1,"column":1,"end_line":3,)"
       R"("end_column":34},"kind":"AuthorizationPolicy","reason":"unsupported_version","count":1}])"},
      {"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicies\n"
       "metadata: {name: a, namespace: b}\n",
       1, "x.yaml:2:7: warning[not-analyzed/MP0008]", "did you mean `AuthorizationPolicy`?",
       R"([{"file":"x.yaml","location":{"file":"x.yaml","line":1,"column":1,"end_line":3,)"
       R"("end_column":34},"kind":"AuthorizationPolicies","reason":"unknown_kind","count":1}])"},
      {"apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: a, namespace: b}\n---\n"
       "apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: b, namespace: b}\n",
       0, "x.yaml:2:7: info[not-analyzed/MP0008]", "2 objects of kind Widget (example.com)",
       R"([{"file":"x.yaml","location":{"file":"x.yaml","line":1,"column":1,"end_line":3,)"
       R"("end_column":34},"kind":"Widget","reason":"unknown_kind","count":2}])"},
      {"replicas: 3\nimage: {tag: x}\n", 0, "x.yaml:1:1: info[not-analyzed/MP0008]",
       "1 document is no Kubernetes object",
       R"([{"file":"x.yaml","location":{"file":"x.yaml","line":1,"column":1,"end_line":2,)"
       R"("end_column":16},"kind":null,"reason":"not_kubernetes","count":1}])"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    MemoryFiles files;
    files.Put("x.yaml", row.text);
    files.Put("mesh.yaml", kSmallMesh);
    std::vector<std::string> arguments = {"analyze", "--only", "MP0001,MP0008", "--format"};
    arguments.push_back("concise");
    Ran ran = Run(arguments, files);
    CHECK(ran.status == row.status);
    CHECK(Concise(ran.out) == std::vector<std::string>{row.finding});
    CHECK_MESSAGE(Contains(ran.out, row.says), ran.out);
    arguments.back() = "json";
    auto json = ParseJson(Run(arguments, files).out);
    REQUIRE(json.ok());
    CHECK(WriteJson(*json.value().Find("skipped")) == row.skipped);
    // The rest is analyzed all the same.
    arguments = {"analyze", "--only", "MP0201", "--format", "json"};
    files.Put("more.yaml", kPolicies);
    json = ParseJson(Run(arguments, files).out);
    REQUIRE(json.ok());
    CHECK(json.value().Find("findings")->as_array().size() == 1);
  }
}

TEST_CASE("analyze: a broken document whose rule does not run is named, status 2") {
  MemoryFiles files = Files();
  files.Put("x.yaml", "kind: A\n\tb: c\n");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"--only", "MP0201"}, {"--only", "MP02", "--fail-on", "never"}}) {
    Ran ran = Run(Arguments({"x.yaml", "--format", "concise"}, arguments), files);
    CHECK(ran.status == 2);
    CHECK(Contains(ran.err, "x.yaml:2:1: error: "));
    CHECK(Concise(ran.out) == std::vector<std::string>{kAll[0]});
  }
  // Who turns the rule off knows, and still hears of it.
  Ran off = Run(Arguments({"x.yaml", "--skip", "MP0001", "--fail-on", "never"}, {}), files);
  CHECK(off.status == 0);
  CHECK(Contains(off.err, "x.yaml:2:1: error: "));
}

TEST_CASE("analyze: policy tests beside the manifests are not remarked on") {
  MemoryFiles files;
  files.Put("mesh.yaml", kSmallMesh);
  files.Put("a.meshtest.yaml", "mesh: [mesh.yaml]\ntests: []\n");
  Ran ran = Run({"analyze", "--only", "MP0008"}, files);
  CHECK(ran.status == 0);
  CHECK_FALSE(Contains(ran.out, "MP0008"));
  CHECK_FALSE(Contains(ran.err, "no Kubernetes object"));
}

TEST_CASE("analyze: nothing to analyze is an error") {
  MemoryFiles files;
  files.Put("values.yaml", "replicas: 3\n");
  Ran ran = Run({"analyze"}, files);
  CHECK(ran.status == 2);
  CHECK(Contains(ran.err, "no Kubernetes object in ."));
}

TEST_CASE("analyze: standard input") {
  MemoryFiles files;
  files.Put("-", kPolicies);
  std::vector<std::string> arguments = Arguments({"--format", "concise"});
  arguments[1] = "-";
  Ran ran = Run(arguments, files);
  CHECK(ran.status == 1);
  std::vector<std::string> lines = Concise(ran.out);
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == "-:5:16: warning[permissive-mtls/MP0201]");
}

TEST_CASE("analyze: paths in reports are relative to the working directory") {
  MemoryFiles files;
  files.Put("/home/me/repo/mesh.yaml", kPolicies);
  std::vector<std::string> arguments = Arguments({"--format", "github"});
  arguments[1] = "/home/me/repo/mesh.yaml";
  Ran ran = Run(arguments, files);
  CHECK(Contains(ran.out, "::warning file=mesh.yaml,line=5,endLine=5,col=16,endColumn=26,"));
  arguments.back() = "sarif";
  CHECK(Contains(Run(arguments, files).out, "\"uri\": \"mesh.yaml\""));
}

// Each document of a text as a file of its own.
std::vector<std::string> Documents(const std::string& text) {
  std::vector<std::string> documents;
  std::string document;
  for (std::string_view line : Split(text, '\n')) {
    if (line == "---") {
      documents.push_back(document);
      document.clear();
    } else {
      document += std::string(line) + "\n";
    }
  }
  documents.push_back(document);
  return documents;
}

std::string Outputs(const MemoryFiles& files, const std::vector<std::string>& paths,
                    unsigned threads) {
  std::ostringstream out, err;
  AnalyzeCommandOptions options;
  options.input.paths = paths;
  options.formats = {"json"};
  options.now = kNow;
  options.threads = threads;
  options.show_suppressed = true;
  Host host{files, out, err, "/home/me/repo", false, {}};
  RunAnalyze(options, host);
  return out.str() + err.str();
}

void CheckOrder(const MemoryFiles& files, std::vector<std::string> paths) {
  std::string expected = Outputs(files, paths, 1);
  CHECK(expected.starts_with("{"));
  CHECK(Outputs(files, paths, 2) == expected);
  std::reverse(paths.begin(), paths.end());
  CHECK(Outputs(files, paths, 2) == expected);
  // Neither sorted nor reversed.
  std::rotate(paths.begin(), paths.begin() + static_cast<std::ptrdiff_t>(paths.size() / 2),
              paths.end());
  std::swap(paths.front(), paths[paths.size() / 3]);
  CHECK(Outputs(files, paths, 1) == expected);
}

TEST_CASE("the same bytes for every order of the input, on one thread and on two") {
  fs::path root = fs::path(MESHPROOF_ROOT) / "testdata";
  size_t cases = 0;
  for (const auto& entry : fs::recursive_directory_iterator(root / "rules")) {
    if (!entry.path().filename().string().starts_with("bad-")) continue;
    CAPTURE(entry.path().string());
    MemoryFiles files;
    std::vector<std::string> paths;
    for (const auto& document : Documents(ReadFile(entry.path()))) {
      paths.push_back("d" + std::to_string(10 + paths.size()) + ".yaml");
      files.Put(paths.back(), document);
    }
    CheckOrder(files, paths);
    ++cases;
  }
  CHECK(cases > 80);
}

TEST_CASE("the same bytes for the example, and for all cases as one mesh") {
  fs::path root = fs::path(MESHPROOF_ROOT) / "testdata";
  for (const char* folder : {"example", "rules"}) {
    CAPTURE(folder);
    MemoryFiles files;
    std::vector<std::string> paths;
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      std::string path = fs::relative(entry.path(), root).string();
      if (!path.ends_with(".yaml") || path.ends_with(".meshtest.yaml")) continue;
      files.Put(path, ReadFile(entry.path()));
      paths.push_back(path);
    }
    REQUIRE(paths.size() > 2);
    CheckOrder(files, paths);
  }
}

TEST_CASE("explain: by code, name, or a code of istioctl") {
  MemoryFiles files;
  Ran page = Run({"explain", "MP0201"}, files);
  CHECK(page.status == 0);
  CHECK(page.out == ReadFile(fs::path(MESHPROOF_ROOT) / "rules" / "permissive-mtls.md"));
  CHECK(Run({"explain", "Permissive-mTLS"}, files).out == page.out);
  Ran istioctl = Run({"explain", "ist0128"}, files);
  CHECK(istioctl.status == 0);
  CHECK(Contains(istioctl.out, "# unverified-upstream (MP0206)\n"));
  CHECK(Contains(istioctl.out, "# credential-without-selector (MP0207)\n"));
  Ran json = Run({"explain", "MP0206", "--format", "json"}, files);
  auto parsed = ParseJson(json.out);
  REQUIRE(parsed.ok());
  const Json& rule = parsed.value().Find("rules")->as_array().at(0);
  CHECK(rule.Find("code")->as_string() == "MP0206");
  CHECK(rule.Find("istioctl_codes")->as_array().size() == 2);
  CHECK(rule.Find("page")->as_string().starts_with("# unverified-upstream (MP0206)\n"));
  Ran unknown = Run({"explain", "permisive-mtls"}, files);
  CHECK(unknown.status == 2);
  CHECK(unknown.err ==
        "meshproof: no rule \"permisive-mtls\"; did you mean \"permissive-mtls\"? (`meshproof "
        "rules` lists them)\n");
}

TEST_CASE("explain: a terminal gets the page laid out, every page of it") {
  for (const Rule& rule : AllRules()) {
    CAPTURE(rule.code);
    std::string text = PageText(rule, Style{});
    CHECK(text.starts_with(rule.code + " " + std::string(rule.slug) + "  "));
    for (const char* title : {"What it finds", "Why it matters", "Example", "Instead", "Limits"}) {
      CHECK(Contains(text, "\n" + std::string(title) + "\n"));
    }
    CHECK_FALSE(Contains(text, "```"));
    CHECK_FALSE(Contains(text, "severity: "));
  }
}

TEST_CASE("rules: every rule, as text and JSON") {
  MemoryFiles files;
  Ran text = Run({"rules"}, files);
  CHECK(text.status == 0);
  auto parsed = ParseJson(Run({"rules", "--format", "json"}, files).out);
  REQUIRE(parsed.ok());
  CHECK(parsed.value().Find("version")->as_integer() == 1);
  const auto& rules = parsed.value().Find("rules")->as_array();
  CHECK(rules.size() == AllRules().size());
  CHECK(static_cast<size_t>(std::count(text.out.begin(), text.out.end(), '\n')) == rules.size());
  for (const Json& rule : rules) {
    std::vector<std::string> keys;
    for (const auto& [key, value] : rule.as_object()) keys.push_back(key);
    CHECK(keys ==
          std::vector<std::string>{"code", "name", "severity", "kinds", "since", "summary"});
    CHECK(Contains(text.out, rule.Find("code")->as_string() + "  "));
    CHECK(Contains(text.out, rule.Find("summary")->as_string() + "\n"));
  }
}

}  // namespace
}  // namespace meshproof::analyze_test

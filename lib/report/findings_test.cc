// Every format of `analyze` against its golden file in testdata/report/. The report is made by
// hand, so that the files hold no version, no time and no rule's page, and the texts in it are
// hostile to each format in turn. MESHPROOF_WRITE_GOLDEN=1 writes the files anew.

#include "report/findings.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

#include "analyze/rule.h"

namespace meshproof::findings_test {
namespace {

constexpr char kPolicies[] =
    "spec:\n"
    "  selector: {matchLabels: {app: 'web'}}\n"
    "  mtls: {mode: PERMISSIVE} # caf\xC3\xA9\n"
    "  \"\xE2\x98\x83\": [DISABLE,\n"
    "    a|b]\n"
    "\tkey: \x1b[31mred\n";

struct Example {
  SourceFile policies{"mesh/policies.yaml", kPolicies};
  SourceFile odd{"/home/me/repo/a b,c:#1.yaml", "kind: <Gateway>\n"};
  FindingsReport report;

  Span At(const SourceFile& file, std::string_view text) const {
    size_t begin = file.text().find(text);
    REQUIRE(begin != std::string_view::npos);
    return {&file, static_cast<uint32_t>(begin), static_cast<uint32_t>(begin + text.size())};
  }

  Finding& Add(const char* rule, Severity severity, const char* message) {
    Finding finding;
    finding.rule = FindRule(rule);
    REQUIRE(finding.rule != nullptr);
    finding.severity = severity;
    finding.message = message;
    report.findings.push_back(std::move(finding));
    return report.findings.back();
  }

  Example() {
    report.version = "0.0.0";
    report.files = {"/home/me/repo/a b,c:#1.yaml", "mesh/policies.yaml", "mesh/quiet.yaml"};
    report.objects = 3;
    report.suppressed = 1;
    report.baseline = 2;
    report.directory = "/home/me/repo";
    report.fail_on = Severity::kWarning;
    report.skipped.Append(Json::MakeObject({{"file", "mesh/quiet.yaml"},
                                            {"location", nullptr},
                                            {"kind", "Widget"},
                                            {"reason", "unknown_kind"},
                                            {"count", 2}}));

    report.findings.reserve(8);  // references into it stay good
    // No place at all.
    Add("namespace-not-given", Severity::kInfo, "an object, 100% sure, and no place\r\nfor it");
    // A file that could not be read.
    Finding& unread = Add("broken-document", Severity::kError, "the file cannot be read");
    unread.file = "mesh/gone.yaml";
    // A file with a name that needs escaping everywhere, a message that is markup everywhere.
    Finding& markup = Add("unsafe-wasm", Severity::kWarning,
                          "`a|b` <b>&amp; \"@team\" ]]> [link](x) ::error:: | end");
    markup.object = {"Gateway", "istio-system", "<edge>|1"};
    markup.span = At(odd, "<Gateway>");
    markup.certainty = Certainty::kCannotSee;
    // A witness, related places, exact edits, codes of istioctl.
    Finding& proven = Add("permissive-mtls", Severity::kError, "plaintext gets in; write `STRICT`");
    proven.object = {"PeerAuthentication", "shop", "default"};
    proven.span = At(policies, "PERMISSIVE");
    proven.certainty = Certainty::kProven;
    proven.related = {{At(policies, "app: 'web'"), "what it selects"},
                      {{}, "and something that stands nowhere"}};
    proven.fix = "Write STRICT";
    proven.edits = {{At(policies, "PERMISSIVE"), "STRICT"},
                    {{&policies, 6, 6}, "# first\n"},
                    {At(policies, " # caf\xC3\xA9"), ""}};
    proven.field_path = "spec.mtls.mode";
    proven.istioctl_codes = {"IST0001"};
    proven.witness = Witness{};
    proven.witness->question.from_outside = true;
    proven.witness->question.tls = CaseTls::kPlaintext;
    proven.witness->question.to_workload = "shop/web";
    proven.witness->question.to_port = 8080;
    proven.witness->question.path = "/it's?a=1|2";
    proven.witness->verdict.status = 200;
    proven.witness->verdict.details = "via_upstream";
    // The same place again (an equal fingerprint), over two lines, behind wide characters.
    Finding& again = Add("permissive-mtls", Severity::kWarning, "a list over two lines");
    again.object = proven.object;
    again.span = At(policies, "[DISABLE,\n    a|b]");
    again.field_path = "spec.mtls.mode";
    // Control characters in the source; suppressed.
    Finding& silenced = Add("selects-nothing", Severity::kError, "an escape \x1b[31m in a message");
    silenced.object = {"AuthorizationPolicy", "shop", "red"};
    silenced.span = At(policies, "\x1b[31mred");
    silenced.suppressed = Finding::Suppression{"they move <soon>", "2027-01-31"};
  }
};

void CheckGolden(const std::string& name, const std::string& text) {
  std::string path = std::string(MESHPROOF_ROOT) + "/testdata/report/" + name;
  if (std::getenv("MESHPROOF_WRITE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
  }
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in.good(), path);
  std::string golden{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  CAPTURE(path);
  CHECK(text == golden);
}

TEST_CASE("findings: every format is as its golden file") {
  Example example;
  const FindingsReport& report = example.report;
  CheckGolden("findings.txt", FindingsText(report));
  CheckGolden("findings.concise.txt", FindingsConcise(report));
  CheckGolden("findings.json", WriteJson(FindingsJson(report), 2) + "\n");
  CheckGolden("findings.github.txt", FindingsGithub(report));
  CheckGolden("findings.gitlab.json", FindingsGitlab(report));
  CheckGolden("findings.junit.xml", FindingsJunit(report));
  CheckGolden("findings.md", FindingsMarkdown(report));
}

Json* Child(Json* object, std::string_view key) {
  for (auto& [name, value] : object->as_object()) {
    if (name == key) return &value;
  }
  FAIL("no key " << std::string(key));
  return nullptr;
}

TEST_CASE("findings: SARIF, beside the rules, is as its golden file") {
  Example example;
  auto parsed = ParseJson(FindingsSarif(example.report));
  REQUIRE(parsed.ok());
  Json sarif = parsed.Take();
  Json& run = Child(&sarif, "runs")->as_array().at(0);
  Json* driver = Child(Child(&run, "tool"), "driver");
  Json rules = *Child(driver, "rules");
  *Child(driver, "rules") = Json::MakeArray();
  REQUIRE(rules.as_array().size() == AllRules().size());
  for (size_t i = 0; i < AllRules().size(); ++i) {
    const Rule& rule = AllRules()[i];
    const Json& shown = rules.as_array()[i];
    CAPTURE(rule.code);
    CHECK(shown.Find("id")->as_string() == rule.code);
    CHECK(shown.Find("name")->as_string() == rule.slug);
    for (const char* key : {"shortDescription", "fullDescription", "help"}) {
      CHECK_FALSE(shown.Find(key)->Find("text")->as_string().empty());
    }
    CHECK(shown.Find("help")->Find("markdown")->as_string().find("## What it finds") !=
          std::string::npos);
    CHECK(shown.Find("defaultConfiguration")->Find("level") != nullptr);
  }
  for (Json& result : Child(&run, "results")->as_array()) {
    Json* index = Child(&result, "ruleIndex");
    CHECK(AllRules()[static_cast<size_t>(index->as_integer())].code ==
          result.Find("ruleId")->as_string());
    *index = 0;  // another rule would move it
  }
  CheckGolden("findings.sarif", WriteJson(sarif, 2) + "\n");
}

TEST_CASE("findings: istioctl's codes are in every format that is asked for them") {
  Example example;
  FindingsReport& report = example.report;
  auto formats = [&] {
    return std::vector<std::string>{FindingsText(report),    FindingsConcise(report),
                                    FindingsSarif(report),   FindingsGithub(report),
                                    FindingsGitlab(report),  FindingsJunit(report),
                                    FindingsMarkdown(report)};
  };
  for (const auto& text : formats()) CHECK(text.find("IST0001") == std::string::npos);
  report.istioctl_codes = true;
  for (const auto& text : formats()) {
    CHECK_MESSAGE(text.find("IST0001") != std::string::npos, text.substr(0, 200));
  }
  CHECK(WriteJson(FindingsJson(report)).find("IST0001") != std::string::npos);
}

TEST_CASE("findings: the escapes of a terminal come from meshproof alone") {
  Example example;
  for (const auto& text : {FindingsText(example.report), FindingsConcise(example.report),
                           FindingsGithub(example.report), FindingsJunit(example.report),
                           FindingsMarkdown(example.report)}) {
    CHECK(text.find('\x1b') == std::string::npos);
  }
  std::string coloured = FindingsText(example.report, Style{true});
  CHECK(coloured.find("\x1b[31mred") == std::string::npos);
  CHECK(coloured.find("\x1b[1;31merror[permissive-mtls/MP0201]\x1b[0m") != std::string::npos);
  std::string plain;
  for (size_t i = 0; i < coloured.size(); ++i) {
    if (coloured[i] == '\x1b') {
      i = coloured.find('m', i);
    } else {
      plain += coloured[i];
    }
  }
  CHECK(plain == FindingsText(example.report));
}

TEST_CASE("findings: nothing found") {
  FindingsReport report;
  report.version = "0.0.0";
  report.files = {"a.yaml"};
  report.objects = 1;
  CHECK(FindingsText(report) == "0 errors, 0 warnings, 0 info in 1 file with 1 object\n");
  CHECK(FindingsConcise(report).empty());
  CHECK(FindingsGithub(report).empty());
  CHECK(FindingsGitlab(report) == "[]\n");
  CHECK(FindingsJunit(report) ==
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuites name=\"meshproof analyze\" tests=\"1\" failures=\"0\" errors=\"0\">\n"
        "  <testsuite name=\"a.yaml\" tests=\"1\" failures=\"0\" errors=\"0\" skipped=\"0\">\n"
        "    <testcase classname=\"a.yaml\" name=\"no finding\"/>\n"
        "  </testsuite>\n</testsuites>\n");
  CHECK(FindingsMarkdown(report) ==
        "### meshproof: nothing that fails\n\n"
        "0 errors, 0 warnings, 0 info in 1 file with 1 object\n");
  CHECK(WriteJson(FindingsJson(report)) ==
        R"({"version":1,"findings":[],"skipped":[],"summary":{"error":0,"warning":0,"info":0,)"
        R"("suppressed":0,"baseline":0,"files":1,"objects":1}})");
  CHECK(FindingsSarif(report).find("\"results\": []") != std::string::npos);
}

TEST_CASE("findings: a comment on a pull request stays below GitHub's limit, the worst first") {
  Example example;
  FindingsReport& report = example.report;
  Finding warning = report.findings[2], error = report.findings[1];
  report.findings.clear();
  for (int i = 0; i < 400; ++i) {
    warning.message = std::string(200, 'w') + std::to_string(i);
    report.findings.push_back(warning);
    if (i < 3) report.findings.push_back(error);
  }
  std::string text = FindingsMarkdown(report);
  CHECK(text.size() < 65536);
  CHECK(text.find("#### 3 errors") < text.find("#### 400 warnings"));
  CHECK(text.find(" more are left out, for the length of a comment.\n") != std::string::npos);
}

TEST_CASE("findings: what makes the run fail") {
  Example example;
  FindingsReport& report = example.report;
  CHECK(report.Fails());
  report.fail_on = std::nullopt;
  CHECK_FALSE(report.Fails());
  report.findings = {example.report.findings[5]};  // a suppressed error
  report.fail_on = Severity::kInfo;
  CHECK_FALSE(report.Fails());
  CHECK(report.Count(Severity::kError) == 0);
  report.findings[0].suppressed.reset();
  CHECK(report.Fails());
  report.findings[0].severity = Severity::kWarning;
  report.fail_on = Severity::kError;
  CHECK_FALSE(report.Fails());
}

}  // namespace
}  // namespace meshproof::findings_test

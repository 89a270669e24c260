#include "analyze/baseline.h"

#include <doctest/doctest.h>

#include "analyze/analyze_text.h"

namespace meshproof::baseline_test {
namespace {

using List = std::vector<std::string>;

constexpr char kPolicies[] = R"(apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec:
  mtls: {mode: PERMISSIVE}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  selecter: {matchLabels: {app: orders}}
  action: DENY
  rules: [{to: [{operation: {methods: [DELETE]}}]}]
)";

AnalyzeOptions Options() {
  AnalyzeOptions options;
  options.only = {"unknown-field", "permissive-mtls"};
  return options;
}

Analyzed Run(const std::string& text) {
  return AnalyzeTexts({{"m", text}}, Options());
}

Baseline Reread(const Baseline& baseline) {
  auto parsed = ParseBaseline(WriteBaseline(baseline));
  REQUIRE(parsed.ok());
  return parsed.Take();
}

TEST_CASE("baseline: what is written is read, sorted, and stays the same") {
  Analyzed analyzed = Run(kPolicies);
  Baseline baseline = MakeBaseline(analyzed.result.findings);
  REQUIRE(baseline.size() == 2);
  Baseline again = Reread(baseline);
  CHECK(again.size() == 2);
  CHECK(again[0].code == "MP0002");
  CHECK(again[1].code == "MP0201");
  CHECK(again[1].object == ObjectName{"PeerAuthentication", "shop", "default"});
  CHECK(again[1].message == analyzed.result.findings[0].message);
  CHECK(WriteBaseline(again) == WriteBaseline(baseline));
  std::swap(baseline[0], baseline[1]);
  CHECK(WriteBaseline(again) == WriteBaseline(baseline));
  CHECK(Reread({}).empty());
  CHECK(WriteBaseline({}) == "{\n  \"version\": 1,\n  \"findings\": []\n}\n");
}

TEST_CASE("baseline: known findings are hidden though their lines moved") {
  Baseline baseline = Reread(MakeBaseline(Run(kPolicies).result.findings));
  std::string moved = kPolicies;
  moved.insert(0, "# a comment\n\n");
  moved.insert(moved.find("  action: DENY"), "  # another\n");
  moved.insert(moved.find("spec:\n  selecter"), "# and one\n");
  Analyzed analyzed = Run(moved);
  CHECK(analyzed.Lines() == List{"m:7 MP0201", "m:14 MP0002"});
  BaselineUse use = HideKnown(baseline, &analyzed.result.findings);
  CHECK(use.hidden == 2);
  CHECK(use.unused.empty());
  CHECK(analyzed.result.findings.empty());
}

TEST_CASE("baseline: new findings are left, and what is gone is named") {
  Baseline baseline = Reread(MakeBaseline(Run(kPolicies).result.findings));
  std::string changed = kPolicies;
  changed.replace(changed.find("PERMISSIVE"), 10, "STRICT");
  changed += "---\n";
  changed += kPolicies;
  changed.replace(changed.rfind("namespace: shop"), 15, "namespace: bank");
  changed.replace(changed.rfind("namespace: shop"), 15, "namespace: bank");
  Analyzed analyzed = Run(changed);
  BaselineUse use = HideKnown(baseline, &analyzed.result.findings);
  CHECK(use.hidden == 1);
  REQUIRE(use.unused.size() == 1);
  CHECK(use.unused[0].code == "MP0201");
  List left;
  for (const Finding& finding : analyzed.result.findings) {
    CHECK(finding.object.ns == "bank");
    left.push_back(finding.rule->code);
  }
  CHECK(left == List{"MP0201", "MP0002"});
}

TEST_CASE("baseline: of findings with one fingerprint as many are known as it lists") {
  Analyzed analyzed = Run(kPolicies);
  std::vector<Finding> twice = {analyzed.result.findings[0], analyzed.result.findings[0]};
  Baseline one = MakeBaseline({twice[0]});
  BaselineUse use = HideKnown(one, &twice);
  CHECK(use.hidden == 1);
  CHECK(twice.size() == 1);
  twice.push_back(twice[0]);
  Baseline three = MakeBaseline({twice[0], twice[0], twice[0]});
  use = HideKnown(three, &twice);
  CHECK(use.hidden == 2);
  CHECK(use.unused.size() == 1);
}

TEST_CASE("baseline: suppressed findings are neither written nor hidden") {
  AnalyzeOptions options = Options();
  options.show_suppressed = true;
  std::string text = kPolicies;
  text.insert(text.find("PERMISSIVE}") + 11, " # meshproof: ignore[MP0201] they move");
  Analyzed analyzed = AnalyzeTexts({{"m", text}}, options);
  REQUIRE(analyzed.result.findings.size() == 2);
  CHECK(MakeBaseline(analyzed.result.findings).size() == 1);
  Baseline all = MakeBaseline(Run(kPolicies).result.findings);
  BaselineUse use = HideKnown(all, &analyzed.result.findings);
  CHECK(use.hidden == 1);
  CHECK(analyzed.Lines() == List{"m:5 MP0201 suppressed"});
}

TEST_CASE("baseline: files that cannot be used") {
  struct Row {
    const char* text;
    const char* message;
  };
  const Row rows[] = {
      {"", "it is no JSON"},
      {"findings: []\n", "it is no JSON"},
      {"[]", "it needs `version` and `findings`"},
      {R"({"version": 1})", "it needs `version` and `findings`"},
      {R"({"findings": []})", "it needs `version` and `findings`"},
      {R"({"version": 1, "findings": {}})", "it needs `version` and `findings`"},
      {R"({"version": 2, "findings": []})",
       "its version is 2, and only version 1 can be read; write it anew with --write-baseline"},
      {R"({"version": "1", "findings": []})", "its version is \"1\""},
      {R"({"version": 1.5, "findings": []})", "its version is 1.5"},
      {R"({"version": 1, "findings": [3]})", "entry 0 of its findings lacks"},
      {R"({"version": 1, "findings": [{"fingerprint": "a", "code": "MP0201"},)"
       R"({"fingerprint": "a", "code": 7}]})",
       "entry 1 of its findings lacks"},
      {R"({"version": 1, "findings": [{"fingerprint": "a", "code": "b", "object": {"kind": "x"}}]})",
       "lacks `fingerprint`, `code` or a whole `object`"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    auto parsed = ParseBaseline(row.text);
    REQUIRE_FALSE(parsed.ok());
    CHECK_MESSAGE(parsed.error().message.find(row.message) != std::string::npos,
                  parsed.error().message);
  }
  // Keys that are not known, and rules that are not known any more, do no harm.
  auto later = ParseBaseline(
      R"({"version": 1, "tool": "x", "findings": [{"fingerprint": "a", "code": "MP9999",)"
      R"( "object": null, "message": "m", "more": 1}]})");
  REQUIRE(later.ok());
  CHECK(later.value().size() == 1);
}

}  // namespace
}  // namespace meshproof::baseline_test

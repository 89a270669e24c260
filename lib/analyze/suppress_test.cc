#include "analyze/suppress.h"

#include <doctest/doctest.h>

#include "analyze/analyze_text.h"

namespace meshproof::suppress_test {
namespace {

using List = std::vector<std::string>;

constexpr int64_t kNow = 1795000000;  // 2026-11-18

TEST_CASE("suppressions: what stands behind the mark") {
  struct Row {
    const char* text;
    List rules;
    const char* reason;
    const char* until;
  };
  const Row rows[] = {
      {"ignore[permissive-mtls] until the move", {"permissive-mtls"}, "until the move", ""},
      {" ignore [ MP0201 , weaker-port-mtls ]  two   blanks ",
       {"MP0201", "weaker-port-mtls"},
       "two blanks",
       ""},
      {"ignore[MP02] reason until=2027-01-31", {"MP02"}, "reason", "2027-01-31"},
      {"ignore[mp0201] until=2028-02-29 reason", {"mp0201"}, "reason", "2028-02-29"},
      {"ignore[MP0201] see #12 # <- MP0010", {"MP0201"}, "see #12", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    SuppressionSite site;
    std::string problem;
    CHECK(ParseSuppression(row.text, &site, &problem));
    CHECK(problem.empty());
    CHECK(site.rules == row.rules);
    CHECK(site.reason == row.reason);
    CHECK(site.until == row.until);
  }
}

TEST_CASE("suppressions: what cannot be used says why") {
  struct Row {
    const char* text;
    const char* problem;
  };
  const Row rows[] = {
      {"ignroe[MP0201] x", "a suppression reads `meshproof: ignore[rule] reason`"},
      {"ignore MP0201 x", "a suppression names its rules in brackets"},
      {"ignore[MP0201 x", "a suppression names its rules in brackets"},
      {"ignore[] x", "a suppression names its rules in the brackets"},
      {"ignore[permisive-mtls] x", "no rule \"permisive-mtls\"; did you mean \"permissive-mtls\"?"},
      {"ignore[MP0201,] x", "no rule \"\""},
      {"ignore[MP0201]", "a suppression needs a reason behind the bracket"},
      {"ignore[MP0201] until=2027-01-31", "a suppression needs a reason behind the bracket"},
      {"ignore[MP0201] # <- MP0010", "a suppression needs a reason behind the bracket"},
      {"ignore[MP0201] x until=soon", "`until=soon` is no date; write until=YYYY-MM-DD"},
      {"ignore[MP0201] x until=2027-02-29", "is no date"},
      {"ignore[MP0201] x until=2027-13-01", "is no date"},
      {"ignore[MP0201] x until=27-1-1", "is no date"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    SuppressionSite site;
    std::string problem;
    CHECK_FALSE(ParseSuppression(row.text, &site, &problem));
    CHECK_MESSAGE(problem.find(row.problem) != std::string::npos, problem);
  }
}

TEST_CASE("suppressions: the date of a moment") {
  CHECK(DateOf(0) == "1970-01-01");
  CHECK(DateOf(kNow) == "2026-11-18");
  CHECK(DateOf(951868799) == "2000-02-29");
}

// A PeerAuthentication whose mode is permissive (MP0201) on its last line.
std::string Mesh(const std::string& above, const std::string& behind,
                 const std::string& annotations = "") {
  return "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n"
         "  name: default\n  namespace: shop\n" +
         annotations + "spec:\n  mtls:\n" + above + "    mode: PERMISSIVE" + behind + "\n";
}

struct Outcome {
  List shown, all;
  size_t suppressed = 0;
  List messages;  // of MP0010
};

Outcome Run(const std::string& text, AnalyzeOptions options = {}) {
  options.now = kNow;
  Outcome outcome;
  auto plain = AnalyzeTexts({{"m", text}}, options);
  outcome.shown = plain.Lines();
  outcome.suppressed = plain.result.suppressed;
  for (const Finding& finding : plain.result.findings) {
    if (finding.rule->code == "MP0010") outcome.messages.push_back(finding.message);
  }
  options.show_suppressed = true;
  outcome.all = AnalyzeTexts({{"m", text}}, options).Lines();
  return outcome;
}

TEST_CASE("suppressions: by a comment on the line or alone above it") {
  const std::string texts[] = {
      Mesh("", "  # meshproof: ignore[permissive-mtls] clients move in March"),
      Mesh("", " # meshproof:ignore[MP02] clients move"),
      Mesh("    # meshproof: ignore[MP0201] clients move until=2026-11-18\n", ""),
      Mesh("    # meshproof: ignore[MP0201] clients move\n    # and more\n", ""),
      Mesh("    # meshproof: ignore[MP0202, MP0201] clients move\n", ""),
  };
  for (const auto& text : texts) {
    CAPTURE(text);
    Outcome outcome = Run(text);
    CHECK(outcome.shown.empty());
    CHECK(outcome.suppressed == 1);
    REQUIRE(outcome.all.size() == 1);
    CHECK(outcome.all[0].ends_with(" MP0201 suppressed"));
  }
}

TEST_CASE("suppressions: what does not cover the line hides nothing, and that is said") {
  struct Row {
    std::string text;
    List shown;
    const char* message;
  };
  const Row rows[] = {
      // Another rule's.
      {Mesh("    # meshproof: ignore[MP0202] x\n", ""),
       {"m:8 MP0010", "m:9 MP0201"},
       "this suppression of MP0202 hides nothing"},
      // An empty line between, a line below.
      {Mesh("    # meshproof: ignore[MP0201] x\n\n", ""),
       {"m:8 MP0010", "m:10 MP0201"},
       "hides nothing"},
      {Mesh("", "\n# meshproof: ignore[MP0201] x"), {"m:8 MP0201", "m:9 MP0010"}, "hides nothing"},
      // Expired yesterday.
      {Mesh("    # meshproof: ignore[MP0201] x until=2026-11-17\n", ""),
       {"m:8 MP0010", "m:9 MP0201"},
       "this suppression expired on 2026-11-17, and its findings are reported again"},
      // Not well written.
      {Mesh("    # meshproof: ignore[MP0201]\n", ""),
       {"m:8 MP0010", "m:9 MP0201"},
       "this suppression is not used: a suppression needs a reason"},
      {Mesh("    # meshproof: ignore[permisive-mtls] x\n", ""),
       {"m:8 MP0010", "m:9 MP0201"},
       "did you mean \"permissive-mtls\"?"},
      // A text is no comment.
      {Mesh("", "\n    note: '# meshproof: ignore[MP0201] x'"),
       {"m:8 MP0201", "m:9 MP0002"},
       nullptr},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    Outcome outcome = Run(row.text);
    CHECK(outcome.shown == row.shown);
    CHECK(outcome.suppressed == 0);
    if (row.message == nullptr) continue;
    REQUIRE(outcome.messages.size() == 1);
    CHECK_MESSAGE(outcome.messages[0].find(row.message) != std::string::npos, outcome.messages[0]);
  }
}

TEST_CASE("suppressions: while only some rules run, none is called unused") {
  std::string text = Mesh("    # meshproof: ignore[MP0202] x\n", "");
  AnalyzeOptions options;
  options.skip = {"MP0202"};
  CHECK(Run(text, options).shown == List{"m:9 MP0201"});
  options = {};
  options.only = {"MP0010", "MP0201"};
  CHECK(Run(text, options).shown == List{"m:9 MP0201"});
  options = {};
  options.severities["useless-suppression"] = std::nullopt;
  CHECK(Run(text, options).shown == List{"m:9 MP0201"});
  options.severities["useless-suppression"] = Severity::kError;
  CHECK(Run(text, options).shown == List{"m:8 MP0010", "m:9 MP0201"});
}

TEST_CASE("suppressions: by annotations of the object") {
  struct Row {
    const char* annotations;
    bool hides;
    const char* message;  // of MP0010
  };
  const Row rows[] = {
      {"  annotations: {meshproof/ignore: '[permissive-mtls] clients move'}\n", true, nullptr},
      {"  annotations: {meshproof/ignore: '[MP02] clients move until=2027-01-01'}\n", true,
       nullptr},
      {"  annotations: {meshproof/ignore: '[MP02] clients move until=2026-01-01'}\n", false,
       "expired on 2026-01-01"},
      {"  annotations: {meshproof/ignore: '[MP0201]'}\n", false, "needs a reason"},
      {"  annotations: {meshproof/ignore: 'MP0201 why not'}\n", false, "in brackets"},
      {"  annotations: {meshproof/ignore: '[MP0099] x'}\n", false, "no rule \"MP0099\""},
      {"  annotations: {meshproof/ignore: '[MP0202] x'}\n", false, "hides nothing"},
      // istioctl's: everything, or codes that the rule stands for; this one stands for none.
      {"  annotations: {galley.istio.io/analyze-suppress: '*'}\n", true, nullptr},
      {"  annotations: {galley.istio.io/analyze-suppress: 'IST0101,IST0102'}\n", false, nullptr},
  };
  for (const Row& row : rows) {
    CAPTURE(row.annotations);
    Outcome outcome = Run(Mesh("", "", row.annotations));
    List shown;
    if (row.message != nullptr) shown.emplace_back("m:6 MP0010");
    if (!row.hides) shown.emplace_back("m:9 MP0201");
    CHECK(outcome.shown == shown);
    CHECK(outcome.suppressed == (row.hides ? 1 : 0));
    if (row.message == nullptr) continue;
    REQUIRE(outcome.messages.size() == 1);
    CHECK_MESSAGE(outcome.messages[0].find(row.message) != std::string::npos, outcome.messages[0]);
  }
}

TEST_CASE("suppressions: istioctl's annotation hides the rules that stand for its codes") {
  // MP0101 stands for IST0127 here, and the object is still the one that istioctl would name.
  std::string text = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: a}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: orders
  namespace: shop
  annotations: {galley.istio.io/analyze-suppress: "CODES"}
spec:
  selector: {matchLabels: {app: ordres}}
  action: DENY
  rules: [{to: [{operation: {methods: [DELETE]}}]}]
)";
  auto with = [&](const std::string& codes) {
    std::string filled = text;
    filled.replace(filled.find("CODES"), 5, codes);
    AnalyzeOptions options;
    options.only = {"MP0101", "MP0010"};
    return Run(filled, options);
  };
  CHECK(with("IST0101").shown.size() == 1);
  CHECK(with("IST0127").shown.empty());
  CHECK(with("IST0101, IST0127").suppressed == 1);
  CHECK(with("*").suppressed == 1);
}

TEST_CASE("suppressions: of objects that admission refuses, and of kinds nobody decodes") {
  std::string refused = R"(apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: orders
  namespace: shop
  annotations: {meshproof/ignore: "[refused-by-admission] known"}
spec:
  action: DENY
  rules:
  - to: [{operation: {ports: ["99999999"]}}]
)";
  Outcome outcome = Run(refused);
  CHECK(outcome.shown.empty());
  CHECK(outcome.suppressed == 1);
}

TEST_CASE("suppressions: a finding carries its reason and date") {
  AnalyzeOptions options;
  options.now = kNow;
  options.show_suppressed = true;
  auto analyzed = AnalyzeTexts(
      {{"m", Mesh("", " # meshproof: ignore[MP0201] clients move until=2027-01-31")}}, options);
  REQUIRE(analyzed.result.findings.size() == 1);
  const auto& suppressed = analyzed.result.findings[0].suppressed;
  REQUIRE(suppressed.has_value());
  CHECK(suppressed->reason == "clients move");
  CHECK(suppressed->until == "2027-01-31");
}

}  // namespace
}  // namespace meshproof::suppress_test

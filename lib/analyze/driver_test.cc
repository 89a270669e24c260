// What happens to findings between the rules and the formats: which rules run, with which
// severity, in which order, each once.

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "analyze/analyze_text.h"

namespace meshproof::driver_test {
namespace {

using List = std::vector<std::string>;

constexpr char kPermissive[] = R"(apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec:
  mtls: {mode: PERMISSIVE}
)";

constexpr char kUnknownField[] = R"(apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  selecter: {matchLabels: {app: orders}}
  action: DENY
  rules:
  - to: [{operation: {ports: ["99999999"]}}]
)";

const NamedTexts kTwoFiles = {{"b.yaml", kPermissive}, {"a.yaml", kUnknownField}};

List Found(const AnalyzeOptions& options, const NamedTexts& files = kTwoFiles) {
  return AnalyzeTexts(files, options).Lines();
}

TEST_CASE("driver: findings come by file, place and code, whatever the order of the input") {
  const List expected = {"a.yaml:5 MP0002", "a.yaml:8 MP0004", "b.yaml:5 MP0201"};
  CHECK(Found({}) == expected);
  CHECK(Found({}, {kTwoFiles[1], kTwoFiles[0]}) == expected);
  for (unsigned threads : {1U, 2U, 7U}) {
    AnalyzeOptions options;
    options.threads = threads;
    CHECK(Found(options) == expected);
  }
}

TEST_CASE("driver: no finding stands twice") {
  // The same object in two files is read once, and what is wrong with it is said once.
  std::string list = "apiVersion: v1\nkind: List\nitems: []\n---\n";
  auto analyzed = AnalyzeTexts({{"a.yaml", list + kUnknownField + "---\n" + kPermissive}}, {});
  std::set<std::string> seen;
  for (const Finding& finding : analyzed.result.findings) {
    Location place = Locate(finding.span);
    CHECK(seen.insert(ToString(place) + finding.rule->code + finding.message).second);
  }
  CHECK(seen.size() == 3);
}

TEST_CASE("driver: which rules run") {
  struct Row {
    List only, skip;
    List found;
  };
  const Row rows[] = {
      {{}, {}, {"a.yaml:5 MP0002", "a.yaml:8 MP0004", "b.yaml:5 MP0201"}},
      {{"MP0201"}, {}, {"b.yaml:5 MP0201"}},
      {{"permissive-mtls"}, {}, {"b.yaml:5 MP0201"}},
      {{"Permissive-MTLS", "mp0004"}, {}, {"a.yaml:8 MP0004", "b.yaml:5 MP0201"}},
      {{"MP00"}, {}, {"a.yaml:5 MP0002", "a.yaml:8 MP0004"}},
      {{"MP00"}, {"MP0002"}, {"a.yaml:8 MP0004"}},
      {{}, {"MP00"}, {"b.yaml:5 MP0201"}},
      {{}, {"MP00", "permissive-mtls"}, {}},
      {{"MP0201"}, {"MP02"}, {}},
  };
  for (const Row& row : rows) {
    AnalyzeOptions options;
    options.only = row.only;
    options.skip = row.skip;
    CAPTURE(row.only);
    CAPTURE(row.skip);
    CHECK(CheckRuleNames(options).ok());
    CHECK(Found(options) == row.found);
  }
}

TEST_CASE("driver: an unknown rule is an error with the nearest one") {
  struct Row {
    const char* written;
    const char* message;
  };
  const Row rows[] = {
      {"permisive-mtls", "no rule \"permisive-mtls\"; did you mean \"permissive-mtls\"?"},
      {"MP0209", "no rule \"MP0209\"; did you mean"},
      {"MP99", "no rule \"MP99\""},
      {"MP", "no rule \"MP\""},
      {"", "no rule \"\""},
      {"nosuchrule", "no rule \"nosuchrule\" (`meshproof rules` lists them)"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.written);
    for (int where = 0; where < 3; ++where) {
      AnalyzeOptions options;
      if (where == 0) options.only = {"MP0201", row.written};
      if (where == 1) options.skip = {row.written};
      if (where == 2) options.severities[row.written] = Severity::kInfo;
      auto checked = CheckRuleNames(options);
      REQUIRE_FALSE(checked.ok());
      CHECK_MESSAGE(checked.error().message.find(row.message) == 0, checked.error().message);
    }
  }
}

Severity SeverityOf(const AnalyzeOptions& options, const std::string& code) {
  auto analyzed = AnalyzeTexts(kTwoFiles, options);
  for (const Finding& finding : analyzed.result.findings) {
    if (finding.rule->code == code) return finding.severity;
  }
  FAIL("no finding of " << code);
  return Severity::kInfo;
}

TEST_CASE("driver: severities are the rule's, a group's, a rule's own setting's") {
  CHECK(SeverityOf({}, "MP0201") == Severity::kWarning);
  AnalyzeOptions options;
  options.severities["MP02"] = Severity::kInfo;
  CHECK(SeverityOf(options, "MP0201") == Severity::kInfo);
  CHECK(SeverityOf(options, "MP0004") == Severity::kError);
  // The more specific key wins, whichever comes first in the alphabet.
  options.severities["permissive-mtls"] = Severity::kError;
  CHECK(SeverityOf(options, "MP0201") == Severity::kError);
  options.severities.erase("permissive-mtls");
  options.severities["mp0201"] = Severity::kError;
  CHECK(SeverityOf(options, "MP0201") == Severity::kError);
  options.severities["mp0201"] = std::nullopt;
  CHECK(Found(options) == List{"a.yaml:5 MP0002", "a.yaml:8 MP0004"});
  options.severities = {{"MP00", std::nullopt}, {"MP0004", Severity::kInfo}};
  CHECK(Found(options) == List{"a.yaml:8 MP0004", "b.yaml:5 MP0201"});
}

TEST_CASE("driver: witnesses do not name the time of the run") {
  constexpr char kOpen[] = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec: {selector: {app: orders}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Pod
metadata: {name: orders, namespace: shop, labels: {app: orders}}
spec: {containers: [{name: orders, image: orders}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  rules:
  - to: [{operation: {paths: ["/api*"]}}]
)";
  AnalyzeOptions options;
  options.now = 1700000000;
  auto analyzed = AnalyzeTexts({{"a.yaml", kOpen}}, options);
  size_t witnesses = 0;
  for (const Finding& finding : analyzed.result.findings) {
    if (!finding.witness) continue;
    ++witnesses;
    CHECK_MESSAGE(!finding.witness->question.now, finding.message);
  }
  CHECK(witnesses > 0);
}

TEST_CASE("driver: the fingerprint is of code, object and field, not of lines or words") {
  auto fingerprints = [](const std::string& text) {
    auto analyzed = AnalyzeTexts({{"x.yaml", text}}, {});
    List out;
    for (const Finding& finding : analyzed.result.findings) out.push_back(Fingerprint(finding));
    std::sort(out.begin(), out.end());
    return out;
  };
  List before = fingerprints(kUnknownField);
  CHECK(before.size() == 2);
  for (const auto& fingerprint : before) {
    CHECK(fingerprint.size() == 64);
    CHECK(fingerprint.find_first_not_of("0123456789abcdef") == std::string::npos);
  }
  std::string moved = std::string("# one\n# two\n\n") + kPermissive + "---\n" + kUnknownField;
  List after = fingerprints(moved);
  CHECK(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  std::string renamed = kUnknownField;
  renamed.replace(renamed.find("orders"), 6, "basket");
  List other = fingerprints(renamed);
  List common;
  std::set_intersection(before.begin(), before.end(), other.begin(), other.end(),
                        std::back_inserter(common));
  CHECK(common.empty());
}

}  // namespace
}  // namespace meshproof::driver_test

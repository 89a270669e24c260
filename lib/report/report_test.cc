#include <doctest/doctest.h>

#include "report/graph.h"
#include "report/test_report.h"
#include "report/verdict_json.h"
#include "report/verdict_text.h"

namespace meshproof::report_test {
namespace {

// A refused request, made by hand: a policy of two rules, the second of which came near.
struct Example {
  SourceFile file{"policies.yaml",
                  "kind: AuthorizationPolicy\nmetadata: {name: orders, namespace: shop}\n"
                  "rules:\n- hosts: ['*.example.com']\n"};
  ObjectMeta meta;
  Verdict verdict;

  Example() {
    meta.kind = "AuthorizationPolicy";
    meta.ns = "shop";
    meta.name = "orders";
    meta.span = {&file, 43, 49};
    verdict.outcome = Outcome::kDeny;
    verdict.status = 403;
    verdict.details = "rbac_access_denied_matched_policy[none]";
    verdict.body = "RBAC: access denied";
    verdict.stage = Stage::kAllow;
    Step step;
    step.stage = Stage::kAllow;
    step.result = Step::Result::kNoMatch;
    step.text = "no rule of 1 ALLOW policy matched";
    verdict.steps.push_back(step);
    NearMiss miss;
    miss.origin = {&meta, 1, {&file, 77, 101}};
    miss.field = "hosts";
    miss.got = "a.example.org:443";
    miss.wanted = "*.example.com";
    miss.span = {&file, 77, 101};
    verdict.near_misses.push_back(miss);
    Hop hop;
    hop.ns = "shop";
    hop.workload = "orders";
    hop.mode = ProxyMode::kSidecar;
    hop.peer = "spiffe://cluster.local/ns/shop/sa/web";
    hop.source = Address{*ParseCidr("10.244.0.0/16")};
    hop.destination_port = 8080;
    hop.outcome = Outcome::kDeny;
    hop.status = 403;
    hop.flags = "-";
    hop.details = verdict.details;
    verdict.hops.push_back(hop);
  }
};

TEST_CASE("verdict: text") {
  Example example;
  CHECK(VerdictText(example.verdict, "GET a.example.org/  from shop/web  to orders:80") ==
        R"(DENY 403  rbac_access_denied_matched_policy[none]
  ALLOW policies apply and no rule of theirs matched
  GET a.example.org/  from shop/web  to orders:80
  body: `RBAC: access denied`

near misses
  rule 1 of shop/orders fails only on hosts: got `a.example.org:443`, the policy has `*.example.com` (policies.yaml:4:3)

hops
  0  sidecar shop/orders:8080  peer spiffe://cluster.local/ns/shop/sa/web, source an address in 10.244.0.0/16  -> deny 403

trace
  0  allow   no match  no rule of 1 ALLOW policy matched

what to do
  if this should be allowed, change the condition that failed, or add an ALLOW rule
)");
}

TEST_CASE("verdict: JSON") {
  Example example;
  CHECK(WriteJson(VerdictJson(example.verdict)) ==
        R"({"verdict":"deny","status":403,"flags":"-",)"
        R"("details":"rbac_access_denied_matched_policy[none]",)"
        R"("decided_by":{"stage":"allow","policy":null,"rule":null,"location":null},)"
        R"("steps":[{"hop":0,"stage":"allow","outcome":"no_match",)"
        R"("text":"no rule of 1 ALLOW policy matched","policy":null,"rule":null,"location":null}],)"
        R"("near_misses":[{"policy":{"kind":"AuthorizationPolicy","namespace":"shop",)"
        R"("name":"orders"},"rule":1,"location":{"file":"policies.yaml","line":4,"column":3,)"
        R"("end_line":4,"end_column":27},"failed":{"field":"hosts","got":"a.example.org:443",)"
        R"("wanted":"*.example.com","location":{"file":"policies.yaml","line":4,"column":3,)"
        R"("end_line":4,"end_column":27}}}],)"
        R"("hops":[{"proxy":{"namespace":"shop","workload":"orders","mode":"sidecar"},)"
        R"("peer":"spiffe://cluster.local/ns/shop/sa/web","source_ip":"10.244.0.0/16",)"
        R"("destination":{"ip":null,"port":8080},"verdict":"deny","status":403,"flags":"-",)"
        R"("details":"rbac_access_denied_matched_policy[none]"}],)"
        R"("body":"RBAC: access denied","grpc_status":null,"missing":[]})");
}

TEST_CASE("verdict: the first line and who decided") {
  Example example;
  Verdict verdict = example.verdict;
  verdict.decided_by = {&example.meta, 0, {&example.file, 77, 101}};
  verdict.stage = Stage::kDeny;
  CHECK(DecisionText(verdict) ==
        "deny: AuthorizationPolicy shop/orders rule 0 (policies.yaml:4:3)");
  verdict = {};
  verdict.status = 404;
  verdict.flags = "NR";
  verdict.details = "route_not_found";
  CHECK(VerdictLine(verdict) == "ALLOW 404  route_not_found  NR");
  CHECK(DecisionText(verdict) == "no policy stands in the way");
  CHECK(StageName(verdict) == "allow");
  verdict = {};
  verdict.outcome = Outcome::kReject;
  CHECK(VerdictLine(verdict) == "REJECT");
  CHECK(StageName(verdict).empty());
  verdict.outcome = Outcome::kUndetermined;
  verdict.missing = {"the answer of ext_authz provider opa"};
  CHECK(VerdictLine(verdict) == "UNDETERMINED");
  CHECK(VerdictText(verdict, "").find("missing\n  the answer of ext_authz provider opa\n") !=
        std::string::npos);
  CHECK(WriteJson(VerdictJson(verdict))
            .find(R"("missing":["the answer of ext_authz provider opa"])") != std::string::npos);
}

TEST_CASE("verdict: colour only where asked for") {
  Example example;
  CHECK(VerdictText(example.verdict, "x").find('\x1b') == std::string::npos);
  CHECK(VerdictLine(example.verdict, Style{true}).starts_with("\x1b[1;31mDENY 403\x1b[0m"));
}

TEST_CASE("near misses: several conditions, nothing to show") {
  Example example;
  NearMiss miss = example.verdict.near_misses[0];
  miss.failed = 3;
  miss.got.clear();
  CHECK(NearMissText(miss) ==
        "rule 1 of shop/orders fails on hosts and 2 other conditions: got nothing, the policy has "
        "`*.example.com` (policies.yaml:4:3)");
}

TestReport MakeReport(const Example& example) {
  TestReport report;
  FileReport& file = report.files.emplace_back();
  file.file = "a&b.meshtest.yaml";
  CaseReport& pass = file.cases.emplace_back();
  pass.name = "fine";
  CaseReport& fail = file.cases.emplace_back();
  fail.name = "not <fine> #2\x01";
  fail.outcome = CaseOutcome::kFail;
  fail.span = {&example.file, 0, 4};
  fail.expected = Json::MakeObject({{"verdict", "allow"}});
  fail.got = example.verdict;
  fail.mismatches = {{"verdict", "allow", "deny"}};
  fail.message = "verdict: expected allow, got deny";
  CaseReport& error = file.cases.emplace_back();
  error.name = "broken";
  error.outcome = CaseOutcome::kError;
  error.message = "no workload `a/b`";
  return report;
}

TEST_CASE("test results: text") {
  Example example;
  TestReport report = MakeReport(example);
  report.with_coverage = true;
  report.coverage = {{&example.meta, 0, {&example.file, 77, 101}, 2},
                     {&example.meta, 1, {&example.file, 77, 101}, 0}};
  CHECK(TestReportText(report) ==
        "FAIL  policies.yaml:1:1  not <fine> #2\x01\n"
        "      verdict: expected allow, got deny\n"
        "      verdict: DENY 403  rbac_access_denied_matched_policy[none]; ALLOW policies apply "
        "and no rule of theirs matched\n"
        "      near miss: rule 1 of shop/orders fails only on hosts: got `a.example.org:443`, the "
        "policy has `*.example.com` (policies.yaml:4:3)\n"
        "ERROR    broken\n"
        "      no workload `a/b`\n"
        "\n"
        "coverage: 1 of 2 policy rules exercised\n"
        "  not exercised: rule 1 of AuthorizationPolicy shop/orders (policies.yaml:4:3)\n"
        "1 passed, 1 failed, 1 error in 1 file\n");
}

TEST_CASE("test results: JUnit is XML whatever stands in a name") {
  Example example;
  std::string xml = TestReportJunit(MakeReport(example));
  CHECK(
      xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                      "<testsuites tests=\"3\" failures=\"1\" errors=\"1\">\n"
                      "  <testsuite name=\"a&amp;b.meshtest.yaml\" tests=\"3\" failures=\"1\" "
                      "errors=\"1\">\n"
                      "    <testcase classname=\"a&amp;b.meshtest.yaml\" name=\"fine\"/>\n"
                      "    <testcase classname=\"a&amp;b.meshtest.yaml\" "
                      "name=\"not &lt;fine&gt; #2\xEF\xBF\xBD\""));
  CHECK(xml.find("<failure message=\"verdict: expected allow, got deny\">DENY 403") !=
        std::string::npos);
  CHECK(xml.find("<error message=\"no workload `a/b`\"></error>") != std::string::npos);
  CHECK(xml.ends_with("</testsuites>\n"));
}

TEST_CASE("test results: TAP") {
  Example example;
  CHECK(TestReportTap(MakeReport(example)) ==
        "TAP version 14\n1..3\n"
        "ok 1 - a&b.meshtest.yaml: fine\n"
        "not ok 2 - a&b.meshtest.yaml: not <fine> \\#2\x01\n"
        "  ---\n"
        "  message: \"verdict: expected allow, got deny\"\n"
        "  severity: \"fail\"\n"
        "  at: \"policies.yaml:1:1\"\n"
        "  got: \"DENY 403  rbac_access_denied_matched_policy[none]; ALLOW policies apply and no "
        "rule of theirs matched\"\n"
        "  near_miss: \"rule 1 of shop/orders fails only on hosts: got `a.example.org:443`, the "
        "policy has `*.example.com` (policies.yaml:4:3)\"\n"
        "  ...\n"
        "not ok 3 - a&b.meshtest.yaml: broken\n"
        "  ---\n"
        "  message: \"no workload `a/b`\"\n"
        "  severity: \"error\"\n"
        "  ...\n");
}

TEST_CASE("graphs: the three forms of one graph") {
  Example example;
  Graph graph;
  graph.nodes = {{"caller:any\"one", "caller", "", "any\"one", "", "any\"one"},
                 {"workload:shop/orders", "workload", "shop", "orders", "sidecar", "orders"}};
  graph.edges = {{"caller:any\"one", "workload:shop/orders", "allows", &example.meta, 0}};
  CHECK(GraphDot(graph) == R"(digraph mesh {
  rankdir=LR;
  node [fontname="sans-serif"];
  "caller:any\"one" [label="any\"one", shape=plaintext];
  subgraph "cluster_shop" {
    label="shop";
    "workload:shop/orders" [label="orders", shape=box];
  }
  "caller:any\"one" -> "workload:shop/orders" [label="allows orders[0]", color="#1a7f37"];
}
)");
  CHECK(GraphMermaid(graph) == R"(flowchart LR
  n0(["any#quot;one"])
  subgraph g0["shop"]
    n1["orders"]
  end
  n0 -->|"allows orders rule 0"| n1
)");
  CHECK(
      WriteJson(GraphJson(graph)) ==
      R"({"version":1,"nodes":[{"id":"caller:any\"one","kind":"caller","namespace":null,)"
      R"("name":"any\"one","mode":null},{"id":"workload:shop/orders","kind":"workload",)"
      R"("namespace":"shop","name":"orders","mode":"sidecar"}],)"
      R"("edges":[{"from":"caller:any\"one","to":"workload:shop/orders","kind":"allows",)"
      R"("policy":{"kind":"AuthorizationPolicy","namespace":"shop","name":"orders"},"rule":0}]})");
}

}  // namespace
}  // namespace meshproof::report_test

// test, compile, describe and graph, run whole and in memory.

#include <doctest/doctest.h>

#include "app/memory_files.h"

namespace meshproof::commands_test {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::vector<std::string> Keys(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.as_object()) keys.push_back(key);
  return keys;
}

constexpr char kTests[] = R"(mesh: [../mesh.yaml]
tests:
- name: web reads
  from: {workload: shop/web}
  to: {host: orders.shop, port: 80}
  path: /api/1
  expect: {verdict: allow, status: 200, stage: allow, policy: shop/orders, rule: 0, enforced_at: sidecar}
- name: web does not write
  from: {workload: shop/web}
  to: {host: orders.shop, port: 80}
  method: POST
  path: /api/1
  expect: {verdict: deny, status: [401, 403], policy: none}
)";

constexpr char kFailing[] = R"(mesh: [mesh.yaml]
tests:
- name: 'web <writes> & "reads" #1'
  from: {workload: shop/web}
  to: {host: orders.shop, port: 80}
  method: POST
  path: /api/1
  expect: {verdict: allow, status: 200}
)";

constexpr char kUnrunnable[] = R"(mesh: [mesh.yaml]
tests:
- name: nobody
  from: {workload: shop/nobody}
  to: {host: orders.shop, port: 80}
  expect: {}
- name: misspelt
  from: {workload: shop/web}
  to: {host: orders.shop, port: 80}
  pth: /x
  expect: {verdict: deny}
)";

MemoryFiles Files() {
  MemoryFiles files;
  files.Put("mesh.yaml", kSmallMesh);
  files.Put("t/orders.meshtest.yaml", kTests);
  return files;
}

TEST_CASE("test: passing cases") {
  for (const char* path : {"t/orders.meshtest.yaml", "t", "."}) {
    CAPTURE(path);
    Ran ran = Run({"test", path}, Files());
    CHECK_MESSAGE(ran.status == 0, ran.out);
    CHECK(ran.out == "2 passed, 0 failed, 0 errors in 1 file\n");
  }
}

TEST_CASE("test: a failure shows what was expected, what came, and the near miss") {
  MemoryFiles files = Files();
  files.Put("bad.meshtest.yaml", kFailing);
  Ran ran = Run({"test"}, files);
  CHECK(ran.status == 1);
  CHECK(Contains(ran.out, "FAIL  bad.meshtest.yaml:3:3  web <writes> & \"reads\" #1\n"));
  CHECK(Contains(ran.out, "verdict: expected allow, got deny"));
  CHECK(Contains(ran.out, "status: expected 200, got 403"));
  CHECK(Contains(ran.out, "near miss: rule 0 of shop/orders fails only on methods"));
  CHECK(Contains(ran.out, "2 passed, 1 failed, 0 errors in 2 files\n"));
}

TEST_CASE("test: a case that cannot be run is an error, status 2") {
  MemoryFiles files = Files();
  files.Put("bad.meshtest.yaml", kUnrunnable);
  Ran ran = Run({"test"}, files);
  CHECK(ran.status == 2);
  CHECK(Contains(ran.out, "ERROR  bad.meshtest.yaml:3:3  nobody\n"));
  CHECK(Contains(ran.out, "shop/nobody"));
  CHECK(Contains(ran.out,
                 "bad.meshtest.yaml:10:3: unknown key `pth` in a test; did you mean "
                 "`path`?"));
  CHECK(Contains(ran.out, "2 passed, 0 failed, 2 errors in 2 files\n"));
}

TEST_CASE("test: a file or mesh that cannot be used") {
  struct Row {
    const char* text;
    const char* message;
  };
  const Row rows[] = {
      {"mesh: [missing.yaml]\ntests:\n- {name: a, from: {outside: true}, to: {workload: a/b}, "
       "expect: {}}\n",
       "missing.yaml"},
      {"meshes: [mesh.yaml]\ntests: []\n",
       "unknown key `meshes` in a policy test file; did you "
       "mean `mesh`?"},
      {"tests: 3\n", "`tests` must be a list of cases"},
      {"mesh: [mesh.yaml]\n", "needs `tests`"},
      {"", "the policy test file is empty"},
      {"tests: [\n", "bad.meshtest.yaml:"},
      {"tests:\n- {name: a, from: {outside: true}, to: {workload: a/b}, expect: {}}\n",
       "names no `mesh`"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    MemoryFiles files = Files();
    files.Put("bad.meshtest.yaml", row.text);
    Ran ran = Run({"test", "bad.meshtest.yaml"}, files);
    CHECK(ran.status == 2);
    std::string printed = ran.out + ran.err;
    CHECK_MESSAGE(Contains(printed, row.message), printed);
  }
  Ran none = Run({"test", "mesh.yaml"}, Files());
  CHECK(none.status == 2);
  CHECK(Contains(none.err, "no policy test (*.meshtest.yaml) in mesh.yaml"));
}

TEST_CASE("test: without `mesh` the other PATHs are the mesh; tests are known by content too") {
  MemoryFiles files;
  std::string tests = kTests;
  tests.erase(0, tests.find('\n') + 1);
  files.Put("m/mesh.yaml", kSmallMesh);
  files.Put("checks.yaml", tests);
  CHECK(Run({"test", "checks.yaml", "m"}, files).out == "2 passed, 0 failed, 0 errors in 1 file\n");
}

TEST_CASE("test: {path, namespace} gives a namespace to objects that name none") {
  MemoryFiles files = Files();
  files.Put("policy.yaml",
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
            "metadata: {name: closed}\nspec: {action: DENY, rules: [{}]}\n");
  files.Put("ns.meshtest.yaml", R"(mesh: [mesh.yaml, {path: policy.yaml, namespace: shop}]
tests:
- name: closed
  from: {workload: shop/web}
  to: {host: orders.shop, port: 80}
  path: /api/1
  expect: {verdict: deny, stage: deny, policy: shop/closed, rule: 0}
)");
  Ran ran = Run({"test"}, files);
  CHECK_MESSAGE(ran.status == 0, ran.out);
}

TEST_CASE("test: coverage names the rules that nothing exercised") {
  Ran text = Run({"test", "--coverage"}, Files());
  CHECK(text.status == 0);
  CHECK(Contains(text.out, "coverage: 1 of 2 policy rules exercised\n"));
  CHECK(Contains(text.out, "not exercised: rule 1 of AuthorizationPolicy shop/orders (mesh.yaml:"));
  Ran json = Run({"test", "--coverage", "--format", "json"}, Files());
  auto parsed = ParseJson(json.out);
  REQUIRE(parsed.ok());
  CHECK(Keys(parsed.value()) ==
        std::vector<std::string>{"version", "files", "summary", "coverage"});
  const auto& rows = parsed.value().Find("coverage")->as_array();
  REQUIRE(rows.size() == 2);
  CHECK(Keys(rows[0]) == std::vector<std::string>{"policy", "rule", "location", "cases"});
  CHECK(rows[0].Find("cases")->as_integer() == 1);
  CHECK(rows[1].Find("cases")->as_integer() == 0);
}

TEST_CASE("test: JSON, JUnit and TAP") {
  MemoryFiles files = Files();
  files.Put("bad.meshtest.yaml", kFailing);
  Ran json = Run({"test", "--format", "json"}, files);
  CHECK(json.status == 1);
  auto parsed = ParseJson(json.out);
  REQUIRE(parsed.ok());
  CHECK(Keys(parsed.value()) == std::vector<std::string>{"version", "files", "summary"});
  CHECK(WriteJson(*parsed.value().Find("summary")) == R"({"passed":2,"failed":1,"errors":0})");
  const Json& first = parsed.value().Find("files")->as_array()[0].Find("cases")->as_array()[0];
  CHECK(Keys(first) ==
        std::vector<std::string>{"name", "outcome", "location", "expected", "got", "message"});
  CHECK(first.Find("outcome")->as_string() == "fail");
  CHECK(WriteJson(*first.Find("expected")) == R"({"verdict":"allow","status":200})");

  Ran junit = Run({"test", "--format", "junit"}, files);
  CHECK(junit.status == 1);
  CHECK(Contains(junit.out, "<testsuites tests=\"3\" failures=\"1\" errors=\"0\">"));
  CHECK(Contains(junit.out, "name=\"web &lt;writes&gt; &amp; &quot;reads&quot; #1\""));

  Ran tap = Run({"test", "--format", "tap"}, files);
  CHECK(tap.status == 1);
  CHECK(
      tap.out.starts_with("TAP version 14\n1..3\nnot ok 1 - bad.meshtest.yaml: web <writes> & "
                          "\"reads\" \\#1\n"));
  CHECK(Contains(tap.out, "ok 3 - t/orders.meshtest.yaml: web does not write\n"));
}

TEST_CASE("compile: JSON and YAML say the same, with the contract's keys") {
  Ran json = Run({"compile", "shop/orders", "mesh.yaml", "--format", "json"}, Files());
  REQUIRE_MESSAGE(json.status == 0, json.err);
  auto parsed = ParseJson(json.out);
  REQUIRE(parsed.ok());
  CHECK(Keys(parsed.value()) == std::vector<std::string>{"version", "namespace", "workload", "mode",
                                                         "principal", "trust_domain", "listeners",
                                                         "routes", "clusters"});
  Ran yaml = Run({"compile", "shop/orders", "mesh.yaml"}, Files());
  CHECK(yaml.status == 0);
  CHECK(Contains(yaml.out, "workload: orders\n"));
  ParsedFile reread = ParseText("out.yaml", yaml.out);
  CHECK(reread.diagnostics.empty());
  CHECK(reread.documents.size() == 1);
}

TEST_CASE("compile: what has no proxy") {
  struct Row {
    const char* workload;
    const char* message;
  };
  const Row rows[] = {
      {"legacy/probe", "has no proxy"},
      {"shop/ordres", "did you mean `shop/orders`?"},
      {"orders", "NAMESPACE/NAME"},
      {"shop/orders:8080", "name it without a port"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.workload);
    Ran ran = Run({"compile", row.workload, "mesh.yaml"}, Files());
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK_MESSAGE(Contains(ran.err, row.message), ran.err);
  }
}

TEST_CASE("describe: one screen") {
  Ran ran = Run({"describe", "shop/orders", "mesh.yaml"}, Files());
  REQUIRE_MESSAGE(ran.status == 0, ran.err);
  CHECK(Contains(ran.out, "shop/orders  sidecar"));
  CHECK(Contains(ran.out, "identity  spiffe://cluster.local/ns/shop/sa/orders"));
  CHECK(Contains(ran.out, "mTLS STRICT  by PeerAuthentication istio-system/default"));
  CHECK(Contains(ran.out, "allow   shop/orders  2 rules"));
  CHECK(Contains(ran.out,
                 "Gateway istio-system/shop  shop.example.com: uri prefix /api -> "
                 "orders:80"));
  CHECK_FALSE(Contains(ran.out, "unprotected"));

  Ran bare = Run({"describe", "legacy/probe", "mesh.yaml"}, Files());
  CHECK(bare.status == 0);
  CHECK(Contains(bare.out, "nothing is enforced here"));
  Ran open = Run({"describe", "shop/web", "mesh.yaml"}, Files());
  CHECK(Contains(open.out, "no ALLOW policy applies"));
}

TEST_CASE("describe: JSON") {
  Ran ran = Run({"describe", "shop/orders:8080", "mesh.yaml", "--format", "json"}, Files());
  auto parsed = ParseJson(ran.out);
  REQUIRE_MESSAGE(parsed.ok(), ran.err);
  CHECK(Keys(parsed.value()) == std::vector<std::string>{"version", "workload", "identity", "mode",
                                                         "mode_reason", "ports", "jwt", "policies",
                                                         "routes", "unprotected"});
  const Json& port = parsed.value().Find("ports")->as_array().at(0);
  CHECK(port.Find("port")->as_integer() == 8080);
  CHECK(port.Find("mtls")->as_string() == "STRICT");
  CHECK(WriteJson(*port.Find("mtls_by")) ==
        R"({"kind":"PeerAuthentication","namespace":"istio-system","name":"default"})");
  CHECK(Run({"describe", "shop/orders:9", "mesh.yaml"}, Files()).status == 2);
}

TEST_CASE("graph: nodes and edges") {
  Ran json = Run({"graph", "mesh.yaml", "--format", "json"}, Files());
  REQUIRE_MESSAGE(json.status == 0, json.err);
  auto parsed = ParseJson(json.out);
  REQUIRE(parsed.ok());
  CHECK(Keys(parsed.value()) == std::vector<std::string>{"version", "nodes", "edges"});
  CHECK(Contains(WriteJson(parsed.value()),
                 R"({"from":"caller:principals cluster.local/ns/shop/sa/web",)"
                 R"("to":"workload:shop/orders","kind":"allows","policy":{"kind":)"
                 R"("AuthorizationPolicy","namespace":"shop","name":"orders"},"rule":0})"));
  CHECK(Contains(WriteJson(parsed.value()),
                 R"("from":"workload:istio-system/gate","to":"service:orders.shop.svc.)"
                 R"(cluster.local","kind":"routes")"));
  Ran one = Run({"graph", "shop/web", "mesh.yaml"}, Files());
  CHECK(one.status == 0);
  CHECK(one.out.starts_with("digraph mesh {"));
  CHECK_FALSE(Contains(one.out, "workload:shop/orders"));
  // Around one workload a gateway shows the routes that lead there, no others.
  MemoryFiles more;
  std::string mesh = kSmallMesh;
  mesh.replace(mesh.rfind("  - match: [{uri: {prefix: /api}}]"), 0,
               "  - match: [{uri: {prefix: /gate}}]\n"
               "    route: [{destination: {host: gate.istio-system.svc.cluster.local}}]\n");
  more.Put("mesh.yaml", mesh);
  Ran around = Run({"graph", "shop/orders", "mesh.yaml"}, more);
  CHECK(Contains(around.out, "\"service:orders.shop.svc.cluster.local\" [label=\"routes\"]"));
  CHECK_FALSE(Contains(around.out, "service:gate.istio-system"));
  Ran mermaid = Run({"graph", "mesh.yaml", "--format", "mermaid"}, Files());
  CHECK(mermaid.out.starts_with("flowchart LR\n"));
  // A path of that name wins over a workload.
  MemoryFiles files;
  files.Put("shop/web", kSmallMesh);
  CHECK(Contains(Run({"graph", "shop/web"}, files).out, "workload:shop/orders"));
  CHECK(Run({"graph", "shop/wbe", "mesh.yaml"}, Files()).status == 2);
}

TEST_CASE("the same input gives the same bytes, in any order of the files") {
  MemoryFiles files;
  std::string mesh = kSmallMesh;
  size_t middle = mesh.find("---\napiVersion: security");
  files.Put("a.yaml", mesh.substr(0, middle));
  files.Put("b.yaml", mesh.substr(middle));
  for (const char* format : {"json", "dot", "mermaid"}) {
    CHECK(Run({"graph", "a.yaml", "b.yaml", "--format", format}, files).out ==
          Run({"graph", "b.yaml", "a.yaml", "--format", format}, files).out);
  }
}

}  // namespace
}  // namespace meshproof::commands_test

#include "simulate/meshtest.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>

#include "simulate/fields.h"

namespace meshproof::meshtest_test {
namespace {

class Tokens : public FileSystem {
 public:
  Result<std::string> Read(const std::string& path) const override {
    auto file = files.find(path);
    if (file == files.end()) return Error{path + ": no such file"};
    return file->second;
  }
  Kind Stat(const std::string& path) const override {
    return files.contains(path) ? Kind::kFile : Kind::kMissing;
  }
  Result<std::vector<std::string>> List(const std::string&) const override {
    return std::vector<std::string>();
  }
  std::map<std::string, std::string> files = {{"t/user.jwt", "aaa.bbb.ccc\n"},
                                              {"t/tokens/admin.jwt", " ddd.eee.fff \n\n"}};
};

MeshTestFile Decode(std::string text) {
  return DecodeMeshTest(ParseText("t/x.meshtest.yaml", std::move(text)), Tokens());
}

// One case with the given lines beside name, from, to and expect.
MeshTestCase DecodeOne(const std::string& lines, const std::string& from = "{outside: true}",
                       const std::string& to = "{workload: a/b, port: 80}",
                       const std::string& expect = "{}") {
  MeshTestFile file = Decode("tests:\n- name: x\n  from: " + from + "\n  to: " + to +
                             "\n  expect: " + expect + "\n" + lines);
  REQUIRE(file.errors.empty());
  REQUIRE(file.cases.size() == 1);
  // Spans of the case point into its file.
  static std::vector<std::shared_ptr<const SourceFile>> kept;
  kept.push_back(file.file);
  return file.cases[0];
}

std::string FirstError(const MeshTestCase& test) {
  if (test.errors.empty()) return "";
  std::string place = test.errors[0].span ? ToString(Locate(test.errors[0].span)) : "";
  return place + " " + test.errors[0].message;
}

TEST_CASE("meshtest: a whole file") {
  MeshTestFile file = Decode(R"(mesh: [mesh.yaml, ../up.yaml, {path: p/q.yaml, namespace: shop}]
tests:
- name: one
  from: {workload: default/sleep, identity: "spiffe://td/ns/a/sa/b", ip: 10.0.0.1, tls: mtls}
  to: {host: web.shop.svc.cluster.local, port: 80, ip: 10.96.0.7}
  protocol: grpc
  method: PUT
  path: /a?b=c
  host: web:80
  headers: {x-a: 1, x-b: [two, true], x-c: ""}
  sni: outbound
  jwt: user.jwt
  jwts:
  - {file: tokens/admin.jwt, header: x-token, prefix: "T "}
  - {file: user.jwt, param: access_token}
  - {file: user.jwt, cookie: session}
  - {file: user.jwt}
  claims: {iss: me, num: 3, list: [a, true]}
  ext_authz: {opa: deny}
  now: 2026-03-01T12:00:00Z
  follow: true
  expect: {verdict: deny, status: [401, 403], stage: jwt, policy: [a/b, none], rule: 2, details: d, enforced_at: gateway}
  tags: [a]
  note: free
  source: free
  certainty: asserted
)");
  REQUIRE(file.errors.empty());
  CHECK(file.names_mesh);
  CHECK(file.mesh ==
        std::vector<MeshTestSource>{{"t/mesh.yaml", ""}, {"up.yaml", ""}, {"t/p/q.yaml", "shop"}});
  REQUIRE(file.cases.size() == 1);
  const MeshTestCase& test = file.cases[0];
  CHECK_MESSAGE(test.errors.empty(), FirstError(test));
  const Case& question = test.question;
  CHECK(question.name == "one");
  CHECK(ToString(Locate(question.span)) == "t/x.meshtest.yaml:3:3");
  CHECK(question.from_workload == "default/sleep");
  CHECK(question.from_identity == "spiffe://td/ns/a/sa/b");
  CHECK(question.from_ip == ParseIpAddress("10.0.0.1"));
  CHECK(question.tls == CaseTls::kMtls);
  CHECK(question.to_host == "web.shop.svc.cluster.local");
  CHECK(question.to_port == 80);
  CHECK(question.to_ip == ParseIpAddress("10.96.0.7"));
  CHECK(question.protocol == WireProtocol::kGrpc);
  CHECK(question.method == "PUT");
  CHECK(question.path == "/a?b=c");
  CHECK(question.host == "web:80");
  CHECK(question.headers == std::vector<std::pair<std::string, std::string>>{
                                {"x-a", "1"}, {"x-b", "two"}, {"x-b", "true"}, {"x-c", ""}});
  CHECK(question.sni == "outbound");
  REQUIRE(question.tokens.size() == 5);
  CHECK(question.tokens[0].text == "aaa.bbb.ccc");
  CHECK(question.tokens[0].header.empty());
  CHECK(question.tokens[1].text == "ddd.eee.fff");
  CHECK(question.tokens[1].header == "x-token");
  CHECK(question.tokens[1].prefix == "T ");
  CHECK(question.tokens[2].param == "access_token");
  CHECK(question.tokens[3].cookie == "session");
  CHECK(question.tokens[4].text == "aaa.bbb.ccc");
  CHECK(WriteJson(*question.claims) == R"({"iss":"me","num":3,"list":["a",true]})");
  CHECK_FALSE(question.ext_authz.has_value());
  CHECK(question.ext_authz_by_provider.at("opa") == ExtAuthzAnswer::kDeny);
  CHECK(question.now == 1772366400);
  CHECK(question.follow);
  const Expectation& expect = test.expect;
  CHECK(expect.outcome == Outcome::kDeny);
  CHECK(expect.statuses == std::vector<int>{401, 403});
  CHECK(expect.stage == Stage::kJwt);
  CHECK(expect.policies == std::vector<std::string>{"a/b", "none"});
  CHECK(expect.rule == 2);
  CHECK(expect.details == "d");
  CHECK(expect.enforced_at == "gateway");
}

TEST_CASE("meshtest: what is wrong in a case is named with its place") {
  struct Row {
    const char* lines;
    const char* message;
  };
  const Row rows[] = {
      {"  metod: GET\n",
       "t/x.meshtest.yaml:6:3 unknown key `metod` in a test; did you mean "
       "`method`?"},
      {"  follow: maybe\n", "t/x.meshtest.yaml:6:11 `follow` must be true or false"},
      {"  protocol: udp\n",
       "t/x.meshtest.yaml:6:13 `protocol` must be one of `http`, `grpc`, "
       "`tcp`, not `udp`"},
      {"  headers: [a]\n", "t/x.meshtest.yaml:6:12 `headers` must be a mapping of names to values"},
      {"  headers: {a: {b: c}}\n",
       "t/x.meshtest.yaml:6:16 a header's value must be a text or a "
       "list of texts"},
      {"  headers: {a: [[b]]}\n", "t/x.meshtest.yaml:6:17 a header's value must be a text"},
      {"  jwt: missing.jwt\n",
       "t/x.meshtest.yaml:6:8 the token cannot be read: t/missing.jwt: no "
       "such file"},
      {"  jwts: [{file: user.jwt, header: a, param: b}]\n",
       "t/x.meshtest.yaml:6:10 a token stands in one of `header`, `param` and `cookie`"},
      {"  jwts: [{file: user.jwt, prefix: a}]\n", "t/x.meshtest.yaml:6:10 `prefix` needs `header`"},
      {"  jwts: [{header: a}]\n", "t/x.meshtest.yaml:6:10 an entry of `jwts` needs `file`"},
      {"  jwts: {file: user.jwt}\n", "t/x.meshtest.yaml:6:9 `jwts` must be a list"},
      {"  claims: [a]\n", "t/x.meshtest.yaml:6:11 `claims` must be a mapping"},
      {"  ext_authz: perhaps\n",
       "t/x.meshtest.yaml:6:14 `ext_authz` must be one of `allow`, "
       "`deny`, not `perhaps`"},
      {"  ext_authz: {opa: perhaps}\n",
       "t/x.meshtest.yaml:6:20 `opa` must be one of `allow`, "
       "`deny`, not `perhaps`"},
      {"  ext_authz: [allow]\n",
       "t/x.meshtest.yaml:6:14 `ext_authz` must be allow, deny or a "
       "mapping of providers to these"},
      {"  now: yesterday\n",
       "t/x.meshtest.yaml:6:8 `now` must be a time such as "
       "2026-03-01T12:00:00Z"},
      {"  path: [a]\n", "t/x.meshtest.yaml:6:9 `path` must be a text"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    CHECK(FirstError(DecodeOne(row.lines)) == row.message);
  }
}

TEST_CASE("meshtest: from, to and expect") {
  struct Row {
    const char* from;
    const char* to;
    const char* expect;
    const char* message;
  };
  const char* out = "{outside: true}";
  const char* to = "{workload: a/b}";
  const Row rows[] = {
      {"{}", to, "{}", ":3:9 `from` needs `workload: namespace/name` or `outside: true`"},
      {"{ip: 10.0.0.1}", to, "{}", ":3:9 `from` needs `workload"},
      {"{workload: a/b, outside: true}", to, "{}", ":3:9 `from` has both"},
      {"{workload: b}", to, "{}", ":3:20 `workload` must be namespace/name"},
      {"{outside: true, ip: 10.0.0}", to, "{}", ":3:29 `ip` must be an IP address"},
      {"{outside: true, tls: yes}", to, "{}",
       ":3:30 `tls` must be one of `auto`, `mtls`, "
       "`plaintext`"},
      {"outside", to, "{}", ":3:9 `from` must be a mapping"},
      {out, "{}", "{}", ":4:7 `to` needs `workload: namespace/name` or `host`"},
      {out, "{workload: a/b, host: c}", "{}", ":4:7 `to` has both `workload` and `host`"},
      {out, "{workload: a/b, port: 0}", "{}", ":4:29 `port` must be a number from 1 to 65535"},
      {out, "{workload: a/b, port: http}", "{}", ":4:29 `port` must be a number from 1 to 65535"},
      {out, to, "{verdict: denied}",
       ":5:21 `verdict` must be one of `allow`, `deny`, `reject`, "
       "`undetermined`, not `denied`"},
      {out, to, "{status: 42}", ":5:20 `status` must be an HTTP status, or 0 for none"},
      {out, to, "{status: [200, x]}", ":5:26 `status` must be an HTTP status, or 0 for none"},
      {out, to, "{stage: rbac}", ":5:19 `stage` must be one of"},
      {out, to, "{policy: allow-all}",
       ":5:20 `policy` must be namespace/name or none, not "
       "`allow-all`"},
      {out, to, "{rule: -1}", ":5:18 `rule` must be a number from 0"},
      {out, to, "{enforced_at: envoy}", ":5:25 `enforced_at` must be one of"},
      {out, to, "{reason: x}", ":5:12 unknown key `reason` in `expect`"},
      {out, to, "allow", ":5:11 `expect` must be a mapping"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.message);
    MeshTestCase test = DecodeOne("", row.from, row.to, row.expect);
    std::string error = FirstError(test);
    CHECK_MESSAGE(error.find(row.message) != std::string::npos, error);
  }
  for (const char* key :
       {"name: x", "from: {outside: true}", "to: {workload: a/b}", "expect: {}"}) {
    std::string text =
        "tests:\n- {name: x, from: {outside: true}, to: {workload: a/b}, expect: {}}";
    size_t at = text.find(key);
    text.replace(at, std::string(key).size(), "note: gone");
    MeshTestFile file = Decode(text);
    REQUIRE(file.cases.size() == 1);
    CHECK(FirstError(file.cases[0]) == "t/x.meshtest.yaml:2:3 a test needs `" +
                                           std::string(key).substr(0, std::string(key).find(':')) +
                                           "`");
  }
}

TEST_CASE("meshtest: a file that cannot be used") {
  for (const char* text : {"", "# nothing\n", "- a\n", "tests: {a: b}\n", "mesh: x\ntests: []\n",
                           "mesh: [{namespace: a}]\ntests: []\n", "tests: []\ntests: []\n",
                           "tests: []\n---\ntests: []\n", "tests: [\n", "cases: []\n"}) {
    CAPTURE(text);
    CHECK_FALSE(Decode(text).errors.empty());
  }
  CHECK(Decode("tests: []\n").errors.empty());
}

TEST_CASE("meshtest: which files hold tests") {
  CHECK(IsMeshTestName("a/b.meshtest.yaml"));
  CHECK(IsMeshTestName("b.meshtest.yml"));
  CHECK_FALSE(IsMeshTestName("meshtest.yaml"));
  CHECK(LooksLikeMeshTest(ParseText("x.yaml", "tests: []\n")));
  CHECK_FALSE(LooksLikeMeshTest(ParseText("x.yaml", "kind: A\ntests: []\n")));
  CHECK_FALSE(LooksLikeMeshTest(ParseText("values.yaml", "test: []\n")));
}

Verdict MakeVerdict(Outcome outcome, int status, Stage stage) {
  Verdict verdict;
  verdict.outcome = outcome;
  verdict.status = status;
  verdict.stage = stage;
  return verdict;
}

TEST_CASE("meshtest: comparing, field by field") {
  ObjectMeta meta;
  meta.kind = "AuthorizationPolicy";
  meta.ns = "a";
  meta.name = "b";
  Verdict verdict = MakeVerdict(Outcome::kDeny, 403, Stage::kDeny);
  verdict.decided_by.object = &meta;
  verdict.decided_by.rule = 1;
  verdict.details = "d";
  Hop hop;
  hop.mode = ProxyMode::kSidecar;
  hop.outcome = Outcome::kDeny;
  verdict.hops.push_back(hop);
  struct Row {
    const char* expect;
    const char* field;  // that differs; "" = none does
  };
  const Row rows[] = {
      {"{}", ""},
      {"{verdict: deny}", ""},
      {"{verdict: reject}", "verdict"},
      {"{verdict: undetermined}", "verdict"},
      {"{status: 403}", ""},
      {"{status: [0, 403]}", ""},
      {"{status: [0, 401]}", "status"},
      {"{stage: deny}", ""},
      {"{stage: allow}", "stage"},
      {"{policy: a/b}", ""},
      {"{policy: [c/d, a/b]}", ""},
      {"{policy: none}", "policy"},
      {"{policy: a/c}", "policy"},
      {"{rule: 1}", ""},
      {"{rule: 0}", "rule"},
      {"{details: d}", ""},
      {"{details: dd}", "details"},
      {"{enforced_at: sidecar}", ""},
      {"{enforced_at: gateway}", "enforced_at"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.expect);
    auto mismatches =
        Compare(DecodeOne("", "{outside: true}", "{workload: a/b}", row.expect).expect, verdict);
    CHECK(mismatches.size() == (*row.field == '\0' ? 0 : 1));
    if (!mismatches.empty()) CHECK(mismatches[0].field == row.field);
  }
}

TEST_CASE("meshtest: an undetermined verdict that is not expected fails") {
  Verdict verdict = MakeVerdict(Outcome::kUndetermined, 0, Stage::kNone);
  Expectation expect;
  CHECK(Compare(expect, verdict).size() == 1);
  expect.statuses = {0};
  CHECK(Compare(expect, verdict).size() == 1);
  expect.outcome = Outcome::kUndetermined;
  CHECK(Compare(expect, verdict).empty());
}

TEST_CASE("meshtest: nothing that looked at a request is stage allow") {
  Expectation expect;
  expect.stage = Stage::kAllow;
  CHECK(Compare(expect, MakeVerdict(Outcome::kAllow, 200, Stage::kNone)).empty());
  CHECK_FALSE(Compare(expect, MakeVerdict(Outcome::kReject, 0, Stage::kNone)).empty());
}

TEST_CASE("meshtest: where it was enforced") {
  ObjectMeta meta;
  Verdict verdict = MakeVerdict(Outcome::kAllow, 200, Stage::kAllow);
  Hop gateway, sidecar;
  gateway.mode = ProxyMode::kGateway;
  sidecar.mode = ProxyMode::kSidecar;
  verdict.hops = {gateway, sidecar};
  CHECK(EnforcementPoint(verdict) == "none");  // no ALLOW rule was needed
  verdict.decided_by.object = &meta;
  CHECK(EnforcementPoint(verdict) == "gateway");
  verdict.decided_hop = 1;
  CHECK(EnforcementPoint(verdict) == "sidecar");
  verdict.outcome = Outcome::kDeny;
  verdict.decided_by.object = nullptr;
  CHECK(EnforcementPoint(verdict) == "sidecar");
  verdict.hops[1].mode = ProxyMode::kAmbient;
  CHECK(EnforcementPoint(verdict) == "ztunnel");
  verdict.hops.clear();
  CHECK(EnforcementPoint(verdict) == "none");
}

TEST_CASE("meshtest: a case as JSON decodes to itself") {
  MeshTestCase test = DecodeOne(
      "  protocol: http\n  method: PUT\n  path: /a\n  host: h\n  headers: {a: [b, c], d: e}\n"
      "  sni: s\n  claims: {iss: me}\n  ext_authz: {p: allow}\n  now: 2024-02-29T23:59:59Z\n"
      "  follow: true\n",
      "{outside: true, ip: 10.0.0.1, identity: spiffe://a, tls: mtls}",
      "{workload: a/b, port: 80, ip: 10.0.0.2}");
  REQUIRE(test.errors.empty());
  std::string json = WriteJson(CaseToJson(test.question));
  CHECK(json ==
        R"({"name":"x","from":{"outside":true,"identity":"spiffe://a","ip":"10.0.0.1",)"
        R"("tls":"mtls"},"to":{"workload":"a/b","port":80,"ip":"10.0.0.2"},"protocol":"http",)"
        R"("method":"PUT","path":"/a","host":"h","headers":{"a":["b","c"],"d":"e"},"sni":"s",)"
        R"("claims":{"iss":"me"},"ext_authz":{"p":"allow"},"now":"2024-02-29T23:59:59Z",)"
        R"("follow":true})");
  std::string again = json;
  again.insert(again.size() - 1, R"(,"expect":{})");
  MeshTestFile file = Decode("tests: [" + again + "]\n");
  REQUIRE(file.cases.size() == 1);
  CHECK_MESSAGE(file.cases[0].errors.empty(), FirstError(file.cases[0]));
  CHECK(WriteJson(CaseToJson(file.cases[0].question)) == json);
}

TEST_CASE("times") {
  CHECK(ParseTime("1970-01-01T00:00:00Z") == 0);
  CHECK(ParseTime("2000-02-29T00:00:00Z") == 951782400);
  CHECK(ParseTime("2026-03-01T12:00:00Z") == 1772366400);
  CHECK(ParseTime("2026-03-01T12:00:00.999Z") == 1772366400);
  CHECK(ParseTime("2026-03-01T13:00:00+01:00") == 1772366400);
  CHECK(ParseTime("2026-03-01t06:30:00-05:30") == 1772366400);
  CHECK(ParseTime("1969-12-31T23:59:59Z") == -1);
  for (const char* bad : {"", "2026", "2026-03-01", "2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z",
                          "2026-03-01T24:00:00Z", "2026-03-01T12:00:00", "2026-03-01T12:00:00.Z",
                          "2026-03-01T12:00:00Zx", "2026-03-01T12:60:00Z", "+026-03-01T12:00:00Z",
                          "2026-03-01T12:00:00+1:00"}) {
    CAPTURE(bad);
    CHECK_FALSE(ParseTime(bad).has_value());
  }
}

TEST_CASE("paths are relative to the file that names them") {
  CHECK(ResolvePath("t/x.yaml", "mesh.yaml") == "t/mesh.yaml");
  CHECK(ResolvePath("x.yaml", "mesh.yaml") == "mesh.yaml");
  CHECK(ResolvePath("t/x.yaml", "../mesh.yaml") == "mesh.yaml");
  CHECK(ResolvePath("t/x.yaml", "../../mesh.yaml") == "../mesh.yaml");
  CHECK(ResolvePath("../t/x.yaml", "../../mesh.yaml") == "../../mesh.yaml");
  CHECK(ResolvePath("t/x.yaml", "./a//b/") == "t/a/b");
  CHECK(ResolvePath("t/x.yaml", "..") == ".");
  CHECK(ResolvePath("t/x.yaml", "/abs/../a") == "/a");
}

}  // namespace
}  // namespace meshproof::meshtest_test

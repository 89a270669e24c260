// ztunnel's log lines asked again: replay, test --record, explain-log.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "app/memory_files.h"
#include "base/json.h"

namespace meshproof::ztunnel_log_test {
namespace {

bool Says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

const std::string kSpiffe = "spiffe://cluster.local/ns/shop/sa/";
const std::string kNoneAllowed =
    "connection closed due to policy rejection: allow policies exist, but none allowed";
const std::string kUnauthorized = "http status: 401 Unauthorized";

// As ztunnel 1.24 writes a line.
struct Parts {
  std::string source = "sleep-5d8f7c9b4-x2x9z", identity = kSpiffe + "sleep", ip = "10.244.0.11";
  std::string target = "web-7d9f8c6b5-k2k8z", target_ip = "10.244.0.12";
  std::string service = "web.shop.svc.cluster.local";
  int port = 8080;
  std::string direction = "inbound", error;
};

std::string LineOf(const Parts& parts) {
  const bool hbone = !parts.identity.empty();
  const std::string port = std::to_string(parts.port);
  std::string line = "2026-03-01T10:00:00.000001Z\t" +
                     std::string(parts.error.empty() ? "info" : "error") +
                     "\taccess\tconnection complete\tsrc.addr=" + parts.ip +
                     ":40001 src.workload=\"" + parts.source + "\" src.namespace=\"shop\"";
  if (hbone) line += " src.identity=\"" + parts.identity + "\"";
  line += " dst.addr=" + parts.target_ip + ":" + (hbone ? "15008" : port);
  if (hbone) line += " dst.hbone_addr=" + parts.target_ip + ":" + port;
  if (!parts.service.empty()) line += " dst.service=\"" + parts.service + "\"";
  if (!parts.target.empty()) {
    line += " dst.workload=\"" + parts.target + "\" dst.namespace=\"shop\"";
  }
  line += " direction=\"" + parts.direction + "\" bytes_sent=5 bytes_recv=7 duration=\"3ms\"";
  if (!parts.error.empty()) line += " error=\"" + parts.error + "\"";
  return line + "\n";
}

Parts As(const std::string& account, const std::string& error = "") {
  Parts parts;
  parts.source = account + "-5d8f7c9b4-x2x9z";
  parts.identity = kSpiffe + account;
  parts.error = error;
  return parts;
}

Parts Plain(const std::string& error = "") {
  Parts parts = As("legacy", error);
  parts.identity.clear();
  return parts;
}

std::string Deployment(const std::string& name, const std::string& labels = "") {
  return "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
         ", namespace: shop}\nspec: {template: {metadata: {labels: {app: " + name + labels +
         "}}, spec: {serviceAccountName: " + name + ", containers: [{name: c, image: i}]}}}\n";
}

std::string ServiceOf(const std::string& name, const std::string& labels = "") {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: shop" +
         labels + "}\nspec: {selector: {app: " + name +
         "}, ports: [{port: 80, targetPort: 8080}]}\n";
}

const std::string kNamespace =
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio.io/dataplane-mode: "
    "ambient}}\n";

// web admits one account on its port.
std::string Allows(const std::string& account) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: web, "
         "namespace: shop}\nspec:\n  selector: {matchLabels: {app: web}}\n  rules:\n  - from: "
         "[{source: {principals: [cluster.local/ns/shop/sa/" +
         account + "]}}]\n    to: [{operation: {ports: ['8080']}}]\n";
}

std::string MeshOf(const std::string& account) {
  return kNamespace + Deployment("web") + Deployment("sleep") + ServiceOf("web") + Allows(account);
}

MemoryFiles FilesWith(const std::string& log) {
  MemoryFiles files;
  files.Put("mesh.yaml", MeshOf("sleep"));
  files.Put("new.yaml", MeshOf("other"));
  files.Put("z.log", log);
  return files;
}

Json JsonOf(const Ran& ran) {
  auto json = ParseJson(ran.out);
  REQUIRE_MESSAGE(json.ok(), (ran.out + ran.err));
  return json.Take();
}

std::string Text(const Json& json, const char* key) {
  const Json* value = json.Find(key);
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

int64_t Counted(const Json& json, const char* key) {
  return json.Find("summary")->Find(key)->as_integer();
}

TEST_CASE("replay: a log of ztunnel alone, against the policies that it had") {
  MemoryFiles files = FilesWith(LineOf(As("sleep")) + LineOf(As("sleep")) +
                                LineOf(As("other", kNoneAllowed)) + LineOf(Plain(kNoneAllowed)));
  const Ran ran = Run({"replay", "z.log", "mesh.yaml"}, files);
  CHECK_MESSAGE(ran.status == 0, (ran.out + ran.err));
  CHECK_MESSAGE(Says(ran.out, "4 requests, 4 answered alike, 0 changed, 0 undecided\n"), ran.out);
}

TEST_CASE("replay: ztunnel's lines under other policies") {
  MemoryFiles files = FilesWith(LineOf(As("sleep")) + LineOf(As("other", kNoneAllowed)) +
                                LineOf(As("sleep")) + LineOf(Plain(kNoneAllowed)));
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"replay", "z.log", "new.yaml"},
        {"replay", "z.log", "mesh.yaml", "--against", "new.yaml"}}) {
    std::vector<std::string> as_json = words;
    as_json.insert(as_json.end(), {"--format", "json"});
    const Ran ran = Run(as_json, files);
    CHECK_MESSAGE(ran.status == 1, ran.err);
    const Json json = JsonOf(ran);
    const auto& changes = json.Find("changes")->as_array();
    REQUIRE(changes.size() == 2);
    CHECK(changes[0].Find("count")->as_integer() == 2);
    CHECK(Text(*changes[0].Find("request")->Find("from"), "workload") == "shop/sleep");
    CHECK(Text(*changes[0].Find("request"), "protocol") == "tcp");
    CHECK(Text(*changes[0].Find("was"), "verdict") == "allow");
    CHECK(Text(*changes[0].Find("would"), "verdict") == "reject");
    CHECK(Text(*changes[0].Find("would")->Find("near_misses")->as_array().at(0).Find("failed"),
               "field") == "principals");
    CHECK(Text(*changes[1].Find("request")->Find("from"), "identity") == kSpiffe + "other");
    CHECK(Text(*changes[1].Find("was"), "verdict") == "reject");
    CHECK(Text(*changes[1].Find("would"), "verdict") == "allow");
    CHECK(Text(*changes[1].Find("would")->Find("decided_by")->Find("policy"), "name") == "web");
    CHECK(Counted(json, "same") == 1);
    const Ran text = Run(words, files);
    CHECK_MESSAGE(Says(text.out, "bytes  from shop/sleep at 10.244.0.11  to shop/web:8080"),
                  text.out);
    CHECK_MESSAGE(Says(text.out, "from " + kSpiffe + "other at 10.244.0.11"), text.out);
  }
}

TEST_CASE("replay: a connection that both ztunnels logged counts once") {
  Parts out = As("sleep");
  out.direction = "outbound";
  Parts refused = As("other", kUnauthorized);
  refused.direction = "outbound";
  MemoryFiles files = FilesWith(LineOf(out) + LineOf(As("sleep")) + LineOf(out) +
                                LineOf(As("other", kNoneAllowed)) + LineOf(refused));
  const Ran ran = Run({"replay", "z.log", "new.yaml", "--format", "json"}, files);
  const Json json = JsonOf(ran);
  CHECK(Counted(json, "lines") == 5);
  CHECK(Counted(json, "requests") == 3);
  CHECK(Counted(json, "others") == 2);
  CHECK(json.Find("changes")->as_array().size() == 2);
}

struct UndecidedRow {
  const char* name;
  Parts parts;
  std::string mesh, before;  // "" = the log alone
  std::string reason;        // "" = it is decided
};

TEST_CASE("replay: what cannot be said of ztunnel's lines") {
  const std::string mesh = MeshOf("sleep");
  const std::string waypoint =
      "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, "
      "namespace: shop}\nspec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: "
      "15008, protocol: HBONE}]}\n";
  const std::string with_waypoint = kNamespace + Deployment("web") + Deployment("sleep") +
                                    ServiceOf("web", ", labels: {istio.io/use-waypoint: wp}") +
                                    waypoint + Allows("sleep");
  const std::string sidecars =
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: "
      "enabled}}\n" +
      mesh.substr(kNamespace.size());
  const std::string bare =
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n" + mesh.substr(kNamespace.size());
  Parts gone = As("sleep");
  gone.target = "gone-0";
  gone.target_ip = "10.9.9.9";
  Parts admin = As("sleep");
  admin.target = "web-admin-7d9f8c6b5-k2k8z";
  Parts away = Plain();
  away.target = away.service = "";
  away.target_ip = "93.184.216.34";
  away.port = 443;
  away.direction = "outbound";
  Parts by_service = As("sleep");
  by_service.target = "";
  Parts nobody = As("sleep");
  nobody.identity = "";
  Parts through = As("sleep");
  through.target = "wp-7d9f8c6b5-k2k8z";
  through.direction = "outbound";
  Parts from_waypoint = As("wp");
  Parts dead = As("sleep", "connection failed: deadline has elapsed");
  dead.direction = "outbound";
  const std::vector<UndecidedRow> rows = {
      {"pod that the mesh does not have", gone, mesh, "",
       "the destination shop/gone-0 is not in the input"},
      {"another workload's pod, of a longer name", admin, mesh, "",
       "the destination shop/web-admin-7d9f8c6b5-k2k8z is not in the input"},
      {"out of the mesh", away, mesh, "", "the connection may leave the mesh"},
      {"the Service's only workload", by_service, mesh, "", ""},
      {"the application refused it", As("sleep", "connection failed: Connection refused"), mesh, "",
       ""},
      {"nobody answered the caller", dead, mesh, "", "does not say whether a policy refused it"},
      {"nobody answered the caller, two meshes", dead, mesh, mesh, ""},
      {"a sidecar by now", As("sleep"), sidecars, "", "the sidecar of shop/web judges requests"},
      {"no label of ambient", As("sleep"), bare, "", "no ztunnel serves shop/web in the input"},
      {"left the ambient mesh", As("sleep"), bare, mesh, ""},
      {"through a waypoint", through, with_waypoint, "", "the waypoint shop/wp judges requests"},
      {"a waypoint that the line did not pass", As("sleep"), with_waypoint, "",
       "go through the waypoint shop/wp in the input"},
      {"a waypoint by now", As("sleep"), with_waypoint, mesh,
       "go through the waypoint shop/wp in the input"},
      {"past the waypoint, then and now", As("sleep"), with_waypoint, with_waypoint, ""},
      {"no waypoint any more", from_waypoint, mesh, with_waypoint, "who called through it"},
      {"not there before", As("sleep"), mesh, kNamespace + Deployment("sleep"),
       "shop/web is not in the input before"},
  };
  for (const UndecidedRow& row : rows) {
    CAPTURE(std::string(row.name));
    MemoryFiles files;
    files.Put("mesh.yaml", row.mesh);
    files.Put("before.yaml", row.before);
    files.Put("z.log", LineOf(row.parts));
    std::vector<std::string> words = {"replay", "z.log"};
    if (row.before.empty()) {
      words.emplace_back("mesh.yaml");
    } else {
      words.insert(words.end(), {"before.yaml", "--against", "mesh.yaml"});
    }
    words.insert(words.end(), {"--format", "json"});
    const Ran ran = Run(words, files);
    const Json json = JsonOf(ran);
    const auto& undecided = json.Find("undecided")->as_array();
    if (row.reason.empty()) {
      CHECK_MESSAGE(undecided.empty(), ran.out);
      continue;
    }
    CHECK(ran.status == 3);
    REQUIRE(undecided.size() == 1);
    CHECK_MESSAGE(Says(Text(undecided[0], "reason"), row.reason), ran.out);
  }
}

TEST_CASE("replay: a pod that left the ambient mesh takes whoever comes") {
  MemoryFiles files = FilesWith(LineOf(As("other", kNoneAllowed)));
  files.Put("bare.yaml", MeshOf("sleep").replace(0, kNamespace.size(),
                                                 "apiVersion: v1\nkind: Namespace\nmetadata: "
                                                 "{name: shop}\n"));
  const Ran ran = Run({"replay", "z.log", "mesh.yaml", "--against", "bare.yaml"}, files);
  CHECK(ran.status == 1);
  CHECK_MESSAGE(Says(ran.out, "newly let through"), (ran.out + ran.err));
}

// What a ztunnel itself says that it enforces.
constexpr char kDumped[] =
    R"({"workloads":[{"uid":"k//Pod/shop/web-7d9f8c6b5-k2k8z","name":"web-7d9f8c6b5-k2k8z",
        "namespace":"shop","workloadName":"web","serviceAccount":"web","trustDomain":
        "cluster.local","workloadIps":["10.244.0.12"],"protocol":"HBONE",
        "authorizationPolicies":["shop/web"]}],"services":[],"policies":[{"name":"web",
        "namespace":"shop","scope":"WorkloadSelector","action":"Allow","rules":[[[{"principals":
        [{"Exact":"cluster.local/ns/shop/sa/other"}]}]]]}],"certificates":[]})";

TEST_CASE("replay: ztunnel's lines against a ztunnel's dump") {
  Parts by_address = As("sleep");
  by_address.target = by_address.service = "";
  MemoryFiles files = FilesWith(LineOf(As("sleep")) + LineOf(by_address));
  files.Put("z.json", kDumped);
  const Ran ran = Run({"replay", "z.log", "--dump", "z.json"}, files);
  CHECK_MESSAGE(ran.status == 1, (ran.out + ran.err));
  CHECK_MESSAGE(Says(ran.out, "2x  newly refused"), ran.out);
}

TEST_CASE("test --record: ztunnel's lines become tests that pass") {
  Parts away = As("sleep");
  away.target = "gone-0";
  away.target_ip = "10.9.9.9";
  MemoryFiles files = FilesWith(LineOf(As("sleep")) + LineOf(As("other", kNoneAllowed)) +
                                LineOf(Plain(kNoneAllowed)) + LineOf(away) + LineOf(away) +
                                LineOf(As("sleep", "connection failed: Connection refused")));
  const Ran drafted = Run({"test", "mesh.yaml", "--record", "z.log"}, files);
  CHECK_MESSAGE(drafted.status == 0, drafted.err);
  CHECK_MESSAGE(Says(drafted.err, "left out 2 requests: the destination shop/gone-0"), drafted.err);
  // The two connections of sleep are one test.
  CHECK_MESSAGE(Says(drafted.out, "shop/sleep (2 in the log, first in line 1)"), drafted.out);
  files.Put("drafts.meshtest.yaml", drafted.out);
  const Ran test = Run({"test", "drafts.meshtest.yaml"}, files);
  CHECK_MESSAGE(test.status == 0, (test.out + drafted.out));
  CHECK(Says(test.out, "3 passed, 0 failed, 0 errors"));
  const Ran other = Run({"test", "new.yaml", "--record", "z.log"}, files);
  CHECK_MESSAGE(Says(other.out, "the manifests answer otherwise"), other.out);
}

TEST_CASE("explain-log: the rule that came nearest at ztunnel") {
  MemoryFiles files = FilesWith(LineOf(As("other", kNoneAllowed)) + LineOf(Plain(kNoneAllowed)));
  Ran ran = Run({"explain-log", "z.log", "mesh.yaml"}, files);
  CHECK_MESSAGE(Says(ran.out,
                     "fix rule 0 of shop/web comes nearest: its principals has "
                     "`cluster.local/ns/shop/sa/sleep`, the connection "
                     "`cluster.local/ns/shop/sa/other`"),
                ran.out);
  CHECK(Says(ran.out, "put the caller into the ambient mesh"));
  CHECK(Says(ran.out, "by  AuthorizationPolicy shop/web rule 0 (mesh.yaml:"));
  ran = Run({"explain-log", "z.log", "new.yaml"}, files);
  CHECK_MESSAGE(Says(ran.out, "so ztunnel had other policies"), ran.out);
}

TEST_CASE("explain-log: a DENY at ztunnel, and STRICT, which became one") {
  const std::string denied = "connection closed due to policy rejection: explicitly denied by: ";
  const std::string strict =
      "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: strict, "
      "namespace: shop}\nspec: {mtls: {mode: STRICT}}\n";
  const std::string deny =
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: bad, "
      "namespace: shop}\nspec:\n  action: DENY\n  rules:\n  - from: [{source: {namespaces: "
      "[far]}}]\n"
      "  - from: [{source: {principals: [cluster.local/ns/shop/sa/other]}}]\n";
  MemoryFiles files =
      FilesWith(LineOf(As("other", denied + "shop/bad")) +
                LineOf(Plain(denied + "istio-system/istio_converted_static_strict")) +
                LineOf(As("sleep", denied + "shop/web")));
  files.Put("mesh.yaml", MeshOf("sleep") + strict + deny);
  const Ran ran = Run({"explain-log", "z.log", "mesh.yaml"}, files);
  CHECK_MESSAGE(Says(ran.out, "by  AuthorizationPolicy shop/bad rule 1 (mesh.yaml:"), ran.out);
  CHECK_MESSAGE(Says(ran.out, "it shows no identity, and mutual TLS is STRICT there"), ran.out);
  CHECK_MESSAGE(Says(ran.out, "by  PeerAuthentication shop/strict"), ran.out);
  CHECK_MESSAGE(Says(ran.out, "in the input that policy allows"), ran.out);
  // Without a mesh, and by a dump.
  CHECK(Says(Run({"explain-log", "z.log"}, FilesWith(LineOf(As("other", denied + "shop/bad")))).out,
             "DENY policy shop/bad matches it"));
  std::string dump = kDumped;
  dump.replace(dump.find("Allow"), 5, "Deny");
  files.Put("z.json", dump);
  files.Put("d.log", LineOf(As("other", denied + "shop/web")));
  const Ran by_dump = Run({"explain-log", "d.log", "--dump", "z.json"}, files);
  CHECK_MESSAGE(Says(by_dump.out, "by  AuthorizationPolicy shop/web rule 0 (z.json:"), by_dump.out);
}

TEST_CASE("a log in which nothing can be asked again says what it holds") {
  MemoryFiles files = FilesWith(
      "t\tdebug\tenvoy rbac f.cc:1\tenforced allowed, matched policy "
      "none\tthread=1\n");
  const Ran ran = Run({"replay", "z.log", "mesh.yaml"}, files);
  CHECK(ran.status == 2);
  CHECK_MESSAGE(Says(ran.err, "z.log holds no line of an access log"), ran.err);
}

}  // namespace
}  // namespace meshproof::ztunnel_log_test

// explain-log, replay and test --record, run whole and in memory; and the lines that the book's
// scenarios (testdata/book) leave in the logs.

#include <doctest/doctest.h>

#include <cstdlib>
#include <iostream>

#include "app/memory_files.h"
#include "report/log_report.h"
#include "simulate/meshtest.h"

namespace meshproof::log_test {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A line in Istio's text format.
struct LineParts {
  std::string request = "GET /api/1 HTTP/1.1";
  std::string status = "200", flags = "-", details = "via_upstream", termination = "-";
  std::string failure = "-", forwarded = "-", authority = "orders.shop";
  std::string cluster = "inbound|8080||", local = "10.244.1.5:8080", remote = "10.244.2.7:41000";
  std::string sni = "outbound_.80_._.orders.shop.svc.cluster.local", route = "default";
};

std::string LineOf(const LineParts& parts) {
  return "[2026-03-01T10:00:00.000Z] \"" + parts.request + "\" " + parts.status + " " +
         parts.flags + " " + parts.details + " " + parts.termination + " \"" + parts.failure +
         "\" 0 19 0 - \"" + parts.forwarded + "\" \"curl/8\" \"id\" \"" + parts.authority +
         "\" \"-\" " + parts.cluster + " - " + parts.local + " " + parts.remote + " " + parts.sni +
         " " + parts.route + "\n";
}

Json JsonOf(const Ran& ran) {
  auto json = ParseJson(ran.out);
  REQUIRE_MESSAGE(json.ok(), (ran.out + ran.err));
  return json.Take();
}

std::string Text(const Json& object, const char* key) {
  const Json* value = object.Find(key);
  return value != nullptr && value->is_string() ? value->as_string() : std::string();
}

MemoryFiles Files() {
  MemoryFiles files;
  files.Put("mesh.yaml", kSmallMesh);
  return files;
}

std::string Denied() {
  LineParts parts;
  parts.request = "POST /api/1 HTTP/1.1";
  parts.status = "403";
  parts.details = "rbac_access_denied_matched_policy[none]";
  return LineOf(parts);
}

TEST_CASE("explain-log: alike lines are counted, the nearest rule is named") {
  MemoryFiles files = Files();
  files.Put("a.log", LineOf({}) + Denied() + LineOf({}) + Denied());
  Ran text = Run({"explain-log", "a.log", "mesh.yaml"}, files);
  CHECK(text.status == 0);
  CHECK_MESSAGE(Contains(text.out, "a.log: 4 lines, 2 passed, 2 refused or failed in 1 group\n"),
                text.out);
  CHECK(Contains(text.out, "2x  403 -  rbac_access_denied_matched_policy[none]"));
  Json json = JsonOf(Run({"explain-log", "a.log", "mesh.yaml", "--format", "json"}, files));
  const auto& groups = json.Find("groups")->as_array();
  REQUIRE(groups.size() == 1);
  CHECK(groups[0].Find("count")->as_integer() == 2);
  CHECK(groups[0].Find("first_line")->as_integer() == 2);
  CHECK(groups[0].Find("status")->as_integer() == 403);
  CHECK(Text(groups[0], "flags") == "-");
  CHECK(Contains(Text(groups[0], "sentence"), "by the proxy of shop/orders"));
  CHECK(Contains(Text(groups[0], "sentence"), "(shop/orders)"));
  CHECK_MESSAGE(Contains(Text(groups[0], "fix"), "methods has `GET`, the request `POST`"),
                Text(groups[0], "fix"));
  CHECK(Text(*groups[0].Find("policy"), "name") == "orders");
  CHECK(Text(*groups[0].Find("location"), "file") == "mesh.yaml");
}

TEST_CASE("explain-log: no mesh is needed, and several logs are read") {
  MemoryFiles files;
  files.Put("a.log", Denied());
  files.Put("b.json", R"({"response_code":401,"response_flags":"-","method":"GET","path":"/",)"
                      R"("response_code_details":"jwt_authn_access_denied{Jwt_is_expired}"})"
                      "\n");
  Ran ran = Run({"explain-log", "a.log", "b.json", "--format", "json"}, files);
  CHECK_MESSAGE(ran.status == 0, ran.err);
  Json json = JsonOf(ran);
  const auto& groups = json.Find("groups")->as_array();
  REQUIRE(groups.size() == 2);
  CHECK(Text(groups[0], "file") == "a.log");
  CHECK(Contains(Text(groups[1], "sentence"), "`Jwt is expired`"));
  CHECK(Text(groups[1], "fix") == "get a new token from the issuer");
  CHECK(groups[1].Find("policy")->is_null());
}

TEST_CASE("explain-log: damaged lines are counted and named, the rest is explained") {
  MemoryFiles files = Files();
  std::string cut = Denied();
  files.Put("a.log", Denied() + cut.substr(0, 60) + "\n" + LineOf({}) + cut.substr(0, 30));
  Ran ran = Run({"explain-log", "a.log", "mesh.yaml"}, files);
  CHECK(ran.status == 2);
  CHECK(Contains(ran.err, "a.log:2: error: this access log line is cut off or damaged, as are 1"));
  CHECK(Contains(ran.out, "2 unreadable (the first is line 2)"));
  CHECK(Contains(ran.out, "1x  403"));
}

TEST_CASE("explain-log: what is no log") {
  MemoryFiles files = Files();
  files.Put("binary", std::string("\x7F"
                                  "ELF\0\0\x01\n\0\0",
                                  10));
  files.Put("empty", "");
  files.Put("a.log", Denied());
  for (const char* log : {"missing.log", "binary", "empty", "mesh.yaml"}) {
    for (const char* command : {"explain-log", "replay"}) {
      CAPTURE(log);
      CAPTURE(command);
      Ran ran = Run({command, log, "mesh.yaml"}, files);
      CHECK(ran.status == 2);
      CHECK(ran.out.empty());
      CHECK(Contains(ran.err, "meshproof: "));
    }
  }
  CHECK(Run({"explain-log", "a.log", "nowhere"}, files).status == 2);
  CHECK(Run({"explain-log", "a.log", "mesh.yaml", "--workload", "shop/nobody"}, files).status == 2);
  Ran format = Run({"explain-log", "a.log", "--log-format", "%PROTOCOL%%PATH%"}, files);
  CHECK(format.status == 2);
  CHECK(Contains(format.err, "nothing separates `%PATH%`"));
  for (const char* silent : {"%PROTOCOL%", "[%START_TIME%"}) {
    Ran ran = Run({"explain-log", "a.log", "--log-format", silent}, files);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
  }
  CHECK(Contains(Run({"explain-log", "missing.log"}, files).err, "the log `missing.log`"));
}

TEST_CASE("explain-log: each kind of answer has its sentence") {
  struct Row {
    LineParts parts;
    const char* sentence;
    const char* fix;
  };
  auto with = [](auto change) {
    LineParts parts;
    change(&parts);
    return parts;
  };
  const Row rows[] = {
      {with([](LineParts* p) {
         p->status = "403";
         p->details = "rbac_access_denied_matched_policy[ns[shop]-policy[gone]-rule[3]]";
       }),
       "DENY rule 3 of AuthorizationPolicy shop/gone (which is not in the input) matches",
       "an ALLOW policy cannot override it"},
      {with([](LineParts* p) {
         p->status = "403";
         p->details =
             "rbac_access_denied_matched_policy[istio-ext-authz-ns[shop]-policy[c]-rule[0]-deny-"
             "due-to-bad-CUSTOM-action]";
       }),
       "asks the authorizer", "define the extension provider"},
      {with([](LineParts* p) {
         p->status = "0";
         p->request = "- - -";
         p->details = "-";
         p->termination = "rbac_access_denied_matched_policy[none]";
       }),
       "the connection was closed by the proxy of shop/orders: ALLOW policies apply", ""},
      {with([](LineParts* p) {
         p->status = "403";
         p->flags = "UAEX";
         p->details = "ext_authz_error";
       }),
       "could not be asked, and failOpen is not set", "failOpen"},
      {with([](LineParts* p) {
         p->status = "404";
         p->flags = "NR";
         p->details = "route_not_found";
         p->cluster = "-";
         p->sni = "-";
         p->authority = "nobody.example.com";
         p->forwarded = "203.0.113.9";
       }),
       "404 by the proxy of istio-system/gate: no route takes GET nobody.example.com/api/1",
       "add a VirtualService"},
      {with([](LineParts* p) { p->status = "403"; }),
       "403 comes from the application of shop/orders", "ask the application"},
      {with([](LineParts* p) {
         p->status = "403";
         p->cluster = "outbound|80||orders.shop.svc.cluster.local";
         p->sni = "-";
         p->local = "10.96.0.7:80";
       }),
       "403 comes from what this proxy called", "look at the log of the proxy there"},
      {with([](LineParts* p) {
         p->status = "503";
         p->flags = "UF";
         p->details = "upstream_reset_before_response_started{remote_connection_failure}";
         p->failure =
             "TLS_error:|268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED";
       }),
       "this side does not trust the other's certificate", "compare roots"},
      {with([](LineParts* p) { p->details = "rbac_access_denied_matched_policy[none]"; }),
       "403 (a gRPC call, logged as 200) by the proxy of shop/orders: ALLOW policies apply",
       "comes nearest"},
      {with([](LineParts* p) {
         p->status = "502";
         p->details = "direct_response";
         p->cluster = "BlackHoleCluster";
         p->authority = "example.com";
         p->sni = "-";
       }),
       "nothing in the mesh names example.com, and outboundTrafficPolicy is REGISTRY_ONLY",
       "ServiceEntry"},
      {with([](LineParts* p) {
         p->status = "503";
         p->flags = "NC";
         p->details = "cluster_not_found";
       }),
       "its Service or subset is not defined", "DestinationRule"},
      {with([](LineParts* p) {
         p->status = "400";
         p->flags = "DPE";
         p->details = "http1.codec_error";
       }),
       "the request is not valid HTTP/1", "valid request line"},
      {with([](LineParts* p) {
         p->status = "400";
         p->details = "path_normalization_failed";
       }),
       "the path cannot be normalized", ""},
      {with([](LineParts* p) {
         p->status = "503";
         p->flags = "UC";
         p->details = "upstream_reset_before_response_started{connection_termination}";
       }),
       "the upstream ended the connection without an answer", "the upstream's proxy"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.sentence));
    MemoryFiles files = Files();
    files.Put("a.log", LineOf(row.parts));
    Ran ran = Run({"explain-log", "a.log", "mesh.yaml", "--format", "json"}, files);
    CHECK(ran.status == 0);
    Json json = JsonOf(ran);
    const auto& groups = json.Find("groups")->as_array();
    REQUIRE(groups.size() == 1);
    CHECK_MESSAGE(Contains(Text(groups[0], "sentence"), row.sentence), Text(groups[0], "sentence"));
    CHECK_MESSAGE(Contains(Text(groups[0], "fix"), row.fix), Text(groups[0], "fix"));
  }
}

TEST_CASE("explain-log: debug lines and ztunnel") {
  MemoryFiles files = Files();
  files.Put(
      "a.log",
      "t\tdebug\tenvoy rbac f.cc:1\tenforced denied, matched policy "
      "ns[shop]-policy[orders]-rule[1]\tthread=1\n"
      "t\tdebug\tenvoy rbac f.cc:1\tenforced allowed, matched policy none\tthread=1\n"
      "t\tdebug\tenvoy rbac f.cc:1\tshadow denied, matched policy "
      "istio-ext-authz-auth-ns[shop]-policy[c]-rule[0]\tthread=1\n"
      "t\terror\taccess\tconnection complete\tsrc.addr=1.1.1.1:1 "
      "src.identity=\"spiffe://d/ns/a/sa/b\" "
      "dst.addr=2.2.2.2:15008 dst.hbone_addr=2.2.2.2:80 dst.workload=\"orders-1\" "
      "dst.namespace=\"shop\" error=\"connection closed due to policy rejection: explicitly denied "
      "by: shop/orders\"\n"
      "t\terror\taccess\tconnection complete\tsrc.addr=1.1.1.1:1 dst.addr=2.2.2.2:80 "
      "dst.workload=\"orders-1\" dst.namespace=\"shop\" error=\"connection closed due to policy "
      "rejection: allow policies exist, but none allowed\"\n"
      "t\tinfo\taccess\tconnection complete\tsrc.addr=1.1.1.1:1 dst.addr=2.2.2.2:80 "
      "duration=\"1ms\"\n");
  Ran ran = Run({"explain-log", "a.log", "mesh.yaml", "--format", "json"}, files);
  CHECK(ran.status == 0);
  Json json = JsonOf(ran);
  const auto& groups = json.Find("groups")->as_array();
  REQUIRE(groups.size() == 4);
  CHECK(Contains(Text(groups[0], "sentence"), "rule 1 of AuthorizationPolicy shop/orders matches"));
  CHECK(groups[0].Find("rule")->as_integer() == 1);
  CHECK(Contains(Text(groups[1], "sentence"), "the external authorizer `auth` is asked"));
  CHECK(Contains(Text(groups[2], "sentence"),
                 "ztunnel closed the connection of spiffe://d/ns/a/sa/b to shop/orders-1:80: DENY "
                 "policy shop/orders matches it"));
  CHECK(Text(*groups[2].Find("policy"), "name") == "orders");
  CHECK(Contains(Text(groups[3], "sentence"), "a caller without identity"));
  CHECK(Contains(Text(groups[3], "sentence"), "ALLOW policies apply and none matches"));
  CHECK(json.Find("summary")->as_array()[0].Find("passed")->as_integer() == 2);
}

constexpr char kPeerFormat[] =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% "
    "%RESPONSE_CODE_DETAILS% %REQ(:AUTHORITY)% %UPSTREAM_CLUSTER_RAW% %DOWNSTREAM_LOCAL_ADDRESS% "
    "%DOWNSTREAM_PEER_URI_SAN% %REQUESTED_SERVER_NAME%";

std::string PeerLine(const std::string& request, const std::string& status,
                     const std::string& details, const std::string& peer) {
  return "[2026-03-01T10:00:00Z] \"" + request + " HTTP/1.1\" " + status + " - " + details +
         " orders.shop inbound|8080|| 10.244.1.5:8080 " + peer +
         " outbound_.80_._.orders.shop.svc.cluster.local\n";
}

TEST_CASE("replay: an identity in the log decides, without it nobody guesses") {
  const std::string web = "spiffe://cluster.local/ns/shop/sa/web";
  const std::string other = "spiffe://cluster.local/ns/shop/sa/other";
  const std::string none = "rbac_access_denied_matched_policy[none]";
  MemoryFiles files = Files();
  files.Put("same.log", PeerLine("GET /api/1", "200", "via_upstream", web) +
                            PeerLine("GET /api/1", "403", none, other) +
                            PeerLine("POST /api/1", "403", none, web));
  Ran same = Run({"replay", "same.log", "mesh.yaml", "--log-format", kPeerFormat}, files);
  CHECK_MESSAGE(same.status == 0, (same.out + same.err));
  CHECK(Contains(same.out, "3 requests, 3 answered alike, 0 changed, 0 undecided"));

  files.Put("differs.log", PeerLine("GET /api/1", "403", none, web) +
                               PeerLine("GET /api/2", "403", none, web) +
                               PeerLine("GET /api/1", "200", "via_upstream", other));
  Ran differs =
      Run({"replay", "differs.log", "mesh.yaml", "--log-format", kPeerFormat, "--format", "json"},
          files);
  CHECK(differs.status == 1);
  Json json = JsonOf(differs);
  const auto& changes = json.Find("changes")->as_array();
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].Find("count")->as_integer() == 2);
  CHECK(Text(*changes[0].Find("was"), "verdict") == "deny");
  CHECK(Text(*changes[0].Find("would"), "verdict") == "allow");
  CHECK(Text(*changes[0].Find("request")->Find("to"), "workload") == "shop/orders");
  CHECK(Text(*changes[1].Find("would"), "verdict") == "deny");
  CHECK(json.Find("undecided")->as_array().empty());

  // The default format has no identity: a GET may be web's or not, a POST is refused either way.
  LineParts get;
  files.Put("open.log", LineOf(get) + LineOf(get) + Denied());
  Ran open = Run({"replay", "open.log", "mesh.yaml", "--format", "json"}, files);
  CHECK(open.status == 3);
  json = JsonOf(open);
  const auto& undecided = json.Find("undecided")->as_array();
  REQUIRE(undecided.size() == 1);
  CHECK(undecided[0].Find("count")->as_integer() == 2);
  CHECK(Text(undecided[0], "reason") ==
        "the log does not say who called, which decides at shop/orders");
  CHECK(json.Find("summary")->Find("same")->as_integer() == 1);
}

TEST_CASE("replay: from one set of policies to another") {
  MemoryFiles files = Files();
  std::string changed = kSmallMesh;
  changed.replace(changed.find("methods: [GET]"), 14, "methods: [PUT]");
  files.Put("new.yaml", changed);
  LineParts get;
  LineParts stranger;
  stranger.request = "GET /other HTTP/1.1";
  stranger.status = "403";
  stranger.details = "rbac_access_denied_matched_policy[none]";
  files.Put("a.log", LineOf(get) + LineOf(stranger));
  // Whoever was let through was shop/web, since nobody else is: now refused.
  Ran ran =
      Run({"replay", "a.log", "mesh.yaml", "--against", "new.yaml", "--format", "json"}, files);
  CHECK_MESSAGE(ran.status == 1, (ran.out + ran.err));
  Json json = JsonOf(ran);
  const auto& changes = json.Find("changes")->as_array();
  REQUIRE(changes.size() == 1);
  CHECK(Text(*changes[0].Find("was"), "verdict") == "allow");
  CHECK(Text(*changes[0].Find("would"), "verdict") == "deny");
  CHECK(changes[0].Find("first_line")->as_integer() == 1);
  Ran text = Run({"replay", "a.log", "mesh.yaml", "--against", "new.yaml"}, files);
  CHECK(Contains(text.out, "newly refused"));
  CHECK(Run({"replay", "a.log", "mesh.yaml", "--against", "mesh.yaml"}, files).status == 0);
  // A gRPC refusal, which is logged as 200, is still one.
  LineParts grpc;
  grpc.request = "POST /other HTTP/2";
  grpc.details = "rbac_access_denied_matched_policy[none]";
  files.Put("grpc.log", LineOf(grpc));
  Ran same = Run({"replay", "grpc.log", "mesh.yaml"}, files);
  CHECK_MESSAGE(same.status == 0, same.out);
}

TEST_CASE("replay: plaintext, gateways, outbound lines") {
  MemoryFiles files = Files();
  LineParts plain;
  plain.sni = "-";
  plain.status = "200";
  LineParts reset;
  reset.request = "- - -";
  reset.status = "0";
  reset.flags = "NR";
  reset.details = "filter_chain_not_found";
  reset.cluster = reset.sni = reset.route = reset.authority = "-";
  LineParts gateway;
  gateway.sni = "-";
  gateway.local = "10.244.9.9:8080";
  gateway.remote = "203.0.113.9:1";
  gateway.forwarded = "203.0.113.9";
  gateway.authority = "shop.example.com";
  gateway.cluster = "outbound|80||orders.shop.svc.cluster.local";
  gateway.route = "-";
  LineParts outbound = gateway;
  outbound.route = "default";
  files.Put("a.log", LineOf(plain) + LineOf(reset) + LineOf(gateway) + LineOf(outbound));
  Ran ran = Run({"replay", "a.log", "mesh.yaml", "--format", "json"}, files);
  CHECK(ran.status == 3);
  Json json = JsonOf(ran);
  // STRICT takes no plaintext: the first line cannot have been answered by these policies.
  const auto& changes = json.Find("changes")->as_array();
  REQUIRE(changes.size() == 1);
  CHECK(changes[0].Find("first_line")->as_integer() == 1);
  CHECK(Text(*changes[0].Find("would"), "verdict") == "reject");
  const auto& undecided = json.Find("undecided")->as_array();
  REQUIRE(undecided.size() == 1);
  CHECK(Text(undecided[0], "reason") ==
        "the line is of the caller's own proxy, which judges nothing");
  CHECK(json.Find("summary")->Find("same")->as_integer() == 2);
}

TEST_CASE("test --record drafts cases that pass where the manifests answer as logged") {
  MemoryFiles files = Files();
  LineParts get;
  files.Put("a.log", LineOf(get) + LineOf(get) + Denied());
  Ran ran = Run({"test", "mesh.yaml", "--record", "a.log"}, files);
  CHECK_MESSAGE(ran.status == 0, ran.err);
  CHECK(Contains(ran.out, "2 in the log, first in line 1"));
  CHECK(Contains(ran.out, "the log does not say who called: this caller gets the logged answer"));
  files.Put("drafts.meshtest.yaml", ran.out);
  Ran test = Run({"test", "drafts.meshtest.yaml"}, files);
  CHECK_MESSAGE(test.status == 0, (test.out + ran.out));
  CHECK(Contains(test.out, "2 passed, 0 failed, 0 errors"));
}

// The book's scenarios.

std::string SharedRoot() {
  const char* given = std::getenv("MESHPROOF_SHARED");
  return given != nullptr ? given : std::string(MESHPROOF_ROOT) + "/../shared";
}

// The mesh of testdata/book/NAME.meshtest.yaml.
Result<Input> BookMesh(const std::string& name) {
  std::string path = std::string(MESHPROOF_ROOT) + "/testdata/book/" + name + ".meshtest.yaml";
  auto load = LoadPaths({path}, RealFileSystem());
  REQUIRE(load.ok());
  REQUIRE(load.value().files.size() == 1);
  MeshTestFile test = DecodeMeshTest(load.value().files[0], RealFileSystem());
  REQUIRE(test.errors.empty());
  std::vector<InputPath> paths;
  for (const auto& source : test.mesh) paths.push_back({source.path, source.ns});
  std::vector<std::string> notes;
  return LoadMesh(paths, InputOptions(), Settings(), RealFileSystem(), 1, &notes);
}

TEST_CASE("the book's log lines are explained rightly") {
  if (RealFileSystem().Stat(SharedRoot() + "/golden/book") != FileSystem::Kind::kDirectory) {
    std::cout << "skipped: the book's manifests are not here\n";
    return;
  }
  LineParts webapp;
  webapp.authority = "webapp.istioinaction";
  webapp.sni = "outbound_.80_._.webapp.istioinaction.svc.cluster.local";
  webapp.request = "GET /api/catalog HTTP/1.1";
  LineParts gateway = webapp;
  gateway.authority = "webapp.istioinaction.io:30000";
  gateway.sni = "-";
  gateway.cluster = "outbound|80||webapp.istioinaction.svc.cluster.local";
  gateway.local = "10.244.9.9:8080";
  gateway.remote = "172.18.0.1:1234";
  gateway.forwarded = "172.18.0.1";
  gateway.route = "-";
  LineParts reset;
  reset.request = "- - -";
  reset.status = "0";
  reset.flags = "NR";
  reset.details = "filter_chain_not_found";
  reset.cluster = reset.sni = reset.route = reset.authority = "-";
  LineParts catalog_reset = reset;
  catalog_reset.local = "10.244.1.6:3000";
  auto refused = [](LineParts parts, const char* status, const char* flags, const char* details) {
    parts.status = status;
    parts.flags = flags;
    parts.details = details;
    return parts;
  };
  const char* none = "rbac_access_denied_matched_policy[none]";
  LineParts hello = refused(webapp, "403", "-", none);
  hello.request = "GET /hello/world HTTP/1.1";
  // sleep has no sidecar in B3a: plaintext, no identity.
  LineParts nameless = refused(webapp, "403", "-", none);
  nameless.sni = "-";
  LineParts post = refused(gateway, "403", "-", none);
  post.request = "POST /api/catalog HTTP/1.1";
  LineParts called = refused(webapp, "403", "-", none);
  called.request = "GET /items HTTP/1.1";
  called.authority = "catalog.istioinaction:80";
  called.sni = "outbound_.80_._.catalog.istioinaction.svc.cluster.local";
  called.local = "10.244.1.6:3000";
  LineParts failed = refused(webapp, "500", "-", "via_upstream");
  LineParts late = refused(gateway, "504", "UT", "response_timeout");
  LineParts gone = refused(webapp, "0", "DC", "downstream_remote_disconnect");

  struct Row {
    const char* mesh;
    LineParts line;
    const char* sentence;
    const char* fix;
    const char* policy;  // "Kind/ns/name", "" = none
    const char* place;   // a part of "file:line"
  };
  const Row rows[] = {
      {"A1", reset,
       "takes plaintext, because mutual TLS is STRICT here by PeerAuthentication "
       "istio-system/default",
       "give the client a sidecar", "PeerAuthentication/istio-system/default",
       "meshwide-strict-peer-authn.yaml:8"},
      {"A3", catalog_reset, "by the proxy of istioinaction/catalog (curl's 000)",
       "give the client a sidecar", "PeerAuthentication/istio-system/default",
       "meshwide-strict-peer-authn.yaml:8"},
      {"B1", hello,
       "by the proxy of istioinaction/webapp: ALLOW policies apply and no rule of "
       "theirs matches GET webapp.istioinaction/hello/world",
       "its paths has `/api/catalog*`, the request `/hello/world`",
       "AuthorizationPolicy/istioinaction/allow-catalog-requests-in-web-app",
       "allow-catalog-requests-in-web-app.yaml:"},
      {"B2", refused(webapp, "403", "-", none),
       "no rule of theirs matches GET webapp.istioinaction/api/catalog", "add an ALLOW rule",
       "AuthorizationPolicy/istio-system/deny-all", "policy-deny-all-mesh.yaml:"},
      {"B2", refused(gateway, "403", "-", none),
       "by the proxy of istio-system/istio-ingressgateway", "add an ALLOW rule",
       "AuthorizationPolicy/istio-system/deny-all", "policy-deny-all-mesh.yaml:"},
      {"B3a", nameless, "no rule of theirs matches", "who comes without mutual TLS has no identity",
       "AuthorizationPolicy/istioinaction/webapp-allow-view-default-ns", "allow-view-default-ns"},
      {"B4", called,
       "by the proxy of istioinaction/catalog: ALLOW policies apply and no rule of theirs matches "
       "GET catalog.istioinaction:80/items",
       "wants a caller that its namespaces name: `default`",
       "AuthorizationPolicy/istioinaction/webapp-allow-view-default-ns", "allow-view-default-ns"},
      {"B3b", failed,
       "500 comes from the application of istioinaction/webapp itself: the proxy let GET "
       "webapp.istioinaction/api/catalog through",
       "ask the application", "", ""},
      {"C1", refused(gateway, "401", "-", "jwt_authn_access_denied{Jwt_issuer_is_not_configured}"),
       "by the proxy of istio-system/istio-ingressgateway: the token was refused, `Jwt issuer is "
       "not configured`",
       "send a token of a configured issuer",
       "RequestAuthentication/istio-system/jwt-token-request-authn",
       "jwt-token-request-authn.yaml:11"},
      {"C2a",
       refused(
           gateway, "403", "-",
           "rbac_access_denied_matched_policy[ns[istio-system]-policy[app-gw-requires-jwt]-rule["
           "0]]"),
       "DENY rule 0 of AuthorizationPolicy istio-system/app-gw-requires-jwt matches GET "
       "webapp.istioinaction.io:30000/api/catalog",
       "narrow the rule", "AuthorizationPolicy/istio-system/app-gw-requires-jwt",
       "app-gw-requires-jwt"},
      {"C3", post, "by the proxy of istio-system/istio-ingressgateway: ALLOW policies apply", "",
       "AuthorizationPolicy/istio-system/", ".yaml:"},
      {"D1", refused(webapp, "403", "UAEX", "ext_authz_denied"),
       "the external authorizer `sample-ext-authz-http` (CUSTOM policy istioinaction/ext-authz) "
       "denied GET webapp.istioinaction/api/catalog",
       "send what the authorizer asks for", "AuthorizationPolicy/istioinaction/ext-authz",
       "custom-authorization-policy.yaml:"},
      {"E1", refused(gateway, "503", "NC", "cluster_not_found"),
       "its Service or subset is not defined", "define the subset in a DestinationRule", "", ""},
      {"A0", late, "the upstream did not answer within the route's timeout", "timeout", "", ""},
      {"A0", gone,
       "no answer was sent by the proxy of istioinaction/webapp: the client ended the connection "
       "before it had an answer",
       "look at the client's timeout", "", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.mesh));
    CAPTURE(std::string(row.sentence));
    auto input = BookMesh(row.mesh);
    REQUIRE(input.ok());
    World world(input.value().mesh);
    LogReader reader;
    std::string text = LineOf(row.line);
    text.pop_back();
    const LogLine& line = reader.Read(text);
    REQUIRE(line.kind == LogKind::kAccess);
    LogExplanation why = ExplainLine(&world, nullptr, Keep(line));
    CHECK_MESSAGE(Contains(why.sentence, row.sentence), why.sentence);
    CHECK_MESSAGE(Contains(why.fix, row.fix), why.fix);
    std::string policy =
        why.origin.object == nullptr ? std::string() : ToString(*why.origin.object);
    if (std::string(row.policy).empty()) {
      CHECK(policy.empty());
    } else {
      CHECK_MESSAGE(policy.starts_with(row.policy), policy);
    }
    Span span = why.origin.span                ? why.origin.span
                : why.origin.object != nullptr ? why.origin.object->span
                                               : Span();
    std::string place = span ? ToString(Locate(span)) : std::string();
    CHECK_MESSAGE(Contains(place, row.place), place);
  }
}

}  // namespace
}  // namespace meshproof::log_test

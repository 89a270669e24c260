#include "simulate/log_request.h"

#include <doctest/doctest.h>

#include "simulate/replay.h"

namespace meshproof::log_request_test {
namespace {

TEST_CASE("policy ids") {
  struct Row {
    const char* id;
    const char* name;  // "ns/name rule provider bad", "" = it is none
  };
  const Row rows[] = {
      {"ns[a]-policy[b]-rule[0]", "a/b 0  0"},
      {"ns[a]-policy[b.c-d]-rule[12]", "a/b.c-d 12  0"},
      {"istio-ext-authz-ns[a]-policy[b]-rule[0]", "a/b 0  0"},
      {"istio-ext-authz-my-provider-ns[a]-policy[b]-rule[1]", "a/b 1 my-provider 0"},
      {"istio-ext-authz-p-ns[a]-policy[b]-rule[0]-deny-due-to-bad-CUSTOM-action", "a/b 0 p 1"},
      {"none", ""},
      {"", ""},
      {"ns[a]-policy[b]", ""},
      {"ns[a]-policy[b]-rule[x]", ""},
      {"ns[a]-policy[b]-rule[0", ""},
      {"x-ns[a]-policy[b]-rule[0]", ""},
      {"ns[a]-rule[0]-policy[b]", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.id));
    auto id = ParseRbacId(row.id);
    std::string text;
    if (id) {
      text = std::string(id->ns) + "/" + std::string(id->name) + " " + std::to_string(id->rule) +
             " " + std::string(id->provider) + " " + std::to_string(id->bad_custom);
    }
    CHECK(text == row.name);
  }
}

constexpr char kMesh[] = R"(apiVersion: v1
kind: Namespace
metadata: {name: a, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: w, namespace: a}
spec: {selector: {app: w}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: w, namespace: a}
spec:
  selector: {matchLabels: {app: w}}
  template:
    metadata: {labels: {app: w}}
    spec: {serviceAccountName: w, containers: [{name: c, image: i}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: r, namespace: a}
spec: {jwtRules: [{issuer: me, jwks: '{"keys":[{"kty":"oct","alg":"HS256","k":"YQ"}]}'}]}
)";

std::string Policy(int number, const std::string& action, const std::string& rule) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p" +
         std::to_string(number) + ", namespace: a}\nspec: {action: " + action + ", rules: [" +
         rule + "]}\n";
}

std::unique_ptr<World> WorldOf(const std::string& text) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", text));
  auto model = DecodeModel(std::move(load), {});
  for (const auto& diagnostic : model->diagnostics) {
    if (diagnostic.severity == Severity::kError) FAIL(ToString(diagnostic));
  }
  return std::make_unique<World>(Mesh::Build(model));
}

// A line of w's own sidecar that says nothing of caller, token or headers.
LogRecord Line(const char* status, const char* details) {
  LogReader reader;
  return Keep(reader.Read(
      std::string("[2026-03-01T10:00:00Z] \"GET /x HTTP/1.1\" ") + status + " - " + details +
      " - \"-\" 0 0 0 - \"-\" \"-\" \"id\" \"w.a\" \"-\" inbound|8080|| - 10.244.1.5:8080 "
      "10.244.2.7:4 outbound_.80_._.w.a.svc.cluster.local default"));
}

// Slow oracle: whatever the log leaves open is tried out. Where the replay gives an answer, every
// request that the line can stand for gets it.
TEST_CASE("a replay decides only what nothing that is missing could change") {
  const std::vector<std::string> rules = {
      "{from: [{source: {principals: [cluster.local/ns/b/sa/c]}}]}",
      "{from: [{source: {notPrincipals: [cluster.local/ns/b/sa/c]}}]}",
      "{from: [{source: {namespaces: [b]}}], to: [{operation: {paths: [/x]}}]}",
      "{from: [{source: {notNamespaces: [b]}}]}",
      "{from: [{source: {requestPrincipals: [me/you]}}]}",
      "{from: [{source: {notRequestPrincipals: ['*']}}]}",
      "{when: [{key: 'request.auth.claims[group]', values: [x]}]}",
      "{when: [{key: 'request.auth.claims[group]', notValues: [x]}]}",
      "{when: [{key: 'request.headers[x-team]', values: [red]}]}",
      "{when: [{key: 'request.headers[x-team]', notValues: [red]}]}",
      "{from: [{source: {principals: ['*'], namespaces: [b]}}], when: [{key: "
      "'request.headers[x-team]', values: ['r*']}]}",
      "{to: [{operation: {methods: [POST]}}]}",
      "{to: [{operation: {methods: [GET]}}]}",
      "{}",
  };
  std::vector<Case> hidden;
  Case base;
  base.to_workload = "a/w";
  base.to_port = 8080;
  base.path = "/x";
  base.host = "w.a";
  base.from_outside = true;
  base.tls = CaseTls::kMtls;
  base.from_ip = ParseIpAddress("10.244.2.7");
  base.now = 1772359200;
  for (const char* identity : {"b/sa/c", "b/sa/d", "e/sa/c"}) {
    for (int token = 0; token < 4; ++token) {
      for (const char* team : {"", "red", "rose", "blue"}) {
        Case one = base;
        one.from_identity = std::string("spiffe://cluster.local/ns/") + identity;
        if (token > 0) {
          one.claims = Json::MakeObject({{"iss", "me"}, {"sub", token == 1 ? "you" : "they"}});
        }
        if (token == 2) one.claims->Set("group", "x");
        if (token == 3) one.claims->Set("group", "y");
        if (*team != '\0') one.headers.emplace_back("x-team", team);
        hidden.push_back(std::move(one));
      }
    }
  }
  LogRecord line = Line("200", "via_upstream");
  size_t decided = 0, undecided = 0;
  for (size_t i = 0; i < rules.size(); ++i) {
    for (size_t k = 0; k < rules.size(); ++k) {
      for (int kind = 0; kind < 3; ++kind) {
        if (kind != 1 && k < i) continue;  // two of a kind: the order does not matter
        std::string text = kMesh + Policy(1, kind == 0 ? "ALLOW" : "DENY", rules[i]) +
                           Policy(2, kind == 2 ? "DENY" : "ALLOW", rules[k]);
        CAPTURE(text);
        auto world = WorldOf(text);
        ReplayWorlds worlds;
        worlds.after = world.get();
        ReplayAnswer answer = Replay(worlds, line);
        bool allowed = false, refused = false;
        for (const auto& one : hidden) {
          auto verdict = world->Run(one, World::Addresses::kUnknown, Detail::kVerdict);
          REQUIRE(verdict.ok());
          (verdict.value().outcome == Outcome::kAllow ? allowed : refused) = true;
        }
        if (!answer.undecided.empty()) {
          ++undecided;
          continue;
        }
        ++decided;
        CHECK_FALSE((allowed && refused));
        CHECK(allowed == (answer.would.outcome == Outcome::kAllow));
        CHECK(answer.changed == refused);
      }
    }
  }
  CHECK(decided > 50);
  CHECK(undecided > 50);
}

TEST_CASE("what a line says of its answer") {
  struct Row {
    const char* status;
    const char* details;
    Outcome outcome;
    int expected;
  };
  const Row rows[] = {
      {"200", "via_upstream", Outcome::kAllow, 200},
      {"403", "via_upstream", Outcome::kAllow, 403},
      {"403", "rbac_access_denied_matched_policy[none]", Outcome::kDeny, 403},
      {"200", "rbac_access_denied_matched_policy[none]", Outcome::kDeny, 403},
      {"200", "jwt_authn_access_denied{Jwt_is_expired}", Outcome::kDeny, 401},
      {"200", "jwt_authn_access_denied{Audiences_in_Jwt_are_not_allowed}", Outcome::kDeny, 403},
      {"403", "ext_authz_denied", Outcome::kDeny, 403},
      {"0", "filter_chain_not_found", Outcome::kReject, 0},
      {"404", "route_not_found", Outcome::kAllow, 404},
      {"0", "downstream_remote_disconnect", Outcome::kAllow, 0},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.details));
    LoggedAnswer answer = ReadLoggedAnswer(Line(row.status, row.details));
    CHECK(answer.outcome == row.outcome);
    CHECK(answer.status == row.expected);
  }
}

}  // namespace
}  // namespace meshproof::log_request_test

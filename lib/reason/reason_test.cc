#include "reason/reason.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "reason/model.h"
#include "reason/reason_testing.h"

namespace meshproof::reason_test {
namespace {

using Field = Region::Field;

struct Tally {
  size_t points = 0, allowed = 0, refused = 0, opaque = 0, skipped = 0, undetermined = 0;
  size_t whole = 0;  // spaces of which every point was asked
};

// Every point of the model's space (of a large one a sample of `limit`) asked of the simulator.
void ComparePoints(const World& world, const Workload& workload, int port, std::mt19937* random,
                   size_t limit, Tally* tally) {
  PortModel model({{&world, &workload, port}}, Budget{});
  REQUIRE_MESSAGE(model.side(0).undetermined.empty(), model.side(0).undetermined);
  REQUIRE(model.Build());
  Space& space = model.space();
  Bdd::Node domain = space.Domain();
  Bdd::Node allowed = space.ToNode(model.side(0).allowed);
  if (model.has_opaque()) {
    ++tally->opaque;
    return;
  }
  constexpr size_t kCountable = size_t{1} << 40;
  size_t count = space.CountPoints(kCountable);
  REQUIRE(count != 0);
  constexpr size_t kSmall = 1000;
  bool all = count <= std::max(limit, kSmall);
  tally->whole += all ? 1 : 0;
  for (size_t i = 0; i < (all ? count : limit); ++i) {
    size_t number = all ? i : ((static_cast<size_t>((*random)()) << 32) ^ (*random)()) % count;
    Space::Point point = space.PointAt(number);
    if (!space.Holds(domain, point)) {
      ++tally->skipped;
      continue;
    }
    std::optional<Case> request = model.Decode(point, 0);
    REQUIRE(request);
    // At a gateway this is a client that speaks TLS where the listener does.
    if (workload.mode == ProxyMode::kGateway && request->tls == CaseTls::kAuto) continue;
    auto verdict = world.Run(*request, World::Addresses::kUnknown, Detail::kVerdict);
    REQUIRE_MESSAGE(verdict.ok(), verdict.error().message);
    ++tally->points;
    bool expected = space.Holds(allowed, point);
    Outcome outcome = verdict.value().outcome;
    bool got = outcome == Outcome::kAllow;
    ++(got ? tally->allowed : tally->refused);
    if (outcome == Outcome::kUndetermined) {
      ++tally->undetermined;
      CAPTURE(Join(verdict.value().missing, "; "));
      CHECK(outcome != Outcome::kUndetermined);
      continue;
    }
    if (expected != got) {
      std::vector<Space::FieldId> fields;
      for (Space::FieldId field = 0; field < space.fields(); ++field) fields.push_back(field);
      CAPTURE(model.Describe(point, fields));
      CAPTURE(verdict.value().details);
      CHECK(expected == got);
    }
  }
}

}  // namespace

TEST_CASE("reason: random policy sets, every class vector as the simulator judges it") {
#ifdef NDEBUG
  int sets = 2000;
#else
  int sets = 150;  // a build without optimization is ten times slower
#endif
  if (const char* given = std::getenv("MESHPROOF_REASON_SETS")) sets = std::atoi(given);
  std::mt19937 random(5);
  Tally tally;
  for (int i = 0; i < sets; ++i) {
    std::string yaml = RandomMesh(static_cast<uint32_t>(i)).Text();
    CAPTURE(i);
    CAPTURE(yaml);
    Loaded loaded = LoadText(yaml);
    for (int port : {8080, 81}) {
      CAPTURE(port);
      ComparePoints(*loaded.world, *loaded.workload, port, &random, port == 81 ? 20 : 100, &tally);
    }
  }
  MESSAGE("spaces enumerated " << tally.whole << ", points " << tally.points << ", allowed "
                               << tally.allowed << ", refused " << tally.refused
                               << ", outside the domain " << tally.skipped
                               << ", sets with opaque conditions " << tally.opaque);
  CHECK(tally.allowed > tally.points / 20);
  CHECK(tally.refused > tally.points / 20);
  CHECK(tally.whole > static_cast<size_t>(sets) / 4);
}

TEST_CASE("reason: a gateway lets in what its routes take, by the hosts that they name") {
  const std::string gateway =
      NamespaceYaml("g", "") +
      "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: gate, namespace: g}\nspec: "
      "{selector: {matchLabels: {istio: ingressgateway}}, template: {metadata: {labels: {istio: "
      "ingressgateway, sidecar.istio.io/inject: 'true'}, annotations: "
      "{inject.istio.io/templates: gateway}}, spec: {containers: [{name: istio-proxy, image: "
      "auto}]}}}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: gate, namespace: g}\nspec: "
      "{selector: {istio: ingressgateway}, ports: [{port: 80, targetPort: 8080, name: http}]}\n"
      "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: entry, namespace: "
      "a}\nspec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, "
      "protocol: HTTP}, hosts: ['*']}]}\n---\napiVersion: networking.istio.io/v1\nkind: "
      "VirtualService\nmetadata: {name: routes, namespace: a}\nspec: {hosts: HOSTS, gateways: "
      "[entry], http: [{match: [{uri: {prefix: /api}}], route: [{destination: {host: w}}]}]}\n";
  const std::string policy =
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, "
      "namespace: g}\nspec: {action: DENY, rules: [{to: [{operation: {methods: [PUT]}}]}]}\n";
  std::mt19937 random(3);
  for (const std::string hosts : {"[h.io]", "['*.io']", "[h.io, '*.io']"}) {
    CAPTURE(hosts);
    std::string routed = gateway;
    routed.replace(routed.find("HOSTS"), 5, hosts);
    Loaded loaded = LoadText(BaseYaml() + routed + policy);
    const Workload* gate = loaded.mesh->FindWorkload("g", "gate");
    REQUIRE(gate != nullptr);
    Tally tally;
    ComparePoints(*loaded.world, *gate, 8080, &random, 1000, &tally);
    CHECK(tally.allowed > 0);
    CHECK(tally.refused > 0);
    Reasoner reasoner(*loaded.world);
    Exposure exposure = reasoner.ExposureOf(*gate, 8080, Region::Is(Region::Field::kRouted));
    CHECK(exposure.complete);
    REQUIRE(exposure.rows.size() == (hosts == "[h.io, '*.io']" ? 2 : 1));
    for (const ExposureRow& row : exposure.rows) {
      REQUIRE(row.example != nullptr);
      CHECK(row.example->request.host->ends_with(".io"));
      CHECK(row.destination == "w.a.svc.cluster.local:80");
    }
  }
}

TEST_CASE("reason: an allowed request without a token, or the proof that there is none") {
  const std::string jwt =
      "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: jwt, "
      "namespace: a}\nspec: {jwtRules: [{issuer: iss, jwksUri: 'https://iss/keys'}]}\n";
  Region no_token = Region::Not(Region::Is(Field::kToken));
  struct Row {
    const char* policies;
    bool found;
  };
  const Row rows[] = {
      {"", true},
      {"action: ALLOW, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]", false},
      {"action: ALLOW, rules: [{from: [{source: {notRequestPrincipals: ['iss/evil']}}]}]", true},
      {"action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}]}]", false},
      {"action: DENY, rules: [{from: [{source: {notRequestPrincipals: ['*']}}], to: [{operation: "
       "{paths: ['/api/*']}}]}]",
       true},
      {"action: ALLOW, rules: [{when: [{key: 'request.auth.claims[groups]', values: [x]}]}]",
       false},
      {"action: ALLOW, rules: [{when: [{key: 'request.auth.claims[groups]', notValues: [x]}]}]",
       true}};
  for (const Row& row : rows) {
    CAPTURE(row.policies);
    std::string yaml = BaseYaml() + jwt;
    if (*row.policies != '\0') yaml += PolicyYaml("p", row.policies);
    Loaded loaded = LoadText(yaml);
    Reasoner reasoner(*loaded.world);
    Answer answer = reasoner.Find(*loaded.workload, 8080, no_token, Wanted::kAllowed);
    CAPTURE(answer.reason);
    CHECK(answer.kind == (row.found ? Answer::Kind::kFound : Answer::Kind::kEmpty));
    if (answer.found()) CHECK_FALSE(answer.example->request.claims.has_value());
    CHECK(reasoner.unconfirmed() == 0);
  }
}

TEST_CASE("reason: rule status names what is unreachable, denied and covered") {
  struct Row {
    const char* first;
    const char* second;
    RuleStatus::Kind of_first;
  };
  using Kind = RuleStatus::Kind;
  const Row rows[] = {
      {"action: ALLOW, rules: [{to: [{operation: {paths: ['/a']}}]}]", "", Kind::kLive},
      {"action: ALLOW, rules: [{to: [{operation: {paths: ['/a/../b']}}]}]", "", Kind::kUnreachable},
      {"action: ALLOW, rules: [{from: [{source: {requestPrincipals: ['*']}}]}]", "",
       Kind::kUnreachable},
      {"action: ALLOW, rules: [{from: [{source: {principals: ['cluster.local/ns/b/sa/c'], "
       "namespaces: [a]}}]}]",
       "", Kind::kUnreachable},
      {"action: ALLOW, rules: [{to: [{operation: {paths: ['/a/b']}}]}]",
       "action: ALLOW, rules: [{to: [{operation: {paths: ['/a/*']}}]}]", Kind::kCovered},
      {"action: ALLOW, rules: [{to: [{operation: {paths: ['/a/*']}}]}]",
       "action: ALLOW, rules: [{to: [{operation: {paths: ['/a/b']}}]}]", Kind::kLive},
      {"action: ALLOW, rules: [{to: [{operation: {paths: ['/a/b']}}]}]",
       "action: DENY, rules: [{to: [{operation: {paths: ['/a/{**}']}}]}]", Kind::kDenied},
      {"action: DENY, rules: [{to: [{operation: {paths: ['/b']}}]}]",
       "action: ALLOW, rules: [{to: [{operation: {paths: ['/a']}}]}]", Kind::kCovered},
      {"action: DENY, rules: [{to: [{operation: {paths: ['/a/b']}}]}]",
       "action: ALLOW, rules: [{to: [{operation: {paths: ['/a*']}}]}]", Kind::kLive}};
  for (const Row& row : rows) {
    CAPTURE(row.first);
    CAPTURE(row.second);
    std::string yaml = BaseYaml() + StrictYaml() + PolicyYaml("p", row.first);
    if (*row.second != '\0') yaml += PolicyYaml("q", row.second);
    Loaded loaded = LoadText(yaml);
    Reasoner reasoner(*loaded.world);
    std::vector<RuleStatus> statuses = reasoner.RuleStatuses(*loaded.workload, 8080);
    bool seen = false;
    for (const RuleStatus& status : statuses) {
      if (status.policy->origin.object->name != "p") continue;
      seen = true;
      CAPTURE(status.reason);
      CHECK(static_cast<int>(status.kind) == static_cast<int>(row.of_first));
      if (status.kind == Kind::kCovered || status.kind == Kind::kDenied) {
        CHECK((!status.by.empty() || !status.reason.empty()));
      }
      if (status.kind == Kind::kUnreachable) CHECK_FALSE(status.reason.empty());
    }
    CHECK(seen);
    CHECK(reasoner.unconfirmed() == 0);
  }
}

TEST_CASE("reason: exposure rows are complete and say what a caller needs") {
  Loaded loaded = LoadText(
      BaseYaml() + StrictYaml() +
      PolicyYaml(
          "p",
          "action: ALLOW, rules: [{from: [{source: {namespaces: [b]}}], to: [{operation: "
          "{methods: [GET], paths: ['/api/*']}}]}, {to: [{operation: {paths: [/health]}}]}]") +
      PolicyYaml("q", "action: DENY, rules: [{to: [{operation: {paths: ['/api/admin*']}}]}]"));
  Reasoner reasoner(*loaded.world);
  Exposure exposure = reasoner.ExposureOf(*loaded.workload, 8080);
  CHECK(exposure.complete);
  CHECK(exposure.reason.empty());
  REQUIRE(exposure.rows.size() == 2);
  CHECK(exposure.rows[0].peer == ExposureRow::Peer::kNamed);
  CHECK(exposure.rows[0].from == std::vector<std::string>{"namespace b"});
  CHECK(exposure.rows[0].methods == std::vector<std::string>{"GET"});
  REQUIRE(exposure.rows[0].except.size() == 1);
  CHECK(exposure.rows[0].except[0].text == "/api/admin*");
  CHECK(exposure.rows[1].peer == ExposureRow::Peer::kAnyIdentity);
  CHECK(exposure.rows[1].except.empty());
  CHECK(exposure.rows[1].example != nullptr);
}

TEST_CASE("reason: comparing a mesh with its change") {
  const std::string allow =
      PolicyYaml("p", "action: ALLOW, rules: [{to: [{operation: {paths: ['/a', '/b/*']}}]}]");
  struct Row {
    std::string before, after;
    size_t opened, shut;
  };
  const Row rows[] = {
      {allow, allow, 0, 0},
      {allow,
       PolicyYaml(
           "p",
           "action: ALLOW, rules: [{to: [{operation: {paths: ['/b/*']}}]}, {to: [{operation: "
           "{paths: [/a]}}]}, {to: [{operation: {paths: ['/b/c']}}]}]"),
       0, 0},
      {allow, PolicyYaml("p", "action: ALLOW, rules: [{to: [{operation: {paths: ['/b/*']}}]}]"), 0,
       1},
      {"", allow, 0, 1},
      {allow, "", 1, 0},
      {"", StrictYaml(), 0, 1},
      {allow,
       PolicyYaml("p",
                  "action: ALLOW, rules: [{to: [{operation: {paths: ['/a', '/b/*'], methods: "
                  "[GET]}}]}, {to: [{operation: {paths: [/new]}}]}]"),
       1, 1}};
  for (const Row& row : rows) {
    CAPTURE(row.before);
    CAPTURE(row.after);
    Loaded before = LoadText(BaseYaml() + row.before);
    Loaded after = LoadText(BaseYaml() + row.after);
    Reasoner old_reasoner(*before.world);
    Reasoner new_reasoner(*after.world);
    Comparison comparison =
        Reasoner::Compare(old_reasoner, *before.workload, new_reasoner, *after.workload, 8080);
    CAPTURE(comparison.reason);
    CHECK(comparison.complete);
    CHECK(comparison.newly_allowed.empty() == (row.opened == 0));
    CHECK(comparison.newly_refused.empty() == (row.shut == 0));
    CHECK(new_reasoner.unconfirmed() == 0);
  }
}

}  // namespace meshproof::reason_test

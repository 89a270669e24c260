#include "reason/reason.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "base/text.h"
#include "mesh/mesh_testing.h"
#include "reason/model.h"

namespace meshproof {
namespace {

using Field = Region::Field;

// Policies of one workload `w` in namespace `a`, made at random from few values, so that they
// touch each other.
class RandomMesh {
 public:
  explicit RandomMesh(uint32_t seed) : random_(seed) {}

  std::string Text() {
    std::string yaml =
        NamespaceYaml("a", "istio-injection: enabled") + DeploymentYaml("a", "w") + MeshConfig();
    static const std::vector<std::string> kPorts = {"http-x", "http-x", "tcp-x", "x"};
    yaml += ServiceYaml("a", "w", "{port: 80, targetPort: 8080, name: " + One(kPorts) + "}");
    if (Chance(2)) {
      yaml += PeerYaml("a", "p", "mtls: {mode: " + One({"STRICT", "PERMISSIVE", "DISABLE"}) + "}");
    }
    if (Chance(2)) {
      yaml += Object("RequestAuthentication", "jwt",
                     std::string("jwtRules: [{issuer: iss, jwksUri: 'https://iss/keys'") +
                         (Chance(3) ? ", audiences: [p]" : "") + "}" +
                         (Chance(3) ? ", {issuer: jss, jwksUri: 'https://iss/keys'}" : "") + "]");
    }
    size_t count = 1 + random_() % 3;
    for (size_t i = 0; i < count; ++i) yaml += Policy(i);
    return yaml;
  }

 private:
  bool Chance(uint32_t of) { return random_() % of == 0; }
  std::string One(const std::vector<std::string>& values) {
    return values[random_() % values.size()];
  }
  static std::string Object(const std::string& kind, const std::string& name,
                            const std::string& spec) {
    return "---\napiVersion: security.istio.io/v1\nkind: " + kind + "\nmetadata: {name: " + name +
           ", namespace: a}\nspec: {" + spec + "}\n";
  }
  std::string MeshConfig() {
    return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: "
           "istio-system}\ndata:\n  mesh: |\n    extensionProviders:\n    - name: az\n      "
           "envoyExtAuthzHttp: {service: w.a.svc.cluster.local, port: 80}\n    "
           "pathNormalization: {normalization: " +
           One({"DEFAULT", "NONE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"}) + "}\n";
  }
  std::string List(const std::string& key, const std::vector<std::string>& values) {
    std::string name = key;
    if (Chance(4)) {
      name[0] = static_cast<char>(name[0] & ~0x20);
      name = "not" + name;
    }
    std::string list = One(values);
    if (Chance(3)) list += ", " + One(values);
    return name + ": [" + list + "]";
  }
  std::string Source() {
    std::vector<std::string> fields;
    if (Chance(3)) {
      fields.push_back(List("principals", {"'*'", "cluster.local/ns/b/sa/c", "cluster.local/ns/b/*",
                                           "'*/sa/c'", "cluster.local/ns/a/sa/w"}));
    }
    if (Chance(4)) fields.push_back(List("namespaces", {"b", "'b*'", "a", "'*'"}));
    if (Chance(6)) fields.push_back(List("serviceAccounts", {"w", "b/c"}));
    if (Chance(5)) {
      fields.push_back(List("requestPrincipals", {"'*'", "'iss/*'", "iss/s", "'*/s'"}));
    }
    if (Chance(6))
      fields.push_back(List("ipBlocks", {"10.0.0.0/8", "10.1.0.0/16", "198.51.100.77"}));
    if (Chance(6))
      fields.push_back(List("remoteIpBlocks", {"10.0.0.0/8", "10.1.2.3", "'2001:db8::/32'"}));
    if (fields.empty()) fields.push_back(List("namespaces", {"b", "a"}));
    return "source: {" + Join(fields, ", ") + "}";
  }
  std::string Operation() {
    std::vector<std::string> fields;
    if (Chance(2)) {
      fields.push_back(List("paths", {"/a", "'/a*'", "'*/b'", "'/a/*'", "'/{*}/b'", "'/a/{**}'",
                                      "'*'", "/a/b", "/A"}));
    }
    if (Chance(3)) fields.push_back(List("methods", {"GET", "'G*'", "'*T'", "'*'", "FOO"}));
    if (Chance(4)) fields.push_back(List("hosts", {"h.io", "'*.io'", "'H.*'", "'*'", "h.io:80"}));
    if (Chance(6)) fields.push_back(List("ports", {"'8080'", "'81'"}));
    if (fields.empty()) fields.push_back(List("methods", {"GET", "POST"}));
    return "operation: {" + Join(fields, ", ") + "}";
  }
  std::string Condition() {
    static const std::vector<std::pair<std::string, std::vector<std::string>>> kKinds = {
        {"'request.headers[x-a]'", {"'1'", "'1*'", "'*'", "'*2'"}},
        {"'request.headers[origin]'", {"o", "'*'", "'o*'"}},
        {"'request.auth.claims[groups]'", {"g", "'g*'", "h"}},
        {"'request.auth.claims[o][g]'", {"g", "'*'"}},
        {"'request.auth.claims[iss]'", {"iss", "jss"}},
        {"request.auth.audiences", {"p", "q"}},
        {"connection.sni", {"'*.io'", "'*'", "outbound_.80_._.w.a.svc.cluster.local"}},
        {"source.ip", {"10.0.0.0/8"}},
        {"remote.ip", {"10.0.0.0/8"}},
        {"destination.port", {"'8080'"}},
        {"destination.ip", {"10.244.0.0/24"}},
        {"source.principal", {"cluster.local/ns/b/sa/c"}}};
    const auto& kind = kKinds[random_() % kKinds.size()];
    std::string values = One(kind.second);
    if (Chance(3)) values += ", " + One(kind.second);
    return "{key: " + kind.first + ", " + (Chance(3) ? "notValues" : "values") + ": [" + values +
           "]}";
  }
  std::string Rule() {
    std::vector<std::string> parts;
    if (Chance(2)) {
      parts.push_back("from: [{" + Source() + "}" + (Chance(4) ? ", {" + Source() + "}" : "") +
                      "]");
    }
    if (Chance(2)) {
      parts.push_back("to: [{" + Operation() + "}" + (Chance(4) ? ", {" + Operation() + "}" : "") +
                      "]");
    }
    if (Chance(2)) {
      parts.push_back("when: [" + Condition() + (Chance(3) ? ", " + Condition() : "") + "]");
    }
    if (parts.empty()) parts.push_back("to: [{" + Operation() + "}]");
    return "{" + Join(parts, ", ") + "}";
  }
  std::string Policy(size_t index) {
    std::string action = One({"ALLOW", "ALLOW", "DENY", "DENY", "CUSTOM", "AUDIT"});
    std::string rules = Rule();
    if (Chance(2)) rules += ", " + Rule();
    return Object("AuthorizationPolicy", "p" + std::to_string(index),
                  "action: " + action + (action == "CUSTOM" ? ", provider: {name: az}" : "") +
                      ", rules: [" + rules + "]");
  }

  std::mt19937 random_;
};

struct Tally {
  size_t points = 0, allowed = 0, refused = 0, opaque = 0, skipped = 0, undetermined = 0;
};

// Every point of the model's space (or a sample of a large one) asked of the simulator.
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
  bool all = count <= limit;
  for (size_t i = 0; i < (all ? count : limit); ++i) {
    size_t number = all ? i : ((static_cast<size_t>((*random)()) << 32) ^ (*random)()) % count;
    Space::Point point = space.PointAt(number);
    if (!space.Holds(domain, point)) {
      ++tally->skipped;
      continue;
    }
    std::optional<Case> request = model.Decode(point, 0);
    REQUIRE(request);
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

struct Loaded {
  std::shared_ptr<const Mesh> mesh;
  std::unique_ptr<World> world;
  const Workload* workload = nullptr;
};

// Objects that the API server would refuse are left out, as everywhere.
Loaded LoadText(const std::string& yaml) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", yaml));
  REQUIRE(load.files.back().diagnostics.empty());
  Loaded loaded;
  loaded.mesh = Mesh::Build(DecodeModel(std::move(load), {}), {});
  loaded.world = std::make_unique<World>(loaded.mesh);
  loaded.workload = loaded.mesh->FindWorkload("a", "w");
  REQUIRE(loaded.workload != nullptr);
  return loaded;
}

std::string PolicyYaml(const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: a}\nspec: {" + spec + "}\n";
}

std::string BaseYaml(const std::string& port_name = "http-x") {
  return NamespaceYaml("a", "istio-injection: enabled") +
         NamespaceYaml("b", "istio-injection: enabled") + DeploymentYaml("a", "w") +
         DeploymentYaml("b", "c") +
         ServiceYaml("a", "w", "{port: 80, targetPort: 8080, name: " + port_name + "}");
}

std::string StrictYaml() {
  return PeerYaml("a", "p", "mtls: {mode: STRICT}");
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
  MESSAGE("points " << tally.points << ", allowed " << tally.allowed << ", refused "
                    << tally.refused << ", outside the domain " << tally.skipped
                    << ", sets with opaque conditions " << tally.opaque);
  CHECK(tally.allowed > tally.points / 20);
  CHECK(tally.refused > tally.points / 20);
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
  CHECK(exposure.rows[1].example.has_value());
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

TEST_CASE("reason: metamorphic laws of random policy sets") {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    std::string yaml = RandomMesh(seed).Text();
    CAPTURE(yaml);
    Loaded base = LoadText(yaml);
    // The same rules once more under another name change nothing.
    std::string again = yaml;
    size_t at = yaml.find("kind: AuthorizationPolicy");
    if (at != std::string::npos) {
      size_t begin = yaml.rfind("---", at);
      std::string copy = yaml.substr(begin, yaml.find("---", at) - begin);
      size_t name = copy.find("name: p");
      copy.replace(name, 7, "name: z");
      again += copy;
    }
    Loaded twice = LoadText(again);
    Loaded more = LoadText(
        yaml + PolicyYaml("extra", "action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}]"));
    Reasoner one(*base.world);
    Reasoner two(*twice.world);
    Reasoner three(*more.world);
    Comparison same = Reasoner::Compare(one, *base.workload, two, *twice.workload, 8080);
    CAPTURE(same.reason);
    if (same.complete) {
      CHECK(same.newly_allowed.empty());
      CHECK(same.newly_refused.empty());
    }
    Comparison denied = Reasoner::Compare(one, *base.workload, three, *more.workload, 8080);
    if (denied.complete) CHECK(denied.newly_allowed.empty());
    CHECK(one.unconfirmed() + two.unconfirmed() + three.unconfirmed() == 0);
  }
}

}  // namespace meshproof

// Ambient workloads: every class vector of random policies at ztunnel and at a waypoint as the
// simulator judges it, and the questions over all requests with answers known beforehand.

#include "reason/ambient.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "base/text.h"
#include "mesh/mesh_testing.h"
#include "reason/model.h"
#include "reason/random_choices_testing.h"

namespace meshproof::ambient_test {
namespace {

using Field = Region::Field;

struct Loaded {
  std::shared_ptr<const Mesh> mesh;
  std::unique_ptr<World> world;
  const Workload* workload = nullptr;
};

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

std::string Policy(const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: a}\nspec: {" + spec + "}\n";
}

std::string WaypointYaml() {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, "
         "namespace: a}\nspec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: "
         "15008, protocol: HBONE}]}\n";
}

const std::string kAmbient = "istio.io/dataplane-mode: ambient";
const std::string kUses = ", istio.io/use-waypoint: wp";
const std::string kTarget = "targetRefs: [{kind: Service, group: '', name: w}], ";
const std::string kSelector = "selector: {matchLabels: {app: w}}, ";
const std::string kOnlyWaypoint =
    kSelector + "rules: [{from: [{source: {principals: [cluster.local/ns/a/sa/wp]}}]}]";

std::string BaseYaml(bool waypoint) {
  return NamespaceYaml("a", kAmbient + (waypoint ? kUses : "")) + NamespaceYaml("b", kAmbient) +
         DeploymentYaml("a", "w") + DeploymentYaml("b", "c") +
         ServiceYaml("a", "w", "{port: 80, targetPort: 8080, name: http-x}") +
         (waypoint ? WaypointYaml() : "");
}

// Policies of `w` at its ztunnel and at its waypoint, made at random from few values.
class RandomPolicies : RandomChoices {
 public:
  explicit RandomPolicies(uint32_t seed) : RandomChoices(seed) {}

  std::string Text() {
    std::string yaml;
    if (Chance(2)) {
      yaml += PeerYaml("a", "p", "mtls: {mode: " + One({"STRICT", "PERMISSIVE"}) + "}");
    }
    if (Chance(4)) {
      yaml += PeerYaml("a", "q",
                       "selector: {matchLabels: {app: w}}, portLevelMtls: {'8080': {mode: " +
                           One({"STRICT", "PERMISSIVE", "DISABLE"}) + "}}");
    }
    const size_t count = 1 + random_() % 3;
    for (size_t i = 0; i < count; ++i) {
      const bool at_waypoint = Chance(2);
      std::string spec = at_waypoint ? kTarget : Chance(2) ? kSelector : "";
      spec += "action: " + One({"ALLOW", "ALLOW", "DENY"}) + ", rules: [" + Rule(at_waypoint);
      if (Chance(3)) spec += ", " + Rule(at_waypoint);
      yaml += Policy("r" + std::to_string(i), spec + "]");
    }
    return yaml;
  }

 private:
  std::string Source() {
    std::vector<std::string> fields;
    if (Chance(2)) {
      fields.push_back(
          List("principals", {"'*'", "cluster.local/ns/b/sa/c-sa", "cluster.local/ns/b/*",
                              "'*/sa/c-sa'", "cluster.local/ns/a/sa/wp", "other.td/ns/b/sa/c-sa"}));
    }
    if (Chance(4)) fields.push_back(List("namespaces", {"b", "'b*'", "a", "'*'", "'*b'"}));
    if (Chance(6)) fields.push_back(List("serviceAccounts", {"w-sa", "b/c-sa"}));
    if (Chance(5)) fields.push_back(List("ipBlocks", {"10.0.0.0/8", "10.1.0.0/16"}));
    if (Chance(8)) fields.push_back(List("remoteIpBlocks", {"10.0.0.0/8"}));
    if (fields.empty()) fields.push_back(List("namespaces", {"b", "a"}));
    return "{source: {" + Join(fields, ", ") + "}}";
  }
  std::string Rule(bool at_waypoint) {
    std::vector<std::string> parts;
    if (!Chance(4))
      parts.push_back("from: [" + Source() + (Chance(4) ? ", " + Source() : "") + "]");
    if (Chance(3)) {
      std::string to = List("ports", {"'8080'", "'81'", "'80'"});
      if (at_waypoint || Chance(4)) to += ", " + List("methods", {"GET", "'P*'"});
      if (at_waypoint && Chance(2)) to += ", " + List("paths", {"/a", "'/a*'"});
      parts.push_back("to: [{operation: {" + to + "}}]");
    }
    if (Chance(6)) {
      parts.push_back(
          "when: [{key: " +
          One({"source.ip, values: [10.0.0.0/8]", "destination.port, notValues: ['8080']",
               "source.namespace, values: [b]"}) +
          "}]");
    }
    return parts.empty() ? "{}" : "{" + Join(parts, ", ") + "}";
  }
};

struct Tally {
  size_t points = 0, allowed = 0, refused = 0, opaque = 0, silent = 0;
};

void ComparePoints(const World& world, const PortModel::Side& side, std::mt19937* random,
                   size_t limit, Tally* tally) {
  PortModel model({side}, {});
  if (!model.side(0).undetermined.empty()) {
    ++tally->silent;
    return;
  }
  Region region = side.door.service == nullptr ? Region::All() : Region::Is(Field::kMutualTls);
  const Expr within = model.RegionOf(region);
  REQUIRE(model.Build());
  Space& space = model.space();
  const Bdd::Node domain = space.bdd().And(space.Domain(), space.ToNode(within));
  const Bdd::Node allowed = space.ToNode(model.side(0).allowed);
  if (model.has_opaque()) {
    ++tally->opaque;
    return;
  }
  constexpr size_t kCountable = size_t{1} << 40;
  const size_t count = space.CountPoints(kCountable);
  REQUIRE(count != 0);
  const bool all = count <= limit;
  for (size_t i = 0; i < (all ? count : limit); ++i) {
    const size_t number =
        all ? i : ((static_cast<size_t>((*random)()) << 32) ^ (*random)()) % count;
    Space::Point point = space.PointAt(number);
    if (!space.Holds(domain, point)) continue;
    std::optional<Case> request = model.Decode(point, 0);
    REQUIRE(request);
    auto verdict = world.Run(*request, World::Addresses::kUnknown, Detail::kVerdict);
    REQUIRE_MESSAGE(verdict.ok(), verdict.error().message);
    ++tally->points;
    const bool expected = space.Holds(allowed, point);
    const bool got = verdict.value().outcome == Outcome::kAllow;
    ++(got ? tally->allowed : tally->refused);
    if (expected != got || verdict.value().outcome == Outcome::kUndetermined) {
      std::vector<Space::FieldId> fields;
      for (Space::FieldId field = 0; field < space.fields(); ++field) fields.push_back(field);
      CAPTURE(model.Describe(point, fields));
      CAPTURE(verdict.value().details);
      CAPTURE(Join(verdict.value().missing, "; "));
      CHECK(verdict.value().outcome != Outcome::kUndetermined);
      CHECK(expected == got);
    }
  }
}

}  // namespace

TEST_CASE("ambient: random policies, every class vector as the simulator judges it") {
  int sets = 150;
  if (const char* given = std::getenv("MESHPROOF_REASON_SETS")) sets = std::atoi(given);
  std::mt19937 random(7);
  Tally pod, waypoint;
  for (int i = 0; i < sets; ++i) {
    const std::string yaml = BaseYaml(true) + RandomPolicies(static_cast<uint32_t>(i)).Text();
    CAPTURE(i);
    CAPTURE(yaml);
    // A namespace that uses a waypoint for Services leaves pods without one.
    Loaded loaded = LoadText(yaml);
    const ZtunnelProxies ztunnels;
    const ProxyConfig& ztunnel = ztunnels.Of(*loaded.world, *loaded.workload);
    for (const int port : {8080, 81}) {
      CAPTURE(port);
      for (const Door& door : DoorsTo(*loaded.world, *loaded.workload, port)) {
        CAPTURE(DoorText(*loaded.world, door));
        ComparePoints(*loaded.world, {loaded.world.get(), loaded.workload, port, door, &ztunnel},
                      &random, 60, door.service == nullptr ? &pod : &waypoint);
      }
    }
  }
  for (const Tally* tally : {&pod, &waypoint}) {
    MESSAGE("points " << tally->points << ", allowed " << tally->allowed << ", refused "
                      << tally->refused << ", opaque " << tally->opaque << ", undetermined "
                      << tally->silent);
    CHECK(tally->silent == 0);
    CHECK(tally->allowed > tally->points / 20);
    CHECK(tally->refused > tally->points / 20);
  }
}

TEST_CASE("ambient: what is proved at ztunnel, through a waypoint and past it") {
  const std::string no_admin =
      Policy("l7", kTarget + "action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]");
  const std::string l4 = Policy("l4", kOnlyWaypoint);
  const Region admin = Region::Is(Field::kPath, "/admin");
  const Region anyone = Region::Not(Region::Is(Field::kMutualTls));
  struct Row {
    std::string name, yaml;
    Region region;
    Wanted wanted;
    bool found;
  };
  const Row rows[] = {
      {"no policy: plaintext enters", BaseYaml(false), anyone, Wanted::kAllowed, true},
      {"STRICT: no plaintext", BaseYaml(false) + PeerYaml("a", "p", "mtls: {mode: STRICT}"), anyone,
       Wanted::kAllowed, false},
      {"STRICT: an identity enters", BaseYaml(false) + PeerYaml("a", "p", "mtls: {mode: STRICT}"),
       Region::Is(Field::kIdentity, "cluster.local/ns/b/sa/c-sa"), Wanted::kAllowed, true},
      {"a foreign trust domain never", BaseYaml(false) + PeerYaml("a", "p", "mtls: {mode: STRICT}"),
       Region::Is(Field::kIdentity, "other.td/*"), Wanted::kAllowed, false},
      {"named callers alone", BaseYaml(false) + Policy("p", kOnlyWaypoint),
       Region::Not(Region::Is(Field::kIdentity, "cluster.local/ns/a/sa/wp")), Wanted::kAllowed,
       false},
      {"the waypoint is gone round", BaseYaml(true) + no_admin, admin, Wanted::kAllowed, true},
      {"nobody but the waypoint enters", BaseYaml(true) + no_admin + l4,
       Region::And({admin, Region::Not(Region::Is(Field::kIdentity, "cluster.local/ns/a/sa/wp"))}),
       Wanted::kAllowed, false},
      {"what the waypoint allows", BaseYaml(true) + no_admin + l4,
       Region::Is(Field::kIdentity, "cluster.local/ns/b/sa/c-sa"), Wanted::kAllowed, true},
      {"the pods refuse the waypoint",
       BaseYaml(true) + Policy("l4", kSelector + "rules: [{from: [{source: {namespaces: [b]}}]}]"),
       Region::Is(Field::kIdentity, "cluster.local/ns/b/sa/c-sa"), Wanted::kRefused, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Loaded loaded = LoadText(row.yaml);
    Reasoner reasoner(*loaded.world);
    Answer answer = reasoner.Find(*loaded.workload, 8080, row.region, row.wanted);
    CAPTURE(answer.reason);
    CHECK(answer.kind == (row.found ? Answer::Kind::kFound : Answer::Kind::kEmpty));
    CHECK(reasoner.unconfirmed() == 0);
  }
}

TEST_CASE("ambient: exposure has a row for each way in, and other ports") {
  const std::string yaml =
      BaseYaml(true) + Policy("l4", kOnlyWaypoint) +
      Policy("l7", kTarget +
                       "rules: [{from: [{source: {namespaces: [b]}}], to: [{operation: "
                       "{methods: [GET]}}]}]");
  Loaded loaded = LoadText(yaml);
  Reasoner reasoner(*loaded.world);
  Exposure exposure = reasoner.ExposureOf(*loaded.workload, 8080);
  CHECK(exposure.complete);
  REQUIRE(exposure.rows.size() == 2);
  CHECK(exposure.rows[0].from == std::vector<std::string>{"cluster.local/ns/a/sa/wp"});
  CHECK(exposure.rows[1].from == std::vector<std::string>{"namespace b"});
  CHECK(exposure.rows[1].methods == std::vector<std::string>{"GET"});
  CHECK(exposure.rows[1].conditions.back() == "through waypoint a/wp (w.a.svc.cluster.local:80)");
  for (const ExposureRow& row : exposure.rows) CHECK(row.example != nullptr);
  const int other = reasoner.OtherPort(*loaded.workload);
  CHECK(other != 0);
  CHECK(reasoner.ExposureOf(*loaded.workload, other).rows.size() == 1);
  CHECK(reasoner.Ports(*loaded.mesh->FindWorkload("a", "wp")).empty());
}

TEST_CASE("ambient: what a change opens and shuts") {
  const std::string l7 =
      Policy("l7", kTarget + "action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]");
  const std::string l4 = Policy("l4", kOnlyWaypoint);
  const std::string before = BaseYaml(true) + l7 + l4;
  struct Row {
    std::string name, after;
    bool opens, shuts;
  };
  const Row rows[] = {
      {"nothing", before, false, false},
      {"the waypoint's policy is gone", BaseYaml(true) + l4, true, false},
      {"the pods' policy is gone", BaseYaml(true) + l7, true, false},
      // Who has the waypoint's own identity is let in anywhere now.
      {"the waypoint is gone: the pods take only its identity", BaseYaml(false) + l7 + l4, true,
       true},
      {"a sidecar in place of ztunnel and waypoint",
       [&] {
         std::string yaml = BaseYaml(false) + l7 + l4;
         const size_t at = yaml.find(kAmbient);
         return yaml.replace(at, kAmbient.size(), "istio-injection: enabled");
       }(),
       true, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Loaded old_side = LoadText(before);
    Loaded new_side = LoadText(row.after);
    Reasoner old_reasoner(*old_side.world);
    Reasoner new_reasoner(*new_side.world);
    Comparison comparison =
        Reasoner::Compare(old_reasoner, *old_side.workload, new_reasoner, *new_side.workload, 8080);
    CAPTURE(comparison.reason);
    CHECK(comparison.complete);
    CHECK(comparison.newly_allowed.empty() != row.opens);
    CHECK(comparison.newly_refused.empty() != row.shuts);
  }
}

TEST_CASE("ambient: rules that cover each other at ztunnel") {
  Loaded loaded = LoadText(
      BaseYaml(false) +
      Policy("narrow", kSelector + "rules: [{from: [{source: {principals: "
                                   "[cluster.local/ns/b/sa/c-sa]}}]}]") +
      Policy("wide", kSelector + "rules: [{from: [{source: {namespaces: [b]}}]}]") +
      Policy("other", kSelector + "action: DENY, rules: [{from: [{source: {namespaces: [zz]}}]}]"));
  Reasoner reasoner(*loaded.world);
  for (const RuleStatus& status : reasoner.RuleStatuses(*loaded.workload, 8080)) {
    const std::string name(status.policy->origin.object->name);
    CAPTURE(name);
    CAPTURE(status.reason);
    CHECK(status.kind == (name == "wide" ? RuleStatus::Kind::kLive : RuleStatus::Kind::kCovered));
  }
}

}  // namespace meshproof::ambient_test

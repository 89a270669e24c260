#include "analyze/twins.h"

#include <doctest/doctest.h>

#include <string>

#include "analyze/reach.h"
#include "mesh/mesh_testing.h"
#include "reason/proxy_key.h"
#include "reason/reason.h"
#include "reason/reason_testing.h"

namespace meshproof::twins_test {
namespace {

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

// One team's namespace NS with workload `w`, called from namespace OTHER.
std::string Team(const std::string& policy, const std::string& ns, const std::string& other) {
  std::string text = NamespaceYaml(ns, "istio-injection: enabled") + DeploymentYaml(ns, "w") +
                     DeploymentYaml(ns, "own") + ServiceYaml(ns, "w", "{port: 80, name: http}") +
                     "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: "
                     "{name: p, namespace: NS}\nspec: {selector: {matchLabels: {app: w}}, " +
                     policy + "}\n";
  return Replaced(Replaced(text, "NS", ns), "OTHER", other);
}

const char* const kPolicies[] = {
    "rules: [{from: [{source: {principals: [cluster.local/ns/OTHER/sa/web]}}], to: [{operation: "
    "{paths: [/api/*]}}]}]",
    "rules: [{from: [{source: {namespaces: [NS, OTHER]}}]}]",
    "rules: [{from: [{source: {notNamespaces: [OTHER]}}]}]",
    "rules: [{from: [{source: {serviceAccounts: [web, OTHER/web]}}]}]",
    "action: DENY, rules: [{from: [{source: {notPrincipals: [cluster.local/ns/NS/sa/w]}}]}]",
    "action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]",
};

std::vector<Region> Questions(const Model& model, size_t policy, const std::string& ns,
                              const std::string& other) {
  using Field = Region::Field;
  return {Region::All(),
          Region::Rule(model.authorization_policies[policy].meta, 0),
          Region::Not(Region::Rule(model.authorization_policies[policy].meta, 0)),
          Region::Is(Field::kNamespace, ns),
          Region::Is(Field::kNamespace, other),
          Region::Is(Field::kNamespace, "elsewhere"),
          Region::Is(Field::kIdentity, "cluster.local/ns/" + other + "/sa/web"),
          Region::Is(Field::kServiceAccount, other + "/web"),
          Region::Not(Region::Is(Field::kIdentity, "*")),
          Region::Is(Field::kPath, "/admin")};
}

}  // namespace

TEST_CASE("what a twin says is what the engine says") {
  for (const char* policy : kPolicies) {
    CAPTURE(std::string(policy));
    const Loaded loaded = LoadText(Team(policy, "a", "blue") + Team(policy, "green", "elsewhere"));
    const Reach reach(*loaded.world);
    const auto& sites = reach.Sites();
    REQUIRE(sites.size() == 2);
    auto first = ShapeOf(*loaded.mesh, sites[0]), second = ShapeOf(*loaded.mesh, sites[1]);
    REQUIRE(first.has_value());
    REQUIRE(second.has_value());
    CHECK(first->key == second->key);
    CHECK(first->names.size() == second->names.size());
    const Workload& workload = sites[1].workload();
    size_t policy_index = workload.ns == "green" ? 1 : 0;
    const Model& model = loaded.mesh->model();
    if (model.authorization_policies[policy_index].meta.ns != workload.ns) {
      policy_index = 1 - policy_index;
    }
    bool green = workload.ns == "green";
    for (const Region& region :
         Questions(model, policy_index, green ? "green" : "a", green ? "elsewhere" : "blue")) {
      for (Wanted wanted : {Wanted::kAllowed, Wanted::kRefused}) {
        CAPTURE(RegionKey(region));
        Answer told = reach.Find(workload, 80, region, wanted);
        Answer asked = reach.reasoner().Find(workload, 80, region, wanted);
        CHECK(told.kind == asked.kind);
        if (!told.found() || !told.example->request.from_identity) continue;
        // The caller is one of the region's.
        const std::string identity = told.example->request.from_identity->substr(9);
        CHECK(reach.reasoner()
                  .Find(workload, 80,
                        Region::And({region, Region::Is(Region::Field::kIdentity, identity)}),
                        wanted)
                  .found());
      }
    }
  }
}

TEST_CASE("what became of a twin's rules is told in the site's own names") {
  const char* const policies[] = {
      "rules: [{from: [{source: {principals: [cluster.local/ns/OTHER/sa/web], namespaces: "
      "[NS]}}]}, "
      "{to: [{operation: {methods: [GET]}}]}, {to: [{operation: {methods: [GET], paths: [/a]}}]}]",
      "rules: [{from: [{source: {namespaces: [OTHER], notNamespaces: [OTHER]}}]}, {to: "
      "[{operation: {ports: ['9000']}}]}]",
      "action: DENY, rules: [{from: [{source: {notPrincipals: [cluster.local/ns/NS/sa/w]}}]}, {}]",
      "rules: [{from: [{source: {serviceAccounts: [web, OTHER/web]}}]}, {from: [{source: "
      "{namespaces: [NS, OTHER]}}]}]",
  };
  size_t conflicts = 0;
  for (const char* policy : policies) {
    CAPTURE(std::string(policy));
    const Loaded loaded = LoadText(Team(policy, "a", "blue") + Team(policy, "green", "elsewhere"));
    const Reach reach(*loaded.world);
    const auto& sites = reach.Sites();
    REQUIRE(sites.size() == 2);
    REQUIRE(ShapeOf(*loaded.mesh, sites[0])->key == ShapeOf(*loaded.mesh, sites[1])->key);
    for (int port : reach.reasoner().Ports(sites[1].workload())) {
      const auto told = reach.RuleStatuses(sites[1], port);
      const auto asked = reach.reasoner().RuleStatuses(sites[1].workload(), port);
      REQUIRE(told.size() == asked.size());
      for (size_t i = 0; i < told.size(); ++i) {
        CHECK(told[i].policy == asked[i].policy);
        CHECK(told[i].action == asked[i].action);
        CHECK(told[i].kind == asked[i].kind);
        CHECK(told[i].by == asked[i].by);
        CHECK(told[i].reason == asked[i].reason);
        CHECK(told[i].example.has_value() == asked[i].example.has_value());
        conflicts += told[i].conflict.size() > 1;
      }
    }
    // And so are the fates of all rules: of both teams the same, each by its own.
    const std::vector<RuleFate>& fates = reach.Fates();
    const size_t half = fates.size() / 2;
    for (size_t i = 0; i < half; ++i) {
      REQUIRE(fates[i].places.size() == fates[half + i].places.size());
      for (size_t place = 0; place < fates[i].places.size(); ++place) {
        const RuleStatus &one = *fates[i].places[place].status,
                         &other = *fates[half + i].places[place].status;
        CHECK(one.kind == other.kind);
        CHECK(one.by.size() == other.by.size());
        for (const RbacPolicy* by : other.by) {
          CHECK(by->origin.object->ns == fates[half + i].policy->meta.ns);
        }
        const auto [from, to] = fates[i].policy->meta.ns == "a"
                                    ? std::pair("/ns/blue/", "/ns/elsewhere/")
                                    : std::pair("/ns/elsewhere/", "/ns/blue/");
        if (one.reason.find(from) == std::string::npos) continue;
        CHECK(other.reason.find(to) != std::string::npos);
      }
    }
  }
  CHECK(conflicts != 0);
}

TEST_CASE("sites that differ in more than names are no twins") {
  struct Row {
    const char *one, *other;
    bool twins;
  };
  const Row rows[] = {
      {"rules: [{from: [{source: {namespaces: [x, z]}}]}]",
       "rules: [{from: [{source: {namespaces: [z, x]}}]}]", true},
      {"rules: [{from: [{source: {namespaces: [x, z]}}]}]",
       "rules: [{from: [{source: {namespaces: [x, x]}}]}]", false},
      {"rules: [{from: [{source: {namespaces: [x]}}, {source: {namespaces: [z]}}]}]",
       "rules: [{from: [{source: {namespaces: [x, z]}}]}]", false},
      {"rules: [{from: [{source: {namespaces: [x]}}]}]",
       "rules: [{from: [{source: {notNamespaces: [x]}}]}]", false},
      {"rules: [{from: [{source: {namespaces: [x]}}]}]",
       "rules: [{from: [{source: {namespaces: ['x*']}}]}]", false},
      {"rules: [{to: [{operation: {paths: [/a]}}]}]", "rules: [{to: [{operation: {paths: [/b]}}]}]",
       false},
      {"rules: [{to: [{operation: {hosts: [a]}}]}]", "rules: [{to: [{operation: {methods: [a]}}]}]",
       false},
      {"rules: [{}]", "rules: [{}, {}]", false},
      {"rules: [{}]", "action: DENY, rules: [{}]", false},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.one));
    CAPTURE(std::string(row.other));
    const Loaded loaded = LoadText(Team(row.one, "a", "") + Team(row.other, "green", ""));
    const Reach reach(*loaded.world);
    const auto& sites = reach.Sites();
    REQUIRE(sites.size() == 2);
    auto first = ShapeOf(*loaded.mesh, sites[0]), second = ShapeOf(*loaded.mesh, sites[1]);
    CHECK((first && second && first->key == second->key) == row.twins);
  }
}

}  // namespace meshproof::twins_test

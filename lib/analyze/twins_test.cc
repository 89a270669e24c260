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

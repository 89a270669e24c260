#include "analyze/reach.h"

#include <doctest/doctest.h>

#include <string>

#include "analyze/rule.h"
#include "source/source.h"

namespace meshproof::reach_test {
namespace {

const std::string kDeployment = R"(
- apiVersion: apps/v1
  kind: Deployment
  metadata: {name: NAME, namespace: shop}
  spec: {selector: {matchLabels: {app: APP}}, template: {metadata: {labels: {app: APP}}, spec: {containers: [{name: c, image: i}]}}})";

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) {
    text.replace(at, from.size(), to);
  }
  return text;
}

std::string Deployment(const std::string& name, const std::string& app) {
  return Replaced(Replaced(kDeployment, "NAME", name), "APP", app);
}

struct Setup {
  explicit Setup(const std::string& items) {
    Load load;
    load.files.push_back(ParseText(
        "mesh.yaml",
        "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: "
        "{name: shop, labels: {istio-injection: enabled}}}" +
            items));
    mesh = Mesh::Build(DecodeModel(std::move(load), {}));
    world = std::make_unique<World>(mesh);
    reach = std::make_unique<Reach>(*world);
  }
  std::shared_ptr<const Mesh> mesh;
  std::unique_ptr<World> world;
  std::unique_ptr<Reach> reach;
};

const std::string kPolicies = R"(
- apiVersion: v1
  kind: Service
  metadata: {name: web, namespace: shop}
  spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
- apiVersion: security.istio.io/v1
  kind: AuthorizationPolicy
  metadata: {name: web, namespace: shop}
  spec:
    selector: {matchLabels: {app: web}}
    rules:
    - to: [{operation: {methods: [GET], paths: [/a*]}}]
    - to: [{operation: {methods: [GET], paths: [/a/b], notPaths: [/a*]}}]
    - to: [{operation: {methods: [GET], paths: [/a/b]}}]
- apiVersion: security.istio.io/v1
  kind: AuthorizationPolicy
  metadata: {name: tried, namespace: shop, annotations: {istio.io/dry-run: "true"}}
  spec: {selector: {matchLabels: {app: web}}, rules: [{}]}
)";

}  // namespace

TEST_CASE("workloads that are alike are one site") {
  Setup setup(Deployment("web-1", "web") + Deployment("web-2", "web") + Deployment("other", "x") +
              kPolicies);
  REQUIRE(setup.reach->Sites().size() == 1);
  const Site& site = setup.reach->Sites().front();
  CHECK(site.workloads.size() == 2);
  CHECK(setup.reach->CalledPorts(site) == std::vector<int>{80});
  const auto& policies = setup.mesh->model().authorization_policies;
  CHECK(setup.reach->SitesOf(policies[0]) == std::vector<const Site*>{&site});
}

TEST_CASE("the fate of every enforced rule is known once") {
  Setup setup(Deployment("web-1", "web") + Deployment("web-2", "web") + kPolicies);
  const std::vector<RuleFate>& fates = setup.reach->Fates();
  REQUIRE(fates.size() == 3);
  CHECK(fates[0].Everywhere(RuleStatus::Kind::kLive));
  CHECK(fates[1].Everywhere(RuleStatus::Kind::kUnreachable));
  CHECK(fates[2].Everywhere(RuleStatus::Kind::kCovered));
  CHECK_FALSE(fates[0].Everywhere(RuleStatus::Kind::kCovered));
  CHECK_FALSE(RuleFate{}.Everywhere(RuleStatus::Kind::kLive));
}

TEST_CASE("what the author wrote is a set of requests") {
  Setup setup(Deployment("web-1", "web") + kPolicies);
  const Site& site = setup.reach->Sites().front();
  const auto& policy = setup.mesh->model().authorization_policies[0];
  const Reasoner& reasoner = setup.reach->reasoner();
  // The set of a rule is what the compiled rule matches.
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    Region written = RegionOf(policy.rules[i], "shop");
    Region compiled = Region::Rule(policy.meta, static_cast<int>(i));
    for (const Region& difference : {Region::And({written, Region::Not(compiled)}),
                                     Region::And({compiled, Region::Not(written)})}) {
      CHECK(reasoner.Find(site.workload(), 80, difference, Wanted::kAllowed).empty());
    }
    // What is refused may not have come as far as the rules.
    Region more = Region::And({compiled, Region::Not(written)});
    CHECK(reasoner.Find(site.workload(), 80, more, Wanted::kRefused).empty());
  }
  // The second rule matches nothing; what was meant gets through by the first.
  Answer meant =
      reasoner.Find(site.workload(), 80, RegionOf(policy.rules[1], "shop", true), Wanted::kAllowed);
  REQUIRE(meant.found());
  CHECK(meant.example->request.path == "/a/b");
  CHECK(InWords(meant.example->request).find("`GET /a/b`") == 0);
}

}  // namespace meshproof::reach_test

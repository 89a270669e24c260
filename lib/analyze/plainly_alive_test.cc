#include "analyze/plainly_alive.h"

#include <doctest/doctest.h>

#include <string>

#include "reason/reason.h"
#include "reason/reason_testing.h"

namespace meshproof::plainly_alive_test {
namespace {

bool AllAlive(const Mesh& mesh, const Workload& workload) {
  return AllPlainlyAlive(mesh.PoliciesFor(workload), mesh.InboundPorts(workload),
                         mesh.MtlsFor(workload));
}

std::string Mesh1(const std::string& policies) {
  return NamespaceYaml("a", "istio-injection: enabled") + DeploymentYaml("a", "w") +
         ServiceYaml("a", "w", "{port: 80, name: http}") + policies;
}

std::string Policy(const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: a}\nspec: {" + spec + "}\n";
}

}  // namespace

TEST_CASE("usual policies need no diagram") {
  struct Row {
    const char* what;
    std::string policies;
    bool alive;
  };
  const std::string callers =
      "{from: [{source: {principals: [cluster.local/ns/a/sa/x], namespaces: [a]}}], to: "
      "[{operation: {methods: [GET], paths: [/api/*, /healthz]}}]}";
  const Row rows[] = {
      {"a caller", Policy("p", "rules: [" + callers + "]"), true},
      {"beside a header",
       Policy("p",
              "rules: [" + callers + ", {when: [{key: 'request.headers[x-team]', values: [t*]}]}]"),
       true},
      {"and what is denied of it",
       Policy("p", "rules: [{when: [{key: 'request.headers[x-team]', values: [t*]}]}]") +
           Policy("d",
                  "action: DENY, rules: [{to: [{operation: {paths: [/admin/*], notMethods: "
                  "[GET]}}]}]"),
       true},
      {"everybody else is denied",
       Policy("p", "rules: [{to: [{operation: {methods: [GET]}}]}]") +
           Policy("d", "action: DENY, rules: [{from: [{source: {notNamespaces: [b]}}]}]"),
       true},
      {"the same twice", Policy("p", "rules: [" + callers + ", " + callers + "]"), false},
      {"two that contradict each other",
       Policy("p",
              "rules: [{from: [{source: {principals: [cluster.local/ns/a/sa/x], namespaces: "
              "[b]}}]}]"),
       false},
      {"denied by two rules together",
       Policy("p", "rules: [{to: [{operation: {paths: [/a, /b]}}]}]") +
           Policy("d",
                  "action: DENY, rules: [{to: [{operation: {paths: [/a]}}]}, {to: [{operation: "
                  "{paths: [/b]}}]}]"),
       false},
      {"an address", Policy("p", "rules: [{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]"), false},
      {"denied and let in by nobody",
       Policy("p", "rules: [{to: [{operation: {paths: [/a]}}]}]") +
           Policy("d", "action: DENY, rules: [{to: [{operation: {paths: [/b]}}]}]"),
       false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const Loaded loaded = LoadText(Mesh1(row.policies));
    CHECK(AllAlive(*loaded.mesh, *loaded.workload) == row.alive);
  }
}

TEST_CASE("what is taken to be alive is alive by the diagrams") {
  size_t taken = 0;
  for (uint32_t seed = 0; seed < 300; ++seed) {
    const std::string text = RandomMesh(seed).Text();
    const Loaded loaded = LoadText(text);
    const Workload& workload = *loaded.workload;
    if (!AllAlive(*loaded.mesh, workload)) continue;
    ++taken;
    const Reasoner reasoner(*loaded.world);
    std::map<std::pair<const ObjectMeta*, int>, bool> alive;
    for (int port : reasoner.Ports(workload)) {
      for (const RuleStatus& status : reasoner.RuleStatuses(workload, port)) {
        if (status.action == Rbac::Action::kLog) continue;
        alive[{status.policy->origin.object, status.policy->origin.rule}] |=
            status.kind == RuleStatus::Kind::kLive ||
            status.kind == RuleStatus::Kind::kUndetermined;
      }
    }
    for (const auto& [rule, is_alive] : alive) {
      CAPTURE(seed);
      CAPTURE(text);
      CAPTURE(rule.first->name);
      CAPTURE(rule.second);
      CHECK(is_alive);
    }
  }
  CHECK(taken > 10);
}

}  // namespace meshproof::plainly_alive_test

#include "proxy/ztunnel.h"

#include <doctest/doctest.h>

#include "proxy/proxy_testing.h"

namespace meshproof::ztunnel_test {
namespace {

std::string Policy(const std::string& ns, const std::string& name, const std::string& spec,
                   const std::string& annotations = "") {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: " + ns + ", annotations: {" + annotations + "}}\nspec: " + spec +
         "\n";
}

std::string Peer(const std::string& ns, const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: " +
         name + ", namespace: " + ns + "}\nspec: " + spec + "\n";
}

const std::string kPod =
    "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: nn, labels: "
    "{istio.io/dataplane-mode: ambient}}\n"
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: nn}\nspec: "
    "{template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}\n";

std::string Groups(const ZtunnelConfig& config, const std::string& name) {
  const Json emitted = EmitZtunnel(config);
  for (const Json& policy : emitted.Find("authorizations")->as_array()) {
    if (TextOf(policy.Find("namespace")) + "/" + TextOf(policy.Find("name")) != name) continue;
    const Json* groups = policy.Find("groups");
    return groups == nullptr ? "[]" : WriteJson(*groups);
  }
  return "not sent";
}

TEST_CASE("ztunnel: what becomes of a rule") {
  struct Row {
    const char* what;
    const char* spec;
    const char* groups;
  };
  const Row rows[] = {
      {"ALLOW with L7 loses the rule",
       "{selector: {matchLabels: {app: web}}, rules: [{to: [{operation: {methods: [GET], ports: "
       "['80']}}]}]}",
       "[]"},
      {"ALLOW keeps its other rules",
       "{rules: [{to: [{operation: {paths: [/a]}}]}, {from: [{source: {namespaces: ['*', 'a*', "
       "'*b', c]}}]}]}",
       R"([{"rules":[{"matches":[{"namespaces":[{"presence":{}},{"prefix":"a"},{"suffix":"b"},{"exact":"c"}]}]}]}])"},
      {"DENY with L7 alone never matches",
       "{action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]}",
       R"([{"rules":[{"matches":[{}]}]}])"},
      {"DENY loses the field and gets wider",
       "{action: DENY, rules: [{to: [{operation: {methods: [GET], ports: ['80']}}]}]}",
       R"([{"rules":[{"matches":[{"destination_ports":[80]}]}]}])"},
      {"a rule of nothing matches everything", "{action: DENY, rules: [{}]}", "[{}]"},
      {"no rules", "{}", "[]"},
      {"trustDomains are gone without a word",
       "{rules: [{from: [{source: {namespaces: [a], trustDomains: [td]}}]}]}",
       R"([{"rules":[{"matches":[{"namespaces":[{"exact":"a"}]}]}]}])"},
      {"trustDomains alone leave nothing", "{rules: [{from: [{source: {trustDomains: [td]}}]}]}",
       R"([{"rules":[{"matches":[{}]}]}])"},
      {"keys that ztunnel knows, in clauses of their own",
       "{rules: [{when: [{key: source.ip, notValues: [10.0.0.5/8]}, {key: destination.port, "
       "values: "
       "['1']}]}]}",
       R"([{"rules":[{"matches":[{"not_source_ips":[{"address":"10.0.0.5","length":8}]}]},{"matches":[{"destination_ports":[1]}]}]}])"},
      {"source.serviceAccount counts as L7",
       "{rules: [{when: [{key: source.serviceAccount, values: [a/b]}]}]}", "[]"},
      {"remote.ip in a DENY",
       "{action: DENY, rules: [{when: [{key: remote.ip, values: [10.0.0.1]}], to: [{operation: "
       "{ports: ['80']}}]}]}",
       R"([{"rules":[{"matches":[{"destination_ports":[80]}]},{"matches":[{}]}]}])"},
      {"service accounts default to the policy's namespace",
       "{rules: [{from: [{source: {serviceAccounts: [a, m/b]}}]}]}",
       R"([{"rules":[{"matches":[{"service_accounts":[{"namespace":"nn","serviceAccount":"a"},{"namespace":"m","serviceAccount":"b"}]}]}]}])"},
      {"principals are not rewritten",
       "{rules: [{from: [{source: {principals: [cluster.local/ns/a/sa/b]}}]}]}",
       R"([{"rules":[{"matches":[{"principals":[{"exact":"cluster.local/ns/a/sa/b"}]}]}]}])"},
      {"targetRefs", "{targetRefs: [{kind: Service, group: '', name: web}], rules: [{}]}",
       "not sent"},
      {"AUDIT", "{action: AUDIT, rules: [{}]}", "not sent"},
      {"CUSTOM", "{action: CUSTOM, provider: {name: p}, rules: [{}]}", "not sent"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const auto mesh = TestMesh(kPod + Policy("nn", "p", row.spec));
    CHECK(Groups(ZtunnelConfig(*mesh), "nn/p") == row.groups);
  }
}

TEST_CASE("ztunnel: dry-run policies need a flag") {
  const std::string text = kPod + Policy("nn", "p", "{rules: [{}]}", "istio.io/dry-run: 'true'");
  CHECK(Groups(ZtunnelConfig(*TestMesh(text)), "nn/p") == "not sent");
  MeshOptions options;
  options.istiod_env = {{"AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY", "true"}};
  const auto mesh = TestMesh(text, {}, options);
  const ZtunnelConfig config(*mesh);
  REQUIRE(config.Find("nn/p") != nullptr);
  CHECK(config.Find("nn/p")->dry_run);
}

std::string Join(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : " ") + name;
  return out;
}

TEST_CASE("ztunnel: scopes and selectors") {
  const auto listed = [](const std::string& policies) {
    const auto mesh = TestMesh(kPod + policies);
    const ZtunnelConfig config(*mesh);
    return Join(config.For(*mesh->FindWorkload("nn", "web")).listed);
  };
  CHECK(listed(Policy("nn", "p", "{selector: {matchLabels: {app: web}}, rules: [{}]}")) == "nn/p");
  CHECK(listed(Policy("nn", "p", "{selector: {matchLabels: {app: db}}, rules: [{}]}")).empty());
  CHECK(listed(Policy("istio-system", "p", "{selector: {matchLabels: {app: web}}, rules: [{}]}")) ==
        "istio-system/p");
  CHECK(listed(Policy("m", "p", "{selector: {matchLabels: {app: web}}, rules: [{}]}")).empty());
  // An empty selector is none at sidecars; here it reaches nobody, and an empty matchLabels all.
  CHECK(listed(Policy("nn", "p", "{selector: {}, rules: [{}]}")).empty());
  CHECK(listed(Policy("nn", "p", "{selector: {matchLabels: {}}, rules: [{}]}")) == "nn/p");
  const auto mesh = TestMesh(kPod + Policy("nn", "a", "{rules: [{}]}") +
                             Policy("istio-system", "b", "{rules: [{}]}"));
  const ZtunnelConfig config(*mesh);
  CHECK(config.Find("nn/a")->scope == ZtunnelPolicy::Scope::kNamespace);
  CHECK(config.Find("istio-system/b")->scope == ZtunnelPolicy::Scope::kGlobal);
  CHECK(config.PoliciesFor(*mesh->FindWorkload("nn", "web")).size() == 2);
}

// What is enforced on ports 1 and 2: "strict" for a port whose callers without identity are denied.
std::string Enforced(const std::string& policies) {
  const auto mesh = TestMesh(kPod + policies);
  const ZtunnelConfig config(*mesh);
  const Workload& web = *mesh->FindWorkload("nn", "web");
  const auto denies = [&](uint32_t port) {
    const auto holds = [&](const ZtunnelMatch& match) {
      bool all = !match.empty();
      for (const auto& own : match.destination_ports) all &= own.port == port;
      for (const auto& other : match.not_destination_ports) all &= other.port != port;
      return all;
    };
    for (const ZtunnelPolicy* policy : config.PoliciesFor(web)) {
      for (const ZtunnelGroup& group : policy->groups) {
        bool all = true;
        for (const ZtunnelClause& clause : group.clauses) {
          bool any = false;
          for (const ZtunnelMatch& match : clause.matches) any |= holds(match);
          all &= any;
        }
        if (all) return true;
      }
    }
    return false;
  };
  return std::string(denies(1) ? "strict" : "open") + " " + (denies(2) ? "strict" : "open");
}

TEST_CASE("ztunnel: PeerAuthentication, with the two ways in which it fails open") {
  const std::string web = "selector: {matchLabels: {app: web}}, ";
  const std::string mesh_strict = Peer("istio-system", "m", "{mtls: {mode: STRICT}}");
  struct Row {
    const char* what;
    std::string policies;
    const char* enforced;
  };
  const Row rows[] = {
      {"none", "", "open open"},
      {"mesh STRICT", mesh_strict, "strict strict"},
      {"root with an empty selector counts for nobody else",
       Peer("istio-system", "m", "{selector: {}, mtls: {mode: STRICT}}"), "open open"},
      {"namespace with an empty selector", Peer("nn", "d", "{selector: {}, mtls: {mode: STRICT}}"),
       "strict strict"},
      {"namespace beats mesh", mesh_strict + Peer("nn", "d", "{mtls: {mode: PERMISSIVE}}"),
       "open open"},
      {"workload STRICT, port PERMISSIVE",
       Peer("nn", "w", "{" + web + "mtls: {mode: STRICT}, portLevelMtls: {1: {mode: PERMISSIVE}}}"),
       "open strict"},
      {"workload PERMISSIVE, port STRICT",
       Peer("nn", "w", "{" + web + "mtls: {mode: PERMISSIVE}, portLevelMtls: {1: {mode: STRICT}}}"),
       "strict open"},
      {"two STRICT ports",
       Peer("nn", "w",
            "{" + web +
                "portLevelMtls: {1: {mode: STRICT}, 2: {mode: "
                "STRICT}}}"),
       "strict strict"},
      {"unset under STRICT: DISABLE stays strict",
       mesh_strict + Peer("nn", "w", "{" + web + "portLevelMtls: {1: {mode: DISABLE}}}"),
       "strict strict"},
      {"unset under STRICT: DISABLE beside PERMISSIVE is open",
       mesh_strict + Peer("nn", "w",
                          "{" + web +
                              "portLevelMtls: {1: {mode: DISABLE}, 2: {mode: "
                              "PERMISSIVE}}}"),
       "open open"},
      {"fails open: STRICT port of a PERMISSIVE workload under mesh STRICT",
       mesh_strict + Peer("nn", "w",
                          "{" + web +
                              "mtls: {mode: PERMISSIVE}, portLevelMtls: {1: {mode: "
                              "STRICT}}}"),
       "open open"},
      {"fails open: a namespace policy without mode hides mesh STRICT",
       mesh_strict + Peer("nn", "d", "{}") +
           Peer("nn", "w", "{" + web + "portLevelMtls: {1: {mode: PERMISSIVE}}}"),
       "open open"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CHECK(Enforced(row.policies) == row.enforced);
  }
}

}  // namespace
}  // namespace meshproof::ztunnel_test

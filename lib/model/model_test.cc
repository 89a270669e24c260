#include "model/model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "model/kinds.h"
#include "model/report.h"
#include "model/test_input.h"

namespace meshproof::model_test {
namespace {

using Reason = Model::Skipped::Reason;

TEST_CASE("every kind is found by its name") {
  for (const KindInfo& info : AllKinds()) {
    CAPTURE(std::string(info.kind));
    auto found = KindsNamed(info.kind);
    CHECK(std::any_of(found.begin(), found.end(),
                      [&](const KindInfo& other) { return other.group == info.group; }));
  }
  CHECK(KindsNamed("Gateway").size() == 2);
  CHECK(KindsNamed("Gatewa").empty());
}

TEST_CASE("objects, what is skipped, and why") {
  auto model = ModelOf(R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, namespace: ignored}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: w}
---
replicas: 3
image: {tag: x}
---
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [a.yaml]
---
mesh: [mesh.yaml]
tests: []
---
apiVersion: security.istio.io/v1alpha1
kind: AuthorizationPolicy
metadata: {name: old}
---
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: old}
---
apiVersion: security.istio.io/v1
kind: AuthorisationPolicy
metadata: {name: typo}
---
kind: Deployment
metadata: {name: no-version}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {mesh: "trustDomain: x"}
---
- a
- b
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {}
)");
  INFO(AllDiagnostics(*model));
  REQUIRE(model->namespaces.size() == 1);
  CHECK(model->namespaces[0].meta.ns.empty());
  CHECK(ToString(model->namespaces[0].meta) == "Namespace//shop");
  CHECK(model->objects == 7);
  struct Skipped {
    const char* kind;
    Reason reason;
  };
  const Skipped skipped[] = {
      {"Widget", Reason::kUnknownKind},
      {"", Reason::kNotKubernetes},
      {"", Reason::kNotKubernetes},
      {"", Reason::kNotKubernetes},
      {"AuthorizationPolicy", Reason::kUnsupportedVersion},
      {"Deployment", Reason::kUnsupportedVersion},
      {"AuthorisationPolicy", Reason::kUnknownKind},
      {"", Reason::kNotKubernetes},
      {"ConfigMap", Reason::kIgnored},
      {"", Reason::kNotKubernetes},
      {"AuthorizationPolicy", Reason::kRefused},
  };
  REQUIRE(model->skipped.size() == std::size(skipped));
  for (size_t i = 0; i < std::size(skipped); ++i) {
    CAPTURE(i);
    CHECK(model->skipped[i].kind == skipped[i].kind);
    CHECK(model->skipped[i].reason == skipped[i].reason);
  }
  REQUIRE(model->diagnostics.size() == 5);
  CHECK(ToString(model->diagnostics[0]) ==
        "test.yaml:19:13: warning: AuthorizationPolicy of `security.istio.io/v1alpha1` is not "
        "supported; it is left out\n    help: use `security.istio.io/v1`");
  CHECK(model->diagnostics[1].help == "use `apps/v1`");
  CHECK(model->diagnostics[2].help == "did you mean `AuthorizationPolicy`?");
  CHECK(model->diagnostics[3].message.find("has no `apiVersion`") != std::string::npos);
  CHECK(model->diagnostics[4].message.find("no `metadata.name`") != std::string::npos);
}

TEST_CASE("lists") {
  auto model = ModelOf(R"(apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: Service
  metadata: {name: a}
- apiVersion: v1
  kind: PodList
  items:
  - metadata: {name: p}
    spec: {}
- kind: Service
  metadata: {name: without-version}
---
{"apiVersion": "security.istio.io/v1", "kind": "PeerAuthenticationList",
 "metadata": {"resourceVersion": "1"},
 "items": [{"metadata": {"name": "x"}, "spec": {"mtls": {"mode": "STRICT"}}}]}
---
apiVersion: v1
kind: List
items: []
)");
  INFO(AllDiagnostics(*model));
  CHECK(model->services.size() == 1);
  REQUIRE(model->pod_workloads.size() == 1);
  CHECK(ToString(model->pod_workloads[0].meta) == "Pod/default/p");
  REQUIRE(model->peer_authentications.size() == 1);
  CHECK(model->peer_authentications[0].mode == MtlsMode::kStrict);
  CHECK(TextAt(model->peer_authentications[0].mode_span) == "\"STRICT\"");
  CHECK(model->skipped.size() == 1);
  CHECK(model->diagnostics.size() == 1);
}

TEST_CASE("namespaces of objects that name none") {
  const char* text = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n";
  ModelOptions options;
  options.default_namespace = "team";
  options.path_namespaces = {{"services/web/*.yaml", "web"}, {"./services/**", "all"}};
  auto model = ModelOf({{"services/web/a.yaml", text},
                        {"./services/deep/er/b.yaml", text},
                        {"other/c.yaml", text},
                        {"services/web/d.yaml",
                         "apiVersion: v1\nkind: Service\nmetadata: {name: b, namespace: own}\n"}},
                       options);
  REQUIRE(model->services.size() == 4);
  CHECK(model->services[0].meta.ns == "web");
  CHECK(model->services[1].meta.ns == "all");
  CHECK(model->services[2].meta.ns == "team");
  CHECK(model->services[3].meta.ns == "own");
  CHECK(model->services[3].meta.namespace_given);
  CHECK(!model->services[2].meta.namespace_given);
}

TEST_CASE("of the same object twice the last one counts") {
  auto model = ModelOf(
      {{"a.yaml",
        "apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: {name: x}\n"
        "spec: {action: AUDIT}\n---\n"
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n---\n"
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\n"},
       {"b.yaml",
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x}\n"
        "spec: {}\n---\n"
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: z}\n---\n"
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: x}\n"
        "spec: {servers: [{port: {number: 80, protocol: HTTP, name: h}, hosts: ['*']}]}\n---\n"
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: x}\n"}});
  INFO(AllDiagnostics(*model));
  REQUIRE(model->authorization_policies.size() == 2);
  CHECK(model->authorization_policies[0].action == AuthorizationPolicy::Action::kAllow);
  CHECK(model->authorization_policies[0].meta.api_version == "security.istio.io/v1");
  CHECK(model->pod_workloads.size() == 2);
  CHECK(model->gateways.size() == 1);
  CHECK(model->others.size() == 1);
  REQUIRE(model->diagnostics.size() == 1);
  CHECK(
      ToString(model->diagnostics[0]) ==
      "b.yaml:3:18: warning: AuthorizationPolicy/default/x stands here again; it replaces the one "
      "at a.yaml:3:18");
}

TEST_CASE("a refused object does not replace a good one") {
  auto model = ModelOf(
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x}\n---\n"
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x}\n"
      "spec: {action: DENY}\n");
  REQUIRE(model->authorization_policies.size() == 1);
  CHECK(model->authorization_policies[0].action == AuthorizationPolicy::Action::kAllow);
}

TEST_CASE("the outcome does not depend on threads") {
  std::vector<std::pair<std::string, std::string>> files;
  for (int f = 0; f < 3; ++f) {
    std::string text;
    for (int i = 0; i < 600; ++i) {
      text += "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p" +
              std::to_string((i * 7) % 500) +
              "}\nspec: {rule: [], action: " + (i % 50 == 0 ? "bad" : "ALLOW") + "}\n---\n";
    }
    files.emplace_back("f" + std::to_string(f) + ".yaml", text);
  }
  ModelOptions one, many;
  one.threads = 1;
  many.threads = 8;
  auto a = ModelOf(files, one);
  auto b = ModelOf(files, many);
  CHECK(AllDiagnostics(*a) == AllDiagnostics(*b));
  REQUIRE(a->authorization_policies.size() == b->authorization_policies.size());
  CHECK(a->authorization_policies.size() == 500 - 10);
  for (size_t i = 0; i < a->authorization_policies.size(); ++i) {
    CHECK(a->authorization_policies[i].meta.name == b->authorization_policies[i].meta.name);
    CHECK(a->authorization_policies[i].meta.body.begin ==
          b->authorization_policies[i].meta.body.begin);
  }
  CHECK(a->skipped.size() == b->skipped.size());
}

}  // namespace
}  // namespace meshproof::model_test

#include "mesh/mesh_testing.h"

namespace meshproof::selection_test {
namespace {

std::string Policy(const std::string& ns, const std::string& name, const std::string& spec,
                   const std::string& created = "") {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: " + ns +
         (created.empty() ? "" : ", creationTimestamp: '" + created + "'") + "}\nspec: {" + spec +
         "}\n";
}

std::string Request(const std::string& ns, const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: " +
         name + ", namespace: " + ns + "}\nspec: {" + spec + (spec.empty() ? "" : ", ") +
         "jwtRules: [{issuer: i, jwksUri: 'https://i/k'}]}\n";
}

template <typename T>
std::string Names(const std::vector<const T*>& objects) {
  std::string out;
  for (const T* object : objects) {
    if (!out.empty()) out += " ";
    out += object->meta.ns + "/" + std::string(object->meta.name);
  }
  return out;
}

const std::string kSelectsWeb = "selector: {matchLabels: {app: web}}";
const std::string kTargets =
    "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: door}]";

TEST_CASE("policies that reach a sidecar") {
  auto mesh = MeshOf(
      NamespaceYaml("shop", "istio-injection: enabled") + DeploymentYaml("shop", "web", "v: a") +
      DeploymentYaml("shop", "other") + DeploymentYaml("istio-system", "web") +
      Policy("shop", "all", "rules: [{}]") + Policy("shop", "empty", "selector: {}, rules: [{}]") +
      Policy("shop", "web", kSelectsWeb + ", rules: [{}]") +
      Policy("shop", "both", "selector: {matchLabels: {app: web, v: a}}, rules: [{}]") +
      Policy("shop", "not", "selector: {matchLabels: {app: web, v: b}}, rules: [{}]") +
      Policy("shop", "targets", kTargets + ", rules: [{}]") +
      Policy("pay", "elsewhere", "rules: [{}]") +
      Policy("istio-system", "root-all", "action: DENY, rules: [{}]") +
      Policy("istio-system", "root-web", kSelectsWeb + ", action: DENY, rules: [{}]") +
      Policy("istio-system", "root-other",
             "selector: {matchLabels: {app: other}}, action: DENY, rules: [{}]") +
      Policy("istio-system", "root-allow", "rules: [{}]") +
      Policy("shop", "audit", "action: AUDIT, rules: [{}]") +
      Policy("shop", "custom", "action: CUSTOM, provider: {name: p}, rules: [{}]"));
  PolicySet web = mesh->PoliciesFor(Find(*mesh, "shop", "web"));
  CHECK(Names(web.allow) == "istio-system/root-allow shop/all shop/both shop/empty shop/web");
  CHECK(Names(web.deny) == "istio-system/root-all istio-system/root-web");
  CHECK(Names(web.audit) == "shop/audit");
  CHECK(Names(web.custom) == "shop/custom");
  PolicySet other = mesh->PoliciesFor(Find(*mesh, "shop", "other"));
  CHECK(Names(other.allow) == "istio-system/root-allow shop/all shop/empty");
  CHECK(Names(other.deny) == "istio-system/root-all istio-system/root-other");
  PolicySet root = mesh->PoliciesFor(Find(*mesh, "istio-system", "web"));
  CHECK(Names(root.allow) == "istio-system/root-allow");
  CHECK(Names(root.deny) == "istio-system/root-all istio-system/root-web");
}

TEST_CASE("policies in istiod's order") {
  auto mesh = MeshOf(DeploymentYaml("shop", "web") +
                     Policy("shop", "c", "rules: [{}]", "2026-01-01T00:00:00Z") +
                     Policy("shop", "b", "rules: [{}]", "2026-01-02T00:00:00Z") +
                     Policy("shop", "a", "rules: [{}]", "2026-01-02T00:00:00Z") +
                     Policy("shop", "z", "rules: [{}]") +
                     Policy("istio-system", "late", "rules: [{}]", "2027-01-02T00:00:00Z") +
                     Request("shop", "own", "") + Request("istio-system", "root", ""));
  PolicySet web = mesh->PoliciesFor(Find(*mesh, "shop", "web"));
  CHECK(Names(web.allow) == "istio-system/late shop/z shop/c shop/a shop/b");
  CHECK(Names(web.request_authentications) == "shop/own istio-system/root");
}

TEST_CASE("RequestAuthentications reach as policies do") {
  auto mesh = MeshOf(DeploymentYaml("shop", "web") + DeploymentYaml("shop", "other") +
                     Request("shop", "web", kSelectsWeb) + Request("shop", "targets", kTargets) +
                     Request("istio-system", "root", kSelectsWeb) + Request("pay", "far", ""));
  CHECK(Names(mesh->PoliciesFor(Find(*mesh, "shop", "web")).request_authentications) ==
        "shop/web istio-system/root");
  CHECK(mesh->PoliciesFor(Find(*mesh, "shop", "other")).request_authentications.empty());
}

TEST_CASE("classic gateways ignore targetRefs, Gateway API gateways and waypoints follow them") {
  const std::string input =
      DeploymentYaml("shop", "classic", "sidecar.istio.io/inject: 'true'",
                     "inject.istio.io/templates: gateway") +
      DeploymentYaml("shop", "door", "gateway.networking.k8s.io/gateway-name: door") +
      DeploymentYaml("shop", "wp",
                     "gateway.networking.k8s.io/gateway-name: wp, gateway.istio.io/managed: "
                     "istio.io-mesh-controller") +
      Policy("shop", "all", "rules: [{}]") + Policy("shop", "door", kTargets + ", rules: [{}]") +
      Policy("pay", "far", kTargets + ", rules: [{}]") +
      Policy("shop", "wp",
             "targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: wp}], rules: "
             "[{}]") +
      Policy("istio-system", "class",
             "targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: "
             "istio-waypoint}], rules: [{}]") +
      Policy("shop", "not-root",
             "targetRefs: [{group: gateway.networking.k8s.io, kind: GatewayClass, name: "
             "istio-waypoint}], rules: [{}]");
  auto mesh = MeshOf(input);
  CHECK(Names(mesh->PoliciesFor(Find(*mesh, "shop", "classic")).allow) == "shop/all");
  CHECK(Names(mesh->PoliciesFor(Find(*mesh, "shop", "door")).allow) == "shop/all shop/door");
  CHECK(Names(mesh->PoliciesFor(Find(*mesh, "shop", "wp")).allow) == "istio-system/class shop/wp");
  MeshOptions options;
  options.istiod_env = {{"ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY", "false"}};
  mesh = MeshOf(input, options);
  CHECK(Names(mesh->PoliciesFor(Find(*mesh, "shop", "door")).allow) == "shop/door");
  CHECK(Names(mesh->PoliciesFor(Find(*mesh, "shop", "classic")).allow) == "shop/all");
}

TEST_CASE("objects that change a proxy in ways that are not computed") {
  auto filter = [](const std::string& ns, const std::string& name, const std::string& spec) {
    return "---\napiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: " +
           name + ", namespace: " + ns + "}\nspec: {" + spec +
           "configPatches: [{applyTo: LISTENER, patch: {operation: MERGE, value: {}}}]}\n";
  };
  auto mesh = MeshOf(
      NamespaceYaml("shop", "istio-injection: enabled") + DeploymentYaml("shop", "web") +
      DeploymentYaml("shop", "plain", "sidecar.istio.io/inject: 'false'") +
      filter("shop", "own", "workloadSelector: {labels: {app: web}}, ") +
      filter("shop", "other", "workloadSelector: {labels: {app: other}}, ") +
      filter("istio-system", "root", "") + filter("pay", "far", "") +
      "---\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: wasm, "
      "namespace: shop}\nspec: {selector: {matchLabels: {app: web}}, url: 'oci://x'}\n");
  std::string names;
  for (const ObjectMeta* meta : mesh->UnmodelledFor(Find(*mesh, "shop", "web"))) {
    names += ToString(*meta) + " ";
  }
  CHECK(names == "EnvoyFilter/istio-system/root EnvoyFilter/shop/own WasmPlugin/shop/wasm ");
  CHECK(mesh->UnmodelledFor(Find(*mesh, "shop", "plain")).empty());
}

}  // namespace
}  // namespace meshproof::selection_test

#include "mesh/injection.h"

#include "mesh/mesh_testing.h"

namespace meshproof::injection_test {
namespace {

TEST_CASE("injection: webhook and injector") {
  struct Case {
    std::string name;
    Labels namespace_labels, labels, annotations;
    bool injected;
    std::string ns = "shop";
    bool host_network = false;
    std::vector<std::string> istiods = {};  // their revisions
  };
  const Labels none;
  const Labels enabled = {{"istio-injection", "enabled"}};
  const Labels inject_true = {{"sidecar.istio.io/inject", "true"}};
  const Labels inject_false = {{"sidecar.istio.io/inject", "false"}};
  const Labels inject_other = {{"sidecar.istio.io/inject", "True"}};
  const std::vector<std::string> plain = {""};
  const Case cases[] = {
      // istio-injection: enabled
      {"enabled", enabled, none, none, true},
      {"enabled, pod true", enabled, inject_true, none, true},
      {"enabled, pod false", enabled, inject_false, none, false},
      {"enabled, pod odd", enabled, inject_other, none, true},
      {"enabled, another rev on the namespace",
       {{"istio-injection", "enabled"}, {"istio.io/rev", "other"}},
       none,
       none,
       true,
       "shop",
       false,
       plain},
      {"enabled, another rev on the pod",
       enabled,
       {{"istio.io/rev", "other"}},
       none,
       true,
       "shop",
       false,
       plain},
      {"enabled, annotation false", enabled, none, inject_false, false},
      {"enabled, annotation odd", enabled, none, inject_other, true},
      {"enabled, label true beats annotation false", enabled, inject_true, inject_false, true},
      {"enabled, odd label beats annotation false", enabled, inject_other, inject_false, true},
      {"enabled, empty label beats annotation false",
       enabled,
       {{"sidecar.istio.io/inject", ""}},
       inject_false,
       true},
      {"enabled, label false beats annotation true", enabled, inject_false, inject_true, false},
      // istio-injection: anything else
      {"disabled", {{"istio-injection", "disabled"}}, none, none, false},
      {"disabled, pod true", {{"istio-injection", "disabled"}}, inject_true, none, false},
      {"disabled, rev",
       {{"istio-injection", "disabled"}, {"istio.io/rev", "default"}},
       none,
       none,
       false},
      {"odd", {{"istio-injection", "Enabled"}}, inject_true, none, false},
      {"empty", {{"istio-injection", ""}}, inject_true, none, false},
      // istio.io/rev
      {"this rev", {{"istio.io/rev", "default"}}, none, none, true, "shop", false, plain},
      {"this rev, pod false",
       {{"istio.io/rev", "default"}},
       inject_false,
       none,
       false,
       "shop",
       false,
       plain},
      {"this rev, annotation false", {{"istio.io/rev", "default"}}, none, inject_false, false},
      {"this rev, pod names another",
       {{"istio.io/rev", "default"}},
       {{"istio.io/rev", "other"}},
       none,
       true,
       "shop",
       false,
       plain},
      {"another rev", {{"istio.io/rev", "1-20"}}, none, none, false, "shop", false, plain},
      {"another rev, pod true",
       {{"istio.io/rev", "1-20"}},
       inject_true,
       none,
       false,
       "shop",
       false,
       plain},
      {"any rev without istiod", {{"istio.io/rev", "1-20"}}, none, none, true},
      {"a known rev",
       {{"istio.io/rev", "1-20"}},
       none,
       none,
       true,
       "shop",
       false,
       {"1-19", "1-20"}},
      {"a tag", {{"istio.io/rev", "prod"}}, none, none, true, "shop", false, {"1-20"}},
      // neither
      {"neither", none, none, none, false},
      {"neither, pod true", none, inject_true, none, true},
      {"neither, pod odd", none, inject_other, none, false},
      {"neither, pod false", none, inject_false, none, false},
      {"neither, annotation true", none, none, inject_true, false},
      {"neither, pod true, annotation false", none, inject_true, inject_false, true},
      {"neither, pod rev", none, {{"istio.io/rev", "default"}}, none, true, "shop", false, plain},
      {"neither, pod rev, false",
       none,
       {{"istio.io/rev", "default"}, {"sidecar.istio.io/inject", "false"}},
       none,
       false},
      {"neither, another pod rev",
       none,
       {{"istio.io/rev", "1-20"}},
       none,
       false,
       "shop",
       false,
       plain},
      {"neither, another pod rev, true",
       none,
       {{"istio.io/rev", "1-20"}, {"sidecar.istio.io/inject", "true"}},
       none,
       false,
       "shop",
       false,
       plain},
      // injector
      {"host network", enabled, inject_true, none, false, "shop", true},
      {"kube-system", enabled, inject_true, none, false, "kube-system"},
      {"kube-public", enabled, none, none, false, "kube-public"},
      {"kube-node-lease", enabled, none, none, false, "kube-node-lease"},
      {"local-path-storage", enabled, none, none, false, "local-path-storage"},
      {"istio-system", enabled, none, none, true, "istio-system"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    Revisions revisions;
    for (const std::string& revision : c.istiods) revisions.Add(revision);
    PodFacts facts{c.ns, &c.namespace_labels, &c.labels, &c.annotations, c.host_network};
    Injection got = DecideInjection(facts, revisions);
    CHECK(got.injected == c.injected);
    CHECK(!got.reason.empty());
  }
}

TEST_CASE("injection: a namespace that is not in the input has no labels") {
  const Labels none;
  const Labels inject = {{"sidecar.istio.io/inject", "true"}};
  CHECK(!DecideInjection({"shop", nullptr, &none, &none, false}, {}).injected);
  CHECK(DecideInjection({"shop", nullptr, &inject, &none, false}, {}).injected);
}

TEST_CASE("ambient capture") {
  const Labels none;
  const Labels ambient = {{"istio.io/dataplane-mode", "ambient"}};
  const Labels out = {{"istio.io/dataplane-mode", "none"}};
  const Labels status = {{"sidecar.istio.io/status", "{}"}};
  CHECK(DecideAmbientCapture({"a", &ambient, &none, &none, false}).injected);
  CHECK(DecideAmbientCapture({"a", &none, &ambient, &none, false}).injected);
  CHECK(!DecideAmbientCapture({"a", &ambient, &out, &none, false}).injected);
  CHECK(!DecideAmbientCapture({"a", &ambient, &none, &status, false}).injected);
  CHECK(!DecideAmbientCapture({"a", &ambient, &none, &none, true}).injected);
  CHECK(!DecideAmbientCapture({"a", &none, &none, &none, false}).injected);
  CHECK(!DecideAmbientCapture({"a", nullptr, &none, &none, false}).injected);
}

TEST_CASE("proxy mode of workloads") {
  struct Case {
    std::string name;
    std::string namespace_labels, labels, annotations, containers;
    ProxyMode mode;
  };
  const std::string proxy = "      containers: [{name: istio-proxy, image: auto}]\n";
  const std::string router =
      "      containers: [{name: istio-proxy, image: istio/proxyv2, args: [proxy, router]}]\n";
  const std::string sidecar =
      "      containers: [{name: istio-proxy, image: istio/proxyv2, args: [proxy, sidecar]}]\n";
  const Case cases[] = {
      {"injected", "istio-injection: enabled", "", "", "", ProxyMode::kSidecar},
      {"not injected", "", "", "", "", ProxyMode::kNone},
      {"gateway template", "", "sidecar.istio.io/inject: 'true'",
       "inject.istio.io/templates: gateway", "", ProxyMode::kGateway},
      {"several templates", "istio-injection: enabled", "",
       "inject.istio.io/templates: 'gateway, mine'", "", ProxyMode::kGateway},
      {"another template", "istio-injection: enabled", "",
       "inject.istio.io/templates: 'sidecar,mine'", "", ProxyMode::kSidecar},
      {"gateway template without injection", "", "", "inject.istio.io/templates: gateway", "",
       ProxyMode::kNone},
      {"gateway container without injection", "", "", "inject.istio.io/templates: gateway", proxy,
       ProxyMode::kGateway},
      {"proxy container beats the labels", "", "sidecar.istio.io/inject: 'false'", "", proxy,
       ProxyMode::kSidecar},
      {"router", "", "", "", router, ProxyMode::kGateway},
      {"sidecar of a pod with gateway labels", "", "istio: ingressgateway", "", sidecar,
       ProxyMode::kSidecar},
      {"gateway labels", "", "istio: egressgateway", "", proxy, ProxyMode::kGateway},
      {"kube-inject's annotation", "", "", "sidecar.istio.io/status: '{}'", "",
       ProxyMode::kSidecar},
      {"ambient", "istio.io/dataplane-mode: ambient", "", "", "", ProxyMode::kAmbient},
      {"injection beats ambient", "istio.io/dataplane-mode: ambient, istio-injection: enabled", "",
       "", "", ProxyMode::kSidecar},
      {"waypoint", "istio.io/dataplane-mode: ambient",
       "gateway.networking.k8s.io/gateway-name: wp, gateway.istio.io/managed: "
       "istio.io-mesh-controller",
       "", "", ProxyMode::kWaypoint},
      {"Gateway API gateway", "",
       "gateway.networking.k8s.io/gateway-name: door, gateway.istio.io/managed: "
       "istio.io-gateway-controller",
       "", "", ProxyMode::kGateway},
      {"host network", "istio-injection: enabled", "", "",
       "      hostNetwork: true\n      containers: [{name: a, image: a}]\n", ProxyMode::kNone},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    auto mesh = MeshOf(NamespaceYaml("shop", c.namespace_labels) +
                       DeploymentYaml("shop", "web", c.labels, c.annotations, c.containers));
    const Workload& web = Find(*mesh, "shop", "web");
    CHECK(ToString(web.mode) == ToString(c.mode));
    CHECK(!web.mode_reason.empty());
    const std::string identity =
        c.mode == ProxyMode::kNone ? "" : "spiffe://cluster.local/ns/shop/sa/web-sa";
    CHECK(web.identity == identity);
    CHECK(web.tls_mode_istio == (c.mode == ProxyMode::kSidecar));
  }
}

TEST_CASE("a waypoint is known by the class of its Gateway too") {
  auto mesh = MeshOf(
      DeploymentYaml("shop", "wp", "gateway.networking.k8s.io/gateway-name: wp") +
      "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, "
      "namespace: shop}\nspec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: "
      "15008, protocol: HBONE}]}\n");
  CHECK(ToString(Find(*mesh, "shop", "wp").mode) == "waypoint");
}

TEST_CASE("the label security.istio.io/tlsMode beats what injection would set") {
  auto mesh = MeshOf(NamespaceYaml("shop", "istio-injection: enabled") +
                     DeploymentYaml("shop", "a", "security.istio.io/tlsMode: disabled") +
                     DeploymentYaml("shop", "b",
                                    "sidecar.istio.io/inject: 'false', "
                                    "security.istio.io/tlsMode: istio"));
  CHECK(!Find(*mesh, "shop", "a").tls_mode_istio);
  CHECK(Find(*mesh, "shop", "b").tls_mode_istio);
}

TEST_CASE("an istiod in the input tells revisions and feature flags") {
  auto mesh =
      MeshOf(NamespaceYaml("shop", "istio.io/rev: old") + DeploymentYaml("shop", "web") +
             DeploymentYaml(
                 "istio-system", "istiod", "", "",
                 "      containers: [{name: discovery, image: pilot, env: [{name: "
                 "PILOT_SCOPE_GATEWAY_TO_NAMESPACE, value: 'true'}, {name: X, value: maybe}]}]\n"));
  CHECK(ToString(Find(*mesh, "shop", "web").mode) == "none");
  CHECK(mesh->FeatureEnabled("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", false));
  CHECK(mesh->FeatureEnabled("X", true));
  CHECK(!mesh->FeatureEnabled("X", false));
  CHECK(!mesh->Feature("Y").has_value());
  CHECK(mesh->Feature("X") == "maybe");
}

}  // namespace
}  // namespace meshproof::injection_test

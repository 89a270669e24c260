// What `describe` says of ambient workloads: what ztunnel makes of each policy, what only the
// waypoint enforces and who gets past it, on one screen.

#include "report/ambient.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/text.h"
#include "mesh/mesh_testing.h"

namespace meshproof::ambient_test {
namespace {

std::string BaseYaml(const std::string& service_labels = "") {
  return NamespaceYaml("a", "istio.io/dataplane-mode: ambient") + DeploymentYaml("a", "w") +
         "---\napiVersion: v1\nkind: Service\nmetadata: {name: w, namespace: a, labels: "
         "{istio.io/use-waypoint: wp" +
         service_labels +
         "}}\nspec: {selector: {app: w}, ports: [{name: http, port: 80, targetPort: 8080}]}\n"
         "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, "
         "namespace: a}\nspec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: "
         "15008, protocol: HBONE}]}\n";
}

std::string Policy(const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: a}\nspec: {" + spec + "}\n";
}

std::string TextOf(const std::string& yaml) {
  const auto mesh = MeshOf(yaml);
  const ZtunnelConfig config(*mesh);
  return AmbientText(DescribeAmbient(config, Find(*mesh, "a", "w")), Style{});
}

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("describe ambient: effects at ztunnel, what is not sent, what only the waypoint does") {
  const std::string text = TextOf(
      BaseYaml() + PeerYaml("a", "p", "mtls: {mode: STRICT}") +
      Policy("l7", "rules: [{to: [{operation: {methods: [GET]}}]}]") +
      Policy("deny", "action: DENY, rules: [{to: [{operation: {paths: [/x], ports: ['8080']}}]}]") +
      Policy("audit", "action: AUDIT, rules: [{}]") +
      Policy("at-wp",
             "targetRefs: [{kind: Service, group: '', name: w}], action: DENY, rules: [{to: "
             "[{operation: {paths: [/x]}}]}]"));
  CAPTURE(text);
  for (const char* part : {"w.a.svc.cluster.local  a/wp (label istio.io/use-waypoint: wp)",
                           "pod address  none (no label istio.io/use-waypoint)",
                           "istio_converted_static_strict  refuses callers without an identity",
                           "a/deny  rule 0 matches more than it says: ztunnel does not know paths",
                           "a/l7  rule 0 is left out: ztunnel does not know methods; no rule is "
                           "left: it admits nobody",
                           "a/audit  not enforced: ztunnel has no AUDIT", "only at the waypoint",
                           "a/at-wp  for w.a"}) {
    CHECK_MESSAGE(Contains(text, part), part);
  }
  // Nobody is admitted past the waypoint.
  CHECK_FALSE(Contains(text, "ways past it"));
  CHECK(std::count(text.begin(), text.end(), '\n') < 24);
}

TEST_CASE("describe ambient: who gets past the waypoint") {
  const std::string only =
      "selector: {matchLabels: {app: w}}, rules: [{from: [{source: "
      "{principals: [cluster.local/ns/a/sa/wp";
  struct Row {
    std::string name, yaml;
    bool past, gateways;
  };
  const Row rows[] = {
      {"nothing at ztunnel", BaseYaml(), true, true},
      {"gateways are told to use it", BaseYaml(", istio.io/ingress-use-waypoint: 'true'"), true,
       false},
      {"the waypoint alone", BaseYaml() + Policy("p", only + "]}}]}]"), false, false},
      {"the waypoint and somebody",
       BaseYaml() + Policy("p", only + ", cluster.local/ns/b/sa/c]}}]}]"), true, true},
      {"the waypoint and a gateway of the Gateway API",
       BaseYaml() + Policy("p", only + ", cluster.local/ns/a/sa/front-istio]}}]}]") +
           "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: front, "
           "namespace: a}\nspec: {gatewayClassName: istio, listeners: [{name: web, port: 80, "
           "protocol: HTTP}]}\n",
       true, true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const std::string text = TextOf(row.yaml);
    CAPTURE(text);
    CHECK(Contains(text, "ways past it") == row.past);
    CHECK(Contains(text, "gateways reach") == row.gateways);
  }
  CHECK(Contains(TextOf(BaseYaml() + PeerYaml("a", "p", "mtls: {mode: STRICT}")),
                 "  sidecars never pass a waypoint"));
}

}  // namespace meshproof::ambient_test

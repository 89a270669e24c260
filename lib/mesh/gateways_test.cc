#include "mesh/mesh_testing.h"

namespace meshproof::gateways_test {
namespace {

const std::string kGateway =
    DeploymentYaml("edge", "gw", "istio: gw, sidecar.istio.io/inject: 'true'",
                   "inject.istio.io/templates: gateway");

std::string GatewayYaml(const std::string& ns, const std::string& name, const std::string& selector,
                        int port, const std::string& created = "") {
  return "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " + name +
         ", namespace: " + ns + (created.empty() ? "" : ", creationTimestamp: '" + created + "'") +
         "}\nspec: {" + selector + "servers: [{port: {number: " + std::to_string(port) +
         ", name: http, protocol: HTTP}, hosts: ['*']}]}\n";
}

std::string RouteYaml(const std::string& ns, const std::string& name, const std::string& gateways,
                      const std::string& more = "", const std::string& created = "") {
  return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name +
         ", namespace: " + ns + (created.empty() ? "" : ", creationTimestamp: '" + created + "'") +
         "}\nspec: {" + more + "hosts: ['a.com'], " +
         (gateways.empty() ? "" : "gateways: [" + gateways + "], ") +
         "http: [{route: [{destination: {host: a}}]}]}\n";
}

std::string Servers(const Mesh& mesh, const std::string& ns, const std::string& name) {
  std::string out;
  for (const Mesh::BoundServer& bound : mesh.GatewayServersFor(Find(mesh, ns, name))) {
    out += (out.empty() ? "" : " ") + bound.gateway->meta.ns + "/" +
           std::string(bound.gateway->meta.name) + ":" + std::to_string(bound.server->port) + ">" +
           std::to_string(bound.listen_port);
  }
  return out;
}

TEST_CASE("servers of the Gateways that select a gateway pod") {
  struct Case {
    std::string name, more, expected;
    std::vector<std::pair<std::string, std::string>> env = {};
  };
  const std::string gw = "selector: {istio: gw}, ";
  const std::string service =
      ServiceYaml("edge", "gw", "{name: http, port: 80, targetPort: 8080}, {name: h, port: 90}");
  const Case cases[] = {
      {"through the Service", service + GatewayYaml("edge", "a", gw, 80), "edge/a:80>8080"},
      {"a port without a target", service + GatewayYaml("edge", "a", gw, 90), "edge/a:90>90"},
      {"a port that no Service has", service + GatewayYaml("edge", "a", gw, 70), "edge/a:70>70"},
      {"the target's number itself", service + GatewayYaml("edge", "a", gw, 8080),
       "edge/a:8080>8080"},
      {"no Service", GatewayYaml("edge", "a", gw, 80), "edge/a:80>80"},
      {"another namespace", GatewayYaml("shop", "a", gw, 80), "shop/a:80>80"},
      {"another namespace, scoped",
       GatewayYaml("shop", "a", gw, 80),
       "",
       {{"PILOT_SCOPE_GATEWAY_TO_NAMESPACE", "true"}}},
      {"own namespace, scoped",
       GatewayYaml("edge", "a", gw, 80),
       "edge/a:80>80",
       {{"PILOT_SCOPE_GATEWAY_TO_NAMESPACE", "true"}}},
      {"no selector", GatewayYaml("edge", "a", "", 80), "edge/a:80>80"},
      {"another selector", GatewayYaml("edge", "a", "selector: {istio: other}, ", 80), ""},
      {"oldest first",
       GatewayYaml("edge", "a", gw, 80, "2026-01-02T00:00:00Z") +
           GatewayYaml("edge", "b", gw, 81, "2026-01-01T00:00:00Z") +
           GatewayYaml("shop", "a", gw, 82, "2026-01-02T00:00:00Z"),
       "edge/b:81>81 edge/a:80>80 shop/a:82>82"},
      {"the oldest Service maps",
       ServiceYaml("edge", "one", "{name: http, port: 80, targetPort: 8001}", "istio: gw",
                   "2026-01-02T00:00:00Z") +
           ServiceYaml("edge", "two", "{name: http, port: 80, targetPort: 8002}", "istio: gw",
                       "2026-01-01T00:00:00Z") +
           GatewayYaml("edge", "a", gw, 80),
       "edge/a:80>8002"},
      {"a Service that opted out",
       "---\napiVersion: v1\nkind: Service\nmetadata: {name: gw, namespace: edge, labels: "
       "{experimental.istio.io/disable-gateway-port-translation: 'true'}}\nspec: {selector: "
       "{istio: gw}, ports: [{port: 80, targetPort: 8080}]}\n" +
           GatewayYaml("edge", "a", gw, 80),
       "edge/a:80>80"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    MeshOptions options;
    options.istiod_env = c.env;
    auto mesh = MeshOf(kGateway + c.more, options);
    CHECK(Servers(*mesh, "edge", "gw") == c.expected);
    CHECK(mesh->InboundPorts(Find(*mesh, "edge", "gw")).empty());
  }
}

TEST_CASE("a sidecar runs no Gateway") {
  auto mesh = MeshOf(NamespaceYaml("shop", "istio-injection: enabled") +
                     DeploymentYaml("shop", "web") + GatewayYaml("shop", "a", "", 80));
  CHECK(mesh->GatewayServersFor(Find(*mesh, "shop", "web")).empty());
}

TEST_CASE("VirtualServices of a Gateway and of the mesh") {
  auto names = [](const std::vector<const VirtualService*>& list) {
    std::string out;
    for (const VirtualService* service : list) {
      out += (out.empty() ? "" : " ") + service->meta.ns + "/" + std::string(service->meta.name);
    }
    return out;
  };
  auto mesh = MeshOf(
      kGateway + GatewayYaml("edge", "door", "", 80) +
      RouteYaml("edge", "short", "door", "", "2026-01-03T00:00:00Z") +
      RouteYaml("shop", "long", "edge/door", "", "2026-01-02T00:00:00Z") +
      RouteYaml("edge", "dot", "./door", "", "2026-01-05T00:00:00Z") +
      RouteYaml("shop", "both", "mesh, edge/door", "", "2026-01-01T00:00:00Z") +
      RouteYaml("shop", "other", "door") + RouteYaml("shop", "mesh", "") +
      RouteYaml("shop", "private", "edge/door", "exportTo: ['.'], ", "2026-01-04T00:00:00Z"));
  const Gateway& gateway = mesh->model().gateways[0];
  CHECK(names(mesh->VirtualServicesFor(gateway)) ==
        "shop/both shop/long edge/short shop/private edge/dot");
  CHECK(names(mesh->VirtualServicesFor(gateway, "edge")) ==
        "shop/both shop/long edge/short edge/dot");
  CHECK(names(mesh->MeshVirtualServices()) == "shop/mesh shop/both");
}

}  // namespace
}  // namespace meshproof::gateways_test

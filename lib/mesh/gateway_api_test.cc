#include "mesh/mesh_testing.h"

namespace meshproof::gateway_api_test {
namespace {

std::string GatewayYaml(const std::string& spec, const std::string& annotations = "") {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: door, "
         "namespace: edge, annotations: {" +
         annotations + "}}\nspec: {gatewayClassName: istio, " + spec + "}\n";
}

std::string RouteYaml(const std::string& ns, const std::string& name, const std::string& spec,
                      const std::string& created = "") {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: " +
         name + ", namespace: " + ns +
         (created.empty() ? "" : ", creationTimestamp: '" + created + "'") + "}\nspec: {" + spec +
         "}\n";
}

std::string ServiceYaml(const std::string& ns, const std::string& name) {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + ns +
         "}\nspec: {ports: [{name: http, port: 80}]}\n";
}

TEST_CASE("Gateway API: istiod deploys the proxies of a Gateway") {
  const auto mesh =
      MeshOf(GatewayYaml("listeners: [{name: a, port: 80, protocol: HTTP}, {name: b, "
                         "port: 443, protocol: HTTPS}]"));
  const Workload* proxy = mesh->FindWorkload("edge", "door-istio");
  REQUIRE(proxy != nullptr);
  CHECK(proxy->mode == ProxyMode::kGateway);
  CHECK(proxy->identity == "spiffe://cluster.local/ns/edge/sa/door-istio");
  const MeshService* service = mesh->FindService("door-istio.edge.svc.cluster.local");
  REQUIRE(service != nullptr);
  CHECK(service->ports.size() == 2);
  const auto servers = mesh->GatewayServersFor(*proxy);
  REQUIRE(servers.size() == 2);
  CHECK(servers[0].listen_port == 80);
  CHECK(servers[1].server->tls.has_value());
}

TEST_CASE("Gateway API: where pods carry its name nothing is made") {
  const auto mesh = MeshOf(GatewayYaml("listeners: [{name: a, port: 80, protocol: HTTP}]") +
                           DeploymentYaml("edge", "own",
                                          "gateway.networking.k8s.io/gateway-name: "
                                          "door"));
  CHECK(mesh->FindWorkload("edge", "door-istio") == nullptr);
  CHECK(mesh->GatewayServersFor(*mesh->FindWorkload("edge", "own")).size() == 1);
}

TEST_CASE("Gateway API: a name of its own, another controller, a Service that stands for it") {
  const auto named = MeshOf(GatewayYaml("listeners: [{name: a, port: 80, protocol: HTTP}]",
                                        "gateway.istio.io/name-override: front"));
  CHECK(named->FindWorkload("edge", "front") != nullptr);
  const auto foreign = MeshOf(
      "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: door, "
      "namespace: edge}\nspec: {gatewayClassName: nginx, listeners: [{name: a, port: 80, protocol: "
      "HTTP}]}\n");
  CHECK(foreign->workloads().empty());
  const auto manual = MeshOf(
      GatewayYaml(
          "addresses: [{type: Hostname, value: ingress.edge.svc.cluster.local}], listeners: "
          "[{name: a, port: 80, protocol: HTTP}]") +
      DeploymentYaml("edge", "pods", "istio: ingressgateway, sidecar.istio.io/inject: 'true'",
                     "inject.istio.io/templates: gateway") +
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: ingress, namespace: edge}\nspec: "
      "{selector: {istio: ingressgateway}, ports: [{name: http, port: 80, targetPort: 8080}]}\n");
  const auto servers = manual->GatewayServersFor(*manual->FindWorkload("edge", "pods"));
  REQUIRE(servers.size() == 1);
  CHECK(servers[0].listen_port == 8080);
}

// The paths of the routes that a listener got, in order.
std::string Routes(const Mesh& mesh) {
  std::string out;
  const Workload* proxy = mesh.FindWorkload("edge", "door-istio");
  for (const auto& bound : mesh.GatewayServersFor(*proxy)) {
    for (const VirtualService* service : mesh.VirtualServicesFor(*bound.gateway)) {
      out += "[" + std::string(service->hosts.values.front().value);
      for (const HttpRoute& route : service->http) {
        out += " " + std::string(route.matches.front().uri.value.value) + "=" +
               (route.routes.empty() ? std::string("500")
                                     : std::string(route.routes[0].destination.host.value));
      }
      out += "]";
    }
  }
  return out;
}

TEST_CASE("Gateway API: which routes attach, and in which order they stand") {
  const std::string listener =
      "listeners: [{name: a, port: 80, protocol: HTTP, allowedRoutes: "
      "{namespaces: {from: All}}}]";
  const std::string parent = "parentRefs: [{name: door, namespace: edge}]";
  const auto to = [](const std::string& service) {
    return "backendRefs: [{name: " + service + ", port: 80}]";
  };
  struct Row {
    const char* what;
    std::string objects;
    const char* routes;
  };
  const Row rows[] = {
      {"no rule says a path",
       GatewayYaml(listener) + RouteYaml("nn", "r", parent + ", rules: [{" + to("a") + "}]"),
       "[* /=a.nn.svc.cluster.local]"},
      {"own namespace only by default",
       GatewayYaml("listeners: [{name: a, port: 80, protocol: HTTP}]") +
           RouteYaml("nn", "r", parent + ", rules: [{" + to("a") + "}]"),
       ""},
      {"sectionName of another listener",
       GatewayYaml(listener) +
           RouteYaml("nn", "r",
                     "parentRefs: [{name: door, namespace: edge, sectionName: b}], rules: "
                     "[{" +
                         to("a") + "}]"),
       ""},
      {"longest prefix first, exact before prefix",
       GatewayYaml(listener) +
           RouteYaml("nn", "r",
                     parent + ", rules: [{matches: [{path: {value: /a}}], " + to("a") +
                         "}, {matches: [{path: {value: /a/b}}], " + to("b") +
                         "}, {matches: [{path: {type: Exact, value: /}}], " + to("a") + "}]"),
       "[* /=a.nn.svc.cluster.local /a/b=b.nn.svc.cluster.local /a=a.nn.svc.cluster.local]"},
      {"the older route first, one host together",
       GatewayYaml(listener) +
           RouteYaml("nn", "zz", parent + ", rules: [{" + to("a") + "}]", "2026-01-02T00:00:00Z") +
           RouteYaml("nn", "yy", parent + ", rules: [{" + to("b") + "}]", "2026-01-03T00:00:00Z"),
       "[* /=a.nn.svc.cluster.local /=b.nn.svc.cluster.local]"},
      {"a backend that is not there, and one of another namespace",
       GatewayYaml(listener) + RouteYaml("nn", "r", parent + ", rules: [{" + to("gone") + "}]") +
           RouteYaml("m", "s",
                     parent + ", rules: [{backendRefs: [{name: a, namespace: nn, port: "
                              "80}]}]"),
       "[* /=500 /=500]"},
      {"with a grant",
       GatewayYaml(listener) +
           RouteYaml("m", "s",
                     parent + ", rules: [{backendRefs: [{name: a, namespace: nn, port: "
                              "80}]}]") +
           "---\napiVersion: gateway.networking.k8s.io/v1beta1\nkind: ReferenceGrant\nmetadata: "
           "{name: g, namespace: nn}\nspec: {from: [{group: gateway.networking.k8s.io, kind: "
           "HTTPRoute, namespace: m}], to: [{group: '', kind: Service}]}\n",
       "[* /=a.nn.svc.cluster.local]"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const auto mesh = MeshOf(row.objects + ServiceYaml("nn", "a") + ServiceYaml("nn", "b"));
    CHECK(Routes(*mesh) == row.routes);
  }
}

TEST_CASE("Gateway API: routes of a Service") {
  const auto mesh =
      MeshOf(ServiceYaml("nn", "a") + ServiceYaml("nn", "b") +
             RouteYaml("nn", "r",
                       "parentRefs: [{group: '', kind: Service, name: a, port: 80}], rules: "
                       "[{backendRefs: [{name: b, port: 80}]}]"));
  const auto routes = mesh->ServiceRoutesFor(*mesh->FindService("a.nn.svc.cluster.local"));
  REQUIRE(routes.size() == 1);
  CHECK(routes[0]->http[0].matches[0].port == 80);
  CHECK(mesh->ServiceRoutesFor(*mesh->FindService("b.nn.svc.cluster.local")).empty());
  CHECK(mesh->MeshVirtualServices().empty());
}

}  // namespace
}  // namespace meshproof::gateway_api_test

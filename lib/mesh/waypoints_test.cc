#include "mesh/mesh_testing.h"

namespace meshproof::waypoints_test {
namespace {

std::string GatewayYaml(const std::string& ns, const std::string& name, const std::string& labels,
                        const std::string& from = "", const std::string& more = "") {
  return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: " + name +
         ", namespace: " + ns + ", labels: {" + labels +
         "}}\nspec:\n  gatewayClassName: istio-waypoint\n  listeners:\n  - {name: mesh, port: "
         "15008, protocol: HBONE" +
         (from.empty() ? "" : ", allowedRoutes: {namespaces: {" + from + "}}") + "}\n" + more;
}

std::string ServiceYaml(const std::string& ns, const std::string& name, const std::string& labels) {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + ns +
         ", labels: {" + labels + "}}\nspec: {selector: {app: " + name +
         "}, ports: [{name: http, port: 80}]}\n";
}

// "ns/name" of the waypoint, "-" where there is none.
std::string Name(const WaypointChoice& choice) {
  if (choice.waypoint == nullptr) return "-";
  const ObjectMeta& meta = choice.waypoint->gateway->meta;
  return meta.ns + "/" + std::string(meta.name);
}

TEST_CASE("waypoint: label, namespace, none, kind of traffic, readiness, namespaces") {
  struct Row {
    const char* what;
    const char* ns_labels;
    const char* labels;  // of the Service and of the pod
    const char* for_service;
    const char* for_workload;
  };
  const Row rows[] = {
      {"no label", "", "", "-", "-"},
      {"namespace", "istio.io/use-waypoint: wp", "", "shop/wp", "-"},
      {"object beats namespace", "istio.io/use-waypoint: wp", "istio.io/use-waypoint: all",
       "shop/all", "shop/all"},
      {"none opts out", "istio.io/use-waypoint: all", "istio.io/use-waypoint: none", "-", "-"},
      {"none at the namespace", "istio.io/use-waypoint: none", "", "-", "-"},
      {"missing: no falling back", "istio.io/use-waypoint: all", "istio.io/use-waypoint: nope", "-",
       "-"},
      {"not ready", "istio.io/use-waypoint: pending", "", "-", "-"},
      {"for workloads alone", "istio.io/use-waypoint: pods", "", "-", "shop/pods"},
      {"waypoint-for none", "istio.io/use-waypoint: shut", "", "-", "-"},
      {"of another namespace that allows it", "istio.io/use-waypoint: shared",
       "istio.io/use-waypoint: shared, istio.io/use-waypoint-namespace: infra", "infra/shared",
       "-"},
      {"of another namespace that does not", "",
       "istio.io/use-waypoint: closed, istio.io/use-waypoint-namespace: infra", "-", "-"},
      {"by the other namespace's selector", "team: a",
       "istio.io/use-waypoint: picky, istio.io/use-waypoint-namespace: infra", "infra/picky", "-"},
      {"not by the other namespace's selector", "team: b",
       "istio.io/use-waypoint: picky, istio.io/use-waypoint-namespace: infra", "-", "-"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const auto mesh = MeshOf(
        NamespaceYaml("shop", row.ns_labels) + NamespaceYaml("infra") +
        DeploymentYaml("shop", "web", row.labels) + ServiceYaml("shop", "web", row.labels) +
        GatewayYaml("shop", "wp", "") + GatewayYaml("shop", "all", "istio.io/waypoint-for: all") +
        GatewayYaml("shop", "pods", "istio.io/waypoint-for: workload") +
        GatewayYaml("shop", "shut", "istio.io/waypoint-for: none") +
        GatewayYaml("shop", "pending", "", "", "status: {conditions: []}\n") +
        GatewayYaml("infra", "shared", "", "from: All") + GatewayYaml("infra", "closed", "") +
        GatewayYaml("infra", "picky", "", "from: Selector, selector: {matchLabels: {team: a}}"));
    const WaypointChoice service =
        mesh->WaypointFor(*mesh->FindService("web.shop.svc.cluster.local"));
    CHECK(Name(service) == row.for_service);
    CHECK_FALSE(service.reason.empty());
    CHECK(Name(mesh->WaypointFor(*mesh->FindWorkload("shop", "web"))) == row.for_workload);
  }
}

TEST_CASE("waypoint: the class's label, a waypoint's own Service") {
  const auto mesh =
      MeshOf(NamespaceYaml("shop", "istio.io/use-waypoint: wp") + GatewayYaml("shop", "wp", "") +
             "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: "
             "istio-waypoint, labels: {istio.io/waypoint-for: workload}}\nspec: {controllerName: "
             "istio.io/mesh-controller}\n" +
             DeploymentYaml("shop", "wp", "gateway.networking.k8s.io/gateway-name: wp") +
             ServiceYaml("shop", "wp", "") + DeploymentYaml("shop", "web") +
             ServiceYaml("shop", "web", ""));
  CHECK(Name(mesh->WaypointFor(*mesh->FindWorkload("shop", "web"))) == "shop/wp");
  CHECK(Name(mesh->WaypointFor(*mesh->FindService("web.shop.svc.cluster.local"))) == "-");
  CHECK(Name(mesh->WaypointFor(*mesh->FindWorkload("shop", "wp"))) == "-");
  const Workload* proxy = mesh->FindWorkload("shop", "wp");
  REQUIRE(mesh->WaypointOf(*proxy) != nullptr);
  CHECK(mesh->WaypointOf(*proxy)->workload == proxy);
  CHECK(mesh->AmbientEnabled());
}

TEST_CASE("ambient: who takes HBONE, and the flag that decides") {
  const std::string text = NamespaceYaml("amb", "istio.io/dataplane-mode: ambient") +
                           NamespaceYaml("inj", "istio-injection: enabled") +
                           DeploymentYaml("amb", "a") + DeploymentYaml("inj", "s") +
                           DeploymentYaml("amb", "out", "istio.io/dataplane-mode: none");
  const auto mesh = MeshOf(text);
  CHECK(mesh->TakesHbone(*mesh->FindWorkload("amb", "a")));
  CHECK(mesh->TakesHbone(*mesh->FindWorkload("inj", "s")));
  CHECK_FALSE(mesh->TakesHbone(*mesh->FindWorkload("amb", "out")));
  MeshOptions options;
  options.istiod_env = {{"PILOT_ENABLE_AMBIENT", "false"}};
  const auto off = MeshOf(text, options);
  CHECK_FALSE(off->TakesHbone(*off->FindWorkload("inj", "s")));
  const auto sidecars =
      MeshOf(NamespaceYaml("inj", "istio-injection: enabled") + DeploymentYaml("inj", "s"));
  CHECK_FALSE(sidecars->AmbientEnabled());
}

TEST_CASE("ambient: stand-in addresses are known ones, or differ from all known ones") {
  const auto mesh = MeshOf(
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: nn}\nspec: {clusterIP: "
      "10.96.0.2, ports: [{port: 80}]}\n" +
      ServiceYaml("nn", "b", "") + ServiceYaml("nn", "c", ""));
  std::set<std::string> seen;
  for (const MeshService& service : mesh->services()) {
    seen.insert(ToString(mesh->StandInAddress(service)));
  }
  CHECK(seen.size() == 3);
  CHECK(seen.count("10.96.0.2") == 1);
}

TEST_CASE("ingress-use-waypoint: the Service's label beats its namespace's") {
  const auto mesh = MeshOf(NamespaceYaml("lit", "istio.io/ingress-use-waypoint: 'true'") +
                           NamespaceYaml("dark") + ServiceYaml("lit", "plain", "") +
                           ServiceYaml("lit", "not", "istio.io/ingress-use-waypoint: 'false'") +
                           ServiceYaml("dark", "plain", "") +
                           ServiceYaml("dark", "yea", "istio.io/ingress-use-waypoint: 'true'"));
  const auto uses = [&](const std::string& host) {
    return mesh->IngressUsesWaypoint(*mesh->FindService(host + ".svc.cluster.local"));
  };
  CHECK(uses("plain.lit"));
  CHECK_FALSE(uses("not.lit"));
  CHECK_FALSE(uses("plain.dark"));
  CHECK(uses("yea.dark"));
}

}  // namespace
}  // namespace meshproof::waypoints_test

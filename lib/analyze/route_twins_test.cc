#include "analyze/route_twins.h"

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "analyze/reach.h"
#include "analyze/rule.h"
#include "mesh/mesh_testing.h"
#include "source/source.h"

namespace meshproof::route_twins_test {
namespace {

constexpr std::string_view kGateYaml = R"(---
apiVersion: v1
kind: Service
metadata: {name: gate, namespace: edge}
spec: {type: LoadBalancer, selector: {istio: gate}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gate, namespace: edge}
spec:
  selector: {matchLabels: {istio: gate}}
  template:
    metadata:
      labels: {istio: gate, sidecar.istio.io/inject: "true"}
      annotations: {inject.istio.io/templates: gateway}
    spec: {containers: [{name: istio-proxy, image: auto}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: edge}
spec:
  selector: {istio: gate}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*.example.com"]}]
)";

std::string HostYaml(const std::string& name, const std::string& routes) {
  return DeploymentYaml("shop", name) + ServiceYaml("shop", name, "{port: 80, name: http}") +
         "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name +
         ", namespace: shop}\nspec: {hosts: [" + name +
         ".example.com], gateways: [edge/shop], http: [" + routes + "]}\n";
}

std::string RouteYaml(const std::string& match, const std::string& to) {
  return "{match: [{" + match + "}], route: [{destination: {host: " + to + "}}]}";
}

struct RouteRow {
  std::string one, other;  // routes of the hosts `one` and `other`
};

}  // namespace

TEST_CASE("what one host's twin says is what the engine says of it") {
  const RouteRow rows[] = {
      {RouteYaml("uri: {prefix: /api}", "one"), RouteYaml("uri: {prefix: /api}", "other")},
      {RouteYaml("uri: {prefix: /api}", "one"), RouteYaml("uri: {prefix: /app}", "other")},
      {RouteYaml("uri: {prefix: /a}", "one") + ", " + RouteYaml("uri: {prefix: /}", "one"),
       RouteYaml("uri: {prefix: /a}", "other") + ", " + RouteYaml("uri: {prefix: /}", "other")},
      {RouteYaml("uri: {prefix: /a}", "one") + ", " + RouteYaml("uri: {prefix: /b}", "one"),
       RouteYaml("uri: {prefix: /a}", "other") + ", " + RouteYaml("uri: {prefix: /b}", "one")},
      {RouteYaml("uri: {prefix: /a}, headers: {x-a: {exact: b}}", "one"),
       RouteYaml("uri: {prefix: /a}, headers: {x-a: {exact: c}}", "other")},
      {RouteYaml("method: {exact: POST}", "one"), RouteYaml("method: {exact: POST}", "other")},
      {RouteYaml("uri: {exact: /one}", "one"), RouteYaml("uri: {exact: /one}", "other")},
  };
  const Region free = Region::Not(Region::Is(Region::Field::kToken));
  const Region regions[] = {
      free,
      Region::And({free, Region::Is(Region::Field::kPath, "/api/x*")}),
      Region::And({free, Region::Is(Region::Field::kMethod, "PUT")}),
  };
  const std::string policies[] = {
      "",
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, "
      "namespace: edge}\nspec: {action: DENY, rules: [{to: [{operation: {hosts: "
      "[other.example.com]}}]}]}\n"};
  for (const std::string& policy : policies) {
    for (const RouteRow& row : rows) {
      CAPTURE(policy);
      CAPTURE(row.one);
      CAPTURE(row.other);
      Load load;
      load.files.push_back(
          ParseText("mesh.yaml", NamespaceYaml("edge", "") +
                                     NamespaceYaml("shop", "istio-injection: enabled") +
                                     std::string(kGateYaml) + HostYaml("one", row.one) +
                                     HostYaml("other", row.other) + policy));
      REQUIRE(load.files.back().diagnostics.empty());
      const auto mesh = Mesh::Build(DecodeModel(std::move(load), {}));
      const World world(mesh);
      const Reach reach(world);
      const std::vector<RawObject> objects;
      Analysis analysis{mesh->model(), *mesh, world, objects, 0, ""};
      analysis.reach = &reach;
      const std::vector<Entrance> entrances = FindEntrances(analysis);
      std::map<std::string, std::vector<const Entrance*>> ways;
      for (const Entrance& entrance : entrances) {
        ways[entrance.service->host].push_back(&entrance);
      }
      REQUIRE(ways.size() == 2);
      RouteTwins twins(analysis);
      for (const Region& region : regions) {
        for (const auto& [host, own] : ways) {
          CAPTURE(host);
          const Entrance& first = *own.front();
          const Answer asked =
              reach.reasoner().Find(*first.gateway, first.port,
                                    Region::And({Region::Is(Region::Field::kRouted, host), region}),
                                    Wanted::kAllowedByAnyAuthorizer);
          const std::optional<Case> told = twins.Find(own, region);
          REQUIRE(told.has_value() == asked.found());
          if (!told) continue;
          const Case& known = asked.example->request;
          CHECK(told->host == known.host);
          CHECK(told->path == known.path);
          CHECK(told->method == known.method);
          CHECK(told->headers == known.headers);
        }
      }
      for (const Entrance& entrance : entrances) {
        const std::optional<Case> told = twins.RequestFor(entrance), asked = RequestOf(entrance);
        REQUIRE(told.has_value() == asked.has_value());
        if (!told) continue;
        CHECK(told->host == asked->host);
        CHECK(told->path == asked->path);
        CHECK(told->method == asked->method);
        CHECK(told->headers == asked->headers);
      }
    }
  }
}

}  // namespace meshproof::route_twins_test

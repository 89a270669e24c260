#include "proxy/custom.h"

#include <doctest/doctest.h>

#include "proxy/compile.h"
#include "proxy/emit.h"
#include "proxy/proxy_testing.h"

namespace meshproof::custom_test {
namespace {

std::string MeshText(const std::string& providers, const std::string& policies = "") {
  return R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: authz, namespace: shop}
spec: {selector: {app: authz}, ports: [{name: grpc, port: 9000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
)" + providers +
         policies;
}

std::string Grpc(const std::string& name, const std::string& more = "") {
  return "    - {name: " + name +
         ", envoyExtAuthzGrpc: {service: authz.shop.svc.cluster.local, port: 9000" + more + "}}\n";
}

std::string Http(const std::string& name, const std::string& more = "") {
  return "    - {name: " + name +
         ", envoyExtAuthzHttp: {service: authz.shop.svc.cluster.local, port: 9000" + more + "}}\n";
}

TEST_CASE("what breaks a provider") {
  struct Row {
    std::string providers;
    bool works;
  };
  for (
      const Row& row : std::vector<Row>{
          {Grpc("p"), true},
          {Http("p"), true},
          {Grpc("q"), false},
          {Grpc("p") + Http("p"), false},
          {"    - {name: p, zipkin: {service: authz.shop.svc.cluster.local, port: 9411}}\n", false},
          {"    - {name: p, envoyExtAuthzGrpc: {service: authz.shop.svc.cluster.local, port: 0}}\n",
           false},
          {"    - {name: p, envoyExtAuthzGrpc: {service: authz.shop.svc.cluster.local, port: "
           "70000}}\n",
           false},
          {"    - {name: p, envoyExtAuthzGrpc: {service: shop/authz.shop.svc.cluster.local, port: "
           "9000}}\n",
           true},
          {"    - {name: p, envoyExtAuthzGrpc: {service: pay/authz.shop.svc.cluster.local, port: "
           "9000}}\n",
           false},
          {"    - {name: p, envoyExtAuthzGrpc: {service: authz, port: 9000}}\n", false},
          {Grpc("p", ", statusOnError: '503'"), true},
          {Grpc("p", ", statusOnError: '418'"), false},
          {Grpc("p", ", statusOnError: x"), false},
          {Http("p", ", pathPrefix: check"), false},
          {Http("p", ", pathPrefix: /check"), true},
          {Http("p", ", headersToUpstreamOnAllow: ['*']"), false},
          {Http("p", ", includeRequestHeadersInCheck: [a, '*']"), false},
          {Http("p", ", includeRequestHeadersInCheck: ['a*']"), true},
      }) {
    CAPTURE(row.providers);
    const auto mesh = TestMesh(MeshText(row.providers));
    CHECK(ResolveProvider(*mesh, "p").error.empty() == row.works);
  }
  // Names that are no lower-case DNS label.
  for (const char* name : {"P", "a.b", "a_b", "-a", "a-"}) {
    CAPTURE(name);
    const auto mesh = TestMesh(MeshText(Grpc("'" + std::string(name) + "'")));
    CHECK_FALSE(ResolveProvider(*mesh, name).error.empty());
  }
}

TEST_CASE("an HTTP provider has nothing for TCP") {
  const auto mesh = TestMesh(MeshText(Http("p")));
  const ResolvedProvider provider = ResolveProvider(*mesh, "p");
  CHECK(provider.http.has_value());
  CHECK_FALSE(provider.network.has_value());
}

std::string CustomPolicy(const std::string& name, const std::string& provider) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: shop}\nspec: {action: CUSTOM, provider: {name: " + provider +
         "}, rules: [{to: [{operation: {ports: ['80']}}]}]}\n";
}

// Names of the filters of the first HTTP and the first TCP chain.
std::pair<std::string, std::string> FilterNames(const std::string& text,
                                                const MeshOptions& options = {}) {
  const auto mesh = TestMesh(text, {}, options);
  const auto proxy = Compiler(mesh).Compile(*mesh->FindWorkload("shop", "web"));
  std::string http, tcp;
  for (const FilterChain& chain : proxy->listeners[0].filter_chains) {
    if (chain.name == "virtualInbound-blackhole") continue;
    std::string names;
    const auto name_of = [&names](const auto& filter) {
      if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
        names +=
            rbac->rules ? "deny:" + std::to_string(rbac->rules->policies.size()) + " " : "gate ";
      } else if (const auto* authz = std::get_if<ExtAuthzFilter>(&filter)) {
        names += "ask:" + authz->provider + " ";
      }
    };
    for (const NetworkFilter& filter : *chain.filters) {
      if (const auto* manager =
              std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter)) {
        for (const HttpFilter& each : (*manager)->http_filters) name_of(each);
      } else {
        name_of(filter);
      }
    }
    (chain.name == "virtualInbound" ? tcp : http) = names;
  }
  return {http, tcp};
}

TEST_CASE("CUSTOM becomes a gate and a question, or denies where there is nobody to ask") {
  using Names = std::pair<std::string, std::string>;
  CHECK(FilterNames(MeshText(Grpc("p"), CustomPolicy("a", "p"))) ==
        Names{"gate ask:p ", "gate ask:p "});
  CHECK(FilterNames(MeshText(Http("p"), CustomPolicy("a", "p"))) == Names{"gate ask:p ", ""});
  CHECK(FilterNames(MeshText(Grpc("p"), CustomPolicy("a", "q"))) == Names{"deny:1 ", "deny:1 "});
  const std::string two =
      MeshText(Grpc("p") + Grpc("q"), CustomPolicy("a", "q") + CustomPolicy("b", "p"));
  CHECK(FilterNames(two) == Names{"deny:1 deny:1 ", "deny:1 deny:1 "});
  MeshOptions several;
  several.istiod_env = {{"PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", "true"}};
  CHECK(FilterNames(two, several) == Names{"gate ask:p gate ask:q ", "gate ask:p gate ask:q "});
}

TEST_CASE("durations of Go become proto-JSON's") {
  struct Row {
    const char *go, *proto;
  };
  for (const Row& row : std::vector<Row>{{"2ms", "0.002s"},
                                         {"10s", "10s"},
                                         {"1m30s", "90s"},
                                         {"1.5s", "1.500s"},
                                         {"1h", "3600s"},
                                         {"5us", "0.000005s"},
                                         {"1ns", "0.000000001s"}}) {
    CAPTURE(row.go);
    CHECK(ProtoDuration(row.go) == row.proto);
  }
  for (const char* bad : {"", "s", "10", "1x", "-1s", "1..2s"}) {
    CAPTURE(bad);
    CHECK_FALSE(ProtoDuration(bad).has_value());
  }
}

}  // namespace
}  // namespace meshproof::custom_test

#include "proxy/load_check.h"

#include <doctest/doctest.h>

#include "proxy/compile.h"
#include "proxy/proxy_testing.h"

namespace meshproof::load_check_test {
namespace {

const char* const kWorkload = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: app}]}
)";

std::vector<LoadFailure> Failures(const std::string& text) {
  ModelOptions options;
  options.keep_invalid = true;
  const auto mesh = TestMesh(kWorkload + text, options);
  return Compiler(mesh).Compile(*mesh->FindWorkload("shop", "web"))->load_failures;
}

std::string Policy(const std::string& rule) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, "
         "namespace: shop}\nspec: {rules: [{" +
         rule + "}]}\n";
}

TEST_CASE("what Envoy refuses is found and said with its origin") {
  const std::string good_keys =
      R"({"keys":[{"kty":"oct","kid":"a","alg":"HS256","k":"c2VjcmV0"}]})";
  const auto authentication = [](const std::string& jwks) {
    return "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: "
           "r, namespace: shop}\nspec: {jwtRules: [{issuer: a, jwks: '" +
           jwks + "'}]}\n";
  };
  struct Row {
    std::string text;
    std::string reason;  // a part of it; "" where Envoy takes the configuration
  };
  for (const Row& row : std::vector<Row>{
           {Policy("to: [{operation: {paths: ['/a/{*}']}}]"), ""},
           {Policy("to: [{operation: {paths: ['{**}']}}]"), "path template"},
           {Policy("to: [{operation: {notPaths: ['/{**}/{*}']}}]"), "path template"},
           {Policy("to: [{operation: {paths: ['*']}}]"), ""},
           {Policy("when: [{key: 'request.headers[]', values: [a]}]"), "no name"},
           {authentication(good_keys), ""},
           {authentication(R"({"keys":[]})"), "invalid local jwks"},
           {authentication("nonsense"), "invalid local jwks"},
       }) {
    CAPTURE(row.text);
    const std::vector<LoadFailure> failures = Failures(row.text);
    CHECK(failures.empty() == row.reason.empty());
    if (failures.empty()) continue;
    CHECK(failures.size() == 1);
    CHECK_MESSAGE(failures[0].reason.find(row.reason) != std::string::npos, failures[0].reason);
    CHECK(failures[0].listener == "virtualInbound");
    REQUIRE(failures[0].origin.object != nullptr);
    CHECK(failures[0].origin.rule == 0);
  }
}

TEST_CASE("two chains with the same conditions") {
  ProxyConfig proxy;
  Listener listener;
  listener.name = "l";
  FilterChain chain;
  chain.filters = std::make_shared<const std::vector<NetworkFilter>>(
      std::vector<NetworkFilter>{TcpProxy{"c", {}}});
  chain.match.server_names = {"a", "b"};
  listener.filter_chains.push_back(chain);
  chain.match.server_names = {"c"};
  listener.filter_chains.push_back(chain);
  proxy.listeners.push_back(listener);
  CHECK(FindLoadFailures(proxy).empty());
  chain.match.server_names = {"d", "b"};
  proxy.listeners[0].filter_chains.push_back(chain);
  REQUIRE(FindLoadFailures(proxy).size() == 1);
  CHECK(FindLoadFailures(proxy)[0].listener == "l");
}

}  // namespace
}  // namespace meshproof::load_check_test

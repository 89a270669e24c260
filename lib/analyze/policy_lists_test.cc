#include "analyze/policy_lists.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "mesh/mesh_testing.h"

namespace meshproof::policy_lists_test {

TEST_CASE("what a TCP chain cannot hold is found with and without the lists") {
  std::vector<std::string> rules = {"{}"};
  for (const char* field :
       {"principals", "requestPrincipals", "namespaces", "serviceAccounts", "ipBlocks",
        "remoteIpBlocks", "notPrincipals", "notRequestPrincipals", "notNamespaces",
        "notServiceAccounts", "notIpBlocks", "notRemoteIpBlocks"}) {
    rules.push_back("{from: [{source: {" + std::string(field) + ": ['10.0.0.1']}}]}");
  }
  for (const char* field :
       {"hosts", "ports", "methods", "paths", "notHosts", "notPorts", "notMethods", "notPaths"}) {
    rules.push_back("{to: [{operation: {" + std::string(field) + ": ['80']}}]}");
  }
  for (const char* key : {"request.headers[x]", "source.ip", "remote.ip", "source.namespace",
                          "source.principal", "request.auth.principal", "request.auth.claims[a]",
                          "destination.ip", "destination.port", "connection.sni"}) {
    const std::string value = std::string(key).ends_with(".ip") ? "10.0.0.1" : "80";
    for (const char* list : {"values", "notValues"}) {
      rules.push_back("{when: [{key: '" + std::string(key) + "', " + list + ": ['" + value +
                      "']}]}");
    }
  }
  size_t http_only = 0;
  for (const std::string& text : rules) {
    CAPTURE(text);
    const auto mesh = MeshOf(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, "
        "namespace: shop}\nspec: {rules: [" +
        text + "]}\n");
    for (const AuthorizationPolicy& policy : mesh->model().authorization_policies) {
      const AuthorizationPolicy::Rule& rule = policy.rules.front();
      const std::vector<PolicyList> lists = ListsOf(rule);
      CHECK(HasHttpOnly(rule) == std::any_of(lists.begin(), lists.end(), IsHttpOnly));
      CHECK(lists.size() == (text == "{}" ? size_t{0} : size_t{1}));
      if (HasHttpOnly(rule)) ++http_only;
    }
  }
  CHECK(http_only >= 10);
}

}  // namespace meshproof::policy_lists_test

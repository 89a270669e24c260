// Pairs of policies and the filters that istiod compiles them into, from Istio's own tests.
#include <doctest/doctest.h>

#include <iostream>

#include "proxy/authz_pairs_testing.h"
#include "proxy/compile.h"
#include "proxy/emit.h"

namespace meshproof::authz_golden_test {
namespace {

std::vector<Json> FiltersOf(const ProxyConfig& proxy) {
  const Json emitted = EmitProxy(proxy);
  for (const Json& chain :
       (*emitted.Find("listeners")).as_array()[0].Find("filter_chains")->as_array()) {
    for (const Json& filter : chain.Find("filters")->as_array()) {
      const Json* http = FindPath(&filter, {"typed_config", "http_filters"});
      if (http == nullptr) continue;
      std::vector<Json> filters = http->as_array();
      filters.pop_back();  // the router
      return filters;
    }
  }
  return {};
}

TEST_CASE("policies become the filters of Istio's own tests") {
  if (!std::filesystem::exists(AuthzPairsDirectory())) {
    std::cout << "skipped: no pairs in " << AuthzPairsDirectory() << "\n";
    return;
  }
  for (const AuthzPair& pair : AuthzPairs()) {
    CAPTURE(pair.input);
    const auto mesh = AuthzMesh(pair);
    const Workload* workload = mesh->FindWorkload("foo", "httpbin");
    REQUIRE(workload != nullptr);
    REQUIRE(workload->mode == ProxyMode::kSidecar);
    const std::vector<Json> filters = FiltersOf(*Compiler(mesh).Compile(*workload));
    const std::vector<Json> expected = AuthzFilters(pair);
    REQUIRE(filters.size() == expected.size());
    for (size_t i = 0; i < filters.size(); ++i) {
      CAPTURE(pair.outputs[i]);
      const std::string difference = FirstDifference(SortKeys(expected[i]), SortKeys(filters[i]));
      if (!difference.empty()) FAIL_CHECK(difference.substr(0, 3000));
    }
  }
}

}  // namespace
}  // namespace meshproof::authz_golden_test

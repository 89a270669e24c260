// What policies compile to and the filters of Istio's own tests, read back as a config dump, are
// proved to decide every request alike.
#include <doctest/doctest.h>

#include <iostream>

#include "proxy/authz_pairs_testing.h"
#include "proxy/compile.h"
#include "proxy/dump.h"
#include "proxy/emit.h"
#include "reason/reason.h"

namespace meshproof::authz_equivalence_test {
namespace {

// The value with `filters` in front of the router of every HTTP connection manager.
Json WithFilters(const Json& value, const std::vector<Json>& filters) {
  if (value.is_array()) {
    Json out = Json::MakeArray();
    for (const Json& child : value.as_array()) out.Append(WithFilters(child, filters));
    return out;
  }
  if (!value.is_object()) return value;
  Json out = Json::MakeObject();
  for (const auto& [key, child] : value.as_object()) {
    if (key != "http_filters") {
      out.Set(key, WithFilters(child, filters));
      continue;
    }
    Json list = Json::MakeArray();
    for (const Json& filter : filters) list.Append(filter);
    list.Append(child.as_array().back());
    out.Set(key, std::move(list));
  }
  return out;
}

}  // namespace

TEST_CASE("reason: policies and the filters of Istio's own tests decide alike") {
  if (!std::filesystem::exists(AuthzPairsDirectory())) {
    std::cout << "skipped: no pairs in " << AuthzPairsDirectory() << "\n";
    return;
  }
  for (const AuthzPair& pair : AuthzPairs()) {
    CAPTURE(pair.input);
    const auto mesh = AuthzMesh(pair);
    const Workload* workload = mesh->FindWorkload("foo", "httpbin");
    REQUIRE(workload != nullptr);
    auto compare = [&](const std::vector<Json>& filters) {
      DumpReader reader;
      reader.AddText(
          "dump.json",
          WriteJson(WithFilters(EmitConfigDump(*Compiler(mesh).Compile(*workload)), filters)));
      Dumps dumps = reader.Finish(mesh);
      CHECK(dumps.diagnostics.empty());
      REQUIRE(dumps.proxies.size() == 1);
      World compiled(mesh), dumped(mesh, {dumps.proxies[0].config});
      Reasoner before(compiled), after(dumped);
      Comparison comparison = Reasoner::Compare(before, *workload, after, *workload, 8080);
      CAPTURE(comparison.reason);
      CHECK(before.unconfirmed() + after.unconfirmed() == 0);
      CHECK(comparison.complete);
      return comparison;
    };
    Comparison same = compare(AuthzFilters(pair));
    CHECK(same.newly_allowed.empty());
    CHECK(same.newly_refused.empty());
    // Without the filters something is let in, or nothing was refused to begin with.
    Comparison without = compare({});
    CHECK(without.newly_refused.empty());
    CHECK(without.newly_allowed.empty() == (std::string(pair.input) == "allow-empty-rule-in.yaml"));
  }
}

}  // namespace meshproof::authz_equivalence_test

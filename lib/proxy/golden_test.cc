// What istiod pushed to recorded proxies against what meshproof compiles for them.
#include <doctest/doctest.h>

#include <iostream>

#include "proxy/compile.h"
#include "proxy/emit.h"
#include "proxy/proxy_testing.h"

namespace meshproof {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> SortedEntries(const fs::path& directory) {
  std::vector<fs::path> entries;
  if (!fs::exists(directory)) return entries;
  for (const auto& entry : fs::directory_iterator(directory)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

Json ReadJson(const fs::path& path) {
  Result<Json> parsed = ParseJson(ReadTestFile(path));
  REQUIRE_MESSAGE(parsed.ok(), path.string());
  return parsed.Take();
}

// Compares the listeners of a recording that are computed here.
void Compare(const Compiler& compiler, const Json& recorded, const std::string& label) {
  CAPTURE(label);
  const Workload* workload = compiler.mesh().FindWorkload(TextOf(recorded.Find("namespace")),
                                                          TextOf(recorded.Find("workload")));
  REQUIRE(workload != nullptr);
  REQUIRE((workload->mode == ProxyMode::kSidecar || workload->mode == ProxyMode::kGateway));
  const auto proxy = compiler.Compile(*workload);
  const Json got = Canonical::Proxy(EmitProxy(*proxy));
  const std::string difference = FirstDifference(Canonical::Proxy(recorded), got);
  if (!difference.empty()) FAIL_CHECK(difference.substr(0, 3000));
  CHECK(proxy->load_failures.empty());
}

TEST_CASE("every recorded proxy of a sidecar mesh is compiled as istiod did") {
  int proxies = 0;
  for (const fs::path& directory : SortedEntries(fs::path(MESHPROOF_ROOT) / "testdata/istiod")) {
    if (!fs::exists(directory / "mesh.yaml")) continue;
    const Compiler compiler(TestMesh(ReadTestFile(directory / "mesh.yaml")));
    for (const fs::path& file : SortedEntries(directory / "config")) {
      if (file.extension() != ".json") continue;
      Compare(compiler, ReadJson(file),
              directory.filename().string() + "/" + file.filename().string());
      ++proxies;
    }
  }
  CHECK(proxies == 250);
}

// A recording without the listeners that only ambient traffic reaches.
Json WithoutTunnels(const Json& recorded) {
  Json listeners = Json::MakeArray();
  for (const Json& listener : recorded.Find("listeners")->as_array()) {
    if (TextOf(listener.Find("name")) != "main_internal") listeners.Append(listener);
  }
  Json out = CopyWithout(recorded, {"listeners"});
  out.Set("listeners", std::move(listeners));
  return out;
}

TEST_CASE("sidecars and classic gateways of recorded ambient meshes too") {
  const fs::path root = SharedDirectory() / "golden/ambient";
  if (!fs::exists(root)) {
    std::cout << "skipped: no recorded ambient meshes in " << root << "\n";
    return;
  }
  int proxies = 0;
  for (const fs::path& directory : SortedEntries(root)) {
    if (!fs::exists(directory / "mesh.yaml")) continue;
    const Compiler compiler(TestMesh(ReadTestFile(directory / "mesh.yaml")));
    for (const fs::path& file : SortedEntries(directory / "config")) {
      const Json recorded = ReadJson(file);
      const std::string mode = TextOf(recorded.Find("mode"));
      const std::string workload = TextOf(recorded.Find("workload"));
      // Gateways of the Gateway API are not modelled.
      if (mode != "sidecar" && workload != "istio-ingressgateway") continue;
      Compare(compiler, WithoutTunnels(recorded),
              directory.filename().string() + "/" + file.filename().string());
      ++proxies;
    }
  }
  CHECK(proxies > 50);
}

}  // namespace
}  // namespace meshproof

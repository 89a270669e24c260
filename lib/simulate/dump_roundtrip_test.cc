// What is compiled, written as a config dump and read back answers every recorded case as the
// compiled configuration does: verdict, details and deciding rule.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "proxy/dump.h"
#include "proxy/emit.h"
#include "simulate/meshtest.h"
#include "source/source.h"

namespace meshproof::dump_roundtrip_test {
namespace {

namespace fs = std::filesystem;

fs::path Shared() {
  if (const char* given = std::getenv("MESHPROOF_SHARED")) return given;
  return fs::path(MESHPROOF_ROOT).parent_path() / "shared";
}

std::vector<fs::path> MeshTests(const fs::path& root) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (IsMeshTestName(entry.path().filename().string())) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::shared_ptr<const Mesh> LoadMesh(const MeshTestFile& test, const fs::path& path) {
  std::vector<std::string> paths;
  ModelOptions options;
  for (const auto& source : test.mesh) {
    std::string full = source.path;
    if (!fs::exists(full)) full = (path.parent_path() / source.path).string();
    paths.push_back(full);
    if (!source.ns.empty()) options.path_namespaces.emplace_back(full + "/**", source.ns);
    if (!source.ns.empty()) options.path_namespaces.emplace_back(full, source.ns);
  }
  auto load = LoadPaths(paths, RealFileSystem());
  if (!load.ok()) return nullptr;
  return Mesh::Build(DecodeModel(load.Take(), options));
}

// Every proxy of the mesh by way of its dump.
std::vector<std::shared_ptr<const ProxyConfig>> Dumped(const std::shared_ptr<const Mesh>& mesh) {
  Compiler compiler(mesh);
  DumpReader reader;
  for (const auto& workload : mesh->workloads()) {
    if (workload.mode == ProxyMode::kNone || workload.mode == ProxyMode::kAmbient) continue;
    // A proxy that refuses its configuration has none to dump.
    auto proxy = compiler.Compile(workload);
    if (!proxy->load_failures.empty() || !proxy->unmodelled.empty()) continue;
    reader.AddText(workload.ns + "." + workload.name + ".json", WriteJson(EmitConfigDump(*proxy)));
  }
  Dumps dumps = reader.Finish(mesh);
  CHECK(dumps.diagnostics.empty());
  std::vector<std::shared_ptr<const ProxyConfig>> proxies;
  for (const auto& proxy : dumps.proxies) {
    CHECK_MESSAGE(proxy.opaque.empty(), proxy.opaque.front().what);
    proxies.push_back(proxy.config);
  }
  return proxies;
}

TEST_CASE("compiled, dumped and read back") {
  if (!fs::exists(Shared())) {
    MESSAGE("no shared data: skipped");
    return;
  }
  int cases = 0, sources = 0;
  for (const fs::path& root : {Shared() / "conformance", Shared() / "golden" / "istiod",
                               fs::path(MESHPROOF_ROOT) / "testdata" / "ambient-recorded"}) {
    if (!fs::exists(root)) continue;
    for (const fs::path& path : MeshTests(root)) {
      auto text = RealFileSystem().Read(path.string());
      REQUIRE(text.ok());
      ParsedFile parsed = ParseText(path.string(), text.Take());
      MeshTestFile test = DecodeMeshTest(parsed, RealFileSystem());
      auto mesh = LoadMesh(test, path);
      if (mesh == nullptr) continue;
      World compiled(mesh);
      auto proxies = Dumped(mesh);
      if (proxies.empty()) continue;
      World dumped(mesh, proxies);
      ++sources;
      for (const auto& entry : test.cases) {
        if (!entry.errors.empty()) continue;
        CAPTURE(path.string());
        CAPTURE(entry.question.name);
        auto expected = compiled.Run(entry.question, World::Addresses::kAssume, Detail::kVerdict);
        auto got = dumped.Run(entry.question, World::Addresses::kAssume, Detail::kVerdict);
        REQUIRE(expected.ok() == got.ok());
        if (!expected.ok()) continue;
        const Verdict& a = expected.value();
        const Verdict& b = got.value();
        // Whether a key set is not known is said in other words.
        CHECK(a.outcome == b.outcome);
        CHECK(a.status == b.status);
        CHECK(a.details == b.details);
        CHECK(a.flags == b.flags);
        CHECK(a.stage == b.stage);
        CHECK(a.decided_by.object == b.decided_by.object);
        CHECK(a.decided_by.rule == b.decided_by.rule);
        ++cases;
      }
    }
  }
  MESSAGE(cases << " cases of " << sources << " meshes");
  CHECK(cases > 500);
}

}  // namespace
}  // namespace meshproof::dump_roundtrip_test

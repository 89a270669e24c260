// Dumps as the input of commands: recorded proxies answer from their dump alone, and from what
// istioctl prints of it, as the real Envoy answered.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "app/memory_files.h"
#include "base/json.h"

namespace meshproof {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

fs::path DumpsFolder() {
  return fs::path(MESHPROOF_ROOT) / "testdata" / "dumps";
}

// A recorded proxy's folder in memory.
MemoryFiles FilesOf(const fs::path& folder) {
  MemoryFiles files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files.Put("d/" + entry.path().filename().string(), ReadAll(entry.path()));
  }
  return files;
}

int64_t CountOf(const Ran& ran, const char* key) {
  auto report = ParseJson(ran.out);
  REQUIRE_MESSAGE(report.ok(), ran.err);
  const Json* summary = report.value().Find("summary");
  REQUIRE(summary != nullptr);
  const Json* count = summary->Find(key);
  REQUIRE(count != nullptr);
  return count->as_integer();
}

TEST_CASE("recorded proxies answer from their dump alone") {
  int proxies = 0;
  int64_t passed = 0;
  for (const auto& entry : fs::directory_iterator(DumpsFolder())) {
    CAPTURE(entry.path().filename().string());
    MemoryFiles files = FilesOf(entry.path());
    Ran ran = Run({"test", "d/cases.meshtest.yaml", "--format", "json"}, files);
    CHECK_MESSAGE(ran.status == 0, Run({"test", "d/cases.meshtest.yaml"}, files).out);
    passed += CountOf(ran, "passed");

    std::string cases = ReadAll(entry.path() / "cases.meshtest.yaml");
    const std::string whole = "- config_dump.json\n";
    size_t at = cases.find(whole);
    REQUIRE(at != std::string::npos);
    cases.replace(at, whole.size(),
                  "- istioctl-bootstrap.json\n- istioctl-listeners.json\n- istioctl-routes.json\n"
                  "- istioctl-clusters.json\n- istioctl-secret.json\n");
    files.Put("d/parts.meshtest.yaml", cases);
    Ran parts = Run({"test", "d/parts.meshtest.yaml", "--format", "json"}, files);
    CHECK_MESSAGE(parts.status == 0, Run({"test", "d/parts.meshtest.yaml"}, files).out);
    CHECK(CountOf(parts, "passed") == CountOf(ran, "passed"));
    ++proxies;
  }
  CHECK(proxies == 12);
  CHECK(passed == 232);
}

TEST_CASE("can --dump names policies by their keys, and the manifest's line where it is given") {
  MemoryFiles files = FilesOf(DumpsFolder() / "022-shop.front");
  Ran ran =
      Run({"can", "--dump", "d/config_dump.json", "--from", "outside", "--to", "shop/front:8080",
           "--path", "/nothing", "--source-ip", "203.0.113.9", "--format", "json"},
          files);
  INFO(ran.err);
  CHECK((ran.status == 0 || ran.status == 1 || ran.status == 3));
  CHECK(ParseJson(ran.out).ok());
  // A PATH that is a dump does the same.
  Ran path = Run({"can", "d/config_dump.json", "--from", "outside", "--to", "shop/front:8080",
                  "--path", "/nothing", "--source-ip", "203.0.113.9", "--format", "json"},
                 files);
  CHECK(path.status == ran.status);
  CHECK(path.out == ran.out);
}

TEST_CASE("dumps that cannot be used") {
  MemoryFiles files;
  files.Put("a.json", "{}");
  files.Put("cut.json", R"({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.)");
  for (const char* name : {"a.json", "cut.json", "missing.json"}) {
    CAPTURE(name);
    Ran ran = Run({"can", "--dump", name, "--from", "outside", "--to", "shop/front:80"}, files);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK_FALSE(ran.err.empty());
  }
}

}  // namespace
}  // namespace meshproof

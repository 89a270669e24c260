// Configurations are the same where what is emitted of them is.
#include "proxy/same_config.h"

#include <doctest/doctest.h>

#include "base/text.h"
#include "proxy/compile.h"
#include "proxy/emit.h"
#include "proxy/proxy_testing.h"

namespace meshproof::same_config_test {
namespace {

// The mesh without its `left_out`th document.
std::string Without(const std::vector<std::string>& documents, size_t left_out) {
  std::string text;
  for (size_t i = 0; i < documents.size(); ++i) {
    if (i != left_out) text += "---\n" + documents[i];
  }
  return text;
}

std::vector<std::string> Documents(const std::string& text) {
  std::vector<std::string> documents;
  for (size_t at = 0; at != std::string::npos;) {
    size_t end = text.find("\n---\n", at);
    documents.push_back(text.substr(at, end == std::string::npos ? end : end + 1 - at));
    at = end == std::string::npos ? end : end + 5;
  }
  return documents;
}

}  // namespace

TEST_CASE("configurations of one mesh and of the mesh without one of its objects") {
  size_t same = 0, different = 0;
  for (const char* number : {"000", "022", "031"}) {
    const std::filesystem::path file =
        std::filesystem::path(MESHPROOF_ROOT) / "testdata/istiod" / number / "mesh.yaml";
    const std::vector<std::string> documents = Documents(ReadTestFile(file));
    REQUIRE(documents.size() > 10);
    const Compiler whole(TestMesh(Without(documents, documents.size())));
    for (size_t left_out = 0; left_out <= documents.size(); ++left_out) {
      const Compiler rest(TestMesh(Without(documents, left_out)));
      for (const Workload& workload : whole.mesh().workloads()) {
        const Workload* other = rest.mesh().FindWorkload(workload.ns, workload.name);
        if (other == nullptr || other->mode != workload.mode) continue;
        if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kGateway) continue;
        const auto a = whole.Compile(workload), b = rest.Compile(*other);
        const bool equal = WriteJson(EmitProxy(*a)) == WriteJson(EmitProxy(*b));
        CAPTURE(file.string());
        CAPTURE(left_out < documents.size() ? documents[left_out] : "nothing");
        CHECK(SameConfig(*a, *b) == equal);
        ++(equal ? same : different);
      }
    }
  }
  CHECK(same > 200);
  CHECK(different > 50);
}

}  // namespace meshproof::same_config_test

// Any bytes as manifests: every proxy compiles and is written, and nothing crashes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "proxy/compile.h"
#include "proxy/emit.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace meshproof;
  Load load;
  load.files.push_back(ParseText("fuzz.yaml", std::string(data, data + size)));
  ModelOptions options;
  options.keep_invalid = true;
  options.threads = 1;
  const auto mesh = Mesh::Build(DecodeModel(std::move(load), options));
  const Compiler compiler(mesh);
  for (const Workload& workload : mesh->workloads()) {
    if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kGateway) continue;
    const Json emitted = EmitProxy(*compiler.Compile(workload));
    if (WriteYaml(emitted).empty() || !ParseJson(WriteJson(emitted)).ok()) std::abort();
  }
  return 0;
}

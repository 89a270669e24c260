// Any bytes as a dump: it is read and listed, and nothing crashes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "proxy/dump_list.h"
#include "proxy/emit.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace meshproof;
  DumpReader reader;
  reader.AddText("fuzz.json", std::string(data, data + size));
  const Dumps dumps = reader.Finish();
  for (const auto& proxy : dumps.proxies) {
    if (!ParseJson(WriteJson(ListProxy(proxy))).ok()) std::abort();
    if (!ParseJson(WriteJson(EmitProxy(*proxy.config))).ok()) std::abort();
  }
  for (const auto& ztunnel : dumps.ztunnels) {
    if (!ParseJson(WriteJson(ListZtunnel(ztunnel))).ok()) std::abort();
  }
  return 0;
}

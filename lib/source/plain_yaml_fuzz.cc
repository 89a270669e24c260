#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "source/plain_yaml_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  meshproof::PlainYamlComparison comparison;
  meshproof::PlainYamlCount count;
  std::string text(reinterpret_cast<const char*>(data), size);
  MESHPROOF_CHECK(comparison.Compare(text, &count) == "");
  return 0;
}

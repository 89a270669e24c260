#include <cstddef>
#include <cstdint>
#include <string>

#include "source/fuzz_check.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  meshproof::CheckReading(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}

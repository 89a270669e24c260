#include <cstddef>
#include <cstdint>
#include <string>

#include "source/fuzz_check.h"

// A bracket in front sends everything through the JSON reader first, and through the YAML reader
// where it is none.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  meshproof::CheckReading(text);
  meshproof::CheckReading("[" + text + "]");
  return 0;
}

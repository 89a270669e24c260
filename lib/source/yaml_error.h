#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace meshproof {

// The collection that was being read when an error was met.
struct OpenCollection {
  bool exists = false;
  bool mapping = false;
  bool flow = false;
  uint32_t begin = 0;
  int line = 0;
};

struct YamlError {
  uint32_t at = 0;
  std::string message;
  std::string help;
};

// Says yaml-cpp's `message` (its texts of version 0.7) at `at` in the terms of somebody who writes
// manifests. `text` ends where the document ends; before `read` everything has been understood.
YamlError ExplainYamlError(std::string_view message, std::string_view text, uint32_t at,
                           uint32_t read, const OpenCollection& open);

}  // namespace meshproof

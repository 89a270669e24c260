// Any bytes as a log, and as a log format in front of one: the reader ends, and reads alike twice.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "source/access_log.h"

namespace {

using namespace meshproof;

std::string ReadAll(LogReader reader, std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t end = text.find('\n');
    const LogLine& line = reader.Read(text.substr(0, end));
    out += std::to_string(static_cast<int>(line.kind));
    for (std::string_view field : line.fields) {
      out += '|';
      out += field;
    }
    for (const auto& [name, value] : line.headers) {
      out += name;
      out += value;
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  MESHPROOF_CHECK(ReadAll(LogReader(), text) == ReadAll(LogReader(), text));
  size_t end = text.find('\n');
  if (end == std::string_view::npos) return 0;
  auto format = LogFormat::Parse(text.substr(0, end));
  if (format.ok()) ReadAll(LogReader(format.Take()), text.substr(end + 1));
  return 0;
}

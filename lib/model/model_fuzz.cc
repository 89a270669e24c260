// Any bytes as a file: decoding ends, and decoding again says the same.

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "model/model.h"

namespace meshproof {
namespace {

std::string Run(const std::string& text, bool keep_invalid, unsigned threads) {
  Load load;
  load.files.push_back(ParseText("fuzz.yaml", text));
  ModelOptions options;
  options.keep_invalid = keep_invalid;
  options.threads = threads;
  auto model = DecodeModel(std::move(load), options);
  std::string said;
  for (const Diagnostic& diagnostic : model->diagnostics) {
    if (diagnostic.span) {
      MESHPROOF_CHECK(diagnostic.span.begin <= diagnostic.span.end);
      MESHPROOF_CHECK(diagnostic.span.end <= diagnostic.span.file->text().size());
    }
    said += ToString(diagnostic) + "\n";
  }
  return said;
}

}  // namespace
}  // namespace meshproof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  std::string once = meshproof::Run(text, false, 1);
  MESHPROOF_CHECK(once == meshproof::Run(text, false, 2));
  meshproof::Run(text, true, 1);
  return 0;
}

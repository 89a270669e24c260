// Paths and path templates of any bytes: nothing crashes, and the facts that hold for every path
// do.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/text.h"
#include "match/path.h"

namespace meshproof {
namespace {

void CheckNormalization(std::string_view path, const PathOptions& options) {
  NormalizedPath once = NormalizePath(path, options);
  if (once.outcome == NormalizedPath::Outcome::kReject) return;
  MESHPROOF_CHECK(once.path.find('#') == std::string::npos);
  std::string_view before = std::string_view(once.path).substr(0, once.path.find('?'));
  if (options.normalize) {
    MESHPROOF_CHECK(before.starts_with('/'));
    MESHPROOF_CHECK(before.find('\\') == std::string_view::npos);
    for (std::string_view segment : Split(before, '/')) {
      MESHPROOF_CHECK(segment != "." && segment != "..");
    }
  }
  if (options.merge_slashes) {
    MESHPROOF_CHECK(before == "//" || before.find("//") == std::string_view::npos);
  }
  // `%2e%2e;x` becomes `..;x` at first and `..` only the second time: Envoy's own gap.
  if (before.find(".;") != std::string_view::npos) return;
  NormalizedPath twice = NormalizePath(once.path, options);
  MESHPROOF_CHECK(twice.outcome == NormalizedPath::Outcome::kOk);
  MESHPROOF_CHECK(twice.path == once.path);
}

}  // namespace
}  // namespace meshproof

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace meshproof;
  if (size < 1 || size > 2048) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  PathOptions options;
  options.normalize = (data[0] & 1) != 0;
  options.merge_slashes = (data[0] & 2) != 0;
  options.escaped_slashes = static_cast<EscapedSlashes>(data[0] >> 2 & 3);
  CheckNormalization(text, options);

  size_t cut = text.find('\n');
  auto regex = CompilePathTemplate(text.substr(0, cut));
  if (!regex.ok()) {
    MESHPROOF_CHECK(!regex.error().message.empty());
  } else if (cut != std::string_view::npos) {
    std::string_view path = text.substr(cut + 1);
    MESHPROOF_CHECK(!regex.value().FullMatch(path) || path.starts_with('/'));
  }
  return 0;
}

#include "analyze/istio_version.h"

#include "base/text.h"

namespace meshproof {

bool IsOlderThan(const Analysis& analysis, unsigned minor) {
  std::vector<std::string_view> parts = Split(analysis.istio_version, '.');
  if (parts.size() < 2) return false;
  auto stated_major = ParseUnsigned(parts[0]);
  auto stated_minor = ParseUnsigned(parts[1]);
  return stated_major && stated_minor && *stated_major == 1 && *stated_minor < minor;
}

}  // namespace meshproof

#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace meshproof {

void CheckFailed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "meshproof: bug at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace meshproof

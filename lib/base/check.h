#pragma once

namespace meshproof {

// Ends the process after printing where a bug of meshproof itself was met. Never used for input.
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace meshproof

#define MESHPROOF_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::meshproof::CheckFailed(#condition, __FILE__, __LINE__))

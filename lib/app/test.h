#pragma once

#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof test`: policy unit tests.
struct TestOptions {
  InputOptions input;
  std::string format = "text";
  bool coverage = false;
};

Exit RunTest(const TestOptions& options, const Host& host);

}  // namespace meshproof

#pragma once

#include <optional>
#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof test`: policy unit tests.
struct TestOptions {
  InputOptions input;
  std::string format = "text";
  bool coverage = false;
  std::optional<std::string> record;  // a log to draft tests from, in place of running any
  std::optional<std::string> log_format, workload;
};

Exit RunTest(const TestOptions& options, const Host& host);

}  // namespace meshproof

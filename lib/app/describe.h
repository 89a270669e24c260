#pragma once

#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof describe`: one workload's security on one screen.
struct DescribeOptions {
  InputOptions input;
  std::string workload;
  std::string format = "text";
};

Exit RunDescribe(const DescribeOptions& options, const Host& host);

}  // namespace meshproof

#pragma once

#include <optional>
#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof compile`: the security configuration that istiod would push to one proxy.
struct CompileOptions {
  InputOptions input;
  std::string workload;
  std::optional<std::string> from_dump;  // normalise what this dump holds
  std::string format = "yaml";
};

Exit RunCompile(const CompileOptions& options, const Host& host);

}  // namespace meshproof

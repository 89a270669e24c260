#pragma once

#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof prove INVARIANTS.yaml [PATH...]`: does the mesh keep its promises, over all requests?
struct ProveOptions {
  InputOptions input;
  std::string invariants;
  std::string format = "text";
};

Exit RunProve(const ProveOptions& options, const Host& host);

}  // namespace meshproof

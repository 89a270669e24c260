#pragma once

#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof graph`: the effective-policy graph, of the whole mesh or around one workload.
struct GraphOptions {
  InputOptions input;  // the first of `paths` may be a WORKLOAD
  std::string format = "dot";
};

Exit RunGraph(const GraphOptions& options, const Host& host);

}  // namespace meshproof

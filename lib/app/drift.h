#pragma once

#include <optional>
#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof drift`: is each proxy running what the manifests say?
struct DriftOptions {
  InputOptions input;
  std::optional<std::string> now;
  std::string format = "text";
};

Exit RunDrift(const DriftOptions& options, const Host& host);

}  // namespace meshproof

#pragma once

#include <optional>
#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof cert`: are these certificates good for what they are used for?
struct CertOptions {
  InputOptions input;
  std::optional<std::string> root, workload, now;
  std::string format = "text";
};

Exit RunCert(const CertOptions& options, const Host& host);

}  // namespace meshproof

#pragma once

#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof diff OLD NEW`: which requests a change lets in, and which it shuts out.
struct DiffOptions {
  InputOptions input;  // `paths` stays empty
  std::string old_path, new_path;
  bool fail_on_new_access = false;
  std::string format = "text";
};

Exit RunDiff(const DiffOptions& options, const Host& host);

}  // namespace meshproof

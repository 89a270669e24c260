#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/host.h"
#include "app/input.h"
#include "reason/reason.h"

namespace meshproof {

// `meshproof exposure [WORKLOAD]`, `who-can METHOD HOST/PATH`, `what-can WORKLOAD|--as IDENTITY`.
struct AccessOptions {
  enum class Question { kExposure, kWhoCan, kWhatCan };
  Question question = Question::kExposure;
  InputOptions input;             // exposure, what-can: the first of `paths` may be a WORKLOAD
  std::string method, target;     // who-can
  std::optional<std::string> as;  // what-can
  std::string format = "text";
};

Exit RunAccess(const AccessOptions& options, const Host& host);

// The settings' budget, where it names one.
Budget BudgetOf(const Settings& settings);

}  // namespace meshproof

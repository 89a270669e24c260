#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/host.h"
#include "app/input.h"
#include "source/access_log.h"

namespace meshproof {

// `meshproof explain-log`: what does each refused or failed line of a log mean?
struct ExplainLogOptions {
  InputOptions input;  // PATHs that are logs by their content are read as such
  std::string log;
  std::optional<std::string> log_format, workload;
  std::string format = "text";
};
Exit RunExplainLog(const ExplainLogOptions& options, const Host& host);

// `meshproof replay`: what would other policies have answered?
struct ReplayOptions {
  InputOptions input;
  std::string log;
  std::vector<std::string> against;
  std::optional<std::string> log_format, workload;
  std::string format = "text";
};
Exit RunReplay(const ReplayOptions& options, const Host& host);

// `meshproof test --record LOG`: policy tests drafted from a log, on standard output.
struct RecordOptions {
  InputOptions input;
  std::string log;
  std::optional<std::string> log_format, workload;
};
Exit RunRecord(const RecordOptions& options, const Host& host);

}  // namespace meshproof

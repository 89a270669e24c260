#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "report/style.h"
#include "simulate/explain_log.h"
#include "simulate/replay.h"

namespace meshproof {

struct LogFileReport {
  std::string file;
  LogSummary summary;
};

std::string LogReportText(const std::vector<LogFileReport>& files, const Style& style = {});
Json LogReportJson(const std::vector<LogFileReport>& files);

std::string ReplayText(const std::string& file, const ReplaySummary& summary,
                       const Style& style = {});
Json ReplayJson(const ReplaySummary& summary);

}  // namespace meshproof

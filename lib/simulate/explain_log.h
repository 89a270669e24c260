#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "simulate/case.h"
#include "simulate/log_request.h"
#include "source/access_log.h"

namespace meshproof {

// Why one line says what it says.
struct LogExplanation {
  int status = 0;
  std::string flags = "-", details;
  std::string sentence;  // what happened and why
  std::string fix;       // what would let the request through; "" = nothing of the mesh's would
  Origin origin;         // the object that did it; null: none, or not in the input
};

// Lines that say the same of like requests.
struct LogGroup {
  size_t count = 0;
  size_t first_line = 0;  // 1-based
  LogRecord first;
  LogExplanation explanation;
};

// All lines of a log, by what became of them.
struct LogSummary {
  std::vector<LogGroup> groups;  // most frequent first, then by first line
  size_t lines = 0;
  size_t passed = 0;      // requests and connections that nothing stood in the way of
  size_t others = 0;      // lines that are not about a request
  size_t unreadable = 0;  // access log lines that are cut off or damaged
  size_t first_unreadable = 0;
};

// Explains one line that was not passed. `world` may be null: then no object can be named. `at`,
// where not null, is whose log it is.
LogExplanation ExplainLine(const World* world, const Workload* at, const LogRecord& record);

// Groups the lines of a log as they come, at some hundred thousand a second, and explains each
// group once. Which lines are alike: same answer, same proxy, same method and host; the path may
// differ.
class LogExplainer {
 public:
  LogExplainer() = default;
  void Add(const LogLine& line, size_t number);
  LogSummary Finish(const World* world, const Workload* at);

 private:
  LogSummary summary_;
  std::string key_;
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> index_;
};

}  // namespace meshproof

#pragma once

#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "simulate/case.h"
#include "simulate/log_request.h"
#include "source/access_log.h"

namespace meshproof {

// What one logged request would get.
struct ReplayAnswer {
  LoggedRequest request;
  LoggedAnswer was;  // as logged, or as the policies before would answer
  Verdict would;     // with trace
  bool changed = false;
  std::string undecided;             // why nothing can be said; "" = something can
  std::vector<std::string> assumed;  // what the log does not hold and decides
};

// Worlds may be the same mesh before and after a change.
struct ReplayWorlds {
  const World* before = nullptr;  // null: the log itself says how requests ended
  const World* after = nullptr;
  const Workload* at = nullptr;  // of `after`: whose log it is; null: the lines tell
  std::map<std::string, ExtAuthzAnswer> ext_authz;  // what authorizers answer, where it is known
};
ReplayAnswer Replay(const ReplayWorlds& worlds, const LogRecord& record);
// The same for a ztunnel's line, which is of a connection.
ReplayAnswer ReplayConnection(const ReplayWorlds& worlds, const LogRecord& record);

struct ReplayChange {
  size_t count = 0;
  size_t first_line = 0;
  Case request;
  LoggedAnswer was;
  Verdict would;
};

struct ReplayUndecided {
  size_t count = 0;
  size_t first_line = 0;
  std::string reason;
};

struct ReplaySummary {
  std::vector<ReplayChange> changes;       // most frequent first, then by first line
  std::vector<ReplayUndecided> undecided;  // the same
  size_t lines = 0, requests = 0, same = 0;
  size_t others = 0, unreadable = 0, first_unreadable = 0;
};

// Collects the requests of a log, each distinct one once, then asks them all.
class Replayer {
 public:
  void Add(const LogLine& line, size_t number);
  // Of a connection that the ztunnels of both ends logged, the destination's line counts: the
  // caller's becomes one of the others. To be called once, when all lines are added.
  void CountConnectionsOnce();
  ReplaySummary Finish(const ReplayWorlds& worlds);

  struct Request {
    LogRecord record;
    size_t count = 0;  // 0: all of them were logged by the other end too
    size_t first_line = 0;
  };
  // In the order in which they were first met.
  const std::vector<Request>& requests() const { return requests_; }
  const ReplaySummary& counts() const { return summary_; }

 private:
  void MakeKey(const LogLine& line);

  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  ReplaySummary summary_;
  std::string key_;
  std::vector<Request> requests_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> index_;
};

}  // namespace meshproof

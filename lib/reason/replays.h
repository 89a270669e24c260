#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/result.h"
#include "simulate/case.h"

namespace meshproof {

// Has the simulator judge requests, each once: questions about one port show the same requests
// again and again. What it said is remembered of the ports that were asked about last. Thread-safe.
class Replays {
 public:
  explicit Replays(const World& world) : world_(world) {}

  struct Replay {
    // Of requests that are the same but for the workload that they go to; 0: not known.
    uint64_t number = 0;
    std::shared_ptr<const Verdict> verdict;
  };
  // `request` goes to `port` of `workload`, or to a Service that leads there.
  Result<Replay> Run(const Case& request, const Workload& workload, int port);
  // The same for a request that has a number.
  Result<Replay> RunAgain(const Case& request, uint64_t number, const Workload& workload, int port);

 private:
  using Port = std::pair<const Workload*, int>;
  struct Known {
    std::unordered_map<std::string, Replay> by_text;
    std::unordered_map<uint64_t, std::shared_ptr<const Verdict>> by_number;
  };

  Known& KnownOf(const Port& port);

  const World& world_;
  std::mutex mutex_;
  std::list<std::pair<Port, Known>> known_;  // the last one first
  uint64_t last_number_ = 0;
};

}  // namespace meshproof

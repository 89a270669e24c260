#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/memory.h"
#include "reason/ambient.h"
#include "reason/proxy_key.h"
#include "reason/reason.h"
#include "reason/session.h"

namespace meshproof {

inline std::string SpentReason() {
  return "the budget of nodes or seconds is spent";
}

struct Reasoner::Impl {
  Impl(const World& w, const Budget& b) : world(w), budget(b), callers(w.mesh()) {}

  PortModel::Side SideOf(const Workload& workload, int port, const Door& door) const {
    PortModel::Side side{&world, &workload, port, door, nullptr, &callers, &classes};
    if (workload.mode == ProxyMode::kAmbient) side.ztunnel = &ztunnels.Of(world, workload);
    return side;
  }

  // The questions about one door.
  Answer FindAt(const PortModel::Side& at, const Region& region, Wanted wanted) const;
  std::vector<RuleStatus> StatusesAt(const PortModel::Side& at) const;
  Exposure ExposureAt(const PortModel::Side& at, const Region& within) const;
  static Comparison CompareAt(const Impl& before, const PortModel::Side& old_side,
                              const Impl& after, const PortModel::Side& new_side, size_t limit);

  // Runs a point's request. Nothing: it cannot be sent, or the verdict is another one.
  std::optional<Example> Confirm(Session* session, const Space::Point& point, size_t side,
                                 const World& at, Authorizers answers, bool refused) const;
  std::string UnconfirmedReason() const;

  // The answer for requests that were found for sure, of which no place is empty. Without the words
  // for them.
  Answer Show(Session* session, const Session::Places& sure, size_t side, Authorizers answers,
              bool refused) const;

  static Comparison CompareAnew(const Impl& before, const Workload& old_workload, const Impl& after,
                                const Workload& new_workload, int port, size_t limit);

  // The same request to another workload, judged there; false where the verdict is another kind.
  bool Readdress(const Workload& workload, int port, std::optional<Example>* example) const;

  const World& world;
  const uint64_t number = NextNumber();  // tells one from another that stood at its place
  Budget budget;
  Callers callers;
  mutable ClassMemory classes;
  ZtunnelProxies ztunnels;
  mutable std::atomic<size_t> unconfirmed{0};
  mutable std::mutex unconfirmed_mutex;
  mutable std::string last_unconfirmed;  // for people

  // What was answered for proxies that say the same.
  mutable Memory<Answer> known_answers;
  mutable Memory<std::vector<RuleStatus>> known_statuses;
  mutable Memory<Exposure> known_exposures;
  mutable Memory<Comparison> known_comparisons;
  mutable ProxyKeys keys;

 private:
  static uint64_t NextNumber() {
    static std::atomic<uint64_t> last{0};
    return ++last;
  }
};

}  // namespace meshproof

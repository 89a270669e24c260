#pragma once

#include <atomic>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/memory.h"
#include "reason/ambient.h"
#include "reason/proxy_key.h"
#include "reason/reason.h"
#include "reason/replays.h"
#include "reason/session.h"

namespace meshproof {

inline std::string SpentReason() {
  return "the budget of nodes or seconds is spent";
}

// A port's model and what is always asked of callers: a token, a certificate. Without a region of
// its own it is kept between the questions about one port.
struct OpenPort {
  // `own`: may be none; may ask anything.
  OpenPort(const PortModel::Side& at, const Budget& budget, const Region* own);

  // The rules and `sets`, cut into slices; until the next call. To be called only where `built`.
  // `within`: one of them, beside which nothing is asked about.
  Session& SessionFor(const std::vector<Expr>& sets, std::optional<Expr> within = std::nullopt);

  Budget budget;
  PortModel model;
  Expr token = kNever, certificate = kNever;
  Expr region = kAlways;
  std::map<std::string, Expr> issuers;
  bool built = false;
  std::string reason;  // where not

 private:
  bool has_region_;
  std::unique_ptr<Session> rules_, other_;
};

// Whether the model of an open port knows all that a region asks about: PortModel::RegionOf may
// then be called although it is built.
bool AsksOnlyOfRules(const Region& region);

// The last ports that questions were about. Each is in one thread's hands at a time.
class OpenPorts {
 public:
  using Key = std::tuple<const Workload*, int, const MeshService*, const MeshServicePort*>;
  std::unique_ptr<OpenPort> Take(const Key& key);
  void Give(const Key& key, std::unique_ptr<OpenPort> port);

 private:
  std::mutex mutex_;
  std::list<std::pair<Key, std::unique_ptr<OpenPort>>> ports_;  // the last one first
};

struct Reasoner::Impl {
  Impl(const World& w, const Budget& b) : world(w), budget(b), callers(w.mesh()), replays(w) {}

  PortModel::Side SideOf(const Workload& workload, int port, const Door& door) const {
    PortModel::Side side{&world, &workload, port, door, nullptr, &callers, &classes};
    if (workload.mode == ProxyMode::kAmbient) side.ztunnel = &ztunnels.Of(world, workload);
    return side;
  }

  // The questions about one door.
  Answer FindAt(const PortModel::Side& at, const Region& region, Wanted wanted) const;
  std::vector<RuleStatus> StatusesAt(const PortModel::Side& at) const;
  Exposure ExposureAt(const PortModel::Side& at, const Region& within) const;
  std::vector<RuleStatus> StatusesOf(OpenPort* port) const;
  Exposure ExposureOf(OpenPort* port, Expr where) const;
  Answer FindIn(Session* session, Session::Set inside, Wanted wanted) const;
  static Comparison CompareAt(const Impl& before, const PortModel::Side& old_side,
                              const Impl& after, const PortModel::Side& new_side, size_t limit);

  // Asks about a port; its model is kept for the next question if the region allows it. What others
  // have spent of its budget does not count: then the question is asked anew.
  // Ask: Answer(OpenPort*, Expr region).
  template <typename Ask>
  auto AskAt(const PortModel::Side& at, const Region& region, Ask ask) const {
    if (!AsksOnlyOfRules(region)) {
      OpenPort own(at, budget, &region);
      return ask(&own, own.region);
    }
    const OpenPorts::Key key{at.workload, at.port, at.door.service, at.door.port};
    std::unique_ptr<OpenPort> port = ports.Take(key);
    const bool used = port != nullptr;
    if (!used) port = std::make_unique<OpenPort>(at, budget, nullptr);
    Bdd& bdd = port->model.space().bdd();
    if (used) bdd.RestartClock();
    auto answer = ask(port.get(), port->built ? port->model.RegionOf(region) : kNever);
    if (!bdd.exhausted()) {
      ports.Give(key, std::move(port));
    } else if (used) {
      OpenPort fresh(at, budget, nullptr);
      return ask(&fresh, fresh.built ? fresh.model.RegionOf(region) : kNever);
    }
    return answer;
  }

  // Runs a point's request. Nothing: it cannot be sent, or the verdict is another one.
  std::optional<Example> Confirm(Session* session, const Space::Point& point, size_t side,
                                 const Impl& at, Authorizers answers, bool refused) const;
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
  mutable OpenPorts ports;
  mutable Replays replays;
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

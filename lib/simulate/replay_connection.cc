// Asks a ztunnel's line again. The line holds all that ztunnel's policies look at, so that there is
// one request to ask and no completion of it (log_connection.h). What it does not hold is which way
// the connection would take: one that would go through a waypoint, or no longer through one,
// reaches the destination's ztunnel as somebody else's.

#include <memory>

#include "mesh/workload_name.h"
#include "simulate/log_connection.h"
#include "simulate/replay.h"

namespace meshproof {
namespace {

class ConnectionReplay {
 public:
  ConnectionReplay(const ReplayWorlds& worlds, const LogRecord& record)
      : worlds_(worlds), record_(record) {}

  ReplayAnswer Ask() {
    const Mesh& mesh = worlds_.after->mesh();
    answer_.was = ReadLoggedAnswer(record_);
    answer_.request.token_open = false;
    target_ = FindLogTarget(mesh, worlds_.at, record_);
    logged_ = ReadLoggedConnection(mesh, target_, record_);
    answer_.request.question = logged_.question;
    answer_.undecided = logged_.unusable;
    if (!answer_.undecided.empty()) return std::move(answer_);
    if (worlds_.before == nullptr && answer_.was.outcome == Outcome::kUndetermined) {
      answer_.undecided = "the connection ended with `" + answer_.was.details +
                          "`, which does not say whether a policy refused it";
    } else {
      AskBoth();
    }
    return std::move(answer_);
  }

 private:
  void AskBoth() {
    const Workload* old = nullptr;
    if (worlds_.before != nullptr) {
      const Mesh& mesh = worlds_.before->mesh();
      old = mesh.FindWorkload(target_.workload->ns, target_.workload->name);
      if (old == nullptr) {
        answer_.undecided = NameOf(*target_.workload) + " is not in the input before";
        return;
      }
    }
    answer_.undecided = OtherWay(old);
    if (!answer_.undecided.empty()) return;
    if (old != nullptr) {
      const auto earlier = Run(*worlds_.before, *old, false, Detail::kVerdict);
      if (!earlier) return;
      answer_.was.outcome = earlier->outcome;
      answer_.was.status = earlier->status;
      answer_.was.flags = "-";
      answer_.was.details = earlier->details;
    }
    // A workload that has left ztunnel takes connections from everybody.
    const bool released = old != nullptr && old->mode == ProxyMode::kAmbient;
    auto verdict = Run(*worlds_.after, *target_.workload, released, Detail::kTrace);
    if (!verdict) return;
    answer_.would = std::move(*verdict);
    answer_.changed = answer_.would.outcome != answer_.was.outcome;
  }

  std::optional<Verdict> Run(const World& world, const Workload& workload, bool released,
                             Detail detail) {
    auto verdict = AskZtunnelOf(world, workload, logged_, released, detail);
    if (!verdict.ok()) {
      answer_.undecided = verdict.error().message;
      return std::nullopt;
    }
    if (verdict.value().outcome == Outcome::kUndetermined) {
      const auto& missing = verdict.value().missing;
      answer_.undecided = missing.empty() ? "a part of the answer is not known" : missing.front();
      return std::nullopt;
    }
    return verdict.Take();
  }

  // Why the connection would come to this ztunnel as another one's; "" = it would not.
  std::string OtherWay(const Workload* old) const {
    const Mesh& mesh = worlds_.after->mesh();
    if (target_.workload->mode != ProxyMode::kAmbient) return "";
    const std::string name = NameOf(*target_.workload);
    const Waypoint* now = WaypointBefore(mesh, logged_, target_, *target_.workload);
    const Waypoint* then = nullptr;
    if (old != nullptr) {
      const Mesh& before = worlds_.before->mesh();
      then = WaypointBefore(before, logged_, target_, *old);
      if (IsWaypointPeer(before, logged_.peer) && !IsWaypointPeer(mesh, logged_.peer)) {
        return "the line is of the waypoint before " + name +
               ", which is gone: it does not say who called through it";
      }
    }
    if (now == nullptr || then != nullptr) return "";
    return "calls of " + name + " go through the waypoint " + NameOf(*now) +
           " in the input, which judges requests: a ztunnel does not log them";
  }

  const ReplayWorlds& worlds_;
  const LogRecord& record_;
  LogTarget target_;
  LoggedConnection logged_;
  ReplayAnswer answer_;
};

}  // namespace

ReplayAnswer ReplayConnection(const ReplayWorlds& worlds, const LogRecord& record) {
  return ConnectionReplay(worlds, record).Ask();
}

}  // namespace meshproof

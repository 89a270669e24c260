// One port is asked many questions, most of which need nothing but the rules and what is always
// asked of callers: a token, a certificate. Those share one model.

#include <algorithm>

#include "reason/reasoner_impl.h"

namespace meshproof {
namespace {

// So many models are kept; one of some hundred rules takes some megabytes.
constexpr size_t kMaxOpen = 8;

}  // namespace

bool AsksOnlyOfRules(const Region& region) {
  if (region.kind == Region::Kind::kField) {
    switch (region.field) {
      case Region::Field::kMutualTls:
      case Region::Field::kTls:
      case Region::Field::kToken:
      case Region::Field::kRule:
      case Region::Field::kRouted:
        return true;
      default:
        return false;
    }
  }
  for (const Region& child : region.children) {
    if (!AsksOnlyOfRules(child)) return false;
  }
  return true;
}

OpenPort::OpenPort(const PortModel::Side& at, const Budget& b, const Region* own)
    : budget(b), model({at}, b), has_region_(own != nullptr) {
  const SideModel& side = model.side(0);
  if (!side.undetermined.empty()) {
    reason = side.undetermined;
    return;
  }
  if (own != nullptr) region = model.RegionOf(*own);
  token = model.RegionOf(Region::Is(Region::Field::kToken));
  certificate = model.RegionOf(Region::Is(Region::Field::kMutualTls));
  for (const ChainModel& chain : side.chains) {
    if (chain.jwt == nullptr) continue;
    for (const JwtProvider& provider : chain.jwt->providers) {
      auto field = model.space().Find("issuer");
      if (provider.issuer.empty() || !field) continue;
      issuers[provider.issuer] =
          model.space().Matches(*field, {StringPattern::Kind::kExact, provider.issuer, false});
    }
  }
  built = model.Build();
  if (!built) reason = model.reason();
}

Session& OpenPort::SessionFor(const std::vector<Expr>& sets, std::optional<Expr> within) {
  if (rules_ == nullptr && !has_region_) {
    rules_ = std::make_unique<Session>(&model, budget);
    rules_->Start();
  }
  // Which of the two it is follows from the question alone, and so does the answer.
  if (rules_ != nullptr &&
      std::all_of(sets.begin(), sets.end(), [&](Expr set) { return rules_->HasSlicesFor(set); })) {
    return *rules_;
  }
  other_ = std::make_unique<Session>(&model, budget);
  for (Expr set : sets) other_->Track(set);
  other_->Start(within ? std::optional(other_->Track(*within)) : std::nullopt);
  return *other_;
}

std::unique_ptr<OpenPort> OpenPorts::Take(const Key& key) {
  std::lock_guard lock(mutex_);
  for (auto at = ports_.begin(); at != ports_.end(); ++at) {
    if (at->first != key) continue;
    std::unique_ptr<OpenPort> port = std::move(at->second);
    ports_.erase(at);
    return port;
  }
  return nullptr;
}

void OpenPorts::Give(const Key& key, std::unique_ptr<OpenPort> port) {
  std::unique_ptr<OpenPort> dropped;  // behind the lock
  std::lock_guard lock(mutex_);
  ports_.emplace_front(key, std::move(port));
  if (ports_.size() <= kMaxOpen) return;
  dropped = std::move(ports_.back().second);
  ports_.pop_back();
}

}  // namespace meshproof

#include "simulate/way_book.h"

#include <utility>

namespace meshproof {
namespace {
constexpr size_t kMaxWaysOfPage = 256;
}

Result<std::unique_ptr<WayBook::Plan>> WayBook::Take(const Case& question,
                                                     World::Addresses addresses) {
  static thread_local std::string key;
  key.clear();
  AppendWay(question, &key);
  Page& page = pages_[static_cast<size_t>(addresses)][Hash()(key) / kPages % kPages];
  std::unique_ptr<Plan> plan;
  {
    std::lock_guard lock(page.mutex);
    auto found = page.plans.find(std::string_view(key));
    if (found != page.plans.end()) plan = std::move(found->second);
  }
  if (plan == nullptr) {
    auto approaches = PlanConnections(mesh_, question, addresses);
    if (!approaches.ok()) return approaches.error();
    plan = std::make_unique<Plan>();
    plan->approaches = approaches.Take();
    std::lock_guard lock(page.mutex);
    auto found = page.plans.find(std::string_view(key));
    if (found == page.plans.end() && page.plans.size() < kMaxWaysOfPage) {
      found = page.plans.try_emplace(key).first;
    }
    if (found != page.plans.end()) {
      plan->slot = &found->second;
      plan->guard = &page.mutex;
    }
  }
  for (Approach& approach : plan->approaches) FillRequest(question, &approach);
  return plan;
}

void WayBook::PutBack(std::unique_ptr<Plan> plan) {
  if (plan->slot == nullptr) return;
  std::unique_ptr<Plan>& slot = *plan->slot;
  std::lock_guard lock(*plan->guard);
  std::swap(slot, plan);
}

}  // namespace meshproof

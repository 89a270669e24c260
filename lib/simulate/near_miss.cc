// Why no rule of an ALLOW filter took a request: for each rule the permission and the principal
// that came nearest, told by the number of fields (lists that the author wrote) that failed. A
// field that is not known did not fail.

#include <algorithm>

#include "simulate/rbac.h"

namespace meshproof {
namespace {

constexpr size_t kMaxNearMisses = 10;

struct Failures {
  int count = 0;
  const Predicate* first = nullptr;
};

// Walks down to the predicates that carry a field; one without a field that fails counts itself.
void CountFailures(const Predicate& predicate, Stream& stream, FilterLevel level,
                   Failures* failures) {
  if (predicate.field.empty()) {
    if (const auto* both = std::get_if<AndPredicate>(&predicate.match)) {
      for (const auto& child : both->all) CountFailures(child, stream, level, failures);
      return;
    }
    if (const auto* either = std::get_if<OrPredicate>(&predicate.match);
        either != nullptr && either->any.size() == 1) {
      CountFailures(either->any.front(), stream, level, failures);
      return;
    }
  }
  if (Evaluate(predicate, stream, level, nullptr) != Truth::kFalse) return;
  if (failures->first == nullptr) failures->first = &predicate;
  ++failures->count;
}

Failures Nearest(const std::vector<Predicate>& alternatives, Stream& stream, FilterLevel level) {
  Failures best;
  best.count = -1;
  for (const auto& alternative : alternatives) {
    Failures failures;
    CountFailures(alternative, stream, level, &failures);
    if (best.count < 0 || failures.count < best.count) best = failures;
  }
  if (best.count < 0) best.count = 1;  // no alternatives: never matches
  return best;
}

}  // namespace

std::vector<NearMiss> FindNearMisses(const Rbac& rules, Stream& stream, FilterLevel level) {
  std::vector<NearMiss> misses;
  for (const auto& policy : rules.policies) {
    Failures permission = Nearest(policy->permissions, stream, level);
    Failures principal = Nearest(policy->principals, stream, level);
    const Predicate* first = permission.first != nullptr ? permission.first : principal.first;
    if (first == nullptr || (first->field.empty() && WrittenValues(*first).empty())) continue;
    NearMiss miss;
    miss.origin = policy->origin;
    miss.field = first->field;
    miss.got = ShownTo(*first, stream, level);
    miss.wanted = WrittenValues(*first);
    miss.span = first->span;
    miss.failed = permission.count + principal.count;
    misses.push_back(std::move(miss));
  }
  std::stable_sort(misses.begin(), misses.end(),
                   [](const NearMiss& a, const NearMiss& b) { return a.failed < b.failed; });
  if (misses.size() > kMaxNearMisses) misses.resize(kMaxNearMisses);
  return misses;
}

}  // namespace meshproof

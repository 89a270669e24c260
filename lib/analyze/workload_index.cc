#include "analyze/workload_index.h"

#include <algorithm>

#include "analyze/names.h"

namespace meshproof {
namespace {

const std::vector<const Workload*> kNone;

// How near labels are to a selector: equal pairs weigh most, then values that are nearly the same,
// then keys.
int Nearness(const Labels& selector, const Labels& labels) {
  int score = 0;
  for (const auto& [key, value] : selector) {
    const std::string* found = FindLabel(labels, key);
    if (found == nullptr) {
      for (const auto& [other_key, other_value] : labels) {
        if (other_value == value && (other_key.ends_with(key) || key.ends_with(other_key))) {
          score += 6;
          break;
        }
      }
    } else if (*found == value) {
      score += 10;
    } else if (!NearestName(value, std::vector<std::string>{*found}).empty()) {
      score += 8;
    } else if (found->starts_with(value) || value.starts_with(*found)) {
      score += 5;
    } else {
      score += 1;
    }
  }
  return score;
}

}  // namespace

WorkloadIndex::WorkloadIndex(const Mesh& mesh) {
  for (const Workload& workload : mesh.workloads()) {
    all_.push_back(&workload);
    by_namespace_[workload.ns].push_back(&workload);
    for (const auto& [key, value] : workload.labels) {
      by_label_[key + "=" + value].push_back(&workload);
    }
  }
}

const std::vector<const Workload*>& WorkloadIndex::InNamespace(std::string_view ns) const {
  if (ns.empty()) return all_;
  auto found = by_namespace_.find(std::string(ns));
  return found == by_namespace_.end() ? kNone : found->second;
}

std::vector<const Workload*> WorkloadIndex::Selected(const Labels& labels,
                                                     std::string_view ns) const {
  const std::vector<const Workload*>* candidates = &InNamespace(ns);
  for (const auto& [key, value] : labels) {
    auto found = by_label_.find(key + "=" + value);
    if (found == by_label_.end()) return {};
    if (found->second.size() < candidates->size()) candidates = &found->second;
  }
  std::vector<const Workload*> selected;
  for (const Workload* workload : *candidates) {
    if (!ns.empty() && workload->ns != ns) continue;
    if (Selects(labels, workload->labels)) selected.push_back(workload);
  }
  return selected;
}

bool WorkloadIndex::SelectsAny(const Labels& labels, std::string_view ns) const {
  return !Selected(labels, ns).empty();
}

const Workload* WorkloadIndex::Nearest(const Labels& labels, std::string_view ns) const {
  const Workload* nearest = nullptr;
  int best = 1;  // a key alone in common says nothing
  for (const Workload* workload : InNamespace(ns)) {
    int score = Nearness(labels, workload->labels);
    if (score <= best) continue;
    best = score;
    nearest = workload;
  }
  return nearest;
}

}  // namespace meshproof

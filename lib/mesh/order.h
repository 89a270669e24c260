#pragma once

#include <algorithm>
#include <tuple>
#include <vector>

#include "model/model.h"

namespace meshproof {

// The order in which istiod takes objects of one kind: creation time (none given = oldest), name,
// namespace.
inline bool ComesBefore(const ObjectMeta& a, const ObjectMeta& b) {
  return std::tie(a.created, a.name, a.ns) < std::tie(b.created, b.name, b.ns);
}

template <typename T>
void SortOldestFirst(std::vector<const T*>* objects) {
  std::stable_sort(objects->begin(), objects->end(),
                   [](const T* a, const T* b) { return ComesBefore(a->meta, b->meta); });
}

}  // namespace meshproof

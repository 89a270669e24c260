#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace meshproof {

// Of vectors of numbers as keys.
struct NumbersHash {
  template <typename Number>
  size_t operator()(const std::vector<Number>& numbers) const {
    uint64_t hash = 0x9E3779B97F4A7C15ULL;
    for (Number number : numbers) {
      hash = (hash ^ number) * 0xBF58476D1CE4E5B9ULL;
      hash ^= hash >> 29;
    }
    return static_cast<size_t>(hash);
  }
};

}  // namespace meshproof

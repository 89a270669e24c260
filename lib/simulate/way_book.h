#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "simulate/approach.h"

namespace meshproof {

// Remembers the ways that cases go over a mesh, so that of a batch of requests each way is planned
// once. Thread-safe; stops learning where it would grow too large.
class WayBook {
 public:
  explicit WayBook(const Mesh& mesh) : mesh_(mesh) {}

  struct Plan {
    std::vector<Approach> approaches;
    // Where it belongs and who guards that; null where it is not remembered.
    std::unique_ptr<Plan>* slot = nullptr;
    std::mutex* guard = nullptr;
  };

  // What PlanApproaches says. The plan is the caller's alone until it is put back, and so are the
  // buffers of its requests: those of a way that was asked before are filled without allocation.
  Result<std::unique_ptr<Plan>> Take(const Case& question, World::Addresses addresses);
  static void PutBack(std::unique_ptr<Plan> plan);

 private:
  // A way, hashed once; of a question that is looked up it is the question itself.
  struct Key {
    size_t hash = 0;
    Case way;
  };
  struct Asked {
    size_t hash = 0;
    const Case& way;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(const Key& key) const { return key.hash; }
    size_t operator()(const Asked& asked) const { return asked.hash; }
  };
  struct Same {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return SameWay(a.way, b.way);
    }
  };

  struct Page {
    std::mutex mutex;
    // Null: somebody has it.
    std::unordered_map<Key, std::unique_ptr<Plan>, Hash, Same> plans;
  };
  static constexpr size_t kPages = 64;

  const Mesh& mesh_;
  std::array<std::array<Page, kPages>, 2> pages_;  // by addresses
};

}  // namespace meshproof

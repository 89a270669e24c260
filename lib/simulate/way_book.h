#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
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
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };

  struct Page {
    std::mutex mutex;
    // By KeyOfWay. Null: somebody has it.
    std::unordered_map<std::string, std::unique_ptr<Plan>, Hash, std::equal_to<>> plans;
  };
  static constexpr size_t kPages = 64;

  const Mesh& mesh_;
  std::array<std::array<Page, kPages>, 2> pages_;  // by addresses
};

}  // namespace meshproof

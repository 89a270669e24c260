#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "source/node.h"

namespace meshproof {

// Hands out memory that lives as long as the documents that were read into it and is given back in
// one go.
class Document::Arena {
 public:
  template <typename T>
  std::span<const T> CopyAll(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    if (values.empty()) return {};
    void* memory = Allocate(values.size_bytes(), alignof(T));
    std::memcpy(memory, values.data(), values.size_bytes());
    return {static_cast<const T*>(memory), values.size()};
  }

  std::string_view CopyText(std::string_view text) {
    std::span<const char> copy = CopyAll(std::span<const char>(text.data(), text.size()));
    return {copy.data(), copy.size()};
  }

  // Forgets what was handed out and keeps the memory, in one block.
  void Reuse() {
    if (blocks_.empty()) return;
    if (blocks_.size() > 1) {
      const size_t size = total_;
      blocks_.clear();
      blocks_.emplace_back(new char[size]);
    }
    free_ = blocks_.back().get();
    left_ = total_;
  }

 private:
  static constexpr size_t kSmallest = size_t{1} << 10;
  static constexpr size_t kLargest = size_t{1} << 20;

  void* Allocate(size_t bytes, size_t alignment) {
    size_t padding = -reinterpret_cast<uintptr_t>(free_) & (alignment - 1);
    if (bytes + padding > left_) {
      AddBlock(bytes);
      padding = 0;
    }
    void* memory = free_ + padding;
    free_ += bytes + padding;
    left_ -= bytes + padding;
    return memory;
  }

  // A block is a part of what there is already, so that little of the last one stays unused.
  void AddBlock(size_t bytes) {
    size_t size = std::max(bytes, std::clamp(total_ / 16, kSmallest, kLargest));
    // `new char[]` is aligned for every type and, unlike make_unique, leaves the block unwritten.
    blocks_.emplace_back(new char[size]);
    free_ = blocks_.back().get();
    left_ = size;
    total_ += size;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;
  size_t left_ = 0;
  size_t total_ = 0;
};

}  // namespace meshproof

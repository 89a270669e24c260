#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "source/node.h"

namespace meshproof {

// Hands out memory that lives as long as its document and is given back in one go.
class Document::Arena {
 public:
  // How large the first block is to be; a guess from the document's text saves blocks.
  void Expect(size_t bytes) { next_block_ = std::clamp(bytes, kSmallest, kLargest); }

  template <typename T>
  std::span<const T> CopyAll(std::span<const T> values) {
    static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
    if (values.empty()) return {};
    void* memory = Allocate(values.size_bytes());
    std::memcpy(memory, values.data(), values.size_bytes());
    return {static_cast<const T*>(memory), values.size()};
  }

  std::string_view CopyText(std::string_view text) {
    std::span<const char> copy = CopyAll(std::span<const char>(text.data(), text.size()));
    return {copy.data(), copy.size()};
  }

 private:
  static constexpr size_t kSmallest = size_t{1} << 10;
  static constexpr size_t kLargest = size_t{1} << 20;

  void* Allocate(size_t bytes) {
    bytes = (bytes + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);
    if (bytes > left_) {
      size_t size = std::max(bytes, next_block_);
      next_block_ = std::min(next_block_ * 2, kLargest);
      // `new char[]` is aligned for every type and, unlike make_unique, leaves the block unwritten.
      blocks_.emplace_back(new char[size]);
      free_ = blocks_.back().get();
      left_ = size;
    }
    void* memory = free_;
    free_ += bytes;
    left_ -= bytes;
    return memory;
  }

  std::vector<std::unique_ptr<char[]>> blocks_;
  char* free_ = nullptr;
  size_t left_ = 0;
  size_t next_block_ = kSmallest;
};

}  // namespace meshproof

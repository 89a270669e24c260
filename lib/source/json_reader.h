#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

#include "source/reader.h"

namespace meshproof {

// Names of fields that a caller does not look at. What they name lives as long as the set.
class UnreadKeys {
 public:
  UnreadKeys(std::initializer_list<std::string_view> keys);

  bool Has(std::string_view key) const {
    if (key.empty() || (seen_ >> SlotOf(key) & 1) == 0) return false;
    return Find(key);
  }

 private:
  static unsigned SlotOf(std::string_view key) {
    return static_cast<unsigned>(key.size() * 31 + static_cast<unsigned char>(key.front())) & 63;
  }
  bool Find(std::string_view key) const;

  uint64_t seen_ = 0;
  std::vector<std::string_view> keys_;
};

// Reads JSON values through simdjson into the tree that the YAML reader would build for the same
// text. Keeps its buffers from one call to the next.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // Reads the object or array at `value`, which SplitJson found and whose depth is bounded. Returns
  // false, and adds nothing, where it is no JSON; YAML may still take it.
  //
  // Fields named in `unread`, at whatever depth, are left out of the tree and not looked into, and
  // keys that stand twice are not reported then.
  bool Read(const std::shared_ptr<const SourceFile>& file, DocumentText value, ReadResult* result,
            const UnreadKeys* unread = nullptr);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace meshproof

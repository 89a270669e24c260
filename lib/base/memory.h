#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

namespace meshproof {

// Answers by what decides them. Whoever asks while another thread works on the same answer waits
// for it.
template <typename T>
class Memory {
 public:
  // `made`: whether this call computed it.
  template <typename Make>
  std::shared_ptr<const T> Get(const std::string& key, Make make, bool* made) {
    std::shared_ptr<Slot> slot;
    {
      std::lock_guard lock(mutex_);
      std::shared_ptr<Slot>& known = slots_[key];
      if (known == nullptr) known = std::make_shared<Slot>();
      slot = known;
    }
    std::lock_guard lock(slot->mutex);
    *made = slot->value == nullptr;
    if (*made) slot->value = std::make_shared<const T>(make());
    return slot->value;
  }

 private:
  struct Slot {
    std::mutex mutex;
    std::shared_ptr<const T> value;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Slot>> slots_;
};

}  // namespace meshproof

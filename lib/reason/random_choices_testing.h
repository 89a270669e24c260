#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace meshproof {

// What those that write policies at random choose with.
class RandomChoices {
 protected:
  explicit RandomChoices(uint32_t seed) : random_(seed) {}

  bool Chance(uint32_t of) { return random_() % of == 0; }
  std::string One(const std::vector<std::string>& values) {
    return values[random_() % values.size()];
  }
  // A field with one or two of the values, sometimes its negation.
  std::string List(const std::string& key, const std::vector<std::string>& values) {
    std::string name = key;
    if (Chance(4)) {
      name[0] = static_cast<char>(name[0] & ~0x20);
      name = "not" + name;
    }
    std::string list = One(values);
    if (Chance(3)) list += ", " + One(values);
    return name + ": [" + list + "]";
  }

  std::mt19937 random_;
};

}  // namespace meshproof

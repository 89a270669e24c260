#include "match/labels.h"

#include <algorithm>

namespace meshproof {

const std::string* FindLabel(const Labels& labels, std::string_view key) {
  auto found = std::find_if(labels.rbegin(), labels.rend(),
                            [&](const auto& pair) { return pair.first == key; });
  return found == labels.rend() ? nullptr : &found->second;
}

bool Selects(const Labels& selector, const Labels& labels) {
  // A key that the selector names twice asks for its last value only, as the map it stands for.
  return std::all_of(selector.begin(), selector.end(), [&](const auto& pair) {
    const std::string* value = FindLabel(labels, pair.first);
    return value != nullptr && *value == *FindLabel(selector, pair.first);
  });
}

}  // namespace meshproof

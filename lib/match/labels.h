#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace meshproof {

// Labels or a selector's matchLabels, in the order written.
using Labels = std::vector<std::pair<std::string, std::string>>;

// Null where there is no such label. Of a key that stands twice the last one counts.
const std::string* FindLabel(const Labels& labels, std::string_view key);

// Every pair of `selector` is among `labels`; an empty selector selects everything.
bool Selects(const Labels& selector, const Labels& labels);

}  // namespace meshproof

#include "model/go_values.h"

#include <limits>

namespace meshproof {
namespace {

struct Unit {
  std::string_view name;
  int64_t nanoseconds;
};

// Longer names first, so that "ms" is not read as minutes.
constexpr Unit kUnits[] = {
    {"ns", 1},
    {"us", 1'000},
    {"\xC2\xB5s", 1'000},  // U+00B5
    {"\xCE\xBCs", 1'000},  // U+03BC
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
};

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

// Takes the digits off the front of `text`; nothing where they do not fit.
std::optional<int64_t> TakeDigits(std::string_view* text) {
  int64_t value = 0;
  while (!text->empty() && IsDigit(text->front())) {
    int digit = text->front() - '0';
    if (value > (std::numeric_limits<int64_t>::max() - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
    text->remove_prefix(1);
  }
  return value;
}

double TakeFraction(std::string_view* text) {
  double value = 0;
  double scale = 0.1;
  while (!text->empty() && IsDigit(text->front())) {
    value += scale * (text->front() - '0');
    scale /= 10;
    text->remove_prefix(1);
  }
  return value;
}

}  // namespace

std::optional<bool> ParseGoBool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

std::optional<int64_t> ParseGoDuration(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  int64_t total = 0;
  while (!text.empty()) {
    size_t before = text.size();
    auto whole = TakeDigits(&text);
    if (!whole) return std::nullopt;
    bool digits = text.size() != before;
    double fraction = 0;
    if (!text.empty() && text.front() == '.') {
      text.remove_prefix(1);
      size_t behind_point = text.size();
      fraction = TakeFraction(&text);
      digits = digits || text.size() != behind_point;
    }
    if (!digits) return std::nullopt;
    const Unit* unit = nullptr;
    for (const Unit& candidate : kUnits) {
      if (text.substr(0, candidate.name.size()) != candidate.name) continue;
      unit = &candidate;
      break;
    }
    if (unit == nullptr) return std::nullopt;
    text.remove_prefix(unit->name.size());
    // "5msx" would leave "x", which the next turn refuses; "5mx" likewise.
    if (*whole > kMax / unit->nanoseconds) return std::nullopt;
    int64_t part = *whole * unit->nanoseconds;
    auto rest = static_cast<int64_t>(fraction * static_cast<double>(unit->nanoseconds));
    if (part > kMax - rest || total > kMax - part - rest) return std::nullopt;
    total += part + rest;
  }
  return negative ? -total : total;
}

}  // namespace meshproof

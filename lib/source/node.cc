// Types of scalars as Kubernetes sees them. sigs.k8s.io/yaml turns YAML into JSON with its copy of
// go-yaml 2: the words of YAML 1.1 (single-letter y and n among them) are booleans; integers are
// what Go's ParseInt with base 0 takes once underscores are gone; a number with a leading zero that
// is not octal falls through to the float pattern, as do integers that no 64 bits hold; what a
// float64 does not hold stays a string.

#include "source/node.h"

#include <array>
#include <charconv>
#include <cstdlib>
#include <string>

#include "base/check.h"

namespace meshproof {
namespace {

constexpr std::array<std::string_view, 11> kTrue = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                                    "True", "TRUE", "on",  "On",  "ON"};
constexpr std::array<std::string_view, 11> kFalse = {"n",     "N",     "no",  "No",  "NO", "false",
                                                     "False", "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 12> kSpecialFloat = {".nan",  ".NaN",  ".NAN",  ".inf",
                                                            ".Inf",  ".INF",  "+.inf", "+.Inf",
                                                            "+.INF", "-.inf", "-.Inf", "-.INF"};

template <size_t n>
bool IsOneOf(const std::array<std::string_view, n>& words, std::string_view text) {
  for (std::string_view word : words) {
    if (word == text) return true;
  }
  return false;
}

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

enum class Range { kNotInteger, kFits, kTooLarge };

// Go's ParseInt and ParseUint with base 0, on text without underscores.
Range ParseInteger(std::string_view text, bool* negative, uint64_t* magnitude) {
  *negative = text.starts_with('-');
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text[0] == '0') {
    char mark = static_cast<char>(text[1] | 0x20);
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
    text.remove_prefix(mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1);
  }
  if (text.empty()) return Range::kNotInteger;
  const char* end = text.data() + text.size();
  auto parsed = std::from_chars(text.data(), end, *magnitude, base);
  if (parsed.ptr != end || parsed.ec == std::errc::invalid_argument) return Range::kNotInteger;
  return parsed.ec == std::errc() ? Range::kFits : Range::kTooLarge;
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool LooksLikeFloat(std::string_view text) {
  size_t at = 0;
  auto digits = [&] {
    size_t start = at;
    while (at < text.size() && IsDigit(text[at])) ++at;
    return at - start;
  };
  auto is = [&](std::string_view any) {
    return at < text.size() && any.find(text[at]) != std::string_view::npos;
  };
  if (is("+-")) ++at;
  if (digits() > 0) {
    if (is(".")) {
      ++at;
      digits();
    }
  } else {
    if (!is(".")) return false;
    ++at;
    if (digits() == 0) return false;
  }
  if (is("eE")) {
    ++at;
    if (is("+-")) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

bool FitsDouble(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec != std::errc::result_out_of_range) return parsed.ec == std::errc();
  // Too small is nought to Go, too large an error.
  value = std::strtod(std::string(text).c_str(), nullptr);
  return value > -1 && value < 1;
}

// `buffer` is used only where there is something to take out.
std::string_view WithoutUnderscores(std::string_view text, std::string* buffer) {
  if (text.find('_') == std::string_view::npos) return text;
  for (char c : text) {
    if (c != '_') buffer->push_back(c);
  }
  return *buffer;
}

ScalarType ResolveNumber(std::string_view text) {
  if (text[0] == '.') {
    return LooksLikeFloat(text) && FitsDouble(text) ? ScalarType::kFloat : ScalarType::kString;
  }
  std::string buffer;
  std::string_view plain = WithoutUnderscores(text, &buffer);
  bool negative = false;
  uint64_t magnitude = 0;
  Range range = ParseInteger(plain, &negative, &magnitude);
  constexpr uint64_t kLimit = uint64_t{1} << 63;
  if (range == Range::kFits && (!negative || magnitude <= kLimit)) return ScalarType::kInt;
  if (LooksLikeFloat(plain) && FitsDouble(plain)) return ScalarType::kFloat;
  return range == Range::kNotInteger ? ScalarType::kString : ScalarType::kInt;
}

}  // namespace

ScalarType ResolvePlainScalar(std::string_view text) {
  if (text.empty()) return ScalarType::kNull;
  char first = text[0];
  if (IsDigit(first)) return ResolveNumber(text);
  switch (first) {
    case '+':
    case '-':
    case '.':
      if (IsOneOf(kSpecialFloat, text)) return ScalarType::kFloat;
      return ResolveNumber(text);
    case 'y':
    case 'Y':
    case 't':
    case 'T':
    case 'o':
    case 'O':
    case 'n':
    case 'N':
    case 'f':
    case 'F':
    case '~':
      if (text.size() > 5) return ScalarType::kString;
      if (IsOneOf(kTrue, text) || IsOneOf(kFalse, text)) return ScalarType::kBool;
      return IsOneOf(kNull, text) ? ScalarType::kNull : ScalarType::kString;
    default:
      return ScalarType::kString;
  }
}

const Entry* Node::FindEntry(std::string_view key) const {
  // Few keys of a mapping have the same length and last letter, so that little is compared.
  std::span<const Entry> all = entries();
  char last = key.empty() ? '\0' : key.back();
  for (size_t i = all.size(); i > 0; --i) {
    std::string_view own = all[i - 1].key.text;
    if (own.size() != key.size() || (!own.empty() && own.back() != last)) continue;
    if (own == key) return &all[i - 1];
  }
  return nullptr;
}

const Node* Node::Find(std::string_view key) const {
  const Entry* entry = FindEntry(key);
  return entry == nullptr ? nullptr : &entry->value;
}

bool Node::AsBool() const {
  MESHPROOF_CHECK(IsBool());
  return IsOneOf(kTrue, text);
}

std::optional<int64_t> Node::AsInt() const {
  if (!IsInt()) return std::nullopt;
  std::string buffer;
  bool negative = false;
  uint64_t magnitude = 0;
  if (ParseInteger(WithoutUnderscores(text, &buffer), &negative, &magnitude) != Range::kFits) {
    return std::nullopt;
  }
  constexpr uint64_t kLimit = uint64_t{1} << 63;
  if (magnitude >= kLimit + (negative ? 1 : 0)) return std::nullopt;
  return static_cast<int64_t>(negative ? ~magnitude + 1 : magnitude);
}

}  // namespace meshproof

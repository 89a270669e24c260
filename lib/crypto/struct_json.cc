// The grammar was learned from Envoy 1.40: testdata/envoy-recorded/struct_json.tsv holds its
// verdict on each oddity.
#include "crypto/struct_json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/text.h"

namespace meshproof {
namespace {

constexpr int kMaxDepth = 100;
constexpr double kExactIntegers = 9007199254740992.0;  // 2^53

bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}

bool IsWordByte(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

int HexValue(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void AppendUtf8(uint32_t rune, std::string* out) {
  auto put = [out](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (rune < 0x80) {
    put(rune);
  } else if (rune < 0x800) {
    put(0xC0 | rune >> 6);
    put(0x80 | (rune & 0x3F));
  } else if (rune < 0x10000) {
    put(0xE0 | rune >> 12);
    put(0x80 | (rune >> 6 & 0x3F));
    put(0x80 | (rune & 0x3F));
  } else {
    put(0xF0 | rune >> 18);
    put(0x80 | (rune >> 12 & 0x3F));
    put(0x80 | (rune >> 6 & 0x3F));
    put(0x80 | (rune & 0x3F));
  }
}

// Every Read function takes one thing off the front and says whether it was there.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool ReadStruct(Json* out) {
    if (TakeAfterSpace("null")) {
      *out = Json::MakeObject();
      return AtEnd();
    }
    return ReadObject(out) && AtEnd();
  }

 private:
  void SkipSpace() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size()));
  }

  bool AtEnd() {
    SkipSpace();
    return rest_.empty();
  }

  bool Take(std::string_view token) {
    if (!rest_.starts_with(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  bool TakeAfterSpace(std::string_view token) {
    SkipSpace();
    return Take(token);
  }

  bool ReadValue(Json* out) {
    SkipSpace();
    if (rest_.empty()) return false;
    switch (rest_[0]) {
      case '{':
        return ReadObject(out);
      case '[':
        return ReadArray(out);
      case '"':
      case '\'': {
        std::string text;
        if (!ReadString(&text)) return false;
        *out = Json(std::move(text));
        return true;
      }
      case 't':
        *out = Json(true);
        return Take("true");
      case 'f':
        *out = Json(false);
        return Take("false");
      case 'n':
        *out = Json();
        return Take("null");
      default:
        return ReadNumber(out);
    }
  }

  bool ReadObject(Json* out) {
    if (!TakeAfterSpace("{") || ++depth_ > kMaxDepth) return false;
    Json::Object fields;
    std::unordered_set<std::string> keys;
    bool comma = true;
    while (!TakeAfterSpace("}")) {
      std::string key;
      if (!comma || !ReadKey(&key) || !TakeAfterSpace(":")) return false;
      if (!keys.insert(key).second) return false;
      Json value;
      if (!ReadValue(&value)) return false;
      fields.emplace_back(std::move(key), std::move(value));
      comma = TakeAfterSpace(",");
    }
    --depth_;
    *out = Json(std::move(fields));
    return true;
  }

  bool ReadArray(Json* out) {
    if (!Take("[") || ++depth_ > kMaxDepth) return false;
    Json::Array items;
    bool comma = true;
    while (!TakeAfterSpace("]")) {
      Json value;
      if (!comma || !ReadValue(&value)) return false;
      items.push_back(std::move(value));
      comma = TakeAfterSpace(",");
    }
    --depth_;
    *out = Json(std::move(items));
    return true;
  }

  bool ReadKey(std::string* out) {
    SkipSpace();
    if (rest_.starts_with('"') || rest_.starts_with('\'')) return ReadString(out);
    size_t length = 0;
    while (length < rest_.size() && IsWordByte(rest_[length])) ++length;
    *out = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return length > 0 && !IsDigit((*out)[0]) && *out != "null" && *out != "true" && *out != "false";
  }

  bool ReadString(std::string* out) {
    char quote = rest_[0];
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      char c = rest_[0];
      if (c == quote) {
        rest_.remove_prefix(1);
        return true;
      }
      if (!(c == '\\' ? ReadEscape(out) : ReadCharacter(out))) return false;
    }
    return false;
  }

  bool ReadCharacter(std::string* out) {
    auto lead = static_cast<unsigned char>(rest_[0]);
    size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    std::string_view character = rest_.substr(0, length);
    if (!IsValidUtf8(character)) return false;
    *out += character;
    rest_.remove_prefix(length);
    return true;
  }

  bool ReadEscape(std::string* out) {
    constexpr std::string_view kLetters = "\"\\/bfnrt'";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t'";
    if (rest_.size() < 2) return false;
    char letter = rest_[1];
    rest_.remove_prefix(2);
    if (letter == 'u' || letter == 'U') return ReadCodePoint(out);
    size_t known = kLetters.find(letter);
    if (known == std::string_view::npos) return false;
    out->push_back(kMeanings[known]);
    return true;
  }

  bool ReadCodePoint(std::string* out) {
    uint32_t rune = 0;
    if (!ReadHex(&rune)) return false;
    if (rune >= 0xDC00 && rune <= 0xDFFF) return false;
    if (rune >= 0xD800 && rune <= 0xDBFF) {
      uint32_t low = 0;
      if (!TakeAfterSpace("\\u") || !ReadHex(&low) || low < 0xDC00 || low > 0xDFFF) return false;
      rune = 0x10000 + ((rune & 0x3FF) << 10 | (low & 0x3FF));
    }
    AppendUtf8(rune, out);
    return true;
  }

  bool ReadHex(uint32_t* out) {
    if (rest_.size() < 4) return false;
    for (size_t i = 0; i < 4; ++i) {
      int digit = HexValue(rest_[i]);
      if (digit < 0) return false;
      *out = *out << 4 | static_cast<uint32_t>(digit);
    }
    rest_.remove_prefix(4);
    return true;
  }

  size_t CountDigits(size_t at) const {
    size_t end = at;
    while (end < rest_.size() && IsDigit(rest_[end])) ++end;
    return end - at;
  }

  bool ReadNumber(Json* out) {
    size_t at = rest_[0] == '-' ? 1 : 0;
    size_t digits = CountDigits(at);
    if (digits == 0 || (digits > 1 && rest_[at] == '0')) return false;
    at += digits;
    if (at < rest_.size() && rest_[at] == '.') {
      digits = CountDigits(at + 1);
      if (digits == 0) return false;
      at += 1 + digits;
    }
    if (at < rest_.size() && (rest_[at] == 'e' || rest_[at] == 'E')) {
      ++at;
      if (at < rest_.size() && (rest_[at] == '+' || rest_[at] == '-')) ++at;
      digits = CountDigits(at);
      if (digits == 0) return false;
      at += digits;
    }
    double value = 0;
    if (!ToDouble(rest_.substr(0, at), &value)) return false;
    rest_.remove_prefix(at);
    bool exact = std::trunc(value) == value && std::fabs(value) <= kExactIntegers;
    *out = exact ? Json(static_cast<int64_t>(value)) : Json(value);
    return true;
  }

  static bool ToDouble(std::string_view text, double* value) {
    auto parsed = std::from_chars(text.data(), text.data() + text.size(), *value);
    if (parsed.ec == std::errc::result_out_of_range) {
      // Too large is refused, too small is zero; from_chars does not say which it was.
      *value = std::strtod(std::string(text).c_str(), nullptr);
      return std::isfinite(*value);
    }
    return parsed.ec == std::errc();
  }

  std::string_view rest_;
  int depth_ = 0;
};

}  // namespace

std::optional<Json> ParseStructJson(std::string_view text) {
  Json value;
  if (!Reader(text).ReadStruct(&value)) return std::nullopt;
  return value;
}

}  // namespace meshproof

#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace meshproof {

// A JSON value that keeps the order of its keys: what meshproof prints, the claims of a token, a
// key set. Manifests and dumps are read into `source/node.h` instead, which keeps places.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;

  Json() = default;
  Json(std::nullptr_t) {}                                   // NOLINT(google-explicit-constructor)
  Json(bool value) : value_(value) {}                       // NOLINT(google-explicit-constructor)
  Json(int value) : value_(static_cast<int64_t>(value)) {}  // NOLINT(google-explicit-constructor)
  Json(int64_t value) : value_(value) {}                    // NOLINT(google-explicit-constructor)
  Json(uint32_t value) : value_(static_cast<int64_t>(value)) {}  // NOLINT
  Json(size_t value) : value_(static_cast<int64_t>(value)) {}    // NOLINT
  Json(double value) : value_(value) {}                    // NOLINT(google-explicit-constructor)
  Json(const char* value) : value_(std::string(value)) {}  // NOLINT(google-explicit-constructor)
  Json(std::string value) : value_(std::move(value)) {}    // NOLINT(google-explicit-constructor)
  Json(std::string_view value) : value_(std::string(value)) {}  // NOLINT
  Json(Array value) : value_(std::move(value)) {}   // NOLINT(google-explicit-constructor)
  Json(Object value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor)

  static Json MakeObject(std::initializer_list<std::pair<std::string, Json>> fields = {}) {
    return Json(Object(fields));
  }
  static Json MakeArray() { return Json(Array()); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  // Each needs the value to be of that kind.
  bool as_bool() const { return std::get<bool>(value_); }
  int64_t as_integer() const { return std::get<int64_t>(value_); }
  double as_double() const;
  const std::string& as_string() const { return std::get<std::string>(value_); }
  const Array& as_array() const { return std::get<Array>(value_); }
  Array& as_array() { return std::get<Array>(value_); }
  const Object& as_object() const { return std::get<Object>(value_); }
  Object& as_object() { return std::get<Object>(value_); }

  // The value of a key; null where this is no object or has no such key.
  const Json* Find(std::string_view key) const;
  // Appends to an object or an array; a null value becomes one.
  Json& Set(std::string key, Json value);
  Json& Append(Json value);

  friend bool operator==(const Json& a, const Json& b) = default;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

// One line, or `indent` blanks a level where indent > 0. Bytes that are not UTF-8 are written as
// U+FFFD, so that the output is always JSON.
std::string WriteJson(const Json& value, int indent = 0);

enum class DuplicateKeys { kKeepLast, kRefuse };

// The whole text is one JSON value. Integers outside 64 bits become doubles.
Result<Json> ParseJson(std::string_view text, DuplicateKeys duplicates = DuplicateKeys::kKeepLast);

}  // namespace meshproof

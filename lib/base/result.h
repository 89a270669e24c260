#pragma once

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace meshproof {

// Why a run cannot be done (exit status 2). The message is one lower-case line without a full
// stop; a place in a file, where there is one, is part of the text.
struct Error {
  std::string message;
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : value_(std::move(error)) {}  // NOLINT(google-explicit-constructor)

  bool ok() const { return std::holds_alternative<T>(value_); }
  const T& value() const {
    MESHPROOF_CHECK(ok());
    return std::get<T>(value_);
  }
  T& value() {
    MESHPROOF_CHECK(ok());
    return std::get<T>(value_);
  }
  T Take() {
    MESHPROOF_CHECK(ok());
    return std::move(std::get<T>(value_));
  }
  const Error& error() const {
    MESHPROOF_CHECK(!ok());
    return std::get<Error>(value_);
  }

 private:
  std::variant<T, Error> value_;
};

}  // namespace meshproof

#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "crypto/jwt.h"

namespace meshproof {

// Key sets by their text, each parsed once. Not thread-safe: filled while a proxy is made ready.
class KeySets {
 public:
  const Jwks* Get(const std::string& text);

 private:
  std::map<std::string, std::unique_ptr<Jwks>> sets_;
};

// Remembers what became of tokens, so that a batch of requests costs one parse and one signature
// verification per distinct token and key set. Thread-safe; forgets all when it grows too large.
class TokenCache {
 public:
  class Token {
   public:
    explicit Token(std::string_view text) : parsed_(ParseJwt(text)) {}
    const ParsedJwt& parsed() const { return parsed_; }
    // Key choice and signature.
    JwtStatus Verify(const Jwks& keys) const;

   private:
    ParsedJwt parsed_;
    mutable std::mutex mutex_;
    mutable std::map<const Jwks*, JwtStatus> verified_;
  };

  std::shared_ptr<const Token> Get(std::string_view text);

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };

  std::shared_mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const Token>, Hash, std::equal_to<>> tokens_;
};

}  // namespace meshproof

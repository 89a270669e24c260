#include "simulate/token_cache.h"

namespace meshproof {
namespace {
constexpr size_t kMaxTokens = 20000;
}

const Jwks* KeySets::Get(const std::string& text) {
  auto& slot = sets_[text];
  if (!slot) slot = std::make_unique<Jwks>(Jwks::Parse(text));
  return slot.get();
}

JwtStatus TokenCache::Token::Verify(const Jwks& keys) const {
  {
    std::lock_guard lock(mutex_);
    auto found = verified_.find(&keys);
    if (found != verified_.end()) return found->second;
  }
  JwtStatus status = keys.Verify(parsed_.jwt);
  std::lock_guard lock(mutex_);
  verified_.emplace(&keys, status);
  return status;
}

std::shared_ptr<const TokenCache::Token> TokenCache::Get(std::string_view text) {
  {
    std::shared_lock lock(mutex_);
    auto found = tokens_.find(text);
    if (found != tokens_.end()) return found->second;
  }
  auto token = std::make_shared<const Token>(text);
  std::unique_lock lock(mutex_);
  if (tokens_.size() >= kMaxTokens) tokens_.clear();
  return tokens_.emplace(std::string(text), std::move(token)).first->second;
}

}  // namespace meshproof

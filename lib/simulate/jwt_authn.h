#pragma once

#include <memory>
#include <string>
#include <vector>

#include "simulate/stream.h"
#include "simulate/token_cache.h"

namespace meshproof {

// envoy.filters.http.jwt_authn of one connection manager, made ready (envoy-facts section 2).
//
// A request that brings `claims` instead of tokens is taken to carry one valid token. It belongs to
// the provider with the claims' issuer, else to one without an issuer, else to the first.
class JwtAuthenticator {
 public:
  JwtAuthenticator(const JwtFilter& filter, KeySets* key_sets, TokenCache* tokens);

  // Why Envoy would refuse a listener with this filter; "" = it loads.
  const std::string& load_failure() const { return load_failure_; }

  // Refuses a request with a bad token; leaves the claims of a good one in the stream.
  // `requirement`: what the route's override names in place of the filter's rules.
  FilterStatus Run(Stream* stream, const std::string* requirement = nullptr) const;

 private:
  struct Provider;
  struct Location;
  struct Token;
  struct Result;
  class Verifier;

  const Provider* Find(std::string_view name) const;
  void TakeClaims(Stream* stream) const;
  const JwtRequirement* RequirementFor(Stream* stream) const;

  const JwtFilter& filter_;
  TokenCache* tokens_;
  std::vector<std::shared_ptr<const Provider>> providers_;
  std::string load_failure_;
};

}  // namespace meshproof

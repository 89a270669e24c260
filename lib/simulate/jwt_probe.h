#pragma once

#include <memory>
#include <string>

#include "proxy/config.h"
#include "simulate/request.h"

// One jwt_authn filter alone, without the filters around it.
namespace meshproof {

struct JwtProbeAnswer {
  int status = 0;      // of the refusal; 0: the request goes on
  std::string body;    // of the refusal: Envoy's own words
  std::string claims;  // what the filters behind see of an accepted token, as JSON; "" = nothing
};

class JwtProbe {
 public:
  // `filter` outlives the probe.
  explicit JwtProbe(const JwtFilter& filter);
  ~JwtProbe();

  // Why Envoy would refuse the filter; "" = it loads.
  const std::string& load_failure() const;
  // What is not known (keys that nobody states) is taken as "no".
  JwtProbeAnswer Ask(const ProxyRequest& request) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Puts a token where the provider looks for it first; returns the place in words: "Authorization:
// Bearer <token>".
std::string PlaceToken(const JwtProvider& provider, const std::string& token,
                       ProxyRequest* request);

}  // namespace meshproof

#pragma once

#include <memory>

#include "proxy/config.h"
#include "simulate/request.h"
#include "simulate/verdict.h"

namespace meshproof {

// One proxy made ready for many requests: filter chains indexed, key sets parsed, tokens
// remembered. Thread-safe.
class ProxySimulator {
 public:
  explicit ProxySimulator(std::shared_ptr<const ProxyConfig> proxy);
  ~ProxySimulator();

  const ProxyConfig& proxy() const;

  // What this proxy decides on one request: listener, filter chain, TLS, network filters,
  // connection manager, HTTP filters, route (envoy-facts sections 1 to 5).
  Verdict Run(const ProxyRequest& request, Detail detail = Detail::kVerdict) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace meshproof

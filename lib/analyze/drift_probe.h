#pragma once

#include <vector>

#include "proxy/config.h"
#include "simulate/request.h"

namespace meshproof {

// Requests that meet a rule, or come near: one for each value in it.
class Prober {
 public:
  // `seeds` are asked as they are, and the first of them changed.
  explicit Prober(std::vector<ProxyRequest> seeds) : requests_(std::move(seeds)) {}

  void Add(const RbacPolicy& policy);
  std::vector<ProxyRequest> Take() { return std::move(requests_); }

 private:
  std::vector<ProxyRequest> requests_;
};

}  // namespace meshproof

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy/config.h"

namespace meshproof {

// The security filters of a chain, HTTP and network ones in order.
struct ChainView {
  const FilterChain* chain = nullptr;
  const HttpConnectionManager* manager = nullptr;
  struct Filter {
    std::string kind;  // "rbac DENY", "jwt_authn", "ext_authz", "rbac shadow"
    const RbacFilter* rbac = nullptr;
    const JwtFilter* jwt = nullptr;
    const ExtAuthzFilter* ext_authz = nullptr;
    std::string opaque;  // a filter that cannot be seen through
  };
  std::vector<Filter> filters;
};

ChainView ViewOf(const FilterChain& chain);

// "port 8080", "every other port".
std::string PortText(const FilterChain& chain);

// The listener of the same name, else of the same address; null: none.
const Listener* FindLike(const ProxyConfig& config, const Listener& like);

// A chain that the manifests give and the dump's that matches the same connections.
struct ChainPair {
  ChainView expected, got;
  std::string listener;  // its name in the dump
};
std::vector<ChainPair> PairChains(const ProxyConfig& expected, const ProxyConfig& got);

}  // namespace meshproof

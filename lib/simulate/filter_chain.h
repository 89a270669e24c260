#pragma once

#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/config.h"
#include "simulate/request.h"

namespace meshproof {

// What listener filters found out about a connection; what filter chains are matched against.
struct ConnectionFacts {
  Address source, destination;
  uint32_t destination_port = 0;
  uint32_t source_port = 0;                 // 0: not known, taken as one that no chain names
  std::string_view transport;               // "tls" or "raw_buffer"
  std::string server_name;                  // lower case; "" = none
  std::vector<std::string_view> protocols;  // client ALPN, or what the HTTP inspector found
};

struct ChainChoice {
  const FilterChain* chain = nullptr;  // null: no chain
  // Set where an address that is not known exactly decides: what would have to be known.
  std::string unknown;
};

// The filter chains of one listener, ready to be matched as Envoy does it (envoy-facts section 4):
// criterion by criterion, at each the most specific value that is left, without backtracking.
class FilterChainIndex {
 public:
  explicit FilterChainIndex(const Listener& listener);

  ChainChoice Find(const ConnectionFacts& facts) const;

 private:
  using Chains = std::pmr::vector<const FilterChain*>;
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  struct PortGroup {
    Chains all;
    bool has_prefixes = false;  // some chain has a destination block
    Chains without_name;
    std::unordered_map<std::string, Chains, TextHash, std::equal_to<>> by_name;
  };

  static void AddChain(const FilterChain& chain, PortGroup* group);
  static void MatchServerName(const PortGroup& group, const Chains* narrowed, std::string_view name,
                              Chains* chains);

  std::unordered_map<uint32_t, PortGroup> by_port_;  // 0 = chains without a port
  const FilterChain* default_chain_ = nullptr;
};

}  // namespace meshproof

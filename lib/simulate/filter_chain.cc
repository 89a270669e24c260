// Envoy's choice of a filter chain (envoy-facts section 4): destination port, destination block
// (longest), server name (exact, longest wildcard, none), transport protocol, the first application
// protocol of the client that any chain lists, direct source block, source type, source block,
// source port. Each step keeps the chains that have the most specific matching value and never
// looks back; where nothing is left the default chain takes the connection.

#include "simulate/filter_chain.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/text.h"

namespace meshproof {
namespace {

using Chains = std::pmr::vector<const FilterChain*>;

bool IsWildcard(std::string_view name) {
  return name.starts_with("*.");
}

// Keeps the chains whose blocks hold the address with the longest prefix. A chain without blocks
// matches with length 0 of either family.
template <typename Blocks>
std::string KeepLongestPrefix(const Address& address, std::string_view what, Blocks blocks,
                              Chains* chains) {
  bool any = std::any_of(chains->begin(), chains->end(),
                         [&](const FilterChain* chain) { return !blocks(*chain).empty(); });
  if (!any) return "";
  const auto* ip = std::get_if<IpAddress>(&address.value);
  const auto* block = std::get_if<CidrRange>(&address.value);
  if (ip == nullptr && block == nullptr) return std::string(what) + " is not known";
  auto holds = [&](const CidrRange& range) {
    return ip != nullptr ? range.Contains(*ip) : range.Contains(*block);
  };
  auto length_of = [&](const FilterChain& chain) {
    int length = blocks(chain).empty() ? 0 : -1;
    for (const CidrRange& range : blocks(chain)) {
      if (holds(range)) length = std::max(length, range.length);
    }
    return length;
  };
  int best = 0;
  for (const FilterChain* chain : *chains) {
    for (const CidrRange& range : blocks(*chain)) {
      if (block != nullptr && !holds(range) && range.Overlaps(*block)) {
        return std::string(what) + " is known only as " + ToString(address) + ", which " +
               ToString(range) + " cuts";
      }
    }
    best = std::max(best, length_of(*chain));
  }
  std::erase_if(*chains, [&](const FilterChain* chain) { return length_of(*chain) < best; });
  return "";
}

bool IsLoopback(const IpAddress& address) {
  if (!address.v6) return address.bytes[0] == 127;
  IpAddress one;
  one.v6 = true;
  one.bytes[15] = 1;
  return address == one;
}

void KeepTransport(std::string_view transport, Chains* chains) {
  auto has = [&](std::string_view value) {
    return std::any_of(chains->begin(), chains->end(), [&](const FilterChain* chain) {
      return chain->match.transport_protocol == value;
    });
  };
  std::string_view value = has(transport) ? transport : std::string_view();
  std::erase_if(*chains,
                [&](const FilterChain* chain) { return chain->match.transport_protocol != value; });
}

void KeepApplicationProtocol(const std::vector<std::string_view>& protocols, Chains* chains) {
  auto lists = [](const FilterChain* chain, std::string_view protocol) {
    const auto& listed = chain->match.application_protocols;
    return std::find(listed.begin(), listed.end(), protocol) != listed.end();
  };
  for (std::string_view protocol : protocols) {
    bool any = std::any_of(chains->begin(), chains->end(),
                           [&](const FilterChain* chain) { return lists(chain, protocol); });
    if (!any) continue;
    std::erase_if(*chains, [&](const FilterChain* chain) { return !lists(chain, protocol); });
    return;
  }
  std::erase_if(*chains, [](const FilterChain* chain) {
    return !chain->match.application_protocols.empty();
  });
}

std::string KeepSourceType(const ConnectionFacts& facts, Chains* chains) {
  using Type = FilterChainMatch::SourceType;
  auto has = [&](Type type) {
    return std::any_of(chains->begin(), chains->end(),
                       [&](const FilterChain* chain) { return chain->match.source_type == type; });
  };
  bool local_chains = has(Type::kSameIpOrLoopback);
  bool external_chains = has(Type::kExternal);
  Type wanted = Type::kAny;
  if (local_chains || external_chains) {
    const auto* source = std::get_if<IpAddress>(&facts.source.value);
    const auto* destination = std::get_if<IpAddress>(&facts.destination.value);
    if (source == nullptr || destination == nullptr) {
      return "whether the caller is the workload itself is not known";
    }
    bool local = *source == *destination || IsLoopback(*source);
    if (local && local_chains) wanted = Type::kSameIpOrLoopback;
    if (!local && external_chains) wanted = Type::kExternal;
  }
  std::erase_if(*chains,
                [&](const FilterChain* chain) { return chain->match.source_type != wanted; });
  return "";
}

void KeepSourcePort(uint32_t port, Chains* chains) {
  auto lists = [&](const FilterChain* chain) {
    const auto& ports = chain->match.source_ports;
    return std::find(ports.begin(), ports.end(), port) != ports.end();
  };
  bool any = port != 0 && std::any_of(chains->begin(), chains->end(), lists);
  std::erase_if(*chains, [&](const FilterChain* chain) {
    return any ? !lists(chain) : !chain->match.source_ports.empty();
  });
}

}  // namespace

FilterChainIndex::FilterChainIndex(const Listener& listener) {
  for (const auto& chain : listener.filter_chains) {
    AddChain(chain, &by_port_[chain.match.destination_port]);
  }
  if (listener.default_filter_chain) default_chain_ = &*listener.default_filter_chain;
}

void FilterChainIndex::AddChain(const FilterChain& chain, PortGroup* group) {
  group->all.push_back(&chain);
  if (!chain.match.prefix_ranges.empty()) group->has_prefixes = true;
  if (chain.match.server_names.empty()) group->without_name.push_back(&chain);
  for (const auto& name : chain.match.server_names) {
    std::string key = ToLower(IsWildcard(name) ? std::string_view(name).substr(1) : name);
    (key.empty() ? group->without_name : group->by_name[key]).push_back(&chain);
  }
}

// Exact name, then ".suffix" from the longest, then chains without names. `narrowed`: only these
// count (what the destination block left over).
void FilterChainIndex::MatchServerName(const PortGroup& group, const Chains* narrowed,
                                       std::string_view name, Chains* chains) {
  auto take = [&](const Chains& named) {
    *chains = named;
    if (narrowed != nullptr) {
      std::erase_if(*chains, [&](const FilterChain* chain) {
        return std::find(narrowed->begin(), narrowed->end(), chain) == narrowed->end();
      });
    }
    return !chains->empty();
  };
  auto look_up = [&](std::string_view key) {
    auto found = group.by_name.find(key);
    return found != group.by_name.end() && take(found->second);
  };
  if (!name.empty() && !group.by_name.empty()) {
    if (look_up(name)) return;
    for (size_t dot = name.find('.', 1); dot != std::string_view::npos && dot + 1 < name.size();
         dot = name.find('.', dot + 1)) {
      if (look_up(name.substr(dot))) return;
    }
  }
  take(group.without_name);
}

ChainChoice FilterChainIndex::Find(const ConnectionFacts& facts) const {
  auto group = by_port_.find(facts.destination_port);
  if (group == by_port_.end()) group = by_port_.find(0);
  if (group == by_port_.end()) return {default_chain_, ""};
  std::array<std::byte, 1024> room;  // the chains of most ports fit
  std::pmr::monotonic_buffer_resource arena(room.data(), room.size());
  Chains narrowed(&arena);
  if (group->second.has_prefixes) {
    narrowed = group->second.all;
    std::string unknown = KeepLongestPrefix(
        facts.destination, "the destination address",
        [](const FilterChain& chain) -> const auto& { return chain.match.prefix_ranges; },
        &narrowed);
    if (!unknown.empty()) return {nullptr, unknown};
  }
  Chains chains(&arena);
  MatchServerName(group->second, group->second.has_prefixes ? &narrowed : nullptr,
                  facts.server_name, &chains);
  KeepTransport(facts.transport, &chains);
  KeepApplicationProtocol(facts.protocols, &chains);
  std::string unknown = KeepLongestPrefix(
      facts.source, "the caller's address",
      [](const FilterChain& chain) -> const auto& {
        return chain.match.direct_source_prefix_ranges;
      },
      &chains);
  if (unknown.empty()) unknown = KeepSourceType(facts, &chains);
  if (unknown.empty()) {
    unknown = KeepLongestPrefix(
        facts.source, "the caller's address",
        [](const FilterChain& chain) -> const auto& { return chain.match.source_prefix_ranges; },
        &chains);
  }
  if (!unknown.empty()) return {nullptr, unknown};
  KeepSourcePort(facts.source_port, &chains);
  return {chains.empty() ? default_chain_ : chains.front(), ""};
}

}  // namespace meshproof

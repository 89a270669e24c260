// Chains are paired by what they match, so that another order or spelling is no difference.

#include "analyze/drift_chains.h"

#include <algorithm>
#include <map>
#include <variant>

#include "base/text.h"

namespace meshproof {
namespace {

using Manager = std::shared_ptr<const HttpConnectionManager>;

std::string KindOf(const RbacFilter& filter) {
  if (filter.matcher != nullptr) return "rbac matcher";
  if (!filter.rules) return filter.shadow_rules ? "rbac shadow" : "rbac without rules";
  switch (filter.rules->action) {
    case Rbac::Action::kAllow:
      return "rbac ALLOW";
    case Rbac::Action::kDeny:
      return "rbac DENY";
    case Rbac::Action::kLog:
      return "rbac LOG";
  }
  return "rbac";
}

struct Viewer {
  ChainView* view;
  void operator()(const RbacFilter& filter) const {
    view->filters.push_back({KindOf(filter), &filter, nullptr, nullptr, ""});
  }
  void operator()(const JwtFilter& filter) const {
    view->filters.push_back({"jwt_authn", nullptr, &filter, nullptr, ""});
  }
  void operator()(const ExtAuthzFilter& filter) const {
    view->filters.push_back({"ext_authz " + filter.provider, nullptr, nullptr, &filter, ""});
  }
  void operator()(const OpaqueFilter& filter) const {
    if (filter.effect != OpaqueFilter::Effect::kUnknown) return;
    view->filters.push_back({filter.name, nullptr, nullptr, nullptr, filter.name});
  }
  void operator()(const TcpProxy&) const {}
  void operator()(const Manager& manager) const {
    view->manager = manager.get();
    for (const HttpFilter& filter : manager->http_filters) std::visit(*this, filter);
  }
};

// What tells chains apart: their match, in any order of its lists; their name where a matcher of
// the listener's chooses by it.
std::string KeyOf(const Listener& listener, const FilterChain& chain) {
  if (listener.name == "main_internal") return chain.name;
  const FilterChainMatch& match = chain.match;
  auto sorted = [](std::vector<std::string> texts) {
    std::sort(texts.begin(), texts.end());
    return Join(texts, ",");
  };
  std::vector<std::string> ranges;
  for (const CidrRange& range : match.prefix_ranges) ranges.push_back(ToString(range));
  return std::to_string(match.destination_port) + "|" + match.transport_protocol + "|" +
         sorted(match.application_protocols) + "|" + sorted(match.server_names) + "|" +
         sorted(ranges);
}

}  // namespace

ChainView ViewOf(const FilterChain& chain) {
  ChainView view;
  view.chain = &chain;
  if (chain.filters != nullptr) {
    for (const NetworkFilter& filter : *chain.filters) std::visit(Viewer{&view}, filter);
  }
  return view;
}

std::string PortText(const FilterChain& chain) {
  return chain.match.destination_port == 0 ? std::string("every other port")
                                           : "port " + std::to_string(chain.match.destination_port);
}

const Listener* FindLike(const ProxyConfig& config, const Listener& like) {
  for (const Listener& listener : config.listeners) {
    if (listener.name == like.name) return &listener;
  }
  for (const Listener& listener : config.listeners) {
    if (listener.port == like.port && listener.address == like.address) return &listener;
  }
  return nullptr;
}

std::vector<ChainPair> PairChains(const ProxyConfig& expected_proxy, const ProxyConfig& got_proxy) {
  std::vector<ChainPair> pairs;
  for (const Listener& expected : expected_proxy.listeners) {
    const Listener* got = FindLike(got_proxy, expected);
    if (got == nullptr) continue;
    std::map<std::string, const FilterChain*> by_key;
    for (const FilterChain& chain : got->filter_chains) by_key.emplace(KeyOf(*got, chain), &chain);
    for (const FilterChain& chain : expected.filter_chains) {
      auto found = by_key.find(KeyOf(expected, chain));
      if (found == by_key.end()) continue;
      pairs.push_back({ViewOf(chain), ViewOf(*found->second), got->name});
    }
  }
  return pairs;
}

}  // namespace meshproof

#include "reason/proxy_key.h"

#include <algorithm>
#include <cstring>

#include "proxy/config.h"
#include "simulate/simulate.h"

namespace meshproof {
namespace {

void AppendKey(uint64_t number, std::string* key) {
  char bytes[sizeof(number)];
  std::memcpy(bytes, &number, sizeof(number));
  key->append(bytes, sizeof(number));
}
void AppendKey(std::string_view text, std::string* key) {
  AppendKey(uint64_t{text.size()}, key);
  *key += text;
}
void AppendKey(const void* pointer, std::string* key) {
  AppendKey(reinterpret_cast<uintptr_t>(pointer), key);
}
void AppendKey(const std::vector<std::string>& texts, std::string* key) {
  AppendKey(texts.size(), key);
  for (const std::string& text : texts) AppendKey(std::string_view(text), key);
}

void AppendKey(const Rbac& rules, std::string* key) {
  AppendKey(static_cast<uint64_t>(rules.action), key);
  for (const auto& policy : rules.policies) AppendKey(policy.get(), key);
}

void AppendKey(const RbacFilter& filter, std::string* key) {
  *key += filter.rules ? 'r' : '-';
  if (filter.rules) AppendKey(*filter.rules, key);
  *key += filter.shadow_rules ? 's' : '-';
  if (filter.shadow_rules) AppendKey(*filter.shadow_rules, key);
  AppendKey(std::string_view(filter.shadow_rules_stat_prefix), key);
}

void AppendKey(const ExtAuthzFilter& filter, std::string* key) {
  AppendKey(std::string_view(filter.provider), key);
  AppendKey(std::string_view(filter.gate_filter), key);
  AppendKey(std::string_view(filter.gate_key), key);
  AppendKey(std::string_view(filter.gate_prefix), key);
}

void AppendKey(const JwtFilter& filter, std::string* key) {
  for (const JwtProvider& provider : filter.providers) {
    // The place of its rule and its number say all else.
    AppendKey(std::string_view(provider.name), key);
    AppendKey(provider.origin.object, key);
    AppendKey(static_cast<uint64_t>(provider.origin.rule) + 1, key);
  }
}

void AppendKey(const PathOptions& options, std::string* key) {
  AppendKey(static_cast<uint64_t>(options.normalize) +
                2 * static_cast<uint64_t>(options.merge_slashes) +
                4 * static_cast<uint64_t>(options.escaped_slashes),
            key);
}

bool Uses(const Predicate& predicate, bool (*asked)(const Predicate&)) {
  if (asked(predicate)) return true;
  const auto& match = predicate.match;
  const std::vector<Predicate>* children = nullptr;
  if (const auto* all = std::get_if<AndPredicate>(&match)) children = &all->all;
  if (const auto* any = std::get_if<OrPredicate>(&match)) children = &any->any;
  if (const auto* negated = std::get_if<NotPredicate>(&match)) children = &negated->inner;
  if (children == nullptr) return false;
  for (const Predicate& child : *children) {
    if (Uses(child, asked)) return true;
  }
  return false;
}

bool AsksPort(const Predicate& predicate) {
  return std::holds_alternative<PortPredicate>(predicate.match);
}
bool AsksDestination(const Predicate& predicate) {
  const auto* address = std::get_if<AddressPredicate>(&predicate.match);
  return address != nullptr && address->field == AddressField::kDestination;
}

}  // namespace

ProxyKeys::Uses ProxyKeys::UsesOf(const RbacPolicy& policy) {
  std::lock_guard lock(mutex_);
  auto [found, added] = uses_.try_emplace(&policy);
  if (added) {
    for (const Predicate& one : policy.permissions) {
      found->second.port |= meshproof::Uses(one, AsksPort);
      found->second.destination |= meshproof::Uses(one, AsksDestination);
    }
  }
  return found->second;
}

void ProxyKeys::AddFilters(const std::vector<NetworkFilter>& filters, bool* complete, Uses* used,
                           std::string* key) {
  auto add_rbac = [&](const RbacFilter& filter) {
    *key += 'R';
    AppendKey(filter, key);
    for (const auto* rules : {&filter.rules, &filter.shadow_rules}) {
      if (!*rules) continue;
      for (const auto& policy : (*rules)->policies) {
        Uses own = UsesOf(*policy);
        used->port |= own.port;
        used->destination |= own.destination;
      }
    }
  };
  auto add_authorizer = [&](const ExtAuthzFilter& filter) {
    *key += 'E';
    AppendKey(filter, key);
  };
  auto add_http = [&](const HttpConnectionManager& manager) {
    *key += 'H';
    AppendKey(manager.path, key);
    for (const HttpFilter& filter : manager.http_filters) {
      if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
        add_rbac(*rbac);
      } else if (const auto* jwt = std::get_if<JwtFilter>(&filter)) {
        *key += 'J';
        AppendKey(*jwt, key);
      } else if (const auto* authorizer = std::get_if<ExtAuthzFilter>(&filter)) {
        add_authorizer(*authorizer);
      } else {
        *complete = false;
      }
    }
  };
  for (const NetworkFilter& filter : filters) {
    if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
      add_rbac(*rbac);
    } else if (const auto* authorizer = std::get_if<ExtAuthzFilter>(&filter)) {
      add_authorizer(*authorizer);
    } else if (const auto* tcp = std::get_if<TcpProxy>(&filter)) {
      *key += tcp->cluster == "BlackHoleCluster" ? 'B' : 'T';
    } else if (const auto* http =
                   std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter)) {
      add_http(**http);
    } else {
      *complete = false;
    }
  }
  *key += '.';
}

std::string ProxyKeys::Of(const World& world, const Workload& workload, int port) {
  if (workload.mode != ProxyMode::kSidecar) return "";
  const ProxyConfig& proxy = world.Proxy(workload).proxy();
  // Of a dump nobody knows what its providers share with others'.
  if (proxy.from_dump) return "";
  if (!proxy.unmodelled.empty() || !proxy.load_failures.empty() || proxy.listeners.size() != 1) {
    return "";
  }
  const Listener& listener = proxy.listeners.front();
  auto number = static_cast<uint32_t>(port);
  bool own_chains = false;
  for (const FilterChain& chain : listener.filter_chains) {
    own_chains |= chain.match.destination_port == number;
  }
  std::string key;
  AppendKey(static_cast<uint64_t>(listener.InspectsTls(number)), &key);
  AppendKey(static_cast<uint64_t>(listener.InspectsHttp(number)), &key);
  Uses used;
  bool complete = true;
  // Chains of one port have filters in common.
  std::vector<const void*> known;
  for (const FilterChain& chain : listener.filter_chains) {
    if (chain.match.destination_port != (own_chains ? number : 0)) continue;
    if (!chain.match.server_names.empty() || !chain.match.prefix_ranges.empty()) return "";
    AppendKey(std::string_view(chain.match.transport_protocol), &key);
    AppendKey(chain.match.application_protocols, &key);
    key += chain.tls ? 't' : '-';
    if (chain.tls) {
      AppendKey(static_cast<uint64_t>(chain.tls->require_client_certificate), &key);
      AppendKey(uint64_t{chain.tls->subject_alt_names.size()}, &key);
      for (const StringMatcher& name : chain.tls->subject_alt_names) {
        AppendKey(std::string_view(name.value), &key);
      }
    }
    auto found = std::find(known.begin(), known.end(), chain.filters.get());
    if (found != known.end()) {
      key += '=';
      AppendKey(static_cast<uint64_t>(found - known.begin()), &key);
      continue;
    }
    known.push_back(chain.filters.get());
    AddFilters(*chain.filters, &complete, &used, &key);
    if (!complete) return "";
  }
  if (used.port) AppendKey(number, &key);
  if (used.destination) {
    for (const IpAddress& ip : workload.ips) AppendKey(std::string_view(ToString(ip)), &key);
  }
  return key;
}

std::string ProxyKeys::ShortOf(const World& world, const Workload& workload, int port) {
  {
    std::lock_guard lock(short_mutex_);
    auto known = short_.find(&workload);
    if (known != short_.end()) {
      auto name = known->second.find(port);
      if (name != known->second.end()) return name->second;
    }
  }
  std::string key = Of(world, workload, port);
  std::lock_guard lock(short_mutex_);
  std::string& name = short_[&workload][port];
  if (!key.empty() && name.empty()) {
    size_t next = numbers_.size();
    name = std::to_string(numbers_.try_emplace(std::move(key), next).first->second) + ":";
  }
  return name;
}

namespace {

void AppendRegionKey(const Region& region, std::string* key) {
  *key += static_cast<char>('0' + static_cast<int>(region.kind));
  if (region.kind == Region::Kind::kField) {
    AppendKey(static_cast<uint64_t>(region.field), key);
    AppendKey(std::string_view(region.name), key);
    AppendKey(std::string_view(region.value), key);
    AppendKey(region.object, key);
    AppendKey(static_cast<uint64_t>(region.rule) + 1, key);
  }
  *key += '(';
  for (const Region& child : region.children) AppendRegionKey(child, key);
  *key += ')';
}

}  // namespace

std::string RegionKey(const Region& region) {
  std::string key;
  AppendRegionKey(region, &key);
  return key;
}

}  // namespace meshproof

// Envoy looks an exact domain up before all others (envoy-facts section 4), so that what one
// virtual host of a gateway without filters does depends on no other host: of two that have the
// same routes in the same listeners, each to its own Service, one does with its domain what the
// other does with its own.

#include "analyze/route_twins.h"

#include <algorithm>

#include "analyze/reach.h"
#include "analyze/rule.h"
#include "reason/proxy_key.h"

namespace meshproof {
namespace {

// What ways have in common with their twins, piece by piece.
class WayShape {
 public:
  // "" where there is no name for it.
  static std::string Of(const std::vector<const Entrance*>& ways) {
    WayShape shape;
    return shape.AddWays(ways) ? std::move(shape.key_) : "";
  }

  // False where a condition is not about the path alone.
  bool AddMatch(const RouteMatch& match) {
    if (!match.headers.empty() || !match.query_parameters.empty() ||
        !match.dynamic_metadata.empty()) {
      return false;
    }
    key_ += match.case_sensitive ? 'c' : 'i';
    key_ += match.regex ? 'r' : '-';
    AddNumber(static_cast<uint64_t>(match.path_kind));
    AddNumber(match.path.size());
    key_ += match.path;
    return true;
  }
  const std::string& key() const { return key_; }

 private:
  void AddNumber(uint64_t number) {
    key_ += std::to_string(number);
    key_ += ',';
  }
  void AddObject(const void* object) { AddNumber(reinterpret_cast<uintptr_t>(object)); }

  bool AddRoute(const Route& route, const MeshService& service) {
    if (!route.opaque.empty() || !route.overrides.empty()) return false;
    if (!AddMatch(route.match)) return false;
    AddNumber(static_cast<uint64_t>(route.action));
    for (const WeightedCluster& cluster : route.clusters) {
      key_ += cluster.cluster.ends_with("|" + service.host) ? '+' : '-';
    }
    return true;
  }

  // The one host by which the ways of a port go, if there is one and it has one plain domain.
  static const VirtualHost* OnlyHost(const std::vector<const Entrance*>& ways, int port) {
    const VirtualHost* host = nullptr;
    for (const Entrance* way : ways) {
      if (way->port != port) continue;
      if (host != nullptr && host != way->host) return nullptr;
      host = way->host;
    }
    const bool exact =
        host->domains.size() == 1 && host->domains.front().find('*') == std::string::npos;
    return exact && host->opaque.empty() && host->overrides.empty() ? host : nullptr;
  }

  bool AddWays(const std::vector<const Entrance*>& ways) {
    const Entrance& first = *ways.front();
    const VirtualHost* host = OnlyHost(ways, first.port);
    if (host == nullptr) return false;
    AddObject(first.gateway);
    AddNumber(static_cast<uint64_t>(first.port));
    key_ += host->require_tls ? 't' : '-';
    for (const Entrance* way : ways) {
      if (way->port != first.port) continue;
      if (!way->routes->overrides.empty()) return false;
      AddObject(way->chain);
      AddObject(way->routes);
      AddNumber(static_cast<uint64_t>(way->route - host->routes.data()));
    }
    return std::all_of(host->routes.begin(), host->routes.end(),
                       [&](const Route& route) { return AddRoute(route, *first.service); });
  }

  std::string key_;
};

}  // namespace

std::optional<Case> RouteTwins::RequestFor(const Entrance& way) {
  WayShape shape;
  for (const Route& route : way.host->routes) {
    if (!shape.AddMatch(route.match)) return RequestOf(way);
    if (&route == way.route) break;
  }
  auto [known, is_new] = requests_.try_emplace(shape.key());
  if (is_new) known->second = RequestOf(way);
  if (!known->second) return std::nullopt;
  const Case& shown = *known->second;
  Case question = RequestTo(way, shown.path, shown.method.value_or("GET"));
  question.headers = shown.headers;
  return question;
}

// Whether no filter of the gateway looks at hosts.
bool RouteTwins::IsPlain(const Workload& gateway) {
  auto [known, is_new] = plain_.try_emplace(&gateway, false);
  if (!is_new) return known->second;
  const Mesh& mesh = analysis_.mesh;
  const PolicySet policies = mesh.PoliciesFor(gateway);
  const bool free = policies.custom.empty() && policies.deny.empty() && policies.allow.empty() &&
                    policies.audit.empty() && policies.request_authentications.empty();
  const ProxyConfig& proxy = analysis_.world.Proxy(gateway).proxy();
  known->second = free && !proxy.from_dump && proxy.unmodelled.empty() &&
                  proxy.load_failures.empty() && mesh.UnmodelledFor(gateway).empty();
  return known->second;
}

std::optional<Case> RouteTwins::Find(const std::vector<const Entrance*>& ways,
                                     const Region& beside) {
  const Entrance& first = *ways.front();
  const auto ask = [&]() -> std::optional<Case> {
    const Region region =
        Region::And({Region::Is(Region::Field::kRouted, first.service->host), beside});
    Answer answer =
        analysis_.reach->Find(*first.gateway, first.port, region, Wanted::kAllowedByAnyAuthorizer);
    if (!answer.found()) return std::nullopt;
    return std::move(answer.example->request);
  };
  std::string key = IsPlain(*first.gateway) ? WayShape::Of(ways) : "";
  if (key.empty()) return ask();
  key += RegionKey(beside);
  auto [known, is_new] = found_.try_emplace(std::move(key));
  if (is_new) {
    known->second = ask();
    // Only a request that names the host is one of its twins' as well.
    if (known->second && known->second->host != first.host->domains.front()) {
      std::optional<Case> own = std::move(known->second);
      found_.erase(known);
      return own;
    }
    return known->second;
  }
  std::optional<Case> told = known->second;
  if (told) told->host = first.host->domains.front();
  return told;
}

}  // namespace meshproof

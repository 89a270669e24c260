// Which upstream clusters a proxy has. A route to one that does not exist is answered with 503 and
// the flag NC, so a request's fate hangs on it.

#include "proxy/clusters.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace meshproof {

std::string QualifyHost(std::string_view host, std::string_view ns, const MeshConfig& config) {
  if (host.empty() || host.starts_with('*') || host.find('.') != std::string_view::npos) {
    return std::string(host);
  }
  return std::string(host) + "." + std::string(ns) + ".svc." + config.domain;
}

std::string DestinationCluster(const Mesh& mesh, const Destination& destination,
                               std::string_view ns, int listener_port) {
  if (destination.host.value.empty()) return "UnknownService";
  std::string host = QualifyHost(destination.host.value, ns, mesh.config());
  const MeshService* service = mesh.FindService(host);
  int port = listener_port;
  if (destination.port != 0) {
    port = destination.port;
  } else if (service != nullptr && service->ports.size() == 1) {
    port = service->ports.front().port;
  }
  if (service != nullptr && service->service != nullptr &&
      !service->service->external_name.empty()) {
    host = std::string(service->service->external_name);
  }
  return "outbound|" + std::to_string(port) + "|" + std::string(destination.subset.value) + "|" +
         host;
}

bool ClusterExists(const Mesh& mesh, const Workload& workload, std::string_view name) {
  if (name == "BlackHoleCluster" || name == "InboundPassthroughCluster" || name == "encap") {
    return true;
  }
  // AUTO_PASSTHROUGH clusters are written outbound_.80_.subset_.host.
  std::string piped(name);
  if (piped.starts_with("outbound_.")) {
    for (size_t at = piped.find("_."); at != std::string::npos; at = piped.find("_.", at + 1)) {
      piped.replace(at, 2, "|");
    }
  }
  const std::vector<std::string_view> parts = Split(piped, '|');
  if (parts.size() != 4) return false;
  if (parts[0] == "inbound") return true;
  // inbound-vip|80|http/subset|host: a waypoint's.
  const bool vip = parts[0] == "inbound-vip";
  if (!vip && parts[0] != "outbound") return false;
  std::string_view subset = parts[2];
  if (vip) {
    const size_t slash = subset.find('/');
    subset = slash == std::string_view::npos ? std::string_view() : subset.substr(slash + 1);
  }
  const MeshService* service = mesh.FindService(parts[3]);
  const std::optional<unsigned long> port = ParseUnsigned(parts[1]);
  if (service == nullptr || !port || *port > 65535) return false;
  if (service->FindPort(static_cast<int>(*port)) == nullptr) return false;
  if (subset.empty()) return true;
  const DestinationRule* rule = mesh.DestinationRuleFor(workload, *service);
  return rule != nullptr &&
         std::any_of(rule->subsets.begin(), rule->subsets.end(),
                     [&](const auto& candidate) { return candidate.name.value == subset; });
}

namespace {

class NameCollector {
 public:
  void Add(const std::string& name) {
    if (!name.empty()) names.insert(name);
  }
  void Add(const std::vector<WeightedCluster>& clusters) {
    for (const WeightedCluster& cluster : clusters) Add(cluster.cluster);
  }
  void Add(const RouteConfiguration& routes) {
    for (const VirtualHost& host : routes.virtual_hosts) {
      for (const Route& route : host.routes) Add(route.clusters);
    }
  }
  void operator()(const RbacFilter&) {}
  void operator()(const OpaqueFilter&) {}
  void operator()(const ExtAuthzFilter& filter) { Add(filter.cluster); }
  void operator()(const JwtFilter& filter) {
    for (const JwtProvider& provider : filter.providers) Add(provider.remote_jwks_cluster);
  }
  void operator()(const TcpProxy& proxy) {
    Add(proxy.cluster);
    Add(proxy.weighted_clusters);
  }
  void operator()(const std::shared_ptr<const HttpConnectionManager>& manager) {
    Add(manager->cluster);
    if (manager->routes != nullptr) Add(*manager->routes);
    for (const HttpFilter& filter : manager->http_filters) std::visit(*this, filter);
  }

  std::set<std::string> names;
};

}  // namespace

void ListClusters(const Mesh& mesh, const Workload& workload, ProxyConfig* proxy) {
  NameCollector collector;
  for (const Listener& listener : proxy->listeners) {
    for (const FilterChain& chain : listener.filter_chains) {
      for (const NetworkFilter& filter : *chain.filters) std::visit(collector, filter);
    }
  }
  for (const auto& routes : proxy->routes) collector.Add(*routes);
  for (const std::string& name : collector.names) {
    if (ClusterExists(mesh, workload, name)) proxy->clusters.push_back(name);
  }
}

}  // namespace meshproof

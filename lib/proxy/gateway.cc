// Servers of all Gateways that select a workload, merged into one listener for each port it listens
// on. Plain HTTP servers of a port share one connection manager and one route configuration; TLS
// servers are told apart by SNI and get a filter chain each. What cannot be merged (another
// protocol on the port, a TLS host that is taken) istiod skips.

#include "proxy/gateway.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "proxy/clusters.h"
#include "proxy/gateway_hosts.h"
#include "proxy/inbound.h"
#include "proxy/routes.h"
#include "proxy/server_tls.h"

namespace meshproof {
namespace {

enum class ServerProtocol { kHttp, kHttps, kOther };

ServerProtocol ProtocolOf(const GatewayServer& server) {
  const std::string name = ToLower(server.protocol.value);
  for (const std::string_view http : {"http", "http2", "http_proxy", "grpc", "grpc-web"}) {
    if (name == http) return ServerProtocol::kHttp;
  }
  return name == "https" ? ServerProtocol::kHttps : ServerProtocol::kOther;
}

bool IsPassthrough(const GatewayServer& server) {
  return server.tls && (server.tls->mode == TlsSettings::Mode::kPassthrough ||
                        server.tls->mode == TlsSettings::Mode::kAutoPassthrough);
}

bool TerminatesHttps(const GatewayServer& server) {
  return ProtocolOf(server) == ServerProtocol::kHttps && server.tls && !IsPassthrough(server);
}

std::string GatewayName(const Gateway& gateway) {
  return gateway.meta.ns + "/" + std::string(gateway.meta.name);
}

struct MergedServer {
  Mesh::BoundServer bound;
  std::vector<std::string> hosts;
  std::string route_name;  // HTTP and terminated HTTPS
  int index = 0;           // in spec.servers
};

struct Port {
  std::string bind;
  int number = 0;
  bool plain_http = false;
  std::vector<MergedServer> servers;
};

class GatewayBuilder {
 public:
  GatewayBuilder(const Mesh& mesh, const Workload& workload, const FilterBuilder& filters,
                 ProxyConfig* proxy)
      : mesh_(mesh), workload_(workload), proxy_(proxy) {
    const PolicySet policies = mesh.PoliciesFor(workload);
    http_filters_ = filters.HttpFilters(policies, true);
    network_filters_ = filters.NetworkFilters(policies);
  }

  void Build() {
    for (const Mesh::BoundServer& bound : mesh_.GatewayServersFor(workload_)) Merge(bound);
    for (const Port& port : ports_) AddListener(port);
    for (const auto& [name, servers] : routed_) {
      proxy_->routes.push_back(std::make_shared<const RouteConfiguration>(
          BuildGatewayRoutes(mesh_, workload_, name, servers)));
    }
  }

 private:
  void Merge(const Mesh::BoundServer& bound) {
    const GatewayServer& server = *bound.server;
    MergedServer merged;
    merged.bound = bound;
    merged.index = static_cast<int>(&server - bound.gateway->servers.data());
    std::vector<std::string_view> hosts;
    for (const Text& host : server.hosts.values) hosts.push_back(host.value);
    merged.hosts = NormalizeServerHosts(hosts, bound.gateway->meta.ns);

    const ServerProtocol protocol = ProtocolOf(server);
    const bool tls = server.tls.has_value() && protocol != ServerProtocol::kHttp;
    if (tls && !ClaimHosts(merged)) return;
    const std::string bind = server.bind.value.empty() ? "0.0.0.0" : std::string(server.bind.value);
    Port* port = FindPort(bind, bound.listen_port);
    if (port == nullptr) {
      ports_.push_back({bind, bound.listen_port, protocol == ServerProtocol::kHttp, {}});
      port = &ports_.back();
    } else {
      const bool first_is_plain = !port->servers.front().bound.server->tls || port->plain_http;
      if (first_is_plain && !(port->plain_http && protocol == ServerProtocol::kHttp)) return;
      if (!first_is_plain && !tls) return;
    }
    SetRouteName(bind, &merged);
    if (!merged.route_name.empty()) {
      std::vector<RoutedServer>& routed = routed_[merged.route_name];
      // Two HTTPS servers cannot share a route configuration.
      if (protocol == ServerProtocol::kHttps && !routed.empty()) return;
      routed.push_back({bound.gateway, bound.server, merged.hosts});
    }
    port->servers.push_back(std::move(merged));
  }

  Port* FindPort(const std::string& bind, int number) {
    const auto found = std::find_if(ports_.begin(), ports_.end(), [&](const Port& port) {
      return port.bind == bind && port.number == number;
    });
    return found == ports_.end() ? nullptr : &*found;
  }

  // A host (as written, with its namespace) serves one TLS server of a port.
  bool ClaimHosts(const MergedServer& merged) {
    std::set<std::string>& taken =
        tls_hosts_[{merged.bound.listen_port, std::string(merged.bound.server->bind.value)}];
    for (const std::string& host : merged.hosts) {
      if (taken.count(host) != 0) return false;
    }
    taken.insert(merged.hosts.begin(), merged.hosts.end());
    return true;
  }

  static void SetRouteName(const std::string& bind, MergedServer* merged) {
    const GatewayServer& server = *merged->bound.server;
    if (ProtocolOf(server) == ServerProtocol::kHttp) {
      merged->route_name = "http." + std::to_string(merged->bound.listen_port);
      if (!server.bind.value.empty()) merged->route_name += "." + bind;
    } else if (TerminatesHttps(server)) {
      const ObjectMeta& meta = merged->bound.gateway->meta;
      merged->route_name = "https." + std::to_string(server.port) + "." +
                           std::string(server.port_name.value) + "." + std::string(meta.name) +
                           "." + meta.ns;
    }
  }

  void AddListener(const Port& port) {
    Listener listener;
    listener.address = port.bind;
    listener.port = static_cast<uint32_t>(port.number);
    listener.name = port.bind + "_" + std::to_string(port.number);
    if (port.plain_http) {
      FilterChain chain;
      chain.filters = HttpFilters(port.servers.front().route_name, listener.name, "");
      listener.filter_chains.push_back(std::move(chain));
    } else {
      for (const MergedServer& server : port.servers) AddChains(server, &listener);
    }
    if (listener.filter_chains.empty()) return;
    const MergedServer& first = port.servers.front();
    listener.origin = {&first.bound.gateway->meta, first.index, first.bound.server->span};
    proxy_->listeners.push_back(std::move(listener));
  }

  void AddChains(const MergedServer& server, Listener* listener) {
    const GatewayServer& spec = *server.bound.server;
    if (TerminatesHttps(spec)) {
      FilterChain chain;
      SetServerNames(SniHosts(server.hosts), &chain, listener);
      chain.tls = ServerTlsContext(*spec.tls, false);
      chain.filters = HttpFilters(server.route_name, listener->name, spec.name.value);
      listener->filter_chains.push_back(std::move(chain));
    } else if (!spec.tls || !IsPassthrough(spec)) {
      AddTcpChain(server, listener);
    } else if (spec.tls->mode == TlsSettings::Mode::kAutoPassthrough) {
      AddAutoPassthrough(server, listener);
    } else {
      AddTlsRoutes(server, listener);
    }
  }

  // `*` among the names means no condition on SNI at all.
  static void SetServerNames(const std::vector<std::string>& names, FilterChain* chain,
                             Listener* listener) {
    listener->tls_inspector |= !names.empty();
    if (std::find(names.begin(), names.end(), "*") == names.end()) {
      chain->match.server_names = names;
    }
  }

  using Filters = std::shared_ptr<const std::vector<NetworkFilter>>;

  Filters HttpFilters(const std::string& route_name, const std::string& listener_name,
                      std::string_view server_name) const {
    const MeshConfig& config = mesh_.config();
    auto manager = std::make_shared<HttpConnectionManager>();
    manager->path = PathOptionsOf(config);
    manager->use_remote_address = true;
    manager->xff_num_trusted_hops = config.num_trusted_proxies;
    const bool given = !config.forward_client_cert_details.empty() &&
                       config.forward_client_cert_details != "UNDEFINED";
    manager->forward_client_cert_details =
        given ? config.forward_client_cert_details : "SANITIZE_SET";
    manager->set_client_cert = manager->forward_client_cert_details == "SANITIZE_SET" ||
                               manager->forward_client_cert_details == "APPEND_FORWARD";
    manager->accept_http_10 = mesh_.FeatureEnabled("PILOT_HTTP10", false);
    manager->stat_prefix =
        server_name.empty() ? "outbound_" + listener_name + ";" : std::string(server_name);
    manager->http_filters = http_filters_;
    manager->rds = route_name;
    return std::make_shared<const std::vector<NetworkFilter>>(
        std::vector<NetworkFilter>{std::shared_ptr<const HttpConnectionManager>(manager)});
  }

  Filters TcpFilters(const std::vector<RouteDestination>& destinations, std::string_view ns,
                     int port) const {
    std::vector<NetworkFilter> filters = network_filters_;
    TcpProxy proxy;
    if (destinations.size() == 1) {
      proxy.cluster = DestinationCluster(mesh_, destinations.front().destination, ns, port);
    } else {
      for (const RouteDestination& destination : destinations) {
        if (destination.weight == 0) continue;
        proxy.weighted_clusters.push_back(
            {DestinationCluster(mesh_, destination.destination, ns, port),
             static_cast<uint32_t>(destination.weight)});
      }
    }
    filters.emplace_back(std::move(proxy));
    return std::make_shared<const std::vector<NetworkFilter>>(std::move(filters));
  }

  // VirtualServices of the server's Gateway that share a host with it.
  std::vector<const VirtualService*> ServicesOf(const MergedServer& server) const {
    std::vector<const VirtualService*> matching;
    for (const VirtualService* service : mesh_.VirtualServicesFor(*server.bound.gateway)) {
      const std::vector<std::string> hosts = HostsForNamespace(server.hosts, service->meta.ns);
      const bool shares = std::any_of(
          service->hosts.values.begin(), service->hosts.values.end(), [&](const Text& host) {
            const std::string name = QualifyHost(host.value, service->meta.ns, mesh_.config());
            return std::any_of(hosts.begin(), hosts.end(),
                               [&](const std::string& own) { return HostsMatch(own, name); });
          });
      if (shares) matching.push_back(service);
    }
    return matching;
  }

  bool Applies(const L4Match& match, const MergedServer& server, std::string_view ns) const {
    if (match.port != 0 && match.port != server.bound.server->port) return false;
    if (match.gateways.empty()) return true;
    const std::string own = GatewayName(*server.bound.gateway);
    return std::any_of(match.gateways.values.begin(), match.gateways.values.end(),
                       [&](const Text& gateway) {
                         const std::string name(gateway.value);
                         return name == own || std::string(ns) + "/" + name == own;
                       });
  }

  // The first TCP route of the oldest VirtualService that applies; without one there is no chain.
  void AddTcpChain(const MergedServer& server, Listener* listener) {
    const GatewayServer& spec = *server.bound.server;
    for (const VirtualService* service : ServicesOf(server)) {
      for (const L4Route& route : service->tcp) {
        const bool applies =
            route.matches.empty() ||
            std::any_of(route.matches.begin(), route.matches.end(), [&](const L4Match& match) {
              return Applies(match, server, service->meta.ns);
            });
        if (!applies || route.routes.empty()) continue;
        FilterChain chain;
        if (spec.tls) {
          SetServerNames(SniHosts(server.hosts), &chain, listener);
          chain.tls = ServerTlsContext(*spec.tls, true);
        }
        chain.filters = TcpFilters(route.routes, service->meta.ns, spec.port);
        listener->filter_chains.push_back(std::move(chain));
        return;
      }
    }
  }

  // TLS PASSTHROUGH: a chain for each match of each TLS route, by its SNI hosts.
  void AddTlsRoutes(const MergedServer& server, Listener* listener) {
    std::set<std::string>& taken = sni_routes_[server.bound.listen_port];
    for (const VirtualService* service : ServicesOf(server)) {
      for (const L4Route& route : service->tls) {
        if (route.routes.empty()) continue;
        for (const L4Match& match : route.matches) {
          if (!Applies(match, server, service->meta.ns)) continue;
          std::vector<std::string> names;
          for (const Text& name : match.sni_hosts.values) names.emplace_back(name.value);
          const bool duplicate = std::any_of(
              names.begin(), names.end(), [&](const auto& name) { return taken.count(name) != 0; });
          if (duplicate) continue;
          taken.insert(names.begin(), names.end());
          FilterChain chain;
          SetServerNames(names, &chain, listener);
          chain.filters = TcpFilters(route.routes, service->meta.ns, server.bound.server->port);
          listener->filter_chains.push_back(std::move(chain));
        }
      }
    }
  }

  // A chain for each cluster of the mesh under the server's hosts, by Istio's SNI and ALPN. No
  // authorization filter stands in these.
  void AddAutoPassthrough(const MergedServer& server, Listener* listener) {
    const std::vector<std::string> hosts = SniHosts(server.hosts);
    for (const MeshService& service : mesh_.services()) {
      if (service.external) continue;
      const bool covered = std::any_of(hosts.begin(), hosts.end(), [&](const std::string& host) {
        return IsHostSubset(service.host, host);
      });
      if (!covered) continue;
      std::vector<std::string> subsets = {""};
      if (const DestinationRule* rule = mesh_.DestinationRuleFor(workload_, service)) {
        for (const auto& subset : rule->subsets) subsets.emplace_back(subset.name.value);
      }
      for (const MeshServicePort& port : service.ports) {
        if (port.protocol == Protocol::kUdp) continue;
        for (const std::string& subset : subsets) {
          const std::string cluster =
              "outbound_." + std::to_string(port.port) + "_." + subset + "_." + service.host;
          FilterChain chain;
          SetServerNames({cluster}, &chain, listener);
          chain.match.application_protocols = {"istio", "istio-peer-exchange", "istio-http/1.0",
                                               "istio-http/1.1", "istio-h2"};
          chain.filters = std::make_shared<const std::vector<NetworkFilter>>(
              std::vector<NetworkFilter>{TcpProxy{cluster, {}}});
          listener->filter_chains.push_back(std::move(chain));
        }
      }
    }
  }

  const Mesh& mesh_;
  const Workload& workload_;
  ProxyConfig* proxy_;
  std::vector<HttpFilter> http_filters_;
  std::vector<NetworkFilter> network_filters_;
  std::vector<Port> ports_;
  std::map<std::string, std::vector<RoutedServer>> routed_;
  std::map<std::pair<int, std::string>, std::set<std::string>> tls_hosts_;
  std::map<int, std::set<std::string>> sni_routes_;
};

}  // namespace

void BuildGateway(const Mesh& mesh, const Workload& workload, const FilterBuilder& filters,
                  ProxyConfig* proxy) {
  GatewayBuilder(mesh, workload, filters, proxy).Build();
}

}  // namespace meshproof

// A waypoint tells connections apart by the address that their tunnel names. Each port of a Service
// has a chain for HTTP or for TCP, one whose protocol nobody states both (sniffed), with the
// policies that target that Service, the waypoint's Gateway or its class; pods have `direct-http`
// and `direct-tcp`, where policies of Services do not stand. Identities come from filter state, as
// the tunnel's TLS has ended before. Inspection of bytes is switched off on ports whose protocol is
// clear, unless pods are served, which may listen anywhere.

#include "proxy/waypoint.h"

#include <map>

#include "proxy/inbound.h"
#include "proxy/routes.h"

namespace meshproof {
namespace {

constexpr std::string_view kEncapsulate = "encap";
constexpr std::string_view kDirectHttp = "direct-http";
constexpr std::string_view kDirectTcp = "direct-tcp";

using Filters = std::shared_ptr<const std::vector<NetworkFilter>>;

class WaypointBuilder {
 public:
  WaypointBuilder(const Mesh& mesh, const Workload& workload, const FilterBuilder& filters)
      : mesh_(mesh), workload_(workload), filters_(filters), waypoint_(mesh.WaypointOf(workload)) {}

  Listener Build() {
    listener_.name = "main_internal";
    listener_.original_dst = true;
    listener_.http_inspector = true;
    listener_.waypoint.emplace();
    // It puts rules before this listener, where tunnels end, which are not computed.
    constexpr std::string_view kLayered = "ENABLE_LAYERED_WAYPOINT_AUTHORIZATION_POLICIES";
    if (mesh_.FeatureEnabled(kLayered, false)) listener_.opaque.emplace_back(kLayered);
    for (const MeshService& service : mesh_.services()) {
      if (waypoint_ != nullptr && mesh_.WaypointFor(service).waypoint == waypoint_) {
        AddService(service);
      }
    }
    AddDirect();
    DisableInspection();
    return std::move(listener_);
  }

 private:
  void AddService(const MeshService& service) {
    const PolicySet policies = mesh_.PoliciesFor(workload_, &service);
    const std::vector<HttpFilter> http =
        filters_.HttpFilters(policies, true, FilterBuilder::Peer::kTunnel);
    const std::vector<NetworkFilter> network =
        filters_.NetworkFilters(policies, FilterBuilder::Peer::kTunnel);
    WaypointMatcher::Vip vip;
    vip.service = &service;
    vip.addresses = service.addresses;
    if (vip.addresses.empty() && !service.headless) {
      vip.addresses.push_back(mesh_.StandInAddress(service));
    }
    for (const MeshServicePort& port : service.ports) {
      if (port.protocol == Protocol::kUdp) continue;
      WaypointMatcher::Port entry;
      entry.port = static_cast<uint32_t>(port.port);
      const bool sniffed = port.protocol == Protocol::kAuto;
      if (sniffed || IsHttp(port.protocol)) {
        entry.http_chain = VipCluster(port.port, true, "", service.host);
        AddChain(entry.http_chain, Http(http, BuildWaypointRoutes(mesh_, workload_, service, port),
                                        entry.http_chain));
      }
      if (sniffed || !IsHttp(port.protocol)) {
        entry.tcp_chain = VipCluster(port.port, false, "", service.host);
        AddChain(entry.tcp_chain, Tcp(network, entry.tcp_chain));
      }
      NoteProtocol(port);
      vip.ports.push_back(std::move(entry));
    }
    listener_.waypoint->services.push_back(std::move(vip));
  }

  void AddDirect() {
    const PolicySet policies = mesh_.PoliciesFor(workload_, nullptr);
    AddChain(std::string(kDirectTcp),
             Tcp(filters_.NetworkFilters(policies, FilterBuilder::Peer::kTunnel), kEncapsulate));
    auto routes = std::make_shared<RouteConfiguration>();
    routes->name = kEncapsulate;
    VirtualHost host;
    host.name = "inbound|http|0";
    host.domains = {"*"};
    Route route;
    route.name = "default";
    route.clusters.push_back({std::string(kEncapsulate), 0});
    host.routes.push_back(std::move(route));
    routes->virtual_hosts.push_back(std::move(host));
    AddChain(std::string(kDirectHttp),
             Http(filters_.HttpFilters(policies, true, FilterBuilder::Peer::kTunnel),
                  std::move(routes), std::string(kEncapsulate)));
    for (const Workload& workload : mesh_.workloads()) {
      if (waypoint_ == nullptr || mesh_.WaypointFor(workload).waypoint != waypoint_) continue;
      WaypointMatcher& matcher = *listener_.waypoint;
      matcher.workloads.push_back(&workload);
      matcher.workload_addresses.insert(matcher.workload_addresses.end(), workload.ips.begin(),
                                        workload.ips.end());
      if (workload.ips.empty()) {
        matcher.workload_addresses.push_back(mesh_.StandInAddress(workload));
      }
    }
  }

  void AddChain(std::string name, Filters filters) {
    FilterChain chain;
    chain.name = std::move(name);
    chain.filters = std::move(filters);
    listener_.filter_chains.push_back(std::move(chain));
  }

  Filters Http(std::vector<HttpFilter> filters, std::shared_ptr<const RouteConfiguration> routes,
               std::string cluster) const {
    auto manager = std::make_shared<HttpConnectionManager>();
    manager->path = PathOptionsOf(mesh_.config());
    manager->accept_http_10 = mesh_.FeatureEnabled("PILOT_HTTP10", false);
    manager->stat_prefix = cluster + ";";
    manager->http_filters = std::move(filters);
    manager->routes = std::move(routes);
    manager->cluster = std::move(cluster);
    return std::make_shared<const std::vector<NetworkFilter>>(
        std::vector<NetworkFilter>{std::shared_ptr<const HttpConnectionManager>(manager)});
  }

  static Filters Tcp(std::vector<NetworkFilter> filters, std::string_view cluster) {
    filters.emplace_back(TcpProxy{std::string(cluster), {}});
    return std::make_shared<const std::vector<NetworkFilter>>(std::move(filters));
  }

  // A port number that Services use for different protocols has to be inspected.
  void NoteProtocol(const MeshServicePort& port) {
    const auto number = static_cast<uint32_t>(port.port);
    const auto [entry, added] = protocols_.emplace(number, port.protocol);
    if (!added && entry->second != port.protocol) entry->second = Protocol::kAuto;
  }

  void DisableInspection() {
    if (!listener_.waypoint->workloads.empty()) return;
    for (const auto& [port, protocol] : protocols_) {
      if (protocol != Protocol::kAuto) listener_.http_inspector_disabled.push_back(port);
    }
  }

  const Mesh& mesh_;
  const Workload& workload_;
  const FilterBuilder& filters_;
  const Waypoint* waypoint_;
  Listener listener_;
  std::map<uint32_t, Protocol> protocols_;
};

}  // namespace

Listener BuildWaypoint(const Mesh& mesh, const Workload& workload, const FilterBuilder& filters) {
  return WaypointBuilder(mesh, workload, filters).Build();
}

std::string VipCluster(int port, bool http, std::string_view subset, std::string_view host) {
  std::string name = "inbound-vip|" + std::to_string(port) + (http ? "|http" : "|tcp");
  if (!subset.empty()) name.append("/").append(subset);
  return name.append("|").append(host);
}

}  // namespace meshproof

// The filter chains of a sidecar's inbound listener. Each declared port, and once the rest
// ("passthrough": ports that no Service names), gets a set of chains that differ in what the client
// sent (transport, ALPN) and so in whether mTLS is terminated and whether HTTP is spoken. Which set
// depends on the port's protocol and on the mode that PeerAuthentication gives it.

#include "proxy/inbound.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/text.h"
#include "proxy/server_tls.h"
#include "proxy/trust_domain.h"

namespace meshproof {
namespace {

constexpr uint32_t kInboundPort = 15006;

enum class Speech { kHttp, kTcp, kAuto };

// Nothing: no chain is made for the port.
std::optional<Speech> SpeechOf(Protocol protocol) {
  if (IsHttp(protocol)) return Speech::kHttp;
  if (protocol == Protocol::kAuto) return Speech::kAuto;
  if (protocol == Protocol::kUdp) return std::nullopt;
  return Speech::kTcp;
}

// One chain of a set.
struct ChainKind {
  bool http = false;
  const char* transport = "";
  std::vector<std::string> alpn;
  bool terminate = false;
};

const std::vector<std::string>& IstioAlpn() {
  static const std::vector<std::string> alpn = {"istio", "istio-peer-exchange", "istio-http/1.0",
                                                "istio-http/1.1", "istio-h2"};
  return alpn;
}

const std::vector<std::string>& IstioHttpAlpn() {
  static const std::vector<std::string> alpn = {"istio-http/1.0", "istio-http/1.1", "istio-h2"};
  return alpn;
}

const std::vector<std::string>& IstioTcpAlpn() {
  static const std::vector<std::string> alpn = {"istio-peer-exchange", "istio"};
  return alpn;
}

std::vector<ChainKind> ChainKinds(Speech speech, MtlsMode mode,
                                  const std::vector<std::string>& plain_http_alpn) {
  const bool http = speech == Speech::kHttp;
  if (speech != Speech::kAuto) {
    if (mode == MtlsMode::kStrict) return {{http, "tls", {}, true}};
    if (mode == MtlsMode::kDisable) return {{http, "raw_buffer", {}, false}};
    std::vector<ChainKind> kinds = {{http, "tls", IstioAlpn(), true}};
    // TLS that is not the mesh's own passes through TCP ports unopened; HTTP ports have no chain.
    if (!http) kinds.push_back({false, "tls", {}, false});
    kinds.push_back({http, "raw_buffer", {}, false});
    return kinds;
  }
  if (mode == MtlsMode::kStrict) {
    return {{true, "tls", IstioHttpAlpn(), true}, {false, "tls", {}, true}};
  }
  if (mode == MtlsMode::kDisable) {
    return {{true, "raw_buffer", plain_http_alpn, false}, {false, "raw_buffer", {}, false}};
  }
  return {{true, "tls", IstioHttpAlpn(), true},
          {true, "raw_buffer", plain_http_alpn, false},
          {false, "tls", IstioTcpAlpn(), true},
          {false, "raw_buffer", {}, false},
          {false, "tls", {}, false}};
}

using Filters = std::shared_ptr<const std::vector<NetworkFilter>>;

class InboundBuilder {
 public:
  InboundBuilder(const Mesh& mesh, const Workload& workload, const FilterBuilder& filters,
                 FilterBuilder::Peer peer)
      : mesh_(mesh), mtls_(mesh.MtlsFor(workload)), ports_(mesh.InboundPorts(workload)) {
    const PolicySet policies = mesh.PoliciesFor(workload);
    http_filters_ = filters.HttpFilters(policies, false, peer);
    network_filters_ = filters.NetworkFilters(policies, peer);
    tunnelled_ = peer == FilterBuilder::Peer::kTunnel;
    if (tunnelled_) {
      for (const IpAddress& ip : workload.ips) own_addresses_.push_back({ip, ip.v6 ? 128 : 32});
    }
    http_10_ = mesh.FeatureEnabled("PILOT_HTTP10", false);
    plain_http_alpn_ = {"http/1.1", "h2c"};
    if (http_10_) plain_http_alpn_.insert(plain_http_alpn_.begin(), "http/1.0");
  }

  Listener BuildTunnel() {
    listener_.name = "main_internal";
    listener_.original_dst = true;
    AddPassthrough(0, {});
    for (const InboundPort& port : ports_) AddDeclared(port);
    SetInspectors();
    return std::move(listener_);
  }

  Listener Build() {
    listener_.name = "virtualInbound";
    listener_.address = "0.0.0.0";
    listener_.port = kInboundPort;
    listener_.original_dst = true;
    listener_.filter_chains.reserve(8);
    AddBlackhole();
    AddPassthrough(0, mtls_.workload);
    for (const auto& [port, mode] : mtls_.ports) {
      if (!IsDeclared(port)) AddPassthrough(static_cast<uint32_t>(port), mode);
    }
    for (const InboundPort& port : ports_) AddDeclared(port);
    SetInspectors();
    // There is one for each workload.
    listener_.filter_chains.shrink_to_fit();
    return std::move(listener_);
  }

 private:
  // What the chains of one port have in common.
  struct Plan {
    uint32_t port = 0;
    int service_port = 0;
    std::string http_name, tcp_name;
    std::string cluster;
    std::string stat_prefix;
  };

  bool IsDeclared(int port) const {
    return std::any_of(ports_.begin(), ports_.end(),
                       [port](const InboundPort& declared) { return declared.port == port; });
  }

  void AddBlackhole() {
    FilterChain chain;
    chain.name = "virtualInbound-blackhole";
    chain.match.destination_port = kInboundPort;
    chain.filters = std::make_shared<const std::vector<NetworkFilter>>(
        std::vector<NetworkFilter>{TcpProxy{"BlackHoleCluster", {}}});
    listener_.filter_chains.push_back(std::move(chain));
  }

  void AddPassthrough(uint32_t port, const EffectiveMode& mode) {
    Plan plan;
    plan.port = port;
    plan.http_name = "virtualInbound-catchall-http";
    plan.tcp_name = "virtualInbound";
    plan.cluster = "InboundPassthroughCluster";
    plan.stat_prefix = plan.cluster + ";";
    AddChains(plan, Kinds(Speech::kAuto, mode.mode), mode, nullptr);
  }

  std::vector<ChainKind> Kinds(Speech speech, MtlsMode mode) const {
    if (!tunnelled_) return ChainKinds(speech, mode, plain_http_alpn_);
    if (speech != Speech::kAuto) return {{speech == Speech::kHttp, "", {}, false}};
    return {{true, "", plain_http_alpn_, false}, {false, "", {}, false}};
  }

  void AddDeclared(const InboundPort& port) {
    Plan plan;
    plan.port = static_cast<uint32_t>(port.port);
    plan.service_port = port.service_port;
    std::string bind = "0.0.0.0";
    if (port.ingress != nullptr && !port.ingress->bind.value.empty()) {
      bind = std::string(port.ingress->bind.value);
    }
    plan.http_name = plan.tcp_name = bind + "_" + std::to_string(port.port);
    plan.cluster = "inbound|" + std::to_string(port.port) + "||";
    plan.stat_prefix = "inbound_" + plan.http_name + ";";
    const EffectiveMode& mode = mtls_.ForPort(port.port);

    Protocol protocol = port.protocol;
    const TlsSettings* own_tls = OwnTls(port);
    if (own_tls != nullptr) {
      if (protocol == Protocol::kHttps) protocol = Protocol::kHttp;
      if (protocol == Protocol::kTls) protocol = Protocol::kTcp;
    }
    const std::optional<Speech> speech = SpeechOf(protocol);
    if (!speech) return;
    if (own_tls != nullptr && mode.mode == MtlsMode::kDisable) {
      AddChains(plan, OwnTlsKinds(*speech), mode, own_tls);
    } else {
      AddChains(plan, Kinds(*speech, mode.mode), mode, nullptr);
    }
  }

  // TLS settings of a Sidecar resource's ingress listener: a feature of istiod that is off unless
  // its flag is set, and only heeded where PeerAuthentication says DISABLE.
  const TlsSettings* OwnTls(const InboundPort& port) const {
    if (tunnelled_ || port.ingress == nullptr || !port.ingress->tls) return nullptr;
    if (!mesh_.FeatureEnabled("ENABLE_TLS_ON_SIDECAR_INGRESS", false)) return nullptr;
    return &*port.ingress->tls;
  }

  static std::vector<ChainKind> OwnTlsKinds(Speech speech) {
    if (speech == Speech::kAuto) return {};
    return {{speech == Speech::kHttp, "tls", {}, true}};
  }

  void AddChains(const Plan& plan, const std::vector<ChainKind>& kinds, const EffectiveMode& mode,
                 const TlsSettings* own_tls) {
    Filters http, tcp;
    for (const ChainKind& kind : kinds) {
      Filters& shared = kind.http ? http : tcp;
      if (shared == nullptr) shared = kind.http ? HttpChainFilters(plan) : TcpChainFilters(plan);
      FilterChain chain;
      chain.name = kind.http ? plan.http_name : plan.tcp_name;
      chain.match.destination_port = plan.port;
      chain.match.transport_protocol = kind.transport;
      chain.match.application_protocols = kind.alpn;
      if (kind.terminate) {
        chain.tls = own_tls != nullptr ? ServerTlsContext(*own_tls, false) : MtlsContext(kind.http);
      }
      chain.match.prefix_ranges = own_addresses_;
      chain.filters = shared;
      if (!tunnelled_) chain.mtls = mode;
      listener_.filter_chains.push_back(std::move(chain));
    }
  }

  Filters HttpChainFilters(const Plan& plan) const {
    auto manager = std::make_shared<HttpConnectionManager>();
    manager->path = PathOptionsOf(mesh_.config());
    manager->use_remote_address = false;
    manager->forward_client_cert_details = "APPEND_FORWARD";
    manager->accept_http_10 = http_10_;
    manager->stat_prefix = plan.stat_prefix;
    manager->http_filters = http_filters_;
    manager->cluster = plan.cluster;
    manager->routes = InboundRoutes(plan);
    return std::make_shared<const std::vector<NetworkFilter>>(
        std::vector<NetworkFilter>{std::shared_ptr<const HttpConnectionManager>(manager)});
  }

  static std::shared_ptr<const RouteConfiguration> InboundRoutes(const Plan& plan) {
    Route route;
    route.name = "default";
    route.clusters.push_back({plan.cluster, 0});
    VirtualHost host;
    host.name = "inbound|http|" + std::to_string(plan.service_port);
    host.domains = {"*"};
    host.routes.push_back(std::move(route));
    auto routes = std::make_shared<RouteConfiguration>();
    routes->name = plan.cluster;
    routes->virtual_hosts.push_back(std::move(host));
    return routes;
  }

  Filters TcpChainFilters(const Plan& plan) const {
    std::vector<NetworkFilter> filters;
    filters.reserve(network_filters_.size() + 1);
    filters.insert(filters.end(), network_filters_.begin(), network_filters_.end());
    filters.emplace_back(TcpProxy{plan.cluster, {}});
    return std::make_shared<const std::vector<NetworkFilter>>(std::move(filters));
  }

  TlsContext MtlsContext(bool http) const {
    TlsContext context;
    context.require_client_certificate = true;
    context.alpn = {"h2", "http/1.1"};
    if (!http) context.alpn.insert(context.alpn.begin(), "istio-peer-exchange");
    if (!mesh_.FeatureEnabled("PILOT_SKIP_VALIDATE_TRUST_DOMAIN", false)) {
      for (const std::string& trust_domain : AcceptedTrustDomains(mesh_.config())) {
        context.subject_alt_names.push_back(
            StringMatcher::Prefix("spiffe://" + trust_domain + "/"));
      }
    }
    context.min_version = MinTlsVersion(mesh_.config());
    context.certificate_secret = "default";
    context.ca_secret = "ROOTCA";
    return context;
  }

  // istiod switches an inspector on for every port with a chain that needs it, and off for the
  // others it knows; ports that it does not know follow the passthrough chains (port 0). An
  // undeclared "off" of port 0 is written as the port range 0, which no connection has.
  void SetInspectors() {
    struct Needs {
      bool tls = false, http = false;
    };
    std::map<uint32_t, Needs> needs;
    for (const FilterChain& chain : listener_.filter_chains) {
      Needs& port = needs[chain.match.destination_port];
      port.tls |= chain.match.transport_protocol == "tls";
      for (const std::string& alpn : chain.match.application_protocols) {
        port.http |= alpn == "http/1.1" || alpn == "h2c";
      }
    }
    std::vector<uint32_t> tls_on, tls_off;
    for (const auto& [port, need] : needs) {
      listener_.tls_inspector |= need.tls;
      listener_.http_inspector |= need.http;
      if (port != 0) (need.tls ? tls_on : tls_off).push_back(port);
      if (!need.http) listener_.http_inspector_disabled.push_back(port);
    }
    if (!listener_.http_inspector) listener_.http_inspector_disabled.clear();
    if (!listener_.tls_inspector) return;
    if (needs[0].tls) {
      listener_.tls_inspector_disabled = std::move(tls_off);
    } else {
      listener_.tls_inspector_only = std::move(tls_on);
    }
  }

  const Mesh& mesh_;
  const EffectiveMtls mtls_;
  const std::vector<InboundPort> ports_;
  std::vector<HttpFilter> http_filters_;
  std::vector<NetworkFilter> network_filters_;
  bool http_10_ = false;
  bool tunnelled_ = false;
  std::vector<CidrRange> own_addresses_;
  std::vector<std::string> plain_http_alpn_;
  Listener listener_;
};

}  // namespace

Listener BuildVirtualInbound(const Mesh& mesh, const Workload& workload,
                             const FilterBuilder& filters) {
  return InboundBuilder(mesh, workload, filters, FilterBuilder::Peer::kConnection).Build();
}

Listener BuildTunnelInbound(const Mesh& mesh, const Workload& workload,
                            const FilterBuilder& filters) {
  return InboundBuilder(mesh, workload, filters, FilterBuilder::Peer::kTunnel).BuildTunnel();
}

PathOptions PathOptionsOf(const MeshConfig& config) {
  PathOptions options;
  options.normalize = config.path_normalization != PathNormalization::kNone;
  options.merge_slashes = config.path_normalization == PathNormalization::kMergeSlashes ||
                          config.path_normalization == PathNormalization::kDecodeAndMergeSlashes;
  if (config.path_normalization == PathNormalization::kDecodeAndMergeSlashes) {
    options.escaped_slashes = EscapedSlashes::kUnescapeAndForward;
  }
  return options;
}

std::string MinTlsVersion(const MeshConfig& config) {
  return EqualsIgnoreCase(config.min_tls_version, "TLSV1_3") ? "TLSv1_3" : "";
}

}  // namespace meshproof

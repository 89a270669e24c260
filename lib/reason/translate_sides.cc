// The ways into one port: which filter chain takes a connection, asked of the same index that the
// simulator uses, and whether the handshake succeeds (envoy-facts section 4).

#include <algorithm>

#include "base/text.h"
#include "mesh/workload_name.h"
#include "proxy/trust_domain.h"
#include "reason/translator.h"
#include "simulate/approach.h"
#include "simulate/filter_chain.h"
#include "simulate/simulate.h"

namespace meshproof {
namespace {

constexpr std::string_view kInternalListener = "main_internal";  // what comes out of a tunnel

}  // namespace

bool PortModel::Translator::Asks(const FilterChain& chain) {
  return chain.tls && (chain.tls->require_client_certificate ||
                       !chain.tls->subject_alt_names.empty() || !chain.tls->ca_secret.empty());
}

// Whether a connection of this kind gets through the handshake and the codec.
Expr PortModel::Translator::Arrives(const ChainModel& chain, const Transport& at) {
  using Security = Transport::Security;
  const FilterChain& config = *chain.chain;
  if (chain.http && at.speech == Transport::Speech::kBytes) return kNever;
  if (!config.tls) {
    if (at.security == Security::kPlaintext) return kAlways;
    // TLS bytes on a plaintext HTTP port; mesh TLS that nobody opens.
    return !chain.http && at.security == Security::kNoCertificate ? kAlways : kNever;
  }
  if (at.security == Security::kPlaintext) return kNever;
  bool needed = config.tls->require_client_certificate || !config.tls->subject_alt_names.empty();
  if (at.security == Security::kNoCertificate) return needed ? kNever : kAlways;
  if (!Asks(config) || config.tls->subject_alt_names.empty()) return kAlways;
  std::vector<Expr> any;
  for (const StringMatcher& name : config.tls->subject_alt_names) {
    any.push_back(IdentityText(name));
  }
  return space.OrAll(std::move(any));
}

const Listener* PortModel::Translator::ChooseListener(const ProxyConfig& proxy, int port) {
  const Listener* chosen = nullptr;
  for (const Listener& listener : proxy.listeners) {
    if (listener.name == kInternalListener) continue;
    if (listener.original_dst || listener.name == "virtualInbound") return &listener;
    if (static_cast<int>(listener.port) == port && chosen == nullptr) chosen = &listener;
  }
  return chosen;
}

// A connection as the simulator's index wants it.
ConnectionFacts PortModel::Translator::FactsOf(const Listener& listener, const Transport& at,
                                               bool gateway, int port,
                                               std::vector<std::string>* alpn,
                                               std::string server_name) {
  WireProtocol protocol = at.speech == Transport::Speech::kHttp1   ? WireProtocol::kHttp1
                          : at.speech == Transport::Speech::kHttp2 ? WireProtocol::kHttp2
                                                                   : WireProtocol::kTcp;
  ConnectionFacts facts;
  facts.source = Address{*ParseIpAddress("198.51.100.77")};
  facts.destination = Address{*ParseIpAddress("10.244.0.1")};
  facts.destination_port = static_cast<uint32_t>(port);
  facts.transport = "raw_buffer";
  bool tls = at.security != Transport::Security::kPlaintext;
  if (tls && listener.InspectsTls(facts.destination_port)) {
    facts.transport = "tls";
    facts.server_name = std::move(server_name);
    if (!gateway) {
      *alpn = meshproof::MeshAlpn(protocol);
    } else if (protocol == WireProtocol::kHttp1) {
      *alpn = {"http/1.1"};
    } else if (protocol == WireProtocol::kHttp2) {
      *alpn = {"h2"};
    }
    facts.protocols.assign(alpn->begin(), alpn->end());
  } else if (!tls && listener.InspectsHttp(facts.destination_port)) {
    if (protocol == WireProtocol::kHttp1) facts.protocols.push_back("http/1.1");
    if (protocol == WireProtocol::kHttp2) facts.protocols.push_back("h2c");
  }
  return facts;
}

std::vector<PortModel::Translator::NameCase> PortModel::Translator::NameCases(
    const Listener& listener, int port) {
  std::set<std::string> exact, wild;
  for (const FilterChain& chain : listener.filter_chains) {
    if (chain.match.destination_port != 0 &&
        chain.match.destination_port != static_cast<uint32_t>(port)) {
      continue;
    }
    for (const std::string& name : chain.match.server_names) {
      std::string lower = ToLower(name);
      if (lower.starts_with("*.")) {
        wild.insert(lower.substr(1));
      } else {
        exact.insert(lower);
      }
    }
  }
  std::vector<NameCase> cases;
  if (exact.empty() && wild.empty()) return {{"", kAlways}};
  std::vector<std::string> wildcards(wild.begin(), wild.end());
  std::stable_sort(wildcards.begin(), wildcards.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  Expr left = kAlways;
  auto add = [&](const std::string& name, const StringPattern& pattern) {
    Expr matches = Text(ServerName(), pattern, 1);
    cases.push_back({name, space.And(left, matches)});
    left = space.And(left, space.Not(matches));
  };
  for (const std::string& name : exact) add(name, {StringPattern::Kind::kExact, name, false});
  for (const std::string& suffix : wildcards) {
    std::string sample = "some-name" + suffix;
    space.AddCandidate(ServerName(), sample, 1);
    add(sample, {StringPattern::Kind::kRegex, ".+" + QuotedForRegex(suffix), false});
  }
  cases.push_back({"", left});
  return cases;
}

void PortModel::Translator::BuildSide(const PortModel::Side& asked, SideModel* side) {
  side->workload = asked.workload;
  side->port = asked.port;
  side->door = asked.door;
  const Workload& workload = *asked.workload;
  const Waypoint* waypoint = asked.door.service != nullptr
                                 ? asked.world->mesh().WaypointFor(*asked.door.service).waypoint
                                 : nullptr;
  if (waypoint != nullptr) return BuildWaypointSide(asked, *waypoint, side);
  if (const std::string& missing = asked.world->Unknown(workload); !missing.empty()) {
    side->undetermined = missing;
    return;
  }
  if (workload.mode == ProxyMode::kNone) {
    ChainModel open;
    open.arrives = SecurityIs(Transport::Security::kPlaintext);
    side->chains.push_back(open);
    side->tidy = kAlways;
    return;
  }
  if (workload.mode == ProxyMode::kWaypoint) {
    side->undetermined =
        workload.ns + "/" + workload.name + " is a waypoint: ask about what stands behind it";
    return;
  }
  if (workload.mode == ProxyMode::kAmbient) {
    BuildZtunnelSide(asked, side);
    return;
  }
  const ProxyConfig& proxy = asked.world->Proxy(workload).proxy();
  side->proxy = &proxy;
  if (!proxy.unmodelled.empty()) {
    side->undetermined =
        ToString(*proxy.unmodelled.front()) + " changes this proxy and cannot be seen through";
    return;
  }
  const Listener* listener = ChooseListener(proxy, asked.port);
  if (listener == nullptr) return;
  for (const LoadFailure& failure : proxy.load_failures) {
    if (failure.listener == listener->name) {
      side->undetermined = "Envoy refuses listener " + listener->name + ": " + failure.reason;
      return;
    }
  }
  BuildListener(asked, *listener, side);
}

PortModel::Translator::Scope PortModel::Translator::ScopeOf(const PortModel::Side& asked,
                                                            SideModel* side) const {
  Scope scope;
  scope.side = side;
  scope.mesh = &asked.world->mesh();
  scope.port = asked.port;
  return scope;
}

// ztunnel takes HBONE and plaintext, whatever is spoken inside.
void PortModel::Translator::BuildZtunnelSide(const PortModel::Side& asked, SideModel* side) {
  const Workload& workload = *asked.workload;
  side->proxy = asked.ztunnel;
  if (asked.world->mesh().WaypointFor(workload).waypoint != nullptr) {
    side->undetermined = workload.ns + "/" + workload.name +
                         " has a waypoint before its own address, which is not reasoned about";
    return;
  }
  if (IsZtunnelsOwnPort(asked.port)) return;
  using Security = Transport::Security;
  for (const FilterChain& config : asked.ztunnel->listeners.front().filter_chains) {
    ChainModel chain;
    chain.chain = &config;
    Scope scope = ScopeOf(asked, side);
    scope.tls = scope.asks = config.tls.has_value();
    RunNetwork(scope, &chain, side);
    const Security security = config.tls ? Security::kCertificate : Security::kPlaintext;
    std::vector<Expr> any;
    for (size_t i = 0; i < kTransports; ++i) {
      const Transport at = TransportAt(i);
      if (at.security != security) continue;
      any.push_back(space.And(TransportIs(i), Arrives(chain, at)));
    }
    chain.arrives = space.OrAll(std::move(any));
    side->chains.push_back(std::move(chain));
  }
  side->tidy = TidyFor(asked);
}

// What the port's Service says is spoken there.
Expr PortModel::Translator::TidyFor(const PortModel::Side& asked) {
  bool http = false;
  for (const InboundPort& port : asked.world->mesh().InboundPorts(*asked.workload)) {
    if (port.port == asked.port) http = IsHttp(port.protocol);
  }
  std::vector<Expr> any;
  for (size_t i = 0; i < kTransports; ++i) {
    const Transport::Speech speech = TransportAt(i).speech;
    if (speech == (http ? Transport::Speech::kHttp1 : Transport::Speech::kBytes)) {
      any.push_back(TransportIs(i));
    }
  }
  return space.OrAll(std::move(any));
}

// The chains of a Service's port at its waypoint, which takes HBONE alone, and what the pods
// behind say to the waypoint.
void PortModel::Translator::BuildWaypointSide(const PortModel::Side& asked,
                                              const Waypoint& waypoint, SideModel* side) {
  const std::string name = NameOf(waypoint);
  if (waypoint.workload == nullptr) {
    side->undetermined = "the proxy of waypoint " + name + " is not in the input";
    return;
  }
  if (const std::string& missing = asked.world->Unknown(*waypoint.workload); !missing.empty()) {
    side->undetermined = missing;
    return;
  }
  const ProxyConfig& proxy = asked.world->Proxy(*waypoint.workload).proxy();
  side->proxy = &proxy;
  if (!proxy.unmodelled.empty()) {
    side->undetermined =
        ToString(*proxy.unmodelled.front()) + " changes this proxy and cannot be seen through";
    return;
  }
  for (const LoadFailure& failure : proxy.load_failures) {
    side->undetermined = "Envoy refuses listener " + failure.listener + ": " + failure.reason;
    return;
  }
  for (const Listener& listener : proxy.listeners) {
    if (!listener.waypoint || listener.opaque.empty()) continue;
    side->undetermined = listener.opaque.front() + " of waypoint " + name + " is not computed";
    return;
  }
  const BehindWaypoint behind = AskBehind(*asked.world, *waypoint.workload, asked.door);
  if (behind == BehindWaypoint::kRefuses) {
    side->tidy = kAlways;
    return;
  }
  const FilterChain* http = nullptr;
  const FilterChain* tcp = nullptr;
  FindWaypointChains(proxy, asked.door, &http, &tcp);
  if (http == nullptr && tcp == nullptr) {
    side->undetermined = "waypoint " + name + " has no chain for " + asked.door.service->host;
    return;
  }
  std::vector<Expr> tidy;
  for (const FilterChain* config : {http, tcp}) {
    if (config == nullptr) continue;
    ChainModel chain;
    chain.chain = config;
    Scope scope = ScopeOf(asked, side);
    scope.port = asked.door.port->port;
    scope.waypoint = true;
    RunNetwork(scope, &chain, side);
    if (behind == BehindWaypoint::kDepends) {
      chain.clear = space.And(
          chain.clear, Opaque("behind " + name, "what the pods behind waypoint " + name +
                                                    " say to it depends on the request or the "
                                                    "pod that it chooses"));
    }
    if (config == http) CheckRoutesStay(asked.door, *config, &chain);
    std::vector<Expr> any;
    for (size_t i = 0; i < kTransports; ++i) {
      const Transport at = TransportAt(i);
      if (at.security != Transport::Security::kCertificate) continue;
      const bool bytes = at.speech == Transport::Speech::kBytes;
      // With both chains the inspector tells them apart.
      if (http != nullptr && tcp != nullptr && bytes != (config == tcp)) continue;
      if (chain.http && bytes) {
        side->garbled = space.Or(side->garbled, TransportIs(i));
        continue;
      }
      any.push_back(TransportIs(i));
      if (chain.http != bytes) tidy.push_back(TransportIs(i));
    }
    std::vector<Expr> domains;
    for (const std::string& domain : TrustDomainBundle(asked.world->mesh().config())) {
      StringMatcher prefix;
      prefix.kind = StringMatcher::Kind::kPrefix;
      prefix.value = "spiffe://" + domain + "/";
      domains.push_back(IdentityText(prefix));
    }
    chain.arrives = space.And(space.OrAll(std::move(any)), space.OrAll(std::move(domains)));
    side->chains.push_back(std::move(chain));
  }
  side->tidy = space.OrAll(std::move(tidy));
}

void PortModel::Translator::FindWaypointChains(const ProxyConfig& proxy, const Door& door,
                                               const FilterChain** http, const FilterChain** tcp) {
  for (const Listener& listener : proxy.listeners) {
    if (!listener.waypoint) continue;
    for (const WaypointMatcher::Vip& vip : listener.waypoint->services) {
      if (vip.service != door.service) continue;
      for (const WaypointMatcher::Port& port : vip.ports) {
        if (static_cast<int>(port.port) != door.port->port) continue;
        for (const FilterChain& chain : listener.filter_chains) {
          if (!port.http_chain.empty() && chain.name == port.http_chain) *http = &chain;
          if (!port.tcp_chain.empty() && chain.name == port.tcp_chain) *tcp = &chain;
        }
      }
    }
  }
}

// Routes that answer themselves or lead to another Service are not followed.
void PortModel::Translator::CheckRoutesStay(const Door& door, const FilterChain& config,
                                            ChainModel* chain) {
  for (const NetworkFilter& filter : *config.filters) {
    const auto* manager = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
    if (manager == nullptr || (*manager)->routes == nullptr) continue;
    for (const VirtualHost& entry : (*manager)->routes->virtual_hosts) {
      for (const Route& route : entry.routes) {
        bool stays = route.action == Route::Action::kCluster && route.match.path == "/" &&
                     route.match.path_kind == RouteMatch::Path::kPrefix &&
                     route.match.headers.empty() && route.match.query_parameters.empty();
        for (const WeightedCluster& cluster : route.clusters) {
          stays = stays && cluster.cluster.ends_with("|" + door.service->host);
        }
        if (stays) continue;
        chain->clear = space.And(
            chain->clear,
            Opaque("routes of " + config.name,
                   "routes for " + door.service->host + " at its waypoint are not reasoned about"));
        return;
      }
    }
  }
}

void PortModel::Translator::BuildListener(const PortModel::Side& asked, const Listener& listener,
                                          SideModel* side) {
  bool gateway = asked.workload->mode == ProxyMode::kGateway;
  FilterChainIndex index(listener);
  std::map<const FilterChain*, std::map<size_t, std::vector<Expr>>> taken;
  std::vector<NameCase> names = NameCases(listener, asked.port);
  for (size_t i = 0; i < kTransports; ++i) {
    Transport at = TransportAt(i);
    if (!Possible(at, gateway)) continue;
    for (const NameCase& name : names) {
      bool plaintext = at.security == Transport::Security::kPlaintext;
      if (plaintext && !name.name.empty()) continue;
      std::vector<std::string> alpn;
      ConnectionFacts facts = FactsOf(listener, at, gateway, asked.port, &alpn, name.name);
      ChainChoice choice = index.Find(facts);
      if (!choice.unknown.empty()) {
        side->undetermined = choice.unknown;
        return;
      }
      if (choice.chain != nullptr) {
        taken[choice.chain][i].push_back(plaintext ? kAlways : name.when);
      }
    }
  }
  // In the order of the configuration.
  std::vector<const FilterChain*> order;
  for (const FilterChain& chain : listener.filter_chains) order.push_back(&chain);
  if (listener.default_filter_chain) order.push_back(&*listener.default_filter_chain);
  std::vector<Expr> tidy;
  for (const FilterChain* config : order) {
    auto found = taken.find(config);
    if (found == taken.end()) continue;
    ChainModel chain;
    chain.chain = config;
    Scope scope;
    scope.tls = config->tls.has_value();
    scope.asks = Asks(*config);
    scope.side = side;
    scope.mesh = &asked.world->mesh();
    scope.port = asked.port;
    RunNetwork(scope, &chain, side);
    std::vector<Expr> any;
    for (const auto& [transport_index, whens] : found->second) {
      Transport at = TransportAt(transport_index);
      Expr here = space.And(TransportIs(transport_index), space.OrAll(whens));
      any.push_back(space.And(here, Arrives(chain, at)));
      if (chain.http && at.speech == Transport::Speech::kBytes) {
        side->garbled = space.Or(side->garbled, here);
      }
      if (chain.http == (at.speech != Transport::Speech::kBytes)) {
        tidy.push_back(TransportIs(transport_index));
      }
    }
    chain.arrives = space.OrAll(std::move(any));
    side->chains.push_back(std::move(chain));
  }
  side->tidy = space.OrAll(std::move(tidy));
}

bool PortModel::Translator::Possible(const Transport& at, bool gateway) const {
  using Security = Transport::Security;
  if (at.security == Security::kNoCertificate) return gateway;
  if (at.security == Security::kCertificate && gateway) return gateway_asks;
  return true;
}

}  // namespace meshproof

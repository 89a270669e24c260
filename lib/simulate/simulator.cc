// One connection and request through one proxy: listener, listener filters, filter chain, TLS,
// network filters, connection manager (envoy-facts section 4, then 1 to 3 and 5).
//
// What is not known of a request becomes open questions. The run is repeated for every combination
// of answers; where all end alike the verdict stands, else it is undetermined and the questions
// whose answer changes it are what is missing.

#include "simulate/simulate.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/text.h"
#include "simulate/codec.h"
#include "simulate/connection_manager.h"
#include "simulate/ext_authz.h"
#include "simulate/filter_chain.h"
#include "simulate/rbac.h"
#include "simulate/rbac_index.h"

namespace meshproof {
namespace {

constexpr int kMaxRuns = 128;

// BoringSSL's choice with Envoy's callback: the server's first protocol that the client offers;
// without one the handshake goes on without a protocol.
std::string_view Negotiate(const TlsContext& tls, const std::vector<std::string>& offered) {
  for (const auto& protocol : tls.alpn) {
    if (std::find(offered.begin(), offered.end(), protocol) != offered.end()) return protocol;
  }
  return {};
}

bool MatchesAnyName(const TlsContext& tls, const Certificate& certificate) {
  auto matches = [&](const std::string& name) {
    return std::any_of(tls.subject_alt_names.begin(), tls.subject_alt_names.end(),
                       [&](const StringMatcher& matcher) { return matcher.Matches(name); });
  };
  return std::any_of(certificate.uri_sans.begin(), certificate.uri_sans.end(), matches) ||
         std::any_of(certificate.dns_sans.begin(), certificate.dns_sans.end(), matches);
}

std::string DescribeChain(const FilterChain& chain, const ConnectionFacts& facts) {
  std::string text = "filter chain " + (chain.name.empty() ? std::string("(unnamed)") : chain.name);
  text += " (" + std::string(facts.transport);
  for (size_t i = 0; i < facts.protocols.size(); ++i) {
    text += i == 0 ? ", " : "/";
    text += facts.protocols[i];
  }
  return text + ")";
}

Origin OriginOf(const EffectiveMode& mode) {
  Origin origin;
  if (mode.source == nullptr) return origin;
  origin.object = &mode.source->meta;
  origin.span = mode.span;
  return origin;
}

bool SameDecision(const Verdict& a, const Verdict& b) {
  return a.outcome == b.outcome && a.status == b.status && a.outcome != Outcome::kUndetermined;
}

// Where it is certain what happens but not which rule does it, nobody is named.
void DropDifferences(const Verdict& other, Verdict* verdict) {
  if (verdict->details != other.details) verdict->details.clear();
  if (verdict->body != other.body) verdict->body.clear();
  if (verdict->flags != other.flags) verdict->flags = "-";
  const Origin& by = verdict->decided_by;
  if (by.object != other.decided_by.object || by.rule != other.decided_by.rule) {
    verdict->decided_by = {};
  }
}

void AddMissing(Verdict* verdict, const std::string& reason) {
  auto& missing = verdict->missing;
  if (std::find(missing.begin(), missing.end(), reason) == missing.end()) {
    missing.push_back(reason);
  }
}

}  // namespace

struct ProxySimulator::Impl {
  struct PreparedListener {
    const Listener* config = nullptr;
    std::unique_ptr<FilterChainIndex> chains;
    std::string load_failure;
    Origin load_failure_origin;
  };

  explicit Impl(std::shared_ptr<const ProxyConfig> config) : proxy(std::move(config)) {
    for (const auto& routes : proxy->routes) {
      route_tables.emplace(routes->name, std::make_unique<RouteTable>(*routes));
    }
    for (const auto& listener : proxy->listeners) Prepare(listener);
  }

  void Prepare(const Listener& listener) {
    PreparedListener prepared;
    prepared.config = &listener;
    prepared.chains = std::make_unique<FilterChainIndex>(listener);
    for (const auto& failure : proxy->load_failures) {
      if (failure.listener != listener.name || !prepared.load_failure.empty()) continue;
      prepared.load_failure = failure.reason;
      prepared.load_failure_origin = failure.origin;
    }
    for (const auto& chain : listener.filter_chains) PrepareFilters(chain, &prepared);
    if (listener.default_filter_chain) PrepareFilters(*listener.default_filter_chain, &prepared);
    listeners.push_back(std::move(prepared));
  }

  void PrepareFilters(const FilterChain& chain, PreparedListener* prepared) {
    if (!chain.filters) return;
    for (const auto& filter : *chain.filters) {
      if (const auto* rbac = std::get_if<RbacFilter>(&filter)) rbac_indexes.Add(*rbac);
      const auto* config = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
      if (config == nullptr || *config == nullptr) continue;
      auto& manager = managers[config->get()];
      if (!manager) {
        manager = std::make_unique<ConnectionManager>(**config, route_tables, &key_sets, &tokens);
        for (const auto& http : (*config)->http_filters) {
          if (const auto* rbac = std::get_if<RbacFilter>(&http)) rbac_indexes.Add(*rbac);
        }
      }
      std::string failure = manager->load_failure();
      if (!failure.empty() && prepared->load_failure.empty()) prepared->load_failure = failure;
    }
  }

  // A sidecar's virtual listener and a waypoint's internal one take every port; another listener
  // takes its own.
  const PreparedListener* Choose(const Connection& connection) const {
    const PreparedListener* chosen = nullptr;
    for (const auto& listener : listeners) {
      const Listener& config = *listener.config;
      // What comes out of a tunnel goes to the internal listener, and nothing else does.
      if (config.name == "main_internal") {
        if (connection.hbone) return &listener;
        continue;
      }
      if (connection.hbone) continue;
      if (config.original_dst || config.name == "virtualInbound") return &listener;
      if (config.port != connection.destination_port) continue;
      const auto* ip = std::get_if<IpAddress>(&connection.destination.value);
      bool exact = ip != nullptr && config.address == ToString(*ip);
      bool wildcard =
          config.address.empty() || config.address == "0.0.0.0" || config.address == "::";
      if (exact) return &listener;
      if (wildcard && chosen == nullptr) chosen = &listener;
    }
    return chosen;
  }

  Verdict Run(const ProxyRequest& request, Detail detail) const {
    int runs = 0;
    Verdict verdict = Explore(request, {}, detail == Detail::kTrace, &runs);
    if (!proxy->unmodelled.empty()) {
      verdict.outcome = Outcome::kUndetermined;
      verdict.status = 0;
      for (const ObjectMeta* object : proxy->unmodelled) {
        AddMissing(&verdict, ToString(*object) + " changes this proxy and cannot be seen through");
      }
    }
    if (verdict.outcome == Outcome::kUndetermined) ClearAnswer(&verdict);
    return verdict;
  }

  static void ClearAnswer(Verdict* verdict) {
    verdict->status = 0;
    verdict->flags = "-";
    verdict->details.clear();
    verdict->body.clear();
    verdict->grpc_status = -1;
  }

  // Runs with `script` as the first answers; beyond it every question is answered "no", and then
  // each in turn "yes".
  Verdict Explore(const ProxyRequest& request, const std::vector<bool>& script, bool trace,
                  int* runs) const {
    OpenQuestions questions(script);
    Verdict verdict = RunOnce(request, &questions, trace);
    ++*runs;
    const auto& asked = questions.asked();
    for (size_t i = asked.size(); i > script.size(); --i) {
      if (*runs >= kMaxRuns) {
        verdict.outcome = Outcome::kUndetermined;
        AddMissing(&verdict, asked[i - 1].reason);
        continue;
      }
      std::vector<bool> other = script;
      other.resize(i, false);
      other[i - 1] = true;
      Verdict alternative = Explore(request, other, false, runs);
      if (SameDecision(verdict, alternative)) {
        DropDifferences(alternative, &verdict);
        continue;
      }
      verdict.outcome = Outcome::kUndetermined;
      AddMissing(&verdict, asked[i - 1].reason);
      for (const auto& reason : alternative.missing) AddMissing(&verdict, reason);
    }
    return verdict;
  }

  Verdict RunOnce(const ProxyRequest& request, OpenQuestions* questions, bool trace) const {
    Verdict verdict;
    Stream stream;
    stream.request = &request;
    stream.proxy = proxy.get();
    stream.questions = questions;
    stream.rbac_indexes = &rbac_indexes;
    stream.trace = trace;
    stream.verdict = &verdict;
    stream.remote = request.connection.source;
    stream.direct_peer_has_ip = !request.connection.hbone && proxy->mode != ProxyMode::kWaypoint;
    if (request.connection.hbone && request.connection.certificate &&
        !request.connection.certificate->uri_sans.empty()) {
      stream.tunnel_peer = request.connection.certificate->uri_sans.front();
    }
    const PreparedListener* listener = Choose(request.connection);
    if (listener == nullptr) {
      stream.AddStep(Stage::kMtls, Step::Result::kRefuse,
                     "no listener on port " + std::to_string(request.connection.destination_port));
      CloseConnection(&stream, Stage::kMtls, "");
      return verdict;
    }
    if (!listener->load_failure.empty()) {
      verdict.decided_by = listener->load_failure_origin;
      EndUndetermined(&stream, "Envoy refuses listener " + listener->config->name + ": " +
                                   listener->load_failure);
      return verdict;
    }
    RunListener(*listener, &stream);
    return verdict;
  }

  // The listener filters: what the inspectors see, if they are there and look at this port.
  static ConnectionFacts Inspect(const Listener& listener, const ProxyRequest& request) {
    const Connection& connection = request.connection;
    ConnectionFacts facts;
    facts.source = connection.source;
    facts.destination = connection.destination;
    facts.destination_port = connection.destination_port;
    facts.transport = "raw_buffer";
    bool tls = connection.tls == WireTls::kTls;
    uint32_t port = connection.destination_port;
    if (tls && listener.InspectsTls(port)) {
      facts.transport = "tls";
      facts.server_name = ToLower(connection.sni);
      facts.protocols.assign(connection.alpn.begin(), connection.alpn.end());
    } else if (!tls && listener.InspectsHttp(port)) {
      std::string_view protocol = InspectHttp(request);
      if (!protocol.empty()) facts.protocols.push_back(protocol);
    }
    return facts;
  }

  // By the address that the tunnel is meant for, then by what the HTTP inspector found.
  static ChainChoice ChooseAtWaypoint(const Listener& listener, const Connection& connection,
                                      const ConnectionFacts& facts) {
    const WaypointMatcher& matcher = *listener.waypoint;
    const bool http = std::any_of(
        facts.protocols.begin(), facts.protocols.end(),
        [](std::string_view protocol) { return protocol == "http/1.1" || protocol == "h2c"; });
    std::string name;
    if (connection.service == nullptr) {
      name = http ? "direct-http" : "direct-tcp";
    } else {
      for (const auto& vip : matcher.services) {
        if (vip.service != connection.service) continue;
        for (const auto& port : vip.ports) {
          if (port.port != connection.destination_port) continue;
          const bool sniffed = !port.http_chain.empty() && !port.tcp_chain.empty();
          name = sniffed ? (http ? port.http_chain : port.tcp_chain)
                         : (port.http_chain.empty() ? port.tcp_chain : port.http_chain);
        }
      }
    }
    for (const auto& chain : listener.filter_chains) {
      if (!name.empty() && chain.name == name) return {&chain, ""};
    }
    return {};
  }

  void RunListener(const PreparedListener& listener, Stream* stream) const {
    const Connection& connection = stream->request->connection;
    if (!listener.config->opaque.empty()) {
      EndUndetermined(stream,
                      "parts of listener " + listener.config->name +
                          " that cannot be seen through: " + Join(listener.config->opaque, ", "));
      return;
    }
    ConnectionFacts facts = Inspect(*listener.config, *stream->request);
    ChainChoice choice = listener.config->waypoint
                             ? ChooseAtWaypoint(*listener.config, connection, facts)
                             : listener.chains->Find(facts);
    if (!choice.unknown.empty()) {
      EndUndetermined(stream, std::move(choice.unknown));
      return;
    }
    if (choice.chain == nullptr) {
      RefuseNoChain(*listener.config, facts, stream);
      return;
    }
    const FilterChain& chain = *choice.chain;
    if (!chain.opaque_transport.empty()) {
      EndUndetermined(stream,
                      "transport socket " + chain.opaque_transport + " cannot be seen through");
      return;
    }
    if (chain.tls && !chain.tls->opaque.empty()) {
      EndUndetermined(stream,
                      "TLS settings that cannot be seen through: " + Join(chain.tls->opaque, ", "));
      return;
    }
    if (stream->trace) {
      stream->AddStep(Stage::kMtls, Step::Result::kMatch, DescribeChain(chain, facts),
                      OriginOf(chain.mtls));
    }
    if (facts.transport == "tls") stream->server_name = std::move(facts.server_name);
    std::string_view negotiated;
    if (chain.tls) {
      if (!Handshake(chain, stream)) return;
      negotiated = Negotiate(*chain.tls, connection.alpn);
    }
    RunNetworkFilters(chain, negotiated, stream);
  }

  void RefuseNoChain(const Listener& listener, const ConnectionFacts& facts, Stream* stream) const {
    CloseConnection(stream, Stage::kMtls, "filter_chain_not_found", "NR");
    // The PeerAuthentication that made the chains of this port is what shut the caller out.
    const FilterChain* blamed = nullptr;
    for (uint32_t port : {facts.destination_port, 0U}) {
      for (const auto& chain : listener.filter_chains) {
        if (chain.match.destination_port == port && blamed == nullptr) blamed = &chain;
      }
    }
    if (blamed != nullptr) stream->verdict->decided_by = OriginOf(blamed->mtls);
    if (!stream->trace) return;
    std::string text = "no filter chain takes " + std::string(facts.transport) + " on port " +
                       std::to_string(facts.destination_port);
    if (!facts.protocols.empty()) {
      text += " with";
      for (std::string_view protocol : facts.protocols) text += " " + std::string(protocol);
    }
    stream->AddStep(Stage::kMtls, Step::Result::kRefuse, std::move(text),
                    stream->verdict->decided_by);
  }

  bool Handshake(const FilterChain& chain, Stream* stream) const {
    const Connection& connection = stream->request->connection;
    const TlsContext& tls = *chain.tls;
    auto refuse = [&](std::string_view why) {
      CloseConnection(stream, Stage::kMtls, "");
      stream->verdict->decided_by = OriginOf(chain.mtls);
      if (stream->trace) {
        stream->AddStep(Stage::kMtls, Step::Result::kRefuse,
                        "TLS handshake fails: " + std::string(why), OriginOf(chain.mtls));
      }
      return false;
    };
    if (connection.tls == WireTls::kPlaintext) return refuse("the client sends plaintext");
    bool asked =
        tls.require_client_certificate || !tls.subject_alt_names.empty() || !tls.ca_secret.empty();
    if (asked && connection.certificate) {
      const Certificate& certificate = *connection.certificate;
      if (!certificate.trusted) return refuse("the client certificate is not of the mesh's root");
      if (!tls.subject_alt_names.empty() && !MatchesAnyName(tls, certificate)) {
        std::string names = Join(certificate.uri_sans, ", ");
        return refuse("the client certificate's name is not of this trust domain (" +
                      (names.empty() ? std::string("no URI name") : names) + ")");
      }
      stream->certificate = &certificate;
    } else if (tls.require_client_certificate || !tls.subject_alt_names.empty()) {
      return refuse("the client shows no certificate");
    }
    stream->tls = true;
    if (stream->trace) {
      std::string text = "TLS";
      if (stream->certificate != nullptr) {
        text += ", peer " + Join(stream->certificate->uri_sans, ", ");
      }
      stream->AddStep(Stage::kMtls, Step::Result::kPass, std::move(text), OriginOf(chain.mtls));
    }
    return true;
  }

  void RunNetworkFilters(const FilterChain& chain, std::string_view negotiated,
                         Stream* stream) const {
    if (chain.filters) {
      for (const auto& filter : *chain.filters) {
        if (!RunNetworkFilter(chain, filter, negotiated, stream)) return;
      }
    }
    // Nothing that would forward: Envoy closes the connection.
    CloseConnection(stream, Stage::kMtls, "");
  }

  // False: the connection's fate is decided.
  bool RunNetworkFilter(const FilterChain& chain, const NetworkFilter& filter,
                        std::string_view negotiated, Stream* stream) const {
    if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
      return RunRbac(*rbac, FilterLevel::kNetwork, stream) == FilterStatus::kContinue;
    }
    if (const auto* ext_authz = std::get_if<ExtAuthzFilter>(&filter)) {
      return RunExtAuthz(*ext_authz, FilterLevel::kNetwork, true, stream) ==
             FilterStatus::kContinue;
    }
    if (const auto* tcp = std::get_if<TcpProxy>(&filter)) {
      ForwardTcp(chain, *tcp, stream);
      return false;
    }
    if (const auto* config = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter)) {
      RunHttp(chain, **config, negotiated, stream);
      return false;
    }
    const OpaqueFilter& opaque = std::get<OpaqueFilter>(filter);
    if (opaque.effect == OpaqueFilter::Effect::kIstioAuthn) stream->istio_authn = true;
    if (opaque.effect != OpaqueFilter::Effect::kUnknown) return true;
    EndUndetermined(stream, "filter " + opaque.name + " cannot be seen through");
    return false;
  }

  void RunHttp(const FilterChain& chain, const HttpConnectionManager& config,
               std::string_view negotiated, Stream* stream) const {
    if (!chain.tls && stream->request->connection.tls == WireTls::kTls) {
      // The HTTP/1 codec answers a ClientHello with a plaintext 400, which no TLS client reads.
      stream->AddStep(Stage::kMtls, Step::Result::kRefuse, "TLS bytes reach a plaintext HTTP port",
                      OriginOf(chain.mtls));
      CloseConnection(stream, Stage::kMtls, "", "DPE");
      stream->verdict->decided_by = OriginOf(chain.mtls);
      return;
    }
    managers.at(&config)->Run(negotiated, stream);
  }

  void ForwardTcp(const FilterChain& chain, const TcpProxy& tcp, Stream* stream) const {
    Verdict& verdict = *stream->verdict;
    const Connection& connection = stream->request->connection;
    std::string cluster = tcp.cluster;
    for (const auto& weighted : tcp.weighted_clusters) {
      if (cluster.empty() && weighted.weight > 0) cluster = weighted.cluster;
    }
    if (cluster == "BlackHoleCluster") {
      stream->AddStep(Stage::kMtls, Step::Result::kRefuse, "the connection is black-holed");
      CloseConnection(stream, Stage::kMtls, "", "UH");
      return;
    }
    if (!chain.tls && connection.tls == WireTls::kTls && connection.certificate) {
      // Nobody opens the mesh's TLS: the application behind speaks plaintext.
      stream->AddStep(Stage::kMtls, Step::Result::kRefuse,
                      "mTLS is forwarded unopened to an application that speaks plaintext",
                      OriginOf(chain.mtls));
      CloseConnection(stream, Stage::kMtls, "");
      verdict.decided_by = OriginOf(chain.mtls);
      return;
    }
    bool http = stream->request->protocol != WireProtocol::kTcp;
    verdict.outcome = Outcome::kAllow;
    verdict.stage = Stage::kAllow;
    verdict.status = http ? 200 : 0;
    if (stream->request->protocol == WireProtocol::kGrpc) verdict.grpc_status = 0;
    if (stream->trace) {
      stream->AddStep(Stage::kNone, Step::Result::kPass,
                      "forwarded as bytes" + (cluster.empty() ? "" : " to " + cluster));
    }
    if (!stream->trace && proxy->mode != ProxyMode::kGateway &&
        proxy->mode != ProxyMode::kWaypoint) {
      return;
    }
    const ProxyRequest& request = *stream->request;
    verdict.cluster = std::move(cluster);
    verdict.forwarded_path = request.path;
    verdict.forwarded_authority = request.authority.value_or("");
    verdict.forwarded_headers = request.headers;
    verdict.forwarded_for = request.forwarded_for;
    verdict.opaque_headers = request.opaque_headers;
  }

  std::shared_ptr<const ProxyConfig> proxy;
  KeySets key_sets;
  mutable TokenCache tokens;
  std::map<std::string, std::unique_ptr<RouteTable>, std::less<>> route_tables;
  std::unordered_map<const HttpConnectionManager*, std::unique_ptr<ConnectionManager>> managers;
  std::vector<PreparedListener> listeners;
  RbacIndexes rbac_indexes;
};

ProxySimulator::ProxySimulator(std::shared_ptr<const ProxyConfig> proxy)
    : impl_(std::make_unique<Impl>(std::move(proxy))) {}
ProxySimulator::~ProxySimulator() = default;

const ProxyConfig& ProxySimulator::proxy() const {
  return *impl_->proxy;
}

Verdict ProxySimulator::Run(const ProxyRequest& request, Detail detail) const {
  return impl_->Run(request, detail);
}

}  // namespace meshproof

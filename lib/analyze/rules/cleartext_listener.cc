// What a listener lets a client negotiate. Istio's floor is TLS 1.2 with ECDHE and AEAD suites;
// `minProtocolVersion` and `cipherSuites` lower it for a server, `meshMTLS` and `tlsDefaults` for
// all. A plain HTTP server without `httpsRedirect` serves the routes of its hosts in the clear,
// also those that a TLS server has.
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/mesh_config_fields.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::cleartext_listener {
namespace {

bool IsCleartextHttp(std::string_view protocol) {
  const std::string name = ToLower(protocol);
  return name == "http" || name == "http2" || name == "grpc" || name == "grpc-web";
}

bool IsOldVersion(std::string_view version) {
  return version == "TLSV1_0" || version == "TLSV1_1" || version == "1.0" || version == "1.1";
}

std::string SayVersion(std::string_view version) {
  return version.ends_with('0') ? "TLS 1.0" : "TLS 1.1";
}

// Keys exchanged anew each time, and encryption that is authenticated.
bool IsStrongSuite(std::string_view suite) {
  const bool tls13 = suite.starts_with("TLS_AES_") || suite.starts_with("TLS_CHACHA20_");
  const bool forward = suite.starts_with("ECDHE-") || suite.starts_with("TLS_ECDHE_");
  const bool aead = suite.find("GCM") != std::string_view::npos ||
                    suite.find("CHACHA20") != std::string_view::npos;
  return tls13 || (forward && aead && suite.find("PSK") == std::string_view::npos);
}

// Suites of one entry: `[A|B]` is a group of equal rank.
std::vector<std::string_view> SuitesOf(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  return Split(text, '|');
}

// A server or listener in the clear, seen with the TLS hosts of the same proxies.
class TlsHosts {
 public:
  void Add(std::string_view host, Span span) {
    const std::string lower = ToLower(host);
    (lower.starts_with('*') ? wildcards_ : exact_).emplace(lower, span);
  }
  // A TLS server's host that overlaps; null where none does.
  const Span* Find(std::string_view host) const {
    const std::string lower = ToLower(host);
    auto same = exact_.find(lower);
    if (same != exact_.end()) return &same->second;
    for (const auto& [wildcard, span] : wildcards_) {
      if (HostsOverlap(wildcard, lower)) return &span;
    }
    if (!lower.starts_with('*')) return nullptr;
    for (const auto& [name, span] : exact_) {
      if (HostsOverlap(lower, name)) return &span;
    }
    return nullptr;
  }

 private:
  std::map<std::string, Span> exact_, wildcards_;
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const Gateway& gateway : analysis.model.gateways) {
      for (const GatewayServer& server : gateway.servers) {
        if (!server.tls || IsCleartextHttp(server.protocol.value) ||
            server.tls->mode == TlsSettings::Mode::kAutoPassthrough) {
          continue;
        }
        for (const Text& host : server.hosts.values) {
          std::string_view ns;
          tls_hosts_[SelectorKey(gateway)].Add(HostOfServer(host.value, &ns), host.span);
        }
      }
    }
    for (const Workload& workload : analysis.mesh.workloads()) {
      if (workload.mode != ProxyMode::kGateway) continue;
      for (const Mesh::BoundServer& bound : analysis.mesh.GatewayServersFor(workload)) {
        bound_.emplace(bound.server, std::pair(&workload, bound.listen_port));
      }
    }
    for (const RequestAuthentication& object : analysis.model.request_authentications) {
      for (const TargetRef& ref : object.target_refs) {
        if (ref.kind.value == "Gateway") {
          token_gateways_.emplace(object.meta.ns + "/" + std::string(ref.name.value), &object.meta);
        }
      }
    }
  }

  void CheckCleartext(const Gateway& gateway, const GatewayServer& server) {
    if (!IsCleartextHttp(server.protocol.value)) return;
    if (server.tls && server.tls->https_redirect) return;
    const TlsHosts& twins = tls_hosts_[SelectorKey(gateway)];
    std::vector<std::string> hosts;
    const Span* twin = nullptr;
    const ObjectMeta* tokens = nullptr;
    std::optional<Case> request;
    for (const Text& written : server.hosts.values) {
      std::string_view ns;
      std::string_view host = HostOfServer(written.value, &ns);
      const Served served = Routes(gateway, server, host);
      if (served == Served::kRedirect) continue;
      const Span* same = twins.Find(host);
      const ObjectMeta* reads = TokensOf(gateway, server, host);
      if (same == nullptr && reads == nullptr) continue;
      hosts.emplace_back(host);
      if (twin == nullptr) twin = same;
      if (tokens == nullptr) tokens = reads;
      if (!request) request = Request(gateway, server, host);
    }
    if (hosts.empty()) return;
    Cleartext(gateway.meta, server.protocol.span, server.port, hosts, twin, tokens,
              "set `tls: {httpsRedirect: true}`", request);
  }

  void CheckSettings(const ObjectMeta& meta, const Node* tls) {
    const Node* mode = NodeAt(tls, {"mode"});
    if (mode != nullptr && mode->text.ends_with("PASSTHROUGH")) return;
    for (std::string_view field : {"minProtocolVersion", "maxProtocolVersion"}) {
      const Node* version = NodeAt(tls, {field});
      if (version == nullptr || !IsOldVersion(version->text)) continue;
      Version(meta, SpanOf(meta.file, *version), version->text, field == "maxProtocolVersion");
    }
    const Node* floor = NodeAt(tls, {"minProtocolVersion"});
    if (floor != nullptr && floor->text == "TLSV1_3") return;  // suites are those of TLS 1.2
    for (const Node& suite : ListItems(NodeAt(tls, {"cipherSuites"}))) {
      Suite(meta, SpanOf(meta.file, suite), suite.text);
    }
  }

  void CheckMeshConfig() {
    for (std::string_view block : {"meshMTLS", "tlsDefaults"}) {
      MeshConfigField version = FindMeshConfigField(analysis_.model, {block, "minProtocolVersion"});
      MeshConfigField suites = FindMeshConfigField(analysis_.model, {block, "cipherSuites"});
      const ObjectName name = MeshConfigName(analysis_.model);
      if (version.value != nullptr && IsOldVersion(version.value->text)) {
        Finding& finding = reporter_.Report(
            name, version.span,
            "the mesh lets clients negotiate " + SayVersion(version.value->text) + " with " +
                (block == "meshMTLS" ? "its workloads" : "its gateways") +
                ", whose protections are broken; ask for TLSV1_2 or TLSV1_3");
        finding.field_path = "data.mesh." + std::string(block) + ".minProtocolVersion";
        finding.fix = "Set `minProtocolVersion: TLSV1_2`.";
        finding.istioctl_codes.emplace();
      }
      if (suites.value == nullptr) continue;
      const SourceFile* file = suites.span.file;
      for (size_t i = 0; i < suites.value->items().size(); ++i) {
        const Node& suite = suites.value->items()[i];
        for (std::string_view weak : WeakOnes(suite.text)) {
          Finding& finding = reporter_.Report(name, SpanOf(file, suite), SaySuite(weak));
          finding.field_path =
              "data.mesh." + std::string(block) + ".cipherSuites[" + std::to_string(i) + "]";
          finding.detail = weak;
          finding.istioctl_codes.emplace();
          finding.fix = "Remove the suite.";
        }
      }
    }
  }

  void CheckListeners(const ObjectMeta& gateway,
                      const std::multimap<std::string, const ObjectMeta*>& routes) {
    std::vector<GatewayListener> listeners = ListenersOf(gateway);
    for (const GatewayListener& listener : listeners) {
      const Node* version = listener.TlsOption("gateway.istio.io/tls-min-protocol-version");
      if (version != nullptr && IsOldVersion(version->text)) {
        Version(gateway, SpanOf(gateway.file, *version), version->text, false);
      }
      const Node* suites = listener.TlsOption("gateway.istio.io/tls-cipher-suites");
      if (suites != nullptr) {
        for (std::string_view suite : Split(suites->text, ',')) {
          Suite(gateway, SpanOf(gateway.file, *suites), TrimSpace(suite));
        }
      }
      if (listener.protocol != "HTTP") continue;
      const GatewayListener* twin = nullptr;
      for (const GatewayListener& other : listeners) {
        if (other.protocol == "HTTPS" && HostsOverlap(listener.hostname, other.hostname)) {
          twin = &other;
        }
      }
      auto tokens = token_gateways_.find(gateway.ns + "/" + std::string(gateway.name));
      if (twin == nullptr && tokens == token_gateways_.end()) continue;
      if (!ServesRoutes(listener, routes)) continue;
      const Span place = twin == nullptr ? Span() : twin->FieldSpan("hostname");
      Cleartext(gateway, listener.FieldSpan("protocol"), listener.port,
                {listener.hostname.empty() ? "*" : std::string(listener.hostname)},
                twin == nullptr ? nullptr : &place,
                tokens == token_gateways_.end() ? nullptr : tokens->second,
                std::string(twin == nullptr ? "add a listener with TLS, " : "") +
                    "attach a route with a redirect to https to this listener alone "
                    "(`sectionName`), and the others to the TLS listener",
                std::nullopt);
    }
  }

 private:
  struct BoundServices {
    std::map<std::string, std::vector<const VirtualService*>> exact;
    std::vector<std::pair<std::string, const VirtualService*>> wildcards;
  };
  enum class Served { kUnknown, kRoutes, kRedirect };

  std::string SelectorKey(const Gateway& gateway) const {
    std::set<std::string> pairs;
    for (const auto& [key, value] : gateway.selector) pairs.insert(key + "=" + value);
    std::string key;
    if (analysis_.mesh.FeatureEnabled("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", false)) {
      key = gateway.meta.ns;
    }
    for (const std::string& pair : pairs) key += "\n" + pair;
    return key;
  }

  // Routes of the input that this server serves: kRedirect if all only answer themselves.
  Served Routes(const Gateway& gateway, const GatewayServer& server, std::string_view host) {
    Served served = Served::kUnknown;
    for (const VirtualService* service : Serving(gateway, host)) {
      for (const HttpRoute& route : service->http) {
        if (!AppliesToPort(route, server.port)) continue;
        if (!route.has_redirect) return Served::kRoutes;
        served = Served::kRedirect;
        if (route.matches.empty()) break;  // answers for all that follow
      }
    }
    return served;
  }

  static bool AppliesToPort(const HttpRoute& route, int port) {
    if (route.matches.empty()) return true;
    for (const HttpMatch& match : route.matches) {
      if (match.port == 0 || match.port == port) return true;
    }
    return false;
  }

  // VirtualServices of the gateway that have the host, or one under it or over it; oldest first for
  // a host without a wildcard.
  std::vector<const VirtualService*> Serving(const Gateway& gateway, std::string_view host) {
    auto [found, added] = services_.try_emplace(&gateway);
    BoundServices& bound = found->second;
    if (added) {
      for (const VirtualService* service : analysis_.mesh.VirtualServicesFor(gateway)) {
        for (const Text& own : service->hosts.values) {
          const std::string lower = ToLower(own.value);
          if (lower.starts_with('*')) {
            bound.wildcards.emplace_back(lower, service);
          } else {
            bound.exact[lower].push_back(service);
          }
        }
      }
    }
    std::vector<const VirtualService*> serving;
    const std::string lower = ToLower(host);
    if (auto same = bound.exact.find(lower); same != bound.exact.end()) serving = same->second;
    if (lower.empty() || lower.starts_with('*')) {
      for (const auto& [own, services] : bound.exact) {
        if (HostsOverlap(lower, own))
          serving.insert(serving.end(), services.begin(), services.end());
      }
    }
    for (const auto& [own, service] : bound.wildcards) {
      if (HostsOverlap(lower, own)) serving.push_back(service);
    }
    return serving;
  }

  // What reads tokens behind the server: at the gateway itself, or where the routes lead.
  const ObjectMeta* TokensOf(const Gateway& gateway, const GatewayServer& server,
                             std::string_view host) {
    auto bound = bound_.find(&server);
    if (bound != bound_.end()) {
      if (const ObjectMeta* reads = TokensAt(*bound->second.first)) return reads;
    }
    for (const VirtualService* service : Serving(gateway, host)) {
      for (const HttpRoute& route : service->http) {
        if (!AppliesToPort(route, server.port)) continue;
        for (const RouteDestination& to : route.routes) {
          const MeshService* target =
              analysis_.mesh.ResolveObjectHost(to.destination.host.value, service->meta.ns);
          if (target == nullptr || target->workloads.empty()) continue;
          const Workload& workload = analysis_.mesh.workloads()[target->workloads.front()];
          if (const ObjectMeta* reads = TokensAt(workload)) return reads;
        }
      }
    }
    return nullptr;
  }

  const ObjectMeta* TokensAt(const Workload& workload) {
    auto [found, added] = tokens_.try_emplace(&workload, nullptr);
    if (added) {
      PolicySet policies = analysis_.mesh.PoliciesFor(workload);
      if (!policies.request_authentications.empty()) {
        found->second = &policies.request_authentications.front()->meta;
      }
    }
    return found->second;
  }

  std::optional<Case> Request(const Gateway& gateway, const GatewayServer& server,
                              std::string_view host) {
    auto bound = bound_.find(&server);
    if (bound == bound_.end()) return std::nullopt;
    for (const VirtualService* service : Serving(gateway, host)) {
      for (const HttpRoute& route : service->http) {
        if (!AppliesToPort(route, server.port) || route.routes.empty()) continue;
        Case question;
        question.from_outside = true;
        question.tls = CaseTls::kPlaintext;
        question.to_workload = bound->second.first->ns + "/" + bound->second.first->name;
        question.to_port = bound->second.second;
        std::string_view name = host.starts_with('*') ? service->hosts.values.front().value : host;
        question.host = SampleHost(name);
        if (!route.matches.empty()) {
          const StringMatch& uri = route.matches.front().uri;
          const bool plain =
              uri.kind == StringMatch::Kind::kExact || uri.kind == StringMatch::Kind::kPrefix;
          if (plain && !uri.value.value.empty()) question.path = std::string(uri.value.value);
        }
        return question;
      }
    }
    return std::nullopt;
  }

  void Cleartext(const ObjectMeta& meta, Span span, int port, const std::vector<std::string>& hosts,
                 const Span* twin, const ObjectMeta* tokens, const std::string& remedy,
                 const std::optional<Case>& request) {
    std::string why = twin != nullptr ? "which a TLS server has too" : "";
    if (tokens != nullptr) {
      why += (why.empty() ? "which carries" : " and which carries");
      why += " tokens that " + std::string(tokens->kind) + " " + tokens->ns + "/" +
             std::string(tokens->name) + " reads";
    }
    Finding& finding = ReportAt(
        reporter_, meta, span,
        "port " + std::to_string(port) + " serves " + SayHosts(hosts) + " in the clear, " + why +
            ", so requests with their cookies and tokens can be read and changed on the "
            "way; " +
            remedy,
        "Redirect this port to https.");
    finding.istioctl_codes.emplace();
    if (twin != nullptr) finding.related.push_back({*twin, "the same host with TLS"});
    if (tokens != nullptr) finding.related.push_back({tokens->span, "tokens are read here"});
    if (request) AttachWitness(analysis_, *request, Outcome::kAllow, &finding);
  }

  static std::string SayHosts(const std::vector<std::string>& hosts) {
    if (hosts.front() == "*") return "all hosts";
    std::vector<std::string> quoted;
    for (const std::string& host : hosts) quoted.push_back("`" + host + "`");
    return ListNames(quoted);
  }

  void Version(const ObjectMeta& meta, Span span, std::string_view version, bool ceiling) {
    Finding& finding = ReportAt(
        reporter_, meta, span,
        (ceiling ? "clients get no better than " : "clients may negotiate ") + SayVersion(version) +
            ", whose protections are broken, so a connection can be brought down to it and read; "
            "ask for TLSV1_2 or TLSV1_3",
        ceiling ? "Remove the ceiling." : "Set `minProtocolVersion: TLSV1_2`.");
    if (!ceiling && version.starts_with("TLSV")) finding.edits.push_back({span, "TLSV1_2"});
  }

  static std::vector<std::string_view> WeakOnes(std::string_view entry) {
    std::vector<std::string_view> weak;
    for (std::string_view suite : SuitesOf(entry)) {
      if (!suite.empty() && !IsStrongSuite(suite)) weak.push_back(suite);
    }
    return weak;
  }

  static std::string SaySuite(std::string_view suite) {
    const bool forward =
        suite.starts_with("ECDHE") || suite.starts_with("TLS_ECDHE") || suite.starts_with("DHE");
    return "cipher suite `" + std::string(suite) + "` " +
           (forward ? "has no authenticated encryption (AEAD)"
                    : "has no forward secrecy, so recorded traffic can be read once the key is "
                      "known") +
           "; keep to ECDHE suites with GCM or CHACHA20, or leave the list out";
  }

  void Suite(const ObjectMeta& meta, Span span, std::string_view entry) {
    for (std::string_view suite : WeakOnes(entry)) {
      ReportAt(reporter_, meta, span, SaySuite(suite), "Remove the suite.").detail = suite;
    }
  }

  // Whether a route that is not all redirects is attached to the listener.
  static bool ServesRoutes(const GatewayListener& listener,
                           const std::multimap<std::string, const ObjectMeta*>& routes) {
    const ObjectMeta& gateway = *listener.gateway;
    auto [begin, end] = routes.equal_range(gateway.ns + "/" + std::string(gateway.name));
    for (auto it = begin; it != end; ++it) {
      const ObjectMeta& route = *it->second;
      bool attached = false;
      for (const Node& ref : ListItems(NodeAt(route.node, {"spec", "parentRefs"}))) {
        const Node* name = NodeAt(&ref, {"name"});
        const Node* section = NodeAt(&ref, {"sectionName"});
        const Node* port = NodeAt(&ref, {"port"});
        attached = attached || (name != nullptr && name->text == gateway.name &&
                                (section == nullptr || section->text == listener.name) &&
                                (port == nullptr || port->AsInt() == listener.port));
      }
      if (!attached || !SharesHost(route, listener)) continue;
      for (const Node& rule : ListItems(NodeAt(route.node, {"spec", "rules"}))) {
        bool redirects = false;
        for (const Node& filter : ListItems(NodeAt(&rule, {"filters"}))) {
          redirects = redirects || NodeAt(&filter, {"requestRedirect"}) != nullptr;
        }
        if (!redirects) return true;
      }
    }
    return false;
  }

  static bool SharesHost(const ObjectMeta& route, const GatewayListener& listener) {
    std::span<const Node> hosts = ListItems(NodeAt(route.node, {"spec", "hostnames"}));
    if (hosts.empty()) return true;
    for (const Node& host : hosts) {
      if (HostsOverlap(host.text, listener.hostname)) return true;
    }
    return false;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::unordered_map<std::string, TlsHosts> tls_hosts_;  // by selector
  std::unordered_map<const GatewayServer*, std::pair<const Workload*, int>> bound_;
  std::unordered_map<const Gateway*, BoundServices> services_;
  std::unordered_map<const Workload*, const ObjectMeta*> tokens_;
  std::map<std::string, const ObjectMeta*> token_gateways_;  // Gateway API, by "ns/name"
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const Gateway& gateway : analysis.model.gateways) {
    for (const GatewayServer& server : gateway.servers) checker.CheckCleartext(gateway, server);
    for (const Node& server : ListItems(NodeAt(gateway.meta.node, {"spec", "servers"}))) {
      checker.CheckSettings(gateway.meta, NodeAt(&server, {"tls"}));
    }
  }
  for (const Sidecar& sidecar : analysis.model.sidecars) {
    for (const Node& ingress : ListItems(NodeAt(sidecar.meta.node, {"spec", "ingress"}))) {
      checker.CheckSettings(sidecar.meta, NodeAt(&ingress, {"tls"}));
    }
  }
  checker.CheckMeshConfig();
  std::multimap<std::string, const ObjectMeta*> routes;
  for (const OtherObject& object : analysis.model.others) {
    if (!IsGatewayApi(object.meta, "HTTPRoute") && !IsGatewayApi(object.meta, "GRPCRoute"))
      continue;
    std::set<std::string> parents;
    for (const Node& ref : ListItems(NodeAt(object.meta.node, {"spec", "parentRefs"}))) {
      const Node* name = NodeAt(&ref, {"name"});
      const Node* ns = NodeAt(&ref, {"namespace"});
      if (name == nullptr) continue;
      parents.insert((ns == nullptr ? object.meta.ns : std::string(ns->text)) + "/" +
                     std::string(name->text));
    }
    for (const std::string& parent : parents) routes.emplace(parent, &object.meta);
  }
  for (const OtherObject& object : analysis.model.others) {
    if (IsGatewayApi(object.meta, "Gateway")) checker.CheckListeners(object.meta, routes);
  }
}

}  // namespace meshproof::cleartext_listener

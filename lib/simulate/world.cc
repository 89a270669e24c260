// Answers a question over a whole mesh, hop by hop: the proxy of the workload that is addressed,
// and, where the question follows a gateway, the workload that the gateway's route leads to. The
// first refusal decides. Ambient hops are not computed yet: they are `undetermined`.

#include <algorithm>
#include <ctime>
#include <mutex>
#include <unordered_map>

#include "simulate/approach.h"
#include "simulate/case.h"

namespace meshproof {
namespace {

std::string NameOf(const Workload& workload) {
  return workload.ns + "/" + workload.name;
}

Verdict Undetermined(std::string reason) {
  Verdict verdict;
  verdict.outcome = Outcome::kUndetermined;
  verdict.missing.push_back(std::move(reason));
  return verdict;
}

bool SameAnswer(const Verdict& a, const Verdict& b) {
  return a.outcome == b.outcome && a.status == b.status && a.details == b.details;
}

// The peer that the proxy sees: who completed a handshake with a certificate.
std::string PeerOf(const ProxyRequest& request, const Verdict& verdict) {
  const Connection& connection = request.connection;
  if (connection.tls != WireTls::kTls || !connection.certificate) return "";
  if (verdict.outcome == Outcome::kReject &&
      (verdict.stage == Stage::kMtls || verdict.stage == Stage::kNone)) {
    return "";
  }
  const auto& names = connection.certificate->uri_sans;
  return names.empty() ? std::string() : names.front();
}

void AddHop(const Workload& workload, const ProxyRequest& request, Verdict* verdict) {
  Hop hop;
  hop.ns = workload.ns;
  hop.workload = workload.name;
  hop.mode = workload.mode;
  hop.peer = PeerOf(request, *verdict);
  hop.source = request.connection.source;
  hop.destination = request.connection.destination;
  hop.destination_port = request.connection.destination_port;
  hop.outcome = verdict->outcome;
  hop.status = verdict->status;
  hop.flags = verdict->flags;
  hop.details = verdict->details;
  verdict->hops.push_back(std::move(hop));
}

// A workload without a proxy: bytes arrive as they are sent, and an application that expects
// plaintext does not answer TLS.
Verdict RunWithoutProxy(const ProxyRequest& request) {
  Verdict verdict;
  if (request.connection.tls == WireTls::kTls) {
    verdict.outcome = Outcome::kReject;
    verdict.stage = Stage::kMtls;
    return verdict;
  }
  verdict.stage = Stage::kAllow;
  verdict.status = request.protocol == WireProtocol::kTcp ? 0 : 200;
  return verdict;
}

struct ClusterName {
  int port = 0;
  std::string_view subset, host;
};

// "outbound|80|v1|web.shop.svc.cluster.local".
std::optional<ClusterName> ParseCluster(std::string_view cluster) {
  constexpr std::string_view kOutbound = "outbound|";
  if (!cluster.starts_with(kOutbound)) return std::nullopt;
  cluster.remove_prefix(kOutbound.size());
  ClusterName name;
  size_t first = cluster.find('|');
  size_t second = first == std::string_view::npos ? first : cluster.find('|', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  for (char c : cluster.substr(0, first)) {
    if (c < '0' || c > '9' || name.port > 65535) return std::nullopt;
    name.port = name.port * 10 + (c - '0');
  }
  name.subset = cluster.substr(first + 1, second - first - 1);
  name.host = cluster.substr(second + 1);
  return name;
}

Labels SubsetLabels(const DestinationRule* rule, std::string_view subset) {
  if (rule == nullptr || subset.empty()) return {};
  for (const auto& candidate : rule->subsets) {
    if (candidate.name.value == subset) return candidate.labels;
  }
  return {};
}

// A token that the gateway verified and did not forward is gone at the next hop.
bool RemovesToken(const ProxyConfig& proxy, const Json& claims) {
  const Json* issuer = claims.Find("iss");
  auto removes = [&](const JwtProvider& provider) {
    return !provider.forward && issuer != nullptr && issuer->is_string() &&
           provider.issuer == issuer->as_string();
  };
  for (const auto& listener : proxy.listeners) {
    for (const auto& chain : listener.filter_chains) {
      for (const auto& filter : *chain.filters) {
        const auto* manager = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
        if (manager == nullptr) continue;
        for (const auto& http : (*manager)->http_filters) {
          const auto* jwt = std::get_if<JwtFilter>(&http);
          if (jwt != nullptr &&
              std::any_of(jwt->providers.begin(), jwt->providers.end(), removes)) {
            return true;
          }
        }
      }
    }
  }
  return false;
}

// What the first proxy's client sees when the second one ends the connection without an answer:
// Envoy's own 503 (measured behind a waypoint, istio-semantics section 7.2).
void BecomeGatewayError(Verdict* verdict) {
  if (verdict->outcome != Outcome::kReject) return;
  verdict->outcome = Outcome::kDeny;
  verdict->status = 503;
  verdict->flags = "UC";
  verdict->details = "upstream_reset_before_response_started{connection_termination}";
}

}  // namespace

struct World::Impl {
  Impl(std::shared_ptr<const Mesh> m,
       const std::vector<std::shared_ptr<const ProxyConfig>>& configs)
      : mesh(std::move(m)), compiler(mesh) {
    for (const auto& workload : mesh->workloads()) slots.try_emplace(&workload);
    for (const auto& proxy : configs) {
      const Workload* workload = mesh->FindWorkload(proxy->ns, proxy->workload);
      if (workload != nullptr) dumped.try_emplace(workload, proxy);
    }
  }

  struct Slot {
    std::once_flag once;
    std::unique_ptr<ProxySimulator> simulator;
  };

  const ProxySimulator& Proxy(const Workload& workload) {
    Slot& slot = slots.at(&workload);
    std::call_once(slot.once, [&] {
      auto found = dumped.find(&workload);
      slot.simulator = std::make_unique<ProxySimulator>(
          found != dumped.end() ? found->second : compiler.Compile(workload));
    });
    return *slot.simulator;
  }

  Verdict RunHop(const Approach& approach, World::Addresses addresses, bool follow, int hop,
                 Detail detail) {
    const Workload& workload = *approach.destination;
    for (const Workload* end : {approach.caller, approach.destination}) {
      if (end != nullptr && !dumped.contains(end) &&
          (end->mode == ProxyMode::kAmbient || end->mode == ProxyMode::kWaypoint)) {
        return Undetermined(NameOf(*end) + " is in an ambient mesh (" + end->mode_reason +
                            "), which is not modelled yet");
      }
    }
    Verdict verdict = workload.mode == ProxyMode::kNone && !dumped.contains(&workload)
                          ? RunWithoutProxy(approach.request)
                          : Proxy(workload).Run(approach.request, detail);
    for (auto& step : verdict.steps) step.hop = hop;
    if (detail == Detail::kTrace) {
      Step arrival;
      arrival.hop = hop;
      arrival.stage = Stage::kMtls;
      arrival.text = approach.caller_text + " calls " + NameOf(workload) + ":" +
                     std::to_string(approach.request.connection.destination_port) + " (" +
                     approach.tls_text + ")";
      verdict.steps.insert(verdict.steps.begin(), std::move(arrival));
    }
    if (approach.unknown_certificate != nullptr && verdict.outcome == Outcome::kReject) {
      verdict.outcome = Outcome::kUndetermined;
      verdict.missing.push_back("the client certificate of " +
                                ToString(approach.unknown_certificate->meta) +
                                " is not in the input");
    }
    AddHop(workload, approach.request, &verdict);
    if (follow && verdict.outcome == Outcome::kAllow && workload.mode == ProxyMode::kGateway &&
        !verdict.cluster.empty()) {
      return Follow(approach, std::move(verdict), addresses, hop, detail);
    }
    return verdict;
  }

  // Goes on from a gateway to the workloads behind the route's cluster.
  Verdict Follow(const Approach& gateway_approach, Verdict at_gateway, World::Addresses addresses,
                 int hop, Detail detail) {
    const Workload& gateway = *gateway_approach.destination;
    auto cluster = ParseCluster(at_gateway.cluster);
    const MeshService* service = cluster ? mesh->FindService(cluster->host) : nullptr;
    const MeshServicePort* port = service != nullptr ? service->FindPort(cluster->port) : nullptr;
    if (port == nullptr || service->external) return at_gateway;
    Labels subset = SubsetLabels(mesh->DestinationRuleFor(gateway, *service), cluster->subset);
    std::vector<Verdict> verdicts;
    std::vector<const Workload*> endpoints;
    for (size_t index : service->workloads) {
      const Workload& endpoint = mesh->workloads()[index];
      int target = mesh->TargetPort(*service, *port, endpoint);
      if (target == 0 || !Selects(subset, endpoint.labels)) continue;
      Approach next = NextApproach(gateway_approach, at_gateway, *service, *port, endpoint, target,
                                   cluster->subset, addresses);
      verdicts.push_back(RunHop(next, addresses, false, hop + 1, detail));
      endpoints.push_back(&endpoint);
    }
    if (verdicts.empty()) {
      at_gateway.status = 503;
      at_gateway.flags = "UH";
      at_gateway.details = "no_healthy_upstream";
      return at_gateway;
    }
    Verdict joined = Join(std::move(verdicts), endpoints);
    if (gateway_approach.request.protocol != WireProtocol::kTcp) BecomeGatewayError(&joined);
    joined.steps.insert(joined.steps.begin(), at_gateway.steps.begin(), at_gateway.steps.end());
    joined.hops.insert(joined.hops.begin(), at_gateway.hops.begin(), at_gateway.hops.end());
    // Where no ALLOW rule was needed at the workload, the gateway's is the one that admitted.
    joined.decided_hop += at_gateway.hops.size();
    if (joined.outcome == Outcome::kAllow && joined.decided_by.object == nullptr) {
      joined.decided_by = at_gateway.decided_by;
      joined.decided_hop = at_gateway.decided_hop;
    }
    return joined;
  }

  Approach NextApproach(const Approach& before, const Verdict& forwarded,
                        const MeshService& service, const MeshServicePort& port,
                        const Workload& endpoint, int target_port, std::string_view subset,
                        World::Addresses addresses) {
    const Workload& gateway = *before.destination;
    Approach next;
    next.caller = &gateway;
    next.destination = &endpoint;
    next.caller_text = "gateway " + NameOf(gateway);
    next.request = before.request;
    ProxyRequest& request = next.request;
    request.path = forwarded.forwarded_path;
    request.authority = forwarded.forwarded_authority;
    request.headers = forwarded.forwarded_headers;
    if (request.claims && RemovesToken(Proxy(gateway).proxy(), *request.claims)) {
      request.claims.reset();
    }
    if (request.protocol != WireProtocol::kTcp && request.protocol != WireProtocol::kGrpc) {
      bool http2 = port.protocol == Protocol::kHttp2 || port.protocol == Protocol::kGrpc;
      request.protocol = http2 ? WireProtocol::kHttp2 : WireProtocol::kHttp1;
    }
    Connection& connection = request.connection;
    connection = Connection{};
    connection.source = AddressOf(*mesh, gateway, addresses);
    connection.destination = AddressOf(*mesh, endpoint, addresses);
    connection.destination_port = static_cast<uint32_t>(target_port);
    ClientTlsChoice choice = mesh->ChooseClientTls(gateway, service, port, subset, endpoint);
    next.tls_text = choice.reason;
    if (choice.kind == ClientTlsChoice::Kind::kPlaintext) return next;
    connection.tls = WireTls::kTls;
    connection.sni = choice.sni;
    if (choice.kind == ClientTlsChoice::Kind::kMeshMtls) {
      connection.alpn = MeshAlpn(request.protocol);
      connection.certificate = Certificate{true, {gateway.identity}, {}, ""};
    } else if (choice.kind == ClientTlsChoice::Kind::kMutual) {
      next.unknown_certificate = choice.rule;
    }
    return next;
  }

  // The common answer of several endpoints, or that they differ: which one takes a request is the
  // load balancer's choice.
  static Verdict Join(std::vector<Verdict> verdicts,
                      const std::vector<const Workload*>& endpoints) {
    for (size_t i = 1; i < verdicts.size(); ++i) {
      if (SameAnswer(verdicts[i], verdicts[0])) continue;
      auto answer = [&](size_t at) {
        return NameOf(*endpoints[at]) + " answers " + std::string(ToString(verdicts[at].outcome)) +
               (verdicts[at].status != 0 ? " " + std::to_string(verdicts[at].status) : "");
      };
      Verdict verdict = Undetermined("the endpoints differ: " + answer(0) + ", " + answer(i));
      verdict.steps = std::move(verdicts[i].steps);
      verdict.hops = std::move(verdicts[i].hops);
      return verdict;
    }
    return std::move(verdicts[0]);
  }

  std::shared_ptr<const Mesh> mesh;
  Compiler compiler;
  std::unordered_map<const Workload*, Slot> slots;
  std::unordered_map<const Workload*, std::shared_ptr<const ProxyConfig>> dumped;
};

World::World(std::shared_ptr<const Mesh> mesh,
             const std::vector<std::shared_ptr<const ProxyConfig>>& dumped)
    : impl_(std::make_unique<Impl>(std::move(mesh), dumped)) {}
World::~World() = default;

const Mesh& World::mesh() const {
  return *impl_->mesh;
}

const ProxySimulator& World::Proxy(const Workload& workload) const {
  return impl_->Proxy(workload);
}

Result<Verdict> World::Run(const Case& question, Addresses addresses, Detail detail) const {
  auto approaches = PlanApproaches(*impl_->mesh, question, addresses);
  if (!approaches.ok()) return approaches.error();
  int64_t now = question.now.value_or(static_cast<int64_t>(std::time(nullptr)));
  std::vector<Verdict> verdicts;
  std::vector<const Workload*> endpoints;
  for (auto& approach : approaches.value()) {
    approach.request.now = now;
    // A bare connection shows an authorizer nothing to judge by: a meshtest that states no answer
    // means the refusal, as the recorded meshes do. `can` assumes nothing.
    if (addresses == Addresses::kAssume && question.protocol == WireProtocol::kTcp &&
        !question.ext_authz) {
      approach.request.ext_authz = ExtAuthzAnswer::kDeny;
    }
    verdicts.push_back(impl_->RunHop(approach, addresses, question.follow, 0, detail));
    endpoints.push_back(approach.destination);
  }
  return Impl::Join(std::move(verdicts), endpoints);
}

}  // namespace meshproof

// Answers a question over a whole mesh, hop by hop: the waypoint on the way, if there is one; the
// ztunnel or sidecar of the workload that is addressed; and, where the question follows a gateway,
// the workload that the gateway's route leads to. The first refusal decides. What stands behind a
// waypoint sees the waypoint as its peer (istio-semantics section 7).

#include <algorithm>
#include <array>
#include <atomic>
#include <ctime>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/text.h"
#include "mesh/made_file.h"
#include "mesh/workload_name.h"
#include "proxy/trust_domain.h"
#include "simulate/approach.h"
#include "simulate/case.h"
#include "simulate/way_book.h"
#include "simulate/ztunnel.h"

namespace meshproof {
namespace {

Verdict Undetermined(std::string reason) {
  Verdict verdict;
  verdict.outcome = Outcome::kUndetermined;
  verdict.missing.push_back(std::move(reason));
  return verdict;
}

bool SayTheSame(const Verdict& a, const Verdict& b) {
  return a.outcome == b.outcome && a.status == b.status && a.details == b.details;
}

// The peer that the proxy sees: who completed a handshake with a certificate.
std::string PeerOf(const ProxyRequest& request, const Verdict& verdict) {
  const Connection& connection = request.connection;
  if ((connection.tls != WireTls::kTls && !connection.hbone) || !connection.certificate) return "";
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

// An HBONE tunnel to a sidecar ends there only for a client of a trust domain that it accepts.
bool AcceptsPeer(const MeshConfig& config, const Connection& connection) {
  if (!connection.certificate || connection.certificate->uri_sans.empty()) return false;
  const std::string& peer = connection.certificate->uri_sans.front();
  const std::vector<std::string> accepted = AcceptedTrustDomains(config);
  return std::any_of(accepted.begin(), accepted.end(), [&](const std::string& trust_domain) {
    return peer.starts_with("spiffe://" + trust_domain + "/");
  });
}

struct ClusterName {
  int port = 0;
  std::string_view subset, host;
};

// "outbound|80|v1|web.shop.svc.cluster.local", or a waypoint's "inbound-vip|80|http/v1|web…".
std::optional<ClusterName> ParseCluster(std::string_view cluster) {
  constexpr std::string_view kOutbound = "outbound|";
  constexpr std::string_view kVip = "inbound-vip|";
  const bool vip = cluster.starts_with(kVip);
  if (!vip && !cluster.starts_with(kOutbound)) return std::nullopt;
  cluster.remove_prefix(vip ? kVip.size() : kOutbound.size());
  ClusterName name;
  size_t first = cluster.find('|');
  size_t second = first == std::string_view::npos ? first : cluster.find('|', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  for (char c : cluster.substr(0, first)) {
    if (c < '0' || c > '9' || name.port > 65535) return std::nullopt;
    name.port = name.port * 10 + (c - '0');
  }
  name.subset = cluster.substr(first + 1, second - first - 1);
  if (vip) {
    const size_t slash = name.subset.find('/');
    name.subset =
        slash == std::string_view::npos ? std::string_view() : name.subset.substr(slash + 1);
  }
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
  Impl(std::shared_ptr<const Mesh> m, DumpedMesh from_dumps)
      : mesh(std::move(m)),
        compiler(mesh),
        slots(mesh->workloads().size()),
        dumped_ztunnel(std::move(from_dumps.ztunnel)),
        unknown(std::move(from_dumps.unknown)),
        ways(*mesh) {
    for (const auto& proxy : from_dumps.proxies) {
      const Workload* workload = mesh->FindWorkload(proxy->ns, proxy->workload);
      if (workload != nullptr) dumped.try_emplace(workload, proxy);
    }
  }

  const std::string& Unknown(const Workload& workload) {
    static const std::string kKnown;
    if (!unknown.empty()) {
      if (auto found = unknown.find(&workload); found != unknown.end()) return found->second;
    }
    const bool asks_ztunnel = dumped_ztunnel != nullptr && workload.mode == ProxyMode::kAmbient;
    return asks_ztunnel ? dumped_ztunnel->For(workload).unknown : kKnown;
  }

  struct Slot {
    std::atomic<const ProxySimulator*> made = nullptr;
    std::unique_ptr<ProxySimulator> simulator;
  };

  const ProxySimulator& Proxy(const Workload& workload) {
    const auto index = static_cast<size_t>(&workload - mesh->workloads().data());
    Slot& slot = slots.at(index);
    if (const ProxySimulator* made = slot.made.load(std::memory_order_acquire)) return *made;
    const std::lock_guard lock(makers[index % makers.size()]);
    if (slot.simulator == nullptr) {
      auto found = dumped.find(&workload);
      slot.simulator = std::make_unique<ProxySimulator>(
          found != dumped.end() ? found->second : compiler.Compile(workload));
      slot.made.store(slot.simulator.get(), std::memory_order_release);
    }
    return *slot.simulator;
  }

  // A caller of which nobody knows whether it has a proxy, and so an identity.
  bool MayHaveIdentity(const Case& question) const {
    if (unknown.empty() || question.tls != CaseTls::kAuto || question.from_identity) return false;
    const size_t slash = question.from_workload.find('/');
    if (slash == std::string::npos) return false;
    const std::string_view name = question.from_workload;
    const Workload* caller = mesh->FindWorkload(name.substr(0, slash), name.substr(slash + 1));
    return caller != nullptr && caller->mode == ProxyMode::kNone && unknown.contains(caller);
  }

  Result<Verdict> RunOneWay(const Case& question, World::Addresses addresses, Detail detail);

  // As one without identity and as one with its service account's: does it matter?
  Result<Verdict> RunBothWays(const Case& question, World::Addresses addresses, Detail detail) {
    auto plain = RunOneWay(question, addresses, detail);
    if (!plain.ok()) return plain;
    const std::string_view name = question.from_workload;
    const size_t slash = name.find('/');
    const Workload& caller = *mesh->FindWorkload(name.substr(0, slash), name.substr(slash + 1));
    Case with_identity = question;
    with_identity.from_identity = "spiffe://" + mesh->config().trust_domain + "/ns/" + caller.ns +
                                  "/sa/" + caller.service_account;
    auto secured = RunOneWay(with_identity, addresses, detail);
    if (!secured.ok() || SayTheSame(plain.value(), secured.value())) return plain;
    Verdict verdict = Undetermined("whether " + NameOf(caller) +
                                   " has a proxy, and so an identity, which the dump does not say; "
                                   "say --tls plaintext or --principal " +
                                   *with_identity.from_identity);
    verdict.steps = std::move(plain.value().steps);
    verdict.hops = std::move(plain.value().hops);
    return verdict;
  }

  // The proxy of one workload, whichever it has.
  Verdict RunProxy(const Approach& approach, Detail detail) {
    const Workload& workload = *approach.destination;
    const Connection& connection = approach.request.connection;
    if (const std::string& missing = Unknown(workload); !missing.empty()) {
      return Undetermined(missing);
    }
    if (dumped.empty() || !dumped.contains(&workload)) {
      if (workload.mode == ProxyMode::kNone) return RunWithoutProxy(approach.request);
      if (workload.mode == ProxyMode::kAmbient) {
        return RunZtunnel(Ztunnel(), workload, approach.request, detail);
      }
    }
    if (connection.hbone && !AcceptsPeer(mesh->config(), connection)) {
      Verdict verdict;
      verdict.outcome = Outcome::kReject;
      verdict.stage = Stage::kMtls;
      Step step;
      step.stage = Stage::kMtls;
      step.result = Step::Result::kRefuse;
      step.text = "the HBONE handshake fails: the client is of another trust domain";
      if (detail == Detail::kTrace) verdict.steps.push_back(std::move(step));
      return verdict;
    }
    return Proxy(workload).Run(approach.request, detail);
  }

  Verdict RunAll(const std::vector<Approach>& approaches, World::Addresses addresses, bool follow,
                 Detail detail) {
    if (approaches.size() == 1) return RunHop(approaches.front(), addresses, follow, 0, detail);
    std::vector<Verdict> verdicts;
    std::vector<const Workload*> endpoints;
    for (const Approach& approach : approaches) {
      verdicts.push_back(RunHop(approach, addresses, follow, 0, detail));
      endpoints.push_back(approach.destination);
    }
    return Join(std::move(verdicts), endpoints);
  }

  Verdict RunHop(const Approach& approach, World::Addresses addresses, bool follow, int hop,
                 Detail detail) {
    const Workload& workload = *approach.destination;
    Verdict verdict = RunProxy(approach, detail);
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
    if (detail != Detail::kVerdict) AddHop(workload, approach.request, &verdict);
    if (verdict.outcome != Outcome::kAllow || verdict.cluster.empty()) return verdict;
    if (approach.waypoint != nullptr) {
      return PassOn(approach, std::move(verdict), addresses, hop, detail);
    }
    if (follow && workload.mode == ProxyMode::kGateway) {
      return Follow(approach, std::move(verdict), addresses, hop, detail);
    }
    return verdict;
  }

  // From a waypoint to the pod that is addressed, or to those behind the Service.
  Verdict PassOn(const Approach& before, Verdict at_waypoint, World::Addresses addresses, int hop,
                 Detail detail) {
    if (before.behind == nullptr)
      return Follow(before, std::move(at_waypoint), addresses, hop, detail);
    const Workload& pod = *before.behind;
    Approach next = Forwarded(before, at_waypoint, pod, addresses);
    next.request.connection.destination = before.request.connection.destination;
    next.request.connection.destination_port = before.request.connection.destination_port;
    SetTunnel(*before.destination, &next);
    // Pods that are addressed directly are always reached over HBONE, which not everybody takes.
    if (!mesh->TakesHbone(pod)) {
      at_waypoint.outcome =
          before.request.protocol == WireProtocol::kTcp ? Outcome::kReject : Outcome::kDeny;
      at_waypoint.status = before.request.protocol == WireProtocol::kTcp ? 0 : 503;
      at_waypoint.flags = "UF";
      at_waypoint.details.clear();
      at_waypoint.stage = Stage::kMtls;
      at_waypoint.decided_by = {};
      return at_waypoint;
    }
    std::vector<Verdict> verdicts;
    verdicts.push_back(RunHop(next, addresses, false, hop + 1, detail));
    return Chain(before, std::move(at_waypoint), std::move(verdicts), {&pod});
  }

  // Goes on from a gateway or waypoint to the workloads behind the route's cluster.
  Verdict Follow(const Approach& before, Verdict at_proxy, World::Addresses addresses, int hop,
                 Detail detail) {
    const Workload& proxy = *before.destination;
    auto cluster = ParseCluster(at_proxy.cluster);
    const MeshService* service = cluster ? mesh->FindService(cluster->host) : nullptr;
    const MeshServicePort* port = service != nullptr ? service->FindPort(cluster->port) : nullptr;
    if (port == nullptr || service->external) return at_proxy;
    if (service->workloads.empty() && IsMade(*service->object)) {
      // A waypoint's dump names Services and nothing behind them.
      Step step;
      step.hop = hop;
      step.stage = Stage::kAllow;
      step.text = "as far as " + NameOf(proxy) + " is concerned: what stands behind " +
                  service->host + " is not in the dump";
      if (detail == Detail::kTrace) at_proxy.steps.push_back(std::move(step));
      return at_proxy;
    }
    for (const BackendTlsPolicy& policy : mesh->model().backend_tls_policies) {
      if (policy.meta.ns != service->ns || proxy.mode != ProxyMode::kGateway) continue;
      const bool targets =
          std::any_of(policy.target_refs.begin(), policy.target_refs.end(),
                      [&](const TargetRef& target) { return target.name.value == service->name; });
      if (!targets) continue;
      Verdict verdict = Undetermined(ToString(policy.meta) +
                                     " changes how the gateway calls it, which is not computed");
      verdict.steps = std::move(at_proxy.steps);
      verdict.hops = std::move(at_proxy.hops);
      return verdict;
    }
    Labels subset = SubsetLabels(mesh->DestinationRuleFor(proxy, *service), cluster->subset);
    std::vector<Verdict> verdicts;
    std::vector<const Workload*> endpoints;
    for (size_t index : service->workloads) {
      const Workload& endpoint = mesh->workloads()[index];
      int target = mesh->TargetPort(*service, *port, endpoint);
      if (target == 0 || !Selects(subset, endpoint.labels)) continue;
      Approach next = NextApproach(before, at_proxy, *service, *port, endpoint, target,
                                   cluster->subset, addresses);
      if (next.waypoint != nullptr && next.destination == nullptr) {
        Verdict verdict =
            Undetermined("the proxy of the waypoint of " + service->host + " is not in the input");
        verdict.steps = std::move(at_proxy.steps);
        verdict.hops = std::move(at_proxy.hops);
        return verdict;
      }
      verdicts.push_back(RunHop(next, addresses, false, hop + 1, detail));
      endpoints.push_back(&endpoint);
      if (next.waypoint != nullptr) break;  // it stands before all of them
    }
    if (verdicts.empty()) {
      at_proxy.status = 503;
      at_proxy.flags = "UH";
      at_proxy.details = "no_healthy_upstream";
      return at_proxy;
    }
    return Chain(before, std::move(at_proxy), std::move(verdicts), endpoints);
  }

  // What a gateway or waypoint makes of what comes after it.
  static Verdict Chain(const Approach& before, Verdict at_proxy, std::vector<Verdict> verdicts,
                       const std::vector<const Workload*>& endpoints) {
    Verdict joined = Join(std::move(verdicts), endpoints);
    if (before.request.protocol != WireProtocol::kTcp) BecomeGatewayError(&joined);
    joined.steps.insert(joined.steps.begin(), at_proxy.steps.begin(), at_proxy.steps.end());
    joined.hops.insert(joined.hops.begin(), at_proxy.hops.begin(), at_proxy.hops.end());
    ++joined.decided_hop;
    if (joined.outcome != Outcome::kAllow) return joined;
    // Where no ALLOW rule was needed at the workload, the gateway's is the one that admitted; of a
    // waypoint and what stands behind it the waypoint speaks, which knows the caller.
    const bool at_waypoint = before.destination->mode == ProxyMode::kWaypoint;
    if (joined.decided_by.object == nullptr ||
        (at_waypoint && at_proxy.decided_by.object != nullptr)) {
      joined.decided_by = at_proxy.decided_by;
      joined.decided_hop = at_proxy.decided_hop;
    }
    return joined;
  }

  // The request as `before`'s proxy forwards it, over a connection that is still to be secured.
  Approach Forwarded(const Approach& before, const Verdict& forwarded, const Workload& endpoint,
                     World::Addresses addresses) {
    const Workload& proxy = *before.destination;
    Approach next;
    next.caller = &proxy;
    next.destination = &endpoint;
    next.caller_text = std::string(ToString(proxy.mode)) + " " + NameOf(proxy);
    next.request = before.request;
    ProxyRequest& request = next.request;
    request.path = forwarded.forwarded_path;
    request.authority = forwarded.forwarded_authority;
    request.headers = forwarded.forwarded_headers;
    request.forwarded_for = forwarded.forwarded_for;
    request.opaque_headers = forwarded.opaque_headers;
    if (request.claims && RemovesToken(Proxy(proxy).proxy(), *request.claims)) {
      request.claims.reset();
    }
    request.connection = Connection{};
    request.connection.source = AddressOf(*mesh, proxy, addresses);
    return next;
  }

  static void SetTunnel(const Workload& caller, Approach* approach) {
    approach->tls_text = "HBONE";
    approach->request.connection.hbone = true;
    approach->request.connection.certificate = Certificate{true, {caller.identity}, {}, ""};
  }

  Approach NextApproach(const Approach& before, const Verdict& forwarded,
                        const MeshService& service, const MeshServicePort& port,
                        const Workload& endpoint, int target_port, std::string_view subset,
                        World::Addresses addresses) {
    const Workload& proxy = *before.destination;
    Approach next = Forwarded(before, forwarded, endpoint, addresses);
    ProxyRequest& request = next.request;
    if (request.protocol != WireProtocol::kTcp && request.protocol != WireProtocol::kGrpc) {
      bool http2 = port.protocol == Protocol::kHttp2 || port.protocol == Protocol::kGrpc;
      request.protocol = http2 ? WireProtocol::kHttp2 : WireProtocol::kHttp1;
    }
    Connection& connection = request.connection;
    if (const Waypoint* waypoint = WaypointOnTheWay(*mesh, proxy, &service, &endpoint)) {
      next.waypoint = waypoint;
      next.destination = waypoint->workload;
      SetTunnel(proxy, &next);
      next.tls_text = "HBONE: the Service asks that gateways use its waypoint";
      connection.service = &service;
      connection.destination = AddressOf(*mesh, service, addresses);
      connection.destination_port = static_cast<uint32_t>(port.port);
      return next;
    }
    connection.destination = AddressOf(*mesh, endpoint, addresses);
    connection.destination_port = static_cast<uint32_t>(target_port);
    if (SendsHbone(*mesh, proxy, &service, &port, endpoint)) {
      SetTunnel(proxy, &next);
      return next;
    }
    ClientTlsChoice choice = mesh->ChooseClientTls(proxy, service, port, subset, endpoint);
    next.tls_text = choice.reason;
    if (proxy.mode == ProxyMode::kWaypoint) next.tls_text = "plaintext: it takes no HBONE";
    if (choice.kind == ClientTlsChoice::Kind::kPlaintext) return next;
    connection.tls = WireTls::kTls;
    connection.sni = choice.sni;
    if (choice.kind == ClientTlsChoice::Kind::kMeshMtls) {
      connection.alpn = MeshAlpn(request.protocol);
      connection.certificate = Certificate{true, {proxy.identity}, {}, ""};
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
      if (SayTheSame(verdicts[i], verdicts[0])) continue;
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

  const ZtunnelConfig& Ztunnel() {
    if (dumped_ztunnel != nullptr) return *dumped_ztunnel;
    std::call_once(ztunnel_once, [&] { ztunnel = std::make_unique<ZtunnelConfig>(*mesh); });
    return *ztunnel;
  }

  std::shared_ptr<const Mesh> mesh;
  Compiler compiler;
  std::vector<Slot> slots;            // by index of the workload
  std::array<std::mutex, 64> makers;  // of proxies, shared by slots
  std::once_flag ztunnel_once;
  std::unique_ptr<const ZtunnelConfig> ztunnel;
  std::unordered_map<const Workload*, std::shared_ptr<const ProxyConfig>> dumped;
  std::shared_ptr<const ZtunnelConfig> dumped_ztunnel;
  std::unordered_map<const Workload*, std::string> unknown;
  WayBook ways;
};

World::World(std::shared_ptr<const Mesh> mesh,
             const std::vector<std::shared_ptr<const ProxyConfig>>& dumped)
    : impl_(std::make_unique<Impl>(std::move(mesh), DumpedMesh{dumped, nullptr, {}})) {}
World::World(std::shared_ptr<const Mesh> mesh, DumpedMesh dumped)
    : impl_(std::make_unique<Impl>(std::move(mesh), std::move(dumped))) {}
World::~World() = default;

const Mesh& World::mesh() const {
  return *impl_->mesh;
}

const ProxySimulator& World::Proxy(const Workload& workload) const {
  return impl_->Proxy(workload);
}

const ZtunnelConfig& World::Ztunnel() const {
  return impl_->Ztunnel();
}

const std::string& World::Unknown(const Workload& workload) const {
  return impl_->Unknown(workload);
}

Result<Verdict> World::Run(const Case& question, Addresses addresses, Detail detail) const {
  if (impl_->MayHaveIdentity(question)) return impl_->RunBothWays(question, addresses, detail);
  return impl_->RunOneWay(question, addresses, detail);
}

Result<Verdict> World::Impl::RunOneWay(const Case& question, Addresses addresses, Detail detail) {
  auto taken = ways.Take(question, addresses);
  if (!taken.ok()) return taken.error();
  auto plan = taken.Take();
  const int64_t now = question.now ? *question.now : static_cast<int64_t>(std::time(nullptr));
  for (auto& approach : plan->approaches) {
    approach.request.now = now;
    // A bare connection shows an authorizer nothing to judge by: a meshtest that states no answer
    // means the refusal, as the recorded meshes do. `can` assumes nothing.
    if (addresses == Addresses::kAssume && question.protocol == WireProtocol::kTcp &&
        !question.ext_authz) {
      approach.request.ext_authz = ExtAuthzAnswer::kDeny;
    }
  }
  Result<Verdict> verdict = RunAll(plan->approaches, addresses, question.follow, detail);
  WayBook::PutBack(std::move(plan));
  return verdict;
}

}  // namespace meshproof

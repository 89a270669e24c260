// An access log holds the request's method, path, host and addresses; it holds neither the token
// nor most headers, and the caller's identity only where the format asks for it. What is missing is
// not guessed: the request is completed in every way that some rule would tell apart.

#include "simulate/log_request.h"

#include <algorithm>

#include "base/text.h"
#include "simulate/fields.h"

namespace meshproof {
namespace {

constexpr std::string_view kInbound = "inbound|";
constexpr std::string_view kOutbound = "outbound|";

std::string NameOf(const Workload& workload) {
  return workload.ns + "/" + workload.name;
}

int NumberOf(std::string_view text) {
  auto number = ParseUnsigned(text);
  return number && *number <= 65535 ? static_cast<int>(*number) : 0;
}

// "inbound|8080||", "inbound|8080|http|web.shop.svc.cluster.local": 8080.
int InboundPortOf(std::string_view cluster) {
  if (!cluster.starts_with(kInbound)) return 0;
  cluster.remove_prefix(kInbound.size());
  return NumberOf(cluster.substr(0, cluster.find('|')));
}

// "outbound_.80_._.web.shop.svc.cluster.local", and "outbound|80||web…" of clusters.
std::string_view HostOfSni(std::string_view name) {
  constexpr std::string_view kPrefix = "outbound_.";
  if (!name.starts_with(kPrefix)) return {};
  size_t at = name.find("_.", kPrefix.size());
  if (at == std::string_view::npos) return {};
  at = name.find("_.", at + 2);
  return at == std::string_view::npos ? std::string_view() : name.substr(at + 2);
}

int PortOfSni(std::string_view name) {
  constexpr std::string_view kPrefix = "outbound_.";
  if (!name.starts_with(kPrefix)) return 0;
  name.remove_prefix(kPrefix.size());
  return NumberOf(name.substr(0, name.find('_')));
}

// A pod is named after its controller: "web-5d8f7c9b4-x2x9z" of "web".
const Workload* WorkloadOfPod(const Mesh& mesh, std::string_view ns, std::string_view pod) {
  if (pod.empty()) return nullptr;
  const Workload* best = nullptr;
  bool several = false;
  for (const auto& workload : mesh.workloads()) {
    if (!ns.empty() && workload.ns != ns) continue;
    bool named = pod == workload.name || (pod.starts_with(workload.name) &&
                                          pod.substr(workload.name.size()).starts_with('-'));
    if (!named) continue;
    if (best == nullptr || workload.name.size() > best->name.size()) {
      best = &workload;
      several = false;
    } else if (workload.name.size() == best->name.size()) {
      several = true;
    }
  }
  return several ? nullptr : best;
}

bool ListensOn(const Mesh& mesh, const Workload& gateway, int port) {
  for (const auto& bound : mesh.GatewayServersFor(gateway)) {
    if (bound.listen_port == port) return true;
  }
  return false;
}

// A Service by a host as a client names it, of any namespace where that is clear.
const MeshService* ServiceOf(const Mesh& mesh, std::string_view host) {
  if (host.empty()) return nullptr;
  if (const MeshService* service = mesh.ResolveHost(host, "")) return service;
  if (host.find('.') != std::string_view::npos) return nullptr;
  const MeshService* found = nullptr;
  for (const auto& service : mesh.services()) {
    if (!service.kubernetes || service.name != host) continue;
    if (found != nullptr) return nullptr;
    found = &service;
  }
  return found;
}

// The workload behind a Service that listens on `port` (0: on any), if it is one.
const Workload* OnlyWorkload(const Mesh& mesh, const MeshService& service, int port) {
  const Workload* found = nullptr;
  for (size_t index : service.workloads) {
    const Workload& workload = mesh.workloads()[index];
    bool fits = port == 0;
    for (const auto& service_port : service.ports) {
      fits = fits || mesh.TargetPort(service, service_port, workload) == port;
    }
    if (!fits) continue;
    if (found != nullptr) return nullptr;
    found = &workload;
  }
  return found;
}

// The gateway that an outside request with this port came to: the one that listens there.
const Workload* GatewayOn(const Mesh& mesh, int port) {
  const Workload* found = nullptr;
  for (const auto& workload : mesh.workloads()) {
    if (workload.mode != ProxyMode::kGateway || !ListensOn(mesh, workload, port)) continue;
    if (found != nullptr) return nullptr;
    found = &workload;
  }
  return found;
}

std::vector<const Workload*> SidecarsOn(const Mesh& mesh, int port) {
  std::vector<const Workload*> found;
  if (port == 0) return found;
  for (const auto& workload : mesh.workloads()) {
    if (workload.mode != ProxyMode::kSidecar) continue;
    for (const auto& inbound : mesh.InboundPorts(workload)) {
      if (inbound.port == port) found.push_back(&workload);
    }
  }
  return found;
}

// The HTTP status that a refusal has where the call is not gRPC.
int StatusBehind(std::string_view details) {
  bool token = details.starts_with("jwt_authn_access_denied{");
  return token && details.find("Audiences") == std::string_view::npos ? 401 : 403;
}

std::string Identity(const Mesh& mesh, std::string_view path) {
  return "spiffe://" + mesh.config().trust_domain + std::string(path);
}

// An identity that a `principals` value takes.
std::string PrincipalLike(const Mesh& mesh, std::string_view value) {
  std::string text(value);
  if (text == "*") return Identity(mesh, "/ns/any/sa/any");
  if (text.ends_with('*')) {
    text.pop_back();
    text += text.find('/') == std::string::npos ? "/ns/any/sa/any" : "any";
    if (text.find('/') == 0) text = mesh.config().trust_domain + text;
  } else if (text.starts_with('*')) {
    text = mesh.config().trust_domain + "/ns/any" +
           (text.size() > 1 && text[1] == '/' ? "" : "/sa/any") + text.substr(1);
  }
  return text.starts_with("spiffe://") ? text : "spiffe://" + text;
}

// A value that a string of a policy takes.
std::string Like(std::string_view value) {
  if (value == "*") return "any";
  std::string text(value);
  if (text.ends_with('*')) text.replace(text.size() - 1, 1, "any");
  if (text.starts_with('*')) text.replace(0, 1, "any");
  return text;
}

// "request.headers[x-team]" with `prefix` "request.headers[": "x-team".
std::string_view Bracketed(std::string_view key, std::string_view prefix) {
  if (!key.starts_with(prefix) || !key.ends_with(']')) return {};
  return key.substr(prefix.size(), key.size() - prefix.size() - 1);
}

class Completer {
 public:
  Completer(const Mesh& mesh, const LoggedRequest& request) : mesh_(mesh), request_(request) {}

  std::vector<Completion> Run(const PolicySet& policies) {
    Completion baseline;
    baseline.question = request_.question;
    if (request_.identity_open) {
      baseline.question.from_identity = Identity(mesh_, "/ns/unknown/sa/unknown");
    }
    out_.push_back(std::move(baseline));
    for (const auto* list : {&policies.custom, &policies.deny, &policies.allow}) {
      for (const auto* policy : *list) {
        if (policy->dry_run) continue;
        for (const auto& rule : policy->rules) AddRule(rule);
      }
    }
    if (request_.token_open) AddIssuers(policies);
    return std::move(out_);
  }

 private:
  // What one rule asks for in parts that the log does not have.
  void AddRule(const AuthorizationPolicy::Rule& rule) {
    static const AuthorizationPolicy::Source kAnySource;
    std::vector<const AuthorizationPolicy::Source*> sources;
    for (const auto& source : rule.from) sources.push_back(&source);
    if (sources.empty()) sources.push_back(&kAnySource);
    for (const auto* source : sources) {
      Begin();
      GiveSource(*source);
      for (const auto& condition : rule.when) GiveCondition(condition);
      End();
      AddNegations(*source);
    }
    for (const auto& condition : rule.when) {
      if (condition.not_values.empty()) continue;
      Begin();
      GiveValue(condition.key.value, condition.not_values.values.front().value);
      End();
    }
  }

  void GiveSource(const AuthorizationPolicy::Source& source) {
    if (!source.principals.empty()) {
      Call(PrincipalLike(mesh_, source.principals.values.front().value));
    } else if (!source.service_accounts.empty()) {
      Call(AccountLike(source.service_accounts.values.front().value));
    } else if (!source.namespaces.empty()) {
      Call(Identity(mesh_, "/ns/" + Like(source.namespaces.values.front().value) + "/sa/any"));
    }
    if (!source.request_principals.empty()) {
      SendPrincipal(source.request_principals.values.front().value);
    }
  }

  // A negation is told apart by a request that has what is excluded.
  void AddNegations(const AuthorizationPolicy::Source& source) {
    auto each = [&](const TextList& list, auto give) {
      if (list.empty()) return;
      Begin();
      give(list.values.front().value);
      End();
    };
    each(source.not_principals, [&](std::string_view v) { Call(PrincipalLike(mesh_, v)); });
    each(source.not_service_accounts, [&](std::string_view v) { Call(AccountLike(v)); });
    each(source.not_namespaces,
         [&](std::string_view v) { Call(Identity(mesh_, "/ns/" + Like(v) + "/sa/any")); });
    each(source.not_request_principals, [&](std::string_view v) { SendPrincipal(v); });
  }

  void GiveCondition(const AuthorizationPolicy::Condition& condition) {
    if (!condition.values.empty()) {
      GiveValue(condition.key.value, condition.values.values.front().value);
    }
  }

  void GiveValue(std::string_view key, std::string_view value) {
    if (key == "source.principal") {
      Call(PrincipalLike(mesh_, value));
    } else if (key == "source.serviceAccount") {
      Call(AccountLike(value));
    } else if (key == "source.namespace") {
      Call(Identity(mesh_, "/ns/" + Like(value) + "/sa/any"));
    } else if (key == "request.auth.principal") {
      SendPrincipal(value);
    } else if (key == "request.auth.audiences") {
      SendClaim("aud", Like(value));
    } else if (key == "request.auth.presenter") {
      SendClaim("azp", Like(value));
    } else if (auto claim = Bracketed(key, "request.auth.claims["); !claim.empty()) {
      SendClaim(claim, Like(value));
    } else if (auto header = Bracketed(key, "request.headers["); !header.empty()) {
      SendHeader(header, Like(value));
    }
  }

  std::string AccountLike(std::string_view value) const {
    size_t slash = value.find('/');
    std::string ns = slash == std::string_view::npos ? "any" : Like(value.substr(0, slash));
    return Identity(mesh_, "/ns/" + ns + "/sa/" + Like(value.substr(slash + 1)));
  }

  void Call(std::string identity) {
    if (!request_.identity_open) return;
    open_.question.from_identity = std::move(identity);
    open_.assumed.push_back("who called");
  }

  void SendPrincipal(std::string_view value) {
    std::string text = value == "*" ? "any/any" : Like(value);
    size_t slash = text.rfind('/');
    SendClaim("iss", text.substr(0, slash));
    SendClaim("sub", slash == std::string::npos ? "any" : text.substr(slash + 1));
  }

  // "group" or "a][b" of nested claims.
  void SendClaim(std::string_view name, std::string value) {
    if (!request_.token_open) return;
    auto& claims = open_.question.claims;
    if (!claims) claims = Json::MakeObject();
    auto parts = SplitClaim(name);
    Json nested = Json(std::move(value));
    for (size_t i = parts.size(); i-- > 1;) {
      nested = Json::MakeObject({{parts[i], std::move(nested)}});
    }
    claims->Set(parts[0], std::move(nested));
    open_.assumed.push_back("which token was sent");
  }

  static std::vector<std::string> SplitClaim(std::string_view name) {
    std::vector<std::string> parts;
    while (true) {
      size_t at = name.find("][");
      parts.emplace_back(name.substr(0, at));
      if (at == std::string_view::npos) return parts;
      name.remove_prefix(at + 2);
    }
  }

  void SendHeader(std::string_view name, std::string value) {
    for (const auto& [known, ignored] : request_.question.headers) {
      if (EqualsIgnoreCase(known, name)) return;
    }
    // Envoy's own names of what a log does have.
    if (name.starts_with(':') || EqualsIgnoreCase(name, "host")) return;
    open_.question.headers.emplace_back(name, std::move(value));
    open_.assumed.push_back("the header " + std::string(name));
  }

  // A valid token of each issuer, for rules that ask for no claim of it.
  void AddIssuers(const PolicySet& policies) {
    for (const auto* authentication : policies.request_authentications) {
      for (const auto& rule : authentication->jwt_rules) {
        Begin();
        SendClaim("iss", std::string(rule.issuer.value));
        SendClaim("sub", "any");
        End();
      }
    }
  }

  void Begin() {
    open_ = {};
    open_.question = out_.front().question;
  }

  void End() {
    auto& assumed = open_.assumed;
    std::sort(assumed.begin(), assumed.end());
    assumed.erase(std::unique(assumed.begin(), assumed.end()), assumed.end());
    if (!assumed.empty()) out_.push_back(std::move(open_));
  }

  const Mesh& mesh_;
  const LoggedRequest& request_;
  std::vector<Completion> out_;
  Completion open_;
};

}  // namespace

std::string_view LogRecord::operator[](LogField field) const {
  for (const auto& [name, value] : fields) {
    if (name == field) return value;
  }
  return {};
}

LogRecord Keep(const LogLine& line) {
  LogRecord record;
  record.kind = line.kind;
  record.present = line.present;
  for (size_t i = 0; i < kLogFields; ++i) {
    if (!line.fields[i].empty())
      record.fields.emplace_back(static_cast<LogField>(i), line.fields[i]);
  }
  for (const auto& [name, value] : line.headers) record.headers.emplace_back(name, value);
  return record;
}

LogTarget FindLogTarget(const Mesh& mesh, const Workload* at, const LogRecord& record) {
  LogTarget target;
  std::string_view cluster = record[LogField::kUpstreamCluster];
  std::string_view local = record[LogField::kLocal];
  std::string_view sni = record[LogField::kServerName];
  int local_port = PortOfAddress(local);
  if (record.kind == LogKind::kZtunnel) {
    std::string_view hbone = record[LogField::kTargetHbone];
    target.workload =
        WorkloadOfPod(mesh, record[LogField::kTargetNamespace], record[LogField::kTargetWorkload]);
    target.service = mesh.FindService(record[LogField::kTargetService]);
    target.port = PortOfAddress(hbone.empty() ? local : hbone);
    target.outbound = record[LogField::kDirection] == "outbound";
    return target;
  }
  bool inbound = cluster.starts_with(kInbound);
  target.port = inbound ? InboundPortOf(cluster) : local_port;
  target.workload = at;
  if (target.workload == nullptr) {
    target.workload = WorkloadOfPod(mesh, "", record[LogField::kPod]);
  }
  if (target.workload == nullptr) {
    if (auto address = ParseIpAddress(HostOfAddress(local))) {
      target.workload = mesh.FindWorkloadByAddress(*address);
    }
  }
  if (target.workload == nullptr && !inbound && cluster.starts_with(kOutbound)) {
    target.workload = GatewayOn(mesh, local_port);
    target.outbound = target.workload == nullptr;
    // A sidecar listens on the Service's port, which a gateway may happen to have as well.
    if (record[LogField::kRouteName] == "default") {
      target.workload = nullptr;
      target.outbound = true;
    }
    if (target.outbound) return target;
  }
  std::string_view host = HostOfSni(sni);
  if (host.empty()) host = HostOfAddress(record[LogField::kAuthority]);
  target.service = ServiceOf(mesh, host);
  if (target.workload == nullptr && target.service != nullptr) {
    target.workload = OnlyWorkload(mesh, *target.service, target.port);
    if (target.workload == nullptr) target.workload = OnlyWorkload(mesh, *target.service, 0);
  }
  if (target.workload == nullptr) {
    std::vector<const Workload*> sidecars = SidecarsOn(mesh, target.port);
    bool no_route = record[LogField::kDetails] == "route_not_found";
    if (!inbound && (no_route || sidecars.empty())) {
      target.workload = GatewayOn(mesh, local_port);
    } else if (sidecars.size() == 1 && (inbound || GatewayOn(mesh, local_port) == nullptr ||
                                        record[LogField::kDetails] == "filter_chain_not_found")) {
      target.workload = sidecars.front();
    }
  }
  if (target.workload != nullptr && target.workload->mode != ProxyMode::kGateway && !inbound &&
      cluster.starts_with(kOutbound)) {
    target.outbound = true;
  }
  if (target.port == 0 && target.service != nullptr && target.workload != nullptr) {
    if (const auto* port = target.service->FindPort(PortOfSni(sni))) {
      target.port = mesh.TargetPort(*target.service, *port, *target.workload);
    }
  }
  return target;
}

std::optional<RbacId> ParseRbacId(std::string_view id) {
  constexpr std::string_view kCustom = "istio-ext-authz-";
  constexpr std::string_view kBad = "-deny-due-to-bad-CUSTOM-action";
  RbacId out;
  if (id.ends_with(kBad)) {
    out.bad_custom = true;
    id.remove_suffix(kBad.size());
  }
  size_t at = id.find("ns[");
  if (at == std::string_view::npos) return std::nullopt;
  if (id.starts_with(kCustom)) {
    std::string_view provider = id.substr(kCustom.size(), at - std::min(at, kCustom.size()));
    if (provider.ends_with('-')) provider.remove_suffix(1);
    out.provider = provider;
  } else if (at != 0) {
    return std::nullopt;
  }
  id.remove_prefix(at + 3);
  constexpr std::string_view kPolicy = "]-policy[";
  constexpr std::string_view kRule = "]-rule[";
  size_t policy = id.find(kPolicy);
  size_t rule = id.rfind(kRule);
  if (policy == std::string_view::npos || rule == std::string_view::npos || rule < policy ||
      !id.ends_with(']')) {
    return std::nullopt;
  }
  out.ns = id.substr(0, policy);
  out.name = id.substr(policy + kPolicy.size(), rule - policy - kPolicy.size());
  std::string_view number = id.substr(rule + kRule.size());
  number.remove_suffix(1);
  auto index = ParseUnsigned(number);
  if (!index || *index > 100000) return std::nullopt;
  out.rule = static_cast<int>(*index);
  return out;
}

LoggedRequest ReadLoggedRequest(const Mesh& mesh, const LogTarget& target,
                                const LogRecord& record) {
  LoggedRequest out;
  Case& question = out.question;
  if (target.outbound) {
    out.unusable = "the line is of the caller's own proxy, which judges nothing";
    return out;
  }
  if (target.workload == nullptr) {
    out.unusable =
        "neither the line nor the mesh says whose proxy wrote it; name it with --workload";
    return out;
  }
  if (target.port == 0) {
    out.unusable = "the line does not say which port was called";
    return out;
  }
  bool gateway = target.workload->mode == ProxyMode::kGateway;
  question.to_workload = NameOf(*target.workload);
  question.to_port = target.port;
  if (auto time = ParseTime(record[LogField::kStartTime])) question.now = *time;
  question.to_ip = ParseIpAddress(HostOfAddress(record[LogField::kLocal]));

  std::string_view protocol = record[LogField::kProtocol];
  std::string_view method = record[LogField::kMethod];
  if (method.empty()) {
    question.protocol = WireProtocol::kTcp;
    out.token_open = false;
  } else {
    question.protocol = protocol == "HTTP/2" || protocol == "HTTP/3" ? WireProtocol::kHttp2
                        : protocol == "HTTP/1.0"                     ? WireProtocol::kHttp10
                                                                     : WireProtocol::kHttp1;
    bool refused = record[LogField::kStatus] == "200" && IsRefusal(record[LogField::kDetails]);
    if (refused || !record[LogField::kGrpcStatus].empty()) question.protocol = WireProtocol::kGrpc;
    question.method = std::string(method);
    question.path = std::string(record[LogField::kPath]);
    if (question.path.empty()) {
      out.unusable = "the line has no path";
      return out;
    }
    if (!record[LogField::kAuthority].empty()) {
      question.host = std::string(record[LogField::kAuthority]);
    }
    if (!record[LogField::kUserAgent].empty()) {
      question.headers.emplace_back("user-agent", record[LogField::kUserAgent]);
    }
    for (const auto& [name, value] : record.headers) {
      if (!value.empty()) question.headers.emplace_back(name, value);
    }
  }

  // The peer's address: the log shows what x-forwarded-for made of it, unless the format asks for
  // the direct one. A gateway has appended the peer to x-forwarded-for itself.
  std::string forwarded(record[LogField::kForwardedFor]);
  std::string_view peer_address = HostOfAddress(record[LogField::kDirectRemote]);
  if (gateway && !forwarded.empty()) {
    size_t comma = forwarded.rfind(',');
    std::string last(
        TrimSpace(std::string_view(forwarded).substr(comma == std::string::npos ? 0 : comma + 1)));
    forwarded = comma == std::string::npos ? "" : forwarded.substr(0, comma);
    if (peer_address.empty()) question.from_ip = ParseIpAddress(last);
  } else if (peer_address.empty() && forwarded.empty()) {
    peer_address = HostOfAddress(record[LogField::kRemote]);
  }
  if (!peer_address.empty()) question.from_ip = ParseIpAddress(peer_address);
  if (!forwarded.empty()) question.headers.emplace_back("x-forwarded-for", forwarded);

  std::string_view sni = record[LogField::kServerName];
  std::string_view peer = record[LogField::kPeer];
  const Workload* caller =
      question.from_ip ? mesh.FindWorkloadByAddress(*question.from_ip) : nullptr;
  if (gateway) {
    question.from_outside = true;
    question.tls = sni.empty() ? CaseTls::kPlaintext : CaseTls::kAuto;
    if (!sni.empty()) question.sni = std::string(sni);
    if (!peer.empty()) question.from_identity = std::string(peer);
    return out;
  }
  bool mesh_tls = sni.starts_with("outbound_.") || !peer.empty();
  if (mesh_tls && !peer.empty()) {
    question.from_outside = true;
    question.from_identity = std::string(peer);
    question.tls = CaseTls::kMtls;
  } else if (mesh_tls && caller != nullptr && !caller->identity.empty()) {
    question.from_workload = NameOf(*caller);
    question.tls = CaseTls::kMtls;
  } else if (mesh_tls) {
    question.from_outside = true;
    question.tls = CaseTls::kMtls;
    out.identity_open = true;
  } else if (!record.Has(LogField::kServerName) && !record.Has(LogField::kPeer)) {
    out.unusable =
        "the log says neither REQUESTED_SERVER_NAME nor DOWNSTREAM_PEER_URI_SAN: it is "
        "not known whether mutual TLS was used";
  } else {
    question.from_outside = true;
    question.tls = CaseTls::kPlaintext;
  }
  return out;
}

bool IsRefusal(std::string_view details) {
  constexpr std::string_view kStarts[] = {"rbac_access_denied", "jwt_authn_access_denied",
                                          "ext_authz_denied", "ext_authz_error",
                                          "ext_authz_invalid"};
  return std::any_of(std::begin(kStarts), std::end(kStarts),
                     [&](std::string_view start) { return details.starts_with(start); });
}

LoggedAnswer ReadLoggedAnswer(const LogRecord& record) {
  LoggedAnswer answer;
  answer.status = NumberOf(record[LogField::kStatus]);
  answer.flags = std::string(record[LogField::kFlags]);
  if (answer.flags.empty()) answer.flags = "-";
  std::string_view details = record[LogField::kDetails];
  std::string_view termination = record[LogField::kTermination];
  answer.details = std::string(details.empty() ? termination : details);
  if (details == "filter_chain_not_found" || (answer.status == 0 && IsRefusal(termination))) {
    answer.outcome = Outcome::kReject;
  } else if (IsRefusal(details)) {
    answer.outcome = Outcome::kDeny;
    // A gRPC call's refusal is logged as 200: the status of its trailers stands for this one.
    if (answer.status == 200) answer.status = StatusBehind(details);
  } else if (!record.Has(LogField::kDetails) && (answer.status == 401 || answer.status == 403)) {
    answer.outcome = Outcome::kUndetermined;
  }
  return answer;
}

std::vector<Completion> Complete(const Mesh& mesh, const Workload& target,
                                 const LoggedRequest& request) {
  return Completer(mesh, request).Run(mesh.PoliciesFor(target));
}

}  // namespace meshproof

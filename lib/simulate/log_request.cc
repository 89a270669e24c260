// An access log holds the request's method, path, host and addresses; it holds neither the token
// nor most headers, and the caller's identity only where the format asks for it. What is missing is
// not guessed: the request is completed in every way that some rule would tell apart.

#include "simulate/log_request.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "mesh/workload_name.h"
#include "simulate/fields.h"
#include "simulate/log_connection.h"

namespace meshproof {
namespace {

constexpr std::string_view kInbound = "inbound|";
constexpr std::string_view kOutbound = "outbound|";

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

// "request.headers[x-team]" with `prefix` "request.headers[": "x-team".
std::string_view Bracketed(std::string_view key, std::string_view prefix) {
  if (!key.starts_with(prefix) || !key.ends_with(']')) return {};
  return key.substr(prefix.size(), key.size() - prefix.size() - 1);
}

// Strings that tell the values of policies apart: one that each takes, and one that a prefix and a
// suffix take together. `any` fills what a wildcard leaves open.
std::vector<std::string> Representatives(const std::set<std::string>& values) {
  std::set<std::string> out;
  for (const auto& value : values) {
    if (value == "*") {
      out.insert("any");
    } else if (value.ends_with('*')) {
      std::string prefix = value.substr(0, value.size() - 1);
      out.insert(prefix + "any");
      for (const auto& other : values) {
        if (other.size() > 1 && other.starts_with('*')) out.insert(prefix + other.substr(1));
      }
    } else if (value.starts_with('*')) {
      out.insert("any" + value.substr(1));
    } else {
      out.insert(value);
    }
  }
  return {out.begin(), out.end()};
}

// What the rules of some proxies name in parts of a request that a log may leave open.
class Vocabulary {
 public:
  void Add(const JudgingProxy& proxy) {
    trust_domain_ = proxy.mesh->config().trust_domain;
    PolicySet policies = proxy.mesh->PoliciesFor(*proxy.workload);
    for (const auto* list : {&policies.custom, &policies.deny, &policies.allow}) {
      for (const auto* policy : *list) {
        for (const auto& rule : policy->rules) AddRule(rule);
      }
    }
    for (const auto* authentication : policies.request_authentications) {
      for (const auto& rule : authentication->jwt_rules) {
        issuers_.emplace(rule.issuer.value);
        AddReadHeaders(rule);
      }
    }
  }

  std::vector<std::string> Identities() const {
    std::set<std::string> out = {Identity("/ns/unknown/sa/unknown")};
    std::set<std::string> names;
    for (const auto& principal : principals_) {
      std::string text = principal.starts_with("spiffe://") ? principal.substr(9) : principal;
      // A suffix needs a trust domain in front, a prefix a service account behind.
      if (text == "*") {
        text = trust_domain_ + "/ns/any/sa/any";
      } else if (text.starts_with('*')) {
        text = trust_domain_ + "/ns/any" + (text.substr(1, 1) == "/" ? "" : "/sa/any") +
               text.substr(1);
      }
      names.insert(text);
    }
    for (const auto& name : Representatives(names)) out.insert("spiffe://" + name);
    for (const auto& name : Representatives(namespaces_)) {
      out.insert(Identity("/ns/" + name + "/sa/any"));
      for (const auto& account : Representatives(bare_accounts_)) {
        out.insert(Identity("/ns/" + name + "/sa/" + account));
      }
    }
    for (const auto& account : Representatives(bare_accounts_)) {
      out.insert(Identity("/ns/any/sa/" + account));
    }
    for (const auto& account : Representatives(accounts_)) {
      size_t slash = account.find('/');
      out.insert(Identity("/ns/" + account.substr(0, slash) + "/sa/" + account.substr(slash + 1)));
    }
    std::vector<std::string> list(out.begin(), out.end());
    // The one that no rule names stands first.
    auto unknown = std::find(list.begin(), list.end(), Identity("/ns/unknown/sa/unknown"));
    std::rotate(list.begin(), unknown, unknown + 1);
    return list;
  }

  // Claims of valid tokens; the first entry is no token. Empty: too many.
  std::vector<std::optional<Json>> Tokens(size_t most) const {
    std::vector<std::optional<Json>> out = {std::nullopt};
    if (issuers_.empty()) return out;  // no filter reads a token
    std::vector<Json> tokens;
    std::set<std::string> subjects = subjects_;
    subjects.insert("unknown");
    std::set<std::string> named = issuers_;
    if (named.erase("") > 0) named.insert(named_issuers_.begin(), named_issuers_.end());
    if (named.empty()) named.insert("unknown");
    for (const auto& issuer : named) {
      for (const auto& subject : Representatives(subjects)) {
        tokens.push_back(Json::MakeObject({{"iss", issuer}, {"sub", subject}}));
      }
    }
    auto claims = claims_;
    for (const auto& [header, claim] : claim_headers_) {
      auto values = headers_.find(header);
      if (values == headers_.end()) continue;
      claims[claim].insert(values->second.begin(), values->second.end());
    }
    for (const auto& [name, values] : claims) {
      std::vector<std::string> texts = Representatives(values);
      if (tokens.size() * (texts.size() + 2) > most) return {};
      std::vector<Json> longer = tokens;
      for (const auto& token : tokens) {
        Json all = Json::MakeArray();
        for (const auto& text : texts) {
          longer.push_back(With(token, name, text));
          all.Append(text);
        }
        if (texts.size() > 1) longer.push_back(With(token, name, std::move(all)));
      }
      tokens = std::move(longer);
    }
    for (auto& token : tokens) out.emplace_back(std::move(token));
    return out;
  }

  const std::map<std::string, std::set<std::string>>& headers() const { return headers_; }

 private:
  std::string Identity(std::string_view path) const {
    return "spiffe://" + trust_domain_ + std::string(path);
  }

  // "a][b" of nested claims.
  static Json With(const Json& token, std::string_view name, Json value) {
    Json out = token;
    std::vector<std::string> parts;
    for (size_t at = name.find("]["); at != std::string_view::npos; at = name.find("][")) {
      parts.emplace_back(name.substr(0, at));
      name.remove_prefix(at + 2);
    }
    for (size_t i = parts.size(); i-- > 0;) {
      value = Json::MakeObject({{std::string(name), std::move(value)}});
      name = parts[i];
    }
    out.Set(std::string(name), std::move(value));
    return out;
  }

  void AddRule(const AuthorizationPolicy::Rule& rule) {
    for (const auto& source : rule.from) {
      AddAll(source.principals, &principals_);
      AddAll(source.not_principals, &principals_);
      AddAll(source.namespaces, &namespaces_);
      AddAll(source.not_namespaces, &namespaces_);
      for (const auto* list : {&source.service_accounts, &source.not_service_accounts}) {
        for (const auto& value : list->values) AddAccount(value.value);
      }
      for (const auto* list : {&source.trust_domains, &source.not_trust_domains}) {
        for (const auto& value : list->values) {
          principals_.insert(std::string(value.value) + "/ns/any/sa/any");
        }
      }
      for (const auto* list : {&source.request_principals, &source.not_request_principals}) {
        for (const auto& value : list->values) AddRequestPrincipal(value.value);
      }
    }
    for (const auto& condition : rule.when) {
      for (const auto* list : {&condition.values, &condition.not_values}) {
        for (const auto& value : list->values) AddCondition(condition.key.value, value.value);
      }
    }
  }

  static void AddAll(const TextList& list, std::set<std::string>* out) {
    for (const auto& value : list.values) out->emplace(value.value);
  }

  void AddAccount(std::string_view value) {
    if (value.find('/') == std::string_view::npos) {
      bare_accounts_.emplace(value);
    } else {
      accounts_.emplace(value);
    }
  }

  void AddRequestPrincipal(std::string_view value) {
    if (value == "*") return;
    size_t slash = value.rfind('/');
    if (slash == std::string_view::npos) {
      // "*you" may be the end of a subject, "http*" the start of an issuer.
      if (value.starts_with('*')) subjects_.emplace(value);
      if (value.ends_with('*'))
        named_issuers_.insert(std::string(value.substr(0, value.size() - 1)));
      return;
    }
    named_issuers_.emplace(value.substr(0, slash));
    subjects_.emplace(value.substr(slash + 1));
  }

  void AddCondition(std::string_view key, std::string_view value) {
    if (key == "source.principal") {
      principals_.emplace(value);
    } else if (key == "source.namespace") {
      namespaces_.emplace(value);
    } else if (key == "source.serviceAccount") {
      AddAccount(value);
    } else if (key == "request.auth.principal") {
      AddRequestPrincipal(value);
    } else if (key == "request.auth.audiences") {
      claims_["aud"].emplace(value);
    } else if (key == "request.auth.presenter") {
      claims_["azp"].emplace(value);
    } else if (auto claim = Bracketed(key, "request.auth.claims["); !claim.empty()) {
      if (claim == "iss") {
        named_issuers_.emplace(value);
      } else if (claim == "sub") {
        subjects_.emplace(value);
      } else {
        claims_[std::string(claim)].emplace(value);
      }
    } else if (auto header = Bracketed(key, "request.headers["); !header.empty()) {
      // A log has these under names of their own.
      if (!header.starts_with(':') && !EqualsIgnoreCase(header, "host")) {
        headers_[ToLower(header)].emplace(value);
      }
    }
  }

  // What a filter sets from a claim is not the client's to send: the claim's values count.
  void AddReadHeaders(const JwtRule& rule) {
    for (const auto& [header, claim] : rule.output_claim_to_headers) {
      std::string name;
      for (char c : claim.value) name += c == '.' ? std::string("][") : std::string(1, c);
      claim_headers_.emplace_back(ToLower(header.value), std::move(name));
    }
  }

  std::string trust_domain_;
  std::set<std::string> principals_, namespaces_, accounts_, bare_accounts_;
  std::set<std::string> issuers_, named_issuers_, subjects_;
  std::vector<std::pair<std::string, std::string>> claim_headers_;  // header, claim
  std::map<std::string, std::set<std::string>> claims_, headers_;
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

namespace {

// What controllers append to their names: "-5d8f7c9b4-x2x9z", "-0"; Kubernetes writes no vowels
// there, so that the pod of "web-admin" is not taken for one of "web".
bool IsPodSuffix(std::string_view suffix) {
  if (suffix.empty()) return true;
  if (suffix.front() != '-' || suffix.back() == '-') return false;
  return std::count(suffix.begin(), suffix.end(), '-') <= 2 &&
         suffix.find_first_not_of("-0123456789bcdfghjklmnpqrstvwxyz") == std::string_view::npos;
}

}  // namespace

// A pod is named after its controller: "web-5d8f7c9b4-x2x9z" of "web".
const Workload* FindLoggedPod(const Mesh& mesh, std::string_view ns, std::string_view pod) {
  if (pod.empty()) return nullptr;
  const Workload* best = nullptr;
  bool several = false;
  for (const auto& workload : mesh.workloads()) {
    if (!ns.empty() && workload.ns != ns) continue;
    bool named = pod.starts_with(workload.name) && IsPodSuffix(pod.substr(workload.name.size()));
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

namespace {

// Of a ztunnel's line: the pod as it names it, else the one of that address, else the only one
// behind the Service.
LogTarget ZtunnelTarget(const Mesh& mesh, const Workload* at, const LogRecord& record) {
  LogTarget target;
  const std::string_view hbone = record[LogField::kTargetHbone];
  const std::string_view meant = hbone.empty() ? record[LogField::kLocal] : hbone;
  const std::string_view pod = record[LogField::kTargetWorkload];
  target.port = PortOfAddress(meant);
  target.outbound = record[LogField::kDirection] == "outbound";
  target.service = mesh.FindService(record[LogField::kTargetService]);
  target.workload = FindLoggedPod(mesh, record[LogField::kTargetNamespace], pod);
  if (target.workload != nullptr) return target;
  if (auto address = ParseIpAddress(HostOfAddress(meant))) {
    target.workload = mesh.FindWorkloadByAddress(*address);
  }
  if (target.workload != nullptr || !pod.empty()) return target;
  if (target.service != nullptr) {
    target.workload = OnlyWorkload(mesh, *target.service, target.port);
    return target;
  }
  if (!target.outbound) target.workload = at;
  return target;
}

}  // namespace

LogTarget FindLogTarget(const Mesh& mesh, const Workload* at, const LogRecord& record) {
  LogTarget target;
  std::string_view cluster = record[LogField::kUpstreamCluster];
  std::string_view local = record[LogField::kLocal];
  std::string_view sni = record[LogField::kServerName];
  int local_port = PortOfAddress(local);
  if (record.kind == LogKind::kZtunnel) return ZtunnelTarget(mesh, at, record);
  bool inbound = cluster.starts_with(kInbound);
  target.port = inbound ? InboundPortOf(cluster) : local_port;
  target.workload = at;
  if (target.workload == nullptr) {
    target.workload = FindLoggedPod(mesh, "", record[LogField::kPod]);
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
  if (record.kind == LogKind::kZtunnel) return ReadConnectionAnswer(record);
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

Completions Complete(const std::vector<JudgingProxy>& proxies, const LoggedRequest& request) {
  constexpr size_t kMost = 1024;
  Vocabulary vocabulary;
  for (const auto& proxy : proxies) vocabulary.Add(proxy);
  Completions out;
  Completions::One first;
  first.question = request.question;
  out.all.push_back(std::move(first));

  // One open part after the other multiplies what there is.
  auto multiply = [&](std::string part, size_t values, auto give) {
    if (out.too_many || values < 2) return;
    if (out.all.size() * values > kMost) {
      out.too_many = true;
      out.all.resize(1);
      return;
    }
    out.open.push_back(std::move(part));
    std::vector<Completions::One> longer;
    for (size_t i = 0; i < values; ++i) {
      for (const auto& one : out.all) {
        Completions::One next = one;
        next.choice.push_back(i);
        give(i, &next.question);
        longer.push_back(std::move(next));
      }
    }
    out.all = std::move(longer);
  };
  if (request.identity_open) {
    std::vector<std::string> identities = vocabulary.Identities();
    out.all.front().question.from_identity = identities.front();
    multiply("who called", identities.size(),
             [&](size_t i, Case* question) { question->from_identity = identities[i]; });
  }
  if (request.token_open) {
    auto tokens = vocabulary.Tokens(kMost);
    out.too_many = out.too_many || tokens.empty();
    multiply("which token was sent", tokens.size(), [&](size_t i, Case* question) {
      if (tokens[i]) question->claims = *tokens[i];
    });
  }
  for (const auto& [name, values] : vocabulary.headers()) {
    const auto& known = request.question.headers;
    if (request.question.protocol == WireProtocol::kTcp) break;
    if (std::any_of(known.begin(), known.end(),
                    [&](const auto& header) { return EqualsIgnoreCase(header.first, name); })) {
      continue;
    }
    // The log has these headers' fields, and they were empty.
    if (name == "user-agent" || name == "x-forwarded-for") continue;
    std::vector<std::string> texts = Representatives(values);
    multiply("the header " + name, texts.size() + 1, [&](size_t i, Case* question) {
      if (i > 0) question->headers.emplace_back(name, texts[i - 1]);
    });
  }
  return out;
}

}  // namespace meshproof

// What a log line means: response_code_details first, which name the filter that answered, then
// response flags (envoy-facts sections 1.5, 1.6, 2.6, 3, 4, 5, 7). Where the mesh is at hand the
// policy is looked up, and where no rule matched the line's request is asked again to find the
// condition that it failed.

#include "simulate/explain_log.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/jwt_meaning.h"
#include "mesh/workload_name.h"
#include "proxy/ztunnel.h"
#include "simulate/log_connection.h"

namespace meshproof {
namespace {

constexpr std::string_view kRbacDetails = "rbac_access_denied_matched_policy[";
constexpr std::string_view kJwtDetails = "jwt_authn_access_denied{";

std::string Quote(std::string_view text) {
  return "`" + std::string(text) + "`";
}

std::string PolicyName(std::string_view ns, std::string_view name) {
  return std::string(ns) + "/" + std::string(name);
}

struct FlagMeaning {
  std::string_view flag, sentence, fix;
};

// Flags that no details explain better.
constexpr FlagMeaning kFlags[] = {
    {"UH", "no healthy endpoint stands behind the route's cluster",
     "start the workload behind it, or point the route at one that runs"},
    {"UF", "the proxy could not connect to the upstream",
     "let the proxy reach the upstream's port, and use the TLS that it expects"},
    {"UO", "the upstream's circuit breaker is open", "raise its limits, or send less"},
    {"URX", "the retries or connection attempts are used up", "mend the upstream"},
    {"NC", "the route leads to a cluster that does not exist: its Service or subset is not defined",
     "define the subset in a DestinationRule, or correct the route's destination"},
    {"DT", "the request took longer than it may", "raise the timeout, or answer sooner"},
    {"DC", "the client ended the connection before it had an answer",
     "nothing here refused it: look at the client's timeout"},
    {"UT", "the upstream did not answer within the route's timeout",
     "raise the VirtualService's timeout, or answer sooner"},
    {"LH", "the local service failed its health check", "mend the service"},
    {"LR", "this proxy reset the connection", "look at the proxy's own log"},
    {"UR", "the upstream reset the stream", "look at the upstream's log"},
    {"UC",
     "the upstream ended the connection without an answer, as a proxy does that takes no plaintext "
     "or refuses the connection",
     "look at the log of the upstream's proxy for the same second"},
    {"DI", "a fault rule delayed the request", "remove the fault from the VirtualService"},
    {"FI", "a fault rule aborted the request", "remove the fault from the VirtualService"},
    {"RL", "the rate limit is used up", "send less, or raise the limit"},
    {"RLSE", "the rate limit service failed", "mend the rate limit service"},
    {"IH", "a header that has to be strict has a bad value", "send a valid header"},
    {"SI", "the stream was idle too long", "raise the idle timeout"},
    {"DPE", "the client's bytes are not the protocol that this port speaks, or not valid HTTP",
     "speak the protocol of the port, and send a valid request"},
    {"UPE", "the upstream's answer is not valid HTTP", "name the port's protocol rightly"},
    {"UMSDR", "the upstream request lasted longer than a stream may", "raise the limit"},
    {"RFCF", "the response came from a cache filter", ""},
    {"NFCF", "the configuration of a filter did not arrive (ECDS)",
     "look at the proxy's connection to istiod"},
    {"OM", "the proxy is overloaded", "give it more memory or send less"},
    {"DF", "the upstream's name could not be resolved", "correct the host, or the DNS"},
    {"DO", "requests are dropped because of overload", "send less"},
    {"UDO", "the upstream drops requests because of overload", "send less"},
    {"DR", "the client reset the stream", "look at the client"},
};

struct DetailMeaning {
  std::string_view details, sentence, fix;
};

constexpr DetailMeaning kDetails[] = {
    {"path_normalization_failed",
     "the path cannot be normalized, or has escaped slashes that the "
     "mesh refuses",
     "send a path without %00 and bad escapes"},
    {"missing_host_header", "the request has no Host header", "send one"},
    {"low_version", "HTTP/1.0 is not accepted here", "use HTTP/1.1"},
    {"missing_path_rejected", "the request has no path", "send one"},
    {"absolute_path_rejected", "the request target is no path", "send a path that starts with /"},
    {"upgrade_failed", "this proxy does not take the upgrade that was asked for",
     "ask for websocket, or enable the upgrade"},
    {"http.invalid_authority", "the Host header is no host", "send a valid one"},
    {"http1.codec_error", "the request is not valid HTTP/1",
     "send a valid request line and valid headers; HTTPS does not belong on a plaintext port"},
    {"http1.unexpected_underscore", "a header's name has an underscore, which is refused here",
     "write it with a dash"},
    {"direct_response", "the route answers by itself (directResponse)", "change the route"},
    {"overload", "the proxy is overloaded", "give it more memory or send less"},
    {"cluster_not_found",
     "the route leads to a cluster that does not exist: its Service or subset is not defined",
     "define the subset in a DestinationRule, or correct the route's destination"},
    {"no_healthy_upstream", "no healthy endpoint stands behind the route's cluster",
     "start the workload behind it, or point the route at one that runs"},
    {"downstream_remote_disconnect", "the client ended the connection before it had an answer",
     "nothing here refused it: look at the client's timeout"},
    {"response_timeout", "the upstream did not answer within the route's timeout",
     "raise the VirtualService's timeout, or answer sooner"},
    {"upstream_response_timeout", "the upstream did not answer within the route's timeout",
     "raise the VirtualService's timeout, or answer sooner"},
};

class Explainer {
 public:
  Explainer(const World* world, const Workload* at, const LogRecord& record)
      : world_(world), record_(record) {
    if (world != nullptr) target_ = FindLogTarget(world->mesh(), at, record);
  }

  LogExplanation Run() {
    switch (record_.kind) {
      case LogKind::kRbac:
        RbacLine();
        break;
      case LogKind::kZtunnel:
        Ztunnel();
        break;
      case LogKind::kAccess:
      case LogKind::kOther:
      case LogKind::kUnreadable:
        Access();
        break;
    }
    return std::move(out_);
  }

 private:
  void Say(std::string sentence, std::string_view fix) {
    out_.sentence = std::move(sentence);
    out_.fix = std::string(fix);
  }

  // " by the proxy of shop/orders".
  std::string Where() const {
    return target_.workload == nullptr ? "" : " by the proxy of " + NameOf(*target_.workload);
  }

  std::string Request() const {
    std::string_view method = record_[LogField::kMethod];
    if (method.empty()) return "the connection";
    return std::string(method) + " " + std::string(record_[LogField::kAuthority]) +
           std::string(record_[LogField::kPath]);
  }

  const Model* model() const { return world_ == nullptr ? nullptr : &world_->mesh().model(); }

  const AuthorizationPolicy* FindPolicy(std::string_view ns, std::string_view name) const {
    if (model() == nullptr) return nullptr;
    for (const auto& policy : model()->authorization_policies) {
      if (policy.meta.ns == ns && policy.meta.name == name) return &policy;
    }
    return nullptr;
  }

  // The proxy's own configuration, where it is known by its dump: what the manifests give it is
  // not what it runs.
  const ProxyConfig* Dumped() const {
    if (target_.workload == nullptr) return nullptr;
    const Workload& workload = *target_.workload;
    if (workload.mode == ProxyMode::kNone || workload.mode == ProxyMode::kAmbient) return nullptr;
    const ProxyConfig& proxy = world_->Proxy(workload).proxy();
    return proxy.from_dump ? &proxy : nullptr;
  }

  // The rule in that dump.
  const Origin* FindDumped(std::string_view id) const {
    const ProxyConfig* proxy = Dumped();
    if (proxy == nullptr) return nullptr;
    for (const Listener& listener : proxy->listeners) {
      for (const FilterChain& chain : listener.filter_chains) {
        for (const NetworkFilter& filter : *chain.filters) {
          const auto* manager = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
          if (const Origin* origin = FindRule(std::get_if<RbacFilter>(&filter), id)) return origin;
          if (manager == nullptr) continue;
          for (const HttpFilter& http : (*manager)->http_filters) {
            if (const Origin* origin = FindRule(std::get_if<RbacFilter>(&http), id)) return origin;
          }
        }
      }
    }
    return nullptr;
  }

  static const Origin* FindRule(const RbacFilter* filter, std::string_view id) {
    if (filter == nullptr || !filter->rules) return nullptr;
    for (const auto& policy : filter->rules->policies) {
      if (policy->name == id) return &policy->origin;
    }
    return nullptr;
  }

  void Blame(const AuthorizationPolicy& policy, int rule) {
    out_.origin.object = &policy.meta;
    if (rule < 0 || static_cast<size_t>(rule) >= policy.rules.size()) return;
    out_.origin.rule = rule;
    out_.origin.span = policy.rules[static_cast<size_t>(rule)].span;
  }

  void Access() {
    LoggedAnswer answer = ReadLoggedAnswer(record_);
    out_.status = answer.status;
    out_.flags = answer.flags;
    out_.details = answer.details;
    std::string_view details = answer.details;
    std::string_view termination = record_[LogField::kTermination];
    if (details.starts_with(kRbacDetails)) {
      Rbac(details, false);
    } else if (termination.starts_with(kRbacDetails)) {
      out_.details = std::string(termination);
      Rbac(termination, true);
    } else if (details.starts_with(kJwtDetails)) {
      Jwt(details);
    } else if (details.starts_with("ext_authz_") || HasFlag("UAEX")) {
      ExtAuthz(details);
    } else if (details == "filter_chain_not_found" ||
               (HasFlag("NR") && record_[LogField::kMethod].empty())) {
      NoFilterChain();
    } else if (details == "route_not_found" || HasFlag("NR")) {
      NoRoute();
    } else if (details == "via_upstream") {
      Upstream();
    } else if (record_[LogField::kUpstreamCluster].starts_with("BlackHoleCluster") ||
               record_[LogField::kRouteName] == "block_all") {
      BlackHole();
    } else if (!record_[LogField::kTransportFailure].empty()) {
      TransportFailure();
    } else {
      Others(details);
    }
  }

  bool HasFlag(std::string_view flag) const {
    for (std::string_view one : Split(record_[LogField::kFlags], ',')) {
      if (one == flag) return true;
    }
    return false;
  }

  std::string Answer() const {
    // The client left: nobody closed it from this side.
    if (out_.status == 0 && HasFlag("DC")) return "no answer was sent";
    if (out_.status == 0) return "the connection was closed";
    bool grpc = record_[LogField::kStatus] == "200" && out_.status != 200;
    return std::to_string(out_.status) + (grpc ? " (a gRPC call, logged as 200)" : "");
  }

  // The id of the rule that matched, or `none`: an ALLOW policy applies and nothing matched.
  void Rbac(std::string_view details, bool connection) {
    std::string_view id = details.substr(kRbacDetails.size());
    if (id.ends_with(']')) id.remove_suffix(1);
    RbacAnswer(id, connection);
  }

  void RbacAnswer(std::string_view id, bool connection) {
    if (id == "none") return NoRuleMatched(connection);
    auto parsed = ParseRbacId(id);
    if (!parsed) {
      return Say(Answer() + Where() + ": the rule " + Quote(id) +
                     " denies it, which no AuthorizationPolicy of Istio made",
                 "look for an EnvoyFilter that adds an RBAC filter");
    }
    std::string rule = "rule " + std::to_string(parsed->rule) + " of AuthorizationPolicy " +
                       PolicyName(parsed->ns, parsed->name);
    const AuthorizationPolicy* policy = FindPolicy(parsed->ns, parsed->name);
    const Origin* dumped = policy == nullptr ? FindDumped(id) : nullptr;
    if (policy != nullptr) Blame(*policy, parsed->rule);
    if (dumped != nullptr) out_.origin = *dumped;
    std::string missing = model() != nullptr && policy == nullptr && dumped == nullptr
                              ? " (which is not in the input)"
                              : "";
    if (parsed->bad_custom || !parsed->provider.empty()) {
      return Say(Answer() + Where() + ": " + rule + missing + " asks the authorizer " +
                     Quote(parsed->provider) +
                     ", which the mesh config does not define rightly, so "
                     "everything that matches is denied",
                 "define the extension provider in the mesh config");
    }
    bool narrowed = policy != nullptr && policy->action == AuthorizationPolicy::Action::kAllow;
    Say(Answer() + Where() + ": DENY " + rule + missing + " matches " + Request() +
            (narrowed ? "; in the input that policy allows, so the proxy runs another version of it"
                      : ""),
        "send what the rule does not match, or narrow the rule: an ALLOW policy cannot override "
        "it");
  }

  void NoRuleMatched(bool connection) {
    std::string head = Answer() + Where() +
                       ": ALLOW policies apply and no rule of theirs matches " +
                       (connection ? "the connection" : Request());
    out_.fix = "add an ALLOW rule that matches it";
    if (target_.workload == nullptr) {
      out_.sentence = head;
      return;
    }
    if (Dumped()) {
      out_.sentence = head;
      const auto again = AskAgain();
      const bool other =
          again && again->outcome != Outcome::kUndetermined && !again->details.ends_with("[none]");
      if (!other) return NearestRule();
      out_.sentence += "; by the dump it is answered otherwise";
      return;
    }
    PolicySet policies = world_->mesh().PoliciesFor(*target_.workload);
    if (policies.allow.empty()) {
      out_.sentence = head + "; in the input none applies, so the proxy runs something else";
      return;
    }
    std::vector<std::string> names;
    for (const auto* policy : policies.allow) {
      names.push_back(PolicyName(policy->meta.ns, policy->meta.name));
    }
    constexpr size_t kShown = 4;
    size_t more = names.size() > kShown ? names.size() - kShown : 0;
    names.resize(names.size() - more);
    out_.sentence = head + " (" + Join(names, ", ") +
                    (more > 0 ? " and " + std::to_string(more) + " more" : "") + ")";
    Blame(*policies.allow.front(), -1);
    NearestRule();
  }

  // The answer to the line's request, where it needs no completion.
  std::optional<Verdict> AskAgain() const {
    LoggedRequest request = ReadLoggedRequest(world_->mesh(), target_, record_);
    if (!request.unusable.empty() || request.identity_open) return std::nullopt;
    auto verdict = world_->Run(request.question, World::Addresses::kUnknown, Detail::kVerdict);
    if (!verdict.ok()) return std::nullopt;
    return verdict.Take();
  }

  // Asks the request again: which rule comes nearest, and what does it fail on?
  void NearestRule() {
    LoggedRequest request = ReadLoggedRequest(world_->mesh(), target_, record_);
    if (!request.unusable.empty()) return;
    Case question = Complete({{&world_->mesh(), target_.workload}}, request).all.front().question;
    auto verdict = world_->Run(question, World::Addresses::kAssume, Detail::kTrace);
    if (!verdict.ok() || verdict.value().near_misses.empty()) return;
    // Where the log does not say who called, that the caller differs is no news.
    auto open = [&](const NearMiss& miss) {
      return (request.identity_open && IsIdentity(miss.field)) ||
             (request.token_open && IsToken(miss.field));
    };
    const auto& misses = verdict.value().near_misses;
    auto known = std::find_if_not(misses.begin(), misses.end(), open);
    const NearMiss& miss = known == misses.end() ? misses.front() : *known;
    out_.origin = miss.origin;
    if (miss.span) out_.origin.span = miss.span;
    std::string rule = "rule " + std::to_string(miss.origin.rule) + " of " +
                       PolicyName(miss.origin.object->ns, miss.origin.object->name);
    if (known == misses.end()) {
      out_.fix = rule + " wants " + (IsToken(miss.field) ? "a token" : "a caller") + " that its " +
                 miss.field + " name: " + Quote(miss.wanted);
      return;
    }
    out_.fix = rule + " comes nearest: its " + miss.field + " has " + Quote(miss.wanted) +
               ", the request " + Quote(miss.got);
    if (miss.failed > 1) out_.fix += ", and it fails on more";
    if (IsIdentity(miss.field) && request.question.tls == CaseTls::kPlaintext) {
      out_.fix += "; who comes without mutual TLS has no identity: give the client a sidecar";
    }
  }

  static bool IsIdentity(std::string_view field) {
    return field.find("rincipals") != std::string_view::npos
               ? field.find("equest") == std::string_view::npos
               : field.find("amespaces") != std::string_view::npos ||
                     field.find("erviceAccounts") != std::string_view::npos ||
                     field.find("source.principal") != std::string_view::npos ||
                     field.find("source.namespace") != std::string_view::npos;
  }
  static bool IsToken(std::string_view field) {
    return field.find("equestPrincipals") != std::string_view::npos ||
           field.find("request.auth.") != std::string_view::npos;
  }

  void Jwt(std::string_view details) {
    std::string_view status = details.substr(kJwtDetails.size());
    if (status.ends_with('}')) status.remove_suffix(1);
    const JwtMeaning* meaning = FindJwtMeaning(status);
    std::string text = meaning != nullptr ? std::string(meaning->status) : std::string(status);
    Say(Answer() + Where() + ": the token was refused, " + Quote(text) +
            (meaning != nullptr ? ": " + std::string(meaning->why) : ""),
        meaning != nullptr ? meaning->fix : std::string_view("send a token that is valid here"));
    if (model() == nullptr) return;
    const RequestAuthentication* found = nullptr;
    if (target_.workload != nullptr) {
      auto policies = world_->mesh().PoliciesFor(*target_.workload);
      if (!policies.request_authentications.empty()) {
        found = policies.request_authentications.front();
      } else if (!Dumped()) {
        out_.sentence += "; in the input no RequestAuthentication applies there";
      }
    } else if (model()->request_authentications.size() == 1) {
      found = &model()->request_authentications.front();
    }
    if (found == nullptr) return;
    out_.origin.object = &found->meta;
    if (found->jwt_rules.size() != 1) return;
    out_.origin.rule = 0;
    out_.origin.span = found->jwt_rules.front().span;
    if (text == "Jwt issuer is not configured") {
      out_.sentence += ", " + Quote(found->jwt_rules.front().issuer.value) + " is the only one";
    }
  }

  void ExtAuthz(std::string_view details) {
    const AuthorizationPolicy* policy = CustomPolicy();
    std::string who = "the external authorizer";
    if (policy != nullptr) {
      Blame(*policy, policy->rules.size() == 1 ? 0 : -1);
      who += " " + Quote(policy->provider.value) + " (CUSTOM policy " +
             PolicyName(policy->meta.ns, policy->meta.name) + ")";
    }
    if (details == "ext_authz_error") {
      Say(Answer() + Where() + ": " + who + " could not be asked, and failOpen is not set",
          "let the proxy reach the authorizer, or set failOpen");
    } else if (details == "ext_authz_invalid") {
      Say(Answer() + Where() + ": " + who + " answered with headers that cannot be set",
          "mend the authorizer's answer");
    } else {
      Say(Answer() + Where() + ": " + who + " denied " + Request(),
          "send what the authorizer asks for; the mesh's own policies did not decide");
    }
  }

  const AuthorizationPolicy* CustomPolicy() const {
    if (model() == nullptr) return nullptr;
    if (target_.workload != nullptr) {
      auto custom = world_->mesh().PoliciesFor(*target_.workload).custom;
      if (!custom.empty()) return custom.front();
    }
    const AuthorizationPolicy* only = nullptr;
    for (const auto& policy : model()->authorization_policies) {
      if (policy.action != AuthorizationPolicy::Action::kCustom) continue;
      if (only != nullptr) return nullptr;
      only = &policy;
    }
    return only;
  }

  void NoFilterChain() {
    std::string_view sni = record_[LogField::kServerName];
    bool gateway = target_.workload != nullptr && target_.workload->mode == ProxyMode::kGateway;
    std::string head =
        "the connection was reset" + Where() + " (curl's 000): no filter chain takes ";
    if (gateway || (!sni.empty() && !sni.starts_with("outbound_."))) {
      return Say(head + (sni.empty() ? std::string("it: plaintext, or TLS without a server name")
                                     : "TLS for " + Quote(sni)),
                 "call a host that a Gateway server lists on this port, with the protocol of that "
                 "server");
    }
    if (!sni.empty()) {
      return Say(head + "mutual TLS here",
                 "set the PeerAuthentication of this port to PERMISSIVE or "
                 "STRICT, or disable TLS in the client's DestinationRule");
    }
    Say(head + "plaintext, because mutual TLS is STRICT here",
        "give the client a sidecar, or set PERMISSIVE for this workload and port");
    if (model() == nullptr) return;
    const PeerAuthentication* source = nullptr;
    Span span;
    if (Dumped()) {
      const auto again = AskAgain();
      if (again && again->outcome != Outcome::kReject && again->outcome != Outcome::kUndetermined) {
        out_.sentence +=
            "; by the dump plaintext is taken there, so the proxy ran something else, or the "
            "client spoke TLS of its own";
      }
      return;
    }
    if (target_.workload != nullptr) {
      EffectiveMode mode = world_->mesh().MtlsFor(*target_.workload).ForPort(target_.port);
      source = mode.source;
      span = mode.span;
      if (mode.mode != MtlsMode::kStrict) {
        source = nullptr;
        out_.sentence +=
            "; in the input it is not, so the proxy runs something else, or the client "
            "spoke TLS of its own";
      }
    } else {
      bool several = false;
      for (const auto& candidate : model()->peer_authentications) {
        bool strict = candidate.mode == MtlsMode::kStrict;
        for (const auto& port : candidate.ports) strict |= port.mode == MtlsMode::kStrict;
        if (!strict) continue;
        several = source != nullptr;
        source = &candidate;
        span = candidate.mode_span;
        if (several) break;
      }
      if (several) source = nullptr;
    }
    if (source == nullptr) return;
    out_.origin.object = &source->meta;
    out_.origin.span = span;
    out_.sentence += " by PeerAuthentication " + PolicyName(source->meta.ns, source->meta.name);
  }

  void NoRoute() {
    Say("404" + Where() + ": no route takes " + Request() +
            "; security let it through, the routes did not",
        "add a VirtualService or HTTPRoute for this host and path, bound to this gateway");
    out_.status = out_.status == 0 ? 404 : out_.status;
  }

  void Upstream() {
    std::string_view cluster = record_[LogField::kUpstreamCluster];
    std::string status = std::to_string(out_.status);
    if (cluster.starts_with("inbound|")) {
      return Say(status + " comes from the application" +
                     (target_.workload == nullptr ? "" : " of " + NameOf(*target_.workload)) +
                     " itself: the proxy let " + Request() + " through",
                 "the mesh's policies do not decide this: ask the application");
    }
    Say(status + " comes from what this proxy called (" +
            (cluster.empty() ? std::string("not named") : std::string(cluster)) +
            "): this proxy let " + Request() + " through",
        "look at the log of the proxy there: it, or the application behind it, answered");
  }

  void BlackHole() {
    std::string_view authority = record_[LogField::kAuthority];
    Say(Answer() + ": nothing in the mesh names " +
            (authority.empty() ? std::string(record_[LogField::kLocal]) : std::string(authority)) +
            ", and outboundTrafficPolicy is REGISTRY_ONLY",
        "add a ServiceEntry for it, or show it to this workload's Sidecar resource");
  }

  void TransportFailure() {
    std::string_view reason = record_[LogField::kTransportFailure];
    auto has = [&](std::string_view text) { return reason.find(text) != std::string_view::npos; };
    std::string head =
        Answer() + Where() + ": the TLS connection to the upstream failed, " + Quote(reason);
    if (has("CERTIFICATE_VERIFY_FAILED")) {
      return Say(head + ": this side does not trust the other's certificate",
                 "compare roots, trust domains and subjectAltNames of the two sides");
    }
    if (has("WRONG_VERSION_NUMBER")) {
      return Say(head + ": the other side speaks plaintext on that port",
                 "set the tls mode of the DestinationRule to DISABLE, or give the other a sidecar");
    }
    if (has("CERTIFICATE_REQUIRED") || has("CERTIFICATE_UNKNOWN") || has("UNKNOWN_CA")) {
      return Say(head + ": the other side does not accept this side's certificate",
                 "use ISTIO_MUTUAL towards sidecars, and compare the two sides' roots");
    }
    if (has("CONNECTION_RESET") || has("connection reset") || has("CLOSED")) {
      return Say(head + ": the other side closed the connection in the handshake",
                 "look at the log of the upstream's proxy for the same second");
    }
    Say(head, "look at the log of the upstream's proxy for the same second");
  }

  void Others(std::string_view details) {
    for (const auto& meaning : kDetails) {
      if (details != meaning.details) continue;
      return Say(Answer() + Where() + ": " + std::string(meaning.sentence), meaning.fix);
    }
    for (const auto& meaning : kFlags) {
      if (!HasFlag(meaning.flag)) continue;
      return Say(Answer() + Where() + ": " + std::string(meaning.sentence), meaning.fix);
    }
    if (!record_.Has(LogField::kDetails) && (out_.status == 401 || out_.status == 403)) {
      return Say(std::to_string(out_.status) + Where() +
                     ": the log does not say who answered, the proxy or the application",
                 "log %RESPONSE_CODE_DETAILS%");
    }
    Say(Answer() + Where() +
            (details.empty() ? ": the log does not say why" : ": " + std::string(details)),
        "");
  }

  void RbacLine() {
    std::string_view id = record_[LogField::kPolicy];
    out_.details = std::string(record_[LogField::kEngine]) + " " +
                   std::string(record_[LogField::kResult]) + ", matched policy " + std::string(id);
    bool http = !record_[LogField::kMethod].empty() || record_[LogField::kLocal].empty();
    out_.status = 403;
    if (record_[LogField::kEngine] == "enforced") return RbacAnswer(id, !http);
    out_.status = 0;
    auto parsed = ParseRbacId(id);
    const AuthorizationPolicy* policy = parsed ? FindPolicy(parsed->ns, parsed->name) : nullptr;
    if (policy != nullptr) Blame(*policy, parsed->rule);
    if (parsed && id.starts_with("istio-ext-authz-")) {
      return Say("rule " + std::to_string(parsed->rule) + " of CUSTOM policy " +
                     PolicyName(parsed->ns, parsed->name) + " matches: the external authorizer " +
                     (parsed->provider.empty() ? "" : Quote(parsed->provider) + " ") + "is asked",
                 "");
    }
    std::string which = parsed
                            ? "rule " + std::to_string(parsed->rule) + " of the dry-run policy " +
                                  PolicyName(parsed->ns, parsed->name)
                            : std::string("the dry-run policies");
    Say(parsed ? which + " would deny this: nothing is refused yet"
               : which +
                     " would deny this, since no ALLOW rule of theirs matches: nothing is refused "
                     "yet",
        "");
  }

  void Ztunnel() {
    constexpr std::string_view kDenied = "explicitly denied by: ";
    std::string_view error = record_[LogField::kError];
    out_.details = std::string(error);
    std::string from(record_[LogField::kPeer]);
    if (from.empty()) from = "a caller without identity";
    std::string to =
        PolicyName(record_[LogField::kTargetNamespace], record_[LogField::kTargetWorkload]);
    if (to == "/") to = std::string(record_[LogField::kLocal]);
    std::string_view hbone = record_[LogField::kTargetHbone];
    std::string port =
        std::to_string(PortOfAddress(hbone.empty() ? record_[LogField::kLocal] : hbone));
    std::string head = "ztunnel closed the connection of " + from + " to " + to + ":" + port + ": ";
    if (size_t at = error.find(kDenied); at != std::string_view::npos) {
      return ZtunnelDenied(head, TrimSpace(error.substr(at + kDenied.size())));
    }
    if (error.find("policy rejection") != std::string_view::npos ||
        error.find("none allowed") != std::string_view::npos) {
      Say(head + "a policy refuses it" +
              (error.find("none allowed") != std::string_view::npos
                   ? ": ALLOW policies apply and none matches"
                   : ""),
          "add an ALLOW rule for this identity and port; what only HTTP can tell (methods, paths, "
          "hosts, tokens) never matches in ztunnel, it belongs on a waypoint");
      return ZtunnelPolicies();
    }
    if (error.find("policy change") != std::string_view::npos) {
      return Say(head + "a policy that came later refuses it", "see the policies of the workload");
    }
    if (error.find("401") != std::string_view::npos) {
      return Say(head + "the ztunnel or waypoint of the other side refused it",
                 "look at the log of the ztunnel on the other node");
    }
    if (error.find("15008") != std::string_view::npos) {
      return Say(head + "port 15008 cannot be reached",
                 "let a NetworkPolicy admit port 15008 (HBONE)");
    }
    Say(head + std::string(error), "look at the workload: no policy refused this");
  }

  void ZtunnelDenied(const std::string& head, std::string_view name) {
    const size_t slash = name.find('/');
    const std::string_view own = slash == std::string_view::npos ? name : name.substr(slash + 1);
    const bool strict = own == kStaticStrictName || own.starts_with(kConvertedPrefix);
    const AuthorizationPolicy* policy =
        slash == std::string_view::npos ? nullptr : FindPolicy(name.substr(0, slash), own);
    const bool allows = policy != nullptr && policy->action == AuthorizationPolicy::Action::kAllow;
    if (policy != nullptr) Blame(*policy, policy->rules.size() == 1 && !allows ? 0 : -1);
    if (const auto again = AskZtunnelAgain();
        again && again->outcome == Outcome::kReject && again->decided_by.object != nullptr) {
      const ObjectMeta& by = *again->decided_by.object;
      if (strict || PolicyName(by.ns, by.name) == name) out_.origin = again->decided_by;
    }
    if (!strict) {
      return Say(head + "DENY policy " + std::string(name) + " matches it" +
                     (allows ? "; in the input that policy allows, so ztunnel has another version "
                               "of it"
                             : ""),
                 "narrow the policy: an ALLOW policy cannot override it");
    }
    if (target_.workload != nullptr && out_.origin.object == nullptr) {
      const PeerAuthentication* by = world_->Ztunnel().For(*target_.workload).strict_by;
      if (by != nullptr) out_.origin.object = &by->meta;
    }
    Say(head + "it shows no identity, and mutual TLS is STRICT there",
        "put the caller into the mesh, or set PERMISSIVE for this workload and port");
  }

  std::optional<Verdict> AskZtunnelAgain() const {
    if (target_.workload == nullptr) return std::nullopt;
    LoggedConnection logged = ReadLoggedConnection(world_->mesh(), target_, record_);
    if (!logged.unusable.empty()) return std::nullopt;
    auto verdict = AskZtunnelOf(*world_, *target_.workload, logged, false, Detail::kTrace);
    if (!verdict.ok()) return std::nullopt;
    return verdict.Take();
  }

  // Asks ztunnel again: which rule comes nearest, or would it be let through by now?
  void ZtunnelPolicies() {
    if (target_.workload == nullptr) return;
    auto policies = world_->mesh().PoliciesFor(*target_.workload);
    if (!policies.allow.empty()) Blame(*policies.allow.front(), -1);
    const auto verdict = AskZtunnelAgain();
    if (!verdict) return;
    if (verdict->outcome == Outcome::kAllow) {
      out_.sentence += "; by the input it is let through, so ztunnel had other policies";
    }
    if (verdict->outcome != Outcome::kReject) return;
    if (verdict->near_misses.empty()) {
      if (verdict->decided_by.object != nullptr) out_.origin = verdict->decided_by;
      return;
    }
    const NearMiss& miss = verdict->near_misses.front();
    if (miss.origin.object == nullptr) return;
    out_.origin = miss.origin;
    if (miss.span) out_.origin.span = miss.span;
    out_.fix = "rule " + std::to_string(miss.origin.rule) + " of " +
               PolicyName(miss.origin.object->ns, miss.origin.object->name) + " comes nearest: ";
    if (miss.field.empty()) {
      out_.fix +=
          "it asks for what only HTTP can tell, which never matches in ztunnel; put it on "
          "a waypoint";
      return;
    }
    out_.fix +=
        "its " + miss.field + " has " + Quote(miss.wanted) + ", the connection " + Quote(miss.got);
    if (miss.failed > 1) out_.fix += ", and it fails on more";
    if (IsIdentity(miss.field) && record_[LogField::kPeer].empty()) {
      out_.fix +=
          "; who comes without mutual TLS has no identity: put the caller into the ambient "
          "mesh";
    }
  }

  const World* world_;
  const LogRecord& record_;
  LogTarget target_;
  LogExplanation out_;
};

// What nothing stood in the way of.
bool Passed(const LogLine& line) {
  switch (line.kind) {
    case LogKind::kRbac:
      return line[LogField::kResult] == "allowed";
    case LogKind::kZtunnel:
      return line[LogField::kError].empty();
    case LogKind::kAccess:
    case LogKind::kOther:
    case LogKind::kUnreadable:
      break;
  }
  std::string_view status = line[LogField::kStatus];
  if (status == "200" && IsRefusal(line[LogField::kDetails])) return false;  // gRPC
  if (!line[LogField::kFlags].empty()) {
    // A delay that was injected, or an answer from a cache, is an answer all the same.
    return status.starts_with('2') || status.starts_with('3') || status == "101";
  }
  if (status.starts_with('4') || status.starts_with('5')) return false;
  return !line[LogField::kTermination].starts_with(kRbacDetails);
}

constexpr LogField kExplanationKey[] = {
    LogField::kStatus,
    LogField::kFlags,
    LogField::kDetails,
    LogField::kTermination,
    LogField::kTransportFailure,
    LogField::kUpstreamCluster,
    LogField::kServerName,
    LogField::kAuthority,
    LogField::kMethod,
    LogField::kPod,
    LogField::kEngine,
    LogField::kResult,
    LogField::kPolicy,
    LogField::kTargetNamespace,
    LogField::kTargetWorkload,
    LogField::kTargetService,
    LogField::kError,
    LogField::kPeer,
};

}  // namespace

LogExplanation ExplainLine(const World* world, const Workload* at, const LogRecord& record) {
  return Explainer(world, at, record).Run();
}

void LogExplainer::Add(const LogLine& line, size_t number) {
  ++summary_.lines;
  if (line.kind == LogKind::kOther) {
    ++summary_.others;
    return;
  }
  if (line.kind == LogKind::kUnreadable) {
    if (summary_.unreadable++ == 0) summary_.first_unreadable = number;
    return;
  }
  if (Passed(line)) {
    ++summary_.passed;
    return;
  }
  key_.clear();
  for (LogField field : kExplanationKey) {
    key_ += line[field];
    key_ += '\x1F';
  }
  // The address is the pod's: the port is what tells listeners apart.
  std::string_view local = line[LogField::kLocal];
  key_ += local.substr(std::min(local.rfind(':'), local.size()));
  auto found = index_.find(std::string_view(key_));
  if (found != index_.end()) {
    ++summary_.groups[found->second].count;
    return;
  }
  index_.emplace(key_, summary_.groups.size());
  LogGroup& group = summary_.groups.emplace_back();
  group.count = 1;
  group.first_line = number;
  group.first = Keep(line);
}

LogSummary LogExplainer::Finish(const World* world, const Workload* at) {
  for (auto& group : summary_.groups) {
    group.explanation = ExplainLine(world, at, group.first);
  }
  std::stable_sort(summary_.groups.begin(), summary_.groups.end(),
                   [](const LogGroup& a, const LogGroup& b) {
                     return a.count != b.count ? a.count > b.count : a.first_line < b.first_line;
                   });
  index_.clear();
  return std::move(summary_);
}

}  // namespace meshproof

// ztunnel's own rules, which are not Envoy's: a group holds if all its clauses do, a clause if one
// of its matches does, a match if all its lists do; a match without lists never does, a clause
// without matches always. Without an identity each `not_` list of identities holds. An HBONE
// handshake fails, before any policy, unless the client's certificate names a service account of
// the destination's own trust domain. Addresses that are not known exactly make a match unknown.

#include "simulate/ztunnel.h"

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "simulate/stream.h"

namespace meshproof {
namespace {

constexpr std::string_view kScheme = "spiffe://";

struct Identity {
  std::string principal;  // without the scheme
  std::string trust_domain, ns, account;
};

// "spiffe://<td>/ns/<ns>/sa/<sa>", exactly.
std::optional<Identity> ParseIdentity(std::string_view uri) {
  if (!uri.starts_with(kScheme)) return std::nullopt;
  uri.remove_prefix(kScheme.size());
  const std::vector<std::string_view> parts = Split(uri, '/');
  if (parts.size() != 5 || parts[1] != "ns" || parts[3] != "sa") return std::nullopt;
  Identity identity;
  identity.principal = std::string(uri);
  identity.trust_domain = std::string(parts[0]);
  identity.ns = std::string(parts[2]);
  identity.account = std::string(parts[4]);
  return identity;
}

// What stood in the way of a match.
struct Failure {
  std::string field, got, wanted;
  Span span;
};

class GroupEvaluator {
 public:
  GroupEvaluator(const Connection& connection, const std::optional<Identity>& identity)
      : connection_(connection), identity_(identity) {}

  Truth Group(const ZtunnelGroup& group, std::vector<Failure>* failures) {
    Truth all = Truth::kTrue;
    for (const ZtunnelClause& clause : group.clauses) {
      const Truth one = Clause(clause, failures);
      if (one == Truth::kFalse) {
        all = Truth::kFalse;
        if (failures == nullptr) return all;
      } else if (one == Truth::kUnknown && all == Truth::kTrue) {
        all = Truth::kUnknown;
      }
    }
    return all;
  }

  const std::vector<std::string>& unknown() const { return unknown_; }

 private:
  Truth Clause(const ZtunnelClause& clause, std::vector<Failure>* failures) {
    if (clause.matches.empty()) return Truth::kTrue;
    Truth any = Truth::kFalse;
    std::optional<Failure> first;
    for (const ZtunnelMatch& match : clause.matches) {
      failure_.reset();
      const Truth one = Match(match);
      if (one == Truth::kTrue) return one;
      if (one == Truth::kUnknown) any = one;
      if (!first) first = failure_;
    }
    if (any == Truth::kFalse && failures != nullptr) {
      failures->push_back(first.value_or(Failure{"", "", "something that ztunnel knows", {}}));
    }
    return any;
  }

  Truth Match(const ZtunnelMatch& match) {
    if (match.empty()) return Truth::kFalse;
    Truth all = Truth::kTrue;
    const auto both = [&](Truth one) {
      if (one == Truth::kFalse) all = one;
      if (one == Truth::kUnknown && all == Truth::kTrue) all = one;
    };
    const auto principal = [&](const ZtunnelString& value) {
      return ToTruth(identity_ && value.Matches(identity_->principal));
    };
    const auto ns = [&](const ZtunnelString& value) {
      return ToTruth(identity_ && value.Matches(identity_->ns));
    };
    const auto account = [&](const ZtunnelAccount& value) {
      return ToTruth(identity_ && value.ns == identity_->ns && value.name == identity_->account);
    };
    const auto port = [&](const ZtunnelPort& value) {
      return ToTruth(value.port == connection_.destination_port);
    };
    const auto source = [&](const ZtunnelBlock& value) {
      return InBlock(value, connection_.source, "the caller's address");
    };
    const auto destination = [&](const ZtunnelBlock& value) {
      return InBlock(value, connection_.destination, "the destination address");
    };
    const std::string peer = identity_ ? identity_->principal : "(plaintext, no identity)";
    const std::string number = std::to_string(connection_.destination_port);
    both(List("namespaces", match.namespaces, match.not_namespaces, ns, peer));
    both(
        List("serviceAccounts", match.service_accounts, match.not_service_accounts, account, peer));
    both(List("principals", match.principals, match.not_principals, principal, peer));
    both(List("ipBlocks", match.source_ips, match.not_source_ips, source,
              ToString(connection_.source)));
    both(List("destination.ip", match.destination_ips, match.not_destination_ips, destination,
              ToString(connection_.destination)));
    both(List("ports", match.destination_ports, match.not_destination_ports, port, number));
    return all;
  }

  template <typename T, typename Test>
  Truth List(std::string_view field, const std::vector<T>& values, const std::vector<T>& not_values,
             const Test& test, const std::string& got) {
    const auto any = [&](const std::vector<T>& list) {
      Truth result = Truth::kFalse;
      for (const T& value : list) {
        const Truth one = test(value);
        if (one == Truth::kTrue) return one;
        if (one == Truth::kUnknown) result = one;
      }
      return result;
    };
    Truth all = Truth::kTrue;
    if (!values.empty()) {
      all = any(values);
      if (all == Truth::kFalse) Note(field, "", values, got);
    }
    if (!not_values.empty()) {
      const Truth none = Not(any(not_values));
      if (none == Truth::kFalse) Note(field, "none of ", not_values, got);
      if (none == Truth::kFalse || all == Truth::kTrue) all = all == Truth::kFalse ? all : none;
    }
    return all;
  }

  static std::string Show(const ZtunnelString& value) {
    switch (value.kind) {
      case ZtunnelString::Kind::kExact:
        return value.value;
      case ZtunnelString::Kind::kPrefix:
        return value.value + "*";
      case ZtunnelString::Kind::kSuffix:
        return "*" + value.value;
      case ZtunnelString::Kind::kPresence:
        break;
    }
    return "*";
  }
  static std::string Show(const ZtunnelAccount& value) { return value.ns + "/" + value.name; }
  static std::string Show(const ZtunnelBlock& value) { return ToString(value.range); }
  static std::string Show(const ZtunnelPort& value) { return std::to_string(value.port); }

  template <typename T>
  void Note(std::string_view field, std::string_view prefix, const std::vector<T>& values,
            const std::string& got) {
    if (failure_) return;
    std::vector<std::string> texts;
    for (const T& value : values) texts.push_back(Show(value));
    failure_ = Failure{std::string(field), got, std::string(prefix) + Join(texts, ", "),
                       values.front().span};
  }

  Truth InBlock(const ZtunnelBlock& block, const Address& address, std::string_view name) {
    if (const auto* ip = std::get_if<IpAddress>(&address.value)) {
      return ToTruth(block.range.Contains(*ip));
    }
    std::string reason;
    if (const auto* range = std::get_if<CidrRange>(&address.value)) {
      if (block.range.Contains(*range)) return Truth::kTrue;
      if (!block.range.Overlaps(*range)) return Truth::kFalse;
      reason = std::string(name) + " is known only as " + ToString(address) + ", which " +
               ToString(block.range) + " cuts";
    } else {
      reason = std::string(name) + " is not known (a rule asks whether it is in " +
               ToString(block.range) + ")";
    }
    if (std::find(unknown_.begin(), unknown_.end(), reason) == unknown_.end()) {
      unknown_.push_back(std::move(reason));
    }
    return Truth::kUnknown;
  }

  const Connection& connection_;
  const std::optional<Identity>& identity_;
  std::optional<Failure> failure_;
  std::vector<std::string> unknown_;
};

class ZtunnelRun {
 public:
  ZtunnelRun(const ZtunnelConfig& config, const Workload& workload, const ProxyRequest& request,
             Detail detail)
      : config_(config),
        workload_(workload),
        request_(request),
        trace_(detail == Detail::kTrace),
        evaluator_(request.connection, identity_) {}

  Verdict Decide() {
    const uint32_t port = request_.connection.destination_port;
    if (port == 15001 || port == 15006 || port == 15008) {
      Reject(Stage::kMtls, {}, "ztunnel takes no connection to port " + std::to_string(port));
      return std::move(verdict_);
    }
    if (!Handshake()) return std::move(verdict_);
    for (const ZtunnelPolicy* policy : config_.PoliciesFor(workload_)) {
      if (policy->dry_run) continue;
      (policy->action == ZtunnelPolicy::Action::kDeny ? deny_ : allow_).push_back(policy);
    }
    if (!PassDeny() || !PassAllow()) return std::move(verdict_);
    if (request_.connection.tls == WireTls::kTls) {
      Reject(Stage::kMtls, {}, "TLS reaches an application that speaks plaintext");
      return std::move(verdict_);
    }
    if (!uncertain_.empty()) {
      verdict_.outcome = Outcome::kUndetermined;
      verdict_.missing = uncertain_;
      return std::move(verdict_);
    }
    verdict_.outcome = Outcome::kAllow;
    verdict_.stage = Stage::kAllow;
    verdict_.status = request_.protocol == WireProtocol::kTcp ? 0 : 200;
    if (request_.protocol == WireProtocol::kGrpc) verdict_.grpc_status = 0;
    return std::move(verdict_);
  }

 private:
  void AddStep(Stage stage, Step::Result result, std::string text, const Origin& origin = {}) {
    if (!trace_) return;
    Step step;
    step.stage = stage;
    step.result = result;
    step.text = std::move(text);
    step.origin = origin;
    verdict_.steps.push_back(std::move(step));
  }

  void Reject(Stage stage, const Origin& by, std::string text) {
    verdict_.outcome = Outcome::kReject;
    verdict_.stage = stage;
    verdict_.status = 0;
    verdict_.decided_by = by;
    verdict_.missing.clear();
    AddStep(stage, Step::Result::kRefuse, std::move(text), by);
  }

  bool Handshake() {
    const Connection& connection = request_.connection;
    if (!connection.hbone) {
      AddStep(Stage::kMtls, Step::Result::kPass,
              "ztunnel takes the connection as it is: no identity");
      return true;
    }
    const std::string name = connection.certificate && !connection.certificate->uri_sans.empty()
                                 ? connection.certificate->uri_sans.front()
                                 : "";
    identity_ = ParseIdentity(name);
    const std::string& own = config_.For(workload_).trust_domain;
    const bool trusted = connection.certificate && connection.certificate->trusted;
    if (!trusted || !identity_ || identity_->trust_domain != own) {
      Reject(Stage::kMtls, {},
             "the HBONE handshake fails: " +
                 (name.empty() ? std::string("the client shows no identity")
                               : name + " is no service account of trust domain " + own));
      identity_.reset();
      return false;
    }
    AddStep(Stage::kMtls, Step::Result::kPass, "HBONE, peer " + name);
    return true;
  }

  // A policy's groups are OR-ed; which one decided.
  Truth Matches(const ZtunnelPolicy& policy, const ZtunnelGroup** which) {
    Truth any = Truth::kFalse;
    for (const ZtunnelGroup& group : policy.groups) {
      const Truth one = evaluator_.Group(group, nullptr);
      if (one == Truth::kTrue) {
        *which = &group;
        return one;
      }
      if (one == Truth::kUnknown) any = one;
    }
    return any;
  }

  static Stage StageOf(const ZtunnelPolicy& policy) {
    return policy.from_peer_authentication ? Stage::kMtls : Stage::kDeny;
  }

  bool PassDeny() {
    bool earlier_unknown = false;
    for (const ZtunnelPolicy* policy : deny_) {
      const ZtunnelGroup* group = nullptr;
      const Truth matched = Matches(*policy, &group);
      if (matched == Truth::kUnknown) {
        earlier_unknown = true;
        continue;
      }
      if (matched == Truth::kFalse) {
        AddStep(StageOf(*policy), Step::Result::kNoMatch, policy->Name() + " does not match",
                {policy->object, -1, {}});
        continue;
      }
      const std::string why =
          policy->from_peer_authentication ? StrictText(*policy) : policy->Name() + " matches";
      Reject(StageOf(*policy), earlier_unknown ? Origin{} : group->origin, why);
      return false;
    }
    if (earlier_unknown) uncertain_ = evaluator_.unknown();
    return true;
  }

  // The static policy stands for whatever PeerAuthentication is effective.
  std::string StrictText(const ZtunnelPolicy& policy) const {
    const PeerAuthentication* by = config_.For(workload_).strict_by;
    const ObjectMeta* object = policy.object != nullptr ? policy.object
                               : by != nullptr          ? &by->meta
                                                        : nullptr;
    return "the caller has no identity and mTLS is STRICT" +
           (object != nullptr ? " by " + ToString(*object) : std::string());
  }

  bool PassAllow() {
    if (allow_.empty()) {
      AddStep(Stage::kAllow, Step::Result::kPass, "no ALLOW policy applies at ztunnel");
      return true;
    }
    bool unknown = false;
    for (const ZtunnelPolicy* policy : allow_) {
      const ZtunnelGroup* group = nullptr;
      const Truth matched = Matches(*policy, &group);
      if (matched == Truth::kTrue) {
        verdict_.decided_by = group->origin;
        AddStep(Stage::kAllow, Step::Result::kMatch, policy->Name() + " matches", group->origin);
        return true;
      }
      unknown |= matched == Truth::kUnknown;
      AddStep(Stage::kAllow,
              matched == Truth::kFalse ? Step::Result::kNoMatch : Step::Result::kUnknown,
              policy->Name() + (matched == Truth::kFalse ? " does not match" : " may match"),
              {policy->object, -1, {}});
    }
    if (unknown) {
      uncertain_ = evaluator_.unknown();
      return true;
    }
    if (trace_) AddNearMisses();
    Reject(Stage::kAllow, {}, "no ALLOW policy matches at ztunnel");
    return false;
  }

  void AddNearMisses() {
    for (const ZtunnelPolicy* policy : allow_) {
      for (const ZtunnelGroup& group : policy->groups) {
        std::vector<Failure> failures;
        evaluator_.Group(group, &failures);
        if (failures.empty()) continue;
        NearMiss miss;
        miss.origin = group.origin;
        miss.field = failures.front().field;
        miss.got = failures.front().got;
        miss.wanted = failures.front().wanted;
        miss.span = failures.front().span;
        miss.failed = static_cast<int>(failures.size());
        verdict_.near_misses.push_back(std::move(miss));
      }
    }
    std::stable_sort(verdict_.near_misses.begin(), verdict_.near_misses.end(),
                     [](const NearMiss& a, const NearMiss& b) { return a.failed < b.failed; });
  }

  const ZtunnelConfig& config_;
  const Workload& workload_;
  const ProxyRequest& request_;
  const bool trace_;
  std::optional<Identity> identity_;
  GroupEvaluator evaluator_;
  std::vector<const ZtunnelPolicy*> deny_, allow_;
  std::vector<std::string> uncertain_;
  Verdict verdict_;
};

}  // namespace

Verdict RunZtunnel(const ZtunnelConfig& config, const Workload& workload,
                   const ProxyRequest& request, Detail detail) {
  return ZtunnelRun(config, workload, request, detail).Decide();
}

}  // namespace meshproof

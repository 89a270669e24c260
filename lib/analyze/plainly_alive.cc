// A made-up request is compared with the lists as they are written (istio-semantics sections 1.4
// and 1.5). What depends on addresses, tokens, templates, trust domains or on how a path is
// normalized is not answered here; a rule that may match counts as one that does where it would
// spoil the proof, and as one that does not where it would make it.

#include "analyze/plainly_alive.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "analyze/policy_lists.h"
#include "base/text.h"

namespace meshproof {
namespace {

enum class Match { kNo, kMaybe, kYes };

Match Not(Match match) {
  if (match == Match::kMaybe) return match;
  return match == Match::kYes ? Match::kNo : Match::kYes;
}
Match Both(Match a, Match b) {
  return std::min(a, b);
}

struct LiveRule {
  const AuthorizationPolicy* policy = nullptr;
  const AuthorizationPolicy::Rule* rule = nullptr;
  std::vector<PolicyList> lists;
};

// Who calls is always somebody with a certificate.
struct Sample {
  std::string trust_domain = "cluster.local";
  std::string ns = "q7z", account = "q7z";
  std::string method = "GET";
  std::string path = "/q7z";
  std::string host = "q7z.example";
  int port = 0;
  std::map<std::string, std::string, std::less<>> headers;  // by name as the policy spells it

  std::string Identity() const { return trust_domain + "/ns/" + ns + "/sa/" + account; }
};

bool MatchesPattern(std::string_view pattern, std::string_view text) {
  if (pattern == "*") return !text.empty();
  if (pattern.starts_with('*')) return text.ends_with(pattern.substr(1));
  if (pattern.ends_with('*')) return text.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == text;
}

Match ToMatch(bool matches) {
  return matches ? Match::kYes : Match::kNo;
}

Match MatchPrincipal(std::string_view pattern, const Sample& sample) {
  std::string_view domain = pattern.substr(0, pattern.find('/'));
  // Domains have aliases.
  bool plain = pattern.starts_with('*') || domain == sample.trust_domain;
  return plain ? ToMatch(MatchesPattern(pattern, sample.Identity())) : Match::kMaybe;
}

Match MatchNamespace(std::string_view pattern, const Sample& sample) {
  bool plain =
      std::count(pattern.begin(), pattern.end(), '*') < 2 &&
      (pattern.find('*') == pattern.npos || pattern.starts_with('*') || pattern.ends_with('*'));
  return plain ? ToMatch(MatchesPattern(pattern, sample.ns)) : Match::kMaybe;
}

Match MatchAccount(std::string_view account, std::string_view policy_ns, const Sample& sample) {
  size_t slash = account.find('/');
  std::string_view ns = slash == account.npos ? policy_ns : account.substr(0, slash);
  std::string_view name = slash == account.npos ? account : account.substr(slash + 1);
  return ToMatch(ns == sample.ns && name == sample.account);
}

Match MatchPath(std::string_view pattern, const Sample& sample) {
  if (pattern.find('{') != pattern.npos) return Match::kMaybe;
  return ToMatch(MatchesPattern(pattern, sample.path));
}

// Headers that Envoy keeps apart, makes, changes or joins are left to the simulator.
bool IsPlainHeader(std::string_view name) {
  return name.starts_with("x-") && !name.starts_with("x-forwarded") && !name.starts_with("x-envoy");
}

Match MatchHeader(std::string_view pattern, std::string_view name, const Sample& sample) {
  if (!IsPlainHeader(name)) return Match::kMaybe;
  for (const auto& [own, value] : sample.headers) {
    if (EqualsIgnoreCase(own, name)) return ToMatch(MatchesPattern(pattern, value));
  }
  return Match::kNo;
}

Match MatchValue(ListField field, const PolicyList& list, std::string_view value,
                 std::string_view policy_ns, const Sample& sample) {
  switch (field) {
    case ListField::kPrincipal:
      return MatchPrincipal(value, sample);
    case ListField::kNamespace:
      return MatchNamespace(value, sample);
    case ListField::kAccount:
      return MatchAccount(value, policy_ns, sample);
    case ListField::kMethod:
      return ToMatch(MatchesPattern(value, sample.method));
    case ListField::kPath:
      return MatchPath(value, sample);
    case ListField::kHost:
      return ToMatch(MatchesPattern(ToLower(value), ToLower(sample.host)));
    case ListField::kPort:
      return ToMatch(value == std::to_string(sample.port));
    case ListField::kHeader:
      return MatchHeader(value, HeaderOf(list), sample);
    case ListField::kOther:
      return Match::kMaybe;
  }
  return Match::kMaybe;
}

Match MatchList(const PolicyList& list, std::string_view policy_ns, const Sample& sample) {
  ListField field = FieldOf(list);
  if (field == ListField::kOther) return Match::kMaybe;
  Match any = Match::kNo;
  for (const Text& value : list.values->values) {
    any = std::max(any, MatchValue(field, list, value.value, policy_ns, sample));
  }
  return list.negative ? Not(any) : any;
}

// Of the blocks of a kind any one has to hold; of the conditions all.
Match MatchRule(const LiveRule& rule, const Sample& sample) {
  Match all = Match::kYes;
  const void* block = nullptr;
  bool of_source = false;
  Match own = Match::kYes;
  std::optional<Match> sources, operations;
  auto close = [&] {
    if (block == nullptr) return;
    std::optional<Match>& kind = of_source ? sources : operations;
    kind = std::max(kind.value_or(Match::kNo), own);
  };
  for (const PolicyList& list : rule.lists) {
    Match match = MatchList(list, rule.policy->meta.ns, sample);
    if (list.condition != nullptr) {
      all = Both(all, match);
      continue;
    }
    const void* next = list.source != nullptr ? static_cast<const void*>(list.source)
                                              : static_cast<const void*>(list.operation);
    if (next != block) {
      close();
      block = next;
      of_source = list.source != nullptr;
      own = Match::kYes;
    }
    own = Both(own, match);
  }
  close();
  return Both(all, Both(sources.value_or(Match::kYes), operations.value_or(Match::kYes)));
}

// A text that the pattern matches and that nobody else names, made of `fresh`.
std::string TextFor(std::string_view pattern, std::string_view fresh) {
  if (pattern == "*") return std::string(fresh);
  if (pattern.starts_with('*')) return std::string(fresh) + std::string(pattern.substr(1));
  if (pattern.ends_with('*')) {
    return std::string(pattern.substr(0, pattern.size() - 1)) + std::string(fresh);
  }
  return std::string(pattern);
}

bool IsSendable(const Sample& sample) {
  static constexpr std::string_view kMethods[] = {"GET",   "HEAD",   "POST",   "PUT",
                                                  "PATCH", "DELETE", "OPTIONS"};
  auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.' || c == '/';
  };
  const std::string& path = sample.path;
  // Nothing that normalization changes.
  bool path_is_plain = path.starts_with('/') && std::all_of(path.begin(), path.end(), plain) &&
                       path.find("//") == path.npos && path.find("/.") == path.npos;
  bool host_is_plain = !sample.host.empty() &&
                       std::all_of(sample.host.begin(), sample.host.end(),
                                   [&](char c) { return c == ':' || (plain(c) && c != '/'); });
  return std::find(std::begin(kMethods), std::end(kMethods), sample.method) != std::end(kMethods) &&
         path_is_plain && host_is_plain;
}

void SetPrincipal(std::string_view principal, Sample* sample) {
  constexpr std::string_view kNamespace = "/ns/", kAccount = "/sa/";
  size_t ns = principal.find(kNamespace);
  if (ns == principal.npos) return;
  size_t account = principal.find(kAccount, ns + 1);
  std::string_view name = principal.substr(ns + kNamespace.size());
  if (account == principal.npos) {
    if (name.ends_with("/*")) name.remove_suffix(2);
    if (name.find('/') == name.npos && name.find('*') == name.npos) sample->ns = name;
  } else {
    sample->ns = principal.substr(ns + kNamespace.size(), account - ns - kNamespace.size());
    sample->account = TextFor(principal.substr(account + kAccount.size()), "q7z");
  }
  if (principal[0] != '*') sample->trust_domain = principal.substr(0, ns);
}

// Takes value number `choice` (of each list, as far as it goes) of the first source, the first
// operation and the conditions into the sample; `negative`: what they exclude.
void Adopt(const LiveRule& rule, size_t choice, bool negative, Sample* sample) {
  const AuthorizationPolicy::Source* source = nullptr;
  const AuthorizationPolicy::Operation* operation = nullptr;
  for (const PolicyList& list : rule.lists) {
    if (source == nullptr) source = list.source;
    if (operation == nullptr) operation = list.operation;
    bool other = (list.source != nullptr && list.source != source) ||
                 (list.operation != nullptr && list.operation != operation);
    if (list.negative != negative || other) continue;
    const std::vector<Text>& values = list.values->values;
    std::string_view value = values[std::min(choice, values.size() - 1)].value;
    switch (FieldOf(list)) {
      case ListField::kPrincipal:
        SetPrincipal(value, sample);
        break;
      case ListField::kNamespace:
        if (MatchNamespace(value, *sample) != Match::kYes) sample->ns = TextFor(value, "q7z");
        break;
      case ListField::kAccount: {
        size_t slash = value.find('/');
        sample->ns = slash == value.npos ? rule.policy->meta.ns : value.substr(0, slash);
        sample->account = slash == value.npos ? value : value.substr(slash + 1);
        break;
      }
      case ListField::kMethod:
        if (value.find('*') == value.npos) sample->method = value;
        break;
      case ListField::kPath:
        sample->path = TextFor(value, value.starts_with("*") ? "/q7z" : "q7z");
        if (value == "*") sample->path = "/q7z";
        break;
      case ListField::kHost:
        sample->host = TextFor(value, value.starts_with("*.") ? "q7z" : "q7z.example");
        break;
      case ListField::kHeader:
        sample->headers[std::string(HeaderOf(list))] = TextFor(value, "q7z");
        break;
      case ListField::kPort:  // the ports are tried one by one
      case ListField::kOther:
        break;
    }
  }
}

class Prover {
 public:
  Prover(const PolicySet& policies, std::vector<int> ports) : ports_(std::move(ports)) {
    Collect(policies.allow, &allow_);
    Collect(policies.deny, &deny_);
    Collect(policies.custom, &custom_);
    any_allow_ = std::any_of(policies.allow.begin(), policies.allow.end(),
                             [](const AuthorizationPolicy* policy) { return !policy->dry_run; });
  }

  bool Run() {
    // More are compared by the diagrams, which know what touches what.
    constexpr size_t kMost = 100;
    if (allow_.size() + deny_.size() + custom_.size() > kMost) return false;
    auto all = [](const std::vector<LiveRule>& rules, auto is_alive) {
      return std::all_of(rules.begin(), rules.end(), is_alive);
    };
    return all(allow_, [&](const LiveRule& rule) { return IsAliveAllow(rule); }) &&
           all(deny_, [&](const LiveRule& rule) { return IsAliveDeny(rule); }) &&
           all(custom_, [&](const LiveRule& rule) { return IsAliveCustom(rule); });
  }

 private:
  static void Collect(const std::vector<const AuthorizationPolicy*>& policies,
                      std::vector<LiveRule>* rules) {
    for (const AuthorizationPolicy* policy : policies) {
      if (policy->dry_run) continue;
      for (const AuthorizationPolicy::Rule& rule : policy->rules) {
        if (!rule.null) rules->push_back({policy, &rule, ListsOf(rule)});
      }
    }
  }

  static bool MatchesOnly(const std::vector<LiveRule>& rules, const LiveRule* wanted,
                          const Sample& sample) {
    return std::all_of(rules.begin(), rules.end(), [&](const LiveRule& rule) {
      Match match = MatchRule(rule, sample);
      return match == (&rule == wanted ? Match::kYes : Match::kNo);
    });
  }

  // Whether some request made of what a rule names, and where it names nothing of what `below`
  // names, is as `is_wanted` says.
  template <typename IsWanted>
  bool Try(const Sample& start, const LiveRule* below, const LiveRule& rule,
           IsWanted is_wanted) const {
    constexpr size_t kChoices = 4;
    for (size_t other = 0; other < (below != nullptr ? kChoices : 1); ++other) {
      for (size_t choice = 0; choice < kChoices; ++choice) {
        Sample sample = start;
        if (below != nullptr) Adopt(*below, other, false, &sample);
        Adopt(rule, choice, false, &sample);
        if (TryMethodsAndPorts(sample, is_wanted)) return true;
      }
    }
    return false;
  }

  template <typename IsWanted>
  bool TryMethodsAndPorts(Sample sample, IsWanted is_wanted) const {
    const std::string named = sample.method;
    for (const char* method : {named.c_str(), "GET", "POST"}) {
      sample.method = method;
      if (!IsSendable(sample)) continue;
      for (int port : ports_) {
        sample.port = port;
        if (is_wanted(sample)) return true;
      }
    }
    return false;
  }

  bool IsAliveAllow(const LiveRule& rule) const {
    auto decides = [&](const Sample& sample) {
      return MatchesOnly(allow_, &rule, sample) && MatchesOnly(deny_, nullptr, sample);
    };
    if (Try({}, nullptr, rule, decides)) return true;
    // Where everybody else is denied.
    Sample excepted;
    for (const LiveRule& deny : deny_) Adopt(deny, 0, true, &excepted);
    return Try(excepted, nullptr, rule, decides);
  }

  bool IsAliveDeny(const LiveRule& rule) const {
    auto decides = [&](const Sample& sample) {
      return MatchesOnly(deny_, &rule, sample) &&
             (!any_allow_ || std::any_of(allow_.begin(), allow_.end(), [&](const LiveRule& allow) {
               return MatchRule(allow, sample) == Match::kYes;
             }));
    };
    if (Try({}, nullptr, rule, decides)) return true;
    return std::any_of(allow_.begin(), allow_.end(),
                       [&](const LiveRule& allow) { return Try({}, &allow, rule, decides); });
  }

  bool IsAliveCustom(const LiveRule& rule) const {
    return Try({}, nullptr, rule,
               [&](const Sample& sample) { return MatchRule(rule, sample) == Match::kYes; });
  }

  std::vector<int> ports_;
  std::vector<LiveRule> allow_, deny_, custom_;
  bool any_allow_ = false;
};

}  // namespace

bool AllPlainlyAlive(const PolicySet& policies, const std::vector<InboundPort>& declared,
                     const EffectiveMtls& mtls) {
  std::vector<int> ports;
  for (const InboundPort& port : declared) {
    bool http = IsHttp(port.protocol) || port.protocol == Protocol::kAuto;
    bool certificates = mtls.ForPort(port.port).mode != MtlsMode::kDisable;
    if (http && certificates) ports.push_back(port.port);
  }
  return !ports.empty() && Prover(policies, std::move(ports)).Run();
}

}  // namespace meshproof

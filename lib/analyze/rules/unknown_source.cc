// Sources that nobody can be: a namespace that does not exist (the case counts), an account that no
// workload runs as, a trust domain that is neither the mesh's nor an alias (istio-semantics
// sections 1.5 and 1.7). A name that is a slip of a known one is taken for a mistake; any other may
// live where the input does not reach (another cluster) and is said once.
#include <map>
#include <set>
#include <string>

#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "base/text.h"
#include "mesh/mesh.h"

namespace meshproof::unknown_source {
namespace {

// What a value is compared with.
enum class Attribute { kNamespace, kPrincipal, kServiceAccount, kTrustDomain };

// Where a value stands.
struct Place {
  const AuthorizationPolicy& policy;
  bool negative = false;
  Span span;
};

bool Matches(std::string_view pattern, std::string_view value) {
  if (pattern == "*") return true;
  if (pattern.starts_with('*')) return value.ends_with(pattern.substr(1));
  if (pattern.ends_with('*')) return value.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == value;
}

bool MatchesAny(std::string_view pattern, const std::set<std::string>& values) {
  for (const std::string& value : values) {
    if (Matches(pattern, value)) return true;
  }
  return false;
}

// The parts of `td/ns/NAMESPACE/sa/ACCOUNT` that a value fixes; "" for a part that it leaves open.
struct Identity {
  std::string_view trust_domain, ns, account;
};

Identity PartsOf(std::string_view principal) {
  Identity identity;
  if (principal.starts_with("spiffe://") || principal == "*") return identity;
  std::vector<std::string_view> parts = Split(principal, '/');
  if (principal.starts_with('*')) {
    // The end alone is fixed: `*/ns/a/sa/b`, `*/sa/b`.
    if (parts.size() == 5 && parts[1] == "ns" && parts[3] == "sa") {
      identity.ns = parts[2];
      identity.account = parts[4];
    }
    return identity;
  }
  bool open = principal.ends_with('*');
  const auto fixed = [&](size_t i) { return i + 1 < parts.size() || !open; };
  if (parts.size() < 2 || parts[1] != "ns") return identity;
  identity.trust_domain = parts[0];
  if (parts.size() > 2 && fixed(2)) identity.ns = parts[2];
  if (parts.size() == 5 && parts[3] == "sa" && fixed(4)) identity.account = parts[4];
  return identity;
}

// Claims that policies ask for. Which ones the issuer writes is in no manifest, but two spellings
// of one name are: `group` here and `groups` there are not both right.
class Claims {
 public:
  void Read(const AuthorizationPolicy& policy) {
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      for (const AuthorizationPolicy::Condition& condition : rule.when) {
        constexpr std::string_view kPrefix = "request.auth.claims";
        if (!condition.key.value.starts_with(kPrefix)) continue;
        std::string name(condition.key.value.substr(kPrefix.size()));
        const bool negative = condition.values.empty();
        uses_[name].push_back({policy, negative, condition.key.span});
      }
    }
  }

  void Check(Reporter& reporter) const {
    for (const auto& [name, places] : uses_) {
      for (const auto& [other, others] : uses_) {
        if (name == other || places.size() > others.size() || !IsTypoOf(name, other)) continue;
        for (const Place& place : places) Say(name, other, place, others.front(), reporter);
        break;
      }
    }
  }

 private:
  static void Say(const std::string& name, const std::string& other, const Place& place,
                  const Place& meant, Reporter& reporter) {
    const bool denies = place.policy.action == AuthorizationPolicy::Action::kDeny;
    Finding& finding =
        reporter.Report(place.policy.meta, place.span,
                        "this asks for claim `" + name + "` and " + ToString(meant.policy.meta) +
                            " for `" + other + "`: where tokens carry only that one, " +
                            (place.negative ? "the condition always holds"
                             : denies       ? "nobody is denied by the rule"
                                            : "nobody is admitted by the rule") +
                            "; write the claim as the issuer does");
    finding.field_path = FieldPathAt(*place.policy.meta.node, place.span.begin);
    finding.severity = Severity::kInfo;
    finding.detail = "claim";
    finding.fix = "Write the claim as the issuer does.";
    finding.istioctl_codes.emplace();
    finding.related.push_back({meant.span, "the other spelling"});
  }

  std::map<std::string, std::vector<Place>> uses_;  // by "[group]"
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), names_(analysis.views->Names()) {
    const MeshConfig& config = analysis.model.mesh_config;
    domains_.insert(config.trust_domain);
    domains_.insert(config.trust_domain_aliases.begin(), config.trust_domain_aliases.end());
    for (const Workload& workload : analysis.mesh.workloads()) {
      running_[workload.ns].insert(workload.service_account);
    }
  }

  void Check(const AuthorizationPolicy& policy) {
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      for (const AuthorizationPolicy::Source& source : rule.from) {
        List(policy, source.namespaces, Attribute::kNamespace, false);
        List(policy, source.not_namespaces, Attribute::kNamespace, true);
        List(policy, source.principals, Attribute::kPrincipal, false);
        List(policy, source.not_principals, Attribute::kPrincipal, true);
        List(policy, source.service_accounts, Attribute::kServiceAccount, false);
        List(policy, source.not_service_accounts, Attribute::kServiceAccount, true);
        List(policy, source.trust_domains, Attribute::kTrustDomain, false);
        List(policy, source.not_trust_domains, Attribute::kTrustDomain, true);
      }
      for (const AuthorizationPolicy::Condition& condition : rule.when) {
        std::string_view key = condition.key.value;
        Attribute attribute;
        if (key == "source.namespace") {
          attribute = Attribute::kNamespace;
        } else if (key == "source.principal") {
          attribute = Attribute::kPrincipal;
        } else if (key == "source.serviceAccount") {
          attribute = Attribute::kServiceAccount;
        } else if (key == "source.trustDomain") {
          attribute = Attribute::kTrustDomain;
        } else {
          continue;
        }
        List(policy, condition.values, attribute, false);
        List(policy, condition.not_values, attribute, true);
      }
    }
  }

 private:
  void List(const AuthorizationPolicy& policy, const TextList& list, Attribute attribute,
            bool negative) {
    for (const Text& value : list.values) {
      Place place{policy, negative, value.span};
      switch (attribute) {
        case Attribute::kNamespace:
          CheckNamespace(place, value.value);
          break;
        case Attribute::kPrincipal:
          Principal(place, value.value);
          break;
        case Attribute::kServiceAccount:
          ServiceAccount(place, value.value);
          break;
        case Attribute::kTrustDomain:
          TrustDomain(place, value.value);
          break;
      }
    }
  }

  // What becomes of a value that matches nobody.
  static std::string Effect(const Place& place) {
    bool denies = place.policy.action == AuthorizationPolicy::Action::kDeny;
    if (place.negative) {
      return denies ? "the value exempts nobody: all are denied that the rest of the rule matches"
                    : "the value shuts nobody out: all match that the rest of the rule matches";
    }
    if (denies) return "nobody is denied by it";
    return "nobody is admitted by it";
  }

  bool SaidBefore(std::string key) { return !said_.insert(std::move(key)).second; }

  void Report(const Place& place, const std::string& what, const std::string& name,
              const std::string& nearest, const std::string& known, std::string code) {
    bool typo = !nearest.empty() && IsTypoOf(name, nearest);
    // Names of another cluster are right in every policy or in none.
    if (!typo && SaidBefore(what + "/" + name + (place.negative ? "/not" : ""))) return;
    std::string message = what + " `" + name + "`";
    if (typo) {
      message += " does not exist, so " + Effect(place) + "; did you mean `" + nearest + "`?";
    } else {
      message += " is outside my view: " + known +
                 "; if it is in no other cluster of the mesh either, " + Effect(place) +
                 "; write a name that exists, or add what makes it to the input";
    }
    Finding& finding = reporter_.Report(place.policy.meta, place.span, std::move(message));
    finding.field_path = FieldPathAt(*place.policy.meta.node, place.span.begin);
    finding.istioctl_codes.emplace();
    if (!code.empty()) finding.istioctl_codes = {std::move(code)};
    if (!typo) {
      finding.certainty = Certainty::kCannotSee;
      finding.severity = Severity::kInfo;
      finding.fix = "Write a name that exists.";
      return;
    }
    finding.fix = "Write `" + nearest + "`.";
    AddEdit(place.span, name, nearest, &finding);
  }

  // Replaces the one place in the value where the name stands.
  static void AddEdit(const Span& span, std::string_view name, const std::string& nearest,
                      Finding* finding) {
    if (!span || span.end > span.file->text().size()) return;
    std::string_view text = span.file->text().substr(span.begin, span.end - span.begin);
    size_t at = text.find(name);
    if (at == std::string_view::npos || text.find(name, at + 1) != std::string_view::npos) return;
    auto begin = span.begin + static_cast<uint32_t>(at);
    finding->edits.push_back(
        {{span.file, begin, begin + static_cast<uint32_t>(name.size())}, nearest});
  }

  void CheckNamespace(const Place& place, std::string_view ns) {
    if (ns.empty() || MatchesAny(ns, names_.namespaces())) return;
    std::string name(ns);
    if (name.find('*') != std::string::npos) {
      // Only a star at one end is a wildcard; all else is another rule's business.
      std::string_view inner = ns.starts_with('*') ? ns.substr(1) : ns.substr(0, ns.size() - 1);
      if (inner.find('*') != std::string_view::npos) return;
    }
    Report(place, "namespace", name, NearestName(ns, names_.namespaces()),
           "the input holds no such namespace", "IST0101");
  }

  void Account(const Place& place, std::string_view ns, std::string_view account) {
    // Of a namespace whose workloads are not in the input the accounts are not either.
    if (ns.empty() || account.empty() || !names_.HasWorkloads(ns)) return;
    const std::set<std::string>& known = names_.Accounts(ns);
    std::string name(account);
    if (known.contains(name)) return NotRun(place, ns, name);
    std::vector<std::string> listed(known.begin(), known.end());
    std::string nearest = NearestName(account, known);
    Report(place, "service account", name, nearest,
           "namespace " + std::string(ns) + " has " + ListNames(listed) + " in the input", "");
  }

  // An account that exists and that no workload runs as: perhaps one that is to come.
  void NotRun(const Place& place, std::string_view ns, const std::string& name) {
    auto running = running_.find(std::string(ns));
    if (running == running_.end() || running->second.contains(name)) return;
    bool declared = false;
    for (const auto& account : analysis_.model.service_accounts) {
      declared = declared || (account.meta.ns == ns && account.meta.name == name);
    }
    if (!declared || SaidBefore("idle/" + std::string(ns) + "/" + name)) return;
    Finding& finding =
        reporter_.Report(place.policy.meta, place.span,
                         "no workload in the input runs as service account `" + name +
                             "` of namespace " + std::string(ns) + ", so " + Effect(place) +
                             " as yet; set `serviceAccountName` on the workload that is meant");
    finding.field_path = FieldPathAt(*place.policy.meta.node, place.span.begin);
    finding.istioctl_codes.emplace();
    finding.certainty = Certainty::kCannotSee;
    finding.severity = Severity::kInfo;
    finding.fix = "Set serviceAccountName on the workload that is meant.";
  }

  void Principal(const Place& place, std::string_view principal) {
    Identity identity = PartsOf(principal);
    const bool expanded = Split(principal, '/').size() == 5;
    if (!identity.trust_domain.empty() && !Domain(place, identity.trust_domain, expanded)) return;
    if (identity.ns.empty()) return;
    if (!names_.HasNamespace(identity.ns)) {
      return Report(place, "namespace", std::string(identity.ns),
                    NearestName(identity.ns, names_.namespaces()),
                    "the input holds no such namespace", "");
    }
    Account(place, identity.ns, identity.account);
  }

  void ServiceAccount(const Place& place, std::string_view value) {
    size_t slash = value.find('/');
    std::string_view ns =
        slash == std::string_view::npos ? place.policy.meta.ns : value.substr(0, slash);
    std::string_view account = slash == std::string_view::npos ? value : value.substr(slash + 1);
    if (value.find('*') != std::string_view::npos || account.empty()) return;
    if (!names_.HasNamespace(ns)) {
      return Report(place, "namespace", std::string(ns), NearestName(ns, names_.namespaces()),
                    "the input holds no such namespace", "");
    }
    Account(place, ns, account);
  }

  void TrustDomain(const Place& place, std::string_view domain) { Domain(place, domain, false); }

  // False where it is unknown. In a principal of five parts `cluster.local` stands for the mesh's
  // own domain; in a shorter one (`cluster.local/ns/a/*`) and in `trustDomains` it is a name.
  bool Domain(const Place& place, std::string_view domain, bool expanded) {
    if (expanded && domain == "cluster.local") return true;
    if (MatchesAny(domain, domains_) || domain.find('*') != std::string_view::npos) return true;
    for (const std::string& known : domains_) {
      if (Matches(known, domain)) return true;
    }
    std::string nearest = NearestName(domain, domains_);
    std::vector<std::string> listed(domains_.begin(), domains_.end());
    if (!analysis_.HasMeshConfig() && !IsTypoOf(domain, nearest)) {
      Report(place, "trust domain", std::string(domain), "", "the mesh config is not in the input",
             "");
      return false;
    }
    std::string name(domain);
    if (!IsTypoOf(domain, nearest)) {
      return Foreign(place, name, listed);
    }
    Report(place, "trust domain", name, nearest, "", "");
    return false;
  }

  // A domain that no proxy of this mesh presents: said in each policy, for the mesh config settles
  // it.
  bool Foreign(const Place& place, const std::string& name, const std::vector<std::string>& known) {
    const bool placeholder = name == "cluster.local";
    Finding& finding = reporter_.Report(
        place.policy.meta, place.span,
        "trust domain `" + name + "` is neither the mesh's nor an alias (" + ListNames(known) +
            ")" +
            (placeholder ? ", and only in principals of five parts does it stand for the mesh's own"
                         : "") +
            ", so " + Effect(place) +
            " unless another mesh with that domain is trusted; write the mesh's domain, or add "
            "the other to `trustDomainAliases`");
    if (placeholder) AddEdit(place.span, name, analysis_.model.mesh_config.trust_domain, &finding);
    finding.field_path = FieldPathAt(*place.policy.meta.node, place.span.begin);
    finding.istioctl_codes.emplace();
    finding.fix = "Write the mesh's trust domain, or add an alias to the mesh config.";
    // Its CA may be trusted without an alias.
    for (const std::string& trusted : analysis_.model.mesh_config.ca_trust_domains) {
      if (trusted == name) finding.severity = Severity::kInfo;
    }
    return false;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const KnownNames& names_;
  std::set<std::string> domains_;
  std::map<std::string, std::set<std::string>> running_;  // accounts by namespace
  std::set<std::string> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Claims claims;
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    claims.Read(policy);
  }
  claims.Check(reporter);
  // Without a workload or a namespace the input tells nothing about who exists.
  if (!analysis.HasWorkloads() && analysis.model.namespaces.empty()) return;
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    checker.Check(policy);
  }
}

}  // namespace meshproof::unknown_source

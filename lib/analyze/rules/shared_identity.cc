// A grant names a service account and means an application. The two part where the account is
// `default`, which every pod of the namespace runs as that names none, or where pods of several
// applications run as the same: to the proxy they are one caller. Exact identities alone; patterns
// are the matter of other rules.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"
#include "analyze/workload_index.h"
#include "base/text.h"

namespace meshproof::shared_identity {
namespace {

struct Account {
  std::string domain;  // "" = any
  std::string ns, name;
};

// "td/ns/shop/sa/web", with or without "spiffe://", or "*/ns/shop/sa/web".
std::optional<Account> ParsePrincipal(std::string_view text) {
  constexpr std::string_view kScheme = "spiffe://";
  if (text.starts_with(kScheme)) text.remove_prefix(kScheme.size());
  std::vector<std::string_view> parts = Split(text, '/');
  if (parts.size() != 5 || parts[1] != "ns" || parts[3] != "sa") return std::nullopt;
  if (text.find('*', 1) != std::string_view::npos) return std::nullopt;
  if (parts[0].starts_with('*') && parts[0].size() > 1) return std::nullopt;
  return Account{parts[0] == "*" ? "" : std::string(parts[0]), std::string(parts[2]),
                 std::string(parts[4])};
}

// "web" of the policy's own namespace, or "shop/web".
std::optional<Account> ParseServiceAccount(std::string_view text, const std::string& ns) {
  if (text.find('*') != std::string_view::npos || text.empty()) return std::nullopt;
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return Account{"", ns, std::string(text)};
  return Account{"", std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

// The application that a workload is part of, as Istio names it for telemetry.
std::string ApplicationOf(const Workload& workload) {
  for (std::string_view key :
       {"service.istio.io/canonical-name", "app.kubernetes.io/name", "app", "k8s-app"}) {
    const std::string* name = FindLabel(workload.labels, key);
    if (name != nullptr && !name->empty()) return *name;
  }
  return workload.name;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), index_(*analysis.index) {
    for (const Workload& workload : analysis.mesh.workloads()) {
      // Without its namespace nobody can tell whether a pod has a proxy.
      if (workload.mode == ProxyMode::kNone &&
          analysis.mesh.FindNamespace(workload.ns) != nullptr) {
        continue;
      }
      holders_[workload.ns + "/" + workload.service_account].push_back(&workload);
    }
  }

  void Check(const AuthorizationPolicy& policy) {
    // What a DENY leaves out is granted as well.
    const bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
    if (policy.dry_run || (!allow && policy.action != AuthorizationPolicy::Action::kDeny)) return;
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      for (const AuthorizationPolicy::Source& source : rule.from) {
        for (const Text& value : (allow ? source.principals : source.not_principals).values) {
          CheckGrant(policy, rule, value, ParsePrincipal(value.value));
        }
        const TextList& accounts = allow ? source.service_accounts : source.not_service_accounts;
        for (const Text& value : accounts.values) {
          CheckGrant(policy, rule, value, ParseServiceAccount(value.value, policy.meta.ns));
        }
      }
      for (const AuthorizationPolicy::Condition& condition : rule.when) {
        const bool principal = condition.key.value == "source.principal";
        if (!principal && condition.key.value != "source.serviceAccount") continue;
        for (const Text& value : (allow ? condition.values : condition.not_values).values) {
          CheckGrant(policy, rule, value,
                     principal ? ParsePrincipal(value.value)
                               : ParseServiceAccount(value.value, policy.meta.ns));
        }
      }
    }
  }

 private:
  using Holders = std::vector<const Workload*>;

  bool IsOwnDomain(const std::string& domain) const {
    const MeshConfig& config = analysis_.mesh.config();
    return domain.empty() || domain == config.trust_domain || domain == "cluster.local" ||
           std::find(config.trust_domain_aliases.begin(), config.trust_domain_aliases.end(),
                     domain) != config.trust_domain_aliases.end();
  }

  void CheckGrant(const AuthorizationPolicy& policy, const AuthorizationPolicy::Rule& rule,
                  const Text& value, const std::optional<Account>& account) {
    if (!account) return;
    const Holders none;
    auto found = holders_.find(account->ns + "/" + account->name);
    const Holders& holders =
        found == holders_.end() || !IsOwnDomain(account->domain) ? none : found->second;
    std::set<std::string> applications;
    for (const Workload* holder : holders) applications.insert(ApplicationOf(*holder));
    const bool is_default = account->name == "default";
    if (!is_default && applications.size() < 2) return;

    std::vector<std::string> names;
    for (const Workload* holder : holders) names.push_back(Describe(*holder));
    const std::string who = account->ns + "/" + account->name;
    std::string why = is_default ? "every pod of namespace " + account->ns +
                                       " that names no account runs as it" +
                                       (names.empty() ? "" : ", now " + ListNames(names))
                                 : "it is the account of " + std::to_string(applications.size()) +
                                       " applications: " + ListNames(names);
    Finding& finding = reporter_.Report(
        policy.meta, value.span,
        "this grants to service account " + who + ", and " + why +
            ", so each of them passes for the caller that is meant; give that caller an account "
            "of its own and name it here");
    finding.fix = "Run the caller as an account of its own and grant to that.";
    finding.field_path = FieldPathOf(*policy.meta.node, value.span);
    if (is_default && holders.empty() && !analysis_.SeesNamespace(account->ns)) {
      finding.certainty = Certainty::kCannotSee;
    }
    for (const Workload* holder : holders) {
      if (holder->object == nullptr) continue;
      finding.related.push_back({holder->object->span, "runs as " + who});
    }
    AddWitness(policy, rule, holders, &finding);
  }

  // The holder that was probably not meant (the last by name) calls a workload of the policy.
  void AddWitness(const AuthorizationPolicy& policy, const AuthorizationPolicy::Rule& rule,
                  const Holders& holders, Finding* finding) const {
    auto caller = std::find_if(holders.rbegin(), holders.rend(), [](const Workload* holder) {
      return holder->mode == ProxyMode::kSidecar;
    });
    if (caller == holders.rend() || !policy.target_refs.empty()) return;
    const bool mesh_wide = policy.meta.ns == analysis_.mesh.config().root_namespace;
    for (const Workload* target :
         index_.Selected(policy.selector.match_labels, mesh_wide ? "" : policy.meta.ns)) {
      if (target == *caller || target->mode != ProxyMode::kSidecar) continue;
      std::optional<InboundPort> port = FirstPort(analysis_, *target);
      if (!port) continue;
      Case question = PlaintextCase(*target, port->port, port->protocol);
      question.from_outside = false;
      question.tls = CaseTls::kAuto;
      question.from_workload = (*caller)->ns + "/" + (*caller)->name;
      Fit(rule, &question);
      AttachWitness(analysis_, question, Outcome::kAllow, finding);
      return;
    }
  }

  // Asks for what the rule lets its callers do.
  static void Fit(const AuthorizationPolicy::Rule& rule, Case* question) {
    if (rule.to.empty()) return;
    const AuthorizationPolicy::Operation& to = rule.to.front();
    if (!to.methods.empty() && to.methods.values.front().value.find('*') == std::string::npos) {
      question->method = std::string(to.methods.values.front().value);
    }
    if (to.paths.empty()) return;
    std::string path(to.paths.values.front().value);
    if (path.ends_with('*')) path.back() = 'x';
    if (path.starts_with('/') && path.find_first_of("*{") == std::string::npos) {
      question->path = path;
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const WorkloadIndex& index_;
  std::map<std::string, Holders, std::less<>> holders_;  // by "ns/account"
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    checker.Check(policy);
  }
}

}  // namespace meshproof::shared_identity

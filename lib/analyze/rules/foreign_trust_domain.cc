// Proxies take certificates of the mesh's trust domain, of its aliases and of those that
// caCertificates name (istio-semantics section 3); `namespaces` and `serviceAccounts` disregard the
// domain, and a whole principal is rewritten to every alias (section 1.7). So a workload of another
// cluster gets in under a name that was given to one of this. In releases before the fixes of
// 2026-003 a dot in an account's name stands for any character as well (section 9).
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "analyze/bulletins.h"
#include "analyze/names.h"
#include "analyze/reach.h"
#include "analyze/rule.h"
#include "analyze/value_forms.h"
#include "base/text.h"
#include "proxy/trust_domain.h"

namespace meshproof::foreign_trust_domain {
namespace {

bool IsFixedIn(const Release& release, const std::vector<Fix>& fixes) {
  for (const Fix& fix : fixes) {
    if (release.minor == fix.minor) return release.patch.value_or(0) >= fix.patch;
  }
  return release.minor > fixes.back().minor;
}

// Lists of a policy that name callers.
struct CallerList {
  const TextList* list = nullptr;
  std::string_view name;
};

std::vector<CallerList> ListsOf(const AuthorizationPolicy::Source& s) {
  return {{&s.service_accounts, "serviceAccounts"},
          {&s.namespaces, "namespaces"},
          {&s.principals, "principals"}};
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    const MeshConfig& config = analysis.model.mesh_config;
    for (const std::string& domain : AcceptedTrustDomains(config)) {
      if (domain != config.trust_domain && domain.find('*') == std::string::npos) {
        foreign_.push_back(domain);
      }
    }
    release_ = ParseRelease(analysis.istio_version);
  }

  void Check(const AuthorizationPolicy& policy) {
    if (policy.dry_run || policy.action != AuthorizationPolicy::Action::kAllow) return;
    for (const std::string& domain : foreign_) {
      if (Names(policy, domain)) continue;
      if (CheckDomain(policy, domain)) break;
    }
    CheckDots(policy);
  }

 private:
  // A policy that names the other domain knows of it.
  static bool Names(const AuthorizationPolicy& policy, const std::string& domain) {
    const auto in = [&](const TextList& list) {
      return std::any_of(list.values.begin(), list.values.end(), [&](const Text& text) {
        return text.value == domain || text.value.starts_with(domain + "/");
      });
    };
    for (const auto& rule : policy.rules) {
      for (const auto& source : rule.from) {
        if (in(source.principals) || in(source.not_principals) || in(source.trust_domains) ||
            in(source.not_trust_domains)) {
          return true;
        }
      }
      for (const auto& condition : rule.when) {
        if (in(condition.values) || in(condition.not_values)) return true;
      }
    }
    return false;
  }

  bool CheckDomain(const AuthorizationPolicy& policy, const std::string& domain) {
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      const auto& from = policy.rules[i].from;
      for (size_t j = 0; j < from.size(); ++j) {
        for (const CallerList& list : ListsOf(from[j])) {
          // A leading star says any domain.
          if (list.list->empty() || list.list->values.front().value.starts_with('*')) continue;
          if (Ask(policy, domain, i, j, list)) return true;
          break;
        }
      }
    }
    return false;
  }

  bool Ask(const AuthorizationPolicy& policy, const std::string& domain, size_t i, size_t j,
           const CallerList& list) {
    constexpr size_t kMostSites = 2;
    std::vector<const Site*> sites = analysis_.reach->SitesOf(policy);
    if (sites.size() > kMostSites) sites.resize(kMostSites);
    Region who = Region::And({Region::Rule(policy.meta, static_cast<int>(i)),
                              RegionOf(policy.rules[i].from[j], policy.meta.ns),
                              Region::Is(Region::Field::kIdentity, domain + "/*")});
    for (const Site* site : sites) {
      for (int port : analysis_.reach->CalledPorts(*site)) {
        Answer answer = analysis_.reach->Find(site->workload(), port, who, Wanted::kAllowed);
        if (!answer.found()) continue;
        Report(policy, domain, i, j, list, *answer.example);
        return true;
      }
    }
    return false;
  }

  void Report(const AuthorizationPolicy& policy, const std::string& domain, size_t i, size_t j,
              const CallerList& list, const Example& example) {
    const MeshConfig& config = analysis_.model.mesh_config;
    bool alias = std::find(config.trust_domain_aliases.begin(), config.trust_domain_aliases.end(),
                           domain) != config.trust_domain_aliases.end();
    std::string why = list.name == "principals"
                          ? "a principal stands for every alias of its trust domain"
                          : "`" + std::string(list.name) + "` disregards the trust domain";
    std::string instead = alias ? "exclude it by `notPrincipals: [\"" + domain +
                                      "/*\"]`, or drop the alias once nothing needs it"
                                : "add `trustDomains: [\"" + config.trust_domain + "\"]`";
    const Text& first = list.list->values.front();
    Finding& finding = reporter_.Report(
        policy.meta, first.span,
        "callers of trust domain " + domain + " get in by `" + std::string(list.name) + "`, as " +
            example.request.from_identity.value_or("an identity of it") + ": " + why + "; " +
            instead + ", or name the domain where its callers are meant");
    // That aliases stand for each other is what they are for.
    if (list.name == "principals") finding.severity = Severity::kInfo;
    finding.field_path = "spec.rules[" + std::to_string(i) + "].from[" + std::to_string(j) +
                         "].source." + std::string(list.name) + "[0]";
    finding.detail = domain;
    instead.front() = static_cast<char>(instead.front() - 'a' + 'A');
    finding.fix = instead + ".";
    if (config.object != nullptr) {
      finding.related.push_back({config.object->span, "the mesh takes certificates of " + domain});
    }
    AttachExample(analysis_, example, &finding);
  }

  // Without a fix the dots of names are part of the regular expression.
  void CheckDots(const AuthorizationPolicy& policy) {
    if (!release_) return;
    bool accounts = !IsFixedIn(*release_, {{27, 9}, {28, 6}, {29, 2}, {30, 0}});
    bool others = !IsFixedIn(*release_, {{27, kNotFixed}, {28, 7}, {29, 3}, {30, 0}});
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      const auto& from = policy.rules[i].from;
      for (size_t j = 0; j < from.size(); ++j) {
        const auto check = [&](const TextList& list, const std::string& name) {
          for (size_t v = 0; v < list.values.size(); ++v) {
            if (name == "principals" && !list.values[v].value.starts_with('*')) continue;
            ReportDot(policy, list.values[v], name,
                      "spec.rules[" + std::to_string(i) + "].from[" + std::to_string(j) +
                          "].source." + name + "[" + std::to_string(v) + "]");
          }
        };
        if (accounts) check(from[j].service_accounts, "serviceAccounts");
        if (others) check(from[j].principals, "principals");
      }
    }
  }

  void ReportDot(const AuthorizationPolicy& policy, const Text& value, const std::string& name,
                 const std::string& path) {
    std::string other(value.value);
    size_t dot = other.find('.');
    if (dot == std::string::npos) return;
    other[dot] = 'x';
    Finding& finding = reporter_.Report(
        policy.meta, value.span,
        "in Istio " + analysis_.istio_version + " the dot in `" + std::string(value.value) +
            "` of `" + name + "` stands for any character, so that `" + other +
            "` gets in as well; move to a release with the fix, or use an account without a dot");
    finding.field_path = path;
    finding.detail = "dot";
    finding.fix = "Move to a release with the fix of 2026-003.";
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::vector<std::string> foreign_;
  std::optional<Release> release_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    checker.Check(policy);
  }
}

}  // namespace meshproof::foreign_trust_domain

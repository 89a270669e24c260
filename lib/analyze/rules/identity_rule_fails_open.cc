// Rules on the caller's identity at a port that takes plaintext. A caller without a certificate has
// no identity, and a negation of an absent one holds (istio-semantics section 1.3): an ALLOW rule
// that excludes identities lets him in, a DENY rule that names some does not refuse him.
#include <optional>
#include <string>
#include <vector>

#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

namespace meshproof::identity_rule_fails_open {
namespace {

using Field = Region::Field;
using Subject = PolicyList::Subject;

// The list that a caller without identity walks past; null where the rule has none.
const PolicyList* OpenList(const std::vector<PolicyList>& lists, bool allow) {
  for (const PolicyList& list : lists) {
    if (list.subject == Subject::kIdentity && list.negative == allow) return &list;
  }
  return nullptr;
}

// The rule without what it says of identities.
AuthorizationPolicy::Rule WithoutIdentities(AuthorizationPolicy::Rule rule) {
  for (AuthorizationPolicy::Source& source : rule.from) {
    for (TextList* list :
         {&source.principals, &source.not_principals, &source.namespaces, &source.not_namespaces,
          &source.service_accounts, &source.not_service_accounts, &source.trust_domains,
          &source.not_trust_domains}) {
      *list = {};
    }
  }
  std::erase_if(rule.when, [](const AuthorizationPolicy::Condition& condition) {
    return condition.key.value.starts_with("source.") && condition.key.value != "source.ip";
  });
  return rule;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Run() {
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
      bool deny = policy.action == AuthorizationPolicy::Action::kDeny;
      if (policy.dry_run || (!allow && !deny)) continue;
      for (size_t i = 0; i < policy.rules.size(); ++i) {
        std::vector<PolicyList> lists = ListsOf(policy.rules[i]);
        const PolicyList* list = OpenList(lists, allow);
        if (list != nullptr) CheckRule(policy, i, *list);
      }
    }
  }

 private:
  void CheckRule(const AuthorizationPolicy& policy, size_t index, const PolicyList& list) {
    const AuthorizationPolicy::Rule& rule = policy.rules[index];
    bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
    std::vector<Region> all = {Region::Not(Region::Is(Field::kMutualTls))};
    if (allow) {
      all.push_back(Region::Rule(policy.meta, static_cast<int>(index)));
      if (list.source != nullptr) all.push_back(RegionOf(*list.source, policy.meta.ns));
    } else {
      all.push_back(RegionOf(WithoutIdentities(rule), policy.meta.ns));
    }
    const Region walks_past = Region::And(std::move(all));
    std::optional<Answer> answer;
    const Site* at = nullptr;
    int at_port = 0;
    std::vector<const Site*> open;
    for (const Site* site : analysis_.reach->SitesOf(policy)) {
      if (site->workload().mode != ProxyMode::kSidecar) continue;
      EffectiveMtls mtls = analysis_.mesh.MtlsFor(site->workload());
      for (int port : analysis_.reach->CalledPorts(*site)) {
        // Where nobody has an identity the rule is dead (MP0407).
        if (mtls.ForPort(port).mode != MtlsMode::kPermissive) continue;
        Answer found = analysis_.reach->Find(site->workload(), port, walks_past, Wanted::kAllowed);
        if (!found.found()) continue;
        open.push_back(site);
        if (!answer) {
          answer = std::move(found);
          at = site;
          at_port = port;
        }
        break;
      }
    }
    if (answer) Report(policy, index, list, open, *at, at_port, *answer->example);
  }

  void Report(const AuthorizationPolicy& policy, size_t index, const PolicyList& list,
              const std::vector<const Site*>& open, const Site& site, int port,
              const Example& example) {
    std::string where = "port " + std::to_string(port) + " of " + NamesOf(open);
    bool allow = policy.action == AuthorizationPolicy::Action::kAllow;
    std::string message =
        allow ? "`" + list.name + "` lets in callers that have no identity at all: " + where +
                    " takes plaintext, and who shows no certificate is none of those that are "
                    "excluded; set mTLS to STRICT there, or name the callers that may"
              : "`" + list.name + "` refuses nobody who speaks plaintext: " + where +
                    " takes it, and without a certificate a caller has no identity to be refused "
                    "for; set mTLS to STRICT there, or allow named callers alone";
    Finding& finding = reporter_.Report(policy.meta, list.span, std::move(message));
    const EffectiveMode mode = analysis_.mesh.MtlsFor(site.workload()).ForPort(port);
    if (mode.source != nullptr) {
      finding.related.push_back(
          {mode.span ? mode.span : mode.source->meta.span, "plaintext is taken because of this"});
    }
    finding.field_path = FieldPathOf(index, list);
    finding.fix = "Set mTLS to STRICT for these workloads.";
    AttachExample(analysis_, example, &finding);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::identity_rule_fails_open

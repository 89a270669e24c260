// ALLOW rules that take nothing away: together they match every request to a port, or the sources
// of one are together all that there are. Asked of what is written, whatever mTLS then keeps out; a
// rule without conditions counts only where no DENY or CUSTOM policy stands beside it.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

namespace meshproof::allows_everything {
namespace {

using RuleName = std::pair<const AuthorizationPolicy*, size_t>;
using Field = Region::Field;

bool Names(const TextList& ports, int port) {
  const std::string number = std::to_string(port);
  return std::any_of(ports.values.begin(), ports.values.end(),
                     [&](const Text& text) { return text.value == number; });
}

// Lists that RegionOf does not look at.
bool IsBeyondRegions(const PolicyList& list) {
  if (list.name == "trustDomains" || list.name == "notTrustDomains") return true;
  if (list.condition == nullptr) return false;
  std::string_view key = list.condition->key.value;
  return key == "source.trustDomain" || key.starts_with("destination.") ||
         key.starts_with("experimental.");
}

bool NamesPortsAlone(const std::vector<PolicyList>& lists) {
  return !lists.empty() && std::all_of(lists.begin(), lists.end(), [](const PolicyList& list) {
    return list.subject == PolicyList::Subject::kPort;
  });
}

// Whether one rule could hold everything, alone or beside others: it names only what it excludes,
// or stars. Who names a port opened it on purpose.
bool LeavesNothingOut(const std::vector<PolicyList>& lists) {
  if (NamesPortsAlone(lists)) return false;
  return std::all_of(lists.begin(), lists.end(), [](const PolicyList& list) {
    if (list.negative || list.subject == PolicyList::Subject::kPort) return true;
    return std::any_of(
        list.values->values.begin(), list.values->values.end(), [](const Text& text) {
          return text.value == "*" || text.value == "/*" || text.value.ends_with("/0");
        });
  });
}

struct WrittenRule {
  RuleName name;
  std::vector<PolicyList> lists;
  const AuthorizationPolicy::Rule& rule() const { return name.first->rules[name.second]; }
};

// What a rule holds of the requests to a port; nothing: it is not about the port, or what it asks
// cannot be said.
std::optional<Region> RegionAt(const WrittenRule& written, int port) {
  for (const PolicyList& list : written.lists) {
    if (IsBeyondRegions(list)) return std::nullopt;
  }
  AuthorizationPolicy::Rule rule = written.rule();
  size_t operations = rule.to.size();
  std::erase_if(rule.to, [&](const AuthorizationPolicy::Operation& operation) {
    return Names(operation.not_ports, port) ||
           (!operation.ports.empty() && !Names(operation.ports, port));
  });
  if (operations > 0 && rule.to.empty()) return std::nullopt;
  return RegionOf(rule, written.name.first->meta.ns);
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Run() {
    for (const Site& site : analysis_.reach->Sites()) {
      std::vector<WrittenRule> rules;
      for (const AuthorizationPolicy* policy : site.policies.allow) {
        if (policy->dry_run) continue;
        for (size_t i = 0; i < policy->rules.size(); ++i) {
          if (policy->rules[i].null) continue;
          rules.push_back({{policy, i}, ListsOf(policy->rules[i])});
        }
      }
      bool may = std::any_of(rules.begin(), rules.end(),
                             [](const WrittenRule& rule) { return LeavesNothingOut(rule.lists); });
      if (!may) continue;
      for (int port : analysis_.reach->CalledPorts(site)) CheckPort(site, port, rules);
    }
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      if (policy.dry_run || policy.action != AuthorizationPolicy::Action::kAllow) continue;
      for (size_t i = 0; i < policy.rules.size(); ++i) CheckSources(policy, i);
    }
  }

 private:
  // Whether no request to the port is outside the region.
  bool HoldsAll(const Site& site, int port, const Region& region) const {
    const Reach& reach = *analysis_.reach;
    const Region outside = Region::Not(region);
    return reach.Find(site.workload(), port, outside, Wanted::kAllowed).empty() &&
           reach.Find(site.workload(), port, outside, Wanted::kRefused).empty();
  }

  static bool EnforcesMore(const Site& site) {
    auto enforced = [](const AuthorizationPolicy* policy) { return !policy->dry_run; };
    const PolicySet& set = site.policies;
    return std::any_of(set.deny.begin(), set.deny.end(), enforced) ||
           std::any_of(set.custom.begin(), set.custom.end(), enforced);
  }

  void CheckPort(const Site& site, int port, const std::vector<WrittenRule>& rules) {
    std::vector<RuleName> kept;
    std::vector<Region> regions;
    for (const WrittenRule& rule : rules) {
      if (rule.lists.empty()) {
        if (!EnforcesMore(site)) ReportUnion(site, port, {rule.name});
        return;
      }
      std::optional<Region> region = RegionAt(rule, port);
      if (!region) continue;
      if (NamesPortsAlone(rule.lists)) return;
      kept.push_back(rule.name);
      regions.push_back(*std::move(region));
    }
    if (kept.empty() || !HoldsAll(site, port, Region::Or(regions))) return;
    // The fewest rules that do it.
    for (size_t i = 0; i < kept.size() && kept.size() > 1;) {
      std::vector<Region> fewer = regions;
      auto at = static_cast<std::ptrdiff_t>(i);
      fewer.erase(fewer.begin() + at);
      if (!HoldsAll(site, port, Region::Or(fewer))) {
        ++i;
        continue;
      }
      regions = std::move(fewer);
      kept.erase(kept.begin() + at);
    }
    ReportUnion(site, port, kept);
  }

  void ReportUnion(const Site& site, int port, const std::vector<RuleName>& rules) {
    const auto& [policy, index] = rules.front();
    if (!reported_.insert({policy, index}).second) return;
    std::string who = "this ALLOW rule matches";
    if (rules.size() > 1) {
      who = "this ALLOW rule and " + std::to_string(rules.size() - 1) + " more together match";
    }
    Finding& finding = reporter_.Report(
        policy->meta, policy->rules[index].span,
        who + " every request to port " + std::to_string(port) + " of " + NamesOf({&site}) +
            ": whoever reaches it is let in, as without any policy; name the callers and the "
            "requests that are meant");
    for (size_t i = 1; i < rules.size(); ++i) {
      reported_.insert(rules[i]);
      finding.related.push_back({rules[i].first->rules[rules[i].second].span, "matches the rest"});
    }
    finding.field_path = "spec.rules[" + std::to_string(index) + "]";
    finding.fix = "Name the callers and the requests that are meant.";
    Show(site, port, Region::All(), &finding);
  }

  // Best a caller without any identity.
  void Show(const Site& site, int port, const Region& region, Finding* finding) const {
    const Reach& reach = *analysis_.reach;
    Region stranger = Region::And({region, Region::Not(Region::Is(Field::kMutualTls))});
    Answer answer = reach.Find(site.workload(), port, stranger, Wanted::kAllowed);
    if (!answer.found()) answer = reach.Find(site.workload(), port, region, Wanted::kAllowed);
    if (answer.found()) AttachExample(analysis_, *answer.example, finding);
  }

  void CheckSources(const AuthorizationPolicy& policy, size_t index) {
    const AuthorizationPolicy::Rule& rule = policy.rules[index];
    if (rule.from.empty() || reported_.contains({&policy, index})) return;
    std::vector<PolicyList> lists = ListsOf(rule);
    std::erase_if(lists, [](const PolicyList& list) { return list.source == nullptr; });
    if (lists.empty() || std::any_of(lists.begin(), lists.end(), IsBeyondRegions)) return;
    // Sources that only name somebody never are everybody.
    bool wide = std::any_of(lists.begin(), lists.end(),
                            [](const PolicyList& list) { return LeavesNothingOut({list}); });
    if (!wide) return;
    std::vector<Region> any;
    for (const AuthorizationPolicy::Source& source : rule.from) {
      any.push_back(RegionOf(source, policy.meta.ns));
    }
    const Region sources = Region::Or(std::move(any));
    for (const Site* site : analysis_.reach->SitesOf(policy)) {
      for (int port : analysis_.reach->CalledPorts(*site)) {
        if (!HoldsAll(*site, port, sources)) continue;
        Finding& finding = reporter_.Report(
            policy.meta, rule.from.front().span ? rule.from.front().span : rule.span,
            "the sources of this ALLOW rule are together every source at port " +
                std::to_string(port) + " of " + NamesOf({site}) +
                ": none of them keeps anybody out; name the callers that are meant");
        finding.field_path = "spec.rules[" + std::to_string(index) + "].from";
        finding.fix = "Name the callers that are meant.";
        Show(*site, port, Region::Rule(policy.meta, static_cast<int>(index)), &finding);
        return;
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::set<RuleName> reported_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::allows_everything

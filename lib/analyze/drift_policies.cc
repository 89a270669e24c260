// "Decide alike" is settled by requests made of the values in both rules: two simulators answer
// each, and the first that gets two verdicts is the evidence. Rules whose conditions are equal are
// not asked about.

#include "analyze/drift_comparison.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analyze/drift_probe.h"
#include "analyze/drift_rules.h"
#include "analyze/drift_verdicts.h"
#include "proxy/dump.h"
#include "simulate/simulate.h"

namespace meshproof {
namespace {

class PolicyComparer {
 public:
  explicit PolicyComparer(DriftComparison& comparison) : c_(comparison) {}

  void Compare() {
    struct Seen {
      std::set<std::string> ports;
      const PolicyPlace* place = nullptr;
      PolicyPlace kept;
    };
    std::map<std::string, Seen> missing, extra;  // by "ns/name (ACTION)"
    std::map<std::string, ChainPair*> changed;   // by key
    const std::set<std::string> turned = TurnedPolicies();
    for (ChainPair& pair : c_.pairs) {
      Policies expected = PoliciesOf(pair.expected);
      Policies got = PoliciesOf(pair.got);
      std::set<std::string> expected_objects, got_objects;
      for (const auto& [key, place] : expected) expected_objects.insert(ObjectOf(key));
      for (const auto& [key, place] : got) got_objects.insert(ObjectOf(key));
      for (const auto& [key, place] : expected) {
        if (got.contains(key)) {
          if (!SameMeaning(place, got.at(key))) changed.emplace(key, &pair);
        } else if (got_objects.contains(ObjectOf(key))) {
          changed.emplace(key, &pair);  // the policy is there, this rule of it is not
        } else if (turned.contains(ObjectOf(key))) {
          continue;
        } else {
          Seen& seen = missing[ObjectOf(key)];
          seen.ports.insert(PortText(*pair.got.chain));
          seen.kept = place;
        }
      }
      for (const auto& [key, place] : got) {
        if (expected.contains(key)) continue;
        if (expected_objects.contains(ObjectOf(key))) {
          changed.emplace(key, &pair);
          continue;
        }
        if (turned.contains(ObjectOf(key))) continue;
        Seen& seen = extra[ObjectOf(key)];
        seen.ports.insert(PortText(*pair.got.chain));
        seen.kept = place;
      }
    }
    for (const auto& [name, seen] : missing) {
      const Origin& origin = seen.kept.policy->origin;
      auto& difference = c_.Add(
          "MP0901", origin.object != nullptr ? origin.object->span : Span(),
          "policy `" + name + "` is missing in the proxy of " + c_.who + " on " +
              ListText(seen.ports) +
              ": what it says is not enforced there; see whether istiod pushed the update (" +
              "istioctl proxy-status) or the dump is older than the policy");
      difference.object = origin.object;
      difference.detail = c_.who + " missing " + name;
      difference.related.push_back({c_.dump.span, "the dump of " + c_.who});
      c_.ExplainByVersion("AuthorizationPolicy", name, &difference);
    }
    for (const auto& [name, seen] : extra) {
      auto& difference = c_.Add(
          "MP0901", DumpSpan(*seen.kept.policy),
          "policy `" + name + "` is in the proxy of " + c_.who + " on " + ListText(seen.ports) +
              ", but no manifest has it: somebody applied it by hand or it was deleted " +
              "without reaching the proxy; add it to the manifests or delete it");
      difference.detail = c_.who + " extra " + name;
      c_.ExplainByVersion("AuthorizationPolicy", name, &difference);
    }
    CompareMeanings(changed);
  }

  // Policies that both sides have, with another action: on TCP ports, where ALLOW and DENY keep

 private:
  // other parts of a rule, one of them may then lack it.
  std::set<std::string> TurnedPolicies() const {
    using Way = std::pair<Rbac::Action, bool>;
    std::map<std::string, std::set<Way>> expected, got;
    auto note = [](const ChainView& view, std::map<std::string, std::set<Way>>* ways) {
      for (const auto& [key, place] : PoliciesOf(view)) {
        (*ways)[ObjectOf(key)].emplace(place.action, place.shadow);
      }
    };
    for (const ChainPair& pair : c_.pairs) {
      note(pair.expected, &expected);
      note(pair.got, &got);
    }
    std::set<std::string> turned;
    for (const auto& [name, ways] : expected) {
      auto other = got.find(name);
      if (other != got.end() && other->second != ways) turned.insert(name);
    }
    return turned;
  }

  // A policy's place in the dump; origins may point to the manifest.
  Span DumpSpan(const RbacPolicy& policy) const {
    if (!policy.permissions.empty() && policy.permissions.front().span) {
      return policy.permissions.front().span;
    }
    return policy.origin.span;
  }

  bool SameMeaning(const PolicyPlace& a, const PolicyPlace& b) const {
    return a.action == b.action && a.shadow == b.shadow &&
           CanonicalText(*a.policy) == CanonicalText(*b.policy);
  }

  void CompareMeanings(const std::map<std::string, ChainPair*>& changed) {
    if (changed.empty()) return;
    ProxySimulator expected(c_.expected);
    ProxySimulator got(c_.dump.config);
    std::set<std::string> reported;
    for (const auto& [key, pair] : changed) {
      if (reported.contains(ObjectOf(key))) continue;
      Prober prober(SeedRequests(c_, *pair));
      Policies before = PoliciesOf(pair->expected), after = PoliciesOf(pair->got);
      for (const Policies* side : {&before, &after}) {
        auto found = side->find(key);
        if (found != side->end()) prober.Add(*found->second.policy);
      }
      bool asked = false;
      for (const ProxyRequest& request : prober.Take()) {
        Verdict wanted = expected.Run(request);
        Verdict seen = got.Run(request);
        if (wanted.outcome == Outcome::kUndetermined || seen.outcome == Outcome::kUndetermined) {
          continue;
        }
        // Who is let in at all is not the rule's doing.
        if (EndsBeforeRules(wanted) || EndsBeforeRules(seen)) continue;
        asked = true;
        if (wanted.outcome == seen.outcome && wanted.status == seen.status) continue;
        reported.insert(ObjectOf(key));
        const PolicyPlace* place = after.contains(key) ? &after.at(key) : &before.at(key);
        auto& difference = c_.Add(
            "MP0902", after.contains(key) ? DumpSpan(*place->policy) : place->policy->origin.span,
            "rule `" + key + "` decides otherwise in the proxy of " + c_.who +
                " than in the manifests: " + RequestText(request) + " gets " + VerdictText(seen) +
                " there and " + VerdictText(wanted) + " by the manifests; find out which of the " +
                "two is meant, and apply it");
        difference.witness = WitnessOf(c_, request, seen.outcome);
        if (difference.witness) difference.certainty = Certainty::kProven;
        difference.detail = c_.who + " " + key;
        if (before.contains(key)) {
          difference.object = before.at(key).policy->origin.object;
          difference.related.push_back({before.at(key).policy->origin.span, "the manifest's rule"});
        }
        c_.ExplainByVersion("AuthorizationPolicy", ObjectOf(key), &difference);
        break;
      }
      if (!asked) AddUnasked(key, before, after, &reported);
    }
  }

  // Where nothing can be asked (a waypoint's chains are chosen by a matcher that cannot be seen
  // through) the text of the rule has to do.
  void AddUnasked(const std::string& key, const Policies& before, const Policies& after,
                  std::set<std::string>* reported) {
    if (!reported->insert(ObjectOf(key)).second) return;
    const RbacPolicy& there = *(after.contains(key) ? after : before).at(key).policy;
    auto& difference =
        c_.Add("MP0902", DumpSpan(there),
               "rule `" + key + "` is " +
                   (!after.contains(key)   ? std::string("missing")
                    : before.contains(key) ? std::string("written otherwise")
                                           : std::string("one more")) +
                   " in the proxy of " + c_.who +
                   " than in the manifests, and no request could be asked of it; compare the two");
    difference.detail = c_.who + " " + key;
    if (before.contains(key)) {
      const Origin& origin = before.at(key).policy->origin;
      difference.object = origin.object;
      difference.related.push_back({origin.span, "the manifest's rule"});
    }
    c_.ExplainByVersion("AuthorizationPolicy", ObjectOf(key), &difference);
  }

  DriftComparison& c_;
};

}  // namespace

void ComparePolicies(DriftComparison& comparison) {
  PolicyComparer(comparison).Compare();
}

}  // namespace meshproof

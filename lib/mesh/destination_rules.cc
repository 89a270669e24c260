// DestinationRules as istiod indexes them. Rules of one namespace and host become one: the oldest
// one's traffic policy counts, and of each subset name the oldest; rules with a workloadSelector
// stand before those without, are private to their namespace, and take in what the latter add.
// Looked up is the client's namespace (for the root only what is private to it), then what the
// Service's namespace exports, then what the root exports; in each the most specific host.
#include <algorithm>

#include "base/text.h"
#include "mesh/builder.h"
#include "mesh/hosts.h"
#include "mesh/order.h"

namespace meshproof {
namespace {

const Selector* SelectorOf(const DestinationRule& rule) {
  return rule.workload_selector.present ? &rule.workload_selector : nullptr;
}

bool SameLabels(const Labels& a, const Labels& b) {
  return Selects(a, b) && Selects(b, a);
}

}  // namespace

void MeshBuilder::MergeRule(const DestinationRule& rule, const std::set<std::string>& export_to,
                            Mesh::RuleIndex* index) {
  const std::string host =
      CompleteHost(ToLower(rule.host.value), rule.meta.ns, model_.mesh_config.domain);
  std::vector<Mesh::MergedRule>& merged = index->by_host[host];
  const bool enhanced = mesh_.FeatureEnabled("ENABLE_ENHANCED_DESTINATIONRULE_MERGE", true);
  const Selector* selector = SelectorOf(rule);
  bool append = true;
  for (Mesh::MergedRule& existing : merged) {
    const bool neither_selects = !selector && !existing.selector;
    const bool both_select = selector && existing.selector;
    const bool same_selector =
        both_select && SameLabels(selector->match_labels, existing.selector->match_labels);
    append = true;
    if (enhanced && export_to != existing.export_to) {
      const bool wider = !existing.export_to.empty() &&
                         std::includes(export_to.begin(), export_to.end(),
                                       existing.export_to.begin(), existing.export_to.end());
      if (!wider) continue;
    }
    if (both_select && !same_selector) continue;
    if (neither_selects || same_selector) append = false;
    existing.from.push_back(&rule);
  }
  if (append) merged.push_back({{&rule}, export_to, selector});
}

void MeshBuilder::IndexDestinationRules() {
  std::vector<const DestinationRule*> rules;
  for (const DestinationRule& rule : model_.destination_rules) rules.push_back(&rule);
  SortOldestFirst(&rules);
  std::stable_partition(rules.begin(), rules.end(),
                        [](const DestinationRule* rule) { return SelectorOf(*rule) != nullptr; });
  for (const DestinationRule* rule : rules) {
    const std::string& ns = rule->meta.ns;
    std::set<std::string> export_to;
    if (SelectorOf(*rule)) {
      export_to.insert(".");
    } else {
      for (const Text& value : rule->export_to.values) export_to.emplace(value.value);
    }
    const bool to_own = export_to.count(".") > 0 || export_to.count(ns) > 0;
    if (export_to.empty() || export_to.count("*") > 0 || to_own) {
      MergeRule(*rule, export_to, &mesh_.local_rules_[ns]);
    }
    if (export_to.size() == 1 && to_own) {
      if (ns == model_.mesh_config.root_namespace) {
        MergeRule(*rule, export_to, &mesh_.private_root_rules_[ns]);
      }
    } else {
      MergeRule(*rule, export_to, &mesh_.exported_rules_[ns]);
    }
  }
}

const std::vector<Mesh::MergedRule>* Mesh::MostSpecificRules(
    const std::unordered_map<std::string, RuleIndex>& index, std::string_view ns,
    std::string_view host) const {
  auto in_namespace = index.find(std::string(ns));
  if (in_namespace == index.end()) return nullptr;
  const auto& by_host = in_namespace->second.by_host;
  const std::vector<MergedRule>* found = nullptr;
  VisitCoveringHosts(std::string(host), [&](const std::string& pattern) {
    auto it = by_host.find(pattern);
    if (it == by_host.end()) return false;
    found = &it->second;
    return true;
  });
  return found;
}

const Mesh::MergedRule* Mesh::MergedRuleFor(const Workload& client,
                                            const MeshService& service) const {
  const std::string& root = config().root_namespace;
  const std::vector<MergedRule>* rules = nullptr;
  rules = client.ns == root ? MostSpecificRules(private_root_rules_, root, service.host)
                            : MostSpecificRules(local_rules_, client.ns, service.host);
  std::vector<const MergedRule*> candidates;
  if (rules) {
    for (const MergedRule& rule : *rules) candidates.push_back(&rule);
  }
  for (const std::string& owner : {service.ns, root}) {
    if (!candidates.empty()) break;
    rules = MostSpecificRules(exported_rules_, owner, service.host);
    if (!rules) continue;
    for (const MergedRule& rule : *rules) {
      if (rule.export_to.empty() || rule.export_to.count("*") > 0 ||
          rule.export_to.count(client.ns) > 0) {
        candidates.push_back(&rule);
      }
    }
  }
  const MergedRule* for_all = nullptr;
  for (const MergedRule* rule : candidates) {
    if (!rule->selector) {
      for_all = rule;
    } else if (rule->from.front()->meta.ns == client.ns &&
               Selects(rule->selector->match_labels, client.labels)) {
      return rule;
    }
  }
  return for_all;
}

const DestinationRule* Mesh::DestinationRuleFor(const Workload& client,
                                                const MeshService& service) const {
  const MergedRule* rule = MergedRuleFor(client, service);
  return rule ? rule->from.front() : nullptr;
}

}  // namespace meshproof

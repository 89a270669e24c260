// A selector that no workload of its scope carries. Scopes (istio-semantics section 1.1): the
// object's namespace, and every namespace for objects of the root namespace and for Gateways.
// Whatever can run counts as a workload: a Deployment with no replicas, a CronJob, a WorkloadEntry,
// the pods of a WorkloadGroup and those that Istio makes for a Gateway API gateway.
#include <algorithm>
#include <map>
#include <string>

#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/workload_index.h"
#include "base/text.h"
#include "model/labels.h"

namespace meshproof::selects_nothing {
namespace {

// One object that selects workloads.
struct Selection {
  const ObjectMeta& meta;
  const Labels& labels;
  bool present = false;               // a selector stands there
  std::string scope;                  // namespace; "" = all
  const Node* labels_node = nullptr;  // the mapping of labels
  std::string_view without;           // what the mesh lacks while nothing is selected
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        index_(*analysis.index),
        names_(analysis.views->Names()),
        root_(analysis.model.mesh_config.root_namespace),
        scoped_gateways_(analysis.mesh.FeatureEnabled("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", false)) {
    for (const Workload& workload : analysis.mesh.workloads()) {
      sees_gateways_ = sees_gateways_ || workload.mode == ProxyMode::kGateway;
    }
    for (const WorkloadGroup& group : analysis.model.workload_groups) {
      extra_.push_back({group.meta.ns, group.labels});
    }
    for (const OtherObject& object : analysis.model.others) {
      if (object.meta.kind != "Gateway") continue;
      std::string name(object.meta.name);
      extra_.push_back({object.meta.ns,
                        {{std::string(kGatewayNameLabel), name}, {"istio.io/gateway-name", name}}});
    }
  }

  // `mesh_wide`: in the root namespace it reaches all others.
  void Check(const ObjectMeta& meta, const Labels& labels, bool present, bool mesh_wide,
             std::initializer_list<std::string_view> path, std::string_view without) {
    bool root = meta.ns == root_;
    CheckOne({meta, labels, present, root && mesh_wide ? "" : meta.ns, NodeAt(meta.node, path),
              without});
  }

  void CheckGateway(const Gateway& gateway) {
    Selection selection{gateway.meta,
                        gateway.selector,
                        !gateway.selector.empty(),
                        scoped_gateways_ ? gateway.meta.ns : "",
                        NodeAt(gateway.meta.node, {"spec", "selector"}),
                        "nobody opens its ports"};
    if (gateway.selector.empty() || IsSelected(selection)) return;
    CheckOne(selection);
  }

  // One finding for all selectors that cannot be judged.
  void ReportOutOfView() {
    for (const auto& [where, objects] : out_of_view_) {
      const ObjectMeta& first = *objects.front();
      std::string subject = objects.size() == 1 ? "the workloads that this selector means are"
                                                : "the workloads that this and " +
                                                      std::to_string(objects.size() - 1) +
                                                      " other objects select are";
      Finding& finding =
          reporter_.Report(first, first.span,
                           subject + " outside my view: the input has no workload " + where +
                               "; add their manifests, and their labels are compared");
      finding.severity = Severity::kInfo;
      finding.certainty = Certainty::kCannotSee;
      finding.detail = where;
      finding.istioctl_codes = CodesFor(first.kind);
      for (size_t i = 1; i < objects.size() && i <= 5; ++i) {
        finding.related.push_back({objects[i]->span, ToString(*objects[i]) + " selects there too"});
      }
    }
  }

 private:
  static std::vector<std::string> CodesFor(std::string_view kind) {
    return {kind == "Gateway" || kind == "Sidecar" ? "IST0101" : "IST0127"};
  }

  bool IsSelected(const Selection& selection) const {
    if (index_.SelectsAny(selection.labels, selection.scope)) return true;
    for (const auto& [ns, labels] : extra_) {
      if (!selection.scope.empty() && ns != selection.scope) continue;
      if (Selects(selection.labels, labels)) return true;
    }
    return false;
  }

  static bool MeansGateway(const Selection& selection) {
    if (selection.meta.kind == "Gateway") return true;
    return std::any_of(selection.labels.begin(), selection.labels.end(), [](const auto& label) {
      return label.second.find("gateway") != std::string::npos;
    });
  }

  void OutOfView(const Selection& selection) {
    std::string where = !sees_gateways_ && MeansGateway(selection) ? "that is a gateway"
                        : !analysis_.HasWorkloads() || selection.scope.empty()
                            ? "at all"
                            : "of namespace " + selection.scope;
    out_of_view_[where].push_back(&selection.meta);
  }

  void CheckOne(const Selection& selection) {
    if (!selection.present || selection.labels.empty()) return CheckWhole(selection);
    if (IsSelected(selection)) return;
    // A gateway is often installed elsewhere than what it serves.
    if (!sees_gateways_ && MeansGateway(selection)) return OutOfView(selection);
    bool empty =
        selection.scope.empty() ? !analysis_.HasWorkloads() : !names_.HasWorkloads(selection.scope);
    bool seen = selection.scope.empty() || analysis_.SeesNamespace(selection.scope);
    if (empty && (!analysis_.HasWorkloads() || !seen)) return OutOfView(selection);
    Report(selection);
  }

  // Without a selector it means every workload of its namespace.
  void CheckWhole(const Selection& selection) {
    if (selection.present || selection.scope.empty() || !analysis_.HasWorkloads() ||
        names_.HasWorkloads(selection.scope) || selection.meta.kind != "AuthorizationPolicy") {
      return;
    }
    if (!analysis_.SeesNamespace(selection.scope)) return OutOfView(selection);
    Finding& finding = reporter_.Report(
        selection.meta, selection.meta.span,
        "namespace " + selection.scope +
            " has no workload in the input, so this policy applies to nothing yet; it will hold "
            "for what is deployed there later");
    finding.severity = Severity::kInfo;
    finding.certainty = Certainty::kCannotSee;
    finding.istioctl_codes = CodesFor(selection.meta.kind);
  }

  std::string Scope(const Selection& selection) const {
    return selection.scope.empty() ? "of the mesh" : "of namespace " + selection.scope;
  }

  // The label to point to, and what is wrong with it.
  struct Difference {
    std::string key, wanted, found;  // `found` "" = the workload has no such label
    bool key_is_off = false;         // the value stands under another key
  };

  static std::vector<Difference> Differences(const Labels& selector, const Workload& workload) {
    std::vector<Difference> differences;
    for (const auto& [key, value] : selector) {
      const std::string* found = FindLabel(workload.labels, key);
      if (found != nullptr && *found == value) continue;
      differences.push_back({key, value, found == nullptr ? "" : *found, false});
      if (found != nullptr) continue;
      for (const auto& [other, other_value] : workload.labels) {
        if (other_value != value ||
            (!other.ends_with(key) && !key.ends_with(other) && !IsTypoOf(key, other))) {
          continue;
        }
        differences.back().found = other;
        differences.back().key_is_off = true;
      }
    }
    return differences;
  }

  Span SpanOfLabel(const Selection& selection, std::string_view key) const {
    if (selection.labels_node == nullptr) return selection.meta.span;
    const Entry* entry = selection.labels_node->FindEntry(key);
    if (entry == nullptr) return SpanOf(selection.meta.file, *selection.labels_node);
    return {selection.meta.file, entry->key.begin, std::max(entry->key.end, entry->value.end)};
  }

  void Report(const Selection& selection) {
    std::string selector;
    for (const auto& [key, value] : selection.labels) {
      if (!selector.empty()) selector += ", ";
      selector += key + "=" + value;
    }
    std::string message = "no workload " + Scope(selection) + " has the labels `" + selector +
                          "`, so " + std::string(selection.without);
    const Workload* elsewhere = nullptr;
    if (!selection.scope.empty()) {
      std::vector<const Workload*> others = index_.Selected(selection.labels, "");
      if (!others.empty()) elsewhere = others.front();
    }
    const Workload* nearest = index_.Nearest(selection.labels, selection.scope);
    std::vector<Difference> differences;
    if (nearest != nullptr) differences = Differences(selection.labels, *nearest);
    Span span = SpanOfLabel(
        selection, differences.empty() ? selection.labels.front().first : differences.front().key);
    if (elsewhere != nullptr) {
      message += "; " + elsewhere->ns + "/" + elsewhere->name +
                 " has them, but a selector does not leave its namespace";
    } else if (nearest != nullptr) {
      message +=
          "; nearest is " + nearest->ns + "/" + nearest->name + ", which has " + Say(differences);
    } else {
      message += "; write labels that the pods carry";
    }
    Finding& finding = reporter_.Report(selection.meta, span, std::move(message));
    finding.field_path = FieldPathAt(*selection.meta.node, span.begin);
    finding.istioctl_codes = CodesFor(selection.meta.kind);
    if (elsewhere != nullptr) {
      finding.fix = "Move the object to namespace " + elsewhere->ns + ".";
    } else if (differences.size() == 1 && !differences.front().found.empty()) {
      const Difference& only = differences.front();
      finding.fix = only.key_is_off ? "Write the label as `" + only.found + "`."
                                    : "Write `" + only.found + "`.";
      const Entry* entry =
          selection.labels_node == nullptr ? nullptr : selection.labels_node->FindEntry(only.key);
      if (entry != nullptr && IsTypoOf(only.key_is_off ? only.key : only.wanted, only.found)) {
        const Node& wrong = only.key_is_off ? entry->key : entry->value;
        finding.edits.push_back({SpanOf(selection.meta.file, wrong), only.found});
      }
    } else {
      finding.fix = "Write labels that the pods carry.";
    }
    const Workload* shown = elsewhere != nullptr ? elsewhere : nearest;
    if (shown != nullptr && shown->object != nullptr) {
      bool labels = shown->pod != nullptr && shown->pod->pod_labels_span;
      finding.related.push_back({labels ? shown->pod->pod_labels_span : shown->object->span,
                                 "the labels of " + shown->ns + "/" + shown->name});
    }
  }

  static std::string Say(const std::vector<Difference>& differences) {
    std::vector<std::string> parts;
    for (const Difference& difference : differences) {
      if (difference.key_is_off) {
        parts.push_back("`" + difference.found + "=" + difference.wanted + "`");
      } else if (difference.found.empty()) {
        parts.push_back("no label `" + difference.key + "`");
      } else {
        parts.push_back("`" + difference.key + "=" + difference.found + "`");
      }
    }
    return ListNames(parts);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const WorkloadIndex& index_;
  const KnownNames& names_;
  std::string root_;
  bool scoped_gateways_ = false;
  bool sees_gateways_ = false;
  std::vector<std::pair<std::string, Labels>> extra_;  // by namespace: labels of pods to come
  std::map<std::string, std::vector<const ObjectMeta*>> out_of_view_;
};

std::string_view EffectOf(std::string_view kind) {
  if (kind == "Telemetry") return "nothing is logged, traced or counted by it";
  if (kind == "WasmPlugin" || kind == "TrafficExtension") return "no proxy loads it";
  return "no proxy is configured by it";
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const Model& model = analysis.model;
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : model.authorization_policies) {
    if (!policy.target_refs.empty()) continue;
    bool denies = policy.action == AuthorizationPolicy::Action::kDeny;
    checker.Check(policy.meta, policy.selector.match_labels, policy.selector.present, true,
                  {"spec", "selector", "matchLabels"},
                  denies ? "nothing is denied by it" : "it protects nothing");
  }
  for (const RequestAuthentication& policy : model.request_authentications) {
    if (!policy.target_refs.empty()) continue;
    checker.Check(policy.meta, policy.selector.match_labels, policy.selector.present, true,
                  {"spec", "selector", "matchLabels"}, "no token is checked by it");
  }
  for (const PeerAuthentication& policy : model.peer_authentications) {
    // In the root namespace istiod ignores the selector; another rule says so.
    if (policy.meta.ns == model.mesh_config.root_namespace) continue;
    checker.Check(policy.meta, policy.selector.match_labels, policy.selector.present, false,
                  {"spec", "selector", "matchLabels"}, "no port gets its mode from it");
  }
  for (const Sidecar& sidecar : model.sidecars) {
    checker.Check(sidecar.meta, sidecar.workload_selector.match_labels,
                  sidecar.workload_selector.present, false, {"spec", "workloadSelector", "labels"},
                  "no proxy is configured by it");
  }
  for (const EnvoyFilter& filter : model.envoy_filters) {
    if (!filter.target_refs.empty()) continue;
    checker.Check(filter.meta, filter.workload_selector.match_labels,
                  filter.workload_selector.present, true, {"spec", "workloadSelector", "labels"},
                  "no proxy is patched by it");
  }
  for (const OtherObject& object : model.others) {
    std::string_view group = GroupOfVersion(object.meta.api_version);
    if (!group.ends_with(".istio.io") || !object.selector.present) continue;
    checker.Check(object.meta, object.selector.match_labels, true, true,
                  {"spec", "selector", "matchLabels"}, EffectOf(object.meta.kind));
  }
  for (const Gateway& gateway : model.gateways) checker.CheckGateway(gateway);
  checker.ReportOutOfView();
}

}  // namespace meshproof::selects_nothing

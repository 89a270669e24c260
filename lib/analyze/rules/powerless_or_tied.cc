// PeerAuthentications and Sidecars that never act, and those of which files cannot tell who acts
// (istio-semantics section 4): a selector in the root namespace is ignored, port entries need a
// selector, servers of gateways and waypoints take no PeerAuthentication; of several at one scope
// the oldest counts, and without creation times in the files nobody knows which that is.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/workload_index.h"
#include "base/text.h"

namespace meshproof::powerless_or_tied {
namespace {

std::string_view Name(MtlsMode mode) {
  switch (mode) {
    case MtlsMode::kDisable:
      return "DISABLE";
    case MtlsMode::kPermissive:
      return "PERMISSIVE";
    case MtlsMode::kStrict:
      return "STRICT";
    case MtlsMode::kUnset:
      break;
  }
  return "UNSET";
}

// What two settings do differently, "" if nothing.
std::string Difference(const PeerAuthentication& a, const PeerAuthentication& b) {
  std::vector<std::string> parts;
  const auto say = [&](const std::string& what, MtlsMode left, MtlsMode right) {
    if (left == right) return;
    parts.push_back(what + " " + std::string(Name(left)) + " or " + std::string(Name(right)));
  };
  say("the workload is", a.mode, b.mode);
  std::map<int, std::pair<MtlsMode, MtlsMode>> ports;
  for (const auto& port : a.ports) ports[port.port].first = port.mode;
  for (const auto& port : b.ports) ports[port.port].second = port.mode;
  for (const auto& [port, modes] : ports) {
    say("port " + std::to_string(port), modes.first, modes.second);
  }
  return ListNames(parts);
}

std::string Difference(const Sidecar& a, const Sidecar& b) {
  const Node* left = NodeAt(a.meta.node, {"spec"});
  const Node* right = NodeAt(b.meta.node, {"spec"});
  bool same = left != nullptr && right != nullptr && SameContent(*left, *right);
  return same ? "" : "what they say differs";
}

const Selector& SelectorOf(const PeerAuthentication& policy) {
  return policy.selector;
}
const Selector& SelectorOf(const Sidecar& sidecar) {
  return sidecar.workload_selector;
}

std::string Key(const Labels& labels) {
  std::set<std::string> parts;
  for (const auto& [key, value] : labels) parts.insert(key + "=" + value);
  return Join({parts.begin(), parts.end()}, ",");
}

template <typename T>
class TieFinder {
 public:
  TieFinder(const Analysis& analysis, const WorkloadIndex& index, Reporter& reporter)
      : analysis_(analysis), index_(index), reporter_(reporter) {}

  void Run(const std::vector<T>& objects, std::string_view whole_code, std::string_view some_code) {
    std::map<std::string, std::vector<const T*>> whole, selecting;
    const std::string& root = analysis_.model.mesh_config.root_namespace;
    for (const T& object : objects) {
      bool selects = !SelectorOf(object).match_labels.empty();
      // Of these CheckPowerless speaks.
      if (selects && object.meta.kind == "PeerAuthentication" && object.meta.ns == root) continue;
      (selects ? selecting : whole)[object.meta.ns].push_back(&object);
    }
    for (const auto& [ns, list] : whole) {
      std::string scope = ns == root ? "the whole mesh" : "the whole of namespace " + ns;
      if (list.size() > 1) ReportAll(list, scope, whole_code);
    }
    for (const auto& [ns, list] : selecting) {
      if (list.size() > 1) CheckSelecting(ns, list, some_code);
    }
  }

 private:
  struct Rivals {
    std::set<const T*> others;  // the winner alone where it is decided
    std::vector<std::string> workloads;
    bool decided = true;
  };

  void CheckSelecting(const std::string& ns, const std::vector<const T*>& list,
                      std::string_view code) {
    std::map<const Workload*, std::vector<const T*>> by_workload;
    std::map<std::string, std::vector<const T*>> by_selector;
    for (const T* object : list) {
      const Labels& labels = SelectorOf(*object).match_labels;
      for (const Workload* workload : index_.Selected(labels, ns)) {
        by_workload[workload].push_back(object);
      }
      by_selector[Key(labels)].push_back(object);
    }
    std::map<const T*, Rivals> rivals;
    const auto add = [&](const std::vector<const T*>& together, const std::string& where) {
      if (together.size() < 2) return;
      const T* winner = Winner(together);
      for (const T* object : together) {
        if (object == winner) continue;
        Rivals& mine = rivals[object];
        for (const T* other : together) {
          if (winner != nullptr ? other == winner : other != object) mine.others.insert(other);
        }
        mine.decided = mine.decided && winner != nullptr;
        mine.workloads.push_back(where);
      }
    };
    for (const Workload* workload : index_.InNamespace(ns)) {
      auto it = by_workload.find(workload);
      if (it != by_workload.end()) add(it->second, workload->ns + "/" + workload->name);
    }
    for (const auto& [selector, together] : by_selector) {
      if (index_.SelectsAny(SelectorOf(*together.front()).match_labels, ns)) continue;
      add(together, "every workload with `" + selector + "`");
    }
    for (const T* object : list) {
      auto it = rivals.find(object);
      if (it == rivals.end()) continue;
      std::vector<const T*> others;
      for (const T* other : list) {
        if (it->second.others.contains(other)) others.push_back(other);
      }
      Report(*object, others, it->second.decided, ListNames(it->second.workloads, 3), code);
    }
  }

  // The oldest, by creation time and then by name; null where a time is missing.
  static const T* Winner(const std::vector<const T*>& together) {
    const T* winner = nullptr;
    for (const T* object : together) {
      if (object->meta.created.empty()) return nullptr;
      bool older = winner == nullptr || std::pair(object->meta.created, object->meta.name) <
                                            std::pair(winner->meta.created, winner->meta.name);
      if (older) winner = object;
    }
    return winner;
  }

  void ReportAll(const std::vector<const T*>& list, const std::string& scope,
                 std::string_view code) {
    const T* winner = Winner(list);
    for (const T* object : list) {
      if (object == winner) continue;
      std::vector<const T*> others;
      for (const T* other : list) {
        if (winner != nullptr ? other == winner : other != object) others.push_back(other);
      }
      Report(*object, others, winner != nullptr, scope, code);
    }
  }

  void Report(const T& object, const std::vector<const T*>& others, bool decided,
              const std::string& scope, std::string_view code) {
    std::string difference;
    std::vector<std::string> names;
    for (const T* other : others) {
      names.push_back("`" + std::string(other->meta.name) + "`");
      if (difference.empty()) difference = Difference(object, *other);
    }
    std::string message;
    if (decided) {
      message = "this does not act on " + scope + ": " + ListNames(names) +
                " is older, and only the oldest counts";
      if (!difference.empty()) message += " (" + difference + ")";
    } else {
      message = "this and " + ListNames(names) + " are both for " + scope +
                ", only the oldest counts, and the files do not say which that is";
      message += difference.empty() ? "; today they say the same" : ": " + difference;
    }
    Finding& finding = reporter_.Report(object.meta, SelectorOf(object).span,
                                        std::move(message) + "; keep one of them");
    if (difference.empty()) finding.severity = Severity::kInfo;
    finding.field_path = SelectorOf(object).span
                             ? FieldPathAt(*object.meta.node, SelectorOf(object).span.begin)
                             : "";
    finding.detail = "tie";
    finding.fix = "Keep one, or give them selectors that share no workload.";
    finding.istioctl_codes.emplace();
    if (!code.empty()) finding.istioctl_codes = {std::string(code)};
    for (size_t i = 0; i < others.size() && i < 5; ++i) {
      finding.related.push_back({others[i]->meta.span, "the other one"});
    }
  }

  const Analysis& analysis_;
  const WorkloadIndex& index_;
  Reporter& reporter_;
};

void CheckPowerless(const Analysis& analysis, const WorkloadIndex& index,
                    const PeerAuthentication& policy, Reporter& reporter) {
  bool selects = !policy.selector.match_labels.empty();
  const std::string& root = analysis.model.mesh_config.root_namespace;
  const auto fill = [&](Finding& finding) {
    finding.field_path = FieldPathAt(*policy.meta.node, finding.span.begin);
    finding.istioctl_codes.emplace();
  };
  if (selects && policy.meta.ns == root) {
    EffectiveMode left = analysis.mesh.NamespaceMtls(root);
    Finding& finding = reporter.Report(
        policy.meta, policy.selector.span,
        "a PeerAuthentication with a selector does nothing in the root namespace " + root +
            ": the workloads that it means keep the mode that they have without it (" +
            std::string(Name(left.mode)) +
            " for the mesh); move it to the namespace of the workloads, or remove the selector");
    finding.fix = "Move the policy to the namespace of its workloads.";
    if (left.span) finding.related.push_back({left.span, "what counts for the mesh"});
    fill(finding);
    return;
  }
  if (!selects && !policy.ports.empty()) {
    Finding& finding = reporter.Report(
        policy.meta, policy.ports.front().span,
        "`portLevelMtls` counts only in a policy that selects workloads, so its ports keep the "
        "mode of the others; add a selector");
    finding.fix = "Add a selector with the labels of the workloads.";
    fill(finding);
  }
  if (!selects) return;
  std::vector<const Workload*> selected =
      index.Selected(policy.selector.match_labels, policy.meta.ns);
  bool gateways =
      !selected.empty() &&
      std::all_of(selected.begin(), selected.end(), [](const Workload* workload) {
        return workload->mode == ProxyMode::kGateway || workload->mode == ProxyMode::kWaypoint;
      });
  if (!gateways) return;
  Finding& finding = reporter.Report(
      policy.meta, policy.selector.span,
      "this selects gateways and waypoints only (" + selected.front()->ns + "/" +
          selected.front()->name +
          "), whose listeners take no PeerAuthentication; set `tls` in the Gateway's servers");
  finding.severity = Severity::kWarning;
  finding.fix = "Set `tls.mode` in the Gateway's servers and remove this policy.";
  fill(finding);
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const WorkloadIndex& index = *analysis.index;
  for (const PeerAuthentication& policy : analysis.model.peer_authentications) {
    CheckPowerless(analysis, index, policy, reporter);
  }
  TieFinder<PeerAuthentication>(analysis, index, reporter)
      .Run(analysis.model.peer_authentications, "", "");
  TieFinder<Sidecar>(analysis, index, reporter).Run(analysis.model.sidecars, "IST0111", "IST0110");
}

}  // namespace meshproof::powerless_or_tied

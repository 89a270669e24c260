// targetRef(s) of policies: what they can name, where it must stand and who then enforces the
// policy (istio-semantics section 1.1 and 7.3). A reference never crosses namespaces; a
// GatewayClass counts in the root namespace alone and must be `istio-waypoint`; a Service or
// ServiceEntry is only looked up by a waypoint.
#include <map>
#include <string>
#include <tuple>

#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/workload_index.h"
#include "model/labels.h"

namespace meshproof::dangling_target_ref {
namespace {

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        names_(analysis.views->Names()),
        index_(*analysis.index) {
    for (const Service& service : analysis.model.services) {
      targets_[{"Service", service.meta.ns, std::string(service.meta.name)}] = &service.meta;
    }
    for (const ServiceEntry& entry : analysis.model.service_entries) {
      targets_[{"ServiceEntry", entry.meta.ns, std::string(entry.meta.name)}] = &entry.meta;
    }
  }

  void Check(const ObjectMeta& meta, const TargetRef& ref) {
    std::string_view group = ref.group.value;
    std::string_view kind = ref.kind.value;
    if (kind == "Gateway" && group == kGatewayApiGroup) return Gateway(meta, ref);
    if (kind == "GatewayClass" && group == kGatewayApiGroup) return GatewayClass(meta, ref);
    if (kind == "Service" && (group.empty() || group == "core")) {
      return Routed(meta, ref, "", "Service");
    }
    if (kind == "ServiceEntry" && group == "networking.istio.io") {
      return Routed(meta, ref, "networking.istio.io", "ServiceEntry");
    }
    // Other kinds and groups are refused for the kinds that admission checks.
    if (meta.kind == "AuthorizationPolicy" || meta.kind == "RequestAuthentication") return;
    Add(meta, ref,
        "a " + std::string(kind) + " of group `" + std::string(group.empty() ? "core" : group) +
            "` cannot be the target of a " + std::string(meta.kind) +
            ", so nobody applies it; name a Gateway, Service or ServiceEntry",
        "Name a target of a kind that is supported.");
  }

 private:
  Finding& Add(const ObjectMeta& meta, const TargetRef& ref, std::string message, std::string fix) {
    Span span = ref.name.span ? ref.name.span : ref.span;
    Finding& finding = reporter_.Report(meta, span, std::move(message));
    finding.field_path = FieldPathAt(*meta.node, span.begin);
    finding.fix = std::move(fix);
    return finding;
  }

  // "the policy" in the words of its kind.
  static std::string Nobody(const ObjectMeta& meta) {
    return meta.kind == "RequestAuthentication" ? "nobody checks tokens by it"
                                                : "nobody enforces it";
  }

  void Missing(const ObjectMeta& meta, const TargetRef& ref, std::string_view group,
               std::string_view kind) {
    std::string name(ref.name.value);
    std::vector<std::string> elsewhere = names_.NamespacesOf(group, kind, name);
    if (!elsewhere.empty()) {
      Add(meta, ref,
          std::string(kind) + " " + name + " is in namespace " + ListNames(elsewhere) +
              ", and a target is looked up in the policy's own namespace, " + meta.ns + ", so " +
              Nobody(meta) + "; move the policy there",
          "Move the policy to namespace " + elsewhere.front() + ".");
      return;
    }
    std::string nearest = NearestName(name, names_.Objects(group, kind, meta.ns));
    std::string message = "namespace " + meta.ns + " has no " + std::string(kind) + " " + name +
                          " in the input, so " + Nobody(meta);
    if (!nearest.empty()) {
      Finding& finding =
          Add(meta, ref, message + "; did you mean `" + nearest + "`?", "Write `" + nearest + "`.");
      finding.edits.push_back({ref.name.span, nearest});
      return;
    }
    // Without any object of the kind the input may simply not hold them.
    bool seen = names_.HasKind(group, kind) || analysis_.HasServices();
    Finding& finding = Add(meta, ref,
                           message + (seen ? "; name one that exists"
                                           : ", as far as the input shows; add it to "
                                             "the input if it exists"),
                           "Name a target that exists in namespace " + meta.ns + ".");
    if (!seen || !analysis_.SeesNamespace(meta.ns)) {
      finding.certainty = Certainty::kCannotSee;
      finding.severity = Severity::kInfo;
    }
  }

  void Gateway(const ObjectMeta& meta, const TargetRef& ref) {
    std::string name(ref.name.value);
    if (names_.HasObject(kGatewayApiGroup, "Gateway", meta.ns, name)) return;
    if (index_.SelectsAny({{"gateway.networking.k8s.io/gateway-name", name}}, meta.ns)) return;
    if (names_.HasObject("networking.istio.io", "Gateway", meta.ns, name)) {
      Add(meta, ref,
          name + " is a Gateway of networking.istio.io, and a target of group " +
              std::string(kGatewayApiGroup) + " is one of the Gateway API, so " + Nobody(meta) +
              "; select the gateway's workload instead",
          "Select the gateway's pods with `selector`.");
      return;
    }
    Missing(meta, ref, kGatewayApiGroup, "Gateway");
  }

  void GatewayClass(const ObjectMeta& meta, const TargetRef& ref) {
    const std::string& root = analysis_.model.mesh_config.root_namespace;
    if (meta.ns != root) {
      Add(meta, ref,
          "a policy for a GatewayClass counts in the root namespace " + root +
              " alone, and this one stands in " + meta.ns + ", so " + Nobody(meta) +
              "; move it there, or name the waypoint as a Gateway",
          "Move the policy to namespace " + root + ", or target the Gateway.");
    } else if (ref.name.value != "istio-waypoint") {
      Add(meta, ref,
          "the only GatewayClass that a policy can name is `istio-waypoint`, so " + Nobody(meta) +
              "; name the Gateways of class " + std::string(ref.name.value) + " one by one",
          "Target each Gateway by its name.");
    }
  }

  const ObjectMeta* FindTarget(std::string_view kind, std::string_view ns,
                               std::string_view name) const {
    auto found = targets_.find({std::string(kind), std::string(ns), std::string(name)});
    return found == targets_.end() ? nullptr : found->second;
  }

  static bool UsesWaypoint(const Labels& labels, bool* decided) {
    const std::string* waypoint = FindLabel(labels, kUseWaypointLabel);
    *decided = waypoint != nullptr;
    return waypoint != nullptr && !waypoint->empty() && *waypoint != "none";
  }

  void Routed(const ObjectMeta& meta, const TargetRef& ref, std::string_view group,
              std::string_view kind) {
    const ObjectMeta* target = FindTarget(kind, meta.ns, ref.name.value);
    if (target == nullptr) return Missing(meta, ref, group, kind);
    bool decided = false;
    if (UsesWaypoint(target->labels, &decided)) return;
    const Namespace* ns = analysis_.mesh.FindNamespace(meta.ns);
    bool by_namespace = false;
    if (!decided && ns != nullptr && UsesWaypoint(ns->meta.labels, &by_namespace)) return;
    Finding& finding =
        Add(meta, ref,
            "only a waypoint looks at policies for a " + std::string(kind) + ", and none serves " +
                std::string(ref.name.value) + ": neither it nor namespace " + meta.ns +
                " has the label `istio.io/use-waypoint`, so " + Nobody(meta) +
                "; enrol it in a waypoint, or select the workloads",
            "Label the " + std::string(kind) + " with istio.io/use-waypoint, or use `selector`.");
    finding.related.push_back({target->span, "the target, which no waypoint serves"});
    if (ns == nullptr && !decided) finding.certainty = Certainty::kCannotSee;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const KnownNames& names_;
  const WorkloadIndex& index_;
  std::map<std::tuple<std::string, std::string, std::string>, const ObjectMeta*>
      targets_;  // by kind, namespace, name
};

// Target references of a kind that the model keeps as a raw tree.
std::vector<TargetRef> ReadTargetRefs(const ObjectMeta& meta) {
  std::vector<TargetRef> refs;
  const auto text = [&](const Node& ref, std::string_view key) {
    const Node* node = NodeAt(&ref, {key});
    return node == nullptr ? Text{} : Text{node->text, SpanOf(meta.file, *node)};
  };
  const auto add = [&](const Node& ref) {
    refs.push_back({text(ref, "group"), text(ref, "kind"), text(ref, "name"),
                    text(ref, "namespace"), SpanOf(meta.file, ref)});
  };
  if (const Node* list = NodeAt(meta.node, {"spec", "targetRefs"})) {
    for (const Node& ref : list->items()) add(ref);
  }
  const Node* single = NodeAt(meta.node, {"spec", "targetRef"});
  if (refs.empty() && single != nullptr) add(*single);
  return refs;
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const Model& model = analysis.model;
  Checker checker(analysis, reporter);
  const auto check_all = [&](const auto& objects) {
    for (const auto& object : objects) {
      for (const TargetRef& ref : object.target_refs) checker.Check(object.meta, ref);
    }
  };
  check_all(model.authorization_policies);
  check_all(model.request_authentications);
  check_all(model.envoy_filters);
  for (const OtherObject& object : model.others) {
    if (!GroupOfVersion(object.meta.api_version).ends_with(".istio.io")) continue;
    for (const TargetRef& ref : ReadTargetRefs(object.meta)) checker.Check(object.meta, ref);
  }
}

}  // namespace meshproof::dangling_target_ref

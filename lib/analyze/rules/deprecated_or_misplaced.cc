// Annotations and labels that istiod's injector, registry and ambient controller read: misspelt,
// on the wrong kind, with a value that they cannot read, or deprecated; and fields and kinds that
// Istio has removed or is about to.
#include <algorithm>
#include <map>

#include "analyze/annotations.h"
#include "analyze/mesh_config_fields.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::deprecated_or_misplaced {
namespace {

// One set of annotations or labels and what it sits on.
struct Keys {
  const ObjectMeta& meta;
  std::string_view kind;  // "Pod" for a template
  const Node* map = nullptr;
  std::string path;  // "metadata.annotations"
};

bool MakesPods(std::string_view kind) {
  constexpr std::string_view kKinds[] = {"CronJob",    "DaemonSet",  "Deployment",
                                         "Job",        "ReplicaSet", "ReplicationController",
                                         "StatefulSet"};
  return std::find(std::begin(kKinds), std::end(kKinds), kind) != std::end(kKinds);
}

std::string Kinds(const KnownKey& key) {
  std::vector<std::string> kinds;
  for (std::string_view kind : Split(key.kinds, ' ')) kinds.emplace_back(kind);
  return ListNames(kinds, kinds.size());
}

std::string Where(const Keys& keys, const KnownKey& key) {
  if (MakesPods(keys.kind) && MaySitOn(key, "Pod")) {
    return "it is read from pods and belongs into the metadata of the pod template";
  }
  return "it is read from " + Kinds(key) + " alone";
}

class KeyChecker {
 public:
  explicit KeyChecker(Reporter& reporter) : reporter_(reporter) {}

  void Annotations(const Keys& keys) {
    if (keys.map == nullptr || !keys.map->IsMapping()) return;
    std::vector<const Entry*> alpha;
    for (const Entry& entry : keys.map->entries()) {
      std::string_view name = entry.key.text;
      if (!IsIstioKey(name) && name != "kubernetes.io/ingress.class") continue;
      const KnownKey* known = FindAnnotation(name);
      if (known == nullptr) {
        Unknown(keys, entry, AnnotationNames(), "annotation");
        continue;
      }
      if (known->status == KnownKey::Status::kDeprecated) Deprecated(keys, entry, *known);
      if (!MaySitOn(*known, keys.kind)) {
        Misplaced(keys, entry, *known);
        continue;
      }
      if (Invalid(keys, entry, *known, "annotation")) continue;
      if (known->status == KnownKey::Status::kAlpha) alpha.push_back(&entry);
    }
    Alpha(keys, alpha);
  }

  void Labels(const Keys& keys) {
    if (keys.map == nullptr || !keys.map->IsMapping()) return;
    for (const Entry& entry : keys.map->entries()) {
      std::string_view name = entry.key.text;
      const KnownKey* known = FindLabelKey(name);
      if (known == nullptr) {
        bool near_injection = keys.kind == "Namespace" && IsTypoOf(name, "istio-injection");
        if (IsIstioKey(name) || near_injection) MisspeltLabel(keys, entry);
        continue;
      }
      if (!known->security) continue;
      if (MaySitOn(*known, keys.kind)) {
        Invalid(keys, entry, *known, "label");
      } else if (!IsRepeatedInTemplate(keys, entry)) {
        Misplaced(keys, entry, *known);
      }
    }
  }

 private:
  Finding& Add(const Keys& keys, const Entry& entry, std::string message, std::string_view code) {
    Finding& finding = reporter_.Report(
        keys.meta, {keys.meta.file, entry.key.begin, std::max(entry.key.end, entry.value.end)},
        std::move(message));
    finding.field_path = keys.path + "." + std::string(entry.key.text);
    finding.istioctl_codes.emplace();
    if (!code.empty()) finding.istioctl_codes = {std::string(code)};
    return finding;
  }

  void Unknown(const Keys& keys, const Entry& entry, const std::vector<std::string>& known,
               std::string_view what) {
    std::string nearest = NearestName(entry.key.text, known);
    bool judged = keys.kind == "Namespace" || keys.kind == "Service" || keys.kind == "Pod" ||
                  MakesPods(keys.kind);
    // Elsewhere a key that is not near to a known one may belong to a newer release.
    if (nearest.empty() && !judged) return;
    std::string message = "Istio has no " + std::string(what) + " `" + std::string(entry.key.text) +
                          "` and does not read it";
    if (!nearest.empty()) message += "; did you mean `" + nearest + "`?";
    Finding& finding = Add(keys, entry, std::move(message), "IST0108");
    finding.fix =
        nearest.empty() ? "Remove it, or write the key that is meant." : "Write `" + nearest + "`.";
    if (!nearest.empty()) {
      finding.edits.push_back({SpanOf(keys.meta.file, entry.key), nearest});
    }
  }

  void MisspeltLabel(const Keys& keys, const Entry& entry) {
    for (const std::string& known : LabelNames()) {
      if (!FindLabelKey(known)->security || !IsTypoOf(entry.key.text, known)) continue;
      Finding& finding = Add(
          keys, entry,
          "Istio has no label `" + std::string(entry.key.text) +
              "` and does not read it, so what it was to switch stays as it is; did you mean `" +
              known + "`?",
          "");
      finding.fix = "Write `" + known + "`.";
      finding.edits.push_back({SpanOf(keys.meta.file, entry.key), known});
      return;
    }
  }

  void Deprecated(const Keys& keys, const Entry& entry, const KnownKey& known) {
    // Whoever has both for the sake of old releases knows.
    if (known.name == "sidecar.istio.io/inject") {
      const Node* labels = LabelsBeside(keys);
      if (labels != nullptr && labels->Find(known.name) != nullptr) return;
    }
    std::string message = "the annotation `" + std::string(known.name) +
                          "` is deprecated and may be ignored by a later release";
    if (!known.instead.empty()) message += "; use " + std::string(known.instead);
    Finding& finding = Add(keys, entry, std::move(message), "IST0135");
    finding.severity = Severity::kInfo;
    finding.detail = "deprecated";
    finding.fix = known.instead.empty() ? "Remove it." : "Use " + std::string(known.instead) + ".";
  }

  void Misplaced(const Keys& keys, const Entry& entry, const KnownKey& known) {
    Finding& finding = Add(keys, entry,
                           "`" + std::string(known.name) + "` has no effect on a " +
                               std::string(keys.kind) + ": " + Where(keys, known),
                           "IST0107");
    finding.detail = "misplaced";
    finding.fix = "Move it to where it is read.";
  }

  bool Invalid(const Keys& keys, const Entry& entry, const KnownKey& known, std::string_view what) {
    if (known.problem == nullptr || entry.value.kind != NodeKind::kScalar) return false;
    std::string problem = known.problem(entry.value.text);
    if (problem.empty()) return false;
    Finding& finding = Add(keys, entry,
                           "the " + std::string(what) + " `" + std::string(known.name) +
                               "` has a value that Istio cannot use: " + problem,
                           what == "annotation" ? "IST0125" : "");
    finding.span = SpanOf(keys.meta.file, entry.value);
    finding.detail = "invalid";
    finding.fix = "Write a value of the form that the message names.";
    return true;
  }

  void Alpha(const Keys& keys, const std::vector<const Entry*>& entries) {
    const auto is_security = [](const Entry* entry) {
      return FindAnnotation(entry->key.text)->security;
    };
    std::vector<std::string> others;
    const Entry* first = nullptr;
    for (const Entry* entry : entries) {
      if (!is_security(entry)) {
        if (first == nullptr) first = entry;
        others.push_back("`" + std::string(entry->key.text) + "`");
        continue;
      }
      Finding& finding =
          Add(keys, *entry,
              "the annotation `" + std::string(entry->key.text) +
                  "` is an alpha feature that changes which traffic meets a proxy; look it up "
                  "before each upgrade",
              "IST0136");
      finding.severity = Severity::kInfo;
      finding.detail = "alpha";
    }
    if (first == nullptr) return;
    Finding& finding =
        Add(keys, *first,
            others.size() == 1
                ? "the annotation " + others.front() + " is an alpha feature and may change"
                : "the annotations " + ListNames(others, others.size()) +
                      " are alpha features and may change",
            "IST0136");
    finding.severity = Severity::kInfo;
    finding.detail = "alpha";
  }

  static const Node* LabelsBeside(const Keys& keys) {
    if (keys.kind != "Pod" || keys.meta.kind == "Pod") {
      return NodeAt(keys.meta.node, {"metadata", "labels"});
    }
    return NodeAt(keys.meta.node, {"spec", "template", "metadata", "labels"});
  }

  // A label of a Deployment that its template has too was put there by a chart's common labels.
  static bool IsRepeatedInTemplate(const Keys& keys, const Entry& entry) {
    if (!MakesPods(keys.kind)) return false;
    const Node* labels = NodeAt(keys.meta.node, {"spec", "template", "metadata", "labels"});
    return labels != nullptr && labels->Find(entry.key.text) != nullptr;
  }

  Reporter& reporter_;
};

void CheckKeys(KeyChecker* checker, const ObjectMeta& meta) {
  if (meta.node == nullptr) return;
  checker->Annotations(
      {meta, meta.kind, NodeAt(meta.node, {"metadata", "annotations"}), "metadata.annotations"});
  checker->Labels({meta, meta.kind, NodeAt(meta.node, {"metadata", "labels"}), "metadata.labels"});
}

void CheckPodKeys(KeyChecker* checker, const PodWorkload& workload) {
  CheckKeys(checker, workload.meta);
  const Node* metadata =
      workload.meta.kind == "CronJob"
          ? NodeAt(workload.meta.node, {"spec", "jobTemplate", "spec", "template", "metadata"})
          : NodeAt(workload.meta.node, {"spec", "template", "metadata"});
  if (workload.meta.kind == "Pod" || metadata == nullptr) return;
  std::string path = FieldPathAt(*workload.meta.node, metadata->begin);
  size_t cut = path.rfind(".metadata");
  path = path.substr(0, cut) + ".metadata";
  checker->Annotations(
      {workload.meta, "Pod", NodeAt(metadata, {"annotations"}), path + ".annotations"});
  checker->Labels({workload.meta, "Pod", NodeAt(metadata, {"labels"}), path + ".labels"});
}

Finding& ReportField(Reporter& reporter, const ObjectMeta& meta, const Node& node,
                     std::string message) {
  Finding& finding = reporter.Report(meta, SpanOf(meta.file, node), std::move(message));
  finding.field_path = FieldPathAt(*meta.node, node.begin);
  finding.istioctl_codes = {"IST0002"};
  finding.fix = "Use the field that the message names.";
  return finding;
}

void CheckVirtualService(const VirtualService& service, Reporter& reporter) {
  const Node* routes = NodeAt(service.meta.node, {"spec", "http"});
  if (routes != nullptr) {
    for (const Node& route : routes->items()) {
      for (std::string_view fault : {"delay", "abort"}) {
        const Node* percent = NodeAt(&route, {"fault", fault, "percent"});
        if (percent == nullptr || percent->text == "0") continue;
        ReportField(reporter, service.meta, *percent,
                    "`fault." + std::string(fault) +
                        ".percent` is deprecated, and a later release drops it; write "
                        "`percentage.value`");
      }
      for (std::string_view name : {"mirrorPercent", "mirror_percent"}) {
        if (const Node* percent = NodeAt(&route, {name})) {
          ReportField(reporter, service.meta, *percent,
                      "`" + std::string(name) +
                          "` is deprecated, and a later release drops it; write "
                          "`mirrorPercentage.value`");
        }
      }
      if (const Node* origin = NodeAt(&route, {"corsPolicy", "allowOrigin"})) {
        ReportField(reporter, service.meta, *origin,
                    "`corsPolicy.allowOrigin` is deprecated, and a later release drops it; write "
                    "`allowOrigins` with `exact`");
      }
    }
  }
  for (const auto& gateway : service.gateways.values) {
    if (gateway.value.find('/') == std::string_view::npos &&
        gateway.value.find('.') != std::string_view::npos) {
      std::vector<std::string_view> parts = Split(gateway.value, '.');
      std::string written = std::string(parts[1]) + "/" + std::string(parts[0]);
      Finding& finding = reporter.Report(
          service.meta, gateway.span,
          "`" + std::string(gateway.value) +
              "` names the Gateway in an old form that istiod still reads; write `" + written +
              "`");
      finding.severity = Severity::kInfo;
      finding.field_path = FieldPathAt(*service.meta.node, gateway.span.begin);
      finding.istioctl_codes.emplace();
      finding.fix = "Write `" + written + "`.";
      finding.edits.push_back({gateway.span, written});
    }
    if (gateway.value.find("istio-autogenerated-k8s-gateway") == std::string_view::npos) continue;
    Finding& finding = reporter.Report(
        service.meta, gateway.span,
        "`" + std::string(gateway.value) +
            "` is a Gateway that istiod makes up for itself out of a Gateway API object: its name "
            "is not promised and the binding breaks with it; use an HTTPRoute");
    finding.field_path = FieldPathAt(*service.meta.node, gateway.span.begin);
    finding.istioctl_codes = {"IST0165"};
    finding.fix = "Attach an HTTPRoute to the Gateway API object.";
  }
}

// Tracing providers that Istio is taking out.
void CheckProviders(const Model& model, Reporter& reporter) {
  std::map<std::string_view, std::string_view> old;  // provider by name
  const Node* providers = FindMeshConfigField(model, {"extensionProviders"}).value;
  if (providers == nullptr) return;
  for (const Node& provider : providers->items()) {
    const Node* name = NodeAt(&provider, {"name"});
    for (std::string_view kind : {"lightstep", "opencensus"}) {
      if (name != nullptr && NodeAt(&provider, {kind}) != nullptr) old.emplace(name->text, kind);
    }
  }
  if (old.empty()) return;
  for (const OtherObject& object : model.others) {
    const Node* tracing = NodeAt(object.meta.node, {"spec", "tracing"});
    if (object.meta.kind != "Telemetry" || tracing == nullptr) continue;
    for (const Node& one : tracing->items()) {
      const Node* named = NodeAt(&one, {"providers"});
      if (named == nullptr) continue;
      for (const Node& provider : named->items()) {
        const Node* name = NodeAt(&provider, {"name"});
        auto found = name == nullptr ? old.end() : old.find(name->text);
        if (found == old.end()) continue;
        ReportField(reporter, object.meta, *name,
                    "provider `" + std::string(name->text) + "` is of type " +
                        std::string(found->second) +
                        ", which is deprecated, and a later release sends no traces by it; use an "
                        "`opentelemetry` provider");
      }
    }
  }
}

void CheckFields(const Model& model, Reporter& reporter) {
  CheckProviders(model, reporter);
  for (const VirtualService& service : model.virtual_services) {
    CheckVirtualService(service, reporter);
  }
  for (const DestinationRule& rule : model.destination_rules) {
    const Node* errors =
        NodeAt(rule.meta.node, {"spec", "trafficPolicy", "outlierDetection", "consecutiveErrors"});
    if (errors == nullptr) continue;
    ReportField(reporter, rule.meta, *errors,
                "`outlierDetection.consecutiveErrors` is read by no release any more: hosts that "
                "fail are not ejected by it; write `consecutive5xxErrors` or "
                "`consecutiveGatewayErrors`");
  }
  for (const Sidecar& sidecar : model.sidecars) {
    const Node* proxy = NodeAt(sidecar.meta.node, {"spec", "outboundTrafficPolicy", "egressProxy"});
    if (proxy == nullptr) continue;
    ReportField(reporter, sidecar.meta, *proxy,
                "`outboundTrafficPolicy.egressProxy` is ignored: unknown hosts do not pass the "
                "egress proxy; route them to it with a VirtualService");
  }
  for (const RequestAuthentication& policy : model.request_authentications) {
    const Node* rules = NodeAt(policy.meta.node, {"spec", "jwtRules"});
    if (rules == nullptr) continue;
    for (const Node& rule : rules->items()) {
      const Node* uri = NodeAt(&rule, {"jwks_uri"});
      if (uri == nullptr) continue;
      ReportField(reporter, policy.meta, *uri,
                  "`jwks_uri` is kept for old objects alone; write `jwksUri`")
          .severity = Severity::kInfo;
    }
  }
}

// What took the place of APIs that Istio and Kubernetes have removed.
struct RemovedGroup {
  std::string_view group, instead;
};
constexpr RemovedGroup kRemoved[] = {
    {"rbac.istio.io", "AuthorizationPolicy"},
    {"authentication.istio.io", "PeerAuthentication and RequestAuthentication"},
    {"config.istio.io", "Telemetry, WasmPlugin and AuthorizationPolicy"},
    {"extensions", "the version of the kind that is served now"}};

const RemovedGroup* FindRemoved(std::string_view group) {
  for (const RemovedGroup& removed : kRemoved) {
    if (removed.group == group) return &removed;
  }
  return nullptr;
}

void CheckRemovedKinds(const Analysis& analysis, Reporter& reporter) {
  const Model& model = analysis.model;
  bool any = std::any_of(model.skipped.begin(), model.skipped.end(), [](const auto& skipped) {
    return skipped.reason == Model::Skipped::Reason::kUnknownKind ||
           skipped.reason == Model::Skipped::Reason::kUnsupportedVersion;
  });
  // A definition may be kept among the others instead.
  any = any || std::any_of(model.others.begin(), model.others.end(), [](const auto& object) {
          return object.meta.kind == "CustomResourceDefinition";
        });
  if (!any) return;
  for (const RawObject& object : analysis.objects) {
    const Node* version = NodeAt(object.node, {"apiVersion"});
    if (const RemovedGroup* removed = FindRemoved(GroupOfVersion(object.api_version))) {
      Finding& finding = reporter.Report(
          NameOf(object), version == nullptr ? object.span : SpanOf(object.file, *version),
          std::string(object.kind) + " of `" + std::string(object.api_version) +
              "` was removed: no release that is maintained reads it, so it protects nothing; "
              "use " +
              std::string(removed->instead));
      finding.field_path = "apiVersion";
      finding.istioctl_codes = {"IST0002"};
      finding.fix = "Say it with " + std::string(removed->instead) + ".";
      continue;
    }
    if (object.kind != "CustomResourceDefinition") continue;
    const Node* group = NodeAt(object.node, {"spec", "group"});
    const RemovedGroup* removed = group == nullptr ? nullptr : FindRemoved(group->text);
    if (removed == nullptr || removed->group == "extensions") continue;
    Finding& finding = reporter.Report(
        NameOf(object), SpanOf(object.file, *group),
        "the API `" + std::string(group->text) +
            "` was removed: no release that is maintained reads objects of this definition; remove "
            "it, and use " +
            std::string(removed->instead));
    finding.field_path = "spec.group";
    finding.istioctl_codes = {"IST0002"};
    finding.fix = "Remove the definition.";
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const Model& model = analysis.model;
  KeyChecker checker(reporter);
  const auto check_all = [&](const auto& objects) {
    for (const auto& object : objects) CheckKeys(&checker, object.meta);
  };
  check_all(model.namespaces);
  check_all(model.services);
  check_all(model.service_entries);
  check_all(model.workload_entries);
  check_all(model.workload_groups);
  check_all(model.authorization_policies);
  check_all(model.others);
  for (const PodWorkload& workload : model.pod_workloads) CheckPodKeys(&checker, workload);
  CheckFields(model, reporter);
  CheckRemovedKinds(analysis, reporter);
}

}  // namespace meshproof::deprecated_or_misplaced

// What the input holds and no rule looks at: counted by kind and reason, never passed over in
// silence.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>

#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "simulate/meshtest.h"

namespace meshproof::not_analyzed {
namespace {

using Reason = Model::Skipped::Reason;

bool IsIstio(std::string_view group) {
  return group.ends_with(".istio.io");
}

// Kinds that rules read from the documents themselves, and those that say nothing about a mesh.
bool IsExpected(std::string_view kind) {
  constexpr std::string_view kKinds[] = {"ClusterRole",   "ClusterRoleBinding",
                                         "ConfigMap",     "CustomResourceDefinition",
                                         "Ingress",       "MutatingWebhookConfiguration",
                                         "NetworkPolicy", "Role",
                                         "RoleBinding",   "ValidatingWebhookConfiguration"};
  return std::binary_search(std::begin(kKinds), std::end(kKinds), kind);
}

struct Group {
  std::vector<Span> places;
  std::set<std::string> files;
};

std::string Sentence(const std::string& kind, Reason reason, const Group& group) {
  size_t count = group.places.size();
  std::string number = std::to_string(count);
  std::string files = ListNames({group.files.begin(), group.files.end()}, 3);
  if (reason == Reason::kNotKubernetes) {
    return number + (count == 1 ? " document is" : " documents are") +
           " no Kubernetes object and not judged (" + files +
           "); list them under `ignore` in .meshproof.yaml if that is meant";
  }
  return number + (count == 1 ? " object" : " objects") + " of kind " + kind +
         (count == 1 ? " is" : " are") + " not judged, because meshproof does not know the kind (" +
         files + "); what it changes in the mesh does not show in any answer";
}

void ReportGroup(const std::string& kind, Reason reason, const Group& group, Reporter& reporter) {
  Finding& finding =
      reporter.Report(ObjectName{}, group.places.front(), Sentence(kind, reason, group));
  finding.detail = kind;
  constexpr size_t kMostRelated = 5;
  for (size_t i = 1; i < group.places.size() && i <= kMostRelated; ++i) {
    finding.related.push_back({group.places[i], "another one"});
  }
}

// An object whose apiVersion nobody serves any more is MP0005's where the whole API is gone.
void ReportVersion(const Model::Skipped& skipped, const RawObject& object, Reporter& reporter) {
  const Node* version = NodeAt(object.node, {"apiVersion"});
  Finding& finding = reporter.Report(
      NameOf(object), version == nullptr ? skipped.span : SpanOf(object.file, *version),
      skipped.kind + " of " + std::string(object.api_version) +
          " is not judged: no release that meshproof knows serves this version, so the API server "
          "refuses the object and the mesh runs without it; write a version that is served");
  finding.severity = Severity::kWarning;
  finding.field_path = "apiVersion";
  finding.fix = "Write the version of the installed custom resource definition.";
}

// A kind that one of Istio's groups does not have; the model suggests what was meant.
bool ReportUnknownKind(const Model& model, const RawObject& object, const Node& kind,
                       Reporter& reporter) {
  for (const Diagnostic& diagnostic : model.diagnostics) {
    if (diagnostic.trouble != Trouble::kUnsupported || diagnostic.span.file != object.file ||
        diagnostic.span.begin != kind.begin) {
      continue;
    }
    std::string message = diagnostic.message + ", and the mesh runs without it";
    if (!diagnostic.help.empty()) message += "; " + diagnostic.help;
    Finding& finding = reporter.Report(NameOf(object), diagnostic.span, std::move(message));
    finding.severity = Severity::kWarning;
    finding.field_path = "kind";
    finding.fix = "Write the kind that is meant.";
    return true;
  }
  return false;
}

bool IsRetired(std::string_view group) {
  return group == "rbac.istio.io" || group == "authentication.istio.io" ||
         group == "config.istio.io" || group == "extensions";
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const Model& model = analysis.model;
  std::optional<RawObjectIndex> index;
  std::map<std::tuple<Reason, std::string>, Group> groups;
  for (const Model::Skipped& skipped : model.skipped) {
    if (skipped.reason == Reason::kTemplate || skipped.reason == Reason::kIgnored ||
        skipped.reason == Reason::kRefused || !skipped.span) {
      continue;
    }
    // Policy tests lie beside the manifests that they are about.
    if (skipped.reason == Reason::kNotKubernetes && IsMeshTestName(skipped.file->name())) continue;
    std::string kind = skipped.kind;
    Span place = skipped.span;
    if (skipped.reason != Reason::kNotKubernetes) {
      if (!index) index.emplace(analysis.objects);
      const RawObject* object = index->At(skipped.span);
      std::string_view group =
          object == nullptr ? std::string_view() : GroupOfVersion(object->api_version);
      if (IsRetired(group)) continue;
      if (skipped.reason == Reason::kUnsupportedVersion && object != nullptr) {
        ReportVersion(skipped, *object, reporter);
        continue;
      }
      const Node* kind_node = object == nullptr ? nullptr : NodeAt(object->node, {"kind"});
      if (kind_node != nullptr) {
        if (ReportUnknownKind(model, *object, *kind_node, reporter)) continue;
        place = SpanOf(object->file, *kind_node);
      }
      if (!IsIstio(group) && IsExpected(kind)) continue;
      if (!group.empty()) kind += " (" + std::string(group) + ")";
    }
    Group& group = groups[{skipped.reason, kind}];
    group.places.push_back(place);
    group.files.insert(skipped.file != nullptr ? skipped.file->name() : skipped.span.file->name());
  }
  for (const auto& [key, group] : groups) {
    ReportGroup(std::get<1>(key), std::get<0>(key), group, reporter);
  }
  for (const Diagnostic& diagnostic : model.diagnostics) {
    // Of several mesh configs one is used; all else that is unsupported stands in `skipped`.
    const ObjectMeta* config = model.mesh_config.object;
    if (diagnostic.trouble != Trouble::kUnsupported || config == nullptr ||
        diagnostic.span.file != config->span.file || diagnostic.span.begin != config->span.begin) {
      continue;
    }
    std::string message = diagnostic.message;
    if (!diagnostic.help.empty()) message += "; " + diagnostic.help;
    reporter.Report(*config, diagnostic.span, std::move(message)).detail = "mesh config";
  }
}

}  // namespace meshproof::not_analyzed

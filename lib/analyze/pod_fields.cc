#include "analyze/pod_fields.h"

#include <optional>

#include "base/text.h"

namespace meshproof {
namespace {

Span PlaceIn(const ObjectMeta& meta, std::string_view map, std::string_view key) {
  const Node* values = NodeAt(PodTemplate(meta), {"metadata", map});
  const Node* value = values == nullptr ? nullptr : values->Find(key);
  return value == nullptr ? meta.span : SpanOf(meta.file, *value);
}

}  // namespace

const Node* PodTemplate(const ObjectMeta& meta) {
  if (meta.kind == "Pod") return meta.node;
  if (meta.kind == "CronJob") {
    return NodeAt(meta.node, {"spec", "jobTemplate", "spec", "template"});
  }
  return NodeAt(meta.node, {"spec", "template"});
}

const Node* PodSpec(const ObjectMeta& meta) {
  return NodeAt(PodTemplate(meta), {"spec"});
}

std::vector<PodContainer> ContainersOf(const ObjectMeta& meta) {
  std::vector<PodContainer> containers;
  const Node* spec = PodSpec(meta);
  for (std::string_view list : {"initContainers", "containers"}) {
    const Node* items = NodeAt(spec, {list});
    if (items == nullptr || !items->IsSequence()) continue;
    for (const Node& item : items->items()) {
      const Node* name = NodeAt(&item, {"name"});
      containers.push_back(
          {&item, name == nullptr ? std::string_view() : name->text, list == "initContainers"});
    }
  }
  return containers;
}

bool IsIstioContainer(std::string_view name) {
  return name == "istio-proxy" || name == "istio-init" || name == "istio-validation";
}

Span PodAnnotationPlace(const ObjectMeta& meta, std::string_view key) {
  return PlaceIn(meta, "annotations", key);
}

Span PodLabelPlace(const ObjectMeta& meta, std::string_view key) {
  return PlaceIn(meta, "labels", key);
}

std::string Describe(const ObjectMeta& meta) {
  std::string text(meta.kind);
  text += ' ';
  if (!meta.ns.empty()) text += meta.ns + "/";
  return text + std::string(meta.name);
}

std::string Describe(const Workload& workload) {
  if (workload.object != nullptr) return Describe(*workload.object);
  return workload.ns + "/" + workload.name;
}

std::vector<int> ParsePortList(std::string_view text) {
  constexpr unsigned long kHighest = 65535;
  std::vector<int> ports;
  for (std::string_view piece : Split(text, ',')) {
    std::optional<unsigned long> port = ParseUnsigned(TrimSpace(piece));
    if (port && *port >= 1 && *port <= kHighest) ports.push_back(static_cast<int>(*port));
  }
  return ports;
}

bool IsPlatformNamespace(std::string_view ns, const MeshConfig& config) {
  return ns == "kube-system" || ns == "kube-public" || ns == "kube-node-lease" ||
         ns == "local-path-storage" || ns == "istio-system" || ns == config.root_namespace;
}

}  // namespace meshproof

// Objects that change a proxy in ways that meshproof does not compute, so that answers can name
// them instead of guessing: EnvoyFilters and WasmPlugins of the proxy's own or the root namespace
// that select it, and ProxyConfigs that change how paths are read.
#include "mesh/mesh.h"
#include "model/labels.h"
#include "source/node.h"

namespace meshproof {
namespace {

const Node* SpecField(const ObjectMeta& meta, std::string_view key) {
  const Node* spec = meta.node ? meta.node->Find("spec") : nullptr;
  return spec ? spec->Find(key) : nullptr;
}

bool HasTargetRefs(const ObjectMeta& meta) {
  const Node* refs = SpecField(meta, "targetRefs");
  const Node* ref = SpecField(meta, "targetRef");
  return (refs && refs->IsSequence() && !refs->items().empty()) || (ref && ref->IsMapping());
}

bool Changes(const OtherObject& object, const Workload& workload) {
  const std::string* gateway = FindLabel(workload.labels, kGatewayNameLabel);
  if (object.meta.kind == "ProxyConfig") {
    return SpecField(object.meta, "connectionSettings") &&
           Selects(object.selector.match_labels, workload.labels);
  }
  if (object.meta.kind != "WasmPlugin") return false;
  // By targetRefs it can reach Gateway API gateways and waypoints only; which one is not looked at.
  if (HasTargetRefs(object.meta)) return gateway != nullptr;
  return Selects(object.selector.match_labels, workload.labels);
}

}  // namespace

std::vector<const ObjectMeta*> Mesh::UnmodelledFor(const Workload& workload) const {
  std::vector<const ObjectMeta*> out;
  if (workload.mode == ProxyMode::kNone || workload.mode == ProxyMode::kAmbient) return out;
  const bool gateway_api = FindLabel(workload.labels, kGatewayNameLabel) != nullptr;
  std::vector<std::string> namespaces = {config().root_namespace};
  if (workload.ns != namespaces[0]) namespaces.push_back(workload.ns);
  for (const std::string& ns : namespaces) {
    if (auto it = envoy_filters_.find(ns); it != envoy_filters_.end()) {
      for (const EnvoyFilter* filter : it->second) {
        const bool reaches = filter->target_refs.empty()
                                 ? Selects(filter->workload_selector.match_labels, workload.labels)
                                 : gateway_api;
        if (reaches) out.push_back(&filter->meta);
      }
    }
    if (auto it = others_.find(ns); it != others_.end()) {
      for (const OtherObject* object : it->second) {
        if (Changes(*object, workload)) out.push_back(&object->meta);
      }
    }
  }
  return out;
}

}  // namespace meshproof

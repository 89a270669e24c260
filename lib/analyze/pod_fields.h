#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analyze/raw_objects.h"
#include "mesh/mesh.h"
#include "model/model.h"

// What a workload's manifest says of its pods, as written: fields that the model does not keep, and
// the places of those that it does.
namespace meshproof {

// The mapping that holds `metadata` and `spec` of the pods: the object itself for a Pod, else its
// template. Null where there is none.
const Node* PodTemplate(const ObjectMeta& meta);
const Node* PodSpec(const ObjectMeta& meta);

struct PodContainer {
  const Node* node = nullptr;
  std::string_view name;
  bool init = false;
};

std::vector<PodContainer> ContainersOf(const ObjectMeta& meta);

// Istio's own containers: istio-proxy, istio-init, istio-validation.
bool IsIstioContainer(std::string_view name);

// The value of a pod's annotation or label; the object's name where it is not written there.
Span PodAnnotationPlace(const ObjectMeta& meta, std::string_view key);
Span PodLabelPlace(const ObjectMeta& meta, std::string_view key);

// "Deployment shop/web".
std::string Describe(const ObjectMeta& meta);
std::string Describe(const Workload& workload);

// A list of port numbers as annotations hold it; other pieces are left out.
std::vector<int> ParsePortList(std::string_view text);

// Namespaces that Kubernetes and Istio themselves run in.
bool IsPlatformNamespace(std::string_view ns, const MeshConfig& config);

}  // namespace meshproof

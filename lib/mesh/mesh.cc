#include "mesh/mesh.h"

#include <algorithm>
#include <functional>

#include "base/check.h"
#include "mesh/builder.h"
#include "mesh/order.h"

namespace meshproof {
namespace {

CidrRange MustParse(std::string_view text) {
  std::optional<CidrRange> range = ParseCidr(text);
  MESHPROOF_CHECK(range.has_value());
  return *range;
}

std::string Key(std::string_view ns, std::string_view name) {
  std::string key(ns);
  key.append("/").append(name);
  return key;
}

}  // namespace

std::string_view ToString(ProxyMode mode) {
  switch (mode) {
    case ProxyMode::kNone:
      return "none";
    case ProxyMode::kSidecar:
      return "sidecar";
    case ProxyMode::kGateway:
      return "gateway";
    case ProxyMode::kAmbient:
      return "ambient";
    case ProxyMode::kWaypoint:
      return "waypoint";
  }
  return "none";
}

const MeshServicePort* MeshService::FindPort(int port) const {
  for (const MeshServicePort& candidate : ports) {
    if (candidate.port == port) return &candidate;
  }
  return nullptr;
}

std::shared_ptr<const Mesh> Mesh::Build(std::shared_ptr<const Model> model,
                                        const MeshOptions& options) {
  return MeshBuilder::Build(std::move(model), options);
}

std::shared_ptr<const Mesh> MeshBuilder::Build(std::shared_ptr<const Model> model,
                                               const MeshOptions& options) {
  MESHPROOF_CHECK(model != nullptr);
  std::shared_ptr<Mesh> mesh(new Mesh);
  mesh->model_ = std::move(model);
  mesh->options_ = options;
  if (mesh->options_.pod_cidrs.empty()) mesh->options_.pod_cidrs = {MustParse("10.244.0.0/16")};
  if (mesh->options_.service_cidrs.empty()) {
    mesh->options_.service_cidrs = {MustParse("10.96.0.0/16")};
  }
  MeshBuilder builder(mesh.get());
  builder.IndexNamespaces();
  builder.ReadIstiodEnvironment();
  builder.DeployGateways();
  builder.BuildWorkloads();
  builder.BuildServices();
  builder.SelectWorkloads();
  builder.IndexPolicies();
  builder.IndexDestinationRules();
  builder.ConvertGatewayApi();
  builder.IndexGateways();
  builder.FindWaypoints();
  return mesh;
}

void MeshBuilder::IndexNamespaces() {
  for (const Namespace& ns : model_.namespaces) {
    mesh_.namespace_index_[std::string(ns.meta.name)] = &ns;
  }
}

void MeshBuilder::ReadIstiodEnvironment() {
  std::vector<const PodWorkload*> istiods;
  for (const PodWorkload& pod : model_.pod_workloads) {
    if (IsIstiod(pod)) istiods.push_back(&pod);
  }
  // Of several istiods the first by namespace, name and kind speaks, whatever the files' order.
  std::sort(istiods.begin(), istiods.end(), [](const PodWorkload* a, const PodWorkload* b) {
    return std::tie(a->meta.ns, a->meta.name, a->meta.kind) <
           std::tie(b->meta.ns, b->meta.name, b->meta.kind);
  });
  if (!istiods.empty()) {
    for (const auto& [name, value] : istiods.front()->env) {
      mesh_.istiod_env_[std::string(name)] = std::string(value);
    }
  }
  for (const auto& [name, value] : mesh_.options_.istiod_env) mesh_.istiod_env_[name] = value;
}

const Workload* Mesh::FindWorkload(std::string_view ns, std::string_view name) const {
  auto it = workload_index_.find(Key(ns, name));
  return it == workload_index_.end() ? nullptr : &workloads_[it->second];
}

size_t Mesh::IndexOf(const Workload& workload) const {
  const Workload* begin = workloads_.data();
  const Workload* end = begin + workloads_.size();
  std::less<const Workload*> less;
  if (!less(&workload, begin) && less(&workload, end)) {
    return static_cast<size_t>(&workload - begin);
  }
  auto it = workload_index_.find(Key(workload.ns, workload.name));
  MESHPROOF_CHECK(it != workload_index_.end());
  return it->second;
}

const MeshService* Mesh::FindServiceByAddress(const IpAddress& address) const {
  auto it = service_addresses_.find(address);
  return it == service_addresses_.end() ? nullptr : &services_[it->second];
}

const Workload* Mesh::FindWorkloadByAddress(const IpAddress& address) const {
  auto it = workload_addresses_.find(address);
  return it == workload_addresses_.end() ? nullptr : &workloads_[it->second];
}

const Namespace* Mesh::FindNamespace(std::string_view name) const {
  auto it = namespace_index_.find(std::string(name));
  return it == namespace_index_.end() ? nullptr : it->second;
}

std::optional<std::string_view> Mesh::Feature(std::string_view name) const {
  auto it = istiod_env_.find(std::string(name));
  if (it == istiod_env_.end()) return std::nullopt;
  return it->second;
}

bool Mesh::FeatureEnabled(std::string_view name, bool by_default) const {
  std::optional<std::string_view> value = Feature(name);
  if (!value) return by_default;
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (*value == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (*value == no) return false;
  }
  return by_default;
}

}  // namespace meshproof

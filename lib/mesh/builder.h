#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "mesh/injection.h"
#include "mesh/mesh.h"

namespace meshproof {

// Fills a Mesh, once. Steps build on the ones before them; each lives in the file of its theme.
class MeshBuilder {
 public:
  static std::shared_ptr<const Mesh> Build(std::shared_ptr<const Model> model,
                                           const MeshOptions& options);

 private:
  explicit MeshBuilder(Mesh* mesh) : mesh_(*mesh), model_(*mesh->model_) {}

  void IndexNamespaces();        // mesh.cc
  void ReadIstiodEnvironment();  // mesh.cc
  void DeployGateways();         // gateway_api.cc
  void BuildWorkloads();         // workloads.cc
  void BuildServices();          // services.cc
  void SelectWorkloads();        // services.cc
  void IndexPolicies();          // selection.cc
  void IndexDestinationRules();  // destination_rules.cc
  void IndexGateways();          // gateways.cc
  void FindWaypoints();          // waypoints.cc
  void ConvertGatewayApi();      // gateway_api.cc

  void AttachRoutes(const K8sGateway& gateway, const K8sListener& listener,
                    const std::vector<const K8sRoute*>& routes,
                    const std::vector<std::string>& namespaces);
  void AttachServiceRoutes(const std::vector<const K8sRoute*>& routes);

  struct Group;  // pods that make one workload
  std::vector<Group> GroupPods() const;
  Workload MakeWorkload(const Group& group) const;
  Workload MakeWorkload(const WorkloadEntry& entry) const;
  std::string Identity(const Workload& workload) const;
  void AddService(const Service& service);
  void AddServiceEntry(const ServiceEntry& entry);
  void MergeRule(const DestinationRule& rule, const std::set<std::string>& export_to,
                 Mesh::RuleIndex* index);

  Mesh& mesh_;
  const Model& model_;
  Revisions revisions_;
  std::set<std::string> waypoint_gateways_;
};

}  // namespace meshproof

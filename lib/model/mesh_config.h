#pragma once

#include <memory>
#include <vector>

#include "model/model.h"

namespace meshproof {

// A ConfigMap that may hold the mesh config: `istio` or `istio-<revision>` with `data.mesh`.
struct MeshConfigMap {
  std::unique_ptr<ObjectMeta> meta;
  const Node* text = nullptr;  // the value of data.mesh
};

// Fills model->mesh_config from the options' text or from the ConfigMap that counts: `istio` of the
// root namespace, else the only one there, else the only one anywhere. istiod reads it as
// protobuf's JSON: unknown fields are no errors. The command line's root namespace and trust domain
// beat it.
void DecodeMeshConfig(std::vector<MeshConfigMap> maps, const ModelOptions& options, Model* model);

}  // namespace meshproof

#pragma once

#include <initializer_list>
#include <string_view>

#include "analyze/rule.h"
#include "source/node.h"

namespace meshproof {

// A field of the mesh config as it is written; `value` is null where it is not.
struct MeshConfigField {
  const Node* value = nullptr;
  Span span;  // of the value; of the ConfigMap's name where there is no such field
};
MeshConfigField FindMeshConfigField(const Model& model,
                                    std::initializer_list<std::string_view> path);

// The ConfigMap of the mesh config; empty names where there is none (`--mesh-config`).
ObjectName MeshConfigName(const Model& model);

}  // namespace meshproof

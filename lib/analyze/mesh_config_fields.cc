#include "analyze/mesh_config_fields.h"

#include "analyze/raw_objects.h"

namespace meshproof {

MeshConfigField FindMeshConfigField(const Model& model,
                                    std::initializer_list<std::string_view> path) {
  MeshConfigField field;
  if (model.mesh_config.object != nullptr) field.span = model.mesh_config.object->span;
  for (const ParsedFile& nested : model.nested) {
    for (const Document& document : nested.documents) {
      const Node* root = document.root();
      if (root == nullptr) continue;
      const Node* value = NodeAt(root, path);
      if (value == nullptr) continue;
      field.value = value;
      field.span = document.SpanOf(*value);
      return field;
    }
  }
  return field;
}

ObjectName MeshConfigName(const Model& model) {
  const ObjectMeta* object = model.mesh_config.object;
  return object == nullptr ? ObjectName{} : NameOf(*object);
}

}  // namespace meshproof

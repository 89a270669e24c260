#include "analyze/diagnostic_places.h"

namespace meshproof {
namespace {

// The mapping of the mesh config that holds the place, where the text was parsed on its own.
const Node* MeshConfigAt(const Model& model, const Span& span) {
  for (const ParsedFile& nested : model.nested) {
    if (nested.documents.empty() || nested.file == nullptr) continue;
    const Node* root = nested.documents.front().root();
    if (root == nullptr || nested.file->name() != span.file->name()) continue;
    if (root->Find("kind") == nullptr && span.begin >= root->begin && span.begin <= root->end) {
      return root;
    }
  }
  return nullptr;
}

}  // namespace

DiagnosticPlace DiagnosticPlaces::Of(const Diagnostic& diagnostic) {
  DiagnosticPlace place;
  place.object = diagnostic.object;
  if (!diagnostic.span) return place;
  if (const Node* root = MeshConfigAt(model_, diagnostic.span)) {
    place.in_mesh_config = true;
    place.root = root;
    place.path = "data.mesh";
    std::string below = FieldPathOf(*root, diagnostic.span);
    if (!below.empty()) place.path += "." + below;
    if (const ObjectMeta* config = model_.mesh_config.object) place.object = NameOf(*config);
    return place;
  }
  if (!index_) index_.emplace(objects_);
  const RawObject* object = index_->At(diagnostic.span);
  if (object == nullptr) return place;
  if (place.object.kind.empty()) {
    place.object = NameOf(*object);
    bool cluster_scoped = object->kind == "Namespace" || object->kind == "GatewayClass" ||
                          object->kind == "CustomResourceDefinition";
    if (place.object.ns.empty() && !cluster_scoped) place.object.ns = "default";
  }
  place.root = object->node;
  place.path = FieldPathOf(*object->node, diagnostic.span);
  return place;
}

const Node* MappingOfKey(const Node& root, uint32_t offset) {
  for (const Entry& entry : root.entries()) {
    if (entry.key.begin == offset) return &root;
  }
  for (const Entry& entry : root.entries()) {
    if (offset < entry.value.begin || offset > entry.value.end) continue;
    if (const Node* found = MappingOfKey(entry.value, offset)) return found;
  }
  for (const Node& item : root.items()) {
    if (offset < item.begin || offset > item.end) continue;
    if (const Node* found = MappingOfKey(item, offset)) return found;
  }
  return nullptr;
}

std::string WithoutIndexes(std::string_view path) {
  std::string plain;
  bool inside = false;
  for (char c : path) {
    if (c == '[') inside = true;
    if (!inside) plain += c;
    if (c == ']') inside = false;
  }
  return plain;
}

std::string_view ParentPath(std::string_view path) {
  size_t end = path.find_last_of(".[");
  return end == std::string_view::npos ? std::string_view() : path.substr(0, end);
}

}  // namespace meshproof

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/finding.h"
#include "analyze/raw_objects.h"

namespace meshproof {

// Where a diagnostic stands, in the terms of findings.
struct DiagnosticPlace {
  ObjectName object;           // empty where it stands in no object
  const Node* root = nullptr;  // the object, or the mapping of the mesh config
  std::string path;            // "spec.rules[0].from[0].source"; "data.mesh.…" in the mesh config
  bool in_mesh_config = false;
};

class DiagnosticPlaces {
 public:
  // `objects` are those of the model.
  DiagnosticPlaces(const Model& model, const std::vector<RawObject>& objects)
      : model_(model), objects_(objects) {}
  DiagnosticPlace Of(const Diagnostic& diagnostic);

 private:
  const Model& model_;
  const std::vector<RawObject>& objects_;
  std::optional<RawObjectIndex> index_;  // made for the first diagnostic
};

// The mapping whose key stands at byte `offset` of `root`; null where there is none.
const Node* MappingOfKey(const Node& root, uint32_t offset);

// "spec.rules.from.source" of "spec.rules[0].from[1].source".
std::string WithoutIndexes(std::string_view path);
// "spec.rules[0].from" of "spec.rules[0].from[1]" and of "spec.rules[0].from.x".
std::string_view ParentPath(std::string_view path);

}  // namespace meshproof

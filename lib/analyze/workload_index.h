#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "mesh/mesh.h"

namespace meshproof {

// Workloads by label, so that a selector costs the workloads that carry its rarest label and not
// all of them.
class WorkloadIndex {
 public:
  explicit WorkloadIndex(const Mesh& mesh);

  // Workloads with all of `labels` (none: all) in namespace `ns` ("" = in any), in the mesh's
  // order.
  std::vector<const Workload*> Selected(const Labels& labels, std::string_view ns) const;
  bool SelectsAny(const Labels& labels, std::string_view ns) const;
  const std::vector<const Workload*>& InNamespace(std::string_view ns) const;

  // The workload that comes nearest to a selector that selects nothing: most labels in common,
  // then the same keys with other values. Null where nothing is in common.
  const Workload* Nearest(const Labels& labels, std::string_view ns) const;

 private:
  std::unordered_map<std::string, std::vector<const Workload*>> by_label_;  // "key=value"
  std::unordered_map<std::string, std::vector<const Workload*>> by_namespace_;
  std::vector<const Workload*> all_;
};

}  // namespace meshproof

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mesh/mesh.h"

// What older releases of istiod make of a workload's policies otherwise than the one whose
// configuration is compiled (istio-semantics section 9): what a proxy of such a release has other
// than the manifests say is its age, not drift.
namespace meshproof {

struct VersionDifference {
  const ObjectMeta* object = nullptr;
  Span span;          // what the release takes otherwise
  std::string since;  // the first release that takes it as it is meant: "1.22"
  std::string text;   // what the release makes of it
};

// By object, in the order of the manifests. None for a version that is unknown or no release.
std::vector<VersionDifference> FindVersionDifferences(const Mesh& mesh, const Workload& workload,
                                                      std::string_view istio_version);

}  // namespace meshproof

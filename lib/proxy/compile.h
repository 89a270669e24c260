#pragma once

#include <memory>

#include "mesh/mesh.h"
#include "proxy/config.h"

namespace meshproof {

// Builds proxies' configurations as istiod does (istio-semantics sections 1 to 6). Policies are
// compiled once per distinct policy and filter kind and shared over workloads. Thread-safe.
class Compiler {
 public:
  explicit Compiler(std::shared_ptr<const Mesh> mesh);
  ~Compiler();

  // The workload needs a sidecar, or is a gateway or waypoint. Addresses that the input does not
  // state and that a waypoint's configuration cannot do without are stand-ins out of the mesh's
  // ranges (Mesh::StandInAddress).
  std::shared_ptr<const ProxyConfig> Compile(const Workload& workload) const;

  const Mesh& mesh() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace meshproof

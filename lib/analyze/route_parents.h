#pragma once

#include <optional>
#include <string>

#include "mesh/mesh.h"
#include "model/model.h"

// Whether a listener of a Gateway (Gateway API) takes a route that names the Gateway as its parent.
namespace meshproof {

struct RefusedRoute {
  std::string reason;  // one clause
  std::string advice;  // "let ..."
};

// Nothing where some listener takes it, or where the input cannot tell (a namespace without its
// labels). `gateway` has a listener of the section and port that `parent` names, if it names any.
std::optional<RefusedRoute> WhyNotAttached(const Mesh& mesh, const K8sRoute& route,
                                           const K8sParentRef& parent, const K8sGateway& gateway);

}  // namespace meshproof

#pragma once

#include <optional>
#include <vector>

#include "mesh/mesh.h"
#include "proxy/config.h"

namespace meshproof {

// The jwt_authn filter of a proxy with these RequestAuthentications (istio-semantics section 3);
// nothing where no rule is among them. `clear_route_cache` is set on gateways.
std::optional<JwtFilter> CompileJwtFilter(
    const Mesh& mesh, const std::vector<const RequestAuthentication*>& authentications,
    const std::string& root_namespace, bool clear_route_cache);

}  // namespace meshproof

#pragma once

#include <string>
#include <vector>

#include "mesh/mesh.h"
#include "model/model.h"

namespace meshproof {

// An http entry of a VirtualService with delegation resolved.
struct EffectiveHttpRoute {
  HttpRoute route;                     // matches merged with the root's where it was delegated
  const ObjectMeta* object = nullptr;  // the VirtualService that the entry stands in
  int index = 0;                       // in that one's spec.http
};

// In order. Entries whose delegate does not exist are left out, as are a delegate's matches that
// contradict the root's.
std::vector<EffectiveHttpRoute> ResolveHttpRoutes(const Mesh& mesh, const VirtualService& service);

}  // namespace meshproof

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mesh/mesh.h"
#include "proxy/config.h"
#include "reason/reason.h"
#include "reason/region.h"

// Teams write the same policies with their own names. What is asked of one workload is answered for
// all that differ from it in the names of namespaces and service accounts alone.
namespace meshproof {

struct Site;

// Sites of equal keys are equal but for `names`, which correspond by their place.
struct Shape {
  std::string key;
  std::vector<std::string> names;  // namespaces and service accounts as they appear

  // The place of a name, which is added where it is new.
  size_t PlaceOf(std::string_view name);
};

// Nothing where a site may differ in more: a gateway, patterns of names, objects that only it has.
std::optional<Shape> ShapeOf(const Mesh& mesh, const Site& site);

// What one site calls a twin's names and policies.
class Translation {
 public:
  struct End {
    const Site& site;
    const Shape& shape;
  };
  Translation(const End& from, const End& to) : from_(from), to_(to) {}

  // Nothing where a name stands for something else at the other end, or is a pattern.
  std::optional<Region> Of(const Region& region) const;
  std::optional<std::string> OfIdentity(std::string_view identity) const;  // with or without spiffe

 private:
  std::optional<std::string> OfName(std::string_view name) const;
  std::optional<std::string> OfAccount(std::string_view account) const;
  bool Translate(Region* region) const;

  End from_, to_;
};

// What the rules of one site's proxy are called at its twin's.
class RuleTranslation {
 public:
  struct End {
    const Site& site;
    const ProxyConfig& proxy;
  };
  RuleTranslation(const End& from, const End& to);

  // Without an example; nothing where a rule is not there.
  std::optional<RuleStatus> Of(const RuleStatus& status) const;

 private:
  const RbacPolicy* Of(const RbacPolicy* rule) const;

  std::vector<std::pair<const RbacPolicy*, const RbacPolicy*>> rules_;  // from, to
};

}  // namespace meshproof

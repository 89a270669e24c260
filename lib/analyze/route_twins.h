#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "analyze/entrances.h"
#include "reason/reason.h"
#include "reason/region.h"

// A gateway has hundreds of hosts whose routes differ in nothing but the names of the host and of
// the Service behind it. What is asked of one is answered for all of them.
namespace meshproof {

class RouteTwins {
 public:
  explicit RouteTwins(const Analysis& analysis) : analysis_(analysis) {}

  // As RequestOf.
  std::optional<Case> RequestFor(const Entrance& way);

  // Some request of `beside` that the first of these ways' gateway lets through at its port, in
  // spite of every authorizer, and sends to the ways' Service. All ways of one gateway to one
  // Service.
  std::optional<Case> Find(const std::vector<const Entrance*>& ways, const Region& beside);

 private:
  bool IsPlain(const Workload& gateway);

  const Analysis& analysis_;
  std::unordered_map<std::string, std::optional<Case>> requests_;  // by the routes' shape
  std::unordered_map<std::string, std::optional<Case>> found_;     // by the ways' shape
  std::map<const Workload*, bool> plain_;
};

}  // namespace meshproof

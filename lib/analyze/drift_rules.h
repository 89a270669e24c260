#pragma once

#include <map>
#include <string>

#include "analyze/drift_chains.h"
#include "base/json.h"

namespace meshproof {

// The policies of a chain: every key with what stands behind it.
struct PolicyPlace {
  const RbacPolicy* policy = nullptr;
  Rbac::Action action = Rbac::Action::kAllow;
  bool shadow = false;
};
using Policies = std::map<std::string, PolicyPlace>;

Policies PoliciesOf(const ChainView& view);

// "ns/name" of a policy's key; the key itself where it names none.
std::string ObjectOf(const std::string& key);

// The order of lists that are OR or AND does not count, nor what stands alone in one.
Json Canonical(const Json& value);
// Equal for rules whose conditions are.
std::string CanonicalText(const RbacPolicy& policy);

}  // namespace meshproof

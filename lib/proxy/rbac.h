#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"
#include "proxy/config.h"

// AuthorizationPolicy to RBAC policies (istio-semantics sections 1.2 to 1.7).
namespace meshproof {

enum class FilterKind { kHttp, kNetwork };

struct RuleContext {
  FilterKind kind = FilterKind::kHttp;
  // ALLOW skips a rule that cannot be expressed; DENY and AUDIT (and CUSTOM) drop the part.
  Rbac::Action action = Rbac::Action::kAllow;
  std::vector<std::string> trust_domains;  // TrustDomainBundle
  // Identities are asked of filter state `io.istio.peer_principal`, not of the connection's TLS:
  // where the connection comes out of an HBONE tunnel.
  bool tunnelled = false;
  std::string name_prefix, name_suffix;  // CUSTOM: around the policy's name
};

using RbacPolicies = std::vector<std::shared_ptr<const RbacPolicy>>;

// One policy for each rule that istiod keeps, in the order of the rules. A policy without rules
// becomes one that never matches.
RbacPolicies CompileRules(const AuthorizationPolicy& policy, const RuleContext& context);

// Sorts by name, bytewise, and keeps the first of equal names, as istiod's map does.
void SortPolicies(RbacPolicies* policies);

}  // namespace meshproof

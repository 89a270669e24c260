#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "mesh/mesh.h"
#include "proxy/config.h"
#include "proxy/custom.h"
#include "proxy/rbac.h"

namespace meshproof {

// The security filters of a workload in istiod's order: CUSTOM pairs, jwt_authn, RBAC for AUDIT,
// DENY and ALLOW (istio-semantics sections 1.2, 2 and 6). Compiles each policy once for each kind
// of filter; thread-safe.
class FilterBuilder {
 public:
  explicit FilterBuilder(const Mesh& mesh);

  std::vector<HttpFilter> HttpFilters(const PolicySet& policies, bool gateway) const;
  std::vector<NetworkFilter> NetworkFilters(const PolicySet& policies) const;

 private:
  enum class Variant { kPlain, kCustom, kBrokenCustom };

  const RbacPolicies& Rules(const AuthorizationPolicy& policy, FilterKind kind,
                            Variant variant) const;
  const ResolvedProvider& Provider(const std::string& name) const;
  Rbac Combine(const std::vector<const AuthorizationPolicy*>& policies, Rbac::Action action,
               FilterKind kind, Variant variant) const;
  std::optional<RbacFilter> Enforce(const std::vector<const AuthorizationPolicy*>& policies,
                                    Rbac::Action action, FilterKind kind) const;
  struct CustomPair {
    RbacFilter gate;
    std::optional<ExtAuthzFilter> service;
  };
  std::vector<CustomPair> Custom(const std::vector<const AuthorizationPolicy*>& policies,
                                 FilterKind kind) const;

  const Mesh& mesh_;
  const std::vector<std::string> trust_domains_;
  mutable std::mutex mutex_;
  mutable std::map<std::tuple<const AuthorizationPolicy*, FilterKind, Variant>,
                   std::unique_ptr<const RbacPolicies>>
      rules_;
  mutable std::map<std::string, std::unique_ptr<const ResolvedProvider>> providers_;
};

}  // namespace meshproof

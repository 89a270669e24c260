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

  // Where the connection comes from, and with it where its peer's identity stands.
  enum class Peer { kConnection, kTunnel };

  // `clear_route_cache` is set on gateways and waypoints.
  std::vector<HttpFilter> HttpFilters(const PolicySet& policies, bool clear_route_cache,
                                      Peer peer = Peer::kConnection) const;
  std::vector<NetworkFilter> NetworkFilters(const PolicySet& policies,
                                            Peer peer = Peer::kConnection) const;

 private:
  enum class Variant { kPlain, kCustom, kBrokenCustom };

  struct Form {
    FilterKind kind = FilterKind::kHttp;
    Peer peer = Peer::kConnection;
    auto operator<=>(const Form&) const = default;
  };

  const RbacPolicies& Rules(const AuthorizationPolicy& policy, const Form& form,
                            Variant variant) const;
  const ResolvedProvider& Provider(const std::string& name) const;
  Rbac Combine(const std::vector<const AuthorizationPolicy*>& policies, Rbac::Action action,
               const Form& form, Variant variant) const;
  std::optional<RbacFilter> Enforce(const std::vector<const AuthorizationPolicy*>& policies,
                                    Rbac::Action action, const Form& form) const;
  struct CustomPair {
    RbacFilter gate;
    std::optional<ExtAuthzFilter> service;
  };
  std::vector<CustomPair> Custom(const std::vector<const AuthorizationPolicy*>& policies,
                                 const Form& form) const;

  const Mesh& mesh_;
  const std::vector<std::string> trust_domains_;
  mutable std::mutex mutex_;
  mutable std::map<std::tuple<const AuthorizationPolicy*, Form, Variant>,
                   std::unique_ptr<const RbacPolicies>>
      rules_;
  mutable std::map<std::string, std::unique_ptr<const ResolvedProvider>> providers_;
};

}  // namespace meshproof

#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "analyze/rule.h"
#include "analyze/workload_index.h"
#include "mesh/workload_name.h"
#include "proxy/ztunnel.h"

// Ambient workloads as the rules look at them: what reaches their ztunnel, which waypoints stand
// before them and who could call them (istio-semantics section 7).
namespace meshproof {

class AmbientView {
 public:
  explicit AmbientView(const Analysis& analysis);

  const ZtunnelConfig& ztunnel() const { return analysis_.world.Ztunnel(); }
  bool any() const { return !all_.empty(); }  // any ambient workload
  const std::vector<const Workload*>& all() const { return all_; }
  const WorkloadIndex& index() const { return index_; }

  // The ambient workloads that an AuthorizationPolicy without targetRefs reaches by istiod's rules
  // for ztunnel: an empty selector reaches nothing, a pod without labels gets every one in scope.
  std::vector<const Workload*> Reached(const ObjectMeta& meta, const Selector& selector) const;
  // What a selector (none: the namespace, or from the root namespace everything) reaches by the
  // rules for Envoy, ambient or not.
  std::vector<const Workload*> Selected(const ObjectMeta& meta, const Selector& selector) const;

  // Services that lead to a workload, the waypoint of each, and (service null) the one of its own
  // address; only ways with a waypoint whose proxy is known or not, never null.
  struct Way {
    const MeshService* service = nullptr;
    const Waypoint* waypoint = nullptr;
  };
  std::vector<Way> WaypointsBefore(const Workload& workload) const;
  const std::vector<const MeshService*>& ServicesOf(const Workload& workload) const;
  const MeshService* FindService(std::string_view kind, std::string_view ns,
                                 std::string_view name) const;
  // Services and workloads that traffic reaches through this waypoint.
  struct Guarded {
    std::vector<const MeshService*> services;
    std::vector<const Workload*> workloads;
    bool empty() const { return services.empty() && workloads.empty(); }
  };
  const Guarded& GuardedBy(const Waypoint& waypoint) const;

  // Somebody in ambient mode who calls; not `target` where there is another. Null: none.
  const Workload* Client(const Workload* target) const;
  // A workload that runs under this identity ("spiffe://…" or without the scheme); null: none.
  const Workload* WithIdentity(std::string_view identity) const;

 private:
  const Analysis& analysis_;
  const WorkloadIndex& index_;
  std::vector<const Workload*> all_;
  std::vector<const Workload*> without_labels_;
  std::vector<std::vector<const MeshService*>> services_;  // as mesh.workloads()
  std::unordered_map<std::string, const MeshService*> by_object_;
  std::unordered_map<std::string, const Workload*> by_identity_;
  std::map<const Waypoint*, Guarded> guarded_;
};

// "spiffe://…" of a waypoint's proxy, as principals write it: without the scheme. "" where the
// proxy is not in the input.
std::string PrincipalOf(const Waypoint& waypoint);
// "shop/web, shop/api and 2 more".
std::string NameAll(const std::vector<const Workload*>& workloads);

// A request that a rule speaks of, as far as one can be read from it: identity, port, method, path
// and host of its first alternatives, of a caller in ambient mode, to the pod itself. Nothing where
// nobody could send it.
std::optional<Case> RequestOf(const AmbientView& view, const Analysis& analysis,
                              const AuthorizationPolicy& policy, size_t rule,
                              const Workload& target);

// A request to the pod itself of a caller with this identity ("": of a pod outside the mesh, in
// plaintext).
std::optional<Case> DirectRequest(const AmbientView& view, const Workload& target, int port,
                                  Protocol protocol, std::string_view identity);

// Like AttachWitness, for a request that is refused in one way or another.
bool AttachRefusal(const Analysis& analysis, const Case& question, Finding* finding);

// Fields that speak of the connection or the peer and that ztunnel does not know all the same
// (ZtunnelLoss::field): the first drops out without a word, the second counts as HTTP.
bool IsTrustDomainField(std::string_view field);
bool IsPeerKeyUnknownToZtunnel(std::string_view field);

// The AuthorizationPolicy that an object is; null where there is none.
class PolicyIndex {
 public:
  explicit PolicyIndex(const Model& model);
  const AuthorizationPolicy* Find(const ObjectMeta* meta) const;

 private:
  std::unordered_map<const ObjectMeta*, const AuthorizationPolicy*> by_meta_;
};

}  // namespace meshproof

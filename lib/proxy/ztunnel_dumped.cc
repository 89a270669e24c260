// What ztunnels were sent, by their own dumps: policies as they stand there, each workload's list,
// its trust domain. Objects and rules of the manifests are found again by a policy's name; a dump
// knows neither the PeerAuthentication behind the mesh-wide conversion nor a rule that istiod left
// out, so that numbers of rules are the manifest's only where both have as many.

#include <algorithm>
#include <tuple>

#include "base/text.h"
#include "proxy/dump.h"
#include "proxy/ztunnel.h"

namespace meshproof {
namespace {

ZtunnelPolicy::Scope ScopeIn(std::string_view text) {
  if (EqualsIgnoreCase(text, "Global")) return ZtunnelPolicy::Scope::kGlobal;
  return EqualsIgnoreCase(text, "Namespace") ? ZtunnelPolicy::Scope::kNamespace
                                             : ZtunnelPolicy::Scope::kWorkload;
}

// A dumped workload that stands for one of the mesh: by its own name or a pod's.
bool IsOf(const DumpedWorkload& dumped, const Workload& workload) {
  return dumped.ns == workload.ns &&
         (dumped.workload == workload.name || dumped.name == workload.name);
}

// What decides on a connection to it.
bool SameFacts(const DumpedWorkload& a, const DumpedWorkload& b) {
  const auto facts = [](const DumpedWorkload& w) {
    return std::tie(w.protocol, w.native_tunnel, w.trust_domain, w.waypoint, w.network_gateway);
  };
  return facts(a) == facts(b) && std::is_permutation(a.policies.begin(), a.policies.end(),
                                                     b.policies.begin(), b.policies.end());
}

// The dump that counts for a workload, with what it holds of it.
struct Holding {
  size_t dump = 0;
  std::vector<const DumpedWorkload*> pods;
  bool served = false;
};

Holding HoldingOf(const Workload& workload, std::span<const ZtunnelDump> dumps) {
  Holding best;
  for (size_t i = 0; i < dumps.size(); ++i) {
    Holding here;
    here.dump = i;
    for (const DumpedWorkload& dumped : dumps[i].workloads) {
      if (!IsOf(dumped, workload)) continue;
      here.pods.push_back(&dumped);
      here.served |= dumps[i].served.contains(dumped.ns + "/" + dumped.name);
    }
    if (here.pods.empty()) continue;
    if (best.pods.empty() || (here.served && !best.served)) best = std::move(here);
  }
  return best;
}

std::string FilesOf(std::span<const ZtunnelDump> dumps) {
  std::vector<std::string> files;
  for (const ZtunnelDump& dump : dumps) files.push_back(dump.file);
  return Join(files, " or ");
}

// Why the dump alone does not say what is let through; "" where it does.
std::string UnknownOf(const Mesh& mesh, const Workload& workload, const ZtunnelDump& dump,
                      const Holding& holding) {
  const std::string who = workload.ns + "/" + workload.name;
  const DumpedWorkload& first = *holding.pods.front();
  if (!dump.has_policies)
    return "the policies of " + who + ": " + dump.file + " has no such section";
  for (const DumpedWorkload* pod : holding.pods) {
    if (!SameFacts(first, *pod)) {
      return "which pod of " + who + " is called: " + dump.file + " has other facts of " +
             first.name + " than of " + pod->name;
    }
  }
  if (!first.network_gateway.empty()) {
    return "what the ztunnels of another network were sent: by " + dump.file + " " + who +
           " is reached through the network gateway " + first.network_gateway;
  }
  if (EqualsIgnoreCase(first.protocol, "TCP")) {
    return "whether a ztunnel takes the traffic of " + who +
           ": by the manifests it is ambient, and " + dump.file +
           " has it in plaintext (protocol TCP); `drift` compares them";
  }
  const bool waypoint = mesh.WaypointFor(workload).waypoint != nullptr;
  if (first.has_waypoint && !waypoint) {
    return "the waypoint of " + who + ": by " + dump.file + " it is " + first.waypoint +
           ", which neither the dumps nor the manifests know as its waypoint";
  }
  if (waypoint && !first.has_waypoint) {
    return "whether " + who + " has a waypoint: by the manifests it has, by " + dump.file +
           " it has none; `drift` compares them";
  }
  return "";
}

}  // namespace

ZtunnelConfig::ZtunnelConfig(const Mesh& mesh, std::span<const ZtunnelDump> dumps) : mesh_(mesh) {
  const ZtunnelConfig manifests(mesh);
  for (const ZtunnelDump& dump : dumps) AddDump(dump, manifests);
  for (const Workload& workload : mesh.workloads()) {
    workloads_.push_back(EntryOf(workload, dumps, manifests));
  }
}

void ZtunnelConfig::AddDump(const ZtunnelDump& dump, const ZtunnelConfig& manifests) {
  const size_t begin = policies_.size();
  for (const DumpedPolicy& dumped : dump.policies) {
    ZtunnelPolicy policy;
    policy.ns = dumped.ns;
    policy.name = dumped.name;
    policy.scope = ScopeIn(dumped.scope);
    policy.action = EqualsIgnoreCase(dumped.action, "Deny") ? ZtunnelPolicy::Action::kDeny
                                                            : ZtunnelPolicy::Action::kAllow;
    policy.dry_run = dumped.dry_run;
    policy.groups = dumped.groups;
    policy.from_peer_authentication =
        dumped.name == kStaticStrictName || dumped.name.starts_with(kConvertedPrefix);
    const ZtunnelPolicy* known = manifests.Find(policy.Name());
    policy.object = known != nullptr ? known->object : ObjectOf(policy, dumped.span);
    const bool same_rules = known != nullptr && known->groups.size() == policy.groups.size();
    for (size_t i = 0; i < policy.groups.size(); ++i) {
      Origin& origin = policy.groups[i].origin;
      if (same_rules) origin = known->groups[i].origin;
      if (origin.object == nullptr) origin.object = policy.object;
      if (!same_rules && !policy.from_peer_authentication) origin.rule = static_cast<int>(i);
    }
    policies_.push_back(std::move(policy));
  }
  std::stable_sort(
      policies_.begin() + static_cast<ptrdiff_t>(begin), policies_.end(),
      [](const auto& a, const auto& b) { return std::tie(a.ns, a.name) < std::tie(b.ns, b.name); });
  Index(begin);
}

// The object that a policy was made of, where no manifest has it; null for the one that stands for
// any PeerAuthentication.
const ObjectMeta* ZtunnelConfig::ObjectOf(const ZtunnelPolicy& policy, const Span& span) {
  if (policy.name == kStaticStrictName) return nullptr;
  struct Owned {
    std::string name;
    ObjectMeta meta;
  };
  auto owned = std::make_shared<Owned>();
  owned->name = policy.name;
  if (policy.from_peer_authentication) owned->name.erase(0, kConvertedPrefix.size());
  owned->meta.kind = policy.from_peer_authentication ? "PeerAuthentication" : "AuthorizationPolicy";
  owned->meta.api_version = "security.istio.io/v1";
  owned->meta.name = owned->name;
  owned->meta.ns = policy.ns;
  owned->meta.span = span;
  owned->meta.file = span.file;
  recovered_.push_back(std::shared_ptr<const ObjectMeta>(owned, &owned->meta));
  return recovered_.back().get();
}

ZtunnelWorkload ZtunnelConfig::EntryOf(const Workload& workload, std::span<const ZtunnelDump> dumps,
                                       const ZtunnelConfig& manifests) const {
  ZtunnelWorkload entry;
  entry.workload = &workload;
  entry.trust_domain = mesh_.config().trust_domain;
  entry.strict_by = manifests.For(workload).strict_by;
  const Holding holding = HoldingOf(workload, dumps);
  if (holding.pods.empty()) {
    entry.sent = sent_.size();
    entry.unknown = "what ztunnel was sent of " + workload.ns + "/" + workload.name + ": " +
                    FilesOf(dumps) + " does not hold it";
    return entry;
  }
  const DumpedWorkload& first = *holding.pods.front();
  entry.sent = holding.dump;
  entry.listed = first.policies;
  if (!first.trust_domain.empty()) entry.trust_domain = first.trust_domain;
  entry.unknown = UnknownOf(mesh_, workload, dumps[holding.dump], holding);
  return entry;
}

}  // namespace meshproof

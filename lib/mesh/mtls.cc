// Effective mutual TLS (istio-semantics section 4). Three levels: mesh (root namespace, no
// selector), namespace (another one, no selector), workload (a selector, never in the root
// namespace); of each the oldest policy alone counts. PERMISSIVE, then each level overrides unless
// it is unset. Port entries count only in the workload level's policy.
#include <algorithm>
#include <map>

#include "mesh/mesh.h"

namespace meshproof {
namespace {

using Policies = std::vector<const PeerAuthentication*>;

// The oldest policy of these (they are in that order) that has no selector.
const PeerAuthentication* OldestWide(const Policies* policies) {
  if (!policies) return nullptr;
  for (const PeerAuthentication* policy : *policies) {
    if (policy->selector.match_labels.empty()) return policy;
  }
  return nullptr;
}

const PeerAuthentication* OldestSelecting(const Policies* policies, const Labels& labels) {
  if (!policies) return nullptr;
  for (const PeerAuthentication* policy : *policies) {
    if (!policy->selector.match_labels.empty() && Selects(policy->selector.match_labels, labels)) {
      return policy;
    }
  }
  return nullptr;
}

void Override(const PeerAuthentication* policy, EffectiveMode* mode) {
  if (policy && policy->mode != MtlsMode::kUnset) {
    *mode = {policy->mode, policy, policy->mode_span};
  }
}

template <typename Map>
const Policies* Find(const Map& map, std::string_view ns) {
  auto it = map.find(std::string(ns));
  return it == map.end() ? nullptr : &it->second;
}

}  // namespace

const EffectiveMode& EffectiveMtls::ForPort(int port) const {
  auto it = std::lower_bound(ports.begin(), ports.end(), port,
                             [](const auto& entry, int value) { return entry.first < value; });
  return it != ports.end() && it->first == port ? it->second : workload;
}

EffectiveMode Mesh::NamespaceMtls(std::string_view ns) const {
  EffectiveMode mode;
  Override(OldestWide(Find(peer_, config().root_namespace)), &mode);
  if (ns != config().root_namespace) Override(OldestWide(Find(peer_, ns)), &mode);
  return mode;
}

EffectiveMtls Mesh::MtlsFor(const Workload& workload) const {
  EffectiveMtls out;
  out.workload = NamespaceMtls(workload.ns);
  if (workload.ns == config().root_namespace) return out;
  const PeerAuthentication* policy = OldestSelecting(Find(peer_, workload.ns), workload.labels);
  Override(policy, &out.workload);
  if (!policy) return out;
  std::map<int, EffectiveMode> ports;
  for (const PeerAuthentication::Port& port : policy->ports) {
    ports[port.port] =
        port.mode == MtlsMode::kUnset ? out.workload : EffectiveMode{port.mode, policy, port.span};
  }
  out.ports.assign(ports.begin(), ports.end());
  return out;
}

}  // namespace meshproof

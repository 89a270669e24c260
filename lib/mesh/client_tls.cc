// What the client's proxy does towards one endpoint (istio-semantics section 5). A DestinationRule
// that sets TLS for the port or subset decides. Else auto mTLS, in two steps that look at different
// things: the cluster speaks it unless auto mTLS is off, the Service is outside the mesh, or the
// mesh and namespace levels of PeerAuthentication say DISABLE (workload policies are not asked:
// hence DISABLE in the namespace and STRICT on the workload breaks traffic); then each endpoint
// must have a sidecar and must not resolve to DISABLE on its port. Endpoints of a headless Service
// get one answer together from a sidecar: mTLS where all of them have one.
#include <algorithm>

#include "mesh/mesh.h"

namespace meshproof {
namespace {

const TrafficPolicy::Port* FindPort(const TrafficPolicy& policy, int port) {
  for (const TrafficPolicy::Port& entry : policy.ports) {
    if (entry.port == port) return &entry;
  }
  return nullptr;
}

// TLS of a cluster: an entry for the port replaces, it does not inherit.
const ClientTls* ClusterTls(const TrafficPolicy* policy, const ClientTls* inherited, int port) {
  if (!policy) return inherited;
  const ClientTls* tls = policy->tls ? &*policy->tls : inherited;
  if (const TrafficPolicy::Port* entry = FindPort(*policy, port)) {
    tls = entry->tls ? &*entry->tls : nullptr;
  }
  return tls;
}

// TLS as istiod reads it when it marks endpoints: here an entry without TLS does inherit.
const ClientTls* EndpointTls(const TrafficPolicy* policy, int port) {
  if (!policy) return nullptr;
  const TrafficPolicy::Port* entry = FindPort(*policy, port);
  if (entry && entry->tls) return &*entry->tls;
  return policy->tls ? &*policy->tls : nullptr;
}

// What the merged rules say for one (port, subset).
struct RuleTls {
  const ClientTls* cluster = nullptr;
  const ClientTls* endpoint = nullptr;
  const DestinationRule* cluster_rule = nullptr;
  const DestinationRule* endpoint_rule = nullptr;
  bool unknown_subset = false;
};

RuleTls ReadRules(const std::vector<const DestinationRule*>& rules, std::string_view subset,
                  int port) {
  RuleTls out;
  const DestinationRule* top_rule = nullptr;
  const DestinationRule* subset_rule = nullptr;
  const DestinationRule::Subset* found = nullptr;
  for (const DestinationRule* rule : rules) {
    if (!top_rule && rule->policy) top_rule = rule;
    for (const DestinationRule::Subset& candidate : rule->subsets) {
      if (!found && !subset.empty() && candidate.name.value == subset) {
        found = &candidate;
        subset_rule = rule;
      }
    }
  }
  const TrafficPolicy* top = top_rule ? &*top_rule->policy : nullptr;
  out.cluster = ClusterTls(top, nullptr, port);
  out.cluster_rule = top_rule;
  out.endpoint = EndpointTls(top, port);
  out.endpoint_rule = top_rule;
  if (subset.empty()) return out;
  out.unknown_subset = !found;
  if (!found || !found->policy) return out;
  const ClientTls* own = ClusterTls(&*found->policy, out.cluster, port);
  if (own != out.cluster) out.cluster_rule = subset_rule;
  out.cluster = own;
  if (const ClientTls* endpoint = EndpointTls(&*found->policy, port)) {
    out.endpoint = endpoint;
    out.endpoint_rule = subset_rule;
  }
  return out;
}

std::string DefaultSni(const MeshService& service, const MeshServicePort& port,
                       std::string_view subset) {
  std::string sni = "outbound_." + std::to_string(port.port) + "_.";
  sni.append(subset).append("_.").append(service.host);
  return sni;
}

std::vector<std::string> PlainAlpn(Protocol protocol) {
  if (protocol == Protocol::kHttp2 || protocol == Protocol::kGrpc) return {"h2"};
  return {};
}

// Sidecars cannot read a Secret that a rule for all workloads names: istiod leaves TLS out.
bool LacksCredential(const ClientTls& tls, const Workload& client, bool rule_selects) {
  const std::string_view name = tls.credential_name.value;
  return !name.empty() && !name.starts_with("configmap://") && !name.starts_with("invalid://") &&
         client.mode == ProxyMode::kSidecar && !rule_selects;
}

ClientTlsChoice ByRule(const ClientTls& tls, const Workload& client, bool rule_selects,
                       const MeshServicePort& port, std::string default_sni) {
  ClientTlsChoice out;
  switch (tls.mode) {
    case ClientTls::Mode::kDisable:
      out.reason = "the DestinationRule sets tls mode DISABLE";
      return out;
    case ClientTls::Mode::kIstioMutual:
      out.kind = ClientTlsChoice::Kind::kMeshMtls;
      out.sni = tls.sni.value.empty() ? std::move(default_sni) : std::string(tls.sni.value);
      out.alpn = MeshAlpn(port.protocol);
      out.reason = "the DestinationRule sets tls mode ISTIO_MUTUAL";
      return out;
    case ClientTls::Mode::kSimple:
    case ClientTls::Mode::kMutual:
      break;
  }
  const bool mutual = tls.mode == ClientTls::Mode::kMutual;
  if (LacksCredential(tls, client, rule_selects)) {
    out.reason =
        "the DestinationRule names a credential but no workloadSelector, so that sidecars send "
        "plaintext";
    return out;
  }
  if (mutual && tls.credential_name.value.empty() &&
      (tls.client_certificate.value.empty() || tls.private_key.value.empty())) {
    out.reason = "the DestinationRule sets tls mode MUTUAL without a certificate and its key";
    return out;
  }
  out.kind = mutual ? ClientTlsChoice::Kind::kMutual : ClientTlsChoice::Kind::kSimple;
  out.sni = std::string(tls.sni.value);
  out.alpn = PlainAlpn(port.protocol);
  out.reason = mutual ? "the DestinationRule sets tls mode MUTUAL"
                      : "the DestinationRule sets tls mode SIMPLE";
  return out;
}

}  // namespace

bool Mesh::AutoMtlsReaches(const Workload& client, const MeshService& service,
                           const MeshServicePort& port, const Workload& workload,
                           std::string* reason) const {
  if (service.external) {
    *reason = "the service is outside the mesh";
    return false;
  }
  if (!config().enable_auto_mtls) {
    *reason = "auto mTLS is off";
    return false;
  }
  if (service.headless) {
    bool any = false;
    for (size_t i : service.workloads) {
      if (TargetPort(service, port, workloads_[i]) == 0) continue;
      any = true;
      if (!workloads_[i].tls_mode_istio) {
        *reason = "an endpoint of the headless service has no sidecar";
        return false;
      }
    }
    if (!any) {
      *reason = "the headless service has no endpoint";
      return false;
    }
  }
  if (NamespaceMtls(service.ns).mode == MtlsMode::kDisable) {
    *reason = "PeerAuthentication of the service's namespace or the mesh says DISABLE";
    return false;
  }
  // A sidecar sends to the original destination and cannot tell the endpoints apart.
  if (service.headless && client.mode == ProxyMode::kSidecar) {
    *reason = "auto mTLS";
    return true;
  }
  if (!workload.tls_mode_istio) {
    *reason = "the endpoint has no sidecar";
    return false;
  }
  const int target = TargetPort(service, port, workload);
  if (MtlsFor(workload).ForPort(target).mode == MtlsMode::kDisable) {
    *reason = "PeerAuthentication of the endpoint's port says DISABLE";
    return false;
  }
  *reason = "auto mTLS";
  return true;
}

ClientTlsChoice Mesh::ChooseClientTls(const Workload& client, const MeshService& service,
                                      const MeshServicePort& port, std::string_view subset,
                                      const Workload& workload) const {
  ClientTlsChoice out;
  if (client.mode != ProxyMode::kSidecar && client.mode != ProxyMode::kGateway) {
    out.reason = client.mode == ProxyMode::kNone ? "the client has no proxy"
                                                 : "its ztunnel or waypoint speaks HBONE, not TLS";
    return out;
  }
  if (!IsVisible(client, service)) {
    out.reason = "the client's proxy does not know the service";
    return out;
  }
  const MergedRule* merged = MergedRuleFor(client, service);
  const RuleTls rules =
      merged ? ReadRules(merged->from, subset, port.port) : RuleTls{.unknown_subset = false};
  if (rules.unknown_subset || (!merged && !subset.empty())) {
    out.rule = merged ? merged->from.front() : nullptr;
    out.reason = "no DestinationRule of the client defines subset " + std::string(subset);
    return out;
  }
  std::string sni = DefaultSni(service, port, subset);
  if (rules.cluster) {
    out = ByRule(*rules.cluster, client, merged->selector != nullptr, port, std::move(sni));
    out.rule = rules.cluster_rule;
    return out;
  }
  std::string reason;
  bool mtls = false;
  if (rules.endpoint && !service.external && config().enable_auto_mtls) {
    // The port's entry took the TLS of the cluster away, but endpoints are still marked by it.
    const bool cluster_speaks_it =
        NamespaceMtls(service.ns).mode != MtlsMode::kDisable &&
        (!service.headless || AutoMtlsReaches(client, service, port, workload, &reason));
    const bool all_alike = service.headless && client.mode == ProxyMode::kSidecar;
    mtls =
        cluster_speaks_it && (all_alike || rules.endpoint->mode == ClientTls::Mode::kIstioMutual);
    out.rule = rules.endpoint_rule;
    reason = "the DestinationRule's port entry has no tls, but istiod marks endpoints by the rest";
  } else {
    mtls = AutoMtlsReaches(client, service, port, workload, &reason);
  }
  out.reason = std::move(reason);
  if (!mtls) return out;
  out.kind = ClientTlsChoice::Kind::kMeshMtls;
  out.sni = std::move(sni);
  out.alpn = MeshAlpn(port.protocol);
  return out;
}

}  // namespace meshproof

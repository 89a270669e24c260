// The names by which dumps call their lists, in all versions of Envoy and istioctl, and what an
// element is that stands alone.

#include "proxy/dump_pieces.h"

#include "proxy/dump_fields.h"

namespace meshproof {
namespace {

struct ListName {
  std::string_view name;
  PieceKind kind;
};
constexpr ListName kLists[] = {
    {"static_listeners", PieceKind::kStaticListener},
    {"dynamic_listeners", PieceKind::kDynamicListener},
    {"static_route_configs", PieceKind::kStaticRoutes},
    {"dynamic_route_configs", PieceKind::kDynamicRoutes},
    {"static_clusters", PieceKind::kStaticCluster},
    {"dynamic_active_clusters", PieceKind::kStaticCluster},
    {"dynamic_warming_clusters", PieceKind::kWarmingCluster},
    {"static_secrets", PieceKind::kStaticSecret},
    {"dynamic_active_secrets", PieceKind::kSecret},
    {"dynamic_warming_secrets", PieceKind::kWarmingSecret},
    {"ecds_filters", PieceKind::kEcds},
    {"static_endpoint_configs", PieceKind::kEndpoints},
    {"dynamic_endpoint_configs", PieceKind::kEndpoints},
    {"inline_scoped_route_configs", PieceKind::kOther},
    {"dynamic_scoped_route_configs", PieceKind::kOther},
};

}  // namespace

std::optional<PieceKind> ListKind(std::string_view key) {
  for (const ListName& list : kLists) {
    if (IsField(key, list.name)) return list.kind;
  }
  return std::nullopt;
}

Section SectionOf(PieceKind kind) {
  switch (kind) {
    case PieceKind::kStaticListener:
    case PieceKind::kDynamicListener:
    case PieceKind::kListener:
      return Section::kListeners;
    case PieceKind::kStaticRoutes:
    case PieceKind::kDynamicRoutes:
    case PieceKind::kRoutes:
      return Section::kRoutes;
    case PieceKind::kStaticCluster:
    case PieceKind::kWarmingCluster:
    case PieceKind::kCluster:
      return Section::kClusters;
    case PieceKind::kSecret:
    case PieceKind::kStaticSecret:
    case PieceKind::kWarmingSecret:
      return Section::kSecrets;
    case PieceKind::kEcds:
      return Section::kEcds;
    case PieceKind::kEndpoints:
      return Section::kEndpoints;
    case PieceKind::kBootstrap:
    case PieceKind::kZtunnel:
    case PieceKind::kOther:
      break;
  }
  return Section::kNone;
}

Section SectionOfType(std::string_view type) {
  if (type.ends_with("ListenersConfigDump")) return Section::kListeners;
  if (type.ends_with("RoutesConfigDump") && !type.ends_with("ScopedRoutesConfigDump")) {
    return Section::kRoutes;
  }
  if (type.ends_with("ClustersConfigDump")) return Section::kClusters;
  if (type.ends_with("SecretsConfigDump")) return Section::kSecrets;
  if (type.ends_with("EcdsConfigDump")) return Section::kEcds;
  if (type.ends_with("EndpointsConfigDump")) return Section::kEndpoints;
  return Section::kNone;
}

void Keys::See(std::string_view key) {
  struct Known {
    std::string_view name;
    bool Keys::* flag;
  };
  static constexpr Known kKnown[] = {
      {"filter_chains", &Keys::filter_chains},
      {"default_filter_chain", &Keys::filter_chains},
      {"listener_filters", &Keys::filter_chains},
      {"virtual_hosts", &Keys::virtual_hosts},
      {"vhds", &Keys::virtual_hosts},
      {"eds_cluster_config", &Keys::cluster_like},
      {"connect_timeout", &Keys::cluster_like},
      {"lb_policy", &Keys::cluster_like},
      {"load_assignment", &Keys::cluster_like},
      {"circuit_breakers", &Keys::cluster_like},
      {"tls_certificate", &Keys::secret_like},
      {"validation_context", &Keys::secret_like},
      {"active_state", &Keys::active_state},
      {"warming_state", &Keys::active_state},
      {"draining_state", &Keys::active_state},
      {"listener", &Keys::listener},
      {"route_config", &Keys::route_config},
      {"cluster", &Keys::cluster},
      {"secret", &Keys::secret},
      {"bootstrap", &Keys::bootstrap},
      {"workloads", &Keys::workloads},
      {"services", &Keys::services},
      {"ecds_filter", &Keys::ecds},
      {"host_statuses", &Keys::endpoints},
      {"endpoint_config", &Keys::endpoints},
      {"typed_config", &Keys::typed_config},
      {"name", &Keys::name},
      {"apiVersion", &Keys::kind},
  };
  for (const Known& known : kKnown) {
    if (IsField(key, known.name)) this->*known.flag = true;
  }
}

PieceKind Keys::Guess(std::string_view type) const {
  if (kind) return PieceKind::kOther;
  if (workloads && services) return PieceKind::kZtunnel;
  if (bootstrap) return PieceKind::kBootstrap;
  if (active_state) return PieceKind::kDynamicListener;
  if (filter_chains) return PieceKind::kListener;
  if (virtual_hosts) return PieceKind::kRoutes;
  if (listener) return PieceKind::kStaticListener;
  if (route_config) return PieceKind::kDynamicRoutes;
  if (ecds) return PieceKind::kEcds;
  if (endpoints) return PieceKind::kEndpoints;
  if (secret || secret_like) return PieceKind::kSecret;
  if (cluster) return PieceKind::kStaticCluster;
  if (cluster_like) return PieceKind::kCluster;
  if (name && typed_config) return PieceKind::kEcds;
  if (type.ends_with(".Listener")) return PieceKind::kListener;
  if (type.ends_with(".RouteConfiguration")) return PieceKind::kRoutes;
  if (type.ends_with(".Cluster")) return PieceKind::kCluster;
  if (type.ends_with(".Secret")) return PieceKind::kSecret;
  return PieceKind::kOther;
}

}  // namespace meshproof

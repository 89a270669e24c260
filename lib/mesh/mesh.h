#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "match/ip.h"
#include "model/model.h"

// The immutable snapshot of a mesh: who runs where, with which proxy and identity, and which
// policy reaches whom. istio-semantics sections 1.1, 4, 5 and 6.
namespace meshproof {

enum class ProxyMode { kNone, kSidecar, kGateway, kAmbient, kWaypoint };

std::string_view ToString(ProxyMode mode);

// How istiod treats a port (istio-semantics section 6, "Protocol").
enum class Protocol { kHttp, kHttp2, kGrpc, kTcp, kTls, kHttps, kUdp, kAuto };

bool IsHttp(Protocol protocol);  // kHttp, kHttp2, kGrpc
std::string_view ToString(Protocol protocol);

// PTC: appProtocol, else the port's name, else the well-known numbers.
Protocol SelectProtocol(int service_port, PortProtocol transport, std::string_view name,
                        const std::optional<std::string_view>& app_protocol);

// The protocol of a ServiceEntry's or Sidecar's port, as written there; unknown words are kAuto.
Protocol ParseProtocol(std::string_view name);

// What a proxy that speaks mesh mTLS offers for traffic of this kind; kAuto as for HTTP/1.1.
std::vector<std::string> MeshAlpn(Protocol protocol);

// A pod, or all pods of one controller (Deployment, StatefulSet, …) taken together.
struct Workload {
  std::string ns;
  std::string name;
  const ObjectMeta* object = nullptr;
  const PodWorkload* pod = nullptr;  // the controller where it is in the input, else one pod of it;
                                     // null for a WorkloadEntry
  const WorkloadEntry* entry = nullptr;
  Labels labels;  // of the pod, with what injection adds left out
  std::string service_account;
  ProxyMode mode = ProxyMode::kNone;
  std::string mode_reason;              // one clause: "namespace label istio-injection: enabled"
  bool tls_mode_istio = false;          // security.istio.io/tlsMode=istio: clients use mTLS
  std::string identity;                 // "spiffe://<td>/ns/<ns>/sa/<sa>"; "" without a proxy
  std::vector<IpAddress> ips;           // known addresses
  const K8sGateway* gateway = nullptr;  // the Gateway API's Gateway whose proxy this is
};

struct MeshService;

// A port of a Service as one workload sees it.
struct InboundPort {
  int port = 0;  // the port that the pod listens on
  Protocol protocol = Protocol::kAuto;
  const MeshService* service =
      nullptr;  // the oldest one that targets the port; null: Sidecar ingress
  int service_port = 0;
  const Sidecar::Ingress* ingress = nullptr;
};

struct MeshServicePort {
  int port = 0;
  std::string name;
  Protocol protocol = Protocol::kAuto;
  Text target_port;  // of a Kubernetes Service: number or name; "" = port. See Mesh::TargetPort.
};

struct MeshService {
  std::string host;  // FQDN: "web.shop.svc.cluster.local", or a ServiceEntry's host
  std::string ns;
  std::string name;
  const ObjectMeta* object = nullptr;
  const Service* service = nullptr;  // exactly one of the two is set
  const ServiceEntry* entry = nullptr;
  std::vector<MeshServicePort> ports;
  std::vector<size_t> workloads;  // indexes into Mesh::workloads()
  bool headless = false;
  bool external = false;  // MESH_EXTERNAL
  bool kubernetes = false;
  std::vector<IpAddress> addresses;
  const MeshServicePort* FindPort(int port) const;
};

// Who decided a mode; null object = Istio's default (PERMISSIVE).
struct EffectiveMode {
  MtlsMode mode = MtlsMode::kPermissive;  // never kUnset
  const PeerAuthentication* source = nullptr;
  Span span;
};

struct EffectiveMtls {
  EffectiveMode workload;                            // ports without an own entry, and port 0
  std::vector<std::pair<int, EffectiveMode>> ports;  // by container port, ascending
  const EffectiveMode& ForPort(int port) const;
};

// AuthorizationPolicies and RequestAuthentications in istiod's order: of the former root namespace,
// then the workload's; of the latter the workload's, then the root (it tells providers of the same
// issuer apart); inside a namespace by creation time, name. Dry-run ones are among them.
struct PolicySet {
  std::vector<const AuthorizationPolicy*> custom, audit, deny, allow;
  std::vector<const RequestAuthentication*> request_authentications;
};

// What the client's own proxy does towards one Service port and endpoint.
struct ClientTlsChoice {
  enum class Kind { kPlaintext, kMeshMtls, kSimple, kMutual };
  Kind kind = Kind::kPlaintext;
  std::string sni;                        // kMeshMtls and where a DestinationRule sets it
  std::vector<std::string> alpn;          // what the client offers
  const DestinationRule* rule = nullptr;  // the DestinationRule that decided, if any
  std::string reason;                     // one clause
};

// A Gateway that takes traffic on behalf of others (istio-semantics section 7.3).
struct Waypoint {
  const K8sGateway* gateway = nullptr;
  const Workload* workload = nullptr;                // its proxy; null where the input has none
  const MeshService* service = nullptr;              // through which it is reached; may be null
  bool for_services = false, for_workloads = false;  // istio.io/waypoint-for
};

// The waypoint that traffic to a Service or workload passes, or why it passes none.
struct WaypointChoice {
  const Waypoint* waypoint = nullptr;
  bool asked_for = false;  // a label names one (that istiod may not find or use)
  std::string reason;      // one clause
};

struct MeshOptions {
  // Feature flags of istiod by environment name (`.meshproof.yaml`); else the istiod Deployment's.
  std::vector<std::pair<std::string, std::string>> istiod_env;
  std::vector<CidrRange> pod_cidrs, service_cidrs;  // defaults 10.244.0.0/16, 10.96.0.0/16
};

class Mesh {
 public:
  static std::shared_ptr<const Mesh> Build(std::shared_ptr<const Model> model,
                                           const MeshOptions& options = {});

  const Model& model() const { return *model_; }
  const MeshConfig& config() const { return model_->mesh_config; }
  const MeshOptions& options() const { return options_; }
  const std::vector<Workload>& workloads() const { return workloads_; }
  const std::vector<MeshService>& services() const { return services_; }

  const Workload* FindWorkload(std::string_view ns, std::string_view name) const;
  // By exact FQDN.
  const MeshService* FindService(std::string_view host) const;
  // A host as an object in namespace `ns` writes it (`web` = web.<ns>.svc.<domain>), or as a
  // client in `ns` calls it (web, web.shop, web.shop.svc, FQDN). An ExternalName leads to the
  // Service that it names, where that is in the mesh; a wildcard ServiceEntry takes what it covers.
  const MeshService* ResolveHost(std::string_view host, std::string_view ns) const;
  // A host as istiod reads it in the object of namespace `ns` that names it: only a name without a
  // dot is completed, so `web.shop` names nothing in Kubernetes.
  const MeshService* ResolveObjectHost(std::string_view host, std::string_view ns) const;
  // The Service by one of its addresses.
  const MeshService* FindServiceByAddress(const IpAddress& address) const;
  const Workload* FindWorkloadByAddress(const IpAddress& address) const;

  const Namespace* FindNamespace(std::string_view name) const;
  // A feature flag of istiod; nothing where it is at its default.
  std::optional<std::string_view> Feature(std::string_view name) const;
  bool FeatureEnabled(std::string_view name, bool by_default) const;

  PolicySet PoliciesFor(const Workload& workload) const;
  // Of a waypoint's chains for one Service, or (null) for pods that are addressed directly.
  PolicySet PoliciesFor(const Workload& waypoint, const MeshService* service) const;
  EffectiveMtls MtlsFor(const Workload& workload) const;
  // Mode of namespace `ns` as the client side reads it (mesh and namespace levels only).
  EffectiveMode NamespaceMtls(std::string_view ns) const;
  // Declared inbound ports, ascending by port: those that Services target, or the Sidecar
  // resource's ingress ones. UDP ports are none; gateways and waypoints have none.
  std::vector<InboundPort> InboundPorts(const Workload& workload) const;
  // The Sidecar resource that applies, if any.
  const Sidecar* SidecarFor(const Workload& workload) const;
  // Objects that change this proxy in ways that are not computed here (EnvoyFilter, WasmPlugin).
  std::vector<const ObjectMeta*> UnmodelledFor(const Workload& workload) const;

  // Whether istiod runs with ambient support: its environment says so, or the input makes use of
  // it.
  bool AmbientEnabled() const { return ambient_; }
  // Whether an HBONE tunnel ends at this workload: at its ztunnel or, in an ambient mesh, its
  // sidecar.
  bool TakesHbone(const Workload& workload) const;
  // By namespace and name.
  const std::vector<Waypoint>& waypoints() const { return waypoints_; }
  const Waypoint* WaypointOf(const Workload& proxy) const;
  WaypointChoice WaypointFor(const MeshService& service) const;
  WaypointChoice WaypointFor(const Workload& workload) const;
  // istio.io/ingress-use-waypoint of the Service, else of its namespace.
  bool IngressUsesWaypoint(const MeshService& service) const;
  const K8sGateway* FindK8sGateway(std::string_view ns, std::string_view name) const;
  const ReferenceGrant* FindReferenceGrant(std::string_view from_kind, std::string_view from_ns,
                                           std::string_view to_kind, std::string_view to_ns,
                                           std::string_view to_name) const;
  // An address that stands for a Service or workload in a configuration: its own, or, where the
  // input states none, one of the mesh's range that nothing else in the input has.
  IpAddress StandInAddress(const MeshService& service) const;
  IpAddress StandInAddress(const Workload& workload) const;

  // The container port that `service_port` of `service` leads to on `workload`; 0 where it has
  // none.
  int TargetPort(const MeshService& service, const MeshServicePort& service_port,
                 const Workload& workload) const;
  // The Service (oldest first) and its port that have this workload and container port as target.
  std::optional<std::pair<const MeshService*, const MeshServicePort*>> ServiceForPort(
      const Workload& workload, int container_port) const;

  // What the proxy of `client` (sidecar or gateway) does to reach `workload` through a Service
  // port; `subset` may be "". istio-semantics section 5.
  // A Service that exportTo or the client's Sidecar egress hides is reached through
  // PassthroughCluster: plaintext. On ports of protocol kAuto `alpn` is that of HTTP/1.1.
  ClientTlsChoice ChooseClientTls(const Workload& client, const MeshService& service,
                                  const MeshServicePort& port, std::string_view subset,
                                  const Workload& workload) const;
  // exportTo and the egress hosts of the client's Sidecar resource.
  bool IsVisible(const Workload& client, const MeshService& service) const;
  // DestinationRule lookup: client namespace (unless it is the root), service namespace, root. Of
  // several for one host that istiod merges: the first one.
  const DestinationRule* DestinationRuleFor(const Workload& client,
                                            const MeshService& service) const;

  // Servers of Gateways that select this gateway workload, oldest Gateway first, with the port that
  // its proxy listens on (target port of its oldest Service that has the server's port; else that
  // number itself). Which of them istiod merges or drops is not decided here.
  struct BoundServer {
    const Gateway* gateway = nullptr;
    const GatewayServer* server = nullptr;
    int listen_port = 0;
  };
  std::vector<BoundServer> GatewayServersFor(const Workload& workload) const;
  // VirtualServices bound to this Gateway (`ns/name`, or `name` in its namespace), oldest first;
  // delegates (no hosts) are not among them. `proxy_namespace` (where not "") applies exportTo.
  std::vector<const VirtualService*> VirtualServicesFor(
      const Gateway& gateway, std::string_view proxy_namespace = {}) const;
  // VirtualServices bound to sidecars (`mesh`, or no gateways), oldest first.
  const std::vector<const VirtualService*>& MeshVirtualServices() const {
    return mesh_virtual_services_;
  }
  // Those that istiod makes of routes whose parent is this Service (Gateway API), its own
  // namespace's first.
  std::vector<const VirtualService*> ServiceRoutesFor(const MeshService& service) const;

 private:
  friend class MeshBuilder;

  template <typename T>
  using ByNamespace = std::unordered_map<std::string, std::vector<const T*>>;

  // DestinationRules of one namespace and host that istiod takes as one.
  struct MergedRule {
    std::vector<const DestinationRule*> from;  // the first one's settings win
    std::set<std::string> export_to;
    const Selector* selector = nullptr;  // workloadSelector, null where there is none
  };
  struct RuleIndex {  // by host, as istiod completes it
    std::unordered_map<std::string, std::vector<MergedRule>> by_host;
  };
  // One (Service, port) that has a workload as target.
  struct ServiceTarget {
    const MeshService* service = nullptr;
    const MeshServicePort* port = nullptr;
    int target_port = 0;
  };

  Mesh() = default;

  size_t IndexOf(const Workload& workload) const;
  std::vector<ServiceTarget> ServiceTargets(const Workload& workload) const;
  const std::vector<MergedRule>* MostSpecificRules(
      const std::unordered_map<std::string, RuleIndex>& index, std::string_view ns,
      std::string_view host) const;
  const MergedRule* MergedRuleFor(const Workload& client, const MeshService& service) const;
  const MeshService* LookUpHost(const std::string& host, std::string_view ns) const;
  const MeshService* FollowExternalName(const MeshService* service) const;
  bool Serves(const Workload& workload, const K8sGateway& gateway) const;
  WaypointChoice ChooseWaypoint(const Labels& labels, const std::string& ns) const;
  bool AutoMtlsReaches(const Workload& client, const MeshService& service,
                       const MeshServicePort& port, const Workload& workload,
                       std::string* reason) const;

  std::shared_ptr<const Model> model_;
  MeshOptions options_;
  std::vector<Workload> workloads_;    // by namespace, name, kind
  std::vector<MeshService> services_;  // oldest first, then by host
  std::vector<std::vector<size_t>> services_of_workload_;
  std::unordered_map<std::string, size_t> workload_index_;  // "ns/name", pods' names too
  // By host, the one that counts first; several where ServiceEntries repeat a host.
  std::unordered_map<std::string, std::vector<size_t>> service_index_;
  bool has_wildcard_hosts_ = false;
  std::map<IpAddress, size_t> service_addresses_;
  std::map<IpAddress, size_t> workload_addresses_;
  std::unordered_map<std::string, const Namespace*> namespace_index_;
  // By namespace, in istiod's order.
  ByNamespace<AuthorizationPolicy> authorization_;
  ByNamespace<RequestAuthentication> request_;
  ByNamespace<PeerAuthentication> peer_;
  ByNamespace<Sidecar> sidecars_;  // those with a workloadSelector first
  ByNamespace<EnvoyFilter> envoy_filters_;
  ByNamespace<OtherObject> others_;
  std::vector<const Gateway*> gateways_;  // oldest first
  std::unordered_map<std::string, std::vector<const VirtualService*>> virtual_services_;
  std::vector<const VirtualService*> mesh_virtual_services_;
  std::unordered_map<std::string, RuleIndex> local_rules_;     // for clients of the namespace
  std::unordered_map<std::string, RuleIndex> exported_rules_;  // for clients of other namespaces
  std::unordered_map<std::string, RuleIndex> private_root_rules_;
  std::unordered_map<std::string, std::string> istiod_env_;
  bool ambient_ = false;
  std::vector<Waypoint> waypoints_;
  // What istiod makes of the Gateway API: views point into the model or into `texts_`.
  std::vector<std::unique_ptr<PodWorkload>> made_pods_;
  std::vector<std::unique_ptr<Service>> made_services_;
  std::vector<std::unique_ptr<Gateway>> made_gateways_;
  std::vector<std::unique_ptr<VirtualService>> made_virtual_services_;
  std::vector<std::unique_ptr<std::string>> texts_;
  std::unordered_map<std::string, std::vector<const VirtualService*>> service_routes_;  // by host
};

}  // namespace meshproof

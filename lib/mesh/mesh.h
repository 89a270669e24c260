#pragma once

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

struct Workload {
  std::string ns;
  std::string name;
  const ObjectMeta* object = nullptr;
  const PodWorkload* pod = nullptr;  // null for a WorkloadEntry
  const WorkloadEntry* entry = nullptr;
  Labels labels;  // of the pod, with what injection adds left out
  std::string service_account;
  ProxyMode mode = ProxyMode::kNone;
  std::string mode_reason;      // one clause: "namespace label istio-injection: enabled"
  bool tls_mode_istio = false;  // security.istio.io/tlsMode=istio: clients use mTLS
  std::string identity;         // "spiffe://<td>/ns/<ns>/sa/<sa>"; "" without a proxy
  std::vector<IpAddress> ips;   // known addresses
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
  Text target_port;  // number or name; "" = port
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

// AuthorizationPolicies and RequestAuthentications in istiod's order: root namespace, then the
// workload's; inside a namespace by creation time, name. Dry-run ones are among them.
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
  // client in `ns` calls it (web, web.shop, web.shop.svc, FQDN).
  const MeshService* ResolveHost(std::string_view host, std::string_view ns) const;
  // The Service by one of its addresses.
  const MeshService* FindServiceByAddress(const IpAddress& address) const;
  const Workload* FindWorkloadByAddress(const IpAddress& address) const;

  const Namespace* FindNamespace(std::string_view name) const;
  // A feature flag of istiod; nothing where it is at its default.
  std::optional<std::string_view> Feature(std::string_view name) const;
  bool FeatureEnabled(std::string_view name, bool by_default) const;

  PolicySet PoliciesFor(const Workload& workload) const;
  EffectiveMtls MtlsFor(const Workload& workload) const;
  // Mode of namespace `ns` as the client side reads it (mesh and namespace levels only).
  EffectiveMode NamespaceMtls(std::string_view ns) const;
  // Declared inbound ports, ascending by port: those that Services target, or the Sidecar
  // resource's ingress ones.
  std::vector<InboundPort> InboundPorts(const Workload& workload) const;
  // The Sidecar resource that applies, if any.
  const Sidecar* SidecarFor(const Workload& workload) const;
  // Objects that change this proxy in ways that are not computed here (EnvoyFilter, WasmPlugin).
  std::vector<const ObjectMeta*> UnmodelledFor(const Workload& workload) const;

  // The container port that `service_port` of `service` leads to on `workload`; 0 where it has
  // none.
  int TargetPort(const MeshService& service, const MeshServicePort& service_port,
                 const Workload& workload) const;
  // The Service (oldest first) and its port that have this workload and container port as target.
  std::optional<std::pair<const MeshService*, const MeshServicePort*>> ServiceForPort(
      const Workload& workload, int container_port) const;

  // What the proxy of `client` (sidecar or gateway) does to reach `workload` through a Service
  // port; `subset` may be "". istio-semantics section 5.
  ClientTlsChoice ChooseClientTls(const Workload& client, const MeshService& service,
                                  const MeshServicePort& port, std::string_view subset,
                                  const Workload& workload) const;
  // DestinationRule lookup: client namespace (unless it is the root), service namespace, root.
  const DestinationRule* DestinationRuleFor(const Workload& client,
                                            const MeshService& service) const;

  // Servers of Gateways that select this gateway workload, with the port its proxy listens on
  // (target port of its Service where that maps the server's port; else the server's port).
  struct BoundServer {
    const Gateway* gateway = nullptr;
    const GatewayServer* server = nullptr;
    int listen_port = 0;
  };
  std::vector<BoundServer> GatewayServersFor(const Workload& workload) const;
  // VirtualServices bound to this Gateway (`ns/name`, or `name` in its namespace), oldest first.
  std::vector<const VirtualService*> VirtualServicesFor(const Gateway& gateway) const;

 private:
  friend class MeshBuilder;
  std::shared_ptr<const Model> model_;
  MeshOptions options_;
  std::vector<Workload> workloads_;
  std::vector<MeshService> services_;
  std::vector<std::vector<size_t>> services_of_workload_;
  std::unordered_map<std::string, size_t> workload_index_;  // "ns/name"
  std::unordered_map<std::string, size_t> service_index_;   // FQDN
  std::unordered_map<std::string, const Namespace*> namespace_index_;
  // Policies by namespace, in istiod's order.
  std::unordered_map<std::string, std::vector<const AuthorizationPolicy*>> authorization_;
  std::unordered_map<std::string, std::vector<const RequestAuthentication*>> request_;
  std::unordered_map<std::string, std::vector<const PeerAuthentication*>> peer_;
  std::unordered_map<std::string, std::vector<const DestinationRule*>> rules_;
  std::unordered_map<std::string, std::string> istiod_env_;
};

}  // namespace meshproof

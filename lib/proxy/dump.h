#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "base/result.h"
#include "mesh/mesh.h"
#include "proxy/config.h"
#include "proxy/ztunnel.h"
#include "source/node.h"
#include "source/source.h"

// What a proxy runs, as it says itself: Envoy's admin dump (snake_case), istioctl's
// `proxy-config … -o json|yaml` (camelCase), ztunnel's dump. Read into the same representation that
// manifests are compiled into; what has no place there is named as opaque, never dropped.
namespace meshproof {

struct DumpSecret {
  enum class Kind { kCertificate, kRoots, kOther };
  enum class State { kActive, kWarming, kStatic };
  std::string name;  // "default", "ROOTCA", "kubernetes://…"
  Kind kind = Kind::kOther;
  State state = State::kActive;
  std::string pem;           // chain or roots, decoded; "" where there is none or it is redacted
  std::string trust_domain;  // of one bundle of a SPIFFE validator
  bool redacted = false;     // the PEM itself is (a private key always is)
  std::string version;
  std::string last_updated;
  Span span;
};

struct DumpCluster {
  std::string name;
  bool tls = false;              // an upstream TLS context always
  bool tls_by_endpoint = false;  // one for endpoints that say so (auto mTLS)
  std::string type;              // "EDS", …
  Span span;
};

// A listener, route configuration or cluster that is not (only) in force.
struct DumpTrouble {
  enum class Kind { kWarming, kDraining, kRejected, kStale };
  Kind kind = Kind::kWarming;
  std::string what;     // "listener virtualInbound"
  std::string details;  // Envoy's own words where it refused an update
  std::string time;
  Span span;
};

struct DumpOpaque {
  std::string what;   // "HTTP filter my.wasm (envoy.extensions.filters.http.wasm.v3.Wasm)"
  std::string where;  // "listener virtualInbound"
  Span span;
};

// One Envoy.
struct ProxyDump {
  std::shared_ptr<ProxyConfig> config;
  std::string file;     // its name; several are joined with ", "
  std::string node_id;  // "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local"
  std::string pod;
  std::string service_account;
  bool named_by_certificate = false;  // nothing else of the dump says whose proxy it is
  std::string istio_version;          // "" where the dump does not say
  std::string mesh_id;
  Labels labels;
  std::vector<IpAddress> ips;
  // Which sections the dump has; a part that is not there says nothing about the proxy.
  bool has_bootstrap = false, has_listeners = false, has_routes = false, has_clusters = false,
       has_secrets = false;
  std::string listeners_version, clusters_version;
  std::string admin_address;  // "127.0.0.1:15000"; "" where the dump does not say
  Span admin_span;
  std::vector<DumpSecret> secrets;
  std::vector<DumpCluster> clusters;
  std::vector<DumpTrouble> troubles;
  std::vector<DumpOpaque> opaque;
  size_t endpoints = 0;  // endpoint configurations, which say nothing here
  Span span;

  const DumpSecret* FindSecret(std::string_view name) const;
};

struct DumpedPolicy {
  std::string ns, name, scope, action;  // as the dump writes them: "Global", "Allow"
  size_t rules = 0;
  std::vector<ZtunnelGroup> groups;  // its rules; without origins
  bool dry_run = false;
  Span span;
};
struct DumpedWorkload {
  std::string ns, name, workload, service_account, trust_domain, protocol, node;
  std::vector<IpAddress> ips;
  std::vector<std::string> policies;  // "ns/name"
  bool has_waypoint = false;
  std::string waypoint;  // the Service through which it is reached: "ns/host", or its address
  std::string uid, network_gateway;
  bool native_tunnel = false;  // it takes HBONE itself, no ztunnel does for it
  bool host_network = false;
  Span span;
};
struct DumpedService {
  std::string ns, name, host, waypoint;
  std::vector<IpAddress> vips;
  std::vector<std::pair<int, int>> ports;  // to the endpoints' port; 0: it differs
  struct Endpoint {
    std::string workload_uid;
    std::vector<std::pair<int, int>> ports;
  };
  std::vector<Endpoint> endpoints;
  Span span;
};
// What a waypoint's dump says of the mesh that it stands in.
struct DumpedWaypoint {
  std::string ns, gateway;  // its Gateway; "" where the dump does not say
  std::string trust_domain;
  struct Service {
    std::string host;
    std::vector<IpAddress> addresses;
    std::vector<int> ports;
  };
  std::vector<Service> services;
};

struct ZtunnelDump {
  std::string file;
  std::vector<DumpedWorkload> workloads;
  std::vector<DumpedPolicy> policies;
  std::vector<DumpedService> services;
  bool has_policies = false;     // the section of policies, which may be empty
  std::set<std::string> served;  // "ns/name" of the pods whose traffic this one takes
  struct Identity {
    std::string identity;  // "spiffe://…"
    std::string state;     // "Available"
    std::vector<std::string> chain_pem, root_pem;
    Span span;
  };
  std::vector<Identity> identities;
  Span span;
};

struct Dumps {
  std::vector<ProxyDump> proxies;
  std::vector<ZtunnelDump> ztunnels;
  std::vector<Diagnostic> diagnostics;
  std::vector<std::shared_ptr<const SourceFile>> files;
};

// Envoy's admin dump or a part of it, istioctl's lists, ztunnel's, or a list of such.
bool LooksLikeDump(const Node& root);
// The same of a file's first bytes, without reading on: JSON only.
bool LooksLikeDumpText(std::string_view text);

// Who a dump's proxy is, as far as its node says.
struct DumpIdentity {
  std::string ns, workload;  // both "" where the dump does not say
  std::string pod, service_account;
  ProxyMode mode = ProxyMode::kSidecar;
  Labels labels;
  std::vector<IpAddress> ips;
};

// Reads dumps. Whatever is wrong becomes a diagnostic at its place.
class DumpReader {
 public:
  DumpReader();
  ~DumpReader();

  // Whose the proxies are that are added from here on, where their dumps do not say so themselves;
  // "" where nobody says it.
  void SetOwner(std::string ns, std::string workload);

  // JSON is read piece by piece, so that a large dump never lies in memory as a tree; anything else
  // as YAML.
  void AddText(std::string name, std::string text);
  // A document that was read already; it has to live until Finish is through.
  void AddDocument(const Document& document);

  // Of the Envoys that were added, in order.
  std::vector<DumpIdentity> Identities() const;
  // The waypoints that were added, of what whole dumps say.
  std::vector<DumpedWaypoint> Waypoints() const;
  // The ztunnels that were added.
  const std::vector<ZtunnelDump>& Ztunnels() const;

  // What was added, proxies in order. Parts of one proxy that istioctl printed into several files
  // of one folder are joined. `mesh` (may be null) links policies and rules with the manifests that
  // they stem from, and names proxies that do not say whose they are where their certificate is one
  // workload's alone.
  Dumps Finish(const std::shared_ptr<const Mesh>& mesh = nullptr);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// ns, name and rule of a key such as "ns[shop]-policy[p]-rule[0]", with what may stand before and
// behind it for CUSTOM policies.
struct PolicyKey {
  std::string_view ns, name;
  int rule = -1;
  std::string_view provider;  // of CUSTOM
};
std::optional<PolicyKey> ParsePolicyKey(std::string_view key);

}  // namespace meshproof

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/span.h"
#include "match/ip.h"
#include "match/labels.h"
#include "source/source.h"

// The Kubernetes and Istio objects of the input, typed and with places. Views point into the
// documents, which the Model keeps alive. Nothing here is resolved across objects; that is `mesh`.
namespace meshproof {

// A string of the input and its place.
struct Text {
  std::string_view value;
  Span span;
};

// A list field. `present` tells `[]` and absence apart for messages; semantics treat them alike.
struct TextList {
  std::vector<Text> values;
  bool present = false;
  Span span;  // the key and its list
  bool empty() const { return values.empty(); }
};

struct ObjectMeta {
  std::string_view kind;
  std::string_view api_version;
  std::string_view name;
  std::string ns;  // resolved: the object's, the path's, -n, or "default"; "" if cluster-scoped
  bool namespace_given = false;
  Labels labels;
  Labels annotations;
  std::string_view created;  // metadata.creationTimestamp as written (RFC 3339 sorts as text)
  Span span;                 // the value of metadata.name, else the start of the object
  Span body;                 // the whole object
  const Node* node = nullptr;
  const SourceFile* file = nullptr;
};

// "Kind/namespace/name" ("Kind//name" for cluster-scoped ones).
std::string ToString(const ObjectMeta& meta);

struct Selector {
  bool present = false;           // `selector:` stands there, even if empty
  bool has_match_labels = false;  // `matchLabels:` stands in it, even if empty
  Labels match_labels;
  Span span;
};

struct TargetRef {
  Text group, kind, name, ns;
  Span span;
};

enum class MtlsMode { kUnset, kDisable, kPermissive, kStrict };

struct Namespace {
  ObjectMeta meta;
};

enum class PortProtocol { kTcp, kUdp, kSctp };

struct ContainerPort {
  Text name;
  int port = 0;  // 1..65535
  PortProtocol protocol = PortProtocol::kTcp;
  int host_port = 0;
};

// A Pod or whatever makes pods (Deployment, StatefulSet, DaemonSet, ReplicaSet, Job, CronJob,
// ReplicationController). Labels and annotations of `pod` are those of the template.
struct PodWorkload {
  ObjectMeta meta;
  Labels pod_labels;
  Labels pod_annotations;
  Span pod_labels_span;
  std::string_view service_account;  // "default" where none is given
  std::string_view generate_name;    // Pod: metadata.generateName
  std::string_view owner;            // Pod: name of the controlling owner, "" if none
  bool host_network = false;
  std::vector<ContainerPort> ports;
  std::vector<std::pair<std::string_view, std::string_view>> env;  // of the first container
  std::vector<IpAddress> ips;                                      // Pod: status.podIP(s)
  bool has_proxy_container = false;  // a container or native sidecar named istio-proxy stands there
};

struct ServicePort {
  Text name;
  int port = 0;
  Text target_port;  // number or name; empty = the same as port
  PortProtocol protocol = PortProtocol::kTcp;
  std::optional<Text> app_protocol;
  Span span;
};

struct Service {
  ObjectMeta meta;
  Labels selector;
  bool has_selector = false;
  std::vector<ServicePort> ports;
  std::vector<IpAddress> cluster_ips;
  bool headless = false;  // clusterIP: None
  std::string_view type;  // ClusterIP where not given
  std::string_view external_name;
};

struct ServiceAccount {
  ObjectMeta meta;
};

// Of use only where a Gateway names it.
struct Secret {
  ObjectMeta meta;
  std::string_view type;
  std::vector<std::pair<std::string_view, std::string_view>> data;         // base64 as written
  std::vector<std::pair<std::string_view, std::string_view>> string_data;  // plain
};

struct PeerAuthentication {
  ObjectMeta meta;
  Selector selector;
  MtlsMode mode = MtlsMode::kUnset;
  Span mode_span;
  struct Port {
    int port = 0;
    MtlsMode mode = MtlsMode::kUnset;
    Span span;
  };
  std::vector<Port> ports;
};

struct JwtRule {
  Text issuer;
  TextList audiences;
  Text jwks_uri;
  Text jwks;
  struct Header {
    Text name, prefix;
  };
  std::vector<Header> from_headers;
  TextList from_params, from_cookies;
  Text output_payload_to_header;
  struct ClaimToHeader {
    Text header, claim;
  };
  std::vector<ClaimToHeader> output_claim_to_headers;
  bool forward_original_token = false;
  TextList space_delimited_claims;
  std::string_view timeout;
  Span span;
};

struct RequestAuthentication {
  ObjectMeta meta;
  Selector selector;
  std::vector<TargetRef> target_refs;
  std::vector<JwtRule> jwt_rules;
};

struct AuthorizationPolicy {
  enum class Action { kAllow, kDeny, kAudit, kCustom };
  // One `source`; a field's negation is the list of the same name with `not_`.
  struct Source {
    TextList principals, not_principals, request_principals, not_request_principals, namespaces,
        not_namespaces, service_accounts, not_service_accounts, trust_domains, not_trust_domains,
        ip_blocks, not_ip_blocks, remote_ip_blocks, not_remote_ip_blocks;
    Span span;
  };
  struct Operation {
    TextList hosts, not_hosts, methods, not_methods, paths, not_paths, ports, not_ports;
    Span span;
  };
  struct Condition {
    Text key;
    TextList values, not_values;
    Span span;
  };
  struct Rule {
    std::vector<Source> from;
    std::vector<Operation> to;
    std::vector<Condition> when;
    bool null = false;  // `- null`: istiod skips it, its index stays
    Span span;
  };
  ObjectMeta meta;
  Selector selector;
  std::vector<TargetRef> target_refs;  // targetRefs, else the legacy targetRef
  Action action = Action::kAllow;
  Span action_span;
  bool has_provider = false;
  Text provider;
  std::vector<Rule> rules;
  bool dry_run = false;  // istio.io/dry-run, Go ParseBool; unparsable = false
};

struct K8sGateway;

struct TlsSettings {  // of a Gateway server
  enum class Mode {
    kPassthrough,
    kSimple,
    kMutual,
    kAutoPassthrough,
    kIstioMutual,
    kOptionalMutual
  };
  Mode mode = Mode::kPassthrough;
  bool https_redirect = false;
  Text credential_name;
  Text server_certificate, private_key, ca_certificates;
  TextList subject_alt_names;
  std::string_view min_version;
  Span span;
};

struct GatewayServer {
  int port = 0;
  Text port_name;
  Text protocol;  // HTTP, HTTPS, HTTP2, GRPC, TCP, TLS, … as written
  int target_port = 0;
  Text bind;
  Text name;
  TextList hosts;
  std::optional<TlsSettings> tls;
  Span span;
};

struct Gateway {  // networking.istio.io
  ObjectMeta meta;
  const K8sGateway* made_from = nullptr;  // a listener of the Gateway API as istiod converts it
  Labels selector;
  Span selector_span;
  std::vector<GatewayServer> servers;
};

// networking.istio.io StringMatch.
struct StringMatch {
  enum class Kind { kNone, kExact, kPrefix, kRegex };
  Kind kind = Kind::kNone;
  Text value;
};

struct Destination {
  Text host;
  Text subset;
  int port = 0;  // 0 = none given
  Span span;
};

struct RouteDestination {
  Destination destination;
  int weight = 0;
};

struct HttpMatch {
  bool whole_segments = false;  // the prefix ends where a segment of the path ends (Gateway API)
  StringMatch uri, scheme, method, authority;
  std::vector<std::pair<Text, StringMatch>> headers, without_headers, query_params;
  bool ignore_uri_case = false;
  int port = 0;
  TextList gateways;
  Labels source_labels;
  std::string_view source_namespace;
  Span span;
};

struct HttpRoute {
  Text name;
  std::vector<HttpMatch> matches;
  std::vector<RouteDestination> routes;
  bool has_redirect = false;
  int redirect_code = 301;
  Text redirect_uri, redirect_authority, redirect_scheme;
  bool redirect_prefix = false;  // redirect_uri replaces the prefix that matched
  int redirect_port = 0;
  bool has_direct_response = false;
  int direct_response_status = 200;
  bool has_rewrite = false;
  Text rewrite_uri, rewrite_authority;
  Text rewrite_regex, rewrite_substitution;  // uriRegexRewrite
  bool has_delegate = false;
  Text delegate_name, delegate_namespace;
  bool has_cors = false;
  bool has_fault_abort = false;
  std::vector<std::pair<Text, Text>> request_headers_set, request_headers_add;
  TextList request_headers_remove;
  Span span;
  // Where istiod made it from a rule of a route of the Gateway API.
  const ObjectMeta* made_from = nullptr;
  int rule = -1;
};

struct L4Match {  // tls and tcp
  TextList sni_hosts, destination_subnets, gateways;
  int port = 0;
  Labels source_labels;
  Span span;
};

struct L4Route {
  std::vector<L4Match> matches;
  std::vector<RouteDestination> routes;
  Span span;
};

struct VirtualService {
  ObjectMeta meta;
  TextList hosts;
  TextList gateways;  // empty = mesh
  TextList export_to;
  std::vector<HttpRoute> http;
  std::vector<L4Route> tls, tcp;
};

struct ClientTls {  // DestinationRule trafficPolicy.tls
  enum class Mode { kDisable, kSimple, kMutual, kIstioMutual };
  Mode mode = Mode::kDisable;
  Text sni;
  TextList subject_alt_names;
  Text credential_name, client_certificate, ca_certificates;
  bool insecure_skip_verify = false;
  Span span;
  Text private_key;
};

struct TrafficPolicy {
  std::optional<ClientTls> tls;
  struct Port {
    int port = 0;
    std::optional<ClientTls> tls;
    Span span;
  };
  std::vector<Port> ports;
  Span span;
};

struct DestinationRule {
  ObjectMeta meta;
  Text host;
  std::optional<TrafficPolicy> policy;
  struct Subset {
    Text name;
    Labels labels;
    std::optional<TrafficPolicy> policy;
    Span span;
  };
  std::vector<Subset> subsets;
  TextList export_to;
  Selector workload_selector;
};

struct ServiceEntry {
  ObjectMeta meta;
  TextList hosts;
  TextList addresses;
  struct Port {
    int port = 0;
    int target_port = 0;
    Text name, protocol;
  };
  std::vector<Port> ports;
  bool mesh_external = true;    // location (default MESH_EXTERNAL)
  std::string_view resolution;  // NONE where not given
  struct Endpoint {
    Text address;
    Labels labels;
    std::string_view service_account;
    std::vector<std::pair<std::string_view, int>> ports;
  };
  std::vector<Endpoint> endpoints;
  Selector workload_selector;
  TextList export_to;
  TextList subject_alt_names;
};

struct Sidecar {
  ObjectMeta meta;
  Selector workload_selector;
  struct Ingress {
    int port = 0;
    Text protocol, name;
    Text bind, default_endpoint;
    std::optional<TlsSettings> tls;
    Span span;
  };
  std::vector<Ingress> ingress;
  TextList egress_hosts;
  std::string_view outbound_mode;  // REGISTRY_ONLY, ALLOW_ANY or ""
};

struct WorkloadEntry {
  ObjectMeta meta;
  Text address;
  Labels labels;  // metadata.labels and spec.labels, as istiod joins them
  std::string_view service_account;
  std::vector<std::pair<std::string_view, int>> ports;
};

struct WorkloadGroup {
  ObjectMeta meta;
  Labels labels;
  std::string_view service_account;
};

struct EnvoyFilter {
  ObjectMeta meta;
  Selector workload_selector;
  std::vector<TargetRef> target_refs;
};

// gateway.networking.k8s.io: which namespaces' routes may attach to a listener.
struct AllowedRoutes {
  enum class From { kSame, kAll, kSelector, kNone };
  From from = From::kSame;
  Labels selector;      // matchLabels
  bool opaque = false;  // matchExpressions stand beside them
};

struct K8sListener {
  Text name, hostname;
  int port = 0;
  Text protocol;  // HTTP, HTTPS, TLS, TCP, HBONE, … as written
  bool has_tls = false;
  bool passthrough = false;  // tls.mode: Passthrough
  struct Certificate {
    Text name, ns;
  };
  std::vector<Certificate> certificates;
  bool client_validation = false;  // frontendValidation: client certificates are asked for
  AllowedRoutes allowed_routes;
  Span span;
};

struct K8sGateway {
  ObjectMeta meta;
  Text class_name;
  std::vector<K8sListener> listeners;
  std::vector<Text> addresses;  // of type Hostname: the Service that stands for the proxies
  bool has_status = false;      // taken from a cluster
  bool has_status_address = false;
};

struct GatewayClass {
  ObjectMeta meta;
  Text controller;
};

struct K8sParentRef {
  Text group, kind, name, ns, section;
  int port = 0;
  Span span;
};

struct K8sBackendRef {
  Text group, kind, name, ns;
  int port = 0;
  int weight = 1;
  Span span;
};

struct K8sRouteMatch {
  enum class Path { kPrefix, kExact, kRegex };
  Path path_kind = Path::kPrefix;
  Text path;  // none written: "/"
  struct Value {
    Text name, value;
    bool regex = false;
  };
  std::vector<Value> headers, query;
  Text method;                     // HTTPRoute
  Text grpc_service, grpc_method;  // GRPCRoute
  bool grpc_regex = false;
  Span span;
};

struct K8sRouteFilter {
  enum class Kind { kHeaders, kRedirect, kRewrite, kOther };
  Kind kind = Kind::kOther;
  std::vector<std::pair<Text, Text>> set, add;  // request headers
  TextList remove;
  Text scheme, hostname;  // redirect; hostname: redirect and rewrite
  int port = 0;           // redirect
  int status = 302;       // redirect
  bool replaces_path = false, replaces_prefix = false;
  Text path;
};

struct K8sRouteRule {
  Text name;
  std::vector<K8sRouteMatch> matches;
  std::vector<K8sRouteFilter> filters;
  std::vector<K8sBackendRef> backends;
  Span span;
};

struct K8sRoute {
  enum class Kind { kHttp, kGrpc, kTls, kTcp };
  Kind kind = Kind::kHttp;
  ObjectMeta meta;
  std::vector<K8sParentRef> parents;
  TextList hostnames;
  std::vector<K8sRouteRule> rules;
};

struct ReferenceGrant {
  ObjectMeta meta;
  struct Peer {
    Text group, kind, ns, name;
  };
  std::vector<Peer> from, to;
};

struct BackendTlsPolicy {
  ObjectMeta meta;
  std::vector<TargetRef> target_refs;
  Text hostname;
};

// Kinds that change a proxy in ways meshproof does not compute (WasmPlugin, Telemetry,
// ProxyConfig), and every Gateway API object once more, for those who read its text.
struct OtherObject {
  ObjectMeta meta;
  Selector selector;
};

struct ExtensionProvider {
  enum class Kind { kExtAuthzHttp, kExtAuthzGrpc, kOther };
  Text name;
  Kind kind = Kind::kOther;
  Text service;
  int64_t port = 0;
  std::string_view timeout;  // Go duration as written
  std::string_view path_prefix;
  std::string_view status_on_error;
  bool fail_open = false;
  TextList include_request_headers, include_headers_deprecated;
  std::vector<std::pair<Text, Text>> include_additional_headers;
  TextList headers_to_upstream_on_allow, headers_to_downstream_on_deny,
      headers_to_downstream_on_allow;
  struct Body {
    int64_t max_request_bytes = 0;
    bool allow_partial_message = false;
    bool pack_as_bytes = false;
  };
  std::optional<Body> body;
  Span span;
};

enum class PathNormalization { kDefault, kNone, kBase, kMergeSlashes, kDecodeAndMergeSlashes };

struct MeshConfig {
  std::string root_namespace = "istio-system";
  std::string trust_domain = "cluster.local";
  std::vector<std::string> trust_domain_aliases;
  std::vector<std::string> ca_trust_domains;  // caCertificates[].trustDomains
  PathNormalization path_normalization = PathNormalization::kDefault;
  std::vector<ExtensionProvider> providers;
  uint32_t num_trusted_proxies = 0;         // defaultConfig.gatewayTopology
  std::string forward_client_cert_details;  // defaultConfig.gatewayTopology, "" = default
  bool registry_only = false;               // outboundTrafficPolicy.mode
  bool enable_auto_mtls = true;
  std::string min_tls_version;                 // meshMTLS.minProtocolVersion, "" = TLSV1_2
  std::vector<std::string> discovery_unknown;  // names of set fields that meshproof does not model
  const ObjectMeta* object = nullptr;          // the ConfigMap, null where there is none
  std::string domain = "cluster.local";        // DNS suffix of Services
};

// Everything of the input. Immutable once decoded; pointers into it stay valid.
struct Model {
  std::vector<ParsedFile> files;
  std::vector<ParsedFile> nested;  // texts inside texts: data.mesh of the ConfigMap
  MeshConfig mesh_config;
  std::vector<std::unique_ptr<ObjectMeta>> extra_metas;  // of objects that have no own type
  std::vector<Namespace> namespaces;
  std::vector<PodWorkload> pod_workloads;
  std::vector<Service> services;
  std::vector<ServiceAccount> service_accounts;
  std::vector<PeerAuthentication> peer_authentications;
  std::vector<RequestAuthentication> request_authentications;
  std::vector<AuthorizationPolicy> authorization_policies;
  std::vector<Gateway> gateways;
  std::vector<VirtualService> virtual_services;
  std::vector<DestinationRule> destination_rules;
  std::vector<ServiceEntry> service_entries;
  std::vector<Sidecar> sidecars;
  std::vector<WorkloadEntry> workload_entries;
  std::vector<WorkloadGroup> workload_groups;
  std::vector<EnvoyFilter> envoy_filters;
  std::vector<OtherObject> others;
  std::vector<K8sGateway> k8s_gateways;
  std::vector<GatewayClass> gateway_classes;
  std::vector<K8sRoute> k8s_routes;
  std::vector<ReferenceGrant> reference_grants;
  std::vector<BackendTlsPolicy> backend_tls_policies;
  std::vector<Secret> secrets;

  struct Skipped {
    const SourceFile* file = nullptr;
    Span span;
    std::string kind;  // "" where it is no object
    enum class Reason {
      kUnknownKind,
      kUnsupportedVersion,
      kNotKubernetes,
      kTemplate,
      kIgnored,  // a known kind that says nothing here, such as a ConfigMap of somebody else's
      kRefused
    } reason = Reason::kUnknownKind;
  };
  std::vector<Skipped> skipped;
  std::vector<Diagnostic> diagnostics;  // sorted; of reading, decoding and admission
  size_t objects = 0;                   // Kubernetes objects met, those of `skipped` included
};

struct ModelOptions {
  std::string default_namespace = "default";  // -n
  // Glob of a path -> namespace for objects that name none (`.meshproof.yaml`, meshtests); the
  // first that matches the path or a folder above it counts. Globs are those of LoadOptions.
  std::vector<std::pair<std::string, std::string>> path_namespaces;
  std::optional<std::string> root_namespace,
      trust_domain;  // the command line beats the mesh config
  // Text of a MeshConfig (`--mesh-config`), in place of the ConfigMap's `data.mesh`.
  std::shared_ptr<const SourceFile> mesh_config;
  bool keep_invalid = false;  // compile what admission refuses, as istiod does with stored objects
  unsigned threads = 0;
};

// Decodes every document. Never fails: what cannot be used is left out and said in `diagnostics`
// and `skipped`. Deterministic whatever the number of threads.
std::shared_ptr<const Model> DecodeModel(Load load, const ModelOptions& options);

}  // namespace meshproof

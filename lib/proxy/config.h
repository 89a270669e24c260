#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/span.h"
#include "match/ip.h"
#include "match/path.h"
#include "match/string_matcher.h"
#include "mesh/mesh.h"
#include "model/model.h"

// The intermediate representation: the security part of one Envoy proxy's configuration, as the
// names of Envoy's API have it. `compile.h` builds it from a mesh as istiod would, `emit.h` writes
// it as Envoy's JSON. Simulation and reasoning work on nothing else. Every node that stems from an
// object keeps its origin.
namespace meshproof {

struct Origin {
  const ObjectMeta* object = nullptr;  // null: nothing in the input stands behind it
  int rule = -1;                       // index in spec.rules (jwtRules for a provider); -1: none
  Span span;                           // the rule, or the value
};

// envoy.type.matcher.v3.ValueMatcher on a metadata value.
struct ValueMatcher {
  enum class Kind { kNull, kDoubleRange, kDouble, kString, kBool, kPresent, kList, kOr };
  Kind kind = Kind::kPresent;
  StringMatcher string;
  double low = 0, high = 0;            // kDoubleRange [low, high); kDouble: low
  bool boolean = true;                 // kBool: the value; kPresent: the flag
  std::vector<ValueMatcher> children;  // kList: one_of (exactly one); kOr: all of them
};

// envoy.config.route.v3.HeaderMatcher.
struct HeaderMatcher {
  enum class Kind { kString, kPresent, kRange };
  std::string name;  // as written; looked up in lower case
  Kind kind = Kind::kPresent;
  StringMatcher string;
  bool present = true;
  int64_t low = 0, high = 0;  // kRange [low, high)
  bool invert = false;
  bool treat_missing_as_empty = false;
};

struct Predicate;

// The alternatives of envoy.config.rbac.v3.Permission and Principal, which Envoy evaluates alike.
struct AnyPredicate {};
struct AndPredicate {
  std::vector<Predicate> all;
};
struct OrPredicate {
  std::vector<Predicate> any;
};
struct NotPredicate {
  std::vector<Predicate> inner;  // exactly one
};
struct HeaderPredicate {
  HeaderMatcher header;
};
struct UrlPathPredicate {
  StringMatcher path;
};
struct PathTemplatePredicate {
  std::string path_template;
  Regex regex;  // unset where Envoy would refuse the template
};
enum class AddressField { kDestination, kDirectRemote, kRemote, kSource };
struct AddressPredicate {
  AddressField field = AddressField::kDestination;
  CidrRange range;
  std::string address_prefix;  // as emitted
};
struct PortPredicate {  // destination_port, destination_port_range [begin, end)
  uint32_t begin = 0;
  uint32_t end = 0;  // begin + 1: destination_port
};
struct ServerNamePredicate {
  StringMatcher name;
};
struct MetadataPredicate {
  std::string filter;
  std::vector<std::string> path;
  ValueMatcher value;
  bool invert = false;
};
struct FilterStatePredicate {
  std::string key;
  StringMatcher value;
};
struct AuthenticatedPredicate {
  std::optional<StringMatcher> principal_name;
};
// An input of a matcher tree as one text: what `or_matcher`s over connection attributes look at.
// Unlike header matchers it sees the values of a repeated header joined with ",".
struct InputPredicate {
  enum class Input { kHeader, kServerName, kUriSan, kDnsSan, kSubject };
  Input input = Input::kHeader;
  std::string header = {};  // kHeader: its name
  StringMatcher value;
};
struct OpaquePredicate {  // an extension or CEL: cannot be seen through
  std::string name;
};

struct Predicate {
  std::variant<AnyPredicate, AndPredicate, OrPredicate, NotPredicate, HeaderPredicate,
               UrlPathPredicate, PathTemplatePredicate, AddressPredicate, PortPredicate,
               ServerNamePredicate, MetadataPredicate, FilterStatePredicate, AuthenticatedPredicate,
               InputPredicate, OpaquePredicate>
      match;
  // On the OR (or NOT) that one list of the policy became: the field as the author wrote it
  // (`paths`, `notPaths`, `when request.headers[x]`) and its place; on a leaf the value's place.
  std::string field;
  Span span;
  std::string written;  // on a leaf: the value as the author wrote it
};

struct RbacPolicy {
  std::string name;                    // "ns[shop]-policy[p]-rule[0]"
  std::vector<Predicate> permissions;  // any of them
  std::vector<Predicate> principals;   // and any of them
  bool has_condition = false;          // CEL: opaque
  Origin origin;
};

struct Rbac {
  enum class Action { kAllow, kDeny, kLog };
  Action action = Action::kAllow;
  std::vector<std::shared_ptr<const RbacPolicy>> policies;  // by name, bytewise; names are unique
};

// A matcher tree (xds.type.matcher.v3.Matcher) as an ordered list: the first field whose predicate
// holds and whose outcome is not "nothing" decides, else `on_no_match`. Istio emits none.
struct RbacMatcher {
  struct Outcome {
    std::shared_ptr<const RbacMatcher> nested;  // or the action:
    Rbac::Action action = Rbac::Action::kAllow;
    std::string name;    // what takes the place of the policy's name
    std::string opaque;  // an action that is no RBAC action
    Span span = {};
  };
  struct Field {
    Predicate predicate;
    Outcome outcome;
  };
  std::vector<Field> fields = {};
  std::optional<Outcome> on_no_match = {};
};

// HTTP and network filter alike.
struct RbacFilter {
  std::optional<Rbac> rules;  // absent: no enforcement; present and empty ALLOW: deny all
  std::optional<Rbac> shadow_rules;
  std::string rules_stat_prefix;
  std::string shadow_rules_stat_prefix;
  std::string stat_prefix;  // network filter: "tcp."
  // Each replaces the rules of its kind.
  std::shared_ptr<const RbacMatcher> matcher = {}, shadow_matcher = {};
  std::string name = {};  // "" = the usual one; what per-route overrides go by
  bool disabled = false;  // asked only where an override says so
};

struct JwtHeaderLocation {
  std::string name, prefix;
};

struct JwtProvider {
  std::string name;  // "origins-0"
  std::string issuer;
  std::vector<std::string> audiences;
  std::optional<std::string> local_jwks;  // inline_string
  std::string remote_jwks_uri;            // known to exist, content unknown here: undetermined
  std::string remote_jwks_cluster;        // where Envoy fetches it, if istiod told Envoy to
  // Where istiod has to fetch the key set itself and meshproof cannot: which URI or issuer.
  std::string unfetched_jwks;
  bool forward = false;
  std::vector<JwtHeaderLocation> from_headers;
  std::vector<std::string> from_params, from_cookies;
  std::string forward_payload_header;
  std::vector<std::pair<std::string, std::string>> claim_to_headers;  // header, claim
  std::string payload_in_metadata;
  std::vector<std::string> space_delimited_claims;
  bool clear_route_cache = false;
  Origin origin;
};

struct JwtRequirement {
  enum class Kind { kProvider, kAny, kAll, kAllowMissing, kAllowMissingOrFailed };
  Kind kind = Kind::kAllowMissing;
  std::string provider;
  std::vector<JwtRequirement> children;
};

struct JwtRuleMatch {
  std::string prefix;  // path prefix
  std::optional<JwtRequirement> requirement;
  // A match that is not a path prefix alone; null: it is.
  std::shared_ptr<const struct RouteMatch> match = {};
};

struct JwtFilter {
  std::vector<JwtProvider> providers;  // by name
  std::vector<JwtRuleMatch> rules;
  bool bypass_cors_preflight = false;
  std::map<std::string, JwtRequirement> requirement_map = {};  // what per-route overrides name
  std::string name;
  bool disabled = false;
};

// HTTP and network filter alike.
struct ExtAuthzFilter {
  std::string provider;  // extension provider's name, for `--ext-authz`
  bool grpc = false;
  std::string cluster;
  std::string authority;         // gRPC
  std::string uri, path_prefix;  // HTTP
  std::string timeout;           // proto duration, "600s"
  bool failure_mode_allow = false;
  int status_on_error = 0;  // 0 = default (403)
  // The gate: metadata `gate_filter` / `gate_key` starts with `gate_prefix`; no filter: always
  // asked.
  std::string gate_filter, gate_key, gate_prefix;
  struct Body {
    uint32_t max_request_bytes = 0;
    bool allow_partial_message = false;
    bool pack_as_bytes = false;
  };
  std::optional<Body> with_request_body;
  std::vector<StringMatcher> allowed_headers;
  std::vector<std::pair<std::string, std::string>> headers_to_add;
  std::vector<StringMatcher> allowed_upstream_headers, allowed_client_headers,
      allowed_client_headers_on_success;
  std::string stat_prefix;  // network filter: "tcp."
  Origin origin;
  std::string name;
  bool disabled = false;
  std::string opaque_gate = {};  // a gate of another shape: what it is
};

// A filter that is not modelled, by name. Those of `kPasses` are known to decide nothing
// (telemetry, metadata exchange); only dumps have them.
struct OpaqueFilter {
  enum class Effect { kUnknown, kPasses, kIstioAuthn };
  std::string name;
  Effect effect = Effect::kUnknown;
  std::string type = {};  // of its configuration, without "type.googleapis.com/"
  bool disabled = false;
  Span span;
};

using HttpFilter = std::variant<RbacFilter, JwtFilter, ExtAuthzFilter, OpaqueFilter>;

// An entry of typed_per_filter_config: what a route, virtual host or route configuration changes of
// the HTTP filter of that name. The most specific one counts.
struct FilterOverride {
  // kPreflight: CORS, which may answer a preflight itself.
  enum class Kind { kDisabled, kEnabled, kRbac, kJwtRequirement, kExtAuthz, kPreflight, kOpaque };
  std::string filter;
  Kind kind = Kind::kOpaque;
  std::shared_ptr<const RbacFilter> rbac = {};  // kRbac: in place of both engines
  std::string requirement = {};                 // kJwtRequirement
  std::string type = {};                        // kOpaque
  Span span = {};
};

struct RouteMatch {
  enum class Path { kPrefix, kExact, kRegex, kPathSeparatedPrefix };
  Path path_kind = Path::kPrefix;
  std::string path = "/";
  Regex regex;
  bool case_sensitive = true;
  std::vector<HeaderMatcher> headers;
  struct QueryParameter {
    std::string name;
    std::optional<StringMatcher> value;  // absent: present
  };
  std::vector<QueryParameter> query_parameters;
  // Metadata conditions (routing on JWT claims).
  std::vector<MetadataPredicate> dynamic_metadata;
};

struct WeightedCluster {
  std::string cluster;  // "outbound|80|v1|web.shop.svc.cluster.local"
  uint32_t weight = 0;
};

struct Route {
  std::string name;
  RouteMatch match;
  enum class Action { kCluster, kRedirect, kDirectResponse };
  Action action = Action::kCluster;
  int missing_cluster_status = 503;       // the answer where the cluster does not exist
  std::vector<WeightedCluster> clusters;  // one with weight 0: `cluster`
  int status = 0;                         // kRedirect, kDirectResponse
  bool https_redirect = false;
  std::string redirect_host, redirect_path, redirect_scheme;
  uint32_t redirect_port = 0;
  std::string redirect_prefix;  // replaces what the route's prefix matched
  bool has_redirect_prefix = false;
  std::string prefix_rewrite, host_rewrite;
  Regex regex_rewrite;
  std::string regex_substitution;
  // Changes of request headers, in Envoy's order: removed, then set and added.
  std::vector<std::string> request_headers_remove;
  std::vector<std::pair<std::string, std::string>> request_headers_set, request_headers_add;
  Origin origin;  // the VirtualService's http entry
  std::vector<FilterOverride> overrides = {};
  std::string opaque = {};  // a condition or action that cannot be seen through
};

struct VirtualHost {
  std::string name;
  std::vector<std::string> domains;
  bool require_tls = false;  // ALL: plain HTTP is redirected
  std::vector<Route> routes;
  std::vector<FilterOverride> overrides = {};
  std::string opaque = {};  // a matcher tree in place of routes
};

struct RouteConfiguration {
  std::string name;
  std::vector<VirtualHost> virtual_hosts;
  bool ignore_port_in_host_matching = false;
  bool validate_clusters = false;
  std::vector<FilterOverride> overrides = {};
  bool ignore_path_parameters = false;  // ignore_path_parameters_in_path_matching
};

struct HttpConnectionManager {
  PathOptions path;
  bool use_remote_address = false;
  uint32_t xff_num_trusted_hops = 0;
  std::string forward_client_cert_details;  // "APPEND_FORWARD", "SANITIZE_SET", …
  bool set_client_cert = false;             // set_current_client_cert_details.cert
  bool accept_http_10 = false;
  std::string stat_prefix;
  std::vector<std::string> upgrade_types = {"websocket"};
  std::vector<HttpFilter> http_filters;
  std::string rds;                                   // name of a route configuration, or
  std::shared_ptr<const RouteConfiguration> routes;  // inline; both unset: routes are not known
  std::string cluster;  // an inbound chain's: what its single default route leads to
  enum class StripPort { kNone, kMatching, kAny };
  StripPort strip_port = StripPort::kNone;
  bool strip_trailing_host_dot = false;
  enum class Underscores { kAllow, kReject, kDrop };
  Underscores underscores = Underscores::kAllow;
  std::vector<std::string> opaque = {};  // settings that change answers and cannot be seen through
};

struct TcpProxy {
  std::string cluster;
  std::vector<WeightedCluster> weighted_clusters;
};

using NetworkFilter =
    std::variant<RbacFilter, ExtAuthzFilter, std::shared_ptr<const HttpConnectionManager>, TcpProxy,
                 OpaqueFilter>;

struct TlsContext {
  bool require_client_certificate = false;
  std::vector<std::string> alpn;
  std::vector<StringMatcher> subject_alt_names;  // any; empty: any certificate of the root
  std::string min_version;                       // "" = TLSv1_2
  std::string certificate_secret, ca_secret;     // SDS names: "default", "ROOTCA", "kubernetes://…"
  std::vector<std::string> opaque = {};          // validation that cannot be seen through
};

struct FilterChainMatch {
  uint32_t destination_port = 0;  // 0 = any
  std::vector<CidrRange> prefix_ranges;
  std::vector<std::string> server_names;
  std::string transport_protocol;  // "tls", "raw_buffer" or ""
  std::vector<std::string> application_protocols;
  std::vector<CidrRange> direct_source_prefix_ranges, source_prefix_ranges;
  enum class SourceType { kAny, kSameIpOrLoopback, kExternal };
  SourceType source_type = SourceType::kAny;
  std::vector<uint32_t> source_ports;
};

struct FilterChain {
  std::string name;
  FilterChainMatch match;
  std::optional<TlsContext> tls;
  std::shared_ptr<const std::vector<NetworkFilter>> filters;  // shared by chains that are alike
  EffectiveMode mtls;                 // which PeerAuthentication made it (compiled chains)
  std::string opaque_transport = {};  // a transport socket that is neither TLS nor plaintext
  Span span = {};                     // its place in a dump
};

// A waypoint chooses a filter chain by the address that is meant: a Service's and its port, or a
// pod's, then by what the HTTP inspector finds.
struct WaypointMatcher {
  struct Port {
    uint32_t port = 0;
    std::string http_chain, tcp_chain;  // both: sniffed
  };
  struct Vip {
    const MeshService* service = nullptr;
    std::vector<IpAddress> addresses;  // its own or a stand-in
    std::vector<Port> ports;
  };
  std::vector<Vip> services;
  std::vector<const Workload*> workloads;     // chains direct-http and direct-tcp
  std::vector<IpAddress> workload_addresses;  // of all of them, their own or stand-ins
};

struct Listener {
  std::string name;
  std::string address;  // "0.0.0.0"
  uint32_t port = 0;
  bool original_dst = false;
  bool tls_inspector = false, http_inspector = false;
  std::vector<uint32_t> tls_inspector_disabled, http_inspector_disabled;  // destination ports
  // Not empty: the TLS inspector runs on these destination ports only, `tls_inspector_disabled` is
  // empty then (istiod turns the list round where passthrough traffic is not inspected).
  std::vector<uint32_t> tls_inspector_only;
  std::vector<FilterChain> filter_chains;
  std::optional<FilterChain> default_filter_chain;
  std::optional<WaypointMatcher> waypoint;  // in place of the chains' own matches
  Origin origin;                            // a gateway's: the Gateway server
  enum class Direction { kUnspecified, kInbound, kOutbound };
  Direction direction = Direction::kUnspecified;
  std::vector<std::string> opaque =
      {};  // listener filters and settings that cannot be seen through
  std::vector<OpaqueFilter> other_filters = {};  // listener filters that decide nothing
  Span span = {};

  // Whether the inspector looks at connections to this destination port.
  bool InspectsTls(uint32_t destination_port) const;
  bool InspectsHttp(uint32_t destination_port) const;
};

// Why Envoy would refuse a listener of this configuration.
struct LoadFailure {
  std::string listener;
  std::string reason;
  Origin origin;
};

struct ProxyConfig {
  std::string ns;
  std::string workload;
  ProxyMode mode = ProxyMode::kSidecar;
  std::string principal;  // "spiffe://…"
  std::string trust_domain;
  std::vector<Listener> listeners;
  std::vector<std::shared_ptr<const RouteConfiguration>> routes;
  // Clusters that routes and filters name and that exist; a route to another answers 503 NC.
  std::vector<std::string> clusters;
  std::vector<LoadFailure> load_failures;
  std::vector<const ObjectMeta*> unmodelled;  // EnvoyFilter and the like that change this proxy
  // Of a dump: listeners that no inbound request meets, and what the origins of the nodes above
  // point to where the dump alone names it.
  std::vector<Listener> outbound = {};
  std::vector<std::shared_ptr<const ObjectMeta>> recovered = {};
  std::vector<std::shared_ptr<const SourceFile>> files = {};
  bool from_dump = false;
  // Sections of the dump that are missing although others name their content.
  bool clusters_known = true;
  const RouteConfiguration* FindRoutes(std::string_view name) const;
};

}  // namespace meshproof

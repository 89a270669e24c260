// HTTP and network filters of a dump. Filters are told apart by the type of their configuration
// (their name is anybody's choice) and, where there is none, by the name that Envoy's own have.
//
// Filters that are not modelled stay, by name; those that decide nothing about admission (Istio's
// telemetry and metadata exchange, gRPC statistics, the router) are marked as such. Fault injection
// counts only where it aborts, CORS only for a preflight.

#include <algorithm>
#include <array>

#include "proxy/custom.h"
#include "proxy/filter_names.h"
#include "proxy/read_context.h"

namespace meshproof {
namespace {

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

DumpFilterKind KindOf(std::string_view type, std::string_view name) {
  std::string_view what = type.empty() ? name : type;
  if (type.ends_with("PerRoute") || type.ends_with("PerRouteConfig")) return DumpFilterKind::kOther;
  if (Contains(what, "filters.http.rbac") || Contains(what, "filters.network.rbac") ||
      Contains(what, "filter.http.rbac") || Contains(what, "filter.network.rbac")) {
    return DumpFilterKind::kRbac;
  }
  if (Contains(what, "jwt_authn")) return DumpFilterKind::kJwt;
  if (Contains(what, "ext_authz")) return DumpFilterKind::kExtAuthz;
  if (Contains(what, "http_connection_manager")) return DumpFilterKind::kManager;
  if (Contains(what, "tcp_proxy")) return DumpFilterKind::kTcpProxy;
  return DumpFilterKind::kOther;
}

// By the configuration's type, else by the filter's name.
constexpr std::array<std::string_view, 34> kPassing = {
    "envoy.extensions.filters.http.router.v3.Router",
    "envoy.config.filter.http.router.v2.Router",
    "envoy.filters.http.router",
    "envoy.router",
    "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig",
    "envoy.config.filter.http.grpc_stats.v2alpha.FilterConfig",
    "envoy.filters.http.grpc_stats",
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
    "istio.alpn",
    "io.istio.http.peer_metadata.Config",
    "io.istio.network_peer_metadata.Config",
    "envoy.tcp.metadataexchange.config.MetadataExchange",
    "istio.metadata_exchange",
    "envoy.filters.network.metadata_exchange",
    "stats.PluginConfig",
    "istio.stats",
    "istio.workload_discovery",
    "istio.workload.BootstrapExtension",
    "envoy.extensions.filters.http.set_filter_state.v3.Config",
    "envoy.extensions.filters.network.set_filter_state.v3.Config",
    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
    "envoy.extensions.filters.http.compressor.v3.Compressor",
    "envoy.extensions.filters.http.decompressor.v3.Decompressor",
    "envoy.extensions.filters.http.stateful_session.v3.StatefulSession",
    "envoy.extensions.filters.http.on_demand.v3.OnDemand",
    "envoy.extensions.filters.http.tap.v3.Tap",
    "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
    "envoy.extensions.filters.network.sni_cluster.v3.SniCluster",
    "envoy.filters.network.sni_cluster",
    "envoy.filters.network.tcp_cluster_rewrite",
    "istio.envoy.config.filter.network.tcp_cluster_rewrite.v2alpha1.TcpClusterRewrite",
    "forward_downstream_sni",
    "envoy.extensions.filters.http.cors.v3.Cors",
    "envoy.filters.http.cors"};

bool IsPassing(std::string_view type, std::string_view name) {
  return std::find(kPassing.begin(), kPassing.end(), type.empty() ? name : type) != kPassing.end();
}

bool IsIstioAuthn(std::string_view type, std::string_view name) {
  return name == "istio_authn" || Contains(type, "istio.envoy.config.filter.http.authn") ||
         Contains(type, "io.istio.network.authn.Config") || Contains(type, "io.istio.http.authn");
}

bool IsFault(std::string_view type, std::string_view name) {
  return Contains(type, "http.fault") || (type.empty() && name == "envoy.filters.http.fault");
}

// Istio's own Wasm plugins of older versions run in the proxy itself.
bool IsIstioWasm(const Node* config) {
  const Node* vm = Field(Field(config, "config"), "vm_config");
  std::string code = TextField(Field(Field(vm, "code"), "local"), "inline_string");
  return code == "envoy.wasm.stats" || code == "envoy.wasm.metadata_exchange" ||
         code == "envoy.wasm.access_log_policy" || code == "envoy.wasm.attributegen";
}

OpaqueFilter ReadOther(std::string name, const TypedNode& typed, std::string_view level,
                       const Node& node, ReadContext* context) {
  using Effect = OpaqueFilter::Effect;
  OpaqueFilter filter;
  filter.name = std::move(name);
  filter.type = typed.type;
  filter.span = context->SpanOf(node);
  if (IsIstioAuthn(typed.type, filter.name)) {
    filter.effect = Effect::kIstioAuthn;
  } else if (IsPassing(typed.type, filter.name) ||
             (Contains(typed.type, ".wasm.") && IsIstioWasm(typed.value)) ||
             (IsFault(typed.type, filter.name) && Field(typed.value, "abort") == nullptr)) {
    filter.effect = Effect::kPasses;
  } else {
    context->NoteOpaque(std::string(level) + " filter " + filter.name +
                            (filter.type.empty() ? "" : " (" + filter.type + ")"),
                        node);
  }
  return filter;
}

std::vector<StringMatcher> ReadPatterns(const Node* list) {
  std::vector<StringMatcher> patterns;
  for (const Node& pattern : ItemsField(list, "patterns")) {
    std::string opaque;
    StringMatcher matcher = ReadString(&pattern, &opaque);
    if (opaque.empty()) patterns.push_back(std::move(matcher));
  }
  return patterns;
}

JwtRequirement ReadRequirement(const Node& node) {
  JwtRequirement requirement;
  auto children = [&](const Node* list) {
    for (const Node& child : ItemsField(list, "requirements")) {
      requirement.children.push_back(ReadRequirement(child));
    }
  };
  if (const Node* with_audiences = Field(&node, "provider_and_audiences")) {
    requirement.kind = JwtRequirement::Kind::kProvider;
    requirement.provider = TextField(with_audiences, "provider_name");
  } else if (Field(&node, "provider_name")) {
    requirement.kind = JwtRequirement::Kind::kProvider;
    requirement.provider = TextField(&node, "provider_name");
  } else if (const Node* any = Field(&node, "requires_any")) {
    requirement.kind = JwtRequirement::Kind::kAny;
    children(any);
  } else if (const Node* all = Field(&node, "requires_all")) {
    requirement.kind = JwtRequirement::Kind::kAll;
    children(all);
  } else if (Field(&node, "allow_missing_or_failed")) {
    requirement.kind = JwtRequirement::Kind::kAllowMissingOrFailed;
  }
  return requirement;
}

// The text of a DataSource; nothing where it stands elsewhere.
std::optional<std::string> ReadDataSource(const Node* source) {
  if (Field(source, "inline_string")) return TextField(source, "inline_string");
  if (Field(source, "inline_bytes")) return DecodeBytes(TextField(source, "inline_bytes"));
  return std::nullopt;
}

JwtProvider ReadProvider(const Entry& entry, ReadContext* context) {
  const Node& node = entry.value;
  JwtProvider provider;
  provider.name = std::string(entry.key.text);
  provider.issuer = TextField(&node, "issuer");
  provider.audiences = TextsField(&node, "audiences");
  if (const Node* local = Field(&node, "local_jwks")) {
    provider.local_jwks = ReadDataSource(local);
    if (!provider.local_jwks) provider.unfetched_jwks = TextField(local, "filename");
  } else if (const Node* remote = Field(&node, "remote_jwks")) {
    const Node* uri = Field(remote, "http_uri");
    provider.remote_jwks_uri = TextField(uri, "uri");
    provider.remote_jwks_cluster = TextField(uri, "cluster");
  }
  provider.forward = BoolField(&node, "forward");
  for (const Node& header : ItemsField(&node, "from_headers")) {
    provider.from_headers.push_back(
        {TextField(&header, "name"), TextField(&header, "value_prefix")});
  }
  provider.from_params = TextsField(&node, "from_params");
  provider.from_cookies = TextsField(&node, "from_cookies");
  provider.forward_payload_header = TextField(&node, "forward_payload_header");
  for (const Node& claim : ItemsField(&node, "claim_to_headers")) {
    provider.claim_to_headers.emplace_back(TextField(&claim, "header_name"),
                                           TextField(&claim, "claim_name"));
  }
  provider.payload_in_metadata = TextField(&node, "payload_in_metadata");
  provider.space_delimited_claims =
      TextsField(Field(&node, "normalize_payload_in_metadata"), "space_delimited_claims");
  provider.clear_route_cache = BoolField(&node, "clear_route_cache");
  provider.origin = context->ProviderOrigin(provider, entry.key);
  for (const char* setting :
       {"subjects", "require_expiration", "max_lifetime", "clock_skew_seconds", "jwt_cache_config",
        "pad_forward_payload_header", "header_in_metadata", "failed_status_in_metadata"}) {
    const Node* value = Field(&node, setting);
    bool decides = setting != std::string_view("jwt_cache_config") &&
                   setting != std::string_view("pad_forward_payload_header") &&
                   setting != std::string_view("header_in_metadata");
    if (value != nullptr && decides) {
      context->NoteOpaque("setting " + std::string(setting) + " of JWT provider " + provider.name,
                          *value);
    }
  }
  return provider;
}

JwtFilter ReadJwt(const Node* config, ReadContext* context) {
  JwtFilter filter;
  for (const Entry& entry : EntriesField(config, "providers")) {
    filter.providers.push_back(ReadProvider(entry, context));
  }
  std::stable_sort(filter.providers.begin(), filter.providers.end(),
                   [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const auto& [name, value] : EntriesField(config, "requirement_map")) {
    filter.requirement_map[std::string(name.text)] = ReadRequirement(value);
  }
  for (const Node& node : ItemsField(config, "rules")) {
    JwtRuleMatch rule;
    const Node* match = Field(&node, "match");
    std::string opaque;
    RouteMatch route = ReadRouteMatch(match, &opaque);
    if (!opaque.empty()) context->NoteOpaque(opaque + " of a jwt_authn rule", node);
    bool plain = route.path_kind == RouteMatch::Path::kPrefix && route.case_sensitive &&
                 route.headers.empty() && route.query_parameters.empty() &&
                 route.dynamic_metadata.empty();
    rule.prefix = route.path_kind == RouteMatch::Path::kPrefix ? route.path : "/";
    if (!plain) rule.match = std::make_shared<const RouteMatch>(std::move(route));
    if (const Node* requires_ = Field(&node, "requires")) {
      rule.requirement = ReadRequirement(*requires_);
    } else if (std::string named = TextField(&node, "requirement_name"); !named.empty()) {
      auto found = filter.requirement_map.find(named);
      if (found != filter.requirement_map.end()) rule.requirement = found->second;
    }
    filter.rules.push_back(std::move(rule));
  }
  filter.bypass_cors_preflight = BoolField(config, "bypass_cors_preflight");
  if (const Node* state = Field(config, "filter_state_rules")) {
    context->NoteOpaque("filter_state_rules of jwt_authn", *state);
  }
  return filter;
}

int StatusOf(const Node* code) {
  std::string text = TextOf(code);
  for (int status = 100; status < 600; ++status) {
    if (text == std::to_string(status) || (!text.empty() && EnvoyStatusName(status) == text)) {
      return status;
    }
  }
  return 0;
}

// "istio-ext-authz-<provider>" of the gate, else the cluster or URI that is asked.
std::string ProviderOf(const ExtAuthzFilter& filter) {
  constexpr std::string_view kPrefix = "istio-ext-authz-";
  std::string_view prefix = filter.gate_prefix;
  if (prefix.starts_with(kPrefix)) return std::string(prefix.substr(kPrefix.size()));
  return filter.cluster.empty() ? filter.uri : filter.cluster;
}

void ReadGate(const Node* gate, const Node& node, ReadContext* context, ExtAuthzFilter* filter) {
  if (gate == nullptr) return;
  std::string opaque;
  MetadataPredicate metadata = ReadMetadata(gate, &opaque);
  bool prefix = metadata.value.kind == ValueMatcher::Kind::kString &&
                metadata.value.string.kind == StringMatcher::Kind::kPrefix && !metadata.invert &&
                metadata.path.size() == 1;
  if (prefix && opaque.empty() && Contains(metadata.filter, ".rbac")) {
    filter->gate_filter = metadata.filter;
    filter->gate_key = metadata.path.front();
    filter->gate_prefix = metadata.value.string.value;
    return;
  }
  filter->opaque_gate = "it depends on metadata " + metadata.filter;
  context->NoteOpaque("gate of ext_authz on metadata " + metadata.filter, node);
}

ExtAuthzFilter ReadExtAuthz(const Node* config, const Node& node, ReadContext* context) {
  ExtAuthzFilter filter;
  if (const Node* grpc = Field(config, "grpc_service")) {
    filter.grpc = true;
    const Node* envoy = Field(grpc, "envoy_grpc");
    filter.cluster = TextField(envoy, "cluster_name");
    filter.authority = TextField(envoy, "authority");
    if (envoy == nullptr) filter.cluster = TextField(Field(grpc, "google_grpc"), "target_uri");
    filter.timeout = TextField(grpc, "timeout");
  } else if (const Node* http = Field(config, "http_service")) {
    const Node* uri = Field(http, "server_uri");
    filter.uri = TextField(uri, "uri");
    filter.cluster = TextField(uri, "cluster");
    filter.timeout = TextField(uri, "timeout");
    filter.path_prefix = TextField(http, "path_prefix");
    const Node* request = Field(http, "authorization_request");
    for (const Node& header : ItemsField(request, "headers_to_add")) {
      filter.headers_to_add.emplace_back(TextField(&header, "key"), TextField(&header, "value"));
    }
    filter.allowed_headers = ReadPatterns(Field(request, "allowed_headers"));
    const Node* response = Field(http, "authorization_response");
    filter.allowed_upstream_headers = ReadPatterns(Field(response, "allowed_upstream_headers"));
    filter.allowed_client_headers = ReadPatterns(Field(response, "allowed_client_headers"));
    filter.allowed_client_headers_on_success =
        ReadPatterns(Field(response, "allowed_client_headers_on_success"));
  }
  if (const Node* allowed = Field(config, "allowed_headers")) {
    filter.allowed_headers = ReadPatterns(allowed);
  }
  filter.failure_mode_allow = BoolField(config, "failure_mode_allow");
  filter.status_on_error = StatusOf(Field(Field(config, "status_on_error"), "code"));
  if (const Node* body = Field(config, "with_request_body")) {
    filter.with_request_body = ExtAuthzFilter::Body{UintField(body, "max_request_bytes"),
                                                    BoolField(body, "allow_partial_message"),
                                                    BoolField(body, "pack_as_bytes")};
  }
  filter.stat_prefix = TextField(config, "stat_prefix");
  ReadGate(Field(config, "filter_enabled_metadata"), node, context, &filter);
  if (const Node* enabled = Field(config, "filter_enabled")) {
    filter.opaque_gate = "a share of the requests is asked";
    context->NoteOpaque("filter_enabled of ext_authz", *enabled);
  }
  filter.provider = ProviderOf(filter);
  return filter;
}

TypedNode ConfigOf(const Node& node, const std::string& name, ReadContext* context) {
  TypedNode typed = OpenTyped(Field(&node, "typed_config"));
  if (typed.value != nullptr) return typed;
  if (const Node* legacy = Field(&node, "config")) return {"", legacy};
  if (Field(&node, "config_discovery") != nullptr) {
    auto found = context->discovered.find(name);
    if (found != context->discovered.end()) return OpenTyped(found->second);
    typed.type = "config_discovery";
  }
  return typed;
}

}  // namespace

HttpFilter ReadHttpFilter(const Node& node, ReadContext* context) {
  std::string name = TextField(&node, "name");
  TypedNode typed = ConfigOf(node, name, context);
  bool disabled = BoolField(&node, "disabled");
  // Two wrappers may stand around a configuration.
  if (typed.type.ends_with("route.v3.FilterConfig")) {
    disabled = disabled || BoolField(typed.value, "disabled");
    typed = OpenTyped(Field(typed.value, "config"));
  }
  auto finish = [&](auto filter, std::string_view usual) {
    if (name != usual) filter.name = name;
    filter.disabled = disabled;
    return HttpFilter(std::move(filter));
  };
  if (typed.value != nullptr) {
    switch (KindOf(typed.type, name)) {
      case DumpFilterKind::kRbac:
        return finish(ReadRbacFilter(typed.value, context), "envoy.filters.http.rbac");
      case DumpFilterKind::kJwt:
        return finish(ReadJwt(typed.value, context), "envoy.filters.http.jwt_authn");
      case DumpFilterKind::kExtAuthz:
        return finish(ReadExtAuthz(typed.value, node, context), "envoy.filters.http.ext_authz");
      case DumpFilterKind::kManager:
      case DumpFilterKind::kTcpProxy:
      case DumpFilterKind::kOther:
        break;
    }
  }
  OpaqueFilter filter = ReadOther(std::move(name), typed, "HTTP", node, context);
  filter.disabled = disabled;
  return filter;
}

std::vector<FilterOverride> ReadOverrides(const Node* node, ReadContext* context) {
  using Kind = FilterOverride::Kind;
  std::vector<FilterOverride> overrides;
  for (const auto& [key, value] : EntriesField(node, "typed_per_filter_config")) {
    FilterOverride entry;
    entry.filter = std::string(key.text);
    entry.span = context->SpanOf(value);
    TypedNode typed = OpenTyped(&value);
    bool wrapped = typed.type.ends_with("route.v3.FilterConfig");
    if (wrapped && BoolField(typed.value, "disabled")) {
      entry.kind = Kind::kDisabled;
      overrides.push_back(std::move(entry));
      continue;
    }
    if (wrapped) typed = OpenTyped(Field(typed.value, "config"));
    entry.type = typed.type;
    if (typed.type.ends_with("rbac.v3.RBACPerRoute")) {
      const Node* rbac = Field(typed.value, "rbac");
      entry.kind = rbac == nullptr ? Kind::kDisabled : Kind::kRbac;
      if (rbac != nullptr) {
        entry.rbac = std::make_shared<const RbacFilter>(ReadRbacFilter(rbac, context));
      }
    } else if (typed.type.ends_with("jwt_authn.v3.PerRouteConfig")) {
      entry.kind = BoolField(typed.value, "disabled") ? Kind::kDisabled : Kind::kJwtRequirement;
      entry.requirement = TextField(typed.value, "requirement_name");
    } else if (typed.type.ends_with("ext_authz.v3.ExtAuthzPerRoute")) {
      entry.kind = BoolField(typed.value, "disabled") ? Kind::kDisabled : Kind::kExtAuthz;
    } else if (typed.type.ends_with("cors.v3.CorsPolicy")) {
      entry.kind = Kind::kPreflight;
    } else if (IsFault(typed.type, entry.filter)) {
      entry.kind = Field(typed.value, "abort") == nullptr ? Kind::kEnabled : Kind::kOpaque;
    } else if (IsPassing(typed.type, entry.filter) || IsPassing("", entry.filter) ||
               Contains(typed.type, "stateful_session") || Contains(typed.type, "compressor")) {
      entry.kind = Kind::kEnabled;
    } else if (typed.value == nullptr) {
      entry.kind = Kind::kEnabled;
    }
    if (entry.kind == Kind::kOpaque) {
      context->NoteOpaque("override of filter " + entry.filter + " (" + entry.type + ")", value);
    }
    overrides.push_back(std::move(entry));
  }
  return overrides;
}

namespace {

EscapedSlashes ReadSlashes(const Node* config) {
  std::string action = TextField(config, "path_with_escaped_slashes_action");
  if (action == "REJECT_REQUEST" || action == "2") return EscapedSlashes::kRejectRequest;
  if (action == "UNESCAPE_AND_REDIRECT" || action == "3") {
    return EscapedSlashes::kUnescapeAndRedirect;
  }
  if (action == "UNESCAPE_AND_FORWARD" || action == "4") return EscapedSlashes::kUnescapeAndForward;
  return EscapedSlashes::kKeepUnchanged;
}

std::string ReadClientCertMode(const Node* config) {
  static constexpr std::array<const char*, 5> kModes = {
      "SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY"};
  std::string mode = TextField(config, "forward_client_cert_details");
  for (size_t i = 0; i < kModes.size(); ++i) {
    if (mode == std::to_string(i)) return kModes[i];
  }
  return mode.empty() ? "SANITIZE" : mode;
}

// Settings that change what RBAC sees or what a client gets.
void ReadOpaqueSettings(const Node* config, ReadContext* context, HttpConnectionManager* manager) {
  auto note = [&](const char* setting, const Node& node) {
    manager->opaque.emplace_back(setting);
    context->NoteOpaque("connection manager setting " + std::string(setting), node);
  };
  for (const char* setting : {"early_header_mutation_extensions", "path_normalization_options",
                              "scoped_routes", "typed_header_validation_config"}) {
    const Node* value = Field(config, setting);
    bool empty = value == nullptr || (value->IsSequence() && value->items().empty()) ||
                 (value->IsMapping() && value->entries().empty());
    if (!empty) note(setting, *value);
  }
  const Node* replies = Field(config, "local_reply_config");
  if (!ItemsField(replies, "mappers").empty()) note("local_reply_config", *replies);
  for (const Node& node : ItemsField(config, "original_ip_detection_extensions")) {
    TypedNode typed = OpenTyped(Field(&node, "typed_config"));
    if (typed.type.ends_with("xff.v3.XffConfig") &&
        Field(typed.value, "xff_trusted_cidrs") == nullptr) {
      manager->xff_num_trusted_hops = UintField(typed.value, "xff_num_trusted_hops");
    } else {
      note("original_ip_detection_extensions", node);
    }
  }
}

std::shared_ptr<const HttpConnectionManager> ReadManager(const Node* config, ReadContext* context) {
  auto manager = std::make_shared<HttpConnectionManager>();
  manager->path.normalize = BoolField(config, "normalize_path");
  manager->path.merge_slashes = BoolField(config, "merge_slashes");
  manager->path.escaped_slashes = ReadSlashes(config);
  manager->use_remote_address = BoolField(config, "use_remote_address");
  manager->xff_num_trusted_hops = UintField(config, "xff_num_trusted_hops");
  manager->forward_client_cert_details = ReadClientCertMode(config);
  manager->set_client_cert = BoolField(Field(config, "set_current_client_cert_details"), "cert");
  manager->accept_http_10 = BoolField(Field(config, "http_protocol_options"), "accept_http_10");
  manager->stat_prefix = TextField(config, "stat_prefix");
  manager->upgrade_types.clear();
  for (const Node& upgrade : ItemsField(config, "upgrade_configs")) {
    if (BoolField(&upgrade, "enabled", true)) {
      manager->upgrade_types.push_back(TextField(&upgrade, "upgrade_type"));
    }
  }
  using StripPort = HttpConnectionManager::StripPort;
  if (BoolField(config, "strip_matching_host_port")) manager->strip_port = StripPort::kMatching;
  if (BoolField(config, "strip_any_host_port")) manager->strip_port = StripPort::kAny;
  manager->strip_trailing_host_dot = BoolField(config, "strip_trailing_host_dot");
  std::string underscores =
      TextField(Field(config, "common_http_protocol_options"), "headers_with_underscores_action");
  using Underscores = HttpConnectionManager::Underscores;
  if (underscores == "REJECT_REQUEST" || underscores == "1") {
    manager->underscores = Underscores::kReject;
  } else if (underscores == "DROP_HEADER" || underscores == "2") {
    manager->underscores = Underscores::kDrop;
  }
  ReadOpaqueSettings(config, context, manager.get());
  if (const Node* rds = Field(config, "rds")) {
    manager->rds = TextField(rds, "route_config_name");
  } else if (const Node* routes = Field(config, "route_config")) {
    manager->routes = ReadRoutes(*routes, context);
  }
  const auto filters = ItemsField(config, "http_filters");
  manager->http_filters.reserve(filters.size());
  for (const Node& filter : filters) {
    manager->http_filters.push_back(ReadHttpFilter(filter, context));
  }
  return manager;
}

TcpProxy ReadTcpProxy(const Node* config) {
  TcpProxy proxy;
  proxy.cluster = TextField(config, "cluster");
  proxy.weighted_clusters = ReadWeightedClusters(Field(config, "weighted_clusters"));
  return proxy;
}

}  // namespace

NetworkFilter ReadNetworkFilter(const Node& node, ReadContext* context) {
  std::string name = TextField(&node, "name");
  TypedNode typed = ConfigOf(node, name, context);
  auto named = [&](auto filter, std::string_view usual) {
    if (name != usual) filter.name = name;
    return NetworkFilter(std::move(filter));
  };
  if (typed.value != nullptr) {
    switch (KindOf(typed.type, name)) {
      case DumpFilterKind::kRbac:
        return named(ReadRbacFilter(typed.value, context), kNetworkRbac);
      case DumpFilterKind::kExtAuthz:
        return named(ReadExtAuthz(typed.value, node, context), "envoy.filters.network.ext_authz");
      case DumpFilterKind::kManager:
        return ReadManager(typed.value, context);
      case DumpFilterKind::kTcpProxy:
        return ReadTcpProxy(typed.value);
      case DumpFilterKind::kJwt:
      case DumpFilterKind::kOther:
        break;
    }
  }
  return ReadOther(std::move(name), typed, "network", node, context);
}

}  // namespace meshproof

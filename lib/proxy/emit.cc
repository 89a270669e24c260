// A proxy's configuration written as istiod pushes it, in proto-JSON with field names in
// snake_case. What does not decide a verdict (timeouts, retries, telemetry) is not there.

#include "proxy/emit.h"

#include "proxy/emit_match.h"
#include "proxy/emit_route.h"

namespace meshproof {
namespace {

Json EmitPortRange(uint32_t port) {
  Json range = Json::MakeObject();
  if (port != 0) range.Set("start", port);
  range.Set("end", port + 1);
  return Lone("destination_port_range", std::move(range));
}

Json EmitPorts(const std::vector<uint32_t>& ports) {
  if (ports.size() == 1) return EmitPortRange(ports.front());
  Json rules = Json::MakeArray();
  for (const uint32_t port : ports) rules.Append(EmitPortRange(port));
  return Lone("or_match", Lone("rules", std::move(rules)));
}

Json EmitListenerFilters(const Listener& listener) {
  Json filters = Json::MakeArray();
  if (listener.original_dst) {
    filters.Append(EmitNamed("envoy.filters.listener.original_dst",
                             "envoy.extensions.filters.listener.original_dst.v3.OriginalDst", {}));
  }
  if (listener.tls_inspector) {
    Json filter = EmitNamed("envoy.filters.listener.tls_inspector",
                            "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector", {});
    if (!listener.tls_inspector_only.empty()) {
      filter.Set("filter_disabled", Lone("not_match", EmitPorts(listener.tls_inspector_only)));
    } else if (!listener.tls_inspector_disabled.empty()) {
      filter.Set("filter_disabled", EmitPorts(listener.tls_inspector_disabled));
    }
    filters.Append(std::move(filter));
  }
  if (listener.http_inspector) {
    Json filter =
        EmitNamed("envoy.filters.listener.http_inspector",
                  "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector", {});
    if (!listener.http_inspector_disabled.empty()) {
      filter.Set("filter_disabled", EmitPorts(listener.http_inspector_disabled));
    }
    filters.Append(std::move(filter));
  }
  return filters;
}

void SetRanges(std::string_view key, const std::vector<CidrRange>& ranges, Json* out) {
  if (ranges.empty()) return;
  Json array = Json::MakeArray();
  for (const CidrRange& range : ranges) {
    array.Append(EmitCidr(ToString(range.address), range.length));
  }
  out->Set(std::string(key), std::move(array));
}

Json EmitChainMatch(const FilterChainMatch& match) {
  Json out = Json::MakeObject();
  if (match.destination_port != 0) out.Set("destination_port", match.destination_port);
  SetRanges("prefix_ranges", match.prefix_ranges, &out);
  SetUnlessEmpty("server_names", match.server_names, &out);
  SetUnlessEmpty("transport_protocol", match.transport_protocol, &out);
  SetUnlessEmpty("application_protocols", match.application_protocols, &out);
  SetRanges("direct_source_prefix_ranges", match.direct_source_prefix_ranges, &out);
  if (match.source_type == FilterChainMatch::SourceType::kSameIpOrLoopback) {
    out.Set("source_type", "SAME_IP_OR_LOOPBACK");
  } else if (match.source_type == FilterChainMatch::SourceType::kExternal) {
    out.Set("source_type", "EXTERNAL");
  }
  SetRanges("source_prefix_ranges", match.source_prefix_ranges, &out);
  if (!match.source_ports.empty()) {
    Json ports = Json::MakeArray();
    for (const uint32_t port : match.source_ports) ports.Append(port);
    out.Set("source_ports", std::move(ports));
  }
  return out;
}

Json EmitSecret(const std::string& name) {
  Json source = Json::MakeObject();
  if (name.starts_with("kubernetes://") || name.starts_with("configmap://")) {
    source.Set("ads", Json::MakeObject());
  } else {
    Json service = Lone("envoy_grpc", Lone("cluster_name", "sds-grpc"));
    Json services = Json::MakeArray();
    services.Append(std::move(service));
    source.Set("api_config_source", Json::MakeObject({{"api_type", "GRPC"},
                                                      {"transport_api_version", "V3"},
                                                      {"grpc_services", std::move(services)},
                                                      {"set_node_on_first_message_only", true}}));
  }
  source.Set("initial_fetch_timeout", "0s");
  source.Set("resource_api_version", "V3");
  return Json::MakeObject({{"name", name}, {"sds_config", std::move(source)}});
}

const char* const kCipherSuites[] = {
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",   "AES256-GCM-SHA384",           "AES128-GCM-SHA256"};

Json EmitTlsParameters(const TlsContext& tls) {
  Json out = Json::MakeObject(
      {{"tls_minimum_protocol_version", tls.min_version.empty() ? "TLSv1_2" : tls.min_version},
       {"tls_maximum_protocol_version", "TLSv1_3"}});
  if (tls.certificate_secret == "default") {
    Json suites = Json::MakeArray();
    for (const char* suite : kCipherSuites) suites.Append(suite);
    out.Set("cipher_suites", std::move(suites));
  }
  return out;
}

Json EmitTransportSocket(const TlsContext& tls) {
  Json common = Lone("tls_params", EmitTlsParameters(tls));
  Json certificates = Json::MakeArray();
  certificates.Append(EmitSecret(tls.certificate_secret));
  common.Set("tls_certificate_sds_secret_configs", std::move(certificates));
  if (!tls.ca_secret.empty()) {
    Json validation = Json::MakeObject();
    if (!tls.subject_alt_names.empty()) {
      Json names = Json::MakeArray();
      for (const StringMatcher& name : tls.subject_alt_names) names.Append(EmitString(name));
      validation.Set("match_subject_alt_names", std::move(names));
    }
    common.Set(
        "combined_validation_context",
        Json::MakeObject({{"default_validation_context", std::move(validation)},
                          {"validation_context_sds_secret_config", EmitSecret(tls.ca_secret)}}));
  }
  SetUnlessEmpty("alpn_protocols", tls.alpn, &common);
  Json context = Lone("common_tls_context", std::move(common));
  context.Set("require_client_certificate", tls.require_client_certificate);
  return EmitNamed("envoy.transport_sockets.tls",
                   "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
                   std::move(context));
}

Json EmitClientCertDetails(const HttpConnectionManager& manager) {
  Json details = Lone("subject", true);
  if (manager.set_client_cert) details.Set("cert", true);
  details.Set("dns", true);
  details.Set("uri", true);
  return details;
}

// An inbound chain's: everything goes to one cluster.
Json EmitDefaultRoute(const std::string& cluster) {
  Json routes = Json::MakeArray();
  routes.Append(Json::MakeObject(
      {{"name", "default"}, {"match", Lone("prefix", "/")}, {"route", Lone("cluster", cluster)}}));
  Json domains = Json::MakeArray();
  domains.Append("*");
  Json hosts = Json::MakeArray();
  hosts.Append(Json::MakeObject(
      {{"name", cluster}, {"domains", std::move(domains)}, {"routes", std::move(routes)}}));
  return Json::MakeObject(
      {{"name", cluster}, {"virtual_hosts", std::move(hosts)}, {"validate_clusters", false}});
}

void SetRouteSource(const HttpConnectionManager& manager, Json* config) {
  if (!manager.rds.empty()) {
    Json source = Json::MakeObject({{"ads", Json::MakeObject()},
                                    {"initial_fetch_timeout", "0s"},
                                    {"resource_api_version", "V3"}});
    config->Set("rds", Json::MakeObject({{"config_source", std::move(source)},
                                         {"route_config_name", manager.rds}}));
  } else if (manager.routes != nullptr) {
    config->Set("route_config", EmitRoutes(*manager.routes));
  } else if (!manager.cluster.empty()) {
    config->Set("route_config", EmitDefaultRoute(manager.cluster));
  }
}

Json EmitManager(const HttpConnectionManager& manager) {
  Json config = Json::MakeObject();
  SetUnlessEmpty("stat_prefix", manager.stat_prefix, &config);
  SetRouteSource(manager, &config);
  Json filters = Json::MakeArray();
  bool router = false;
  for (const HttpFilter& filter : manager.http_filters) {
    const auto* opaque = std::get_if<OpaqueFilter>(&filter);
    router |= opaque != nullptr && opaque->type.ends_with("router.v3.Router");
    filters.Append(EmitHttpFilter(filter));
  }
  if (!router) {
    filters.Append(EmitNamed("envoy.filters.http.router",
                             "envoy.extensions.filters.http.router.v3.Router", {}));
  }
  config.Set("http_filters", std::move(filters));
  if (manager.accept_http_10) {
    config.Set("http_protocol_options", Lone("accept_http_10", true));
  }
  config.Set("server_name", "istio-envoy");
  config.Set("use_remote_address", manager.use_remote_address);
  if (manager.xff_num_trusted_hops != 0) {
    config.Set("xff_num_trusted_hops", manager.xff_num_trusted_hops);
  }
  if (!manager.forward_client_cert_details.empty()) {
    // SANITIZE is the default and left out.
    if (manager.forward_client_cert_details != "SANITIZE") {
      config.Set("forward_client_cert_details", manager.forward_client_cert_details);
    }
    if (manager.forward_client_cert_details == "APPEND_FORWARD" ||
        manager.forward_client_cert_details == "SANITIZE_SET") {
      config.Set("set_current_client_cert_details", EmitClientCertDetails(manager));
    }
  }
  Json upgrades = Json::MakeArray();
  for (const std::string& type : manager.upgrade_types) {
    upgrades.Append(Lone("upgrade_type", type));
  }
  if (!manager.upgrade_types.empty()) config.Set("upgrade_configs", std::move(upgrades));
  config.Set("normalize_path", manager.path.normalize);
  if (manager.path.merge_slashes) config.Set("merge_slashes", true);
  config.Set("path_with_escaped_slashes_action", EscapedSlashesName(manager.path.escaped_slashes));
  if (manager.strip_port == HttpConnectionManager::StripPort::kMatching) {
    config.Set("strip_matching_host_port", true);
  } else if (manager.strip_port == HttpConnectionManager::StripPort::kAny) {
    config.Set("strip_any_host_port", true);
  }
  if (manager.strip_trailing_host_dot) config.Set("strip_trailing_host_dot", true);
  if (manager.underscores != HttpConnectionManager::Underscores::kAllow) {
    bool reject = manager.underscores == HttpConnectionManager::Underscores::kReject;
    config.Set("common_http_protocol_options",
               Lone("headers_with_underscores_action", reject ? "REJECT_REQUEST" : "DROP_HEADER"));
  }
  return EmitNamed(
      "envoy.filters.network.http_connection_manager",
      "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      std::move(config));
}

Json EmitTcpProxy(const TcpProxy& proxy) {
  Json config = Lone("stat_prefix", proxy.cluster.empty() ? std::string("tcp") : proxy.cluster);
  if (proxy.weighted_clusters.empty()) {
    config.Set("cluster", proxy.cluster);
  } else {
    config.Set("weighted_clusters", EmitWeightedClusters(proxy.weighted_clusters));
  }
  return EmitNamed("envoy.filters.network.tcp_proxy",
                   "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", std::move(config));
}

Json EmitNetworkFilter(const NetworkFilter& filter) {
  if (const auto* rbac = std::get_if<RbacFilter>(&filter)) return EmitRbacFilter(*rbac, true);
  if (const auto* authz = std::get_if<ExtAuthzFilter>(&filter)) {
    return EmitExtAuthzFilter(*authz, true);
  }
  if (const auto* proxy = std::get_if<TcpProxy>(&filter)) return EmitTcpProxy(*proxy);
  if (const auto* opaque = std::get_if<OpaqueFilter>(&filter)) return EmitOpaqueFilter(*opaque);
  return EmitManager(*std::get<std::shared_ptr<const HttpConnectionManager>>(filter));
}

Json EmitChain(const FilterChain& chain) {
  Json out = Json::MakeObject();
  SetUnlessEmpty("name", chain.name, &out);
  Json match = EmitChainMatch(chain.match);
  if (!match.as_object().empty()) out.Set("filter_chain_match", std::move(match));
  Json filters = Json::MakeArray();
  if (chain.filters != nullptr) {
    for (const NetworkFilter& filter : *chain.filters) filters.Append(EmitNetworkFilter(filter));
  }
  out.Set("filters", std::move(filters));
  if (chain.tls) out.Set("transport_socket", EmitTransportSocket(*chain.tls));
  return out;
}

Json EmitAction(const std::string& chain) {
  return Lone("action",
              Json::MakeObject(
                  {{"name", chain},
                   {"typed_config",
                    Json::MakeObject({{"@type", "type.googleapis.com/google.protobuf.StringValue"},
                                      {"value", chain}})}}));
}

Json EmitInput(std::string_view name, std::string_view type) {
  return EmitNamed(name, "envoy.extensions.matching.common_inputs.network.v3." + std::string(type),
                   {});
}

Json EmitTree(Json input, std::string_view how, Json value) {
  return Lone("matcher_tree", Json::MakeObject({{"input", std::move(input)},
                                                {std::string(how), std::move(value)}}));
}

// By what the HTTP inspector found: it writes its protocols in quotes.
Json EmitSniffed(const std::string& http_chain, const std::string& tcp_chain) {
  Json map = Json::MakeObject();
  for (const char* protocol : {"'h2c'", "'http/1.1'"}) map.Set(protocol, EmitAction(http_chain));
  Json matcher = EmitTree(EmitInput("application-protocol", "ApplicationProtocolInput"),
                          "exact_match_map", Lone("map", std::move(map)));
  matcher.Set("on_no_match", EmitAction(tcp_chain));
  return Lone("matcher", std::move(matcher));
}

Json EmitAddresses(const std::vector<IpAddress>& addresses, Json on_match) {
  Json ranges = Json::MakeArray();
  for (const IpAddress& address : addresses) {
    ranges.Append(Json::MakeObject(
        {{"address_prefix", ToString(address)}, {"prefix_len", address.v6 ? 128 : 32}}));
  }
  return Json::MakeObject({{"ranges", std::move(ranges)}, {"on_match", std::move(on_match)}});
}

Json EmitWaypointMatcher(const WaypointMatcher& matcher) {
  Json ranges = Json::MakeArray();
  for (const WaypointMatcher::Vip& vip : matcher.services) {
    if (vip.addresses.empty()) continue;
    Json map = Json::MakeObject();
    for (const WaypointMatcher::Port& port : vip.ports) {
      const bool sniffed = !port.http_chain.empty() && !port.tcp_chain.empty();
      map.Set(std::to_string(port.port),
              sniffed ? EmitSniffed(port.http_chain, port.tcp_chain)
                      : EmitAction(port.http_chain.empty() ? port.tcp_chain : port.http_chain));
    }
    Json by_port = EmitTree(EmitInput("port", "DestinationPortInput"), "exact_match_map",
                            Lone("map", std::move(map)));
    ranges.Append(EmitAddresses(vip.addresses, Lone("matcher", std::move(by_port))));
  }
  if (!matcher.workload_addresses.empty()) {
    ranges.Append(
        EmitAddresses(matcher.workload_addresses, EmitSniffed("direct-http", "direct-tcp")));
  }
  Json config = Json::MakeObject();
  if (!ranges.as_array().empty()) config.Set("range_matchers", std::move(ranges));
  Json custom = EmitNamed("ip", "xds.type.matcher.v3.IPMatcher", std::move(config));
  return EmitTree(EmitInput("ip", "DestinationIPInput"), "custom_match", std::move(custom));
}

Json EmitListener(const Listener& listener, ProxyMode mode) {
  Json out = Lone("name", listener.name);
  // An internal listener (a waypoint's) has no address.
  if (listener.address.empty()) {
    out.Set("internal_listener", Json::MakeObject());
  } else {
    out.Set("address", Lone("socket_address", Json::MakeObject({{"address", listener.address},
                                                                {"port_value", listener.port}})));
  }
  Json listener_filters = EmitListenerFilters(listener);
  if (!listener_filters.as_array().empty()) {
    out.Set("listener_filters", std::move(listener_filters));
    out.Set("listener_filters_timeout", "0s");
    out.Set("continue_on_listener_filters_timeout", true);
  }
  out.Set("traffic_direction", mode == ProxyMode::kGateway ? "OUTBOUND" : "INBOUND");
  if (listener.waypoint) out.Set("filter_chain_matcher", EmitWaypointMatcher(*listener.waypoint));
  Json chains = Json::MakeArray();
  for (const FilterChain& chain : listener.filter_chains) chains.Append(EmitChain(chain));
  out.Set("filter_chains", std::move(chains));
  if (listener.default_filter_chain) {
    out.Set("default_filter_chain", EmitChain(*listener.default_filter_chain));
  }
  return out;
}

}  // namespace

const char* EscapedSlashesName(EscapedSlashes action) {
  switch (action) {
    case EscapedSlashes::kKeepUnchanged:
      return "KEEP_UNCHANGED";
    case EscapedSlashes::kRejectRequest:
      return "REJECT_REQUEST";
    case EscapedSlashes::kUnescapeAndRedirect:
      return "UNESCAPE_AND_REDIRECT";
    case EscapedSlashes::kUnescapeAndForward:
      return "UNESCAPE_AND_FORWARD";
  }
  return "";
}

const char* NodeRole(ProxyMode mode) {
  switch (mode) {
    case ProxyMode::kGateway:
      return "router";
    case ProxyMode::kWaypoint:
      return "waypoint";
    case ProxyMode::kNone:
    case ProxyMode::kSidecar:
    case ProxyMode::kAmbient:
      break;
  }
  return "sidecar";
}

Json EmitProxy(const ProxyConfig& proxy) {
  Json out = Json::MakeObject({{"namespace", proxy.ns},
                               {"workload", proxy.workload},
                               {"mode", ToString(proxy.mode)},
                               {"principal", proxy.principal},
                               {"trust_domain", proxy.trust_domain}});
  Json listeners = Json::MakeArray();
  for (const Listener& listener : proxy.listeners) {
    listeners.Append(EmitListener(listener, proxy.mode));
  }
  out.Set("listeners", std::move(listeners));
  Json routes = Json::MakeArray();
  for (const auto& configuration : proxy.routes) routes.Append(EmitRoutes(*configuration));
  out.Set("routes", std::move(routes));
  Json clusters = Json::MakeArray();
  for (const std::string& cluster : proxy.clusters) clusters.Append(Lone("name", cluster));
  out.Set("clusters", std::move(clusters));
  return out;
}

namespace {

Json EmitSection(std::string_view type, std::string key, Json entries) {
  Json section = Lone("@type", "type.googleapis.com/envoy.admin.v3." + std::string(type));
  section.Set(std::move(key), std::move(entries));
  return section;
}

Json Typed(std::string_view type, Json message) {
  Json out = Lone("@type", "type.googleapis.com/" + std::string(type));
  for (auto& [key, value] : message.as_object()) out.Set(key, std::move(value));
  return out;
}

Json EmitBootstrap(const ProxyConfig& proxy) {
  Json metadata = Json::MakeObject({{"NAMESPACE", proxy.ns}, {"WORKLOAD_NAME", proxy.workload}});
  if (const size_t account = proxy.principal.find("/sa/"); account != std::string::npos) {
    metadata.Set("SERVICE_ACCOUNT", proxy.principal.substr(account + 4));
  }
  std::string id = std::string(NodeRole(proxy.mode)) + "~10.0.0.1~" + proxy.workload + "." +
                   proxy.ns + "~" + proxy.ns + ".svc.cluster.local";
  Json node = Json::MakeObject({{"id", std::move(id)}, {"metadata", std::move(metadata)}});
  Json section = Lone("@type", "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump");
  section.Set("bootstrap", Lone("node", std::move(node)));
  return section;
}

}  // namespace

Json EmitConfigDump(const ProxyConfig& proxy) {
  Json listeners = Json::MakeArray();
  for (const Listener& listener : proxy.listeners) {
    Json message = Typed("envoy.config.listener.v3.Listener", EmitListener(listener, proxy.mode));
    Json entry = Lone("name", listener.name);
    entry.Set("active_state", Lone("listener", std::move(message)));
    listeners.Append(std::move(entry));
  }
  Json clusters = Json::MakeArray();
  for (const std::string& cluster : proxy.clusters) {
    clusters.Append(
        Lone("cluster", Typed("envoy.config.cluster.v3.Cluster", Lone("name", cluster))));
  }
  Json routes = Json::MakeArray();
  for (const auto& configuration : proxy.routes) {
    Json message = Typed("envoy.config.route.v3.RouteConfiguration", EmitRoutes(*configuration));
    routes.Append(Lone("route_config", std::move(message)));
  }
  Json configs = Json::MakeArray();
  configs.Append(EmitBootstrap(proxy));
  configs.Append(EmitSection("ClustersConfigDump", "dynamic_active_clusters", std::move(clusters)));
  configs.Append(EmitSection("ListenersConfigDump", "dynamic_listeners", std::move(listeners)));
  configs.Append(EmitSection("RoutesConfigDump", "dynamic_route_configs", std::move(routes)));
  return Lone("configs", std::move(configs));
}

}  // namespace meshproof

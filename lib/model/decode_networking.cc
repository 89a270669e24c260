// networking.istio.io, and the objects that are only named.

#include <unordered_map>

#include "model/decode.h"

namespace meshproof {
namespace {

TlsSettings::Mode ParseServerTlsMode(std::string_view text) {
  using Mode = TlsSettings::Mode;
  if (text == "SIMPLE") return Mode::kSimple;
  if (text == "MUTUAL") return Mode::kMutual;
  if (text == "AUTO_PASSTHROUGH") return Mode::kAutoPassthrough;
  if (text == "ISTIO_MUTUAL") return Mode::kIstioMutual;
  if (text == "OPTIONAL_MUTUAL") return Mode::kOptionalMutual;
  return Mode::kPassthrough;
}

std::optional<TlsSettings> DecodeServerTls(const Fields& parent) {
  Fields fields = parent.Message("tls");
  if (!fields.present()) return std::nullopt;
  TlsSettings tls;
  tls.mode = ParseServerTlsMode(fields.View("mode"));
  tls.https_redirect = fields.Bool("httpsRedirect");
  tls.credential_name = fields.String("credentialName");
  tls.server_certificate = fields.String("serverCertificate");
  tls.private_key = fields.String("privateKey");
  tls.ca_certificates = fields.String("caCertificates");
  tls.subject_alt_names = fields.Strings("subjectAltNames");
  tls.min_version = fields.View("minProtocolVersion");
  tls.span = fields.span();
  return tls;
}

StringMatch DecodeStringMatch(const Fields& fields) {
  StringMatch match;
  match.value = fields.String("exact");
  match.kind = StringMatch::Kind::kExact;
  if (match.value.span) return match;
  match.value = fields.String("prefix");
  match.kind = StringMatch::Kind::kPrefix;
  if (match.value.span) return match;
  match.value = fields.String("regex");
  match.kind = StringMatch::Kind::kRegex;
  if (match.value.span) return match;
  match.kind = StringMatch::Kind::kNone;
  return match;
}

std::vector<std::pair<Text, StringMatch>> DecodeMatchMap(const Fields& fields,
                                                         std::string_view key) {
  std::vector<std::pair<Text, StringMatch>> matches;
  fields.ForEachEntry(key, [&](const Node& name, const Node& value) {
    matches.emplace_back(TextOf(&name, fields.report()),
                         DecodeStringMatch(Fields(&value, fields.report(), name.text)));
  });
  return matches;
}

std::vector<std::pair<Text, Text>> DecodeTextMap(const Fields& fields, std::string_view key) {
  std::vector<std::pair<Text, Text>> pairs;
  fields.ForEachEntry(key, [&](const Node& name, const Node& value) {
    pairs.emplace_back(TextOf(&name, fields.report()), TextOf(&value, fields.report()));
  });
  return pairs;
}

Destination DecodeDestination(const Fields& fields) {
  Destination destination;
  destination.host = fields.String("host");
  destination.subset = fields.String("subset");
  destination.port = fields.Message("port").Int("number");
  destination.span = fields.span();
  return destination;
}

std::vector<RouteDestination> DecodeRoutes(const Fields& fields) {
  std::vector<RouteDestination> routes;
  fields.ForEach("route", [&](const Node& item) {
    Fields route(&item, fields.report(), "route");
    if (!route.present()) return;
    routes.push_back({DecodeDestination(route.Message("destination")), route.Int("weight")});
  });
  return routes;
}

HttpMatch DecodeHttpMatch(const Fields& fields) {
  HttpMatch match;
  match.uri = DecodeStringMatch(fields.Message("uri"));
  match.scheme = DecodeStringMatch(fields.Message("scheme"));
  match.method = DecodeStringMatch(fields.Message("method"));
  match.authority = DecodeStringMatch(fields.Message("authority"));
  match.headers = DecodeMatchMap(fields, "headers");
  match.without_headers = DecodeMatchMap(fields, "withoutHeaders");
  match.query_params = DecodeMatchMap(fields, "queryParams");
  match.ignore_uri_case = fields.Bool("ignoreUriCase");
  match.port = fields.Int("port");
  match.gateways = fields.Strings("gateways");
  match.source_labels = fields.Map("sourceLabels");
  match.source_namespace = fields.View("sourceNamespace");
  match.span = fields.span();
  return match;
}

HttpRoute DecodeHttpRoute(const Fields& fields) {
  HttpRoute route;
  route.name = fields.String("name");
  fields.ForEach("match", [&](const Node& item) {
    Fields match(&item, fields.report(), "match");
    if (match.present()) route.matches.push_back(DecodeHttpMatch(match));
  });
  route.routes = DecodeRoutes(fields);
  Fields redirect = fields.Message("redirect");
  route.has_redirect = redirect.present();
  if (int code = redirect.Int("redirectCode"); code != 0) route.redirect_code = code;
  route.redirect_uri = redirect.String("uri");
  route.redirect_authority = redirect.String("authority");
  route.redirect_scheme = redirect.String("scheme");
  route.redirect_port = redirect.Int("port");
  Fields direct = fields.Message("directResponse");
  route.has_direct_response = direct.present();
  if (direct.Has("status")) route.direct_response_status = direct.Int("status");
  Fields rewrite = fields.Message("rewrite");
  route.has_rewrite = rewrite.present();
  route.rewrite_uri = rewrite.String("uri");
  route.rewrite_authority = rewrite.String("authority");
  Fields regex = rewrite.Message("uriRegexRewrite");
  route.rewrite_regex = regex.String("match");
  route.rewrite_substitution = regex.String("rewrite");
  Fields delegate = fields.Message("delegate");
  route.has_delegate = delegate.present();
  route.delegate_name = delegate.String("name");
  route.delegate_namespace = delegate.String("namespace");
  route.has_cors = fields.Has("corsPolicy");
  route.has_fault_abort = fields.Message("fault").Has("abort");
  Fields request = fields.Message("headers").Message("request");
  route.request_headers_set = DecodeTextMap(request, "set");
  route.request_headers_add = DecodeTextMap(request, "add");
  route.request_headers_remove = request.Strings("remove");
  route.span = fields.span();
  return route;
}

std::vector<L4Route> DecodeL4Routes(const Fields& spec, std::string_view key) {
  std::vector<L4Route> routes;
  spec.ForEach(key, [&](const Node& item) {
    Fields fields(&item, spec.report(), key);
    if (!fields.present()) return;
    L4Route route;
    fields.ForEach("match", [&](const Node& match_item) {
      Fields match(&match_item, spec.report(), "match");
      if (!match.present()) return;
      L4Match decoded;
      decoded.sni_hosts = match.Strings("sniHosts");
      decoded.destination_subnets = match.Strings("destinationSubnets");
      decoded.gateways = match.Strings("gateways");
      decoded.port = match.Int("port");
      decoded.source_labels = match.Map("sourceLabels");
      decoded.span = match.span();
      route.matches.push_back(std::move(decoded));
    });
    route.routes = DecodeRoutes(fields);
    route.span = fields.span();
    routes.push_back(std::move(route));
  });
  return routes;
}

ClientTls::Mode ParseClientTlsMode(std::string_view text) {
  if (text == "SIMPLE") return ClientTls::Mode::kSimple;
  if (text == "MUTUAL") return ClientTls::Mode::kMutual;
  if (text == "ISTIO_MUTUAL") return ClientTls::Mode::kIstioMutual;
  return ClientTls::Mode::kDisable;
}

std::optional<ClientTls> DecodeClientTls(const Fields& policy) {
  Fields fields = policy.Message("tls");
  if (!fields.present()) return std::nullopt;
  ClientTls tls;
  tls.mode = ParseClientTlsMode(fields.View("mode"));
  tls.sni = fields.String("sni");
  tls.subject_alt_names = fields.Strings("subjectAltNames");
  tls.credential_name = fields.String("credentialName");
  tls.client_certificate = fields.String("clientCertificate");
  tls.private_key = fields.String("privateKey");
  tls.ca_certificates = fields.String("caCertificates");
  tls.insecure_skip_verify = fields.Bool("insecureSkipVerify");
  tls.span = fields.span();
  return tls;
}

std::optional<TrafficPolicy> DecodeTrafficPolicy(const Fields& parent) {
  Fields fields = parent.Message("trafficPolicy");
  if (!fields.present()) return std::nullopt;
  TrafficPolicy policy;
  policy.tls = DecodeClientTls(fields);
  fields.ForEach("portLevelSettings", [&](const Node& item) {
    Fields port(&item, fields.report(), "portLevelSettings");
    if (!port.present()) return;
    policy.ports.push_back(
        {port.Message("port").Int("number"), DecodeClientTls(port), port.span()});
  });
  policy.span = fields.span();
  return policy;
}

std::vector<std::pair<std::string_view, int>> DecodePortMap(const Fields& fields) {
  std::vector<std::pair<std::string_view, int>> ports;
  fields.ForEachEntry("ports", [&](const Node& name, const Node& value) {
    auto number = IntegerOf(value);
    if (number && *number >= 0 && *number <= 65535) {
      ports.emplace_back(name.text, static_cast<int>(*number));
    }
  });
  return ports;
}

// Labels of `over` win.
Labels JoinLabels(Labels under, const Labels& over) {
  std::unordered_map<std::string_view, size_t> places;
  for (size_t i = 0; i < under.size(); ++i) places[under[i].first] = i;
  Labels added;
  for (const auto& label : over) {
    auto place = places.find(label.first);
    if (place == places.end()) {
      added.push_back(label);
    } else {
      under[place->second].second = label.second;
    }
  }
  under.insert(under.end(), added.begin(), added.end());
  return under;
}

}  // namespace

Gateway DecodeGateway(const Fields& object, ObjectMeta meta) {
  Gateway gateway;
  gateway.meta = std::move(meta);
  Fields spec = object.Message("spec");
  gateway.selector = spec.Map("selector");
  if (const Node* selector = spec.Find("selector")) {
    gateway.selector_span = object.report().SpanOf(*selector);
  }
  spec.ForEach("servers", [&](const Node& item) {
    Fields fields(&item, object.report(), "servers");
    if (!fields.present()) return;
    GatewayServer server;
    Fields port = fields.Message("port");
    server.port = port.Int("number");
    server.port_name = port.String("name");
    server.protocol = port.String("protocol");
    server.target_port = port.Int("targetPort");
    server.bind = fields.String("bind");
    server.name = fields.String("name");
    server.hosts = fields.Strings("hosts");
    server.tls = DecodeServerTls(fields);
    server.span = fields.span();
    gateway.servers.push_back(std::move(server));
  });
  return gateway;
}

VirtualService DecodeVirtualService(const Fields& object, ObjectMeta meta) {
  VirtualService service;
  service.meta = std::move(meta);
  Fields spec = object.Message("spec");
  service.hosts = spec.Strings("hosts");
  service.gateways = spec.Strings("gateways");
  service.export_to = spec.Strings("exportTo");
  spec.ForEach("http", [&](const Node& item) {
    Fields route(&item, object.report(), "http");
    if (route.present()) service.http.push_back(DecodeHttpRoute(route));
  });
  service.tls = DecodeL4Routes(spec, "tls");
  service.tcp = DecodeL4Routes(spec, "tcp");
  return service;
}

DestinationRule DecodeDestinationRule(const Fields& object, ObjectMeta meta) {
  DestinationRule rule;
  rule.meta = std::move(meta);
  Fields spec = object.Message("spec");
  rule.host = spec.String("host");
  rule.policy = DecodeTrafficPolicy(spec);
  spec.ForEach("subsets", [&](const Node& item) {
    Fields fields(&item, object.report(), "subsets");
    if (!fields.present()) return;
    DestinationRule::Subset subset;
    subset.name = fields.String("name");
    subset.labels = fields.Map("labels");
    subset.policy = DecodeTrafficPolicy(fields);
    subset.span = fields.span();
    rule.subsets.push_back(std::move(subset));
  });
  rule.export_to = spec.Strings("exportTo");
  rule.workload_selector = DecodeSelector(spec, "workloadSelector", "matchLabels");
  return rule;
}

ServiceEntry DecodeServiceEntry(const Fields& object, ObjectMeta meta) {
  ServiceEntry entry;
  entry.meta = std::move(meta);
  Fields spec = object.Message("spec");
  entry.hosts = spec.Strings("hosts");
  entry.addresses = spec.Strings("addresses");
  spec.ForEach("ports", [&](const Node& item) {
    Fields port(&item, object.report(), "ports");
    if (!port.present()) return;
    entry.ports.push_back(
        {port.Int("number"), port.Int("targetPort"), port.String("name"), port.String("protocol")});
  });
  entry.mesh_external = spec.View("location") != "MESH_INTERNAL";
  entry.resolution = spec.View("resolution");
  if (entry.resolution.empty()) entry.resolution = "NONE";
  spec.ForEach("endpoints", [&](const Node& item) {
    Fields fields(&item, object.report(), "endpoints");
    if (!fields.present()) return;
    ServiceEntry::Endpoint endpoint;
    endpoint.address = fields.String("address");
    endpoint.labels = fields.Map("labels");
    endpoint.service_account = fields.View("serviceAccount");
    endpoint.ports = DecodePortMap(fields);
    entry.endpoints.push_back(std::move(endpoint));
  });
  entry.workload_selector = DecodeSelector(spec, "workloadSelector", "labels");
  entry.export_to = spec.Strings("exportTo");
  entry.subject_alt_names = spec.Strings("subjectAltNames");
  return entry;
}

Sidecar DecodeSidecar(const Fields& object, ObjectMeta meta) {
  Sidecar sidecar;
  sidecar.meta = std::move(meta);
  Fields spec = object.Message("spec");
  sidecar.workload_selector = DecodeSelector(spec, "workloadSelector", "labels");
  spec.ForEach("ingress", [&](const Node& item) {
    Fields fields(&item, object.report(), "ingress");
    if (!fields.present()) return;
    Sidecar::Ingress ingress;
    Fields port = fields.Message("port");
    ingress.port = port.Int("number");
    ingress.protocol = port.String("protocol");
    ingress.name = port.String("name");
    ingress.bind = fields.String("bind");
    ingress.default_endpoint = fields.String("defaultEndpoint");
    ingress.tls = DecodeServerTls(fields);
    ingress.span = fields.span();
    sidecar.ingress.push_back(std::move(ingress));
  });
  if (const Node* egress = spec.Find("egress")) {
    sidecar.egress_hosts.present = true;
    sidecar.egress_hosts.span = object.report().SpanOf(*egress);
  }
  spec.ForEach("egress", [&](const Node& item) {
    for (const Text& host : Fields(&item, object.report(), "egress").Strings("hosts").values) {
      sidecar.egress_hosts.values.push_back(host);
    }
  });
  sidecar.outbound_mode = spec.Message("outboundTrafficPolicy").View("mode");
  return sidecar;
}

WorkloadEntry DecodeWorkloadEntry(const Fields& object, ObjectMeta meta) {
  WorkloadEntry entry;
  Fields spec = object.Message("spec");
  entry.address = spec.String("address");
  // istiod joins both; those of the metadata win.
  entry.labels = JoinLabels(spec.Map("labels"), meta.labels);
  entry.service_account = spec.View("serviceAccount");
  entry.ports = DecodePortMap(spec);
  entry.meta = std::move(meta);
  return entry;
}

WorkloadGroup DecodeWorkloadGroup(const Fields& object, ObjectMeta meta) {
  WorkloadGroup group;
  group.meta = std::move(meta);
  Fields spec = object.Message("spec");
  Fields entry = spec.Message("template");
  group.labels = JoinLabels(entry.Map("labels"), spec.Message("metadata").Map("labels"));
  group.service_account = entry.View("serviceAccount");
  return group;
}

EnvoyFilter DecodeEnvoyFilter(const Fields& object, ObjectMeta meta) {
  EnvoyFilter filter;
  filter.meta = std::move(meta);
  Fields spec = object.Message("spec");
  filter.workload_selector = DecodeSelector(spec, "workloadSelector", "labels");
  filter.target_refs = DecodeTargetRefs(spec);
  return filter;
}

OtherObject DecodeOther(const Fields& object, ObjectMeta meta) {
  OtherObject other;
  other.meta = std::move(meta);
  // Kinds differ in what `selector` holds; only matchLabels means a workload selector here.
  const Node* spec = object.node()->Find("spec");
  const Node* selector = spec == nullptr ? nullptr : spec->Find("selector");
  if (selector == nullptr || !selector->IsMapping()) return other;
  other.selector.present = true;
  other.selector.span = object.report().SpanOf(*selector);
  const Node* labels = selector->Find("matchLabels");
  if (labels == nullptr) return other;
  for (const Entry& entry : labels->entries()) {
    if (entry.value.IsString()) {
      other.selector.match_labels.emplace_back(entry.key.text, entry.value.text);
    }
  }
  return other;
}

}  // namespace meshproof

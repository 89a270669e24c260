// Shapes of the networking kinds that istiod's webhook checks (pkg/config/validation): hosts,
// ports, listeners, patches. What decides whether an object's servers and routes exist is the
// model's own admission and not repeated here.

#include <algorithm>
#include <set>

#include "analyze/raw_objects.h"
#include "analyze/schema_checks.h"
#include "base/text.h"
#include "match/ip.h"
#include "match/string_matcher.h"
#include "mesh/hosts.h"
#include "model/admission.h"
#include "model/fields.h"
#include "model/go_values.h"

namespace meshproof {
namespace {

const Node* SpecOf(const ObjectMeta& meta) {
  return NodeAt(meta.node, {"spec"});
}

std::span<const Node> ItemsOf(const Node* list) {
  return list != nullptr && list->IsSequence() ? list->items() : std::span<const Node>();
}

// `namespace/host` or `host`; the namespace may be `*` or `.` (and `~` for a Sidecar).
void CheckScopedHost(const Text& host, bool tilde, bool namespace_needed, Report& report) {
  std::string_view text = host.value;
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    if (namespace_needed) {
      report.Refuse(host.span, Quote(text) + " names no namespace",
                    "write `namespace/host`, `./host` or `*/host`");
      return;
    }
  } else {
    std::string_view ns = text.substr(0, slash);
    if (ns != "*" && ns != "." && !(tilde && ns == "~") && !IsDnsLabel(ns)) {
      report.Refuse(host.span, Quote(ns) + " in the host " + Quote(text) + " is no namespace",
                    "a name, `.` or `*` can stand before the slash");
      return;
    }
    text.remove_prefix(slash + 1);
  }
  if (IsHostPattern(text) || ParseIpAddress(text)) return;
  report.Refuse(host.span, Quote(host.value) + " is no host",
                text.find('*') != std::string_view::npos
                    ? "a wildcard stands alone or as the first label: `*.example.org`"
                    : "");
}

void CheckGatewayTls(const GatewayServer& server, Report& report) {
  using Mode = TlsSettings::Mode;
  if (!server.tls) return;
  const TlsSettings& tls = *server.tls;
  bool passthrough = tls.mode == Mode::kPassthrough || tls.mode == Mode::kAutoPassthrough;
  ProtocolClass kind = ClassifyProtocol(server.protocol.value);
  if (kind == ProtocolClass::kTls && tls.https_redirect) {
    report.Warn(tls.span, "`httpsRedirect` redirects plain HTTP and does nothing on a TLS server",
                "put it on the HTTP server of the same hosts");
  }
  for (const Text* certificate :
       {&tls.server_certificate, &tls.private_key, &tls.ca_certificates, &tls.credential_name}) {
    if (!passthrough || certificate->value.empty() || kind == ProtocolClass::kHttp) continue;
    report.Warn(certificate->span, "a server that passes TLS through uses no certificate",
                "leave it out, or use mode SIMPLE or MUTUAL");
  }
}

bool IsKnownCipher(std::string_view suite) {
  constexpr std::string_view kSuites[] = {"ECDHE-ECDSA-AES128-GCM-SHA256",
                                          "ECDHE-RSA-AES128-GCM-SHA256",
                                          "ECDHE-ECDSA-AES256-GCM-SHA384",
                                          "ECDHE-RSA-AES256-GCM-SHA384",
                                          "ECDHE-ECDSA-CHACHA20-POLY1305",
                                          "ECDHE-RSA-CHACHA20-POLY1305",
                                          "ECDHE-ECDSA-AES128-SHA",
                                          "ECDHE-RSA-AES128-SHA",
                                          "ECDHE-ECDSA-AES256-SHA",
                                          "ECDHE-RSA-AES256-SHA",
                                          "AES128-GCM-SHA256",
                                          "AES256-GCM-SHA384",
                                          "AES128-SHA",
                                          "AES256-SHA",
                                          "DES-CBC3-SHA"};
  return std::find(std::begin(kSuites), std::end(kSuites), suite) != std::end(kSuites);
}

void CheckCiphers(const Node* tls, Report& report) {
  std::set<std::string_view> seen;
  for (const Node& suite : ItemsOf(NodeAt(tls, {"cipherSuites"}))) {
    if (!IsKnownCipher(suite.text)) {
      report.Warn(report.SpanOf(suite),
                  "the cipher suite " + Quote(suite.text) + " is unknown to Istio and left out");
    } else if (!seen.insert(suite.text).second) {
      report.Warn(report.SpanOf(suite), "the cipher suite " + Quote(suite.text) + " stands twice");
    }
  }
}

// Regular expressions of StringMatches anywhere below; RE2 reads what Go's regexp reads.
void CheckRegexes(const Node& node, Report& report) {
  for (const Node& item : node.items()) CheckRegexes(item, report);
  for (const Entry& entry : node.entries()) {
    if (entry.key.text != "regex" || !entry.value.IsString()) {
      CheckRegexes(entry.value, report);
    } else if (auto regex = Regex::Compile(entry.value.text); !regex.ok()) {
      report.Refuse(
          report.SpanOf(entry.value),
          Quote(entry.value.text) + " is no regular expression: " + regex.error().message);
    }
  }
}

void CheckDuration(const Node* node, std::string_view field, Report& report) {
  if (node == nullptr || !node->IsString()) return;
  auto duration = ParseGoDuration(node->text);
  if (duration && *duration >= 1'000'000 && *duration % 1'000'000 == 0) return;
  report.Refuse(report.SpanOf(*node), Quote(node->text) + " in " + Quote(field) +
                                          " is no duration of whole milliseconds, at least 1ms");
}

void CheckPercent(const Node* node, Report& report) {
  const Node* value = NodeAt(node, {"value"});
  if (value == nullptr || value->kind != NodeKind::kScalar) return;
  bool negative = value->text.starts_with('-');
  auto whole = ParseUnsigned(value->text.substr(0, value->text.find('.')));
  if (!negative && (!whole || *whole <= 100)) return;
  report.Refuse(report.SpanOf(*value),
                "a percentage must be 0 to 100, here stands " + Quote(value->text));
}

void CheckStatus(const Node* node, int64_t least, Report& report) {
  auto status = node == nullptr ? std::nullopt : IntegerOf(*node);
  if (!status || (*status >= least && *status <= 599)) return;
  report.Refuse(report.SpanOf(*node),
                std::to_string(*status) + " is no HTTP status that can be answered");
}

bool IsHeaderToken(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

void CheckHeaderOperations(const Node* headers, Report& report) {
  for (std::string_view side : {"request", "response"}) {
    for (std::string_view operation : {"set", "add"}) {
      const Node* map = NodeAt(headers, {side, operation});
      if (map == nullptr) continue;
      for (const Entry& entry : map->entries()) {
        std::string_view name = entry.key.text;
        if (name.starts_with(':') && operation == "set") continue;
        if (IsHeaderToken(name)) continue;
        report.Refuse(report.SpanOf(entry.key), Quote(name) + " is no header name");
      }
    }
  }
}

void CheckMatchHeaders(const Node& match, Report& report) {
  for (std::string_view field : {"headers", "withoutHeaders"}) {
    const Node* headers = NodeAt(&match, {field});
    if (headers == nullptr) continue;
    for (const Entry& entry : headers->entries()) {
      std::string_view name = entry.key.text;
      if (name.starts_with('@') || name.starts_with(':') || IsHeaderToken(name)) continue;
      report.Refuse(report.SpanOf(entry.key), Quote(name) + " is no header name");
    }
  }
  if (const Node* port = NodeAt(&match, {"port"})) {
    if (auto number = IntegerOf(*port)) {
      AdmitPort(static_cast<int>(std::clamp<int64_t>(*number, -1, 70000)), report.SpanOf(*port),
                report);
    }
  }
}

void CheckHttpRouteShape(const Node& route, Report& report) {
  for (const Node& match : ItemsOf(NodeAt(&route, {"match"}))) CheckMatchHeaders(match, report);
  CheckDuration(NodeAt(&route, {"timeout"}), "timeout", report);
  CheckDuration(NodeAt(&route, {"retries", "perTryTimeout"}), "perTryTimeout", report);
  CheckDuration(NodeAt(&route, {"fault", "delay", "fixedDelay"}), "fixedDelay", report);
  CheckDuration(NodeAt(&route, {"corsPolicy", "maxAge"}), "maxAge", report);
  CheckPercent(NodeAt(&route, {"fault", "delay", "percentage"}), report);
  CheckPercent(NodeAt(&route, {"fault", "abort", "percentage"}), report);
  CheckPercent(NodeAt(&route, {"mirrorPercentage"}), report);
  CheckStatus(NodeAt(&route, {"fault", "abort", "httpStatus"}), 200, report);
  CheckStatus(NodeAt(&route, {"directResponse", "status"}), 100, report);
  CheckHeaderOperations(NodeAt(&route, {"headers"}), report);
  for (const Node& destination : ItemsOf(NodeAt(&route, {"route"}))) {
    CheckHeaderOperations(NodeAt(&destination, {"headers"}), report);
  }
  const Node* attempts = NodeAt(&route, {"retries", "attempts"});
  auto count = attempts == nullptr ? std::nullopt : IntegerOf(*attempts);
  if (count && *count < 0) {
    report.Refuse(report.SpanOf(*attempts), "`attempts` cannot be negative");
  }
  const Node* code = NodeAt(&route, {"redirect", "redirectCode"});
  auto redirect = code == nullptr ? std::nullopt : IntegerOf(*code);
  if (redirect && *redirect != 0 && (*redirect < 300 || *redirect > 399)) {
    report.Refuse(report.SpanOf(*code), std::to_string(*redirect) + " is no redirect",
                  "301, 302, 303, 307 and 308 are");
  }
  const Node* redirects = NodeAt(&route, {"redirect"});
  const Node* rewrites = NodeAt(&route, {"rewrite"});
  if (redirects != nullptr && rewrites != nullptr) {
    report.Refuse(report.SpanOf(*rewrites), "a route that redirects has no `rewrite`");
  }
  if (redirects != nullptr && NodeAt(&route, {"fault"}) != nullptr) {
    report.Refuse(report.SpanOf(*redirects), "a route that redirects has no `fault`");
  }
}

void CheckTlsSni(const VirtualService& service, Report& report) {
  for (const L4Route& route : service.tls) {
    for (const L4Match& match : route.matches) {
      if (match.sni_hosts.empty()) report.Refuse(match.span, "a TLS match needs `sniHosts`");
      for (const Text& sni : match.sni_hosts.values) {
        bool covered =
            std::any_of(service.hosts.values.begin(), service.hosts.values.end(),
                        [&](const Text& host) { return HostCovers(host.value, sni.value); });
        if (covered) continue;
        report.Refuse(sni.span,
                      "the SNI host " + Quote(sni.value) +
                          " is none of the VirtualService's hosts, so it cannot be matched here",
                      "add it to `hosts`");
      }
    }
  }
}

void CheckTrafficPolicyShape(const Node* policy, Report& report) {
  if (policy == nullptr || !policy->IsMapping()) return;
  bool any = std::any_of(policy->entries().begin(), policy->entries().end(),
                         [](const Entry& entry) { return !entry.value.IsNull(); });
  if (!any) report.Refuse(report.SpanOf(*policy), "a `trafficPolicy` that sets nothing");
}

void CheckClientTlsShape(const Node* tls, Report& report) {
  if (tls == nullptr || !tls->IsMapping()) return;
  const Node* skip = tls->Find("insecureSkipVerify");
  const Node* mode = tls->Find("mode");
  const auto set = [&](std::string_view name) {
    const Node* value = tls->Find(name);
    return value != nullptr && !value->IsNull() &&
           (value->IsSequence() ? !value->items().empty() : !value->text.empty());
  };
  bool simple = mode != nullptr && mode->text == "SIMPLE";
  bool mutual = mode != nullptr && mode->text == "MUTUAL";
  if (skip != nullptr && skip->IsBool() && skip->AsBool()) {
    for (std::string_view name : {"caCertificates", "subjectAltNames", "credentialName"}) {
      if (!set(name) || (!simple && !mutual) || (mutual && name == "credentialName")) continue;
      report.Refuse(report.SpanOf(*tls->Find(name)),
                    Quote(name) + " verifies the server, which `insecureSkipVerify` turns off",
                    "remove `insecureSkipVerify`");
    }
  }
  const Node* credential = tls->Find("credentialName");
  if (credential != nullptr && credential->text.starts_with("configmap://") && !simple) {
    report.Refuse(report.SpanOf(*credential),
                  "a ConfigMap holds CA certificates alone, so only tls mode SIMPLE can name one",
                  "name a Secret");
  }
}

void CheckPolicyTls(const Node* policy, Report& report) {
  CheckTrafficPolicyShape(policy, report);
  CheckClientTlsShape(NodeAt(policy, {"tls"}), report);
  for (const Node& port : ItemsOf(NodeAt(policy, {"portLevelSettings"}))) {
    CheckClientTlsShape(NodeAt(&port, {"tls"}), report);
  }
}

void CheckEntryEndpoints(const ServiceEntry& entry, const Node* spec, Report& report) {
  std::span<const Node> nodes = ItemsOf(NodeAt(spec, {"endpoints"}));
  for (size_t i = 0; i < entry.endpoints.size(); ++i) {
    const ServiceEntry::Endpoint& endpoint = entry.endpoints[i];
    Span place = endpoint.address.span;
    if (!place) place = nodes.size() > i ? report.SpanOf(nodes[i]) : entry.meta.span;
    bool unix_socket = endpoint.address.value.starts_with("unix://");
    bool address = ParseIpAddress(endpoint.address.value).has_value();
    if (entry.resolution == "STATIC" && !address && !unix_socket &&
        !endpoint.address.value.empty()) {
      report.Refuse(place, "with `resolution: STATIC` an endpoint is an IP address, not " +
                               Quote(endpoint.address.value));
    }
    if (entry.resolution.starts_with("DNS") && !address && !IsDnsName(endpoint.address.value) &&
        !endpoint.address.value.empty()) {
      report.Refuse(place, Quote(endpoint.address.value) + " is neither a host nor an IP address");
    }
    for (const auto& [name, port] : endpoint.ports) {
      bool known = std::any_of(entry.ports.begin(), entry.ports.end(),
                               [&](const auto& own) { return own.name.value == name; });
      if (!known) {
        report.Refuse(place,
                      "the endpoint has a port " + Quote(name) + " that the ServiceEntry does not");
      }
      AdmitPort(port, place, report);
    }
  }
}

bool IsListenAddress(std::string_view endpoint) {
  if (endpoint.starts_with("unix://")) return true;
  size_t colon = endpoint.rfind(':');
  if (colon == std::string_view::npos) return false;
  auto port = ParseUnsigned(endpoint.substr(colon + 1));
  std::string_view host = endpoint.substr(0, colon);
  return port && *port >= 1 && *port <= 65535 &&
         (host == "127.0.0.1" || host == "0.0.0.0" || host == "[::1]" || host == "[::]");
}

constexpr std::string_view kApplyTo[] = {"LISTENER",    "FILTER_CHAIN",   "NETWORK_FILTER",
                                         "HTTP_FILTER", "VIRTUAL_HOST",   "ROUTE_CONFIGURATION",
                                         "HTTP_ROUTE",  "CLUSTER",        "EXTENSION_CONFIG",
                                         "BOOTSTRAP",   "LISTENER_FILTER"};
constexpr std::string_view kContexts[] = {"ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY",
                                          "WAYPOINT"};
constexpr std::string_view kOperations[] = {
    "MERGE", "ADD", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE"};

template <size_t n>
bool CheckWord(const Node* node, const Node& around, std::string_view field,
               const std::string_view (&words)[n], bool needed, Report& report) {
  if (node == nullptr) {
    if (needed) report.Refuse(report.SpanOf(around), Quote(field) + " is missing");
    return !needed;
  }
  if (std::find(std::begin(words), std::end(words), node->text) != std::end(words)) return true;
  std::vector<std::string> known(std::begin(words), std::end(words));
  auto nearest = Nearest(node->text.substr(0, 100), known);
  report.Refuse(report.SpanOf(*node), Quote(node->text) + " is no " + Quote(field),
                nearest ? "did you mean " + Quote(*nearest) + "?" : Join(known, ", ") + " are");
  return false;
}

void CheckPatch(const Node& item, Report& report) {
  if (!item.IsMapping()) return;
  const Node* apply_to = NodeAt(&item, {"applyTo"});
  CheckWord(apply_to, item, "applyTo", kApplyTo, true, report);
  const Node* match = NodeAt(&item, {"match"});
  if (match != nullptr) {
    CheckWord(NodeAt(match, {"context"}), *match, "context", kContexts, false, report);
    if (const Node* version = NodeAt(match, {"proxy", "proxyVersion"})) {
      constexpr size_t kLongest = 1024;
      if (version->text.size() > kLongest) {
        report.Refuse(report.SpanOf(*version), "`proxyVersion` is longer than 1024 characters");
      } else if (auto regex = Regex::Compile(version->text); !regex.ok()) {
        report.Refuse(report.SpanOf(*version),
                      "`proxyVersion` is no regular expression: " + regex.error().message);
      }
    }
  }
  const Node* patch = NodeAt(&item, {"patch"});
  if (patch == nullptr) {
    report.Refuse(report.SpanOf(item), "a patch of the EnvoyFilter has no `patch`");
    return;
  }
  const Node* operation = NodeAt(patch, {"operation"});
  if (!CheckWord(operation, *patch, "operation", kOperations, true, report)) return;
  if (operation->text != "REMOVE" && NodeAt(patch, {"value"}) == nullptr) {
    report.Refuse(report.SpanOf(*patch), "a patch that does not remove needs a `value`");
  }
}

}  // namespace

void CheckGatewayShape(const Gateway& gateway, Report& report) {
  std::span<const Node> servers = ItemsOf(NodeAt(SpecOf(gateway.meta), {"servers"}));
  for (size_t i = 0; i < gateway.servers.size(); ++i) {
    const GatewayServer& server = gateway.servers[i];
    for (const Text& host : server.hosts.values) {
      if (!host.value.empty()) CheckScopedHost(host, false, false, report);
    }
    if (!server.port_name.value.empty() && !IsDnsLabel(ToLower(server.port_name.value))) {
      report.Refuse(server.port_name.span, Quote(server.port_name.value) + " is no name of a port");
    }
    if (!server.bind.value.empty() && !server.bind.value.starts_with("unix://") &&
        !ParseIpAddress(server.bind.value)) {
      report.Refuse(server.bind.span, Quote(server.bind.value) + " is no address to bind to");
    }
    CheckGatewayTls(server, report);
    if (servers.size() == gateway.servers.size()) {
      CheckCiphers(NodeAt(&servers[i], {"tls"}), report);
    }
  }
}

void CheckVirtualServiceShape(const VirtualService& service, Report& report) {
  std::set<std::string_view> seen;
  for (const Text& host : service.hosts.values) {
    if (host.value.empty()) continue;
    if (!IsHostPattern(host.value) && !ParseIpAddress(host.value)) {
      report.Refuse(host.span, Quote(host.value) + " is no host");
    }
    if (!seen.insert(host.value).second) {
      report.Refuse(host.span, "the host " + Quote(host.value) + " stands twice");
    }
  }
  for (const Text& gateway : service.gateways.values) {
    std::string_view name = gateway.value;
    size_t slash = name.find('/');
    bool fits = slash == std::string_view::npos
                    ? IsDnsName(name)
                    : IsDnsLabel(name.substr(0, slash)) && IsDnsName(name.substr(slash + 1));
    if (fits) continue;
    report.Refuse(gateway.span, Quote(name) + " is no name of a Gateway",
                  "write `name` or `namespace/name`");
  }
  CheckExportTo(service.export_to, report);
  CheckTlsSni(service, report);
  const Node* spec = SpecOf(service.meta);
  if (spec == nullptr) return;
  CheckRegexes(*spec, report);
  for (const Node& route : ItemsOf(NodeAt(spec, {"http"}))) CheckHttpRouteShape(route, report);
}

void CheckDestinationRuleShape(const DestinationRule& rule, Report& report) {
  if (!rule.host.value.empty() && !IsHostPattern(rule.host.value) &&
      !ParseIpAddress(rule.host.value)) {
    report.Refuse(rule.host.span, Quote(rule.host.value) + " is no host");
  }
  CheckExportTo(rule.export_to, report);
  const Node* spec = SpecOf(rule.meta);
  CheckPolicyTls(NodeAt(spec, {"trafficPolicy"}), report);
  for (const Node& subset : ItemsOf(NodeAt(spec, {"subsets"}))) {
    CheckPolicyTls(NodeAt(&subset, {"trafficPolicy"}), report);
  }
}

void CheckServiceEntryShape(const ServiceEntry& entry, Report& report) {
  for (const Text& host : entry.hosts.values) {
    if (host.value.empty() || host.value == "*" || IsHostPattern(host.value)) continue;
    report.Refuse(host.span, Quote(host.value) + " is no host");
  }
  bool dynamic = entry.resolution == "DNS" || entry.resolution == "DNS_ROUND_ROBIN" ||
                 entry.resolution == "DYNAMIC_DNS";
  for (const Text& address : entry.addresses.values) {
    bool block = address.value.find('/') != std::string_view::npos;
    if (!(block ? ParseCidr(address.value).has_value()
                : ParseIpAddress(address.value).has_value())) {
      report.Refuse(address.span, Quote(address.value) + " is neither an IP address nor a block");
    } else if (block && dynamic) {
      report.Refuse(address.span,
                    "a block of addresses needs `resolution: NONE` or STATIC, here it is " +
                        std::string(entry.resolution));
    }
  }
  const Node* spec = SpecOf(entry.meta);
  const Node* endpoints = NodeAt(spec, {"endpoints"});
  bool none = entry.resolution.empty() || entry.resolution == "NONE";
  if (none && !entry.endpoints.empty() && endpoints != nullptr) {
    report.Refuse(report.SpanOf(*endpoints),
                  "`resolution: NONE` connects to the address that the client chose, so it takes "
                  "no endpoints",
                  "use STATIC or DNS");
  }
  bool dns = entry.resolution == "DNS" || entry.resolution == "DNS_ROUND_ROBIN";
  for (const Text& host : entry.hosts.values) {
    if (!dns || !entry.endpoints.empty() || entry.workload_selector.present) continue;
    if (host.value.find('*') == std::string_view::npos) continue;
    report.Refuse(host.span, "a wildcard host cannot be looked up: with `resolution: " +
                                 std::string(entry.resolution) + "` it needs endpoints");
  }
  if (entry.resolution == "DNS_ROUND_ROBIN" && entry.endpoints.size() > 1) {
    report.Refuse(report.SpanOf(*endpoints),
                  "`resolution: DNS_ROUND_ROBIN` takes one endpoint at most");
  }
  CheckEntryEndpoints(entry, spec, report);
  CheckExportTo(entry.export_to, report);
}

void CheckSidecarShape(const Sidecar& sidecar, Report& report) {
  const Node* spec = SpecOf(sidecar.meta);
  for (const Text& host : sidecar.egress_hosts.values) CheckScopedHost(host, true, true, report);
  std::span<const Node> egress = ItemsOf(NodeAt(spec, {"egress"}));
  for (size_t i = 0; i < egress.size(); ++i) {
    const Node* hosts = egress[i].Find("hosts");
    if (hosts != nullptr && hosts->IsSequence() && hosts->items().empty()) {
      report.Refuse(report.SpanOf(*hosts), "an egress listener needs hosts",
                    "write `~/*` where the workload calls nobody");
    }
    if (NodeAt(&egress[i], {"port"}) == nullptr && i + 1 < egress.size()) {
      report.Refuse(report.SpanOf(egress[i]),
                    "only the last egress listener can be without a port: it takes all the rest");
    }
  }
  for (const Sidecar::Ingress& ingress : sidecar.ingress) {
    std::string_view endpoint = ingress.default_endpoint.value;
    if (!endpoint.empty() && !IsListenAddress(endpoint)) {
      report.Refuse(ingress.default_endpoint.span, Quote(endpoint) + " is no `defaultEndpoint`",
                    "127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT and unix:///PATH are");
    }
    if (!ingress.protocol.value.empty() &&
        ClassifyProtocol(ingress.protocol.value) == ProtocolClass::kUnsupported) {
      report.Refuse(ingress.protocol.span, "unknown protocol " + Quote(ingress.protocol.value));
    }
    if (ingress.tls && ingress.tls->mode != TlsSettings::Mode::kSimple &&
        ingress.tls->mode != TlsSettings::Mode::kMutual) {
      report.Refuse(ingress.tls->span, "an ingress listener takes tls mode SIMPLE or MUTUAL alone");
    }
  }
}

void CheckEnvoyFilterShape(const EnvoyFilter& filter, Report& report) {
  for (const Node& item : ItemsOf(NodeAt(SpecOf(filter.meta), {"configPatches"}))) {
    CheckPatch(item, report);
  }
}

}  // namespace meshproof

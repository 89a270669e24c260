// The names of MeshConfig's fields, three levels deep, and what istiod demands of providers. istiod
// reads the text as protobuf's JSON: a name in its lowerCamelCase or its snake_case spelling, and
// it drops what it does not know.

#include <algorithm>
#include <set>

#include "analyze/schema_checks.h"
#include "base/text.h"
#include "model/admission.h"

namespace meshproof {
namespace {

struct Names {
  std::string_view path;   // "" = the top; lists do not show in it
  std::string_view names;  // separated by blanks
};

constexpr Names kNames[] = {
    {"",
     "trustDomain trustDomainAliases caCertificates rootNamespace pathNormalization "
     "extensionProviders outboundTrafficPolicy enableAutoMtls meshMTLS defaultConfig "
     "accessLogEncoding accessLogFile accessLogFormat certificates configSources connectTimeout "
     "defaultDestinationRuleExportTo defaultHttpRetryPolicy defaultProviders "
     "defaultServiceExportTo defaultVirtualServiceExportTo disableEnvoyListenerLog "
     "discoverySelectors dnsRefreshRate enableEnvoyAccessLogService enablePrometheusMerge "
     "enableTracing h2UpgradePolicy hboneIdleTimeout inboundClusterStatName inboundTrafficPolicy "
     "ingressClass ingressControllerMode ingressSelector ingressService localityLbSetting "
     "outboundClusterStatName proxyHttpPort proxyInboundListenPort proxyListenPort "
     "serviceScopeConfigs serviceSettings tcpKeepalive thriftConfig tlsDefaults "
     "verifyCertificateAtClient protocolDetectionTimeout"},
    {"pathNormalization", "normalization"},
    {"outboundTrafficPolicy", "mode"},
    {"inboundTrafficPolicy", "mode"},
    {"meshMTLS", "minProtocolVersion ecdhCurves cipherSuites"},
    {"tlsDefaults", "minProtocolVersion ecdhCurves cipherSuites"},
    {"caCertificates", "pem spiffeBundleUrl certSigners trustDomains"},
    {"defaultProviders", "tracing metrics accessLogging"},
    {"defaultConfig",
     "configPath binaryPath serviceCluster tracingServiceName drainDuration discoveryAddress "
     "discoveryRefreshDelay zipkinAddress statsdUdpAddress proxyAdminPort controlPlaneAuthPolicy "
     "customConfigFile statNameLength concurrency proxyBootstrapTemplatePath interceptionMode "
     "tracing sds envoyAccessLogService envoyMetricsService proxyMetadata runtimeValues statusPort "
     "extraStatTags terminationDrainDuration gatewayTopology meshId readinessProbe "
     "proxyStatsMatcher holdApplicationUntilProxyStarts caCertificatesPem image "
     "privateKeyProvider proxyHeaders fileFlushInterval fileFlushMinSizeKb statsCompression "
     "parentShutdownDuration availabilityZone connectTimeout"},
    {"defaultConfig.gatewayTopology", "numTrustedProxies forwardClientCertDetails proxyProtocol"},
    {"extensionProviders",
     "name envoyExtAuthzHttp envoyExtAuthzGrpc zipkin lightstep datadog stackdriver opencensus "
     "skywalking opentelemetry prometheus envoyFileAccessLog envoyHttpAls envoyTcpAls envoyOtelAls "
     "sds"},
    {"extensionProviders.envoyExtAuthzHttp",
     "service port timeout pathPrefix failOpen clearRouteCache statusOnError includeHeadersInCheck "
     "includeRequestHeadersInCheck includeAdditionalHeadersInCheck includeRequestBodyInCheck "
     "headersToUpstreamOnAllow headersToDownstreamOnDeny headersToDownstreamOnAllow"},
    {"extensionProviders.envoyExtAuthzGrpc",
     "service port timeout failOpen clearRouteCache statusOnError includeRequestBodyInCheck"},
    {"extensionProviders.envoyExtAuthzHttp.includeRequestBodyInCheck",
     "maxRequestBytes allowPartialMessage packAsBytes"},
    {"extensionProviders.envoyExtAuthzGrpc.includeRequestBodyInCheck",
     "maxRequestBytes allowPartialMessage packAsBytes"},
};

const Names* Find(std::string_view path) {
  for (const Names& names : kNames) {
    if (names.path == path) return &names;
  }
  return nullptr;
}

// protobuf's JSON name of a field in snake_case: a letter behind an underscore is a capital.
std::string CamelCase(std::string_view name) {
  std::string camel;
  bool up = false;
  for (char c : name) {
    if (c == '_') {
      up = true;
      continue;
    }
    camel += up && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    up = false;
  }
  return camel;
}

bool IsKnown(std::string_view name, const std::vector<std::string>& known) {
  std::string camel = CamelCase(name);
  // mesh_m_t_l_s and its like: protobuf's own spelling of capitals.
  return std::any_of(known.begin(), known.end(), [&](const std::string& candidate) {
    return candidate == name || candidate == camel ||
           (name.find('_') != std::string_view::npos && EqualsIgnoreCase(candidate, camel));
  });
}

void CheckNames(const Node& message, const std::string& path, Report& report) {
  if (message.IsSequence()) {
    for (const Node& item : message.items()) CheckNames(item, path, report);
    return;
  }
  const Names* names = Find(path);
  if (names == nullptr || !message.IsMapping()) return;
  std::vector<std::string> known;
  for (std::string_view name : Split(names->names, ' ')) known.emplace_back(name);
  for (const Entry& entry : message.entries()) {
    if (!IsKnown(entry.key.text, known)) {
      report.UnknownField(entry.key, known);
      continue;
    }
    std::string below =
        path.empty() ? CamelCase(entry.key.text) : path + "." + CamelCase(entry.key.text);
    CheckNames(entry.value, below, report);
  }
}

}  // namespace

void CheckMeshConfigFields(const Node& root, Report& report) {
  CheckNames(root, "", report);
}

void CheckMeshConfigValues(const Model& model, Report& report) {
  std::set<std::string_view> names;
  for (const ExtensionProvider& provider : model.mesh_config.providers) {
    Span place = provider.name.span ? provider.name.span : provider.span;
    if (provider.name.value.empty()) {
      report.Refuse(place, "an extension provider has no name");
    } else if (!names.insert(provider.name.value).second) {
      report.Refuse(place, "two extension providers have the name " + Quote(provider.name.value),
                    "rename one: istiod uses neither while both stand there");
    }
    if (provider.kind == ExtensionProvider::Kind::kOther) continue;
    if (provider.service.value.empty()) {
      report.Refuse(place,
                    "the extension provider " + Quote(provider.name.value) + " names no `service`");
    } else {
      std::string_view host = provider.service.value;
      size_t slash = host.find('/');
      if (slash != std::string_view::npos) host.remove_prefix(slash + 1);
      if (!IsDnsName(host) && !ParseIpAddress(host)) {
        report.Refuse(provider.service.span,
                      Quote(provider.service.value) + " is no host of a service",
                      "write a host name, or `namespace/host`");
      }
    }
    if (provider.port < 1 || provider.port > 65535) {
      report.Refuse(place, "the extension provider " + Quote(provider.name.value) +
                               " has no port from 1 to 65535");
    }
  }
}

}  // namespace meshproof

// Schemas of networking.istio.io.

#include "model/fields.h"
#include "model/schema.h"

namespace meshproof {
namespace {

using schema::Any;
using schema::Bool;
using schema::Enum;
using schema::Int;
using schema::IntMap;
using schema::Ints;
using schema::Map;
using schema::Msg;
using schema::MsgMap;
using schema::Msgs;
using schema::Number;
using schema::Signed;
using schema::Str;
using schema::Strs;

// networking's own WorkloadSelector, whose labels stand under `labels`.
constexpr FieldSchema kLabelSelectorFields[] = {Map("labels").Length(0, 63)};
constexpr MessageSchema kLabelSelector{kLabelSelectorFields, CheckSelectorRule};

constexpr FieldSchema kPortSelectorFields[] = {Int("number")};
constexpr MessageSchema kPortSelector{kPortSelectorFields};

// Shared: connection pool, as DestinationRule and Sidecar have it.
constexpr FieldSchema kKeepaliveFields[] = {Int("probes"), Str("time"), Str("interval")};
constexpr MessageSchema kKeepalive{kKeepaliveFields};
constexpr FieldSchema kPoolTcpFields[] = {Signed("maxConnections"), Str("connectTimeout"),
                                          Msg("tcpKeepalive", kKeepalive),
                                          Str("maxConnectionDuration"), Str("idleTimeout")};
constexpr MessageSchema kPoolTcp{kPoolTcpFields};
constexpr std::string_view kUpgradePolicies[] = {"DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"};
constexpr FieldSchema kPoolHttpFields[] = {Signed("http1MaxPendingRequests"),
                                           Signed("http2MaxRequests"),
                                           Signed("maxRequestsPerConnection"),
                                           Signed("maxRetries"),
                                           Str("idleTimeout"),
                                           Enum("h2UpgradePolicy", kUpgradePolicies),
                                           Bool("useClientProtocol"),
                                           Signed("maxConcurrentStreams")};
constexpr MessageSchema kPoolHttp{kPoolHttpFields};
constexpr FieldSchema kPoolFields[] = {Msg("tcp", kPoolTcp), Msg("http", kPoolHttp)};
constexpr MessageSchema kPool{kPoolFields};

// Gateway.
constexpr std::string_view kServerTlsModes[] = {
    "PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"};
constexpr std::string_view kTlsVersions[] = {"TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2",
                                             "TLSV1_3"};
constexpr FieldSchema kTlsCertificateFields[] = {Str("serverCertificate"), Str("privateKey"),
                                                 Str("caCertificates")};
constexpr MessageSchema kTlsCertificate{kTlsCertificateFields};
constexpr FieldSchema kServerTlsFields[] = {Bool("httpsRedirect"),
                                            Enum("mode", kServerTlsModes),
                                            Str("serverCertificate"),
                                            Str("privateKey"),
                                            Str("caCertificates"),
                                            Str("caCrl"),
                                            Str("credentialName"),
                                            Strs("credentialNames"),
                                            Str("caCertCredentialName"),
                                            Msgs("tlsCertificates", kTlsCertificate),
                                            Strs("subjectAltNames"),
                                            Strs("verifyCertificateSpki"),
                                            Strs("verifyCertificateHash"),
                                            Enum("minProtocolVersion", kTlsVersions),
                                            Enum("maxProtocolVersion", kTlsVersions),
                                            Strs("cipherSuites")};
constexpr MessageSchema kServerTls{kServerTlsFields};
constexpr FieldSchema kServerPortFields[] = {Int("number").Required(), Str("protocol").Required(),
                                             Str("name").Required(), Int("targetPort")};
constexpr MessageSchema kServerPort{kServerPortFields};
constexpr FieldSchema kServerFields[] = {Msg("port", kServerPort).Required(),
                                         Str("bind"),
                                         Strs("hosts").Required(),
                                         Msg("tls", kServerTls),
                                         Str("defaultEndpoint"),
                                         Str("name")};
constexpr MessageSchema kServer{kServerFields};
constexpr FieldSchema kGatewayFields[] = {Msgs("servers", kServer), Map("selector")};

// VirtualService.
void CheckStringMatchRule(const Node& match, Report& report) {
  const Node* last = nullptr;
  int set = 0;
  for (const Entry& entry : match.entries()) {
    if (entry.value.IsNull() ||
        (entry.key.text != "exact" && entry.key.text != "prefix" && entry.key.text != "regex")) {
      continue;
    }
    last = &entry.key;
    ++set;
  }
  if (set > 1) {
    report.Refuse(report.SpanOf(*last), "only one of `exact`, `prefix` and `regex` can be set");
  }
}

constexpr FieldSchema kStringMatchFields[] = {Str("exact"), Str("prefix"), Str("regex")};
constexpr MessageSchema kStringMatch{kStringMatchFields, CheckStringMatchRule};
constexpr FieldSchema kPercentFields[] = {Number("value")};
constexpr MessageSchema kPercent{kPercentFields};
constexpr FieldSchema kDestinationFields[] = {Str("host").Required(), Str("subset"),
                                              Msg("port", kPortSelector)};
constexpr MessageSchema kDestination{kDestinationFields};
constexpr FieldSchema kHeaderOperationFields[] = {Map("set"), Map("add"), Strs("remove")};
constexpr MessageSchema kHeaderOperation{kHeaderOperationFields};
constexpr FieldSchema kHeadersFields[] = {Msg("request", kHeaderOperation),
                                          Msg("response", kHeaderOperation)};
constexpr MessageSchema kHeaders{kHeadersFields};
constexpr FieldSchema kHttpDestinationFields[] = {Msg("destination", kDestination).Required(),
                                                  Signed("weight"), Msg("headers", kHeaders)};
constexpr MessageSchema kHttpDestination{kHttpDestinationFields};
constexpr FieldSchema kL4DestinationFields[] = {Msg("destination", kDestination).Required(),
                                                Signed("weight")};
constexpr MessageSchema kL4Destination{kL4DestinationFields};
constexpr FieldSchema kHttpMatchFields[] = {Str("name"),
                                            Msg("uri", kStringMatch),
                                            Msg("scheme", kStringMatch),
                                            Msg("method", kStringMatch),
                                            Msg("authority", kStringMatch),
                                            MsgMap("headers", kStringMatch),
                                            Int("port"),
                                            Map("sourceLabels"),
                                            Strs("gateways"),
                                            MsgMap("queryParams", kStringMatch),
                                            Bool("ignoreUriCase"),
                                            MsgMap("withoutHeaders", kStringMatch),
                                            Str("sourceNamespace"),
                                            Str("statPrefix")};
constexpr MessageSchema kHttpMatch{kHttpMatchFields};
constexpr std::string_view kRedirectPorts[] = {"FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"};
constexpr FieldSchema kRedirectFields[] = {Str("uri"),    Str("authority"),
                                           Int("port"),   Enum("derivePort", kRedirectPorts),
                                           Str("scheme"), Int("redirectCode")};
constexpr MessageSchema kRedirect{kRedirectFields};
constexpr FieldSchema kBodyFields[] = {Str("string"), Str("bytes")};
constexpr MessageSchema kBody{kBodyFields};
constexpr FieldSchema kDirectResponseFields[] = {Int("status").Required(), Msg("body", kBody)};
constexpr MessageSchema kDirectResponse{kDirectResponseFields};
constexpr FieldSchema kDelegateFields[] = {Str("name"), Str("namespace")};
constexpr MessageSchema kDelegate{kDelegateFields};
constexpr FieldSchema kRegexRewriteFields[] = {Str("match"), Str("rewrite")};
constexpr MessageSchema kRegexRewrite{kRegexRewriteFields};
constexpr FieldSchema kRewriteFields[] = {Str("uri"), Str("authority"),
                                          Msg("uriRegexRewrite", kRegexRewrite)};
constexpr MessageSchema kRewrite{kRewriteFields};
constexpr FieldSchema kRetryFields[] = {Signed("attempts"),
                                        Str("perTryTimeout"),
                                        Str("retryOn"),
                                        Bool("retryRemoteLocalities"),
                                        Bool("retryIgnorePreviousHosts"),
                                        Str("backoff")};
constexpr MessageSchema kRetry{kRetryFields};
constexpr FieldSchema kDelayFields[] = {Signed("percent"), Str("fixedDelay"),
                                        Str("exponentialDelay"), Msg("percentage", kPercent)};
constexpr MessageSchema kDelay{kDelayFields};
constexpr FieldSchema kAbortFields[] = {Signed("httpStatus"), Str("grpcStatus"), Str("http2Error"),
                                        Msg("percentage", kPercent), Msg("headers", kHeaders)};
constexpr MessageSchema kAbort{kAbortFields};
constexpr FieldSchema kFaultFields[] = {Msg("delay", kDelay), Msg("abort", kAbort)};
constexpr MessageSchema kFault{kFaultFields};
constexpr FieldSchema kMirrorFields[] = {Msg("destination", kDestination).Required(),
                                         Msg("percentage", kPercent)};
constexpr MessageSchema kMirror{kMirrorFields};
constexpr std::string_view kPreflights[] = {"UNSPECIFIED", "FORWARD", "IGNORE"};
constexpr FieldSchema kCorsFields[] = {
    Strs("allowOrigin"),      Msgs("allowOrigins", kStringMatch),
    Strs("allowMethods"),     Strs("allowHeaders"),
    Strs("exposeHeaders"),    Str("maxAge"),
    Bool("allowCredentials"), Enum("unmatchedPreflights", kPreflights)};
constexpr MessageSchema kCors{kCorsFields};
constexpr FieldSchema kHttpRouteFields[] = {Str("name"),
                                            Msgs("match", kHttpMatch),
                                            Msgs("route", kHttpDestination),
                                            Msg("redirect", kRedirect),
                                            Msg("directResponse", kDirectResponse),
                                            Msg("delegate", kDelegate),
                                            Msg("rewrite", kRewrite),
                                            Str("timeout"),
                                            Msg("retries", kRetry),
                                            Msg("fault", kFault),
                                            Msg("mirror", kDestination),
                                            Msgs("mirrors", kMirror),
                                            Int("mirrorPercent"),
                                            Int("mirror_percent"),
                                            Msg("mirrorPercentage", kPercent),
                                            Msg("corsPolicy", kCors),
                                            Msg("headers", kHeaders)};
constexpr MessageSchema kHttpRoute{kHttpRouteFields};
constexpr FieldSchema kTlsMatchFields[] = {
    Strs("sniHosts").Required(), Strs("destinationSubnets"), Int("port"),
    Map("sourceLabels"),         Strs("gateways"),           Str("sourceNamespace")};
constexpr MessageSchema kTlsMatch{kTlsMatchFields};
constexpr FieldSchema kTlsRouteFields[] = {Msgs("match", kTlsMatch).Required(),
                                           Msgs("route", kL4Destination)};
constexpr MessageSchema kTlsRoute{kTlsRouteFields};
constexpr FieldSchema kTcpMatchFields[] = {Strs("destinationSubnets"), Int("port"),
                                           Str("sourceSubnet"),        Map("sourceLabels"),
                                           Strs("gateways"),           Str("sourceNamespace")};
constexpr MessageSchema kTcpMatch{kTcpMatchFields};
constexpr FieldSchema kTcpRouteFields[] = {Msgs("match", kTcpMatch), Msgs("route", kL4Destination)};
constexpr MessageSchema kTcpRoute{kTcpRouteFields};
constexpr FieldSchema kVirtualServiceFields[] = {
    Strs("hosts"),          Strs("gateways"),       Msgs("http", kHttpRoute),
    Msgs("tls", kTlsRoute), Msgs("tcp", kTcpRoute), Strs("exportTo")};

// DestinationRule.
constexpr std::string_view kClientTlsModes[] = {"DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"};
constexpr FieldSchema kClientTlsFields[] = {Enum("mode", kClientTlsModes),
                                            Str("clientCertificate"),
                                            Str("privateKey"),
                                            Str("caCertificates"),
                                            Str("credentialName"),
                                            Strs("subjectAltNames"),
                                            Str("sni"),
                                            Bool("insecureSkipVerify"),
                                            Str("caCrl")};
constexpr MessageSchema kClientTls{kClientTlsFields};
constexpr FieldSchema kOutlierFields[] = {Signed("consecutiveErrors"),
                                          Bool("splitExternalLocalOriginErrors"),
                                          Int("consecutiveLocalOriginFailures"),
                                          Int("consecutiveGatewayErrors"),
                                          Int("consecutive5xxErrors"),
                                          Str("interval"),
                                          Str("baseEjectionTime"),
                                          Signed("maxEjectionPercent"),
                                          Signed("minHealthPercent")};
constexpr MessageSchema kOutlier{kOutlierFields};
constexpr std::string_view kSimpleBalancers[] = {"UNSPECIFIED", "LEAST_CONN",  "RANDOM",
                                                 "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"};
constexpr FieldSchema kHashFields[] = {
    Str("httpHeaderName"), Any("httpCookie"), Bool("useSourceIp"),   Str("httpQueryParameterName"),
    Any("ringHash"),       Any("maglev"),     Int("minimumRingSize")};
constexpr MessageSchema kHash{kHashFields};
constexpr FieldSchema kDistributeFields[] = {Str("from"), IntMap("to")};
constexpr MessageSchema kDistribute{kDistributeFields};
constexpr FieldSchema kFailoverFields[] = {Str("from"), Str("to")};
constexpr MessageSchema kFailover{kFailoverFields};
constexpr FieldSchema kLocalityFields[] = {Msgs("distribute", kDistribute),
                                           Msgs("failover", kFailover), Strs("failoverPriority"),
                                           Bool("enabled")};
constexpr MessageSchema kLocality{kLocalityFields};
constexpr FieldSchema kBalancerFields[] = {
    Enum("simple", kSimpleBalancers), Msg("consistentHash", kHash),
    Msg("localityLbSetting", kLocality), Str("warmupDurationSecs"), Any("warmup")};
constexpr MessageSchema kBalancer{kBalancerFields};
constexpr FieldSchema kPortPolicyFields[] = {
    Msg("port", kPortSelector), Msg("loadBalancer", kBalancer), Msg("connectionPool", kPool),
    Msg("outlierDetection", kOutlier), Msg("tls", kClientTls)};
constexpr MessageSchema kPortPolicy{kPortPolicyFields};
constexpr FieldSchema kTrafficPolicyFields[] = {Msg("loadBalancer", kBalancer),
                                                Msg("connectionPool", kPool),
                                                Msg("outlierDetection", kOutlier),
                                                Msg("tls", kClientTls),
                                                Msgs("portLevelSettings", kPortPolicy).Items(4096),
                                                Any("tunnel"),
                                                Any("proxyProtocol"),
                                                Any("retryBudget")};
constexpr MessageSchema kTrafficPolicy{kTrafficPolicyFields};
constexpr FieldSchema kSubsetFields[] = {Str("name").Required(), Map("labels"),
                                         Msg("trafficPolicy", kTrafficPolicy)};
constexpr MessageSchema kSubset{kSubsetFields};
constexpr FieldSchema kDestinationRuleFields[] = {
    Str("host").Required(), Msg("trafficPolicy", kTrafficPolicy), Msgs("subsets", kSubset),
    Strs("exportTo"), Msg("workloadSelector", kSelectorSchema)};

// ServiceEntry, WorkloadEntry, WorkloadGroup.
constexpr FieldSchema kEndpointFields[] = {Str("address"),       IntMap("ports"), Map("labels"),
                                           Str("network"),       Str("locality"), Int("weight"),
                                           Str("serviceAccount")};
constexpr MessageSchema kEndpoint{kEndpointFields};
constexpr FieldSchema kEntryPortFields[] = {Int("number").Required(), Str("protocol"),
                                            Str("name").Required(), Int("targetPort")};
constexpr MessageSchema kEntryPort{kEntryPortFields};
constexpr std::string_view kLocations[] = {"MESH_EXTERNAL", "MESH_INTERNAL"};
constexpr std::string_view kResolutions[] = {"NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN",
                                             "DYNAMIC_DNS"};

void CheckServiceEntryRule(const Node& spec, Report& report) {
  const Node* selector = spec.Find("workloadSelector");
  const Entry* endpoints = spec.FindEntry("endpoints");
  if (selector == nullptr || selector->IsNull() || endpoints == nullptr ||
      endpoints->value.IsNull()) {
    return;
  }
  report.Refuse(report.SpanOf(endpoints->key),
                "only one of `workloadSelector` and `endpoints` can be set");
}

constexpr FieldSchema kServiceEntryFields[] = {Strs("hosts").Required(),
                                               Strs("addresses"),
                                               Msgs("ports", kEntryPort),
                                               Enum("location", kLocations),
                                               Enum("resolution", kResolutions),
                                               Msgs("endpoints", kEndpoint),
                                               Msg("workloadSelector", kLabelSelector),
                                               Strs("exportTo"),
                                               Strs("subjectAltNames")};

constexpr FieldSchema kGroupMetadataFields[] = {Map("labels"), Map("annotations")};
constexpr MessageSchema kGroupMetadata{kGroupMetadataFields};
constexpr FieldSchema kWorkloadGroupFields[] = {
    Msg("metadata", kGroupMetadata), Msg("template", kEndpoint).Required(), Any("probe")};

// Sidecar.
constexpr FieldSchema kSidecarPortFields[] = {Int("number"), Str("protocol"), Str("name"),
                                              Int("targetPort")};
constexpr MessageSchema kSidecarPort{kSidecarPortFields};
constexpr std::string_view kCaptureModes[] = {"DEFAULT", "IPTABLES", "NONE"};
constexpr FieldSchema kIngressFields[] = {Msg("port", kSidecarPort).Required(),
                                          Str("bind"),
                                          Enum("captureMode", kCaptureModes),
                                          Str("defaultEndpoint"),
                                          Msg("tls", kServerTls),
                                          Msg("connectionPool", kPool)};
constexpr MessageSchema kIngress{kIngressFields};
constexpr FieldSchema kEgressFields[] = {Msg("port", kSidecarPort), Str("bind"),
                                         Enum("captureMode", kCaptureModes),
                                         Strs("hosts").Required()};
constexpr MessageSchema kEgress{kEgressFields};
constexpr std::string_view kOutboundModes[] = {"REGISTRY_ONLY", "ALLOW_ANY"};
constexpr FieldSchema kOutboundFields[] = {Enum("mode", kOutboundModes),
                                           Msg("egressProxy", kDestination)};
constexpr MessageSchema kOutbound{kOutboundFields};
constexpr FieldSchema kSidecarFields[] = {
    Msg("workloadSelector", kLabelSelector), Msgs("ingress", kIngress), Msgs("egress", kEgress),
    Msg("inboundConnectionPool", kPool), Msg("outboundTrafficPolicy", kOutbound)};

constexpr FieldSchema kEnvoyFilterFields[] = {Msg("workloadSelector", kLabelSelector),
                                              Msgs("targetRefs", kTargetRefSchema).Items(16),
                                              Any("configPatches"), Signed("priority")};

}  // namespace

constexpr MessageSchema kGatewaySchema{kGatewayFields};
constexpr MessageSchema kVirtualServiceSchema{kVirtualServiceFields};
constexpr MessageSchema kDestinationRuleSchema{kDestinationRuleFields};
constexpr MessageSchema kServiceEntrySchema{kServiceEntryFields, CheckServiceEntryRule};
constexpr MessageSchema kSidecarSchema{kSidecarFields};
constexpr MessageSchema kWorkloadEntrySchema{kEndpointFields};
constexpr MessageSchema kWorkloadGroupSchema{kWorkloadGroupFields};
constexpr MessageSchema kEnvoyFilterSchema{kEnvoyFilterFields};

}  // namespace meshproof

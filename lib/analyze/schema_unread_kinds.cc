// Schemas of the kinds that the model keeps as raw trees: extensions.istio.io, telemetry.istio.io,
// ProxyConfig and the Gateway API. Fields that hold no decision of the mesh's security are not
// looked into.

#include <algorithm>

#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/schema_checks.h"
#include "base/text.h"
#include "model/schema.h"

namespace meshproof {
namespace {

using schema::Any;
using schema::Bool;
using schema::Enum;
using schema::Int;
using schema::Map;
using schema::Msg;
using schema::Msgs;
using schema::Number;
using schema::Signed;
using schema::Str;
using schema::Strs;

// WasmPlugin.
constexpr std::string_view kPullPolicies[] = {"UNSPECIFIED_POLICY", "IfNotPresent", "Always"};
constexpr std::string_view kPhases[] = {"UNSPECIFIED_PHASE", "AUTHN", "AUTHZ", "STATS"};
constexpr std::string_view kFailStrategies[] = {"FAIL_CLOSE", "FAIL_OPEN", "FAIL_RELOAD"};
constexpr std::string_view kPluginTypes[] = {"UNSPECIFIED_PLUGIN_TYPE", "HTTP", "NETWORK"};
constexpr std::string_view kTrafficModes[] = {"UNDEFINED", "CLIENT", "SERVER", "CLIENT_AND_SERVER"};
constexpr std::string_view kEnvSources[] = {"INLINE", "HOST"};
constexpr FieldSchema kEnvFields[] = {Str("name").Length(1, 256).Required(),
                                      Enum("valueFrom", kEnvSources), Str("value").Length(0, 2048)};
constexpr MessageSchema kEnv{kEnvFields};
constexpr FieldSchema kVmFields[] = {Msgs("env", kEnv).Items(256)};
constexpr MessageSchema kVm{kVmFields};
constexpr FieldSchema kPortNumberFields[] = {Int("number").Required()};
constexpr MessageSchema kPortNumber{kPortNumberFields};
constexpr FieldSchema kTrafficFields[] = {Enum("mode", kTrafficModes), Msgs("ports", kPortNumber)};
constexpr MessageSchema kTraffic{kTrafficFields};

bool IsHexSha256(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

void CheckWasmUrl(const Node& url, Report& report) {
  if (!url.IsString()) return;
  size_t scheme_end = url.text.find("://");
  if (scheme_end == std::string_view::npos) return;
  std::string_view scheme = url.text.substr(0, scheme_end);
  for (std::string_view known : {"oci", "http", "https", "file"}) {
    if (scheme == known) return;
  }
  report.Refuse(report.SpanOf(url), "`url` has the scheme " + Quote(scheme),
                "oci://, https://, http:// and file:// are supported");
}

void CheckWasmEnv(const Node& spec, Report& report) {
  const Node* env = NodeAt(&spec, {"vmConfig", "env"});
  if (env == nullptr || !env->IsSequence()) return;
  std::vector<std::string_view> names;
  for (const Node& item : env->items()) {
    const Node* name = item.Find("name");
    if (name == nullptr) continue;
    if (std::find(names.begin(), names.end(), name->text) != names.end()) {
      report.Refuse(report.SpanOf(*name), "the variable " + Quote(name->text) + " is set twice");
    }
    names.push_back(name->text);
    const Node* from = item.Find("valueFrom");
    const Node* value = item.Find("value");
    if (from != nullptr && from->text == "HOST" && value != nullptr && !value->text.empty()) {
      report.Refuse(report.SpanOf(*value), "`value` is not used with `valueFrom: HOST`",
                    "leave `value` out, or `valueFrom`");
    }
  }
}

void CheckWasmRule(const Node& spec, Report& report) {
  CheckAttachmentRule(spec, report);
  const Node* sha = spec.Find("sha256");
  if (sha != nullptr && sha->IsString() && !sha->text.empty() && !IsHexSha256(sha->text)) {
    report.Refuse(report.SpanOf(*sha), "`sha256` is not 64 lower-case hexadecimal digits");
  }
  const Node* url = spec.Find("url");
  if (url != nullptr) CheckWasmUrl(*url, report);
  CheckWasmEnv(spec, report);
}

constexpr FieldSchema kWasmFields[] = {Msg("selector", kSelectorSchema),
                                       Msg("targetRef", kTargetRefSchema),
                                       Msgs("targetRefs", kTargetRefSchema).Items(16),
                                       Str("url").Length(1).Required(),
                                       Str("sha256"),
                                       Enum("imagePullPolicy", kPullPolicies),
                                       Str("imagePullSecret").Length(1, 253),
                                       Str("verificationKey"),
                                       Any("pluginConfig"),
                                       Str("pluginName").Length(1, 256),
                                       Enum("phase", kPhases),
                                       Signed("priority"),
                                       Enum("failStrategy", kFailStrategies),
                                       Msg("vmConfig", kVm),
                                       Msgs("match", kTraffic),
                                       Enum("type", kPluginTypes)};
constexpr MessageSchema kWasm{kWasmFields, CheckWasmRule};

// Telemetry.
constexpr FieldSchema kProviderFields[] = {Str("name").Length(1).Required()};
constexpr MessageSchema kProvider{kProviderFields};
constexpr std::string_view kMatchModes[] = {"CLIENT_AND_SERVER", "CLIENT", "SERVER"};
constexpr FieldSchema kModeFields[] = {Enum("mode", kMatchModes)};
constexpr MessageSchema kMode{kModeFields};
constexpr FieldSchema kTracingFields[] = {Msg("match", kMode),
                                          Msgs("providers", kProvider),
                                          Number("randomSamplingPercentage"),
                                          Bool("disableSpanReporting"),
                                          Any("customTags"),
                                          Bool("useRequestIdForTraceSampling"),
                                          Bool("enableIstioTags"),
                                          Bool("disableContextPropagation")};

void CheckTracingRule(const Node& tracing, Report& report) {
  const Node* sampling = tracing.Find("randomSamplingPercentage");
  if (sampling != nullptr && sampling->kind == NodeKind::kScalar) {
    std::string_view digits = sampling->text.substr(0, sampling->text.find('.'));
    auto whole = ParseUnsigned(digits);
    bool more = whole && (*whole > 100 || (*whole == 100 && sampling->text.find_first_of(
                                                                "123456789", digits.size()) !=
                                                                std::string_view::npos));
    if (sampling->text.starts_with('-') || more) {
      report.Refuse(
          report.SpanOf(*sampling),
          "`randomSamplingPercentage` must be 0 to 100, here stands " + Quote(sampling->text));
    }
  }
  const Node* providers = tracing.Find("providers");
  if (providers != nullptr && providers->items().size() > 1) {
    report.Refuse(report.SpanOf(*providers), "only one tracing provider is supported");
  }
}

constexpr MessageSchema kTracing{kTracingFields, CheckTracingRule};
constexpr FieldSchema kMetricMatchFields[] = {Str("metric"), Str("customMetric"),
                                              Enum("mode", kMatchModes)};
constexpr MessageSchema kMetricMatch{kMetricMatchFields};
constexpr FieldSchema kOverrideFields[] = {Msg("match", kMetricMatch), Any("disabled"),
                                           Any("tagOverrides")};
constexpr MessageSchema kOverride{kOverrideFields};
constexpr FieldSchema kMetricsFields[] = {Msgs("providers", kProvider),
                                          Msgs("overrides", kOverride), Str("reportingInterval")};
constexpr MessageSchema kMetrics{kMetricsFields};
constexpr FieldSchema kFilterFields[] = {Str("expression")};
constexpr MessageSchema kFilter{kFilterFields};
constexpr FieldSchema kLogFields[] = {Msg("match", kMode), Msgs("providers", kProvider),
                                      Any("disabled"), Msg("filter", kFilter)};
constexpr MessageSchema kLog{kLogFields};
constexpr FieldSchema kTelemetryFields[] = {Msg("selector", kSelectorSchema),
                                            Msg("targetRef", kTargetRefSchema),
                                            Msgs("targetRefs", kTargetRefSchema).Items(16),
                                            Msgs("tracing", kTracing),
                                            Msgs("metrics", kMetrics),
                                            Msgs("accessLogging", kLog)};
constexpr MessageSchema kTelemetry{kTelemetryFields, CheckAttachmentRule};

// ProxyConfig (networking.istio.io).
constexpr FieldSchema kImageFields[] = {Str("imageType")};
constexpr MessageSchema kImage{kImageFields};
constexpr FieldSchema kProxyConfigFields[] = {Msg("selector", kSelectorSchema),
                                              Signed("concurrency"), Map("environmentVariables"),
                                              Msg("image", kImage)};
constexpr MessageSchema kProxyConfig{kProxyConfigFields};

// Gateway API.
constexpr FieldSchema kSecretRefFields[] = {Str("group"), Str("kind"), Str("name").Required(),
                                            Str("namespace")};
constexpr MessageSchema kSecretRef{kSecretRefFields};
constexpr std::string_view kListenerTlsModes[] = {"Terminate", "Passthrough"};
constexpr FieldSchema kListenerTlsFields[] = {Enum("mode", kListenerTlsModes),
                                              Msgs("certificateRefs", kSecretRef).Items(64),
                                              Any("frontendValidation"), Any("options")};
constexpr MessageSchema kListenerTls{kListenerTlsFields};
constexpr std::string_view kFrom[] = {"All", "Selector", "Same", "None"};
constexpr FieldSchema kRouteNamespacesFields[] = {Enum("from", kFrom), Any("selector")};
constexpr MessageSchema kRouteNamespaces{kRouteNamespacesFields};
constexpr FieldSchema kRouteKindFields[] = {Str("group"), Str("kind").Required()};
constexpr MessageSchema kRouteKind{kRouteKindFields};
constexpr FieldSchema kAllowedRoutesFields[] = {Msg("namespaces", kRouteNamespaces),
                                                Msgs("kinds", kRouteKind)};
constexpr MessageSchema kAllowedRoutes{kAllowedRoutesFields};
constexpr FieldSchema PortField(std::string_view name) {
  FieldSchema field = Int(name);
  field.min = 1;
  field.max = 65535;
  return field;
}
constexpr FieldSchema kListenerFields[] = {Str("name").Length(1, 253).Required(),
                                           Str("hostname"),
                                           PortField("port").Required(),
                                           Str("protocol").Required(),
                                           Msg("tls", kListenerTls),
                                           Msg("allowedRoutes", kAllowedRoutes)};
constexpr MessageSchema kListener{kListenerFields};
constexpr FieldSchema kGatewayApiFields[] = {Str("gatewayClassName").Length(1, 253).Required(),
                                             Msgs("listeners", kListener).Items(64),
                                             Any("addresses"),
                                             Any("infrastructure"),
                                             Any("backendTLS"),
                                             Any("tls"),
                                             Any("allowedListeners"),
                                             Any("defaultScope")};
constexpr MessageSchema kGatewayApi{kGatewayApiFields};

constexpr FieldSchema kParentRefFields[] = {Str("group"),       Str("kind"),
                                            Str("namespace"),   Str("name").Required(),
                                            Str("sectionName"), PortField("port")};
constexpr MessageSchema kParentRef{kParentRefFields};
constexpr FieldSchema kBackendRefFields[] = {
    Str("group"),      Str("kind"),   Str("name").Required(), Str("namespace"),
    PortField("port"), Int("weight"), Any("filters")};
constexpr MessageSchema kBackendRef{kBackendRefFields};
constexpr std::string_view kPathTypes[] = {"Exact", "PathPrefix", "RegularExpression"};
constexpr FieldSchema kPathFields[] = {Enum("type", kPathTypes), Str("value").Length(0, 1024)};
constexpr MessageSchema kPath{kPathFields};
constexpr std::string_view kValueTypes[] = {"Exact", "RegularExpression"};
constexpr FieldSchema kHeaderFields[] = {Enum("type", kValueTypes), Str("name").Required(),
                                         Str("value").Required()};
constexpr MessageSchema kHeader{kHeaderFields};
constexpr std::string_view kMethods[] = {"GET",     "HEAD",    "POST",  "PUT",  "DELETE",
                                         "CONNECT", "OPTIONS", "TRACE", "PATCH"};
constexpr FieldSchema kHttpMatchFields[] = {Msg("path", kPath), Msgs("headers", kHeader).Items(16),
                                            Msgs("queryParams", kHeader).Items(16),
                                            Enum("method", kMethods)};
constexpr MessageSchema kHttpMatch{kHttpMatchFields};
constexpr FieldSchema kGrpcMethodFields[] = {Enum("type", kValueTypes), Str("service"),
                                             Str("method")};
constexpr MessageSchema kGrpcMethod{kGrpcMethodFields};
constexpr FieldSchema kGrpcMatchFields[] = {Msg("method", kGrpcMethod), Msgs("headers", kHeader)};
constexpr MessageSchema kGrpcMatch{kGrpcMatchFields};

constexpr FieldSchema kHttpRuleFields[] = {Str("name"),
                                           Msgs("matches", kHttpMatch).Items(64),
                                           Any("filters"),
                                           Msgs("backendRefs", kBackendRef).Items(16),
                                           Any("timeouts"),
                                           Any("retry"),
                                           Any("sessionPersistence")};
constexpr MessageSchema kHttpRule{kHttpRuleFields};
constexpr FieldSchema kGrpcRuleFields[] = {Str("name"), Msgs("matches", kGrpcMatch), Any("filters"),
                                           Msgs("backendRefs", kBackendRef),
                                           Any("sessionPersistence")};
constexpr MessageSchema kGrpcRule{kGrpcRuleFields};
constexpr FieldSchema kL4RuleFields[] = {Str("name"), Msgs("backendRefs", kBackendRef)};
constexpr MessageSchema kL4Rule{kL4RuleFields};

constexpr FieldSchema kHttpRouteFields[] = {Msgs("parentRefs", kParentRef).Items(32),
                                            Strs("hostnames"), Msgs("rules", kHttpRule),
                                            Any("useDefaultGateways")};
constexpr MessageSchema kHttpRoute{kHttpRouteFields};
constexpr FieldSchema kGrpcRouteFields[] = {Msgs("parentRefs", kParentRef), Strs("hostnames"),
                                            Msgs("rules", kGrpcRule), Any("useDefaultGateways")};
constexpr MessageSchema kGrpcRoute{kGrpcRouteFields};
constexpr FieldSchema kTlsRouteFields[] = {Msgs("parentRefs", kParentRef), Strs("hostnames"),
                                           Msgs("rules", kL4Rule), Any("useDefaultGateways")};
constexpr MessageSchema kTlsRoute{kTlsRouteFields};
constexpr FieldSchema kTcpRouteFields[] = {Msgs("parentRefs", kParentRef), Msgs("rules", kL4Rule),
                                           Any("useDefaultGateways")};
constexpr MessageSchema kTcpRoute{kTcpRouteFields};

constexpr FieldSchema kGrantFromFields[] = {Str("group").Required(), Str("kind").Required(),
                                            Str("namespace").Required()};
constexpr MessageSchema kGrantFrom{kGrantFromFields};
constexpr FieldSchema kGrantToFields[] = {Str("group").Required(), Str("kind").Required(),
                                          Str("name")};
constexpr MessageSchema kGrantTo{kGrantToFields};
constexpr FieldSchema kGrantFields[] = {Msgs("from", kGrantFrom).Items(16).Required(),
                                        Msgs("to", kGrantTo).Items(16).Required()};
constexpr MessageSchema kGrant{kGrantFields};

struct KindSchema {
  std::string_view group, kind;
  const MessageSchema* spec;
};

constexpr KindSchema kKinds[] = {{"extensions.istio.io", "WasmPlugin", &kWasm},
                                 {"telemetry.istio.io", "Telemetry", &kTelemetry},
                                 {"networking.istio.io", "ProxyConfig", &kProxyConfig},
                                 {"gateway.networking.k8s.io", "Gateway", &kGatewayApi},
                                 {"gateway.networking.k8s.io", "HTTPRoute", &kHttpRoute},
                                 {"gateway.networking.k8s.io", "GRPCRoute", &kGrpcRoute},
                                 {"gateway.networking.k8s.io", "TLSRoute", &kTlsRoute},
                                 {"gateway.networking.k8s.io", "TCPRoute", &kTcpRoute},
                                 {"gateway.networking.k8s.io", "ReferenceGrant", &kGrant}};

}  // namespace

void CheckUnreadKind(const ObjectMeta& meta, Report& report) {
  if (meta.node == nullptr) return;
  std::string_view group = GroupOfVersion(meta.api_version);
  for (const KindSchema& known : kKinds) {
    if (known.group == group && known.kind == meta.kind) {
      CheckResource(*meta.node, *known.spec, report);
    }
  }
}

}  // namespace meshproof

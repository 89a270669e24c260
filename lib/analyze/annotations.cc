// Istio's annotations and labels as of the current release, with what istiod's injector demands of
// their values.

#include "analyze/annotations.h"

#include <algorithm>

#include "base/text.h"
#include "match/ip.h"
#include "model/go_values.h"

namespace meshproof {
namespace {

using Status = KnownKey::Status;

std::string QuotedStart(std::string_view text) {
  return "`" + std::string(text.substr(0, 60)) + "`";
}

std::string PortList(std::string_view value) {
  if (TrimSpace(value).empty()) return {};
  for (std::string_view piece : Split(value, ',')) {
    auto port = ParseUnsigned(TrimSpace(piece));
    if (!port || *port > 65535) return QuotedStart(piece) + " is no port";
  }
  return {};
}

std::string PortsOrStar(std::string_view value) {
  return value == "*" ? "" : PortList(value);
}

std::string BlockList(std::string_view value) {
  if (value.empty()) return {};
  for (std::string_view piece : Split(value, ',')) {
    if (piece.find('/') == std::string_view::npos || !ParseCidr(piece)) {
      return QuotedStart(piece) + " is no block of addresses (10.0.0.0/8)";
    }
  }
  return {};
}

std::string BlocksOrStar(std::string_view value) {
  return value == "*" ? "" : BlockList(value);
}

std::string Port(std::string_view value) {
  auto port = ParseUnsigned(TrimSpace(value));
  return port && *port <= 65535 ? "" : QuotedStart(value) + " is no port";
}

std::string NumberValue(std::string_view value) {
  auto number = ParseUnsigned(value);
  return number && *number <= 0xFFFFFFFFUL ? "" : QuotedStart(value) + " is no number";
}

std::string Boolean(std::string_view value) {
  return ParseGoBool(value) ? "" : QuotedStart(value) + " is no boolean";
}

std::string Interception(std::string_view value) {
  return value == "REDIRECT" || value == "TPROXY" || value == "NONE"
             ? ""
             : QuotedStart(value) + " is none of REDIRECT, TPROXY and NONE";
}

std::string InjectionValue(std::string_view value) {
  return value == "enabled" || value == "disabled" ? ""
                                                   : QuotedStart(value) +
                                                         " is neither enabled nor disabled, "
                                                         "so nothing is injected by it";
}

std::string InjectLabel(std::string_view value) {
  return value == "true" || value == "false"
             ? ""
             : QuotedStart(value) + " is neither true nor false, so the label decides nothing";
}

std::string DataplaneMode(std::string_view value) {
  return value == "ambient" || value == "none" || value == "legacy"
             ? ""
             : QuotedStart(value) + " is neither ambient nor none, so nothing is enrolled by it";
}

std::string WaypointFor(std::string_view value) {
  return value == "all" || value == "service" || value == "workload" || value == "none"
             ? ""
             : QuotedStart(value) + " is none of service, workload, all and none";
}

std::string TlsMode(std::string_view value) {
  return value == "istio" || value == "disabled"
             ? ""
             : QuotedStart(value) + " is neither istio nor disabled";
}

constexpr std::string_view kPod = "Pod";

// Sorted by name.
constexpr KnownKey kAnnotations[] = {
    {"alpha.istio.io/canonical-serviceaccounts", "Service", Status::kDeprecated},
    {"alpha.istio.io/identity", kPod, Status::kDeprecated},
    {"alpha.istio.io/kubernetes-serviceaccounts", "Service", Status::kDeprecated},
    {"ambient.istio.io/bypass-inbound-capture", kPod, Status::kAlpha, true},
    {"ambient.istio.io/dns-capture", kPod, Status::kAlpha},
    {"ambient.istio.io/redirection", kPod},
    {"ambient.istio.io/waypoint-inbound-binding", "GatewayClass Gateway", Status::kAlpha},
    {"galley.istio.io/analyze-suppress", ""},
    {"gateway.istio.io/controller-version", ""},
    {"gateway.istio.io/name-override", "Gateway"},
    {"gateway.istio.io/service-account", "Gateway"},
    {"inject.istio.io/templates", kPod},
    {"install.operator.istio.io/chart-owner", ""},
    {"install.operator.istio.io/owner-generation", ""},
    {"install.operator.istio.io/version", ""},
    {"istio.io/autoRegistrationGroup", "WorkloadEntry"},
    {"istio.io/connectedAt", "WorkloadEntry"},
    {"istio.io/disconnectedAt", "WorkloadEntry"},
    {"istio.io/dry-run", "AuthorizationPolicy", Status::kStable, true},
    {"istio.io/reroute-virtual-interfaces", kPod, Status::kAlpha, true},
    {"istio.io/rev", ""},
    {"istio.io/workloadController", "WorkloadEntry"},
    {"kubernetes.io/ingress.class", "Ingress"},
    {"networking.istio.io/address-type", "Gateway"},
    {"networking.istio.io/exportTo", "Service", Status::kAlpha, true},
    {"networking.istio.io/service-type", "Gateway"},
    {"networking.istio.io/traffic-distribution", "Namespace Service ServiceEntry", Status::kAlpha},
    {"prometheus.istio.io/merge-metrics", kPod, Status::kAlpha, false, Boolean},
    {"proxy.istio.io/config", kPod},
    {"proxy.istio.io/overrides", kPod},
    {"readiness.status.sidecar.istio.io/applicationPorts", kPod, Status::kAlpha},
    {"readiness.status.sidecar.istio.io/failureThreshold", kPod, Status::kAlpha, false,
     NumberValue},
    {"readiness.status.sidecar.istio.io/initialDelaySeconds", kPod, Status::kAlpha, false,
     NumberValue},
    {"readiness.status.sidecar.istio.io/periodSeconds", kPod, Status::kAlpha, false, NumberValue},
    {"sidecar.istio.io/agentLogLevel", kPod, Status::kAlpha},
    {"sidecar.istio.io/bootstrapOverride", kPod, Status::kAlpha, true},
    {"sidecar.istio.io/componentLogLevel", kPod, Status::kAlpha},
    {"sidecar.istio.io/controlPlaneAuthPolicy", kPod, Status::kDeprecated},
    {"sidecar.istio.io/discoveryAddress", kPod, Status::kDeprecated},
    {"sidecar.istio.io/enableCoreDump", kPod, Status::kAlpha},
    {"sidecar.istio.io/extraStatTags", kPod, Status::kDeprecated},
    {"sidecar.istio.io/inject", kPod, Status::kDeprecated, true, nullptr,
     "the label `sidecar.istio.io/inject`"},
    {"sidecar.istio.io/interceptionMode", kPod, Status::kAlpha, true, Interception},
    {"sidecar.istio.io/logLevel", kPod, Status::kAlpha},
    {"sidecar.istio.io/nativeSidecar", kPod, Status::kAlpha},
    {"sidecar.istio.io/proxyCPU", kPod, Status::kAlpha},
    {"sidecar.istio.io/proxyCPULimit", kPod, Status::kAlpha},
    {"sidecar.istio.io/proxyImage", kPod, Status::kAlpha},
    {"sidecar.istio.io/proxyImageType", kPod, Status::kAlpha},
    {"sidecar.istio.io/proxyMemory", kPod, Status::kAlpha},
    {"sidecar.istio.io/proxyMemoryLimit", kPod, Status::kAlpha},
    {"sidecar.istio.io/rewriteAppHTTPProbers", kPod, Status::kAlpha},
    {"sidecar.istio.io/statsCompression", kPod, Status::kAlpha},
    {"sidecar.istio.io/statsEvictionInterval", kPod, Status::kAlpha},
    {"sidecar.istio.io/statsHistogramBuckets", kPod, Status::kAlpha},
    {"sidecar.istio.io/statsInclusionPrefixes", kPod, Status::kDeprecated},
    {"sidecar.istio.io/statsInclusionRegexps", kPod, Status::kDeprecated},
    {"sidecar.istio.io/statsInclusionSuffixes", kPod, Status::kDeprecated},
    {"sidecar.istio.io/status", kPod},
    {"sidecar.istio.io/userVolume", kPod, Status::kAlpha},
    {"sidecar.istio.io/userVolumeMount", kPod, Status::kAlpha},
    {"status.sidecar.istio.io/port", kPod, Status::kAlpha, false, Port},
    {"topology.istio.io/controlPlaneClusters", "Namespace", Status::kAlpha},
    {"traffic.istio.io/nodeSelector", "Service"},
    {"traffic.sidecar.istio.io/excludeInboundPorts", kPod, Status::kAlpha, true, PortList},
    {"traffic.sidecar.istio.io/excludeInterfaces", kPod, Status::kAlpha, true},
    {"traffic.sidecar.istio.io/excludeOutboundIPRanges", kPod, Status::kAlpha, true, BlockList},
    {"traffic.sidecar.istio.io/excludeOutboundPorts", kPod, Status::kAlpha, true, PortList},
    {"traffic.sidecar.istio.io/includeInboundPorts", kPod, Status::kAlpha, true, PortsOrStar},
    {"traffic.sidecar.istio.io/includeOutboundIPRanges", kPod, Status::kAlpha, true, BlocksOrStar},
    {"traffic.sidecar.istio.io/includeOutboundPorts", kPod, Status::kAlpha, true, PortList},
    {"traffic.sidecar.istio.io/kubevirtInterfaces", kPod, Status::kDeprecated, true, nullptr,
     "`istio.io/reroute-virtual-interfaces`"},
};

// Labels; those without effect on security are left out.
constexpr KnownKey kLabels[] = {
    {"gateway.networking.k8s.io/gateway-name", ""},
    {"istio-injection", "Namespace", Status::kStable, true, InjectionValue},
    {"istio.io/dataplane-mode", "Namespace Pod", Status::kStable, true, DataplaneMode},
    {"istio.io/gateway-name", "", Status::kDeprecated, false, nullptr,
     "`gateway.networking.k8s.io/gateway-name`"},
    {"istio.io/ingress-use-waypoint", "Namespace Service ServiceEntry", Status::kStable, true},
    {"istio.io/rev", ""},
    {"istio.io/use-waypoint", "Namespace Pod Service ServiceEntry WorkloadEntry WorkloadGroup",
     Status::kStable, true},
    {"istio.io/use-waypoint-namespace",
     "Namespace Pod Service ServiceEntry WorkloadEntry WorkloadGroup", Status::kStable, true},
    {"istio.io/waypoint-for", "Gateway GatewayClass", Status::kStable, true, WaypointFor},
    {"security.istio.io/tlsMode", "Pod WorkloadEntry WorkloadGroup", Status::kStable, true,
     TlsMode},
    {"sidecar.istio.io/inject", kPod, Status::kStable, true, InjectLabel},
};

template <size_t n>
const KnownKey* FindIn(const KnownKey (&keys)[n], std::string_view name) {
  const KnownKey* found = std::lower_bound(
      std::begin(keys), std::end(keys), name,
      [](const KnownKey& key, std::string_view wanted) { return key.name < wanted; });
  return found != std::end(keys) && found->name == name ? found : nullptr;
}

template <size_t n>
std::vector<std::string> NamesOf(const KnownKey (&keys)[n]) {
  std::vector<std::string> names;
  for (const KnownKey& key : keys) names.emplace_back(key.name);
  return names;
}

}  // namespace

const KnownKey* FindAnnotation(std::string_view name) {
  return FindIn(kAnnotations, name);
}

const KnownKey* FindLabelKey(std::string_view name) {
  return FindIn(kLabels, name);
}

bool IsIstioKey(std::string_view name) {
  size_t slash = name.find('/');
  if (slash == std::string_view::npos) return false;
  std::string_view domain = name.substr(0, slash);
  return domain == "istio.io" || domain.ends_with(".istio.io");
}

bool MaySitOn(const KnownKey& key, std::string_view kind) {
  if (key.kinds.empty()) return true;
  std::vector<std::string_view> kinds = Split(key.kinds, ' ');
  return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

std::vector<std::string> AnnotationNames() {
  return NamesOf(kAnnotations);
}

std::vector<std::string> LabelNames() {
  return NamesOf(kLabels);
}

}  // namespace meshproof

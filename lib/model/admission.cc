#include "model/admission.h"

#include "base/text.h"

namespace meshproof {
namespace {

// The place of an annotation's value; annotations themselves carry none.
Span AnnotationSpan(const ObjectMeta& meta, std::string_view name, const Report& report) {
  const Node* metadata = meta.node == nullptr ? nullptr : meta.node->Find("metadata");
  const Node* annotations = metadata == nullptr ? nullptr : metadata->Find("annotations");
  const Node* value = annotations == nullptr ? nullptr : annotations->Find(name);
  return value == nullptr ? meta.span : report.SpanOf(*value);
}

}  // namespace

void AdmitMetadata(const ObjectMeta& meta, bool dry_run_allowed, Report& report) {
  for (std::string_view forbidden :
       {"internal.istio.io/webhook-always-reject", "internal.istio.io/parents",
        "internal.istio.io/parent-namespace"}) {
    if (FindLabel(meta.annotations, forbidden) == nullptr) continue;
    report.Refuse(AnnotationSpan(meta, forbidden, report),
                  "the annotation " + Quote(forbidden) + " is Istio's own and may not be set");
  }
  constexpr std::string_view kDryRun = "istio.io/dry-run";
  if (!dry_run_allowed && FindLabel(meta.annotations, kDryRun) != nullptr) {
    report.Refuse(AnnotationSpan(meta, kDryRun, report),
                  "the annotation " + Quote(kDryRun) + " is for AuthorizationPolicies alone");
  }
}

void AdmitSelector(const Selector& selector, Report& report) {
  if (!selector.present || !selector.match_labels.empty()) return;
  report.Warn(selector.span, "the selector has no labels, so it selects every workload",
              "leave it out where that is meant");
}

void AdmitTargetRefs(const std::vector<TargetRef>& refs, Report& report) {
  struct Target {
    std::string_view group, kind;
  };
  constexpr Target kTargets[] = {{"core", "Service"},
                                 {"networking.istio.io", "ServiceEntry"},
                                 {"gateway.networking.k8s.io", "Gateway"},
                                 {"gateway.networking.k8s.io", "GatewayClass"}};
  for (const TargetRef& ref : refs) {
    std::string_view group = ref.group.value.empty() ? "core" : ref.group.value;
    bool known = false;
    for (const Target& target : kTargets) {
      known = known || (target.group == group && target.kind == ref.kind.value);
    }
    if (known) continue;
    std::string help;
    for (const Target& target : kTargets) {
      if (target.kind != ref.kind.value) continue;
      help = target.group == "core" ? "leave `group` out" : "its group is " + Quote(target.group);
    }
    if (help.empty()) help = "a Service, ServiceEntry, Gateway or GatewayClass can be";
    report.Refuse(
        ref.kind.span ? ref.kind.span : ref.span,
        Quote(ref.kind.value) + " of group " + Quote(group) + " cannot be the target of a policy",
        help);
  }
}

void AdmitPort(int port, Span span, Report& report) {
  if (port >= 1 && port <= 65535) return;
  report.Refuse(span, std::to_string(port) + " is no port: 1 to 65535 are");
}

ProtocolClass ClassifyProtocol(std::string_view protocol) {
  std::string name = ToLower(protocol);
  for (std::string_view http : {"http", "http2", "grpc", "grpc-web", "http_proxy"}) {
    if (name == http) return ProtocolClass::kHttp;
  }
  if (name == "https" || name == "tls") return ProtocolClass::kTls;
  for (std::string_view other :
       {"tcp", "udp", "mongo", "redis", "mysql", "hbone", "double-hbone"}) {
    if (name == other) return ProtocolClass::kOther;
  }
  return ProtocolClass::kUnsupported;
}

}  // namespace meshproof

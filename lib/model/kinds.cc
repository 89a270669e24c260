// The kinds and what becomes of an object of each: its schema, its decoder, its webhook.

#include "model/kinds.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <type_traits>
#include <utility>

#include "base/text.h"
#include "model/admission.h"
#include "model/decode.h"
#include "model/labels.h"
#include "model/schema.h"

namespace meshproof {
namespace {

// A custom resource: schema, decoder, webhook.
template <typename T>
void AddResource(Arrival& arrival, std::vector<T> Model::* list, const MessageSchema& spec,
                 T (*decode)(const Fields&, ObjectMeta),
                 std::type_identity_t<void (*)(const T&, Report&)> admit) {
  Report& report = arrival.report;
  CheckResource(*arrival.fields.node(), spec, report);
  if (report.impossible()) return SkipRefused(arrival.part, arrival.meta);
  bool storable = !report.refused();
  T object = decode(arrival.fields, std::move(arrival.meta));
  report.set_meta(&object.meta);
  if (storable && admit != nullptr) admit(object, report);
  if (storable && admit == nullptr) AdmitMetadata(object.meta, false, report);
  if (report.refused() && !arrival.options.keep_invalid) {
    return SkipRefused(arrival.part, object.meta);
  }
  (arrival.part.model.*list).push_back(std::move(object));
}

template <typename T>
void AddCore(Arrival& arrival, std::vector<T> Model::* list,
             T (*decode)(const Fields&, ObjectMeta)) {
  (arrival.part.model.*list).push_back(decode(arrival.fields, std::move(arrival.meta)));
}

void AddNamespace(Arrival& a) {
  a.part.model.namespaces.push_back({std::move(a.meta)});
}

void AddServiceAccount(Arrival& a) {
  a.part.model.service_accounts.push_back({std::move(a.meta)});
}

void AddPodWorkload(Arrival& a) {
  AddCore(a, &Model::pod_workloads, DecodePodWorkload);
}
void AddService(Arrival& a) {
  AddCore(a, &Model::services, DecodeService);
}
void AddSecret(Arrival& a) {
  AddCore(a, &Model::secrets, DecodeSecret);
}
void AddOther(Arrival& a) {
  AddCore(a, &Model::others, DecodeOther);
}

// Gateway API objects are decoded and, for those who read their text, kept among the others.
template <typename T>
void AddGatewayApi(Arrival& a, std::vector<T> Model::* list,
                   T (*decode)(const Fields&, ObjectMeta)) {
  (a.part.model.*list).push_back(decode(a.fields, a.meta));
  AddOther(a);
}

void AddK8sGateway(Arrival& a) {
  AddGatewayApi(a, &Model::k8s_gateways, DecodeK8sGateway);
}
void AddGatewayClass(Arrival& a) {
  AddGatewayApi(a, &Model::gateway_classes, DecodeGatewayClass);
}
void AddK8sRoute(Arrival& a) {
  AddGatewayApi(a, &Model::k8s_routes, DecodeK8sRoute);
}
void AddReferenceGrant(Arrival& a) {
  AddGatewayApi(a, &Model::reference_grants, DecodeReferenceGrant);
}
void AddBackendTlsPolicy(Arrival& a) {
  AddGatewayApi(a, &Model::backend_tls_policies, DecodeBackendTlsPolicy);
}

void AddConfigMap(Arrival& a) {
  std::string_view name = a.meta.name;
  const Node* data = a.fields.node()->Find("data");
  const Node* mesh = data == nullptr ? nullptr : data->Find("mesh");
  bool named = name == "istio" || name.substr(0, 6) == "istio-";
  if (!named || mesh == nullptr || !mesh->IsString()) {
    a.part.model.skipped.push_back(
        {a.meta.file, a.meta.span, std::string(a.meta.kind), Model::Skipped::Reason::kIgnored});
    return;
  }
  a.part.mesh_configs.push_back({std::make_unique<ObjectMeta>(std::move(a.meta)), mesh});
}

void AddPeerAuthentication(Arrival& a) {
  AddResource(a, &Model::peer_authentications, kPeerAuthenticationSchema, DecodePeerAuthentication,
              AdmitPeerAuthentication);
}

void AddRequestAuthentication(Arrival& a) {
  AddResource(a, &Model::request_authentications, kRequestAuthenticationSchema,
              DecodeRequestAuthentication, AdmitRequestAuthentication);
}

void AddAuthorizationPolicy(Arrival& a) {
  AddResource(a, &Model::authorization_policies, kAuthorizationPolicySchema,
              DecodeAuthorizationPolicy, AdmitAuthorizationPolicy);
}

void AddGateway(Arrival& a) {
  AddResource(a, &Model::gateways, kGatewaySchema, DecodeGateway, AdmitGateway);
}

void AddVirtualService(Arrival& a) {
  AddResource(a, &Model::virtual_services, kVirtualServiceSchema, DecodeVirtualService,
              AdmitVirtualService);
}

void AddDestinationRule(Arrival& a) {
  AddResource(a, &Model::destination_rules, kDestinationRuleSchema, DecodeDestinationRule,
              AdmitDestinationRule);
}

void AddServiceEntry(Arrival& a) {
  AddResource(a, &Model::service_entries, kServiceEntrySchema, DecodeServiceEntry,
              AdmitServiceEntry);
}

void AddSidecar(Arrival& a) {
  AddResource(a, &Model::sidecars, kSidecarSchema, DecodeSidecar, AdmitSidecar);
}

void AddWorkloadEntry(Arrival& a) {
  AddResource(a, &Model::workload_entries, kWorkloadEntrySchema, DecodeWorkloadEntry,
              AdmitWorkloadEntry);
}

void AddWorkloadGroup(Arrival& a) {
  AddResource(a, &Model::workload_groups, kWorkloadGroupSchema, DecodeWorkloadGroup, nullptr);
}

void AddEnvoyFilter(Arrival& a) {
  AddResource(a, &Model::envoy_filters, kEnvoyFilterSchema, DecodeEnvoyFilter, nullptr);
}

constexpr std::string_view kTelemetry = "telemetry.istio.io";
constexpr std::string_view kExtensions = "extensions.istio.io";
constexpr std::string_view kGatewayApiX = "gateway.networking.x-k8s.io";

// Sorted by kind.
constexpr KindInfo kKinds[] = {
    {"AuthorizationPolicy", kSecurity, "v1 v1beta1", AddAuthorizationPolicy},
    {"BackendTLSPolicy", kGatewayApiGroup, "", AddBackendTlsPolicy},
    {"ConfigMap", "", "v1", AddConfigMap},
    {"CronJob", "batch", "v1", AddPodWorkload},
    {"DaemonSet", "apps", "v1", AddPodWorkload},
    {"Deployment", "apps", "v1", AddPodWorkload},
    {"DestinationRule", kNetworking, "v1 v1beta1 v1alpha3", AddDestinationRule},
    {"EnvoyFilter", kNetworking, "v1alpha3", AddEnvoyFilter},
    {"ExtensionFilter", kExtensions, "", AddOther},
    {"GRPCRoute", kGatewayApiGroup, "", AddK8sRoute},
    {"Gateway", kNetworking, "v1 v1beta1 v1alpha3", AddGateway},
    {"Gateway", kGatewayApiGroup, "", AddK8sGateway},
    {"GatewayClass", kGatewayApiGroup, "", AddGatewayClass, true},
    {"HTTPRoute", kGatewayApiGroup, "", AddK8sRoute},
    {"Job", "batch", "v1", AddPodWorkload},
    {"ListenerSet", kGatewayApiGroup, "", AddOther},
    {"Namespace", "", "v1", AddNamespace, true},
    {"PeerAuthentication", kSecurity, "v1 v1beta1", AddPeerAuthentication},
    {"Pod", "", "v1", AddPodWorkload},
    {"ProxyConfig", kNetworking, "v1beta1", AddOther},
    {"ReferenceGrant", kGatewayApiGroup, "", AddReferenceGrant},
    {"ReplicaSet", "apps", "v1", AddPodWorkload},
    {"ReplicationController", "", "v1", AddPodWorkload},
    {"RequestAuthentication", kSecurity, "v1 v1beta1", AddRequestAuthentication},
    {"Secret", "", "v1", AddSecret},
    {"Service", "", "v1", AddService},
    {"ServiceAccount", "", "v1", AddServiceAccount},
    {"ServiceEntry", kNetworking, "v1 v1beta1 v1alpha3", AddServiceEntry},
    {"Sidecar", kNetworking, "v1 v1beta1 v1alpha3", AddSidecar},
    {"StatefulSet", "apps", "v1", AddPodWorkload},
    {"TCPRoute", kGatewayApiGroup, "", AddK8sRoute},
    {"TLSRoute", kGatewayApiGroup, "", AddK8sRoute},
    {"Telemetry", kTelemetry, "v1 v1alpha1", AddOther},
    {"TrafficExtension", kExtensions, "", AddOther},
    {"UDPRoute", kGatewayApiGroup, "", AddOther},
    {"VirtualService", kNetworking, "v1 v1beta1 v1alpha3", AddVirtualService},
    {"WasmPlugin", kExtensions, "", AddOther},
    {"WorkloadEntry", kNetworking, "v1 v1beta1 v1alpha3", AddWorkloadEntry},
    {"WorkloadGroup", kNetworking, "v1 v1beta1 v1alpha3", AddWorkloadGroup},
    {"XListenerSet", kGatewayApiX, "", AddOther},
};

bool ByKind(const KindInfo& info, std::string_view kind) {
  return info.kind < kind;
}

}  // namespace

std::span<const KindInfo> AllKinds() {
  return kKinds;
}

std::span<const KindInfo> KindsNamed(std::string_view kind) {
  const KindInfo* begin = std::lower_bound(std::begin(kKinds), std::end(kKinds), kind, ByKind);
  const KindInfo* end = begin;
  while (end != std::end(kKinds) && end->kind == kind) ++end;
  return {begin, end};
}

bool IsServed(const KindInfo& info, std::string_view version) {
  if (info.versions.empty()) return true;
  std::vector<std::string_view> versions = Split(info.versions, ' ');
  return std::find(versions.begin(), versions.end(), version) != versions.end();
}

std::string PreferredVersion(const KindInfo& info) {
  std::string_view version = info.versions.substr(0, info.versions.find(' '));
  return info.group.empty() ? std::string(version)
                            : std::string(info.group) + "/" + std::string(version);
}

void SkipRefused(Part& part, const ObjectMeta& meta) {
  part.model.skipped.push_back(
      {meta.file, meta.span, std::string(meta.kind), Model::Skipped::Reason::kRefused});
}

}  // namespace meshproof

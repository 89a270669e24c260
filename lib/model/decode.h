#pragma once

#include "model/fields.h"
#include "model/model.h"

// One decoder a kind: a mapping of the input becomes the typed object of model.h. Custom resources
// have passed their schema before; Kubernetes' own kinds are read leniently, with a diagnostic
// where a field that meshproof needs has another type. Each takes the object's fields and a `meta`
// that is already there.
namespace meshproof {

// metadata without the namespace, which the caller resolves; `object` is a mapping.
void DecodeMeta(const Fields& object, ObjectMeta* meta);

PodWorkload DecodePodWorkload(const Fields& object, ObjectMeta meta);
Service DecodeService(const Fields& object, ObjectMeta meta);
Secret DecodeSecret(const Fields& object, ObjectMeta meta);

PeerAuthentication DecodePeerAuthentication(const Fields& object, ObjectMeta meta);
RequestAuthentication DecodeRequestAuthentication(const Fields& object, ObjectMeta meta);
AuthorizationPolicy DecodeAuthorizationPolicy(const Fields& object, ObjectMeta meta);

Gateway DecodeGateway(const Fields& object, ObjectMeta meta);
VirtualService DecodeVirtualService(const Fields& object, ObjectMeta meta);
DestinationRule DecodeDestinationRule(const Fields& object, ObjectMeta meta);
ServiceEntry DecodeServiceEntry(const Fields& object, ObjectMeta meta);
Sidecar DecodeSidecar(const Fields& object, ObjectMeta meta);
WorkloadEntry DecodeWorkloadEntry(const Fields& object, ObjectMeta meta);
WorkloadGroup DecodeWorkloadGroup(const Fields& object, ObjectMeta meta);
EnvoyFilter DecodeEnvoyFilter(const Fields& object, ObjectMeta meta);
OtherObject DecodeOther(const Fields& object, ObjectMeta meta);

K8sGateway DecodeK8sGateway(const Fields& object, ObjectMeta meta);
GatewayClass DecodeGatewayClass(const Fields& object, ObjectMeta meta);
K8sRoute DecodeK8sRoute(const Fields& object, ObjectMeta meta);
ReferenceGrant DecodeReferenceGrant(const Fields& object, ObjectMeta meta);
BackendTlsPolicy DecodeBackendTlsPolicy(const Fields& object, ObjectMeta meta);

// A workload selector whose labels stand under `labels_key` (matchLabels or labels).
Selector DecodeSelector(const Fields& spec, std::string_view key, std::string_view labels_key);
// targetRefs; where they are empty, the legacy targetRef.
std::vector<TargetRef> DecodeTargetRefs(const Fields& spec);

}  // namespace meshproof

#pragma once

#include "model/model.h"
#include "model/report.h"

// What istiod's validating webhook says of an object whose schema is already in order
// (istio-semantics section 8): errors refuse it, warnings do not. For the networking kinds only the
// errors that decide what meshproof computes with.
namespace meshproof {

// Annotations that no user may set; istio.io/dry-run only stands on AuthorizationPolicies.
void AdmitMetadata(const ObjectMeta& meta, bool dry_run_allowed, Report& report);

void AdmitPeerAuthentication(const PeerAuthentication& policy, Report& report);
void AdmitRequestAuthentication(const RequestAuthentication& policy, Report& report);
void AdmitAuthorizationPolicy(const AuthorizationPolicy& policy, Report& report);
void AdmitGateway(const Gateway& gateway, Report& report);
void AdmitVirtualService(const VirtualService& service, Report& report);
void AdmitDestinationRule(const DestinationRule& rule, Report& report);
void AdmitServiceEntry(const ServiceEntry& entry, Report& report);
void AdmitSidecar(const Sidecar& sidecar, Report& report);
void AdmitWorkloadEntry(const WorkloadEntry& entry, Report& report);

// Shared by several kinds.
void AdmitSelector(const Selector& selector, Report& report);
void AdmitTargetRefs(const std::vector<TargetRef>& refs, Report& report);
// 1 to 65535; `span` is where to say so.
void AdmitPort(int port, Span span, Report& report);

// istiod's protocol names, whatever their case: HTTP, HTTP2, GRPC, TLS, …
enum class ProtocolClass { kUnsupported, kHttp, kTls, kOther };
ProtocolClass ClassifyProtocol(std::string_view protocol);

}  // namespace meshproof

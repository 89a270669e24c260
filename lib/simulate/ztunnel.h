#pragma once

#include "proxy/ztunnel.h"
#include "simulate/request.h"
#include "simulate/verdict.h"

namespace meshproof {

// What ztunnel decides on one connection to a workload that it serves (istio-semantics section
// 7.2): DENY policies, then ALLOW policies, on the peer's identity (HBONE alone has one) and the
// addresses. A refusal ends the connection without an HTTP answer.
Verdict RunZtunnel(const ZtunnelConfig& config, const Workload& workload,
                   const ProxyRequest& request, Detail detail);

}  // namespace meshproof

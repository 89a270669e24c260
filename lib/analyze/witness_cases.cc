#include "analyze/witness_cases.h"

#include <algorithm>

namespace meshproof {
namespace {

Case CaseTo(const Workload& target, int port, Protocol protocol) {
  Case question;
  question.to_workload = target.ns + "/" + target.name;
  question.to_port = port;
  if (protocol == Protocol::kTcp || protocol == Protocol::kTls || protocol == Protocol::kHttps) {
    question.protocol = WireProtocol::kTcp;
  } else if (protocol == Protocol::kHttp2 || protocol == Protocol::kGrpc) {
    question.protocol = WireProtocol::kHttp2;
  }
  return question;
}

}  // namespace

Case PlaintextCase(const Workload& target, int port, Protocol protocol) {
  Case question = CaseTo(target, port, protocol);
  question.from_outside = true;
  question.tls = CaseTls::kPlaintext;
  return question;
}

std::optional<Case> MeshCase(const Analysis& analysis, const Workload& target, int port,
                             Protocol protocol) {
  const std::vector<Workload>& workloads = analysis.mesh.workloads();
  auto client = std::find_if(workloads.begin(), workloads.end(), [&](const Workload& workload) {
    return workload.mode == ProxyMode::kSidecar && &workload != &target;
  });
  if (client == workloads.end()) return std::nullopt;
  Case question = CaseTo(target, port, protocol);
  question.from_workload = client->ns + "/" + client->name;
  return question;
}

std::optional<InboundPort> FirstPort(const Analysis& analysis, const Workload& workload) {
  std::vector<InboundPort> ports = analysis.mesh.InboundPorts(workload);
  if (ports.empty()) return std::nullopt;
  return ports.front();
}

}  // namespace meshproof

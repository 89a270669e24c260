// A ztunnel logs each connection that it took from a pod or gave to one: the peer's identity where
// there is mutual TLS, both addresses, both pods. That is all that ztunnel's policies ask for
// (istio-semantics section 7.2), so that a line can be judged again without a guess; what a
// waypoint or a sidecar asks for beyond it is not in the line.
//
// The ztunnel of the destination asserts the policies before it connects to the application: what
// goes wrong later was let through. The caller's ztunnel learns of a refusal as status 401.

#include "simulate/log_connection.h"

#include <algorithm>
#include <initializer_list>

#include "base/text.h"
#include "mesh/workload_name.h"
#include "simulate/approach.h"
#include "simulate/ztunnel.h"

namespace meshproof {
namespace {

// The address that is meant, inside the tunnel if there is one.
std::string_view MeantAddress(const LogRecord& record) {
  std::string_view hbone = record[LogField::kTargetHbone];
  return hbone.empty() ? record[LogField::kLocal] : hbone;
}

std::string NameOfPod(std::string_view ns, std::string_view pod) {
  return std::string(ns) + "/" + std::string(pod);
}

bool HoldsOneOf(std::string_view text, std::initializer_list<std::string_view> parts) {
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return text.find(part) != std::string_view::npos;
  });
}

// Why a destination that is none of ztunnel's cannot be judged by a ztunnel's line.
std::string NoZtunnelText(const Workload& workload) {
  const std::string name = NameOf(workload);
  switch (workload.mode) {
    case ProxyMode::kSidecar:
      return "the sidecar of " + name + " judges requests, which a ztunnel does not log";
    case ProxyMode::kGateway:
      return "the gateway " + name + " judges requests, which a ztunnel does not log";
    case ProxyMode::kWaypoint:
      return "the waypoint " + name + " judges requests, which a ztunnel does not log";
    case ProxyMode::kNone:
    case ProxyMode::kAmbient:
      break;
  }
  return "no ztunnel serves " + name +
         " in the input: its namespace and pods lack the label istio.io/dataplane-mode: ambient";
}

}  // namespace

LoggedConnection ReadLoggedConnection(const Mesh& mesh, const LogTarget& target,
                                      const LogRecord& record) {
  LoggedConnection out;
  out.outbound = target.outbound;
  out.peer = std::string(record[LogField::kPeer]);
  out.source_ns = std::string(record[LogField::kSourceNamespace]);
  out.source_pod = std::string(record[LogField::kSourceWorkload]);
  const std::string_view meant = MeantAddress(record);
  const bool hbone = !record[LogField::kTargetHbone].empty();
  const std::string_view pod = record[LogField::kTargetWorkload];
  if (target.workload == nullptr) {
    if (!pod.empty()) {
      out.unusable = "the destination " + NameOfPod(record[LogField::kTargetNamespace], pod) +
                     " is not in the input, or not told from others";
    } else if (target.service != nullptr) {
      out.unusable =
          "the line does not say which workload of " + target.service->host + " was called";
    } else {
      out.unusable = "the destination is not in the input";
      if (out.outbound) out.unusable += ": the connection may leave the mesh";
    }
    return out;
  }
  if (target.port == 0) {
    out.unusable = "the line does not say which port was called";
    return out;
  }
  if (hbone && out.peer.empty()) {
    out.unusable = "the line does not say who called (src.identity)";
    return out;
  }
  Case& question = out.question;
  question.protocol = WireProtocol::kTcp;
  question.to_workload = NameOf(*target.workload);
  question.to_port = target.port;
  question.to_ip = ParseIpAddress(HostOfAddress(meant));
  question.from_ip = ParseIpAddress(HostOfAddress(record[LogField::kRemote]));
  question.from_outside = true;
  question.tls = out.peer.empty() ? CaseTls::kPlaintext : CaseTls::kMtls;
  if (!out.peer.empty()) question.from_identity = out.peer;
  if (const Workload* caller = CallerOf(mesh, out)) {
    // The line's identity counts, be the caller's service account another one by now.
    question.from_outside = false;
    question.from_workload = NameOf(*caller);
    if (caller->identity == out.peer) question.from_identity.reset();
  }
  Connection& connection = out.connection;
  connection.hbone = !out.peer.empty();
  if (connection.hbone) connection.certificate = Certificate{true, {out.peer}, {}, ""};
  if (question.from_ip) connection.source = Address{*question.from_ip};
  if (question.to_ip) connection.destination = Address{*question.to_ip};
  connection.destination_port = static_cast<uint32_t>(target.port);
  return out;
}

const Workload* CallerOf(const Mesh& mesh, const LoggedConnection& logged) {
  return FindLoggedPod(mesh, logged.source_ns, logged.source_pod);
}

Result<Verdict> AskZtunnelOf(const World& world, const Workload& destination,
                             const LoggedConnection& logged, bool released, Detail detail) {
  if (const std::string& missing = world.Unknown(destination); !missing.empty()) {
    return Error{missing};
  }
  ProxyRequest request;
  request.protocol = WireProtocol::kTcp;
  request.connection = logged.connection;
  if (destination.mode == ProxyMode::kAmbient) {
    return RunZtunnel(world.Ztunnel(), destination, request, detail);
  }
  const bool plain = logged.outbound && !logged.connection.hbone;
  if (destination.mode != ProxyMode::kNone || (!released && !plain)) {
    return Error{NoZtunnelText(destination)};
  }
  Verdict verdict;  // nobody is asked
  verdict.stage = Stage::kAllow;
  verdict.status = 0;
  return verdict;
}

bool IsWaypointPeer(const Mesh& mesh, const std::string& peer) {
  if (peer.empty()) return false;
  const auto& workloads = mesh.workloads();
  return std::any_of(workloads.begin(), workloads.end(), [&](const Workload& workload) {
    return workload.mode == ProxyMode::kWaypoint && workload.identity == peer;
  });
}

const Waypoint* WaypointBefore(const Mesh& mesh, const LoggedConnection& logged,
                               const LogTarget& target, const Workload& destination) {
  if (logged.peer.empty() || IsWaypointPeer(mesh, logged.peer)) return nullptr;
  const MeshService* service =
      target.service == nullptr ? nullptr : mesh.FindService(target.service->host);
  const Workload* caller = CallerOf(mesh, logged);
  // Nobody knows which of the two was called: the Service or the pod.
  for (const MeshService* called : {service, static_cast<const MeshService*>(nullptr)}) {
    const Waypoint* waypoint = nullptr;
    if (caller != nullptr && caller->mode != ProxyMode::kNone) {
      waypoint = WaypointOnTheWay(mesh, *caller, called, &destination);
    } else if (called != nullptr) {
      waypoint = mesh.WaypointFor(*called).waypoint;
    } else {
      waypoint = mesh.WaypointFor(destination).waypoint;
    }
    if (waypoint != nullptr) return waypoint;
  }
  return nullptr;
}

LoggedAnswer ReadConnectionAnswer(const LogRecord& record) {
  LoggedAnswer answer;
  answer.flags = "-";
  const std::string_view error = record[LogField::kError];
  answer.details = std::string(error);
  if (error.empty()) return answer;
  if (HoldsOneOf(error, {"policy rejection", "explicitly denied", "none allowed", "policy change",
                         "http status: 401"})) {
    answer.outcome = Outcome::kReject;
    return answer;
  }
  const bool outbound = record[LogField::kDirection] == "outbound";
  const bool later = HoldsOneOf(error, {"connection failed", "io error", "os error", "drain",
                                        "deadline", "timed out", "reset", "closed", "broken pipe"});
  answer.outcome = !outbound && later ? Outcome::kAllow : Outcome::kUndetermined;
  return answer;
}

}  // namespace meshproof

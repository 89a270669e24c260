#pragma once

#include <memory>
#include <optional>
#include <string>

#include "simulate/log_request.h"

// From a ztunnel's log line back to the connection, and to the ztunnel that judges it.
namespace meshproof {

// What a ztunnel logged, as the ztunnel of the destination saw or would see it.
struct LoggedConnection {
  Case question;
  Connection connection;
  std::string peer;  // "spiffe://…"; "" = plaintext
  std::string source_ns, source_pod;
  bool outbound = false;  // logged by the caller's ztunnel
  std::string unusable;   // why nothing can be asked; "" = it can
};
LoggedConnection ReadLoggedConnection(const Mesh& mesh, const LogTarget& target,
                                      const LogRecord& record);

// The caller's workload, where the mesh has it; may be null.
const Workload* CallerOf(const Mesh& mesh, const LoggedConnection& logged);

// What the destination's ztunnel answers. `released`: that no ztunnel serves the destination is
// known, not missing from the input. An error: nothing can be said, and why.
Result<Verdict> AskZtunnelOf(const World& world, const Workload& destination,
                             const LoggedConnection& logged, bool released, Detail detail);

// The waypoint that calls of this kind go through in `mesh` before they come to the destination's
// ztunnel; null: none, or the line is of a connection that came out of one.
const Waypoint* WaypointBefore(const Mesh& mesh, const LoggedConnection& logged,
                               const LogTarget& target, const Workload& destination);
// Whether the peer is a waypoint of the mesh.
bool IsWaypointPeer(const Mesh& mesh, const std::string& peer);

// How a ztunnel's line says that its connection ended.
LoggedAnswer ReadConnectionAnswer(const LogRecord& record);

}  // namespace meshproof

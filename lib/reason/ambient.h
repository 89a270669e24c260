#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "proxy/config.h"
#include "proxy/ztunnel.h"
#include "simulate/case.h"

// What the questions over all requests need to know of ambient meshes.
namespace meshproof {

// A way to a port of a workload: through the waypoint of a Service, or (null) everything else. Only
// ambient callers of the Service's own address take the first.
struct Door {
  const MeshService* service = nullptr;
  const MeshServicePort* port = nullptr;
};

// The pod's own one is first. Of workloads without a waypoint before them it is the only one.
std::vector<Door> DoorsTo(const World& world, const Workload& workload, int port);
// The same Service's door in another mesh; a null Service where it has none there.
Door DoorOf(const World& world, const Workload& workload, int port, const MeshService& service);

// "through waypoint shop/wp (web.shop.svc.cluster.local:80)"; "" for the pod's own.
std::string DoorText(const World& world, const Door& door);

// A workload's ztunnel policies in the terms of Envoy's RBAC: one chain for HBONE, which asks for a
// certificate of the workload's trust domain, one for plaintext, both with the same filters and
// without HTTP. Kept for the life of this object. Thread-safe.
class ZtunnelProxies {
 public:
  const ProxyConfig& Of(const World& world, const Workload& workload) const;

 private:
  mutable std::mutex mutex_;
  mutable std::map<const Workload*, std::unique_ptr<const ProxyConfig>> known_;
};

// The ports that a workload's ztunnel policies name.
std::vector<int> ZtunnelPorts(const World& world, const Workload& workload);
// Those that ztunnel refuses before any policy.
bool IsZtunnelsOwnPort(int port);

// What a waypoint's connection for this Service meets at the pods behind it.
enum class BehindWaypoint { kLetsIn, kRefuses, kDepends };
BehindWaypoint AskBehind(const World& world, const Workload& waypoint, const Door& door);

}  // namespace meshproof

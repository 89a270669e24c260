#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "simulate/case.h"

namespace meshproof {

// The way from a case's caller to one workload: what the destination's proxy gets to see.
struct Approach {
  const Workload* caller = nullptr;  // null: outside
  const Workload* destination = nullptr;
  ProxyRequest request;
  std::string caller_text;   // "default/sleep (no sidecar)"
  std::string tls_text;      // why this connection is mTLS or plaintext
  std::string host;          // the authority of requests that state none
  bool sni_is_host = false;  // the client names the host that it asks for
  // The waypoint that the way passes first: `destination` is its proxy then, which forwards to the
  // pods behind the Service, or to `behind` where a pod is addressed.
  const Waypoint* waypoint = nullptr;
  const Workload* behind = nullptr;
  // The client presents a certificate that the input does not hold (DestinationRule MUTUAL).
  const DestinationRule* unknown_certificate = nullptr;
};

// Whether the proxy of `caller` sends HBONE to a workload that takes it, through a Service that it
// knows: ztunnels and waypoints to every one, sidecars and gateways to those that have no sidecar.
bool SendsHbone(const Mesh& mesh, const Workload& caller, const MeshService* service,
                const MeshServicePort* port, const Workload& destination);

// The waypoint that `caller` goes through to reach a Service, or (null) a pod.
const Waypoint* WaypointOnTheWay(const Mesh& mesh, const Workload& caller,
                                 const MeshService* service, const Workload* destination);

// The address of a Service as its callers use it.
Address AddressOf(const Mesh& mesh, const MeshService& service, World::Addresses addresses);

// The workload that a case addresses, or, where it addresses a Service, one for each workload
// behind it. An error: a name that is not in the input or a request that cannot be made.
Result<std::vector<Approach>> PlanApproaches(const Mesh& mesh, const Case& question,
                                             World::Addresses addresses);

// The same in two steps, for many requests that go one way: the connection, for which only the part
// of a case counts that `AppendWay` writes, and then what one case asks on it.
Result<std::vector<Approach>> PlanConnections(const Mesh& mesh, const Case& question,
                                              World::Addresses addresses);
void FillRequest(const Case& question, Approach* approach);
// Bytes that are the same where the ways are.
void AppendWay(const Case& question, std::string* key);

// What an Istio client offers as ALPN for a protocol (istio-semantics section 5).
std::vector<std::string> MeshAlpn(WireProtocol protocol);

// The address that a workload's packets carry: known from the input, one of the ranges that the
// settings state, or unknown.
Address AddressOf(const Mesh& mesh, const Workload& workload, World::Addresses addresses);

}  // namespace meshproof

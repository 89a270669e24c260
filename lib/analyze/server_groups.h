#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analyze/rule.h"

namespace meshproof {

// A host of a Gateway server, on one port of the proxies that take it.
struct ServerClaim {
  const Gateway* gateway = nullptr;
  const GatewayServer* server = nullptr;
  const Text* written = nullptr;
  std::string host;  // lower case, without its namespace
  std::string ns;    // which namespace's VirtualServices may use it; "*" = all
};

// The servers of one port of a gateway workload, in istiod's order (the oldest Gateway first). Of
// Gateways that select no workload of the input: those with the same selector.
struct ServerGroup {
  const Workload* workload = nullptr;
  int port = 0;  // that the proxy listens on; without a workload the server's
  std::vector<Mesh::BoundServer> servers;
  std::vector<ServerClaim> claims;
};

std::vector<ServerGroup> GroupServers(const Analysis& analysis);

// Pairs of claims that hold a common host, the narrower (or later) one first. Of several equal
// ones each is paired with the first. Linear in claims and pairs.
std::vector<std::pair<size_t, size_t>> OverlapsOf(const std::vector<ServerClaim>& claims);

// The object that stands behind a Gateway: a listener's is that of the Gateway API.
const ObjectMeta& ObjectOf(const Gateway& gateway);

// Plain HTTP, HTTPS, and whether a server ends TLS.
bool IsPlainHttp(const GatewayServer& server);
bool EndsTls(const GatewayServer& server);

// "server 1 of Gateway edge/public", "server 1" as seen from the same Gateway.
std::string SayServer(const Gateway& gateway, const GatewayServer& server, const Gateway* from);

}  // namespace meshproof

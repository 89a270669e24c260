#pragma once

#include <string>
#include <string_view>
#include <vector>

// Hosts of Gateway servers and VirtualServices: exact names and `*.suffix`, optionally behind a
// namespace (`ns/host`, `./host`, `*/host`).
namespace meshproof {

// The server's hosts with `./` and `*/` resolved: "host" or "ns/host".
std::vector<std::string> NormalizeServerHosts(const std::vector<std::string_view>& hosts,
                                              std::string_view gateway_namespace);
// Those that a VirtualService of `ns` may use, without their namespace.
std::vector<std::string> HostsForNamespace(const std::vector<std::string>& server_hosts,
                                           std::string_view ns);
// Without namespaces, each once: what the server answers to by SNI.
std::vector<std::string> SniHosts(const std::vector<std::string>& server_hosts);

bool IsHostSubset(std::string_view host, std::string_view of);
// One covers the other.
bool HostsMatch(std::string_view a, std::string_view b);
// The narrower of each pair that overlaps.
std::vector<std::string> IntersectHosts(const std::vector<std::string>& a,
                                        const std::vector<std::string>& b);

}  // namespace meshproof

#include "analyze/server_groups.h"

#include <map>
#include <set>
#include <unordered_set>

#include "analyze/gateway_listeners.h"
#include "base/text.h"
#include "mesh/hosts.h"

namespace meshproof {
namespace {

std::string SelectorKey(const Gateway& gateway, bool scoped) {
  std::set<std::string> pairs;
  for (const auto& [key, value] : gateway.selector) pairs.insert(key + "=" + value);
  std::string key = scoped ? gateway.meta.ns : "";
  for (const std::string& pair : pairs) key += "\n" + pair;
  return key;
}

void AddServer(const Mesh::BoundServer& bound, ServerGroup* group) {
  group->servers.push_back(bound);
  for (const Text& written : bound.server->hosts.values) {
    ServerClaim claim;
    claim.gateway = bound.gateway;
    claim.server = bound.server;
    claim.written = &written;
    std::string_view ns;
    claim.host = ToLower(HostOfServer(written.value, &ns));
    if (ns == "~") continue;  // nobody's
    claim.ns = ns.empty() ? "*" : ns == "." ? bound.gateway->meta.ns : std::string(ns);
    group->claims.push_back(std::move(claim));
  }
}

}  // namespace

std::vector<ServerGroup> GroupServers(const Analysis& analysis) {
  std::vector<ServerGroup> groups;
  std::unordered_set<const GatewayServer*> placed;
  for (const Workload& workload : analysis.mesh.workloads()) {
    if (workload.mode != ProxyMode::kGateway) continue;
    std::map<std::pair<int, std::string>, size_t> ports;
    for (const Mesh::BoundServer& bound : analysis.mesh.GatewayServersFor(workload)) {
      placed.insert(bound.server);
      auto [found, added] = ports.try_emplace(
          {bound.listen_port, std::string(bound.server->bind.value)}, groups.size());
      if (added) {
        groups.emplace_back();
        groups.back().workload = &workload;
        groups.back().port = bound.listen_port;
      }
      AddServer(bound, &groups[found->second]);
    }
  }
  const bool scoped = analysis.mesh.FeatureEnabled("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", false);
  std::map<std::string, size_t> unplaced;
  for (const Gateway& gateway : analysis.model.gateways) {
    for (const GatewayServer& server : gateway.servers) {
      if (placed.contains(&server)) continue;
      const std::string key = SelectorKey(gateway, scoped) + "\n" + std::to_string(server.port) +
                              "\n" + std::string(server.bind.value);
      auto [found, added] = unplaced.try_emplace(key, groups.size());
      if (added) {
        groups.emplace_back();
        groups.back().port = server.port;
      }
      AddServer({&gateway, &server, server.port}, &groups[found->second]);
    }
  }
  return groups;
}

std::vector<std::pair<size_t, size_t>> OverlapsOf(const std::vector<ServerClaim>& claims) {
  std::map<std::string, size_t> first;  // by host
  for (size_t i = 0; i < claims.size(); ++i) first.emplace(claims[i].host, i);
  std::vector<std::pair<size_t, size_t>> pairs;
  for (size_t i = 0; i < claims.size(); ++i) {
    VisitCoveringHosts(claims[i].host, [&](const std::string& pattern) {
      auto found = first.find(pattern);
      if (found != first.end() && found->second != i) pairs.emplace_back(i, found->second);
      return false;
    });
  }
  return pairs;
}

const ObjectMeta& ObjectOf(const Gateway& gateway) {
  return gateway.made_from != nullptr ? gateway.made_from->meta : gateway.meta;
}

bool IsPlainHttp(const GatewayServer& server) {
  const std::string name = ToLower(server.protocol.value);
  for (const std::string_view http : {"http", "http2", "http_proxy", "grpc", "grpc-web"}) {
    if (name == http) return true;
  }
  return false;
}

bool EndsTls(const GatewayServer& server) {
  return server.tls && !IsPlainHttp(server) &&
         server.tls->mode != TlsSettings::Mode::kPassthrough &&
         server.tls->mode != TlsSettings::Mode::kAutoPassthrough;
}

std::string SayServer(const Gateway& gateway, const GatewayServer& server, const Gateway* from) {
  const ObjectMeta& object = ObjectOf(gateway);
  std::string text;
  if (gateway.made_from != nullptr) {
    for (const K8sListener& listener : gateway.made_from->listeners) {
      if (listener.span.begin == server.span.begin) {
        text = "listener `" + std::string(listener.name.value) + "`";
      }
    }
    if (text.empty()) text = "a listener";
  } else {
    text = "server " + std::to_string(&server - gateway.servers.data());
  }
  if (from == nullptr || &ObjectOf(*from) != &object) {
    text += " of Gateway " + object.ns + "/" + std::string(object.name);
  }
  return text;
}

}  // namespace meshproof

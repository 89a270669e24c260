#include "analyze/route_parents.h"

#include <algorithm>

#include "analyze/names.h"
#include "base/text.h"
#include "proxy/gateway_hosts.h"

namespace meshproof {
namespace {

bool TakesNamespace(const Mesh& mesh, const K8sListener& listener, const K8sGateway& gateway,
                    const std::string& ns) {
  const AllowedRoutes& rules = listener.allowed_routes;
  switch (rules.from) {
    case AllowedRoutes::From::kAll:
      return true;
    case AllowedRoutes::From::kNone:
      return false;
    case AllowedRoutes::From::kSame:
      return gateway.meta.ns == ns;
    case AllowedRoutes::From::kSelector: {
      const Namespace* object = mesh.FindNamespace(ns);
      if (rules.opaque || object == nullptr) return true;
      Labels labels = object->meta.labels;
      // Kubernetes itself sets this one.
      labels.emplace_back("kubernetes.io/metadata.name", ns);
      return Selects(rules.selector, labels);
    }
  }
  return true;
}

bool TakesKind(const K8sListener& listener, K8sRoute::Kind kind) {
  const std::string_view protocol = listener.protocol.value;
  switch (kind) {
    case K8sRoute::Kind::kHttp:
    case K8sRoute::Kind::kGrpc:
      return protocol == "HTTP" || protocol == "HTTPS";
    case K8sRoute::Kind::kTls:
      return protocol == "TLS";
    case K8sRoute::Kind::kTcp:
      return protocol == "TCP" || protocol == "TLS";
  }
  return true;
}

bool TakesHosts(const K8sListener& listener, const TextList& hostnames) {
  if (hostnames.empty() || listener.hostname.value.empty()) return true;
  std::vector<std::string> wanted;
  for (const Text& host : hostnames.values) wanted.push_back(ToLower(host.value));
  return !IntersectHosts({ToLower(listener.hostname.value)}, wanted).empty();
}

}  // namespace

std::optional<RefusedRoute> WhyNotAttached(const Mesh& mesh, const K8sRoute& route,
                                           const K8sParentRef& parent, const K8sGateway& gateway) {
  std::vector<const K8sListener*> listeners;
  for (const K8sListener& listener : gateway.listeners) {
    if (!parent.section.value.empty() && listener.name.value != parent.section.value) continue;
    listeners.push_back(&listener);
  }
  if (listeners.empty()) return std::nullopt;
  // What the next test leaves of the listeners; a reason where that is nothing.
  const auto keep = [&](const auto& test) {
    std::vector<const K8sListener*> kept;
    std::copy_if(listeners.begin(), listeners.end(), std::back_inserter(kept),
                 [&](const K8sListener* listener) { return test(*listener); });
    listeners = std::move(kept);
    return !listeners.empty();
  };
  const std::string name = "Gateway " + gateway.meta.ns + "/" + std::string(gateway.meta.name);
  std::vector<std::string> seen;
  for (const K8sListener* listener : listeners) seen.push_back(std::to_string(listener->port));
  if (parent.port != 0 &&
      !keep([&](const K8sListener& listener) { return listener.port == parent.port; })) {
    return RefusedRoute{name + " has no listener on port " + std::to_string(parent.port) +
                            " (it has " + ListNames(seen) + ")",
                        "name a port that it has"};
  }
  seen.clear();
  for (const K8sListener* listener : listeners) seen.emplace_back(listener->protocol.value);
  if (!keep([&](const K8sListener& listener) { return TakesKind(listener, route.kind); })) {
    return RefusedRoute{"no listener of " + name + " takes a " + std::string(route.meta.kind) +
                            " (they speak " + ListNames(seen) + ")",
                        "add a listener of its protocol"};
  }
  if (!keep([&](const K8sListener& listener) {
        return TakesNamespace(mesh, listener, gateway, route.meta.ns);
      })) {
    return RefusedRoute{"no listener of " + name + " takes routes of namespace " + route.meta.ns,
                        "let its `allowedRoutes` take this namespace, which by default are those "
                        "of the Gateway's own"};
  }
  seen.clear();
  for (const K8sListener* listener : listeners) seen.emplace_back(listener->hostname.value);
  if (!keep([&](const K8sListener& listener) { return TakesHosts(listener, route.hostnames); })) {
    return RefusedRoute{"no listener of " + name + " serves a hostname of the route (they serve " +
                            ListNames(seen) + ")",
                        "name a host that it serves"};
  }
  return std::nullopt;
}

}  // namespace meshproof

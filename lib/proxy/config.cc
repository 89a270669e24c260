#include "proxy/config.h"

#include <algorithm>

namespace meshproof {
namespace {

bool Contains(const std::vector<uint32_t>& ports, uint32_t port) {
  return std::find(ports.begin(), ports.end(), port) != ports.end();
}

}  // namespace

bool Listener::InspectsTls(uint32_t destination_port) const {
  if (!tls_inspector) return false;
  if (!tls_inspector_only.empty()) return Contains(tls_inspector_only, destination_port);
  return !Contains(tls_inspector_disabled, destination_port);
}

bool Listener::InspectsHttp(uint32_t destination_port) const {
  return http_inspector && !Contains(http_inspector_disabled, destination_port);
}

const RouteConfiguration* ProxyConfig::FindRoutes(std::string_view name) const {
  for (const auto& configuration : routes) {
    if (configuration->name == name) return configuration.get();
  }
  return nullptr;
}

}  // namespace meshproof

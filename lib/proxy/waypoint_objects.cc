#include "proxy/waypoint_objects.h"

#include "base/text.h"

namespace meshproof {
namespace {

// "web.shop.svc.cluster.local" is Service web of shop; another host is one of the waypoint's own
// namespace, as far as its dump says.
MadeService ServiceOf(const DumpedWaypoint& waypoint, const DumpedWaypoint::Service& vip) {
  MadeService service;
  service.host = vip.host;
  const std::vector<std::string_view> parts = Split(vip.host, '.');
  if (parts.size() > 3 && parts[2] == "svc") {
    service.name = std::string(parts[0]);
    service.ns = std::string(parts[1]);
  } else {
    service.name = vip.host;
    service.ns = waypoint.ns;
  }
  service.addresses = vip.addresses;
  for (const int port : vip.ports) service.ports.emplace_back(port, port);
  service.labels = Json::MakeObject({{"istio.io/use-waypoint", waypoint.gateway},
                                     {"istio.io/use-waypoint-namespace", waypoint.ns}});
  service.selector = Json::MakeObject({{"meshproof.dump/behind", waypoint.gateway}});
  return service;
}

}  // namespace

std::string ObjectsOfWaypoints(const std::vector<DumpedWaypoint>& waypoints,
                               const KnownObjects& known) {
  std::string text;
  std::set<std::string> made;
  for (const DumpedWaypoint& waypoint : waypoints) {
    if (waypoint.ns.empty() || waypoint.gateway.empty()) continue;
    if (!known.HasGateway(waypoint.ns, waypoint.gateway) &&
        made.insert(waypoint.ns + "/" + waypoint.gateway).second) {
      text += WriteJson(MadeWaypoint(waypoint.ns, waypoint.gateway)) + "\n";
    }
    for (const DumpedWaypoint::Service& vip : waypoint.services) {
      MadeService service = ServiceOf(waypoint, vip);
      if (known.HasService(service.ns, service.name, service.host)) continue;
      if (!made.insert(service.host).second) continue;
      text += WriteJson(MadeServiceObject(std::move(service))) + "\n";
    }
  }
  return text;
}

}  // namespace meshproof

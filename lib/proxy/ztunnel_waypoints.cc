#include "proxy/ztunnel_waypoints.h"

#include <map>

#include "mesh/made_file.h"
#include "mesh/workload_name.h"

namespace meshproof {
namespace {

class WaypointComparer {
 public:
  WaypointComparer(const Mesh& mesh, const ZtunnelDump& dump) : mesh_(mesh), dump_(dump) {
    for (const DumpedService& service : dump.services) {
      const std::string name = service.ns + "/" + service.name;
      destinations_.emplace(service.ns + "/" + service.host, name);
      for (const IpAddress& vip : service.vips) destinations_.emplace(ToString(vip), name);
    }
  }

  std::vector<WaypointDifference> Compare() {
    for (const DumpedService& dumped : dump_.services) {
      const MeshService* service = mesh_.FindService(dumped.host);
      if (service == nullptr || service->object == nullptr || IsMade(*service->object)) continue;
      const WaypointChoice choice = mesh_.WaypointFor(*service);
      Add("Service " + dumped.ns + "/" + dumped.name, dumped.waypoint, choice, service->object,
          dumped.span);
    }
    for (const DumpedWorkload& dumped : dump_.workloads) {
      const Workload* workload = mesh_.FindWorkload(dumped.ns, dumped.workload);
      if (workload == nullptr) workload = mesh_.FindWorkload(dumped.ns, dumped.name);
      if (workload == nullptr || workload->object == nullptr || IsMade(*workload->object)) continue;
      if (dumped.has_waypoint && dumped.waypoint.empty()) continue;
      Add("pod " + dumped.ns + "/" + dumped.name, dumped.waypoint, mesh_.WaypointFor(*workload),
          workload->object, dumped.span);
    }
    return std::move(out_);
  }

 private:
  void Add(std::string what, const std::string& destination, const WaypointChoice& choice,
           const ObjectMeta* object, Span span) {
    std::string dumped;
    if (!destination.empty()) {
      auto found = destinations_.find(destination);
      if (found == destinations_.end()) return;
      dumped = found->second;
    }
    std::string manifests;
    if (choice.waypoint != nullptr) {
      manifests = NameOf(*choice.waypoint);
    } else if (choice.asked_for && !dumped.empty()) {
      return;  // the manifests ask for one whose Gateway they do not hold
    }
    if (dumped == manifests) return;
    out_.push_back({std::move(what), std::move(dumped), std::move(manifests), object, span});
  }

  const Mesh& mesh_;
  const ZtunnelDump& dump_;
  std::map<std::string, std::string> destinations_;  // "ns/name" by "ns/host" and by address
  std::vector<WaypointDifference> out_;
};

}  // namespace

std::vector<WaypointDifference> CompareWaypoints(const Mesh& mesh, const ZtunnelDump& dump) {
  return WaypointComparer(mesh, dump).Compare();
}

}  // namespace meshproof

#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "mesh/mesh.h"
#include "proxy/ztunnel.h"
#include "report/style.h"

// What ambient mode adds to the description of a workload.
namespace meshproof {

struct AmbientDescription {
  struct Way {
    const MeshService* service = nullptr;  // null: the pod's own address
    WaypointChoice waypoint;
  };
  std::vector<Way> ways;

  struct Enforced {
    std::string_view stage;  // mtls, deny, allow
    const ZtunnelPolicy* policy = nullptr;
    std::vector<std::string> effects;  // in words; empty: as written
  };
  std::vector<Enforced> ztunnel;  // in the order in which ztunnel evaluates them

  struct NotSent {
    const AuthorizationPolicy* policy = nullptr;
    std::string reason;
  };
  std::vector<NotSent> not_sent;  // that select this workload

  struct AtWaypoint {
    const Waypoint* waypoint = nullptr;
    const MeshService* service = nullptr;
    std::string_view stage;
    const AuthorizationPolicy* policy = nullptr;
    const RequestAuthentication* authentication = nullptr;
  };
  std::vector<AtWaypoint> waypoint;

  std::vector<std::string> bypasses;  // how callers get past a waypoint
};

// `config` has to live as long as the description.
AmbientDescription DescribeAmbient(const ZtunnelConfig& config, const Workload& workload);

// What became of a policy on its way to ztunnel, one sentence for each thing that is not as
// written.
std::vector<std::string> ZtunnelEffects(const ZtunnelPolicy& policy);

Json AmbientJson(const AmbientDescription& description);
std::string AmbientText(const AmbientDescription& description, const Style& style);

}  // namespace meshproof

#pragma once

#include <set>
#include <string>
#include <string_view>

#include "mesh/mesh.h"
#include "model/model.h"

namespace meshproof {

// What injection looks at. istio-semantics section 5, "Injection" and "Ambient capture".
struct PodFacts {
  std::string_view ns;
  const Labels* namespace_labels = nullptr;  // null where the Namespace is not in the input
  const Labels* labels = nullptr;
  const Labels* annotations = nullptr;
  bool host_network = false;
};

// Which values of `istio.io/rev` lead to a control plane of this mesh. Tags are nowhere in the
// input. Without an istiod every value counts; with istiods that all have no revision only
// `default` does; with named revisions an unknown value is taken for a tag.
class Revisions {
 public:
  static Revisions Of(const Model& model);
  void Add(std::string_view revision);  // of an istiod, "" = default
  bool Accepts(std::string_view revision, std::string* reason) const;

 private:
  std::set<std::string, std::less<>> known_;
};

// True for the Deployment (or pod) of istiod itself.
bool IsIstiod(const PodWorkload& pod);

struct Injection {
  bool injected = false;
  std::string reason;  // one clause
};

Injection DecideInjection(const PodFacts& pod, const Revisions& revisions);
Injection DecideAmbientCapture(const PodFacts& pod);

// Names "ns/name" of the Gateway API's Gateways that are waypoints.
std::set<std::string> WaypointGateways(const Model& model);

struct ProxyDecision {
  ProxyMode mode = ProxyMode::kNone;
  std::string reason;
};

// Also knows pods that carry their proxy already: it counts whatever the labels say.
ProxyDecision DecideProxy(const PodFacts& facts, const PodWorkload& pod, const Revisions& revisions,
                          const std::set<std::string>& waypoint_gateways);

}  // namespace meshproof

#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "proxy/dump.h"
#include "proxy/made_objects.h"

namespace meshproof {

// Whether a ztunnel takes the workload's traffic. Of those that speak HBONE themselves
// (nativeTunnel) it does where it says so, or where all do: the first istiods with ambient wrote
// that of every captured pod.
bool IsCaptured(const ZtunnelDump& dump, const DumpedWorkload& workload);
// Whether that last reason is the one that counts for the dump.
bool SaysNativeOfAll(const ZtunnelDump& dump);

// The objects that stand for what the dumps of ztunnels say of a mesh: pods, Services, Gateways of
// waypoints, the trust domain. What manifests name is left out, but for the pods of their
// controllers, which a dump knows better. `dumped`: workloads ("ns/name") whose own proxies' dumps
// are there. One JSON document a line; the dumps have to outlive this.
class ZtunnelObjects {
 public:
  ZtunnelObjects(const std::vector<ZtunnelDump>& dumps, const KnownObjects& known);

  std::string Text(const std::set<std::string>& dumped) const;
  // Adds the Services and Gateways.
  void AddTo(KnownObjects* known) const;
  // The labels by which the Services select a workload or one of its pods.
  Labels LabelsOf(const std::string& ns, const std::string& workload) const;

 private:
  struct Served {
    const DumpedService* service = nullptr;
    std::string label;  // "" where it selects the pods of a waypoint's Gateway
  };
  using Name = std::pair<std::string, std::string>;  // namespace, name

  void AddWaypoint(const std::string& destination);
  void AddService(const DumpedService& service);
  const DumpedService* FindDestination(const std::string& destination) const;
  void SetWaypoint(const std::string& destination, Json* labels) const;
  Json ServiceJson(const Served& served) const;
  std::string Pods(const ZtunnelDump& dump, const std::set<std::string>& dumped) const;
  Json PodJson(const DumpedWorkload& workload, bool captured, bool owned) const;
  Json NamedPorts(const DumpedWorkload& workload) const;

  const std::vector<ZtunnelDump>& dumps_;
  const KnownObjects& known_;
  std::map<std::string, const DumpedService*> destinations_;  // by "ns/host" and by address
  std::vector<Served> services_;
  std::set<Name> waypoints_;
  std::map<std::string, Labels> labels_;                                   // of pods, by uid
  std::map<std::string, std::vector<std::pair<std::string, int>>> ports_;  // likewise
};

}  // namespace meshproof

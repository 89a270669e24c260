#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "analyze/rule.h"

namespace meshproof {

// Which authorities (Host headers) clients send to the workloads of the mesh: the names of their
// Services with the ports that have to be written, the hosts of the routes that lead to them, those
// of the servers of gateways. Lower case; port 80 need not be written.
class Authorities {
 public:
  explicit Authorities(const Analysis& analysis);

  // Whether one of these workloads can get an authority that the value of a `hosts` field matches.
  // `value` in lower case.
  bool CanGet(std::string_view value, const std::unordered_set<const Workload*>& workloads) const;
  // The same of the proxies and clients of one Service.
  bool CanGet(std::string_view value, const MeshService& service) const;

  // Whether anything is known of how this workload is called: it has a Service, or is a gateway.
  bool Knows(const Workload& workload) const { return known_.contains(&workload); }
  // Names that one would write for it, the Service's full name (with its port where that has to be
  // sent) first.
  std::vector<std::string> Meant(const Workload& workload) const;
  std::vector<std::string> Meant(const MeshService& service) const;
  // Whether routes from outside to these workloads are in the input at all.
  bool HasRoutesFromOutside(const std::unordered_set<const Workload*>& workloads) const;

 private:
  struct Pattern {  // `*`, `*.example.com`, `name:*` (any port)
    std::string text;
    const Workload* workload = nullptr;
    const MeshService* service = nullptr;
  };
  void AddService(const MeshService& service);
  void AddRoutes(const VirtualService& service, const std::vector<std::string>& more_hosts);
  void AddRouteHost(const std::string& host, const MeshService& target);
  void AddGateways();
  void Add(std::string authority, const Workload* workload, const MeshService* service);
  void AddForAll(const std::string& authority, const MeshService& service);
  template <typename Wanted>
  bool Any(std::string_view value, const Wanted& wanted) const;

  const Analysis& analysis_;
  struct Use {
    const Workload* workload;
    const MeshService* service;
  };
  std::multimap<std::string, Use> exact_, reversed_;
  std::vector<Pattern> patterns_;
  std::unordered_set<const Workload*> known_, from_outside_;
  std::unordered_map<const Workload*, std::vector<const MeshService*>> services_;
  std::unordered_map<const Workload*, std::vector<std::string>> gateway_hosts_;
};

}  // namespace meshproof

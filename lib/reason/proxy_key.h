#pragma once

#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "proxy/config.h"
#include "reason/region.h"
#include "simulate/case.h"

namespace meshproof {

// Names what decides about requests to one port of a sidecar: two ports with the same name have the
// same answers to every question. Rules are named by where the compiler keeps them (it shares those
// of one policy over all workloads), so names mean nothing outside one World. Thread-safe.
class ProxyKeys {
 public:
  // "" where there is no such name (gateways, proxies that cannot be seen through).
  std::string Of(const World& world, const Workload& workload, int port);
  // A short name instead, which is remembered. To be asked of one World's workloads only.
  std::string ShortOf(const World& world, const Workload& workload, int port);

 private:
  struct Uses {
    bool port = false, destination = false;
  };
  Uses UsesOf(const RbacPolicy& policy);
  void AddFilters(const std::vector<NetworkFilter>& filters, bool* complete, Uses* used,
                  std::string* key);

  std::mutex mutex_;
  std::unordered_map<const RbacPolicy*, Uses> uses_;
  std::mutex short_mutex_;
  std::unordered_map<std::string, size_t> numbers_;
  std::unordered_map<const Workload*, std::map<int, std::string>> short_;  // by port
};

// Equal for equal regions.
std::string RegionKey(const Region& region);

}  // namespace meshproof

#include "proxy/compile.h"

#include <functional>
#include <map>
#include <mutex>

#include "base/check.h"
#include "proxy/clusters.h"
#include "proxy/filter_builder.h"
#include "proxy/gateway.h"
#include "proxy/inbound.h"
#include "proxy/load_check.h"
#include "proxy/waypoint.h"

namespace meshproof {

struct Compiler::Impl {
  explicit Impl(std::shared_ptr<const Mesh> owned) : mesh(std::move(owned)), filters(*mesh) {}

  std::shared_ptr<const ProxyConfig> Build(const Workload& workload) const {
    auto proxy = std::make_shared<ProxyConfig>();
    proxy->ns = workload.ns;
    proxy->workload = workload.name;
    proxy->mode = workload.mode;
    proxy->principal = workload.identity;
    proxy->trust_domain = mesh->config().trust_domain;
    if (workload.mode == ProxyMode::kSidecar) {
      proxy->listeners.push_back(BuildVirtualInbound(*mesh, workload, filters));
      if (mesh->TakesHbone(workload)) {
        proxy->listeners.push_back(BuildTunnelInbound(*mesh, workload, filters));
      }
    } else if (workload.mode == ProxyMode::kWaypoint) {
      proxy->listeners.push_back(BuildWaypoint(*mesh, workload, filters));
    } else {
      BuildGateway(*mesh, workload, filters, proxy.get());
    }
    ListClusters(*mesh, workload, proxy.get());
    proxy->unmodelled = mesh->UnmodelledFor(workload);
    proxy->load_failures = FindLoadFailures(*proxy);
    return proxy;
  }

  // Only the mesh's own workloads are remembered: others may be gone before the compiler is.
  bool IsOwn(const Workload& workload) const {
    const std::vector<Workload>& own = mesh->workloads();
    return !own.empty() && !std::less<>()(&workload, &own.front()) &&
           !std::less<>()(&own.back(), &workload);
  }

  const std::shared_ptr<const Mesh> mesh;
  const FilterBuilder filters;
  std::mutex mutex;
  std::map<const Workload*, std::shared_ptr<const ProxyConfig>> compiled;
};

Compiler::Compiler(std::shared_ptr<const Mesh> mesh)
    : impl_(std::make_unique<Impl>(std::move(mesh))) {}

Compiler::~Compiler() = default;

std::shared_ptr<const ProxyConfig> Compiler::Compile(const Workload& workload) const {
  MESHPROOF_CHECK(workload.mode != ProxyMode::kNone && workload.mode != ProxyMode::kAmbient);
  {
    const std::lock_guard lock(impl_->mutex);
    if (const auto found = impl_->compiled.find(&workload); found != impl_->compiled.end()) {
      return found->second;
    }
  }
  std::shared_ptr<const ProxyConfig> proxy = impl_->Build(workload);
  if (!impl_->IsOwn(workload)) return proxy;
  const std::lock_guard lock(impl_->mutex);
  return impl_->compiled.emplace(&workload, std::move(proxy)).first->second;
}

const Mesh& Compiler::mesh() const {
  return *impl_->mesh;
}

}  // namespace meshproof

// Which ports there are to ask about, and what is remembered of the answers.

#include "reason/reason.h"

#include <algorithm>
#include <set>

#include "reason/ambient.h"
#include "reason/reasoner_impl.h"

namespace meshproof {

Reasoner::Reasoner(const World& world, const Budget& budget)
    : impl_(std::make_unique<Impl>(world, budget)) {}
Reasoner::~Reasoner() = default;

const World& Reasoner::world() const {
  return impl_->world;
}

size_t Reasoner::unconfirmed() const {
  return impl_->unconfirmed;
}

namespace {

void CollectPorts(const Predicate& predicate, std::set<int>* ports) {
  const auto& match = predicate.match;
  if (const auto* port = std::get_if<PortPredicate>(&match)) {
    if (port->end == port->begin + 1) ports->insert(static_cast<int>(port->begin));
    return;
  }
  const std::vector<Predicate>* children = nullptr;
  if (const auto* all = std::get_if<AndPredicate>(&match)) children = &all->all;
  if (const auto* any = std::get_if<OrPredicate>(&match)) children = &any->any;
  if (const auto* negated = std::get_if<NotPredicate>(&match)) children = &negated->inner;
  if (children == nullptr) return;
  for (const Predicate& child : *children) CollectPorts(child, ports);
}

void CollectPorts(const RbacFilter& filter, std::set<int>* ports) {
  for (const auto* rules : {&filter.rules, &filter.shadow_rules}) {
    if (!*rules) continue;
    for (const auto& policy : (*rules)->policies) {
      for (const Predicate& one : policy->permissions) CollectPorts(one, ports);
    }
  }
}

void CollectPorts(const FilterChain& chain, std::set<int>* ports) {
  for (const NetworkFilter& filter : *chain.filters) {
    if (const auto* rbac = std::get_if<RbacFilter>(&filter)) CollectPorts(*rbac, ports);
    const auto* http = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
    if (http == nullptr) continue;
    for (const HttpFilter& each : (*http)->http_filters) {
      if (const auto* rbac = std::get_if<RbacFilter>(&each)) CollectPorts(*rbac, ports);
    }
  }
}

constexpr int kInboundPort = 15006;

std::set<int> NamedPorts(const World& world, const Workload& workload) {
  std::set<int> ports;
  for (const InboundPort& port : world.mesh().InboundPorts(workload)) ports.insert(port.port);
  if (workload.mode == ProxyMode::kWaypoint) return {};  // its policies guard what is behind it
  if (workload.mode == ProxyMode::kAmbient) {
    for (const int port : ZtunnelPorts(world, workload)) ports.insert(port);
    return ports;
  }
  if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kGateway) return ports;
  const ProxyConfig& proxy = world.Proxy(workload).proxy();
  const FilterChain* last = nullptr;
  for (const Listener& listener : proxy.listeners) {
    if (workload.mode == ProxyMode::kGateway) {
      ports.insert(static_cast<int>(listener.port));
      continue;
    }
    for (const FilterChain& chain : listener.filter_chains) {
      int port = static_cast<int>(chain.match.destination_port);
      if (port != 0 && port != kInboundPort) ports.insert(port);
      // Chains of all ports hold the same rules.
      if (last == nullptr || chain.filters->size() > last->filters->size()) last = &chain;
      if (chain.match.destination_port == 0) CollectPorts(chain, &ports);
    }
  }
  ports.erase(0);
  return ports;
}

}  // namespace

int Reasoner::OtherPort(const Workload& workload) const {
  if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kAmbient) return 0;
  std::set<int> named = NamedPorts(impl_->world, workload);
  int port = 9999;
  while (named.count(port) != 0) --port;
  return port;
}

std::vector<int> Reasoner::Ports(const Workload& workload) const {
  std::set<int> named = NamedPorts(impl_->world, workload);
  std::vector<int> ports(named.begin(), named.end());
  if (int other = OtherPort(workload); other != 0) ports.push_back(other);
  return ports;
}

namespace {

// Of the requests of a region those that come through a door: only connections with a certificate
// pass a waypoint.
Region Through(const Door& door, const Region& region) {
  if (door.service == nullptr) return region;
  return Region::And({region, Region::Is(Region::Field::kMutualTls)});
}

}  // namespace

Answer Reasoner::FindAnew(const Workload& workload, int port, const Region& region,
                          Wanted wanted) const {
  Answer answer;
  answer.kind = Answer::Kind::kEmpty;
  for (const Door& door : DoorsTo(impl_->world, workload, port)) {
    Answer here = impl_->FindAt(impl_->SideOf(workload, port, door), Through(door, region), wanted);
    if (here.found()) return here;
    if (!here.empty() && answer.empty()) answer = std::move(here);
  }
  return answer;
}

std::vector<RuleStatus> Reasoner::RuleStatusesAnew(const Workload& workload, int port) const {
  // A rule that several doors have is as good as at the door where it does most.
  const auto rank = [](const RuleStatus& status) {
    using Kind = RuleStatus::Kind;
    switch (status.kind) {
      case Kind::kLive:
        return 4;
      case Kind::kUndetermined:
        return 3;
      case Kind::kCovered:
        return 2;
      case Kind::kDenied:
        return 1;
      case Kind::kUnreachable:
        return 0;
    }
    return 0;
  };
  std::vector<RuleStatus> statuses;
  for (const Door& door : DoorsTo(impl_->world, workload, port)) {
    for (RuleStatus& status : impl_->StatusesAt(impl_->SideOf(workload, port, door))) {
      auto known = std::find_if(statuses.begin(), statuses.end(), [&](const RuleStatus& other) {
        return other.policy->origin.object == status.policy->origin.object &&
               other.policy->origin.rule == status.policy->origin.rule &&
               other.action == status.action && other.custom == status.custom;
      });
      if (door.service == nullptr || known == statuses.end()) {
        statuses.push_back(std::move(status));
      } else if (rank(status) > rank(*known)) {
        *known = std::move(status);
      }
    }
  }
  return statuses;
}

Exposure Reasoner::ExposureAnew(const Workload& workload, int port, const Region& within) const {
  const std::vector<Door> doors = DoorsTo(impl_->world, workload, port);
  Exposure exposure = impl_->ExposureAt(impl_->SideOf(workload, port, doors.front()), within);
  for (size_t i = 1; i < doors.size(); ++i) {
    Exposure more =
        impl_->ExposureAt(impl_->SideOf(workload, port, doors[i]), Through(doors[i], within));
    exposure.http = exposure.http || more.http;
    exposure.complete = exposure.complete && more.complete;
    if (exposure.reason.empty()) exposure.reason = std::move(more.reason);
    for (ExposureRow& row : more.rows) {
      row.conditions.push_back(DoorText(impl_->world, doors[i]));
      exposure.rows.push_back(std::move(row));
    }
  }
  return exposure;
}

Answer Reasoner::Find(const Workload& workload, int port, const Region& region,
                      Wanted wanted) const {
  std::string key = impl_->keys.ShortOf(impl_->world, workload, port);
  if (key.empty()) return FindAnew(workload, port, region, wanted);
  key += RegionKey(region) + std::to_string(static_cast<int>(wanted));
  bool made = false;
  Answer answer = *impl_->known_answers.Get(
      key, [&] { return FindAnew(workload, port, region, wanted); }, &made);
  if (made || impl_->Readdress(workload, port, &answer.example)) return answer;
  return FindAnew(workload, port, region, wanted);
}

std::vector<RuleStatus> Reasoner::RuleStatuses(const Workload& workload, int port,
                                               WithExamples examples) const {
  std::string key = impl_->keys.ShortOf(impl_->world, workload, port);
  bool made = key.empty();
  auto anew = [&] { return RuleStatusesAnew(workload, port); };
  std::vector<RuleStatus> statuses = made ? anew() : *impl_->known_statuses.Get(key, anew, &made);
  if (examples == WithExamples::kNo) {
    for (RuleStatus& status : statuses) status.example.reset();
    return statuses;
  }
  if (made) return statuses;
  for (RuleStatus& status : statuses) {
    if (!impl_->Readdress(workload, port, &status.example)) return anew();
  }
  return statuses;
}

Exposure Reasoner::ExposureOf(const Workload& workload, int port, const Region& within,
                              WithExamples examples) const {
  std::string key = impl_->keys.ShortOf(impl_->world, workload, port);
  bool made = key.empty();
  auto anew = [&] { return ExposureAnew(workload, port, within); };
  Exposure exposure =
      made ? anew() : *impl_->known_exposures.Get(key + RegionKey(within), anew, &made);
  exposure.port = port;
  if (examples == WithExamples::kNo) {
    for (ExposureRow& row : exposure.rows) row.example.reset();
    return exposure;
  }
  if (made) return exposure;
  for (ExposureRow& row : exposure.rows) {
    if (row.example == nullptr) continue;
    std::optional<Example> own = *row.example;
    if (!impl_->Readdress(workload, port, &own)) return anew();
    row.example = std::make_shared<const Example>(*std::move(own));
  }
  return exposure;
}

Comparison Reasoner::Impl::CompareAnew(const Impl& before, const Workload& old_workload,
                                       const Impl& after, const Workload& new_workload, int port,
                                       size_t limit) {
  const World& old_world = before.world;
  const World& new_world = after.world;
  const auto compare = [&](const Door& old_door, const Door& new_door) {
    return Impl::CompareAt(before, before.SideOf(old_workload, port, old_door), after,
                           after.SideOf(new_workload, port, new_door), limit);
  };
  Comparison comparison = compare({}, {});
  // By a Service that has a waypoint on either side.
  std::set<std::string> hosts;
  for (const Door& door : DoorsTo(old_world, old_workload, port)) {
    if (door.service != nullptr) hosts.insert(door.service->host);
  }
  for (const Door& door : DoorsTo(new_world, new_workload, port)) {
    if (door.service != nullptr) hosts.insert(door.service->host);
  }
  for (const std::string& host : hosts) {
    const MeshService* old_service = old_world.mesh().FindService(host);
    const MeshService* new_service = new_world.mesh().FindService(host);
    if (old_service == nullptr || new_service == nullptr) continue;
    const Door old_door = DoorOf(old_world, old_workload, port, *old_service);
    const Door new_door = DoorOf(new_world, new_workload, port, *new_service);
    if (old_door.service == nullptr || new_door.service == nullptr) continue;
    Comparison more = compare(old_door, new_door);
    if (!more.complete && comparison.complete) {
      comparison.complete = false;
      comparison.reason = std::move(more.reason);
    }
    const auto join = [&](std::vector<Difference>* to, std::vector<Difference>* from) {
      for (Difference& difference : *from) {
        if (to->size() >= limit) break;
        difference.region += ", " + DoorText(new_world, new_door);
        to->push_back(std::move(difference));
      }
    };
    join(&comparison.newly_allowed, &more.newly_allowed);
    join(&comparison.newly_refused, &more.newly_refused);
  }
  return comparison;
}

Comparison Reasoner::Compare(const Reasoner& before, const Workload& old_workload,
                             const Reasoner& after, const Workload& new_workload, int port,
                             size_t limit) {
  const Impl& old_impl = *before.impl_;
  const Impl& new_impl = *after.impl_;
  auto anew = [&] {
    return Impl::CompareAnew(old_impl, old_workload, new_impl, new_workload, port, limit);
  };
  std::string old_key = old_impl.keys.ShortOf(old_impl.world, old_workload, port);
  std::string new_key = new_impl.keys.ShortOf(new_impl.world, new_workload, port);
  if (old_key.empty() || new_key.empty()) return anew();
  std::string key =
      std::to_string(old_impl.number) + "|" + std::to_string(limit) + "|" + old_key + "|" + new_key;
  bool made = false;
  Comparison comparison = *new_impl.known_comparisons.Get(key, anew, &made);
  if (made) return comparison;
  auto readdress = [&](const Impl& impl, const Workload& workload, Example* example) {
    std::optional<Example> moved = std::move(*example);
    if (!impl.Readdress(workload, port, &moved)) return false;
    *example = *std::move(moved);
    return true;
  };
  for (auto* differences : {&comparison.newly_allowed, &comparison.newly_refused}) {
    for (Difference& one : *differences) {
      if (!readdress(old_impl, old_workload, &one.old_example) ||
          !readdress(new_impl, new_workload, &one.new_example)) {
        return anew();
      }
    }
  }
  return comparison;
}

}  // namespace meshproof

#include "analyze/authorities.h"

#include <algorithm>

#include "analyze/gateway_listeners.h"
#include "base/text.h"
#include "mesh/hosts.h"
#include "proxy/virtual_service.h"

namespace meshproof {
namespace {

std::string Reversed(std::string_view text) {
  return {text.rbegin(), text.rend()};
}

bool IsKubernetesName(const MeshService& service) {
  return service.service != nullptr;
}

// Whether a text of `pattern` (a star at one end at most, or alone) is matched by `value`, which
// has the same form.
bool Overlap(std::string_view pattern, std::string_view value) {
  if (pattern == "*" || value == "*") return true;
  const bool from_star = pattern.starts_with('*');
  const bool to_star = !from_star && pattern.ends_with('*');
  const std::string_view own = from_star ? pattern.substr(1)
                               : to_star ? pattern.substr(0, pattern.size() - 1)
                                         : pattern;
  const bool value_suffix = value.starts_with('*');
  const bool value_prefix = !value_suffix && value.ends_with('*');
  const std::string_view other = value_suffix   ? value.substr(1)
                                 : value_prefix ? value.substr(0, value.size() - 1)
                                                : value;
  if (from_star && value_suffix) return own.ends_with(other) || other.ends_with(own);
  if (to_star && value_prefix) return own.starts_with(other) || other.starts_with(own);
  if ((from_star && value_prefix) || (to_star && value_suffix)) return true;
  if (from_star) return other.ends_with(own) && other.size() > own.size();
  if (to_star) return other.starts_with(own);
  if (value_suffix) return own.ends_with(other);
  if (value_prefix) return own.starts_with(other);
  return own == other;
}

std::string_view WithoutPort(std::string_view host) {
  const size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.find(']', colon) != std::string_view::npos) {
    return host;
  }
  const std::string_view port = host.substr(colon + 1);
  const bool number = port == "*" || ParseUnsigned(port).has_value();
  return number ? host.substr(0, colon) : host;
}

}  // namespace

Authorities::Authorities(const Analysis& analysis) : analysis_(analysis) {
  const Mesh& mesh = analysis.mesh;
  for (const MeshService& service : mesh.services()) {
    AddService(service);
    for (const VirtualService* route : mesh.ServiceRoutesFor(service)) AddRoutes(*route, {});
  }
  for (const VirtualService& service : analysis.model.virtual_services) AddRoutes(service, {});
  AddGateways();
  // A rule of an Ingress leads from outside to its Service, whoever serves it.
  for (const RawObject& ingress : ObjectsOf(analysis.objects, {"Ingress"})) {
    for (const Node& rule : ListItems(NodeAt(ingress.node, {"spec", "rules"}))) {
      const Node* host = NodeAt(&rule, {"host"});
      for (const Node& path : ListItems(NodeAt(&rule, {"http", "paths"}))) {
        const Node* name = NodeAt(&path, {"backend", "service", "name"});
        if (name == nullptr) continue;
        const MeshService* target = mesh.ResolveObjectHost(name->text, ingress.ns);
        if (target != nullptr) {
          AddRouteHost(host == nullptr ? "*" : ToLower(host->text), *target);
        }
      }
    }
  }
}

void Authorities::Add(std::string authority, const Workload* workload, const MeshService* service) {
  reversed_.emplace(Reversed(authority), Use{workload, service});
  exact_.emplace(std::move(authority), Use{workload, service});
}

void Authorities::AddForAll(const std::string& authority, const MeshService& service) {
  const bool wild = authority.find('*') != std::string::npos;
  const auto add = [&](const Workload* workload) {
    if (wild) {
      patterns_.push_back({authority, workload, &service});
    } else {
      Add(authority, workload, &service);
    }
  };
  add(nullptr);
  for (size_t index : service.workloads) add(&analysis_.mesh.workloads()[index]);
}

void Authorities::AddService(const MeshService& service) {
  for (size_t index : service.workloads) {
    const Workload& workload = analysis_.mesh.workloads()[index];
    known_.insert(&workload);
    services_[&workload].push_back(&service);
  }
  std::vector<std::string> names = {ToLower(service.host)};
  if (IsKubernetesName(service)) {
    names.insert(names.end(), {service.name, service.name + "." + service.ns,
                               service.name + "." + service.ns + ".svc"});
    for (const IpAddress& address : service.addresses) names.push_back(ToString(address));
    // Published under a name that the input does not show.
    const std::string_view type = service.service->type;
    if (type == "LoadBalancer" || type == "NodePort") {
      for (size_t index : service.workloads) {
        const Workload& workload = analysis_.mesh.workloads()[index];
        if (workload.mode == ProxyMode::kGateway) continue;
        patterns_.push_back({"*", &workload, &service});
        from_outside_.insert(&workload);
      }
    }
    if (service.headless) {  // pods by name
      AddForAll("*." + names.front(), service);
      for (const MeshServicePort& port : service.ports) {
        AddForAll("*." + names.front() + ":" + std::to_string(port.port), service);
      }
    }
  }
  for (const std::string& name : names) {
    for (const MeshServicePort& port : service.ports) {
      AddForAll(name + ":" + std::to_string(port.port), service);
      if (port.port == 80 || port.port == 443) AddForAll(name, service);
    }
    if (service.ports.empty()) AddForAll(name, service);
  }
}

void Authorities::AddRouteHost(const std::string& host, const MeshService& target) {
  AddForAll(host, target);
  // With a port, whichever the gateway or client has.
  if (!host.starts_with('*')) AddForAll(host + ":*", target);
  for (size_t index : target.workloads) from_outside_.insert(&analysis_.mesh.workloads()[index]);
}

void Authorities::AddRoutes(const VirtualService& service,
                            const std::vector<std::string>& more_hosts) {
  std::set<std::string> hosts(more_hosts.begin(), more_hosts.end());
  const MeshConfig& config = analysis_.mesh.config();
  for (const Text& host : service.hosts.values) {
    hosts.insert(ToLower(host.value));
    hosts.insert(ToLower(CompleteHost(host.value, service.meta.ns, config.domain)));
  }
  std::unordered_set<const MeshService*> targets;
  const auto add = [&](const std::vector<RouteDestination>& routes, std::string_view ns,
                       std::string_view rewrite) {
    for (const RouteDestination& route : routes) {
      const MeshService* target =
          analysis_.mesh.ResolveObjectHost(route.destination.host.value, ns);
      if (target == nullptr) continue;
      if (!rewrite.empty()) AddForAll(ToLower(rewrite), *target);
      if (!targets.insert(target).second) continue;
      for (const std::string& host : hosts) {
        AddForAll(host, *target);
        if (!host.starts_with('*')) AddForAll(host + ":*", *target);
      }
      for (size_t index : target->workloads) {
        from_outside_.insert(&analysis_.mesh.workloads()[index]);
      }
    }
  };
  for (const EffectiveHttpRoute& route : ResolveHttpRoutes(analysis_.mesh, service)) {
    add(route.route.routes, route.object->ns, route.route.rewrite_authority.value);
  }
  for (const auto* list : {&service.tls, &service.tcp}) {
    for (const L4Route& route : *list) add(route.routes, service.meta.ns, "");
  }
}

void Authorities::AddGateways() {
  const Mesh& mesh = analysis_.mesh;
  std::unordered_set<const Gateway*> routed;
  for (const Workload& workload : mesh.workloads()) {
    if (workload.mode != ProxyMode::kGateway) continue;
    for (const Mesh::BoundServer& bound : mesh.GatewayServersFor(workload)) {
      known_.insert(&workload);
      from_outside_.insert(&workload);
      std::set<std::string> hosts;
      for (const VirtualService* service : mesh.VirtualServicesFor(*bound.gateway)) {
        std::vector<std::string> own;
        for (const Text& host : service->hosts.values) {
          for (const Text& written : bound.server->hosts.values) {
            std::string_view ns;
            const std::string_view offered = HostOfServer(written.value, &ns);
            if (!HostsOverlap(offered, host.value)) continue;
            const bool wide = HostCovers(ToLower(host.value), ToLower(offered));
            hosts.insert(ToLower(wide ? offered : host.value));
          }
        }
        if (bound.gateway->made_from != nullptr && routed.insert(bound.gateway).second) {
          for (const VirtualService* made : mesh.VirtualServicesFor(*bound.gateway)) {
            std::vector<std::string> offered;
            for (const Text& written : bound.server->hosts.values) {
              std::string_view ns;
              offered.push_back(ToLower(HostOfServer(written.value, &ns)));
            }
            AddRoutes(*made, offered);
          }
        }
      }
      // Nothing is routed yet: what the server offers.
      if (hosts.empty()) {
        for (const Text& written : bound.server->hosts.values) {
          std::string_view ns;
          hosts.insert(ToLower(HostOfServer(written.value, &ns)));
        }
      }
      for (const std::string& host : hosts) {
        gateway_hosts_[&workload].push_back(host);
        if (host.find('*') != std::string::npos) {
          patterns_.push_back({host, &workload, nullptr});
          // With a port; a suffix pattern would not end in one.
          if (host != "*") patterns_.push_back({host + ":*", &workload, nullptr});
        } else {
          Add(host, &workload, nullptr);
          patterns_.push_back({host + ":*", &workload, nullptr});
        }
      }
    }
  }
}

template <typename Wanted>
bool Authorities::Any(std::string_view value, const Wanted& wanted) const {
  const auto in_range = [&](const std::multimap<std::string, Use>& index, const std::string& key) {
    for (auto it = index.lower_bound(key); it != index.end() && it->first.starts_with(key); ++it) {
      if (wanted(it->second.workload, it->second.service)) return true;
    }
    return false;
  };
  const bool suffix = value.starts_with('*');
  const bool prefix = !suffix && value.ends_with('*');
  if (suffix) {
    if (in_range(reversed_, Reversed(value.substr(1)))) return true;
  } else if (prefix) {
    if (in_range(exact_, std::string(value.substr(0, value.size() - 1)))) return true;
  } else {
    auto [begin, end] = exact_.equal_range(std::string(value));
    for (; begin != end; ++begin) {
      if (wanted(begin->second.workload, begin->second.service)) return true;
    }
  }
  for (const Pattern& pattern : patterns_) {
    // `*.host:port`: the star stands before a name with a port.
    std::string_view own = pattern.text;
    std::string_view asked = value;
    if (own.ends_with(":*") && own.starts_with('*')) {
      own.remove_suffix(2);
      asked = WithoutPort(asked);
      if (asked == value && !value.ends_with('*')) continue;
    }
    if (Overlap(own, asked) && wanted(pattern.workload, pattern.service)) return true;
  }
  return false;
}

bool Authorities::CanGet(std::string_view value,
                         const std::unordered_set<const Workload*>& workloads) const {
  return Any(value, [&](const Workload* workload, const MeshService*) {
    return workload != nullptr && workloads.contains(workload);
  });
}

bool Authorities::CanGet(std::string_view value, const MeshService& service) const {
  return Any(value, [&](const Workload*, const MeshService* own) { return own == &service; });
}

std::vector<std::string> Authorities::Meant(const MeshService& service) const {
  std::vector<std::string> names;
  for (const MeshServicePort& port : service.ports) {
    const bool plain = port.port == 80 || port.port == 443;
    names.push_back(service.host + (plain ? "" : ":" + std::to_string(port.port)));
  }
  if (names.empty()) names.push_back(service.host);
  if (service.service != nullptr) {
    const std::string port = names.front().substr(service.host.size());
    names.push_back(service.name + "." + service.ns + port);
    names.push_back(service.name + port);
  }
  return names;
}

std::vector<std::string> Authorities::Meant(const Workload& workload) const {
  std::vector<std::string> names;
  auto hosts = gateway_hosts_.find(&workload);
  if (hosts != gateway_hosts_.end()) names = hosts->second;
  auto services = services_.find(&workload);
  if (services != services_.end()) {
    for (const MeshService* service : services->second) {
      for (std::string& name : Meant(*service)) names.push_back(std::move(name));
    }
  }
  return names;
}

bool Authorities::HasRoutesFromOutside(const std::unordered_set<const Workload*>& workloads) const {
  return std::any_of(workloads.begin(), workloads.end(),
                     [&](const Workload* workload) { return from_outside_.contains(workload); });
}

}  // namespace meshproof

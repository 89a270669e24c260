#include "analyze/entrances.h"

#include <algorithm>
#include <unordered_map>

#include "analyze/gateway_listeners.h"
#include "analyze/route_space.h"
#include "base/text.h"

namespace meshproof {
namespace {

constexpr std::string_view kInternal[][2] = {
    {"service.beta.kubernetes.io/aws-load-balancer-internal", "true"},
    {"service.beta.kubernetes.io/aws-load-balancer-scheme", "internal"},
    {"service.beta.kubernetes.io/azure-load-balancer-internal", "true"},
    {"networking.gke.io/load-balancer-type", "Internal"},
    {"cloud.google.com/load-balancer-type", "Internal"},
};

// "outbound|80|v1|web.shop.svc.cluster.local".
bool ParseCluster(std::string_view cluster, int* port, std::string* host) {
  const std::vector<std::string_view> parts = Split(cluster, '|');
  if (parts.size() != 4 || parts[0] != "outbound") return false;
  const std::optional<unsigned long> number = ParseUnsigned(parts[1]);
  if (!number || *number > 65535) return false;
  *port = static_cast<int>(*number);
  *host = parts[3];
  return true;
}

std::string SampleAuthority(const VirtualHost& host, const FilterChain& chain) {
  const std::string domain = host.domains.empty() ? "*" : host.domains.front();
  if (domain != "*") return SampleHost(domain);
  return SampleHost(chain.match.server_names.empty() ? "*" : chain.match.server_names.front());
}

class EntranceFinder {
 public:
  EntranceFinder(const Analysis& analysis, std::vector<Entrance>* out)
      : analysis_(analysis), out_(*out) {}

  void Visit(const Workload& gateway, bool inside) {
    Entrance entrance;
    entrance.gateway = &gateway;
    entrance.facing = FacingOf(analysis_, gateway);
    if (entrance.facing == Facing::kInside && !inside) return;
    const ProxyConfig& proxy = analysis_.world.Proxy(gateway).proxy();
    for (const Listener& listener : proxy.listeners) {
      entrance.listener = &listener;
      entrance.port = static_cast<int>(listener.port);
      for (const FilterChain& chain : listener.filter_chains) {
        entrance.chain = &chain;
        if (chain.filters == nullptr) continue;
        for (const NetworkFilter& filter : *chain.filters) {
          const auto* manager = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
          if (manager == nullptr) continue;
          const RouteConfiguration* routes =
              (*manager)->routes ? (*manager)->routes.get() : proxy.FindRoutes((*manager)->rds);
          if (routes != nullptr) VisitRoutes(*routes, &entrance);
        }
      }
    }
  }

 private:
  void VisitRoutes(const RouteConfiguration& routes, Entrance* entrance) {
    entrance->routes = &routes;
    for (const VirtualHost& host : routes.virtual_hosts) {
      if (host.require_tls && !entrance->chain->tls) continue;
      entrance->host = &host;
      entrance->authority = SampleAuthority(host, *entrance->chain);
      for (const Route& route : host.routes) {
        if (route.action != Route::Action::kCluster) continue;
        entrance->route = &route;
        for (const WeightedCluster& cluster : route.clusters) {
          std::string name;
          if (!ParseCluster(cluster.cluster, &entrance->service_port, &name)) continue;
          entrance->service = analysis_.mesh.FindService(name);
          if (entrance->service == nullptr || entrance->service->external) continue;
          out_.push_back(*entrance);
        }
      }
    }
  }

  const Analysis& analysis_;
  std::vector<Entrance>& out_;
};

}  // namespace

bool IsInternalLoadBalancer(const Service& service) {
  for (const auto& [key, value] : kInternal) {
    const std::string* written = FindLabel(service.meta.annotations, key);
    if (written != nullptr && EqualsIgnoreCase(*written, value)) return true;
  }
  return false;
}

Facing FacingOf(const Analysis& analysis, const Workload& gateway) {
  if (gateway.pod != nullptr) {
    if (gateway.pod->host_network) return Facing::kInternet;
    for (const ContainerPort& port : gateway.pod->ports) {
      if (port.host_port != 0) return Facing::kInternet;
    }
  }
  if (gateway.gateway != nullptr) {
    constexpr std::string_view kType = "networking.istio.io/service-type";
    const std::string* type = FindLabel(gateway.gateway->meta.annotations, kType);
    if (type != nullptr && *type == "ClusterIP") return Facing::kInside;
  }
  bool any = false;
  for (const MeshService& service : analysis.mesh.services()) {
    if (service.service == nullptr || service.ns != gateway.ns) continue;
    const bool leads =
        std::any_of(service.workloads.begin(), service.workloads.end(),
                    [&](size_t index) { return &analysis.mesh.workloads()[index] == &gateway; });
    if (!leads) continue;
    any = true;
    const Service& object = *service.service;
    if (IsInternalLoadBalancer(object)) continue;
    if (object.type == "LoadBalancer" || object.type == "NodePort") return Facing::kInternet;
    const Node* external = NodeAt(object.meta.node, {"spec", "externalIPs"});
    if (external != nullptr && !external->items().empty()) return Facing::kInternet;
  }
  return any ? Facing::kInside : Facing::kUnknown;
}

std::vector<Entrance> FindEntrances(const Analysis& analysis, bool inside) {
  std::vector<Entrance> entrances;
  EntranceFinder finder(analysis, &entrances);
  for (const Workload& workload : analysis.mesh.workloads()) {
    if (workload.mode == ProxyMode::kGateway) finder.Visit(workload, inside);
  }
  return entrances;
}

Case RequestTo(const Entrance& entrance, std::string path, std::string method) {
  Case question;
  question.name = "somebody outside";
  question.from_outside = true;
  question.to_workload = entrance.gateway->ns + "/" + entrance.gateway->name;
  question.to_port = entrance.port;
  question.host = entrance.authority;
  question.method = std::move(method);
  question.path = std::move(path);
  question.ext_authz = ExtAuthzAnswer::kDeny;
  question.follow = true;
  if (entrance.chain->tls) {
    question.sni = entrance.authority;
  } else {
    question.tls = CaseTls::kPlaintext;
  }
  return question;
}

std::optional<Case> RequestOf(const Entrance& entrance) {
  RouteSpace space;
  std::vector<Expr> before;
  Expr own = kNever;
  for (const Route& route : entrance.host->routes) {
    const Expr expr = space.Add(route.match);
    if (&route == entrance.route) {
      own = expr;
      break;
    }
    before.push_back(expr);
  }
  if (!space.Build()) return std::nullopt;
  RouteSpace::Node node = space.ToNode(own);
  for (Expr expr : before) node = space.bdd().Diff(node, space.ToNode(expr));
  if (node == Bdd::kFalse || space.bdd().exhausted()) return std::nullopt;
  const RouteExample example = space.Pick(node);
  Case question = RequestTo(entrance, example.path, example.method);
  question.headers = example.headers;
  if (!example.authority.empty()) question.host = example.authority;
  return question;
}

std::string Describe(const Entrance& entrance) {
  return "gateway " + entrance.gateway->ns + "/" + entrance.gateway->name + " (port " +
         std::to_string(entrance.port) + ", host " +
         (entrance.host->domains.empty() ? "*" : entrance.host->domains.front()) + ")";
}

}  // namespace meshproof

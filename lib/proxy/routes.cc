// VirtualServices to Envoy routes, for gateways. For each host that a server and a VirtualService
// have in common there is one virtual host; several VirtualServices for one host add their routes,
// oldest first, and catch-all routes move to the end. A host without a VirtualService has no
// virtual host, a configuration without any gets one that answers 404.

#include "proxy/routes.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "proxy/clusters.h"
#include "proxy/gateway_hosts.h"
#include "proxy/string_class.h"
#include "proxy/virtual_service.h"
#include "proxy/waypoint.h"

namespace meshproof {
namespace {

constexpr std::string_view kClaimHeader = "@request.auth.claims";

// Istio takes the regex `*` for "present".
bool AsksPresence(const StringMatch& match) {
  return match.kind == StringMatch::Kind::kNone ||
         (match.kind == StringMatch::Kind::kRegex && match.value.value == "*");
}

StringMatcher Translate(const StringMatch& match) {
  std::string value(match.value.value);
  switch (match.kind) {
    case StringMatch::Kind::kPrefix:
      return StringMatcher::Prefix(std::move(value));
    case StringMatch::Kind::kRegex:
      return MatchPattern(std::move(value));
    case StringMatch::Kind::kNone:
    case StringMatch::Kind::kExact:
      break;
  }
  return StringMatcher::Exact(std::move(value));
}

HeaderMatcher TranslateHeader(std::string_view name, const StringMatch& match) {
  HeaderMatcher header;
  header.name = std::string(name);
  if (AsksPresence(match)) return header;
  header.kind = HeaderMatcher::Kind::kString;
  header.string = Translate(match);
  return header;
}

// `@request.auth.claims.a.b` or `@request.auth.claims[a][b]`; nothing for an ordinary header.
std::optional<std::vector<std::string>> RoutingClaim(std::string_view header) {
  if (!StartsWithIgnoreCase(header, kClaimHeader)) return std::nullopt;
  std::string_view rest = header.substr(kClaimHeader.size());
  std::vector<std::string> path;
  if (rest.size() > 1 && rest.front() == '.') {
    for (const std::string_view piece : Split(rest.substr(1), '.')) path.emplace_back(piece);
    return path;
  }
  if (rest.size() <= 2 || rest.front() != '[' || rest.back() != ']') return std::nullopt;
  rest = rest.substr(1, rest.size() - 2);
  for (size_t end = rest.find("]["); end != std::string_view::npos; end = rest.find("][")) {
    path.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end + 2);
  }
  path.emplace_back(rest);
  return path;
}

MetadataPredicate TranslateClaim(std::vector<std::string> claim, const StringMatch& match,
                                 bool invert) {
  MetadataPredicate predicate;
  predicate.filter = "envoy.filters.http.jwt_authn";
  predicate.path = {"payload"};
  for (std::string& piece : claim) predicate.path.push_back(std::move(piece));
  predicate.value = MatchClaim({Translate(match)});
  predicate.invert = invert;
  return predicate;
}

void AddHeaders(const HttpMatch& match, RouteMatch* out) {
  for (const auto& [name, value] : match.headers) {
    if (auto claim = RoutingClaim(name.value)) {
      out->dynamic_metadata.push_back(TranslateClaim(*std::move(claim), value, false));
    } else {
      out->headers.push_back(TranslateHeader(name.value, value));
    }
  }
  for (const auto& [name, value] : match.without_headers) {
    if (auto claim = RoutingClaim(name.value)) {
      out->dynamic_metadata.push_back(TranslateClaim(*std::move(claim), value, true));
      continue;
    }
    HeaderMatcher header = TranslateHeader(name.value, value);
    header.invert = true;
    header.treat_missing_as_empty = !AsksPresence(value);
    out->headers.push_back(std::move(header));
  }
  std::stable_sort(out->headers.begin(), out->headers.end(),
                   [](const HeaderMatcher& a, const HeaderMatcher& b) { return a.name < b.name; });
}

void SetPath(const StringMatch& uri, bool whole_segments, RouteMatch* out) {
  switch (uri.kind) {
    case StringMatch::Kind::kNone:
      return;
    case StringMatch::Kind::kExact:
      out->path_kind = RouteMatch::Path::kExact;
      break;
    case StringMatch::Kind::kPrefix:
      out->path_kind = whole_segments && uri.value.value != "/"
                           ? RouteMatch::Path::kPathSeparatedPrefix
                           : RouteMatch::Path::kPrefix;
      break;
    case StringMatch::Kind::kRegex: {
      out->path_kind = RouteMatch::Path::kRegex;
      Result<Regex> regex = Regex::Compile(uri.value.value);
      if (regex.ok()) out->regex = regex.Take();
      break;
    }
  }
  out->path = std::string(uri.value.value);
}

RouteMatch TranslateMatch(const HttpMatch& match) {
  RouteMatch out;
  AddHeaders(match, &out);
  SetPath(match.uri, match.whole_segments, &out);
  out.case_sensitive = !match.ignore_uri_case;
  const auto add = [&](std::string_view name, const StringMatch& value) {
    if (value.kind != StringMatch::Kind::kNone) out.headers.push_back(TranslateHeader(name, value));
  };
  add(":method", match.method);
  add(":authority", match.authority);
  add(":scheme", match.scheme);
  for (const auto& [name, value] : match.query_params) {
    RouteMatch::QueryParameter parameter;
    parameter.name = std::string(name.value);
    if (!AsksPresence(value)) parameter.value = Translate(value);
    out.query_parameters.push_back(std::move(parameter));
  }
  return out;
}

bool IsCatchAll(const Route& route) {
  const RouteMatch& match = route.match;
  const bool any_path =
      (match.path_kind == RouteMatch::Path::kRegex ? match.path == ".*" : match.path == "/") &&
      match.path_kind != RouteMatch::Path::kExact;
  return any_path && match.headers.empty() && match.query_parameters.empty() &&
         match.dynamic_metadata.empty();
}

std::string AuthorityRewrite(const HttpRoute& route) {
  if (route.has_rewrite && !route.rewrite_authority.value.empty()) {
    return std::string(route.rewrite_authority.value);
  }
  for (const auto* headers : {&route.request_headers_set, &route.request_headers_add}) {
    for (const auto& [name, value] : *headers) {
      if (EqualsIgnoreCase(name.value, ":authority") || EqualsIgnoreCase(name.value, "host")) {
        return std::string(value.value);
      }
    }
  }
  return "";
}

class VirtualServiceTranslator {
 public:
  VirtualServiceTranslator(const Mesh& mesh, const Workload& workload, const Gateway& gateway,
                           int server_port)
      : mesh_(mesh),
        workload_(workload),
        gateway_name_(gateway.meta.ns + "/" + std::string(gateway.meta.name)),
        port_(server_port) {}

  // For a waypoint, which routes as sidecars do.
  VirtualServiceTranslator(const Mesh& mesh, const Workload& waypoint, int service_port)
      : mesh_(mesh),
        workload_(waypoint),
        gateway_name_("mesh"),
        port_(service_port),
        at_waypoint_(true) {}

  std::vector<Route> Translate(const VirtualService& service) const {
    std::vector<Route> routes;
    for (const EffectiveHttpRoute& http : ResolveHttpRoutes(mesh_, service)) {
      if (http.route.matches.empty()) {
        routes.push_back(Build(http, nullptr));
        break;
      }
      for (const HttpMatch& match : http.route.matches) {
        if (!Applies(match, service.meta.ns)) continue;
        routes.push_back(Build(http, &match));
        if (IsCatchAll(routes.back())) return routes;
      }
    }
    return routes;
  }

 private:
  bool Applies(const HttpMatch& match, std::string_view ns) const {
    if (match.port != 0 && match.port != port_) return false;
    if (!match.gateways.empty()) {
      return std::any_of(match.gateways.values.begin(), match.gateways.values.end(),
                         [&](const Text& gateway) {
                           const std::string_view name = gateway.value;
                           if (name.find('/') != std::string_view::npos || name == "mesh") {
                             return name == gateway_name_;
                           }
                           return std::string(ns) + "/" + std::string(name) == gateway_name_;
                         });
    }
    // A waypoint does not know its callers' labels; the namespace compared is its own.
    if (at_waypoint_ && !match.source_labels.empty()) return false;
    return Selects(match.source_labels, workload_.labels) &&
           (match.source_namespace.empty() || match.source_namespace == workload_.ns);
  }

  Route Build(const EffectiveHttpRoute& http, const HttpMatch* match) const {
    Route route;
    route.name = std::string(http.route.name.value);
    if (match != nullptr) route.match = TranslateMatch(*match);
    route.origin = {http.object, http.index, match != nullptr ? match->span : http.route.span};
    if (http.route.has_redirect) {
      route.action = Route::Action::kRedirect;
      route.status = http.route.redirect_code == 0 ? 301 : http.route.redirect_code;
      route.redirect_host = std::string(http.route.redirect_authority.value);
      route.redirect_scheme = std::string(http.route.redirect_scheme.value);
      route.redirect_port = static_cast<uint32_t>(http.route.redirect_port);
      route.has_redirect_prefix = http.route.redirect_prefix;
      (http.route.redirect_prefix ? route.redirect_prefix : route.redirect_path) =
          std::string(http.route.redirect_uri.value);
    } else if (http.route.has_direct_response) {
      route.action = Route::Action::kDirectResponse;
      route.status = http.route.direct_response_status;
    } else {
      SetDestinations(http, &route);
    }
    return route;
  }

  void SetDestinations(const EffectiveHttpRoute& http, Route* route) const {
    if (http.route.has_rewrite) SetRewrite(http.route, route);
    if (http.route.made_from != nullptr) route->missing_cluster_status = 500;
    route->host_rewrite = AuthorityRewrite(http.route);
    SetHeaderChanges(http.route, route);
    const auto& destinations = http.route.routes;
    for (const RouteDestination& destination : destinations) {
      // A single destination's weight does not matter; among several those without one are off.
      if (destinations.size() > 1 && destination.weight == 0) continue;
      std::string cluster =
          DestinationCluster(mesh_, destination.destination, http.object->ns, port_);
      if (at_waypoint_) cluster = ForWaypoint(cluster);
      const auto weight = static_cast<uint32_t>(destinations.size() > 1 ? destination.weight : 0);
      route->clusters.push_back({cluster, weight});
    }
  }

  // "outbound|80|v1|web" as a waypoint names it.
  static std::string ForWaypoint(const std::string& cluster) {
    const std::vector<std::string_view> parts = Split(cluster, '|');
    if (parts.size() != 4) return cluster;
    const std::optional<unsigned long> port = ParseUnsigned(parts[1]);
    if (!port || *port > 65535) return cluster;
    return VipCluster(static_cast<int>(*port), true, parts[2], parts[3]);
  }

  static void SetHeaderChanges(const HttpRoute& http, Route* route) {
    const auto copy = [](const auto& from, auto* to) {
      for (const auto& [name, value] : from) {
        // The authority is rewritten, not set.
        if (EqualsIgnoreCase(name.value, ":authority") || EqualsIgnoreCase(name.value, "host")) {
          continue;
        }
        to->emplace_back(std::string(name.value), std::string(value.value));
      }
    };
    copy(http.request_headers_set, &route->request_headers_set);
    copy(http.request_headers_add, &route->request_headers_add);
    for (const Text& name : http.request_headers_remove.values) {
      route->request_headers_remove.emplace_back(name.value);
    }
  }

  static void SetRewrite(const HttpRoute& http, Route* route) {
    route->prefix_rewrite = std::string(http.rewrite_uri.value);
    if (http.rewrite_regex.value.empty()) return;
    Result<Regex> regex = Regex::Compile(http.rewrite_regex.value);
    if (regex.ok()) route->regex_rewrite = regex.Take();
    route->regex_substitution = std::string(http.rewrite_substitution.value);
  }

  const Mesh& mesh_;
  const Workload& workload_;
  const std::string gateway_name_;
  const int port_;
  const bool at_waypoint_ = false;
};

bool NamesHost(const VirtualService& service, const MeshService& target, const MeshConfig& config) {
  return std::any_of(
      service.hosts.values.begin(), service.hosts.values.end(), [&](const Text& host) {
        return IsHostSubset(target.host, QualifyHost(host.value, service.meta.ns, config));
      });
}

// What routes traffic to a Service for its clients, for a waypoint to apply; none: empty. It takes
// routes from its own namespace and the Service's alone.
std::vector<Route> MeshRoutes(const Mesh& mesh, const Workload& waypoint,
                              const MeshService& service, const MeshServicePort& port) {
  const VirtualServiceTranslator translator(mesh, waypoint, port.port);
  const auto is_near = [&](const VirtualService& candidate) {
    return candidate.meta.ns == waypoint.ns || candidate.meta.ns == service.ns;
  };
  for (const VirtualService* candidate : mesh.MeshVirtualServices()) {
    if (!is_near(*candidate) || candidate->http.empty()) continue;
    if (NamesHost(*candidate, service, mesh.config())) return translator.Translate(*candidate);
  }
  std::vector<Route> routes;
  for (const VirtualService* candidate : mesh.ServiceRoutesFor(service)) {
    if (!is_near(*candidate)) continue;
    std::vector<Route> own = translator.Translate(*candidate);
    routes.insert(routes.end(), own.begin(), own.end());
  }
  return routes;
}

void SortCatchAllLast(std::vector<Route>* routes) {
  std::stable_partition(routes->begin(), routes->end(),
                        [](const Route& route) { return !IsCatchAll(route); });
}

class RouteTableBuilder {
 public:
  RouteTableBuilder(const Mesh& mesh, const Workload& workload)
      : mesh_(mesh), workload_(workload) {}

  void Add(const RoutedServer& server) {
    const bool redirect = server.server->tls && server.server->tls->https_redirect;
    const VirtualServiceTranslator translator(mesh_, workload_, *server.gateway,
                                              server.server->port);
    for (const VirtualService* service : mesh_.VirtualServicesFor(*server.gateway)) {
      const std::vector<std::string> hosts =
          IntersectHosts(HostsForNamespace(server.hosts, service->meta.ns), HostsOf(*service));
      if (hosts.empty()) continue;
      const std::vector<Route> routes = translator.Translate(*service);
      if (routes.empty()) continue;
      for (const std::string& host : hosts) {
        VirtualHost& entry = Entry(host, server.server->port);
        entry.routes.insert(entry.routes.end(), routes.begin(), routes.end());
        entry.require_tls |= redirect;
      }
    }
    if (!redirect) return;
    for (const std::string& host : server.hosts) {
      Entry(host, server.server->port).require_tls = true;
    }
  }

  std::vector<VirtualHost> Take(int first_port) {
    if (hosts_.empty()) {
      VirtualHost blackhole;
      blackhole.name = "blackhole:" + std::to_string(first_port);
      blackhole.domains = {"*"};
      return {blackhole};
    }
    std::vector<VirtualHost> sorted;
    for (auto& [host, entry] : hosts_) {
      SortCatchAllLast(&entry.routes);
      sorted.push_back(std::move(entry));
    }
    return sorted;
  }

 private:
  std::vector<std::string> HostsOf(const VirtualService& service) const {
    std::vector<std::string> hosts;
    for (const Text& host : service.hosts.values) {
      hosts.push_back(QualifyHost(host.value, service.meta.ns, mesh_.config()));
    }
    return hosts;
  }

  VirtualHost& Entry(const std::string& host, int port) {
    const std::string name = ToLower(host);
    VirtualHost& entry = hosts_[name];
    if (entry.domains.empty()) {
      entry.name = name + ":" + std::to_string(port);
      entry.domains = {name};
    }
    return entry;
  }

  const Mesh& mesh_;
  const Workload& workload_;
  std::map<std::string, VirtualHost> hosts_;
};

}  // namespace

RouteMatch TranslateRouteMatch(const HttpMatch& match) {
  return TranslateMatch(match);
}

RouteConfiguration BuildGatewayRoutes(const Mesh& mesh, const Workload& workload, std::string name,
                                      const std::vector<RoutedServer>& servers) {
  RouteTableBuilder builder(mesh, workload);
  for (const RoutedServer& server : servers) builder.Add(server);
  RouteConfiguration routes;
  routes.name = std::move(name);
  routes.virtual_hosts = builder.Take(servers.empty() ? 0 : servers.front().server->port);
  routes.ignore_port_in_host_matching = true;
  return routes;
}

std::shared_ptr<const RouteConfiguration> BuildWaypointRoutes(const Mesh& mesh,
                                                              const Workload& workload,
                                                              const MeshService& service,
                                                              const MeshServicePort& port) {
  auto routes = std::make_shared<RouteConfiguration>();
  routes->name = VipCluster(port.port, true, "", service.host);
  VirtualHost host;
  host.name = "inbound|http|" + std::to_string(port.port);
  host.domains = {"*"};
  host.routes = MeshRoutes(mesh, workload, service, port);
  if (host.routes.empty()) {
    Route route;
    route.name = "default";
    route.clusters.push_back({routes->name, 0});
    host.routes.push_back(std::move(route));
  }
  routes->virtual_hosts.push_back(std::move(host));
  return routes;
}

}  // namespace meshproof

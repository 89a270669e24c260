// Routes of a dump (envoy-facts section 5). What decides a verdict is read; a condition or action
// that is not modelled makes its route opaque.

#include "proxy/read_context.h"

namespace meshproof {
namespace {

RouteMatch::QueryParameter ReadQueryParameter(const Node& node, std::string* opaque) {
  RouteMatch::QueryParameter parameter;
  parameter.name = TextField(&node, "name");
  if (const Node* match = Field(&node, "string_match")) {
    parameter.value = ReadString(match, opaque);
  } else if (Field(&node, "value")) {
    parameter.value = StringMatcher::Exact(TextField(&node, "value"));
  }
  return parameter;
}

}  // namespace

RouteMatch ReadRouteMatch(const Node* node, std::string* opaque) {
  RouteMatch match;
  using Path = RouteMatch::Path;
  if (Field(node, "path")) {
    match.path_kind = Path::kExact;
    match.path = TextField(node, "path");
  } else if (const Node* regex = Field(node, "safe_regex")) {
    match.path_kind = Path::kRegex;
    match.path = TextField(regex, "regex");
    match.regex = ReadRegex(regex, opaque);
  } else if (Field(node, "regex")) {
    match.path_kind = Path::kRegex;
    match.path = TextField(node, "regex");
    match.regex = ReadRegex(Field(node, "regex"), opaque);
  } else if (Field(node, "path_separated_prefix")) {
    match.path_kind = Path::kPathSeparatedPrefix;
    match.path = TextField(node, "path_separated_prefix");
  } else if (Field(node, "prefix")) {
    match.path = TextField(node, "prefix");
  } else if (Field(node, "connect_matcher")) {
    *opaque = "CONNECT matcher";
  } else if (const Node* policy = Field(node, "path_match_policy")) {
    *opaque = "path match policy " + TextField(policy, "name");
  }
  match.case_sensitive = BoolField(node, "case_sensitive", true);
  for (const Node& header : ItemsField(node, "headers")) {
    match.headers.push_back(ReadHeader(&header, opaque));
  }
  for (const Node& parameter : ItemsField(node, "query_parameters")) {
    match.query_parameters.push_back(ReadQueryParameter(parameter, opaque));
  }
  for (const Node& metadata : ItemsField(node, "dynamic_metadata")) {
    match.dynamic_metadata.push_back(ReadMetadata(&metadata, opaque));
  }
  for (const char* condition :
       {"runtime_fraction", "grpc", "tls_context", "filter_state", "cookies"}) {
    if (Field(node, condition)) *opaque = std::string("condition ") + condition;
  }
  return match;
}

std::vector<WeightedCluster> ReadWeightedClusters(const Node* node) {
  std::vector<WeightedCluster> clusters;
  for (const Node& entry : ItemsField(node, "clusters")) {
    WeightedCluster cluster;
    cluster.cluster = TextField(&entry, "name");
    cluster.weight = UintField(&entry, "weight");
    clusters.push_back(std::move(cluster));
  }
  return clusters;
}

namespace {

void ReadClusterAction(const Node& action, Route* route) {
  if (Field(&action, "cluster")) {
    route->clusters.push_back({TextField(&action, "cluster"), 0});
  } else if (const Node* weighted = Field(&action, "weighted_clusters")) {
    route->clusters = ReadWeightedClusters(weighted);
    for (const Node& entry : ItemsField(weighted, "clusters")) {
      if (!EntriesField(&entry, "typed_per_filter_config").empty()) {
        route->opaque = "overrides of a weighted cluster";
      }
    }
  } else if (Field(&action, "cluster_header")) {
    route->opaque = "cluster_header";
  } else {
    route->opaque = "cluster specifier";
  }
  route->prefix_rewrite = TextField(&action, "prefix_rewrite");
  if (const Node* rewrite = Field(&action, "regex_rewrite")) {
    std::string opaque;
    route->regex_rewrite = ReadRegex(Field(rewrite, "pattern"), &opaque);
    route->regex_substitution = TextField(rewrite, "substitution");
    if (!opaque.empty()) route->opaque = opaque;
  }
  route->host_rewrite = TextField(&action, "host_rewrite_literal");
  if (route->host_rewrite.empty()) route->host_rewrite = TextField(&action, "host_rewrite");
}

void ReadRedirect(const Node& redirect, Route* route) {
  static constexpr std::pair<const char*, int> kCodes[] = {{"MOVED_PERMANENTLY", 301},
                                                           {"FOUND", 302},
                                                           {"SEE_OTHER", 303},
                                                           {"TEMPORARY_REDIRECT", 307},
                                                           {"PERMANENT_REDIRECT", 308},
                                                           {"0", 301},
                                                           {"1", 302},
                                                           {"2", 303},
                                                           {"3", 307},
                                                           {"4", 308}};
  route->action = Route::Action::kRedirect;
  route->https_redirect = BoolField(&redirect, "https_redirect");
  route->redirect_host = TextField(&redirect, "host_redirect");
  route->redirect_path = TextField(&redirect, "path_redirect");
  route->status = 301;
  std::string code = TextField(&redirect, "response_code");
  for (const auto& [name, status] : kCodes) {
    if (code == name) route->status = status;
  }
}

Route ReadRoute(const Node& node, ReadContext* context) {
  Route route;
  route.name = TextField(&node, "name");
  route.origin.span = context->SpanOf(node);
  route.match = ReadRouteMatch(Field(&node, "match"), &route.opaque);
  if (const Node* action = Field(&node, "route")) {
    ReadClusterAction(*action, &route);
    if (const Node* cors = Field(action, "cors")) {
      FilterOverride entry;
      entry.filter = "envoy.filters.http.cors";
      entry.kind = FilterOverride::Kind::kPreflight;
      entry.span = context->SpanOf(*cors);
      route.overrides.push_back(std::move(entry));
    }
  } else if (const Node* redirect = Field(&node, "redirect")) {
    ReadRedirect(*redirect, &route);
  } else if (const Node* direct = Field(&node, "direct_response")) {
    route.action = Route::Action::kDirectResponse;
    route.status = static_cast<int>(UintField(direct, "status", 200));
  } else if (Field(&node, "non_forwarding_action") == nullptr) {
    route.opaque = "an action";
  } else {
    route.opaque = "non_forwarding_action";
  }
  for (auto& entry : ReadOverrides(&node, context)) route.overrides.push_back(std::move(entry));
  if (!route.opaque.empty()) context->NoteOpaque(route.opaque + " of route " + route.name, node);
  return route;
}

}  // namespace

std::shared_ptr<const RouteConfiguration> ReadRoutes(const Node& node, ReadContext* context) {
  auto routes = std::make_shared<RouteConfiguration>();
  routes->name = TextField(&node, "name");
  routes->ignore_port_in_host_matching = BoolField(&node, "ignore_port_in_host_matching");
  routes->validate_clusters = BoolField(&node, "validate_clusters");
  routes->ignore_path_parameters = BoolField(&node, "ignore_path_parameters_in_path_matching");
  routes->overrides = ReadOverrides(&node, context);
  const auto hosts = ItemsField(&node, "virtual_hosts");
  routes->virtual_hosts.reserve(hosts.size());
  for (const Node& entry : hosts) {
    VirtualHost host;
    host.name = TextField(&entry, "name");
    host.domains = TextsField(&entry, "domains");
    std::string tls = TextField(&entry, "require_tls");
    host.require_tls = tls == "ALL" || tls == "EXTERNAL_ONLY" || tls == "1" || tls == "2";
    host.overrides = ReadOverrides(&entry, context);
    if (const Node* matcher = Field(&entry, "matcher")) {
      host.opaque = "route matcher";
      context->NoteOpaque("route matcher of virtual host " + host.name, *matcher);
    }
    const auto listed = ItemsField(&entry, "routes");
    host.routes.reserve(listed.size());
    for (const Node& route : listed) {
      host.routes.push_back(ReadRoute(route, context));
    }
    routes->virtual_hosts.push_back(std::move(host));
  }
  if (const Node* vhds = Field(&node, "vhds")) {
    context->NoteOpaque("virtual hosts on demand of route configuration " + routes->name, *vhds);
  }
  return routes;
}

}  // namespace meshproof

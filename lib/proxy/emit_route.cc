#include "proxy/emit_route.h"

#include "proxy/emit_match.h"

namespace meshproof {
namespace {

void SetPath(const RouteMatch& match, Json* out) {
  switch (match.path_kind) {
    case RouteMatch::Path::kPrefix:
      out->Set("prefix", match.path);
      break;
    case RouteMatch::Path::kExact:
      out->Set("path", match.path);
      break;
    case RouteMatch::Path::kRegex:
      out->Set("safe_regex", Json::MakeObject({{"regex", match.path}}));
      break;
    case RouteMatch::Path::kPathSeparatedPrefix:
      out->Set("path_separated_prefix", match.path);
      break;
  }
}

}  // namespace

Json EmitRouteMatch(const RouteMatch& match) {
  Json out = Json::MakeObject();
  SetPath(match, &out);
  if (!match.case_sensitive) out.Set("case_sensitive", false);
  Json headers = Json::MakeArray();
  for (const HeaderMatcher& header : match.headers) headers.Append(EmitHeader(header));
  if (!match.headers.empty()) out.Set("headers", std::move(headers));
  Json parameters = Json::MakeArray();
  for (const auto& parameter : match.query_parameters) {
    Json entry = Json::MakeObject({{"name", parameter.name}});
    if (parameter.value) {
      entry.Set("string_match", EmitString(*parameter.value));
    } else {
      entry.Set("present_match", true);
    }
    parameters.Append(std::move(entry));
  }
  if (!match.query_parameters.empty()) out.Set("query_parameters", std::move(parameters));
  Json metadata = Json::MakeArray();
  for (const MetadataPredicate& predicate : match.dynamic_metadata) {
    metadata.Append(EmitMetadata(predicate));
  }
  if (!match.dynamic_metadata.empty()) out.Set("dynamic_metadata", std::move(metadata));
  return out;
}

namespace {

// Only what was read from a dump has overrides.
void SetOverrides(const std::vector<FilterOverride>& overrides, Json* out) {
  if (overrides.empty()) return;
  Json entries = Json::MakeObject();
  for (const FilterOverride& entry : overrides) {
    Json value = Json::MakeObject();
    switch (entry.kind) {
      case FilterOverride::Kind::kDisabled:
        value.Set("disabled", true);
        break;
      case FilterOverride::Kind::kEnabled:
        value.Set("disabled", false);
        break;
      case FilterOverride::Kind::kRbac:
        value = EmitRbacFilter(*entry.rbac, false);
        break;
      case FilterOverride::Kind::kJwtRequirement:
        value.Set("requirement_name", entry.requirement);
        break;
      case FilterOverride::Kind::kExtAuthz:
      case FilterOverride::Kind::kPreflight:
      case FilterOverride::Kind::kOpaque:
        value.Set("@type", "type.googleapis.com/" + entry.type);
        break;
    }
    entries.Set(entry.filter, std::move(value));
  }
  out->Set("typed_per_filter_config", std::move(entries));
}

Json EmitClusterAction(const Route& route) {
  Json action = Json::MakeObject();
  if (route.clusters.size() == 1 && route.clusters.front().weight == 0) {
    action.Set("cluster", route.clusters.front().cluster);
  } else {
    action.Set("weighted_clusters", EmitWeightedClusters(route.clusters));
  }
  if (route.missing_cluster_status == 500) {
    action.Set("cluster_not_found_response_code", "INTERNAL_SERVER_ERROR");
  }
  SetUnlessEmpty("prefix_rewrite", route.prefix_rewrite, &action);
  if (route.regex_rewrite) {
    action.Set(
        "regex_rewrite",
        Json::MakeObject({{"pattern", Json::MakeObject({{"regex", route.regex_rewrite.pattern()}})},
                          {"substitution", route.regex_substitution}}));
  }
  SetUnlessEmpty("host_rewrite_literal", route.host_rewrite, &action);
  return action;
}

// 301 is the default and left out.
const char* RedirectCode(int status) {
  switch (status) {
    case 302:
      return "FOUND";
    case 303:
      return "SEE_OTHER";
    case 307:
      return "TEMPORARY_REDIRECT";
    case 308:
      return "PERMANENT_REDIRECT";
    default:
      return nullptr;
  }
}

Json EmitRedirect(const Route& route) {
  Json redirect = Json::MakeObject();
  if (route.https_redirect) redirect.Set("https_redirect", true);
  SetUnlessEmpty("host_redirect", route.redirect_host, &redirect);
  SetUnlessEmpty("scheme_redirect", route.redirect_scheme, &redirect);
  if (route.redirect_port != 0) redirect.Set("port_redirect", route.redirect_port);
  SetUnlessEmpty("path_redirect", route.redirect_path, &redirect);
  if (route.has_redirect_prefix) redirect.Set("prefix_rewrite", route.redirect_prefix);
  if (const char* code = RedirectCode(route.status)) redirect.Set("response_code", code);
  return redirect;
}

Json EmitRoute(const Route& route) {
  Json out = Json::MakeObject();
  SetUnlessEmpty("name", route.name, &out);
  out.Set("match", EmitRouteMatch(route.match));
  switch (route.action) {
    case Route::Action::kCluster:
      out.Set("route", EmitClusterAction(route));
      break;
    case Route::Action::kRedirect:
      out.Set("redirect", EmitRedirect(route));
      break;
    case Route::Action::kDirectResponse:
      out.Set("direct_response", Json::MakeObject({{"status", route.status}}));
      break;
  }
  SetOverrides(route.overrides, &out);
  return out;
}

Json EmitVirtualHost(const VirtualHost& host) {
  Json out = Json::MakeObject({{"name", host.name}});
  SetUnlessEmpty("domains", host.domains, &out);
  Json routes = Json::MakeArray();
  for (const Route& route : host.routes) routes.Append(EmitRoute(route));
  if (!host.routes.empty()) out.Set("routes", std::move(routes));
  if (host.require_tls) out.Set("require_tls", "ALL");
  SetOverrides(host.overrides, &out);
  return out;
}

}  // namespace

Json EmitWeightedClusters(const std::vector<WeightedCluster>& clusters) {
  Json entries = Json::MakeArray();
  for (const WeightedCluster& cluster : clusters) {
    entries.Append(Json::MakeObject({{"name", cluster.cluster}, {"weight", cluster.weight}}));
  }
  return Json::MakeObject({{"clusters", std::move(entries)}});
}

Json EmitRoutes(const RouteConfiguration& routes) {
  Json out = Json::MakeObject({{"name", routes.name}});
  Json hosts = Json::MakeArray();
  for (const VirtualHost& host : routes.virtual_hosts) hosts.Append(EmitVirtualHost(host));
  if (!routes.virtual_hosts.empty()) out.Set("virtual_hosts", std::move(hosts));
  // A wrapped boolean: without it Envoy would check inline routes' clusters.
  out.Set("validate_clusters", routes.validate_clusters);
  if (routes.ignore_port_in_host_matching) out.Set("ignore_port_in_host_matching", true);
  SetOverrides(routes.overrides, &out);
  return out;
}

}  // namespace meshproof

// Envoy's route selection and router filter (envoy-facts section 5). A virtual host is chosen once,
// there is no fallback to another; in it the first route whose conditions all hold takes the
// request.

#include "simulate/router.h"

#include <algorithm>

#include "base/text.h"
#include "match/path.h"
#include "simulate/codec.h"
#include "simulate/query.h"

namespace meshproof {
namespace {

bool MatchesPath(const RouteMatch& match, std::string_view path) {
  using Path = RouteMatch::Path;
  auto starts = [&](std::string_view prefix) {
    return match.case_sensitive ? path.starts_with(prefix) : StartsWithIgnoreCase(path, prefix);
  };
  switch (match.path_kind) {
    case Path::kPrefix:
      return starts(match.path);
    case Path::kExact:
      return path.size() == match.path.size() && starts(match.path);
    case Path::kRegex:
      return match.regex && match.regex.FullMatch(path);
    case Path::kPathSeparatedPrefix:
      return starts(match.path) &&
             (path.size() == match.path.size() || path[match.path.size()] == '/');
  }
  return false;
}

// Values are compared as sent, not decoded; of a repeated parameter the first counts.
bool MatchesQuery(const RouteMatch& match, std::string_view path) {
  if (match.query_parameters.empty()) return true;
  QueryParams params = ParseQuery(path, PercentDecoding::kNo);
  return std::all_of(match.query_parameters.begin(), match.query_parameters.end(),
                     [&](const RouteMatch::QueryParameter& parameter) {
                       auto found = params.find(parameter.name);
                       if (found == params.end()) return false;
                       return !parameter.value || parameter.value->Matches(found->second.front());
                     });
}

}  // namespace

Truth MatchesRoute(const RouteMatch& match, Stream* stream, std::vector<std::string>* unknown) {
  std::string_view path = stream->headers.path;
  if (!MatchesPath(match, PathWithoutQuery(path)) || !MatchesQuery(match, path)) {
    return Truth::kFalse;
  }
  Truth result = Truth::kTrue;
  for (const auto& header : match.headers) {
    Truth value = Evaluate(header, *stream, unknown);
    if (value == Truth::kFalse) return value;
    if (value == Truth::kUnknown) result = value;
  }
  for (const auto& metadata : match.dynamic_metadata) {
    Truth value = Evaluate(metadata, *stream, FilterLevel::kHttp, unknown);
    if (value == Truth::kFalse) return value;
    if (value == Truth::kUnknown) result = value;
  }
  return result;
}

namespace {

bool ClusterExists(const ProxyConfig& proxy, const std::string& cluster) {
  if (!proxy.clusters_known) return true;
  if (cluster == "PassthroughCluster" || cluster == "BlackHoleCluster") return true;
  return std::find(proxy.clusters.begin(), proxy.clusters.end(), cluster) != proxy.clusters.end();
}

// Weighted clusters are drawn at random; the first that has a weight stands for all.
const std::string& ChooseCluster(const std::vector<WeightedCluster>& clusters) {
  static const std::string kNone;
  for (const auto& cluster : clusters) {
    if (cluster.weight > 0) return cluster.cluster;
  }
  return clusters.empty() ? kNone : clusters.front().cluster;
}

std::string RewrittenPath(const Route& route, std::string_view path) {
  if (!route.prefix_rewrite.empty() && route.match.path_kind != RouteMatch::Path::kRegex &&
      route.match.path.size() <= path.size()) {
    return route.prefix_rewrite + std::string(path.substr(route.match.path.size()));
  }
  if (route.regex_rewrite) {
    // The query stays as it is.
    const std::string_view plain = PathWithoutQuery(path);
    return route.regex_rewrite.Replace(plain, route.regex_substitution) +
           std::string(path.substr(plain.size()));
  }
  return std::string(path);
}

// What the route does to request headers before it forwards.
void ChangeHeaders(const Route& route, std::vector<std::pair<std::string, std::string>>* headers) {
  const auto remove = [&](const std::string& name) {
    std::erase_if(*headers,
                  [&](const auto& header) { return EqualsIgnoreCase(header.first, name); });
  };
  for (const auto& name : route.request_headers_remove) remove(name);
  for (const auto& [name, value] : route.request_headers_set) {
    remove(name);
    headers->emplace_back(ToLower(name), value);
  }
  for (const auto& [name, value] : route.request_headers_add) {
    headers->emplace_back(ToLower(name), value);
  }
}

void Forward(const Route* route, const std::string& cluster, Stream* stream) {
  Verdict& verdict = *stream->verdict;
  bool http = stream->request->protocol != WireProtocol::kTcp;
  verdict.outcome = Outcome::kAllow;
  verdict.stage = Stage::kAllow;
  verdict.status = http ? 200 : 0;
  verdict.details = "via_upstream";
  if (IsUpgrade(stream->headers)) verdict.status = 101;
  if (stream->request->protocol == WireProtocol::kGrpc) verdict.grpc_status = 0;
  const ProxyMode mode = stream->proxy->mode;
  if (!stream->trace && mode != ProxyMode::kGateway && mode != ProxyMode::kWaypoint) return;
  verdict.cluster = cluster;
  verdict.forwarded_path =
      route != nullptr ? RewrittenPath(*route, stream->headers.path) : stream->headers.path;
  verdict.forwarded_authority = route != nullptr && !route->host_rewrite.empty()
                                    ? route->host_rewrite
                                    : std::string(stream->headers.authority);
  verdict.forwarded_headers.clear();
  verdict.opaque_headers.clear();
  for (const auto& entry : stream->headers.entries()) {
    verdict.forwarded_headers.emplace_back(entry.name, entry.value);
    if (entry.opaque) verdict.opaque_headers.emplace_back(entry.name);
  }
  if (route != nullptr) ChangeHeaders(*route, &verdict.forwarded_headers);
  if (stream->opaque_forwarded_for) verdict.forwarded_for = stream->request->connection.source;
}

}  // namespace

std::string_view StripPort(std::string_view authority) {
  size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos) return authority;
  size_t bracket = authority.rfind(']');
  if (bracket != std::string_view::npos && bracket > colon) return authority;
  return authority.substr(0, colon);
}

RouteTable::RouteTable(const RouteConfiguration& routes) : routes_(routes) {
  for (const auto& host : routes.virtual_hosts) {
    for (const auto& written : host.domains) {
      std::string domain = ToLower(written);
      if (domain == "*") {
        default_ = &host;
      } else if (domain.starts_with('*')) {
        suffixes_.push_back({domain.substr(1), &host});
      } else if (domain.ends_with('*')) {
        prefixes_.push_back({domain.substr(0, domain.size() - 1), &host});
      } else {
        exact_.emplace(std::move(domain), &host);
      }
    }
  }
  auto longer = [](const Wildcard& a, const Wildcard& b) { return a.text.size() > b.text.size(); };
  std::stable_sort(suffixes_.begin(), suffixes_.end(), longer);
  std::stable_sort(prefixes_.begin(), prefixes_.end(), longer);
}

const VirtualHost* RouteTable::FindHost(std::string_view authority) const {
  if (routes_.ignore_port_in_host_matching) authority = StripPort(authority);
  std::string host = ToLower(authority);
  auto found = exact_.find(host);
  if (found != exact_.end()) return found->second;
  // The wildcard stands for at least one character.
  for (const auto& wildcard : suffixes_) {
    if (wildcard.text.size() < host.size() && host.ends_with(wildcard.text)) return wildcard.host;
  }
  for (const auto& wildcard : prefixes_) {
    if (wildcard.text.size() < host.size() && host.starts_with(wildcard.text)) return wildcard.host;
  }
  return default_;
}

RouteChoice RouteTable::Find(Stream* stream) const {
  RouteChoice choice;
  choice.host = FindHost(stream->headers.authority);
  if (choice.host == nullptr) return choice;
  if (choice.host->require_tls) {
    const auto* scheme = stream->headers.Find("x-forwarded-proto");
    if (scheme == nullptr || scheme->value != "https") {
      choice.kind = RouteChoice::Kind::kTlsRedirect;
      return choice;
    }
  }
  if (!stream->headers.has_path) return choice;
  if (!choice.host->opaque.empty()) {
    choice.unknown =
        choice.host->opaque + " of virtual host " + choice.host->name + " cannot be seen through";
    return choice;
  }
  for (const auto& route : choice.host->routes) {
    std::vector<std::string> unknown;
    Truth matched = MatchesRoute(route.match, stream, &unknown);
    if (matched == Truth::kFalse) continue;
    if (matched == Truth::kUnknown) choice.unknown = Join(unknown, "; ");
    if (!route.opaque.empty()) {
      choice.unknown = route.opaque + " of route " + route.name + " cannot be seen through";
    }
    choice.kind = RouteChoice::Kind::kRoute;
    choice.route = &route;
    return choice;
  }
  return choice;
}

void RunRouter(const RouteChoice& choice, const std::string& cluster, Stream* stream) {
  auto answer = [&](int status, std::string details, std::string_view flags = "-") {
    SendLocalReply(stream, Outcome::kAllow, status, std::move(details), "", Stage::kAllow, flags);
  };
  if (!choice.unknown.empty()) {
    EndUndetermined(stream, choice.unknown);
    return;
  }
  switch (choice.kind) {
    case RouteChoice::Kind::kNone:
      stream->AddStep(Stage::kNone, Step::Result::kNoMatch,
                      "no route takes " + std::string(stream->headers.authority) +
                          std::string(stream->headers.path));
      answer(404, "route_not_found", "NR");
      return;
    case RouteChoice::Kind::kTlsRedirect:
      stream->AddStep(Stage::kNone, Step::Result::kMatch,
                      "virtual host " + choice.host->name + " redirects to HTTPS");
      answer(301, "direct_response");
      return;
    case RouteChoice::Kind::kDefault:
      Forward(nullptr, cluster, stream);
      return;
    case RouteChoice::Kind::kRoute:
      break;
  }
  const Route& route = *choice.route;
  if (route.action != Route::Action::kCluster) {
    bool redirect = route.action == Route::Action::kRedirect;
    stream->AddStep(Stage::kNone, Step::Result::kMatch,
                    "route " + route.name + (redirect ? " redirects" : " answers itself"),
                    route.origin);
    answer(route.status == 0 ? (redirect ? 301 : 200) : route.status, "direct_response");
    return;
  }
  const std::string& chosen = ChooseCluster(route.clusters);
  if (stream->trace) {
    std::string text = "route " + route.name + " to " + chosen;
    if (route.clusters.size() > 1) {
      text += " (one of " + std::to_string(route.clusters.size()) + " by weight)";
    }
    stream->AddStep(Stage::kNone, Step::Result::kMatch, std::move(text), route.origin);
  }
  if (!ClusterExists(*stream->proxy, chosen)) {
    answer(route.missing_cluster_status, "cluster_not_found", "NC");
    return;
  }
  Forward(&route, chosen, stream);
}

}  // namespace meshproof

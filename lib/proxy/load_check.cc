// istiod does not check everything that Envoy does. Each thing here was refused by the real Envoy
// when a listener held it (the oracle's facts): key sets without a usable key, path templates that
// do not parse, regular expressions that do not compile, empty prefixes and suffixes, two filter
// chains with the same conditions.

#include "proxy/load_check.h"

#include <map>
#include <mutex>
#include <set>
#include <type_traits>

#include "crypto/jwt.h"
#include "match/path.h"

namespace meshproof {
namespace {

// Key sets repeat over policies and proxies: each text is parsed once.
std::string KeySetError(const std::string& text) {
  static std::mutex mutex;
  static std::map<std::string, std::string> known;
  {
    const std::lock_guard lock(mutex);
    if (const auto found = known.find(text); found != known.end()) return found->second;
  }
  std::string error = Jwks::Parse(text).status().text;
  const std::lock_guard lock(mutex);
  return known.emplace(text, std::move(error)).first->second;
}

std::string MatcherError(const StringMatcher& matcher) {
  switch (matcher.kind) {
    case StringMatcher::Kind::kExact:
      return "";
    case StringMatcher::Kind::kPrefix:
      return matcher.value.empty() ? "a string matcher's prefix is empty" : "";
    case StringMatcher::Kind::kSuffix:
      return matcher.value.empty() ? "a string matcher's suffix is empty" : "";
    case StringMatcher::Kind::kContains:
      return matcher.value.empty() ? "a string matcher's contains is empty" : "";
    case StringMatcher::Kind::kRegex:
      if (matcher.ignore_case) return "ignore_case has no effect for safe_regex";
      return matcher.regex ? "" : "the regular expression " + matcher.value + " does not compile";
  }
  return "";
}

std::string ValueError(const ValueMatcher& value) {
  if (value.kind == ValueMatcher::Kind::kString) return MatcherError(value.string);
  for (const ValueMatcher& child : value.children) {
    std::string error = ValueError(child);
    if (!error.empty()) return error;
  }
  return "";
}

std::string HeaderError(const HeaderMatcher& header) {
  if (header.name.empty()) return "a header matcher has no name";
  return header.kind == HeaderMatcher::Kind::kString ? MatcherError(header.string) : "";
}

std::string MetadataError(const MetadataPredicate& metadata) {
  for (const std::string& key : metadata.path) {
    if (key.empty()) return "a metadata matcher's path has an empty key";
  }
  return ValueError(metadata.value);
}

std::string PredicateError(const Predicate& predicate);

std::string AnyError(const std::vector<Predicate>& predicates) {
  for (const Predicate& predicate : predicates) {
    std::string error = PredicateError(predicate);
    if (!error.empty()) return error;
  }
  return "";
}

std::string PredicateError(const Predicate& predicate) {
  return std::visit(
      [](const auto& match) -> std::string {
        using T = std::decay_t<decltype(match)>;
        if constexpr (std::is_same_v<T, AndPredicate>) {
          return AnyError(match.all);
        } else if constexpr (std::is_same_v<T, OrPredicate>) {
          return AnyError(match.any);
        } else if constexpr (std::is_same_v<T, NotPredicate>) {
          return AnyError(match.inner);
        } else if constexpr (std::is_same_v<T, HeaderPredicate>) {
          return HeaderError(match.header);
        } else if constexpr (std::is_same_v<T, UrlPathPredicate>) {
          return MatcherError(match.path);
        } else if constexpr (std::is_same_v<T, PathTemplatePredicate>) {
          if (match.regex) return "";
          const Result<Regex> regex = CompilePathTemplate(match.path_template);
          return "the path template " + match.path_template + " is invalid" +
                 (regex.ok() ? "" : ": " + regex.error().message);
        } else if constexpr (std::is_same_v<T, ServerNamePredicate>) {
          return MatcherError(match.name);
        } else if constexpr (std::is_same_v<T, MetadataPredicate>) {
          return MetadataError(match);
        } else if constexpr (std::is_same_v<T, FilterStatePredicate>) {
          return MatcherError(match.value);
        } else if constexpr (std::is_same_v<T, AuthenticatedPredicate>) {
          return match.principal_name ? MatcherError(*match.principal_name) : "";
        } else if constexpr (std::is_same_v<T, InputPredicate>) {
          return MatcherError(match.value);
        } else {
          return "";
        }
      },
      predicate.match);
}

// Envoy keeps chains in a trie and refuses two that end at the same place.
std::vector<std::string> ChainKeys(const FilterChainMatch& match) {
  std::vector<std::string> keys = {std::to_string(match.destination_port) + "\n" +
                                   match.transport_protocol + "\n" +
                                   std::to_string(static_cast<int>(match.source_type))};
  // Any of the values; none of them stands for all.
  const auto add_level = [&](const std::vector<std::string>& values) {
    if (values.size() <= 1) {
      for (std::string& key : keys) {
        key += '\n';
        if (!values.empty()) key += values.front();
      }
      return;
    }
    std::vector<std::string> longer;
    longer.reserve(keys.size() * values.size());
    for (const std::string& key : keys) {
      for (const std::string& value : values) longer.push_back(key + "\n" + value);
    }
    keys = std::move(longer);
  };
  const auto add_ranges = [&](const std::vector<CidrRange>& list) {
    std::vector<std::string> texts;
    for (const CidrRange& range : list) texts.push_back(ToString(range));
    add_level(texts);
  };
  add_ranges(match.prefix_ranges);
  add_level(match.server_names);
  add_level(match.application_protocols);
  add_ranges(match.direct_source_prefix_ranges);
  add_ranges(match.source_prefix_ranges);
  std::vector<std::string> ports;
  for (const uint32_t port : match.source_ports) ports.push_back(std::to_string(port));
  add_level(ports);
  return keys;
}

class Checker {
 public:
  explicit Checker(const ProxyConfig& proxy) : proxy_(proxy) {}

  std::vector<LoadFailure> Check() {
    for (const Listener& listener : proxy_.listeners) CheckListener(listener);
    return std::move(failures_);
  }

  void operator()(const RbacFilter& filter) {
    for (const auto* rules : {&filter.rules, &filter.shadow_rules}) {
      if (!*rules) continue;
      for (const auto& policy : (*rules)->policies) {
        if (!seen_.insert(policy.get()).second) continue;
        Report(AnyError(policy->permissions), policy->origin);
        Report(AnyError(policy->principals), policy->origin);
      }
    }
  }
  void operator()(const JwtFilter& filter) {
    for (const JwtProvider& provider : filter.providers) {
      if (!provider.local_jwks) continue;
      const std::string error = KeySetError(*provider.local_jwks);
      if (error.empty()) continue;
      Report(
          "Provider '" + provider.name + "' in jwt_authn config has invalid local jwks: " + error,
          provider.origin);
    }
  }
  void operator()(const ExtAuthzFilter& filter) {
    for (const auto* list :
         {&filter.allowed_headers, &filter.allowed_upstream_headers, &filter.allowed_client_headers,
          &filter.allowed_client_headers_on_success}) {
      for (const StringMatcher& matcher : *list) Report(MatcherError(matcher), filter.origin);
    }
  }
  void operator()(const std::shared_ptr<const HttpConnectionManager>& manager) {
    for (const HttpFilter& filter : manager->http_filters) std::visit(*this, filter);
    if (const RouteConfiguration* routes = proxy_.FindRoutes(manager->rds)) CheckRoutes(*routes);
  }
  void operator()(const TcpProxy& proxy) {
    if (proxy.cluster.empty() && proxy.weighted_clusters.empty()) {
      Report("a TCP proxy has no cluster", {});
    }
  }
  void operator()(const OpaqueFilter&) {}

 private:
  void CheckListener(const Listener& listener) {
    listener_ = &listener;
    seen_.clear();
    reported_.clear();
    std::map<std::string, const FilterChain*> chains;
    std::set<const void*> filters;
    for (const FilterChain& chain : listener.filter_chains) {
      // Where a matcher chooses among them, chains need no match of their own.
      std::vector<std::string> keys;
      if (!listener.waypoint) keys = ChainKeys(chain.match);
      for (std::string& key : keys) {
        if (!chains.emplace(std::move(key), &chain).second) {
          Report("two filter chains have the same matching rules", listener.origin);
        }
      }
      if (!filters.insert(chain.filters.get()).second) continue;
      for (const NetworkFilter& filter : *chain.filters) std::visit(*this, filter);
    }
  }

  // A refused route configuration leaves its listener without one.
  void CheckRoutes(const RouteConfiguration& routes) {
    for (const VirtualHost& host : routes.virtual_hosts) {
      for (const Route& route : host.routes) CheckRoute(route);
    }
  }

  void CheckRoute(const Route& route) {
    const RouteMatch& match = route.match;
    if (match.path_kind == RouteMatch::Path::kRegex && !match.regex) {
      Report("the regular expression " + match.path + " of a route does not compile", route.origin);
    }
    for (const HeaderMatcher& header : match.headers) Report(HeaderError(header), route.origin);
    for (const auto& parameter : match.query_parameters) {
      if (parameter.value) Report(MatcherError(*parameter.value), route.origin);
    }
    for (const MetadataPredicate& metadata : match.dynamic_metadata) {
      Report(MetadataError(metadata), route.origin);
    }
    if (route.action == Route::Action::kCluster && route.clusters.empty()) {
      Report("a route has no cluster", route.origin);
    }
  }

  void Report(const std::string& reason, const Origin& origin) {
    if (reason.empty() || !reported_.insert(reason).second) return;
    failures_.push_back({listener_->name, reason, origin});
  }

  const ProxyConfig& proxy_;
  const Listener* listener_ = nullptr;
  std::set<const RbacPolicy*> seen_;
  std::set<std::string> reported_;
  std::vector<LoadFailure> failures_;
};

}  // namespace

std::vector<LoadFailure> FindLoadFailures(const ProxyConfig& proxy) {
  return Checker(proxy).Check();
}

}  // namespace meshproof

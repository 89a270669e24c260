// Which requests the routes of a gateway take: the most special domain, then the first route.

#include <algorithm>

#include "base/text.h"
#include "reason/translator.h"

namespace meshproof {

Expr PortModel::Translator::DomainMatches(std::string_view written, bool ignore_port) {
  std::string domain = ToLower(written);
  if (domain == "*") return kAlways;
  std::string port = ignore_port ? "(:[^:\\]]*)?" : "";
  std::string pattern;
  std::string sample;
  if (domain.starts_with('*')) {
    pattern = ".+" + QuotedForRegex(domain.substr(1)) + port;
    sample = "x" + domain.substr(1);
  } else if (domain.ends_with('*')) {
    pattern = QuotedForRegex(domain.substr(0, domain.size() - 1)) + ".+";
    sample = domain.substr(0, domain.size() - 1) + "x";
  } else {
    pattern = QuotedForRegex(domain) + port;
    sample = domain;
  }
  space.AddCandidate(Host(), sample, 1);
  if (host_case_matters) {
    return Opaque("host ~ " + domain, "hosts of routes beside a case-sensitive host condition");
  }
  return Text(Host(), {StringPattern::Kind::kRegex, pattern, false});
}

Expr PortModel::Translator::RouteMatches(const RouteMatch& match, const Scope& scope) {
  std::vector<Expr> all;
  using Kind = RouteMatch::Path;
  bool fold = !match.case_sensitive;
  switch (match.path_kind) {
    case Kind::kPrefix:
      if (match.path != "/") {
        space.AddCandidate(Path(), match.path, 2);
        all.push_back(Text(Path(), {StringPattern::Kind::kPrefix, match.path, fold}, 3));
      }
      break;
    case Kind::kExact:
      all.push_back(Text(Path(), {StringPattern::Kind::kExact, match.path, fold}));
      break;
    case Kind::kRegex:
      all.push_back(Text(Path(), {StringPattern::Kind::kRegex,
                                  match.regex ? match.regex.pattern() : match.path, false}));
      break;
    case Kind::kPathSeparatedPrefix:
      all.push_back(space.Or(Text(Path(), {StringPattern::Kind::kExact, match.path, fold}),
                             Text(Path(), {StringPattern::Kind::kPrefix, match.path + "/", fold})));
      break;
  }
  for (const HeaderMatcher& header : match.headers) all.push_back(Header(header, scope));
  for (const MetadataPredicate& metadata : match.dynamic_metadata) {
    all.push_back(Metadata(metadata, scope));
  }
  for (const RouteMatch::QueryParameter& parameter : match.query_parameters) {
    all.push_back(Query(parameter));
  }
  return space.AndAll(std::move(all));
}

Expr PortModel::Translator::Query(const RouteMatch::QueryParameter& parameter) {
  bool plain = !parameter.value || (parameter.value->kind == StringMatcher::Kind::kExact &&
                                    !parameter.value->ignore_case);
  std::string value = parameter.value ? parameter.value->value : "x";
  bool sendable = value.find_first_of("&#% ") == std::string::npos &&
                  parameter.name.find_first_of("&#%= ") == std::string::npos;
  if (!plain || !sendable) {
    return Opaque("query " + parameter.name + value,
                  "a condition of this form on the query parameter " + parameter.name);
  }
  std::string key = "query " + parameter.name + "=" + value;
  Expr flag = Flag(key);
  for (const auto& [other, named] : model.query_flags_) {
    if (named.first == parameter.name && other != key) {
      space.Constrain(space.Not(space.And(flag, Flag(other))));
    }
  }
  model.query_flags_[key] = {parameter.name, value};
  return flag;
}

// Which routes take what; `found` gets the requests that any takes.
void PortModel::Translator::Routes(const RouteConfiguration& routes, const Scope& scope,
                                   ChainModel* chain, Expr* found) {
  struct DomainEntry {
    int kind;  // 0 exact, 1 suffix, 2 prefix, 3 default
    size_t length;
    std::string domain;
    const VirtualHost* host;
  };
  std::vector<DomainEntry> entries;
  for (const VirtualHost& virtual_host : routes.virtual_hosts) {
    for (const std::string& domain : virtual_host.domains) {
      int kind = domain == "*" ? 3 : domain.starts_with('*') ? 1 : domain.ends_with('*') ? 2 : 0;
      entries.push_back({kind, domain.size(), domain, &virtual_host});
    }
  }
  std::stable_sort(entries.begin(), entries.end(), [](const DomainEntry& a, const DomainEntry& b) {
    return a.kind != b.kind ? a.kind < b.kind : (a.kind != 0 && a.length > b.length);
  });
  std::map<const VirtualHost*, std::vector<Expr>> by_host;
  Expr left = kAlways;
  for (const DomainEntry& entry : entries) {
    Expr matches = DomainMatches(entry.domain, routes.ignore_port_in_host_matching);
    by_host[entry.host].push_back(space.And(left, matches));
    left = space.And(left, space.Not(matches));
  }
  std::vector<Expr> any;
  for (const VirtualHost& virtual_host : routes.virtual_hosts) {
    Expr rest = space.OrAll(by_host[&virtual_host]);
    if (virtual_host.require_tls && !scope.tls) {
      any.push_back(rest);  // a redirect
      continue;
    }
    for (const Route& route : virtual_host.routes) {
      Expr matches = RouteMatches(route.match, scope);
      Expr own = space.And(rest, matches);
      chain->routes.push_back({&route, &virtual_host, own});
      any.push_back(own);
      rest = space.And(rest, space.Not(matches));
    }
  }
  *found = space.OrAll(std::move(any));
}

}  // namespace meshproof

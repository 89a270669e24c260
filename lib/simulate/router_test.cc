// Each row is what Envoy 1.40 answered (envoy-facts section 5); the oracle of virtual hosts tells
// the lookup the slow way.

#include "simulate/router.h"

#include <doctest/doctest.h>

#include "base/text.h"
#include "simulate/simulate_testing.h"

namespace meshproof::router_test {
namespace {

using testing::Get;
using testing::Summary;

constexpr const char* kNoRoute = "allow 404 route_not_found NR";

Route Answering(int status, RouteMatch match = {}) {
  Route route;
  route.match = std::move(match);
  route.action = Route::Action::kDirectResponse;
  route.status = status;
  return route;
}
Route To(std::string cluster) {
  Route route;
  route.name = "r";
  route.clusters = {{std::move(cluster), 0}};
  return route;
}
VirtualHost Host(std::vector<std::string> domains, std::vector<Route> routes) {
  VirtualHost host;
  host.name = domains.front();
  host.domains = std::move(domains);
  host.routes = std::move(routes);
  return host;
}
RouteMatch Path(RouteMatch::Path kind, std::string path) {
  RouteMatch match;
  match.path_kind = kind;
  match.path = std::move(path);
  if (kind == RouteMatch::Path::kRegex) match.regex = Regex::Compile(match.path).value();
  return match;
}

std::shared_ptr<ProxyConfig> Proxy(std::vector<VirtualHost> hosts, bool ignore_port = false) {
  auto routes = std::make_shared<RouteConfiguration>();
  routes->virtual_hosts = std::move(hosts);
  routes->ignore_port_in_host_matching = ignore_port;
  HttpConnectionManager manager = testing::Manager({});
  manager.routes = std::move(routes);
  return testing::Sidecar({testing::HttpChain(std::move(manager))});
}
std::shared_ptr<ProxyConfig> Proxy(std::vector<Route> routes) {
  return Proxy({Host({"*"}, std::move(routes))});
}

int StatusAt(const std::shared_ptr<ProxyConfig>& proxy, const std::string& authority) {
  ProxyRequest request = Get();
  request.authority = authority;
  return testing::RunOn(proxy, request).status;
}

// Of all domains that cover a host the best: exact, then the longest with `*` in front, then the
// longest with `*` behind, then `*`.
std::string SlowFind(const std::vector<std::string>& domains, const std::string& authority) {
  std::string host = ToLower(authority);
  std::string best;
  size_t best_rank = 0;
  for (const auto& domain : domains) {
    size_t rank = 0;
    size_t length = domain.size();
    if (domain == "*") {
      rank = 1;
    } else if (domain[0] == '*') {
      if (host.size() >= length && host.substr(host.size() - length + 1) == domain.substr(1)) {
        rank = 2000 + length;
      }
    } else if (domain.back() == '*') {
      if (host.size() >= length && host.substr(0, length - 1) == domain.substr(0, length - 1)) {
        rank = 1000 + length;
      }
    } else if (host == domain) {
      rank = 3000;
    }
    if (rank > best_rank) {
      best_rank = rank;
      best = domain;
    }
  }
  return best;
}

}  // namespace

TEST_CASE("virtual hosts: exact, longest suffix, prefix, all; no fallback") {
  auto proxy = Proxy({Host({"a.b.test"}, {Answering(201)}), Host({"*.b.test"}, {Answering(202)}),
                      Host({"*.test"}, {Answering(203)}), Host({"a.*"}, {Answering(204)}),
                      Host({"*"}, {Answering(205)}), Host({"empty.test"}, {})});
  struct Row {
    const char* authority;
    int status;
  };
  const Row kRows[] = {{"a.b.test", 201}, {"A.B.TEST", 201},   {"x.b.test", 202},
                       {".b.test", 203},  {"x.test", 203},     {"a.zz", 204},
                       {"zz", 205},       {"empty.test", 404}, {"a.b.test:80", 204}};
  for (const auto& row : kRows) {
    CAPTURE(row.authority);
    CHECK(StatusAt(proxy, row.authority) == row.status);
  }
  auto one = Proxy({Host({"a.test"}, {Answering(201)})});
  CHECK(StatusAt(one, "b.test") == 404);
  CHECK(StatusAt(one, "a.test:80") == 404);
  auto ported = Proxy({Host({"a.test"}, {Answering(201)})}, true);
  CHECK(StatusAt(ported, "a.test:80") == 201);
}

TEST_CASE("virtual hosts: every small set of domains, against the slow way") {
  const std::vector<std::string> kDomains = {"*",  "a",  "b.a", "*a",    "*.a",  "*b.a",
                                             "a*", "b*", "b.*", "*.b.a", "c.b.a"};
  const std::vector<std::string> kHosts = {"a", "b.a",  ".a",    "c.b.a", "B.A",
                                           "x", "a:80", "b",     "b.",    ".b.a",
                                           "",  "ab",   "b.a:1", "xb.a",  "c.B.a"};
  int compared = 0;
  for (unsigned set = 0; set < 1U << kDomains.size(); ++set) {
    RouteConfiguration routes;
    std::vector<std::string> domains;
    for (size_t i = 0; i < kDomains.size(); ++i) {
      if ((set >> i & 1U) == 0) continue;
      domains.push_back(kDomains[i]);
      routes.virtual_hosts.push_back(Host({kDomains[i]}, {}));
    }
    RouteTable table(routes);
    for (const auto& host : kHosts) {
      const VirtualHost* found = table.FindHost(host);
      ++compared;
      if ((found == nullptr ? "" : found->name) != SlowFind(domains, host)) {
        FAIL("host " << host << " set " << set);
      }
    }
  }
  CHECK(compared == 2048 * 15);
}

TEST_CASE("hosts without their port") {
  CHECK(StripPort("a:80") == "a");
  CHECK(StripPort("a") == "a");
  CHECK(StripPort("[::1]:80") == "[::1]");
  CHECK(StripPort("[::1]") == "[::1]");
  CHECK(StripPort("") == "");
}

TEST_CASE("routes by path") {
  using P = RouteMatch::Path;
  RouteMatch any_case = Path(P::kPrefix, "/CI");
  any_case.case_sensitive = false;
  auto proxy =
      Proxy({Answering(201, Path(P::kPathSeparatedPrefix, "/ps")),
             Answering(202, Path(P::kExact, "/ex")), Answering(203, Path(P::kRegex, "/re")),
             Answering(204, any_case), Answering(205, Path(P::kPrefix, "/pre"))});
  struct Row {
    const char* path;
    int status;
  };
  const Row kRows[] = {{"/ps", 201},  {"/ps/a", 201}, {"/psa", 404}, {"/ps?q", 201}, {"/PS", 404},
                       {"/ex", 202},  {"/ex?q", 202}, {"/ex/", 404}, {"/re?q", 203}, {"/rex", 404},
                       {"/cix", 204}, {"/CIX", 204},  {"/pre", 205}, {"/prex", 205}, {"/pr", 404}};
  for (const auto& row : kRows) {
    CAPTURE(row.path);
    Verdict verdict = testing::RunOn(proxy, Get(row.path));
    CHECK(Summary(verdict) == (row.status == 404
                                   ? std::string(kNoRoute)
                                   : "allow " + std::to_string(row.status) + " direct_response -"));
  }
  // The first that matches wins.
  CHECK(testing::RunOn(Proxy({Answering(201), Answering(202)}), Get()).status == 201);
}

TEST_CASE("routes by header, parameter and claim") {
  HeaderMatcher header;
  header.name = "x-a";
  header.kind = HeaderMatcher::Kind::kString;
  header.string = StringMatcher::Exact("a");
  RouteMatch by_header;
  by_header.headers = {header};
  auto proxy = Proxy({Answering(418, by_header), Answering(201)});
  auto status = [&](std::vector<std::pair<std::string, std::string>> headers,
                    const char* path = "/") {
    ProxyRequest request = Get(path);
    request.headers = std::move(headers);
    return testing::RunOn(proxy, request).status;
  };
  CHECK(status({{"x-a", "a"}}) == 418);
  CHECK(status({{"x-a", "b"}, {"x-a", "a"}}) == 418);  // each value is tested
  CHECK(status({{"x-a", "a,b"}}) == 201);
  CHECK(status({}) == 201);

  RouteMatch by_query;
  by_query.query_parameters = {{"q", StringMatcher::Exact("1")}, {"r", std::nullopt}};
  proxy = Proxy({Answering(418, by_query), Answering(201)});
  CHECK(status({}, "/?q=1&r") == 418);
  CHECK(status({}, "/?r=x&q=1") == 418);
  CHECK(status({}, "/?q=1") == 201);
  CHECK(status({}, "/?q=2&q=1&r") == 201);  // the first value counts
  CHECK(status({}, "/?q=%31&r") == 201);    // as sent

  MetadataPredicate claim;
  claim.filter = "envoy.filters.http.jwt_authn";
  claim.path = {"payload", "group"};
  claim.value = testing::Text("admin");
  RouteMatch by_claim;
  by_claim.dynamic_metadata = {claim};
  JwtProvider provider;
  provider.name = "p";
  provider.local_jwks = "";
  provider.payload_in_metadata = "payload";
  provider.clear_route_cache = true;
  JwtRequirement requirement;
  requirement.kind = JwtRequirement::Kind::kProvider;
  requirement.provider = "p";
  JwtFilter jwt;
  jwt.providers = {provider};
  jwt.rules = {{"/", requirement}};
  auto routes = std::make_shared<RouteConfiguration>();
  routes->virtual_hosts = {Host({"*"}, {Answering(418, by_claim), Answering(201)})};
  auto answer = [&](bool clears) {
    jwt.providers[0].clear_route_cache = clears;
    HttpConnectionManager manager = testing::Manager({jwt});
    manager.routes = routes;
    ProxyRequest request = Get();
    request.claims = ParseJson(R"({"group":"admin"})").value();
    return testing::RunOn(testing::Sidecar({testing::HttpChain(std::move(manager))}), request)
        .status;
  };
  CHECK(answer(true) == 418);
  CHECK(answer(false) == 201);  // the route was chosen before the claims were there
}

TEST_CASE("a condition that is not known leaves the route open") {
  HeaderMatcher id;
  id.name = "x-request-id";
  id.kind = HeaderMatcher::Kind::kString;
  id.string = StringMatcher::Prefix("ab");
  RouteMatch match;
  match.headers = {id};
  Verdict verdict = testing::RunOn(Proxy({Answering(201, match), Answering(202)}), Get());
  CHECK(Summary(verdict) == "undetermined 0  -");
  CHECK_FALSE(verdict.missing.empty());
}

TEST_CASE("redirects, direct responses and clusters") {
  Route redirect;
  redirect.action = Route::Action::kRedirect;
  CHECK(Summary(testing::RunOn(Proxy({redirect}), Get())) == "allow 301 direct_response -");
  redirect.status = 308;
  CHECK(Summary(testing::RunOn(Proxy({redirect}), Get())) == "allow 308 direct_response -");
  CHECK(Summary(testing::RunOn(Proxy({Answering(418)}), Get())) == "allow 418 direct_response -");
  CHECK(Summary(testing::RunOn(Proxy(std::vector<Route>{}), Get())) == kNoRoute);

  auto proxy = Proxy({To("outbound|80||a.test")});
  CHECK(Summary(testing::RunOn(proxy, Get())) == "allow 503 cluster_not_found NC");
  proxy->clusters = {"outbound|80||a.test"};
  CHECK(Summary(testing::RunOn(proxy, Get())) == "allow 200 via_upstream -");
  CHECK(Summary(testing::RunOn(Proxy({To("PassthroughCluster")}), Get())) ==
        "allow 200 via_upstream -");

  // A weight of nothing takes nothing.
  Route weighted;
  weighted.clusters = {{"gone", 0}, {"there", 100}};
  proxy = Proxy({weighted});
  proxy->clusters = {"there"};
  Verdict verdict = testing::RunOn(proxy, Get(), Detail::kTrace);
  CHECK(Summary(verdict) == "allow 200 via_upstream -");
  CHECK(verdict.cluster == "there");
}

TEST_CASE("what a route forwards") {
  Route route = To("c");
  route.match = Path(RouteMatch::Path::kPrefix, "/api/");
  route.prefix_rewrite = "/";
  route.host_rewrite = "inner.test";
  auto proxy = Proxy({route});
  proxy->clusters = {"c"};
  Verdict verdict = testing::RunOn(proxy, Get("/api/v1?q=1"), Detail::kTrace);
  CHECK(verdict.cluster == "c");
  CHECK(verdict.forwarded_path == "/v1?q=1");
  CHECK(verdict.forwarded_authority == "inner.test");
}

TEST_CASE("a virtual host that wants TLS redirects plain HTTP") {
  VirtualHost host = Host({"*"}, {Answering(201)});
  host.require_tls = true;
  auto proxy = Proxy({host});
  CHECK(Summary(testing::RunOn(proxy, Get())) == "allow 301 direct_response -");
  ProxyRequest told = Get();
  told.headers = {{"x-forwarded-proto", "https"}};  // believed without use_remote_address
  CHECK(testing::RunOn(proxy, told).status == 201);
}

}  // namespace meshproof::router_test

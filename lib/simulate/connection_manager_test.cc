// Each row is what Envoy 1.40 with Istio's runtime answered (envoy-facts section 5).

#include "simulate/connection_manager.h"

#include <doctest/doctest.h>

#include "simulate/simulate_testing.h"

namespace meshproof::connection_manager_test {
namespace {

using testing::Any;
using testing::Enforce;
using testing::Get;
using testing::HasHeader;
using testing::HeaderIs;
using testing::HttpChain;
using testing::InBlock;
using testing::Ip;
using testing::Policy;
using testing::RunOn;
using testing::Summary;
using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr const char* kAllowed = "allow 200 via_upstream -";
constexpr const char* kDenied = "deny 403 rbac_access_denied_matched_policy[p] -";

RbacFilter Deny(Predicate predicate) {
  return Enforce(Rbac::Action::kDeny, {Policy("p", std::move(predicate))});
}

Verdict Run(HttpConnectionManager manager, const ProxyRequest& request,
            Detail detail = Detail::kVerdict) {
  return RunOn(testing::Sidecar({HttpChain(std::move(manager))}), request, detail);
}

HttpConnectionManager Bare() {
  HttpConnectionManager manager;
  manager.forward_client_cert_details = "APPEND_FORWARD";
  return manager;
}

HttpConnectionManager Edge(uint32_t hops = 0) {
  HttpConnectionManager manager = Bare();
  manager.use_remote_address = true;
  manager.xff_num_trusted_hops = hops;
  manager.forward_client_cert_details = "SANITIZE_SET";
  return manager;
}

// Whether RBAC in this manager sees what `predicate` asks for.
bool Sees(HttpConnectionManager manager, Predicate predicate, const ProxyRequest& request) {
  manager.http_filters = {Deny(std::move(predicate))};
  std::string answer = Summary(Run(std::move(manager), request));
  CHECK((answer == kAllowed || answer == kDenied));
  return answer == kDenied;
}

ProxyRequest With(Headers headers) {
  ProxyRequest request = Get();
  request.headers = std::move(headers);
  return request;
}

ProxyRequest Grpc(std::string path = "/pkg.Service/Method") {
  ProxyRequest request = Get(std::move(path));
  request.protocol = WireProtocol::kGrpc;
  request.method = "POST";
  request.headers = {{"content-type", "application/grpc"}};
  return request;
}

// The path that the application gets, or the answer where it gets none.
std::string PathOf(const PathOptions& options, const std::string& path) {
  HttpConnectionManager manager = Bare();
  manager.path = options;
  Verdict verdict = Run(std::move(manager), Get(path), Detail::kTrace);
  return Summary(verdict) == kAllowed ? verdict.forwarded_path : Summary(verdict);
}

}  // namespace

TEST_CASE("path options") {
  constexpr const char* kFailed = "deny 400 path_normalization_failed -";
  constexpr const char* kRedirected = "allow 307 path_normalization_failed -";
  const PathOptions none;
  const PathOptions base = {true, false, EscapedSlashes::kKeepUnchanged};
  const PathOptions merge = {true, true, EscapedSlashes::kKeepUnchanged};
  const PathOptions forward = {true, true, EscapedSlashes::kUnescapeAndForward};
  const PathOptions redirect = {true, true, EscapedSlashes::kUnescapeAndRedirect};
  const PathOptions reject = {true, true, EscapedSlashes::kRejectRequest};
  struct Row {
    const PathOptions& options;
    const char* sent;
    const char* got;
  };
  const Row kRows[] = {
      {none, "/a/../b", "/a/../b"},
      {none, "/a\\b", "/a\\b"},
      {none, "/%2e%2e/a", "/%2e%2e/a"},
      {none, "/a#b?c", "/a"},
      {base, "/a/./b/../c", "/a/c"},
      {base, "/a/%2e%2E/b", "/b"},
      {base, "/a\\b", "/a/b"},
      {base, "/a%2fb", "/a%2fb"},
      {base, "/a//b", "/a//b"},
      {base, "/a%252fb", "/a%252fb"},
      {base, "/A/b", "/A/b"},
      {base, "/%41%62%7e%2d%5f%30", "/Ab~-_0"},
      {base, "/%e9%C3", "/%e9%C3"},
      {base, "/%%34%31", "/%2541"},
      {base, "/a%20b", "/a%20b"},
      {base, "/a%00b", kFailed},
      {base, "/a/../b?x=/../y", "/b?x=/../y"},
      {base, "/..;/admin", "/admin"},
      {base, "/a/..;x/b", "/b"},
      {base, "/a/%2e%2e;x/b", "/a/..;x/b"},
      {base, "/a\"b", "/a%22b"},
      {base, "/%zz", "/%zz"},
      {merge, "//", "//"},
      {merge, "///", "//"},
      {merge, "//a///b//", "/a/b/"},
      {merge, "/a//?x=//y", "/a/?x=//y"},
      {merge, "/a%2Fb%5cc?x=%2F", "/a%2Fb%5cc?x=%2F"},
      {forward, "/a%2Fb%5cc?x=%2F", "/a/b/c?x=%2F"},
      {forward, "/a%252fb", "/a%252fb"},
      {forward, "/a%2f..%2fb", "/b"},
      {forward, "/x/%2e%2e%2fadmin", "/admin"},
      {redirect, "/a%2Fb", kRedirected},
      {redirect, "/a%252fb", "/a%252fb"},
      {reject, "/a%2Fb", kFailed},
      {reject, "/a%252fb", "/a%252fb"},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.sent);
    CHECK(PathOf(row.options, row.sent) == row.got);
  }
  // Rules look at the normalized path.
  HttpConnectionManager manager = Bare();
  manager.path = base;
  CHECK(Sees(manager, testing::PathIs("/admin"), Get("/x/../admin?q")));
  CHECK_FALSE(Sees(Bare(), testing::PathIs("/admin"), Get("/x/../admin?q")));
}

TEST_CASE("the client's address") {
  struct Row {
    bool use_remote_address;
    uint32_t hops;
    Headers headers;
    const char* remote;
  };
  const char* kXff = "X-Forwarded-For";
  const char* kPeer = "10.0.0.9";
  const Row kRows[] = {
      {true, 0, {{kXff, "1.1.1.1"}}, kPeer},
      {true, 1, {{kXff, "1.1.1.1, 2.2.2.2"}}, "2.2.2.2"},
      {true, 1, {}, kPeer},
      {true, 2, {{kXff, "1.1.1.1, 2.2.2.2"}}, "1.1.1.1"},
      {true, 2, {{kXff, "2.2.2.2"}}, kPeer},
      {false, 0, {}, kPeer},
      {false, 0, {{kXff, "1.1.1.1,2.2.2.2"}}, "2.2.2.2"},
      {false, 1, {{kXff, "1.1.1.1,2.2.2.2"}}, "1.1.1.1"},
      {false, 1, {{kXff, "2.2.2.2"}}, kPeer},
      {false, 1, {{kXff, "3.3.3.3,1.1.1.1,2.2.2.2"}}, "1.1.1.1"},
      {false, 0, {{kXff, "1.1.1.1:80"}}, kPeer},
      {false, 0, {{kXff, "1.1.1.1,"}}, kPeer},
      {false, 0, {{kXff, " 1.1.1.1 "}}, "1.1.1.1"},
      {false, 0, {{kXff, "2001:db8::1"}}, "2001:db8::1"},
      {false, 0, {{kXff, "[2001:db8::1]"}}, kPeer},
      {false, 0, {{kXff, "01.2.3.4"}}, kPeer},
      {false, 0, {{kXff, "junk"}}, kPeer},
      {false, 0, {{kXff, "1.1.1.1"}, {kXff, "2.2.2.2"}}, "2.2.2.2"},
  };
  int row_number = 0;
  for (const auto& row : kRows) {
    CAPTURE(row_number++);
    HttpConnectionManager manager = row.use_remote_address ? Edge(row.hops) : Bare();
    manager.xff_num_trusted_hops = row.hops;
    CHECK(Sees(manager, InBlock(AddressField::kRemote, row.remote), With(row.headers)));
    if (std::string(row.remote) != kPeer) {
      CHECK_FALSE(Sees(manager, InBlock(AddressField::kRemote, kPeer), With(row.headers)));
    }
    CHECK(Sees(manager, InBlock(AddressField::kSource, kPeer), With(row.headers)));
    CHECK(Sees(manager, InBlock(AddressField::kDirectRemote, kPeer), With(row.headers)));
  }
}

TEST_CASE("an address of the proxy before that is not known") {
  ProxyRequest request = With({{"x-forwarded-for", "1.1.1.1,unknown"}});
  request.forwarded_for = testing::Block("10.244.0.0/16");
  auto matched = [&](uint32_t hops, const char* block) {
    HttpConnectionManager manager = Bare();
    manager.xff_num_trusted_hops = hops;
    manager.http_filters = {Deny(InBlock(AddressField::kRemote, block))};
    return Run(std::move(manager), request).outcome;
  };
  CHECK(matched(0, "10.0.0.0/8") == Outcome::kDeny);
  CHECK(matched(0, "10.244.1.0/24") == Outcome::kUndetermined);
  CHECK(matched(0, "1.1.1.1/32") == Outcome::kAllow);
  CHECK(matched(1, "1.1.1.1/32") == Outcome::kDeny);
  // What an edge proxy appends of a peer that is not known.
  request = Get();
  request.connection.source = testing::Block("10.244.0.0/16");
  Verdict verdict = Run(Edge(), request, Detail::kTrace);
  REQUIRE(verdict.forwarded_for.has_value());
  CHECK(ToString(*verdict.forwarded_for) == "an address in 10.244.0.0/16");
  CHECK_FALSE(Run(Edge(), Get(), Detail::kTrace).forwarded_for.has_value());
}

// An answer about an address that is not known holds for every address that it may be.
TEST_CASE("matching the text of an address that is not known") {
  const std::vector<const char*> wanted = {"",
                                           "1",
                                           "10.244.3.4",
                                           "10.244.",
                                           "10.",
                                           "10.9",
                                           ".4",
                                           "4",
                                           ",",
                                           ",10.244.3.4",
                                           "a,10",
                                           "a,",
                                           "a",
                                           "a,b",
                                           "a,10.244.",
                                           "a,10.9",
                                           "a,10.244.3.4",
                                           "ey",
                                           "n",
                                           "0.244.",
                                           "44.255.255",
                                           "b",
                                           "ba,10.244.3.4",
                                           "10.2445",
                                           "a,,",
                                           "x,a,10.244.3.4"};
  const std::vector<std::string> addresses = {"10.244.3.4", "10.244.255.255", "10.244.0.1"};
  int decided = 0;
  for (const char* sent : {"", "a", "b,a", "1.2.3.4"}) {
    ProxyRequest request = Get();
    if (*sent != 0) request.headers = {{"x-forwarded-for", sent}};
    for (const char* text : wanted) {
      for (const StringMatcher& matcher :
           {StringMatcher::Exact(text), StringMatcher::Prefix(text), StringMatcher::Suffix(text),
            StringMatcher::Contains(text)}) {
        CAPTURE(sent);
        CAPTURE(text);
        CAPTURE(static_cast<int>(matcher.kind));
        HttpConnectionManager manager = Edge();
        manager.http_filters = {Deny(HeaderIs("x-forwarded-for", matcher))};
        request.connection.source = testing::Block("10.244.0.0/16");
        Outcome open = Run(manager, request).outcome;
        request.connection.source = Address{};
        Outcome unknown = Run(manager, request).outcome;
        if (open == Outcome::kUndetermined) CHECK(unknown == Outcome::kUndetermined);
        if (open != Outcome::kUndetermined) ++decided;
        for (const std::string& address : addresses) {
          request.connection.source = Address{*ParseIpAddress(address)};
          Outcome known = Run(manager, request).outcome;
          if (open != Outcome::kUndetermined) CHECK(open == known);
          if (unknown != Outcome::kUndetermined) CHECK(unknown == known);
        }
      }
    }
  }
  CHECK(decided > 250);
}

TEST_CASE("headers that Envoy adds before the first filter") {
  for (const char* name : {"x-request-id", "x-forwarded-proto"}) {
    CAPTURE(name);
    CHECK(Sees(Bare(), HasHeader(name), Get()));
    CHECK(Sees(Edge(), HasHeader(name), Get()));
  }
  for (const char* name : {"x-forwarded-for", "x-envoy-external-address"}) {
    CAPTURE(name);
    CHECK_FALSE(Sees(Bare(), HasHeader(name), Get()));
    CHECK(Sees(Edge(), HasHeader(name), Get()));
  }
  CHECK(Sees(Edge(), HeaderIs("x-forwarded-for", StringMatcher::Exact("1.1.1.1,10.0.0.9")),
             With({{"x-forwarded-for", "1.1.1.1"}})));
  CHECK(Sees(Edge(1), HeaderIs("x-envoy-external-address", StringMatcher::Exact("1.1.1.1")),
             With({{"x-forwarded-for", "1.1.1.1"}})));
  CHECK(Sees(Bare(), HeaderIs("x-forwarded-proto", StringMatcher::Exact("http")), Get()));
  // The generated id is not known, its form is.
  auto id = [](StringMatcher matcher) {
    HttpConnectionManager manager = Bare();
    manager.http_filters = {Deny(HeaderIs("x-request-id", std::move(matcher)))};
    return Run(std::move(manager), Get()).outcome;
  };
  CHECK(id(StringMatcher::Pattern(".+")) == Outcome::kDeny);
  CHECK(id(StringMatcher::Exact("me")) == Outcome::kAllow);
  CHECK(id(StringMatcher::Prefix("ab")) == Outcome::kUndetermined);
}

TEST_CASE("headers that Envoy takes away before the first filter") {
  for (const char* name : {"x-envoy-internal", "x-envoy-retry-on", "x-envoy-upstream-rq-timeout-ms",
                           "x-envoy-ip-tags", "x-envoy-force-trace", "te", "connection",
                           "keep-alive", "proxy-connection", "x-forwarded-client-cert"}) {
    CAPTURE(name);
    CHECK_FALSE(Sees(Bare(), HasHeader(name), With({{name, "1"}})));
    CHECK_FALSE(Sees(Edge(), HasHeader(name), With({{name, "1"}})));
  }
  for (const char* name : {"x-request-id", "x-forwarded-proto", "x-envoy-original-path",
                           "x-envoy-decorator-operation"}) {
    CAPTURE(name);
    const Predicate sent = HeaderIs(name, StringMatcher::Exact("https"));
    CHECK(Sees(Bare(), sent, With({{name, "https"}})));
    HttpConnectionManager edge = Edge();
    edge.http_filters = {Deny(sent)};
    CHECK(Summary(Run(edge, With({{name, "https"}}))) == kAllowed);
  }
  CHECK(Sees(Bare(), HasHeader("x_y"), With({{"x_y", "1"}})));
  CHECK(Sees(Bare(), HeaderIs("te", StringMatcher::Exact("trailers")),
             With({{"te", "gzip, trailers"}})));
}

TEST_CASE("the client certificate's header") {
  auto seen = [](const char* mode, bool mtls, Headers headers) {
    HttpConnectionManager manager;
    manager.forward_client_cert_details = mode;
    manager.http_filters = {Deny(HasHeader("x-forwarded-client-cert"))};
    auto proxy = testing::Sidecar({HttpChain(std::move(manager))});
    ProxyRequest request = With(std::move(headers));
    if (mtls) {
      testing::UseMtls(&request, "spiffe://cluster.local/ns/a/sa/b");
      TlsContext tls;
      tls.require_client_certificate = true;
      proxy->listeners[0].filter_chains[0].tls = tls;
    }
    return Summary(RunOn(proxy, request)) == kDenied;
  };
  const Headers sent = {{"x-forwarded-client-cert", "URI=spiffe://x"}};
  CHECK_FALSE(seen("APPEND_FORWARD", false, sent));
  CHECK(seen("APPEND_FORWARD", true, {}));
  CHECK(seen("APPEND_FORWARD", true, sent));
  CHECK_FALSE(seen("SANITIZE", true, sent));
  CHECK_FALSE(seen("", true, sent));
  CHECK(seen("SANITIZE_SET", true, {}));
  CHECK_FALSE(seen("SANITIZE_SET", false, sent));
  CHECK(seen("ALWAYS_FORWARD_ONLY", false, sent));
}

TEST_CASE("hosts and protocol versions") {
  ProxyRequest request = Get();
  request.authority = "H.Test:8080";
  const StringMatcher exact = StringMatcher::Exact("h.test", true);
  CHECK(Sees(Bare(), HeaderIs(":authority", StringMatcher::Exact("H.Test:8080")), request));
  CHECK_FALSE(Sees(Bare(), HeaderIs(":authority", exact), request));
  CHECK(Sees(Bare(), HeaderIs(":authority", StringMatcher::Prefix("h.test", true)), request));
  request.authority = "";
  CHECK(Summary(Run(Bare(), request)) == kAllowed);
  request.authority.reset();
  CHECK(Summary(Run(Bare(), request)) == "deny 400 missing_host_header -");
  request.authority = "a/b";
  Verdict invalid = Run(Bare(), request);
  CHECK(Summary(invalid) == "deny 400 http.invalid_authority DPE");
  CHECK(invalid.body == "Bad Request");

  ProxyRequest old = Get();
  old.protocol = WireProtocol::kHttp10;
  Verdict low = Run(Bare(), old);
  CHECK(Summary(low) == "deny 426 low_version DPE");
  CHECK(low.body == "Upgrade Required");
  CHECK(low.stage == Stage::kHttp);
  HttpConnectionManager accepting = Bare();
  accepting.accept_http_10 = true;
  CHECK(Summary(Run(accepting, old)) == kAllowed);
  // The host of an absolute target is the authority.
  CHECK(Sees(Bare(), HeaderIs(":authority", StringMatcher::Exact("h.test")),
             Get("http://h.test/abc?d")));
}

TEST_CASE("upgrades") {
  ProxyRequest request = With({{"connection", "upgrade"}, {"upgrade", "websocket"}});
  CHECK(Summary(Run(Bare(), request)) == "allow 101 via_upstream -");
  HttpConnectionManager none = Bare();
  none.upgrade_types.clear();
  CHECK(Summary(Run(none, request)) == "deny 403 upgrade_failed -");
  // It is refused before the filters, but only where there is a route.
  none.http_filters = {Deny(Any())};
  CHECK(Summary(Run(none, request)) == "deny 403 upgrade_failed -");
  auto routes = std::make_shared<RouteConfiguration>();
  none.routes = routes;
  CHECK(Summary(Run(none, request)) == kDenied);
}

TEST_CASE("local replies to gRPC") {
  HttpConnectionManager rbac = Bare();
  rbac.http_filters = {Deny(Any())};
  Verdict verdict = Run(rbac, Grpc());
  CHECK(Summary(verdict) == kDenied);
  CHECK(verdict.grpc_status == 7);

  JwtProvider provider;
  provider.name = "p";
  provider.local_jwks = "";
  JwtRequirement requirement;
  requirement.kind = JwtRequirement::Kind::kProvider;
  requirement.provider = "p";
  JwtFilter filter;
  filter.providers = {provider};
  filter.rules = {{"/", requirement}};
  HttpConnectionManager jwt = Bare();
  jwt.http_filters = {filter};
  verdict = Run(jwt, Grpc());
  CHECK(Summary(verdict) == "deny 401 jwt_authn_access_denied{Jwt_is_missing} -");
  CHECK(verdict.grpc_status == 16);

  HttpConnectionManager no_route = Bare();
  no_route.routes = std::make_shared<RouteConfiguration>();
  verdict = Run(no_route, Grpc());
  CHECK(Summary(verdict) == "allow 404 route_not_found NR");
  CHECK(verdict.grpc_status == 12);

  for (EscapedSlashes action :
       {EscapedSlashes::kUnescapeAndRedirect, EscapedSlashes::kRejectRequest}) {
    HttpConnectionManager slashes = Bare();
    slashes.path = {true, true, action};
    verdict = Run(slashes, Grpc("/a%2fb"));
    CHECK(Summary(verdict) == "deny 400 path_normalization_failed -");
    CHECK(verdict.grpc_status == 13);
  }

  verdict = Run(Bare(), Grpc());
  CHECK(Summary(verdict) == kAllowed);
  CHECK(verdict.grpc_status == 0);

  // By content type, whatever the transport.
  ProxyRequest web = With({{"content-type", "application/grpc-web"}});
  CHECK(Run(rbac, web).grpc_status == -1);
  web.headers[0].second = "application/grpc+proto";
  CHECK(Run(rbac, web).grpc_status == 7);
  CHECK(Run(rbac, Get()).grpc_status == -1);
}

TEST_CASE("a denial hides a missing route, an opaque filter everything") {
  HttpConnectionManager manager = Bare();
  manager.routes = std::make_shared<RouteConfiguration>();
  CHECK(Summary(Run(manager, Get())) == "allow 404 route_not_found NR");
  manager.http_filters = {Deny(Any())};
  CHECK(Summary(Run(manager, Get())) == kDenied);
  OpaqueFilter wasm;
  wasm.name = "my.wasm";
  manager.http_filters = {wasm, Deny(Any())};
  Verdict verdict = Run(manager, Get());
  CHECK(Summary(verdict) == "undetermined 0  -");
  REQUIRE(verdict.missing.size() == 1);
  CHECK(verdict.missing[0] == "filter my.wasm cannot be seen through");
  manager.http_filters.clear();
  manager.routes.reset();
  manager.rds = "http.80";
  verdict = Run(manager, Get());
  CHECK(verdict.outcome == Outcome::kUndetermined);
  REQUIRE(verdict.missing.size() == 1);
  CHECK(verdict.missing[0] ==
        "route configuration http.80, of the section of routes, is not in the input");
}

TEST_CASE("an authorizer's answers") {
  ExtAuthzFilter filter;
  filter.provider = "opa";
  HttpConnectionManager manager = Bare();
  manager.http_filters = {filter};
  ProxyRequest request = Get();
  CHECK(Run(manager, request).outcome == Outcome::kUndetermined);  // nobody says
  request.ext_authz = ExtAuthzAnswer::kAllow;
  CHECK(Summary(Run(manager, request)) == kAllowed);
  request.ext_authz = ExtAuthzAnswer::kDeny;
  CHECK(Summary(Run(manager, request)) == "deny 403 ext_authz_denied UAEX");
  request.ext_authz = ExtAuthzAnswer::kError;
  CHECK(Summary(Run(manager, request)) == "deny 403 ext_authz_error UAEX");
  filter.status_on_error = 503;
  manager.http_filters = {filter};
  CHECK(Summary(Run(manager, request)) == "deny 503 ext_authz_error UAEX");
  filter.failure_mode_allow = true;
  manager.http_filters = {filter};
  CHECK(Summary(Run(manager, request)) == kAllowed);
  // Not asked where there is no route.
  request.ext_authz = ExtAuthzAnswer::kDeny;
  manager.routes = std::make_shared<RouteConfiguration>();
  CHECK(Summary(Run(manager, request)) == "allow 404 route_not_found NR");

  // Istio's gate: the shadow policy's id has to begin with the provider's prefix.
  ExtAuthzFilter gated;
  gated.provider = "foo";
  gated.gate_filter = "envoy.filters.http.rbac";
  gated.gate_key = "istio_ext_authz_shadow_effective_policy_id";
  gated.gate_prefix = "istio-ext-authz-foo";
  auto gate = [&](const char* id, const char* path) {
    RbacFilter shadow;
    shadow.shadow_rules = Rbac{Rbac::Action::kDeny, {Policy(id, testing::PathIs("/a"))}};
    shadow.shadow_rules_stat_prefix = "istio_ext_authz_";
    HttpConnectionManager with_gate = Bare();
    with_gate.http_filters = {shadow, gated};
    ProxyRequest asked = Get(path);
    asked.ext_authz = ExtAuthzAnswer::kDeny;
    return Summary(Run(std::move(with_gate), asked));
  };
  constexpr const char* kRefused = "deny 403 ext_authz_denied UAEX";
  CHECK(gate("istio-ext-authz-foo-ns[a]-policy[b]-rule[0]", "/a") == kRefused);
  CHECK(gate("istio-ext-authz-foo-ns[a]-policy[b]-rule[0]", "/b") == kAllowed);
  CHECK(gate("istio-ext-authz-foo-bar-ns[a]-policy[b]-rule[0]", "/a") == kRefused);
  CHECK(gate("istio-ext-authz-zoo-ns[a]-policy[b]-rule[0]", "/a") == kAllowed);
}

}  // namespace meshproof::connection_manager_test

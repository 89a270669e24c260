#include "proxy/gateway.h"

#include <doctest/doctest.h>

#include "base/text.h"
#include "proxy/compile.h"
#include "proxy/emit.h"
#include "proxy/gateway_hosts.h"
#include "proxy/proxy_testing.h"

namespace meshproof::gateway_test {
namespace {

using Lines = std::vector<std::string>;

const char* const kMesh = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: edge}
---
apiVersion: v1
kind: Pod
metadata:
  name: gw
  namespace: edge
  labels: {istio: gw, sidecar.istio.io/inject: 'true'}
  annotations: {inject.istio.io/templates: gateway}
spec: {containers: [{name: istio-proxy, image: auto}]}
---
apiVersion: v1
kind: Service
metadata: {name: gw, namespace: edge}
spec:
  selector: {istio: gw}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: https, port: 443, targetPort: 8443}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{name: tcp, port: 5432}, {name: http, port: 9090}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop}
spec: {host: web, subsets: [{name: v1, labels: {version: v1}}]}
)";

std::string GatewayText(const std::string& name, const std::string& servers,
                        const std::string& created = "2026-01-01T00:00:00Z") {
  return "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " + name +
         ", namespace: edge, creationTimestamp: '" + created +
         "'}\nspec:\n  selector: {istio: gw}\n  servers:\n" + servers;
}

std::string ServiceText(const std::string& name, const std::string& spec,
                        const std::string& created = "2026-01-01T00:00:00Z") {
  return "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: " + name +
         ", namespace: shop, creationTimestamp: '" + created + "'}\nspec:\n" + spec;
}

std::shared_ptr<const ProxyConfig> Compile(const std::string& text) {
  const auto mesh = TestMesh(kMesh + text);
  for (const Diagnostic& diagnostic : mesh->model().diagnostics) {
    if (diagnostic.severity == Severity::kError) FAIL_CHECK(ToString(diagnostic));
  }
  const Workload* workload = mesh->FindWorkload("edge", "gw");
  REQUIRE(workload != nullptr);
  REQUIRE(workload->mode == ProxyMode::kGateway);
  return Compiler(mesh).Compile(*workload);
}

// "listener names[;names…] tls|plain http:<routes>|tcp:<cluster>" for each chain.
Lines Chains(const ProxyConfig& proxy) {
  Lines out;
  for (const Listener& listener : proxy.listeners) {
    for (const FilterChain& chain : listener.filter_chains) {
      std::string text = listener.name + " [" + Join(chain.match.server_names, ",") + "]";
      text += chain.tls ? " tls" : " plain";
      const NetworkFilter& last = chain.filters->back();
      if (const auto* manager = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&last)) {
        text += " http:" + (*manager)->rds;
      } else {
        const TcpProxy& tcp = std::get<TcpProxy>(last);
        text += " tcp:" + tcp.cluster;
        for (const WeightedCluster& each : tcp.weighted_clusters) {
          text += each.cluster + "=" + std::to_string(each.weight) + ",";
        }
      }
      out.push_back(std::move(text));
    }
  }
  return out;
}

// "configuration host domains route route…" for each virtual host.
Lines Routes(const ProxyConfig& proxy) {
  Lines out;
  for (const auto& configuration : proxy.routes) {
    for (const VirtualHost& host : configuration->virtual_hosts) {
      std::string text = configuration->name + " " + host.name + " " + Join(host.domains, ",");
      if (host.require_tls) text += " redirect";
      for (const Route& route : host.routes) {
        text += " " + route.match.path;
        for (const WeightedCluster& each : route.clusters) {
          text += "->" + each.cluster;
          if (each.weight != 0) text += "=" + std::to_string(each.weight);
        }
        if (route.action != Route::Action::kCluster) text += "!" + std::to_string(route.status);
      }
      out.push_back(std::move(text));
    }
  }
  return out;
}

const char* const kHttpServer =
    "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}\n";
const std::string kToWeb = "  http: [{route: [{destination: {host: web}}]}]\n";

TEST_CASE("HTTP servers of a port share a listener and its routes") {
  const auto proxy = Compile(
      GatewayText("a", kHttpServer) +
      GatewayText("b", "  - {port: {number: 80, name: http, protocol: HTTP2}, hosts: [b.test]}\n") +
      ServiceText("web", "  hosts: [A.test, b.test]\n  gateways: [edge/a, edge/b]\n" + kToWeb));
  CHECK(Chains(*proxy) == Lines{"0.0.0.0_8080 [] plain http:http.8080"});
  const std::string route = " /->outbound|80||web.shop.svc.cluster.local";
  CHECK(Routes(*proxy) ==
        Lines{"http.8080 a.test:80 a.test" + route, "http.8080 b.test:80 b.test" + route + route});
  CHECK(proxy->clusters == Lines{"outbound|80||web.shop.svc.cluster.local"});
  const auto& manager = std::get<std::shared_ptr<const HttpConnectionManager>>(
      proxy->listeners[0].filter_chains[0].filters->back());
  CHECK(manager->use_remote_address);
  CHECK(manager->forward_client_cert_details == "SANITIZE_SET");
}

TEST_CASE("without a VirtualService every request is answered 404") {
  const auto proxy = Compile(GatewayText("a", kHttpServer));
  CHECK(Routes(*proxy) == Lines{"http.8080 blackhole:80 *"});
}

TEST_CASE("hosts of servers restrict namespaces and hosts of VirtualServices") {
  struct Row {
    const char* server;
    const char* service;
    const char* domain;  // "" = no virtual host
  };
  for (const Row& row : std::vector<Row>{{"'*'", "web.test", "web.test"},
                                         {"'*.test'", "web.test", "web.test"},
                                         {"web.test", "'*.test'", "web.test"},
                                         {"'*.web.test'", "'*.test'", "*.web.test"},
                                         {"web.test", "web.example", ""},
                                         {"'*.test'", "test", ""},
                                         {"'shop/*'", "web.test", "web.test"},
                                         {"'./*'", "web.test", ""},
                                         {"'other/*'", "web.test", ""},
                                         {"'*/*.test'", "web.test", "web.test"},
                                         {"'*'", "web", "web.shop.svc.cluster.local"}}) {
    CAPTURE(row.server);
    CAPTURE(row.service);
    const auto proxy =
        Compile(GatewayText("a", "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [" +
                                     std::string(row.server) + "]}\n") +
                ServiceText("web", "  hosts: [" + std::string(row.service) +
                                       "]\n  gateways: [edge/a]\n" + kToWeb));
    const VirtualHost& host = proxy->routes[0]->virtual_hosts[0];
    CHECK(host.domains[0] == (*row.domain == '\0' ? "*" : row.domain));
    CHECK(host.routes.empty() == (*row.domain == '\0'));
  }
}

TEST_CASE("TLS servers get a chain each by SNI") {
  const auto proxy = Compile(
      GatewayText("a",
                  "  - {port: {number: 443, name: one, protocol: HTTPS}, hosts: [one.test, "
                  "shop/two.test], tls: {mode: SIMPLE, credentialName: cert}}\n"
                  "  - {port: {number: 443, name: two, protocol: HTTPS}, hosts: ['*.three.test'], "
                  "tls: {mode: MUTUAL, credentialName: cert3, subjectAltNames: [client.test]}}\n"
                  "  - {port: {number: 443, name: dup, protocol: HTTPS}, hosts: [one.test], tls: "
                  "{mode: SIMPLE, credentialName: x}}\n") +
      ServiceText("web", "  hosts: [one.test, a.three.test]\n  gateways: [edge/a]\n" + kToWeb));
  CHECK(Chains(*proxy) == Lines{"0.0.0.0_8443 [one.test,two.test] tls http:https.443.one.a.edge",
                                "0.0.0.0_8443 [*.three.test] tls http:https.443.two.a.edge"});
  const std::string route = " /->outbound|80||web.shop.svc.cluster.local";
  CHECK(Routes(*proxy) == Lines{"https.443.one.a.edge one.test:443 one.test" + route,
                                "https.443.two.a.edge a.three.test:443 a.three.test" + route});
  const auto& chains = proxy->listeners[0].filter_chains;
  CHECK(chains[0].tls->certificate_secret == "kubernetes://cert");
  CHECK(chains[0].tls->ca_secret.empty());
  CHECK_FALSE(chains[0].tls->require_client_certificate);
  CHECK(chains[1].tls->ca_secret == "kubernetes://cert3-cacert");
  CHECK(chains[1].tls->require_client_certificate);
  CHECK(chains[1].tls->subject_alt_names.size() == 1);
  CHECK(proxy->listeners[0].tls_inspector);
  CHECK(proxy->load_failures.empty());
}

TEST_CASE("TLS modes") {
  struct Row {
    const char* tls;
    bool client;
    const char *certificate, *authority;
  };
  for (const Row& row : std::vector<Row>{
           {"{mode: ISTIO_MUTUAL}", true, "default", "ROOTCA"},
           {"{mode: OPTIONAL_MUTUAL, credentialName: c}", false, "kubernetes://c",
            "kubernetes://c-cacert"},
           {"{mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /a}", true,
            "file-cert:/c~/k", "file-root:/a"}}) {
    CAPTURE(row.tls);
    const auto proxy =
        Compile(GatewayText("a",
                            "  - {port: {number: 443, name: s, protocol: HTTPS}, hosts: "
                            "['*'], tls: " +
                                std::string(row.tls) + "}\n"));
    const FilterChain& chain = proxy->listeners[0].filter_chains[0];
    CHECK(chain.match.server_names.empty());
    CHECK(chain.tls->require_client_certificate == row.client);
    CHECK(chain.tls->certificate_secret == row.certificate);
    CHECK(chain.tls->ca_secret == row.authority);
    CHECK(proxy->listeners[0].tls_inspector);
  }
}

TEST_CASE("httpsRedirect is a property of the host, with or without routes") {
  const auto proxy = Compile(
      GatewayText("a",
                  "  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [a.test, b.test], "
                  "tls: {httpsRedirect: true}}\n") +
      ServiceText("web", "  hosts: [a.test]\n  gateways: [edge/a]\n" + kToWeb));
  CHECK(Routes(*proxy) ==
        Lines{"http.8080 a.test:80 a.test redirect /->outbound|80||web.shop.svc.cluster.local",
              "http.8080 b.test:80 b.test redirect"});
}

TEST_CASE("TCP and TLS servers take their VirtualService's L4 routes") {
  const auto proxy = Compile(
      GatewayText("a",
                  "  - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['*']}\n"
                  "  - {port: {number: 15443, name: tls, protocol: TLS}, hosts: ['*.test'], tls: "
                  "{mode: PASSTHROUGH}}\n"
                  "  - {port: {number: 6000, name: end, protocol: TLS}, hosts: ['db.test'], tls: "
                  "{mode: SIMPLE, credentialName: c}}\n"
                  "  - {port: {number: 7000, name: none, protocol: TCP}, hosts: ['x.example']}\n") +
      ServiceText("db",
                  "  hosts: [db.test]\n  gateways: [edge/a]\n"
                  "  tcp:\n"
                  "  - match: [{port: 5432}]\n"
                  "    route: [{destination: {host: db, port: {number: 5432}}, weight: 90}, "
                  "{destination: {host: db, port: {number: 9090}}, weight: 10}]\n"
                  "  - route: [{destination: {host: db, port: {number: 9090}}}]\n"
                  "  tls:\n"
                  "  - match: [{port: 15443, sniHosts: [db.test]}]\n"
                  "    route: [{destination: {host: db, port: {number: 5432}}}]\n"));
  const std::string db = "db.shop.svc.cluster.local";
  CHECK(Chains(*proxy) == Lines{"0.0.0.0_5432 [] plain tcp:outbound|5432||" + db +
                                    "=90,outbound|9090||" + db + "=10,",
                                "0.0.0.0_15443 [db.test] plain tcp:outbound|5432||" + db,
                                "0.0.0.0_6000 [db.test] tls tcp:outbound|9090||" + db});
  CHECK(proxy->clusters == Lines{"outbound|5432||" + db, "outbound|9090||" + db});
}

TEST_CASE("AUTO_PASSTHROUGH serves every cluster and no policy guards it") {
  const auto proxy = Compile(
      GatewayText("a",
                  "  - {port: {number: 15443, name: tls, protocol: TLS}, hosts: "
                  "['*.shop.svc.cluster.local'], tls: {mode: AUTO_PASSTHROUGH}}\n") +
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: none, "
      "namespace: edge}\nspec: {}\n");
  Lines names;
  for (const FilterChain& chain : proxy->listeners[0].filter_chains) {
    names.push_back(chain.match.server_names[0]);
    CHECK(chain.match.application_protocols.size() == 5);
    CHECK(chain.filters->size() == 1);
  }
  std::sort(names.begin(), names.end());
  CHECK(names == Lines{"outbound_.5432_._.db.shop.svc.cluster.local",
                       "outbound_.80_._.web.shop.svc.cluster.local",
                       "outbound_.80_.v1_.web.shop.svc.cluster.local",
                       "outbound_.9090_._.db.shop.svc.cluster.local"});
  CHECK(proxy->clusters.size() == 4);
}

TEST_CASE("servers that do not fit the port are skipped") {
  const auto proxy = Compile(
      GatewayText("a", kHttpServer) +
      GatewayText("b",
                  "  - {port: {number: 80, name: s, protocol: HTTPS}, hosts: ['*'], tls: {mode: "
                  "SIMPLE, credentialName: c}}\n",
                  "2026-01-02T00:00:00Z"));
  CHECK(Chains(*proxy) == Lines{"0.0.0.0_8080 [] plain http:http.8080"});
}

TEST_CASE("routes of several VirtualServices for a host, catch-alls last") {
  const auto proxy = Compile(
      GatewayText("a", kHttpServer) +
      ServiceText("late",
                  "  hosts: [a.test]\n  gateways: [edge/a]\n  http:\n"
                  "  - {match: [{uri: {prefix: /late}}], route: [{destination: {host: web, subset: "
                  "v1}}]}\n",
                  "2026-01-02T00:00:00Z") +
      ServiceText("early",
                  "  hosts: [a.test]\n  gateways: [edge/a]\n  http:\n"
                  "  - {match: [{uri: {exact: /x}, port: 80}, {uri: {exact: /y}, port: 81}, {uri: "
                  "{exact: /z}, gateways: [mesh]}], route: [{destination: {host: db}}]}\n"
                  "  - {route: [{destination: {host: web, subset: none}}]}\n"
                  "  - {match: [{uri: {exact: /never}}], route: [{destination: {host: web}}]}\n"));
  CHECK(Routes(*proxy) ==
        Lines{"http.8080 a.test:80 a.test /x->outbound|80||db.shop.svc.cluster.local "
              "/late->outbound|80|v1|web.shop.svc.cluster.local "
              "/->outbound|80|none|web.shop.svc.cluster.local"});
  // Only what exists: db has no port 80 (which it falls back to), web no subset `none`.
  CHECK(proxy->clusters == Lines{"outbound|80|v1|web.shop.svc.cluster.local"});
}

TEST_CASE("route matches") {
  const auto proxy = Compile(
      GatewayText("a", kHttpServer) +
      ServiceText("web",
                  "  hosts: [a.test]\n  gateways: [edge/a]\n  http:\n"
                  "  - match:\n"
                  "    - {uri: {regex: '/[a-z]+'}, ignoreUriCase: true, method: {exact: GET}, "
                  "authority: {prefix: a}, headers: {x: {regex: '*'}, b: {exact: v}, "
                  "'@request.auth.claims[g][h]': {exact: admin}}, withoutHeaders: {nn: {}, m: "
                  "{prefix: p}, '@request.auth.claims.sub': {exact: s}}, queryParams: {q: {exact: "
                  "'1'}}}\n"
                  "    redirect: {uri: /new, authority: b.test, redirectCode: 308}\n"
                  "  - {match: [{uri: {prefix: /d}}], directResponse: {status: 403}}\n"
                  "  - match: [{uri: {prefix: /r}}]\n"
                  "    rewrite: {uri: /s, authority: c.test}\n"
                  "    route: [{destination: {host: web}, weight: 1}, {destination: {host: web, "
                  "subset: v1}, weight: 3}, {destination: {host: db}, weight: 0}]\n"));
  const Json emitted = EmitProxy(*proxy);
  const Json& host = emitted.Find("routes")->as_array()[0].Find("virtual_hosts")->as_array()[0];
  const auto& routes = host.Find("routes")->as_array();
  REQUIRE(routes.size() == 3);
  const std::string claim =
      R"("value":{"or_match":{"value_matchers":[{"list_match":{"one_of":{"string_match":{"exact":"%"}}}},)"
      R"({"string_match":{"exact":"%"}}]}})";
  const auto with = [&claim](char letter, const std::string& value) {
    std::string out;
    for (const char c : claim) out += c == letter ? value : std::string(1, c);
    return out;
  };
  CHECK(
      WriteJson(routes[0]) ==
      R"({"match":{"safe_regex":{"regex":"/[a-z]+"},"case_sensitive":false,"headers":[)"
      R"({"name":"b","string_match":{"exact":"v"}},)"
      R"({"name":"m","string_match":{"prefix":"p"},"invert_match":true,"treat_missing_header_as_empty":true},)"
      R"({"name":"nn","present_match":true,"invert_match":true},)"
      R"({"name":"x","present_match":true},)"
      R"({"name":":method","string_match":{"exact":"GET"}},)"
      R"({"name":":authority","string_match":{"prefix":"a"}}],)"
      R"("query_parameters":[{"name":"q","string_match":{"exact":"1"}}],"dynamic_metadata":[)"
      R"({"filter":"envoy.filters.http.jwt_authn","path":[{"key":"payload"},{"key":"g"},{"key":"h"}],)" +
          with('%', "admin") +
          R"(},{"filter":"envoy.filters.http.jwt_authn","path":[{"key":"payload"},{"key":"sub"}],)" +
          with('%', "s") +
          R"(,"invert":true}]},"redirect":{"host_redirect":"b.test","path_redirect":"/new","response_code":"PERMANENT_REDIRECT"}})");
  CHECK(WriteJson(routes[1]) == R"({"match":{"prefix":"/d"},"direct_response":{"status":403}})");
  CHECK(WriteJson(routes[2]) ==
        R"({"match":{"prefix":"/r"},"route":{"weighted_clusters":{"clusters":[)"
        R"({"name":"outbound|80||web.shop.svc.cluster.local","weight":1},)"
        R"({"name":"outbound|80|v1|web.shop.svc.cluster.local","weight":3}]},)"
        R"("prefix_rewrite":"/s","host_rewrite_literal":"c.test"}})");
}

TEST_CASE("a delegate narrows what its root leads to it") {
  const auto proxy = Compile(
      GatewayText("a", kHttpServer) +
      ServiceText("root",
                  "  hosts: [a.test]\n  gateways: [edge/a]\n  http:\n"
                  "  - {match: [{uri: {prefix: /api}}], delegate: {name: api}}\n"
                  "  - {match: [{uri: {prefix: /lost}}], delegate: {name: nobody}}\n") +
      ServiceText("api",
                  "  http:\n"
                  "  - {match: [{uri: {prefix: /api/v1}}, {uri: {prefix: /other}}], route: "
                  "[{destination: {host: web, subset: v1}}]}\n"
                  "  - {match: [{uri: {exact: /elsewhere}}], route: [{destination: {host: web}}]}\n"
                  "  - {route: [{destination: {host: web}}]}\n"));
  CHECK(Routes(*proxy) ==
        Lines{"http.8080 a.test:80 a.test /api/v1->outbound|80|v1|web.shop.svc.cluster.local "
              "/api->outbound|80||web.shop.svc.cluster.local"});
}

TEST_CASE("policies of the gateway stand in its chains") {
  const auto proxy = Compile(
      GatewayText("a", std::string(kHttpServer) +
                           "  - {port: {number: 5432, name: tcp, protocol: TCP}, hosts: ['*']}\n") +
      ServiceText("db",
                  "  hosts: ['*']\n  gateways: [edge/a]\n  tcp: [{route: [{destination: {host: db, "
                  "port: {number: 5432}}}]}]\n") +
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: none, "
      "namespace: edge}\nspec: {}\n");
  REQUIRE(proxy->listeners.size() == 2);
  const auto& http = std::get<std::shared_ptr<const HttpConnectionManager>>(
      proxy->listeners[0].filter_chains[0].filters->back());
  CHECK(http->http_filters.size() == 1);
  CHECK(proxy->listeners[1].filter_chains[0].filters->size() == 2);
}

TEST_CASE("hosts") {
  CHECK(NormalizeServerHosts({"a", "./b", "ns/c", "*/d"}, "own") ==
        Lines{"a", "own/b", "ns/c", "d"});
  CHECK(NormalizeServerHosts({"a", "*/*"}, "own") == Lines{"*"});
  CHECK(SniHosts({"a", "ns/a", "ns/b"}) == Lines{"a", "b"});
  CHECK(IsHostSubset("a.b", "*.b"));
  CHECK(IsHostSubset("*.a.b", "*.b"));
  CHECK_FALSE(IsHostSubset("*.b", "*.a.b"));
  CHECK_FALSE(IsHostSubset("b", "*.b"));
  CHECK_FALSE(IsHostSubset("*", "a"));
  CHECK(IsHostSubset("a", "*"));
  CHECK(IntersectHosts({"*.a", "b"}, {"x.a", "*.b", "b", "c"}) == Lines{"x.a", "b"});
}

}  // namespace
}  // namespace meshproof::gateway_test

#include "proxy/inbound.h"

#include <doctest/doctest.h>

#include "proxy/compile.h"
#include "proxy/proxy_testing.h"

namespace meshproof::inbound_test {
namespace {

const char* const kWorkload = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: tcp-raw, port: 9000}
  - {name: any, port: 7000}
  - {name: dns, port: 5353, protocol: UDP}
)";

std::string PeerAuthentication(const std::string& mode, const std::string& ports = "") {
  return "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: pa, "
         "namespace: shop}\nspec: {selector: {matchLabels: {app: web}}, mtls: {mode: " +
         mode + "}" + (ports.empty() ? "" : ", portLevelMtls: {" + ports + "}") + "}\n";
}

std::shared_ptr<const ProxyConfig> Compile(const std::string& text,
                                           const MeshOptions& options = {}) {
  const auto mesh = TestMesh(kWorkload + text, {}, options);
  return Compiler(mesh).Compile(*mesh->FindWorkload("shop", "web"));
}

// "port transport alpn… -> http|tcp[+mtls]" for each chain of a port.
std::vector<std::string> Chains(const Listener& listener, uint32_t port) {
  std::vector<std::string> out;
  for (const FilterChain& chain : listener.filter_chains) {
    if (chain.match.destination_port != port) continue;
    std::string text = chain.match.transport_protocol;
    for (const std::string& alpn : chain.match.application_protocols) text += " " + alpn;
    const bool http =
        std::holds_alternative<std::shared_ptr<const HttpConnectionManager>>(chain.filters->back());
    text += http ? " -> http" : " -> tcp";
    if (chain.tls) text += "+mtls";
    out.push_back(std::move(text));
  }
  return out;
}

using Lines = std::vector<std::string>;
const std::string kAll = " istio istio-peer-exchange istio-http/1.0 istio-http/1.1 istio-h2";
const std::string kHttp = " istio-http/1.0 istio-http/1.1 istio-h2";

TEST_CASE("chains by mode and protocol") {
  struct Row {
    const char* mode;
    Lines http, tcp, automatic;
  };
  for (const Row& row : std::vector<Row>{
           {"STRICT",
            {"tls -> http+mtls"},
            {"tls -> tcp+mtls"},
            {"tls" + kHttp + " -> http+mtls", "tls -> tcp+mtls"}},
           {"PERMISSIVE",
            {"tls" + kAll + " -> http+mtls", "raw_buffer -> http"},
            {"tls" + kAll + " -> tcp+mtls", "tls -> tcp", "raw_buffer -> tcp"},
            {"tls" + kHttp + " -> http+mtls", "raw_buffer http/1.1 h2c -> http",
             "tls istio-peer-exchange istio -> tcp+mtls", "raw_buffer -> tcp", "tls -> tcp"}},
           {"DISABLE",
            {"raw_buffer -> http"},
            {"raw_buffer -> tcp"},
            {"raw_buffer http/1.1 h2c -> http", "raw_buffer -> tcp"}}}) {
    CAPTURE(row.mode);
    const auto proxy = Compile(PeerAuthentication(row.mode));
    const Listener& listener = proxy->listeners[0];
    CHECK(Chains(listener, 8080) == row.http);
    CHECK(Chains(listener, 9000) == row.tcp);
    CHECK(Chains(listener, 7000) == row.automatic);
    CHECK(Chains(listener, 0) == row.automatic);
    CHECK(Chains(listener, 5353).empty());  // UDP
    CHECK(Chains(listener, 80).empty());    // the Service's port, not the pod's
    CHECK(Chains(listener, 15006) == Lines{" -> tcp"});
    CHECK(proxy->load_failures.empty());
  }
}

TEST_CASE("a port that no Service names gets passthrough chains of its own mode") {
  const auto proxy = Compile(PeerAuthentication("STRICT", "5555: {mode: DISABLE}"));
  const Listener& listener = proxy->listeners[0];
  CHECK(Chains(listener, 5555) == Lines{"raw_buffer http/1.1 h2c -> http", "raw_buffer -> tcp"});
  CHECK(Chains(listener, 0).size() == 2);
  CHECK(listener.InspectsTls(8080));
  CHECK(listener.InspectsTls(1234));
  CHECK_FALSE(listener.InspectsTls(5555));
  CHECK_FALSE(listener.InspectsHttp(8080));
  CHECK(listener.InspectsHttp(5555));
}

TEST_CASE("where passthrough is not inspected the TLS inspector names its ports") {
  const auto proxy = Compile(PeerAuthentication("DISABLE", "8080: {mode: STRICT}"));
  const Listener& listener = proxy->listeners[0];
  CHECK(listener.tls_inspector_only == std::vector<uint32_t>{8080});
  CHECK(listener.tls_inspector_disabled.empty());
  CHECK(listener.InspectsTls(8080));
  CHECK_FALSE(listener.InspectsTls(9000));
  CHECK_FALSE(listener.InspectsTls(1234));
}

TEST_CASE("chains know the mode that made them and share their filters") {
  const auto proxy = Compile(PeerAuthentication("PERMISSIVE", "9000: {mode: STRICT}"));
  const FilterChain* mtls = nullptr;
  const FilterChain* raw = nullptr;
  for (const FilterChain& chain : proxy->listeners[0].filter_chains) {
    if (chain.match.destination_port == 9000) CHECK(chain.mtls.mode == MtlsMode::kStrict);
    if (chain.match.destination_port != 8080) continue;
    (chain.tls ? mtls : raw) = &chain;
  }
  REQUIRE(mtls != nullptr);
  REQUIRE(raw != nullptr);
  CHECK(mtls->filters == raw->filters);
  CHECK(mtls->mtls.source != nullptr);
}

TEST_CASE("flags of istiod") {
  MeshOptions options;
  options.istiod_env = {{"PILOT_SKIP_VALIDATE_TRUST_DOMAIN", "true"}, {"PILOT_HTTP10", "1"}};
  const auto proxy = Compile(PeerAuthentication("PERMISSIVE"), options);
  for (const FilterChain& chain : proxy->listeners[0].filter_chains) {
    if (chain.tls) CHECK(chain.tls->subject_alt_names.empty());
  }
  CHECK(Chains(proxy->listeners[0], 0)[1] == "raw_buffer http/1.0 http/1.1 h2c -> http");
}

TEST_CASE("a Sidecar resource's ingress replaces the Services' ports") {
  const std::string sidecar = R"(---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: default, namespace: shop}
spec:
  workloadSelector: {labels: {app: web}}
  ingress:
  - port: {number: 8443, protocol: HTTPS, name: https}
    defaultEndpoint: 127.0.0.1:8080
    tls: {mode: SIMPLE, serverCertificate: /c, privateKey: /k}
  egress:
  - hosts: ['*/*']
)";
  const auto proxy = Compile(PeerAuthentication("DISABLE") + sidecar);
  CHECK(Chains(proxy->listeners[0], 8080).empty());
  // Its TLS settings are experimental: without the flag the port is opaque.
  CHECK(Chains(proxy->listeners[0], 8443) == Lines{"raw_buffer -> tcp"});

  MeshOptions options;
  options.istiod_env = {{"ENABLE_TLS_ON_SIDECAR_INGRESS", "true"}};
  const auto own = Compile(PeerAuthentication("DISABLE") + sidecar, options);
  CHECK(Chains(own->listeners[0], 8443) == Lines{"tls -> http+mtls"});
  for (const FilterChain& chain : own->listeners[0].filter_chains) {
    if (!chain.tls) continue;
    CHECK_FALSE(chain.tls->require_client_certificate);
    CHECK(chain.tls->certificate_secret == "file-cert:/c~/k");
  }
  // Only where PeerAuthentication says DISABLE.
  const auto strict = Compile(PeerAuthentication("STRICT") + sidecar, options);
  CHECK(Chains(strict->listeners[0], 8443) == Lines{"tls -> http+mtls"});
  for (const FilterChain& chain : strict->listeners[0].filter_chains) {
    if (chain.tls) CHECK(chain.tls->certificate_secret == "default");
  }
}

}  // namespace
}  // namespace meshproof::inbound_test

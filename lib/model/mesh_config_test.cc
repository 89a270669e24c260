#include <doctest/doctest.h>

#include <string>

#include "model/test_input.h"

namespace meshproof::mesh_config_test {
namespace {

std::string ConfigMap(const std::string& ns, const std::string& name, const std::string& mesh) {
  return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + ", namespace: " + ns +
         "}\ndata:\n  mesh: " + mesh + "\n";
}

TEST_CASE("all fields") {
  auto model = ModelOf(R"(apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |-
    rootNamespace: root
    trustDomain: td1

    trustDomainAliases: [old, "td.*"]
    caCertificates: [{pem: x, trustDomains: [ca1, ca2]}]
    pathNormalization: {normalization: MERGE_SLASHES}
    defaultConfig:
      gatewayTopology: {numTrustedProxies: 2, forwardClientCertDetails: SANITIZE}
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
    enableAutoMtls: false
    meshMTLS: {minProtocolVersion: TLSV1_3}
    accessLogFile: /dev/stdout
    extensionProviders:
    - name: http
      envoyExtAuthzHttp:
        service: authz.shop.svc.cluster.local
        port: "8000"
        timeout: 2s
        pathPrefix: /check
        failOpen: true
        statusOnError: "503"
        includeRequestHeadersInCheck: [x]
        includeHeadersInCheck: [z]
        includeAdditionalHeadersInCheck: {b: "1"}
        includeRequestBodyInCheck: {maxRequestBytes: 10, allowPartialMessage: true}
        headersToUpstreamOnAllow: [u]
        headersToDownstreamOnDeny: [d]
        headersToDownstreamOnAllow: [a]
    - name: grpc
      envoyExtAuthzGrpc: {service: a/b, port: 9000}
    - name: log
      prometheus: {}
  meshNetworks: "networks: {}"
)");
  INFO(AllDiagnostics(*model));
  CHECK(model->diagnostics.empty());
  const MeshConfig& config = model->mesh_config;
  REQUIRE(config.object != nullptr);
  CHECK(ToString(*config.object) == "ConfigMap/istio-system/istio");
  CHECK(config.root_namespace == "root");
  CHECK(config.trust_domain == "td1");
  CHECK(config.trust_domain_aliases == std::vector<std::string>{"old", "td.*"});
  CHECK(config.ca_trust_domains == std::vector<std::string>{"ca1", "ca2"});
  CHECK(config.path_normalization == PathNormalization::kMergeSlashes);
  CHECK(config.num_trusted_proxies == 2);
  CHECK(config.forward_client_cert_details == "SANITIZE");
  CHECK(config.registry_only);
  CHECK(!config.enable_auto_mtls);
  CHECK(config.min_tls_version == "TLSV1_3");
  CHECK(config.discovery_unknown == std::vector<std::string>{"accessLogFile"});
  REQUIRE(config.providers.size() == 3);
  const ExtensionProvider& http = config.providers[0];
  CHECK(http.kind == ExtensionProvider::Kind::kExtAuthzHttp);
  CHECK(http.port == 8000);
  CHECK(http.path_prefix == "/check");
  CHECK(http.fail_open);
  CHECK(http.status_on_error == "503");
  CHECK(http.include_additional_headers.at(0).second.value == "1");
  CHECK(http.body->max_request_bytes == 10);
  CHECK(http.headers_to_downstream_on_allow.values.at(0).value == "a");
  CHECK(config.providers[1].kind == ExtensionProvider::Kind::kExtAuthzGrpc);
  CHECK(config.providers[1].port == 9000);
  CHECK(config.providers[2].kind == ExtensionProvider::Kind::kOther);
  // Places are those of the file itself.
  CHECK(Locate(http.span).file == "test.yaml");
  CHECK(PlaceOf(http.service.span) == "21:18");
  CHECK(TextAt(http.service.span) == "authz.shop.svc.cluster.local");
}

TEST_CASE("a quoted text has places of its own") {
  auto model = ModelOf(
      ConfigMap("istio-system", "istio",
                R"("trustDomain: td\nextensionProviders:\n- name: x\n  envoy_ext_authz_grpc: )"
                R"({fail_open: true}\n")"));
  INFO(AllDiagnostics(*model));
  CHECK(model->mesh_config.trust_domain == "td");
  REQUIRE(model->mesh_config.providers.size() == 1);
  CHECK(model->mesh_config.providers[0].fail_open);
  Location location = Locate(model->mesh_config.providers[0].name.span);
  CHECK(location.file == "test.yaml: data.mesh of ConfigMap istio");
  CHECK(location.line == 3);
}

TEST_CASE("without any, istiod's defaults") {
  auto model = ModelOf(std::string());
  CHECK(model->mesh_config.object == nullptr);
  CHECK(model->mesh_config.root_namespace == "istio-system");
  CHECK(model->mesh_config.trust_domain == "cluster.local");
  CHECK(model->mesh_config.enable_auto_mtls);
}

TEST_CASE("which ConfigMap counts") {
  std::string a = ConfigMap("istio-system", "istio", "\"trustDomain: a\"") + "---\n";
  std::string b = ConfigMap("infra", "istio", "\"trustDomain: b\"") + "---\n";
  std::string c = ConfigMap("istio-system", "istio-canary", "\"trustDomain: c\"") + "---\n";
  std::string d = ConfigMap("istio-system", "other", "\"trustDomain: d\"") + "---\n";
  CHECK(ModelOf(b + a)->mesh_config.trust_domain == "a");
  CHECK(ModelOf(c + a)->mesh_config.trust_domain == "a");
  CHECK(ModelOf(b)->mesh_config.trust_domain == "b");
  CHECK(ModelOf(b + c)->mesh_config.trust_domain == "c");
  CHECK(ModelOf(d)->mesh_config.trust_domain == "cluster.local");
  ModelOptions infra;
  infra.root_namespace = "infra";
  auto model = ModelOf(a + b, infra);
  CHECK(model->mesh_config.trust_domain == "b");
  CHECK(model->mesh_config.root_namespace == "infra");
  auto two = ModelOf(b + ConfigMap("elsewhere", "istio", "\"trustDomain: e\""));
  CHECK(two->mesh_config.trust_domain == "b");
  CHECK(two->diagnostics.size() == 1);
  auto twice = ModelOf(a + ConfigMap("istio-system", "istio", "\"trustDomain: last\""));
  CHECK(twice->mesh_config.trust_domain == "last");
  CHECK(twice->diagnostics.size() == 1);
}

TEST_CASE("the command line beats the mesh") {
  ModelOptions options;
  options.trust_domain = "mine";
  options.root_namespace = "root";
  options.mesh_config =
      std::make_shared<SourceFile>("mc.yaml", "trustDomain: given\nenableAutoMtls: false\n");
  auto model = ModelOf(ConfigMap("root", "istio", "\"trustDomain: a\""), options);
  CHECK(model->mesh_config.trust_domain == "mine");
  CHECK(model->mesh_config.root_namespace == "root");
  CHECK(!model->mesh_config.enable_auto_mtls);

  ModelOptions wrapped;
  wrapped.mesh_config = std::make_shared<SourceFile>(
      "cm.yaml", ConfigMap("istio-system", "istio", "|\n    trustDomain: inner"));
  CHECK(ModelOf(std::string(), wrapped)->mesh_config.trust_domain == "inner");
}

TEST_CASE("what is wrong in it") {
  auto model = ModelOf(R"(apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    trustDomian: x
    enableAutoMtls: "yes"
    pathNormalization: {normalization: ALL}
    somethingElse: 1
)");
  INFO(AllDiagnostics(*model));
  REQUIRE(model->diagnostics.size() == 3);
  CHECK(ToString(model->diagnostics[0]) ==
        "test.yaml:6:5: info: the mesh config has no field `trustDomian`, istiod ignores it\n"
        "    help: did you mean `trustDomain`?");
  CHECK(PlaceOf(model->diagnostics[1].span) == "7:21");
  CHECK(PlaceOf(model->diagnostics[2].span) == "8:40");
  CHECK(model->mesh_config.discovery_unknown.size() == 2);

  auto broken = ModelOf(ConfigMap("istio-system", "istio", "\"a: [\""));
  CHECK(broken->diagnostics.size() == 1);
  CHECK(broken->diagnostics[0].trouble == Trouble::kSyntax);
}

}  // namespace
}  // namespace meshproof::mesh_config_test

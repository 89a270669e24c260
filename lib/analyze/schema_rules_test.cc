// Rules MP0002 and MP0009 where more counts than the line of a finding: what it says, its evidence,
// the stated version.

#include <doctest/doctest.h>

#include <string>

#include "analyze/driver.h"
#include "source/source.h"

namespace meshproof::schema_rules_test {
namespace {

constexpr int64_t kNow = 1795000000;

std::vector<Finding> Findings(const std::string& text, std::string only, std::string version = {},
                              std::shared_ptr<const SourceFile> mesh_config = nullptr) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", text));
  ModelOptions options;
  options.mesh_config = std::move(mesh_config);
  // Findings point into the model, which stays until the test ends.
  static std::vector<std::shared_ptr<const Mesh>> kept;
  kept.push_back(Mesh::Build(DecodeModel(std::move(load), options)));
  World world(kept.back());
  AnalyzeOptions analyze;
  analyze.only = {std::move(only)};
  analyze.now = kNow;
  analyze.istio_version = std::move(version);
  return Analyze(*kept.back(), world, analyze).findings;
}

bool Says(const Finding& finding, std::string_view text) {
  return finding.message.find(text) != std::string::npos;
}

constexpr const char* kShop =
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: enabled}}\n"
    "---\n"
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\n"
    "spec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: "
    "web}}\n"
    "    spec:\n      containers:\n      - {name: web, image: a, ports: [{containerPort: 8080}]}\n"
    "---\n"
    "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\n"
    "spec:\n  selector: {app: web}\n  ports:\n  - {name: http, port: 80, targetPort: 8080}\n"
    "---\n"
    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: curl, namespace: shop}\n"
    "spec:\n  selector: {matchLabels: {app: curl}}\n  template:\n"
    "    metadata: {labels: {app: curl}}\n"
    "    spec:\n      serviceAccountName: curl\n      containers:\n      - {name: curl, image: a}\n"
    "---\n";

}  // namespace

TEST_CASE("a lost mTLS mode is shown by a plaintext request") {
  auto findings = Findings(std::string(kShop) +
                               "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
                               "metadata: {name: default, namespace: shop}\n"
                               "spec:\n  mtls: {mod: STRICT}\n",
                           "MP0002");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].field_path == "spec.mtls.mod");
  CHECK(Says(findings[0], "PERMISSIVE, and plaintext is accepted"));
  CHECK(Says(findings[0], "did you mean `mode`?"));
  REQUIRE(findings[0].edits.size() == 1);
  CHECK(findings[0].edits[0].new_text == "mode");
  REQUIRE(findings[0].witness.has_value());
  CHECK(findings[0].certainty == Certainty::kProven);
  CHECK(findings[0].witness->question.tls == CaseTls::kPlaintext);
}

TEST_CASE("a lost source is shown by a caller that it did not name") {
  auto findings = Findings(std::string(kShop) +
                               "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
                               "metadata: {name: web, namespace: shop}\n"
                               "spec:\n  selector: {matchLabels: {app: web}}\n  rules:\n"
                               "  - from:\n    - source:\n"
                               "        namespace: [orders]\n        notNamespaces: [far]\n",
                           "MP0002");
  REQUIRE(findings.size() == 1);
  CHECK(Says(findings[0], "tests `notNamespaces` alone and admits more"));
  REQUIRE(findings[0].witness.has_value());
  CHECK(findings[0].witness->question.from_workload == "shop/curl");
  CHECK(findings[0].witness->verdict.outcome == Outcome::kAllow);
  CHECK(Says(findings[0], "is let in, and would be refused with `namespaces`"));
}

TEST_CASE("a source that is left empty is refused, and what it was to refuse is let in") {
  auto findings = Findings(std::string(kShop) +
                               "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
                               "metadata: {name: web, namespace: shop}\n"
                               "spec:\n  rules:\n  - from:\n    - source: {namespace: [orders]}\n",
                           "MP0002");
  REQUIRE(findings.size() == 1);
  CHECK(Says(findings[0], "admission refuses the whole policy"));
  CHECK(Says(findings[0], "is let in, and would be refused with `namespaces`"));
  REQUIRE(findings[0].witness.has_value());
  CHECK(findings[0].witness->verdict.outcome == Outcome::kAllow);
}

TEST_CASE("a spelling that admission refuses is no proof of anything") {
  // `serviceAccounts` does not go with `namespaces`.
  auto findings = Findings(std::string(kShop) +
                               "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
                               "metadata: {name: web, namespace: shop}\n"
                               "spec:\n  rules:\n  - from:\n    - source:\n"
                               "        namespaces: [orders]\n        serviceAccount: [a/b]\n",
                           "MP0002");
  REQUIRE(findings.size() == 1);
  CHECK_FALSE(Says(findings[0], "would be"));
}

TEST_CASE("a lost selector is shown by a workload that it did not name") {
  auto findings = Findings(std::string(kShop) +
                               "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
                               "metadata: {name: curl, namespace: shop}\n"
                               "spec:\n  selectors: {matchLabels: {app: curl}}\n",
                           "MP0002");
  REQUIRE(findings.size() == 1);
  CHECK(Says(findings[0], "every workload of namespace shop"));
  REQUIRE(findings[0].witness.has_value());
  CHECK(findings[0].witness->question.to_workload == "shop/web");
  CHECK(findings[0].witness->verdict.outcome == Outcome::kDeny);
}

TEST_CASE("a mesh config of its own file is read like the ConfigMap's") {
  auto file = std::make_shared<SourceFile>("mesh-config.yaml",
                                           "trustDomain: a\noutboundTrafficPolicys: {}\n"
                                           "entirelyNew: 1\n");
  auto findings = Findings("", "MP0002", "", file);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].severity == Severity::kError);
  CHECK(findings[0].field_path == "data.mesh.outboundTrafficPolicys");
  CHECK(Locate(findings[0].span).line == 2);
  // A later release may know it.
  CHECK(findings[1].severity == Severity::kInfo);
}

TEST_CASE("fields that are younger than the stated version") {
  const std::string text =
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
      "metadata: {name: web, namespace: shop}\n"
      "spec:\n  rules:\n  - from:\n    - source: {serviceAccounts: [web]}\n"
      "    to:\n    - operation: {paths: ['/a/{*}']}\n"
      "    when:\n    - {key: source.trustDomain, values: [a]}\n"
      "---\n"
      "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n"
      "metadata: {name: web, namespace: shop}\n"
      "spec:\n  targetRefs: [{kind: Service, name: web}]\n  jwtRules:\n"
      "  - {issuer: a, fromCookies: [c], spaceDelimitedClaims: [s]}\n";
  struct Row {
    const char* version;
    size_t findings;
  };
  for (const Row& row :
       {Row{"", 0}, Row{"1.31.0", 0}, Row{"1.30.2", 0}, Row{"1.30.1", 1}, Row{"1.27", 2},
        Row{"v1.24.3", 3}, Row{"1.21.9", 5}, Row{"1.20.0", 6}, Row{"nonsense", 0}}) {
    CAPTURE(row.version);
    CHECK(Findings(text, "MP0009", row.version).size() == row.findings);
  }
}

TEST_CASE("defaults that changed since the stated version") {
  const std::string text =
      "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"
      "metadata: {name: out, namespace: shop}\n"
      "spec:\n  host: pay.example.org\n  trafficPolicy:\n    tls: {mode: SIMPLE}\n"
      "---\n"
      "apiVersion: v1\nkind: Service\nmetadata: {name: pay, namespace: shop}\n"
      "spec: {type: ExternalName, externalName: pay.example.org}\n";
  CHECK(Findings(text, "MP0009", "1.20.3").size() == 2);
  CHECK(Findings(text, "MP0009", "1.21.0").empty());
  CHECK(Findings(text, "MP0009").empty());
}

TEST_CASE("`presence: REQUIRED` is shown by a request without a token") {
  auto findings = Findings(std::string(kShop) +
                               "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\n"
                               "metadata: {name: web, namespace: shop}\n"
                               "spec:\n  selector: {matchLabels: {app: web}}\n  jwtRules:\n"
                               "  - {issuer: a, jwks: '{\"keys\":[]}', presence: REQUIRED}\n",
                           "MP0009");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].field_path == "spec.jwtRules[0].presence");
}

TEST_CASE("a DENY on a Service port is shown by a request that passes") {
  auto findings = Findings(std::string(kShop) +
                               "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
                               "metadata: {name: web, namespace: shop}\n"
                               "spec:\n  selector: {matchLabels: {app: web}}\n  action: DENY\n"
                               "  rules:\n  - to:\n    - operation: {ports: ['80']}\n",
                           "MP0105");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].certainty == Certainty::kProven);
  REQUIRE(findings[0].edits.size() == 1);
  CHECK(findings[0].edits[0].new_text == "8080");
  CHECK(findings[0].witness->question.to_port == 8080);
}

}  // namespace meshproof::schema_rules_test

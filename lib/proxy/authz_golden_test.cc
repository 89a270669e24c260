// Pairs of policies and the filters that istiod compiles them into, from Istio's own tests.
#include <doctest/doctest.h>

#include <iostream>

#include "proxy/compile.h"
#include "proxy/emit.h"
#include "proxy/proxy_testing.h"

namespace meshproof {
namespace {

namespace fs = std::filesystem;

// A YAML value as JSON with field names in snake_case (type URLs and values stay).
Json ToJson(const Node& node) {
  switch (node.kind) {
    case NodeKind::kSequence: {
      Json out = Json::MakeArray();
      for (const Node& item : node.items()) out.Append(ToJson(item));
      return out;
    }
    case NodeKind::kMapping: {
      Json out = Json::MakeObject();
      for (const Entry& entry : node.entries()) {
        std::string key;
        // Names of policies hold brackets, names of fields never do.
        const bool field = entry.key.text.find('[') == std::string_view::npos;
        for (const char c : entry.key.text) {
          const bool upper = c >= 'A' && c <= 'Z';
          if (field && upper) key += '_';
          key += field && upper ? static_cast<char>(c - 'A' + 'a') : c;
        }
        out.Set(key, ToJson(entry.value));
      }
      return out;
    }
    case NodeKind::kScalar:
      break;
  }
  if (node.IsBool()) return node.AsBool();
  if (const auto number = node.AsInt()) return *number;
  return std::string(node.text);
}

struct Pair {
  const char* input;
  const char* providers;  // extensionProviders of the mesh configuration, or ""
  std::vector<const char*> outputs;
};

constexpr const char* kGrpcProvider = R"(
    - name: default
      envoyExtAuthzGrpc:
        service: foo/my-custom-ext-authz.foo.svc.cluster.local
        port: 9000
        timeout: 2ms
        failOpen: true
        statusOnError: "403"
        includeRequestBodyInCheck: {maxRequestBytes: 4096, allowPartialMessage: true}
)";
constexpr const char* kGrpcProviderWithoutNamespace = R"(
    - name: default
      envoyExtAuthzGrpc:
        service: my-custom-ext-authz.foo.svc.cluster.local
        port: 9000
        failOpen: true
        statusOnError: "403"
)";
constexpr const char* kHttpProvider = R"(
    - name: default
      envoyExtAuthzHttp:
        service: foo/my-custom-ext-authz.foo.svc.cluster.local
        port: 9000
        timeout: 10s
        failOpen: true
        statusOnError: "403"
        pathPrefix: /check
        includeRequestHeadersInCheck: [x-custom-id, x-prefix-*, "*-suffix"]
        includeHeadersInCheck: [should-not-include-when-includeRequestHeadersInCheck-is-set]
        includeAdditionalHeadersInCheck: {x-header-2: value-2, x-header-1: value-1}
        includeRequestBodyInCheck:
          maxRequestBytes: 2048
          allowPartialMessage: true
          packAsBytes: true
        headersToUpstreamOnAllow: [Authorization, x-prefix-*, "*-suffix"]
        headersToDownstreamOnDeny: [Set-cookie, x-prefix-*, "*-suffix"]
        headersToDownstreamOnAllow: [Set-cookie, x-prefix-*, "*-suffix"]
)";
constexpr const char* kBrokenProvider = R"(
    - name: default
      envoyExtAuthzHttp:
        service: foo/my-custom-ext-authz.foo.svc.cluster.local
        port: 999999
        timeout: 10s
        failOpen: true
        statusOnError: "999"
        pathPrefix: check
)";

std::string Indented(const std::string& text) {
  std::string out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out += "    " + line + "\n";
  return out;
}

// The workload under test: namespace foo, labels app: httpbin and version: v1.
std::string MeshText(const std::string& policies, const std::string& providers) {
  std::string mesh = R"(apiVersion: v1
kind: Namespace
metadata: {name: foo, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: my-custom-ext-authz, namespace: foo}
spec: {selector: {app: authz}, ports: [{name: grpc, port: 9000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: httpbin, namespace: foo, labels: {app: httpbin, version: v1}}
spec: {containers: [{name: app, image: app}]}
---
)";
  if (!providers.empty()) {
    mesh += "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n";
    mesh += "data:\n  mesh: |\n    extensionProviders:\n" + Indented(providers.substr(1)) + "---\n";
  }
  return mesh + policies;
}

std::vector<Json> FiltersOf(const ProxyConfig& proxy) {
  const Json emitted = EmitProxy(proxy);
  for (const Json& chain :
       (*emitted.Find("listeners")).as_array()[0].Find("filter_chains")->as_array()) {
    for (const Json& filter : chain.Find("filters")->as_array()) {
      const Json* http = FindPath(&filter, {"typed_config", "http_filters"});
      if (http == nullptr) continue;
      std::vector<Json> filters = http->as_array();
      filters.pop_back();  // the router
      return filters;
    }
  }
  return {};
}

TEST_CASE("policies become the filters of Istio's own tests") {
  const fs::path root = SharedDirectory() / "golden/istio-authz";
  if (!fs::exists(root)) {
    std::cout << "skipped: no pairs in " << root << "\n";
    return;
  }
  const std::vector<Pair> pairs = {
      {"allow-empty-rule-in.yaml", "", {"allow-empty-rule-out.yaml"}},
      {"allow-nil-rule-in.yaml", "", {"allow-nil-rule-out.yaml"}},
      {"deny-empty-rule-in.yaml", "", {"deny-empty-rule-out.yaml"}},
      {"allow-path-in.yaml", "", {"allow-path-out.yaml"}},
      {"allow-full-rule-in.yaml", "", {"allow-full-rule-out.yaml"}},
      {"deny-and-allow-in.yaml", "", {"deny-and-allow-out1.yaml", "deny-and-allow-out2.yaml"}},
      {"multiple-policies-in.yaml", "", {"multiple-policies-out.yaml"}},
      {"single-policy-in.yaml", "", {"single-policy-out.yaml"}},
      {"custom-simple-http-in.yaml",
       kGrpcProvider,
       {"custom-grpc-provider-out1.yaml", "custom-grpc-provider-out2.yaml"}},
      {"custom-simple-http-in.yaml",
       kGrpcProviderWithoutNamespace,
       {"custom-grpc-provider-no-namespace-out1.yaml",
        "custom-grpc-provider-no-namespace-out2.yaml"}},
      {"custom-simple-http-in.yaml",
       kHttpProvider,
       {"custom-http-provider-out1.yaml", "custom-http-provider-out2.yaml"}},
      {"custom-simple-http-in.yaml", kBrokenProvider, {"custom-bad-out.yaml"}},
      {"custom-bad-multiple-providers-in.yaml",
       kGrpcProvider,
       {"custom-bad-multiple-providers-out1.yaml", "custom-bad-multiple-providers-out2.yaml"}},
  };
  for (const Pair& pair : pairs) {
    CAPTURE(pair.input);
    ModelOptions options;
    // The pairs hold what a stored object compiles to, and some of them validation refuses.
    options.keep_invalid = true;
    // The inputs are of a mesh without a root namespace.
    options.root_namespace = "root";
    const auto mesh = TestMesh(MeshText(ReadTestFile(root / pair.input), pair.providers), options);
    const Workload* workload = mesh->FindWorkload("foo", "httpbin");
    REQUIRE(workload != nullptr);
    REQUIRE(workload->mode == ProxyMode::kSidecar);
    const std::vector<Json> filters = FiltersOf(*Compiler(mesh).Compile(*workload));
    REQUIRE(filters.size() == pair.outputs.size());
    for (size_t i = 0; i < filters.size(); ++i) {
      CAPTURE(pair.outputs[i]);
      const ParsedFile parsed = ParseText("out", ReadTestFile(root / pair.outputs[i]));
      REQUIRE(parsed.documents.size() == 1);
      const std::string difference =
          FirstDifference(SortKeys(ToJson(*parsed.documents[0].root())), SortKeys(filters[i]));
      if (!difference.empty()) FAIL_CHECK(difference.substr(0, 3000));
    }
  }
}

}  // namespace
}  // namespace meshproof

#pragma once

#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "proxy/proxy_testing.h"
#include "source/node.h"

// Pairs of policies and the filters that istiod compiles them into, from Istio's own tests. For
// tests alone; the pairs are not part of the project and may be absent.
namespace meshproof {

inline std::filesystem::path AuthzPairsDirectory() {
  return SharedDirectory() / "golden/istio-authz";
}

// A YAML value as JSON with field names in snake_case (type URLs and values stay).
inline Json ToSnakeJson(const Node& node) {
  switch (node.kind) {
    case NodeKind::kSequence: {
      Json out = Json::MakeArray();
      for (const Node& item : node.items()) out.Append(ToSnakeJson(item));
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
        out.Set(key, ToSnakeJson(entry.value));
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

struct AuthzPair {
  const char* input;
  const char* providers;  // extensionProviders of the mesh configuration, or ""
  std::vector<const char*> outputs;
};

inline constexpr const char* kGrpcProvider = R"(
    - name: default
      envoyExtAuthzGrpc:
        service: foo/my-custom-ext-authz.foo.svc.cluster.local
        port: 9000
        timeout: 2ms
        failOpen: true
        statusOnError: "403"
        includeRequestBodyInCheck: {maxRequestBytes: 4096, allowPartialMessage: true}
)";
inline constexpr const char* kGrpcProviderWithoutNamespace = R"(
    - name: default
      envoyExtAuthzGrpc:
        service: my-custom-ext-authz.foo.svc.cluster.local
        port: 9000
        failOpen: true
        statusOnError: "403"
)";
inline constexpr const char* kHttpProvider = R"(
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
inline constexpr const char* kBrokenProvider = R"(
    - name: default
      envoyExtAuthzHttp:
        service: foo/my-custom-ext-authz.foo.svc.cluster.local
        port: 999999
        timeout: 10s
        failOpen: true
        statusOnError: "999"
        pathPrefix: check
)";

inline std::string Indented(const std::string& text) {
  std::string out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out += "    " + line + "\n";
  return out;
}

// The workload under test: namespace foo, labels app: httpbin and version: v1.
inline std::string MeshText(const std::string& policies, const std::string& providers) {
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

inline const std::vector<AuthzPair>& AuthzPairs() {
  static const std::vector<AuthzPair> pairs = {
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
  return pairs;
}

inline std::shared_ptr<const Mesh> AuthzMesh(const AuthzPair& pair) {
  ModelOptions options;
  // The pairs hold what a stored object compiles to, and some of them validation refuses.
  options.keep_invalid = true;
  // The inputs are of a mesh without a root namespace.
  options.root_namespace = "root";
  return TestMesh(MeshText(ReadTestFile(AuthzPairsDirectory() / pair.input), pair.providers),
                  options);
}

// The filters that istiod made of it.
inline std::vector<Json> AuthzFilters(const AuthzPair& pair) {
  std::vector<Json> filters;
  for (const char* output : pair.outputs) {
    const ParsedFile parsed = ParseText("out", ReadTestFile(AuthzPairsDirectory() / output));
    filters.push_back(ToSnakeJson(*parsed.documents.at(0).root()));
  }
  return filters;
}

}  // namespace meshproof

// Any bytes as a request: lines of "method path", "authority", then headers. A proxy with path
// normalization, a token check and rules on every part answers each, twice alike.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.h"
#include "simulate/case.h"

namespace {

using namespace meshproof;

constexpr const char* kMesh = R"(
apiVersion: v1
kind: Namespace
metadata: {name: a, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    pathNormalization: {normalization: DECODE_AND_MERGE_SLASHES}
---
apiVersion: v1
kind: Pod
metadata: {name: w, namespace: a, labels: {app: w}}
spec: {containers: [{name: c, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Service
metadata: {name: w, namespace: a}
spec: {selector: {app: w}, ports: [{name: http, port: 80}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: r, namespace: a}
spec:
  jwtRules:
  - issuer: i
    jwks: '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"}]}'
    fromHeaders: [{name: x-token, prefix: "T "}, {name: authorization, prefix: "Bearer "}]
    fromParams: [t]
    fromCookies: [c]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: p, namespace: a}
spec:
  rules:
  - to: [{operation: {paths: [/a/*, "/b/{*}/{**}"], methods: [GET], notHosts: [x]}}]
    when: [{key: "request.headers[x-a]", notValues: ["b*"]}]
  - from: [{source: {requestPrincipals: ["*"], remoteIpBlocks: [10.0.0.0/8]}}]
)";

const World& TestWorld() {
  static const World& world = *[] {
    Load load;
    load.files.push_back(ParseText("mesh.yaml", kMesh));
    return new World(Mesh::Build(DecodeModel(std::move(load), {})));
  }();
  return world;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto lines = Split(text, '\n');
  Case question;
  question.from_outside = true;
  question.to_workload = "a/w";
  question.to_port = 80;
  question.now = 1700000000;
  question.protocol = static_cast<WireProtocol>(data[0] % 5);
  size_t space = lines[0].find(' ');
  question.method = std::string(lines[0].substr(0, space));
  if (space != std::string_view::npos) question.path = lines[0].substr(space + 1);
  if (lines.size() > 1) question.host = std::string(lines[1]);
  for (size_t i = 2; i < lines.size(); ++i) {
    size_t colon = lines[i].find(':');
    if (colon == std::string_view::npos) continue;
    question.headers.emplace_back(lines[i].substr(0, colon), lines[i].substr(colon + 1));
  }
  auto traced = TestWorld().Run(question, World::Addresses::kAssume, Detail::kTrace);
  auto quick = TestWorld().Run(question, World::Addresses::kAssume, Detail::kVerdict);
  if (traced.ok() != quick.ok()) std::abort();
  if (traced.ok() && (traced.value().outcome != quick.value().outcome ||
                      traced.value().details != quick.value().details)) {
    std::abort();
  }
  return 0;
}

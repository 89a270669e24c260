// A namespace with an ambient pod and one with a sidecar, a waypoint before the Service of the
// ambient pod, and callers of each kind. For every kind of policy and attachment one mesh is built
// in which that policy alone stands, and every caller sends the request that it refuses.

#include "simulate/enforcement.h"

#include <algorithm>

#include "base/check.h"
#include "simulate/case.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

constexpr char kMesh[] = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Namespace
metadata: {name: other}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    extensionProviders:
    - name: authz
      envoyExtAuthzGrpc: {service: authz.other.svc.cluster.local, port: 9000}
---
apiVersion: v1
kind: Service
metadata: {name: authz, namespace: other}
spec: {selector: {app: authz}, ports: [{name: grpc, port: 9000}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
---
apiVersion: v1
kind: Service
metadata:
  name: ambient
  namespace: shop
  labels: {istio.io/use-waypoint: wp}
spec: {selector: {tier: ambient}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata:
  name: labelled
  namespace: shop
  labels: {istio.io/use-waypoint: wp, istio.io/ingress-use-waypoint: "true"}
spec: {selector: {tier: ambient}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: sidecar, namespace: shop}
spec: {selector: {tier: sidecar}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: ambient, namespace: shop, labels: {app: web, tier: ambient}}
spec: {containers: [{name: main, image: web}]}
---
apiVersion: v1
kind: Pod
metadata:
  name: sidecar
  namespace: shop
  labels: {app: web, tier: sidecar, sidecar.istio.io/inject: "true"}
spec: {containers: [{name: main, image: web}]}
---
apiVersion: v1
kind: Pod
metadata: {name: plain, namespace: other, labels: {app: caller}}
spec: {containers: [{name: main, image: caller}]}
---
apiVersion: v1
kind: Pod
metadata: {name: gateway, namespace: other, labels: {istio: ingressgateway, sidecar.istio.io/inject: "true"}, annotations: {inject.istio.io/templates: gateway}}
spec: {containers: [{name: istio-proxy, image: auto}]}
---
)";

struct Kind {
  const char* name;
  const char* api_kind;
  const char* spec;
};

constexpr Kind kKinds[] = {
    {"AuthorizationPolicy, TCP attributes", "AuthorizationPolicy",
     "action: DENY\n  rules: [{to: [{operation: {ports: ['80', '8080']}}]}]"},
    {"AuthorizationPolicy, HTTP attributes", "AuthorizationPolicy",
     "action: DENY\n  rules: [{to: [{operation: {paths: [/probe]}}]}]"},
    {"AuthorizationPolicy, action CUSTOM", "AuthorizationPolicy",
     "action: CUSTOM\n  provider: {name: authz}\n  rules: [{}]"},
    {"RequestAuthentication", "RequestAuthentication",
     "jwtRules: [{issuer: a, jwks: '{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
     "\"AT4-Op1vRjkYtMAaT-xvQ2eHv3gXGqqUkvOqb-1gw1o\",\"y\":"
     "\"gAK0vUc1CO5vstjJO_ZyufdFtTai93tKFx0-DHn4xTA\"}]}'}]"},
    {"PeerAuthentication STRICT", "PeerAuthentication", "mtls: {mode: STRICT}"},
};

struct Attachment {
  const char* name;
  const char* ns;
  const char* spec;
  bool peer_authentication;  // can carry one
};

constexpr Attachment kAttachments[] = {
    {"selector", "shop", "selector: {matchLabels: {app: web}}", true},
    {"namespace", "shop", "", true},
    {"root namespace", "istio-system", "", true},
    {"targetRef Service", "shop",
     "targetRefs: [{kind: Service, group: '', name: ambient}, {kind: Service, group: '', name: "
     "labelled}, {kind: Service, group: '', name: sidecar}]",
     false},
    {"targetRef waypoint Gateway", "shop",
     "targetRefs: [{kind: Gateway, group: gateway.networking.k8s.io, name: wp}]", false},
    {"targetRef GatewayClass, in root", "istio-system",
     "targetRefs: [{kind: GatewayClass, group: gateway.networking.k8s.io, name: istio-waypoint}]",
     false},
};

struct Probe {
  const char* client;
  const char* destination;
  const char* from;
  const char* to_host;      // or
  const char* to_workload;  // with port 8080
};

constexpr Probe kProbes[] = {
    {"ambient", "Service with waypoint", "shop/ambient", "ambient.shop.svc.cluster.local", ""},
    {"ambient", "address of ambient pod", "shop/ambient", "", "shop/ambient"},
    {"sidecar", "Service with waypoint", "shop/sidecar", "ambient.shop.svc.cluster.local", ""},
    {"gateway", "Service with waypoint", "other/gateway", "ambient.shop.svc.cluster.local", ""},
    {"gateway", "the same, ingress-use-waypoint", "other/gateway",
     "labelled.shop.svc.cluster.local", ""},
    {"no mesh", "Service with waypoint", "other/plain", "ambient.shop.svc.cluster.local", ""},
    {"ambient", "pod with sidecar", "shop/ambient", "sidecar.shop.svc.cluster.local", ""},
    {"sidecar", "pod with sidecar", "shop/sidecar", "sidecar.shop.svc.cluster.local", ""},
    {"no mesh", "pod with sidecar", "other/plain", "sidecar.shop.svc.cluster.local", ""},
};

World WorldWith(const Kind& kind, const Attachment& attachment) {
  std::string text = kMesh;
  text += "apiVersion: security.istio.io/v1\nkind: " + std::string(kind.api_kind) +
          "\nmetadata: {name: probe, namespace: " + attachment.ns + "}\nspec:\n  " + kind.spec +
          "\n";
  if (*attachment.spec != '\0') text += "  " + std::string(attachment.spec) + "\n";
  Load load;
  load.files.push_back(ParseText("mesh.yaml", std::move(text)));
  return World(Mesh::Build(DecodeModel(std::move(load), {})));
}

Case Ask(const Probe& probe) {
  Case question;
  question.from_workload = probe.from;
  question.to_host = probe.to_host;
  question.to_workload = probe.to_workload;
  question.to_port = question.to_host.empty() ? 8080 : 80;
  question.path = "/probe";
  question.ext_authz = ExtAuthzAnswer::kDeny;
  question.headers.emplace_back("authorization", "Bearer no-token");
  question.now = 0;
  return question;
}

std::string Padded(const std::string& text, size_t width) {
  return text + std::string(width > text.size() ? width - text.size() : 0, ' ');
}

}  // namespace

EnforcementTable BuildEnforcementTable() {
  EnforcementTable table;
  for (const Probe& probe : kProbes) table.ways.push_back({probe.client, probe.destination});
  for (const Kind& kind : kKinds) {
    const bool peer = std::string_view(kind.api_kind) == "PeerAuthentication";
    for (const Attachment& attachment : kAttachments) {
      if (peer && !attachment.peer_authentication) continue;
      const World world = WorldWith(kind, attachment);
      EnforcementTable::Row row{kind.name, attachment.name, {}};
      for (const Probe& probe : kProbes) {
        const Result<Verdict> verdict =
            world.Run(Ask(probe), World::Addresses::kAssume, Detail::kTrace);
        MESHPROOF_CHECK(verdict.ok() && verdict.value().outcome != Outcome::kUndetermined);
        const bool refused = verdict.value().outcome != Outcome::kAllow;
        row.at.push_back(refused ? EnforcementPoint(verdict.value()) : "-");
      }
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

std::string ToText(const EnforcementTable& table) {
  std::string out;
  for (size_t i = 0; i < table.ways.size(); ++i) {
    out += std::string(1, static_cast<char>('A' + i)) + "  " + Padded(table.ways[i].client, 8) +
           "to  " + table.ways[i].destination + "\n";
  }
  constexpr size_t kCell = 5;
  std::string head = Padded("", 34);
  for (size_t i = 0; i < table.ways.size(); ++i) {
    head += Padded(std::string(1, static_cast<char>('A' + i)), kCell);
  }
  head.erase(head.find_last_not_of(' ') + 1);
  std::string last;
  for (const auto& row : table.rows) {
    if (row.policy != last) out += "\n" + row.policy + "\n" + head + "\n";
    last = row.policy;
    std::string line = "  " + Padded(row.attachment, 32);
    for (const std::string& at : row.at) line += Padded(at.substr(0, 4), kCell);
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  out += "\nside = sidecar, wayp = waypoint, ztun = ztunnel, - = nowhere\n";
  return out;
}

}  // namespace meshproof

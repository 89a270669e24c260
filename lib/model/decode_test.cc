#include <doctest/doctest.h>

#include <string>

#include "model/test_input.h"

namespace meshproof::decode_test {
namespace {

TEST_CASE("pods and what makes pods") {
  auto model = ModelOf(R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {a: b}}
spec:
  template:
    metadata:
      labels: {app: web, empty: }
      annotations: {sidecar.istio.io/inject: "false"}
    spec:
      serviceAccountName: web-sa
      hostNetwork: true
      initContainers:
      - {name: setup, ports: [{containerPort: 1}]}
      - {name: istio-proxy, restartPolicy: Always, ports: [{containerPort: 15090}]}
      containers:
      - name: app
        env: [{name: UPSTREAM, value: x}, {name: SECRET, valueFrom: {}}]
        ports:
        - {name: http, containerPort: 8080}
        - {containerPort: 53, protocol: UDP, hostPort: 53}
      - {name: other, env: [{name: NO}], ports: [{containerPort: 9090}]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  jobTemplate:
    spec: {template: {metadata: {labels: {app: job}}, spec: {serviceAccount: old}}}
---
apiVersion: v1
kind: Pod
metadata:
  generateName: web-7d-
  labels: {app: pod}
  ownerReferences:
  - {kind: Node, name: n}
  - {kind: ReplicaSet, name: web-7d, controller: true}
spec: {}
status: {podIP: 10.0.0.7, podIPs: [{ip: 10.0.0.7}, {ip: "fd00::7"}]}
)");
  INFO(AllDiagnostics(*model));
  CHECK(model->diagnostics.empty());
  REQUIRE(model->pod_workloads.size() == 3);
  const PodWorkload& web = model->pod_workloads[0];
  CHECK(web.service_account == "web-sa");
  CHECK(web.host_network);
  CHECK(web.has_proxy_container);
  CHECK(web.pod_labels == Labels{{"app", "web"}, {"empty", ""}});
  CHECK(TextAt(web.pod_labels_span) == "{app: web, empty: }");
  CHECK(*FindLabel(web.pod_annotations, "sidecar.istio.io/inject") == "false");
  REQUIRE(web.ports.size() == 4);
  CHECK(web.ports[0].name.value == "http");
  CHECK(web.ports[0].port == 8080);
  CHECK(web.ports[1].protocol == PortProtocol::kUdp);
  CHECK(web.ports[1].host_port == 53);
  CHECK(web.ports[3].port == 15090);
  REQUIRE(web.env.size() == 2);
  CHECK(web.env[0].second == "x");
  CHECK(PlaceOf(web.meta.span) == "3:18");
  CHECK(web.meta.body.begin == 0);
  const PodWorkload& job = model->pod_workloads[1];
  CHECK(job.service_account == "old");
  CHECK(job.pod_labels == Labels{{"app", "job"}});
  const PodWorkload& pod = model->pod_workloads[2];
  CHECK(pod.meta.name.empty());
  CHECK(pod.generate_name == "web-7d-");
  CHECK(pod.owner == "web-7d");
  CHECK(pod.service_account == "default");
  REQUIRE(pod.ips.size() == 2);
  CHECK(ToString(pod.ips[1]) == "fd00::7");
}

TEST_CASE("services") {
  auto model = ModelOf(R"(apiVersion: v1
kind: Service
metadata: {name: web, creationTimestamp: 2024-01-02T03:04:05Z}
spec:
  clusterIP: 10.1.0.1
  clusterIPs: [10.1.0.1, "fd00::1"]
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080, appProtocol: http2}
  - {port: 9000, targetPort: raw, protocol: TCP}
---
apiVersion: v1
kind: Service
metadata: {name: ext}
spec: {type: ExternalName, externalName: example.com}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None}
)");
  INFO(AllDiagnostics(*model));
  CHECK(model->diagnostics.empty());
  REQUIRE(model->services.size() == 3);
  const Service& web = model->services[0];
  CHECK(web.meta.created == "2024-01-02T03:04:05Z");
  CHECK(web.type == "ClusterIP");
  CHECK(web.has_selector);
  CHECK(web.cluster_ips.size() == 2);
  REQUIRE(web.ports.size() == 2);
  CHECK(web.ports[0].target_port.value == "8080");
  CHECK(web.ports[0].app_protocol->value == "http2");
  CHECK(PlaceOf(web.ports[0].span) == "9:5");
  CHECK(web.ports[1].target_port.value == "raw");
  CHECK(!web.ports[1].app_protocol);
  CHECK(model->services[1].external_name == "example.com");
  CHECK(!model->services[1].has_selector);
  CHECK(model->services[2].headless);
}

TEST_CASE("wrong types in Kubernetes' own kinds are said and read past") {
  auto model = ModelOf(R"(apiVersion: v1
kind: Service
metadata: {name: web, labels: {version: 1, app: web}}
spec:
  selector: [a]
  ports:
  - {name: http, port: "80"}
  - {name: good, port: 81, unknownField: 1}
  - {name: far, port: 70000}
)");
  INFO(AllDiagnostics(*model));
  REQUIRE(model->services.size() == 1);
  CHECK(model->services[0].ports.size() == 1);
  CHECK(model->services[0].meta.labels == Labels{{"app", "web"}});
  REQUIRE(model->diagnostics.size() == 4);
  CHECK(ToString(model->diagnostics[0]) ==
        "test.yaml:3:41: error: `version` must be a string, here stands the number `1`; the field "
        "is ignored\n    help: quote it: \"1\"");
  CHECK(PlaceOf(model->diagnostics[1].span) == "5:13");
  CHECK(PlaceOf(model->diagnostics[2].span) == "7:24");
  CHECK(PlaceOf(model->diagnostics[3].span) == "9:23");
}

TEST_CASE("AuthorizationPolicy") {
  auto model = ModelOf(R"(apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: p
  namespace: shop
  annotations: {istio.io/dry-run: "true"}
spec:
  selector: {matchLabels: {app: web}}
  action: DENY
  rules:
  - from:
    - source:
        principals: [cluster.local/ns/a/sa/b, "*"]
        notIpBlocks: [10.0.0.0/8]
    to:
    - operation: {methods: [GET], notPaths: [/a, /b*], ports: ["80"]}
    when:
    - key: request.headers[x]
      values: [a]
      notValues: [b]
  - {}
)");
  INFO(AllDiagnostics(*model));
  CHECK(model->diagnostics.empty());
  REQUIRE(model->authorization_policies.size() == 1);
  const AuthorizationPolicy& policy = model->authorization_policies[0];
  CHECK(policy.action == AuthorizationPolicy::Action::kDeny);
  CHECK(PlaceOf(policy.action_span) == "9:11");
  CHECK(policy.dry_run);
  CHECK(policy.selector.match_labels == Labels{{"app", "web"}});
  REQUIRE(policy.rules.size() == 2);
  const auto& rule = policy.rules[0];
  CHECK(PlaceOf(rule.span) == "11:5");
  REQUIRE(rule.from.size() == 1);
  CHECK(rule.from[0].principals.values[1].value == "*");
  CHECK(TextAt(rule.from[0].principals.values[1].span) == "\"*\"");
  CHECK(TextAt(rule.from[0].not_ip_blocks.span) == "notIpBlocks: [10.0.0.0/8]");
  CHECK(rule.from[0].principals.present);
  CHECK(!rule.from[0].namespaces.present);
  REQUIRE(rule.to.size() == 1);
  CHECK(rule.to[0].not_paths.values[1].value == "/b*");
  CHECK(rule.to[0].ports.values[0].value == "80");
  REQUIRE(rule.when.size() == 1);
  CHECK(rule.when[0].key.value == "request.headers[x]");
  CHECK(rule.when[0].not_values.values[0].value == "b");
  CHECK(policy.rules[1].from.empty());
}

TEST_CASE("wrong types in metadata are said once") {
  auto label = ModelOf(
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
      "metadata: {name: p, labels: {a: 1}}\n");
  REQUIRE(label->diagnostics.size() == 1);
  CHECK(label->diagnostics[0].message.find("is refused: `a` must be a string") !=
        std::string::npos);
  CHECK(label->authorization_policies.empty());
  auto name =
      ModelOf("apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: 1}\n");
  REQUIRE(name->diagnostics.size() == 2);
  CHECK(PlaceOf(name->diagnostics[1].span) == "3:18");
}

TEST_CASE("null rules are kept with --keep-invalid, as istiod skips them") {
  ModelOptions keep;
  keep.keep_invalid = true;
  auto model = ModelOf(
      "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p}\n"
      "spec: {rules: [null, {}]}\n",
      keep);
  REQUIRE(model->authorization_policies.size() == 1);
  CHECK(model->authorization_policies[0].rules.size() == 2);
  CHECK(model->authorization_policies[0].rules[0].null);
  CHECK(!model->authorization_policies[0].rules[1].null);
}

TEST_CASE("target references: the list, else the legacy one") {
  auto model = ModelOf(R"(apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: a}
spec: {targetRefs: [{kind: Service, name: x}, {kind: Service, name: z}]}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: b}
spec: {targetRef: {group: gateway.networking.k8s.io, kind: Gateway, name: g}}
)");
  INFO(AllDiagnostics(*model));
  REQUIRE(model->authorization_policies.size() == 1);
  CHECK(model->authorization_policies[0].target_refs.size() == 2);
  REQUIRE(model->request_authentications.size() == 1);
  REQUIRE(model->request_authentications[0].target_refs.size() == 1);
  CHECK(model->request_authentications[0].target_refs[0].name.value == "g");
}

TEST_CASE("PeerAuthentication and RequestAuthentication") {
  auto model = ModelOf(R"(apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: pa}
spec:
  selector: {matchLabels: {app: web}}
  mtls: {mode: STRICT}
  portLevelMtls:
    8080: {mode: DISABLE}
    "9090": {}
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: ra}
spec:
  jwtRules:
  - issuer: https://a
    audiences: [x]
    jwks_uri: https://a/keys
    fromHeaders: [{name: x-token, prefix: "T "}]
    fromParams: [t]
    fromCookies: [c]
    outputPayloadToHeader: x-p
    outputClaimToHeaders: [{header: x-c, claim: a.b}]
    forwardOriginalToken: true
    spaceDelimitedClaims: [roles]
    timeout: 3s
)");
  INFO(AllDiagnostics(*model));
  CHECK(model->diagnostics.empty());
  REQUIRE(model->peer_authentications.size() == 1);
  const PeerAuthentication& peer = model->peer_authentications[0];
  CHECK(peer.mode == MtlsMode::kStrict);
  REQUIRE(peer.ports.size() == 2);
  CHECK(peer.ports[0].port == 8080);
  CHECK(peer.ports[0].mode == MtlsMode::kDisable);
  CHECK(PlaceOf(peer.ports[0].span) == "8:18");
  CHECK(peer.ports[1].mode == MtlsMode::kUnset);
  CHECK(PlaceOf(peer.ports[1].span) == "9:5");
  REQUIRE(model->request_authentications.size() == 1);
  const JwtRule& rule = model->request_authentications[0].jwt_rules.at(0);
  CHECK(rule.jwks_uri.value == "https://a/keys");
  CHECK(rule.from_headers.at(0).prefix.value == "T ");
  CHECK(rule.from_cookies.values.at(0).value == "c");
  CHECK(rule.output_claim_to_headers.at(0).claim.value == "a.b");
  CHECK(rule.forward_original_token);
  CHECK(rule.space_delimited_claims.values.at(0).value == "roles");
  CHECK(rule.timeout == "3s");
  CHECK(PlaceOf(rule.span) == "16:5");
}

TEST_CASE("Gateway and VirtualService") {
  auto model = ModelOf(R"(apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: 443, name: https, protocol: HTTPS}
    hosts: [a.example.com, "shop/*"]
    tls: {mode: MUTUAL, credentialName: cert, minProtocolVersion: TLSV1_3}
---
apiVersion: networking.istio.io/v1alpha3
kind: VirtualService
metadata: {name: vs}
spec:
  hosts: [a]
  gateways: [gw]
  exportTo: ["."]
  http:
  - name: main
    match:
    - uri: {prefix: /api}
      headers: {x: {exact: "1"}, w: {}}
      withoutHeaders: {z: {regex: a+}}
      ignoreUriCase: true
      port: 80
    rewrite: {uri: /, authority: b}
    headers: {request: {set: {a: b}, remove: [c]}}
    corsPolicy: {allowOrigins: [{exact: x}]}
    fault: {abort: {httpStatus: 500}}
    route:
    - {destination: {host: web, subset: v1, port: {number: 80}}, weight: 90}
    - {destination: {host: web, subset: v2}, weight: 10}
  - redirect: {uri: /x, redirectCode: 308}
  - directResponse: {status: 503, body: {string: no}}
  - delegate: {name: d, namespace: ns}
  tls:
  - match: [{sniHosts: [x.example.com], port: 443}]
    route: [{destination: {host: web}}]
  tcp:
  - route: [{destination: {host: web}}]
)");
  INFO(AllDiagnostics(*model));
  // `string: no` is a boolean to YAML 1.1: the API server refuses the VirtualService.
  CHECK(model->virtual_services.empty());
  REQUIRE(model->diagnostics.size() == 1);
  CHECK(model->diagnostics[0].help == "quote it: \"no\"");
  REQUIRE(model->gateways.size() == 1);
  const GatewayServer& server = model->gateways[0].servers.at(0);
  CHECK(server.port == 443);
  CHECK(server.hosts.values.at(1).value == "shop/*");
  REQUIRE(server.tls);
  CHECK(server.tls->mode == TlsSettings::Mode::kMutual);
  CHECK(server.tls->min_version == "TLSV1_3");

  std::string text(model->files[0].file->text());
  text.replace(text.find("string: no"), 10, "string: nn");
  model = ModelOf(text);
  INFO(AllDiagnostics(*model));
  CHECK(model->diagnostics.empty());
  REQUIRE(model->virtual_services.size() == 1);
  const VirtualService& service = model->virtual_services[0];
  REQUIRE(service.http.size() == 4);
  const HttpRoute& route = service.http[0];
  CHECK(route.matches.at(0).uri.kind == StringMatch::Kind::kPrefix);
  REQUIRE(route.matches[0].headers.size() == 2);
  CHECK(route.matches[0].headers[0].second.kind == StringMatch::Kind::kExact);
  CHECK(route.matches[0].headers[1].second.kind == StringMatch::Kind::kNone);
  CHECK(route.matches[0].without_headers.at(0).second.value.value == "a+");
  CHECK(route.matches[0].ignore_uri_case);
  CHECK(route.has_rewrite);
  CHECK(route.has_cors);
  CHECK(route.has_fault_abort);
  CHECK(route.request_headers_set.at(0).second.value == "b");
  CHECK(route.routes.at(0).destination.port == 80);
  CHECK(route.routes.at(1).weight == 10);
  CHECK(service.http[1].redirect_code == 308);
  CHECK(service.http[2].direct_response_status == 503);
  CHECK(service.http[3].delegate_namespace.value == "ns");
  CHECK(service.tls.at(0).matches.at(0).sni_hosts.values.at(0).value == "x.example.com");
  CHECK(service.tcp.at(0).routes.at(0).destination.host.value == "web");
}

TEST_CASE("DestinationRule, ServiceEntry, Sidecar and the rest") {
  auto model = ModelOf(R"(apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: dr}
spec:
  host: web
  workloadSelector: {matchLabels: {a: b}}
  trafficPolicy:
    tls: {mode: ISTIO_MUTUAL, sni: x}
    portLevelSettings: [{port: {number: 80}, tls: {mode: DISABLE}}, {port: {number: 81}}]
  subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {tls: {mode: SIMPLE}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: se}
spec:
  hosts: [ext.example.com]
  addresses: [1.2.3.0/24]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}]
  endpoints: [{address: 1.2.3.4, labels: {a: b}, serviceAccount: sa, ports: {tls: 8443}}]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: sc}
spec:
  workloadSelector: {labels: {app: web}}
  ingress: [{port: {number: 80, protocol: HTTP, name: http}, defaultEndpoint: 127.0.0.1:8080}]
  egress: [{hosts: [./*]}, {hosts: [istio-system/*]}]
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: we, labels: {a: meta, m: m}}
spec: {address: 10.0.0.1, labels: {a: spec, s: s}, serviceAccount: sa, ports: {http: 80}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: wg}
spec: {metadata: {labels: {app: x}}, template: {serviceAccount: sa}}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: ef}
spec: {workloadSelector: {labels: {app: web}}, configPatches: [{anything: [goes]}]}
---
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: t}
spec: {selector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: Secret
metadata: {name: cert}
type: kubernetes.io/tls
data: {tls.crt: QQ==}
)");
  INFO(AllDiagnostics(*model));
  CHECK(model->diagnostics.empty());
  const DestinationRule& rule = model->destination_rules.at(0);
  CHECK(rule.policy->tls->mode == ClientTls::Mode::kIstioMutual);
  CHECK(rule.policy->ports.at(0).tls->mode == ClientTls::Mode::kDisable);
  CHECK(!rule.policy->ports.at(1).tls);
  CHECK(rule.subsets.at(0).policy->tls->mode == ClientTls::Mode::kSimple);
  CHECK(rule.workload_selector.match_labels == Labels{{"a", "b"}});
  const ServiceEntry& entry = model->service_entries.at(0);
  CHECK(!entry.mesh_external);
  CHECK(entry.ports.at(0).target_port == 8443);
  CHECK(entry.endpoints.at(0).ports.at(0).second == 8443);
  const Sidecar& sidecar = model->sidecars.at(0);
  CHECK(sidecar.ingress.at(0).default_endpoint.value == "127.0.0.1:8080");
  CHECK(sidecar.egress_hosts.values.size() == 2);
  CHECK(sidecar.outbound_mode == "REGISTRY_ONLY");
  CHECK(sidecar.workload_selector.match_labels == Labels{{"app", "web"}});
  CHECK(model->workload_entries.at(0).labels == Labels{{"a", "meta"}, {"s", "s"}, {"m", "m"}});
  CHECK(model->workload_groups.at(0).labels == Labels{{"app", "x"}});
  CHECK(model->workload_groups.at(0).service_account == "sa");
  CHECK(model->envoy_filters.at(0).workload_selector.match_labels == Labels{{"app", "web"}});
  CHECK(model->others.at(0).selector.match_labels == Labels{{"app", "web"}});
  CHECK(model->secrets.at(0).data.at(0).first == "tls.crt");
}

}  // namespace
}  // namespace meshproof::decode_test

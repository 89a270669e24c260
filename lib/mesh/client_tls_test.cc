#include "mesh/mesh_testing.h"

namespace meshproof::client_tls_test {
namespace {

using Kind = ClientTlsChoice::Kind;

std::string_view Text(Kind kind) {
  switch (kind) {
    case Kind::kPlaintext:
      return "plaintext";
    case Kind::kMeshMtls:
      return "mtls";
    case Kind::kSimple:
      return "simple";
    case Kind::kMutual:
      return "mutual";
  }
  return "";
}

const std::string kBase =
    NamespaceYaml("shop", "istio-injection: enabled") +
    NamespaceYaml("pay", "istio-injection: enabled") + NamespaceYaml("legacy") +
    DeploymentYaml("shop", "front") + DeploymentYaml("legacy", "old") +
    DeploymentYaml("pay", "vault") +
    DeploymentYaml("pay", "bare", "sidecar.istio.io/inject: 'false'") +
    DeploymentYaml("istio-system", "gw", "sidecar.istio.io/inject: 'true'",
                   "inject.istio.io/templates: gateway") +
    ServiceYaml("pay", "vault",
                "{name: http, port: 80, targetPort: 8080}, {name: tcp, port: 90, targetPort: "
                "9000}, {name: grpc, port: 70, targetPort: 7070}, {name: x, port: 60}") +
    ServiceYaml("pay", "bare", "{name: http, port: 80, targetPort: 8080}") +
    ServiceYaml("pay", "direct", "{name: http, port: 80, targetPort: 8080}", "app: vault", "",
                "clusterIP: None") +
    ServiceYaml("pay", "mixed", "{name: http, port: 80, targetPort: 8080}", "mixed: 'yes'", "",
                "clusterIP: None") +
    DeploymentYaml("pay", "m1", "mixed: 'yes'") +
    DeploymentYaml("pay", "m2", "mixed: 'yes', sidecar.istio.io/inject: 'false'");

const std::string kVault = "host: vault.pay.svc.cluster.local, ";
const std::string kSelectsVault = "selector: {matchLabels: {app: vault}}, ";

struct Case {
  std::string name;
  std::string more;
  Kind kind;
  std::string client = "shop/front";
  std::string service = "vault";
  int port = 80;
  std::string subset = "";
  std::string workload = "vault";
  std::string sni = "";
};

ClientTlsChoice Choose(const Mesh& mesh, const Case& c) {
  const size_t slash = c.client.find('/');
  const Workload& client = Find(mesh, c.client.substr(0, slash), c.client.substr(slash + 1));
  const MeshService* service = mesh.FindService(c.service + ".pay.svc.cluster.local");
  REQUIRE(service);
  const MeshServicePort* port = service->FindPort(c.port);
  REQUIRE(port);
  return mesh.ChooseClientTls(client, *service, *port, c.subset, Find(mesh, "pay", c.workload));
}

TEST_CASE("auto mTLS") {
  const std::string disable = "mtls: {mode: DISABLE}";
  const std::string strict = "mtls: {mode: STRICT}";
  const Case cases[] = {
      {"by default", "", Kind::kMeshMtls},
      {"a gateway does so too", "", Kind::kMeshMtls, "istio-system/gw"},
      {"a client without a proxy", "", Kind::kPlaintext, "legacy/old"},
      {"an endpoint without a sidecar", "", Kind::kPlaintext, "shop/front", "bare", 80, "", "bare"},
      {"STRICT", PeerYaml("pay", "ns", strict), Kind::kMeshMtls},
      {"namespace DISABLE", PeerYaml("pay", "ns", disable), Kind::kPlaintext},
      {"mesh DISABLE", PeerYaml("istio-system", "m", disable), Kind::kPlaintext},
      {"mesh DISABLE, namespace PERMISSIVE",
       PeerYaml("istio-system", "m", disable) + PeerYaml("pay", "ns", "mtls: {mode: PERMISSIVE}"),
       Kind::kMeshMtls},
      {"mesh DISABLE, namespace unset",
       PeerYaml("istio-system", "m", disable) + PeerYaml("pay", "ns", "mtls: {}"),
       Kind::kPlaintext},
      {"workload DISABLE", PeerYaml("pay", "w", kSelectsVault + disable), Kind::kPlaintext},
      {"namespace DISABLE and workload STRICT: clients send plaintext all the same",
       PeerYaml("pay", "ns", disable) + PeerYaml("pay", "w", kSelectsVault + strict),
       Kind::kPlaintext},
      {"port DISABLE",
       PeerYaml("pay", "w", kSelectsVault + strict + ", portLevelMtls: {8080: {mode: DISABLE}}"),
       Kind::kPlaintext},
      {"another port DISABLE",
       PeerYaml("pay", "w", kSelectsVault + strict + ", portLevelMtls: {8080: {mode: DISABLE}}"),
       Kind::kMeshMtls, "shop/front", "vault", 90},
      {"the service port's number is not the container's",
       PeerYaml("pay", "w", kSelectsVault + strict + ", portLevelMtls: {80: {mode: DISABLE}}"),
       Kind::kMeshMtls},
      {"the client's namespace has no say", PeerYaml("shop", "ns", disable), Kind::kMeshMtls},
      {"auto mTLS off",
       "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: "
       "istio-system}\ndata: {mesh: 'enableAutoMtls: false'}\n",
       Kind::kPlaintext},
      {"headless, all have sidecars", "", Kind::kMeshMtls, "shop/front", "direct"},
      {"headless, one has none", "", Kind::kPlaintext, "shop/front", "mixed", 80, "", "m1"},
      {"headless, namespace DISABLE", PeerYaml("pay", "ns", disable), Kind::kPlaintext,
       "shop/front", "direct"},
      {"headless, workload DISABLE is not asked for", PeerYaml("pay", "w", kSelectsVault + disable),
       Kind::kMeshMtls, "shop/front", "direct"},
      {"headless from a gateway, workload DISABLE", PeerYaml("pay", "w", kSelectsVault + disable),
       Kind::kPlaintext, "istio-system/gw", "direct"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    auto mesh = MeshOf(kBase + c.more);
    ClientTlsChoice got = Choose(*mesh, c);
    CHECK(Text(got.kind) == Text(c.kind));
    CHECK(!got.reason.empty());
    CHECK(got.rule == nullptr);
  }
}

TEST_CASE("SNI and ALPN of mesh mTLS") {
  auto mesh = MeshOf(kBase);
  struct Row {
    int port;
    std::string sni;
    Protocol protocol;
  };
  for (const Row& row : {Row{80, "outbound_.80_._.vault.pay.svc.cluster.local", Protocol::kHttp},
                         Row{90, "outbound_.90_._.vault.pay.svc.cluster.local", Protocol::kTcp},
                         Row{70, "outbound_.70_._.vault.pay.svc.cluster.local", Protocol::kGrpc},
                         Row{60, "outbound_.60_._.vault.pay.svc.cluster.local", Protocol::kAuto}}) {
    ClientTlsChoice got = Choose(*mesh, {"", "", Kind::kMeshMtls, "shop/front", "vault", row.port});
    CHECK(got.sni == row.sni);
    CHECK(got.alpn == MeshAlpn(row.protocol));
  }
}

TEST_CASE("DestinationRules decide") {
  auto rule = [](const std::string& ns, const std::string& name, const std::string& rest,
                 const std::string& created = "") {
    return RuleYaml(ns, name, kVault + rest, created);
  };
  auto tls = [](const std::string& mode) { return "trafficPolicy: {tls: {mode: " + mode + "}}"; };
  auto port = [](const std::string& top, const std::string& entry) {
    return "trafficPolicy: {" + top + "portLevelSettings: [{port: {number: 80}" + entry + "}]}";
  };
  const std::string certificates = "clientCertificate: /c, privateKey: /k, caCertificates: /ca";
  const std::string subset = ", subsets: [{name: v1, labels: {v: one}}]";
  const Case cases[] = {
      {"no tls", rule("pay", "r", "trafficPolicy: {connectionPool: {tcp: {maxConnections: 1}}}"),
       Kind::kMeshMtls},
      {"DISABLE", rule("pay", "r", tls("DISABLE")), Kind::kPlaintext},
      {"SIMPLE", rule("pay", "r", tls("SIMPLE")), Kind::kSimple},
      {"MUTUAL", rule("pay", "r", "trafficPolicy: {tls: {mode: MUTUAL, " + certificates + "}}"),
       Kind::kMutual},
      {"ISTIO_MUTUAL", rule("pay", "r", tls("ISTIO_MUTUAL")), Kind::kMeshMtls},
      {"ISTIO_MUTUAL to what has no sidecar",
       RuleYaml("pay", "r", "host: bare, " + tls("ISTIO_MUTUAL")), Kind::kMeshMtls, "shop/front",
       "bare", 80, "", "bare"},
      {"ISTIO_MUTUAL under namespace DISABLE",
       rule("pay", "r", tls("ISTIO_MUTUAL")) + PeerYaml("pay", "ns", "mtls: {mode: DISABLE}"),
       Kind::kMeshMtls},
      {"SNI", rule("pay", "r", "trafficPolicy: {tls: {mode: ISTIO_MUTUAL, sni: my.sni}}"),
       Kind::kMeshMtls, "shop/front", "vault", 80, "", "vault", "my.sni"},
      {"credential without a selector: a sidecar sends plaintext",
       rule("pay", "r", "trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}"),
       Kind::kPlaintext},
      {"credential at a gateway",
       rule("pay", "r", "trafficPolicy: {tls: {mode: SIMPLE, credentialName: c}}"), Kind::kSimple,
       "istio-system/gw"},
      {"credential with a selector",
       rule("shop", "r",
            "workloadSelector: {matchLabels: {app: front}}, trafficPolicy: {tls: {mode: SIMPLE, "
            "credentialName: c}}"),
       Kind::kSimple},
      // ports
      {"port entry", rule("pay", "r", port("", ", tls: {mode: SIMPLE}")), Kind::kSimple},
      {"port entry beats the top",
       rule("pay", "r", port("tls: {mode: SIMPLE}, ", ", tls: {mode: DISABLE}")), Kind::kPlaintext},
      {"another port has the top's",
       rule("pay", "r", port("tls: {mode: SIMPLE}, ", ", tls: {mode: DISABLE}")), Kind::kSimple,
       "shop/front", "vault", 90},
      {"a port entry without tls drops SIMPLE, and its endpoints get plaintext",
       rule("pay", "r",
            port("tls: {mode: SIMPLE}, ", ", connectionPool: {tcp: {maxConnections: 1}}")),
       Kind::kPlaintext},
      {"a port entry without tls drops DISABLE, but its endpoints stay plaintext",
       rule("pay", "r",
            port("tls: {mode: DISABLE}, ", ", connectionPool: {tcp: {maxConnections: 1}}")),
       Kind::kPlaintext},
      {"a port entry without tls under ISTIO_MUTUAL",
       rule("pay", "r",
            port("tls: {mode: ISTIO_MUTUAL}, ", ", connectionPool: {tcp: {maxConnections: 1}}")),
       Kind::kMeshMtls},
      {"a port entry without tls and nothing above: auto",
       rule("pay", "r", port("", ", connectionPool: {tcp: {maxConnections: 1}}")), Kind::kMeshMtls},
      // subsets
      {"subset inherits", rule("pay", "r", tls("SIMPLE") + subset), Kind::kSimple, "shop/front",
       "vault", 80, "v1"},
      {"subset without tls: auto", rule("pay", "r", "subsets: [{name: v1, labels: {v: one}}]"),
       Kind::kMeshMtls, "shop/front", "vault", 80, "v1", "vault",
       "outbound_.80_.v1_.vault.pay.svc.cluster.local"},
      {"subset overrides",
       rule("pay", "r",
            tls("SIMPLE") + ", subsets: [{name: v1, labels: {v: one}, " + tls("DISABLE") + "}]"),
       Kind::kPlaintext, "shop/front", "vault", 80, "v1"},
      {"subset overrides only there",
       rule("pay", "r",
            tls("SIMPLE") + ", subsets: [{name: v1, labels: {v: one}, " + tls("DISABLE") + "}]"),
       Kind::kSimple},
      {"subset keeps the port entry of the top",
       rule("pay", "r",
            port("tls: {mode: DISABLE}, ", ", tls: {mode: SIMPLE}") +
                ", subsets: [{name: v1, labels: {v: one}, trafficPolicy: {connectionPool: {tcp: "
                "{maxConnections: 1}}}}]"),
       Kind::kSimple, "shop/front", "vault", 80, "v1"},
      {"an unknown subset has no cluster", rule("pay", "r", tls("ISTIO_MUTUAL") + subset),
       Kind::kPlaintext, "shop/front", "vault", 80, "v2"},
      // lookup
      {"client's namespace first",
       rule("pay", "r", tls("SIMPLE")) + rule("shop", "r", tls("DISABLE")), Kind::kPlaintext},
      {"then the service's before the root",
       rule("pay", "r", tls("SIMPLE")) + rule("istio-system", "r", tls("DISABLE")), Kind::kSimple},
      {"then the root", rule("istio-system", "r", tls("DISABLE")), Kind::kPlaintext},
      {"another namespace's does not count", rule("legacy", "r", tls("DISABLE")), Kind::kMeshMtls},
      {"a client in the root takes the service's",
       rule("pay", "r", tls("SIMPLE")) + rule("istio-system", "r", tls("DISABLE")), Kind::kSimple,
       "istio-system/gw"},
      {"a client in the root takes what is private to it",
       rule("pay", "r", tls("SIMPLE")) +
           rule("istio-system", "r", "exportTo: ['.'], " + tls("DISABLE")),
       Kind::kPlaintext, "istio-system/gw"},
      {"private to the service's namespace", rule("pay", "r", "exportTo: ['.'], " + tls("DISABLE")),
       Kind::kMeshMtls},
      {"exported to the client", rule("pay", "r", "exportTo: [shop], " + tls("DISABLE")),
       Kind::kPlaintext},
      {"exported to others", rule("pay", "r", "exportTo: [legacy], " + tls("DISABLE")),
       Kind::kMeshMtls},
      {"the client's own exported away", rule("shop", "r", "exportTo: [legacy], " + tls("DISABLE")),
       Kind::kMeshMtls},
      {"short host", RuleYaml("pay", "r", "host: vault, " + tls("DISABLE")), Kind::kPlaintext},
      {"a short host is of the rule's namespace",
       RuleYaml("shop", "r", "host: vault, " + tls("DISABLE")), Kind::kMeshMtls},
      {"name.namespace is no host of Kubernetes",
       RuleYaml("pay", "r", "host: vault.pay, " + tls("DISABLE")), Kind::kMeshMtls},
      {"wildcard", RuleYaml("istio-system", "r", "host: '*.local', " + tls("DISABLE")),
       Kind::kPlaintext},
      {"the most specific host",
       RuleYaml("pay", "a", "host: '*.pay.svc.cluster.local', " + tls("SIMPLE")) +
           RuleYaml("pay", "b", "host: '*.local', " + tls("DISABLE")),
       Kind::kSimple},
      {"an exact host before wildcards",
       RuleYaml("pay", "a", "host: '*.pay.svc.cluster.local', " + tls("SIMPLE")) +
           rule("pay", "b", tls("DISABLE")),
       Kind::kPlaintext},
      {"a wildcard of the client's namespace before the exact one of the service's",
       RuleYaml("shop", "a", "host: '*', " + tls("SIMPLE")) + rule("pay", "b", tls("DISABLE")),
       Kind::kSimple},
      // merging
      {"the oldest policy counts",
       rule("pay", "a", tls("SIMPLE"), "2026-01-02T00:00:00Z") +
           rule("pay", "b", tls("DISABLE"), "2026-01-01T00:00:00Z"),
       Kind::kPlaintext},
      {"equally old: by name", rule("pay", "b", tls("SIMPLE")) + rule("pay", "a", tls("DISABLE")),
       Kind::kPlaintext},
      {"a rule without policy takes the next one's",
       rule("pay", "a", "subsets: [{name: v1, labels: {v: one}}]") +
           rule("pay", "b", tls("DISABLE")),
       Kind::kPlaintext},
      {"subsets come together",
       rule("pay", "a", tls("SIMPLE")) +
           rule("pay", "b", "subsets: [{name: v1, labels: {v: one}, " + tls("DISABLE") + "}]"),
       Kind::kPlaintext, "shop/front", "vault", 80, "v1"},
      {"a selector that matches goes first",
       rule("shop", "a", tls("SIMPLE")) +
           rule("shop", "b", "workloadSelector: {matchLabels: {app: front}}, " + tls("DISABLE")),
       Kind::kPlaintext},
      {"a selector that does not match is passed over",
       rule("shop", "a", tls("SIMPLE")) +
           rule("shop", "b", "workloadSelector: {matchLabels: {app: other}}, " + tls("DISABLE")),
       Kind::kSimple},
      {"a selector does not reach other namespaces",
       rule("pay", "b", "workloadSelector: {matchLabels: {app: front}}, " + tls("DISABLE")),
       Kind::kMeshMtls},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    auto mesh = MeshOf(kBase + c.more);
    ClientTlsChoice got = Choose(*mesh, c);
    CHECK(Text(got.kind) == Text(c.kind));
    CHECK(!got.reason.empty());
    if (!c.sni.empty()) CHECK(got.sni == c.sni);
  }
}

TEST_CASE("the rule that decided is named") {
  auto mesh = MeshOf(kBase + RuleYaml("pay", "r", kVault + "trafficPolicy: {tls: {mode: SIMPLE}}"));
  ClientTlsChoice got = Choose(*mesh, {"", "", Kind::kSimple});
  REQUIRE(got.rule);
  CHECK(got.rule->meta.name == "r");
  const Workload& client = Find(*mesh, "shop", "front");
  CHECK(mesh->DestinationRuleFor(client, *mesh->FindService("vault.pay.svc.cluster.local")) ==
        got.rule);
  CHECK(mesh->DestinationRuleFor(client, *mesh->FindService("bare.pay.svc.cluster.local")) ==
        nullptr);
}

TEST_CASE("services outside the mesh and hidden ones get plaintext") {
  const std::string entry =
      "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: e, namespace: "
      "pay}\nspec: {hosts: [vault.pay.svc.cluster.local.ext], resolution: STATIC, LOCATION"
      "workloadSelector: {labels: {app: vault}}, ports: [{number: 80, name: http, protocol: HTTP, "
      "targetPort: 8080}]}\n";
  for (const bool internal : {false, true}) {
    std::string text = entry;
    text.replace(text.find("LOCATION"), 8, internal ? "location: MESH_INTERNAL, " : "");
    auto mesh = MeshOf(kBase + text);
    const MeshService* service = mesh->FindService("vault.pay.svc.cluster.local.ext");
    REQUIRE(service);
    ClientTlsChoice got =
        mesh->ChooseClientTls(Find(*mesh, "shop", "front"), *service, *service->FindPort(80), "",
                              Find(*mesh, "pay", "vault"));
    CHECK(Text(got.kind) == (internal ? "mtls" : "plaintext"));
  }
  auto mesh = MeshOf(kBase +
                     "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, "
                     "namespace: shop}\nspec: {egress: [{hosts: ['./*']}]}\n");
  CHECK(Text(Choose(*mesh, {"", "", Kind::kPlaintext}).kind) == "plaintext");
}

}  // namespace
}  // namespace meshproof::client_tls_test

#include "mesh/hosts.h"
#include "mesh/mesh_testing.h"

namespace meshproof::services_test {
namespace {

const std::string kShop = NamespaceYaml("shop", "istio-injection: enabled");

std::string Ports(const Mesh& mesh, const Workload& workload) {
  std::string out;
  for (const InboundPort& port : mesh.InboundPorts(workload)) {
    if (!out.empty()) out += " ";
    out +=
        std::to_string(port.port) + ":" + std::string(ToString(port.protocol)) + ":" +
        (port.service ? port.service->name + "." + std::to_string(port.service_port) : "ingress");
  }
  return out;
}

std::string Names(const Mesh& mesh, const std::vector<size_t>& workloads) {
  std::string out;
  for (size_t i : workloads) out += (out.empty() ? "" : " ") + mesh.workloads()[i].name;
  return out;
}

TEST_CASE("inbound ports: targets by number, by name and by default") {
  const std::string containers =
      "      containers: [{name: app, image: a, ports: [{name: web, containerPort: 8080}, {name: "
      "dns, containerPort: 53, protocol: UDP}]}]\n";
  auto mesh = MeshOf(
      kShop + DeploymentYaml("shop", "web", "", "", containers) +
      ServiceYaml("shop", "web",
                  "{name: http, port: 80, targetPort: 9090}, {name: tcp-a, port: 7000}, {name: "
                  "grpc, port: 81, targetPort: web}, {name: http-x, port: 82, targetPort: gone}, "
                  "{name: u, port: 53, protocol: UDP}, {name: other, port: 83, targetPort: 83}"));
  CHECK(Ports(*mesh, Find(*mesh, "shop", "web")) ==
        "83:auto:web.83 7000:tcp:web.7000 8080:grpc:web.81 9090:http:web.80");
  const MeshService* service = mesh->FindService("web.shop.svc.cluster.local");
  REQUIRE(service);
  const Workload& web = Find(*mesh, "shop", "web");
  CHECK(mesh->TargetPort(*service, *service->FindPort(81), web) == 8080);
  CHECK(mesh->TargetPort(*service, *service->FindPort(82), web) == 0);
  CHECK(mesh->TargetPort(*service, *service->FindPort(80), web) == 9090);
  CHECK(service->FindPort(99) == nullptr);
  auto found = mesh->ServiceForPort(web, 8080);
  REQUIRE(found.has_value());
  CHECK(found->second->port == 81);
  CHECK(!mesh->ServiceForPort(web, 53).has_value());
  CHECK(!mesh->ServiceForPort(web, 80).has_value());
}

TEST_CASE("a named target is another port on each workload") {
  auto named = [](int port) {
    return "      containers: [{name: app, image: a, ports: [{name: http, containerPort: " +
           std::to_string(port) + "}]}]\n";
  };
  auto mesh =
      MeshOf(kShop + DeploymentYaml("shop", "a", "role: x", "", named(1000)) +
             DeploymentYaml("shop", "b", "role: x", "", named(2000)) +
             ServiceYaml("shop", "svc", "{name: http, port: 80, targetPort: http}", "role: x"));
  CHECK(Ports(*mesh, Find(*mesh, "shop", "a")) == "1000:http:svc.80");
  CHECK(Ports(*mesh, Find(*mesh, "shop", "b")) == "2000:http:svc.80");
}

TEST_CASE("two Services on one target port: the oldest decides") {
  struct Case {
    std::string a_created, b_created, expected;
  };
  const Case cases[] = {
      {"", "", "8080:http:a.80"},
      {"2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "8080:http:a.80"},
      {"2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "8080:tcp:b.81"},
      {"2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "8080:http:a.80"},
      {"2026-01-01T00:00:00Z", "", "8080:tcp:b.81"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.a_created);
    CAPTURE(c.b_created);
    const std::string a = ServiceYaml("shop", "a", "{name: http, port: 80, targetPort: 8080}",
                                      "app: web", c.a_created);
    const std::string b = ServiceYaml("shop", "b", "{name: tcp, port: 81, targetPort: 8080}",
                                      "app: web", c.b_created);
    const std::string rest = kShop + DeploymentYaml("shop", "web");
    auto mesh = MeshOf(rest + a + b);
    CHECK(Ports(*mesh, Find(*mesh, "shop", "web")) == c.expected);
    mesh = MeshOf(rest + b + a);
    CHECK(Ports(*mesh, Find(*mesh, "shop", "web")) == c.expected);
  }
}

TEST_CASE("selection stays in the namespace and needs every label") {
  auto mesh = MeshOf(
      kShop + DeploymentYaml("shop", "a", "v: one") + DeploymentYaml("shop", "b", "v: one") +
      DeploymentYaml("pay", "a", "v: one") + ServiceYaml("shop", "one", "{port: 80}", "v: one") +
      ServiceYaml("shop", "both", "{port: 80}", "'app': a, v: one") +
      ServiceYaml("shop", "no-match", "{port: 80}", "v: two") +
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: bare, namespace: shop}\nspec: {ports: "
      "[{port: 80}]}\n");
  auto of = [&](const std::string& name) {
    return Names(*mesh, mesh->FindService(name + ".shop.svc.cluster.local")->workloads);
  };
  CHECK(of("one") == "a b");
  CHECK(of("both") == "a");
  CHECK(of("no-match") == "");
  CHECK(of("bare") == "");
}

std::string Entry(const std::string& ns, const std::string& name, const std::string& spec,
                  const std::string& created = "") {
  return "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: " + name +
         ", namespace: " + ns + (created.empty() ? "" : ", creationTimestamp: '" + created + "'") +
         "}\nspec: {" + spec + "}\n";
}

TEST_CASE("hosts as objects and clients write them") {
  const std::string ports = ", ports: [{number: 80, name: http, protocol: HTTP}]";
  auto mesh =
      MeshOf(kShop + ServiceYaml("shop", "web", "{port: 80}", "", "", "clusterIP: 10.96.0.7") +
             ServiceYaml("pay", "web", "{port: 80}") +
             ServiceYaml("shop", "alias", "{port: 80}", "", "",
                         "type: ExternalName, externalName: web.pay.svc.cluster.local") +
             ServiceYaml("shop", "away", "{port: 80}", "", "",
                         "type: ExternalName, externalName: example.org") +
             Entry("shop", "ext",
                   "hosts: [api.example.com, '*.example.com']" + ports + ", resolution: DNS") +
             Entry("shop", "deep", "hosts: ['*.deep.example.com']" + ports + ", resolution: NONE") +
             Entry("pay", "private", "hosts: [private.example.net], exportTo: ['.']" + ports));
  auto host = [&](const std::string& written, const std::string& ns) {
    const MeshService* service = mesh->ResolveHost(written, ns);
    return service ? service->host : "";
  };
  CHECK(host("web", "shop") == "web.shop.svc.cluster.local");
  CHECK(host("web", "pay") == "web.pay.svc.cluster.local");
  CHECK(host("WEB", "pay") == "web.pay.svc.cluster.local");
  CHECK(host("web", "other") == "");
  CHECK(host("web.pay", "shop") == "web.pay.svc.cluster.local");
  CHECK(host("web.pay.svc", "shop") == "web.pay.svc.cluster.local");
  CHECK(host("web.pay.svc.cluster.local", "shop") == "web.pay.svc.cluster.local");
  CHECK(host("web.pay.svc.cluster.local.", "shop") == "web.pay.svc.cluster.local");
  CHECK(host("alias", "shop") == "web.pay.svc.cluster.local");
  CHECK(host("away", "shop") == "away.shop.svc.cluster.local");
  CHECK(host("api.example.com", "shop") == "api.example.com");
  CHECK(host("API.example.com", "pay") == "api.example.com");
  CHECK(host("other.example.com", "shop") == "*.example.com");
  CHECK(host("a.deep.example.com", "shop") == "*.deep.example.com");
  CHECK(host("example.com", "shop") == "");
  CHECK(host("private.example.net", "pay") == "private.example.net");
  CHECK(host("private.example.net", "shop") == "");
  CHECK(host("", "shop") == "");
  CHECK(mesh->ResolveObjectHost("web", "shop")->host == "web.shop.svc.cluster.local");
  CHECK(mesh->ResolveObjectHost("web.shop", "shop") == nullptr);
  CHECK(mesh->ResolveObjectHost("web.pay.svc.cluster.local", "shop") != nullptr);
  CHECK(mesh->FindServiceByAddress(*ParseIpAddress("10.96.0.7"))->name == "web");
  CHECK(mesh->FindServiceByAddress(*ParseIpAddress("10.96.0.8")) == nullptr);
}

TEST_CASE("one host twice: Kubernetes first, then the oldest") {
  const std::string ports = ", ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS";
  auto mesh = MeshOf(
      kShop +
      Entry("pay", "squat", "hosts: [web.shop.svc.cluster.local]" + ports, "2020-01-01T00:00:00Z") +
      ServiceYaml("shop", "web", "{port: 80}", "", "2026-01-01T00:00:00Z") +
      Entry("pay", "young", "hosts: [a.com]" + ports, "2022-01-01T00:00:00Z") +
      Entry("shop", "old", "hosts: [a.com]" + ports, "2021-01-01T00:00:00Z"));
  CHECK(mesh->FindService("web.shop.svc.cluster.local")->kubernetes);
  CHECK(mesh->FindService("a.com")->name == "old");
}

TEST_CASE("ServiceEntries select pods and WorkloadEntries, Services too") {
  auto mesh = MeshOf(
      kShop + DeploymentYaml("shop", "web", "tier: front") +
      "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: vm, "
      "namespace: shop}\nspec: {address: 10.1.2.3, labels: {tier: front, app: vm}, serviceAccount: "
      "vm-sa, ports: {http: 9999}}\n"
      "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {name: bare, "
      "namespace: shop}\nspec: {address: 10.1.2.4, labels: {tier: back}}\n" +
      Entry("shop", "front",
            "hosts: [front.internal], location: MESH_INTERNAL, resolution: STATIC, "
            "workloadSelector: {labels: {tier: front}}, ports: [{number: 80, name: http, protocol: "
            "HTTP, targetPort: 8080}, {number: 90, name: raw, protocol: TCP}]") +
      ServiceYaml("shop", "k8s", "{name: http, port: 80, targetPort: 8081}", "tier: front"));
  const Workload& vm = Find(*mesh, "shop", "vm");
  CHECK(ToString(vm.mode) == "sidecar");
  CHECK(vm.identity == "spiffe://cluster.local/ns/shop/sa/vm-sa");
  CHECK(vm.tls_mode_istio);
  CHECK(mesh->FindWorkloadByAddress(*ParseIpAddress("10.1.2.3")) == &vm);
  CHECK(ToString(Find(*mesh, "shop", "bare").mode) == "none");
  CHECK(Find(*mesh, "shop", "bare").identity == "");
  const MeshService* front = mesh->FindService("front.internal");
  REQUIRE(front);
  CHECK(!front->external);
  CHECK(Names(*mesh, front->workloads) == "vm web");
  CHECK(mesh->TargetPort(*front, *front->FindPort(80), Find(*mesh, "shop", "web")) == 8080);
  CHECK(mesh->TargetPort(*front, *front->FindPort(80), vm) == 9999);
  CHECK(mesh->TargetPort(*front, *front->FindPort(90), vm) == 90);
  CHECK(Ports(*mesh, Find(*mesh, "shop", "web")) ==
        "90:tcp:front.90 8080:http:front.80 8081:http:k8s.80");
  const MeshService* k8s = mesh->FindService("k8s.shop.svc.cluster.local");
  CHECK(Names(*mesh, k8s->workloads) == "vm web");
  CHECK(mesh->TargetPort(*k8s, *k8s->FindPort(80), vm) == 9999);
}

TEST_CASE("ingress of a Sidecar resource replaces what Services target") {
  auto sidecar = [](const std::string& ns, const std::string& name, const std::string& spec) {
    return "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: " + name +
           ", namespace: " + ns + "}\nspec: {" + spec + "}\n";
  };
  const std::string ingress =
      "ingress: [{port: {number: 9080, protocol: HTTP, name: x}, defaultEndpoint: "
      "'127.0.0.1:8080'}]";
  const std::string base = kShop + DeploymentYaml("shop", "web") + DeploymentYaml("shop", "other") +
                           ServiceYaml("shop", "web", "{name: tcp, port: 80, targetPort: 8080}") +
                           ServiceYaml("shop", "other", "{name: tcp, port: 80, targetPort: 8080}");
  auto mesh =
      MeshOf(base + sidecar("shop", "w", "workloadSelector: {labels: {app: web}}, " + ingress));
  CHECK(Ports(*mesh, Find(*mesh, "shop", "web")) == "9080:http:ingress");
  CHECK(Ports(*mesh, Find(*mesh, "shop", "other")) == "8080:tcp:other.80");
  CHECK(mesh->SidecarFor(Find(*mesh, "shop", "other")) == nullptr);

  mesh = MeshOf(base + sidecar("istio-system", "root", ingress) +
                sidecar("shop", "w",
                        "workloadSelector: {labels: {app: web}}, egress: [{hosts: "
                        "['./*']}]"));
  CHECK(Ports(*mesh, Find(*mesh, "shop", "web")) == "8080:tcp:web.80");
  CHECK(Ports(*mesh, Find(*mesh, "shop", "other")) == "9080:http:ingress");

  MeshOptions options;
  options.istiod_env = {{"PILOT_ALLOW_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE", "true"}};
  mesh = MeshOf(base + sidecar("shop", "all", ingress), options);
  CHECK(Ports(*mesh, Find(*mesh, "shop", "web")) == "8080:tcp:web.80 9080:http:ingress");
}

TEST_CASE("what a client's proxy knows of") {
  auto mesh = MeshOf(
      kShop + NamespaceYaml("pay", "istio-injection: enabled") + DeploymentYaml("shop", "web") +
      DeploymentYaml("shop", "free") + ServiceYaml("shop", "web", "{port: 80}") +
      ServiceYaml("pay", "vault", "{port: 80}") +
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: hidden, namespace: pay, annotations: "
      "{networking.istio.io/exportTo: '.'}}\nspec: {ports: [{port: 80}]}\n"
      "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: s, namespace: "
      "shop}\nspec: {workloadSelector: {labels: {app: web}}, egress: [{hosts: ['./*', "
      "'pay/other.pay.svc.cluster.local']}]}\n");
  const MeshService& vault = *mesh->FindService("vault.pay.svc.cluster.local");
  const MeshService& own = *mesh->FindService("web.shop.svc.cluster.local");
  const MeshService& hidden = *mesh->FindService("hidden.pay.svc.cluster.local");
  CHECK(!mesh->IsVisible(Find(*mesh, "shop", "web"), vault));
  CHECK(mesh->IsVisible(Find(*mesh, "shop", "web"), own));
  CHECK(mesh->IsVisible(Find(*mesh, "shop", "free"), vault));
  CHECK(!mesh->IsVisible(Find(*mesh, "shop", "free"), hidden));
}

TEST_CASE("hosts") {
  CHECK(CompleteHost("web", "shop", "d") == "web.shop.svc.d");
  CHECK(CompleteHost("web.shop", "shop", "d") == "web.shop");
  CHECK(CompleteHost("*", "shop", "d") == "*");
  CHECK(CompleteHost("::1", "shop", "d") == "::1");
  CHECK(HostCovers("*", "a.b"));
  CHECK(HostCovers("*.b", "a.b"));
  CHECK(HostCovers("*.b", "*.a.b"));
  CHECK(!HostCovers("*.a.b", "*.b"));
  CHECK(!HostCovers("*.b", "b"));
  CHECK(!HostCovers("a.b", "*.b"));
  std::string order;
  CHECK(!VisitCoveringHosts("a.b", [&](const std::string& pattern) {
    order += pattern + " ";
    return false;
  }));
  CHECK(order == "a.b *a.b *.b *b * ");
  const std::vector<std::string_view> none, own = {"."}, all = {"*"}, hidden = {"~"},
                                            named = {"x", "y"};
  CHECK(IsExportedTo(none, "a", "b"));
  CHECK(IsExportedTo(own, "a", "a"));
  CHECK(!IsExportedTo(own, "a", "b"));
  CHECK(IsExportedTo(all, "a", "b"));
  CHECK(!IsExportedTo(hidden, "a", "a"));
  CHECK(IsExportedTo(named, "a", "y"));
  CHECK(!IsExportedTo(named, "a", "b"));
}

}  // namespace
}  // namespace meshproof::services_test

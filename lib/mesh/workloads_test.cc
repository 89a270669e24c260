#include "mesh/mesh_testing.h"

namespace meshproof::workloads_test {
namespace {

std::string Pod(const std::string& name, const std::string& owner_kind, const std::string& owner,
                const std::string& labels, const std::string& ip, bool proxy,
                const std::string& created = "2026-01-01T00:00:00Z") {
  return "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name +
         "\n  namespace: shop\n  labels: {" + labels + "}\n" +
         (created.empty() ? "" : "  creationTimestamp: '" + created + "'\n") +
         (owner.empty() ? ""
                        : "  ownerReferences: [{apiVersion: apps/v1, kind: " + owner_kind +
                              ", name: " + owner + ", uid: x, controller: true}]\n") +
         "spec:\n  serviceAccountName: web-sa\n  containers: [{name: app, image: a}" +
         (proxy ? ", {name: istio-proxy, image: p}" : "") + "]\n" +
         (ip.empty() ? "" : "status: {podIP: " + ip + ", podIPs: [{ip: " + ip + "}]}\n");
}

std::string All(const Mesh& mesh) {
  std::string out;
  for (const Workload& workload : mesh.workloads()) {
    out += (out.empty() ? "" : " ") + workload.ns + "/" + workload.name + ":" +
           std::string(ToString(workload.mode));
  }
  return out;
}

const std::string kShop = NamespaceYaml("shop", "istio-injection: enabled");
const std::string kReplicaSet =
    "---\napiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: web-5d4f, namespace: shop, "
    "labels: {pod-template-hash: 5d4f}, ownerReferences: [{apiVersion: apps/v1, kind: Deployment, "
    "name: web, uid: x, controller: true}]}\nspec: {selector: {matchLabels: {app: web}}, template: "
    "{metadata: {labels: {app: web, pod-template-hash: 5d4f}}, spec: {containers: [{name: app, "
    "image: a}]}}}\n";
const std::string kLabels = "app: web, pod-template-hash: 5d4f";

TEST_CASE("pods belong to their controller") {
  const std::string pods =
      Pod("web-5d4f-a", "ReplicaSet", "web-5d4f", kLabels, "10.244.0.5", true) +
      Pod("web-5d4f-b", "ReplicaSet", "web-5d4f", kLabels, "10.244.0.6", true);
  SUBCASE("through a ReplicaSet in the input") {
    auto mesh = MeshOf(kShop + pods + kReplicaSet + DeploymentYaml("shop", "web"));
    CHECK(All(*mesh) == "shop/web:sidecar");
    const Workload& web = Find(*mesh, "shop", "web");
    CHECK(web.object->kind == "Deployment");
    CHECK(web.ips.size() == 2);
    CHECK(mesh->FindWorkload("shop", "web-5d4f-b") == &web);
    CHECK(mesh->FindWorkload("shop", "web-5d4f") == &web);
    CHECK(mesh->FindWorkloadByAddress(*ParseIpAddress("10.244.0.6")) == &web);
  }
  SUBCASE("by the name of the ReplicaSet") {
    auto mesh = MeshOf(kShop + pods + DeploymentYaml("shop", "web"));
    CHECK(All(*mesh) == "shop/web:sidecar");
    CHECK(Find(*mesh, "shop", "web").ips.size() == 2);
  }
  SUBCASE("without a controller in the input") {
    auto mesh = MeshOf(kShop + pods);
    CHECK(All(*mesh) == "shop/web:sidecar");
    const Workload& web = Find(*mesh, "shop", "web");
    CHECK(web.object->name == "web-5d4f-a");
    CHECK(mesh->FindWorkload("shop", "web-5d4f-b") == &web);
    CHECK(web.identity == "spiffe://cluster.local/ns/shop/sa/web-sa");
  }
  SUBCASE("of a StatefulSet that is not in the input") {
    auto mesh = MeshOf(kShop + Pod("db-0", "StatefulSet", "db", "app: db", "", false, "") +
                       Pod("db-1", "StatefulSet", "db", "app: db", "", false, ""));
    CHECK(All(*mesh) == "shop/db:sidecar");
  }
  SUBCASE("a pod of its own") {
    auto mesh = MeshOf(kShop + Pod("solo", "", "", "app: solo", "", false, ""));
    CHECK(All(*mesh) == "shop/solo:sidecar");
  }
}

TEST_CASE("running pods tell more than their template") {
  const std::string with = Pod("web-5d4f-a", "ReplicaSet", "web-5d4f", kLabels, "10.244.0.5", true);
  const std::string without =
      Pod("web-5d4f-b", "ReplicaSet", "web-5d4f", kLabels, "10.244.0.6", false);
  const std::string written = Pod("web-5d4f-c", "ReplicaSet", "web-5d4f", kLabels, "", false, "");
  const std::string deployment = DeploymentYaml("shop", "web");
  CHECK(All(*MeshOf(kShop + deployment + without)) == "shop/web:none");
  CHECK(All(*MeshOf(kShop + deployment + written)) == "shop/web:sidecar");
  CHECK(All(*MeshOf(NamespaceYaml("shop") + deployment + with)) == "shop/web:sidecar");
  auto mesh = MeshOf(kShop + deployment + with + without);
  CHECK(All(*mesh) == "shop/web:sidecar");
  CHECK(Find(*mesh, "shop", "web").mode_reason.find("1 of 2 pods") != std::string::npos);
}

TEST_CASE("Jobs of a CronJob belong to it") {
  const std::string spec =
      "{template: {metadata: {labels: {app: backup}}, spec: {restartPolicy: Never, containers: "
      "[{name: a, image: a}]}}}";
  auto mesh =
      MeshOf(kShop +
             "---\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: backup, namespace: "
             "shop}\nspec: {schedule: '* * * * *', jobTemplate: {spec: " +
             spec + "}}\n" +
             "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: backup-28712340, "
             "namespace: shop}\nspec: " +
             spec + "\n" +
             "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: once, namespace: "
             "shop}\nspec: " +
             spec + "\n");
  CHECK(All(*mesh) == "shop/backup:sidecar shop/once:sidecar");
  CHECK(mesh->FindWorkload("shop", "backup-28712340") == mesh->FindWorkload("shop", "backup"));
}

TEST_CASE("one name twice: the Deployment is meant") {
  auto mesh = MeshOf(
      kShop +
      "---\napiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: web, namespace: shop}\nspec: "
      "{selector: {matchLabels: {app: s}}, serviceName: s, template: {metadata: {labels: {app: "
      "s}}, spec: {containers: [{name: a, image: a}]}}}\n" +
      DeploymentYaml("shop", "web"));
  CHECK(mesh->workloads().size() == 2);
  CHECK(Find(*mesh, "shop", "web").object->kind == "Deployment");
}

TEST_CASE("identities follow the trust domain and the service account") {
  auto mesh = MeshOf(
      kShop +
      "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: "
      "istio-system}\ndata: {mesh: 'trustDomain: td.one'}\n"
      "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: "
      "{selector: {matchLabels: {app: s}}, template: {metadata: {labels: {app: s}}, spec: "
      "{containers: [{name: a, image: a}]}}}\n");
  CHECK(Find(*mesh, "shop", "web").service_account == "default");
  CHECK(Find(*mesh, "shop", "web").identity == "spiffe://td.one/ns/shop/sa/default");
  CHECK(mesh->FindWorkload("shop", "gone") == nullptr);
  CHECK(mesh->FindNamespace("shop") != nullptr);
  CHECK(mesh->FindNamespace("pay") == nullptr);
}

TEST_CASE("the order of the input does not matter") {
  const std::string a = DeploymentYaml("shop", "a"), b = DeploymentYaml("shop", "b"),
                    c = DeploymentYaml("pay", "c");
  CHECK(All(*MeshOf(kShop + a + b + c)) == All(*MeshOf(c + b + a + kShop)));
}

}  // namespace
}  // namespace meshproof::workloads_test

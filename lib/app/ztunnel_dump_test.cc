// A ztunnel's dump as the input of commands: alone, beside manifests, beside a waypoint's dump.

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "app/memory_files.h"
#include "base/json.h"
#include "proxy/compile.h"
#include "proxy/emit.h"

namespace meshproof::ztunnel_dump_test {
namespace {

bool Says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string Pod(const std::string& name, int ip, const std::string& more,
                const std::string& protocol = "HBONE") {
  return R"({"uid":"Kubernetes//Pod/shop/)" + name + R"(-7d9f-x1","name":")" + name +
         R"(-7d9f-x1","namespace":"shop","workloadName":")" + name + R"(","serviceAccount":")" +
         name + R"(","trustDomain":"cluster.local","workloadIps":["10.244.0.)" +
         std::to_string(ip) + R"("],"protocol":")" + protocol + "\"" + more + "}";
}

std::string ServiceOf(const std::string& name, const std::string& vip, const std::string& more) {
  return R"({"name":")" + name + R"(","namespace":"shop","hostname":")" + name +
         R"(.shop.svc.cluster.local","vips":["/)" + vip +
         R"("],"ports":{"80":8080},"endpoints":{"a":{"workloadUid":"Kubernetes//Pod/shop/)" + name +
         R"(-7d9f-x1","port":{"80":8080}}})" + more + "}";
}

const std::string kWaypoint =
    R"(,"waypoint":{"destination":"shop/wp.shop.svc.cluster.local","hboneMtlsPort":15008})";

// web: an ALLOW of sleep and mTLS; db: a waypoint before it; open: nothing but the namespace's
// DENY.
std::string Dump(const std::string& trust_domain = "cluster.local") {
  std::string text =
      R"({"workloads":[)" + Pod("sleep", 11, "") + "," +
      Pod("web", 12,
          R"(,"authorizationPolicies":["istio-system/istio_converted_static_strict","shop/web"])") +
      "," + Pod("db", 13, kWaypoint) + "," + Pod("open", 14, "") + "," +
      Pod("legacy", 15, "", "TCP") + "," + Pod("proxied", 16, R"(,"nativeTunnel":true)") + "," +
      Pod("wp", 17, "", "TCP") + "],\"services\":[" + ServiceOf("web", "10.96.0.1", "") + "," +
      ServiceOf("db", "10.96.0.2", kWaypoint) + "," + ServiceOf("open", "10.96.0.3", "") + "," +
      ServiceOf("legacy", "10.96.0.4", "") + "," + ServiceOf("proxied", "10.96.0.5", "") + "," +
      R"({"name":"wp","namespace":"shop","hostname":"wp.shop.svc.cluster.local",
          "vips":["/10.96.0.9"],"ports":{"15008":15008},"endpoints":{"a":{"workloadUid":
          "Kubernetes//Pod/shop/wp-7d9f-x1","port":{"15008":15008}}}}],)" +
      R"("policies":[
        {"name":"web","namespace":"shop","scope":"WorkloadSelector","action":"Allow",
         "rules":[[[{"principals":[{"Exact":"cluster.local/ns/shop/sa/sleep"}]}],
                   [{"destinationPorts":[8080]}]]]},
        {"name":"no-bad","namespace":"shop","scope":"Namespace","action":"Deny",
         "rules":[[[{"namespaces":[{"Exact":"bad"}]}]]]},
        {"name":"istio_converted_static_strict","namespace":"istio-system",
         "scope":"WorkloadSelector","action":"Deny",
         "rules":[[[{"notPrincipals":[{"Presence":[]}]}]]]}],
      "certificates":[]})";
  const std::string usual = "cluster.local\",\"workloadIps";
  for (size_t at = 0; (at = text.find(usual, at)) != std::string::npos;) {
    text.replace(at, std::string("cluster.local").size(), trust_domain);
    at += trust_domain.size();
  }
  return text;
}

const std::string kManifests =
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio.io/dataplane-mode: "
    "ambient}}\n"
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: "
    "{template: {metadata: {labels: {app: web}}, spec: {serviceAccountName: web, containers: "
    "[{name: c, image: i}]}}}\n"
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: fresh, namespace: shop}\nspec: "
    "{template: {metadata: {labels: {app: fresh}}, spec: {containers: [{name: c, image: i}]}}}\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: shop}\nspec: {selector: "
    "{app: web}, ports: [{port: 80, targetPort: 8080}]}\n"
    "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: web, "
    "namespace: shop}\nspec: {selector: {matchLabels: {app: web}}, rules: [{from: [{source: "
    "{principals: [cluster.local/ns/shop/sa/sleep]}}], to: [{operation: {ports: ['8080']}}]}]}\n";

struct AskRow {
  std::string from, to;
  std::vector<std::string> more;
  int status;
  const char* says;
};

void CheckRows(const std::vector<AskRow>& rows, const MemoryFiles& files,
               const std::vector<std::string>& paths) {
  for (const AskRow& row : rows) {
    CAPTURE(row.from);
    CAPTURE(row.to);
    std::vector<std::string> words = {"can", "--from", row.from, "--to", row.to};
    words.insert(words.end(), paths.begin(), paths.end());
    words.insert(words.end(), row.more.begin(), row.more.end());
    const Ran ran = Run(words, files);
    CHECK_MESSAGE(ran.status == row.status, (ran.out + ran.err));
    CHECK_MESSAGE(Says(ran.out, row.says), (ran.out + ran.err));
  }
}

const std::vector<std::string> kAsSleep = {"--principal",
                                           "spiffe://cluster.local/ns/shop/sa/sleep"};
const std::vector<std::string> kAsBad = {"--principal", "spiffe://cluster.local/ns/bad/sa/x"};
const std::vector<std::string> kElsewhere = {"--principal", "spiffe://other/ns/shop/sa/sleep"};

TEST_CASE("can: a ztunnel's dump alone") {
  MemoryFiles files;
  files.Put("z.json", Dump());
  const std::vector<AskRow> rows = {
      {"shop/sleep", "web.shop:80", {}, 0, "AuthorizationPolicy shop/web rule 0"},
      {"shop/sleep", "10.96.0.1:80", {}, 0, "ALLOW"},
      {"shop/open", "shop/web:8080", {}, 1, "no ALLOW policy matches at ztunnel"},
      {"shop/sleep", "shop/web:9090", {}, 1, "no ALLOW policy matches at ztunnel"},
      {"outside", "shop/web:8080", {}, 1, "the caller has no identity and mTLS is STRICT"},
      {"outside", "shop/web:8080", kAsSleep, 0, "HBONE"},
      {"outside", "shop/web:8080", kElsewhere, 1, "is no service account of trust domain"},
      {"outside", "shop/open:8080", {}, 0, "no ALLOW policy applies at ztunnel"},
      {"outside", "shop/open:8080", kAsBad, 1, "shop/no-bad"},
      {"shop/sleep", "shop/open:15008", {}, 1, "ztunnel takes no connection to port 15008"},
      // What the dump does not hold is named.
      {"shop/sleep", "db.shop:80", {}, 3, "the configuration of waypoint shop/wp"},
      {"outside", "db.shop:80", kAsSleep, 3, "the configuration of waypoint shop/wp"},
      {"outside", "shop/db:8080", {}, 0, "ALLOW"},
      {"shop/sleep", "legacy.shop:80", {}, 3, "whether shop/legacy has a proxy of its own"},
      {"shop/sleep", "proxied.shop:80", {}, 3, "the configuration of the sidecar of shop/proxied"},
      // Whoever calls, with an identity or without.
      {"shop/legacy", "shop/open:8080", {}, 0, "ALLOW"},
      {"shop/legacy", "shop/web:8080", {}, 1, "REJECT"},
  };
  CheckRows(rows, files, {"z.json"});
  CheckRows(rows, files, {"--dump", "z.json"});
}

TEST_CASE("can: a ztunnel's dump, its policies' places and what decided, as JSON") {
  MemoryFiles files;
  files.Put("z.json", Dump());
  const Ran ran = Run({"can", "--from", "outside", "--to", "shop/open:8080", "--principal",
                       "spiffe://cluster.local/ns/bad/sa/x", "--format", "json", "z.json"},
                      files);
  auto answer = ParseJson(ran.out);
  REQUIRE_MESSAGE(answer.ok(), ran.err);
  CHECK(ran.status == 1);
  CHECK(answer.value().Find("verdict")->as_string() == "reject");
  CHECK(Says(ran.out, "\"no-bad\""));
  CHECK(Says(ran.out, "z.json"));
}

TEST_CASE("can: another trust domain is the dump's") {
  MemoryFiles files;
  files.Put("z.json", Dump("td.example"));
  CheckRows({{"shop/sleep", "shop/open:8080", {}, 0, "spiffe://td.example/ns/shop/sa/sleep"},
             {"outside", "shop/open:8080", kAsSleep, 1, "trust domain td.example"}},
            files, {"z.json"});
}

TEST_CASE("can: a ztunnel's dump beside manifests answers where a ztunnel is met") {
  MemoryFiles files;
  files.Put("z.json", Dump());
  files.Put("mesh.yaml", kManifests);
  CheckRows({{"shop/sleep", "web.shop:80", {}, 0, "AuthorizationPolicy shop/web rule 0"},
             // By the manifests nothing is STRICT.
             {"outside", "shop/web:8080", {}, 1, "the caller has no identity and mTLS is STRICT"},
             // A pod that the dump does not hold.
             {"shop/sleep", "shop/fresh:8080", {}, 3, "z.json does not hold it"}},
            files, {"mesh.yaml", "z.json"});
  const Ran linked = Run({"can", "--from", "shop/sleep", "--to", "web.shop:80", "--format", "json",
                          "mesh.yaml", "z.json"},
                         files);
  CHECK_MESSAGE(Says(linked.out, "mesh.yaml"), linked.out);
}

TEST_CASE("can: an old ztunnel's dump, with its note") {
  MemoryFiles files;
  std::string old = Dump();
  for (size_t at = 0; (at = old.find("\"protocol\":\"HBONE\"", at)) != std::string::npos; ++at) {
    old.insert(at, "\"nativeTunnel\":true,");
    at += 40;
  }
  files.Put("z.json", old);
  const Ran ran = Run({"can", "--from", "shop/sleep", "--to", "web.shop:80", "z.json"}, files);
  CHECK_MESSAGE(ran.status == 0, (ran.out + ran.err));
  CHECK(Says(ran.err, "they are taken for ambient"));
}

const std::string kBehind =
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio.io/dataplane-mode: "
    "ambient}}\n"
    "---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop, labels: "
    "{istio.io/use-waypoint: wp}}\nspec: {selector: {app: db}, clusterIP: 10.96.0.2, ports: "
    "[{name: "
    "http, port: 80, targetPort: 8080}]}\n"
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: db, namespace: shop}\nspec: "
    "{template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: i}]}}}\n"
    "---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: wp, "
    "namespace: shop}\nspec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: "
    "15008, protocol: HBONE}]}\n"
    "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: reads, "
    "namespace: shop}\nspec: {targetRefs: [{kind: Service, group: '', name: db}], rules: [{from: "
    "[{source: {principals: [cluster.local/ns/shop/sa/sleep]}}], to: [{operation: {methods: "
    "[GET]}}]}]}\n";

std::string WaypointDump() {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", kBehind));
  const auto mesh = Mesh::Build(DecodeModel(std::move(load), {}));
  const Workload* waypoint = mesh->FindWorkload("shop", "wp");
  REQUIRE(waypoint != nullptr);
  return WriteJson(EmitConfigDump(*Compiler(mesh).Compile(*waypoint)));
}

TEST_CASE("can: a waypoint's dump alone, and with a ztunnel's behind it") {
  MemoryFiles files;
  files.Put("w.json", WaypointDump());
  files.Put("z.json", Dump());
  const std::vector<std::string> put = {"--principal", "spiffe://cluster.local/ns/shop/sa/sleep",
                                        "-X", "PUT"};
  CheckRows({{"outside", "db.shop:80", kAsSleep, 0, "as far as shop/wp is concerned"},
             {"outside", "db.shop:80", put, 1, "DENY 403"},
             {"outside", "db.shop:80", kAsBad, 1, "DENY 403"}},
            files, {"w.json"});
  // Without an identity nobody passes a waypoint, and behind it nothing is known.
  const Ran nobody = Run({"can", "--from", "outside", "--to", "db.shop:80", "w.json"}, files);
  CHECK(nobody.status == 2);
  CHECK_MESSAGE(Says(nobody.err, "give one (can: --principal"), nobody.err);
  CheckRows({{"shop/sleep", "db.shop:80", {}, 0, "ztunnel shop/db:8080"},
             {"shop/sleep", "db.shop:80", {"-X", "PUT"}, 1, "shop/wp"},
             {"shop/open", "db.shop:80", {}, 1, "DENY 403"}},
            files, {"w.json", "z.json"});
}

TEST_CASE("a waypoint's dump alone: what it serves, and what cannot be asked of it") {
  MemoryFiles files;
  files.Put("w.json", WaypointDump());
  const Ran shown = Run({"describe", "shop/wp", "w.json"}, files);
  CHECK_MESSAGE(Says(shown.out, "db.shop.svc.cluster.local:80, HTTP, out of HBONE:"), shown.out);
  const Ran nothing = Run({"exposure", "w.json"}, files);
  CHECK(nothing.out.empty());
  CHECK_MESSAGE(Says(nothing.err, "shop/wp is a waypoint"), nothing.err);
  const Ran who = Run({"who-can", "GET", "db.shop/", "w.json"}, files);
  CHECK(who.status == 2);
  CHECK_MESSAGE(Says(who.err, "of its waypoint shop/wp alone `can` asks"), who.err);
}

TEST_CASE("what is given as a dump and is none says what it is") {
  MemoryFiles files;
  files.Put("w.json", R"([{"workloadIps":["10.0.0.1"],"name":"a"},{"workloadIps":["10.0.0.2"]}])");
  files.Put("p.json", R"([{"name":"a","scope":"Global","action":"Allow","rules":[]}])");
  files.Put("mesh.yaml", kManifests);
  for (const char* name : {"w.json", "p.json"}) {
    const Ran ran = Run({"drift", "--dump", name}, files);
    CHECK(ran.status == 2);
    const std::string part = "one section of a ztunnel's dump; take the whole";
    CHECK_MESSAGE(Says(ran.err, part), ran.err);
    CHECK_MESSAGE(ran.err.find(part) == ran.err.rfind(part), ran.err);
  }
  const Ran object = Run({"drift", "--dump", "mesh.yaml"}, files);
  CHECK(object.status == 2);
  CHECK_MESSAGE(Says(object.err, "a Kubernetes object (Namespace), which belongs among the PATHs"),
                object.err);
}

TEST_CASE("a ztunnel's dump that is cut answers nothing that it lost") {
  const std::string whole = Dump();
  MemoryFiles files;
  files.Put("cut.json", whole.substr(0, whole.find("\"policies\":")));
  Ran ran = Run({"can", "--from", "shop/sleep", "--to", "shop/open:8080", "cut.json"}, files);
  CHECK(ran.status >= 2);
  CHECK_FALSE(Says(ran.out, "ALLOW"));
  CHECK(Says(ran.err, "cut.json:"));
  std::string without = whole;
  without.replace(without.find("\"policies\":"), 11, "\"others\":");
  files.Put("without.json", without);
  ran = Run({"can", "--from", "shop/sleep", "--to", "shop/open:8080", "without.json"}, files);
  CHECK(ran.status == 3);
  CHECK_MESSAGE(Says(ran.out, "has no such section"), ran.out);
}

TEST_CASE("describe: what a ztunnel's dump says is no label of anybody's") {
  MemoryFiles files;
  files.Put("z.json", Dump());
  for (const char* name : {"shop/web", "shop/db", "shop/open", "shop/wp", "shop/proxied"}) {
    CAPTURE(std::string(name));
    const Ran text = Run({"describe", name, "z.json"}, files);
    CHECK(text.status == 0);
    CHECK_MESSAGE(Says(text.out, "(a dump says so)"), text.out);
    CHECK_MESSAGE(!Says(text.out, "label"), text.out);
    const Ran json = Run({"describe", name, "z.json", "--format", "json"}, files);
    CHECK_MESSAGE(!Says(json.out, "istio.io/"), json.out);
  }
  CHECK(Says(Run({"describe", "shop/legacy", "z.json"}, files).out,
             "none (no dump says that it has a proxy)"));
  // What manifests say is said in their words.
  files.Put("mesh.yaml", kManifests);
  CHECK(Says(Run({"describe", "shop/fresh", "mesh.yaml", "z.json"}, files).out,
             "namespace label istio.io/dataplane-mode: ambient"));
}

TEST_CASE("a Service whose waypoint the manifests and a ztunnel's dump name differently") {
  const std::string with_waypoint =
      kManifests +
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: db, namespace: shop}\nspec: "
      "{selector: {app: db}, ports: [{port: 80, targetPort: 8080}]}\n";
  MemoryFiles files;
  files.Put("z.json", Dump());
  files.Put("mesh.yaml", with_waypoint);
  const std::vector<std::string> question = {"can", "--from", "shop/web", "--to", "db.shop:80"};
  auto ask = [&](const std::string& manifests) {
    std::vector<std::string> words = question;
    words.insert(words.end(), {manifests, "z.json"});
    return Run(words, files);
  };
  CHECK_MESSAGE(Says(ask("mesh.yaml").err,
                     "note: z.json has another waypoint than the manifests for Service shop/db "
                     "(there shop/wp, here none)"),
                ask("mesh.yaml").err);
  const Ran drift = Run({"drift", "mesh.yaml", "--dump", "z.json"}, files);
  CHECK_MESSAGE(Says(drift.out, "MP0904"), (drift.out + drift.err));
  CHECK(Says(drift.out,
             "Service shop/db through waypoint `shop/wp`, and by the manifests it has "
             "none"));
  // The same waypoint, its Gateway among the manifests or not.
  std::string alike = with_waypoint;
  alike.replace(alike.find("{name: db, namespace: shop}"), 27,
                "{name: db, namespace: shop, labels: {istio.io/use-waypoint: wp}}");
  files.Put("alike.yaml", alike);
  CHECK_FALSE(Says(ask("alike.yaml").err, "another waypoint"));
  CHECK_FALSE(Says(Run({"drift", "alike.yaml", "--dump", "z.json"}, files).out, "MP0904"));
}

TEST_CASE("a dump that does not say whose it is says what to add") {
  MemoryFiles files;
  files.Put("l.json",
            R"({"configs":[{"@type":"type.googleapis.com/envoy.admin.v3.ListenersConfigDump",
                "dynamic_listeners":[]}]})");
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"can", "--from", "outside", "--to", "shop/web:80", "l.json"},
        {"exposure", "shop/web", "l.json"},
        {"describe", "shop/web", "l.json"}}) {
    const Ran ran = Run(words, files);
    CHECK(ran.status == 2);
    CHECK_MESSAGE(Says(ran.err, "l.json does not say whose proxy it is"), ran.err);
  }
}

TEST_CASE("what stands for a dump's proxy is nobody's manifest") {
  MemoryFiles files;
  files.Put("w.json", WaypointDump());
  const Ran found = Run({"analyze", "w.json"}, files);
  CHECK_MESSAGE(!Says(found.out, "(the dumps' proxies)"), found.out);
  Load load;
  load.files.push_back(ParseText(
      "mesh.yaml",
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: "
      "{template: {metadata: {labels: {app: web, sidecar.istio.io/inject: 'true'}}, spec: "
      "{containers: [{name: c, image: i}]}}}\n"
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: none, "
      "namespace: shop}\nspec: {}\n"));
  const auto mesh = Mesh::Build(DecodeModel(std::move(load), {}));
  files.Put("s.json",
            WriteJson(EmitConfigDump(*Compiler(mesh).Compile(*mesh->FindWorkload("shop", "web")))));
  CHECK(Says(Run({"describe", "shop/web", "s.json"}, files).out, "no manifest speaks of it"));
  CHECK(Run({"compile", "shop/web", "s.json"}, files).status == 2);
  CHECK(Says(Run({"graph", "s.json"}, files).err, "what s.json says is left out"));
  // Against a mesh without the policy: what the proxy runs is the old side, not what a pod without
  // policies would.
  files.Put("open.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: "
            "{template: {metadata: {labels: {app: web, sidecar.istio.io/inject: 'true'}}, spec: "
            "{containers: [{name: c, image: i}]}}}\n");
  const Ran diff = Run({"diff", "s.json", "open.yaml"}, files);
  CHECK(diff.status == 1);
  CHECK_MESSAGE(Says(diff.out, "newly allowed"), diff.out);
}

TEST_CASE("every command says what it makes of a ztunnel's dump") {
  struct Row {
    std::vector<std::string> words;
    int status;
    const char* out;
    const char* err;
  };
  const std::vector<Row> rows = {
      {{"exposure", "z.json"}, 3, "shop/web:8080", ""},
      {{"exposure", "shop/web", "z.json"}, 0, "shop/web rule 0", ""},
      {{"exposure", "shop/legacy", "z.json"}, 3, "has a proxy of its own", ""},
      {{"who-can", "GET", "web.shop/", "z.json"}, 0, "shop/web rule 0", ""},
      {{"who-can", "GET", "db.shop/", "z.json"}, 3, "has a waypoint", ""},
      {{"describe", "shop/web", "z.json"}, 0, "STRICT", ""},
      {{"describe", "shop/legacy", "z.json"}, 0, "no manifest speaks of it", ""},
      {{"compile", "--from-dump", "z.json"}, 0, "istio_converted_static_strict", ""},
      {{"compile", "ztunnel", "z.json"}, 2, "", "compile --from-dump"},
      {{"compile", "shop/proxied", "z.json"}, 2, "", "compile --from-dump"},
      {{"graph", "z.json"}, 0, "digraph", "what z.json says is left out"},
      {{"drift", "--dump", "z.json"}, 0, "", ""},
      {{"analyze", "z.json"}, 0, "", ""},
      {{"test", "a.meshtest.yaml"}, 0, "2 passed", ""},
      {{"test", "b.meshtest.yaml", "z.json"}, 0, "1 passed", "z.json is not asked"},
      {{"diff", "z.json", "looser.json"}, 3, "1 newly allowed", ""},
  };
  MemoryFiles files;
  files.Put("z.json", Dump());
  std::string looser = Dump();
  looser.replace(looser.find("\"shop/web\"]"), 11, "\"shop/gone\"]");
  files.Put("looser.json", looser);
  files.Put("mesh.yaml", kManifests);
  files.Put(
      "a.meshtest.yaml",
      "mesh: [z.json]\ntests:\n- {name: a, from: {workload: shop/sleep}, to: {host: web.shop, "
      "port: 80}, expect: {verdict: allow}}\n- {name: b, from: {workload: shop/open}, to: "
      "{host: web.shop, port: 80}, expect: {verdict: reject}}\n");
  files.Put("b.meshtest.yaml",
            "mesh: [mesh.yaml]\ntests:\n- {name: a, from: {workload: shop/web}, to: {workload: "
            "shop/fresh, port: 80}, expect: {verdict: allow}}\n");
  for (const Row& row : rows) {
    CAPTURE(row.words.front() + " " + row.words.back());
    const Ran ran = Run(row.words, files);
    CHECK_MESSAGE(ran.status == row.status, (ran.out + ran.err));
    CHECK_MESSAGE(Says(ran.out, row.out), ran.out);
    CHECK_MESSAGE(Says(ran.err, row.err), ran.err);
  }
}

}  // namespace
}  // namespace meshproof::ztunnel_dump_test

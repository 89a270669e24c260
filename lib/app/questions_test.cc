// exposure, who-can, what-can, diff and prove, run whole and in memory.

#include <doctest/doctest.h>

#include "app/git_files.h"
#include "app/memory_files.h"

namespace meshproof::questions_test {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

MemoryFiles Files() {
  MemoryFiles files;
  files.Put("mesh.yaml", kSmallMesh);
  return files;
}

const Json* At(const Json& value, std::initializer_list<const char*> keys) {
  const Json* at = &value;
  for (const char* key : keys) {
    if (at == nullptr) return nullptr;
    at = at->is_array() ? &at->as_array()[static_cast<size_t>(std::atoi(key))] : at->Find(key);
  }
  return at;
}

}  // namespace

TEST_CASE("exposure: rows in the author's words, complete, with the way from outside") {
  Ran ran = Run({"exposure", "shop/orders:8080", "mesh.yaml"}, Files());
  CHECK_MESSAGE(ran.status == 0, ran.err);
  CHECK(Contains(ran.out, "shop/orders:8080 (http, mTLS STRICT)\n"));
  CHECK(Contains(ran.out, "from outside by istio-system/gate (shop.example.com /api*)\n"));
  CHECK(Contains(ran.out, "cluster.local/ns/shop/sa/web"));
  CHECK(Contains(ran.out, "any mesh identity"));
  CHECK_FALSE(Contains(ran.out, "anyone"));
  CHECK_FALSE(Contains(ran.out, "not complete"));

  Ran json = Run({"exposure", "shop/orders:8080", "mesh.yaml", "--format", "json"}, Files());
  auto parsed = ParseJson(json.out);
  REQUIRE(parsed.ok());
  const Json& port = *At(parsed.value(), {"workloads", "0"});
  CHECK(port.Find("complete")->as_bool());
  CHECK(port.Find("mtls")->as_string() == "STRICT");
  const Json& row = *At(port, {"rows", "0"});
  CHECK(At(row, {"needs", "peer"})->as_string() == "named");
  CHECK(At(row, {"methods", "0"})->as_string() == "GET");
  CHECK(At(row, {"witness", "verdict", "verdict"})->as_string() == "allow");
  CHECK(At(row, {"rules", "0", "rule"})->as_integer() == 0);

  Ran csv = Run({"exposure", "mesh.yaml", "--format", "csv"}, Files());
  CHECK(Contains(csv.out, "shop/orders,8080,http,STRICT,yes,cluster.local/ns/shop/sa/web,GET,"));
  Ran markdown = Run({"exposure", "mesh.yaml", "--format", "markdown"}, Files());
  CHECK(Contains(markdown.out, "### shop/orders:8080"));
  // A workload without a proxy takes plaintext from anybody.
  MemoryFiles files = Files();
  files.Put("svc.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: probe, namespace: legacy}\nspec: "
            "{selector: {app: probe}, ports: [{port: 80, name: http}]}\n");
  Ran open = Run({"exposure", "legacy/probe", "mesh.yaml", "svc.yaml"}, files);
  CHECK_MESSAGE(open.status == 0, open.out);
  CHECK(Contains(open.out, "no proxy"));
  CHECK(Contains(open.out, "anyone"));
}

TEST_CASE("exposure: an unknown workload and a proxy that cannot be seen through") {
  CHECK(Run({"exposure", "shop/order", "mesh.yaml"}, Files()).status == 2);
  MemoryFiles files = Files();
  files.Put("filter.yaml",
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {name: f, "
            "namespace: shop}\nspec: {configPatches: [{applyTo: HTTP_FILTER, match: {context: "
            "SIDECAR_INBOUND}, patch: {operation: INSERT_BEFORE, value: {name: x}}}]}\n");
  Ran ran = Run({"exposure", "shop/orders", "mesh.yaml", "filter.yaml"}, files);
  CHECK(ran.status == 3);
  CHECK(Contains(ran.out, "not complete: "));
}

TEST_CASE("who-can and what-can are projections of exposure") {
  Ran get = Run({"who-can", "GET", "orders.shop:80/api/1", "mesh.yaml"}, Files());
  CHECK_MESSAGE(get.status == 0, get.err);
  CHECK(Contains(get.out, "cluster.local/ns/shop/sa/web"));
  CHECK_FALSE(Contains(get.out, "DELETE"));
  Ran post = Run({"who-can", "POST", "orders.shop:80/api/1", "mesh.yaml"}, Files());
  CHECK(post.status == 0);
  CHECK(Contains(post.out, "nothing gets in"));
  Ran edge = Run({"who-can", "GET", "shop.example.com/api/1", "mesh.yaml"}, Files());
  CHECK(edge.status == 0);
  CHECK(Contains(edge.out, "istio-system/gate:8080"));
  CHECK(Contains(edge.out, "anyone"));
  CHECK(Run({"who-can", "GET", "orders.shop:81/", "mesh.yaml"}, Files()).status == 2);

  Ran web = Run({"what-can", "shop/web", "mesh.yaml"}, Files());
  CHECK(web.status == 0);
  CHECK(Contains(web.out, "GET"));
  Ran other =
      Run({"what-can", "--as", "spiffe://cluster.local/ns/shop/sa/nobody", "mesh.yaml"}, Files());
  CHECK(other.status == 0);
  CHECK_FALSE(Contains(other.out, "/api*  "));
  CHECK(Contains(other.out, "DELETE"));
  CHECK(Run({"what-can", "mesh.yaml"}, Files()).status == 2);
}

TEST_CASE("diff: what a change opens and shuts, with causes; text alone changes nothing") {
  struct Row {
    std::string from, to;
    int status;
    const char* out;
  };
  const Row rows[] = {
      {"rules:", "rules: # the same", 0, "0 newly allowed, 0 newly denied\n"},
      {"methods: [GET]", "methods: [GET, GET]", 0, "0 newly allowed, 0 newly denied\n"},
      {"methods: [GET]", "methods: [GET, POST]", 1, "1 newly allowed, 0 newly denied\n"},
      {"methods: [GET]", "methods: [GET, POST]", 1, "newly allowed [MP0422]: "},
      {"paths: [/api*]", "paths: [/api/*]", 1, "0 newly allowed, 1 newly denied\n"},
      {"mode: STRICT", "mode: PERMISSIVE", 1, "mTLS was STRICT and is PERMISSIVE now"},
      {"kind: AuthorizationPolicy", "kind: Unknown", 1, "the last ALLOW policy on this workload"}};
  for (const Row& row : rows) {
    CAPTURE(row.to);
    MemoryFiles files;
    files.Put("old/mesh.yaml", kSmallMesh);
    files.Put("new/mesh.yaml", Replaced(kSmallMesh, row.from, row.to));
    Ran ran = Run({"diff", "old", "new"}, files);
    CHECK_MESSAGE(ran.status == row.status, ran.out << ran.err);
    CHECK_MESSAGE(Contains(ran.out, row.out), ran.out);
  }
}

TEST_CASE("diff: formats and --fail-on-new-access") {
  MemoryFiles files;
  files.Put("old/mesh.yaml", kSmallMesh);
  files.Put("new/mesh.yaml", Replaced(kSmallMesh, "methods: [GET]", "methods: [POST]"));
  files.Put("less/mesh.yaml", Replaced(kSmallMesh, "paths: [/api*]", "paths: [/api/*]"));
  CHECK(Run({"diff", "old", "less", "--fail-on-new-access"}, files).status == 0);
  CHECK(Run({"diff", "old", "new", "--fail-on-new-access"}, files).status == 1);
  Ran json = Run({"diff", "old", "new", "--format", "json"}, files);
  auto parsed = ParseJson(json.out);
  REQUIRE(parsed.ok());
  const Json& opened = *At(parsed.value(), {"workloads", "0", "newly_allowed", "0"});
  CHECK(At(opened, {"witness", "request", "method"})->as_string() == "POST");
  CHECK(opened.Find("code")->as_string() == "MP0422");
  CHECK(At(opened, {"new", "0", "file"})->as_string() == "new/mesh.yaml");
  CHECK(At(opened, {"witness", "verdict", "verdict"})->as_string() == "allow");
  CHECK(At(opened, {"old_verdict", "verdict"})->as_string() == "deny");
  const Json& shut = *At(parsed.value(), {"workloads", "0", "newly_denied", "0"});
  CHECK(At(shut, {"old", "0", "file"})->as_string() == "old/mesh.yaml");
  Ran sarif = Run({"diff", "old", "new", "--format", "sarif"}, files);
  CHECK(Contains(sarif.out, "\"ruleId\": \"MP0422\""));
  Ran markdown = Run({"diff", "old", "new", "--format", "markdown"}, files);
  CHECK(Contains(markdown.out, "**Newly allowed**"));
  CHECK(Run({"diff", "old", "missing"}, files).status == 2);
  CHECK(Run({"diff", "old"}, files).status == 2);
}

TEST_CASE("diff: the files of a tar archive are a revision") {
  auto header = [](const std::string& name, size_t size, char type) {
    std::string block(512, '\0');
    block.replace(0, name.size(), name);
    std::string octal = "00000000000";
    for (size_t at = octal.size(); size != 0; size /= 8) {
      octal[--at] = static_cast<char>('0' + size % 8);
    }
    block.replace(124, octal.size(), octal);
    block[156] = type;
    return block;
  };
  auto padded = [](std::string text) {
    text.resize((text.size() + 511) / 512 * 512, '\0');
    return text;
  };
  std::string long_name(120, 'n');
  std::string pax = "132 path=" + long_name + ".y\n";
  std::string tar = header("a/b.yaml", 3, '0') + padded("x: ") + header("a/", 0, '5') +
                    header("pax", pax.size(), 'x') + padded(pax) + header("short", 1, '0') +
                    padded("z") + std::string(1024, '\0');
  auto files = FilesOfTar(tar);
  CHECK(files.size() == 2);
  CHECK(files["a/b.yaml"] == "x: ");
  CHECK(files[long_name + ".y"] == "z");
  RevisionFiles revision("git:HEAD", {{"a/b.yaml", "x"}, {"c.yaml", "y"}});
  CHECK(revision.Stat("git:HEAD") == FileSystem::Kind::kDirectory);
  CHECK(revision.Stat("git:HEAD/a") == FileSystem::Kind::kDirectory);
  CHECK(revision.Stat("git:HEAD/a/b.yaml") == FileSystem::Kind::kFile);
  CHECK(revision.Stat("git:HEAD/b") == FileSystem::Kind::kMissing);
  CHECK(revision.List("git:HEAD").value() == std::vector<std::string>{"a", "c.yaml"});
  CHECK(revision.Read("git:HEAD/c.yaml").value() == "y");
  CHECK_FALSE(OpenRevision("git:--output=x", ".").ok());
}

TEST_CASE("prove: invariants hold, are refuted, or name what is wrong with them") {
  struct Row {
    const char* invariant;
    int status;
    const char* out;
  };
  const Row rows[] = {
      {"forbid: {from: {unauthenticated: true}, to: {workloads: [shop/orders]}}", 0, "holds"},
      {"forbid: {from: {outside: true}, to: {workloads: [shop/orders]}, not_hosts: "
       "[never.example.com]}",
       0, "holds"},
      {"forbid: {from: {not_namespaces: [shop]}, to: {workloads: [shop/orders]}}", 1,
       "refuted       promise [MP0421]"},
      {"allow: {from: {identities: ['spiffe://cluster.local/ns/shop/sa/web']}, to: {hosts: "
       "[orders.shop]}, methods: [GET], paths: ['/api/*'], mtls: true}",
       0, "holds"},
      {"allow: {from: {namespaces: [shop]}, to: {hosts: [orders.shop]}, methods: [GET], paths: "
       "['/api/*']}",
       1, "refuted"},
      {"on: {to: {workloads: [shop/orders]}}\n  require: {mtls: true}", 0, "holds"},
      {"on: {to: {workloads: [shop/orders]}}\n  require: {methods: [GET]}", 1, "DELETE"},
      {"forbid: {to: {namespaces: [istio-system]}, jwt: false}", 1, "refuted"},
      {"forbid: {to: {namespaces: [nowhere]}}", 3, "undetermined"},
      {"forbid: {to: {workloads: [shop/nobody]}}", 2, ""},
      {"forbid: {form: {}}", 2, ""},
      {"require: {mtls: true}", 2, ""},
      {"forbid: {}\n  allow: {}", 2, ""}};
  for (const Row& row : rows) {
    CAPTURE(row.invariant);
    MemoryFiles files = Files();
    files.Put("inv.yaml", "invariants:\n- name: promise\n  " + std::string(row.invariant) + "\n");
    Ran ran = Run({"prove", "inv.yaml", "mesh.yaml"}, files);
    CHECK_MESSAGE(ran.status == row.status, ran.out << ran.err);
    CHECK_MESSAGE(Contains(ran.out, row.out), ran.out);
  }
  MemoryFiles files = Files();
  files.Put("inv.yaml", "invariants:\n- name: p\n  forbid: {to: {workloads: [shop/orders]}}\n");
  Ran json = Run({"prove", "inv.yaml", "mesh.yaml", "--format", "json"}, files);
  auto parsed = ParseJson(json.out);
  REQUIRE(parsed.ok());
  CHECK(At(parsed.value(), {"invariants", "0", "outcome"})->as_string() == "refuted");
  CHECK(At(parsed.value(), {"invariants", "0", "witness", "verdict", "verdict"})->as_string() ==
        "allow");
  CHECK(At(parsed.value(), {"summary", "refuted"})->as_integer() == 1);
  CHECK(At(parsed.value(), {"invariants", "0", "code"})->as_string() == "MP0421");
  Ran sarif = Run({"prove", "inv.yaml", "mesh.yaml", "--format", "sarif"}, files);
  CHECK(sarif.status == 1);
  CHECK(Contains(sarif.out, "\"ruleId\": \"MP0421\""));
  CHECK(Contains(sarif.out, "\"kind\": \"refuted\""));
  files.Put("nowhere.yaml", "invariants:\n- name: p\n  forbid: {to: {namespaces: [nowhere]}}\n");
  Ran unsure = Run({"prove", "nowhere.yaml", "mesh.yaml", "--format", "sarif"}, files);
  CHECK(unsure.status == 3);
  CHECK(Contains(unsure.out, "\"kind\": \"undetermined\""));
}

}  // namespace meshproof::questions_test

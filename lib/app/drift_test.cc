// drift: seeded differences are each found as what they are, and a dump has none against the
// manifests that it was made of, in whatever spelling.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "app/memory_files.h"
#include "base/json.h"
#include "proxy/compile.h"
#include "proxy/emit.h"

namespace meshproof {
namespace {

namespace fs = std::filesystem;

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr char kMesh[] = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {selector: {app: cart}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app, image: a}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart, namespace: shop}
spec:
  selector: {matchLabels: {app: cart}}
  template:
    metadata: {labels: {app: cart}}
    spec: {serviceAccountName: cart, containers: [{name: app, image: a}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: no-admin, namespace: shop, creationTimestamp: "2026-03-01T00:00:00Z"}
spec:
  action: DENY
  rules:
  - to: [{operation: {paths: [/admin]}}]
    from: [{source: {notPrincipals: [cluster.local/ns/shop/sa/cart]}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop, creationTimestamp: "2026-03-01T00:00:00Z"}
spec:
  rules:
  - to: [{operation: {methods: [GET]}}]
  - to: [{operation: {methods: [POST], paths: [/api/*]}}]
    when: [{key: "request.auth.claims[role]", values: [editor]}]
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: users, namespace: shop}
spec:
  jwtRules:
  - issuer: https://login.example.com
    jwks: '{"keys":[{"kty":"RSA","kid":"k","e":"AQAB","n":"xAE7eB6qugXyCAG3yhh7pkDkT65pHymX-P7KfIupjf59vsdo91bSP9C8H07pSAGQO1MV_xFj9VswgsCg4R6otmg5PV2He95lZdHtOcU5DXIg_pbhLdKXbi66GlVeK6ABZOUW3WYtnNHD-91gVuoeJT_DwtGGcp4ignkgXfkiEm4sw-4sfb4qdt5oLbyVpmW6x9cfa7vs2WTfURiCrBoUqgBo_-4WTiULmmHSGZHOjzwa8WtrtOQGsAFjIbno85jp6MnGGGZPYZbDAa_b3y5u-YpW7ypZrvD8BgtKVjgtQgZhLAGezMt0ua3DRrWnKqTZ0BJ_EyxOGuHJrLsn00fnMQ"}]}'
---
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: partners, namespace: shop}
spec:
  jwtRules:
  - issuer: https://partners.example.com
    jwks: '{"keys":[{"kty":"RSA","kid":"p","e":"AQAB","n":"xAE7eB6qugXyCAG3yhh7pkDkT65pHymX-P7KfIupjf59vsdo91bSP9C8H07pSAGQO1MV_xFj9VswgsCg4R6otmg5PV2He95lZdHtOcU5DXIg_pbhLdKXbi66GlVeK6ABZOUW3WYtnNHD-91gVuoeJT_DwtGGcp4ignkgXfkiEm4sw-4sfb4qdt5oLbyVpmW6x9cfa7vs2WTfURiCrBoUqgBo_-4WTiULmmHSGZHOjzwa8WtrtOQGsAFjIbno85jp6MnGGGZPYZbDAa_b3y5u-YpW7ypZrvD8BgtKVjgtQgZhLAGezMt0ua3DRrWnKqTZ0BJ_EyxOGuHJrLsn00fnMQ"}]}'
)";

std::string DumpOf(const std::string& manifests) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", manifests));
  auto mesh = Mesh::Build(DecodeModel(std::move(load), {}));
  const Workload* web = mesh->FindWorkload("shop", "web");
  REQUIRE(web != nullptr);
  return WriteJson(EmitConfigDump(*Compiler(mesh).Compile(*web)));
}

// The codes of all findings, sorted, each once.
std::vector<std::string> Drift(const std::string& manifests, const std::string& dump,
                               std::string* shown = nullptr) {
  MemoryFiles files;
  files.Put("mesh.yaml", manifests);
  files.Put("web.json", dump);
  Ran ran = Run({"drift", "--dump", "web.json", "mesh.yaml", "--format", "json", "--now",
                 "2026-11-20T00:00:00Z"},
                files);
  auto report = ParseJson(ran.out);
  REQUIRE_MESSAGE(report.ok(), ran.err);
  if (shown != nullptr) *shown = ran.out + ran.err;
  std::vector<std::string> codes;
  for (const Json& proxy : report.value().Find("proxies")->as_array()) {
    for (const Json& finding : proxy.Find("findings")->as_array()) {
      codes.push_back(finding.Find("code")->as_string());
    }
  }
  std::sort(codes.begin(), codes.end());
  codes.erase(std::unique(codes.begin(), codes.end()), codes.end());
  CHECK(ran.status == (codes.empty() ? 0 : 1));
  return codes;
}

std::string Listed(const std::vector<std::string>& codes) {
  std::string text;
  for (const std::string& code : codes) text += code + " ";
  return text;
}

// Replaces every occurrence; there has to be one.
std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  size_t count = 0;
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
    ++count;
  }
  REQUIRE_MESSAGE(count > 0, from);
  return text;
}

TEST_CASE("no drift between a dump and its own manifests") {
  std::string shown;
  CHECK_MESSAGE(Drift(kMesh, DumpOf(kMesh), &shown).empty(), shown);
}

TEST_CASE("what the real istiod pushed has no drift against its manifests") {
  fs::path shared = std::getenv("MESHPROOF_SHARED") != nullptr
                        ? fs::path(std::getenv("MESHPROOF_SHARED"))
                        : fs::path(MESHPROOF_ROOT).parent_path() / "shared";
  int compared = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(MESHPROOF_ROOT) / "testdata" / "dumps")) {
    std::string name = entry.path().filename().string();
    fs::path mesh = shared / "golden" / "istiod" / name.substr(0, 3) / "mesh.yaml";
    if (!fs::exists(mesh)) continue;
    auto read = [](const fs::path& path) {
      std::ifstream in(path, std::ios::binary);
      std::ostringstream out;
      out << in.rdbuf();
      return out.str();
    };
    CAPTURE(name);
    std::string shown;
    auto codes = Drift(read(mesh), read(entry.path() / "config_dump.json"), &shown);
    CHECK_MESSAGE(codes.empty(), shown.substr(0, 3000));
    ++compared;
  }
  MESSAGE(compared << " proxies compared");
}

TEST_CASE("seeded differences are each found as what they are") {
  const std::string dump = DumpOf(kMesh);
  auto without = [](const char* kind, const char* name) {
    std::string mesh = kMesh;
    size_t at = mesh.find(std::string("kind: ") + kind + "\nmetadata: {name: " + name);
    REQUIRE(at != std::string::npos);
    size_t begin = mesh.rfind("---\n", at);
    size_t end = mesh.find("---\n", at);
    return mesh.erase(begin, end == std::string::npos ? end : end - begin);
  };
  auto changed = [](const std::string& from, const std::string& to) {
    return DumpOf(Replaced(kMesh, from, to));
  };
  auto secret = [&](const std::string& pem) {
    std::string out = dump;
    return out.insert(out.size() - 2,
                      R"(,{"@type":"type.googleapis.com/envoy.admin.v3.SecretsConfigDump",)"
                      R"("dynamic_active_secrets":[{"name":"default","secret":{"name":"default",)"
                      R"("tls_certificate":{"certificate_chain":{"inline_string":")" +
                          pem + R"("}}}}]})");
  };
  auto admin = [&](const std::string& address) {
    return Replaced(dump, R"("bootstrap":{)",
                    R"("bootstrap":{"admin":{"address":{"socket_address":{"address":")" + address +
                        R"(","port_value":15000}}},)");
  };
  struct Row {
    const char* name;
    std::string dump;
    std::vector<std::string> codes;
  };
  const Row rows[] = {
      {"a removed DENY policy", DumpOf(without("AuthorizationPolicy", "no-admin")), {"MP0901"}},
      {"a removed ALLOW policy", DumpOf(without("AuthorizationPolicy", "readers")), {"MP0901"}},
      {"a policy that nobody wrote",
       DumpOf(std::string(kMesh) +
              "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
              "metadata: {name: debug, namespace: shop}\n"
              "spec: {rules: [{to: [{operation: {paths: [/debug]}}]}]}\n"),
       {"MP0901"}},
      {"a removed issuer", DumpOf(without("RequestAuthentication", "partners")), {"MP0901"}},
      {"a widened path", changed("paths: [/api/*]", "paths: [/a*]"), {"MP0902"}},
      {"a narrowed path", changed("paths: [/admin]", "paths: [/admin/x]"), {"MP0902"}},
      {"a method more", changed("methods: [GET]", "methods: [GET, DELETE]"), {"MP0902"}},
      {"a caller more", changed("sa/cart]", "sa/cart, cluster.local/ns/shop/sa/web]"), {"MP0902"}},
      {"another claim", changed("values: [editor]", "values: [admin]"), {"MP0902"}},
      {"ALLOW in place of DENY", changed("  action: DENY\n", ""), {"MP0902"}},
      {"a rule less", changed("  - to: [{operation: {methods: [GET]}}]\n", ""), {"MP0902"}},
      {"PERMISSIVE chains", changed("mode: STRICT", "mode: PERMISSIVE"), {"MP0903"}},
      {"no jwt_authn",
       DumpOf(Replaced(without("RequestAuthentication", "partners"),
                       "kind: RequestAuthentication\nmetadata: {name: users, namespace: shop}",
                       "kind: RequestAuthentication\nmetadata: {name: users, namespace: other}")),
       {"MP0904"}},
      {"shadow rules only",
       Replaced(dump, R"("rules":{"action":"DENY")", R"("shadow_rules":{"action":"DENY")"),
       {"MP0902", "MP0904"}},
      {"a filter in front",
       Replaced(
           dump, R"("http_filters":[)",
           R"("http_filters":[{"name":"lua","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua"}},)"),
       {"MP0904"}},
      {"no normalisation",
       Replaced(dump, R"("normalize_path":true)", R"("normalize_path":false)"),
       {"MP0904"}},
      {"trusted addresses",
       Replaced(dump, R"("use_remote_address":false)",
                R"("use_remote_address":false,"xff_num_trusted_hops":2)"),
       {"MP0904"}},
      {"decoded slashes", Replaced(dump, "KEEP_UNCHANGED", "UNESCAPE_AND_FORWARD"), {"MP0904"}},
      {"a placeholder key set",
       Replaced(dump, R"(\"kid\":\"k\",\"e\":\"AQAB\",\"n\":\"xAE7eB6q)",
                R"(\"kid\":\"k\",\"e\":\"AQAB\",\"n\":\"\",\"x\":\"xAE7eB6q)"),
       {"MP0906"}},
      {"an admin port for all", admin("0.0.0.0"), {"MP0907"}},
      {"an update that was refused",
       Replaced(dump, R"("dynamic_listeners":[{"name":"virtualInbound",)",
                R"("dynamic_listeners":[{"name":"virtualInbound","error_state":{"details":"no"},)"),
       {"MP0907"}},
      {"listeners older than a policy",
       Replaced(dump, R"("dynamic_listeners":[)",
                R"("version_info":"2026-01-01T00:00:00Z/3","dynamic_listeners":[)"),
       {"MP0907"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    std::string shown;
    auto codes = Drift(kMesh, row.dump, &shown);
    CHECK_MESSAGE(codes == row.codes, (Listed(codes) + "\n" + shown.substr(0, 2500)));
  }
  CHECK(Drift(kMesh, admin("127.0.0.1")).empty());
  CHECK(Drift(kMesh, secret("no certificate")).empty());
}

TEST_CASE("drift needs a dump, and says what it does not compare") {
  MemoryFiles files;
  files.Put("mesh.yaml", kMesh);
  files.Put("other.json", Replaced(DumpOf(kMesh), "\"web\"", "\"unknown\""));
  Ran none = Run({"drift", "mesh.yaml"}, files);
  CHECK(none.status == 2);
  CHECK(Contains(none.err, "--dump"));
  Ran other = Run({"drift", "--dump", "other.json", "mesh.yaml"}, files);
  CHECK(Contains(other.err, "not compared"));
}

TEST_CASE("compile --from-dump writes what the dump holds in the form of compile") {
  MemoryFiles files;
  files.Put("mesh.yaml", kMesh);
  files.Put("web.json", DumpOf(kMesh));
  Ran compiled = Run({"compile", "shop/web", "mesh.yaml", "--format", "json"}, files);
  Ran read = Run({"compile", "--from-dump", "web.json", "--format", "json"}, files);
  CHECK(compiled.status == 0);
  CHECK(read.status == 0);
  auto a = ParseJson(compiled.out), b = ParseJson(read.out);
  REQUIRE(a.ok());
  REQUIRE(b.ok());
  CHECK(WriteJson(*a.value().Find("routes")) == WriteJson(*b.value().Find("routes")));
  CHECK(WriteJson(*a.value().Find("clusters")) == WriteJson(*b.value().Find("clusters")));
  CHECK(Run({"compile", "--from-dump", "missing.json"}, files).status == 2);
  CHECK(Run({"compile", "mesh.yaml"}, files).status == 2);
  Ran described = Run({"describe", "shop/web", "--dump", "web.json", "mesh.yaml"}, files);
  CHECK(described.status == 0);
  CHECK(Contains(described.out, "What its proxy runs"));
}

}  // namespace
}  // namespace meshproof

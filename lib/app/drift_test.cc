// drift: seeded differences are each found as what they are, and a dump has none against the
// manifests that it was made of, in whatever spelling.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "app/memory_files.h"
#include "base/json.h"
#include "proxy/compile.h"
#include "proxy/emit.h"

namespace meshproof::drift_test {
namespace {

namespace fs = std::filesystem;

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

constexpr char kInForce[] = "2026-03-10T00:00:00Z";  // of the certificate that is used here

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

// The codes of all findings, sorted.
std::vector<std::string> Drift(const std::string& manifests, const std::string& dump,
                               std::string* shown = nullptr,
                               const std::string& now = "2026-11-20T00:00:00Z") {
  MemoryFiles files;
  files.Put("mesh.yaml", manifests);
  files.Put("web.json", dump);
  Ran ran =
      Run({"drift", "--dump", "web.json", "mesh.yaml", "--format", "json", "--now", now}, files);
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

std::string ReadAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

// Every list of this name in the dump, changed.
void ForEachList(const Json& json, const std::string& name,
                 const std::function<void(Json::Array*)>& change, Json* out) {
  if (json.is_array()) {
    *out = Json::MakeArray();
    for (const Json& item : json.as_array()) {
      Json changed;
      ForEachList(item, name, change, &changed);
      out->Append(std::move(changed));
    }
    return;
  }
  *out = json;
  if (!json.is_object()) return;
  *out = Json::MakeObject();
  for (const auto& [key, value] : json.as_object()) {
    Json changed;
    ForEachList(value, name, change, &changed);
    if (key == name && changed.is_array()) {
      Json::Array list = changed.as_array();
      change(&list);
      changed = Json(std::move(list));
    }
    out->Set(key, std::move(changed));
  }
}

std::string WithLists(const std::string& dump, const std::string& name,
                      const std::function<void(Json::Array*)>& change) {
  auto parsed = ParseJson(dump);
  REQUIRE(parsed.ok());
  Json out;
  ForEachList(parsed.value(), name, change, &out);
  return WriteJson(out);
}

std::string WithFilters(const std::string& dump, const std::function<void(Json::Array*)>& change) {
  return WithLists(dump, "http_filters", change);
}

bool IsNamed(const Json& filter, std::string_view name) {
  const Json* value = filter.Find("name");
  return value != nullptr && Contains(value->as_string(), std::string(name));
}

Json WithField(const Json& object, const std::string& field, Json value) {
  Json out = Json::MakeObject();
  for (const auto& [key, old] : object.as_object()) {
    if (key != field) out.Set(key, old);
  }
  out.Set(field, std::move(value));
  return out;
}

// The dump with another value of one field in the configuration of jwt_authn.
std::string WithJwt(const std::string& dump, const std::string& field, const std::string& value) {
  auto parsed = ParseJson(value);
  REQUIRE(parsed.ok());
  return WithFilters(dump, [&](Json::Array* filters) {
    for (Json& filter : *filters) {
      if (!IsNamed(filter, "jwt_authn")) continue;
      Json config = WithField(*filter.Find("typed_config"), field, parsed.value());
      filter = WithField(filter, "typed_config", std::move(config));
    }
  });
}

// The dump with an override of a filter on every route.
std::string WithOverride(const std::string& dump, const std::string& filter,
                         const std::string& config) {
  auto parsed = ParseJson(config);
  REQUIRE(parsed.ok());
  return WithLists(dump, "routes", [&](Json::Array* routes) {
    for (Json& route : *routes) {
      route.Set("typed_per_filter_config", Json::MakeObject({{filter, parsed.value()}}));
    }
  });
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
    CAPTURE(name);
    std::string shown;
    auto codes = Drift(ReadAll(mesh), ReadAll(entry.path() / "config_dump.json"), &shown);
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
  auto swapped = [&] {
    return WithFilters(dump, [](Json::Array* filters) {
      auto jwt = std::find_if(filters->begin(), filters->end(),
                              [](const Json& filter) { return IsNamed(filter, "jwt_authn"); });
      auto last = std::find_if(filters->begin(), filters->end(),
                               [](const Json& filter) { return IsNamed(filter, "router"); });
      if (jwt != filters->end() && last != filters->end()) std::rotate(jwt, jwt + 1, last);
    });
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
      {"an issuer more",
       DumpOf(std::string(kMesh) +
              "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\n"
              "metadata: {name: more, namespace: shop}\n"
              "spec: {jwtRules: [{issuer: https://evil.example.com, jwks: '{\"keys\":[{\"kty\":"
              "\"oct\",\"k\":\"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0\"}]}'}]}\n"),
       {"MP0901"}},
      {"an audience less",
       changed("  - issuer: https://login.example.com\n",
               "  - issuer: https://login.example.com\n    audiences: [web]\n"),
       {"MP0902"}},
      {"keys of somebody else",
       changed(R"("kid":"p","e":"AQAB","n":"xAE7)", R"("kid":"p","e":"AQAB","n":"zAE7)"),
       {"MP0902"}},
      {"tokens from a cookie",
       changed("  - issuer: https://partners.example.com\n",
               "  - issuer: https://partners.example.com\n    fromCookies: [session]\n"),
       {"MP0902"}},
      {"a widened path", changed("paths: [/api/*]", "paths: [/a*]"), {"MP0902"}},
      {"a narrowed path", changed("paths: [/admin]", "paths: [/admin/x]"), {"MP0902"}},
      {"a method more", changed("methods: [GET]", "methods: [GET, DELETE]"), {"MP0902"}},
      {"a caller more", changed("sa/cart]", "sa/cart, cluster.local/ns/shop/sa/web]"), {"MP0902"}},
      {"another claim", changed("values: [editor]", "values: [admin]"), {"MP0902"}},
      {"ALLOW in place of DENY", changed("  action: DENY\n", ""), {"MP0902"}},
      {"a rule less", changed("  - to: [{operation: {methods: [GET]}}]\n", ""), {"MP0902"}},
      {"PERMISSIVE chains", changed("mode: STRICT", "mode: PERMISSIVE"), {"MP0903"}},
      {"TLS without a client certificate",
       Replaced(dump, R"("require_client_certificate":true)",
                R"("require_client_certificate":false)"),
       {"MP0903"}},
      {"certificates of another trust domain",
       Replaced(dump, R"("match_subject_alt_names":[)",
                R"("match_subject_alt_names":[{"prefix":"spiffe://old/"},)"),
       {"MP0903"}},
      {"calls in plaintext",
       Replaced(
           dump, R"("dynamic_active_clusters":[)",
           R"("dynamic_active_clusters":[{"cluster":{"@type":"type.googleapis.com/envoy.config.cluster.v3.Cluster","name":"outbound|80||cart.shop.svc.cluster.local","type":"EDS"}},)"),
       {"MP0903"}},
      {"jwt_authn behind the rules", swapped(), {"MP0904"}},
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
      {"an update that waits",
       Replaced(
           dump, R"("dynamic_listeners":[{"name":"virtualInbound",)",
           R"("dynamic_listeners":[{"name":"virtualInbound","warming_state":{"version_info":"2","listener":{"name":"virtualInbound"}},)"),
       {"MP0907"}},
      {"listeners older than a policy",
       Replaced(dump, R"("dynamic_listeners":[)",
                R"("version_info":"2026-01-01T00:00:00Z/3","dynamic_listeners":[)"),
       {"MP0907"}},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.name));
    std::string shown;
    auto codes = Drift(kMesh, row.dump, &shown);
    CHECK_MESSAGE(codes == row.codes, (Listed(codes) + "\n" + shown.substr(0, 2500)));
  }
  CHECK(Drift(kMesh, admin("127.0.0.1")).empty());
  CHECK(Drift(kMesh, secret("no certificate")).empty());

  // A certificate, the identity of the workload in it, and what becomes of it in time.
  std::string pem;
  for (char c : ReadAll(fs::path(MESHPROOF_ROOT) / "testdata" / "certificates" / "orders.pem")) {
    pem += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  const std::string mesh = Replaced(kMesh, "serviceAccountName: web", "serviceAccountName: orders");
  const std::string held = secret(pem);
  std::string shown;
  CHECK_MESSAGE(Drift(mesh, held, &shown, kInForce).empty(), shown);
  CHECK(Drift(mesh, held, nullptr, "2099-01-01T00:00:00Z") == std::vector<std::string>{"MP0905"});
  CHECK(Drift(kMesh, secret(pem), nullptr, kInForce) == std::vector<std::string>{"MP0905"});
}

TEST_CASE("what jwt_authn asks, and what routes change of filters, is compared by meaning") {
  const std::string dump = DumpOf(kMesh);
  auto rules = [&](const std::string& list) { return WithJwt(dump, "rules", list); };
  auto requires_ = [&](const std::string& requirement) {
    return rules(R"([{"match":{"prefix":"/"},"requires":)" + requirement + "}]");
  };
  auto any = [](const std::string& children) {
    return R"({"requires_any":{"requirements":[)" + children + "]}}";
  };
  auto all = [](const std::string& children) {
    return R"({"requires_all":{"requirements":[)" + children + "]}}";
  };
  const std::string users = R"({"provider_name":"origins-0"})";
  const std::string partners = R"({"provider_name":"origins-1"})";
  const std::string missing = R"({"allow_missing":{}})";
  auto optional = [&](const std::string& one) { return any(one + "," + missing); };
  auto usual = [&](const std::string& a, const std::string& b) {
    return any(a + "," + b + "," + all(optional(a) + "," + optional(b)));
  };
  const std::string as_written = usual(users, partners);
  const std::string rbac = "envoy.filters.http.rbac", jwt = "envoy.filters.http.jwt_authn";
  const std::string off =
      R"({"@type":"type.googleapis.com/envoy.config.route.v3.FilterConfig","disabled":true})";
  struct Row {
    const char* name;
    std::string dump;
    std::vector<std::string> codes;
    const char* says;
  };
  const Row rows[] = {
      {"as istiod writes it", requires_(as_written), {}, ""},
      {"the issuers in another order", requires_(usual(partners, users)), {}, ""},
      {"a list of one", requires_(all(as_written)), {}, ""},
      {"two rules that say the same",
       rules(R"([{"match":{"prefix":"/api"},"requires":)" + as_written +
             R"(},{"match":{"prefix":"/"},"requires":)" + as_written + "}]"),
       {},
       ""},
      {"a token asked of everybody",
       requires_(any(users + "," + partners)),
       {"MP0902"},
       "without a token gets 401 (Jwt is missing) there"},
      {"tokens of one issuer alone",
       requires_(optional(users)),
       {"MP0902"},
       "`https://partners.example.com`"},
      {"tokens of both issuers",
       requires_(all(users + "," + partners)),
       {"MP0902"},
       "without a token gets 401"},
      {"bad tokens let in",
       requires_(any(users + "," + partners + R"(,{"allow_missing_or_failed":{}})")),
       {"MP0902"},
       "that somebody else signed goes on"},
      {"nothing asked", rules("[]"), {"MP0902"}, "goes on without claims there"},
      {"asked on one path alone",
       rules(R"([{"match":{"prefix":"/api"},"requires":)" + as_written + "}]"),
       {"MP0902"},
       "goes on without claims there"},
      {"a path without tokens",
       rules(R"([{"match":{"prefix":"/public"}},{"match":{"prefix":"/"},"requires":)" + as_written +
             "}]"),
       {"MP0902"},
       "GET /public"},
      {"one path exactly",
       rules(R"([{"match":{"path":"/health"}},{"match":{"prefix":"/"},"requires":)" + as_written +
             "}]"),
       {"MP0902"},
       "GET /health "},
      {"preflights asked too",
       WithJwt(dump, "bypass_cors_preflight", "false"),
       {"MP0902"},
       "OPTIONS"},
      {"no rules on a route", WithOverride(dump, rbac, off), {"MP0904"}, "switches filter"},
      {"no jwt_authn on a route", WithOverride(dump, jwt, off), {"MP0904"}, "switches filter"},
      {"a filter off that is not there",
       WithOverride(dump, "envoy.filters.http.ext_authz", off),
       {},
       ""},
      {"other rules on a route",
       WithOverride(
           dump, rbac,
           R"({"@type":"type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute","rbac":{"rules":{"action":"ALLOW","policies":{"all":{"permissions":[{"any":true}],"principals":[{"any":true}]}}}}})"),
       {"MP0902"},
       "other rules"},
      {"a requirement that is not there",
       WithOverride(
           dump, jwt,
           R"({"@type":"type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig","requirement_name":"none"})"),
       {"MP0902"},
       "requirement `none`"},
      {"jwt_authn as it is",
       WithOverride(
           dump, jwt,
           R"({"@type":"type.googleapis.com/envoy.config.route.v3.FilterConfig","disabled":false})"),
       {},
       ""},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.name));
    std::string shown;
    auto codes = Drift(kMesh, row.dump, &shown);
    CHECK_MESSAGE(codes == row.codes, (Listed(codes) + "\n" + shown.substr(0, 2500)));
    CHECK_MESSAGE(Contains(shown, row.says), shown.substr(0, 2500));
  }
}

TEST_CASE("what jwt_authn asks of two tokens at once is compared") {
  const std::string mesh =
      Replaced(kMesh, "  - issuer: https://partners.example.com\n",
               "  - issuer: https://partners.example.com\n    fromHeaders: [{name: x-partner}]\n");
  const std::string each = R"({"requires_any":{"requirements":[{"provider_name":"origins-0"},)"
                           R"({"allow_missing":{}}]}},)"
                           R"({"requires_any":{"requirements":[{"provider_name":"origins-1"},)"
                           R"({"allow_missing":{}}]}})";
  std::string shown;
  CHECK(Drift(mesh, DumpOf(mesh), &shown).empty());
  // A good token beside a bad one: istiod asks for one of them, this for every one that is there.
  const std::string asks_all = WithJwt(
      DumpOf(mesh), "rules",
      R"([{"match":{"prefix":"/"},"requires":{"requires_all":{"requirements":[)" + each + "]}}}]");
  CHECK_MESSAGE(Drift(mesh, asks_all, &shown) == std::vector<std::string>{"MP0902"}, shown);
  CHECK_MESSAGE(Contains(shown, "and one of `https://"), shown);
}

TEST_CASE("replicas that disagree are told apart without manifests") {
  const std::string dump = DumpOf(kMesh);
  auto pod = [](const std::string& text, const std::string& name) {
    return Replaced(text, R"("node":{)", R"("node":{"user_agent_name":")" + name + R"(",)");
  };
  MemoryFiles files;
  files.Put("a.json", pod(dump, "a"));
  files.Put("b.json", pod(dump, "b"));
  files.Put("c.json", Replaced(pod(dump, "c"), R"("exact":"/admin")", R"("exact":"/adm")"));
  CHECK(Run({"drift", "--dump", "a.json", "--dump", "b.json"}, files).status == 0);
  Ran ran = Run({"drift", "--dump", "a.json", "--dump", "b.json", "--dump", "c.json"}, files);
  CHECK(ran.status == 1);
  CHECK(Contains(ran.out, "MP0901"));
  CHECK(Contains(ran.out, "enforce different policies"));
  CHECK(ran.out.find("MP09", ran.out.find("MP0901") + 4) == std::string::npos);
}

TEST_CASE("what an older release makes of a policy is its age, not drift") {
  const std::string mesh = Replaced(kMesh, "paths: [/api/*]", "paths: ['/api/{*}/x']");
  const std::string dump = DumpOf(mesh);
  const std::string matcher = "\"uri_template\"";
  REQUIRE(Contains(dump, matcher));
  // As 1.21 writes it.
  auto parsed = ParseJson(dump);
  std::string old = dump;
  for (size_t at = old.find("{" + matcher); at != std::string::npos;
       at = old.find("{" + matcher, at + 1)) {
    size_t depth = 0, end = at;
    do {
      if (old[end] == '{') ++depth;
      if (old[end] == '}') --depth;
      ++end;
    } while (depth > 0);
    old.replace(at, end - at, R"({"url_path":{"path":{"exact":"/api/{*}/x"}}})");
  }
  auto of_release = [&](const std::string& text, const std::string& release) {
    return Replaced(text, R"("metadata":{)",
                    R"("metadata":{"ISTIO_VERSION":")" + release + R"(",)");
  };
  std::string shown;
  CHECK_MESSAGE(Drift(mesh, of_release(old, "1.21.4"), &shown).empty(), shown);
  CHECK(Contains(shown, "takes `/api/{*}/x` literally (changed in 1.22)"));
  CHECK(Drift(mesh, of_release(old, "1.22.0")) == std::vector<std::string>{"MP0902"});
  CHECK(Drift(mesh, of_release(old, "master")) == std::vector<std::string>{"MP0902"});
  CHECK(Drift(mesh, of_release(dump, "1.21.4")).empty());
}

constexpr char kAmbient[] = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {istio.io/use-waypoint: wp}}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
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
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop, labels: {istio.io/waypoint-for: service}}
spec: {gatewayClassName: istio-waypoint, listeners: [{name: mesh, port: 15008, protocol: HBONE}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: wp, namespace: shop, labels: {gateway.networking.k8s.io/gateway-name: wp, gateway.istio.io/managed: istio.io-mesh-controller}}
spec:
  selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: wp}}
  template:
    metadata: {labels: {gateway.networking.k8s.io/gateway-name: wp, gateway.istio.io/managed: istio.io-mesh-controller, istio.io/dataplane-mode: none}}
    spec: {serviceAccountName: wp, containers: [{name: istio-proxy, image: istio/proxyv2, args: [proxy, waypoint]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers, namespace: shop}
spec:
  targetRefs: [{kind: Service, group: "", name: web}]
  rules: [{to: [{operation: {methods: [GET]}}]}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callers, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/wp]}}]
    to: [{operation: {ports: ["8080"]}}]
)";

TEST_CASE("drift of a waypoint") {
  auto dump_of = [](const std::string& manifests) {
    Load load;
    load.files.push_back(ParseText("mesh.yaml", manifests));
    auto mesh = Mesh::Build(DecodeModel(std::move(load), {}));
    const Workload* waypoint = mesh->FindWorkload("shop", "wp");
    REQUIRE(waypoint != nullptr);
    REQUIRE(waypoint->mode == ProxyMode::kWaypoint);
    return WriteJson(EmitConfigDump(*Compiler(mesh).Compile(*waypoint)));
  };
  std::string shown;
  CHECK_MESSAGE(Drift(kAmbient, dump_of(kAmbient), &shown).empty(), shown);
  CHECK(Drift(kAmbient, dump_of(Replaced(kAmbient, "metadata: {name: readers, namespace: shop}",
                                         "metadata: {name: readers, namespace: other}"))) ==
        std::vector<std::string>{"MP0901"});
  CHECK(Drift(kAmbient, dump_of(Replaced(kAmbient, "methods: [GET]", "methods: [GET, PUT]")),
              &shown) == std::vector<std::string>{"MP0902"});
  CHECK_MESSAGE(Contains(shown, "PUT / to port 80"), shown.substr(0, 2500));
}

TEST_CASE("drift of a ztunnel") {
  const std::string dump = R"({"workloads": {
    "/10.0.0.1": {"workloadIps": ["10.0.0.1"], "protocol": "HBONE", "name": "web-1",
      "namespace": "shop", "workloadName": "web", "serviceAccount": "web",
      "authorizationPolicies": ["shop/callers"]},
    "/10.0.0.9": {"workloadIps": ["10.0.0.9"], "protocol": "TCP", "name": "db-1",
      "namespace": "data", "workloadName": "db", "serviceAccount": "default"}},
    "services": {}, "certificates": [], "policies": [
    {"name": "callers", "namespace": "shop", "scope": "WorkloadSelector", "action": "Allow",
     "rules": [[[{"destinationPorts": [8080]}],
                [{"principals": [{"Exact": "cluster.local/ns/shop/sa/wp"}]}]]], "dryRun": false}]})";
  std::string shown;
  CHECK_MESSAGE(Drift(kAmbient, dump, &shown).empty(), shown);
  struct Row {
    const char* name;
    std::string dump;
    std::vector<std::string> codes;
  };
  const Row rows[] = {
      {"no policy",
       Replaced(dump, R"("name": "callers")", R"("name": "others")"),
       {"MP0901", "MP0901"}},
      {"another caller", Replaced(dump, "sa/wp", "sa/web"), {"MP0902"}},
      {"any port", Replaced(dump, R"([{"destinationPorts": [8080]}],)", ""), {"MP0902"}},
      {"a match that is empty",
       Replaced(dump, R"([{"destinationPorts": [8080]}])", "[{}]"),
       {"MP0902"}},
      {"DENY", Replaced(dump, "\"Allow\"", "\"Deny\""), {"MP0902"}},
      {"dry run", Replaced(dump, R"("dryRun": false)", R"("dryRun": true)"), {"MP0902"}},
      {"not listed", Replaced(dump, R"(["shop/callers"])", "[]"), {"MP0901"}},
      {"not captured", Replaced(dump, "HBONE", "TCP"), {"MP0903"}},
      {"another account",
       Replaced(dump, R"("serviceAccount": "web")", R"("serviceAccount": "default")"),
       {"MP0905"}},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.name));
    auto codes = Drift(kAmbient, row.dump, &shown);
    CHECK_MESSAGE(codes == row.codes, (Listed(codes) + "\n" + shown.substr(0, 2500)));
  }
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
  const std::string whole = DumpOf(kMesh);
  const size_t listeners = whole.find(R"(,{"@type":"type.googleapis.com/envoy.admin.v3.Listeners)");
  REQUIRE(listeners != std::string::npos);
  files.Put("cut.json", whole.substr(0, listeners));
  Ran cut = Run({"drift", "--dump", "cut.json", "mesh.yaml"}, files);
  CHECK(cut.status == 2);
  CHECK(Contains(cut.err, "not a complete dump"));
  CHECK(Contains(cut.err, "the dump holds no listeners"));
  Ran missing = Run({"drift", "--dump", "missing.json", "mesh.yaml"}, files);
  CHECK(missing.status == 2);
  CHECK(Contains(missing.err, "`missing.json` does not exist"));
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
}  // namespace meshproof::drift_test

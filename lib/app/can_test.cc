#include "app/can.h"

#include <doctest/doctest.h>

#include "app/memory_files.h"
#include "base/text.h"
#include "simulate/meshtest.h"

namespace meshproof::can_test {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

MemoryFiles SmallFiles() {
  MemoryFiles files;
  files.Put("mesh.yaml", kSmallMesh);
  files.Put("user.jwt", "aaa.bbb.ccc\n");
  files.Put("empty.jwt", "\n");
  files.Put("locked.jwt", "aaa.bbb.ccc\n");
  files.Lock("locked.jwt");
  return files;
}

Ran Can(std::vector<std::string> arguments, const MemoryFiles& files = SmallFiles()) {
  arguments.insert(arguments.begin(), {"can", "mesh.yaml"});
  return Run(arguments, files);
}

// The question that a command line asks, as one line of JSON.
std::string Question(std::vector<std::string> arguments) {
  MemoryFiles files = SmallFiles();
  std::ostringstream out, err;
  Host host{files, out, err, "/", false};
  arguments.insert(arguments.begin(), "can");
  CommandLine line = ParseCommandLine(arguments);
  REQUIRE_MESSAGE(line.error.empty(), line.error);
  std::vector<std::string> notes;
  auto input = LoadMesh({{"mesh.yaml", ""}}, {}, {}, files, 1, &notes);
  REQUIRE_MESSAGE(input.ok(), input.error().message);
  auto question =
      MakeCase(std::get<CanOptions>(line.command), *input.value().mesh, Settings{}, host);
  if (!question.ok()) return question.error().message;
  return WriteJson(CaseToJson(question.value()));
}

TEST_CASE("can: who calls whom") {
  struct Row {
    std::vector<std::string> arguments;
    const char* from;
    const char* to;
  };
  const Row rows[] = {
      {{"--from", "shop/web", "--to", "orders"},
       R"("from":{"workload":"shop/web","tls":"auto"})",
       R"("to":{"host":"orders"})"},
      {{"--from", "shop/web", "--to", "orders:80"},
       R"("from":{"workload":"shop/web","tls":"auto"})",
       R"("to":{"host":"orders","port":80})"},
      {{"--from", "outside", "--to", "orders.shop.svc.cluster.local:80"},
       R"("from":{"outside":true,"tls":"auto"})",
       R"("to":{"host":"orders.shop.svc.cluster.local","port":80})"},
      {{"--from", "203.0.113.9", "--to", "shop/orders:8080"},
       R"("from":{"outside":true,"ip":"203.0.113.9","tls":"auto"})",
       R"("to":{"workload":"shop/orders","port":8080})"},
      {{"--from", "outside", "--source-ip", "2001:db8::1", "--to", "shop/orders"},
       R"("from":{"outside":true,"ip":"2001:db8::1","tls":"auto"})",
       R"("to":{"workload":"shop/orders"})"},
      {{"--from", "outside", "--principal", "spiffe://td/ns/a/sa/b", "--tls", "mtls", "--to",
        "shop/orders:8080"},
       R"("from":{"outside":true,"identity":"spiffe://td/ns/a/sa/b","tls":"mtls"})",
       R"("to":{"workload":"shop/orders","port":8080})"},
      // A host that a gateway serves leads to the gateway's own port.
      {{"--from", "outside", "--to", "shop.example.com"},
       R"("from":{"outside":true,"tls":"auto"})",
       R"("to":{"workload":"istio-system/gate","port":8080},"protocol":"http","method":"GET",)"
       R"("path":"/","host":"shop.example.com")"},
      {{"--from", "outside", "--to", "http://shop.example.com/api?x=1"},
       R"("from":{"outside":true,"tls":"plaintext"})",
       R"("to":{"workload":"istio-system/gate","port":8080},"protocol":"http","method":"GET",)"
       R"("path":"/api?x=1","host":"shop.example.com")"},
      {{"--from", "shop/web", "--", "curl", "-X", "POST", "http://orders.shop/api"},
       R"("from":{"workload":"shop/web","tls":"auto"})",
       R"("to":{"host":"orders.shop","port":80},"protocol":"http","method":"POST",)"
       R"("path":"/api","host":"orders.shop")"},
      // What --to says beside a curl command line is where the connection goes.
      {{"--from", "outside", "--to", "shop/orders:8080", "--", "curl", "http://any.host/x"},
       R"("from":{"outside":true)",
       R"("to":{"workload":"shop/orders","port":8080},"protocol":"http","method":"GET",)"
       R"("path":"/x","host":"any.host")"},
  };
  for (const Row& row : rows) {
    std::string question = Question(row.arguments);
    CAPTURE(row.to);
    CHECK_MESSAGE(Contains(question, row.from), question);
    CHECK_MESSAGE(Contains(question, row.to), question);
    CHECK(Contains(question, R"("follow":true)"));
  }
}

TEST_CASE("can: the parts of the request") {
  std::string question = Question({"--from",     "shop/web",
                                   "--to",       "orders:80",
                                   "-X",         "PUT",
                                   "--path",     "/a?b",
                                   "--host",     "h",
                                   "-H",         "X-A:  1 ",
                                   "-H",         "x-a: 2",
                                   "--jwt",      "user.jwt",
                                   "--protocol", "grpc",
                                   "--sni",      "s",
                                   "--now",      "2026-03-01T12:00:00+01:00"});
  CHECK(question ==
        R"({"from":{"workload":"shop/web","tls":"auto"},"to":{"host":"orders","port":80},)"
        R"("protocol":"grpc","method":"PUT","path":"/a?b","host":"h","headers":{"X-A":"1",)"
        R"("x-a":"2","authorization":"Bearer aaa.bbb.ccc"},"sni":"s",)"
        R"("now":"2026-03-01T11:00:00Z","follow":true})");
}

TEST_CASE("can: what is impossible, or not in the mesh, is said and gives status 2") {
  struct Row {
    std::vector<std::string> arguments;
    const char* message;
  };
  const std::vector<std::string> ok = {"--from", "shop/web", "--to", "orders:80"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), ok.begin(), ok.end());
    return more;
  };
  const Row rows[] = {
      {{"--to", "orders"}, "say who calls"},
      {{"--from", "shop/web"}, "say what is called"},
      {{"--from", "shop/wbe", "--to", "orders"},
       "no workload `shop/wbe` in the input; did you "
       "mean `shop/web`?"},
      {{"--from", "web", "--to", "orders"}, "did you mean `shop/web`?"},
      {{"--from", "shop/web", "--to", "ordres"}, "did you mean `orders`?"},
      {{"--from", "shop/web", "--to", "shop/ordres:80"}, "did you mean `shop/orders`?"},
      {{"--from", "shop/web", "--to", "orders:81"}, "orders.shop.svc.cluster.local has no port 81"},
      {{"--from", "shop/web", "--to", "orders:99999"},
       "a port is a number from 1 to 65535, not "
       "`99999`"},
      {{"--from", "shop/web", "--to", "shop/orders:0"}, "a port is a number from 1 to 65535"},
      {{"--from", "outside", "--to", "shop/orders:8080", "--tls", "mtls"}, "needs an identity"},
      {{"--from", "legacy/probe", "--to", "orders.shop:80", "--tls", "mtls"}, "legacy/probe"},
      {{"--from", "outside", "--to", "orders:80"}, "a caller outside names Services with their"},
      {{"--from", "outside", "--to", "https://shop.example.com/"},
       "`shop.example.com` is no "
       "Service"},
      {{"--from", "shop/web", "--to", "https://orders:80/"}, "ask with --protocol tcp"},
      {{"--from", "shop/web", "--to", "http://orders/", "--", "curl", "http://orders/"},
       "not in both"},
      {with({"--principal", "cluster.local/ns/a/sa/b"}), "`--principal` is a SPIFFE identity"},
      {with({"--source-ip", "10.0.0"}), "`--source-ip` is no IP address"},
      {with({"-H", "no colon"}), "a header is written `name: value`, not `no colon`"},
      {with({"-H", ":authority: x"}), "a header is written"},
      {with({"-H", "x: a\r\nb: c"}), "no client can send"},
      {with({"-X", "G T"}), "no HTTP method"},
      {with({"--path", "/a b"}), "a path has no blanks"},
      {with({"--path", ""}), "a path has no blanks and is not empty"},
      {with({"--now", "yesterday"}), "`--now` is a time"},
      {with({"--ext-authz", "opa"}), "`--ext-authz` is PROVIDER=allow"},
      {with({"--ext-authz", "opa=allow"}), "no extension provider `opa`"},
      {with({"--jwt", "missing.jwt"}), "neither a file nor a token"},
      {with({"--jwt", "empty.jwt"}), "is empty"},
      {with({"--jwt", "locked.jwt"}), "permission denied"},
      {with({"--", "curl", "--nonsense"}), "curl argument 1: unknown option `--nonsense`"},
      {with({"--", "wget", "x"}), "beginning with `curl`"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.message);
    Ran ran = Can(row.arguments);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK_MESSAGE(Contains(ran.err, row.message), ran.err);
  }
}

TEST_CASE("can: verdicts and exit statuses") {
  Ran allowed = Can({"--from", "shop/web", "--to", "orders:80", "--path", "/api/1"});
  CHECK_MESSAGE(allowed.status == 0, allowed.err);
  CHECK_MESSAGE(allowed.out.starts_with("ALLOW 200"), allowed.out);
  CHECK(Contains(allowed.out, "allow: AuthorizationPolicy shop/orders rule 0 (mesh.yaml:"));

  Ran denied = Can({"--from", "shop/web", "--to", "orders:80", "-X", "POST", "--path", "/api/1"});
  CHECK(denied.status == 1);
  CHECK_MESSAGE(denied.out.starts_with("DENY 403  rbac_access_denied_matched_policy[none]"),
                denied.out);
  CHECK(Contains(denied.out,
                 "rule 0 of shop/orders fails only on methods: got `POST`, the policy "
                 "has `GET`"));

  Ran rejected = Can({"--from", "legacy/probe", "--to", "orders.shop:80"});
  CHECK(rejected.status == 1);
  CHECK_MESSAGE(rejected.out.starts_with("REJECT"), rejected.out);
  CHECK(Contains(rejected.out, "PeerAuthentication istio-system/default"));

  // A gateway's route is followed, and the workload behind refuses the gateway.
  Ran followed = Can({"--from", "outside", "--to", "http://shop.example.com/api"});
  CHECK(followed.status == 1);
  CHECK(Contains(followed.out, "gateway istio-system/gate:8080"));
  CHECK(Contains(followed.out, "sidecar shop/orders:8080"));
}

TEST_CASE("can: JSON has the contract's keys in their order") {
  Ran ran = Can({"--from", "shop/web", "--to", "orders:80", "--format", "json"});
  auto json = ParseJson(ran.out);
  REQUIRE_MESSAGE(json.ok(), ran.out);
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.value().as_object()) keys.push_back(key);
  CHECK(keys == std::vector<std::string>{"version", "verdict", "status", "flags", "details",
                                         "decided_by", "steps", "near_misses", "hops", "body",
                                         "grpc_status", "missing", "skipped", "request"});
  CHECK(json.value().Find("version")->as_integer() == 1);
  CHECK(json.value().Find("verdict")->as_string() == "deny");
}

TEST_CASE("can: a broken document is named, the rest answers, the status is 2") {
  MemoryFiles files = SmallFiles();
  files.Put("mesh.yaml", std::string(kSmallMesh) +
                             "---\nkind: [Pod\n---\nkind: Unknown\n"
                             "apiVersion: x.example.com/v1\n"
                             "metadata: {name: a, namespace: b}\n");
  Ran ran = Can({"--from", "shop/web", "--to", "orders:80", "--path", "/api"}, files);
  CHECK(ran.status == 2);
  CHECK(ran.out.starts_with("ALLOW 200"));
  CHECK_MESSAGE(Contains(ran.err, "mesh.yaml:"), ran.err);
  CHECK_MESSAGE(Contains(ran.err, "skipped kinds: Unknown"), ran.err);
}

TEST_CASE("can: of warnings that say the same the first ones are shown, and how many follow") {
  MemoryFiles files = SmallFiles();
  std::string text = kSmallMesh;
  for (int i = 0; i < 6; ++i) {
    text += "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: x" +
            std::to_string(i) + ", namespace: far}\nspec: {rulez: []}\n";
  }
  files.Put("mesh.yaml", text);
  Ran ran = Can({"--from", "shop/web", "--to", "orders:80", "--path", "/api"}, files);
  CHECK(ran.status == 0);
  size_t shown = 0;
  for (std::string_view line : Split(ran.err, '\n')) {
    if (line.starts_with("mesh.yaml:") && Contains(std::string(line), "rulez")) ++shown;
  }
  CHECK_MESSAGE(shown == 3, ran.err);
  CHECK_MESSAGE(Contains(ran.err, "note: 3 more times: "), ran.err);
}

TEST_CASE("can: an unrendered template is no input, a refused object is left out") {
  MemoryFiles files = SmallFiles();
  std::vector<std::string> ask = {"can",  ".",         "--from", "shop/web",
                                  "--to", "orders:80", "--path", "/api"};
  files.Put("t.yaml", "{{- if .Values.x }}\nkind: Pod\n{{- end }}\n");
  Ran with_template = Run(ask, files);
  CHECK(with_template.status == 2);
  CHECK(Contains(with_template.err, "Helm template"));
  files.Put("t.yaml",
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
            "metadata: {name: x, namespace: shop}\nspec: {action: [DENY], rules: [{}]}\n");
  Ran with_refused = Run(ask, files);
  CHECK(with_refused.status == 0);
  CHECK_MESSAGE(Contains(with_refused.err, "t.yaml:4:16: error:"), with_refused.err);
}

TEST_CASE("input that is not there, or is no mesh") {
  struct Row {
    const char* path;
    const char* message;
  };
  MemoryFiles files = SmallFiles();
  files.Put("dump.json", R"({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.X"}]})");
  files.Put("values.yaml", "a: 1\n");
  files.Put("locked.yaml", kSmallMesh);
  files.Lock("locked.yaml");
  const Row rows[] = {
      {"mehs.yaml", "mehs.yaml"},
      {"dump.json", "nothing of a proxy"},
      {"values.yaml", "no Kubernetes object"},
      {"locked.yaml", "permission denied"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.path);
    Ran ran = Run({"can", row.path, "--from", "shop/web", "--to", "orders"}, files);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK_MESSAGE(Contains(ran.err, row.message), ran.err);
  }
}

TEST_CASE("settings give the paths and the namespaces") {
  MemoryFiles files;
  files.Put("m/mesh.yaml", kSmallMesh);
  files.Put("m/more.yaml",
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
            "metadata: {name: closed}\nspec: {action: DENY, rules: [{}]}\n");
  std::vector<std::string> ask = {"can",       "--from", "shop/web", "--to",
                                  "orders:80", "--path", "/api"};
  files.Put(".meshproof.yaml", "paths: [m]\n");
  CHECK(Run(ask, files).status == 0);  // the policy lies in `default`
  files.Put(".meshproof.yaml", "paths: [m]\nnamespaces: {m/more.yaml: shop}\n");
  CHECK(Run(ask, files).status == 1);
  files.Put(".meshproof.yaml",
            "paths: [m]\nnamespaces: {m/more.yaml: shop}\nignore: [m/more.yaml]\n");
  CHECK(Run(ask, files).status == 0);
  files.Put(".meshproof.yaml", "pths: [m]\n");
  Ran wrong = Run(ask, files);
  CHECK(wrong.status == 2);
  CHECK(Contains(wrong.err, "did you mean `paths`?"));
}

}  // namespace
}  // namespace meshproof::can_test

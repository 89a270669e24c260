// jwt and cert, run whole and in memory.

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>

#include "app/memory_files.h"

namespace meshproof::jwt_test {
namespace {

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string ReadTestFile(const std::string& path) {
  std::ifstream file(std::string(MESHPROOF_ROOT) + "/" + path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

constexpr char kNow[] = "2026-03-15T00:00:00Z";

// The example's policies, its tokens and its key set as a file of its own.
MemoryFiles Example() {
  MemoryFiles files;
  for (const char* name : {"mesh.yaml", "apps.yaml", "gateway.yaml", "policies.yaml"}) {
    files.Put(std::string("mesh/") + name, ReadTestFile(std::string("testdata/example/") + name));
  }
  for (const char* name : {"customer.jwt", "forged.jwt", "admin.jwt"}) {
    files.Put(name, ReadTestFile(std::string("testdata/example/tokens/") + name));
  }
  return files;
}

Json JsonOf(const Ran& ran) {
  auto json = ParseJson(ran.out);
  REQUIRE_MESSAGE(json.ok(), (ran.out + ran.err));
  return json.Take();
}

TEST_CASE("jwt: a good token is accepted, with its principal and claims") {
  Ran ran = Run({"jwt", "customer.jwt", "mesh", "--format", "json", "--now", kNow}, Example());
  CHECK_MESSAGE(ran.status == 0, (ran.out + ran.err));
  Json json = JsonOf(ran);
  CHECK(json.Find("version")->as_integer() == 1);
  std::string issuer = json.Find("claims")->Find("iss")->as_string();
  std::string subject = json.Find("claims")->Find("sub")->as_string();
  CHECK(json.Find("request_principal")->as_string() == issuer + "/" + subject);
  const auto& checks = json.Find("checks")->as_array();
  REQUIRE_FALSE(checks.empty());
  CHECK(checks[0].Find("issuer")->as_string() == issuer);
  CHECK(checks[0].Find("status")->as_integer() == 200);
  CHECK(checks[0].Find("details")->as_string().empty());
  CHECK(checks[0].Find("policy")->Find("kind")->as_string() == "RequestAuthentication");
  CHECK(checks[0].Find("location")->Find("file")->as_string() == "mesh/policies.yaml");
}

TEST_CASE("jwt: a forged token gets Envoy's own words") {
  Ran ran = Run({"jwt", "forged.jwt", "mesh", "--now", kNow}, Example());
  CHECK(ran.status == 1);
  CHECK(ran.out.starts_with("REFUSED\n"));
  CHECK(Contains(ran.out,
                 "401  jwt_authn_access_denied{Jwt_verification_fails}  body: `Jwt "
                 "verification fails`"));
  CHECK(Contains(ran.out, "no key of the set verifies the signature"));
}

TEST_CASE("jwt: the workload's proxy is asked, and one without rules looks at nothing") {
  Ran gateway = Run({"jwt", "customer.jwt", "mesh", "--workload",
                     "istio-system/istio-ingressgateway", "--now", kNow, "--format", "json"},
                    Example());
  CHECK(gateway.status == 0);
  CHECK(JsonOf(gateway).Find("answer")->Find("status")->as_integer() == 200);
  Ran other = Run({"jwt", "customer.jwt", "mesh", "--workload", "shop/nobody"}, Example());
  CHECK(other.status == 2);
  CHECK(Contains(other.err, "no workload `shop/nobody`"));
  MemoryFiles files = Example();
  files.Put("bare.yaml", kSmallMesh);
  Ran bare = Run({"jwt", "customer.jwt", "bare.yaml", "--workload", "shop/orders"}, files);
  CHECK(bare.status == 3);
  CHECK(Contains(bare.out, "no RequestAuthentication applies"));
}

TEST_CASE("jwt: without anything to verify with it is undetermined, expired or not") {
  Ran ran = Run({"jwt", "customer.jwt", "--now", kNow}, [] {
    MemoryFiles files;
    files.Put("customer.jwt", ReadTestFile("testdata/example/tokens/customer.jwt"));
    return files;
  }());
  CHECK(ran.status == 3);
  CHECK(Contains(ran.out, "UNDETERMINED"));
  CHECK(Contains(ran.out, "nothing was given to verify the signature with"));
}

TEST_CASE("jwt: what Envoy cannot parse, it refuses whatever the mesh is") {
  struct Row {
    const char* token;
    const char* says;
  };
  const Row rows[] = {
      {"eyJhbGciOiJSUzI1NiJ9", "Jwt is not in the form of Header.Payload.Signature"},
      {"!!!.eyJ9.x", "Jwt header is an invalid Base64url encoded"},
      {"eyJhbGciOiJub25lIn0.e30.eA", "Jwt header [alg] is not supported"},
      {"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOiJ4In0.eA", "Jwt payload [exp] field is not an integer"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.token);
    Ran ran = Run({"jwt", row.token}, MemoryFiles());
    CHECK(ran.status == 1);
    CHECK_MESSAGE(Contains(ran.out, row.says), ran.out);
  }
}

TEST_CASE("jwt: a service account's token is known, and claims that no rule can match") {
  // {"alg":"RS256"} and {"aud":["istio-ca"],"iss":"https://kubernetes.default.svc",
  // "kubernetes.io":{"namespace":"shop","pod":{"name":"web-1"}},
  // "sub":"system:serviceaccount:shop:web","exp":4102444800,"level":3}
  const char* token =
      "eyJhbGciOiJSUzI1NiJ9."
      "eyJhdWQiOlsiaXN0aW8tY2EiXSwiaXNzIjoiaHR0cHM6Ly9rdWJlcm5ldGVzLmRlZmF1bHQuc3ZjIiwia3ViZXJuZXRl"
      "cy5pbyI6eyJuYW1lc3BhY2UiOiJzaG9wIiwicG9kIjp7Im5hbWUiOiJ3ZWItMSJ9fSwic3ViIjoic3lzdGVtOnNlcnZp"
      "Y2VhY2NvdW50OnNob3A6d2ViIiwiZXhwIjo0MTAyNDQ0ODAwLCJsZXZlbCI6M30.c2ln";
  Ran ran = Run({"jwt", token, "--now", kNow}, MemoryFiles());
  CHECK(ran.status == 3);
  CHECK_MESSAGE(Contains(ran.out, "shop/web, bound to pod web-1"), ran.out);
  CHECK(Contains(ran.out, "/ns/shop/sa/web"));
  CHECK(Contains(ran.out, "a proxy shows it to istiod"));
  CHECK(Contains(ran.out, "no condition on request.auth.claims matches level"));
}

TEST_CASE("jwt: what is no token at all") {
  MemoryFiles files = Example();
  files.Put("binary", std::string("\x7F"
                                  "ELF\0\0\x01",
                                  7));
  files.Put("empty", " \n");
  files.Put("locked", "a.b.c");
  files.Lock("locked");
  files.Put("bad.json", "{");
  for (const char* token : {"missing.jwt", "binary", "empty", "locked", "mesh"}) {
    CAPTURE(token);
    Ran ran = Run({"jwt", token}, files);
    CHECK(ran.status == 2);
    CHECK(ran.err.starts_with("meshproof: "));
    CHECK(ran.out.empty());
  }
  Ran keys = Run({"jwt", "customer.jwt", "--jwks", "bad.json"}, files);
  CHECK(keys.status == 2);
  CHECK(Contains(keys.err, "bad.json is no key set that Envoy can use: Jwks is an invalid JSON"));
  CHECK(Run({"jwt", "customer.jwt", "--now", "yesterday"}, files).status == 2);
}

MemoryFiles Certificates() {
  MemoryFiles files;
  for (const char* name :
       {"orders.pem", "root.pem", "other-root.pem", "two-identities.pem", "signing-leaf.pem",
        "no-usage.pem", "weak.pem", "server.pem", "orders.der"}) {
    files.Put(name, ReadTestFile(std::string("testdata/certificates/") + name));
  }
  files.Put("mesh.yaml", kSmallMesh);
  return files;
}

// The names of the checks that fail, of all certificates.
std::string Failing(const Ran& ran) {
  std::vector<std::string> names;
  Json json = JsonOf(ran);
  for (const auto& certificate : json.Find("certificates")->as_array()) {
    for (const auto& check : certificate.Find("checks")->as_array()) {
      const Json* ok = check.Find("ok");
      if (ok->is_bool() && !ok->as_bool()) names.push_back(check.Find("name")->as_string());
    }
  }
  std::string text;
  for (const auto& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

TEST_CASE("cert: each fault is found, and no other") {
  struct Row {
    std::vector<std::string> arguments;
    const char* failing;
    int status;
  };
  const std::vector<std::string> at = {"--now", kNow, "--format", "json"};
  const Row rows[] = {
      {{"orders.pem", "--root", "root.pem"}, "", 0},
      {{"orders.der", "orders.pem", "--root", "root.pem"}, "chain", 1},  // DER lacks what signed it
      {{"orders.pem", "--root", "other-root.pem"}, "chain chain", 1},
      {{"orders.pem", "mesh.yaml", "--root", "root.pem", "--workload", "shop/orders"}, "", 0},
      {{"orders.pem", "mesh.yaml", "--root", "root.pem", "--workload", "shop/web"},
       "service_account",
       1},
      {{"orders.pem", "--root", "root.pem", "--trust-domain", "other.example"}, "trust_domain", 1},
      {{"orders.pem", "mesh.yaml", "--root", "root.pem", "--trust-domain", "other.example"},
       "trust_domain",
       1},
      {{"two-identities.pem", "--root", "root.pem"}, "spiffe_uri", 1},
      {{"no-usage.pem", "--root", "root.pem"}, "spiffe_uri key_usage extended_key_usage", 1},
      {{"weak.pem", "--root", "root.pem"}, "signature key", 1},
      {{"server.pem"}, "spiffe_uri extended_key_usage", 1},
      {{"root.pem"}, "", 0},
  };
  for (const auto& row : rows) {
    std::vector<std::string> arguments = {"cert"};
    arguments.insert(arguments.end(), row.arguments.begin(), row.arguments.end());
    arguments.insert(arguments.end(), at.begin(), at.end());
    std::string line;
    for (const auto& argument : arguments) line += argument + " ";
    CAPTURE(line);
    Ran ran = Run(arguments, Certificates());
    CHECK_MESSAGE(ran.status == row.status, (ran.out + ran.err));
    CHECK(Failing(ran) == row.failing);
  }
}

TEST_CASE("cert: validity ends and begins") {
  for (const char* now : {"2026-02-28T23:59:59Z", "2026-03-31T00:00:01Z"}) {
    CAPTURE(now);
    Ran ran = Run({"cert", "orders.pem", "--root", "root.pem", "--now", now, "--format", "json"},
                  Certificates());
    CHECK(ran.status == 1);
    CHECK(Failing(ran) == "validity");
  }
  Ran last = Run({"cert", "orders.pem", "--root", "root.pem", "--now", "2026-03-31T00:00:00Z"},
                 Certificates());
  CHECK(last.status == 0);
  CHECK(Contains(last.out, "URI:spiffe://cluster.local/ns/shop/sa/orders"));
}

std::string Base64(const std::string& text) {
  const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < text.size(); i += 3) {
    unsigned group = 0;
    size_t count = std::min<size_t>(3, text.size() - i);
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < count ? static_cast<unsigned char>(text[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) out += k <= count ? digits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

TEST_CASE("cert: secrets of dumps in either spelling, and of manifests") {
  std::string leaf = Base64(ReadTestFile("testdata/certificates/orders.pem"));
  std::string root = Base64(ReadTestFile("testdata/certificates/root.pem"));
  MemoryFiles files;
  files.Put(
      "snake.json",
      R"({"configs":[{"bootstrap":{"node":{"metadata":{"NAMESPACE":"shop","SERVICE_ACCOUNT":)"
      R"("web"}}}},{"dynamic_active_secrets":[{"name":"default","last_updated":"x","secret":)"
      R"({"name":"default","tls_certificate":{"certificate_chain":{"inline_bytes":")" +
          leaf + R"("},"private_key":{"inline_bytes":"W3JlZGFjdGVkXQ=="}}}},)" +
          R"({"name":"ROOTCA","secret":{"name":"ROOTCA","validation_context":{"trusted_ca":)" +
          R"({"inline_bytes":")" + root + R"("}}}}],"dynamic_warming_secrets":[{"name":)" +
          R"("kubernetes://late","last_updated":"x","secret":{"name":"kubernetes://late"}}]}]})");
  files.Put("camel.json",
            R"({"dynamicActiveSecrets":[{"name":"default","secret":{"tlsCertificate":)"
            R"({"certificateChain":{"inlineBytes":")" +
                leaf + R"("}}}},{"name":"ROOTCA","secret":{"validationContext":{"trustedCa":)" +
                R"({"inlineBytes":")" + root + R"("}}}}]})");
  files.Put("secret.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\n"
            "data: {tls.crt: " +
                leaf + ", ca.crt: " + root + "}\n");
  Ran snake = Run({"cert", "snake.json", "--now", kNow, "--format", "json"}, files);
  CHECK(snake.status == 1);
  CHECK(Failing(snake) == "service_account");
  Json json = JsonOf(snake);
  CHECK(json.Find("missing")->as_array().size() == 1);
  CHECK(json.Find("certificates")->as_array()[0].Find("source")->as_string() ==
        "snake.json secret default [1/2]");
  for (const char* good : {"camel.json", "secret.yaml"}) {
    CAPTURE(good);
    Ran ran = Run({"cert", good, "--now", kNow, "--format", "json"}, files);
    CHECK_MESSAGE(ran.status == 0, (ran.out + ran.err));
    CHECK(JsonOf(ran).Find("certificates")->as_array().size() == 3);
  }
}

TEST_CASE("cert: the recorded dumps hold good certificates, however they are printed") {
  const char* given = std::getenv("MESHPROOF_SHARED");
  std::string root = (given != nullptr ? given : std::string(MESHPROOF_ROOT) + "/../shared") +
                     "/golden/dumps/istiod";
  auto names = RealFileSystem().List(root);
  if (!names.ok()) {
    std::cout << "skipped: the recorded dumps are not here\n";
    return;
  }
  for (const auto& name : names.value()) {
    CAPTURE(name);
    std::vector<std::string> prints;
    for (const char* file : {"config_dump.json", "istioctl-secret.json"}) {
      Ran ran = Run({"cert", root + "/" + name + "/" + file, "--now", "2026-11-15T00:00:00Z",
                     "--format", "json"},
                    RealFileSystem());
      CHECK(ran.status == 0);
      Json json = JsonOf(ran);
      std::string all;
      for (const auto& certificate : json.Find("certificates")->as_array()) {
        all += certificate.Find("fingerprint")->as_string() + " ";
      }
      CHECK_FALSE(all.empty());
      prints.push_back(all);
    }
    CHECK(prints[0] == prints[1]);
  }
}

TEST_CASE("cert: what holds no certificate") {
  MemoryFiles files = Certificates();
  files.Put("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
  files.Put("key.pem", "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----\n");
  files.Put("broken.json", "{\"configs\": [");
  for (const char* path : {"missing.pem", "cut.pem", "mesh.yaml", "broken.json"}) {
    CAPTURE(path);
    Ran ran = Run({"cert", path}, files);
    CHECK(ran.status == 2);
  }
  Ran key = Run({"cert", "key.pem"}, files);
  CHECK(Contains(key.out, "NONE  key.pem: it holds no certificate"));
  CHECK(Run({"cert", "orders.pem", "--root", "key.pem"}, files).status == 2);
}

}  // namespace
}  // namespace meshproof::jwt_test

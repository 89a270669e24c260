#include "simulate/ztunnel.h"

#include <doctest/doctest.h>

#include <functional>

#include "source/source.h"

namespace meshproof::ztunnel_test {
namespace {

const std::string kMesh =
    "apiVersion: v1\nkind: Namespace\nmetadata: {name: nn, labels: {istio.io/dataplane-mode: "
    "ambient}}\n"
    "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: nn}\nspec: "
    "{template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: i}]}}}\n";

std::string Policy(const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: nn}\nspec: " + spec + "\n";
}

struct World {
  explicit World(const std::string& policies) {
    Load load;
    load.files.push_back(ParseText("mesh.yaml", kMesh + policies));
    mesh = Mesh::Build(DecodeModel(std::move(load), {}));
    config = std::make_unique<ZtunnelConfig>(*mesh);
  }
  // "allow", "allow nn/p", "reject stage nn/p", "undetermined".
  std::string Ask(const ProxyRequest& request) const {
    const Verdict verdict =
        RunZtunnel(*config, *mesh->FindWorkload("nn", "web"), request, Detail::kTrace);
    std::string text(ToString(verdict.outcome));
    if (verdict.outcome == Outcome::kReject) text += " " + std::string(ToString(verdict.stage));
    if (verdict.decided_by.object != nullptr) {
      text += " " + verdict.decided_by.object->ns + "/" +
              std::string(verdict.decided_by.object->name) + " " +
              std::to_string(verdict.decided_by.rule);
    }
    return text;
  }
  std::shared_ptr<const Mesh> mesh;
  std::unique_ptr<ZtunnelConfig> config;
};

ProxyRequest From(const std::string& identity, uint32_t port = 8080) {
  ProxyRequest request;
  request.connection.source = Address{*ParseIpAddress("10.244.0.7")};
  request.connection.destination = Address{*ParseIpAddress("10.244.0.8")};
  request.connection.destination_port = port;
  if (!identity.empty()) {
    request.connection.hbone = true;
    request.connection.certificate = Certificate{true, {identity}, {}, ""};
  }
  return request;
}

const std::string kCaller = "spiffe://cluster.local/ns/a/sa/b";

TEST_CASE("ztunnel: the handshake and the ports that it keeps") {
  const World world("");
  CHECK(world.Ask(From(kCaller)) == "allow");
  CHECK(world.Ask(From("")) == "allow");
  for (const char* identity : {"spiffe://other.example/ns/a/sa/b", "spiffe://cluster.local/ns/a",
                               "cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/b/c",
                               "spiffe://cluster.local/sa/a/ns/b"}) {
    CAPTURE(identity);
    CHECK(world.Ask(From(identity)) == "reject mtls");
  }
  ProxyRequest untrusted = From(kCaller);
  untrusted.connection.certificate->trusted = false;
  CHECK(world.Ask(untrusted) == "reject mtls");
  for (uint32_t port : {15001U, 15006U, 15008U}) {
    CHECK(world.Ask(From(kCaller, port)) == "reject mtls");
  }
  // Bytes of TLS reach an application that speaks plaintext.
  ProxyRequest tls = From("");
  tls.connection.tls = WireTls::kTls;
  CHECK(world.Ask(tls) == "reject mtls");
}

TEST_CASE("ztunnel: clauses, matches, lists") {
  struct Row {
    const char* spec;
    const char* with_identity;
    const char* without;
  };
  const Row rows[] = {
      {"{rules: [{from: [{source: {principals: [cluster.local/ns/a/sa/b]}}]}]}", "allow nn/p 0",
       "reject allow"},
      {"{rules: [{from: [{source: {principals: ['*']}}]}]}", "allow nn/p 0", "reject allow"},
      {"{rules: [{from: [{source: {principals: [spiffe://cluster.local/ns/a/sa/b]}}]}]}",
       "reject allow", "reject allow"},
      {"{rules: [{from: [{source: {notPrincipals: ['*']}}]}]}", "reject allow", "allow nn/p 0"},
      {"{rules: [{from: [{source: {namespaces: ['*a'], notNamespaces: [b]}}]}]}", "allow nn/p 0",
       "reject allow"},
      {"{rules: [{from: [{source: {notNamespaces: [b], notPrincipals: "
       "[cluster.local/ns/a/sa/c]}}]}]}",
       "allow nn/p 0", "allow nn/p 0"},
      {"{rules: [{from: [{source: {serviceAccounts: [a/b]}}]}]}", "allow nn/p 0", "reject allow"},
      {"{rules: [{from: [{source: {serviceAccounts: [b]}}]}]}", "reject allow", "reject allow"},
      {"{rules: [{from: [{source: {ipBlocks: [10.244.0.0/24]}}], to: [{operation: {ports: "
       "['8080']}}]}]}",
       "allow nn/p 0", "allow nn/p 0"},
      {"{rules: [{from: [{source: {namespaces: [x]}}, {source: {namespaces: [a]}}], when: [{key: "
       "destination.port, notValues: ['9']}]}]}",
       "allow nn/p 0", "reject allow"},
      {"{rules: [{to: [{operation: {ports: ['1']}}]}, {to: [{operation: {ports: ['8080']}}]}]}",
       "allow nn/p 1", "allow nn/p 1"},
      {"{}", "reject allow", "reject allow"},
      {"{rules: [{}]}", "allow nn/p 0", "allow nn/p 0"},
      {"{action: DENY, rules: [{to: [{operation: {notPorts: ['80']}}]}]}", "reject deny nn/p 0",
       "reject deny nn/p 0"},
      {"{action: DENY, rules: [{to: [{operation: {paths: [/x]}}]}]}", "allow", "allow"},
      {"{action: DENY, rules: [{when: [{key: connection.sni, values: [x]}]}]}", "allow", "allow"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.spec);
    const World world(Policy("p", row.spec));
    CHECK(world.Ask(From(kCaller)) == row.with_identity);
    CHECK(world.Ask(From("")) == row.without);
  }
}

TEST_CASE("ztunnel: DENY beats ALLOW, and names come in order") {
  const World world(
      Policy("a", "{rules: [{}]}") +
      Policy("b",
             "{selector: {matchLabels: {app: web}}, action: DENY, rules: [{to: [{operation: "
             "{ports: ['8080']}}]}]}") +
      Policy("c", "{action: DENY, rules: [{from: [{source: {namespaces: [a]}}]}]}"));
  CHECK(world.Ask(From(kCaller)) == "reject deny nn/c 0");  // the namespace's before the workload's
  CHECK(world.Ask(From("")) == "reject deny nn/b 0");
  CHECK(world.Ask(From("", 9000)) == "allow nn/a 0");
}

TEST_CASE("ztunnel: an address that is not known leaves open what hangs on it") {
  const World deny(Policy("p",
                          "{action: DENY, rules: [{from: [{source: {ipBlocks: "
                          "[10.244.0.0/24]}}]}]}"));
  ProxyRequest request = From(kCaller);
  request.connection.source = Address{*ParseCidr("10.244.0.0/16")};
  CHECK(deny.Ask(request) == "undetermined");
  request.connection.source = Address{*ParseCidr("10.0.0.0/16")};
  CHECK(deny.Ask(request) == "allow");
  // Whoever is refused anyway is refused.
  const World both(Policy("p",
                          "{action: DENY, rules: [{from: [{source: {ipBlocks: "
                          "[10.244.0.0/24]}}]}]}") +
                   Policy("q", "{rules: [{to: [{operation: {ports: ['1']}}]}]}"));
  request.connection.source = Address{*ParseCidr("10.244.0.0/16")};
  CHECK(both.Ask(request) == "reject allow");
}

// A slow twin: one match of three lists over all small requests, by the definition.
TEST_CASE("ztunnel: agrees with the definition on every small request") {
  const char* const ports[] = {"", "1", "2"};
  const char* const spaces[] = {"", "a", "b"};
  for (const char* port : ports) {
    for (const char* not_port : ports) {
      for (const char* ns : spaces) {
        for (const char* not_ns : spaces) {
          std::string source, operation;
          const auto add = [](std::string* out, const char* key, const char* value) {
            if (*value == '\0') return;
            *out += (out->empty() ? "" : ", ") + std::string(key) + ": ['" + value + "']";
          };
          add(&source, "namespaces", ns);
          add(&source, "notNamespaces", not_ns);
          add(&operation, "ports", port);
          add(&operation, "notPorts", not_port);
          if (source.empty() || operation.empty()) continue;
          const World world(Policy("p", "{rules: [{from: [{source: {" + source +
                                            "}}], to: [{operation: {" + operation + "}}]}]}"));
          for (const char* caller : {"", "a", "b"}) {
            for (uint32_t number : {1U, 2U}) {
              const std::string to = std::to_string(number);
              const std::string who = caller;
              bool expected = (*port == '\0' || port == to) && not_port != to;
              expected = expected && (*ns == '\0' || ns == who) && (who.empty() || not_ns != who);
              CHECK((world.Ask(From(who.empty() ? "" : "spiffe://cluster.local/ns/" + who + "/sa/x",
                                    number)) == "allow nn/p 0") == expected);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace meshproof::ztunnel_test

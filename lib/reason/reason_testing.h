#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "mesh/mesh_testing.h"
#include "reason/random_choices_testing.h"
#include "simulate/case.h"

// Meshes of one workload for the tests of the reasoning, written down or made at random.
namespace meshproof {

// Policies of one workload `w` in namespace `a`, made at random from few values, so that they
// touch each other.
class RandomMesh : RandomChoices {
 public:
  struct Policy {
    std::string action;
    std::vector<std::string> rules;
  };

  explicit RandomMesh(uint32_t seed) : RandomChoices(seed) {
    base_ =
        NamespaceYaml("a", "istio-injection: enabled") + DeploymentYaml("a", "w") + MeshConfig();
    static const std::vector<std::string> kPorts = {"http-x", "http-x", "tcp-x", "x"};
    base_ += ServiceYaml("a", "w", "{port: 80, targetPort: 8080, name: " + One(kPorts) + "}");
    if (Chance(2)) {
      base_ += PeerYaml("a", "p", "mtls: {mode: " + One({"STRICT", "PERMISSIVE", "DISABLE"}) + "}");
    }
    if (Chance(2)) {
      base_ += Object("RequestAuthentication", "jwt",
                      std::string("jwtRules: [{issuer: iss, jwksUri: 'https://iss/keys'") +
                          (Chance(3) ? ", audiences: [p]" : "") + "}" +
                          (Chance(3) ? ", {issuer: jss, jwksUri: 'https://iss/keys'}" : "") + "]");
    }
    size_t count = 1 + random_() % 3;
    for (size_t i = 0; i < count; ++i) policies_.push_back(RandomPolicy());
  }

  std::string Text() const { return Text(policies_); }
  // The same mesh with other policies.
  std::string Text(const std::vector<Policy>& policies) const {
    std::string yaml = base_;
    for (size_t i = 0; i < policies.size(); ++i) {
      const Policy& policy = policies[i];
      yaml += Object("AuthorizationPolicy", "p" + std::to_string(i),
                     "action: " + policy.action +
                         (policy.action == "CUSTOM" ? ", provider: {name: az}" : "") +
                         ", rules: [" + Join(policy.rules, ", ") + "]");
    }
    return yaml;
  }
  const std::vector<Policy>& policies() const { return policies_; }

  Policy RandomPolicy() {
    Policy policy{One({"ALLOW", "ALLOW", "DENY", "DENY", "CUSTOM", "AUDIT"}), {Rule()}};
    if (Chance(2)) policy.rules.push_back(Rule());
    return policy;
  }

 private:
  static std::string Object(const std::string& kind, const std::string& name,
                            const std::string& spec) {
    return "---\napiVersion: security.istio.io/v1\nkind: " + kind + "\nmetadata: {name: " + name +
           ", namespace: a}\nspec: {" + spec + "}\n";
  }
  std::string MeshConfig() {
    return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: "
           "istio-system}\ndata:\n  mesh: |\n    extensionProviders:\n    - name: az\n      "
           "envoyExtAuthzHttp: {service: w.a.svc.cluster.local, port: 80}\n    "
           "pathNormalization: {normalization: " +
           One({"DEFAULT", "NONE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"}) + "}\n";
  }
  std::string Source() {
    std::vector<std::string> fields;
    if (Chance(3)) {
      fields.push_back(List("principals", {"'*'", "cluster.local/ns/b/sa/c", "cluster.local/ns/b/*",
                                           "'*/sa/c'", "cluster.local/ns/a/sa/w"}));
    }
    if (Chance(4)) fields.push_back(List("namespaces", {"b", "'b*'", "a", "'*'"}));
    if (Chance(6)) fields.push_back(List("serviceAccounts", {"w", "b/c"}));
    if (Chance(5)) {
      fields.push_back(List("requestPrincipals", {"'*'", "'iss/*'", "iss/s", "'*/s'"}));
    }
    if (Chance(6))
      fields.push_back(List("ipBlocks", {"10.0.0.0/8", "10.1.0.0/16", "198.51.100.77"}));
    if (Chance(6))
      fields.push_back(List("remoteIpBlocks", {"10.0.0.0/8", "10.1.2.3", "'2001:db8::/32'"}));
    if (fields.empty()) fields.push_back(List("namespaces", {"b", "a"}));
    return "source: {" + Join(fields, ", ") + "}";
  }
  std::string Operation() {
    std::vector<std::string> fields;
    if (Chance(2)) {
      fields.push_back(List("paths", {"/a", "'/a*'", "'*/b'", "'/a/*'", "'/{*}/b'", "'/a/{**}'",
                                      "'*'", "/a/b", "/A"}));
    }
    if (Chance(3)) fields.push_back(List("methods", {"GET", "'G*'", "'*T'", "'*'", "FOO"}));
    if (Chance(4)) fields.push_back(List("hosts", {"h.io", "'*.io'", "'H.*'", "'*'", "h.io:80"}));
    if (Chance(6)) fields.push_back(List("ports", {"'8080'", "'81'"}));
    if (fields.empty()) fields.push_back(List("methods", {"GET", "POST"}));
    return "operation: {" + Join(fields, ", ") + "}";
  }
  std::string Condition() {
    static const std::vector<std::pair<std::string, std::vector<std::string>>> kKinds = {
        {"'request.headers[x-a]'", {"'1'", "'1*'", "'*'", "'*2'"}},
        {"'request.headers[origin]'", {"o", "'*'", "'o*'"}},
        {"'request.auth.claims[groups]'", {"g", "'g*'", "h"}},
        {"'request.auth.claims[o][g]'", {"g", "'*'"}},
        {"'request.auth.claims[iss]'", {"iss", "jss"}},
        {"request.auth.audiences", {"p", "q"}},
        {"connection.sni", {"'*.io'", "'*'", "outbound_.80_._.w.a.svc.cluster.local"}},
        {"source.ip", {"10.0.0.0/8"}},
        {"remote.ip", {"10.0.0.0/8"}},
        {"destination.port", {"'8080'"}},
        {"destination.ip", {"10.244.0.0/24"}},
        {"source.principal", {"cluster.local/ns/b/sa/c"}}};
    const auto& kind = kKinds[random_() % kKinds.size()];
    std::string values = One(kind.second);
    if (Chance(3)) values += ", " + One(kind.second);
    return "{key: " + kind.first + ", " + (Chance(3) ? "notValues" : "values") + ": [" + values +
           "]}";
  }
  std::string Rule() {
    std::vector<std::string> parts;
    if (Chance(2)) {
      parts.push_back("from: [{" + Source() + "}" + (Chance(4) ? ", {" + Source() + "}" : "") +
                      "]");
    }
    if (Chance(2)) {
      parts.push_back("to: [{" + Operation() + "}" + (Chance(4) ? ", {" + Operation() + "}" : "") +
                      "]");
    }
    if (Chance(2)) {
      parts.push_back("when: [" + Condition() + (Chance(3) ? ", " + Condition() : "") + "]");
    }
    if (parts.empty()) parts.push_back("to: [{" + Operation() + "}]");
    return "{" + Join(parts, ", ") + "}";
  }
  std::string base_;
  std::vector<Policy> policies_;
};

struct Loaded {
  std::shared_ptr<const Mesh> mesh;
  std::unique_ptr<World> world;
  const Workload* workload = nullptr;
};

// Objects that the API server would refuse are left out, as everywhere.
inline Loaded LoadText(const std::string& yaml) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", yaml));
  REQUIRE(load.files.back().diagnostics.empty());
  Loaded loaded;
  loaded.mesh = Mesh::Build(DecodeModel(std::move(load), {}), {});
  loaded.world = std::make_unique<World>(loaded.mesh);
  loaded.workload = loaded.mesh->FindWorkload("a", "w");
  REQUIRE(loaded.workload != nullptr);
  return loaded;
}

inline std::string PolicyYaml(const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: a}\nspec: {" + spec + "}\n";
}

inline std::string BaseYaml(const std::string& port_name = "http-x") {
  return NamespaceYaml("a", "istio-injection: enabled") +
         NamespaceYaml("b", "istio-injection: enabled") + DeploymentYaml("a", "w") +
         DeploymentYaml("b", "c") +
         ServiceYaml("a", "w", "{port: 80, targetPort: 8080, name: " + port_name + "}");
}

inline std::string StrictYaml() {
  return PeerYaml("a", "p", "mtls: {mode: STRICT}");
}

}  // namespace meshproof

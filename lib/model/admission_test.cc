// What the API server and istiod's webhook say of policies, row by row (istio-semantics section 8).
// The mark @@ in a row is where the finding has to stand.

#include <doctest/doctest.h>

#include <string>

#include "model/test_input.h"

namespace meshproof::admission_test {
namespace {

struct Row {
  const char* spec;     // of one line, with the mark
  const char* message;  // a part of it; "" = the object is accepted without a word
};

std::string ObjectText(std::string_view kind, std::string_view spec) {
  std::string group = kind == "AuthorizationPolicy" || kind == "PeerAuthentication" ||
                              kind == "RequestAuthentication"
                          ? "security.istio.io/v1"
                          : "networking.istio.io/v1";
  return "apiVersion: " + group + "\nkind: " + std::string(kind) +
         "\nmetadata: {name: one, namespace: shop}\nspec: " + std::string(spec) + "\n";
}

size_t ObjectsOf(const Model& model) {
  return model.authorization_policies.size() + model.request_authentications.size() +
         model.peer_authentications.size() + model.gateways.size() + model.virtual_services.size() +
         model.destination_rules.size() + model.service_entries.size() + model.sidecars.size() +
         model.workload_entries.size() + model.workload_groups.size() + model.envoy_filters.size();
}

bool Says(const Model& model, Severity severity, const std::string& place,
          const std::string& message) {
  for (const Diagnostic& diagnostic : model.diagnostics) {
    if (diagnostic.severity == severity && PlaceOf(diagnostic.span) == place &&
        diagnostic.message.find(message) != std::string::npos) {
      return true;
    }
  }
  return false;
}

void CheckRefused(std::string_view kind, const Row& row) {
  std::string text = ObjectText(kind, row.spec);
  std::string place = TakeMark(&text);
  INFO(text);
  auto model = ModelOf(text);
  INFO(AllDiagnostics(*model));
  if (*row.message == '\0') {
    CHECK(model->diagnostics.empty());
    CHECK(ObjectsOf(*model) == 1);
    return;
  }
  CHECK(Says(*model, Severity::kError, place, row.message));
  CHECK(ObjectsOf(*model) == 0);
  REQUIRE(model->skipped.size() == 1);
  CHECK(model->skipped[0].reason == Model::Skipped::Reason::kRefused);
  CHECK(model->skipped[0].kind == kind);

  ModelOptions keep;
  keep.keep_invalid = true;
  auto kept = ModelOf(text, keep);
  bool impossible = false;
  for (const Diagnostic& diagnostic : kept->diagnostics) {
    impossible = impossible || diagnostic.trouble == Trouble::kWrongType;
  }
  CHECK(ObjectsOf(*kept) == (impossible ? 0 : 1));
  CHECK(Says(*kept, Severity::kError, place, row.message));
}

void CheckWarned(std::string_view kind, const Row& row) {
  std::string text = ObjectText(kind, row.spec);
  std::string place = TakeMark(&text);
  INFO(text);
  auto model = ModelOf(text);
  INFO(AllDiagnostics(*model));
  CHECK(model->diagnostics.size() == (*row.message == '\0' ? 0 : 1));
  if (*row.message != '\0') CHECK(Says(*model, Severity::kWarning, place, row.message));
  CHECK(ObjectsOf(*model) == 1);
}

TEST_CASE("AuthorizationPolicy: errors") {
  const Row rows[] = {
      // Attachment.
      {"{selector: {matchLabels: {a: b}}, @@targetRef: {kind: Service, name: x}}",
       "only one of `selector`, `targetRef` and `targetRefs`"},
      {"{selector: {matchLabels: {a: b}}, @@targetRefs: []}", "only one of"},
      {"{targetRef: {kind: Service, name: x}, @@targetRefs: [{kind: Service, name: x}]}",
       "only one of"},
      {"{selector: {matchLabels: {@@\"\": b}}}", "has no key"},
      {"{selector: {matchLabels: {@@a*: b}}}", "wildcards are not supported in a selector: `a*`"},
      {"{selector: {matchLabels: {a: @@\"*\"}}}", "wildcards are not supported"},
      {"{selector: {matchLabels: {a: @@"
       "0123456789012345678901234567890123456789012345678901234567890123}}}",
       "`a` must be a string, here stands the number"},
      {"{selector: {matchLabels: {a: @@"
       "x123456789012345678901234567890123456789012345678901234567890123}}}",
       "longer than 63 characters"},
      {"{targetRefs: [@@{kind: Service}]}", "`name` is missing"},
      {"{targetRefs: [{kind: Service, name: @@\"\"}]}", "`name` must not be empty"},
      {"{targetRefs: [{kind: Service, name: a, namespace: @@b}]}", "another namespace"},
      {"{targetRefs: [{kind: @@Deployment, name: a, group: apps}]}", "cannot be the target"},
      {"{targetRefs: [{kind: @@Gateway, name: a}]}", "`Gateway` of group `core`"},
      {"{targetRefs: [{kind: @@service, name: a}]}", "cannot be the target"},
      {"{targetRef: {kind: @@Pod, name: a}}", "cannot be the target"},
      // Actions.
      {"{action: @@deny, rules: [{}]}", "`action` must be ALLOW, DENY, AUDIT or CUSTOM"},
      {"{action: @@LOG, rules: [{}]}", "must be ALLOW"},
      {"{action: @@DENY}", "action DENY without rules"},
      {"{action: @@DENY, rules: []}", "action DENY without rules"},
      {"{action: @@CUSTOM, provider: {name: x}}", "action CUSTOM without rules"},
      {"{action: @@CUSTOM, rules: [{}]}", "needs `provider.name`"},
      {"{action: CUSTOM, provider: {name: @@\"\"}, rules: [{}]}", "needs `provider.name`"},
      {"{action: ALLOW, provider: {name: @@x}, rules: [{}]}", "`provider` is for action CUSTOM"},
      {"{provider: {name: @@x}, rules: [{}]}", "`provider` is for action CUSTOM"},
      {"{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {@@namespaces: [a]}}]}]}",
       "`namespaces` is not supported with action CUSTOM"},
      {"{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {@@notNamespaces: [a]}}]}]}",
       "`notNamespaces` is not supported"},
      {"{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {@@serviceAccounts: "
       "[a]}}]}]}",
       "`serviceAccounts` is not supported"},
      {"{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {@@trustDomains: [a]}}]}]}",
       "`trustDomains` is not supported"},
      {"{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {@@notPrincipals: [a]}}]}]}",
       "`notPrincipals` is not supported"},
      {"{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {@@requestPrincipals: "
       "[a]}}]}]}",
       "`requestPrincipals` is not supported"},
      {"{action: CUSTOM, provider: {name: x}, rules: [{when: [{key: @@source.principal, values: "
       "[a]}]}]}",
       "`source.principal` is not supported"},
      {"{action: CUSTOM, provider: {name: x}, rules: [{when: [{key: @@source.trustDomain, values: "
       "[a]}]}]}",
       "`source.trustDomain` is not supported"},
      {"{action: CUSTOM, provider: {name: x}, rules: [{when: [{key: "
       "@@\"request.auth.claims[a]\", values: [a]}]}]}",
       "`request.auth.claims[a]` is not supported"},
      // Nulls and empties.
      {"{rules: [@@null]}", "an item of `rules` is null"},
      {"{rules: [{from: [@@null]}]}", "an item of `from` is null"},
      {"{rules: [{to: [@@null]}]}", "an item of `to` is null"},
      {"{rules: [{when: [@@null]}]}", "an item of `when` is null"},
      {"{rules: [{from: [@@{}]}]}", "a source that names nothing"},
      {"{rules: [{from: [@@{source: {}}]}]}", "a source that names nothing"},
      {"{rules: [{from: [@@{source: {principals: []}}]}]}", "a source that names nothing"},
      {"{rules: [{to: [@@{}]}]}", "an operation that names nothing"},
      {"{rules: [{to: [@@{operation: {}}]}]}", "an operation that names nothing"},
      {"{rules: [{from: [{source: {principals: [@@\"\"]}}]}]}",
       "an empty value is not allowed in `principals`"},
      {"{rules: [{to: [{operation: {hosts: [a, @@\"\"]}}]}]}", "not allowed in `hosts`"},
      {"{rules: [{to: [{operation: {notPaths: [@@\"\"]}}]}]}", "not allowed in `notPaths`"},
      {"{rules: [{when: [{key: source.ip, values: [@@\"\"]}]}]}", "not allowed in `values`"},
      {"{rules: [{when: [{key: source.principal, notValues: [@@\"\"]}]}]}",
       "not allowed in `notValues`"},
      // Addresses and ports.
      {"{rules: [{from: [{source: {ipBlocks: [@@10.0.0.0/33]}}]}]}", "is no CIDR block"},
      {"{rules: [{from: [{source: {notIpBlocks: [@@example.com]}}]}]}", "is no IP address"},
      {"{rules: [{from: [{source: {remoteIpBlocks: [@@010.0.0.1]}}]}]}", "is no IP address"},
      {"{rules: [{from: [{source: {notRemoteIpBlocks: [@@10.0.0.1/]}}]}]}", "is no CIDR block"},
      {"{rules: [{when: [{key: destination.ip, values: [@@1.2.3]}]}]}", "is no IP address"},
      {"{rules: [{when: [{key: remote.ip, notValues: [@@x]}]}]}", "is no IP address"},
      {"{rules: [{to: [{operation: {ports: [@@80]}}]}]}",
       "`ports` must be a string, here stands the number `80`"},
      {"{rules: [{to: [{operation: {ports: [@@\"65536\"]}}]}]}", "is no port"},
      {"{rules: [{to: [{operation: {notPorts: [@@\"80-90\"]}}]}]}", "is no port"},
      {"{rules: [{to: [{operation: {ports: [@@http]}}]}]}", "is no port"},
      {"{rules: [{when: [{key: destination.port, values: [@@\"-1\"]}]}]}", "is no port"},
      // Service accounts.
      {"{rules: [{from: [{source: {@@serviceAccounts: [a], principals: [b]}}]}]}",
       "cannot be set together"},
      {"{rules: [{from: [{source: {notNamespaces: [b], @@notServiceAccounts: [a]}}]}]}",
       "cannot be set together"},
      {"{rules: [{from: [{source: {serviceAccounts: [@@\"*\"]}}]}]}",
       "wildcards are not supported"},
      {"{rules: [{from: [{source: {serviceAccounts: [@@a/b/c]}}]}]}", "is no service account"},
      {"{rules: [{from: [{source: {serviceAccounts: [@@/b]}}]}]}", "names no namespace"},
      {"{rules: [{from: [{source: {serviceAccounts: [@@a/]}}]}]}", "names no service account"},
      {"{rules: [{from: [{source: {serviceAccounts: "
       "@@[a,b,c,d,e,f,g,h,i,j,k,l,m,\"n\",o,p,q]}}]}]}",
       "more than the 16 allowed"},
      {"{rules: [{when: [{key: source.serviceAccount, values: [@@a*]}]}]}",
       "wildcards are not supported"},
      // Trust domains.
      {"{rules: [{from: [{source: {trustDomains: [@@td*e]}}]}]}",
       "only allowed at the start or the end"},
      {"{rules: [{from: [{source: {notTrustDomains: [@@\"*td*\"]}}]}]}", "at most one wildcard"},
      {"{rules: [{from: [{source: {trustDomains: [@@td/ns]}}]}]}", "has no slash"},
      {"{rules: [{when: [{key: source.trustDomain, values: [@@a*b]}]}]}", "only allowed at"},
      // Paths.
      {"{rules: [{to: [{operation: {paths: [@@\"/a/{b}\"]}}]}]}", "braces are for whole segments"},
      {"{rules: [{to: [{operation: {paths: [@@\"/a/{*}b\"]}}]}]}", "braces are for whole segments"},
      {"{rules: [{to: [{operation: {paths: [@@\"/{**}/{*}\"]}}]}]}", "nothing but literals"},
      {"{rules: [{to: [{operation: {paths: [@@\"/{**}/a/{**}\"]}}]}]}", "nothing but literals"},
      {"{rules: [{to: [{operation: {notPaths: [@@\"/{*}//a\"]}}]}]}", "no empty segments"},
      {"{rules: [{to: [{operation: {paths: [@@\"/{*}/*\"]}}]}]}", "is no literal segment"},
      {"{rules: [{to: [{operation: {paths: [@@\"/{*}/a b\"]}}]}]}", "is no literal segment"},
      // Conditions.
      {"{rules: [{when: [@@{values: [a]}]}]}", "`key` is missing"},
      {"{rules: [{when: [{key: @@\"\", values: [a]}]}]}", "needs a `key`"},
      {"{rules: [{when: [{key: @@source.ip}]}]}", "needs `values` or `notValues`"},
      {"{rules: [{when: [{key: @@source.ip, values: [], notValues: []}]}]}", "needs `values`"},
      {"{rules: [{when: [{key: @@source.pricipal, values: [a]}]}]}",
       "unknown condition key `source.pricipal`"},
      {"{rules: [{when: [{key: @@request.method, values: [a]}]}]}", "unknown condition key"},
      {"{rules: [{when: [{key: @@request.headers, values: [a]}]}]}", "bad condition key"},
      {"{rules: [{when: [{key: @@\"request.headers[]\", values: [a]}]}]}", "bad condition key"},
      {"{rules: [{when: [{key: @@\"request.headers[a\", values: [a]}]}]}", "bad condition key"},
      {"{rules: [{when: [{key: @@\"request.auth.claims.a\", values: [a]}]}]}", "bad condition key"},
      {"{rules: [{when: [{key: @@experimental.envoy.filters.a, values: [a]}]}]}", "bad condition"},
      {"{rules: [{when: [{key: @@destination.namespace, values: [a]}]}]}", "is retired"},
      {"{rules: [{when: [{key: @@\"destination.labels[a]\", values: [a]}]}]}", "is retired"},
      {"{rules: [{when: [{key: @@destination.name, values: [a]}]}]}", "is retired"},
      {"{rules: [{when: [{key: @@destination.user, values: [a]}]}]}", "is retired"},
      // Types.
      {"@@[]", "`spec` must be a mapping"},
      {"{rules: @@{}}", "`rules` must be a list of mappings"},
      {"{rules: [@@x]}", "`rules` must be a mapping, here stands the string `x`"},
      {"{rules: [{to: [{operation: {paths: @@/a}}]}]}", "`paths` must be a list of strings"},
      {"{rules: [{to: [{operation: {methods: [@@yes]}}]}]}", "here stands the boolean `yes`"},
      {"{rules: [{to: [{operation: {methods: [@@null]}}]}]}", "an item of `methods` is null"},
  };
  for (const Row& row : rows) CheckRefused("AuthorizationPolicy", row);
}

TEST_CASE("AuthorizationPolicy: accepted without a word") {
  const char* rows[] = {
      "{}",
      "",
      "{rules: []}",
      "{rules: [{}]}",
      "{action: AUDIT}",
      "{rules: [{from: [], to: []}]}",
      "{rules: [{from: [{source: {notTrustDomains: [\"*\", a*, \"*b\"]}}]}]}",
      "{rules: [{when: [{key: source.trustDomain, values: [a/b]}]}]}",
      "{rules: [{from: [{source: {ipBlocks: [10.1.2.3/8, \"::1\", \"fe80::1%eth0\"]}}]}]}",
      "{rules: [{from: [{source: {serviceAccounts: [a, b/c], trustDomains: [x]}}]}]}",
      "{rules: [{to: [{operation: {ports: [\"0\", \"65535\"]}}]}]}",
      "{rules: [{to: [{operation: {paths: [\"/{**}/edit\", \"/{*}/a/{**}/\", \"{*}\"]}}]}]}",
      "{rules: [{to: [{operation: {paths: [\"//a b*\", \"*\"]}}]}]}",
      "{rules: [{when: [{key: \"request.headersX[h]\", values: [a]}]}]}",
      "{rules: [{when: [{key: \"request.auth.claims[a][b]\", notValues: [a]}]}]}",
      "{rules: [{when: [{key: \"experimental.envoy.filters.a[b]\", values: [a]}]}]}",
      "{action: CUSTOM, provider: {name: x}, rules: [{from: [{source: {ipBlocks: [1.2.3.4]}}]}]}",
      "{action: DENY, rules: [{from: [{source: {principals: [a]}}]}]}",
      "{action: DENY, rules: [{when: [{key: request.auth.principal, values: [a]}]}]}",
      "{action: DENY, rules: [{to: [{operation: {paths: [/a], ports: [\"80\"]}}]}]}",
      "{action: null, rules: null}",
      "{targetRefs: [{kind: Service, name: a}, {group: core, kind: Service, name: b}, "
      "{group: gateway.networking.k8s.io, kind: GatewayClass, name: c}]}",
      "{targetRef: {group: networking.istio.io, kind: ServiceEntry, name: a, namespace: \"\"}}",
  };
  for (const char* row : rows) CheckRefused("AuthorizationPolicy", {row, ""});
}

TEST_CASE("AuthorizationPolicy: warnings") {
  const Row rows[] = {
      {"{selector: @@{}}", "the selector has no labels"},
      {"{selector: @@{matchLabels: {}}}", "the selector has no labels"},
      {"{action: DENY, rules: [@@{from: [{source: {requestPrincipals: [a]}}]}]}", "on TCP ports"},
      {"{action: DENY, rules: [@@{from: [{source: {trustDomains: [a]}}]}]}", "on TCP ports"},
      {"{action: DENY, rules: [@@{to: [{operation: {paths: [/a]}}]}]}", "on TCP ports"},
      {"{action: DENY, rules: [@@{from: [{source: {principals: [a]}}], to: [{operation: {methods: "
       "[GET]}}]}]}",
       "on TCP ports"},
      {"{action: ALLOW, rules: [{to: [{operation: {paths: [/a]}}]}]}", ""},
  };
  for (const Row& row : rows) CheckWarned("AuthorizationPolicy", row);
}

TEST_CASE("typos of fields") {
  // What is dropped, and what becomes of the object then.
  const Row refused[] = {
      {"{rules: [{from: [@@{source: {namespace: [a]}}]}]}", "a source that names nothing"},
      {"{rules: [{when: [{key: @@source.ip, value: [a]}]}]}", "needs `values` or `notValues`"},
  };
  for (const Row& row : refused) CheckRefused("AuthorizationPolicy", row);
  struct Typo {
    const char* kind;
    Row row;
    const char* help;
  };
  const Typo typos[] = {
      {"AuthorizationPolicy",
       {"{rules: [{from: [{source: {@@namespace: [a], principals: [b]}}]}]}",
        "unknown field `namespace` is dropped by the API server"},
       "did you mean `namespaces`?"},
      {"AuthorizationPolicy", {"{@@rule: [{}]}", "unknown field `rule`"}, "did you mean `rules`?"},
      {"AuthorizationPolicy",
       {"{rules: [{to: [{operation: {paths: [/a], @@method: [GET]}}]}]}", "unknown field `method`"},
       "did you mean `methods`?"},
      {"AuthorizationPolicy",
       {"{rules: [{to: [{operation: {paths: [/a], @@Ports: [\"80\"]}}]}]}",
        "unknown field `Ports`"},
       "did you mean `ports`?"},
      {"PeerAuthentication",
       {"{mtls: {@@mod: STRICT}}", "unknown field `mod`"},
       "did you mean `mode`?"},
      {"RequestAuthentication",
       {"{jwtRules: [{issuer: a, @@jwksURL: \"https://a\"}]}", "unknown field `jwksURL`"},
       "did you mean `jwksUri`?"},
      {"AuthorizationPolicy", {"{@@frobnicate: 1}", "unknown field `frobnicate`"}, ""},
      {"DestinationRule",
       {"{host: a, trafficPolicy: {tls: {mode: SIMPLE, @@insecureSkipVerfy: true}}}",
        "unknown field `insecureSkipVerfy`"},
       "did you mean `insecureSkipVerify`?"},
  };
  for (const Typo& typo : typos) {
    CheckWarned(typo.kind, typo.row);
    std::string text = ObjectText(typo.kind, typo.row.spec);
    TakeMark(&text);
    auto model = ModelOf(text);
    REQUIRE(model->diagnostics.size() == 1);
    CHECK(model->diagnostics[0].trouble == Trouble::kUnknownField);
    CHECK(model->diagnostics[0].help == typo.help);
  }
  auto selector = ModelOf(ObjectText("AuthorizationPolicy", "{selector: {matchLable: {a: b}}}"));
  REQUIRE(selector->authorization_policies.size() == 1);
  CHECK(selector->authorization_policies[0].selector.present);
  CHECK(selector->authorization_policies[0].selector.match_labels.empty());
  CHECK(selector->diagnostics.size() == 2);  // the field, and a selector without labels
}

TEST_CASE("PeerAuthentication") {
  const Row rows[] = {
      {"{mtls: {mode: @@strict}}", "here stands `strict`"},
      {"{mtls: {mode: @@LOOSE}}", "`mode` must be UNSET, DISABLE, PERMISSIVE or STRICT"},
      {"{@@portLevelMtls: {80: {mode: STRICT}}}", "needs a selector with labels"},
      {"{selector: {}, @@portLevelMtls: {80: {mode: STRICT}}}", "needs a selector with labels"},
      {"{selector: {matchLabels: {a: b}}, portLevelMtls: @@{}}", "`portLevelMtls` is empty"},
      {"{selector: {matchLabels: {a: b}}, portLevelMtls: {@@0: {mode: STRICT}}}", "is no port"},
      {"{selector: {matchLabels: {a: b}}, portLevelMtls: {@@65536: {mode: STRICT}}}", "is no port"},
      {"{selector: {matchLabels: {a: b}}, portLevelMtls: {80: @@STRICT}}", "must be a mapping"},
      {"{selector: {matchLabels: {a: @@b*}}}", "wildcards"},
      {"{selector: {matchLabels: {a: b}}, portLevelMtls: {80: {mode: STRICT}}}", ""},
      {"{}", ""},
  };
  for (const Row& row : rows) CheckRefused("PeerAuthentication", row);
  CheckWarned("PeerAuthentication", {"{selector: @@{}}", "the selector has no labels"});
}

TEST_CASE("RequestAuthentication") {
  const Row rows[] = {
      {"{jwtRules: [@@{}]}", "needs an `issuer`"},
      {"{jwtRules: [{issuer: @@\"\", jwksUri: \"https://a\"}]}", "`issuer` must not be empty"},
      {"{jwtRules: [{jwksUri: \"https://a\"}]}", ""},
      {"{jwtRules: [{issuer: a, audiences: [@@\"\"]}]}", "`audiences` must not be empty"},
      {"{jwtRules: [{issuer: a, jwksUri: @@\"ftp://a\"}]}", "the scheme `ftp`"},
      {"{jwtRules: [{issuer: a, jwksUri: @@a.example/keys}]}", "has no scheme"},
      {"{jwtRules: [{issuer: a, jwksUri: @@\"https://a:b/\"}]}", "is no URL"},
      {"{jwtRules: [{issuer: a, jwks_uri: @@\"ftp://a\"}]}", "the scheme `ftp`"},
      {"{jwtRules: [{issuer: a, jwks_uri: \"http://a:80/x?y#z\"}]}", ""},
      {"{jwtRules: [{issuer: a, jwks: \"{}\", @@jwksUri: \"https://a\"}]}", "only one of `jwks`"},
      {"{jwtRules: [{issuer: a, jwks: @@\"{\"}]}", "`jwks` is no JSON"},
      {"{jwtRules: [{issuer: a, jwks: @@\"{}\"}]}", "it has no `keys`"},
      {"{jwtRules: [{issuer: a, jwks: @@\"[]\"}]}", "it is no JSON object"},
      {"{jwtRules: [{issuer: a, jwks: @@'{\"keys\":[{\"kty\":\"X\"}]}'}]}", "unknown type `X`"},
      {"{jwtRules: [{issuer: a, jwks: @@'{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ\"}]}'}]}",
       "has no `e`"},
      {"{jwtRules: [{issuer: a, jwks: '{\"keys\":[]}'}]}", ""},
      {"{jwtRules: [{issuer: a, jwks: "
       "'{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQAB\"}]}'}]}",
       ""},
      {"{jwtRules: [{issuer: a, fromHeaders: [@@null]}]}", "an item of `fromHeaders` is null"},
      {"{jwtRules: [{issuer: a, fromHeaders: [@@{prefix: b}]}]}", "`name` is missing"},
      {"{jwtRules: [{issuer: a, fromHeaders: [{name: @@\"\"}]}]}", "`name` must not be empty"},
      {"{jwtRules: [{issuer: a, fromParams: [@@\"\"]}]}", "`fromParams` must not be empty"},
      {"{jwtRules: [{issuer: a, fromCookies: [@@\"\"]}]}", "`fromCookies` must not be empty"},
      {"{jwtRules: [{issuer: a, outputClaimToHeaders: [@@null]}]}", "is null"},
      {"{jwtRules: [{issuer: a, outputClaimToHeaders: [@@{header: b}]}]}", "`claim` is missing"},
      {"{jwtRules: [{issuer: a, outputClaimToHeaders: [{header: @@\"a b\", claim: c}]}]}",
       "is no header name"},
      {"{jwtRules: [{issuer: a, timeout: @@0s}]}", "no duration of at least 1ms"},
      {"{jwtRules: [{issuer: a, timeout: @@soon}]}", "no duration"},
      {"{jwtRules: [{issuer: a, timeout: @@1500us}]}", "finer than a millisecond"},
      {"{jwtRules: [{issuer: a, timeout: 5s}]}", ""},
      {"{jwtRules: [{issuer: a, forwardOriginalToken: @@\"true\"}]}", "must be a boolean"},
      {"{jwtRules: [@@null]}", "an item of `jwtRules` is null"},
      {"{selector: {matchLabels: {a: b}}, @@targetRef: {kind: Service, name: x}}", "only one of"},
      {"{targetRefs: [{kind: @@Pod, name: x}]}", "cannot be the target"},
  };
  for (const Row& row : rows) CheckRefused("RequestAuthentication", row);
  CheckWarned("RequestAuthentication",
              {"{jwtRules: [{issuer: a, jwks: @@'{\"keys\":[{\"kty\":\"oct\",\"k\":\"AQ\"}]}'}]}",
               "private or symmetric keys"});
  CheckWarned("RequestAuthentication", {"{selector: @@{}}", "the selector has no labels"});
}

TEST_CASE("annotations") {
  struct Annotated {
    const char* kind;
    const char* annotation;
    const char* spec;
    const char* message;
  };
  const Annotated rows[] = {
      {"AuthorizationPolicy", "istio.io/dry-run: @@\"yes\"", "{}", "is no boolean"},
      {"AuthorizationPolicy", "istio.io/dry-run: @@\"true\"", "{action: AUDIT}",
       "for the actions ALLOW and DENY"},
      {"AuthorizationPolicy", "istio.io/dry-run: @@true", "{}", "must be a string"},
      {"AuthorizationPolicy", "istio.io/dry-run: \"true\"", "{}", ""},
      {"PeerAuthentication", "istio.io/dry-run: @@\"true\"", "{}", "AuthorizationPolicies alone"},
      {"RequestAuthentication", "istio.io/dry-run: @@\"true\"", "{}",
       "AuthorizationPolicies alone"},
      {"AuthorizationPolicy", "internal.istio.io/webhook-always-reject: @@\"\"", "{}",
       "Istio's own"},
      {"RequestAuthentication", "internal.istio.io/parents: @@\"\"", "{}", "Istio's own"},
      {"PeerAuthentication", "internal.istio.io/parent-namespace: @@\"\"", "{}", "Istio's own"},
  };
  for (const Annotated& row : rows) {
    std::string text = std::string("apiVersion: security.istio.io/v1beta1\nkind: ") + row.kind +
                       "\nmetadata:\n  name: one\n  annotations:\n    " + row.annotation +
                       "\nspec: " + row.spec + "\n";
    std::string place = TakeMark(&text);
    INFO(text);
    auto model = ModelOf(text);
    INFO(AllDiagnostics(*model));
    bool refused = *row.message != '\0';
    CHECK(ObjectsOf(*model) == (refused ? 0 : 1));
    if (refused) CHECK(Says(*model, Severity::kError, place, row.message));
  }
}

TEST_CASE("networking kinds: the errors that matter here") {
  struct Kinded {
    const char* kind;
    Row row;
  };
  const Kinded rows[] = {
      {"Gateway", {"{servers: [@@{hosts: [a]}]}", "`port` is missing"}},
      {"Gateway", {"{servers: [@@{port: {number: 80, protocol: HTTP, name: a}}]}", "`hosts`"}},
      {"Gateway",
       {"{servers: [{port: {number: @@0, protocol: HTTP, name: a}, hosts: [a]}]}", "is no port"}},
      {"Gateway",
       {"{servers: [{port: {number: 80, protocol: @@HTTTP, name: a}, hosts: [a]}]}",
        "unknown protocol"}},
      {"Gateway",
       {"{servers: [{port: {number: 443, protocol: @@HTTPS, name: a}, hosts: [a]}]}",
        "needs `tls` settings"}},
      {"Gateway",
       {"{servers: [{port: {number: 443, protocol: HTTPS, name: a}, hosts: [a], tls: @@{mode: "
        "SIMPLE}}]}",
        "needs a certificate"}},
      {"Gateway",
       {"{servers: [{port: {number: 443, protocol: HTTPS, name: a}, hosts: [a], tls: @@{mode: "
        "MUTUAL, serverCertificate: a, privateKey: b}}]}",
        "the CA of its clients"}},
      {"Gateway",
       {"{servers: [{port: {number: 443, protocol: HTTPS, name: a}, hosts: [a], tls: {mode: "
        "SIMPLE, credentialName: c}}]}",
        ""}},
      {"Gateway",
       {"{servers: [{port: {number: 80, protocol: http, name: a}, hosts: ['*'], tls: "
        "{httpsRedirect: true}}]}",
        ""}},
      {"VirtualService", {"{hosts: [a], http: [@@{}]}", "needs `route`, `redirect`"}},
      {"VirtualService",
       {"{hosts: [@@\"*\"], http: [{route: [{destination: {host: a}}]}]}",
        "not allowed for the mesh"}},
      {"VirtualService",
       {"{hosts: [a], http: [{route: [{destination: @@{}}]}]}", "`host` is missing"}},
      {"VirtualService",
       {"{hosts: [a], http: [{match: [{uri: {exact: a, @@prefix: b}}], route: [{destination: "
        "{host: "
        "a}}]}]}",
        "only one of `exact`"}},
      {"VirtualService",
       {"{hosts: [a], http: [@@{route: [{destination: {host: a}}, {destination: {host: b}}]}]}",
        "weights of a route are all zero"}},
      {"VirtualService", {"{http: [{route: [{destination: {host: a}}]}]}", ""}},
      {"VirtualService",
       {"{hosts: [\"*\"], gateways: [g], http: [{route: [{destination: {host: a}}]}]}", ""}},
      {"DestinationRule", {"@@{trafficPolicy: {}}", "`host` is missing"}},
      {"DestinationRule", {"{host: @@\"\"}", "needs a host"}},
      {"DestinationRule",
       {"{host: a, trafficPolicy: {tls: {mode: @@ISTIO}}}", "`mode` must be DISABLE"}},
      {"DestinationRule",
       {"{host: a, trafficPolicy: {tls: @@{mode: MUTUAL}}}", "client certificate"}},
      {"DestinationRule", {"{host: a, subsets: [{name: v}, {name: @@v}]}", "two subsets"}},
      {"DestinationRule", {"{host: a, trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}", ""}},
      {"ServiceEntry", {"@@{}", "`hosts` is missing"}},
      {"ServiceEntry", {"{hosts: [@@\"*\"]}", "cannot be"}},
      {"ServiceEntry",
       {"{hosts: [a.b], ports: [{number: 80, name: a}, {number: 80, name: @@b}]}",
        "two ports have the number 80"}},
      {"ServiceEntry", {"{hosts: [a.b], resolution: @@dns}", "`resolution` must be"}},
      {"ServiceEntry",
       {"{hosts: [a.b], workloadSelector: {labels: {a: b}}, @@endpoints: []}", "only one of"}},
      {"ServiceEntry", {"{hosts: [a.b], ports: [{number: 443, name: a, protocol: TLS}]}", ""}},
      {"WorkloadEntry", {"{address: @@\"\"}", "needs an address"}},
      {"WorkloadEntry", {"{address: 1.2.3.4}", ""}},
      {"Sidecar", {"{egress: [{hosts: ['*/*']}]}", ""}},
      {"Sidecar", {"{ingress: [@@{port: {number: 0}}]}", "is no port"}},
      {"WorkloadGroup", {"@@{}", "`template` is missing"}},
  };
  for (const Kinded& row : rows) CheckRefused(row.kind, row.row);
  auto empty = ModelOf(ObjectText("VirtualService", "{hosts: [a]}"));
  CHECK(Says(*empty, Severity::kError, "3:18", "needs `http`, `tls` or `tcp` routes"));
}

}  // namespace
}  // namespace meshproof::admission_test

#include "proxy/jwt.h"

#include <doctest/doctest.h>

#include "proxy/emit_match.h"
#include "proxy/proxy_testing.h"

namespace meshproof::jwt_test {
namespace {

std::string Authentication(const std::string& ns, const std::string& name,
                           const std::string& rules) {
  return "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: " +
         name + ", namespace: " + ns + "}\nspec: {jwtRules: [" + rules + "]}\n";
}

const char* const kWorkload = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {containers: [{name: app, image: app}]}
---
apiVersion: v1
kind: Service
metadata: {name: idp, namespace: shop}
spec: {selector: {app: idp}, ports: [{name: http, port: 8080}]}
)";

std::optional<JwtFilter> Compile(const std::string& text, const MeshOptions& options = {},
                                 bool gateway = false) {
  ModelOptions model_options;
  model_options.keep_invalid = true;  // the key sets here are words
  const auto mesh = TestMesh(kWorkload + text, model_options, options);
  const PolicySet policies = mesh->PoliciesFor(*mesh->FindWorkload("shop", "web"));
  return CompileJwtFilter(*mesh, policies.request_authentications, "istio-system", gateway);
}

TEST_CASE("no rule, no filter") {
  CHECK_FALSE(Compile("").has_value());
  CHECK_FALSE(Compile(Authentication("shop", "a", "")).has_value());
}

TEST_CASE("rules of all policies are sorted by issuer; own namespace before root on a tie") {
  const auto filter =
      Compile(Authentication("istio-system", "root", "{issuer: m, jwks: root}") +
              Authentication("shop", "a", "{issuer: z, jwks: z}, {issuer: m, jwks: own}") +
              Authentication("shop", "b", "{issuer: a, jwks: a}"));
  REQUIRE(filter.has_value());
  std::string order;
  for (const JwtProvider& provider : filter->providers) {
    order += provider.name + "=" + provider.issuer + "/" + provider.local_jwks.value_or("?") + " ";
  }
  CHECK(order == "origins-0=a/a origins-1=m/own origins-2=m/root origins-3=z/z ");
  CHECK(filter->providers[3].origin.rule == 0);
  CHECK(filter->providers[1].origin.rule == 1);
}

TEST_CASE("the requirement: any of them, or no token anywhere") {
  const auto one = Compile(Authentication("shop", "a", "{issuer: a, jwks: a}"));
  const Json emitted = EmitHttpFilter(HttpFilter(*one));
  CHECK(WriteJson(*FindPath(&emitted, {"typed_config", "rules"})) ==
        R"([{"match":{"prefix":"/"},"requires":{"requires_any":{"requirements":[)"
        R"({"provider_name":"origins-0"},{"allow_missing":{}}]}}}])");
  const auto two =
      Compile(Authentication("shop", "a", "{issuer: a, jwks: a}, {issuer: b, jwks: b}"));
  const Json emitted_two = EmitHttpFilter(HttpFilter(*two));
  CHECK(WriteJson(*FindPath(&emitted_two, {"typed_config", "rules"})) ==
        R"([{"match":{"prefix":"/"},"requires":{"requires_any":{"requirements":[)"
        R"({"provider_name":"origins-0"},{"provider_name":"origins-1"},)"
        R"({"requires_all":{"requirements":[)"
        R"({"requires_any":{"requirements":[{"provider_name":"origins-0"},{"allow_missing":{}}]}},)"
        R"({"requires_any":{"requirements":[{"provider_name":"origins-1"},{"allow_missing":{}}]}})"
        R"(]}}]}}}])");
}

TEST_CASE("every field of a rule reaches the provider") {
  const auto filter = Compile(
      Authentication("shop", "a",
                     "{issuer: a, jwks: k, audiences: [x, y1], forwardOriginalToken: true, "
                     "fromHeaders: [{name: h, prefix: 'P '}], fromParams: [p], fromCookies: [c], "
                     "outputPayloadToHeader: out, outputClaimToHeaders: [{header: hh, claim: cc}], "
                     "spaceDelimitedClaims: [zz, scope]}"),
      {}, true);
  REQUIRE(filter.has_value());
  const Json emitted = EmitHttpFilter(HttpFilter(*filter));
  CHECK(WriteJson(*FindPath(&emitted, {"typed_config", "providers", "origins-0"})) ==
        R"({"issuer":"a","audiences":["x","y1"],"local_jwks":{"inline_string":"k"},"forward":true,)"
        R"("from_headers":[{"name":"h","value_prefix":"P "}],"from_params":["p"],)"
        R"("from_cookies":["c"],"forward_payload_header":"out","payload_in_metadata":"payload",)"
        R"("normalize_payload_in_metadata":{"space_delimited_claims":["permission","scope","zz"]},)"
        R"("claim_to_headers":[{"header_name":"hh","claim_name":"cc"}],"clear_route_cache":true})");
}

TEST_CASE("where the key set comes from") {
  const std::string inline_keys = Authentication("shop", "a", "{issuer: a, jwks: k}");
  const std::string in_mesh = Authentication(
      "shop", "a", "{issuer: a, jwksUri: 'http://idp.shop.svc.cluster.local:8080/keys'}");
  const std::string outside =
      Authentication("shop", "a", "{issuer: a, jwksUri: 'https://idp.example/keys'}");
  const std::string discovery = Authentication("shop", "a", "{issuer: 'https://idp.example/'}");
  struct Row {
    const std::string& text;
    const char* mode;
    const char *remote, *cluster, *unfetched;
  };
  for (const Row& row : std::vector<Row>{
           {inline_keys, "", "", "", ""},
           {inline_keys, "envoy", "", "", ""},
           {in_mesh, "", "", "", "http://idp.shop.svc.cluster.local:8080/keys"},
           {in_mesh, "true", "http://idp.shop.svc.cluster.local:8080/keys",
            "outbound|8080||idp.shop.svc.cluster.local", ""},
           {in_mesh, "hybrid", "http://idp.shop.svc.cluster.local:8080/keys",
            "outbound|8080||idp.shop.svc.cluster.local", ""},
           {in_mesh, "nonsense", "", "", "http://idp.shop.svc.cluster.local:8080/keys"},
           {outside, "hybrid", "", "", "https://idp.example/keys"},
           {outside, "envoy", "https://idp.example/keys", "outbound|443||idp.example", ""},
           {discovery, "envoy", "", "", "https://idp.example/.well-known/openid-configuration"},
       }) {
    CAPTURE(row.text);
    CAPTURE(row.mode);
    MeshOptions options;
    if (*row.mode != '\0') options.istiod_env = {{"PILOT_JWT_ENABLE_REMOTE_JWKS", row.mode}};
    const auto filter = Compile(row.text, options);
    REQUIRE(filter.has_value());
    const JwtProvider& provider = filter->providers[0];
    CHECK(provider.remote_jwks_uri == row.remote);
    CHECK(provider.remote_jwks_cluster == row.cluster);
    CHECK(provider.unfetched_jwks == row.unfetched);
  }
}

}  // namespace
}  // namespace meshproof::jwt_test

#include "proxy/rbac.h"

#include <doctest/doctest.h>

#include "proxy/emit_match.h"
#include "proxy/proxy_testing.h"

namespace meshproof::rbac_test {
namespace {

std::shared_ptr<const Model> PolicyModel(const std::string& spec) {
  Load load;
  load.files.push_back(
      ParseText("policy.yaml",
                "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, "
                "namespace: home}\nspec:\n" +
                    spec));
  ModelOptions options;
  options.keep_invalid = true;
  return DecodeModel(std::move(load), options);
}

// The rules as JSON {"name": [permissions, principals]}, names without "ns[home]-policy[p]-".
std::string Compile(const std::string& spec, FilterKind kind, Rbac::Action action,
                    std::vector<std::string> trust_domains = {"cluster.local"}) {
  const auto model = PolicyModel(spec);
  REQUIRE(model->authorization_policies.size() == 1);
  RuleContext context;
  context.kind = kind;
  context.action = action;
  context.trust_domains = std::move(trust_domains);
  RbacFilter filter;
  filter.rules.emplace();
  filter.rules->policies = CompileRules(model->authorization_policies[0], context);
  const Json emitted = EmitRbacFilter(filter, kind == FilterKind::kNetwork);
  const Json* policies = FindPath(&emitted, {"typed_config", "rules", "policies"});
  if (policies == nullptr) return "none";
  Json out = Json::MakeObject();
  for (const auto& [name, policy] : policies->as_object()) {
    Json both = Json::MakeArray();
    both.Append(*policy.Find("permissions"));
    both.Append(*policy.Find("principals"));
    out.Set(name.substr(sizeof("ns[home]-policy[p]-") - 1), both);
  }
  return WriteJson(out);
}

const std::string kAnyPermission = R"([{"and_rules":{"rules":[{"any":true}]}}])";
const std::string kAnyPrincipal = R"([{"and_ids":{"ids":[{"any":true}]}}])";

std::string Rule(const std::string& name, const std::string& permissions,
                 const std::string& principals) {
  return "{\"" + name + "\":[" + permissions + "," + principals + "]}";
}

TEST_CASE("no rules never match, an empty rule always does") {
  const std::string never =
      Rule("rule[0]", R"([{"not_rule":{"any":true}}])", R"([{"not_id":{"any":true}}])");
  for (const char* spec : {"  action: ALLOW\n", "  rules: []\n", "  {}\n"}) {
    CAPTURE(spec);
    CHECK(Compile(spec, FilterKind::kHttp, Rbac::Action::kAllow) == never);
  }
  CHECK(Compile("  rules: [{}]\n", FilterKind::kHttp, Rbac::Action::kDeny) ==
        Rule("rule[0]", kAnyPermission, kAnyPrincipal));
}

TEST_CASE("skipped rules leave gaps") {
  const std::string spec = "  rules:\n  - when: [{key: nonsense, values: [a]}]\n  - null\n  - {}\n";
  const std::string expected = Rule("rule[2]", kAnyPermission, kAnyPrincipal);
  CHECK(Compile(spec, FilterKind::kHttp, Rbac::Action::kAllow) == expected);
  // An unknown key skips a DENY rule as well: nothing is denied.
  CHECK(Compile(spec, FilterKind::kHttp, Rbac::Action::kDeny) == expected);
}

TEST_CASE("bad values skip an ALLOW rule and fall out of a DENY rule") {
  const std::string spec =
      "  rules:\n  - to: [{operation: {ports: ['80', '99999', x]}}]\n"
      "    when: [{key: source.ip, values: [nonsense]}]\n";
  CHECK(Compile(spec, FilterKind::kHttp, Rbac::Action::kAllow) == "none");
  const std::string ports =
      R"([{"and_rules":{"rules":[{"or_rules":{"rules":[{"destination_port":80}]}}]}}])";
  CHECK(Compile(spec, FilterKind::kHttp, Rbac::Action::kDeny) ==
        Rule("rule[0]", ports, kAnyPrincipal));
  CHECK(Compile(spec, FilterKind::kHttp, Rbac::Action::kLog) ==
        Rule("rule[0]", ports, kAnyPrincipal));
}

TEST_CASE("HTTP fields in a network filter") {
  struct Row {
    const char* fields;  // of an operation or a condition
    bool http_only;
  };
  for (const Row& row : std::vector<Row>{
           {"to: [{operation: {hosts: [a]}}]", true},
           {"to: [{operation: {notHosts: [a]}}]", true},
           {"to: [{operation: {methods: [GET]}}]", true},
           {"to: [{operation: {paths: [/a]}}]", true},
           {"to: [{operation: {notPaths: ['/{*}']}}]", true},
           {"to: [{operation: {ports: ['80']}}]", false},
           {"from: [{source: {requestPrincipals: [a/b]}}]", true},
           {"from: [{source: {notRequestPrincipals: ['*']}}]", true},
           {"from: [{source: {principals: [a]}}]", false},
           {"from: [{source: {remoteIpBlocks: [10.0.0.1]}}]", false},
           {"from: [{source: {trustDomains: [a]}}]", false},
           {"when: [{key: 'request.headers[a]', values: [b]}]", true},
           {"when: [{key: request.auth.principal, values: [b]}]", true},
           {"when: [{key: request.auth.audiences, values: [b]}]", true},
           {"when: [{key: request.auth.presenter, notValues: [b]}]", true},
           {"when: [{key: 'request.auth.claims[a]', values: [b]}]", true},
           {"when: [{key: remote.ip, values: [10.0.0.1]}]", false},
           {"when: [{key: connection.sni, values: [b]}]", false},
           {"when: [{key: 'experimental.envoy.filters.a[b]', values: [c]}]", false},
           {"when: [{key: source.trustDomain, values: [a]}]", false},
           {"when: [{key: source.serviceAccount, values: [a]}]", false},
       }) {
    CAPTURE(row.fields);
    const std::string spec = "  rules:\n  - {" + std::string(row.fields) + "}\n";
    CHECK(Compile(spec, FilterKind::kHttp, Rbac::Action::kAllow) != "none");
    CHECK((Compile(spec, FilterKind::kNetwork, Rbac::Action::kAllow) == "none") == row.http_only);
    const bool denies_all = Compile(spec, FilterKind::kNetwork, Rbac::Action::kDeny) ==
                            Rule("rule[0]", kAnyPermission, kAnyPrincipal);
    CHECK(denies_all == row.http_only);
  }
}

TEST_CASE("one HTTP alternative takes the whole ALLOW rule off TCP") {
  CHECK(Compile("  rules:\n  - to: [{operation: {ports: ['80']}}, {operation: {paths: [/a]}}]\n",
                FilterKind::kNetwork, Rbac::Action::kAllow) == "none");
}

TEST_CASE("values come first, their negation behind; conditions go to their side") {
  CHECK(
      Compile("  rules:\n"
              "  - to: [{operation: {methods: [GET], notMethods: ['*']}}]\n"
              "    when:\n"
              "    - {key: destination.port, notValues: ['1']}\n"
              "    - {key: source.ip, values: [10.1.2.3/8], notValues: ['fd00::/8']}\n",
              FilterKind::kHttp, Rbac::Action::kAllow) ==
      Rule(
          "rule[0]",
          R"([{"and_rules":{"rules":[)"
          R"({"or_rules":{"rules":[{"header":{"name":":method","string_match":{"exact":"GET"}}}]}},)"
          R"({"not_rule":{"or_rules":{"rules":[{"header":{"name":":method","present_match":true}}]}}},)"
          R"({"not_rule":{"or_rules":{"rules":[{"destination_port":1}]}}}]}}])",
          R"([{"and_ids":{"ids":[)"
          R"({"or_ids":{"ids":[{"direct_remote_ip":{"address_prefix":"10.1.2.3","prefix_len":8}}]}},)"
          R"({"not_id":{"or_ids":{"ids":[{"direct_remote_ip":{"address_prefix":"fd00::","prefix_len":8}}]}}}]}}])"));
}

TEST_CASE("a single request principal stands without an OR") {
  const std::string both =
      R"({"and_ids":{"ids":[{"metadata":{"filter":"envoy.filters.http.jwt_authn",)"
      R"("path":[{"key":"payload"},{"key":"iss"}],"value":{"string_match":{"exact":"i"}}}},)"
      R"({"metadata":{"filter":"envoy.filters.http.jwt_authn","path":[{"key":"payload"},)"
      R"({"key":"sub"}],"value":{"string_match":{"exact":"s"}}}}]}})";
  CHECK(Compile("  rules:\n  - from: [{source: {requestPrincipals: [i/s]}}]\n", FilterKind::kHttp,
                Rbac::Action::kAllow) ==
        Rule("rule[0]", kAnyPermission, "[{\"and_ids\":{\"ids\":[" + both + "]}}]"));
  CHECK(Compile("  rules:\n  - from: [{source: {notRequestPrincipals: [i/s, i/s]}}]\n",
                FilterKind::kHttp, Rbac::Action::kAllow) ==
        Rule("rule[0]", kAnyPermission,
             "[{\"and_ids\":{\"ids\":[{\"not_id\":{\"or_ids\":{\"ids\":[" + both + "," + both +
                 "]}}}]}}]"));
}

TEST_CASE("trust domains are written once however often they come out") {
  CHECK(Compile("  rules:\n  - from: [{source: {trustDomains: [a, b, a]}}]\n", FilterKind::kHttp,
                Rbac::Action::kAllow, {"a", "b"}) ==
        Rule("rule[0]", kAnyPermission,
             R"([{"and_ids":{"ids":[{"or_ids":{"ids":[)"
             R"({"authenticated":{"principal_name":{"prefix":"spiffe://a/"}}},)"
             R"({"authenticated":{"principal_name":{"prefix":"spiffe://b/"}}}]}}]}}])"));
}

TEST_CASE("keys of conditions") {
  struct Row {
    const char* key;
    const char* expected;  // part of the compiled rule, "none" where the rule goes
  };
  for (
      const Row& row : std::vector<Row>{
          {"request.headers[X-Team]", R"("name":"X-Team")"},
          {"request.headersX[h]", "none"},
          {"request.headers[h", "none"},
          {"request.headers[a[b]]", R"("name":"a[b]")"},
          {"request.auth.claims[a][b]", R"("path":[{"key":"payload"},{"key":"a"},{"key":"b"}])"},
          {"request.auth.claims[a[b]c]", R"("path":[{"key":"payload"},{"key":"a[b]c"}])"},
          {"request.auth.claims.a", "none"},
          {"request.auth.audiences", R"({"key":"aud"})"},
          {"request.auth.presenter", R"({"key":"azp"})"},
          {"request.auth", "none"},
          {"source.namespace", ".*/ns/v/.*"},
          {"source.Namespace", "none"},
          {"destination.namespace", "none"},
          {"experimental.envoy.filters.a.b[c]",
           R"({"metadata":{"filter":"envoy.filters.a.b","path":[{"key":"c"}],"value":{"string_match":{"exact":"v"}}}})"},
          {"experimental.envoy.filters.a", "none"},
      }) {
    CAPTURE(row.key);
    const std::string compiled =
        Compile("  rules:\n  - when: [{key: '" + std::string(row.key) + "', values: [v]}]\n",
                FilterKind::kHttp, Rbac::Action::kAllow);
    if (std::string(row.expected) == "none") {
      CHECK(compiled == "none");
    } else {
      CHECK_MESSAGE(compiled.find(row.expected) != std::string::npos, compiled);
    }
  }
}

TEST_CASE("experimental values in brackets are list members") {
  const std::string compiled = Compile(
      "  rules:\n  - when: [{key: 'experimental.envoy.filters.a[b]', values: ['[[x*]]', z]}]\n",
      FilterKind::kHttp, Rbac::Action::kAllow);
  CHECK(compiled.find(R"({"list_match":{"one_of":{"string_match":{"prefix":"x"}}}},)"
                      R"({"string_match":{"exact":"z"}})") != std::string::npos);
}

TEST_CASE("nodes know what the author wrote and where") {
  const auto model = PolicyModel(
      "  rules:\n"
      "  - from: [{source: {principals: [cluster.local/ns/a/sa/b]}}]\n"
      "    to: [{operation: {notPaths: ['/a*']}}]\n"
      "    when: [{key: source.ip, notValues: [10.0.0.1]}]\n");
  RuleContext context;
  context.trust_domains = {"td1", "td2"};
  const RbacPolicies policies = CompileRules(model->authorization_policies[0], context);
  REQUIRE(policies.size() == 1);
  const RbacPolicy& policy = *policies[0];
  CHECK(policy.origin.rule == 0);
  CHECK(policy.origin.object == &model->authorization_policies[0].meta);
  const auto text = [](const Span& span) {
    return std::string(span.file->text().substr(span.begin, span.end - span.begin));
  };
  CHECK(text(policy.origin.span).starts_with("from:"));
  const auto& permission = std::get<AndPredicate>(policy.permissions[0].match).all;
  REQUIRE(permission.size() == 1);
  CHECK(permission[0].field == "notPaths");
  const auto& negated = std::get<NotPredicate>(permission[0].match).inner[0];
  CHECK(negated.field.empty());
  const Predicate& path = std::get<OrPredicate>(negated.match).any[0];
  CHECK(path.written == "/a*");
  CHECK(text(path.span) == "'/a*'");
  const auto& principal = std::get<AndPredicate>(policy.principals[0].match).all;
  REQUIRE(principal.size() == 2);
  CHECK(principal[0].field == "principals");
  const auto& names = std::get<OrPredicate>(principal[0].match).any;
  REQUIRE(names.size() == 2);  // one for each trust domain, of the same value
  CHECK(names[1].written == "cluster.local/ns/a/sa/b");
  CHECK(principal[1].field == "when source.ip");
}

}  // namespace
}  // namespace meshproof::rbac_test

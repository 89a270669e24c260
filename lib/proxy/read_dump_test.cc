// Dumps by hand: what each shape of Envoy's and istioctl's output is read into, and that whatever
// is wrong with a file leaves a message at its place.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "proxy/dump.h"
#include "proxy/dump_fields.h"
#include "proxy/dump_list.h"
#include "proxy/proxy_testing.h"

namespace meshproof::read_dump_test {
namespace {

Dumps ReadOne(std::string text, std::string name = "dump.json") {
  DumpReader reader;
  reader.AddText(std::move(name), std::move(text));
  return reader.Finish();
}

std::string Section(const std::string& type, const std::string& body) {
  return R"({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.)" + type + "\", " + body +
         "}]}";
}

// A listener with one chain of one connection manager with these HTTP filters.
std::string ListenerDump(const std::string& http_filters, const std::string& manager = "") {
  return Section("ListenersConfigDump", R"("version_info": "v7", "dynamic_listeners": [{"name": "l",
    "active_state": {"version_info": "v7", "listener": {
      "@type": "type.googleapis.com/envoy.config.listener.v3.Listener", "name": "virtualInbound",
      "address": {"socket_address": {"address": "0.0.0.0", "port_value": 15006}},
      "traffic_direction": "INBOUND",
      "filter_chains": [{"filter_chain_match": {"destination_port": 80}, "filters": [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": {
          "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
          )" + manager + R"(
          "http_filters": [)" + http_filters +
                                            R"(]}}]}]}}}])");
}

std::string RbacFilterText(const std::string& config) {
  return R"({"name": "envoy.filters.http.rbac", "typed_config": {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", )" +
         config + "}}";
}

const HttpConnectionManager& ManagerOf(const Dumps& dumps) {
  REQUIRE(dumps.proxies.size() == 1);
  const ProxyConfig& config = *dumps.proxies[0].config;
  REQUIRE(config.listeners.size() == 1);
  const auto& filters = *config.listeners[0].filter_chains.at(0).filters;
  return *std::get<std::shared_ptr<const HttpConnectionManager>>(filters.at(0));
}

const RbacFilter& RbacOf(const Dumps& dumps) {
  return std::get<RbacFilter>(ManagerOf(dumps).http_filters.at(0));
}

const Predicate& FirstPermission(const Dumps& dumps) {
  return RbacOf(dumps).rules->policies.at(0)->permissions.at(0);
}

TEST_CASE("field names in both spellings") {
  CHECK(IsField("filter_chains", "filter_chains"));
  CHECK(IsField("filterChains", "filter_chains"));
  CHECK(IsField("acceptHttp10", "accept_http_10"));
  CHECK_FALSE(IsField("filterchains", "filter_chains"));
  CHECK_FALSE(IsField("filterChain", "filter_chains"));
  CHECK_FALSE(IsField("filterChainsX", "filter_chains"));
  CHECK(DecodeBytes("YWJj") == "abc");
  CHECK(DecodeBytes("YWI=") == "ab");
  CHECK_FALSE(DecodeBytes("a").has_value());
  CHECK_FALSE(DecodeBytes("a b!").has_value());
}

TEST_CASE("policy keys") {
  auto plain = ParsePolicyKey("ns[shop]-policy[orders]-rule[12]");
  REQUIRE(plain);
  CHECK(plain->ns == "shop");
  CHECK(plain->name == "orders");
  CHECK(plain->rule == 12);
  auto custom = ParsePolicyKey("istio-ext-authz-my-authz-ns[shop]-policy[p]-rule[0]");
  REQUIRE(custom);
  CHECK(custom->provider == "my-authz");
  CHECK(ParsePolicyKey("ns[a]-policy[b]-rule[0]-deny-due-to-bad-CUSTOM-action")->rule == 0);
  for (const char* wrong : {"", "x", "ns[a]", "ns[a]-policy[b]", "ns[a]-policy[b]-rule[]",
                            "ns[a]-policy[b]-rule[x]", "ns[a]-policy[b]-rule[1"}) {
    CAPTURE(wrong);
    CHECK_FALSE(ParsePolicyKey(wrong));
  }
}

TEST_CASE("absent rules, empty rules and both engines") {
  CHECK_FALSE(RbacOf(ReadOne(ListenerDump(RbacFilterText(R"("stat_prefix": "x")")))).rules);
  Dumps empty = ReadOne(ListenerDump(RbacFilterText(R"("rules": {})")));
  REQUIRE(RbacOf(empty).rules);
  CHECK(RbacOf(empty).rules->action == Rbac::Action::kAllow);
  CHECK(RbacOf(empty).rules->policies.empty());
  Dumps deny = ReadOne(ListenerDump(RbacFilterText(R"("rules": {"action": "DENY"}, "shadow_rules":
    {"action": "LOG"}, "shadow_rules_stat_prefix": "s_")")));
  CHECK(RbacOf(deny).rules->action == Rbac::Action::kDeny);
  CHECK(RbacOf(deny).shadow_rules->action == Rbac::Action::kLog);
  CHECK(RbacOf(deny).shadow_rules_stat_prefix == "s_");
}

TEST_CASE("policies in byte order, named and placed by their keys") {
  Dumps dumps = ReadOne(ListenerDump(RbacFilterText(R"("rules": {"policies": {
    "ns[a]-policy[p]-rule[2]": {"permissions": [{"any": true}], "principals": [{"any": true}]},
    "ns[a]-policy[p]-rule[10]": {"permissions": [{"any": true}], "principals": [{"any": true}],
      "condition": {"call_expr": {}}}}})")));
  const auto& policies = RbacOf(dumps).rules->policies;
  REQUIRE(policies.size() == 2);
  CHECK(policies[0]->name == "ns[a]-policy[p]-rule[10]");
  CHECK(policies[0]->has_condition);
  CHECK(policies[0]->origin.rule == 10);
  REQUIRE(policies[0]->origin.object != nullptr);
  CHECK(ToString(*policies[0]->origin.object) == "AuthorizationPolicy/a/p");
  CHECK(policies[0]->origin.object == policies[1]->origin.object);
  CHECK(Locate(policies[1]->origin.span).line > 1);
  REQUIRE(dumps.proxies[0].opaque.size() == 1);
  CHECK(dumps.proxies[0].opaque[0].what == "CEL condition of ns[a]-policy[p]-rule[10]");
}

TEST_CASE("permissions and principals") {
  struct Row {
    const char* json;
    size_t index;  // of the alternative
  };
  const Row rows[] = {
      {R"({"any": true})", 0},
      {R"({"and_rules": {"rules": [{"any": true}]}})", 1},
      {R"({"andIds": {"ids": [{"any": true}]}})", 1},
      {R"({"or_ids": {"ids": [{"any": true}]}})", 2},
      {R"({"notRule": {"any": true}})", 3},
      {R"({"header": {"name": ":method", "exact_match": "GET"}})", 4},
      {R"({"url_path": {"path": {"prefix": "/x"}}})", 5},
      {R"({"uri_template": {"name": "t", "typed_config": {"@type": "x", "path_template": "/a/*"}}})",
       6},
      {R"({"directRemoteIp": {"addressPrefix": "10.0.0.0", "prefixLen": 8}})", 7},
      {R"({"source_ip": {"address_prefix": "::1", "prefix_len": 128}})", 7},
      {R"({"destination_port": 80})", 8},
      {R"({"destination_port_range": {"start": 80, "end": 90}})", 8},
      {R"({"requested_server_name": {"suffix": "x"}})", 9},
      {R"({"metadata": {"filter": "f", "path": [{"key": "k"}], "value": {"null_match": {}}}})", 10},
      {R"({"sourced_metadata": {"metadata_matcher": {"filter": "f", "path": [{"key": "k"}],
          "value": {"bool_match": true}}}})",
       10},
      {R"({"filter_state": {"key": "io.istio.peer_principal", "string_match": {"exact": "x"}}})",
       11},
      {R"({"authenticated": {}})", 12},
      {R"({"authenticated": {"name": "x"}})", 12},
      {R"({"matcher": {"name": "m", "typed_config": {"@type": "type.googleapis.com/x.Y"}}})", 14},
      {R"({"sourced_metadata": {"metadata_source": "ROUTE"}})", 14},
      {R"({"something_new": {}})", 14},
      {R"({"url_path": {"path": {"safe_regex": {"regex": "("}}}})", 14},
      {R"({})", 14},
  };
  for (const Row& row : rows) {
    CAPTURE(row.json);
    Dumps dumps = ReadOne(ListenerDump(
        RbacFilterText(R"("rules": {"policies": {"p": {"permissions": [)" + std::string(row.json) +
                       R"(], "principals": [{"any": true}]}}})")));
    CHECK(FirstPermission(dumps).match.index() == row.index);
    CHECK(dumps.proxies[0].opaque.empty() == (row.index != 14));
  }
}

TEST_CASE("a deprecated exact match without a pattern asks for presence") {
  std::string opaque;
  DumpReader reader;
  Dumps dumps = ReadOne(ListenerDump(
      RbacFilterText(R"("rules": {"policies": {"p": {"permissions": [{"header": {"name": "x",
      "exact_match": ""}}], "principals": [{"any": true}]}}})")));
  const auto& header = std::get<HeaderPredicate>(FirstPermission(dumps).match).header;
  CHECK(header.kind == HeaderMatcher::Kind::kPresent);
}

TEST_CASE("matcher trees") {
  Dumps dumps = ReadOne(ListenerDump(RbacFilterText(R"("matcher": {"matcher_list": {"matchers": [
    {"predicate": {"or_matcher": {"predicate": [
        {"single_predicate": {"input": {"name": "i", "typed_config": {"@type":
          "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
          "header_name": "x-team"}}, "value_match": {"exact": "a"}}},
        {"single_predicate": {"input": {"name": "i", "typed_config": {"@type":
          "type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput"}},
          "value_match": {"exact": "8080"}}}]}},
     "on_match": {"action": {"name": "a", "typed_config": {"@type":
        "type.googleapis.com/envoy.config.rbac.v3.Action", "name": "deny-a", "action": "DENY"}}}}]},
    "on_no_match": {"action": {"name": "b", "typed_config": {"@type":
        "type.googleapis.com/envoy.config.rbac.v3.Action", "name": "rest"}}}})")));
  const RbacFilter& filter = RbacOf(dumps);
  REQUIRE(filter.matcher != nullptr);
  REQUIRE(filter.matcher->fields.size() == 1);
  const auto& either = std::get<OrPredicate>(filter.matcher->fields[0].predicate.match);
  REQUIRE(either.any.size() == 2);
  CHECK(std::get<InputPredicate>(either.any[0].match).header == "x-team");
  CHECK(std::get<PortPredicate>(either.any[1].match).begin == 8080);
  CHECK(filter.matcher->fields[0].outcome.name == "deny-a");
  CHECK(filter.matcher->fields[0].outcome.action == Rbac::Action::kDeny);
  REQUIRE(filter.matcher->on_no_match);
  CHECK(filter.matcher->on_no_match->action == Rbac::Action::kAllow);
  CHECK(dumps.proxies[0].opaque.empty());
}

TEST_CASE("filters that decide nothing, filters that cannot be seen through, typed structs") {
  struct Row {
    const char* json;
    OpaqueFilter::Effect effect;
  };
  using Effect = OpaqueFilter::Effect;
  const Row rows[] = {
      {R"({"name": "envoy.filters.http.router", "typed_config": {"@type":
         "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}})",
       Effect::kPasses},
      {R"({"name": "istio.stats", "typed_config": {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
         "type_url": "type.googleapis.com/stats.PluginConfig", "value": {}}})",
       Effect::kPasses},
      {R"({"name": "f", "typed_config": {"@type":
         "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"}})",
       Effect::kPasses},
      {R"({"name": "f", "typed_config": {"@type":
         "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
         "abort": {"http_status": 500}}})",
       Effect::kUnknown},
      {R"({"name": "w", "typed_config": {"@type":
         "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": {"vm_config":
         {"code": {"local": {"inline_string": "envoy.wasm.stats"}}}}}})",
       Effect::kPasses},
      {R"({"name": "w", "typed_config": {"@type":
         "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm"}})",
       Effect::kUnknown},
      {R"({"name": "istio_authn", "typed_config": {"@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
         "type_url": "type.googleapis.com/istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig",
         "value": {}}})",
       Effect::kIstioAuthn},
      {R"({"name": "late", "config_discovery": {"type_urls": ["x"]}})", Effect::kUnknown},
      {R"({"name": "bare"})", Effect::kUnknown},
  };
  for (const Row& row : rows) {
    CAPTURE(row.json);
    Dumps dumps = ReadOne(ListenerDump(row.json));
    const auto& filter = std::get<OpaqueFilter>(ManagerOf(dumps).http_filters.at(0));
    CHECK(filter.effect == row.effect);
    CHECK(dumps.proxies[0].opaque.empty() == (row.effect != Effect::kUnknown));
  }
  // A typed struct may hold what is modelled.
  Dumps rbac = ReadOne(ListenerDump(R"({"name": "r", "typed_config": {"@type":
    "type.googleapis.com/xds.type.v3.TypedStruct", "type_url":
    "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "value": {"rules": {}}}})"));
  CHECK(RbacOf(rbac).rules);
  CHECK(RbacOf(rbac).name == "r");
}

TEST_CASE("discovered filters are found by name") {
  std::string listener = ListenerDump(R"({"name": "late", "config_discovery": {}})");
  std::string ecds =
      R"({"@type": "type.googleapis.com/envoy.admin.v3.EcdsConfigDump", "ecds_filters": [
    {"ecds_filter": {"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
     "name": "late", "typed_config": {"@type":
     "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "rules": {"action": "DENY"}}}}]}, )";
  listener.insert(listener.find("[{") + 1, ecds);
  Dumps dumps = ReadOne(listener);
  CHECK(dumps.diagnostics.empty());
  REQUIRE(RbacOf(dumps).rules);
  CHECK(RbacOf(dumps).rules->action == Rbac::Action::kDeny);
}

TEST_CASE("overrides of routes") {
  Dumps dumps =
      ReadOne(ListenerDump(RbacFilterText(R"("rules": {})"), R"("route_config": {"name": "r",
    "virtual_hosts": [{"name": "h", "domains": ["*"],
      "typed_per_filter_config": {"envoy.filters.http.jwt_authn": {"@type":
        "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
        "requirement_name": "q"}},
      "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "c"},
        "typed_per_filter_config": {
          "envoy.filters.http.rbac": {"@type":
            "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute"},
          "other": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig",
            "disabled": true},
          "custom": {"@type": "type.googleapis.com/x.Custom"}}}]}]},)"));
  const auto& host = ManagerOf(dumps).routes->virtual_hosts.at(0);
  CHECK(host.overrides.at(0).kind == FilterOverride::Kind::kJwtRequirement);
  CHECK(host.overrides.at(0).requirement == "q");
  const auto& overrides = host.routes.at(0).overrides;
  REQUIRE(overrides.size() == 3);
  CHECK(overrides[0].kind == FilterOverride::Kind::kDisabled);
  CHECK(overrides[1].kind == FilterOverride::Kind::kDisabled);
  CHECK(overrides[2].kind == FilterOverride::Kind::kOpaque);
  REQUIRE(dumps.proxies[0].opaque.size() == 1);
  CHECK(dumps.proxies[0].opaque[0].what == "override of filter custom (x.Custom)");
}

TEST_CASE("states of listeners") {
  Dumps dumps = ReadOne(Section("ListenersConfigDump", R"("dynamic_listeners": [
    {"name": "a", "warming_state": {"listener": {"name": "a"}},
     "error_state": {"details": "bad regex", "last_update_attempt": "2026-01-01T00:00:00Z"}},
    {"name": "b", "active_state": {"listener": {"name": "b"}}, "draining_state": {"listener": {"name": "b"}}}])"));
  REQUIRE(dumps.proxies.size() == 1);
  CHECK(dumps.proxies[0].config->listeners.size() == 1);
  Json listing = ListProxy(dumps.proxies[0]);
  CHECK(WriteJson(*listing.Find("troubles")) ==
        R"(["rejected listener a","warming listener a","draining listener b"])");
  CHECK(dumps.proxies[0].troubles[0].details == "bad regex");
  Dumps masked = ReadOne(R"({"configs": [{"@type":
    "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.DynamicListener", "name": "a",
    "active_state": {"listener": {"name": "a"}}}]})");
  REQUIRE(masked.proxies.size() == 1);
  CHECK(masked.proxies[0].config->listeners.at(0).name == "a");
}

TEST_CASE("the parts that istioctl prints are joined, and lists of dumps are not") {
  DumpReader reader;
  reader.AddText("p/listeners.json", R"([{"name": "virtualInbound", "trafficDirection": "INBOUND",
    "filterChains": [{"filters": []}]}])");
  reader.AddText("p/routes.json", R"([{"name": "80", "virtualHosts": []}])");
  reader.AddText("p/clusters.yaml", "- name: c\n  connectTimeout: 1s\n  type: EDS\n");
  reader.AddText("p/bootstrap.json", R"({"bootstrap": {"node": {"id":
    "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local", "metadata": {"WORKLOAD_NAME": "web"}}}})");
  reader.AddText("q/listeners.json", R"([{"name": "0.0.0.0_80", "filterChains": []}])");
  auto identities = reader.Identities();
  REQUIRE(identities.size() == 2);
  CHECK(identities[0].ns == "shop");
  CHECK(identities[0].workload == "web");
  CHECK(identities[0].pod == "web-1");
  Dumps dumps = reader.Finish();
  CHECK(dumps.diagnostics.empty());
  REQUIRE(dumps.proxies.size() == 2);
  CHECK(dumps.proxies[0].config->listeners.size() == 1);
  CHECK(dumps.proxies[0].config->routes.size() == 1);
  CHECK(dumps.proxies[0].config->clusters == std::vector<std::string>{"c"});
  CHECK(dumps.proxies[0].config->clusters_known);
  CHECK(dumps.proxies[1].config->mode == ProxyMode::kGateway);
  CHECK_FALSE(dumps.proxies[1].config->clusters_known);

  std::string one = ListenerDump("");
  Dumps list =
      ReadOne(R"({"apiVersion": "v1", "kind": "List", "items": [)" + one + "," + one + "]}");
  CHECK(list.proxies.size() == 2);
  CHECK(ReadOne("[" + one + "," + one + "]").proxies.size() == 2);
  CHECK(ReadOne(one + "\n" + one).proxies.size() == 2);
}

TEST_CASE("what is no dump, or only a part of one, gets a message at its place") {
  struct Row {
    std::string text;
    const char* message;
    size_t proxies;
  };
  std::string whole = ListenerDump("");
  const Row rows[] = {
      {"", "empty", 0},
      {"{}", "nothing of a proxy's dump", 0},
      {"[]", "nothing of a proxy's dump", 0},
      {"[1, 2]", "nothing of a proxy's dump", 0},
      {"hello", "nothing of a proxy's dump", 0},
      {R"({"configs": []})", "nothing of a proxy's dump", 0},
      {R"({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.X"}]})", "envoy.admin.v3.X",
       0},
      {whole.substr(0, whole.size() / 2), "the text ends in the middle", 1},
      {whole.substr(0, whole.size() - 2), "the text ends in the middle", 1},
      {whole + "garbage", "neither an object nor a list", 1},
      {R"({"configs": [{"a" 1}]})", "`:` is missing", 0},
      {"apiVersion: v1\nkind: ConfigMap\n", "no part of a proxy's dump", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    Dumps dumps = ReadOne(row.text);
    CHECK(dumps.proxies.size() == row.proxies);
    REQUIRE_FALSE(dumps.diagnostics.empty());
    CHECK_MESSAGE(dumps.diagnostics[0].message.find(row.message) != std::string::npos,
                  dumps.diagnostics[0].message);
    CHECK(dumps.diagnostics[0].span);
  }
}

TEST_CASE("what a dump lost is not taken for what the proxy does not have") {
  const std::string outbound =
      R"({"name": "virtualOutbound", "active_state": {"listener": {"name": "virtualOutbound",
        "traffic_direction": "OUTBOUND"}}})";
  const std::string inbound =
      R"({"name": "virtualInbound", "active_state": {"listener": {"name": "virtualInbound",
        "traffic_direction": "INBOUND"}}})";
  auto lost = [](const Dumps& dumps) {
    REQUIRE(dumps.proxies.size() == 1);
    const auto& listeners = dumps.proxies[0].config->listeners;
    return !listeners.empty() && !listeners.back().opaque.empty();
  };
  auto listeners = [](const std::string& list) {
    return R"({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
      "bootstrap": {"node": {"id": "sidecar~10.0.0.1~web-1.shop~x"}}},
      {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [)" +
           list;
  };
  CHECK(lost(ReadOne(listeners(outbound + ", {\"name\": \"virtu"))));
  CHECK_FALSE(lost(ReadOne(listeners(outbound + "]}]}"))));
  // The one that takes everything is there.
  CHECK_FALSE(lost(ReadOne(listeners(inbound + ", {\"name\": \"virtu"))));
  CHECK(lost(
      ReadOne(listeners(outbound + R"(, {"name": "virtualInbound", "active_state": nul}]}]})"))));

  const std::string clusters = R"({"configs": [
    {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": [
      {"cluster": {"name": "a"}}, {"cluster": {"name": "b"}})";
  auto known = [](const Dumps& dumps) {
    REQUIRE(dumps.proxies.size() == 1);
    return dumps.proxies[0].config->clusters_known;
  };
  CHECK(known(ReadOne(clusters + "]}]}")));
  CHECK_FALSE(known(ReadOne(clusters + ", {")));
}

TEST_CASE("secrets, redacted and not") {
  Dumps dumps = ReadOne(Section("SecretsConfigDump", R"("dynamic_active_secrets": [
    {"name": "default", "secret": {"name": "default", "tls_certificate": {"certificate_chain":
      {"inline_bytes": "YWJj"}, "private_key": {"inline_bytes": "W3JlZGFjdGVkXQ=="}}}},
    {"name": "gone", "secret": {"tls_certificate": {"certificate_chain": {"inline_bytes": "W3JlZGFjdGVkXQ=="}}}}],
    "dynamic_warming_secrets": [{"name": "ROOTCA", "version_info": "uninitialized",
      "secret": {"name": "ROOTCA", "validation_context": {}}}])"));
  REQUIRE(dumps.proxies.size() == 1);
  const auto& secrets = dumps.proxies[0].secrets;
  REQUIRE(secrets.size() == 3);
  CHECK(secrets[0].pem == "abc");
  CHECK_FALSE(secrets[0].redacted);
  CHECK(secrets[1].redacted);
  CHECK(secrets[2].state == DumpSecret::State::kWarming);
}

// Every dump that others published is read completely: what stands in it, by hand.
TEST_CASE("published dumps") {
  const std::filesystem::path folder = SharedDirectory() / "golden" / "dumps";
  if (!std::filesystem::exists(folder)) {
    MESSAGE("no shared data: skipped");
    return;
  }
  const std::filesystem::path wanted =
      std::filesystem::path(MESHPROOF_ROOT) / "testdata" / "dumps-listed";
  for (const char* name :
       {"config_dump.json", "gateway-authz-listeners.json", "secrets.json", "ztunnel.json"}) {
    CAPTURE(name);
    Dumps dumps = ReadOne(ReadTestFile(folder / name), name);
    CHECK(dumps.diagnostics.empty());
    Json listed = Json::MakeArray();
    for (const auto& proxy : dumps.proxies) listed.Append(ListProxy(proxy));
    for (const auto& ztunnel : dumps.ztunnels) listed.Append(ListZtunnel(ztunnel));
    auto expected = ParseJson(ReadTestFile(wanted / name));
    if (!expected.ok()) {
      MESSAGE(WriteJson(listed, 1));
      FAIL_CHECK("no expectations");
      continue;
    }
    CHECK_MESSAGE(FirstDifference(expected.value(), listed) == "",
                  FirstDifference(expected.value(), listed));
  }
}

// Every entry of every list in a dump as a dump of its own, so that a mutation costs little.
void AddEntries(const std::string& text, std::vector<std::string>* seeds) {
  auto parsed = ParseJson(text);
  if (!parsed.ok()) return;
  auto wrap = [&](const Json& section, const std::pair<std::string, Json>& list) {
    for (const Json& entry : list.second.as_array()) {
      Json one = Json::MakeArray();
      one.Append(entry);
      Json part = Json::MakeObject();
      if (const Json* type = section.Find("@type")) part.Set("@type", *type);
      part.Set(list.first, std::move(one));
      Json configs = Json::MakeArray();
      configs.Append(std::move(part));
      std::string seed = WriteJson(Json::MakeObject({{"configs", std::move(configs)}}));
      if (seed.size() < 40000) seeds->push_back(std::move(seed));
    }
  };
  const Json& root = parsed.value();
  if (root.is_array()) {  // istioctl's listeners, routes, clusters
    for (const Json& entry : root.as_array()) seeds->push_back(WriteJson(entry));
    return;
  }
  const Json* configs = root.Find("configs");
  if (configs == nullptr) {
    if (text.size() < 100000) seeds->push_back(text);
    return;
  }
  for (const Json& section : configs->as_array()) {
    for (const auto& member : section.as_object()) {
      if (member.second.is_array()) wrap(section, member);
    }
  }
}

std::vector<std::string> GoldenEntries() {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  for (const fs::path& root :
       {fs::path(MESHPROOF_ROOT) / "testdata" / "dumps", SharedDirectory() / "golden" / "dumps"}) {
    if (!fs::exists(root)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      if (entry.path().extension() == ".json") files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> seeds;
  for (const fs::path& file : files) AddEntries(ReadTestFile(file), &seeds);
  // The recorded proxies have much in common.
  std::sort(seeds.begin(), seeds.end());
  seeds.erase(std::unique(seeds.begin(), seeds.end()), seeds.end());
  return seeds;
}

// Bytes changed, cut and doubled at random in every entry of the recorded dumps: whatever comes of
// it, nothing crashes. With MESHPROOF_MUTATIONS more than 10,000.
TEST_CASE("10,000 mutations of dumps") {
  std::vector<std::string> seeds = GoldenEntries();
  REQUIRE(seeds.size() > 100);
  MESSAGE(seeds.size() << " entries of dumps");
  const char* given = std::getenv("MESHPROOF_MUTATIONS");
  const int mutations = given != nullptr ? std::atoi(given) : 10000;
  uint64_t state = 1;
  auto next = [&state](size_t below) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<size_t>(state >> 33) % below;
  };
  constexpr char kBytes[] = "{}[]\",:\\ 0n-\n\xC3";
  size_t read = 0;
  for (int i = 0; i < mutations; ++i) {
    std::string text = seeds[static_cast<size_t>(i) % seeds.size()];
    for (size_t changes = 1 + next(4); changes > 0; --changes) {
      size_t at = next(text.size());
      switch (next(4)) {
        case 0:
          text[at] = kBytes[next(sizeof(kBytes) - 1)];
          break;
        case 1:
          text.erase(at, 1 + next(40));
          break;
        case 2:
          text.insert(at, text.substr(next(text.size()), next(60)));
          break;
        default:
          text.resize(at + 1);
      }
      if (text.empty()) text = "{";
    }
    Dumps dumps = ReadOne(text, i % 2 == 0 ? "x.json" : "x.yaml");
    for (const auto& proxy : dumps.proxies) read += ListProxy(proxy).as_object().size();
  }
  CHECK(read > 0);
}

}  // namespace
}  // namespace meshproof::read_dump_test

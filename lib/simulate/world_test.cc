// Questions over a whole mesh: how a case becomes a connection, and what several hops answer.

#include <doctest/doctest.h>

#include "base/text.h"
#include "mesh/mesh_testing.h"
#include "simulate/approach.h"
#include "simulate/case.h"
#include "simulate/simulate_testing.h"

namespace meshproof::world_test {
namespace {

using testing::Summary;
using Addresses = World::Addresses;

const std::string kMesh =
    NamespaceYaml("shop", "istio-injection: enabled") + NamespaceYaml("legacy") +
    NamespaceYaml("edge", "istio-injection: enabled") + DeploymentYaml("shop", "web") +
    DeploymentYaml("shop", "sleep") + DeploymentYaml("legacy", "old") +
    ServiceYaml("shop", "web", "{name: http, port: 80, targetPort: 8080}") +
    ServiceYaml("legacy", "old", "{name: http, port: 80, targetPort: 8080}");

const std::string kGateway =
    DeploymentYaml("edge", "gw", "istio: gw, sidecar.istio.io/inject: 'true'",
                   "inject.istio.io/templates: gateway") +
    ServiceYaml("edge", "gw", "{name: http, port: 80, targetPort: 8080}") +
    "---\napiVersion: networking.istio.io/v1\nkind: Gateway\n"
    "metadata: {name: g, namespace: edge}\n"
    "spec: {selector: {istio: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, "
    "hosts: ['*']}]}\n"
    "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n"
    "metadata: {name: v, namespace: shop}\n"
    "spec: {hosts: [a.com], gateways: [edge/g], http: [{match: [{uri: {prefix: /api/}}], "
    "rewrite: {uri: /}, route: [{destination: {host: web, port: {number: 80}}}]}]}\n";

std::string PolicyYaml(const std::string& ns, const std::string& name, const std::string& spec) {
  return "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: " +
         name + ", namespace: " + ns + "}\nspec: {" + spec + "}\n";
}

Case Ask(const std::string& from, const std::string& to, int port = 0) {
  Case question;
  if (from.empty()) {
    question.from_outside = true;
  } else {
    question.from_workload = from;
  }
  if (to.find('/') != std::string::npos) {
    question.to_workload = to;
  } else {
    question.to_host = to;
  }
  question.to_port = port;
  question.now = 1700000000;
  return question;
}

Verdict Run(const World& world, const Case& question, Addresses addresses = Addresses::kAssume,
            Detail detail = Detail::kVerdict) {
  auto verdict = world.Run(question, addresses, detail);
  REQUIRE_MESSAGE(verdict.ok(), (verdict.ok() ? "" : verdict.error().message));
  return verdict.value();
}

Approach PlanOne(const World& world, const Case& question,
                 Addresses addresses = Addresses::kAssume) {
  auto approaches = PlanApproaches(world.mesh(), question, addresses);
  REQUIRE(approaches.ok());
  REQUIRE(approaches.value().size() == 1);
  return approaches.value()[0];
}

constexpr const char* kAllowed = "allow 200 via_upstream -";
constexpr const char* kNoChain = "reject 0 filter_chain_not_found NR";
constexpr const char* kSleep = "spiffe://cluster.local/ns/shop/sa/sleep-sa";

}  // namespace

TEST_CASE("world: a way that was gone before answers the same") {
  const World world(MeshOf(kMesh + kGateway));
  std::vector<Case> questions;
  for (const char* to : {"shop/web", "web.shop", "edge/gw", "legacy/old"}) {
    for (const char* from : {"shop/sleep", "legacy/old", ""}) {
      for (const char* host : {"a.com", "b.com:8443", "web.shop"}) {
        Case question = Ask(from, to, to[0] == 'w' ? 80 : 8080);
        question.host = host;
        question.path = "/api/" + std::to_string(questions.size());
        if (questions.size() % 2 == 0) question.headers = {{"x-a", "1"}, {"x-b", "2"}};
        if (questions.size() % 3 == 0) question.method = "POST";
        if (questions.size() % 5 == 0) question.tokens.push_back({"t", "", "", "", {}});
        question.tls = questions.size() % 7 == 0 ? CaseTls::kPlaintext : CaseTls::kAuto;
        question.follow = questions.size() % 2 == 0;
        questions.push_back(std::move(question));
      }
    }
  }
  auto describe = [](const Verdict& verdict) {
    std::string text = Summary(verdict) + " " + verdict.forwarded_path + " " +
                       verdict.forwarded_authority + " " + Join(verdict.missing, ";");
    for (const auto& [name, value] : verdict.forwarded_headers) text += " " + name + "=" + value;
    for (const auto& step : verdict.steps) text += "\n" + step.text;
    for (const auto& hop : verdict.hops) text += "\n" + hop.workload + " " + hop.peer;
    return text;
  };
  for (int round = 0; round < 3; ++round) {
    for (const Case& question : questions) {
      const World fresh(MeshOf(kMesh + kGateway));
      for (Addresses addresses : {Addresses::kAssume, Addresses::kUnknown}) {
        CHECK(describe(Run(world, question, addresses, Detail::kTrace)) ==
              describe(Run(fresh, question, addresses, Detail::kTrace)));
      }
    }
  }
}

TEST_CASE("world: auto mTLS decides what the destination sees") {
  struct Row {
    const char* from;
    const char* mode;  // of the namespace
    const char* rule;  // trafficPolicy.tls of a DestinationRule; "" = none
    CaseTls tls;
    const char* peer;
    const char* answer;
  };
  const Row kRows[] = {
      {"shop/sleep", "", "", CaseTls::kAuto, kSleep, kAllowed},
      {"shop/sleep", "STRICT", "", CaseTls::kAuto, kSleep, kAllowed},
      {"shop/sleep", "DISABLE", "", CaseTls::kAuto, "", kAllowed},
      {"shop/sleep", "", "DISABLE", CaseTls::kAuto, "", kAllowed},
      {"shop/sleep", "STRICT", "DISABLE", CaseTls::kAuto, "", kNoChain},
      {"shop/sleep", "STRICT", "ISTIO_MUTUAL", CaseTls::kAuto, kSleep, kAllowed},
      {"shop/sleep", "DISABLE", "ISTIO_MUTUAL", CaseTls::kAuto, "", "reject 0  DPE"},
      {"shop/sleep", "STRICT", "SIMPLE", CaseTls::kAuto, "", "reject 0  -"},
      {"shop/sleep", "PERMISSIVE", "SIMPLE", CaseTls::kAuto, "", kNoChain},
      {"shop/sleep", "STRICT", "", CaseTls::kPlaintext, "", kNoChain},
      {"legacy/old", "", "", CaseTls::kAuto, "", kAllowed},
      {"legacy/old", "STRICT", "", CaseTls::kAuto, "", kNoChain},
      {"", "", "", CaseTls::kAuto, "", kAllowed},
      {"", "STRICT", "", CaseTls::kAuto, "", kNoChain},
  };
  int row_number = 0;
  for (const auto& row : kRows) {
    CAPTURE(row_number++);
    std::string yaml = kMesh;
    if (*row.mode != '\0') {
      yaml += PeerYaml("shop", "pa", "mtls: {mode: " + std::string(row.mode) + "}");
    }
    if (*row.rule != '\0') {
      yaml += RuleYaml("shop", "dr",
                       "host: web, trafficPolicy: {tls: {mode: " + std::string(row.rule) + "}}");
    }
    World world(MeshOf(yaml));
    Case question = Ask(row.from, "shop/web");
    question.tls = row.tls;
    Verdict verdict = Run(world, question, Addresses::kAssume, Detail::kTrace);
    CHECK(Summary(verdict) == row.answer);
    REQUIRE(verdict.hops.size() == 1);
    const Hop& hop = verdict.hops[0];
    CHECK(hop.peer == row.peer);
    CHECK(hop.destination_port == 8080);
    CHECK(hop.workload == "web");
    CHECK(hop.mode == ProxyMode::kSidecar);
  }
}

TEST_CASE("world: namespace DISABLE and workload STRICT shut the mesh's own clients out") {
  World world(MeshOf(kMesh + PeerYaml("shop", "ns", "mtls: {mode: DISABLE}") +
                     PeerYaml("shop", "web",
                              "selector: {matchLabels: {app: web}}, "
                              "mtls: {mode: STRICT}")));
  CHECK(Summary(Run(world, Ask("shop/sleep", "shop/web"))) == kNoChain);
}

TEST_CASE("world: the connection and request of a case") {
  World world(MeshOf(kMesh));
  Approach approach = PlanOne(world, Ask("shop/sleep", "web.shop", 80));
  const Connection& connection = approach.request.connection;
  CHECK(connection.tls == WireTls::kTls);
  CHECK(connection.sni == "outbound_.80_._.web.shop.svc.cluster.local");
  CHECK(connection.alpn == std::vector<std::string>{"istio-http/1.1", "istio", "http/1.1"});
  REQUIRE(connection.certificate.has_value());
  CHECK(connection.certificate->uri_sans == std::vector<std::string>{kSleep});
  CHECK(approach.request.authority == "web.shop.svc.cluster.local:80");
  CHECK(approach.request.method == "GET");
  CHECK(approach.caller_text == "shop/sleep");

  // A name of the caller's own namespace, an address, the workload itself: the same place.
  CHECK(PlanOne(world, Ask("shop/sleep", "web")).destination == approach.destination);
  CHECK(PlanOne(world, Ask("shop/sleep", "shop/web")).destination == approach.destination);

  // A port that no Service names is reached in plaintext.
  Approach direct = PlanOne(world, Ask("shop/sleep", "shop/web", 5555));
  CHECK(direct.request.connection.tls == WireTls::kPlaintext);
  CHECK(direct.request.connection.destination_port == 5555);

  Case grpc = Ask("shop/sleep", "web", 80);
  grpc.protocol = WireProtocol::kGrpc;
  CHECK(PlanOne(world, grpc).request.method == "POST");
  CHECK(PlanOne(world, grpc).request.connection.alpn ==
        std::vector<std::string>{"istio-h2", "istio", "h2"});
  CHECK(MeshAlpn(WireProtocol::kTcp) == std::vector<std::string>{"istio-peer-exchange", "istio"});

  Case tokens = Ask("shop/sleep", "web", 80);
  tokens.path = "/a?b=c";
  tokens.tokens = {{"t1", "", "", "", std::nullopt},
                   {"t2", "x-t", "", "", "T "},
                   {"t3", "", "q", "", std::nullopt},
                   {"t4", "", "", "ck", std::nullopt}};
  Approach with = PlanOne(world, tokens);
  CHECK(with.request.path == "/a?b=c&q=t3");
  CHECK(with.request.headers ==
        std::vector<std::pair<std::string, std::string>>{
            {"Authorization", "Bearer t1"}, {"x-t", "T t2"}, {"Cookie", "ck=t4"}});

  Case identity = Ask("", "shop/web");
  identity.from_identity = "cluster.local/ns/x/sa/y";
  Approach given = PlanOne(world, identity);
  CHECK(given.request.connection.certificate->uri_sans ==
        std::vector<std::string>{"spiffe://cluster.local/ns/x/sa/y"});
  CHECK(given.tls_text == "mTLS with the given identity");
}

TEST_CASE("world: what is not in the input is an error with the nearest name") {
  World world(MeshOf(kMesh));
  Case no_identity = Ask("", "shop/web");
  no_identity.tls = CaseTls::kMtls;
  Case several = Ask("shop/sleep", "shop/sleep");
  struct Row {
    Case question;
    const char* message;
  };
  const Row kRows[] = {
      {Ask("shop/slep", "shop/web"),
       "no workload \"shop/slep\" in the input; did you mean \"shop/sleep\"?"},
      {Ask("shop/sleep", "shop/wob"),
       "no workload \"shop/wob\" in the input; did you mean \"shop/web\"?"},
      {Ask("sleep", "shop/web"), "a workload is named as NAMESPACE/NAME, not \"sleep\""},
      {Ask("shop/sleep", "wex.shop"),
       "no Service \"wex.shop\" in the input; did you mean \"web.shop\"?"},
      {Ask("shop/sleep", "web.shop", 81),
       "Service web.shop.svc.cluster.local has no port 81; it has 80"},
      {several, "say which port of shop/sleep: no Service names one"},
      {no_identity,
       "mTLS needs an identity, and a caller outside the mesh has none; give one with --principal "
       "(meshtest: from.identity)"},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.message);
    auto verdict = world.Run(row.question, Addresses::kAssume, Detail::kVerdict);
    REQUIRE_FALSE(verdict.ok());
    CHECK(verdict.error().message == row.message);
  }
}

TEST_CASE("world: addresses that nobody states are assumed or unknown") {
  auto blocks = [](const std::string& field, const std::string& block) {
    return kMesh +
           PolicyYaml("shop", "p", "rules: [{from: [{source: {" + field + ": [" + block + "]}}]}]");
  };
  struct Row {
    const char* from;
    const char* block;
    Outcome assumed, unknown;
  };
  const Row kRows[] = {
      {"shop/sleep", "10.244.0.0/16", Outcome::kAllow, Outcome::kUndetermined},
      {"shop/sleep", "10.244.7.0/24", Outcome::kUndetermined, Outcome::kUndetermined},
      {"shop/sleep", "192.168.0.0/16", Outcome::kDeny, Outcome::kUndetermined},
      {"", "198.51.100.0/24", Outcome::kAllow, Outcome::kUndetermined},
      {"", "10.0.0.0/8", Outcome::kDeny, Outcome::kUndetermined},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.from);
    CAPTURE(row.block);
    World world(MeshOf(blocks("ipBlocks", row.block)));
    Case question = Ask(row.from, "shop/web");
    Verdict unknown = Run(world, question, Addresses::kUnknown);
    CHECK(Run(world, question, Addresses::kAssume).outcome == row.assumed);
    CHECK(unknown.outcome == row.unknown);
    CHECK(unknown.missing.empty() == (row.unknown != Outcome::kUndetermined));
    // A stated address settles it either way.
    question.from_ip = *ParseIpAddress("10.244.7.1");
    Outcome stated =
        ParseCidr(row.block)->Contains(*question.from_ip) ? Outcome::kAllow : Outcome::kDeny;
    for (Addresses addresses : {Addresses::kAssume, Addresses::kUnknown}) {
      CHECK(Run(world, question, addresses).outcome == stated);
    }
  }
  // The settings' ranges replace the default; of two nobody says which.
  MeshOptions options;
  options.pod_cidrs = {*ParseCidr("192.168.0.0/16")};
  World own(MeshOf(blocks("ipBlocks", "192.168.0.0/16"), options));
  CHECK(Run(own, Ask("shop/sleep", "shop/web")).outcome == Outcome::kAllow);
  options.pod_cidrs.push_back(*ParseCidr("172.16.0.0/12"));
  World two(MeshOf(blocks("ipBlocks", "192.168.0.0/16"), options));
  CHECK(Run(two, Ask("shop/sleep", "shop/web")).outcome == Outcome::kUndetermined);
}

TEST_CASE("world: a workload without a proxy takes whatever plaintext comes") {
  World world(MeshOf(kMesh + PolicyYaml("legacy", "none", "")));
  Verdict verdict = Run(world, Ask("shop/sleep", "legacy/old"), Addresses::kAssume, Detail::kTrace);
  CHECK(Summary(verdict) == "allow 200  -");
  REQUIRE(verdict.hops.size() == 1);
  CHECK(verdict.hops[0].mode == ProxyMode::kNone);
  Case mtls = Ask("shop/sleep", "legacy/old");
  mtls.tls = CaseTls::kMtls;
  CHECK(Summary(Run(world, mtls)) == "reject 0  -");
}

TEST_CASE("world: through a gateway to the workload") {
  auto ask = [](const std::string& policies, const char* path, bool follow = true) {
    World world(MeshOf(kMesh + kGateway + policies));
    Case question = Ask("", "edge/gw", 8080);
    question.host = "a.com";
    question.path = path;
    question.follow = follow;
    return Run(world, question, Addresses::kAssume, Detail::kTrace);
  };
  const std::string strict = PeerYaml("shop", "pa", "mtls: {mode: STRICT}");
  Verdict verdict = ask(strict, "/api/x");
  CHECK(Summary(verdict) == kAllowed);
  REQUIRE(verdict.hops.size() == 2);
  CHECK(verdict.hops[0].mode == ProxyMode::kGateway);
  CHECK(verdict.hops[0].peer == "");
  CHECK(verdict.hops[1].workload == "web");
  CHECK(verdict.hops[1].peer == "spiffe://cluster.local/ns/edge/sa/gw-sa");
  CHECK(verdict.hops[1].destination_port == 8080);
  int last_hop = 0;
  for (const Step& step : verdict.steps) {
    CHECK(step.hop >= last_hop);
    last_hop = step.hop;
  }
  CHECK(last_hop == 1);

  CHECK(ask(strict, "/api/x", false).hops.size() == 1);
  Verdict no_route = ask(strict, "/other");
  CHECK(Summary(no_route) == "allow 404 route_not_found NR");
  CHECK(no_route.hops[0].outcome == Outcome::kAllow);

  // The workload sees the path that the gateway rewrote.
  Verdict rewritten =
      ask(PolicyYaml("shop", "p", "action: DENY, rules: [{to: [{operation: {paths: [/x]}}]}]"),
          "/api/x");
  CHECK(Summary(rewritten) ==
        "deny 403 rbac_access_denied_matched_policy[ns[shop]-policy[p]-rule[0]] -");
  CHECK(rewritten.decided_hop == 1);
  CHECK(rewritten.hops.size() == 2);

  // Nor does the workload take the gateway for a caller that is not known.
  const auto blocked = [&](const char* block) {
    World open(MeshOf(kMesh + kGateway +
                      PolicyYaml("shop", "p",
                                 "action: DENY, rules: [{from: [{source: {remoteIpBlocks: [" +
                                     std::string(block) + "]}}]}]")));
    Case question = Ask("", "edge/gw", 8080);
    question.host = "a.com";
    question.path = "/api/x";
    question.follow = true;
    return Run(open, question, Addresses::kUnknown, Detail::kTrace).outcome;
  };
  CHECK(blocked("198.51.100.0/24") == Outcome::kUndetermined);
  CHECK(blocked("0.0.0.0/0") == Outcome::kUndetermined);  // IPv6 is as well possible

  // The first refusal decides.
  Verdict refused =
      ask(PolicyYaml("edge", "g", "action: DENY, rules: [{to: [{operation: {methods: [GET]}}]}]") +
              PolicyYaml("shop", "p", ""),
          "/api/x");
  CHECK(Summary(refused) ==
        "deny 403 rbac_access_denied_matched_policy[ns[edge]-policy[g]-rule[0]] -");
  CHECK(refused.decided_hop == 0);
  CHECK(refused.hops.size() == 1);

  // What the workload's proxy closes is the gateway's 503.
  Verdict closed = ask(strict + RuleYaml("shop", "dr",
                                         "host: web, trafficPolicy: {tls: {mode: "
                                         "DISABLE}}"),
                       "/api/x");
  CHECK(Summary(closed) ==
        "deny 503 upstream_reset_before_response_started{connection_termination} UC");
  REQUIRE(closed.hops.size() == 2);
  CHECK(closed.hops[1].outcome == Outcome::kReject);

  // The client's address at the workload is what the gateway wrote, its peer the gateway.
  Verdict forwarded = ask(
      PolicyYaml("shop", "p", "rules: [{from: [{source: {remoteIpBlocks: [198.51.100.0/24]}}]}]"),
      "/api/x");
  CHECK(forwarded.outcome == Outcome::kAllow);
  Verdict peer =
      ask(PolicyYaml("shop", "p", "rules: [{from: [{source: {ipBlocks: [198.51.100.0/24]}}]}]"),
          "/api/x");
  CHECK(Summary(peer) == "deny 403 rbac_access_denied_matched_policy[none] -");
  CHECK(peer.decided_hop == 1);
}

TEST_CASE("world: endpoints that differ leave the answer open") {
  const std::string two =
      kMesh +
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: both, namespace: shop}\n"
      "spec: {selector: {mesh: both}, ports: [{name: http, port: 80, targetPort: 8080}]}\n" +
      DeploymentYaml("shop", "one", "mesh: both") + DeploymentYaml("shop", "two", "mesh: both");
  World same(MeshOf(two));
  CHECK(Summary(Run(same, Ask("shop/sleep", "both.shop"))) == kAllowed);
  World differ(MeshOf(two + PolicyYaml("shop", "p", "selector: {matchLabels: {app: two}}")));
  Verdict verdict = Run(differ, Ask("shop/sleep", "both.shop"));
  CHECK(verdict.outcome == Outcome::kUndetermined);
  CHECK(verdict.status == 0);
  REQUIRE(verdict.missing.size() == 1);
  CHECK(verdict.missing[0] ==
        "the endpoints differ: shop/one answers allow 200, shop/two answers deny 403");
  // Asked by name each has its own answer.
  CHECK(Summary(Run(differ, Ask("shop/sleep", "shop/one"))) == kAllowed);
  CHECK(Summary(Run(differ, Ask("shop/sleep", "shop/two"))) ==
        "deny 403 rbac_access_denied_matched_policy[none] -");
  // Both refuse alike: that is an answer.
  World both(MeshOf(two + PolicyYaml("shop", "p", "")));
  CHECK(Run(both, Ask("shop/sleep", "both.shop")).status == 403);
}

TEST_CASE("world: an ambient workload is answered for by ztunnel") {
  World world(MeshOf(kMesh + NamespaceYaml("amb", "istio.io/dataplane-mode: ambient") +
                     DeploymentYaml("amb", "z") +
                     ServiceYaml("amb", "z", "{name: http, port: 80, targetPort: 8080}")));
  Verdict verdict = Run(world, Ask("shop/sleep", "amb/z"), Addresses::kAssume, Detail::kTrace);
  CHECK(verdict.outcome == Outcome::kAllow);
  REQUIRE(verdict.hops.size() == 1);
  CHECK(verdict.hops[0].mode == ProxyMode::kAmbient);
  CHECK(verdict.hops[0].peer == kSleep);
}

TEST_CASE("world: why a connection comes in plaintext") {
  World world(MeshOf(kMesh + NamespaceYaml("amb", "istio.io/dataplane-mode: ambient") +
                     DeploymentYaml("amb", "z") + DeploymentYaml("amb", "peer")));
  struct Row {
    const char* from;
    const char* to;
    const char* identity;
    const char* says;
  };
  const Row rows[] = {
      {"amb/peer", "legacy/old", "", "(plaintext: legacy/old takes no HBONE)"},
      {"amb/peer", "amb/z", "", "(HBONE)"},
      {"legacy/old", "amb/z", "", "(plaintext: the caller has no proxy)"},
      {"", "amb/z", "", "(plaintext: the caller has no proxy)"},
      {"", "legacy/old", kSleep, "(plaintext: legacy/old has no proxy that would ask who calls)"},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.says));
    Case question = Ask(row.from, row.to, 8080);
    if (*row.identity != '\0') question.from_identity = row.identity;
    const Verdict verdict = Run(world, question, Addresses::kAssume, Detail::kTrace);
    REQUIRE_FALSE(verdict.steps.empty());
    CHECK_MESSAGE(verdict.steps.front().text.ends_with(row.says), verdict.steps.front().text);
  }
}

}  // namespace meshproof::world_test

// What a workload's sidecar makes of a connection, by mode, protocol of the port and what the
// client sends (istio-semantics section 4; envoy-facts section 4).

#include <doctest/doctest.h>

#include "mesh/mesh_testing.h"
#include "simulate/case.h"
#include "simulate/simulate_testing.h"

namespace meshproof::simulator_test {
namespace {

using testing::Get;
using testing::Summary;

const std::string kManifests =
    NamespaceYaml("a", "istio-injection: enabled") + DeploymentYaml("a", "w") +
    ServiceYaml("a", "w",
                "{name: http, port: 80, targetPort: 8080}, {name: tcp-raw, port: 9000}, "
                "{name: any, port: 7000}");

std::string Mode(const std::string& mode, const std::string& ports = "") {
  return PeerYaml("a", "pa",
                  "selector: {matchLabels: {app: w}}, mtls: {mode: " + mode + "}" +
                      (ports.empty() ? "" : ", portLevelMtls: {" + ports + "}"));
}

constexpr uint32_t kHttpPort = 8080;
constexpr uint32_t kTcpPort = 9000;
constexpr uint32_t kAutoPort = 7000;
constexpr uint32_t kPassthroughPort = 5555;

enum class Client { kPlain, kMesh, kMeshPlainAlpn, kTls, kForeign, kUntrusted };

ProxyRequest From(Client client, uint32_t port, WireProtocol protocol) {
  ProxyRequest request = Get();
  request.connection.destination_port = port;
  request.protocol = protocol;
  if (client == Client::kPlain) return request;
  if (client == Client::kTls) {
    request.connection.tls = WireTls::kTls;
    request.connection.alpn = {"http/1.1"};
    return request;
  }
  testing::UseMtls(&request, client == Client::kForeign ? "spiffe://other/ns/a/sa/b"
                                                        : "spiffe://cluster.local/ns/a/sa/b");
  if (client == Client::kUntrusted) request.connection.certificate->trusted = false;
  if (client == Client::kMeshPlainAlpn) request.connection.alpn = {"http/1.1"};
  if (protocol == WireProtocol::kTcp && client != Client::kMeshPlainAlpn) {
    request.connection.alpn = {"istio-peer-exchange", "istio"};
  }
  return request;
}

struct Sidecars {
  explicit Sidecars(const std::string& more) : world(MeshOf(kManifests + more)) {}
  Verdict Run(const ProxyRequest& request, Detail detail = Detail::kVerdict) const {
    return world.Proxy(Find(world.mesh(), "a", "w")).Run(request, detail);
  }
  World world;
};

constexpr const char* kHttp = "allow 200 via_upstream -";
constexpr const char* kBytes = "allow 200  -";  // an HTTP request in a connection passed on
constexpr const char* kTcp = "allow 0  -";
constexpr const char* kNoChain = "reject 0 filter_chain_not_found NR";
constexpr const char* kHandshake = "reject 0  -";
constexpr const char* kCodec = "reject 0  DPE";

}  // namespace

TEST_CASE("modes, ports and clients") {
  struct Row {
    const char* mode;
    Client client;
    const char* http;
    const char* tcp;
    const char* automatic;  // and ports that no Service names
  };
  const Row kRows[] = {
      {"STRICT", Client::kPlain, kNoChain, kNoChain, kNoChain},
      {"STRICT", Client::kMesh, kHttp, kTcp, kHttp},
      {"STRICT", Client::kMeshPlainAlpn, kHttp, kTcp, kBytes},
      {"STRICT", Client::kTls, kHandshake, kHandshake, kHandshake},
      {"STRICT", Client::kForeign, kHandshake, kHandshake, kHandshake},
      {"STRICT", Client::kUntrusted, kHandshake, kHandshake, kHandshake},
      {"PERMISSIVE", Client::kPlain, kHttp, kTcp, kHttp},
      {"PERMISSIVE", Client::kMesh, kHttp, kTcp, kHttp},
      {"PERMISSIVE", Client::kTls, kNoChain, kTcp, kBytes},
      {"PERMISSIVE", Client::kForeign, kHandshake, kHandshake, kHandshake},
      {"DISABLE", Client::kPlain, kHttp, kTcp, kHttp},
      {"DISABLE", Client::kMesh, kCodec, kHandshake, kHandshake},
      {"DISABLE", Client::kTls, kCodec, kTcp, kBytes},
  };
  for (const char* mode : {"STRICT", "PERMISSIVE", "DISABLE"}) {
    Sidecars sidecars(Mode(mode));
    for (const auto& row : kRows) {
      if (std::string(row.mode) != mode) continue;
      CAPTURE(row.mode);
      CAPTURE(static_cast<int>(row.client));
      auto answer = [&](uint32_t port, WireProtocol protocol) {
        return Summary(sidecars.Run(From(row.client, port, protocol)));
      };
      CHECK(answer(kHttpPort, WireProtocol::kHttp1) == row.http);
      CHECK(answer(kTcpPort, WireProtocol::kTcp) == row.tcp);
      CHECK(answer(kAutoPort, WireProtocol::kHttp1) == row.automatic);
      CHECK(answer(kPassthroughPort, WireProtocol::kHttp1) == row.automatic);
    }
  }
}

TEST_CASE("without a PeerAuthentication both are taken") {
  Sidecars sidecars("");
  CHECK(Summary(sidecars.Run(From(Client::kPlain, kHttpPort, WireProtocol::kHttp1))) == kHttp);
  CHECK(Summary(sidecars.Run(From(Client::kMesh, kHttpPort, WireProtocol::kHttp1))) == kHttp);
}

TEST_CASE("port-level modes") {
  Sidecars sidecars(Mode("STRICT", "8080: {mode: PERMISSIVE}, 7000: {mode: DISABLE}"));
  auto plain = [&](uint32_t port, WireProtocol protocol) {
    return Summary(sidecars.Run(From(Client::kPlain, port, protocol)));
  };
  CHECK(plain(kHttpPort, WireProtocol::kHttp1) == kHttp);
  CHECK(plain(kAutoPort, WireProtocol::kHttp1) == kHttp);
  CHECK(plain(kTcpPort, WireProtocol::kTcp) == kNoChain);
  CHECK(plain(kPassthroughPort, WireProtocol::kHttp1) == kNoChain);
  CHECK(Summary(sidecars.Run(From(Client::kMesh, kAutoPort, WireProtocol::kHttp1))) == kHandshake);
}

TEST_CASE("a refusal of the transport names the PeerAuthentication") {
  Sidecars sidecars(Mode("STRICT"));
  for (Client client : {Client::kPlain, Client::kTls}) {
    Verdict verdict = sidecars.Run(From(client, kHttpPort, WireProtocol::kHttp1), Detail::kTrace);
    CHECK(verdict.stage == Stage::kMtls);
    REQUIRE(verdict.decided_by.object != nullptr);
    CHECK(verdict.decided_by.object->name == "pa");
    REQUIRE_FALSE(verdict.steps.empty());
    CHECK(verdict.steps.back().result == Step::Result::kRefuse);
  }
}

TEST_CASE("on an automatic port the client's ALPN decides what rules see") {
  // An HTTP rule: where the connection is taken as bytes the rule's ALLOW admits nobody.
  Sidecars sidecars(Mode("STRICT") +
                    "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
                    "metadata: {name: p, namespace: a}\n"
                    "spec: {rules: [{to: [{operation: {methods: [GET]}}]}]}\n");
  auto answer = [&](Client client, uint32_t port) {
    return Summary(sidecars.Run(From(client, port, WireProtocol::kHttp1)));
  };
  CHECK(answer(Client::kMesh, kAutoPort) == kHttp);
  CHECK(answer(Client::kMeshPlainAlpn, kAutoPort) ==
        "reject 0 rbac_access_denied_matched_policy[none] -");
  CHECK(answer(Client::kMeshPlainAlpn, kHttpPort) == kHttp);
}

TEST_CASE("identities exist only where mTLS was terminated") {
  const std::string policy =
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
      "metadata: {name: p, namespace: a}\n"
      "spec: {action: DENY, rules: [{from: [{source: {notPrincipals: [x/y]}}]}]}\n";
  const std::string own =
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n"
      "metadata: {name: p, namespace: a}\n"
      "spec: {action: DENY, rules: [{from: [{source: {principals: "
      "[cluster.local/ns/a/sa/b]}}]}]}\n";
  const std::string id = "ns[a]-policy[p]-rule[0]] -";
  Sidecars negated(policy);
  Sidecars named(own);
  const ProxyRequest plain = From(Client::kPlain, kHttpPort, WireProtocol::kHttp1);
  const ProxyRequest mesh = From(Client::kMesh, kHttpPort, WireProtocol::kHttp1);
  CHECK(Summary(negated.Run(plain)) == "deny 403 rbac_access_denied_matched_policy[" + id);
  CHECK(Summary(named.Run(plain)) == kHttp);
  CHECK(Summary(named.Run(mesh)) == "deny 403 rbac_access_denied_matched_policy[" + id);
  Verdict verdict = named.Run(mesh);
  REQUIRE(verdict.decided_by.object != nullptr);
  CHECK(verdict.decided_by.object->kind == "AuthorizationPolicy");
  CHECK(verdict.decided_by.rule == 0);
}

TEST_CASE("the port of the proxy itself is black-holed") {
  Sidecars sidecars("");
  CHECK(sidecars.Run(From(Client::kPlain, 15006, WireProtocol::kHttp1)).outcome ==
        Outcome::kReject);
}

TEST_CASE("listeners are chosen by port and address") {
  auto proxy = testing::Sidecar({testing::HttpChain(testing::Manager({}))});
  proxy->mode = ProxyMode::kGateway;
  Listener& listener = proxy->listeners[0];
  listener.name = "0.0.0.0_8080";
  listener.original_dst = false;
  listener.port = 8080;
  CHECK(Summary(testing::RunOn(proxy, Get())) == kHttp);
  ProxyRequest elsewhere = Get();
  elsewhere.connection.destination_port = 8081;
  CHECK(testing::RunOn(proxy, elsewhere).outcome == Outcome::kReject);
  // An exact address beats the wildcard.
  Listener exact = listener;
  exact.name = "10.0.0.5_8080";
  exact.address = "10.0.0.5";
  exact.filter_chains = {
      testing::HttpChain(testing::Manager({testing::Enforce(Rbac::Action::kAllow, {})}))};
  proxy->listeners.push_back(exact);
  CHECK(testing::RunOn(proxy, Get()).status == 403);
  ProxyRequest other = Get();
  other.connection.destination = testing::Ip("10.0.0.6");
  CHECK(testing::RunOn(proxy, other).status == 200);
}

TEST_CASE("what Envoy would not load and what cannot be seen through") {
  auto proxy = testing::Sidecar({testing::HttpChain(testing::Manager({}))});
  proxy->load_failures = {{"virtualInbound", "bad matcher", {}}};
  Verdict verdict = testing::RunOn(proxy, Get());
  CHECK(Summary(verdict) == "undetermined 0  -");
  REQUIRE(verdict.missing.size() == 1);
  CHECK(verdict.missing[0] == "Envoy refuses listener virtualInbound: bad matcher");
  proxy->load_failures[0].listener = "another";
  CHECK(Summary(testing::RunOn(proxy, Get())) == kHttp);

  ObjectMeta filter;
  filter.kind = "EnvoyFilter";
  filter.ns = "a";
  filter.name = "lua";
  proxy->unmodelled = {&filter};
  verdict = testing::RunOn(proxy, Get());
  CHECK(Summary(verdict) == "undetermined 0  -");
  REQUIRE(verdict.missing.size() == 1);
  CHECK(verdict.missing[0].find("lua") != std::string::npos);
}

TEST_CASE("many open questions end, and end undetermined") {
  std::vector<std::shared_ptr<const RbacPolicy>> policies;
  for (int i = 10; i < 40; ++i) {
    policies.push_back(testing::Policy("p" + std::to_string(i),
                                       testing::Make(OpaquePredicate{"c" + std::to_string(i)})));
  }
  const RbacFilter filter = testing::Enforce(Rbac::Action::kDeny, policies);
  Verdict verdict = testing::RunFilters({filter}, Get());
  CHECK(Summary(verdict) == "undetermined 0  -");
  CHECK(verdict.missing.size() == 30);
  // The same with the verdict of a trace.
  CHECK(Summary(testing::RunFilters({filter}, Get(), Detail::kTrace)) == "undetermined 0  -");
}

}  // namespace meshproof::simulator_test

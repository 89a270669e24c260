// What istiod made of recorded meshes against the snapshot: proxy modes, the ports that got chains
// of their own and their protocols, the TLS mode of each, the policies that reached the proxy.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <sstream>

#include "base/json.h"
#include "mesh/mesh_testing.h"

namespace meshproof::recorded_test {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

const Json* At(const Json* value, std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) value = value ? value->Find(key) : nullptr;
  return value;
}

std::string Str(const Json* value) {
  return value && value->is_string() ? value->as_string() : "";
}

struct Chains {
  bool raw = false, tls = false, terminated = false, http = false, tcp = false;
};

std::map<int, Chains> OwnChains(const Json& listener) {
  std::map<int, Chains> out;
  const Json* chains = listener.Find("filter_chains");
  for (const Json& chain : chains->as_array()) {
    const std::string name = Str(chain.Find("name"));
    const Json* port = At(&chain, {"filter_chain_match", "destination_port"});
    if (!port || name.starts_with("virtualInbound")) continue;
    Chains& own = out[static_cast<int>(port->as_integer())];
    const std::string transport = Str(At(&chain, {"filter_chain_match", "transport_protocol"}));
    own.raw |= transport == "raw_buffer";
    own.tls |= transport == "tls";
    own.terminated |= chain.Find("tls") != nullptr;
    bool http = false;
    for (const Json& filter : chain.Find("filters")->as_array()) {
      http |= Str(filter.Find("name")) == "envoy.filters.network.http_connection_manager";
    }
    (http ? own.http : own.tcp) = true;
  }
  return out;
}

MtlsMode ModeOf(const Chains& chains) {
  if (!chains.terminated) return MtlsMode::kDisable;
  return chains.raw ? MtlsMode::kPermissive : MtlsMode::kStrict;
}

// The policies "ns/name" that any RBAC filter names.
void CollectPolicies(const Json& value, std::set<std::string>* out) {
  if (value.is_object()) {
    for (const auto& [key, child] : value.as_object()) {
      const size_t begin = key.find("ns[");
      const size_t middle = key.find("]-policy[");
      const size_t end = key.find("]-rule[");
      if (begin != std::string::npos && middle != std::string::npos && end != std::string::npos) {
        out->insert(key.substr(begin + 3, middle - begin - 3) + "/" +
                    key.substr(middle + 9, end - middle - 9));
      }
      CollectPolicies(child, out);
    }
  } else if (value.is_array()) {
    for (const Json& child : value.as_array()) CollectPolicies(child, out);
  }
}

std::set<std::string> Reaching(const PolicySet& policies) {
  std::set<std::string> out;
  for (const auto* list : {&policies.custom, &policies.audit, &policies.deny, &policies.allow}) {
    for (const AuthorizationPolicy* policy : *list) {
      out.insert(policy->meta.ns + "/" + std::string(policy->meta.name));
    }
  }
  return out;
}

void CheckProxy(const Mesh& mesh, const Json& proxy) {
  const Workload& workload = Find(mesh, Str(proxy.Find("namespace")), Str(proxy.Find("workload")));
  CHECK(ToString(workload.mode) == Str(proxy.Find("mode")));
  std::set<int> listen_ports;
  for (const Json& listener : proxy.Find("listeners")->as_array()) {
    if (Str(listener.Find("name")) != "virtualInbound") {
      const Json* port = At(&listener, {"address", "socket_address", "port_value"});
      if (port) listen_ports.insert(static_cast<int>(port->as_integer()));
      continue;
    }
    std::map<int, Chains> chains = OwnChains(listener);
    const EffectiveMtls mtls = mesh.MtlsFor(workload);
    std::set<int> expected, got;
    for (const auto& [port, own] : chains) expected.insert(port);
    for (const InboundPort& port : mesh.InboundPorts(workload)) {
      got.insert(port.port);
      const Chains& own = chains[port.port];
      CHECK(mtls.ForPort(port.port).mode == ModeOf(own));
      CHECK(IsHttp(port.protocol) == (own.http && !own.tcp));
      CHECK((port.protocol == Protocol::kAuto) == (own.http && own.tcp));
    }
    CHECK(got == expected);
  }
  if (workload.mode == ProxyMode::kGateway) {
    std::set<int> got;
    for (const Mesh::BoundServer& bound : mesh.GatewayServersFor(workload)) {
      got.insert(bound.listen_port);
    }
    CHECK(got == listen_ports);
  }
  // Rules that istiod drops leave no trace, so what it names is among what reaches.
  std::set<std::string> named;
  CollectPolicies(proxy, &named);
  const std::set<std::string> reaching = Reaching(mesh.PoliciesFor(workload));
  for (const std::string& policy : named) {
    CAPTURE(policy);
    CHECK(reaching.count(policy) == 1);
  }
}

TEST_CASE("recorded meshes") {
  const fs::path root = fs::path(MESHPROOF_ROOT) / "testdata" / "istiod";
  size_t proxies = 0;
  for (const auto& scenario : fs::directory_iterator(root)) {
    if (!scenario.is_directory()) continue;
    Load load;
    load.files.push_back(ParseText("mesh.yaml", ReadFile(scenario.path() / "mesh.yaml")));
    auto mesh = Mesh::Build(DecodeModel(std::move(load), {}));
    for (const auto& file : fs::directory_iterator(scenario.path() / "config")) {
      const std::string place = file.path().string().substr(root.string().size());
      CAPTURE(place);
      if (file.path().filename() == "refused.json") continue;
      Result<Json> proxy = ParseJson(ReadFile(file.path()));
      REQUIRE(proxy.ok());
      if (!proxy.value().Find("listeners")) continue;
      CheckProxy(*mesh, proxy.value());
      ++proxies;
    }
  }
  CHECK(proxies >= 200);
}

// What sidecars and gateways do to their Services, from recorded dumps of their clusters.
void CheckCluster(const Mesh& mesh, const Workload& client, const Json& cluster, size_t* compared) {
  const std::string name = Str(cluster.Find("name"));
  if (!name.starts_with("outbound|")) return;
  const size_t second = name.find('|', 9);
  const size_t third = name.find('|', second + 1);
  const int port_number = std::stoi(name.substr(9, second - 9));
  const std::string subset = name.substr(second + 1, third - second - 1);
  const MeshService* service = mesh.FindService(name.substr(third + 1));
  if (!service) return;
  const MeshServicePort* port = service->FindPort(port_number);
  REQUIRE(port);
  std::string sni;
  const Json* matches = cluster.Find("transport_socket_matches");
  for (const Json& match : matches ? matches->as_array() : Json::Array{}) {
    if (Str(At(&match, {"match", "tlsMode"})) == "istio") {
      sni = Str(At(&match, {"transport_socket", "typed_config", "sni"}));
    }
  }
  for (size_t i : service->workloads) {
    const Workload& workload = mesh.workloads()[i];
    ClientTlsChoice choice = mesh.ChooseClientTls(client, *service, *port, subset, workload);
    const bool endpoint_speaks =
        workload.tls_mode_istio &&
        mesh.MtlsFor(workload).ForPort(mesh.TargetPort(*service, *port, workload)).mode !=
            MtlsMode::kDisable;
    CAPTURE(name);
    CHECK((choice.kind == ClientTlsChoice::Kind::kMeshMtls) == (!sni.empty() && endpoint_speaks));
    if (choice.kind == ClientTlsChoice::Kind::kMeshMtls) CHECK(choice.sni == sni);
    ++*compared;
  }
}

void VisitClusters(const Json& value, const std::function<void(const Json&)>& visit) {
  if (value.is_object()) {
    if (Str(value.Find("@type")) == "type.googleapis.com/envoy.config.cluster.v3.Cluster") {
      visit(value);
      return;
    }
    for (const auto& [key, child] : value.as_object()) VisitClusters(child, visit);
  } else if (value.is_array()) {
    for (const Json& child : value.as_array()) VisitClusters(child, visit);
  }
}

TEST_CASE("recorded clusters") {
  const char* shared = std::getenv("MESHPROOF_SHARED");
  const fs::path root = shared ? fs::path(shared) : fs::path(MESHPROOF_ROOT) / ".." / "shared";
  const fs::path dumps = root / "golden" / "dumps" / "istiod";
  if (!fs::is_directory(dumps)) {
    MESSAGE("skipped: no recorded dumps");
    return;
  }
  size_t compared = 0;
  for (const auto& dump : fs::directory_iterator(dumps)) {
    const std::string folder = dump.path().filename().string();
    CAPTURE(folder);
    const fs::path scenario = root / "golden" / "istiod" / folder.substr(0, 3);
    if (!fs::is_directory(scenario)) continue;
    Load load;
    load.files.push_back(ParseText("mesh.yaml", ReadFile(scenario / "mesh.yaml")));
    auto mesh = Mesh::Build(DecodeModel(std::move(load), {}));
    const size_t dot = folder.find('.');
    const Workload& client = Find(*mesh, folder.substr(4, dot - 4), folder.substr(dot + 1));
    Result<Json> config = ParseJson(ReadFile(dump.path() / "config_dump.json"));
    REQUIRE(config.ok());
    VisitClusters(config.value(),
                  [&](const Json& cluster) { CheckCluster(*mesh, client, cluster, &compared); });
  }
  CHECK(compared >= 50);
}

}  // namespace
}  // namespace meshproof::recorded_test

#include "analyze/drift_verdicts.h"

#include <memory>
#include <utility>
#include <variant>

#include "base/json.h"
#include "simulate/approach.h"

namespace meshproof {
namespace {

Case CaseOf(const ProxyRequest& request) {
  Case question;
  const Connection& connection = request.connection;
  question.tls = connection.tls == WireTls::kTls ? CaseTls::kMtls : CaseTls::kPlaintext;
  if (connection.certificate && !connection.certificate->uri_sans.empty()) {
    question.from_identity = connection.certificate->uri_sans.front();
  }
  if (const auto* ip = std::get_if<IpAddress>(&connection.source.value)) question.from_ip = *ip;
  if (const auto* ip = std::get_if<IpAddress>(&connection.destination.value)) {
    question.to_ip = *ip;
  }
  question.to_port = static_cast<int>(connection.destination_port);
  if (connection.service != nullptr) {
    question.to_host = connection.service->host;
    question.tls = CaseTls::kAuto;
    question.to_ip.reset();
  }
  question.protocol = request.protocol;
  question.method = request.method;
  question.path = request.path;
  question.host = request.authority;
  question.headers = request.headers;
  question.claims = request.claims;
  question.ext_authz = request.ext_authz;
  question.now = request.now;
  return question;
}

// At a waypoint connections come out of a tunnel and name the Service whose chain it is.
void SetWaypointTarget(const DriftComparison& comparison, const ChainPair& pair,
                       Connection* connection) {
  connection->hbone = true;
  for (const Listener& listener : comparison.expected->listeners) {
    if (!listener.waypoint) continue;
    for (const WaypointMatcher::Vip& vip : listener.waypoint->services) {
      for (const WaypointMatcher::Port& port : vip.ports) {
        const std::string& name = pair.expected.chain->name;
        if (name != port.http_chain && name != port.tcp_chain) continue;
        connection->service = vip.service;
        connection->destination_port = port.port;
        if (!vip.addresses.empty()) connection->destination = Address{vip.addresses.front()};
      }
    }
  }
}

}  // namespace

std::string VerdictText(const Verdict& verdict) {
  std::string text(ToString(verdict.outcome));
  if (verdict.status != 0) text += " " + std::to_string(verdict.status);
  return text;
}

std::string RequestText(const ProxyRequest& request) {
  std::string text = request.method + " " + request.path;
  if (request.authority && *request.authority != "x") text += " host " + *request.authority;
  text += " to port " + std::to_string(request.connection.destination_port);
  for (const auto& [name, value] : request.headers) text += ", " + name + ": " + value;
  if (request.connection.certificate && !request.connection.certificate->uri_sans.empty()) {
    text += ", as " + request.connection.certificate->uri_sans.front();
  } else {
    text += ", in plaintext";
  }
  if (const auto* ip = std::get_if<IpAddress>(&request.connection.source.value)) {
    text += ", from " + ToString(*ip);
  }
  if (request.claims) text += ", with claims " + WriteJson(*request.claims);
  return text;
}

bool EndsBeforeRules(const Verdict& verdict) {
  return verdict.outcome == Outcome::kReject &&
         (verdict.stage == Stage::kMtls || verdict.stage == Stage::kNone);
}

std::vector<ProxyRequest> SeedRequests(const DriftComparison& comparison, const ChainPair& pair) {
  ProxyRequest request;
  request.now = comparison.input.now;
  request.authority = "x";
  request.ext_authz = ExtAuthzAnswer::kAllow;
  uint32_t port = pair.got.chain->match.destination_port;
  if (comparison.expected->mode == ProxyMode::kGateway) {
    for (const Listener& listener : comparison.expected->listeners) {
      if (listener.name == pair.listener) port = listener.port;
    }
  }
  request.connection.destination_port = port != 0 ? port : 8080;
  request.connection.source = Address{*ParseIpAddress("198.51.100.77")};
  request.connection.destination = Address{*ParseIpAddress("10.244.0.1")};
  if (!comparison.workload.ips.empty())
    request.connection.destination = Address{comparison.workload.ips.front()};
  if (pair.got.manager == nullptr) request.protocol = WireProtocol::kTcp;
  ProxyRequest mesh = request;
  mesh.connection.tls = WireTls::kTls;
  mesh.connection.alpn = MeshAlpn(request.protocol);
  Certificate certificate;
  certificate.uri_sans = {"spiffe://" + comparison.expected->trust_domain +
                          "/ns/other/sa/stranger"};
  mesh.connection.certificate = certificate;
  if (comparison.expected->mode != ProxyMode::kWaypoint) return {mesh, request};
  mesh.connection.tls = WireTls::kPlaintext;
  mesh.connection.alpn.clear();
  SetWaypointTarget(comparison, pair, &mesh.connection);
  return {mesh};
}

std::optional<Witness> WitnessOf(const DriftComparison& comparison, const ProxyRequest& request,
                                 Outcome seen) {
  Case question = CaseOf(request);
  if (question.to_host.empty()) question.to_workload = comparison.who;
  // The mesh outlives this pass.
  const std::shared_ptr<const Mesh> mesh(std::shared_ptr<const Mesh>(), &comparison.input.mesh);
  const World world(mesh, {comparison.dump.config});
  auto verdict = world.Run(question, World::Addresses::kAssume, Detail::kTrace);
  if (!verdict.ok() || verdict.value().outcome != seen) return std::nullopt;
  return Witness{std::move(question), verdict.Take()};
}

}  // namespace meshproof

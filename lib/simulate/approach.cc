// Turns a question in the terms of a mesh ("sleep calls webapp") into the connection and request
// that the destination's proxy sees: whose certificate, which SNI and ALPN, from which address.
//
// An ambient caller's ztunnel goes through the destination's waypoint, if it has one, and speaks
// HBONE to whoever takes it; sidecars and gateways speak HBONE to ambient pods, and only gateways
// ever go through a waypoint, where the Service asks for it.
//
// Of the caller's own proxy only its TLS counts (istio-semantics section 5): what auto mTLS and
// DestinationRules choose for the Service and endpoint. A port that no Service names is reached
// through the caller's PassthroughCluster, in plaintext.

#include "simulate/approach.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "mesh/workload_name.h"

namespace meshproof {
namespace {

constexpr std::string_view kOutsideAddress = "198.51.100.77";
constexpr std::string_view kPodRange = "10.244.0.0/16";
constexpr std::string_view kServiceRange = "10.96.0.0/16";

struct Target {
  const Workload* workload = nullptr;    // null: outside the input, behind a waypoint
  const MeshService* service = nullptr;  // the Service that leads there; may be null
  const MeshServicePort* service_port = nullptr;
  int port = 0;  // the port that the workload listens on
};

std::vector<std::string> WorkloadNames(const Mesh& mesh) {
  std::vector<std::string> names;
  for (const auto& workload : mesh.workloads()) names.push_back(workload.ns + "/" + workload.name);
  return names;
}

std::vector<std::string> ServiceNames(const Mesh& mesh) {
  std::vector<std::string> names;
  for (const auto& service : mesh.services()) {
    names.push_back(service.host);
    if (service.kubernetes) names.push_back(service.name + "." + service.ns);
  }
  return names;
}

Error Unknown(std::string_view what, std::string_view name, const std::vector<std::string>& known) {
  std::string text = "no " + std::string(what) + " \"" + std::string(name) + "\" in the input";
  if (auto near = Nearest(name, known)) text += "; did you mean \"" + *near + "\"?";
  return Error{text};
}

Result<const Workload*> ResolveWorkload(const Mesh& mesh, std::string_view name) {
  size_t slash = name.find('/');
  if (slash == std::string_view::npos) {
    return Error{"a workload is named as NAMESPACE/NAME, not \"" + std::string(name) + "\""};
  }
  const Workload* workload = mesh.FindWorkload(name.substr(0, slash), name.substr(slash + 1));
  if (workload == nullptr) return Unknown("workload", name, WorkloadNames(mesh));
  return workload;
}

std::string PortList(const MeshService& service) {
  std::vector<std::string> ports;
  for (const auto& port : service.ports) ports.push_back(std::to_string(port.port));
  return Join(ports, ", ");
}

// The only port that makes sense where the question names none.
Result<int> DefaultPort(const Mesh& mesh, const Workload& workload) {
  if (workload.mode == ProxyMode::kGateway) {
    auto servers = mesh.GatewayServersFor(workload);
    if (!servers.empty()) return servers.front().listen_port;
  }
  auto inbound = mesh.InboundPorts(workload);
  if (inbound.size() == 1) return inbound.front().port;
  std::string name = workload.ns + "/" + workload.name;
  if (inbound.empty()) return Error{"say which port of " + name + ": no Service names one"};
  std::vector<std::string> ports;
  for (const auto& port : inbound) ports.push_back(std::to_string(port.port));
  return Error{"say which port of " + name + ": it has " + Join(ports, ", ")};
}

Result<std::vector<Target>> WorkloadTarget(const Mesh& mesh, const Case& question) {
  auto workload = ResolveWorkload(mesh, question.to_workload);
  if (!workload.ok()) return workload.error();
  Target target;
  target.workload = workload.value();
  target.port = question.to_port;
  if (target.port == 0) {
    auto port = DefaultPort(mesh, *target.workload);
    if (!port.ok()) return port.error();
    target.port = port.value();
  }
  if (auto service = mesh.ServiceForPort(*target.workload, target.port)) {
    target.service = service->first;
    target.service_port = service->second;
  }
  return std::vector<Target>{target};
}

Result<std::vector<Target>> ServiceTargets(const Mesh& mesh, const Case& question,
                                           const Workload* caller) {
  const std::string_view caller_namespace =
      caller != nullptr ? std::string_view(caller->ns) : std::string_view("default");
  const MeshService* service = mesh.ResolveHost(question.to_host, caller_namespace);
  if (service == nullptr) {
    if (auto address = ParseIpAddress(question.to_host)) {
      service = mesh.FindServiceByAddress(*address);
      if (const Workload* workload = mesh.FindWorkloadByAddress(*address);
          service == nullptr && workload != nullptr) {
        Case direct = question;
        direct.to_workload = workload->ns + "/" + workload->name;
        return WorkloadTarget(mesh, direct);
      }
    }
  }
  if (service == nullptr) return Unknown("Service", question.to_host, ServiceNames(mesh));
  int number = question.to_port;
  if (number == 0) number = service->ports.size() == 1 ? service->ports[0].port : 80;
  const MeshServicePort* port = service->FindPort(number);
  if (port == nullptr) {
    return Error{"Service " + service->host + " has no port " + std::to_string(number) +
                 "; it has " + PortList(*service)};
  }
  std::vector<Target> targets;
  for (size_t index : service->workloads) {
    const Workload& workload = mesh.workloads()[index];
    int target_port = mesh.TargetPort(*service, *port, workload);
    if (target_port == 0) continue;
    targets.push_back({&workload, service, port, target_port});
  }
  // What lies outside the mesh can still have a waypoint before it.
  const bool waypoint = targets.empty() && mesh.WaypointFor(*service).waypoint != nullptr;
  const bool ambient = caller != nullptr && caller->mode == ProxyMode::kAmbient;
  const bool unknown = caller == nullptr || caller->mode == ProxyMode::kNone;
  if (waypoint && (ambient || (unknown && question.from_identity))) {
    targets.push_back({nullptr, service, port, number});
  }
  if (targets.empty()) {
    return Error{"Service " + service->host + " leads to no workload of the input on port " +
                 std::to_string(number) +
                 (waypoint && unknown ? ", and its waypoint takes only callers with an identity: "
                                        "give one (can: --principal; meshtest: from.identity)"
                                      : "")};
  }
  return targets;
}

Certificate CertificateOf(std::string identity) {
  if (identity.find("://") == std::string::npos) identity = "spiffe://" + identity;
  Certificate certificate;
  certificate.uri_sans.push_back(std::move(identity));
  return certificate;
}

std::string MeshSni(const Target& target) {
  if (target.service == nullptr) return "";
  return "outbound_." + std::to_string(target.service_port->port) + "_._." + target.service->host;
}

// Whether every chain of this port of a gateway wants TLS.
bool GatewayPortWantsTls(const Mesh& mesh, const Workload& gateway, int port) {
  bool any = false;
  for (const auto& bound : mesh.GatewayServersFor(gateway)) {
    if (bound.listen_port != port) continue;
    if (!bound.server->tls) return false;
    any = true;
  }
  return any;
}

std::string_view HostWithoutPort(std::string_view host) {
  size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || host.ends_with(']')) return host;
  return host.substr(0, colon);
}

std::vector<std::string> PlainAlpn(WireProtocol protocol) {
  switch (protocol) {
    case WireProtocol::kHttp2:
    case WireProtocol::kGrpc:
      return {"h2"};
    case WireProtocol::kHttp1:
    case WireProtocol::kHttp10:
      return {"http/1.1"};
    case WireProtocol::kTcp:
      return {};
  }
  return {};
}

// Whether the way is an HBONE tunnel; then it is filled in.
bool UseTunnel(const Mesh& mesh, const Target& target, const std::string& identity,
               Approach* approach) {
  const Workload* caller = approach->caller;
  if (identity.empty()) return false;
  // Who has an identity and is not known to have a proxy shows it as the workload takes it.
  const bool sends =
      caller == nullptr || caller->mode == ProxyMode::kNone
          ? target.workload->mode == ProxyMode::kAmbient
          : SendsHbone(mesh, *caller, target.service, target.service_port, *target.workload);
  if (!sends) return false;
  Connection& connection = approach->request.connection;
  connection.hbone = true;
  connection.certificate = CertificateOf(identity);
  approach->tls_text = "HBONE";
  return true;
}

// Why nothing secures the way of a caller whose own Envoy does not.
std::string PlaintextText(const Workload* caller, const Workload& destination,
                          const std::string& identity) {
  const std::string name = destination.ns + "/" + destination.name;
  if (caller != nullptr && caller->mode != ProxyMode::kNone) {
    return "plaintext: " + name + " takes no HBONE";
  }
  if (!identity.empty()) return "plaintext: " + name + " has no proxy that would ask who calls";
  return "plaintext: the caller has no proxy";
}

// Fills in how the connection is secured and says why.
Result<bool> ChooseTls(const Mesh& mesh, const Case& question, const Target& target,
                       const std::string& identity, Approach* approach) {
  Connection& connection = approach->request.connection;
  const Workload* caller = approach->caller;
  bool to_gateway = target.workload->mode == ProxyMode::kGateway;
  auto mesh_mtls = [&](std::string sni) {
    connection.tls = WireTls::kTls;
    connection.certificate = CertificateOf(identity);
    connection.sni = question.sni.value_or(std::move(sni));
    connection.alpn = MeshAlpn(question.protocol);
  };
  auto edge_tls = [&](bool with_certificate) {
    connection.tls = WireTls::kTls;
    if (with_certificate) connection.certificate = CertificateOf(identity);
    connection.sni = question.sni.value_or("");
    approach->sni_is_host = !question.sni;
    connection.alpn = PlainAlpn(question.protocol);
  };
  switch (question.tls) {
    case CaseTls::kPlaintext:
      approach->tls_text = "plaintext, as asked";
      return true;
    case CaseTls::kMtls:
      if (UseTunnel(mesh, target, identity, approach)) return true;
      if (identity.empty()) {
        return Error{"mTLS needs an identity, and " + approach->caller_text +
                     " has none; give one with --principal (meshtest: from.identity)"};
      }
      approach->tls_text = "mTLS, as asked";
      if (to_gateway) {
        edge_tls(true);
      } else {
        mesh_mtls(MeshSni(target));
      }
      return true;
    case CaseTls::kAuto:
      if (UseTunnel(mesh, target, identity, approach)) return true;
      break;
  }
  bool caller_has_proxy = caller != nullptr && (caller->mode == ProxyMode::kSidecar ||
                                                caller->mode == ProxyMode::kGateway);
  if (caller_has_proxy && target.service != nullptr) {
    ClientTlsChoice choice =
        mesh.ChooseClientTls(*caller, *target.service, *target.service_port, "", *target.workload);
    approach->tls_text = choice.reason;
    switch (choice.kind) {
      case ClientTlsChoice::Kind::kPlaintext:
        return true;
      case ClientTlsChoice::Kind::kMeshMtls:
        mesh_mtls(choice.sni.empty() ? MeshSni(target) : choice.sni);
        return true;
      case ClientTlsChoice::Kind::kSimple:
      case ClientTlsChoice::Kind::kMutual:
        connection.tls = WireTls::kTls;
        connection.sni = question.sni.value_or(choice.sni);
        if (choice.kind == ClientTlsChoice::Kind::kMutual) {
          approach->unknown_certificate = choice.rule;
        }
        return true;
    }
  }
  if (to_gateway) {
    if (GatewayPortWantsTls(mesh, *target.workload, target.port)) {
      edge_tls(!identity.empty());
      approach->tls_text = "TLS, as the Gateway server wants it";
    } else {
      approach->tls_text = "plaintext, as the Gateway server wants it";
    }
    return true;
  }
  if (caller_has_proxy) {
    approach->tls_text = "plaintext: no Service has this port, so the caller's proxy passes it on";
  } else if (!identity.empty() && target.workload->mode == ProxyMode::kSidecar) {
    mesh_mtls(MeshSni(target));
    approach->tls_text = "mTLS with the given identity";
  } else {
    approach->tls_text = PlaintextText(caller, *target.workload, identity);
  }
  return true;
}

std::string DefaultAuthority(const Case& question, const Target& target) {
  int port = question.to_port != 0 ? question.to_port : target.port;
  if (target.service != nullptr) return target.service->host + ":" + std::to_string(port);
  std::string ip = question.to_ip                  ? ToString(*question.to_ip)
                   : !target.workload->ips.empty() ? ToString(target.workload->ips.front())
                                                   : "10.244.0.1";
  return ip + ":" + std::to_string(port);
}

void AddTokens(const Case& question, ProxyRequest* request) {
  for (const auto& token : question.tokens) {
    if (!token.param.empty()) {
      request->path += request->path.find('?') == std::string::npos ? '?' : '&';
      request->path += token.param + "=" + token.text;
    } else if (!token.cookie.empty()) {
      request->headers.emplace_back("Cookie", token.cookie + "=" + token.text);
    } else if (!token.header.empty()) {
      request->headers.emplace_back(token.header, token.prefix.value_or("") + token.text);
    } else {
      request->headers.emplace_back("Authorization", token.prefix.value_or("Bearer ") + token.text);
    }
  }
}

// Through the waypoint: its proxy sees the caller's identity and the address that is meant.
void GoThrough(const Mesh& mesh, const Case& question, World::Addresses addresses,
               const Waypoint& waypoint, const Target& target, bool by_service,
               const std::string& identity, Approach* approach) {
  approach->waypoint = &waypoint;
  approach->destination = waypoint.workload;
  Connection& connection = approach->request.connection;
  connection.hbone = true;
  connection.certificate = CertificateOf(identity);
  approach->tls_text = "HBONE through waypoint " + NameOf(waypoint);
  if (by_service) {
    connection.service = target.service;
    connection.destination_port = static_cast<uint32_t>(target.service_port->port);
    connection.destination =
        question.to_ip ? Address{*question.to_ip} : AddressOf(mesh, *target.service, addresses);
  } else {
    approach->behind = target.workload;
  }
}

// Who has an identity and is not known to have a proxy goes where ambient callers go.
const Waypoint* FirstWaypoint(const Mesh& mesh, const Workload* caller, const MeshService* service,
                              const Workload* destination) {
  if (caller != nullptr && caller->mode != ProxyMode::kNone) {
    return WaypointOnTheWay(mesh, *caller, service, destination);
  }
  if (destination != nullptr && destination->mode != ProxyMode::kAmbient) return nullptr;
  if (service != nullptr) return mesh.WaypointFor(*service).waypoint;
  return destination != nullptr ? mesh.WaypointFor(*destination).waypoint : nullptr;
}

Result<Approach> Plan(const Mesh& mesh, const Case& question, World::Addresses addresses,
                      const Workload* caller, const Target& target) {
  Approach approach;
  approach.caller = caller;
  approach.destination = target.workload;
  approach.caller_text = caller == nullptr
                             ? "a caller outside the mesh"
                             : caller->ns + "/" + caller->name +
                                   (caller->mode == ProxyMode::kNone ? " (no sidecar)" : "");
  approach.host = DefaultAuthority(question, target);
  Connection& connection = approach.request.connection;
  connection.destination_port = static_cast<uint32_t>(target.port);
  if (question.to_ip) {
    connection.destination = Address{*question.to_ip};
  } else if (target.workload != nullptr) {
    connection.destination = AddressOf(mesh, *target.workload, addresses);
  }
  if (question.from_ip) {
    connection.source = Address{*question.from_ip};
  } else if (caller != nullptr) {
    connection.source = AddressOf(mesh, *caller, addresses);
  } else if (addresses == World::Addresses::kAssume) {
    connection.source = Address{*ParseIpAddress(kOutsideAddress)};
  }
  std::string identity =
      question.from_identity.value_or(caller != nullptr ? caller->identity : std::string());
  const bool by_service = question.to_workload.empty() && target.service != nullptr &&
                          (!target.service->headless || target.workload == nullptr);
  if (question.tls != CaseTls::kPlaintext && !identity.empty()) {
    const Waypoint* waypoint =
        FirstWaypoint(mesh, caller, by_service ? target.service : nullptr, target.workload);
    if (waypoint != nullptr) {
      GoThrough(mesh, question, addresses, *waypoint, target, by_service, identity, &approach);
      return approach;
    }
  }
  if (target.workload == nullptr) {
    return Error{"Service " + target.service->host + " leads to no workload of the input"};
  }
  auto chosen = ChooseTls(mesh, question, target, identity, &approach);
  if (!chosen.ok()) return chosen.error();
  return approach;
}

}  // namespace

std::vector<std::string> MeshAlpn(WireProtocol protocol) {
  switch (protocol) {
    case WireProtocol::kHttp1:
    case WireProtocol::kHttp10:
      return {"istio-http/1.1", "istio", "http/1.1"};
    case WireProtocol::kHttp2:
    case WireProtocol::kGrpc:
      return {"istio-h2", "istio", "h2"};
    case WireProtocol::kTcp:
      return {"istio-peer-exchange", "istio"};
  }
  return {};
}

bool SendsHbone(const Mesh& mesh, const Workload& caller, const MeshService* service,
                const MeshServicePort* port, const Workload& destination) {
  if (!mesh.TakesHbone(destination)) return false;
  switch (caller.mode) {
    case ProxyMode::kAmbient:
    case ProxyMode::kWaypoint:
      return true;
    case ProxyMode::kSidecar:
    case ProxyMode::kGateway: {
      // Endpoints that speak the mesh's own TLS are called so; others are unknown to the proxy.
      if (destination.mode != ProxyMode::kAmbient || service == nullptr || port == nullptr) {
        return false;
      }
      if (!mesh.AmbientEnabled() || !mesh.IsVisible(caller, *service)) return false;
      const ClientTlsChoice choice = mesh.ChooseClientTls(caller, *service, *port, "", destination);
      return choice.kind == ClientTlsChoice::Kind::kPlaintext ||
             choice.kind == ClientTlsChoice::Kind::kMeshMtls;
    }
    case ProxyMode::kNone:
      return false;
  }
  return false;
}

const Waypoint* WaypointOnTheWay(const Mesh& mesh, const Workload& caller,
                                 const MeshService* service, const Workload* destination) {
  if (caller.mode == ProxyMode::kAmbient) {
    if (service != nullptr) return mesh.WaypointFor(*service).waypoint;
    return destination != nullptr ? mesh.WaypointFor(*destination).waypoint : nullptr;
  }
  if (caller.mode != ProxyMode::kGateway || service == nullptr) return nullptr;
  if (!mesh.AmbientEnabled() || !mesh.IngressUsesWaypoint(*service)) return nullptr;
  return mesh.WaypointFor(*service).waypoint;
}

Address AddressOf(const Mesh& mesh, const MeshService& service, World::Addresses addresses) {
  if (!service.addresses.empty()) return Address{service.addresses.front()};
  if (addresses == World::Addresses::kUnknown) return Address{};
  const auto& ranges = mesh.options().service_cidrs;
  if (ranges.empty()) return Address{*ParseCidr(kServiceRange)};
  return ranges.size() == 1 ? Address{ranges.front()} : Address{};
}

Address AddressOf(const Mesh& mesh, const Workload& workload, World::Addresses addresses) {
  if (!workload.ips.empty()) return Address{workload.ips.front()};
  if (addresses == World::Addresses::kUnknown) return Address{};
  const auto& ranges = mesh.options().pod_cidrs;
  if (ranges.empty()) return Address{*ParseCidr(kPodRange)};
  // Of several ranges nobody says which one the pod has.
  return ranges.size() == 1 ? Address{ranges.front()} : Address{};
}

Result<std::vector<Approach>> PlanConnections(const Mesh& mesh, const Case& question,
                                              World::Addresses addresses) {
  const Workload* caller = nullptr;
  if (!question.from_workload.empty()) {
    auto found = ResolveWorkload(mesh, question.from_workload);
    if (!found.ok()) return found.error();
    caller = found.value();
  }
  auto targets = !question.to_workload.empty() ? WorkloadTarget(mesh, question)
                                               : ServiceTargets(mesh, question, caller);
  if (!targets.ok()) return targets.error();
  std::vector<Approach> approaches;
  for (const auto& target : targets.value()) {
    auto approach = Plan(mesh, question, addresses, caller, target);
    if (!approach.ok()) return approach.error();
    approaches.push_back(approach.Take());
    if (approaches.back().waypoint != nullptr) {
      if (approaches.back().destination == nullptr) {
        return Error{"the proxy of waypoint " + NameOf(*approaches.back().waypoint) +
                     " is not in the input"};
      }
      // One waypoint stands before all pods of a Service.
      if (approaches.back().behind == nullptr) break;
    }
  }
  return approaches;
}

void FillRequest(const Case& question, Approach* approach) {
  ProxyRequest& request = approach->request;
  request.protocol = question.protocol;
  if (question.method) {
    request.method = *question.method;
  } else {
    request.method = question.protocol == WireProtocol::kGrpc ? "POST" : "GET";
  }
  request.path = question.path;
  request.headers = question.headers;
  request.authority = question.host ? *question.host : approach->host;
  AddTokens(question, &request);
  request.claims = question.claims;
  request.ext_authz = question.ext_authz;
  request.ext_authz_by_provider = question.ext_authz_by_provider;
  request.now = question.now.value_or(0);
  if (approach->sni_is_host) request.connection.sni = HostWithoutPort(*request.authority);
}

Result<std::vector<Approach>> PlanApproaches(const Mesh& mesh, const Case& question,
                                             World::Addresses addresses) {
  auto approaches = PlanConnections(mesh, question, addresses);
  if (!approaches.ok()) return approaches;
  for (Approach& approach : approaches.value()) FillRequest(question, &approach);
  return approaches;
}

void AppendWay(const Case& question, std::string* key) {
  const auto add_number = [&](int number) {
    char bytes[sizeof(number)];
    std::memcpy(bytes, &number, sizeof(number));
    key->append(bytes, sizeof(number));
  };
  const auto add = [&](std::string_view text) {
    add_number(static_cast<int>(text.size()));
    *key += text;
  };
  const auto add_optional = [&](const auto& value, const auto& text_of) {
    add_number(value ? 1 : 0);
    if (value) add(text_of(*value));
  };
  const auto same = [](const std::string& text) -> const std::string& { return text; };
  const auto address = [](const IpAddress& ip) { return ToString(ip); };
  add_number(question.to_port);
  add_number(static_cast<int>(question.tls));
  add_number(static_cast<int>(question.protocol));
  add(question.from_workload);
  add(question.to_workload);
  add(question.to_host);
  add_optional(question.from_identity, same);
  add_optional(question.sni, same);
  add_optional(question.from_ip, address);
  add_optional(question.to_ip, address);
}

}  // namespace meshproof

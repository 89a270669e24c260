// What stands between the world and one workload, gathered from the mesh: nothing is compiled or
// simulated here. The order of policies is the proxy's: CUSTOM, AUDIT, DENY, ALLOW
// (istio-semantics section 1).

#include "report/description.h"

#include <algorithm>

#include "base/text.h"
#include "report/parts.h"

namespace meshproof {
namespace {

bool NamesToken(const AuthorizationPolicy::Rule& rule) {
  for (const auto& source : rule.from) {
    if (source.request_principals.present || source.not_request_principals.present) return true;
  }
  return std::any_of(rule.when.begin(), rule.when.end(), [](const auto& condition) {
    return condition.key.value.starts_with("request.auth.");
  });
}

bool AsksForToken(const Description& description) {
  return std::any_of(
      description.policies.begin(), description.policies.end(), [](const auto& entry) {
        return !entry.policy->dry_run && (entry.stage == "allow" || entry.stage == "deny") &&
               std::any_of(entry.policy->rules.begin(), entry.policy->rules.end(), NamesToken);
      });
}

void AddPolicies(const PolicySet& set, Description* out) {
  auto add = [&](std::string_view stage, const std::vector<const AuthorizationPolicy*>& policies) {
    for (const auto* policy : policies) out->policies.push_back({stage, policy});
  };
  add("custom", set.custom);
  add("audit", set.audit);
  add("deny", set.deny);
  add("allow", set.allow);
  for (const auto* authentication : set.request_authentications) {
    for (const auto& rule : authentication->jwt_rules) {
      Span span = rule.issuer.span ? rule.issuer.span : rule.span;
      out->jwt.push_back({std::string(rule.issuer.value), authentication, span});
    }
  }
}

void AddPorts(const Mesh& mesh, const Workload& workload, Description* out) {
  EffectiveMtls mtls = mesh.MtlsFor(workload);
  out->other_ports = mtls.workload;
  if (workload.mode == ProxyMode::kGateway) {
    for (const auto& bound : mesh.GatewayServersFor(workload)) {
      Description::Port port;
      port.port = bound.listen_port;
      port.protocol = std::string(bound.server->protocol.value);
      port.gateway = bound.gateway;
      port.service_port = bound.server->port;
      out->ports.push_back(std::move(port));
    }
  } else {
    for (const auto& inbound : mesh.InboundPorts(workload)) {
      Description::Port port;
      port.port = inbound.port;
      port.protocol = std::string(ToString(inbound.protocol));
      port.mtls = mtls.ForPort(inbound.port);
      port.service = inbound.service;
      port.service_port = inbound.service_port;
      out->ports.push_back(std::move(port));
    }
    for (const auto& [number, mode] : mtls.ports) {
      int declared = number;
      bool known = std::any_of(out->ports.begin(), out->ports.end(),
                               [&](const auto& port) { return port.port == declared; });
      if (known) continue;
      Description::Port port;
      port.port = number;
      port.protocol = std::string(ToString(Protocol::kTcp));
      port.mtls = mode;
      out->ports.push_back(std::move(port));
    }
  }
  std::stable_sort(out->ports.begin(), out->ports.end(),
                   [](const auto& a, const auto& b) { return a.port < b.port; });
}

std::string MatchText(const HttpMatch& match) {
  std::vector<std::string> parts;
  auto add = [&](std::string_view name, const StringMatch& value) {
    switch (value.kind) {
      case StringMatch::Kind::kNone:
        return;
      case StringMatch::Kind::kExact:
        parts.push_back(std::string(name) + " " + std::string(value.value.value));
        return;
      case StringMatch::Kind::kPrefix:
        parts.push_back(std::string(name) + " prefix " + std::string(value.value.value));
        return;
      case StringMatch::Kind::kRegex:
        parts.push_back(std::string(name) + " regex " + std::string(value.value.value));
        return;
    }
  };
  add("uri", match.uri);
  add("method", match.method);
  add("authority", match.authority);
  for (const auto& [name, value] : match.headers) {
    add("header " + std::string(name.value), value);
  }
  if (match.port != 0) parts.push_back("port " + std::to_string(match.port));
  return Join(parts, ", ");
}

std::string RouteText(const VirtualService& service, const HttpRoute& route) {
  std::vector<std::string> hosts;
  for (const auto& host : service.hosts.values) hosts.emplace_back(host.value);
  std::string text = Join(hosts, ", ");
  std::vector<std::string> matches;
  for (const auto& match : route.matches) {
    std::string one = MatchText(match);
    if (!one.empty()) matches.push_back(std::move(one));
  }
  if (!matches.empty()) text += ": " + Join(matches, " or ");
  return text;
}

bool LeadsTo(const Mesh& mesh, const Destination& destination, std::string_view ns,
             const Workload& workload) {
  const MeshService* service = mesh.ResolveHost(destination.host.value, ns);
  if (service == nullptr) return false;
  return std::any_of(service->workloads.begin(), service->workloads.end(),
                     [&](size_t index) { return &mesh.workloads()[index] == &workload; });
}

std::string DestinationText(const Destination& destination) {
  std::string text(destination.host.value);
  if (destination.port != 0) text += ":" + std::to_string(destination.port);
  if (!destination.subset.value.empty()) {
    text += " subset " + std::string(destination.subset.value);
  }
  return text;
}

// The routes of one VirtualService that lead to the workload, through `gateway` (null: sidecars).
void AddRoutes(const Mesh& mesh, const VirtualService& service, const Gateway* gateway,
               const Workload& workload, Description* out) {
  auto add = [&](const std::vector<RouteDestination>& destinations, std::string text,
                 const Span& span) {
    for (const auto& entry : destinations) {
      if (!LeadsTo(mesh, entry.destination, service.meta.ns, workload)) continue;
      out->routes.push_back(
          {gateway, &service, std::move(text), DestinationText(entry.destination), span});
      return;
    }
  };
  std::vector<std::string> hosts;
  for (const auto& host : service.hosts.values) hosts.emplace_back(host.value);
  for (const auto& route : service.http) add(route.routes, RouteText(service, route), route.span);
  for (const auto& route : service.tls) add(route.routes, Join(hosts, ", ") + ": tls", route.span);
  for (const auto& route : service.tcp) add(route.routes, Join(hosts, ", ") + ": tcp", route.span);
}

bool BoundToSidecars(const VirtualService& service) {
  if (service.gateways.empty()) return true;
  return std::any_of(service.gateways.values.begin(), service.gateways.values.end(),
                     [](const Text& gateway) { return gateway.value == "mesh"; });
}

// What ztunnel enforces in place of what a sidecar would.
void AddZtunnel(const Mesh& mesh, const Workload& workload, Description* out) {
  const ZtunnelConfig& config = *out->ztunnel;
  for (const auto& entry : out->ambient->ztunnel) {
    for (const auto& policy : mesh.model().authorization_policies) {
      if (&policy.meta == entry.policy->object) out->policies.push_back({entry.stage, &policy});
    }
  }
  const auto mode_of = [&](int port) {
    EffectiveMode mode;
    const ZtunnelPolicy* strict = config.StrictOn(workload, static_cast<uint32_t>(port));
    if (strict == nullptr) return mode;
    mode.mode = MtlsMode::kStrict;
    mode.source = config.For(workload).strict_by;
    if (mode.source != nullptr) mode.span = mode.source->mode_span;
    return mode;
  };
  for (auto& port : out->ports) port.mtls = mode_of(port.port);
  out->other_ports = mode_of(0);
  for (const auto& policy : mesh.model().request_authentications) {
    const bool in_scope =
        policy.meta.ns == workload.ns || policy.meta.ns == mesh.config().root_namespace;
    if (!in_scope || !policy.target_refs.empty()) continue;
    if (!Selects(policy.selector.match_labels, workload.labels)) continue;
    out->unprotected.push_back(ObjectText(policy.meta) +
                               " checks no token: ztunnel does not read HTTP");
  }
}

void AddUnprotected(const Mesh& mesh, const Workload& workload, Description* out) {
  auto say = [&](std::string text) { out->unprotected.push_back(std::move(text)); };
  if (workload.mode == ProxyMode::kNone) {
    say("it has no proxy (" + workload.mode_reason + "): nothing is enforced here");
    return;
  }
  if (workload.mode == ProxyMode::kSidecar || workload.mode == ProxyMode::kAmbient) {
    for (const auto& port : out->ports) {
      if (port.mtls.mode == MtlsMode::kStrict) continue;
      std::string by =
          port.mtls.source == nullptr ? "Istio's default" : ObjectText(port.mtls.source->meta);
      say("port " + std::to_string(port.port) + " accepts plaintext (" +
          std::string(ToString(port.mtls.mode)) + ", " + by + ")");
    }
  }
  bool allow = false;
  for (const auto& entry : out->policies) {
    allow |= entry.stage == "allow" && !entry.policy->dry_run;
    if (entry.policy->dry_run) {
      say(ObjectText(entry.policy->meta) + " is a dry run: it refuses nothing");
    }
  }
  if (out->ambient) {
    for (const auto& entry : out->ambient->ztunnel) {
      allow |= entry.stage == "allow" && !entry.policy->dry_run;
    }
  }
  if (!allow) say("no ALLOW policy applies: what no DENY rule refuses is admitted");
  if (!out->jwt.empty() && !AsksForToken(*out)) {
    say("tokens are checked but not required: a request without one passes");
  }
  for (const auto* object : mesh.UnmodelledFor(workload)) {
    say(ObjectText(*object) + " changes this proxy in ways that are not computed here");
  }
}

}  // namespace

std::string_view ToString(MtlsMode mode) {
  switch (mode) {
    case MtlsMode::kUnset:
      return "UNSET";
    case MtlsMode::kDisable:
      return "DISABLE";
    case MtlsMode::kPermissive:
      return "PERMISSIVE";
    case MtlsMode::kStrict:
      return "STRICT";
  }
  return "UNSET";
}

Description Describe(const Mesh& mesh, const Workload& workload,
                     std::shared_ptr<const ZtunnelConfig> dumped) {
  Description out;
  out.workload = &workload;
  const bool ambient = workload.mode == ProxyMode::kAmbient;
  if (workload.mode != ProxyMode::kNone && !ambient) AddPolicies(mesh.PoliciesFor(workload), &out);
  AddPorts(mesh, workload, &out);
  if (mesh.AmbientEnabled() && workload.mode != ProxyMode::kGateway &&
      workload.mode != ProxyMode::kWaypoint) {
    out.ztunnel =
        dumped != nullptr ? std::move(dumped) : std::make_shared<const ZtunnelConfig>(mesh);
    out.ambient = DescribeAmbient(*out.ztunnel, workload);
    if (ambient) AddZtunnel(mesh, workload, &out);
  }
  for (const auto& gateway : mesh.model().gateways) {
    for (const auto* service : mesh.VirtualServicesFor(gateway)) {
      AddRoutes(mesh, *service, &gateway, workload, &out);
    }
  }
  for (const auto& service : mesh.model().virtual_services) {
    if (BoundToSidecars(service)) AddRoutes(mesh, service, nullptr, workload, &out);
  }
  AddUnprotected(mesh, workload, &out);
  return out;
}

}  // namespace meshproof

#include "report/description.h"
#include "report/parts.h"
#include "simulate/meshtest.h"

namespace meshproof {

Json DescriptionJson(const Description& description) {
  const Workload& workload = *description.workload;
  bool enforces_mtls = workload.mode == ProxyMode::kSidecar || workload.mode == ProxyMode::kAmbient;
  Json ports = Json::MakeArray();
  for (const auto& port : description.ports) {
    Json entry = Json::MakeObject({{"port", port.port}, {"protocol", port.protocol}});
    const auto* by = port.mtls.source;
    entry.Set("mtls", enforces_mtls ? Json(ToString(port.mtls.mode)) : Json());
    entry.Set("mtls_by", enforces_mtls && by != nullptr ? ObjectJson(&by->meta) : Json());
    entry.Set("service", port.service == nullptr ? Json() : Json(port.service->host));
    entry.Set("service_port", port.service_port == 0 ? Json() : Json(port.service_port));
    entry.Set("gateway", port.gateway == nullptr ? Json() : ObjectJson(&port.gateway->meta));
    ports.Append(std::move(entry));
  }
  Json jwt = Json::MakeArray();
  for (const auto& issuer : description.jwt) {
    Json entry = Json::MakeObject({{"issuer", issuer.issuer}});
    entry.Set("policy", ObjectJson(&issuer.policy->meta));
    entry.Set("location", LocationJson(issuer.span));
    jwt.Append(std::move(entry));
  }
  Json policies = Json::MakeArray();
  for (const auto& entry : description.policies) {
    Json out = Json::MakeObject({{"stage", entry.stage}});
    out.Set("policy", ObjectJson(&entry.policy->meta));
    out.Set("rules", entry.policy->rules.size());
    out.Set("dry_run", entry.policy->dry_run);
    out.Set("location", LocationJson(entry.policy->meta.span));
    policies.Append(std::move(out));
  }
  Json routes = Json::MakeArray();
  for (const auto& route : description.routes) {
    Json entry = Json::MakeObject();
    entry.Set("gateway", route.gateway == nullptr ? Json() : ObjectJson(&route.gateway->meta));
    entry.Set("virtual_service", ObjectJson(&route.virtual_service->meta));
    entry.Set("match", route.text);
    entry.Set("destination", route.destination);
    entry.Set("location", LocationJson(route.span));
    routes.Append(std::move(entry));
  }
  Json unprotected = Json::MakeArray();
  for (const auto& reason : description.unprotected) unprotected.Append(reason);

  Json out = Json::MakeObject({{"version", 1}});
  out.Set("workload", ObjectJson(workload.object));
  const bool identity = description.identity_known && !workload.identity.empty();
  out.Set("identity", identity ? Json(workload.identity) : Json());
  out.Set("mode", ProxyModeName(workload.mode));
  out.Set("mode_reason", workload.mode_reason);
  out.Set("ports", std::move(ports));
  out.Set("jwt", std::move(jwt));
  out.Set("policies", std::move(policies));
  out.Set("routes", std::move(routes));
  out.Set("unprotected", std::move(unprotected));
  if (description.ambient) out.Set("ambient", AmbientJson(*description.ambient));
  if (!description.known_from.empty()) out.Set("known_from", description.known_from);
  return out;
}

}  // namespace meshproof

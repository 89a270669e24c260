#include <algorithm>

#include "report/description.h"
#include "report/parts.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

std::string Place(const Span& span) {
  std::string place = PlaceText(span);
  return place.empty() ? place : "  (" + place + ")";
}

std::string MtlsText(const EffectiveMode& mode) {
  std::string text = "mTLS " + std::string(ToString(mode.mode));
  if (mode.source == nullptr) {
    return text +
           (mode.mode == MtlsMode::kStrict ? "  by the ztunnel's dump" : "  Istio's default");
  }
  return text + "  by " + ObjectText(mode.source->meta) + Place(mode.span);
}

std::string PortText(const Description::Port& port, bool with_mtls) {
  std::string text = Padded(std::to_string(port.port), 6) + Padded(port.protocol, 6);
  if (with_mtls) text += "  " + MtlsText(port.mtls);
  if (port.service != nullptr) {
    text += "  <- " + port.service->host + ":" + std::to_string(port.service_port);
  }
  if (port.gateway != nullptr) text += "  Gateway " + NameText(port.gateway->meta);
  return text;
}

}  // namespace

std::string DescriptionText(const Description& description, const Style& style) {
  const Workload& workload = *description.workload;
  std::string out = style.Bold(workload.ns + "/" + workload.name) + "  " +
                    std::string(ProxyModeName(workload.mode)) + " (" + workload.mode_reason + ")\n";
  const std::string none = description.identity_known ? "none" : "not known: the dump does not say";
  out += "  identity  " +
         (workload.identity.empty() || !description.identity_known ? none : workload.identity) +
         "\n";
  if (!description.known_from.empty()) {
    return out + "  no manifest speaks of it: it is known from " + description.known_from + "\n";
  }
  auto section = [&](std::string_view title) { out += style.Bold(title) + "\n"; };
  bool has_mtls = workload.mode == ProxyMode::kSidecar || workload.mode == ProxyMode::kAmbient;
  section("ports");
  for (const auto& port : description.ports) out += "  " + PortText(port, has_mtls) + "\n";
  if (has_mtls) out += "  others        " + MtlsText(description.other_ports) + "\n";
  if (!has_mtls && description.ports.empty()) out += "  none declared\n";
  if (!description.jwt.empty()) {
    section("jwt issuers");
    for (const auto& issuer : description.jwt) {
      std::string name = issuer.issuer.empty() ? "any issuer" : issuer.issuer;
      out += "  " + name + "  " + NameText(issuer.policy->meta) + Place(issuer.span) + "\n";
    }
  }
  if (workload.mode != ProxyMode::kAmbient) section("policies, in evaluation order");
  for (const auto& entry : description.policies) {
    if (workload.mode == ProxyMode::kAmbient) break;  // said in ztunnel's words below
    out += "  " + Padded(std::string(entry.stage), 6) + "  " + NameText(entry.policy->meta) + "  " +
           Counted(entry.policy->rules.size(), "rule") +
           (entry.policy->dry_run ? "  dry run" : "") + Place(entry.policy->meta.span) + "\n";
  }
  if (description.policies.empty() && workload.mode != ProxyMode::kAmbient) out += "  none\n";
  if (description.ambient) out += AmbientText(*description.ambient, style);
  if (!description.routes.empty()) {
    section("routes that lead here");
    for (const auto& route : description.routes) {
      std::string through =
          route.gateway == nullptr ? "sidecars" : "Gateway " + NameText(route.gateway->meta);
      out += "  " + through + "  " + route.text + " -> " + route.destination + Place(route.span) +
             "\n";
    }
  }
  if (!description.unprotected.empty()) {
    section("unprotected");
    for (const auto& reason : description.unprotected) out += "  " + reason + "\n";
  }
  return out;
}

}  // namespace meshproof

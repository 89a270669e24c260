// What a gateway believes of the proxies in front of it (`gatewayTopology`, envoy-facts section 5).
// With numTrustedProxies N the client's address is the N-th entry of X-Forwarded-For from the
// right: where nobody in front writes them, the client does. The FORWARD forms of
// forwardClientCertDetails pass on the client's own X-Forwarded-Client-Cert: ALWAYS_FORWARD_ONLY
// from everybody, the others from whoever shows a certificate. PROXY protocol is believed from
// whoever connects.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "analyze/entrances.h"
#include "analyze/gateway_listeners.h"
#include "analyze/mesh_config_fields.h"
#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/rule.h"
#include "analyze/server_groups.h"
#include "base/text.h"

namespace meshproof::proxy_trust_wrong {
namespace {

constexpr std::string_view kProxyConfig = "proxy.istio.io/config";

// The gatewayTopology of one gateway, and where it is written.
struct Topology {
  int trusted = 0;
  std::string forward;
  bool proxy_protocol = false;
  ObjectName object;
  Span trusted_span, forward_span, protocol_span;
};

// "2" behind "numTrustedProxies:" in the text of an annotation; "" where it is not there.
std::string FieldIn(std::string_view text, std::string_view field) {
  size_t at = text.find(field);
  if (at == std::string_view::npos) return "";
  at += field.size();
  while (at < text.size() && (text[at] == '"' || text[at] == ':' || text[at] == ' ')) ++at;
  size_t end = at;
  while (end < text.size() && (text[end] == '_' || (text[end] >= '0' && text[end] <= '9') ||
                               (text[end] >= 'A' && text[end] <= 'Z') || text[end] == '{')) {
    ++end;
  }
  return std::string(text.substr(at, end - at));
}

// The load balancer of this Service speaks PROXY protocol, as its annotations say.
bool SpeaksProxyProtocol(const Service& service) {
  for (const auto& [key, value] : service.meta.annotations) {
    const std::string name = ToLower(key);
    if (name.find("proxy-protocol") != std::string::npos ||
        name.find("proxyprotocol") != std::string::npos) {
      return value != "false";
    }
    if (value.find("proxy_protocol_v2.enabled=true") != std::string::npos) return true;
  }
  return false;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    mesh_wide_.object = MeshConfigName(analysis.model);
    const auto field = [&](std::string_view name) {
      return FindMeshConfigField(analysis.model, {"defaultConfig", "gatewayTopology", name});
    };
    const MeshConfigField trusted = field("numTrustedProxies");
    const MeshConfigField forward = field("forwardClientCertDetails");
    const MeshConfigField protocol = field("proxyProtocol");
    mesh_wide_.trusted = static_cast<int>(analysis.model.mesh_config.num_trusted_proxies);
    mesh_wide_.forward = analysis.model.mesh_config.forward_client_cert_details;
    mesh_wide_.proxy_protocol = protocol.value != nullptr;
    mesh_wide_.trusted_span = trusted.span;
    mesh_wide_.forward_span = forward.span;
    mesh_wide_.protocol_span = protocol.span;
    for (const RawObject& ingress : ObjectsOf(analysis.objects, {"Ingress"})) {
      for (const Node& rule : ListItems(NodeAt(ingress.node, {"spec", "rules"}))) {
        for (const Node& path : ListItems(NodeAt(&rule, {"http", "paths"}))) {
          AddFronted(ingress, NodeAt(&path, {"backend", "service", "name"}));
        }
      }
      AddFronted(ingress, NodeAt(ingress.node, {"spec", "defaultBackend", "service", "name"}));
    }
  }

  void Check(const Workload& gateway) {
    const Facing facing = FacingOf(analysis_, gateway);
    const Topology topology = TopologyOf(gateway);
    CheckForward(gateway, topology, facing);
    const MeshService* entry = nullptr;
    bool fronted = false;
    for (const MeshService& service : analysis_.mesh.services()) {
      if (service.service == nullptr || service.ns != gateway.ns) continue;
      const bool leads =
          std::any_of(service.workloads.begin(), service.workloads.end(),
                      [&](size_t index) { return &analysis_.mesh.workloads()[index] == &gateway; });
      if (!leads) continue;
      fronted = fronted || IsFronted(service);
      const std::string_view type = service.service->type;
      if (type == "LoadBalancer" || type == "NodePort") entry = &service;
    }
    if (facing == Facing::kInternet && entry != nullptr) {
      CheckTrusted(gateway, topology, *entry, fronted);
      CheckProtocol(gateway, topology, *entry);
    }
    if (fronted && topology.trusted == 0) CheckUntrusted(gateway);
  }

  // Where the input holds no gateway, what is set for all.
  void CheckMeshWide() { CheckForward(Workload{}, mesh_wide_, Facing::kUnknown); }

 private:
  void AddFronted(const RawObject& ingress, const Node* name) {
    const Node* own = NodeAt(ingress.node, {"spec", "ingressClassName"});
    if (name == nullptr || (own != nullptr && own->text == "istio")) return;
    fronted_.push_back(std::string(ingress.ns) + "/" + std::string(name->text));
  }

  bool IsFronted(const MeshService& service) const {
    return std::find(fronted_.begin(), fronted_.end(), service.ns + "/" + service.name) !=
           fronted_.end();
  }

  Topology TopologyOf(const Workload& gateway) const {
    Topology topology = mesh_wide_;
    if (gateway.pod == nullptr) return topology;
    const std::string* text = FindLabel(gateway.pod->pod_annotations, kProxyConfig);
    if (text == nullptr || text->find("gatewayTopology") == std::string::npos) return topology;
    const Span span = PodAnnotationPlace(gateway.pod->meta, kProxyConfig);
    topology.object = NameOf(gateway.pod->meta);
    if (std::string value = FieldIn(*text, "numTrustedProxies"); !value.empty()) {
      topology.trusted = static_cast<int>(ParseUnsigned(value).value_or(0));
      topology.trusted_span = span;
    }
    if (std::string value = FieldIn(*text, "forwardClientCertDetails"); !value.empty()) {
      topology.forward = value;
      topology.forward_span = span;
    }
    if (text->find("proxyProtocol") != std::string::npos) {
      topology.proxy_protocol = true;
      topology.protocol_span = span;
    }
    return topology;
  }

  // One finding for each place, however many gateways read it.
  Finding* Say(const Topology& topology, Span span, const char* field, std::string message,
               std::string fix) {
    const std::string key = topology.object.kind + topology.object.ns + topology.object.name +
                            field + std::to_string(span.begin);
    if (std::find(said_.begin(), said_.end(), key) != said_.end()) return nullptr;
    said_.push_back(key);
    Finding& finding = reporter_.Report(topology.object, span, std::move(message));
    finding.fix = std::move(fix);
    finding.detail = field;
    finding.field_path = std::string("defaultConfig.gatewayTopology.") + field;
    return &finding;
  }

  static std::string Name(const Workload& gateway) {
    return gateway.name.empty() ? "gateways" : "gateway " + gateway.ns + "/" + gateway.name;
  }

  bool AsksForCertificates(const Workload& gateway) const {
    for (const Mesh::BoundServer& bound : analysis_.mesh.GatewayServersFor(gateway)) {
      if (EndsTls(*bound.server) && bound.server->tls->mode != TlsSettings::Mode::kSimple) {
        return true;
      }
    }
    return false;
  }

  void CheckForward(const Workload& gateway, const Topology& topology, Facing facing) {
    if (topology.forward.find("FORWARD") == std::string::npos || facing == Facing::kInside) return;
    const bool always = topology.forward == "ALWAYS_FORWARD_ONLY";
    const bool asks = !gateway.name.empty() && AsksForCertificates(gateway);
    Finding* finding =
        Say(topology, topology.forward_span, "forwardClientCertDetails",
            "forwardClientCertDetails " + topology.forward + " makes " + Name(gateway) +
                " pass on the X-Forwarded-Client-Cert header that " +
                (always ? "anybody" : "whoever shows a certificate") +
                " outside sends, so a client can claim to be another one; use SANITIZE_SET" +
                (always ? "" : ", unless only a proxy of your own connects"),
            "Set `forwardClientCertDetails: SANITIZE_SET`.");
    if (finding == nullptr) return;
    if (!always && !asks)
      finding->severity = gateway.name.empty() ? Severity::kWarning : Severity::kInfo;
    if (always && !gateway.name.empty()) ShowForged(gateway, finding);
  }

  // A forged X-Forwarded-Client-Cert that goes on to the workload.
  void ShowForged(const Workload& gateway, Finding* finding) {
    for (const Entrance& entrance : FindEntrances(analysis_)) {
      if (entrance.gateway != &gateway) continue;
      std::optional<Case> question = RequestOf(entrance);
      if (!question) continue;
      question->name = "a forged X-Forwarded-Client-Cert";
      question->follow = false;
      question->ext_authz.reset();
      question->headers.emplace_back("x-forwarded-client-cert",
                                     "URI=spiffe://cluster.local/ns/any/sa/admin");
      if (AttachWitness(analysis_, *question, Outcome::kAllow, finding)) return;
    }
  }

  void CheckTrusted(const Workload& gateway, const Topology& topology, const MeshService& entry,
                    bool fronted) {
    if (topology.trusted == 0 || fronted) return;
    if (NodeAt(entry.service->meta.node, {"spec", "loadBalancerSourceRanges"}) != nullptr) return;
    Finding* finding =
        Say(topology, topology.trusted_span, "numTrustedProxies",
            "numTrustedProxies " + std::to_string(topology.trusted) + " makes " + Name(gateway) +
                " take the client's address from X-Forwarded-For, but Service " + entry.ns + "/" +
                entry.name + " (type " + std::string(entry.service->type) +
                ") lets anybody connect to it without those proxies, so a client writes the "
                "address that it wants; let only the proxies connect (loadBalancerSourceRanges), "
                "or trust none",
            "Restrict who connects with `loadBalancerSourceRanges`, or set numTrustedProxies to "
            "the proxies that are there.");
    if (finding == nullptr) return;
    finding->related.push_back({entry.service->meta.span, "anybody connects here"});
    const AuthorizationPolicy::Source* source = nullptr;
    for (const AuthorizationPolicy* policy : analysis_.mesh.PoliciesFor(gateway).allow) {
      for (const AuthorizationPolicy::Rule& rule : policy->rules) {
        for (const AuthorizationPolicy::Source& from : rule.from) {
          if (!from.remote_ip_blocks.empty()) source = &from;
        }
      }
    }
    if (source == nullptr) {
      finding->severity = Severity::kWarning;
      return;
    }
    const Text& block = source->remote_ip_blocks.values.front();
    finding->related.push_back({block.span, "rests on that address"});
    const std::string address(block.value.substr(0, block.value.find('/')));
    std::string forged = address;
    for (int i = 1; i < topology.trusted; ++i) forged += ", " + address;
    for (const Entrance& entrance : FindEntrances(analysis_)) {
      if (entrance.gateway != &gateway) continue;
      std::optional<Case> question = RequestOf(entrance);
      if (!question) continue;
      question->name = "a forged X-Forwarded-For";
      question->follow = false;
      question->headers.emplace_back("x-forwarded-for", forged);
      if (AttachWitness(analysis_, *question, Outcome::kAllow, finding)) return;
    }
  }

  void CheckProtocol(const Workload& gateway, const Topology& topology, const MeshService& entry) {
    const bool speaks = SpeaksProxyProtocol(*entry.service);
    if (topology.proxy_protocol && !speaks) {
      Finding* finding =
          Say(topology, topology.protocol_span, "proxyProtocol",
              "proxyProtocol makes " + Name(gateway) +
                  " believe the PROXY header of whoever connects, and nothing says that the load "
                  "balancer of Service " +
                  entry.ns + "/" + entry.name +
                  " writes one, so a client writes the address that it wants; let the load "
                  "balancer send it and only the load balancer connect",
              "Turn PROXY protocol on at the load balancer too, or off here.");
      if (finding != nullptr) {
        finding->related.push_back({entry.service->meta.span, "says nothing of PROXY protocol"});
      }
    }
    if (!topology.proxy_protocol && speaks && analysis_.model.envoy_filters.empty()) {
      Finding& finding = ReportAt(
          reporter_, entry.service->meta, entry.service->meta.span,
          "the load balancer of this Service writes PROXY headers, which " + Name(gateway) +
              " does not read (gatewayTopology.proxyProtocol is not set), so connections fail "
              "or the client's address is lost; set it on both sides",
          "Set `gatewayTopology: {proxyProtocol: {}}` for the gateway.");
      finding.severity = Severity::kWarning;
    }
  }

  // An Ingress of another controller leads to the gateway: a proxy stands in front.
  void CheckUntrusted(const Workload& gateway) {
    const PolicySet policies = analysis_.mesh.PoliciesFor(gateway);
    for (const auto* list : {&policies.deny, &policies.allow}) {
      for (const AuthorizationPolicy* policy : *list) {
        for (const AuthorizationPolicy::Rule& rule : policy->rules) {
          for (const AuthorizationPolicy::Source& from : rule.from) {
            for (const auto* blocks : {&from.remote_ip_blocks, &from.not_remote_ip_blocks}) {
              if (blocks->empty()) continue;
              Finding& finding = ReportAt(
                  reporter_, policy->meta, blocks->values.front().span,
                  "an Ingress leads to " + Name(gateway) +
                      " through a proxy of its own, and the gateway trusts none "
                      "(numTrustedProxies 0), so every client shows the address of that proxy "
                      "here; set numTrustedProxies to 1 and let only that proxy connect",
                  "Set `numTrustedProxies: 1` for the gateway.");
              finding.severity = Severity::kWarning;
              return;
            }
          }
        }
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  Topology mesh_wide_;
  std::vector<std::string> fronted_;  // Services that an Ingress of another controller leads to
  std::vector<std::string> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  bool any = false;
  for (const Workload& workload : analysis.mesh.workloads()) {
    if (workload.mode != ProxyMode::kGateway) continue;
    any = true;
    checker.Check(workload);
  }
  if (!any) checker.CheckMeshWide();
}

}  // namespace meshproof::proxy_trust_wrong

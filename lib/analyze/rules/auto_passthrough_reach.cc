// A server with AUTO_PASSTHROUGH forwards by SNI: `outbound_.80_._.name.ns.svc.domain` leads
// straight to that service, with no route and no policy of the gateway between. It is made for
// traffic between networks of one mesh, on a gateway of its own. Releases before 1.8.6 and 1.9.5
// let a plain SNI past the policies of the services as well.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "mesh/hosts.h"

namespace meshproof::auto_passthrough_reach {
namespace {

// Ports that a gateway between clusters serves beside it: istiod for remote clusters, health.
constexpr int kBesidePorts[] = {15012, 15017, 15021, 15443};
constexpr int kPublicPorts[] = {80, 443, 8080, 8443};

template <size_t N>
bool Contains(const int (&ports)[N], int port) {
  return std::find(std::begin(ports), std::end(ports), port) != std::end(ports);
}

bool HasOldHole(std::string_view version) {
  std::vector<std::string_view> parts = Split(version, '.');
  if (parts.size() < 2 || parts[0] != "1") return false;
  unsigned long minor = ParseUnsigned(parts[1]).value_or(99);
  unsigned long patch = parts.size() < 3 ? 0 : ParseUnsigned(parts[2]).value_or(0);
  return minor < 8 || (minor == 8 && patch < 6) || (minor == 9 && patch < 5);
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    const std::string& domain = analysis.model.mesh_config.domain;
    last_label_ = "." + domain.substr(domain.rfind('.') + 1);
    for (const Workload& workload : analysis.mesh.workloads()) {
      if (workload.mode != ProxyMode::kGateway) continue;
      std::vector<Mesh::BoundServer> servers = analysis.mesh.GatewayServersFor(workload);
      const Mesh::BoundServer* other = nullptr;
      for (const Mesh::BoundServer& bound : servers) {
        if (!IsAuto(*bound.server) && !Contains(kBesidePorts, bound.server->port)) other = &bound;
      }
      for (const Mesh::BoundServer& bound : servers) {
        if (other != nullptr && IsAuto(*bound.server)) {
          shared_.emplace(bound.gateway, std::pair(&workload, *other));
        }
      }
    }
  }

  static bool IsAuto(const GatewayServer& server) {
    return server.tls && server.tls->mode == TlsSettings::Mode::kAutoPassthrough;
  }

  void Check(const Gateway& gateway, const GatewayServer& server) {
    for (const Text& written : server.hosts.values) {
      std::string_view ns;
      Width(gateway.meta, HostOfServer(written.value, &ns), written.span);
    }
    const Node* mode = NodeAt(gateway.meta.node, {"spec", "servers"});
    Span place = server.tls->span;
    for (const Node& item : ListItems(mode)) {
      const Node* value = NodeAt(&item, {"tls", "mode"});
      if (value != nullptr && value->begin >= place.begin && value->end <= place.end) {
        place = SpanOf(gateway.meta.file, *value);
      }
    }
    Reach(gateway, server, place);
    Version(gateway.meta, place);
  }

  void Check(const GatewayListener& listener) {
    Width(*listener.gateway, listener.hostname.empty() ? "*" : listener.hostname,
          listener.FieldSpan("hostname"));
    Version(*listener.gateway, listener.FieldSpan("tls"));
  }

 private:
  // `*.local` covers the services of the cluster and nothing else; `*.global` is its older form.
  void Width(const ObjectMeta& meta, std::string_view host, Span span) {
    const std::string lower = ToLower(host);
    if (lower.ends_with(last_label_) || lower.ends_with(".local") || lower.ends_with(".global")) {
      return;
    }
    std::string sni = lower == "*" ? "" : SampleService(lower);
    ReportAt(reporter_, meta, span,
             "AUTO_PASSTHROUGH forwards every SNI under `" + std::string(host) +
                 "`, not only those of services of the cluster, so names of other kinds" +
                 (sni.empty() ? "" : " such as `" + sni + "`") +
                 " lead from outside past the gateway's routes and policies; write `*" +
                 last_label_ + "`",
             "Write `*" + last_label_ + "`.");
  }

  void Reach(const Gateway& gateway, const GatewayServer& server, Span span) {
    std::string host = "*";
    if (!server.hosts.values.empty()) {
      std::string_view ns;
      host = ToLower(HostOfServer(server.hosts.values.front().value, &ns));
    }
    std::string sni = SampleService(host);
    std::string effect = ", so a client from outside that sends SNI `" +
                         (sni.empty() ? "outbound_.80_._.<service>" : sni) +
                         "` speaks to that service directly, past the gateway's routes and "
                         "policies; serve it from a gateway of its own on port 15443, which only "
                         "the other networks of the mesh reach";
    auto shared = shared_.find(&gateway);
    if (shared != shared_.end()) {
      const auto& [workload, other] = shared->second;
      Finding& finding =
          ReportAt(reporter_, gateway.meta, span,
                   "gateway workload " + workload->ns + "/" + workload->name +
                       ", which serves port " + std::to_string(other.server->port) +
                       " to the public, also forwards by SNI (AUTO_PASSTHROUGH)" + effect,
                   "Move the AUTO_PASSTHROUGH server to a gateway of its own.");
      finding.detail = "reach";
      finding.related.push_back({other.server->span, "the same proxies serve this"});
      return;
    }
    const std::string* label = FindLabel(gateway.selector, "istio");
    const bool ingress = label != nullptr && *label == "ingressgateway";
    if (!ingress && !Contains(kPublicPorts, server.port)) return;
    Finding& finding =
        ReportAt(reporter_, gateway.meta, span,
                 (ingress ? std::string("the ingress gateway forwards by SNI (AUTO_PASSTHROUGH)")
                          : "port " + std::to_string(server.port) +
                                ", where the public comes in, forwards by SNI (AUTO_PASSTHROUGH)") +
                     effect,
                 "Move the AUTO_PASSTHROUGH server to a gateway of its own.");
    finding.detail = "reach";
  }

  void Version(const ObjectMeta& meta, Span span) {
    if (!HasOldHole(analysis_.istio_version)) return;
    Finding& finding = ReportAt(
        reporter_, meta, span,
        "Istio " + analysis_.istio_version +
            " forwards plain SNI through AUTO_PASSTHROUGH past the authorization policies of the "
            "services (CVE-2021-31921), so clients from outside reach them unchecked; upgrade, "
            "or remove the server",
        "Upgrade to 1.9.5 or later.");
    finding.severity = Severity::kError;
    finding.detail = "version";
  }

  // The SNI of a service that the host covers; "" where none is in the input.
  std::string SampleService(const std::string& host) const {
    for (const MeshService& service : analysis_.mesh.services()) {
      if (service.ports.empty() || !HostsOverlap(host, service.host)) continue;
      if (service.kubernetes != host.ends_with(last_label_) && host != "*") continue;
      return "outbound_." + std::to_string(service.ports.front().port) + "_._." + service.host;
    }
    return "";
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::string last_label_;  // ".local"
  std::map<const Gateway*, std::pair<const Workload*, Mesh::BoundServer>> shared_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const Gateway& gateway : analysis.model.gateways) {
    for (const GatewayServer& server : gateway.servers) {
      if (Checker::IsAuto(server)) checker.Check(gateway, server);
    }
  }
  for (const OtherObject& object : analysis.model.others) {
    if (!IsGatewayApi(object.meta, "Gateway")) continue;
    for (const GatewayListener& listener : ListenersOf(object.meta)) {
      if (listener.auto_passthrough) checker.Check(listener);
    }
  }
}

}  // namespace meshproof::auto_passthrough_reach

// networking.istio.io Gateway: the errors that decide whether its servers exist.

#include <set>

#include "model/admission.h"
#include "model/fields.h"

namespace meshproof {
namespace {

void AdmitServerTls(const TlsSettings& tls, const Node* node, Report& report) {
  using Mode = TlsSettings::Mode;
  bool files = !tls.server_certificate.value.empty() || !tls.private_key.value.empty() ||
               !tls.ca_certificates.value.empty();
  bool credential = !tls.credential_name.value.empty() ||
                    (node != nullptr && (node->Find("credentialNames") != nullptr ||
                                         node->Find("tlsCertificates") != nullptr));
  if (tls.mode == Mode::kIstioMutual && (files || !tls.credential_name.value.empty())) {
    report.Refuse(tls.span,
                  "tls mode ISTIO_MUTUAL uses the proxy's own certificate and takes no other");
    return;
  }
  bool simple = tls.mode == Mode::kSimple;
  bool mutual = tls.mode == Mode::kMutual || tls.mode == Mode::kOptionalMutual;
  if ((!simple && !mutual) || credential) return;
  if (tls.server_certificate.value.empty() || tls.private_key.value.empty()) {
    report.Refuse(tls.span, "this tls mode needs a certificate and its key",
                  "name a secret in `credentialName`, or set `serverCertificate` and `privateKey`");
  } else if (mutual && tls.ca_certificates.value.empty()) {
    report.Refuse(tls.span, "this tls mode needs the CA of its clients",
                  "name a secret in `credentialName`, or set `caCertificates`");
  }
}

void AdmitServerProtocol(const GatewayServer& server, Report& report) {
  ProtocolClass kind = ClassifyProtocol(server.protocol.value);
  Span place = FirstSpan(server.protocol.span, server.span);
  if (kind == ProtocolClass::kUnsupported) {
    report.Refuse(place, "unknown protocol " + Quote(server.protocol.value),
                  "HTTP, HTTP2, GRPC, HTTPS, TLS, TCP, MONGO, REDIS and MYSQL are known");
  } else if (kind == ProtocolClass::kTls && !server.tls) {
    report.Refuse(place,
                  "a server of protocol " + Quote(server.protocol.value) + " needs `tls` settings");
  } else if (kind == ProtocolClass::kOther && server.tls) {
    report.Refuse(
        server.tls->span,
        "a server of protocol " + Quote(server.protocol.value) + " takes no `tls` settings",
        "use protocol TLS or HTTPS");
  } else if (kind == ProtocolClass::kHttp && server.tls) {
    bool passthrough = server.tls->mode == TlsSettings::Mode::kPassthrough ||
                       server.tls->mode == TlsSettings::Mode::kAutoPassthrough;
    if (!passthrough || !server.tls->server_certificate.value.empty() ||
        !server.tls->private_key.value.empty() || !server.tls->ca_certificates.value.empty()) {
      report.Refuse(server.tls->span,
                    "a plain HTTP server takes no `tls` settings but httpsRedirect",
                    "use protocol HTTPS");
    }
  }
}

void AdmitServer(const GatewayServer& server, const Node* node, Report& report) {
  if (server.hosts.empty()) {
    report.Refuse(FirstSpan(server.hosts.span, server.span), "a server needs at least one host");
  }
  for (const Text& host : server.hosts.values) {
    if (host.value.empty()) report.Refuse(host.span, "a host is empty");
  }
  const Node* port = node == nullptr ? nullptr : node->Find("port");
  const Node* number = port == nullptr ? nullptr : port->Find("number");
  Span port_span = number == nullptr ? server.span : report.SpanOf(*number);
  if (server.port > 0 || server.bind.value.substr(0, 7) != "unix://") {
    AdmitPort(server.port, port_span, report);
  }
  if (server.target_port > 0) {
    report.Refuse(port_span, "`targetPort` is not for Gateways",
                  "the Service of the gateway maps its ports");
  }
  if (server.port_name.value.empty()) {
    report.Refuse(FirstSpan(server.port_name.span, port_span), "a server's port needs a name");
  }
  AdmitServerProtocol(server, report);
  if (server.tls) {
    AdmitServerTls(*server.tls, node == nullptr ? nullptr : node->Find("tls"), report);
  }
}

}  // namespace

void AdmitGateway(const Gateway& gateway, Report& report) {
  AdmitMetadata(gateway.meta, false, report);
  if (gateway.servers.empty()) {
    report.Refuse(gateway.meta.span, "a Gateway needs at least one server");
  }
  const Node* spec = gateway.meta.node == nullptr ? nullptr : gateway.meta.node->Find("spec");
  const Node* servers = spec == nullptr ? nullptr : spec->Find("servers");
  bool same = servers != nullptr && servers->items().size() == gateway.servers.size();
  std::set<std::string_view> names;
  for (size_t i = 0; i < gateway.servers.size(); ++i) {
    const GatewayServer& server = gateway.servers[i];
    AdmitServer(server, same ? &servers->items()[i] : nullptr, report);
    std::string_view name = server.port_name.value;
    if (name.empty() || names.insert(name).second) continue;
    report.Refuse(server.port_name.span, "two servers have a port of the name " + Quote(name));
  }
}

}  // namespace meshproof

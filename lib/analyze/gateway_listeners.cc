#include "analyze/gateway_listeners.h"

#include "analyze/names.h"
#include "base/text.h"
#include "mesh/hosts.h"

namespace meshproof {
namespace {

std::string_view TextAt(const Node& node, std::string_view field) {
  const Node* value = node.Find(field);
  return value == nullptr ? std::string_view() : value->text;
}

}  // namespace

Finding& ReportAt(Reporter& reporter, const ObjectMeta& meta, Span span, std::string message,
                  std::string fix) {
  Finding& finding = reporter.Report(meta, span, std::move(message));
  if (meta.node != nullptr && span) finding.field_path = FieldPathAt(*meta.node, span.begin);
  finding.fix = std::move(fix);
  return finding;
}

std::span<const Node> ListItems(const Node* list) {
  return list == nullptr ? std::span<const Node>() : list->items();
}

bool IsGatewayApi(const ObjectMeta& meta, std::string_view kind) {
  return meta.kind == kind && GroupOfVersion(meta.api_version) == "gateway.networking.k8s.io";
}

Span GatewayListener::FieldSpan(std::string_view field) const {
  const Node* value = node->Find(field);
  return SpanOf(gateway->file, value == nullptr ? *node : *value);
}

const Node* GatewayListener::TlsOption(std::string_view option) const {
  return NodeAt(node, {"tls", "options", option});
}

std::vector<GatewayListener> ListenersOf(const ObjectMeta& gateway) {
  std::vector<GatewayListener> listeners;
  for (const Node& node : ListItems(NodeAt(gateway.node, {"spec", "listeners"}))) {
    if (!node.IsMapping()) continue;
    GatewayListener listener;
    listener.gateway = &gateway;
    listener.node = &node;
    listener.name = TextAt(node, "name");
    listener.protocol = TextAt(node, "protocol");
    listener.hostname = TextAt(node, "hostname");
    const Node* port = node.Find("port");
    if (port != nullptr) listener.port = static_cast<int>(port->AsInt().value_or(0));
    const Node* option = listener.TlsOption("gateway.istio.io/listener-protocol");
    listener.auto_passthrough = option != nullptr && option->text == "auto-passthrough";
    listeners.push_back(listener);
  }
  return listeners;
}

std::string_view HostOfServer(std::string_view written, std::string_view* ns) {
  size_t slash = written.find('/');
  *ns = slash == std::string_view::npos ? std::string_view() : written.substr(0, slash);
  return slash == std::string_view::npos ? written : written.substr(slash + 1);
}

bool HostsOverlap(std::string_view a, std::string_view b) {
  if (a.empty() || b.empty()) return true;
  const std::string first = ToLower(a);
  const std::string second = ToLower(b);
  return HostCovers(first, second) || HostCovers(second, first);
}

std::string SampleHost(std::string_view host) {
  if (host.empty() || host == "*") return "any.example.com";
  if (host.starts_with('*')) return "any" + std::string(host.substr(1));
  return std::string(host);
}

}  // namespace meshproof

// ServiceEntry, WorkloadEntry, Sidecar: the errors that decide whether there is anything to reach.

#include <set>

#include "model/admission.h"
#include "model/fields.h"

namespace meshproof {
namespace {

void AdmitEntryPorts(const ServiceEntry& entry, Report& report) {
  std::set<std::string_view> names;
  std::set<int> numbers;
  for (const ServiceEntry::Port& port : entry.ports) {
    Span place = FirstSpan(port.name.span, entry.meta.span);
    AdmitPort(port.port, place, report);
    if (port.name.value.empty()) report.Refuse(place, "a port needs a name");
    if (!names.insert(port.name.value).second) {
      report.Refuse(place, "two ports have the name " + Quote(port.name.value));
    }
    if (!numbers.insert(port.port).second) {
      report.Refuse(place, "two ports have the number " + std::to_string(port.port));
    }
    if (!port.protocol.value.empty() &&
        ClassifyProtocol(port.protocol.value) == ProtocolClass::kUnsupported) {
      report.Refuse(port.protocol.span, "unknown protocol " + Quote(port.protocol.value));
    }
  }
}

}  // namespace

void AdmitServiceEntry(const ServiceEntry& entry, Report& report) {
  AdmitMetadata(entry.meta, false, report);
  AdmitSelector(entry.workload_selector, report);
  if (entry.hosts.empty()) {
    report.Refuse(FirstSpan(entry.hosts.span, entry.meta.span), "a ServiceEntry needs a host");
  }
  for (const Text& host : entry.hosts.values) {
    if (host.value.empty() || host.value == "*") {
      report.Refuse(host.span, "a ServiceEntry's host cannot be " + Quote(host.value));
    }
  }
  AdmitEntryPorts(entry, report);
}

void AdmitWorkloadEntry(const WorkloadEntry& entry, Report& report) {
  AdmitMetadata(entry.meta, false, report);
  const Node* spec = entry.meta.node == nullptr ? nullptr : entry.meta.node->Find("spec");
  const Node* network = spec == nullptr ? nullptr : spec->Find("network");
  if (!entry.address.value.empty() || (network != nullptr && !network->text.empty())) return;
  report.Refuse(FirstSpan(entry.address.span, entry.meta.span), "a WorkloadEntry needs an address");
}

void AdmitSidecar(const Sidecar& sidecar, Report& report) {
  AdmitMetadata(sidecar.meta, false, report);
  AdmitSelector(sidecar.workload_selector, report);
  const Node* spec = sidecar.meta.node == nullptr ? nullptr : sidecar.meta.node->Find("spec");
  const auto is_set = [&](std::string_view key) {
    const Node* node = spec == nullptr ? nullptr : spec->Find(key);
    if (node == nullptr || node->IsNull()) return false;
    return !node->IsSequence() || !node->items().empty();
  };
  if (!is_set("egress") && !is_set("ingress") && !is_set("outboundTrafficPolicy") &&
      !is_set("inboundConnectionPool")) {
    report.Refuse(sidecar.meta.span, "a Sidecar that configures nothing is not allowed");
  }
  std::set<int> ports;
  for (const Sidecar::Ingress& ingress : sidecar.ingress) {
    AdmitPort(ingress.port, ingress.span, report);
    if (!ports.insert(ingress.port).second) {
      report.Refuse(ingress.span,
                    "two ingress listeners have the port " + std::to_string(ingress.port));
    }
  }
}

}  // namespace meshproof

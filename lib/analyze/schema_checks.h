#pragma once

#include <string_view>
#include <vector>

#include "model/model.h"
#include "model/report.h"
#include "source/node.h"

namespace meshproof {

// What the API server and istiod's webhook say beyond the model's own admission: the kinds that it
// keeps unread (Gateway API, WasmPlugin, Telemetry, ProxyConfig), the shape checks of the
// networking kinds that decide nothing the model computes with, and the mesh config. Each with its
// object; in the order of the model's lists.
std::vector<Diagnostic> CheckSchemas(const Model& model);

// The parts, one a file. `object` is the whole object.
void CheckUnreadKind(const ObjectMeta& meta, Report& report);
void CheckGatewayShape(const Gateway& gateway, Report& report);
void CheckVirtualServiceShape(const VirtualService& service, Report& report);
void CheckDestinationRuleShape(const DestinationRule& rule, Report& report);
void CheckServiceEntryShape(const ServiceEntry& entry, Report& report);
void CheckSidecarShape(const Sidecar& sidecar, Report& report);
void CheckEnvoyFilterShape(const EnvoyFilter& filter, Report& report);
// `root` is the mapping of `data.mesh`.
void CheckMeshConfigFields(const Node& root, Report& report);
void CheckMeshConfigValues(const Model& model, Report& report);

// Names as Kubernetes and istiod read them.
bool IsDnsLabel(std::string_view text);                         // RFC 1123, at most 63
bool IsDnsName(std::string_view text);                          // labels with dots, at most 255
bool IsHostPattern(std::string_view text);                      // a name, `*` or `*.name`
void CheckExportTo(const TextList& export_to, Report& report);  // `*`, `.`, `~` or namespaces

}  // namespace meshproof

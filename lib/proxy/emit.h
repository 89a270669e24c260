#pragma once

#include "base/json.h"
#include "proxy/config.h"

namespace meshproof {

// The configuration as Envoy's proto-JSON in snake_case, defaults left out: an object with
// "namespace", "workload", "mode", "principal", "trust_domain", "listeners", "routes", "clusters"
// (PRODUCT.md, `compile`). Deterministic.
Json EmitProxy(const ProxyConfig& proxy);

// The same as Envoy's admin endpoint would dump it: bootstrap (the node alone), clusters (their
// names), listeners, routes.
Json EmitConfigDump(const ProxyConfig& proxy);

// How Envoy's configuration names it.
const char* EscapedSlashesName(EscapedSlashes action);

// What a proxy of this mode calls itself in its node's name.
const char* NodeRole(ProxyMode mode);

// The same value as block YAML.
std::string WriteYaml(const Json& value);

}  // namespace meshproof

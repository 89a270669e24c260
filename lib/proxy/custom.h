#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mesh/mesh.h"
#include "proxy/config.h"
#include "proxy/rbac.h"

// External authorization: extension providers and action CUSTOM (istio-semantics section 2).
namespace meshproof {

// What istiod makes of the provider that policies name: the filter, or why there is none.
struct ResolvedProvider {
  std::optional<ExtAuthzFilter> http;  // both set for gRPC, `network` never for HTTP
  std::optional<ExtAuthzFilter> network;
  std::string error;  // not empty: missing or broken
};

ResolvedProvider ResolveProvider(const Mesh& mesh, std::string_view name);

// Go's duration text ("2ms", "1m30s") as proto-JSON ("0.002s"); nothing where it is none.
std::optional<std::string> ProtoDuration(std::string_view go_duration);

// The name of an HTTP status in Envoy's enumeration; "" where it has none.
std::string_view EnvoyStatusName(int64_t status);

}  // namespace meshproof

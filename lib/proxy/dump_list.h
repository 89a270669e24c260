#pragma once

#include "base/json.h"
#include "proxy/dump.h"

namespace meshproof {

// What a dump holds, for people and tests: listeners with their chains and filters, the policies of
// each filter, what was left opaque, secrets and troubles.
Json ListProxy(const ProxyDump& dump);
Json ListZtunnel(const ZtunnelDump& dump);
// The inbound side on a screen: each chain with its TLS and security filters, what is opaque.
std::string ProxyText(const ProxyDump& dump);

}  // namespace meshproof

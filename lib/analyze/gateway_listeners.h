#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "source/node.h"

// Listeners of Gateway API Gateways, and hosts as servers and listeners of both kinds name them.
namespace meshproof {

// A finding whose field path follows from its place in the object.
Finding& ReportAt(Reporter& reporter, const ObjectMeta& meta, Span span, std::string message,
                  std::string fix);

std::span<const Node> ListItems(const Node* list);

bool IsGatewayApi(const ObjectMeta& meta, std::string_view kind);

struct GatewayListener {
  const ObjectMeta* gateway = nullptr;
  const Node* node = nullptr;
  std::string_view name, protocol, hostname;
  int port = 0;
  bool auto_passthrough = false;  // by SNI straight to the services of this cluster

  // The value of the field; the listener itself where it is not there.
  Span FieldSpan(std::string_view field) const;
  const Node* TlsOption(std::string_view option) const;
};

std::vector<GatewayListener> ListenersOf(const ObjectMeta& gateway);

// A Gateway server's host without its namespace part; `ns` gets that part, "" where none is
// written.
std::string_view HostOfServer(std::string_view written, std::string_view* ns);

// Some host is covered by both; "" and `*` are all hosts. ASCII case does not count.
bool HostsOverlap(std::string_view a, std::string_view b);

// A concrete host under it: `any.example.com` for `*.example.com`.
std::string SampleHost(std::string_view host);

}  // namespace meshproof

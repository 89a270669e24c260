// A waypoint's internal listener tells its chains apart by a matcher tree: by the address that the
// tunnel names, its port, and what the HTTP inspector found. Istio's shape is read; of any other
// one nothing is said, and the listener stays opaque.

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "proxy/read_context.h"

namespace meshproof {
namespace {

// The name of the chain that an action chooses; "" where it is no such action.
std::string ChainOf(const Node* on_match) {
  return TextField(OpenTyped(Field(Field(on_match, "action"), "typed_config")).value, "value");
}

bool HasInput(const Node* tree, std::string_view type) {
  const TypedNode input = OpenTyped(Field(Field(tree, "input"), "typed_config"));
  return input.type.ends_with(type);
}

// One chain, for HTTP or bytes, or two by what the inspector found (it writes its protocols in
// quotes).
struct Chains {
  std::string http, tcp;
};

std::optional<Chains> ReadChains(const Node* on_match) {
  if (std::string single = ChainOf(on_match); !single.empty()) {
    const bool tcp = single.find("|tcp") != std::string::npos || single.ends_with("-tcp");
    return tcp ? Chains{"", single} : Chains{single, ""};
  }
  const Node* matcher = Field(on_match, "matcher");
  const Node* tree = Field(matcher, "matcher_tree");
  if (!HasInput(tree, "ApplicationProtocolInput")) return std::nullopt;
  Chains chains;
  chains.tcp = ChainOf(Field(matcher, "on_no_match"));
  for (const Entry& entry : EntriesField(Field(tree, "exact_match_map"), "map")) {
    const std::string_view protocol = entry.key.text;
    if (protocol != "'h2c'" && protocol != "'http/1.1'") return std::nullopt;
    const std::string chain = ChainOf(&entry.value);
    if (!chains.http.empty() && chain != chains.http) return std::nullopt;
    chains.http = chain;
  }
  if (chains.http.empty() || chains.tcp.empty()) return std::nullopt;
  return chains;
}

std::optional<WaypointMatcher::Vip> ReadPorts(const Node* matcher) {
  const Node* tree = Field(matcher, "matcher_tree");
  if (!HasInput(tree, "DestinationPortInput") || Field(matcher, "on_no_match") != nullptr) {
    return std::nullopt;
  }
  WaypointMatcher::Vip vip;
  for (const Entry& entry : EntriesField(Field(tree, "exact_match_map"), "map")) {
    const auto chains = ReadChains(&entry.value);
    WaypointMatcher::Port port;
    const std::string_view text = entry.key.text;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, port.port);
    if (!chains || error != std::errc() || stop != end) return std::nullopt;
    port.http_chain = chains->http;
    port.tcp_chain = chains->tcp;
    vip.ports.push_back(std::move(port));
  }
  return vip;
}

}  // namespace

// The host behind "inbound-vip|80|http|web.shop.svc.cluster.local", which older releases write as
// "inbound-vip|80||web.shop.svc.cluster.local-http".
std::string_view WaypointHostOf(std::string_view chain) {
  if (!chain.starts_with("inbound-vip|")) return {};
  const bool old = chain.find("||") != std::string_view::npos;
  std::string_view host = chain.substr(chain.rfind('|') + 1);
  for (std::string_view protocol : {"-http", "-tcp"}) {
    if (old && host.ends_with(protocol)) host.remove_suffix(protocol.size());
  }
  return host;
}

std::optional<WaypointMatcher> ReadWaypointMatcher(const Node& matcher, ReadContext* context) {
  const Node* tree = Field(&matcher, "matcher_tree");
  const TypedNode custom = OpenTyped(Field(Field(tree, "custom_match"), "typed_config"));
  if (!HasInput(tree, "DestinationIPInput") || !custom.type.ends_with("IPMatcher") ||
      Field(&matcher, "on_no_match") != nullptr) {
    return std::nullopt;
  }
  WaypointMatcher out;
  for (const Node& range : ItemsField(custom.value, "range_matchers")) {
    std::vector<IpAddress> addresses;
    for (const Node& node : ItemsField(&range, "ranges")) {
      const auto block = ReadCidr(&node);
      if (!block || block->length != (block->address.v6 ? 128 : 32)) return std::nullopt;
      addresses.push_back(block->address);
    }
    const Node* on_match = Field(&range, "on_match");
    if (const auto direct = ReadChains(on_match)) {
      if (direct->http != "direct-http" || direct->tcp != "direct-tcp") return std::nullopt;
      out.workload_addresses.insert(out.workload_addresses.end(), addresses.begin(),
                                    addresses.end());
      continue;
    }
    auto vip = ReadPorts(Field(on_match, "matcher"));
    if (!vip) return std::nullopt;
    vip->addresses = std::move(addresses);
    for (const WaypointMatcher::Port& port : vip->ports) {
      if (vip->service != nullptr) break;
      const std::string& chain = port.http_chain.empty() ? port.tcp_chain : port.http_chain;
      vip->service = context->FindService(WaypointHostOf(chain));
    }
    out.services.push_back(*std::move(vip));
  }
  return out;
}

}  // namespace meshproof

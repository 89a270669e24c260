// Listeners of a dump: address, listener filters, filter chains with their TLS (envoy-facts
// section 4).

#include "proxy/read_context.h"

namespace meshproof {
namespace {

bool EndsWith(std::string_view text, std::string_view type, std::string_view part) {
  return type.find(part) != std::string_view::npos ||
         (type.empty() && text.find(part) != std::string_view::npos);
}

// Destination ports of a ListenerFilterChainMatchPredicate; false where it is of another shape.
bool ReadPorts(const Node* predicate, std::vector<uint32_t>* ports) {
  if (const Node* range = Field(predicate, "destination_port_range")) {
    uint32_t begin = UintField(range, "start"), end = UintField(range, "end");
    if (end < begin || end - begin > 65536) return false;
    for (uint32_t port = begin; port < end; ++port) ports->push_back(port);
    return true;
  }
  const Node* either = Field(predicate, "or_match");
  if (either == nullptr) return false;
  for (const Node& rule : ItemsField(either, "rules")) {
    if (!ReadPorts(&rule, ports)) return false;
  }
  return true;
}

void ReadListenerFilter(const Node& node, ReadContext* context, Listener* listener) {
  std::string name = TextField(&node, "name");
  TypedNode typed = OpenTyped(Field(&node, "typed_config"));
  auto opaque = [&](const std::string& what) {
    listener->opaque.push_back(what);
    context->NoteOpaque(what, node);
  };
  const Node* off = Field(&node, "filter_disabled");
  if (off != nullptr && BoolField(off, "any_match")) return;
  if (EndsWith(name, typed.type, "original_dst")) {
    listener->original_dst = true;
    if (off != nullptr) opaque("a condition on listener filter " + name);
    return;
  }
  if (EndsWith(name, typed.type, "tls_inspector")) {
    listener->tls_inspector = true;
    if (off == nullptr || ReadPorts(off, &listener->tls_inspector_disabled)) return;
    listener->tls_inspector_disabled.clear();
    if (!ReadPorts(Field(off, "not_match"), &listener->tls_inspector_only)) {
      opaque("a condition on listener filter " + name);
    }
    return;
  }
  if (EndsWith(name, typed.type, "http_inspector")) {
    listener->http_inspector = true;
    if (off != nullptr && !ReadPorts(off, &listener->http_inspector_disabled)) {
      opaque("a condition on listener filter " + name);
    }
    return;
  }
  for (std::string_view passing : {"original_src", "set_internal_dst_address",
                                   "metadata_to_peer_node", "set_filter_state", "peer_metadata"}) {
    if (!EndsWith(name, typed.type, passing)) continue;
    OpaqueFilter filter;
    filter.name = name;
    filter.type = typed.type;
    filter.effect = OpaqueFilter::Effect::kPasses;
    filter.span = context->SpanOf(node);
    listener->other_filters.push_back(std::move(filter));
    return;
  }
  opaque("listener filter " + name);
}

std::vector<CidrRange> ReadRanges(const Node* match, std::string_view key) {
  std::vector<CidrRange> ranges;
  for (const Node& node : ItemsField(match, key)) {
    if (auto range = ReadCidr(&node)) ranges.push_back(*range);
  }
  return ranges;
}

FilterChainMatch ReadChainMatch(const Node* node) {
  FilterChainMatch match;
  match.destination_port = UintField(node, "destination_port");
  match.prefix_ranges = ReadRanges(node, "prefix_ranges");
  match.server_names = TextsField(node, "server_names");
  match.transport_protocol = TextField(node, "transport_protocol");
  match.application_protocols = TextsField(node, "application_protocols");
  match.direct_source_prefix_ranges = ReadRanges(node, "direct_source_prefix_ranges");
  match.source_prefix_ranges = ReadRanges(node, "source_prefix_ranges");
  std::string type = TextField(node, "source_type");
  using SourceType = FilterChainMatch::SourceType;
  if (type == "SAME_IP_OR_LOOPBACK" || type == "LOCAL" || type == "1") {
    match.source_type = SourceType::kSameIpOrLoopback;
  }
  if (type == "EXTERNAL" || type == "2") match.source_type = SourceType::kExternal;
  for (const std::string& port : TextsField(node, "source_ports")) {
    if (auto number = port.size() <= 5 && !port.empty() &&
                              port.find_first_not_of("0123456789") == std::string::npos
                          ? std::optional<uint32_t>(static_cast<uint32_t>(std::stoul(port)))
                          : std::nullopt) {
      match.source_ports.push_back(*number);
    }
  }
  return match;
}

void ReadNames(const Node* validation, TlsContext* tls, ReadContext* context) {
  auto add = [&](const Node& matcher, std::string_view type) {
    std::string opaque;
    StringMatcher name = ReadString(&matcher, &opaque);
    if (!type.empty() && type != "URI" && type != "DNS") {
      opaque = "subject alternative names of type " + std::string(type);
    }
    if (!opaque.empty()) {
      tls->opaque.push_back(opaque);
      context->NoteOpaque(opaque, matcher);
      return;
    }
    tls->subject_alt_names.push_back(std::move(name));
  };
  for (const Node& matcher : ItemsField(validation, "match_subject_alt_names")) add(matcher, "");
  for (const Node& typed : ItemsField(validation, "match_typed_subject_alt_names")) {
    if (const Node* matcher = Field(&typed, "matcher"))
      add(*matcher, TextField(&typed, "san_type"));
  }
  for (const std::string& exact : TextsField(validation, "verify_subject_alt_name")) {
    tls->subject_alt_names.push_back(StringMatcher::Exact(exact));
  }
  for (const char* setting : {"verify_certificate_hash", "verify_certificate_spki",
                              "custom_validator_config", "trust_chain_verification", "crl"}) {
    const Node* value = Field(validation, setting);
    // CRLs and a SPIFFE validator of the mesh's roots do not change whom the mesh trusts.
    bool decides = value != nullptr && setting != std::string_view("crl") &&
                   TextOf(value) != "VERIFY_TRUST_CHAIN";
    if (!decides) continue;
    tls->opaque.emplace_back(setting);
    context->NoteOpaque("TLS setting " + std::string(setting), *value);
  }
}

TlsContext ReadTls(const Node* config, ReadContext* context) {
  TlsContext tls;
  tls.require_client_certificate = BoolField(config, "require_client_certificate");
  const Node* common = Field(config, "common_tls_context");
  tls.alpn = TextsField(common, "alpn_protocols");
  tls.min_version = TextField(Field(common, "tls_params"), "tls_minimum_protocol_version");
  if (tls.min_version == "TLSv1_2") tls.min_version.clear();
  for (const Node& secret : ItemsField(common, "tls_certificate_sds_secret_configs")) {
    if (tls.certificate_secret.empty()) tls.certificate_secret = TextField(&secret, "name");
  }
  if (tls.certificate_secret.empty() && !ItemsField(common, "tls_certificates").empty()) {
    tls.certificate_secret = "inline";
  }
  if (const Node* sds = Field(common, "validation_context_sds_secret_config")) {
    tls.ca_secret = TextField(sds, "name");
  } else if (const Node* combined = Field(common, "combined_validation_context")) {
    tls.ca_secret = TextField(Field(combined, "validation_context_sds_secret_config"), "name");
    ReadNames(Field(combined, "default_validation_context"), &tls, context);
  } else if (const Node* own = Field(common, "validation_context")) {
    tls.ca_secret = "inline";
    ReadNames(own, &tls, context);
  }
  return tls;
}

void ReadTransport(const Node& node, ReadContext* context, FilterChain* chain) {
  // The spelling before transport sockets.
  if (const Node* legacy = Field(&node, "tls_context")) {
    chain->tls = ReadTls(legacy, context);
    return;
  }
  const Node* socket = Field(&node, "transport_socket");
  if (socket == nullptr) return;
  std::string name = TextField(socket, "name");
  TypedNode typed = OpenTyped(Field(socket, "typed_config"));
  if (typed.type.ends_with("DownstreamTlsContext") ||
      (typed.type.empty() && name == "envoy.transport_sockets.tls")) {
    chain->tls = ReadTls(typed.value, context);
  } else if (!typed.type.ends_with("RawBuffer") && name != "envoy.transport_sockets.raw_buffer") {
    chain->opaque_transport = typed.type.empty() ? name : typed.type;
    context->NoteOpaque("transport socket " + chain->opaque_transport, *socket);
  }
}

FilterChain ReadChain(const Node& node, ReadContext* context) {
  FilterChain chain;
  chain.name = TextField(&node, "name");
  chain.span = context->SpanOf(node);
  chain.match = ReadChainMatch(Field(&node, "filter_chain_match"));
  if (const Node* match = Field(&node, "filter_chain_match")) {
    for (const char* unused : {"address_suffix", "suffix_len"}) {
      if (const Node* value = Field(match, unused)) {
        context->NoteOpaque("filter chain condition " + std::string(unused), *value);
      }
    }
  }
  ReadTransport(node, context, &chain);
  context->service = context->FindService(WaypointHostOf(chain.name));
  auto filters = std::make_shared<std::vector<NetworkFilter>>();
  const auto listed = ItemsField(&node, "filters");
  filters->reserve(listed.size());
  for (const Node& filter : listed) {
    filters->push_back(ReadNetworkFilter(filter, context));
  }
  chain.filters = std::move(filters);
  context->service = nullptr;
  chain.mtls = context->ModeFor(chain.match.destination_port);
  return chain;
}

Listener::Direction ReadDirection(const Node& node) {
  std::string direction = TextField(&node, "traffic_direction");
  if (direction == "INBOUND" || direction == "1") return Listener::Direction::kInbound;
  if (direction == "OUTBOUND" || direction == "2") return Listener::Direction::kOutbound;
  return Listener::Direction::kUnspecified;
}

}  // namespace

Listener ReadListener(const Node& node, ReadContext* context) {
  Listener listener;
  listener.name = TextField(&node, "name");
  listener.span = context->SpanOf(node);
  listener.direction = ReadDirection(node);
  const Node* socket = Field(Field(&node, "address"), "socket_address");
  listener.address = TextField(socket, "address");
  listener.port = UintField(socket, "port_value");
  if (listener.name.empty()) {
    listener.name = listener.address + "_" + std::to_string(listener.port);
  }
  context->where = "listener " + listener.name;
  for (const Node& filter : ItemsField(&node, "listener_filters")) {
    ReadListenerFilter(filter, context, &listener);
  }
  if (const Node* matcher = Field(&node, "filter_chain_matcher")) {
    listener.waypoint = ReadWaypointMatcher(*matcher, context);
    if (!listener.waypoint) {
      listener.opaque.emplace_back("filter_chain_matcher");
      context->NoteOpaque("filter chain matcher", *matcher);
    }
  }
  if (const Node* quic = Field(Field(&node, "udp_listener_config"), "quic_options")) {
    listener.opaque.emplace_back("QUIC");
    context->NoteOpaque("QUIC", *quic);
  }
  const auto chains = ItemsField(&node, "filter_chains");
  listener.filter_chains.reserve(chains.size());
  for (const Node& chain : chains) {
    listener.filter_chains.push_back(ReadChain(chain, context));
  }
  if (const Node* chain = Field(&node, "default_filter_chain")) {
    listener.default_filter_chain = ReadChain(*chain, context);
  }
  context->where.clear();
  return listener;
}

}  // namespace meshproof

// Envoy's HTTP connection manager on one request, in its own order (envoy-facts section 5): codec,
// HTTP version, host, path form, path normalization, headers and remote address, first route
// selection, upgrades, HTTP filters, router.
//
// Which headers Envoy adds, replaces and removes before the first filter is measured on 1.40 with
// Istio's settings; no address counts as internal, so every request is an external one.

#include "simulate/connection_manager.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "match/normal_path.h"
#include "match/path.h"
#include "simulate/codec.h"
#include "simulate/ext_authz.h"
#include "simulate/rbac.h"
#include "simulate/referer.h"

namespace meshproof {
namespace {

constexpr std::array<std::string_view, 16> kRemovedAlways = {
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-url",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
};

// At an edge proxy (use_remote_address) also these.
constexpr std::array<std::string_view, 5> kRemovedAtEdge = {
    "x-envoy-decorator-operation", "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node", "x-envoy-original-host", "x-envoy-original-path"};

constexpr std::string_view kForwardedFor = "x-forwarded-for";

// The entry of X-Forwarded-For at `position` from the right; nothing where there is none or it is
// no bare address (a zone is read, as by inet_pton, but never lies in a block).
struct ForwardedEntry {
  bool there = false;
  bool last = false;
  std::string_view text;
};

ForwardedEntry EntryFromRight(std::string_view value, uint32_t position) {
  ForwardedEntry entry;
  uint32_t index = 0;
  size_t end = value.size();
  while (true) {
    size_t comma = end == 0 ? std::string_view::npos : value.rfind(',', end - 1);
    size_t begin = comma == std::string_view::npos ? 0 : comma + 1;
    if (index == position) {
      entry.there = true;
      entry.last = position == 0;
      entry.text = TrimSpace(value.substr(begin, end - begin));
      return entry;
    }
    if (comma == std::string_view::npos) return entry;
    end = comma;
    ++index;
  }
}

// The text of an address as far as it is known: of a range of IPv4 addresses the octets that all
// of them share, of any other nothing.
std::string KnownText(const Address& address) {
  if (const auto* ip = std::get_if<IpAddress>(&address.value)) return ToString(*ip);
  const auto* range = std::get_if<CidrRange>(&address.value);
  if (range == nullptr) return "";
  std::string text = ToString(range->address);
  if (text.find(':') != std::string::npos) return "";
  size_t end = 0;
  for (int octet = 0; octet < std::min(range->length / 8, 3); ++octet) {
    end = text.find('.', end) + 1;
  }
  return text.substr(0, end);
}

}  // namespace

ConnectionManager::ConnectionManager(
    const HttpConnectionManager& config,
    const std::map<std::string, std::unique_ptr<RouteTable>, std::less<>>& routes,
    KeySets* key_sets, TokenCache* tokens)
    : config_(config) {
  if (config.routes) {
    own_routes_ = std::make_unique<RouteTable>(*config.routes);
    routes_ = own_routes_.get();
  } else if (!config.rds.empty()) {
    auto found = routes.find(config.rds);
    if (found != routes.end()) routes_ = found->second.get();
  }
  for (const auto& filter : config.http_filters) {
    const auto* jwt = std::get_if<JwtFilter>(&filter);
    jwt_.push_back(jwt == nullptr ? nullptr
                                  : std::make_unique<JwtAuthenticator>(*jwt, key_sets, tokens));
  }
}

std::string ConnectionManager::load_failure() const {
  for (const auto& jwt : jwt_) {
    if (jwt && !jwt->load_failure().empty()) return jwt->load_failure();
  }
  return "";
}

// The codec: by what TLS negotiated, else by the first bytes.
bool ConnectionManager::Decode(std::string_view negotiated, Stream* stream) const {
  const ProxyRequest& request = *stream->request;
  bool sends_http2 =
      request.protocol == WireProtocol::kHttp2 || request.protocol == WireProtocol::kGrpc;
  stream->http2 = sends_http2;
  auto close = [&](std::string_view details, std::string_view text) {
    stream->AddStep(Stage::kHttp, Step::Result::kRefuse, std::string(text));
    CloseConnection(stream, Stage::kHttp, std::string(details), "DPE");
    return false;
  };
  if (negotiated == "h2" && !sends_http2) {
    return close("", "the HTTP/2 codec that TLS agreed on ends the connection");
  }
  if (sends_http2 && !negotiated.empty() && negotiated != "h2") {
    return close("http1.codec_error", "the HTTP/1 codec that TLS agreed on refuses HTTP/2");
  }
  std::optional<CodecRefusal> refusal;
  if (request.protocol == WireProtocol::kTcp) {
    refusal = CodecRefusal{400, "http1.codec_error", "Bad Request"};
  } else {
    refusal = sends_http2 ? DecodeHttp2(request, &stream->headers)
                          : DecodeHttp1(request, config_.accept_http_10, &stream->headers);
  }
  if (!refusal) {
    for (const std::string& name : request.opaque_headers) stream->headers.MarkOpaque(name);
    return true;
  }
  if (stream->trace) {
    stream->AddStep(Stage::kHttp, Step::Result::kRefuse,
                    "the codec refuses the request: " + std::string(refusal->details));
  }
  if (refusal->status == 0) {
    CloseConnection(stream, Stage::kHttp, std::string(refusal->details), refusal->flags);
    return false;
  }
  SendLocalReply(stream, Outcome::kDeny, refusal->status, std::string(refusal->details),
                 std::string(refusal->body), Stage::kHttp, refusal->flags);
  // The codec answers before anybody looks at the content type.
  stream->verdict->grpc_status = -1;
  if (request.method != "HEAD") stream->verdict->body = refusal->body;
  return false;
}

// What the connection manager refuses itself, and the path.
bool ConnectionManager::Admit(Stream* stream) const {
  HeaderMap& headers = stream->headers;
  auto refuse = [&](int status, std::string_view details) {
    if (stream->trace) {
      stream->AddStep(
          Stage::kHttp, Step::Result::kRefuse,
          "the connection manager answers " + std::to_string(status) + " " + std::string(details));
    }
    SendLocalReply(stream, Outcome::kDeny, status, std::string(details), "", Stage::kHttp);
    return false;
  };
  if (!headers.has_authority) return refuse(400, "missing_host_header");
  if (headers.has_path && (headers.path.empty() || headers.path[0] != '/')) {
    return refuse(404, headers.path.empty() ? "missing_path_rejected" : "absolute_path_rejected");
  }
  if (headers.method == "QUERY") {
    const auto* type = headers.Find("content-type");
    if (type == nullptr || type->value.empty()) return refuse(400, "query_missing_content_type");
  }
  return !headers.has_path || NormalizeRequestPath(stream);
}

bool ConnectionManager::NormalizeRequestPath(Stream* stream) const {
  HeaderMap& headers = stream->headers;
  if (IsNormalPath(headers.path)) return true;
  NormalizedPath normalized = NormalizePath(headers.path, config_.path);
  if (normalized.outcome == NormalizedPath::Outcome::kOk) {
    if (normalized.path != headers.path) {
      if (stream->trace) {
        stream->AddStep(Stage::kHttp, Step::Result::kPass,
                        "the path is normalized to " + normalized.path);
      }
      headers.path = headers.Own(normalized.path);
    }
    return true;
  }
  // A gRPC client gets no redirect.
  bool redirect =
      normalized.outcome == NormalizedPath::Outcome::kRedirect && !HasGrpcContentType(headers);
  if (stream->trace) {
    stream->AddStep(Stage::kHttp, Step::Result::kRefuse,
                    redirect ? "the path redirects to " + normalized.path
                             : std::string("the path cannot be normalized"));
  }
  SendLocalReply(stream, redirect ? Outcome::kAllow : Outcome::kDeny, redirect ? 307 : 400,
                 "path_normalization_failed", "", Stage::kHttp);
  return false;
}

// The client's address: with use_remote_address the peer, or with trusted hops the entry of
// X-Forwarded-For that the outermost of them wrote; without it (a sidecar's inbound side) the
// rightmost entry that is not a trusted hop's. An entry that is no address leaves the peer.
void ConnectionManager::ReadRemoteAddress(Stream* stream) const {
  const ProxyRequest& request = *stream->request;
  stream->remote = request.connection.source;
  uint32_t hops = config_.xff_num_trusted_hops;
  if (config_.use_remote_address && hops == 0) return;
  uint32_t position = config_.use_remote_address ? hops - 1 : hops;
  if (!stream->headers.Has(kForwardedFor)) return;
  ForwardedEntry entry = EntryFromRight(stream->headers.Joined(kForwardedFor), position);
  if (!entry.there) return;
  if (entry.last && request.forwarded_for) {
    stream->remote = *request.forwarded_for;
    return;
  }
  if (auto ip = ParseIpAddress(entry.text)) stream->remote = Address{*ip};
}

void ConnectionManager::MutateClientCertificate(Stream* stream) const {
  constexpr std::string_view kHeader = "x-forwarded-client-cert";
  HeaderMap& headers = stream->headers;
  const std::string& mode = config_.forward_client_cert_details;
  if (mode == "ALWAYS_FORWARD_ONLY") return;
  if (stream->certificate == nullptr || mode.empty() || mode == "SANITIZE") {
    headers.Remove(kHeader);
    return;
  }
  if (mode == "FORWARD_ONLY") return;
  // The hash of the certificate is not known here.
  std::string_view value = headers.Own(
      {"By=", stream->proxy->principal, ";Hash=;Subject=\"", stream->certificate->subject, "\""});
  for (const auto& name : stream->certificate->uri_sans)
    value = headers.Own({value, ";URI=", name});
  for (const auto& name : stream->certificate->dns_sans)
    value = headers.Own({value, ";DNS=", name});
  const auto* sent = headers.Find(kHeader);
  if (mode == "APPEND_FORWARD" && sent != nullptr && !sent->value.empty()) {
    value = headers.Own({sent->value, ",", value});
  }
  headers.Set(kHeader, value, true);
}

void ConnectionManager::MutateHeaders(Stream* stream) const {
  HeaderMap& headers = stream->headers;
  bool edge = config_.use_remote_address;
  if (!headers.entries().empty()) {
    // Envoy answers 100 itself.
    const auto* expect = headers.Find("expect");
    if (expect != nullptr && EqualsIgnoreCase(expect->value, "100-continue")) {
      headers.Remove("expect");
    }
    if (!IsUpgrade(headers)) {
      headers.Remove("connection");
      headers.Remove("upgrade");
    }
    headers.Remove("keep-alive");
    headers.Remove("proxy-connection");
    headers.Remove("transfer-encoding");
    if (const auto* referer = headers.Find("referer");
        referer != nullptr && !IsKeptReferer(referer->value)) {
      headers.Remove("referer");
    }
    if (const auto* te = headers.Find("te"); te != nullptr && !te->value.empty()) {
      auto parts = Split(te->value, ',');
      bool trailers = std::any_of(parts.begin(), parts.end(), [](std::string_view part) {
        return TrimSpace(part) == "trailers";
      });
      if (trailers) {
        headers.Set("te", "trailers");
      } else {
        headers.Remove("te");
      }
    }
    headers.RemoveAll("x-envoy-", kRemovedAlways.data(), kRemovedAlways.size());
    if (edge) headers.RemoveAll("x-envoy-", kRemovedAtEdge.data(), kRemovedAtEdge.size());
  }
  std::string_view scheme = stream->tls ? "https" : "http";
  if (edge) {
    const Address& source = stream->request->connection.source;
    const std::string_view forwarded = headers.Joined(kForwardedFor);
    headers.Set(kForwardedFor,
                headers.Own({forwarded, forwarded.empty() ? "" : ",", KnownText(source)}),
                !source.known());
    stream->opaque_forwarded_for = !source.known();
    headers.Set("x-envoy-external-address", headers.Own(KnownText(stream->remote)),
                !stream->remote.known());
    // The generated value is not known; its form is.
    headers.Set("x-request-id", "00000000-0000-4000-8000-000000000000", true);
  } else if (!headers.Has("x-request-id")) {
    headers.Set("x-request-id", "00000000-0000-4000-8000-000000000000", true);
  }
  if (edge && config_.xff_num_trusted_hops == 0) {
    headers.Set("x-forwarded-proto", scheme);
  } else if (!headers.Has("x-forwarded-proto")) {
    headers.Set("x-forwarded-proto", scheme);
  }
  if (headers.scheme.empty()) {
    std::string_view proto = headers.Find("x-forwarded-proto")->value;
    if (EqualsIgnoreCase(proto, "http")) scheme = "http";
    if (EqualsIgnoreCase(proto, "https")) scheme = "https";
    headers.scheme = scheme;
  }
  MutateClientCertificate(stream);
}

RouteChoice ConnectionManager::ChooseRoute(Stream* stream) const {
  RouteChoice choice;
  // Without the protocol of the client no route is looked for (measured).
  const auto* proto = stream->headers.Find("x-forwarded-proto");
  if (proto == nullptr || proto->value.empty()) return choice;
  if (routes_ != nullptr) return routes_->Find(stream);
  if (config_.rds.empty()) {
    choice.kind = stream->headers.has_path ? RouteChoice::Kind::kDefault : RouteChoice::Kind::kNone;
  } else {
    choice.unknown =
        "route configuration " + config_.rds + ", of the section of routes, is not in the input";
  }
  return choice;
}

bool ConnectionManager::UpgradeAllowed(const Stream& stream) const {
  if (!IsUpgrade(stream.headers)) return true;
  std::string_view wanted = stream.headers.Find("upgrade")->value;
  return std::any_of(config_.upgrade_types.begin(), config_.upgrade_types.end(),
                     [&](const std::string& type) { return EqualsIgnoreCase(type, wanted); });
}

namespace {

std::string_view FilterName(const HttpFilter& filter) {
  struct Names {
    static std::string_view Or(const std::string& name, std::string_view usual) {
      return name.empty() ? usual : std::string_view(name);
    }
    std::string_view operator()(const RbacFilter& f) {
      return Or(f.name, "envoy.filters.http.rbac");
    }
    std::string_view operator()(const JwtFilter& f) {
      return Or(f.name, "envoy.filters.http.jwt_authn");
    }
    std::string_view operator()(const ExtAuthzFilter& f) {
      return Or(f.name, "envoy.filters.http.ext_authz");
    }
    std::string_view operator()(const OpaqueFilter& f) { return f.name; }
  };
  return std::visit(Names(), filter);
}

bool IsDisabled(const HttpFilter& filter) {
  return std::visit([](const auto& any) { return any.disabled; }, filter);
}

bool IsPreflight(const Stream& stream) {
  return stream.headers.method == "OPTIONS" && stream.headers.Has("origin") &&
         stream.headers.Has("access-control-request-method");
}

const FilterOverride* FindIn(const std::vector<FilterOverride>& overrides, std::string_view name) {
  for (const auto& entry : overrides) {
    if (entry.filter == name) return &entry;
  }
  return nullptr;
}

}  // namespace

// What the route says of a filter; route before virtual host before route configuration.
const FilterOverride* ConnectionManager::OverrideOf(const HttpFilter& filter,
                                                    const RouteChoice& route) const {
  if (route.kind != RouteChoice::Kind::kRoute) return nullptr;
  std::string_view name = FilterName(filter);
  if (const auto* own = FindIn(route.route->overrides, name)) return own;
  if (const auto* host = FindIn(route.host->overrides, name)) return host;
  return routes_ == nullptr ? nullptr : FindIn(routes_->routes().overrides, name);
}

bool ConnectionManager::RunFilters(RouteChoice* route, Stream* stream) const {
  for (size_t i = 0; i < config_.http_filters.size(); ++i) {
    const HttpFilter& filter = config_.http_filters[i];
    FilterStatus status = FilterStatus::kContinue;
    const FilterOverride* change = OverrideOf(filter, *route);
    using Kind = FilterOverride::Kind;
    if (change != nullptr ? change->kind == Kind::kDisabled : IsDisabled(filter)) {
      if (stream->trace) {
        stream->AddStep(Stage::kNone, Step::Result::kSkip,
                        "filter " + std::string(FilterName(filter)) + " is off on this route");
      }
      continue;
    }
    if (change != nullptr && change->kind == Kind::kPreflight && IsPreflight(*stream)) {
      EndUndetermined(stream, "the CORS filter of route " + route->route->name +
                                  " may answer the preflight itself");
      return false;
    }
    if (change != nullptr && change->kind == Kind::kOpaque) {
      EndUndetermined(stream, "what route " + route->route->name + " changes of filter " +
                                  change->filter + " (" + change->type +
                                  ") cannot be seen through");
      return false;
    }
    if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
      const RbacFilter* asked =
          change != nullptr && change->kind == Kind::kRbac ? change->rbac.get() : rbac;
      status = RunRbac(*asked, FilterLevel::kHttp, stream);
    } else if (jwt_[i]) {
      bool named = change != nullptr && change->kind == Kind::kJwtRequirement;
      status = jwt_[i]->Run(stream, named ? &change->requirement : nullptr);
      if (stream->clear_route_cache) {
        *route = ChooseRoute(stream);
        stream->clear_route_cache = false;
      }
    } else if (const auto* ext_authz = std::get_if<ExtAuthzFilter>(&filter)) {
      status = RunExtAuthz(*ext_authz, FilterLevel::kHttp, route->found(), stream);
    } else if (const auto* opaque = std::get_if<OpaqueFilter>(&filter)) {
      if (opaque->effect == OpaqueFilter::Effect::kIstioAuthn) stream->istio_authn = true;
      if (opaque->effect != OpaqueFilter::Effect::kUnknown) continue;
      EndUndetermined(stream, "filter " + opaque->name + " cannot be seen through");
      status = FilterStatus::kStop;
    }
    if (status == FilterStatus::kStop) return false;
  }
  return true;
}

// What the manager does to the host and to names with underscores before anything is decided.
bool ConnectionManager::ShapeHeaders(Stream* stream) const {
  HeaderMap& headers = stream->headers;
  using Underscores = HttpConnectionManager::Underscores;
  if (config_.underscores != Underscores::kAllow) {
    std::vector<std::string_view> names;
    for (const auto& entry : headers.entries()) {
      if (entry.name.find('_') != std::string_view::npos) names.push_back(entry.name);
    }
    if (!names.empty() && config_.underscores == Underscores::kReject) {
      stream->AddStep(Stage::kHttp, Step::Result::kRefuse,
                      "a header name has an underscore: " + std::string(names.front()));
      if (stream->http2) {
        CloseConnection(stream, Stage::kHttp, "http2.unexpected_underscore");
      } else {
        SendLocalReply(stream, Outcome::kDeny, 400, "http1.unexpected_underscore", "Bad Request",
                       Stage::kHttp, "DPE");
      }
      return false;
    }
    for (std::string_view name : names) headers.Remove(name);
  }
  if (!headers.has_authority) return true;
  using StripPort = HttpConnectionManager::StripPort;
  if (config_.strip_trailing_host_dot) {
    std::string_view host = meshproof::StripPort(headers.authority);
    if (host.ends_with('.')) {
      headers.authority =
          headers.Own({host.substr(0, host.size() - 1), headers.authority.substr(host.size())});
    }
  }
  if (config_.strip_port != StripPort::kNone) {
    std::string_view host = meshproof::StripPort(headers.authority);
    std::string_view port = headers.authority.substr(host.size());
    bool matching = port == ":" + std::to_string(stream->request->connection.destination_port);
    if (config_.strip_port == StripPort::kAny || matching) headers.authority = host;
  }
  return true;
}

void ConnectionManager::Run(std::string_view negotiated, Stream* stream) const {
  if (!config_.opaque.empty()) {
    EndUndetermined(stream, "settings of the connection manager that cannot be seen through: " +
                                Join(config_.opaque, ", "));
    return;
  }
  if (!Decode(negotiated, stream) || !ShapeHeaders(stream) || !Admit(stream)) return;
  ReadRemoteAddress(stream);
  MutateHeaders(stream);
  RouteChoice route = ChooseRoute(stream);
  if (route.found() && !UpgradeAllowed(*stream)) {
    stream->AddStep(Stage::kHttp, Step::Result::kRefuse, "this upgrade is not allowed");
    SendLocalReply(stream, Outcome::kDeny, 403, "upgrade_failed", "", Stage::kHttp);
    return;
  }
  if (!RunFilters(&route, stream)) return;
  RunRouter(route, config_.cluster, stream);
}

}  // namespace meshproof

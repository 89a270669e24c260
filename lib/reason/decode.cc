// The request that a point of the space stands for, and points in words.

#include "base/text.h"
#include "match/path.h"
#include "reason/translator.h"
#include "simulate/approach.h"
#include "simulate/header_map.h"

namespace meshproof {
namespace {

// The request target that a listener normalizes to `path`.
std::optional<std::string> SendablePath(const std::string& path, const PathOptions& options) {
  auto is = [&](const std::string& sent) {
    NormalizedPath normalized = NormalizePath(sent, options);
    return normalized.outcome == NormalizedPath::Outcome::kOk && normalized.path == path;
  };
  if (is(path)) return path;
  // `..;x` is what `%2e%2e;x` becomes; bare it would be taken for a dot
  // segment.
  std::string escaped;
  for (size_t i = 0; i < path.size(); ++i) {
    bool segment = i > 0 && path[i - 1] == '/';
    if (segment && path.compare(i, 3, "..;") == 0) {
      escaped += "%2e%2e";
      ++i;
    } else if (segment && path.compare(i, 2, ".;") == 0) {
      escaped += "%2e";
    } else {
      escaped += path[i];
    }
  }
  if (is(escaped)) return escaped;
  return std::nullopt;
}

void SetClaim(const std::vector<std::string>& names, Json value, Json* claims) {
  Json* at = claims;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    if (at->Find(names[i]) == nullptr) at->Set(names[i], Json::MakeObject());
    for (auto& [key, child] : at->as_object()) {
      if (key == names[i]) {
        at = &child;
        break;
      }
    }
  }
  at->Set(names.back(), std::move(value));
}

}  // namespace

std::string PortModel::Describe(const Space::Point& point,
                                const std::vector<Space::FieldId>& fields) const {
  const Translator& own = *translator_;
  std::vector<std::string> words;
  for (Space::FieldId field : fields) {
    const std::string& name = space_.name(field);
    if (own.transport == field) {
      Transport at = TransportAt(space_.ChoiceOf(field, point));
      std::string text = at.security == Transport::Security::kPlaintext     ? "plaintext"
                         : at.security == Transport::Security::kCertificate ? "mTLS"
                                                                            : "TLS";
      if (at.speech == Transport::Speech::kBytes) text += " (bytes)";
      if (at.speech == Transport::Speech::kHttp2) text += " (HTTP/2)";
      words.push_back(text);
    } else if (own.source == field || own.remote == field || own.destination == field) {
      words.push_back(name + " like " + ToString(space_.AddressOf(field, point)));
    } else if (claim_fields_.count(name) != 0 ||
               (header_fields_.count(name) != 0 && !IsJoinedHeader(header_fields_.at(name)))) {
      auto claim = claim_fields_.find(name);
      std::string what = claim != claim_fields_.end() ? "claim " + Join(claim->second, ".") : name;
      std::vector<std::string> texts = space_.TextsOf(field, point);
      words.push_back(texts.empty() ? "no " + what : what + " like " + Join(texts, ", "));
    } else if (name.starts_with(kAuthorizer) || name.starts_with(kOpaque)) {
      continue;
    } else if (query_flags_.count(name) != 0) {
      words.push_back((space_.FlagOf(field, point) ? "" : "no ") + name);
    } else if (auto text = space_.TextOf(field, point)) {
      words.push_back((name == "issuer" ? "token of " : name + " like ") + *text);
    } else {
      words.push_back(name == "issuer" ? "no token" : "no " + name);
    }
  }
  return words.empty() ? "any request" : Join(words, ", ");
}

std::optional<Case> PortModel::Decode(const Space::Point& point, size_t side) const {
  const Translator& own = *translator_;
  const SideModel& to = sides_[side];
  const Workload& workload = *to.workload;
  Case request;
  request.to_workload = workload.ns + "/" + workload.name;
  request.to_port = to.port;
  if (to.door.service != nullptr) {
    request.to_workload.clear();
    request.to_host = to.door.service->host;
    request.to_port = to.door.port->port;
  }
  request.from_outside = true;
  Transport at = own.transport ? TransportAt(space_.ChoiceOf(*own.transport, point)) : Transport{};
  bool gateway = workload.mode == ProxyMode::kGateway;
  switch (at.security) {
    case Transport::Security::kPlaintext:
      request.tls = CaseTls::kPlaintext;
      break;
    case Transport::Security::kCertificate:
      request.tls = CaseTls::kMtls;
      break;
    case Transport::Security::kNoCertificate:
      request.tls = CaseTls::kAuto;
      break;
  }
  switch (at.speech) {
    case Transport::Speech::kHttp1:
      request.protocol = WireProtocol::kHttp1;
      break;
    case Transport::Speech::kHttp2:
      request.protocol = WireProtocol::kHttp2;
      break;
    case Transport::Speech::kBytes:
      request.protocol = WireProtocol::kTcp;
      break;
  }
  if (at.security == Transport::Security::kCertificate) {
    std::string name = workload.identity;
    if (own.identity) name = space_.TextOf(*own.identity, point).value_or(name);
    request.from_identity = name;
    // HBONE is what ambient callers speak.
    const bool tunnel = workload.mode == ProxyMode::kAmbient || to.door.service != nullptr;
    const Callers& known = *asked_[side].callers;
    const auto& callers = tunnel ? known.ambient : known.sidecars;
    if (auto caller = callers.find(name); caller != callers.end()) {
      request.from_workload = caller->second->ns + "/" + caller->second->name;
      request.from_outside = false;
      request.from_identity.reset();
    }
    if (tunnel && request.from_workload.empty() && known.first_ambient != nullptr) {
      request.from_workload = known.first_ambient->ns + "/" + known.first_ambient->name;
      request.from_outside = false;
    }
  }
  if (own.server_name && at.security != Transport::Security::kPlaintext) {
    request.sni = space_.TextOf(*own.server_name, point);
  }
  if (own.source) {
    request.from_ip = space_.AddressOf(*own.source, point);
  } else if (to.door.service != nullptr) {
    // Where the pods refuse the waypoint, its own rules are not asked here, and are in a replay.
    request.from_ip = ParseIpAddress("10.244.0.9");
  }
  if (own.destination) request.to_ip = space_.AddressOf(*own.destination, point);
  for (const std::string& provider : providers_) {
    auto flag = space_.Find(std::string(kAuthorizer) + provider);
    request.ext_authz_by_provider[provider] =
        flag && space_.FlagOf(*flag, point) ? ExtAuthzAnswer::kAllow : ExtAuthzAnswer::kDeny;
  }
  if (at.speech == Transport::Speech::kBytes) return request;

  if (own.method) request.method = space_.TextOf(*own.method, point);
  if (own.path) {
    auto sent = SendablePath(*space_.TextOf(*own.path, point), path_options_);
    if (!sent) return std::nullopt;
    request.path = *sent;
  }
  if (own.host) request.host = space_.TextOf(*own.host, point);
  if (gateway && !request.host) request.host = "example.com";
  char separator = '?';
  for (const auto& [field, named] : query_flags_) {
    if (!space_.FlagOf(*space_.Find(field), point)) continue;
    request.path += separator + named.first + "=" + named.second;
    separator = '&';
  }
  for (const auto& [field, name] : header_fields_) {
    Space::FieldId id = *space_.Find(field);
    if (IsJoinedHeader(name)) {
      if (auto text = space_.TextOf(id, point)) request.headers.emplace_back(name, *text);
      continue;
    }
    for (const std::string& text : space_.TextsOf(id, point)) {
      request.headers.emplace_back(name, text);
    }
  }
  if (own.remote && space_.AddressOf(*own.remote, point) != space_.AddressOf(*own.source, point)) {
    std::string value = ToString(space_.AddressOf(*own.remote, point));
    // Trusted proxies stand to the right of the entry that counts.
    uint32_t behind = edge_ ? (trusted_hops_ > 0 ? trusted_hops_ - 1 : 0) : trusted_hops_;
    for (uint32_t i = 0; i < behind; ++i) value += ", 192.0.2.1";
    request.headers.emplace_back("x-forwarded-for", value);
  }
  if (own.issuer) {
    if (auto issuer = space_.TextOf(*own.issuer, point)) {
      Json claims = Json::MakeObject();
      claims.Set("iss", *issuer);
      if (own.subject) {
        if (auto subject = space_.TextOf(*own.subject, point)) claims.Set("sub", *subject);
      }
      for (const auto& [field, names] : claim_fields_) {
        std::vector<std::string> texts = space_.TextsOf(*space_.Find(field), point);
        if (texts.empty()) continue;
        bool list = texts.size() != 1 || list_claims_.count(names.back()) != 0;
        Json value(texts.front());
        if (list) {
          value = Json::MakeArray();
          for (const std::string& text : texts) value.Append(text);
        }
        SetClaim(names, std::move(value), &claims);
      }
      request.claims = std::move(claims);
    }
  }
  return request;
}

}  // namespace meshproof

// What Envoy's HTTP/1 and HTTP/2 codecs and its HTTP inspector make of a request line and headers:
// which requests they refuse, with which details, and what reaches the connection manager.
// All rules are measured on Envoy 1.40 with Istio's runtime (envoy-facts section 5, oracle facts
// section 5): the HTTP/1 parser looks at control characters first, then at the request line, then
// at each header; framing headers, `Connection`, the request target and the authority follow.

#include "simulate/codec.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/text.h"

namespace meshproof {
namespace {

constexpr size_t kMaxHeaderBytes = size_t{60} * 1024;
constexpr size_t kMaxHeaderCount = 100;

constexpr CodecRefusal kHttp1Error = {400, "http1.codec_error", "Bad Request"};
constexpr CodecRefusal kHttp1Characters = {400, "http1.invalid_characters", "Bad Request"};
constexpr CodecRefusal kHttp1Url = {400, "http1.invalid_url", "Bad Request"};
constexpr CodecRefusal kHttp1Scheme = {400, "http1.invalid_scheme", "Bad Request"};
constexpr CodecRefusal kInvalidAuthority = {400, "http.invalid_authority", "Bad Request"};
constexpr CodecRefusal kHttp2Field = {0, "http2.invalid.header.field", ""};
constexpr CodecRefusal kHttp2Messaging = {0, "http2.violation.of.messaging.rule", ""};

constexpr std::array<std::string_view, 35> kMethods = {
    "ACL",       "BIND",      "CHECKOUT", "CONNECT", "COPY",       "DELETE",     "GET",
    "HEAD",      "LINK",      "LOCK",     "MERGE",   "MKACTIVITY", "MKCALENDAR", "MKCOL",
    "MOVE",      "MSEARCH",   "NOTIFY",   "OPTIONS", "PATCH",      "POST",       "PROPFIND",
    "PROPPATCH", "PURGE",     "PUT",      "QUERY",   "REBIND",     "REPORT",     "SEARCH",
    "SOURCE",    "SUBSCRIBE", "TRACE",    "UNBIND",  "UNLINK",     "UNLOCK",     "UNSUBSCRIBE"};

// Letters, digits and `marks`, to be asked by byte.
using CharSet = std::array<bool, 256>;
constexpr CharSet LettersDigitsAnd(std::string_view marks) {
  CharSet set{};
  for (char c = 'a'; c <= 'z'; ++c) set[static_cast<unsigned char>(c)] = true;
  for (char c = 'A'; c <= 'Z'; ++c) set[static_cast<unsigned char>(c)] = true;
  for (char c = '0'; c <= '9'; ++c) set[static_cast<unsigned char>(c)] = true;
  for (char c : marks) set[static_cast<unsigned char>(c)] = true;
  return set;
}
constexpr CharSet kTokenChars = LettersDigitsAnd("!#$%&'*+-.^_`|~");
constexpr CharSet kAuthorityChars = LettersDigitsAnd("!$%&'()*+,-.:;=[]_~");

bool IsTokenChar(char c) {
  return kTokenChars[static_cast<unsigned char>(c)];
}
bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

// A byte that no HTTP/1 head may hold; CR and LF end lines and are not looked for.
bool IsControl(char c) {
  auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && c != '\t' && c != '\r' && c != '\n') || byte == 0x7f;
}
// Looks at every byte, so that the compiler can look at many at once.
bool HasControl(std::string_view text) {
  unsigned found = 0;
  for (char c : text) found |= static_cast<unsigned>(IsControl(c));
  return found != 0;
}

// HTTP/2 (nghttp2) also refuses CR and LF in values.
bool IsHttp2Value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

std::string_view TrimBlank(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The parser takes every byte up to the blank as a separator around the parts of the first line.
std::string_view TrimLinePart(std::string_view text) {
  auto blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool IsAuthorityChar(char c) {
  return kAuthorityChars[static_cast<unsigned char>(c)];
}
bool IsHttp1Authority(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAuthorityChar(c) || c == '@'; });
}

bool IsPathChar(char c) {
  return c >= '!' && c <= '~';
}

// The parser's own idea of a request target.
bool IsTarget(std::string_view target, bool connect) {
  if (target.empty()) return false;
  if (target[0] == '/' || target[0] == '*') {
    return std::all_of(target.begin() + 1, target.end(), IsPathChar);
  }
  if (!connect) {
    if (!IsAsciiLetter(target[0])) return false;
    size_t end = 1;
    while (end < target.size() &&
           (IsAsciiLetter(target[end]) || IsAsciiDigit(target[end]) || target[end] == '+' ||
            target[end] == '-' || target[end] == '.')) {
      ++end;
    }
    target.remove_prefix(end);
    if (!target.starts_with("://")) return false;
    target.remove_prefix(3);
  }
  size_t path = std::min(target.find_first_of("/?"), target.size());
  std::string_view host = target.substr(0, path);
  if (!IsHttp1Authority(host) || host.find("@@") != std::string_view::npos) return false;
  return std::all_of(target.begin() + static_cast<std::ptrdiff_t>(path), target.end(), IsPathChar);
}

// The request line as the parser cuts it; nothing where it holds more than three parts.
struct RequestLine {
  std::string_view method, target;
  bool valid = true;
};

RequestLine ReadRequestLine(const ProxyRequest& request) {
  RequestLine line{TrimLinePart(request.method), TrimLinePart(request.path), true};
  line.valid = IsToken(line.method) && IsTarget(line.target, line.method == "CONNECT");
  return line;
}

bool HasHost(const ProxyRequest& request) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [](const auto& header) { return EqualsIgnoreCase(header.first, "host"); });
}

std::optional<CodecRefusal> CheckHttp1Lines(const ProxyRequest& request) {
  size_t bytes = request.method.size() + request.path.size() + 14;
  if (HasControl(request.method) || HasControl(request.path)) return kHttp1Characters;
  if (request.authority) {
    bytes += request.authority->size() + 8;
    if (HasControl(*request.authority)) return kHttp1Characters;
  }
  for (const auto& [name, value] : request.headers) {
    bytes += name.size() + value.size() + 4;
    if (HasControl(name) || HasControl(value)) return kHttp1Characters;
  }
  if (bytes > kMaxHeaderBytes) {
    return CodecRefusal{431, "http1.headers_too_large", "Request Header Fields Too Large"};
  }
  return std::nullopt;
}

bool IsContentLength(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), IsAsciiDigit);
}

// `host` or `host:port`; nothing where Envoy's URL parser refuses it.
bool IsHostAndPort(std::string_view host) {
  if (host.empty()) return false;
  size_t colon = host.rfind(':');
  size_t bracket = host.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && bracket > colon)) {
    return true;
  }
  auto port = ParseUnsigned(host.substr(colon + 1));
  return colon > 0 && port && *port <= 65535;
}

// An absolute-form or CONNECT target: sets authority, scheme and path.
std::optional<CodecRefusal> ReadAbsoluteTarget(std::string_view target, HeaderMap* headers) {
  bool connect = headers->method == "CONNECT";
  std::string_view scheme;
  if (!connect) {
    size_t end = target.find("://");
    if (end == std::string_view::npos) return kHttp1Url;
    scheme = target.substr(0, end);
    target.remove_prefix(end + 3);
  }
  size_t path = std::min(target.find_first_of("/?"), target.size());
  std::string_view host = target.substr(0, path);
  if (connect && (path != target.size() || host.find(':') == std::string_view::npos)) {
    return kHttp1Url;
  }
  if (size_t at = host.find('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
  if (host.find('@') != std::string_view::npos || !IsHostAndPort(host)) return kHttp1Url;
  headers->authority = host;
  headers->has_authority = true;
  if (connect) {
    headers->path = {};
    headers->has_path = false;
    return std::nullopt;
  }
  headers->scheme = headers->Own(ToLower(scheme));
  if (headers->scheme != "http" && headers->scheme != "https") return kHttp1Scheme;
  headers->path = path == target.size() ? std::string_view("/") : target.substr(path);
  return std::nullopt;
}

// Removes what `Connection` nominates; false where Envoy refuses the nomination.
bool SanitizeConnection(HeaderMap* headers) {
  constexpr size_t kMaxNominated = 10;
  const auto* connection = headers->Find("connection");
  if (connection == nullptr) return true;
  std::vector<std::string_view> tokens;
  for (std::string_view token : Split(connection->value, ',')) {
    if (!token.empty()) tokens.push_back(token);
  }
  if (tokens.size() >= kMaxNominated) return false;
  std::vector<std::string> removed;
  for (std::string_view token : tokens) {
    std::string name = ToLower(TrimBlank(token));
    if (name == "close" || name == "http2-settings" || name == "keep-alive" || name == "upgrade" ||
        name == "connection") {
      continue;
    }
    if (name == "x-forwarded-for" || name == "x-forwarded-host" || name == "x-forwarded-proto" ||
        name.starts_with(':')) {
      return false;
    }
    if (name == "te") {
      const auto* te = headers->Find("te");
      if (te == nullptr) continue;
      if (te->value.size() >= 256) return false;
      auto parts = Split(te->value, ',');
      if (std::any_of(parts.begin(), parts.end(), [](std::string_view part) {
            return EqualsIgnoreCase(TrimBlank(part), "trailers");
          })) {
        continue;
      }
    }
    removed.push_back(std::move(name));
  }
  for (const auto& name : removed) {
    if (name == "host") headers->has_authority = false;
    headers->Remove(name);
  }
  return true;
}

std::optional<CodecRefusal> CheckFraming(const HeaderMap& headers) {
  const auto* encoding = headers.Find("transfer-encoding");
  if (encoding == nullptr) return std::nullopt;
  if (headers.Has("content-length")) {
    return CodecRefusal{400, "http1.content_length_and_chunked_not_allowed", "Bad Request"};
  }
  if (!EqualsIgnoreCase(encoding->value, "chunked") || headers.method == "CONNECT") {
    return CodecRefusal{501, "http1.invalid_transfer_encoding", "Not Implemented"};
  }
  return std::nullopt;
}

std::optional<CodecRefusal> ReadHttp1Headers(const ProxyRequest& request, HeaderMap* headers) {
  headers->has_authority = false;
  auto add_host = [&](std::string_view value) {
    if (headers->has_authority && !headers->authority.empty() && !value.empty()) {
      headers->authority = headers->Own({headers->authority, ",", value});
    } else if (!headers->has_authority || headers->authority.empty()) {
      headers->authority = value;
    }
    headers->has_authority = true;
  };
  if (request.authority && !HasHost(request)) add_host(TrimBlank(*request.authority));
  for (const auto& [name, value] : request.headers) {
    if (!IsToken(name)) return kHttp1Error;
    std::string_view trimmed = TrimBlank(value);
    if (EqualsIgnoreCase(name, "host")) {
      add_host(trimmed);
      continue;
    }
    if (EqualsIgnoreCase(name, "content-length") &&
        (!IsContentLength(trimmed) || headers->Has("content-length"))) {
      return kHttp1Error;
    }
    headers->Append(name, trimmed);
  }
  if (headers->entries().size() + (headers->has_authority ? 1 : 0) > kMaxHeaderCount) {
    return CodecRefusal{431, "http1.too_many_headers", "Request Header Fields Too Large"};
  }
  return std::nullopt;
}

// h2c upgrades are ignored: the headers that ask for one go.
void DropH2cUpgrade(HeaderMap* headers) {
  const auto* upgrade = headers->Find("upgrade");
  if (upgrade == nullptr || !EqualsIgnoreCase(upgrade->value, "h2c") || !IsUpgrade(*headers)) {
    return;
  }
  headers->Remove("upgrade");
  headers->Remove("http2-settings");
  std::vector<std::string> kept;
  for (std::string_view token : Split(headers->Find("connection")->value, ',')) {
    std::string_view name = TrimBlank(token);
    if (!EqualsIgnoreCase(name, "upgrade") && !EqualsIgnoreCase(name, "http2-settings")) {
      kept.emplace_back(name);
    }
  }
  if (kept.empty()) {
    headers->Remove("connection");
  } else {
    headers->Set("connection", headers->Own(Join(kept, ",")));
  }
}

}  // namespace

bool IsUpgrade(const HeaderMap& headers) {
  const auto* connection = headers.Find("connection");
  if (connection == nullptr || !headers.Has("upgrade")) return false;
  auto tokens = Split(connection->value, ',');
  return std::any_of(tokens.begin(), tokens.end(), [](std::string_view token) {
    return EqualsIgnoreCase(TrimBlank(token), "upgrade");
  });
}

std::optional<CodecRefusal> DecodeHttp1(const ProxyRequest& request, bool accept_http_10,
                                        HeaderMap* headers) {
  if (auto refusal = CheckHttp1Lines(request)) return refusal;
  RequestLine line = ReadRequestLine(request);
  if (!line.valid || std::find(kMethods.begin(), kMethods.end(), line.method) == kMethods.end()) {
    return kHttp1Error;
  }
  headers->Reserve(request.headers.size() + 4);
  headers->method = line.method;
  headers->path = line.target;
  if (auto refusal = ReadHttp1Headers(request, headers)) return refusal;
  DropH2cUpgrade(headers);
  if (auto refusal = CheckFraming(*headers)) return refusal;
  if (headers->method != "CONNECT" && !IsUpgrade(*headers) && !SanitizeConnection(headers)) {
    return CodecRefusal{400, "http1.connection_header_rejected", "Bad Request"};
  }
  bool relative = line.target[0] == '/' || (line.method == "OPTIONS" && line.target[0] == '*');
  if (!relative || line.method == "CONNECT") {
    if (auto refusal = ReadAbsoluteTarget(line.target, headers)) return refusal;
  }
  if (request.protocol == WireProtocol::kHttp10 && !accept_http_10) {
    return CodecRefusal{426, "low_version", "Upgrade Required"};
  }
  if (headers->has_authority && !IsHttp1Authority(headers->authority)) return kInvalidAuthority;
  return std::nullopt;
}

std::optional<CodecRefusal> DecodeHttp2(const ProxyRequest& request, HeaderMap* headers) {
  headers->Reserve(request.headers.size() + 6);
  headers->method = request.method;
  headers->path = request.path;
  headers->has_authority = request.authority.has_value();
  if (request.authority) headers->authority = *request.authority;
  headers->scheme = request.connection.tls == WireTls::kTls ? "https" : "http";
  if (!IsToken(request.method)) return kHttp2Field;
  if (request.path.empty() || std::any_of(request.path.begin(), request.path.end(), [](char c) {
        auto byte = static_cast<unsigned char>(c);
        return byte <= 0x20 || byte == 0x7f;
      })) {
    return kHttp2Field;
  }
  auto valid_authority = [](std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), IsAuthorityChar);
  };
  if (request.authority && !valid_authority(*request.authority)) return kHttp2Field;
  size_t bytes = 7 + request.method.size() + 7 + headers->scheme.size() + 5 + request.path.size() +
                 (request.authority ? 10 + request.authority->size() : 0);
  size_t cookies = 0;
  bool host_seen = false;
  auto add = [&](std::string_view name, std::string_view value) {
    bytes += name.size() + value.size();
    if (!IsToken(name) || !IsHttp2Value(value)) return false;
    std::string lower = ToLower(name);
    if (lower == "connection" || lower == "keep-alive" || lower == "proxy-connection" ||
        lower == "transfer-encoding" || lower == "upgrade") {
      return false;
    }
    if (lower == "te" && (!EqualsIgnoreCase(value, "trailers") || headers->Has("te"))) return false;
    if (lower == "content-length" && (!IsContentLength(value) || headers->Has("content-length"))) {
      return false;
    }
    if (lower == "cookie") ++cookies;
    if (lower == "host") {
      if (host_seen || !valid_authority(value)) return false;
      host_seen = true;
      if (!headers->has_authority) headers->authority = value;
      headers->has_authority = true;
      return true;
    }
    headers->Append(name, value, true);
    return true;
  };
  if (request.protocol == WireProtocol::kGrpc) {
    auto given = [&](std::string_view name) {
      return std::any_of(request.headers.begin(), request.headers.end(),
                         [&](const auto& header) { return EqualsIgnoreCase(header.first, name); });
    };
    if (!given("content-type")) headers->Append("content-type", "application/grpc", true);
    if (!given("te")) headers->Append("te", "trailers", true);
  }
  for (const auto& [name, value] : request.headers) {
    if (!add(name, value)) return kHttp2Field;
  }
  size_t pseudo = headers->has_authority ? 4 : 3;
  if (headers->entries().size() + pseudo + (cookies > 0 ? cookies - 1 : 0) > kMaxHeaderCount) {
    return CodecRefusal{0, "http2.too_many_headers", "", "DR"};
  }
  if (bytes > kMaxHeaderBytes) {
    return CodecRefusal{0, "http2.header_list_size_too_large", "", "DR"};
  }
  bool asterisk = request.method == "OPTIONS" && request.path == "*";
  if (request.method == "CONNECT" || (request.path[0] != '/' && !asterisk) ||
      !headers->has_authority) {
    return kHttp2Messaging;
  }
  return std::nullopt;
}

std::string_view InspectHttp(const ProxyRequest& request) {
  switch (request.protocol) {
    case WireProtocol::kTcp:
      return {};
    case WireProtocol::kHttp2:
    case WireProtocol::kGrpc:
      return "h2c";
    case WireProtocol::kHttp1:
    case WireProtocol::kHttp10:
      break;
  }
  if (!ReadRequestLine(request).valid) return {};
  return request.protocol == WireProtocol::kHttp1 ? "http/1.1" : "http/1.0";
}

}  // namespace meshproof

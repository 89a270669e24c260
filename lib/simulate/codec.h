#pragma once

#include <optional>
#include <string_view>

#include "simulate/header_map.h"
#include "simulate/request.h"

namespace meshproof {

// How an HTTP codec of Envoy 1.40 refuses a request before any filter sees it.
struct CodecRefusal {
  int status = 0;  // 0: the connection or the stream ends without an answer
  std::string_view details;
  std::string_view body;
  std::string_view flags = "DPE";
};

// Fills `headers` from a request over HTTP/1.0, HTTP/1.1, or says how the codec refuses it.
std::optional<CodecRefusal> DecodeHttp1(const ProxyRequest& request, bool accept_http_10,
                                        HeaderMap* headers);
// The same over HTTP/2 and gRPC; the latter's `content-type` and `te` are added where not given.
std::optional<CodecRefusal> DecodeHttp2(const ProxyRequest& request, HeaderMap* headers);

// What the HTTP inspector says of the first bytes of a plaintext connection: "http/1.0",
// "http/1.1", "h2c" or nothing.
std::string_view InspectHttp(const ProxyRequest& request);

// `Upgrade` together with the token `upgrade` in `Connection`.
bool IsUpgrade(const HeaderMap& headers);

}  // namespace meshproof

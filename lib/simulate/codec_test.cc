// Each row is what Envoy 1.40 with Istio's runtime answered to the same bytes.

#include "simulate/codec.h"

#include <doctest/doctest.h>

#include "simulate/simulate_testing.h"

namespace meshproof::codec_test {
namespace {

using testing::Get;
using testing::RunFilters;
using testing::Summary;

constexpr const char* kAllowed = "allow 200 via_upstream -";
constexpr const char* kCodecError = "deny 400 http1.codec_error DPE";
constexpr const char* kField = "reject 0 http2.invalid.header.field DPE";
constexpr const char* kMessaging = "reject 0 http2.violation.of.messaging.rule DPE";

std::string Answer(ProxyRequest request, WireProtocol protocol) {
  request.protocol = protocol;
  return Summary(RunFilters({}, request));
}

}  // namespace

TEST_CASE("request targets, by protocol") {
  struct Row {
    const char* path;
    const char* http1;
    const char* http2;
  };
  constexpr const char* kCharacters = "deny 400 http1.invalid_characters DPE";
  constexpr const char* kUrl = "deny 400 http1.invalid_url DPE";
  constexpr const char* kUnnormal = "deny 400 path_normalization_failed -";
  const Row kRows[] = {
      {"/", kAllowed, kAllowed},
      {"//a", kAllowed, kAllowed},
      {"a", kCodecError, kMessaging},
      {"?a", kCodecError, kMessaging},
      {"", kCodecError, kField},
      {"*", kUrl, kMessaging},
      {"*a", kUrl, kMessaging},
      {"http://h/p", kAllowed, kMessaging},
      {"http://h", kAllowed, kMessaging},
      {"HTTP://u@H:99/p", kAllowed, kMessaging},
      {"http://h?x", "deny 404 absolute_path_rejected -", kMessaging},
      {"ftp://h/p", "deny 400 http1.invalid_scheme DPE", kMessaging},
      {"http:///p", kUrl, kMessaging},
      {"http://h:99999/", kUrl, kMessaging},
      {"http://a@@b/", kCodecError, kMessaging},
      {"http://h#f", kCodecError, kMessaging},
      {"/a b", kCodecError, kField},
      {"/a\tb", kCodecError, kField},
      {"/a\t", kAllowed, kField},
      {"/a\x01", kCharacters, kField},
      {"/a\x7f", kCharacters, kField},
      {"/\xe9", kCodecError, kAllowed},
      {"/a#b", kAllowed, kAllowed},
      {"/%00", kUnnormal, kUnnormal},
      {"/a?%00", kAllowed, kAllowed},
      {"/\"<>|{}^`", kAllowed, kAllowed},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.path);
    CHECK(Answer(Get(row.path), WireProtocol::kHttp1) == row.http1);
    CHECK(Answer(Get(row.path), WireProtocol::kHttp2) == row.http2);
  }
}

TEST_CASE("methods, by protocol") {
  struct Row {
    const char* method;
    const char* http1;
    const char* http2;
  };
  const Row kRows[] = {
      {"GET", kAllowed, kAllowed},
      {"PROPFIND", kAllowed, kAllowed},
      {"MSEARCH", kAllowed, kAllowed},
      {"M-SEARCH", kCodecError, kAllowed},
      {"get", kCodecError, kAllowed},
      {"FOO", kCodecError, kAllowed},
      {"G ET", kCodecError, kField},
      {"(", kCodecError, kField},
      {"CONNECT", "deny 400 http1.invalid_url DPE", kMessaging},
      {"QUERY", "deny 400 query_missing_content_type -", "deny 400 query_missing_content_type -"},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.method);
    ProxyRequest request = Get();
    request.method = row.method;
    CHECK(Answer(request, WireProtocol::kHttp1) == row.http1);
    CHECK(Answer(request, WireProtocol::kHttp2) == row.http2);
  }
  ProxyRequest options = Get("*");
  options.method = "OPTIONS";
  CHECK(Answer(options, WireProtocol::kHttp1) == "deny 404 absolute_path_rejected -");
  CHECK(Answer(options, WireProtocol::kHttp2) == "deny 404 absolute_path_rejected -");
  ProxyRequest connect = Get("host:80");
  connect.method = "CONNECT";
  CHECK(Answer(connect, WireProtocol::kHttp1) == "allow 404 route_not_found NR");
}

TEST_CASE("authorities, by protocol") {
  constexpr const char* kInvalid = "deny 400 http.invalid_authority DPE";
  struct Row {
    const char* authority;
    const char* http1;
    const char* http2;
  };
  const Row kRows[] = {
      {"a", kAllowed, kAllowed},        {"A.B:80", kAllowed, kAllowed},
      {"", kAllowed, kField},           {"a b", kInvalid, kField},
      {"a/b", kInvalid, kField},        {"user@a", kAllowed, kField},
      {"a?b", kInvalid, kField},        {"a\\b", kInvalid, kField},
      {"a|b", kInvalid, kField},        {"\xe9", kInvalid, kField},
      {"[::1]:80", kAllowed, kAllowed}, {"a!$&'()*+,;=~_%", kAllowed, kAllowed},
      {" a", kAllowed, kField},         {"a\x7f", "deny 400 http1.invalid_characters DPE", kField},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.authority);
    ProxyRequest request = Get();
    request.authority = row.authority;
    CHECK(Answer(request, WireProtocol::kHttp1) == row.http1);
    CHECK(Answer(request, WireProtocol::kHttp2) == row.http2);
  }
  ProxyRequest none = Get();
  none.authority.reset();
  CHECK(Answer(none, WireProtocol::kHttp1) == "deny 400 missing_host_header -");
  CHECK(Answer(none, WireProtocol::kHttp2) == kMessaging);
  none.headers = {{"host", "b"}};
  CHECK(Answer(none, WireProtocol::kHttp1) == kAllowed);
  CHECK(Answer(none, WireProtocol::kHttp2) == kAllowed);
  CHECK(Answer(Get(), WireProtocol::kHttp10) == "deny 426 low_version DPE");
}

TEST_CASE("headers, by protocol") {
  using Headers = std::vector<std::pair<std::string, std::string>>;
  struct Row {
    Headers headers;
    const char* http1;
    const char* http2;
  };
  constexpr const char* kRejected = "deny 400 http1.connection_header_rejected DPE";
  constexpr const char* kBoth = "deny 400 http1.content_length_and_chunked_not_allowed DPE";
  constexpr const char* kEncoding = "deny 501 http1.invalid_transfer_encoding DPE";
  const Row kRows[] = {
      {{{"content-length", "0"}, {"transfer-encoding", "chunked"}}, kBoth, kField},
      {{{"transfer-encoding", "gzip"}}, kEncoding, kField},
      {{{"content-length", "abc"}}, kCodecError, kField},
      {{{"content-length", "0"}, {"content-length", "0"}}, kCodecError, kField},
      {{{"connection", "close"}}, kAllowed, kField},
      {{{"connection", "x-forwarded-for"}}, kRejected, kField},
      {{{"connection", "a,b,c,d,e,f,g,h,i,j"}}, kRejected, kField},
      {{{"connection", "host"}}, "deny 400 missing_host_header -", kField},
      {{{"upgrade", "foo"}}, kAllowed, kField},
      {{{"upgrade", "foo"}, {"connection", "upgrade"}}, "deny 403 upgrade_failed -", kField},
      {{{"upgrade", "h2c"}, {"connection", "upgrade"}}, kAllowed, kField},
      {{{"upgrade", "WebSocket"}, {"connection", "a, Upgrade"}},
       "allow 101 via_upstream -",
       kField},
      {{{"te", "trailers"}}, kAllowed, kAllowed},
      {{{"te", "gzip"}}, kAllowed, kField},
      {{{"x_foo", "1"}}, kAllowed, kAllowed},
      {{{"x foo", "1"}}, kCodecError, kField},
      {{{":path", "/x"}}, kCodecError, kField},
      {{{"x-a", "a\x01"}}, "deny 400 http1.invalid_characters DPE", kField},
      {{{"x-a", "a\tb"}}, kAllowed, kAllowed},
      {{{"x-a", "\xe9"}}, kAllowed, kAllowed},
      {{{"x-a", std::string(61400, 'a')}},
       "deny 431 http1.headers_too_large DPE",
       "reject 0 http2.header_list_size_too_large DR"},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.headers[0].first);
    CAPTURE(row.headers[0].second.substr(0, 40));
    ProxyRequest request = Get();
    request.headers = row.headers;
    CHECK(Answer(request, WireProtocol::kHttp1) == row.http1);
    CHECK(Answer(request, WireProtocol::kHttp2) == row.http2);
  }
  ProxyRequest many = Get();
  for (int i = 0; i < 96; ++i) many.headers.emplace_back("x-" + std::to_string(i), "1");
  CHECK(Answer(many, WireProtocol::kHttp2) == kAllowed);
  many.headers.emplace_back("y", "1");
  CHECK(Answer(many, WireProtocol::kHttp2) == "reject 0 http2.too_many_headers DR");
  CHECK(Answer(many, WireProtocol::kHttp1) == kAllowed);
  for (int i = 0; i < 3; ++i) many.headers.emplace_back("z-" + std::to_string(i), "1");
  CHECK(Answer(many, WireProtocol::kHttp1) == "deny 431 http1.too_many_headers DPE");
}

TEST_CASE("the HTTP inspector takes what looks like a request line") {
  auto inspect = [](const char* method, const char* path) {
    ProxyRequest request = Get(path);
    request.method = method;
    return std::string(InspectHttp(request));
  };
  CHECK(inspect("GET", "/") == "http/1.1");
  CHECK(inspect("FOO", "/") == "http/1.1");
  CHECK(inspect("GET", "*") == "http/1.1");
  CHECK(inspect("GET", "http://h/p") == "http/1.1");
  CHECK(inspect("GET", "/a\x01") == "http/1.1");
  CHECK(inspect("G@T", "/") == "");
  CHECK(inspect("GET", "a") == "");
  CHECK(inspect("GET", "") == "");
  CHECK(inspect("GET", "/a b") == "");
  CHECK(inspect("GET", "/\xff") == "");
  CHECK(inspect("GET",
                "/a\x01"
                "b") == "");
  ProxyRequest request = Get();
  request.protocol = WireProtocol::kHttp10;
  CHECK(InspectHttp(request) == "http/1.0");
  request.protocol = WireProtocol::kGrpc;
  CHECK(InspectHttp(request) == "h2c");
  request.protocol = WireProtocol::kTcp;
  CHECK(InspectHttp(request) == "");
}

TEST_CASE("what TLS agreed on decides the codec") {
  auto proxy = testing::Sidecar({testing::HttpChain(testing::Manager({}))});
  TlsContext tls;
  tls.require_client_certificate = true;
  tls.alpn = {"h2", "http/1.1"};
  proxy->listeners[0].filter_chains[0].tls = tls;
  struct Row {
    WireProtocol protocol;
    std::vector<std::string> alpn;
    const char* answer;
  };
  const Row kRows[] = {
      {WireProtocol::kHttp1, {}, kAllowed},
      {WireProtocol::kHttp1, {"h2"}, "reject 0  DPE"},
      {WireProtocol::kHttp1, {"http/1.1", "h2"}, "reject 0  DPE"},
      {WireProtocol::kHttp1, {"istio"}, kAllowed},
      {WireProtocol::kHttp2, {}, kAllowed},
      {WireProtocol::kHttp2, {"http/1.1"}, "reject 0 http1.codec_error DPE"},
      {WireProtocol::kHttp2, {"istio-h2", "istio", "h2"}, kAllowed},
      {WireProtocol::kTcp, {"h2"}, "reject 0  DPE"},
      {WireProtocol::kTcp, {"istio"}, kCodecError},
  };
  for (const auto& row : kRows) {
    ProxyRequest request = Get();
    testing::UseMtls(&request, "spiffe://cluster.local/ns/a/sa/b");
    request.protocol = row.protocol;
    request.connection.alpn = row.alpn;
    CHECK(Summary(testing::RunOn(proxy, request)) == row.answer);
  }
}

}  // namespace meshproof::codec_test

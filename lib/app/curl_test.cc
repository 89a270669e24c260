#include "app/curl.h"

#include <doctest/doctest.h>

#include "base/text.h"

namespace meshproof::curl_test {
namespace {

// Arguments are separated by `|` in these tables.
std::vector<std::string> Arguments(std::string_view text) {
  std::vector<std::string> out = {"curl"};
  for (std::string_view part : Split(text, '|')) out.emplace_back(part);
  return out;
}

std::string Headers(const CurlRequest& request) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : request.headers) {
    if (name == "User-Agent" && value.starts_with("curl/")) continue;
    if (name == "Accept" && value == "*/*") continue;
    lines.push_back(name + ": " + value);
  }
  return Join(lines, "\n");
}

TEST_CASE("curl: what the proxy gets to see") {
  struct Row {
    const char* arguments;
    const char* method;
    const char* authority;
    const char* path;
    const char* headers;
  };
  const Row rows[] = {
      {"http://a.b/c", "GET", "a.b", "/c", ""},
      {"a.b", "GET", "a.b", "/", ""},
      {"a.b:8080/x?y=1#z", "GET", "a.b:8080", "/x?y=1", ""},
      {"http://a.b:80/", "GET", "a.b", "/", ""},
      {"https://a.b:443/", "GET", "a.b", "/", ""},
      {"https://a.b:80/", "GET", "a.b:80", "/", ""},
      {"a.b?q=1", "GET", "a.b", "/?q=1", ""},
      {"-X|POST|a.b", "POST", "a.b", "/", ""},
      {"-XPOST|a.b", "POST", "a.b", "/", ""},
      {"--request=PUT|a.b", "PUT", "a.b", "/", ""},
      {"-sSXDELETE|a.b", "DELETE", "a.b", "/", ""},
      {"-I|a.b", "HEAD", "a.b", "/", ""},
      {"-kIs|a.b", "HEAD", "a.b", "/", ""},
      {"-T|f.txt|a.b/up/", "PUT", "a.b", "/up/f.txt", ""},
      {"-H|X-A: 1|-H|x-b:2|a.b", "GET", "a.b", "/", "X-A: 1\nx-b: 2"},
      {"-H|Host: other.c|a.b", "GET", "other.c", "/", ""},
      {"-H|X-Empty;|a.b", "GET", "a.b", "/", "X-Empty: "},
      {"-H|Accept:|a.b", "GET", "a.b", "/", ""},
      {"-d|a=1|-d|b=2|a.b", "POST", "a.b", "/",
       "Content-Length: 7\nContent-Type: application/x-www-form-urlencoded"},
      {"-d|a=1|-H|Content-Type: text/plain|a.b", "POST", "a.b", "/",
       "Content-Type: text/plain\nContent-Length: 3"},
      {"-X|PUT|-d|a|a.b", "PUT", "a.b", "/",
       "Content-Length: 1\nContent-Type: application/x-www-form-urlencoded"},
      {"-G|-d|a=1|--data-urlencode|b=x y|a.b/p", "GET", "a.b", "/p?a=1&b=x%20y", ""},
      {"-G|-d|a=1|a.b/p?z=0", "GET", "a.b", "/p?z=0&a=1", ""},
      {"--json|{}|a.b", "POST", "a.b", "/",
       "Accept: application/json\nContent-Length: 2\nContent-Type: application/json"},
      {"-u|me:secret|a.b", "GET", "a.b", "/", "Authorization: Basic bWU6c2VjcmV0"},
      {"http://me:secret@a.b/", "GET", "a.b", "/", "Authorization: Basic bWU6c2VjcmV0"},
      {"--oauth2-bearer|t|a.b", "GET", "a.b", "/", "Authorization: Bearer t"},
      {"-A|robot|a.b", "GET", "a.b", "/", "User-Agent: robot"},
      {"-b|a=1|-b|b=2|a.b", "GET", "a.b", "/", "Cookie: a=1; b=2"},
      {"-e|http://x/|a.b", "GET", "a.b", "/", "Referer: http://x/"},
      {"--compressed|a.b", "GET", "a.b", "/", "Accept-Encoding: deflate, gzip, br, zstd"},
      {"-o|/dev/null|-w|%{http_code}|-m|5|a.b", "GET", "a.b", "/", ""},
      {"a.b/x/../y/./z/..", "GET", "a.b", "/y/", ""},
      {"a.b/../../y", "GET", "a.b", "/y", ""},
      {"a.b/a//b", "GET", "a.b", "/a//b", ""},
      {"--path-as-is|a.b/x/../y", "GET", "a.b", "/x/../y", ""},
      {"--request-target|/raw?x|a.b/y", "GET", "a.b", "/raw?x", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.arguments);
    auto request = ParseCurl(Arguments(row.arguments));
    REQUIRE_MESSAGE(request.ok(), request.error().message);
    CHECK(request.value().method == row.method);
    CHECK(request.value().authority == row.authority);
    CHECK(request.value().path == row.path);
    CHECK(Headers(request.value()) == row.headers);
  }
}

TEST_CASE("curl: where the connection goes") {
  struct Row {
    const char* arguments;
    const char* host;
    int port;
    const char* connect_host;
    int connect_port;
    bool https;
  };
  const Row rows[] = {
      {"http://a.b/", "a.b", 80, "", 0, false},
      {"HTTPS://a.b/", "a.b", 443, "", 0, true},
      {"http://a.b:8080/", "a.b", 8080, "", 0, false},
      {"http://[::1]:9/", "::1", 9, "", 0, false},
      {"--resolve|a.b:80:10.0.0.1|http://a.b/", "a.b", 80, "10.0.0.1", 0, false},
      {"--resolve|a.b:80:10.0.0.1,10.0.0.2|a.b", "a.b", 80, "10.0.0.1", 0, false},
      {"--resolve|a.b:443:10.0.0.1|http://a.b/", "a.b", 80, "", 0, false},
      {"--resolve|other:80:10.0.0.1|http://a.b/", "a.b", 80, "", 0, false},
      {"--connect-to|a.b:80:gate.istio:8080|a.b", "a.b", 80, "gate.istio", 8080, false},
      {"--connect-to|::gate.istio:|a.b", "a.b", 80, "gate.istio", 0, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.arguments);
    auto request = ParseCurl(Arguments(row.arguments));
    REQUIRE_MESSAGE(request.ok(), request.error().message);
    CHECK(request.value().host == row.host);
    CHECK(request.value().port == row.port);
    CHECK(request.value().connect_host.value_or("") == row.connect_host);
    CHECK(request.value().connect_port.value_or(0) == row.connect_port);
    CHECK(request.value().https == row.https);
  }
}

TEST_CASE("curl: HTTP versions") {
  CHECK(ParseCurl(Arguments("a.b")).value().protocol == WireProtocol::kHttp1);
  CHECK(ParseCurl(Arguments("-0|a.b")).value().protocol == WireProtocol::kHttp10);
  CHECK(ParseCurl(Arguments("--http1.0|a.b")).value().protocol == WireProtocol::kHttp10);
  // Over plaintext curl only asks for an upgrade, and Envoy answers in HTTP/1.1.
  CHECK(ParseCurl(Arguments("--http2|a.b")).value().protocol == WireProtocol::kHttp1);
  CHECK(ParseCurl(Arguments("--http2|https://a.b")).value().protocol == WireProtocol::kHttp2);
  CHECK(ParseCurl(Arguments("--http2-prior-knowledge|a.b")).value().protocol ==
        WireProtocol::kHttp2);
}

TEST_CASE("curl: what cannot be understood is named with its place") {
  struct Row {
    const char* arguments;
    const char* message;
  };
  const Row rows[] = {
      {"-s|--reqest|POST|a.b",
       "curl argument 2: unknown option `--reqest`; did you mean "
       "`--request`?"},
      {"-sQ|a.b", "curl argument 1: unknown option `-Q`"},
      {"a.b|-X", "curl argument 2: `-X` needs a value"},
      {"a.b|c.d", "curl argument 2: a second URL `c.d`: ask about one request at a time"},
      {"-H|nonsense|a.b", "curl argument 2: a header is written `Name: value`, not `nonsense`"},
      {"-H|: x|a.b", "curl argument 2: the header `: x` has no name"},
      {"-s", "the curl command line has no URL"},
      {"ftp://a.b/", "curl argument 1: `ftp://` is not HTTP"},
      {"a.b:99999/", "curl argument 1: a port is a number from 1 to 65535, not `99999`"},
      {"http:///x", "curl argument 1: the URL `http:///x` has no host"},
      {"a.b/x y", "curl argument 1: curl sends no URL with blanks"},
      {"-b|jar.txt|a.b",
       "curl argument 2: a file of cookies (`-b jar.txt`) is not read; write "
       "`-b NAME=VALUE`"},
      {"-x|proxy|a.b",
       "curl argument 2: `--proxy` is not supported: say what it means with "
       "meshproof's own options"},
      {"--resolve|a.b|a.b", "curl argument 2: `--resolve` is HOST:PORT:ADDRESS, not `a.b`"},
      {"--silent=yes|a.b", "curl argument 1: `--silent` takes no value"},
      {"-H|Host:|a.b", "a request without a Host header cannot be asked about"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.arguments);
    auto request = ParseCurl(Arguments(row.arguments));
    REQUIRE_FALSE(request.ok());
    CHECK(request.error().message == row.message);
  }
  CHECK_FALSE(ParseCurl({"wget", "a.b"}).ok());
  CHECK_FALSE(ParseCurl({}).ok());
}

}  // namespace
}  // namespace meshproof::curl_test

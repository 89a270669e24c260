#include "source/access_log.h"

#include <doctest/doctest.h>

namespace meshproof::access_log_test {
namespace {

constexpr char kDenied[] =
    R"([2024-05-01T10:00:02.000Z] "GET /hello?x=1 HTTP/1.1" 403 - )"
    R"(rbac_access_denied_matched_policy[ns[shop]-policy[p]-rule[0]] - "-" 0 19 0 - )"
    R"("10.0.0.1, 10.0.0.2" "curl/7.83" "id-2" "web.shop" "-" inbound|8080|| - 10.244.1.5:8080 )"
    R"(10.244.2.7:41238 outbound_.80_._.web.shop.svc.cluster.local default)";

TEST_CASE("Istio's text format") {
  LogReader reader;
  const LogLine& line = reader.Read(kDenied);
  REQUIRE(line.kind == LogKind::kAccess);
  CHECK(line[LogField::kStartTime] == "2024-05-01T10:00:02.000Z");
  CHECK(line[LogField::kMethod] == "GET");
  CHECK(line[LogField::kPath] == "/hello?x=1");
  CHECK(line[LogField::kProtocol] == "HTTP/1.1");
  CHECK(line[LogField::kStatus] == "403");
  CHECK(line[LogField::kFlags].empty());
  CHECK(line.Has(LogField::kFlags));
  CHECK(line[LogField::kDetails] ==
        "rbac_access_denied_matched_policy[ns[shop]-policy[p]-rule[0]]");
  CHECK(line[LogField::kTransportFailure].empty());
  CHECK(line[LogField::kForwardedFor] == "10.0.0.1, 10.0.0.2");
  CHECK(line[LogField::kUserAgent] == "curl/7.83");
  CHECK(line[LogField::kRequestId] == "id-2");
  CHECK(line[LogField::kAuthority] == "web.shop");
  CHECK(line[LogField::kUpstreamHost].empty());
  CHECK(line[LogField::kUpstreamCluster] == "inbound|8080||");
  CHECK(line[LogField::kLocal] == "10.244.1.5:8080");
  CHECK(line[LogField::kRemote] == "10.244.2.7:41238");
  CHECK(line[LogField::kServerName] == "outbound_.80_._.web.shop.svc.cluster.local");
  CHECK(line[LogField::kRouteName] == "default");
  CHECK_FALSE(line.Has(LogField::kPeer));
}

TEST_CASE("what clients write does not shift the fields behind it") {
  for (const char* agent : {"a\" \"b", "\" \"\" \"", "x\" 200 - via_upstream", "", "-", "[x] y"}) {
    CAPTURE(agent);
    std::string text = kDenied;
    text.replace(text.find("curl/7.83"), 9, agent);
    LogReader reader;
    const LogLine& line = reader.Read(text);
    REQUIRE(line.kind == LogKind::kAccess);
    CHECK(line[LogField::kStatus] == "403");
    CHECK(line[LogField::kAuthority] == "web.shop");
    CHECK(line[LogField::kRouteName] == "default");
    if (std::string(agent) != "-") CHECK(line[LogField::kUserAgent] == agent);
  }
}

TEST_CASE("prefixes of kubectl, container runtimes and stern") {
  for (const char* prefix :
       {"[pod/web-1/istio-proxy] ", "2024-05-01T10:00:02.1Z stdout F ", "2024-05-01T10:00:02.1Z ",
        "web-1 istio-proxy ", "[pod/web-1/istio-proxy] 2024-05-01T10:00:02.1Z "}) {
    CAPTURE(prefix);
    LogReader reader;
    std::string text = std::string(prefix) + kDenied + "\r";
    const LogLine& line = reader.Read(text);
    REQUIRE(line.kind == LogKind::kAccess);
    CHECK(line[LogField::kStatus] == "403");
    CHECK(line[LogField::kRouteName] == "default");
    CHECK((line[LogField::kPod] == "web-1") == (prefix[0] == '['));
  }
}

TEST_CASE("Istio's JSON format, in any order, escapes resolved") {
  LogReader reader;
  for (int round = 0; round < 2; ++round) {
    const LogLine& line = reader.Read(
        R"({"path":"/a\u0041\"\\","response_code":401,"bytes_sent":28,"nested":{"a":[1,"}"]},)"
        R"("response_code_details":"jwt_authn_access_denied{Jwt_is_expired}",)"
        R"("response_flags":"-","upstream_host":null,"method":"GET", "authority" : "web.shop" })");
    REQUIRE(line.kind == LogKind::kAccess);
    CHECK(line[LogField::kStatus] == "401");
    CHECK(line[LogField::kPath] == "/aA\"\\");
    CHECK(line[LogField::kDetails] == "jwt_authn_access_denied{Jwt_is_expired}");
    CHECK(line[LogField::kFlags].empty());
    CHECK(line[LogField::kUpstreamHost].empty());
    CHECK(line[LogField::kAuthority] == "web.shop");
    // The order of keys is remembered, and does not bind the next line.
    const LogLine& other = reader.Read(R"({"response_code":"200","method":"PUT"})");
    REQUIRE(other.kind == LogKind::kAccess);
    CHECK(other[LogField::kStatus] == "200");
    CHECK(other[LogField::kMethod] == "PUT");
    CHECK(other[LogField::kPath].empty());
  }
}

TEST_CASE("every way to cut a line is told from a whole one") {
  LogReader reader;
  std::string whole = kDenied;
  // Up to the last blank something is missing; behind it a route name is shorter, as one may be.
  for (size_t size = 2; size <= whole.rfind(' '); ++size) {
    CAPTURE(size);
    CHECK(reader.Read(whole.substr(0, size)).kind == LogKind::kUnreadable);
  }
  std::string json = R"({"response_code":401,"path":"/a\"b","x":[1,{"y":"z"}],"method":"GET"})";
  for (size_t size = 1; size < json.size(); ++size) {
    CAPTURE(size);
    CHECK(reader.Read(json.substr(0, size)).kind == LogKind::kUnreadable);
  }
  CHECK(reader.Read(json).kind == LogKind::kAccess);
  CHECK(reader.Read(std::string("\x01\x02\x00\xFF", 4)).kind == LogKind::kUnreadable);
}

TEST_CASE("other lines are no requests") {
  LogReader reader;
  for (const char* text :
       {"", "2024-05-01T10:00:00.1Z\tinfo\tEnvoy proxy is ready", "hello", "{\"level\":\"info\"}",
        "[2024-05-01 10:00:00.000][15][info][main] [source/server/server.cc:1] starting"}) {
    CAPTURE(text);
    CHECK(reader.Read(text).kind == LogKind::kOther);
  }
}

LogReader Reader(std::string_view format) {
  auto parsed = LogFormat::Parse(format);
  REQUIRE_MESSAGE(parsed.ok(), format);
  return LogReader(parsed.Take());
}

TEST_CASE("formats of one's own") {
  LogReader text = Reader(
      "%START_TIME(%Y-%m-%dT%H:%M:%S)%|%REQ(X-Team:10)%|%REQ(:PATH):20%|%RESPONSE_CODE%|"
      "%DOWNSTREAM_PEER_URI_SAN%|100%%|%RESPONSE_CODE_DETAILS%\\n");
  const LogLine& line = text.Read("2024-05-01T10:00:02|a|b|/x|200|spiffe://d/ns/a/sa/b|100%|via");
  // The team's name may hold what separates fields, the others may not.
  REQUIRE(line.kind == LogKind::kAccess);
  CHECK(line[LogField::kPeer] == "spiffe://d/ns/a/sa/b");
  CHECK(line[LogField::kPath] == "/x");
  REQUIRE(line.headers.size() == 1);
  CHECK(line.headers[0].second == "a|b");
  CHECK(text.Read("2024|a|/x|2x0|p|100%|via").kind != LogKind::kAccess);

  LogReader json =
      Reader(R"({"code":"%RESPONSE_CODE%","why":"%RESPONSE_CODE_DETAILS%","team":"%REQ(X-TEAM)%",)"
             R"("both":"%PROTOCOL% %RESPONSE_FLAGS%","fixed":"x"})");
  const LogLine& object = json.Read(R"({"team":"a","code":"403","why":"x","both":"HTTP/1.1 NR"})");
  REQUIRE(object.kind == LogKind::kAccess);
  CHECK(object[LogField::kStatus] == "403");
  CHECK(object[LogField::kDetails] == "x");
  CHECK(object[LogField::kFlags].empty());
  REQUIRE(object.headers.size() == 1);
  CHECK(object.headers[0].first == "x-team");
}

TEST_CASE("formats that cannot be read") {
  for (const char* format : {"", "no operator", "%START_TIME", "%START_TIME(%Y", "%METHOD%%PATH%",
                             "%PROTOCOL%%PATH%", "{", "{\"a\": 1}"}) {
    CAPTURE(format);
    CHECK_FALSE(LogFormat::Parse(format).ok());
  }
}

// Slow oracle: every combination of values, written by the format's rule, is read back.
TEST_CASE("what a format writes, its reader splits") {
  LogReader reader = Reader(
      "[%START_TIME%] \"%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%\" "
      "%RESPONSE_CODE% \"%REQ(USER-AGENT)%\" %ROUTE_NAME% %RESPONSE_FLAGS%");
  const std::vector<std::string> methods = {"GET", "-", "POST"};
  const std::vector<std::string> paths = {"/", "/a\"b", "/x]y[z", "-", "/%20"};
  const std::vector<std::string> agents = {"", "-", "a b", "\" ", "a\" b\" 200", "] \""};
  const std::vector<std::string> routes = {"-", "default", "r.1\""};
  auto plain = [](const std::string& text) { return text == "-" ? std::string() : text; };
  for (const auto& method : methods) {
    for (const auto& path : paths) {
      for (const auto& agent : agents) {
        for (const auto& route : routes) {
          std::string text =
              "[t] \"" + method + " " + path + " HTTP/2\" 404 \"" + agent + "\" " + route + " NR";
          CAPTURE(text);
          const LogLine& line = reader.Read(text);
          REQUIRE(line.kind == LogKind::kAccess);
          CHECK(line[LogField::kMethod] == plain(method));
          CHECK(line[LogField::kPath] == plain(path));
          CHECK(line[LogField::kUserAgent] == plain(agent));
          CHECK(line[LogField::kRouteName] == plain(route));
          CHECK(line[LogField::kFlags] == "NR");
        }
      }
    }
  }
}

TEST_CASE("rbac debug lines know the request that they judge") {
  LogReader reader;
  const char* log[] = {
      "2024-05-01T10:00:00.1Z\tdebug\tenvoy rbac external/rbac_filter.cc:130\tchecking request: "
      "requestedServerName: outbound_.80_._.web.shop.svc.cluster.local, sourceIP: "
      "10.244.2.7:41000, directRemoteIP: 10.244.2.7:41000, remoteIP: 10.244.2.7:0,localAddress: "
      "10.244.1.5:8080, ssl: uriSanPeerCertificate: spiffe://cluster.local/ns/a/sa/b, "
      "dnsSanPeerCertificate: , subjectPeerCertificate: , headers: ':authority', 'web.shop'",
      "':path', '/api/it's'",
      "':method', 'GET'",
      "'user-agent', 'x'",
      ", dynamicMetadata: \tthread=7",
  };
  for (const char* text : log) CHECK(reader.Read(text).kind == LogKind::kOther);
  CHECK(reader
            .Read("2024-05-01T10:00:00.1Z\tdebug\tenvoy rbac external/rbac_filter.cc:167\tno "
                  "engine, allowed by default\tthread=8")
            .kind == LogKind::kOther);
  const LogLine& line = reader.Read(
      "2024-05-01T10:00:00.1Z\tdebug\tenvoy rbac external/rbac_filter.cc:167\tenforced denied, "
      "matched policy none\tthread=7");
  REQUIRE(line.kind == LogKind::kRbac);
  CHECK(line[LogField::kEngine] == "enforced");
  CHECK(line[LogField::kResult] == "denied");
  CHECK(line[LogField::kPolicy] == "none");
  CHECK(line[LogField::kPath] == "/api/it's");
  CHECK(line[LogField::kAuthority] == "web.shop");
  CHECK(line[LogField::kPeer] == "spiffe://cluster.local/ns/a/sa/b");
  CHECK(line[LogField::kLocal] == "10.244.1.5:8080");
  // Another thread's decision is not about that request; Envoy's own log format is read too.
  const LogLine& other = reader.Read(
      "[2024-05-01 10:00:00.000][15][debug][rbac] [external/rbac_filter.cc:90] shadow denied, "
      "matched policy ns[a]-policy[b]-rule[1]");
  REQUIRE(other.kind == LogKind::kRbac);
  CHECK(other[LogField::kEngine] == "shadow");
  CHECK(other[LogField::kPolicy] == "ns[a]-policy[b]-rule[1]");
  CHECK(other[LogField::kPath].empty());
}

TEST_CASE("ztunnel's lines, text and JSON") {
  LogReader reader;
  const char* logs[] = {
      "2024-05-01T10:00:00.1Z\terror\taccess\tconnection complete\tsrc.addr=10.1.6.2:42020 "
      "src.workload=\"a-1\" src.namespace=\"a\" src.identity=\"spiffe://d/ns/a/sa/a\" "
      "dst.addr=10.1.9.3:15008 dst.hbone_addr=10.1.9.3:9080 dst.service=\"b.b.svc.cluster.local\" "
      "dst.workload=\"b-1\" dst.namespace=\"b\" direction=\"inbound\" bytes_sent=0 bytes_recv=0 "
      "duration=\"0ms\" error=\"connection closed due to policy rejection: explicitly denied by: "
      "b/deny\"",
      R"({"level":"error","time":"t","scope":"access","message":"connection complete",)"
      R"("src.addr":"10.1.6.2:42020","src.identity":"spiffe://d/ns/a/sa/a",)"
      R"("dst.addr":"10.1.9.3:15008","dst.hbone_addr":"10.1.9.3:9080","dst.workload":"b-1",)"
      R"("dst.namespace":"b","direction":"inbound",)"
      R"("error":"connection closed due to policy rejection: explicitly denied by: b/deny"})"};
  for (const char* text : logs) {
    CAPTURE(text);
    const LogLine& line = reader.Read(text);
    REQUIRE(line.kind == LogKind::kZtunnel);
    CHECK(line[LogField::kRemote] == "10.1.6.2:42020");
    CHECK(line[LogField::kPeer] == "spiffe://d/ns/a/sa/a");
    CHECK(line[LogField::kTargetHbone] == "10.1.9.3:9080");
    CHECK(line[LogField::kTargetWorkload] == "b-1");
    CHECK(line[LogField::kDirection] == "inbound");
    CHECK(line[LogField::kError].ends_with("explicitly denied by: b/deny"));
  }
  CHECK(reader.Read("t\terror\taccess\tconnection complete\tsrc.addr=1:1 error=\"cut").kind ==
        LogKind::kUnreadable);
  const LogLine& quoted = reader.Read(
      "t\terror\taccess\tconnection complete\tsrc.addr=1.1.1.1:1 duration=\"1ms\" "
      "error=\"connection failed: \\\"no\\\" route\"");
  REQUIRE(quoted.kind == LogKind::kZtunnel);
  CHECK(quoted[LogField::kError].ends_with("route"));
  // A refused connection's line, cut anywhere, is none that went well.
  const std::string whole = logs[0];
  for (size_t size = whole.find("complete") + 8; size < whole.size(); ++size) {
    CAPTURE(size);
    CHECK(reader.Read(whole.substr(0, size)).kind == LogKind::kUnreadable);
  }
  const std::string passed =
      "t\tinfo\taccess\tconnection complete\tsrc.addr=1.1.1.1:1 dst.addr=2.2.2.2:80 "
      "direction=\"inbound\" bytes_sent=1 bytes_recv=1 duration=\"1ms\"";
  CHECK(reader.Read(passed).kind == LogKind::kZtunnel);
  for (size_t size = passed.find("complete") + 8; size < passed.size(); ++size) {
    CAPTURE(size);
    CHECK(reader.Read(std::string_view(passed).substr(0, size)).kind == LogKind::kUnreadable);
  }
}

TEST_CASE("addresses with ports") {
  CHECK(HostOfAddress("10.0.0.1:80") == "10.0.0.1");
  CHECK(HostOfAddress("10.0.0.1") == "10.0.0.1");
  CHECK(HostOfAddress("[fd00::1]:80") == "fd00::1");
  CHECK(HostOfAddress("fd00::1") == "fd00::1");
  CHECK(PortOfAddress("10.0.0.1:80") == 80);
  CHECK(PortOfAddress("[fd00::1]:8080") == 8080);
  CHECK(PortOfAddress("fd00::1") == 0);
  CHECK(PortOfAddress("web") == 0);
  CHECK(PortOfAddress("web:x") == 0);
  CHECK(PortOfAddress("web:70000") == 0);
}

}  // namespace
}  // namespace meshproof::access_log_test

// How many lines a second the grouped explanation of a log takes, splitting included. Run by hand.

#include <chrono>
#include <cstdio>
#include <string>

#include "simulate/explain_log.h"

int main() {
  using namespace meshproof;
  constexpr size_t kLines = 1'000'000;
  constexpr const char* kDetails[] = {
      "200 - via_upstream", "403 - rbac_access_denied_matched_policy[none]",
      "403 - rbac_access_denied_matched_policy[ns[shop]-policy[orders]-rule[0]]",
      "401 - jwt_authn_access_denied{Jwt_is_expired}"};
  for (bool json : {false, true}) {
    std::string text;
    for (size_t i = 0; i < 20000; ++i) {
      std::string id = std::to_string(i);
      std::string details = kDetails[i % 4];
      if (json) {
        text +=
            R"({"start_time":"2026-03-01T10:00:00.000Z","route_name":"default","method":"GET",)"
            R"("path":"/api/orders/)" +
            id + R"(","protocol":"HTTP/1.1","response_code":)" + details.substr(0, 3) +
            R"(,"response_flags":"-","response_code_details":")" + details.substr(6) +
            R"(","connection_termination_details":null,"bytes_received":0,)"
            R"("bytes_sent":19,"duration":0,"upstream_service_time":null,"x_forwarded_for":null,)"
            R"("user_agent":"curl/8.5.0","request_id":"0f1e2d3c-0000-4000-8000-00000000)" +
            id +
            R"(","authority":"orders.shop","upstream_host":null,"upstream_cluster":)"
            R"("inbound|8080||","upstream_local_address":null,"downstream_local_address":)"
            R"("10.244.1.5:8080","downstream_remote_address":"10.244.2.7:41000",)"
            R"("requested_server_name":"outbound_.80_._.orders.shop.svc.cluster.local",)"
            R"("upstream_transport_failure_reason":null})"
            "\n";
      } else {
        text += "[2026-03-01T10:00:00.000Z] \"GET /api/orders/" + id + " HTTP/1.1\" " + details +
                " - \"-\" 0 19 0 - \"-\" \"curl/8.5.0\" \"0f1e2d3c-0000-4000-8000-00000000" + id +
                "\" \"orders.shop\" \"-\" inbound|8080|| - 10.244.1.5:8080 10.244.2.7:41000 "
                "outbound_.80_._.orders.shop.svc.cluster.local default\n";
      }
    }
    LogReader reader;
    LogExplainer explainer;
    auto begin = std::chrono::steady_clock::now();
    size_t number = 0;
    std::string_view rest = text;
    while (number < kLines) {
      if (rest.empty()) rest = text;
      size_t end = rest.find('\n');
      explainer.Add(reader.Read(rest.substr(0, end)), ++number);
      rest.remove_prefix(end + 1);
    }
    LogSummary summary = explainer.Finish(nullptr, nullptr);
    std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    std::printf("%s: %.0f lines/s, %zu groups, %zu passed, %zu unreadable\n",
                json ? "JSON" : "text", static_cast<double>(kLines) / taken.count(),
                summary.groups.size(), summary.passed, summary.unreadable);
  }
  return 0;
}

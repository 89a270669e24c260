#pragma once

#include <map>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "proxy/config.h"
#include "simulate/header_map.h"
#include "simulate/request.h"
#include "simulate/verdict.h"

namespace meshproof {

// Three-valued: what an answer would be for everything that is not known.
enum class Truth { kFalse, kTrue, kUnknown };
inline Truth ToTruth(bool value) {
  return value ? Truth::kTrue : Truth::kFalse;
}
Truth Not(Truth value);

// The open questions that one run met. A run takes an answer for each from a script (and "no"
// beyond its end), so that running every script shows whether the answer matters. A question is
// told apart by `key` and keeps its answer for the run.
class OpenQuestions {
 public:
  struct Question {
    const void* key = nullptr;
    bool answer = false;
    std::string reason;
  };

  explicit OpenQuestions(std::vector<bool> script = {}) : script_(std::move(script)) {}
  bool Ask(const void* key, std::string reason);
  const std::vector<Question>& asked() const { return asked_; }

 private:
  std::vector<bool> script_;
  std::vector<Question> asked_;
};

class RbacIndexes;

// Dynamic metadata that an RBAC filter leaves behind for the filters after it.
struct RbacMetadata {
  std::string_view prefix;  // the stat prefix
  std::string_view key;     // "shadow_effective_policy_id", …
  std::string_view value;
};

// One request on its way through a proxy.
struct Stream {
  const ProxyRequest* request = nullptr;
  const ProxyConfig* proxy = nullptr;
  OpenQuestions* questions = nullptr;
  const RbacIndexes* rbac_indexes = nullptr;  // null: every policy is tried
  bool trace = false;
  Verdict* verdict = nullptr;

  // The connection as the filters see it.
  bool tls = false;                          // terminated here
  const Certificate* certificate = nullptr;  // shown and accepted
  std::string_view tunnel_peer;              // the peer of the HBONE tunnel; "" where there is none
  std::string server_name;                   // as the TLS inspector read it
  Address remote;                            // post X-Forwarded-For; of the connection on TCP
  bool direct_peer_has_ip = true;            // not at a waypoint's internal listener

  // HTTP.
  HeaderMap headers;  // and the room of what else lasts for one request
  bool http2 = false;
  bool opaque_forwarded_for = false;  // x-forwarded-for holds an address that is not known

  // Dynamic metadata.
  std::optional<Json> jwt_payload;  // envoy.filters.http.jwt_authn / payload
  bool clear_route_cache = false;   // a filter had Envoy choose the route anew
  std::pmr::vector<RbacMetadata> http_rbac{headers.arena()}, network_rbac{headers.arena()};
  // What stands behind the shadow policy id of CUSTOM, for the blame of an authorizer's answer.
  const RbacPolicy* custom_policy = nullptr;
  bool opaque_filter_seen = false;  // metadata of others may stand there
  bool istio_authn = false;         // Istio's former filter has left its metadata

  void AddStep(Stage stage, Step::Result result, std::string text, const Origin& origin = {}) {
    if (!trace) return;
    verdict->steps.push_back({0, stage, result, std::move(text), origin});
  }
};

// What a filter says: go on, or the answer that ends the request.
enum class FilterStatus { kContinue, kStop };

// Ends an HTTP request with an answer of the proxy's own. For gRPC requests Envoy answers 200 with
// a grpc-status and no body; `status` stays what it stands for.
void SendLocalReply(Stream* stream, Outcome outcome, int status, std::string details,
                    std::string body, Stage stage, std::string_view flags = "-");
// Ends a connection without an HTTP answer.
void CloseConnection(Stream* stream, Stage stage, std::string details,
                     std::string_view flags = "-");
// Ends a request whose answer cannot be known.
void EndUndetermined(Stream* stream, std::string reason);

bool HasGrpcContentType(const HeaderMap& headers);
// Envoy's mapping of an HTTP status to grpc-status for local replies.
int GrpcStatusOf(int http_status);

}  // namespace meshproof

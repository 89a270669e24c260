#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mesh/mesh.h"
#include "simulate/case.h"
#include "source/access_log.h"

// From a log line back to the request that made it.
namespace meshproof {

// A line that outlives its reader.
struct LogRecord {
  LogKind kind = LogKind::kOther;
  std::vector<std::pair<LogField, std::string>> fields;  // those that are not empty
  std::vector<std::pair<std::string, std::string>> headers;
  uint64_t present = 0;

  std::string_view operator[](LogField field) const;
  bool Has(LogField field) const { return (present >> static_cast<unsigned>(field) & 1U) != 0; }
};
LogRecord Keep(const LogLine& line);

// Whose proxy wrote a line, as far as the line and the mesh tell.
struct LogTarget {
  const Workload* workload = nullptr;  // null: not known
  const MeshService* service = nullptr;
  int port = 0;  // that the workload listens on; 0: not known
  // The line is of the caller's own proxy, on the way out: it judges nothing.
  bool outbound = false;
};
// `at`, where not null, is whose log it is. `log_pod` of the line counts too.
LogTarget FindLogTarget(const Mesh& mesh, const Workload* at, const LogRecord& record);

// A pod by the name that its line gives it; `ns` may be "". Null: none, or several might be meant.
const Workload* FindLoggedPod(const Mesh& mesh, std::string_view ns, std::string_view pod);

// What an AuthorizationPolicy's id in Envoy's answers says (istio-semantics section 1.2):
// "ns[shop]-policy[orders]-rule[0]", with what CUSTOM puts around it.
struct RbacId {
  std::string_view ns, name;
  int rule = -1;
  std::string_view provider;  // CUSTOM
  bool bad_custom = false;    // the provider cannot be used: everything is denied
};
std::optional<RbacId> ParseRbacId(std::string_view id);

// The request of a line, for its target's proxy; what the log leaves open is open.
struct LoggedRequest {
  Case question;
  bool identity_open = false;  // mutual TLS, and the log does not say who called
  bool token_open = true;      // the log does not say which token was sent
  std::string unusable;        // why no request can be made of the line; "" = one can
};
LoggedRequest ReadLoggedRequest(const Mesh& mesh, const LogTarget& target, const LogRecord& record);

// Whether response_code_details or termination details are a policy's, a token's or an
// authorizer's.
bool IsRefusal(std::string_view details);

// How the line says that its request ended. kUndetermined: the line does not tell.
struct LoggedAnswer {
  Outcome outcome = Outcome::kAllow;  // kAllow: security let it through, whatever came then
  int status = 0;  // of a gRPC refusal, logged as 200: the HTTP status that it stands for
  std::string flags, details;
};
LoggedAnswer ReadLoggedAnswer(const LogRecord& record);

// The requests that a line can stand for, as far as rules tell them apart.
struct Completions {
  std::vector<std::string> open;  // what the log leaves open: "who called", "the header x-team"
  struct One {
    Case question;
    std::vector<size_t> choice;  // per open part: 0 = nothing that a rule names
  };
  std::vector<One> all;   // the first one has nothing that a rule names
  bool too_many = false;  // `all` holds the first one alone
};

// One proxy whose policies judge the request.
struct JudgingProxy {
  const Mesh* mesh = nullptr;
  const Workload* workload = nullptr;
};

// Every combination of the values that the rules of these proxies name for what the log leaves
// open, and of none of them. Where all get the same answer, what is missing does not matter.
// Assumed: a claim or header that no rule names has no bearing, a header stands once.
Completions Complete(const std::vector<JudgingProxy>& proxies, const LoggedRequest& request);

}  // namespace meshproof

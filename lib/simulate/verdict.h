#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/config.h"
#include "simulate/request.h"

namespace meshproof {

// kReject: a connection that ends without an HTTP answer (status 0).
enum class Outcome { kAllow, kDeny, kReject, kUndetermined };
enum class Stage { kNone, kMtls, kHttp, kCustom, kJwt, kDeny, kAllow };

std::string_view ToString(Outcome outcome);
std::string_view ToString(Stage stage);

struct Step {
  int hop = 0;
  Stage stage = Stage::kNone;
  enum class Result { kPass, kMatch, kNoMatch, kRefuse, kSkip, kUnknown } result = Result::kPass;
  std::string text;
  Origin origin;
};
std::string_view ToString(Step::Result result);

// A rule that failed on few conditions; the first that failed is named.
struct NearMiss {
  Origin origin;
  std::string field;  // as the author wrote it: "hosts", "when request.headers[x]"
  std::string got;
  std::string wanted;
  Span span;       // the field's place
  int failed = 1;  // how many fields failed
};

struct Hop {
  std::string ns, workload;
  ProxyMode mode = ProxyMode::kNone;
  std::string peer;  // identity that this proxy sees; "" = none
  Address source;    // what it takes as the client's address
  Address destination;
  uint32_t destination_port = 0;
  Outcome outcome = Outcome::kAllow;
  int status = 0;
  std::string flags, details;
};

struct Verdict {
  Outcome outcome = Outcome::kAllow;
  int status = 0;           // HTTP; for gRPC the code that Envoy's answer stands for; 0 = none
  std::string flags = "-";  // Envoy's response flags
  std::string details;      // response_code_details, or termination details on TCP
  std::string body;         // of a local reply
  int grpc_status = -1;     // where the answer is a gRPC one
  Stage stage = Stage::kNone;
  Origin decided_by;       // object null: nothing (no ALLOW rule matched, nothing applies)
  size_t decided_hop = 0;  // index into `hops` of the proxy that decided
  std::vector<std::string> missing;   // kUndetermined: what would have to be known
  std::vector<Step> steps;            // only of Detail::kTrace
  std::vector<NearMiss> near_misses;  // the same; nearest first
  // What this proxy forwards, for the next hop: the route's cluster, path and headers.
  std::string cluster;
  std::string forwarded_path;
  std::string forwarded_authority;
  std::vector<std::pair<std::string, std::string>> forwarded_headers;
  // Set where the last entry of x-forwarded-for among them is an address that is not known exactly;
  // it belongs into the next hop's ProxyRequest::forwarded_for.
  std::optional<Address> forwarded_for;
  std::vector<std::string> opaque_headers;  // among them: ProxyRequest::opaque_headers
  std::vector<Hop> hops;                    // not of Detail::kVerdict
};

// How much is told of a verdict; each level tells what the one before tells, and more.
enum class Detail { kVerdict, kHops, kTrace };

}  // namespace meshproof

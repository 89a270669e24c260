#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

// Log lines of proxies, split into fields. What they mean is said elsewhere.
namespace meshproof {

enum class LogField : uint8_t {
  kStartTime,
  kMethod,
  kPath,
  kProtocol,
  kStatus,
  kFlags,
  kDetails,
  kTermination,       // CONNECTION_TERMINATION_DETAILS
  kTransportFailure,  // UPSTREAM_TRANSPORT_FAILURE_REASON
  kForwardedFor,
  kUserAgent,
  kRequestId,
  kAuthority,
  kUpstreamHost,
  kUpstreamCluster,
  kUpstreamLocal,
  kLocal,         // DOWNSTREAM_LOCAL_ADDRESS; ztunnel: dst.addr
  kRemote,        // DOWNSTREAM_REMOTE_ADDRESS; ztunnel: src.addr
  kDirectRemote,  // DOWNSTREAM_DIRECT_REMOTE_ADDRESS
  kServerName,    // REQUESTED_SERVER_NAME
  kRouteName,
  kPeer,        // DOWNSTREAM_PEER_URI_SAN; ztunnel: src.identity; rbac: uriSanPeerCertificate
  kGrpcStatus,  // GRPC_STATUS
  kPod,         // of a line that kubectl logs --prefix printed
  // rbac debug lines.
  kEngine,  // "enforced" or "shadow"
  kResult,  // "allowed" or "denied"
  kPolicy,  // the matched policy's id, "none"
  // ztunnel.
  kSourceWorkload,
  kSourceNamespace,
  kTargetWorkload,
  kTargetNamespace,
  kTargetService,
  kTargetHbone,  // dst.hbone_addr
  kDirection,
  kError,
  kIgnored,  // an operator that is of no use here; never set
};
constexpr size_t kLogFields = static_cast<size_t>(LogField::kIgnored);

enum class LogKind {
  kAccess,      // Envoy's access log
  kRbac,        // a decision in Envoy's debug log
  kZtunnel,     // ztunnel's access log
  kOther,       // a line that says nothing of a request: another component's, part of another line
  kUnreadable,  // looks like an access log line and is none: cut off, binary
};

// One line. Views point into the line or into its reader and live until the next line is read.
struct LogLine {
  LogKind kind = LogKind::kOther;
  std::array<std::string_view, kLogFields> fields;
  // Request headers that the format logs beside the fields: lower-case name, value.
  std::vector<std::pair<std::string_view, std::string_view>> headers;

  // "" where the line does not have it, or has `-`.
  std::string_view operator[](LogField field) const { return fields[static_cast<size_t>(field)]; }
  // The format has such a field, be it empty in this line.
  uint64_t present = 0;
  bool Has(LogField field) const { return (present >> static_cast<unsigned>(field) & 1U) != 0; }
};

// Envoy's format string, as `accessLogFormat` and Telemetry have it: a text, or a JSON object of
// operators.
class LogFormat {
 public:
  // An error: an operator that does not end, two operators that nothing separates, no operator.
  static Result<LogFormat> Parse(std::string_view format);
  // Istio's own text format (envoy-facts section 7).
  static const LogFormat& Istio();

  bool is_json() const { return json_; }

  struct Operator {
    LogField field = LogField::kIgnored;
    std::string header;      // of a request header that has no field of its own; lower case
    std::string before;      // the text in front of it
    bool free_text = false;  // clients write it: what separates fields may stand in it
    std::string key;         // JSON formats: the key
  };
  const std::vector<Operator>& operators() const { return operators_; }

  // Splits a line of a text format; false where it is none.
  bool Split(std::string_view line, LogLine* out) const;

 private:
  Result<bool> ParseText(std::string_view format);
  bool Store(const Operator& op, std::string_view value, LogLine* out) const;

  bool json_ = false;
  std::vector<Operator> operators_;
  std::string after_;   // the text behind the last one
  size_t forward_ = 0;  // operators before this one are found from the left, the others right
};

// Reads lines of any kind, in order: a decision of the rbac filter refers to lines before it.
class LogReader {
 public:
  LogReader();
  // Access log lines are of this format; the other kinds are still known.
  explicit LogReader(LogFormat format);

  // `line` without its line break.
  const LogLine& Read(std::string_view line);

 private:
  // What a "checking request" line of the rbac filter said.
  struct Checked {
    std::string thread, server_name, source, local, peer, method, path, authority;
  };

  bool ReadJson(std::string_view line);
  bool ReadRbac(std::string_view line);
  bool ReadZtunnel(std::string_view line);
  void ReadRbacHeader(std::string_view line);
  void StartChecked(std::string_view message);
  void FinishChecked(std::string_view thread);
  void SetField(LogField field, std::string_view value);
  void Clear();

  LogFormat format_;
  bool custom_ = false;
  LogLine line_;
  std::string scratch_;
  // JSON: the keys of the line before and what became of them; lines of one log are alike.
  std::vector<std::pair<std::string, const LogFormat::Operator*>> keys_;
  std::vector<LogFormat::Operator> json_operators_;
  bool in_checked_ = false;
  Checked current_;
  std::vector<Checked> checked_;  // by thread, the latest of each
};

// "10.0.0.1" of "10.0.0.1:8080", "::1" of "[::1]:80"; the text itself where it has no port.
std::string_view HostOfAddress(std::string_view address);
// 0 where there is none.
int PortOfAddress(std::string_view address);

}  // namespace meshproof

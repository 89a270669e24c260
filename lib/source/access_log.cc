// Splits log lines without regular expressions: a format becomes a list of operators with the text
// in front of each. Fields that clients write (user agent, x-forwarded-for) may hold that text, so
// fields behind the last of these are looked for from the end of the line. Brackets inside of
// details (`matched_policy[ns[a]-policy[b]-rule[0]]`) need no care: details hold no blanks.

#include "source/access_log.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace meshproof {
namespace {

constexpr std::string_view kIstioFormat =
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" "
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% "
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" "
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% "
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% "
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n";

struct Name {
  std::string_view name;
  LogField field;
};

constexpr Name kOperators[] = {
    {"START_TIME", LogField::kStartTime},
    {"PROTOCOL", LogField::kProtocol},
    {"RESPONSE_CODE", LogField::kStatus},
    {"RESPONSE_FLAGS", LogField::kFlags},
    {"RESPONSE_CODE_DETAILS", LogField::kDetails},
    {"CONNECTION_TERMINATION_DETAILS", LogField::kTermination},
    {"UPSTREAM_TRANSPORT_FAILURE_REASON", LogField::kTransportFailure},
    {"UPSTREAM_HOST", LogField::kUpstreamHost},
    {"UPSTREAM_CLUSTER", LogField::kUpstreamCluster},
    {"UPSTREAM_CLUSTER_RAW", LogField::kUpstreamCluster},
    {"UPSTREAM_LOCAL_ADDRESS", LogField::kUpstreamLocal},
    {"DOWNSTREAM_LOCAL_ADDRESS", LogField::kLocal},
    {"DOWNSTREAM_REMOTE_ADDRESS", LogField::kRemote},
    {"DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", LogField::kRemote},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS", LogField::kDirectRemote},
    {"DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", LogField::kDirectRemote},
    {"REQUESTED_SERVER_NAME", LogField::kServerName},
    {"ROUTE_NAME", LogField::kRouteName},
    {"DOWNSTREAM_PEER_URI_SAN", LogField::kPeer},
    {"GRPC_STATUS", LogField::kGrpcStatus},
    {"PATH", LogField::kPath},
};

// Request headers with a field of their own.
constexpr Name kHeaders[] = {
    {":method", LogField::kMethod},
    {":path", LogField::kPath},
    {":authority", LogField::kAuthority},
    {"host", LogField::kAuthority},
    {"x-forwarded-for", LogField::kForwardedFor},
    {"user-agent", LogField::kUserAgent},
    {"x-request-id", LogField::kRequestId},
};

// Istio's JSON log, which is the same whatever the order of its keys, and ztunnel's.
constexpr Name kJsonKeys[] = {
    {"start_time", LogField::kStartTime},
    {"method", LogField::kMethod},
    {"path", LogField::kPath},
    {"protocol", LogField::kProtocol},
    {"response_code", LogField::kStatus},
    {"response_flags", LogField::kFlags},
    {"response_code_details", LogField::kDetails},
    {"connection_termination_details", LogField::kTermination},
    {"upstream_transport_failure_reason", LogField::kTransportFailure},
    {"x_forwarded_for", LogField::kForwardedFor},
    {"user_agent", LogField::kUserAgent},
    {"request_id", LogField::kRequestId},
    {"authority", LogField::kAuthority},
    {"upstream_host", LogField::kUpstreamHost},
    {"upstream_cluster", LogField::kUpstreamCluster},
    {"upstream_local_address", LogField::kUpstreamLocal},
    {"downstream_local_address", LogField::kLocal},
    {"downstream_remote_address", LogField::kRemote},
    {"downstream_direct_remote_address", LogField::kDirectRemote},
    {"downstream_peer_uri_san", LogField::kPeer},
    {"requested_server_name", LogField::kServerName},
    {"route_name", LogField::kRouteName},
    {"grpc_status", LogField::kGrpcStatus},
};

constexpr Name kZtunnelKeys[] = {
    {"src.addr", LogField::kRemote},
    {"src.workload", LogField::kSourceWorkload},
    {"src.namespace", LogField::kSourceNamespace},
    {"src.identity", LogField::kPeer},
    {"dst.addr", LogField::kLocal},
    {"dst.hbone_addr", LogField::kTargetHbone},
    {"dst.service", LogField::kTargetService},
    {"dst.workload", LogField::kTargetWorkload},
    {"dst.namespace", LogField::kTargetNamespace},
    {"direction", LogField::kDirection},
    {"error", LogField::kError},
};

template <size_t N>
LogField FieldOf(const Name (&names)[N], std::string_view name) {
  for (const auto& candidate : names) {
    if (candidate.name == name) return candidate.field;
  }
  return LogField::kIgnored;
}

std::string_view CutTo(std::string_view text, std::string_view end) {
  return text.substr(0, text.find(end));
}

// The value that follows `key` in a message, up to `end`.
std::string_view ValueAfter(std::string_view text, std::string_view key, std::string_view end) {
  size_t at = text.find(key);
  if (at == std::string_view::npos) return {};
  return TrimSpace(CutTo(text.substr(at + key.size()), end));
}

bool IsStatus(std::string_view text) {
  return text.size() <= 3 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool IsBinary(std::string_view line) {
  return std::any_of(line.begin(), line.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 && byte != '\t' && byte != 0x1B;
  });
}

// One string of a JSON line, its quote already passed. Escapes are resolved into `scratch`, which
// has room for the whole line. Moves `at` behind the closing quote.
bool ReadJsonString(std::string_view line, size_t* at, std::string* scratch,
                    std::string_view* out) {
  size_t end = *at;
  while (end < line.size() && line[end] != '"' && line[end] != '\\') ++end;
  if (end < line.size() && line[end] == '"') {
    *out = line.substr(*at, end - *at);
    *at = end + 1;
    return true;
  }
  size_t begin = scratch->size();
  for (size_t i = *at; i < line.size(); ++i) {
    char c = line[i];
    if (c == '"') {
      *out = std::string_view(*scratch).substr(begin);
      *at = i + 1;
      return true;
    }
    if (c != '\\') {
      scratch->push_back(c);
      continue;
    }
    if (++i >= line.size()) return false;
    constexpr std::string_view kFrom = "nrtbf";
    constexpr std::string_view kTo = "\n\r\t\b\f";
    if (line[i] == 'u') {
      if (i + 4 >= line.size()) return false;
      unsigned code = 0;
      for (size_t k = 1; k <= 4; ++k) {
        char h = line[i + k];
        unsigned digit = h >= '0' && h <= '9'   ? static_cast<unsigned>(h - '0')
                         : h >= 'a' && h <= 'f' ? static_cast<unsigned>(h - 'a') + 10
                         : h >= 'A' && h <= 'F' ? static_cast<unsigned>(h - 'A') + 10
                                                : 16U;
        if (digit > 15) return false;
        code = code * 16 + digit;
      }
      i += 4;
      // As UTF-8, never longer than the escape. Halves of pairs stay apart: nothing compares them.
      if (code < 0x80) {
        scratch->push_back(static_cast<char>(code));
      } else if (code < 0x800) {
        scratch->push_back(static_cast<char>(0xC0U | code >> 6));
        scratch->push_back(static_cast<char>(0x80U | (code & 0x3FU)));
      } else {
        scratch->push_back(static_cast<char>(0xE0U | code >> 12));
        scratch->push_back(static_cast<char>(0x80U | (code >> 6 & 0x3FU)));
        scratch->push_back(static_cast<char>(0x80U | (code & 0x3FU)));
      }
      continue;
    }
    size_t known = kFrom.find(line[i]);
    scratch->push_back(known == std::string_view::npos ? line[i] : kTo[known]);
  }
  return false;
}

void SkipBlanks(std::string_view line, size_t* at) {
  while (*at < line.size() && (line[*at] == ' ' || line[*at] == '\t')) ++*at;
}

// A value that is no string: a number, a word, or something nested. Moves `at` behind it.
bool SkipJsonValue(std::string_view line, size_t* at, std::string_view* out) {
  size_t begin = *at;
  int depth = 0;
  bool quoted = false;
  for (; *at < line.size(); ++*at) {
    char c = line[*at];
    if (quoted) {
      if (c == '\\') {
        ++*at;
      } else if (c == '"') {
        quoted = false;
      }
      continue;
    }
    if (c == '"') quoted = true;
    if (c == '{' || c == '[') ++depth;
    bool closes = c == '}' || c == ']';
    if (depth == 0 && (closes || c == ',')) break;
    if (closes) --depth;
  }
  *out = TrimSpace(line.substr(begin, std::min(*at, line.size()) - begin));
  return *at < line.size() && !out->empty();
}

// What container runtimes and kubectl print in front of a line.
std::string_view SkipPrefix(std::string_view line, std::string_view* pod) {
  constexpr std::string_view kPod = "[pod/";
  constexpr size_t kFar = 160;
  if (line.starts_with(kPod)) {
    size_t end = line.find("] ");
    if (end == std::string_view::npos) return line;
    *pod = CutTo(line.substr(kPod.size(), end - kPod.size()), "/");
    line.remove_prefix(end + 2);
  }
  if (line.starts_with('[') || line.starts_with('{')) return line;
  for (std::string_view mark : {" stdout F ", " stderr F "}) {
    size_t at = line.substr(0, kFar).find(mark);
    if (at != std::string_view::npos) return line.substr(at + mark.size());
  }
  for (std::string_view mark : {" [2", " {\""}) {
    size_t at = line.substr(0, kFar).find(mark);
    if (at != std::string_view::npos) return line.substr(at + 1);
  }
  return line;
}

}  // namespace

Result<LogFormat> LogFormat::Parse(std::string_view format) {
  LogFormat out;
  format = TrimSpace(format);
  if (format.starts_with('{')) {
    auto object = ParseJson(format);
    if (!object.ok()) {
      return Error{"the log format is no JSON object: " + object.error().message};
    }
    out.json_ = true;
    for (const auto& [key, value] : object.value().as_object()) {
      if (!value.is_string()) continue;
      LogFormat one;
      auto parsed = one.ParseText(value.as_string());
      bool whole = parsed.ok() && one.operators_.size() == 1 && one.after_.empty() &&
                   one.operators_[0].before.empty();
      Operator op = whole ? one.operators_[0] : Operator{};
      op.key = key;
      out.operators_.push_back(std::move(op));
    }
    if (out.operators_.empty()) return Error{"the log format names no operator"};
    return out;
  }
  auto parsed = out.ParseText(format);
  if (!parsed.ok()) return parsed.error();
  return out;
}

const LogFormat& LogFormat::Istio() {
  static const auto& format = *new LogFormat(Parse(kIstioFormat).Take());
  return format;
}

Result<bool> LogFormat::ParseText(std::string_view format) {
  std::string literal;
  size_t at = 0;
  while (at < format.size()) {
    if (format[at] != '%') {
      // Written in a shell or in YAML the line break stays two characters.
      if (format.substr(at, 2) == "\\n") {
        literal += '\n';
        at += 2;
      } else {
        literal += format[at++];
      }
      continue;
    }
    if (format.substr(at, 2) == "%%") {
      literal += '%';
      at += 2;
      continue;
    }
    size_t end = at + 1;
    while (end < format.size() && format[end] != '%' && format[end] != '(') ++end;
    std::string_view name = format.substr(at + 1, end - at - 1);
    std::string_view argument;
    if (end < format.size() && format[end] == '(') {
      size_t close = format.find(')', end);
      if (close == std::string_view::npos) end = format.size();
      if (end < format.size()) {
        argument = format.substr(end + 1, close - end - 1);
        end = format.find('%', close);
      }
    }
    if (end >= format.size()) {
      return Error{"the operator `" + std::string(format.substr(at, 40)) +
                   "` of the log format does not end"};
    }
    Operator op;
    op.before = std::move(literal);
    literal.clear();
    if (op.before.empty() && !operators_.empty()) {
      return Error{"nothing separates `%" + std::string(name) +
                   "%` from the operator before it in the log format"};
    }
    if (name == "REQ") {
      // NAME?ALTERNATIVE: the last one is what the client sent.
      size_t mark = argument.rfind('?');
      std::string header =
          ToLower(mark == std::string_view::npos ? argument : argument.substr(mark + 1));
      op.field = FieldOf(kHeaders, header);
      if (op.field == LogField::kIgnored) op.header = header;
      op.free_text = op.field == LogField::kIgnored || op.field == LogField::kForwardedFor ||
                     op.field == LogField::kUserAgent;
    } else {
      op.field = FieldOf(kOperators, CutTo(name, ":"));
      op.free_text = name == "RESP" || op.field == LogField::kTransportFailure;
    }
    operators_.push_back(std::move(op));
    at = end + 1;
  }
  after_ = std::string(TrimSpace(literal).empty() ? std::string_view() : std::string_view(literal));
  while (after_.ends_with('\n')) after_.pop_back();
  if (operators_.empty()) return Error{"the log format names no operator"};
  forward_ = operators_.size() - 1;
  for (size_t i = 0; i < operators_.size(); ++i) {
    if (operators_[i].free_text) forward_ = i;
  }
  return true;
}

bool LogFormat::Store(const Operator& op, std::string_view value, LogLine* out) const {
  if (value == "-") value = {};
  if (op.field != LogField::kIgnored) {
    if (op.field == LogField::kStatus && !IsStatus(value)) return false;
    out->fields[static_cast<size_t>(op.field)] = value;
    out->present |= uint64_t{1} << static_cast<unsigned>(op.field);
  } else if (!op.header.empty()) {
    out->headers.emplace_back(op.header, value);
  }
  return true;
}

bool LogFormat::Split(std::string_view line, LogLine* out) const {
  if (!line.starts_with(operators_[0].before) || !line.ends_with(after_)) return false;
  size_t at = operators_[0].before.size();
  if (line.size() < at + after_.size()) return false;
  size_t end = line.size() - after_.size();
  for (size_t i = 0; i < forward_; ++i) {
    const std::string& text = operators_[i + 1].before;
    size_t stop = line.find(text, at);
    if (stop == std::string_view::npos || stop > end) return false;
    if (!Store(operators_[i], line.substr(at, stop - at), out)) return false;
    at = stop + text.size();
  }
  for (size_t i = operators_.size() - 1; i > forward_; --i) {
    const std::string& text = operators_[i].before;
    if (end < at + text.size()) return false;
    size_t start = line.rfind(text, end - text.size());
    if (start == std::string_view::npos || start < at) return false;
    size_t value = start + text.size();
    if (!Store(operators_[i], line.substr(value, end - value), out)) return false;
    end = start;
  }
  if (end < at) return false;
  return Store(operators_[forward_], line.substr(at, end - at), out);
}

LogReader::LogReader() : format_(LogFormat::Istio()) {
  auto add = [&](const Name& name) {
    LogFormat::Operator op;
    op.key = std::string(name.name);
    op.field = name.field;
    json_operators_.push_back(std::move(op));
  };
  for (const auto& name : kJsonKeys) add(name);
  for (const auto& name : kZtunnelKeys) add(name);
}

LogReader::LogReader(LogFormat format) : LogReader() {
  format_ = std::move(format);
  custom_ = true;
  if (format_.is_json()) {
    auto zt = json_operators_;
    json_operators_ = format_.operators();
    for (auto& op : zt) {
      if (op.key.find('.') != std::string::npos) json_operators_.push_back(std::move(op));
    }
  }
}

void LogReader::Clear() {
  line_.kind = LogKind::kOther;
  line_.fields.fill({});
  line_.headers.clear();
  line_.present = 0;
}

void LogReader::SetField(LogField field, std::string_view value) {
  if (field == LogField::kIgnored) return;
  if (value == "-") value = {};
  line_.fields[static_cast<size_t>(field)] = value;
  line_.present |= uint64_t{1} << static_cast<unsigned>(field);
}

const LogLine& LogReader::Read(std::string_view line) {
  Clear();
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) return line_;
  std::string_view pod;
  std::string_view rest = SkipPrefix(line, &pod);
  bool bracket = rest.starts_with('[');
  if (rest.starts_with('{') && (!custom_ || format_.is_json())) {
    if (!ReadJson(rest)) {
      Clear();
      line_.kind = LogKind::kUnreadable;
    }
  } else if ((bracket || custom_) && !format_.is_json() && format_.Split(rest, &line_)) {
    line_.kind = LogKind::kAccess;
  } else {
    Clear();
    if (!ReadRbac(rest) && !ReadZtunnel(line) && !in_checked_) {
      // A line that starts like an access log's and does not go on like one.
      bool debug = rest.find("][") < 48;
      bool cut = bracket && rest.size() > 1 && rest[1] >= '0' && rest[1] <= '9' && !debug;
      if (cut || IsBinary(line)) line_.kind = LogKind::kUnreadable;
    }
  }
  if (!pod.empty()) SetField(LogField::kPod, pod);
  return line_;
}

bool LogReader::ReadJson(std::string_view line) {
  scratch_.clear();
  scratch_.reserve(line.size());
  size_t at = 1;
  size_t index = 0;
  bool ztunnel = false, access = false, status = false;
  while (true) {
    SkipBlanks(line, &at);
    if (at < line.size() && line[at] == '}') break;
    if (index > 0) {
      if (at >= line.size() || line[at] != ',') return false;
      ++at;
      SkipBlanks(line, &at);
    }
    if (at >= line.size() || line[at] != '"') return false;
    std::string_view key, value;
    if (!ReadJsonString(line, &++at, &scratch_, &key)) return false;
    SkipBlanks(line, &at);
    if (at >= line.size() || line[at] != ':') return false;
    ++at;
    SkipBlanks(line, &at);
    if (at < line.size() && line[at] == '"') {
      if (!ReadJsonString(line, &++at, &scratch_, &value)) return false;
    } else {
      if (!SkipJsonValue(line, &at, &value)) return false;
      if (value == "null" || value.starts_with('{') || value.starts_with('[')) value = {};
    }
    if (keys_.size() <= index) keys_.emplace_back();
    if (keys_[index].first != key || keys_[index].second == nullptr) {
      keys_[index].first = std::string(key);
      keys_[index].second = nullptr;
      for (const auto& op : json_operators_) {
        if (op.key == key) keys_[index].second = &op;
      }
    }
    if (const auto* op = keys_[index].second) {
      if (op->field == LogField::kStatus) {
        if (!IsStatus(value) && value != "-") return false;
        status = true;
      }
      SetField(op->field, value);
      if (!op->header.empty()) line_.headers.emplace_back(op->header, value == "-" ? "" : value);
    }
    if (key == "scope" && value == "access") ztunnel = true;
    if (key == "src.addr") access = true;
    ++index;
  }
  line_.kind = ztunnel && access ? LogKind::kZtunnel : status ? LogKind::kAccess : LogKind::kOther;
  return TrimSpace(line.substr(at + 1)).empty();
}

bool LogReader::ReadRbac(std::string_view line) {
  bool rbac = line.find("envoy rbac") != std::string_view::npos ||
              line.find("[rbac]") != std::string_view::npos;
  if (!rbac) {
    bool starts = !line.empty() && (line[0] == '[' || (line[0] >= '0' && line[0] <= '9'));
    if (in_checked_ && !starts) {
      ReadRbacHeader(line);
      return true;
    }
    in_checked_ = false;
    return false;
  }
  if (in_checked_) FinishChecked("");
  std::string_view thread = ValueAfter(line, "\tthread=", "\t");
  for (std::string_view checking : {"checking request: ", "checking connection: "}) {
    size_t at = line.find(checking);
    if (at == std::string_view::npos) continue;
    StartChecked(line.substr(at + checking.size()));
    if (!thread.empty() || checking == "checking connection: ") FinishChecked(thread);
    return true;
  }
  constexpr std::string_view kMatched = ", matched policy ";
  size_t at = line.find(kMatched);
  if (at == std::string_view::npos) return true;
  std::string_view head = line.substr(0, at);
  std::string_view result = head.substr(head.rfind(' ') + 1);
  head = head.substr(0, head.rfind(' '));
  std::string_view engine = head.substr(head.find_last_of(" \t") + 1);
  if ((engine != "enforced" && engine != "shadow") || (result != "allowed" && result != "denied")) {
    return true;
  }
  line_.kind = LogKind::kRbac;
  SetField(LogField::kEngine, engine);
  SetField(LogField::kResult, result);
  SetField(LogField::kPolicy, TrimSpace(CutTo(line.substr(at + kMatched.size()), "\t")));
  const Checked* checked = nullptr;
  for (const auto& one : checked_) {
    if (one.thread == thread) checked = &one;
  }
  if (checked == nullptr) return true;
  SetField(LogField::kServerName, checked->server_name);
  SetField(LogField::kRemote, checked->source);
  SetField(LogField::kLocal, checked->local);
  SetField(LogField::kPeer, checked->peer);
  SetField(LogField::kMethod, checked->method);
  SetField(LogField::kPath, checked->path);
  SetField(LogField::kAuthority, checked->authority);
  return true;
}

void LogReader::StartChecked(std::string_view message) {
  current_ = {};
  current_.server_name = ValueAfter(message, "requestedServerName: ", ",");
  current_.source = ValueAfter(message, "sourceIP: ", ",");
  current_.local = ValueAfter(message, "localAddress: ", ",");
  current_.peer = ValueAfter(message, "uriSanPeerCertificate: ", ",");
  in_checked_ = true;
  size_t headers = message.find("headers: ");
  if (headers != std::string_view::npos) ReadRbacHeader(message.substr(headers + 9));
}

// "':path', '/api'".
void LogReader::ReadRbacHeader(std::string_view line) {
  constexpr std::string_view kBetween = "', '";
  line = TrimSpace(line);
  size_t between = line.find(kBetween);
  if (line.starts_with('\'') && between != std::string_view::npos) {
    std::string_view name = line.substr(1, between - 1);
    std::string_view value = line.substr(between + kBetween.size());
    value = value.substr(0, value.rfind('\''));
    if (name == ":method") current_.method = value;
    if (name == ":path") current_.path = value;
    if (name == ":authority") current_.authority = value;
  }
  std::string_view thread = ValueAfter(line, "\tthread=", "\t");
  if (!thread.empty()) FinishChecked(thread);
}

void LogReader::FinishChecked(std::string_view thread) {
  in_checked_ = false;
  current_.thread = thread;
  for (auto& one : checked_) {
    if (one.thread != thread) continue;
    one = current_;
    return;
  }
  checked_.push_back(current_);
}

// "<time> error access connection complete src.addr=… error="…"", blanks or tabs between.
namespace {

// Of a text that starts with a quote; what it holds is escaped with backslashes.
size_t ClosingQuote(std::string_view text) {
  for (size_t at = 1; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      return at;
    }
  }
  return std::string_view::npos;
}

}  // namespace

bool LogReader::ReadZtunnel(std::string_view line) {
  constexpr std::string_view kComplete = "connection complete";
  size_t at = line.find(kComplete);
  if (at == std::string_view::npos || line.substr(0, at).find("access") == std::string_view::npos) {
    return false;
  }
  std::string_view rest = line.substr(at + kComplete.size());
  bool ended = false;
  while (true) {
    rest = TrimSpace(rest);
    size_t equals = rest.find('=');
    if (equals == std::string_view::npos) break;
    std::string_view key = rest.substr(0, equals);
    rest.remove_prefix(equals + 1);
    std::string_view value;
    if (rest.starts_with('"')) {
      const size_t end = ClosingQuote(rest);
      if (end == std::string_view::npos) {
        Clear();
        line_.kind = LogKind::kUnreadable;
        return true;
      }
      value = rest.substr(1, end - 1);
      rest.remove_prefix(end + 1);
      ended |= key == "duration" || key == "error";
    } else {
      size_t end = std::min(rest.find_first_of(" \t"), rest.size());
      value = rest.substr(0, end);
      rest.remove_prefix(end);
    }
    SetField(FieldOf(kZtunnelKeys, key), value);
  }
  // What is cut off before its error would be read as a connection that went well.
  const std::string_view head = line.substr(0, at);
  const bool failed = head.find("\terror\t") != std::string_view::npos ||
                      head.find(" error ") != std::string_view::npos;
  const bool whole = ended && rest.empty() && (!failed || !line_[LogField::kError].empty());
  bool readable = whole && !line_[LogField::kRemote].empty();
  if (!readable) Clear();
  line_.kind = readable ? LogKind::kZtunnel : LogKind::kUnreadable;
  return true;
}

std::string_view HostOfAddress(std::string_view address) {
  if (address.starts_with('[')) return CutTo(address.substr(1), "]");
  size_t colon = address.find(':');
  // Several colons without brackets: IPv6 without a port.
  if (colon == std::string_view::npos || address.find(':', colon + 1) != std::string_view::npos) {
    return address;
  }
  return address.substr(0, colon);
}

int PortOfAddress(std::string_view address) {
  size_t colon = address.rfind(':');
  bool bracket = address.starts_with('[');
  if (colon == std::string_view::npos) return 0;
  if (bracket ? address.find(']') > colon : address.find(':') != colon) return 0;
  auto port = ParseUnsigned(address.substr(colon + 1));
  return port && *port <= 65535 ? static_cast<int>(*port) : 0;
}

}  // namespace meshproof

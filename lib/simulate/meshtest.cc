#include "simulate/meshtest.h"

#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "simulate/fields.h"

namespace meshproof {
namespace {

const std::vector<std::string> kOutcomes = {"allow", "deny", "reject", "undetermined"};
const std::vector<std::string> kStages = {"mtls", "jwt", "custom", "deny", "allow", "http"};
const std::vector<std::string> kPoints = {"sidecar", "gateway", "waypoint", "ztunnel", "none"};
const std::vector<std::string> kProtocols = {"http", "grpc", "tcp"};
const std::vector<std::string> kTls = {"auto", "mtls", "plaintext"};
const std::vector<std::string> kAnswers = {"allow", "deny"};

Stage StageAt(size_t index) {
  constexpr Stage kByIndex[] = {Stage::kMtls, Stage::kJwt,   Stage::kCustom,
                                Stage::kDeny, Stage::kAllow, Stage::kHttp};
  return kByIndex[index];
}

// The stage that formats name: a request that nothing looked at was admitted.
Stage StageOf(const Verdict& verdict) {
  if (verdict.stage == Stage::kNone && verdict.outcome == Outcome::kAllow) return Stage::kAllow;
  return verdict.stage;
}

Diagnostic ErrorAt(const Span& span, std::string message) {
  Diagnostic diagnostic;
  diagnostic.trouble = Trouble::kWrongType;
  diagnostic.message = std::move(message);
  diagnostic.span = span;
  return diagnostic;
}

class Decoder {
 public:
  Decoder(const Document& document, const FileSystem& files, MeshTestFile* out)
      : document_(document), files_(files), out_(out) {}

  void Decode(const Node& root) {
    FieldReader fields(document_, root, "a policy test file", &out_->errors);
    DecodeMesh(&fields);
    const Node* tests = fields.Take("tests");
    fields.Finish();
    if (!root.IsMapping()) return;
    if (tests == nullptr) {
      fields.Report(root, "a policy test file needs `tests`, a list of cases");
    } else if (!tests->IsSequence()) {
      fields.Report(*tests, "`tests` must be a list of cases");
    } else {
      for (const Node& test : tests->items()) out_->cases.push_back(DecodeCase(test));
    }
  }

 private:
  void DecodeMesh(FieldReader* fields) {
    const Node* mesh = fields->Take("mesh");
    if (mesh == nullptr) return;
    out_->names_mesh = true;
    if (!mesh->IsSequence()) {
      fields->Report(*mesh, "`mesh` must be a list of paths");
      return;
    }
    for (const Node& item : mesh->items()) {
      if (item.kind == NodeKind::kScalar && !item.IsNull()) {
        out_->mesh.push_back({Resolve(item.text), ""});
        continue;
      }
      FieldReader entry(document_, item, "an entry of `mesh`", &out_->errors);
      auto path = entry.TakeText("path");
      auto ns = entry.TakeText("namespace");
      entry.Finish();
      if (!path) {
        if (item.IsMapping()) entry.Report(item, "an entry of `mesh` needs `path`");
        continue;
      }
      out_->mesh.push_back({Resolve(*path), ns.value_or("")});
    }
  }

  MeshTestCase DecodeCase(const Node& node) {
    MeshTestCase test;
    test.question.span = document_.SpanOf(node);
    FieldReader fields(document_, node, "a test", &test.errors);
    if (auto name = fields.TakeText("name")) test.question.name = *name;
    if (node.IsMapping() && test.question.name.empty()) fields.Report(node, "a test needs `name`");
    DecodeFrom(&fields, &test);
    DecodeTo(&fields, &test);
    DecodeRequest(&fields, &test);
    DecodeTokens(&fields, &test);
    DecodeAuthorizers(&fields, &test);
    const Node* expect = fields.Take("expect");
    if (expect == nullptr) {
      if (node.IsMapping()) fields.Report(node, "a test needs `expect`");
    } else {
      DecodeExpect(*expect, &test);
    }
    for (const char* key : {"tags", "note", "source", "certainty"}) fields.Ignore(key);
    fields.Finish();
    return test;
  }

  void DecodeFrom(FieldReader* fields, MeshTestCase* test) {
    Case& question = test->question;
    const Node* node = fields->Take("from");
    if (node == nullptr) {
      if (fields->node().IsMapping()) fields->Report(fields->node(), "a test needs `from`");
      return;
    }
    FieldReader from(document_, *node, "`from`", &test->errors);
    if (const Node* workload = from.Take("workload")) {
      question.from_workload = WorkloadName(*workload, &from);
    }
    question.from_outside = from.TakeBool("outside").value_or(false);
    question.from_identity = from.TakeText("identity");
    question.from_ip = TakeIp(&from);
    if (auto tls = from.TakeChoice("tls", kTls)) question.tls = static_cast<CaseTls>(*tls);
    from.Finish();
    if (!node->IsMapping()) return;
    bool has_workload = node->Find("workload") != nullptr;
    if (has_workload && question.from_outside) {
      from.Report(*node, "`from` has both `workload` and `outside`");
    } else if (!has_workload && !question.from_outside) {
      from.Report(*node, "`from` needs `workload: namespace/name` or `outside: true`");
    }
  }

  void DecodeTo(FieldReader* fields, MeshTestCase* test) {
    Case& question = test->question;
    const Node* node = fields->Take("to");
    if (node == nullptr) {
      if (fields->node().IsMapping()) fields->Report(fields->node(), "a test needs `to`");
      return;
    }
    FieldReader to(document_, *node, "`to`", &test->errors);
    if (const Node* workload = to.Take("workload")) {
      question.to_workload = WorkloadName(*workload, &to);
    }
    question.to_host = to.TakeText("host").value_or("");
    question.to_port = static_cast<int>(to.TakeInt("port", 1, 65535).value_or(0));
    question.to_ip = TakeIp(&to);
    to.Finish();
    if (!node->IsMapping()) return;
    bool has_workload = node->Find("workload") != nullptr;
    bool has_host = node->Find("host") != nullptr;
    if (has_workload == has_host) {
      to.Report(*node, has_host ? "`to` has both `workload` and `host`"
                                : "`to` needs `workload: namespace/name` or `host`");
    }
  }

  void DecodeRequest(FieldReader* fields, MeshTestCase* test) {
    Case& question = test->question;
    if (auto protocol = fields->TakeChoice("protocol", kProtocols)) {
      constexpr WireProtocol kByIndex[] = {WireProtocol::kHttp1, WireProtocol::kGrpc,
                                           WireProtocol::kTcp};
      question.protocol = kByIndex[*protocol];
    }
    question.method = fields->TakeText("method");
    if (auto path = fields->TakeText("path")) question.path = *path;
    question.host = fields->TakeText("host");
    question.sni = fields->TakeText("sni");
    question.follow = fields->TakeBool("follow").value_or(false);
    if (const Node* now = fields->Take("now")) {
      question.now = now->IsInt() ? now->AsInt() : ParseTime(now->text);
      if (!question.now) {
        fields->Report(*now, "`now` must be a time such as 2026-03-01T12:00:00Z");
      }
    }
    const Node* headers = fields->Take("headers");
    if (headers == nullptr) return;
    if (!headers->IsMapping()) {
      fields->Report(*headers, "`headers` must be a mapping of names to values");
      return;
    }
    for (const Entry& header : headers->entries()) {
      std::string name(header.key.text);
      if (header.value.kind == NodeKind::kScalar) {
        question.headers.emplace_back(name, header.value.text);
        continue;
      }
      for (const Node& item : header.value.items()) {
        if (item.kind == NodeKind::kScalar) {
          question.headers.emplace_back(name, item.text);
        } else {
          fields->Report(item, "a header's value must be a text");
        }
      }
      if (header.value.IsMapping()) {
        fields->Report(header.value, "a header's value must be a text or a list of texts");
      }
    }
  }

  void DecodeTokens(FieldReader* fields, MeshTestCase* test) {
    if (const Node* jwt = fields->Take("jwt")) {
      if (jwt->kind == NodeKind::kScalar) {
        AddToken(*jwt, {}, fields, test);
      } else {
        fields->Report(*jwt, "`jwt` must be the path of a file");
      }
    }
    if (const Node* claims = fields->Take("claims")) {
      if (claims->IsMapping()) {
        test->question.claims = ToJson(*claims);
      } else {
        fields->Report(*claims, "`claims` must be a mapping");
      }
    }
    const Node* jwts = fields->Take("jwts");
    if (jwts == nullptr) return;
    if (!jwts->IsSequence()) {
      fields->Report(*jwts, "`jwts` must be a list");
      return;
    }
    for (const Node& item : jwts->items()) {
      FieldReader entry(document_, item, "an entry of `jwts`", &test->errors);
      const Node* file = entry.Take("file");
      Case::Token token;
      token.header = entry.TakeText("header").value_or("");
      token.prefix = entry.TakeText("prefix");
      token.param = entry.TakeText("param").value_or("");
      token.cookie = entry.TakeText("cookie").value_or("");
      entry.Finish();
      if (!item.IsMapping()) continue;
      int places = !token.header.empty() + !token.param.empty() + !token.cookie.empty();
      if (places > 1) {
        entry.Report(item, "a token stands in one of `header`, `param` and `cookie`");
      } else if (token.prefix && token.header.empty()) {
        entry.Report(item, "`prefix` needs `header`");
      } else if (file == nullptr || file->kind != NodeKind::kScalar) {
        entry.Report(item, "an entry of `jwts` needs `file`");
      } else {
        AddToken(*file, std::move(token), &entry, test);
      }
    }
  }

  void AddToken(const Node& file, Case::Token token, FieldReader* fields, MeshTestCase* test) {
    auto text = files_.Read(Resolve(file.text));
    if (!text.ok()) {
      fields->Report(file, "the token cannot be read: " + text.error().message);
      return;
    }
    token.text = std::string(TrimSpace(text.value()));
    test->question.tokens.push_back(std::move(token));
  }

  void DecodeAuthorizers(FieldReader* fields, MeshTestCase* test) {
    const Node* node = fields->Take("ext_authz");
    if (node == nullptr) return;
    if (node->kind == NodeKind::kScalar) {
      if (auto answer = fields->Choose(*node, "ext_authz", kAnswers)) {
        test->question.ext_authz = static_cast<ExtAuthzAnswer>(*answer);
      }
      return;
    }
    if (!node->IsMapping()) {
      fields->Report(*node, "`ext_authz` must be allow, deny or a mapping of providers to these");
      return;
    }
    for (const Entry& entry : node->entries()) {
      if (auto answer = fields->Choose(entry.value, entry.key.text, kAnswers)) {
        test->question.ext_authz_by_provider[std::string(entry.key.text)] =
            static_cast<ExtAuthzAnswer>(*answer);
      }
    }
  }

  void DecodeExpect(const Node& node, MeshTestCase* test) {
    Expectation& expect = test->expect;
    expect.written = ToJson(node);
    FieldReader fields(document_, node, "`expect`", &test->errors);
    if (auto outcome = fields.TakeChoice("verdict", kOutcomes)) {
      expect.outcome = static_cast<Outcome>(*outcome);
    }
    if (const Node* status = fields.Take("status")) DecodeStatuses(*status, &fields, &expect);
    if (auto stage = fields.TakeChoice("stage", kStages)) expect.stage = StageAt(*stage);
    const Node* policy = fields.Take("policy");
    for (auto& name : fields.TakeTexts("policy")) {
      if (name != "none" && std::count(name.begin(), name.end(), '/') != 1) {
        fields.Report(*policy, "`policy` must be namespace/name or none, not `" + name + "`");
      }
      expect.policies.push_back(std::move(name));
    }
    if (auto rule = fields.TakeInt("rule", 0, 1 << 20)) expect.rule = static_cast<int>(*rule);
    expect.details = fields.TakeText("details");
    if (auto point = fields.TakeChoice("enforced_at", kPoints)) {
      expect.enforced_at = kPoints[*point];
    }
    fields.Finish();
  }

  static void DecodeStatuses(const Node& node, FieldReader* fields, Expectation* expect) {
    auto add = [&](const Node& item) {
      auto value = item.IsInt() ? item.AsInt() : std::nullopt;
      if (!value || (*value != 0 && (*value < 100 || *value > 999))) {
        fields->Report(item, "`status` must be an HTTP status, or 0 for none");
      } else {
        expect->statuses.push_back(static_cast<int>(*value));
      }
    };
    if (node.IsSequence()) {
      for (const Node& item : node.items()) add(item);
    } else {
      add(node);
    }
  }

  static std::string WorkloadName(const Node& node, FieldReader* fields) {
    size_t slash = node.kind == NodeKind::kScalar ? node.text.find('/') : std::string_view::npos;
    if (slash == std::string_view::npos || slash == 0 || slash + 1 == node.text.size()) {
      fields->Report(node, "`workload` must be namespace/name");
      return "";
    }
    return std::string(node.text);
  }

  static std::optional<IpAddress> TakeIp(FieldReader* fields) {
    const Node* node = fields->Take("ip");
    if (node == nullptr) return std::nullopt;
    auto address =
        node->kind == NodeKind::kScalar ? ParseIpAddress(node->text) : std::optional<IpAddress>();
    if (!address) fields->Report(*node, "`ip` must be an IP address");
    return address;
  }

  std::string Resolve(std::string_view path) const {
    return ResolvePath(document_.file().name(), path);
  }

  const Document& document_;
  const FileSystem& files_;
  MeshTestFile* out_;
};

std::string PolicyName(const Verdict& verdict) {
  const ObjectMeta* object = verdict.decided_by.object;
  return object == nullptr ? "none" : object->ns + "/" + std::string(object->name);
}

std::string_view WireName(WireProtocol protocol) {
  switch (protocol) {
    case WireProtocol::kHttp1:
    case WireProtocol::kHttp10:
    case WireProtocol::kHttp2:
      return "http";
    case WireProtocol::kGrpc:
      return "grpc";
    case WireProtocol::kTcp:
      return "tcp";
  }
  return "http";
}

std::string_view AnswerName(ExtAuthzAnswer answer) {
  switch (answer) {
    case ExtAuthzAnswer::kAllow:
      return "allow";
    case ExtAuthzAnswer::kDeny:
      return "deny";
    case ExtAuthzAnswer::kError:
      return "error";
  }
  return "deny";
}

Json HeadersJson(const Case& question) {
  auto headers = question.headers;
  for (const auto& token : question.tokens) {
    if (!token.header.empty()) {
      headers.emplace_back(token.header, token.prefix.value_or("") + token.text);
    } else if (!token.cookie.empty()) {
      headers.emplace_back("cookie", token.cookie + "=" + token.text);
    } else if (token.param.empty()) {
      headers.emplace_back("authorization", "Bearer " + token.text);
    }
  }
  Json object = Json::MakeObject();
  for (auto& [name, value] : headers) {
    if (Json* before = const_cast<Json*>(object.Find(name)); before != nullptr) {
      if (!before->is_array()) *before = Json(Json::Array{*before});
      before->Append(value);
    } else {
      object.Set(name, value);
    }
  }
  return object;
}

std::string PathWithTokens(const Case& question) {
  std::string path = question.path;
  for (const auto& token : question.tokens) {
    if (token.param.empty()) continue;
    path += (path.find('?') == std::string::npos ? '?' : '&') + token.param + "=" + token.text;
  }
  return path;
}

// An RFC 3339 time in UTC.
std::string TimeText(int64_t seconds) {
  int64_t days = seconds / 86400;
  int64_t rest = seconds % 86400;
  if (rest < 0) {
    rest += 86400;
    --days;
  }
  // The date by counting years and months: exact, and no locale or library is in the way.
  auto leap = [](int64_t year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; };
  int64_t year = 1970;
  while (days < 0) days += leap(--year) ? 366 : 365;
  while (days >= (leap(year) ? 366 : 365)) days -= leap(year++) ? 366 : 365;
  int month = 1;
  for (;; ++month) {
    constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int length = kDays[month - 1] + (month == 2 && leap(year) ? 1 : 0);
    if (days < length) break;
    days -= length;
  }
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%04d-%02d-%02dT%02d:%02d:%02dZ", static_cast<int>(year),
                month, static_cast<int>(days) + 1, static_cast<int>(rest / 3600),
                static_cast<int>(rest / 60 % 60), static_cast<int>(rest % 60));
  return buffer;
}

}  // namespace

bool IsMeshTestName(std::string_view path) {
  return path.ends_with(".meshtest.yaml") || path.ends_with(".meshtest.yml") ||
         path.ends_with(".meshtest.json");
}

bool LooksLikeMeshTest(const ParsedFile& file) {
  if (IsMeshTestName(file.file->name())) return true;
  if (file.documents.size() != 1) return false;
  const Node* root = file.documents.front().root();
  return root != nullptr && root->IsMapping() && root->Find("tests") != nullptr &&
         root->Find("kind") == nullptr && root->Find("apiVersion") == nullptr;
}

MeshTestFile DecodeMeshTest(const ParsedFile& file, const FileSystem& file_system) {
  MeshTestFile out;
  out.file = file.file;
  for (const auto& diagnostic : file.diagnostics) {
    if (diagnostic.severity == Severity::kError || diagnostic.trouble == Trouble::kDuplicateKey) {
      out.errors.push_back(diagnostic);
    }
  }
  Span start{file.file.get(), 0, 0};
  const Document* only = nullptr;
  for (const auto& document : file.documents) {
    if (document.root() == nullptr) continue;
    if (only != nullptr) {
      out.errors.push_back(ErrorAt(document.SpanOf(*document.root()),
                                   "a policy test file holds one document, this is another"));
      return out;
    }
    only = &document;
  }
  if (only == nullptr) {
    if (out.errors.empty()) out.errors.push_back(ErrorAt(start, "the policy test file is empty"));
    return out;
  }
  Decoder(*only, file_system, &out).Decode(*only->root());
  return out;
}

std::vector<Mismatch> Compare(const Expectation& expect, const Verdict& verdict) {
  std::vector<Mismatch> out;
  std::string outcome(ToString(verdict.outcome));
  if (expect.outcome ? *expect.outcome != verdict.outcome
                     : verdict.outcome == Outcome::kUndetermined) {
    out.push_back(
        {"verdict",
         expect.outcome ? std::string(ToString(*expect.outcome)) : std::string("determined"),
         outcome});
  }
  const auto& statuses = expect.statuses;
  if (!statuses.empty() &&
      std::find(statuses.begin(), statuses.end(), verdict.status) == statuses.end()) {
    std::vector<std::string> texts;
    for (int status : statuses) texts.push_back(std::to_string(status));
    out.push_back({"status", Join(texts, " or "), std::to_string(verdict.status)});
  }
  if (expect.stage && *expect.stage != StageOf(verdict)) {
    out.push_back(
        {"stage", std::string(ToString(*expect.stage)), std::string(ToString(StageOf(verdict)))});
  }
  const auto& policies = expect.policies;
  if (!policies.empty() &&
      std::find(policies.begin(), policies.end(), PolicyName(verdict)) == policies.end()) {
    out.push_back({"policy", Join(policies, " or "), PolicyName(verdict)});
  }
  if (expect.rule && *expect.rule != verdict.decided_by.rule) {
    out.push_back({"rule", std::to_string(*expect.rule),
                   verdict.decided_by.rule < 0 ? "none" : std::to_string(verdict.decided_by.rule)});
  }
  if (expect.details && *expect.details != verdict.details) {
    out.push_back({"details", *expect.details, verdict.details.empty() ? "none" : verdict.details});
  }
  if (expect.enforced_at && *expect.enforced_at != EnforcementPoint(verdict)) {
    out.push_back({"enforced_at", *expect.enforced_at, EnforcementPoint(verdict)});
  }
  return out;
}

std::string_view ProxyModeName(ProxyMode mode) {
  switch (mode) {
    case ProxyMode::kNone:
      return "none";
    case ProxyMode::kSidecar:
      return "sidecar";
    case ProxyMode::kGateway:
      return "gateway";
    case ProxyMode::kAmbient:
      return "ztunnel";
    case ProxyMode::kWaypoint:
      return "waypoint";
  }
  return "none";
}

std::string EnforcementPoint(const Verdict& verdict) {
  bool no_rule_needed = verdict.outcome == Outcome::kAllow && verdict.decided_by.object == nullptr;
  if (no_rule_needed || verdict.decided_hop >= verdict.hops.size()) return "none";
  return std::string(ProxyModeName(verdict.hops[verdict.decided_hop].mode));
}

Json CaseToJson(const Case& question) {
  Json out = Json::MakeObject();
  if (!question.name.empty()) out.Set("name", question.name);
  Json from = Json::MakeObject();
  if (!question.from_workload.empty()) from.Set("workload", question.from_workload);
  if (question.from_outside) from.Set("outside", true);
  if (question.from_identity) from.Set("identity", *question.from_identity);
  if (question.from_ip) from.Set("ip", ToString(*question.from_ip));
  from.Set("tls", kTls[static_cast<size_t>(question.tls)]);
  out.Set("from", std::move(from));
  Json to = Json::MakeObject();
  if (!question.to_workload.empty()) to.Set("workload", question.to_workload);
  if (!question.to_host.empty()) to.Set("host", question.to_host);
  if (question.to_port != 0) to.Set("port", question.to_port);
  if (question.to_ip) to.Set("ip", ToString(*question.to_ip));
  out.Set("to", std::move(to));
  out.Set("protocol", WireName(question.protocol));
  if (question.protocol != WireProtocol::kTcp) {
    out.Set("method",
            question.method.value_or(question.protocol == WireProtocol::kGrpc ? "POST" : "GET"));
    out.Set("path", PathWithTokens(question));
    if (question.host) out.Set("host", *question.host);
    Json headers = HeadersJson(question);
    if (!headers.as_object().empty()) out.Set("headers", std::move(headers));
  }
  if (question.sni) out.Set("sni", *question.sni);
  if (question.claims) out.Set("claims", *question.claims);
  if (question.ext_authz) {
    out.Set("ext_authz", AnswerName(*question.ext_authz));
  } else if (!question.ext_authz_by_provider.empty()) {
    Json answers = Json::MakeObject();
    for (const auto& [provider, answer] : question.ext_authz_by_provider) {
      answers.Set(provider, AnswerName(answer));
    }
    out.Set("ext_authz", std::move(answers));
  }
  if (question.now) out.Set("now", TimeText(*question.now));
  if (question.follow) out.Set("follow", true);
  return out;
}

std::string ResolvePath(std::string_view base_file, std::string_view path) {
  std::string joined;
  size_t slash = base_file.rfind('/');
  if (!path.starts_with('/') && slash != std::string_view::npos) {
    joined = base_file.substr(0, slash + 1);
  }
  joined += path;
  std::vector<std::string> kept;
  for (std::string_view part : Split(joined, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && !kept.empty() && kept.back() != "..") {
      kept.pop_back();
    } else {
      kept.emplace_back(part);
    }
  }
  std::string out = (joined.starts_with('/') ? "/" : "") + Join(kept, "/");
  return out.empty() ? "." : out;
}

}  // namespace meshproof

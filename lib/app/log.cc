#include "app/log.h"

#include <algorithm>
#include <map>
#include <memory>

#include "base/text.h"
#include "proxy/emit.h"
#include "report/log_report.h"
#include "simulate/log_connection.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

struct LogText {
  std::string name, text;
};

Result<LogText> ReadLog(const std::string& path, const Host& host) {
  auto text = host.files.Read(path);
  if (!text.ok()) {
    return Error{"the log `" + path + "` cannot be read: " + text.error().message};
  }
  return LogText{path == "-" ? "(standard input)" : path, text.Take()};
}

// Calls body(line, number) for every line.
template <typename Body>
void ForEachLine(std::string_view text, Body body) {
  size_t number = 0;
  while (!text.empty()) {
    size_t end = text.find('\n');
    body(text.substr(0, end), ++number);
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
}

Result<LogReader> MakeReader(const std::optional<std::string>& format) {
  if (!format) return LogReader();
  auto parsed = LogFormat::Parse(*format);
  if (!parsed.ok()) return parsed.error();
  const auto& operators = parsed.value().operators();
  bool answers = std::any_of(operators.begin(), operators.end(), [](const auto& op) {
    return op.field == LogField::kStatus || op.field == LogField::kFlags ||
           op.field == LogField::kDetails;
  });
  if (!answers) {
    return Error{
        "the format `" + *format +
        "` says nothing of the answer: it has neither %RESPONSE_CODE% nor %RESPONSE_FLAGS% nor "
        "%RESPONSE_CODE_DETAILS%"};
  }
  return LogReader(parsed.Take());
}

// Whether a file is a log: one of its first lines is.
bool LooksLikeLog(std::string_view text, const std::optional<std::string>& format) {
  constexpr size_t kLines = 50;
  auto reader = MakeReader(format);
  bool found = false;
  if (!reader.ok()) return false;
  ForEachLine(text.substr(0, 1 << 16), [&](std::string_view line, size_t number) {
    if (number > kLines || found) return;
    LogKind kind = reader.value().Read(line).kind;
    found = kind != LogKind::kOther && kind != LogKind::kUnreadable;
  });
  return found;
}

Error NotALog(const LogText& log, const std::optional<std::string>& format) {
  if (log.text.empty()) return Error{log.name + " is empty"};
  return Error{
      log.name + " holds no line of an access log" +
      (format ? " in this format" : "; if its format is your own, say it with --log-format")};
}

// The mesh that lines are explained with. Where no PATH is named, the current directory's if it is
// one.
Result<std::optional<Input>> LoadOptionalMesh(const InputOptions& options, const Settings& settings,
                                              bool named, const Host& host) {
  if (named) {
    auto input = LoadInput(options, settings, host);
    if (!input.ok()) return input.error();
    return std::optional<Input>(input.Take());
  }
  // Nobody named it: what is wrong with it is not this command's to say.
  std::vector<std::string> unsaid;
  auto input = LoadMesh({{".", ""}}, options, settings, host.files, 0, &unsaid);
  if (!input.ok()) return std::optional<Input>();
  input.value().broken = false;
  return std::optional<Input>(input.Take());
}

Result<const Workload*> WorkloadOf(const Mesh& mesh, const std::optional<std::string>& name) {
  if (!name) return static_cast<const Workload*>(nullptr);
  auto parsed = ParseWorkloadName(*name);
  if (!parsed.ok()) return parsed.error();
  return FindWorkload(mesh, parsed.value().name);
}

Result<LogFileReport> ExplainOne(const LogText& log, const std::optional<std::string>& format,
                                 const World* world, const Workload* at) {
  auto reader = MakeReader(format);
  if (!reader.ok()) return reader.error();
  LogExplainer explainer;
  ForEachLine(log.text, [&](std::string_view line, size_t number) {
    explainer.Add(reader.value().Read(line), number);
  });
  LogFileReport report{log.name, explainer.Finish(world, at)};
  const LogSummary& summary = report.summary;
  if (summary.groups.empty() && summary.passed == 0) return NotALog(log, format);
  return report;
}

// What is asked about a log's requests: the log itself and the mesh that they are asked of.
struct LogAndMesh {
  Settings settings;
  LogText log;
  LogReader reader;
  Input input;
};

Result<LogAndMesh> OpenLogAndMesh(const std::string& path, const std::optional<std::string>& format,
                                  const InputOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.config);
  if (!settings.ok()) return settings.error();
  auto log = ReadLog(path, host);
  if (!log.ok()) return log.error();
  auto reader = MakeReader(format);
  if (!reader.ok()) return reader.error();
  auto input = LoadInput(options, settings.value(), host);
  if (!input.ok()) return input.error();
  return LogAndMesh{settings.Take(), log.Take(), reader.Take(), input.Take()};
}

Replayer RequestsOf(LogAndMesh* opened) {
  Replayer requests;
  ForEachLine(opened->log.text, [&](std::string_view line, size_t number) {
    requests.Add(opened->reader.Read(line), number);
  });
  requests.CountConnectionsOnce();
  return requests;
}

void NameUnreadable(const std::string& file, size_t count, size_t first, const Host& host) {
  if (count == 0) return;
  host.err << file << ":" << first << ": error: this access log line is cut off or damaged"
           << (count > 1 ? ", as are " + std::to_string(count - 1) + " more" : "") << "\n";
}

}  // namespace

Exit RunExplainLog(const ExplainLogOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  std::vector<LogText> logs;
  auto first = ReadLog(options.log, host);
  if (!first.ok()) return Fail(host, first.error());
  logs.push_back(first.Take());
  InputOptions input_options = options.input;
  input_options.paths.clear();
  for (const auto& path : EffectivePaths(options.input, settings.value())) {
    bool file = path != "-" && host.files.Stat(path) == FileSystem::Kind::kFile;
    auto text = file ? host.files.Read(path) : Result<std::string>("");
    if (text.ok() && LooksLikeLog(text.value(), options.log_format)) {
      logs.push_back({path, text.Take()});
    } else {
      input_options.paths.push_back(path);
    }
  }
  bool named = !(options.input.paths.empty() && settings.value().paths.empty()) &&
               !input_options.paths.empty();
  if (!named) input_options.paths.clear();
  named = named || !input_options.dumps.empty();
  auto input = LoadOptionalMesh(input_options, settings.value(), named || options.workload, host);
  if (!input.ok()) return Fail(host, input.error());
  std::unique_ptr<World> world;
  const Workload* at = nullptr;
  if (input.value()) {
    world = std::make_unique<World>(input.value()->mesh, FromDumps(*input.value()));
    auto workload = WorkloadOf(world->mesh(), options.workload);
    if (!workload.ok()) return Fail(host, workload.error());
    at = workload.value();
  }

  Exit exit = input.value() && input.value()->broken ? Exit::kUnusable : Exit::kOk;
  std::vector<LogFileReport> reports;
  for (const auto& log : logs) {
    auto report = ExplainOne(log, options.log_format, world.get(), at);
    if (!report.ok()) return Fail(host, report.error());
    const LogSummary& summary = report.value().summary;
    NameUnreadable(log.name, summary.unreadable, summary.first_unreadable, host);
    if (summary.unreadable > 0) exit = Exit::kUnusable;
    reports.push_back(report.Take());
  }
  if (options.format == "json") {
    host.out << WriteJson(LogReportJson(reports), 2) << "\n";
  } else {
    host.out << LogReportText(reports, Style{host.colour});
  }
  return exit;
}

Exit RunReplay(const ReplayOptions& options, const Host& host) {
  auto opened = OpenLogAndMesh(options.log, options.log_format, options.input, host);
  if (!opened.ok()) return Fail(host, opened.error());
  const Input& input = opened.value().input;
  const Settings& settings = opened.value().settings;
  World first(input.mesh, FromDumps(input));
  bool broken = input.broken;

  ReplayWorlds worlds;
  worlds.after = &first;
  worlds.ext_authz = settings.ext_authz;
  std::unique_ptr<World> second;
  if (!options.against.empty()) {
    InputOptions other = options.input;
    other.paths = options.against;
    auto against = LoadInput(other, settings, host);
    if (!against.ok()) return Fail(host, against.error());
    broken = broken || against.value().broken;
    second = std::make_unique<World>(against.value().mesh, FromDumps(against.value()));
    worlds.before = &first;
    worlds.after = second.get();
  }
  auto workload = WorkloadOf(worlds.after->mesh(), options.workload);
  if (!workload.ok()) return Fail(host, workload.error());
  worlds.at = workload.value();

  const LogText& log = opened.value().log;
  ReplaySummary summary = RequestsOf(&opened.value()).Finish(worlds);
  if (summary.requests == 0) return Fail(host, NotALog(log, options.log_format));
  NameUnreadable(log.name, summary.unreadable, summary.first_unreadable, host);
  if (options.format == "json") {
    host.out << WriteJson(ReplayJson(summary), 2) << "\n";
  } else {
    host.out << ReplayText(log.name, summary, Style{host.colour});
  }
  Exit exit = summary.changes.empty() ? Exit::kOk : Exit::kRefused;
  if (!summary.undecided.empty()) exit = Worse(exit, Exit::kUndetermined);
  if (broken || summary.unreadable > 0) exit = Exit::kUnusable;
  return exit;
}

namespace {

Json ExpectOf(const LoggedAnswer& was, const Verdict& verdict) {
  Json expect = Json::MakeObject({{"verdict", ToString(was.outcome)}});
  // An application's own answer is none of the policies'.
  if (was.outcome == Outcome::kDeny) expect.Set("status", was.status);
  if (was.outcome == Outcome::kReject) expect.Set("status", 0);
  if (was.outcome == Outcome::kAllow && verdict.outcome == Outcome::kAllow) {
    expect.Set("status", verdict.status);
  }
  return expect;
}

bool Meets(const LoggedAnswer& was, const Verdict& verdict) {
  if (was.outcome != verdict.outcome) return false;
  return was.outcome != Outcome::kDeny || was.status == verdict.status;
}

// Drafts the cases of a log.
class Recorder {
 public:
  Recorder(const World& world, const Workload* at) : world_(world), at_(at) {}

  void Record(const Replayer::Request& logged) {
    if (logged.count == 0) return;
    if (logged.record.kind == LogKind::kZtunnel) return RecordConnection(logged);
    const Mesh& mesh = world_.mesh();
    LogTarget target = FindLogTarget(mesh, at_, logged.record);
    LoggedRequest request = ReadLoggedRequest(mesh, target, logged.record);
    LoggedAnswer was = ReadLoggedAnswer(logged.record);
    if (!request.unusable.empty() || was.outcome == Outcome::kUndetermined) {
      left_out_[request.unusable.empty() ? "the log does not say who answered"
                                         : request.unusable] += logged.count;
      return;
    }
    Case question = request.question;
    question.now.reset();
    // Pods come and go: their addresses are not what a test is about.
    question.to_ip.reset();
    bool gateway = target.workload->mode == ProxyMode::kGateway;
    if (!gateway && question.tls == CaseTls::kMtls) question.from_ip.reset();
    std::vector<std::string> notes;
    auto& headers = question.headers;
    headers.erase(std::remove_if(headers.begin(), headers.end(),
                                 [](const auto& one) { return one.first == "user-agent"; }),
                  headers.end());
    if (was.details == "ext_authz_denied") {
      question.ext_authz = ExtAuthzAnswer::kDeny;
    } else if (was.details.starts_with("jwt_authn_access_denied") ||
               was.details.starts_with("ext_authz_")) {
      notes.push_back("the log does not hold what was refused: add `jwt` or `ext_authz`");
    }
    Verdict verdict = Fill(request, was, &question, &notes);
    std::string name = was.outcome == Outcome::kAllow ? "allows " : "refuses ";
    name +=
        question.protocol == WireProtocol::kTcp
            ? "a connection"
            : question.method.value_or("GET") + " " + question.host.value_or("") + question.path;
    AddTest(logged, std::move(name), was, verdict, std::move(question), notes);
  }

  Json Tests() const {
    Json tests = Json::MakeArray();
    for (const Draft& draft : drafts_) {
      Case question = draft.question;
      question.name = draft.name + " (" + std::to_string(draft.count) +
                      " in the log, first in line " + std::to_string(draft.first_line) + ")";
      Json test = CaseToJson(question);
      for (const auto& [key, value] : draft.rest.as_object()) test.Set(key, value);
      tests.Append(std::move(test));
    }
    return tests;
  }
  const std::map<std::string, size_t>& left_out() const { return left_out_; }

 private:
  // Requests that differ in what no test states are one.
  void AddTest(const Replayer::Request& logged, std::string name, const LoggedAnswer& was,
               const Verdict& verdict, Case question, const std::vector<std::string>& notes) {
    question.name.clear();
    Json rest = Json::MakeObject();
    if (!notes.empty()) rest.Set("note", Join(notes, "; "));
    rest.Set("expect", ExpectOf(was, verdict));
    auto [at, fresh] =
        seen_.try_emplace(WriteJson(CaseToJson(question)) + WriteJson(rest), drafts_.size());
    if (fresh) {
      drafts_.push_back(
          {std::move(question), std::move(name), std::move(rest), 0, logged.first_line});
    }
    drafts_[at->second].count += logged.count;
  }

  // A ztunnel's line: the connection to the workload that it served.
  void RecordConnection(const Replayer::Request& logged) {
    ReplayWorlds worlds;
    worlds.after = &world_;
    worlds.at = at_;
    ReplayAnswer asked = ReplayConnection(worlds, logged.record);
    if (!asked.undecided.empty()) {
      left_out_[asked.undecided] += logged.count;
      return;
    }
    Case question = std::move(asked.request.question);
    question.to_ip.reset();
    if (question.tls == CaseTls::kMtls) question.from_ip.reset();
    std::vector<std::string> notes;
    if (asked.changed) notes.push_back("the manifests answer otherwise");
    std::string name = asked.was.outcome == Outcome::kAllow ? "allows " : "refuses ";
    name += "a connection of " + question.from_identity.value_or(question.from_workload.empty()
                                                                     ? "a caller without identity"
                                                                     : question.from_workload);
    AddTest(logged, std::move(name), asked.was, asked.would, std::move(question), notes);
  }

  // Who called, where the log does not say: the first workload whose request is answered as the log
  // has it.
  Verdict Fill(const LoggedRequest& request, const LoggedAnswer& was, Case* question,
               std::vector<std::string>* notes) {
    if (request.identity_open) {
      for (const auto& workload : world_.mesh().workloads()) {
        if (workload.identity.empty() || workload.mode != ProxyMode::kSidecar) continue;
        Case attempt = *question;
        attempt.from_outside = false;
        attempt.from_workload = workload.ns + "/" + workload.name;
        if (attempt.from_workload == attempt.to_workload) continue;
        auto verdict = world_.Run(attempt, World::Addresses::kAssume, Detail::kVerdict);
        if (!verdict.ok() || !Meets(was, verdict.value())) continue;
        notes->push_back("the log does not say who called: this caller gets the logged answer");
        *question = std::move(attempt);
        return verdict.Take();
      }
      notes->push_back("the log does not say who called: fill in `from`");
      question->from_identity =
          "spiffe://" + world_.mesh().config().trust_domain + "/ns/unknown/sa/unknown";
    }
    auto verdict = world_.Run(*question, World::Addresses::kAssume, Detail::kVerdict);
    if (!verdict.ok()) return {};
    if (!Meets(was, verdict.value()) && request.token_open && notes->empty()) {
      notes->push_back(
          "the manifests answer otherwise: the log holds neither tokens nor most "
          "headers, add what was sent");
    }
    return verdict.Take();
  }

  const World& world_;
  const Workload* at_;
  struct Draft {
    Case question;
    std::string name;
    Json rest;  // what stands below the question
    size_t count = 0;
    size_t first_line = 0;
  };
  std::vector<Draft> drafts_;
  std::map<std::string, size_t> seen_;  // all of a draft but its name
  std::map<std::string, size_t> left_out_;
};

}  // namespace

Exit RunRecord(const RecordOptions& options, const Host& host) {
  auto opened = OpenLogAndMesh(options.log, options.log_format, options.input, host);
  if (!opened.ok()) return Fail(host, opened.error());
  const Input& input = opened.value().input;
  const LogText& log = opened.value().log;
  World world(input.mesh, FromDumps(input));
  auto workload = WorkloadOf(world.mesh(), options.workload);
  if (!workload.ok()) return Fail(host, workload.error());

  const Replayer requests = RequestsOf(&opened.value());
  if (requests.requests().empty()) return Fail(host, NotALog(log, options.log_format));
  Recorder recorder(world, workload.value());
  for (const auto& request : requests.requests()) recorder.Record(request);
  for (const auto& [reason, count] : recorder.left_out()) {
    host.err << "note: left out " << count << (count == 1 ? " request: " : " requests: ") << reason
             << "\n";
  }
  const ReplaySummary& counts = requests.counts();
  NameUnreadable(log.name, counts.unreadable, counts.first_unreadable, host);
  Json mesh = Json::MakeArray();
  std::vector<std::string> paths = options.input.dumps;
  if (paths.empty() || !options.input.paths.empty()) {
    paths = EffectivePaths(options.input, opened.value().settings);
    paths.insert(paths.end(), options.input.dumps.begin(), options.input.dumps.end());
  }
  for (const auto& path : paths) {
    if (path != "-") mesh.Append(path);
  }
  Json out = Json::MakeObject();
  if (!mesh.as_array().empty()) out.Set("mesh", std::move(mesh));
  out.Set("tests", recorder.Tests());
  host.out
      << "# Drafted from " << log.name
      << ": a log says what happened, not what should. Paths of `mesh` are those of the command "
         "line.\n"
      << WriteYaml(out);
  return input.broken || counts.unreadable > 0 ? Exit::kUnusable : Exit::kOk;
}

}  // namespace meshproof

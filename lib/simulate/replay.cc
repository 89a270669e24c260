// Asks the requests of a log again. A line says little of what was sent, so each is asked with
// every completion that a rule could tell apart (log_request.h): only where all agree is there an
// answer. Where the policies before are at hand, completions that they would not have answered as
// the log has it are left out: such a request was not the one.

#include "simulate/replay.h"

#include <algorithm>

#include "base/parallel.h"
#include "base/text.h"
#include "mesh/workload_name.h"

namespace meshproof {
namespace {

bool NoRoute(std::string_view details, int status) {
  return status == 404 && details == "route_not_found";
}

// What a change is about: how security answers, and whether a route takes the request.
struct AnswerClass {
  Outcome outcome = Outcome::kAllow;
  int status = 0;
  friend bool operator==(const AnswerClass&, const AnswerClass&) = default;
};

AnswerClass ClassOf(Outcome outcome, int status, std::string_view details) {
  bool counts = outcome == Outcome::kDeny || NoRoute(details, status);
  return {outcome, counts ? status : 0};
}
AnswerClass ClassOf(const Verdict& verdict) {
  return ClassOf(verdict.outcome, verdict.status, verdict.details);
}
AnswerClass ClassOf(const LoggedAnswer& answer) {
  // A request that the codec refused was never judged by a policy, then or now.
  return ClassOf(answer.outcome, answer.status, answer.details);
}

// A token that is refused wherever one is looked for, at the place where the first rule looks.
Case::Token BadToken(const Mesh& mesh, const Workload& workload) {
  Case::Token token;
  token.text = "refused.as.logged";
  for (const auto* authentication : mesh.PoliciesFor(workload).request_authentications) {
    for (const auto& rule : authentication->jwt_rules) {
      if (!rule.from_headers.empty()) {
        token.header = std::string(rule.from_headers.front().name.value);
        token.prefix = std::string(rule.from_headers.front().prefix.value);
      } else if (!rule.from_params.empty()) {
        token.param = std::string(rule.from_params.values.front().value);
      } else if (!rule.from_cookies.empty()) {
        token.cookie = std::string(rule.from_cookies.values.front().value);
      }
      return token;
    }
  }
  return token;
}

class ReplayRun {
 public:
  ReplayRun(const ReplayWorlds& worlds, const LogRecord& record)
      : worlds_(worlds), record_(record) {}

  ReplayAnswer Ask() {
    answer_.was = ReadLoggedAnswer(record_);
    const Mesh& mesh = worlds_.after->mesh();
    LogTarget target = FindLogTarget(mesh, worlds_.at, record_);
    answer_.request = ReadLoggedRequest(mesh, target, record_);
    if (!answer_.request.unusable.empty()) {
      answer_.undecided = answer_.request.unusable;
    } else if (target.workload->mode != ProxyMode::kSidecar &&
               target.workload->mode != ProxyMode::kGateway) {
      answer_.undecided = NameOf(*target.workload) + " has no proxy whose policies are computed";
    } else if (answer_.was.outcome == Outcome::kUndetermined && worlds_.before == nullptr) {
      answer_.undecided = "the log lacks RESPONSE_CODE_DETAILS: who answered is not known";
    } else if (answer_.was.details.starts_with("jwt_authn_access_denied{Audiences")) {
      answer_.undecided = "the log does not hold the token, whose audience was refused";
    } else {
      target_ = target.workload;
      Prepare(mesh);
      Compare(mesh);
    }
    return std::move(answer_);
  }

 private:
  // What the logged answer says of the request.
  void Prepare(const Mesh& mesh) {
    LoggedRequest& request = answer_.request;
    request.question.ext_authz_by_provider = worlds_.ext_authz;
    if (answer_.was.details.starts_with("jwt_authn_access_denied{") &&
        !answer_.was.details.starts_with("jwt_authn_access_denied{Jwt_is_missing")) {
      request.token_open = false;
      request.question.tokens.push_back(BadToken(mesh, *target_));
    }
    if (answer_.was.details == "ext_authz_denied") {
      request.question.ext_authz = ExtAuthzAnswer::kDeny;
    }
  }

  std::optional<Verdict> Ask(const World& world, const Case& question) {
    auto verdict = world.Run(question, World::Addresses::kUnknown, Detail::kVerdict);
    if (!verdict.ok()) {
      answer_.undecided = verdict.error().message;
      return std::nullopt;
    }
    return verdict.Take();
  }

  // An authorizer that was asked and is not to blame said yes.
  void LearnAuthorizer(Case* question) {
    if (question->ext_authz || answer_.was.outcome != Outcome::kAllow) return;
    Case denied = *question;
    denied.ext_authz = ExtAuthzAnswer::kDeny;
    auto verdict = worlds_.before->Run(denied, World::Addresses::kUnknown, Detail::kVerdict);
    if (verdict.ok() && verdict.value().outcome == Outcome::kDeny &&
        verdict.value().stage == Stage::kCustom) {
      question->ext_authz = ExtAuthzAnswer::kAllow;
    }
  }

  void Compare(const Mesh& mesh) {
    std::vector<JudgingProxy> proxies = {{&mesh, target_}};
    if (worlds_.before != nullptr) {
      const Mesh& old = worlds_.before->mesh();
      const Workload* same = old.FindWorkload(target_->ns, target_->name);
      if (same == nullptr) {
        answer_.undecided = NameOf(*target_) + " is not in the input before";
        return;
      }
      proxies.push_back({&old, same});
    }
    Completions completions = Complete(proxies, answer_.request);
    if (completions.too_many) {
      answer_.undecided =
          "too many rules of " + NameOf(*target_) + " depend on what the log does not hold";
      return;
    }
    std::vector<Outcomes> all;
    for (auto& completion : completions.all) {
      Outcomes one;
      one.completion = &completion;
      if (!RunOne(&completion.question, &one)) return;
      all.push_back(std::move(one));
    }
    KeepThoseThatFitTheLog(&all);
    Conclude(completions, all);
  }

  struct Outcomes {
    const Completions::One* completion = nullptr;
    AnswerClass before, after;
    Verdict verdict;                 // after
    std::optional<Verdict> earlier;  // before
    std::string missing;
  };

  bool RunOne(Case* question, Outcomes* out) {
    if (worlds_.before != nullptr) {
      LearnAuthorizer(question);
      out->earlier = Ask(*worlds_.before, *question);
      if (!out->earlier) return false;
      out->before = ClassOf(*out->earlier);
      if (!out->earlier->missing.empty()) out->missing = out->earlier->missing.front();
    } else {
      out->before = ClassOf(answer_.was);
    }
    auto verdict = Ask(*worlds_.after, *question);
    if (!verdict) return false;
    out->verdict = std::move(*verdict);
    out->after = ClassOf(out->verdict);
    if (!out->verdict.missing.empty()) out->missing = out->verdict.missing.front();
    return true;
  }

  void KeepThoseThatFitTheLog(std::vector<Outcomes>* all) const {
    if (worlds_.before == nullptr || answer_.was.outcome == Outcome::kUndetermined) return;
    AnswerClass logged = ClassOf(answer_.was);
    auto fits = [&](const Outcomes& one) { return one.before == logged; };
    if (std::none_of(all->begin(), all->end(), fits)) return;
    all->erase(
        std::remove_if(all->begin(), all->end(), [&](const Outcomes& one) { return !fits(one); }),
        all->end());
  }

  void Conclude(const Completions& completions, std::vector<Outcomes>& all) {
    for (const auto& one : all) {
      if (one.after.outcome != Outcome::kUndetermined &&
          one.before.outcome != Outcome::kUndetermined) {
        continue;
      }
      answer_.undecided = one.missing.empty() ? "a part of the answer is not known" : one.missing;
      return;
    }
    Outcomes& first = all.front();
    bool differ = std::any_of(all.begin(), all.end(),
                              [&](const Outcomes& one) { return !SameAnswers(one, first); });
    if (differ) {
      answer_.assumed = DecidingParts(completions, all);
      answer_.undecided = "the log does not say " + Join(answer_.assumed, ", nor ") +
                          ", which decides at " + NameOf(*target_);
      return;
    }
    answer_.changed = !(first.before == first.after);
    if (answer_.changed && NeverSent(first.verdict)) {
      answer_.undecided = "the log does not say what the client would have sent, had " +
                          NameOf(*target_) + " taken its connection";
      return;
    }
    if (first.earlier) {
      answer_.was.outcome = first.earlier->outcome;
      answer_.was.status = first.earlier->status;
      answer_.was.flags = first.earlier->flags;
      answer_.was.details = first.earlier->details;
    }
    answer_.request.question = first.completion->question;
    answer_.would = std::move(first.verdict);
    if (!answer_.changed) return;
    auto traced =
        worlds_.after->Run(answer_.request.question, World::Addresses::kUnknown, Detail::kTrace);
    if (traced.ok()) answer_.would = traced.Take();
  }

  // Of a connection that no filter chain took nobody knows whether HTTP was to come.
  bool NeverSent(const Verdict& would) const {
    return record_[LogField::kMethod].empty() && would.details.starts_with("http1.codec_error");
  }

  static bool SameAnswers(const Outcomes& a, const Outcomes& b) {
    return a.after == b.after && a.before == b.before;
  }

  // The open parts by which alone requests of different answers differ; all of them, where none
  // does it alone.
  static std::vector<std::string> DecidingParts(const Completions& completions,
                                                const std::vector<Outcomes>& all) {
    std::vector<std::string> parts;
    for (size_t part = 0; part < completions.open.size(); ++part) {
      std::map<std::vector<size_t>, const Outcomes*> alike;
      bool decides = false;
      for (const auto& one : all) {
        std::vector<size_t> others = one.completion->choice;
        others[part] = 0;
        auto [at, fresh] = alike.try_emplace(std::move(others), &one);
        decides = decides || !SameAnswers(*at->second, one);
      }
      if (decides) parts.push_back(completions.open[part]);
    }
    return parts.empty() ? completions.open : parts;
  }

  const ReplayWorlds& worlds_;
  const LogRecord& record_;
  const Workload* target_ = nullptr;
  ReplayAnswer answer_;
};

constexpr LogField kReplayKey[] = {
    LogField::kMethod,          LogField::kPath,
    LogField::kProtocol,        LogField::kStatus,
    LogField::kFlags,           LogField::kDetails,
    LogField::kTermination,     LogField::kAuthority,
    LogField::kUserAgent,       LogField::kForwardedFor,
    LogField::kUpstreamCluster, LogField::kServerName,
    LogField::kRouteName,       LogField::kPeer,
    LogField::kGrpcStatus,      LogField::kPod,
};

constexpr LogField kConnectionKey[] = {LogField::kPeer,           LogField::kSourceNamespace,
                                       LogField::kSourceWorkload, LogField::kLocal,
                                       LogField::kTargetHbone,    LogField::kTargetService,
                                       LogField::kTargetWorkload, LogField::kTargetNamespace,
                                       LogField::kDirection,      LogField::kError};

// What both ends of a connection log alike.
std::string BothEndsKey(const LogRecord& record) {
  std::string key;
  for (LogField field : {LogField::kPeer, LogField::kSourceNamespace, LogField::kSourceWorkload,
                         LogField::kTargetNamespace, LogField::kTargetWorkload}) {
    key += record[field];
    key += '\x1F';
  }
  std::string_view hbone = record[LogField::kTargetHbone];
  return key + std::string(hbone.empty() ? record[LogField::kLocal] : hbone);
}

template <typename Group>
void SortGroups(std::vector<Group>* groups) {
  std::stable_sort(groups->begin(), groups->end(), [](const Group& a, const Group& b) {
    return a.count != b.count ? a.count > b.count : a.first_line < b.first_line;
  });
}

// Of a bare connection all that is known is who made it.
std::string CallerKey(const ReplayAnswer& answer) {
  const Case& question = answer.request.question;
  if (question.from_identity) return *question.from_identity;
  return question.from_workload;
}

// Changes that differ in the path alone are one.
std::string ChangeKey(const ReplayAnswer& answer) {
  const Verdict& would = answer.would;
  std::vector<std::string> parts = {
      answer.request.question.to_workload,
      std::to_string(answer.request.question.to_port),
      answer.request.question.method.value_or(""),
      answer.request.question.host.value_or(""),
      answer.request.question.protocol == WireProtocol::kTcp ? CallerKey(answer) : "",
      std::to_string(answer.was.status),
      answer.was.details,
      std::string(ToString(would.outcome)),
      std::to_string(would.status),
      would.details,
      would.decided_by.object == nullptr ? "" : ToString(*would.decided_by.object),
      std::to_string(would.decided_by.rule)};
  return Join(parts, "\x1F");
}

}  // namespace

ReplayAnswer Replay(const ReplayWorlds& worlds, const LogRecord& record) {
  if (record.kind == LogKind::kZtunnel) return ReplayConnection(worlds, record);
  return ReplayRun(worlds, record).Ask();
}

void Replayer::MakeKey(const LogLine& line) {
  key_.clear();
  auto add = [&](std::string_view text) {
    key_ += text;
    key_ += '\x1F';
  };
  if (line.kind == LogKind::kZtunnel) {
    for (LogField field : kConnectionKey) add(line[field]);
    add(HostOfAddress(line[LogField::kRemote]));
    return;
  }
  for (LogField field : kReplayKey) add(line[field]);
  for (LogField field : {LogField::kRemote, LogField::kDirectRemote}) {
    add(HostOfAddress(line[field]));
  }
  key_ += line[LogField::kLocal];
  for (const auto& [name, value] : line.headers) {
    key_ += '\x1F';
    key_ += name;
    key_ += ':';
    key_ += value;
  }
}

void Replayer::Add(const LogLine& line, size_t number) {
  ++summary_.lines;
  if (line.kind == LogKind::kUnreadable) {
    if (summary_.unreadable++ == 0) summary_.first_unreadable = number;
    return;
  }
  // A debug line is not of a request that a proxy's policies judge whole.
  if (line.kind != LogKind::kAccess && line.kind != LogKind::kZtunnel) {
    ++summary_.others;
    return;
  }
  ++summary_.requests;
  MakeKey(line);
  auto found = index_.find(std::string_view(key_));
  if (found != index_.end()) {
    ++requests_[found->second].count;
    return;
  }
  index_.emplace(key_, requests_.size());
  requests_.push_back({Keep(line), 1, number});
}

void Replayer::CountConnectionsOnce() {
  std::unordered_map<std::string, size_t> logged;  // by the destinations' ztunnels
  auto outbound = [](const Request& request) {
    return request.record[LogField::kDirection] == "outbound";
  };
  for (const auto& request : requests_) {
    if (request.record.kind != LogKind::kZtunnel || outbound(request)) continue;
    logged[BothEndsKey(request.record)] += request.count;
  }
  if (logged.empty()) return;
  for (auto& request : requests_) {
    if (request.record.kind != LogKind::kZtunnel || !outbound(request)) continue;
    auto found = logged.find(BothEndsKey(request.record));
    if (found == logged.end()) continue;
    const size_t both = std::min(found->second, request.count);
    found->second -= both;
    request.count -= both;
    summary_.requests -= both;
    summary_.others += both;
  }
}

ReplaySummary Replayer::Finish(const ReplayWorlds& worlds) {
  std::vector<ReplayAnswer> answers(requests_.size());
  ParallelFor(requests_.size(), [&](size_t i) {
    if (requests_[i].count > 0) answers[i] = Replay(worlds, requests_[i].record);
  });
  std::map<std::string, size_t> changes, undecided;
  for (size_t i = 0; i < answers.size(); ++i) {
    ReplayAnswer& answer = answers[i];
    const Request& request = requests_[i];
    if (request.count == 0) continue;
    if (!answer.undecided.empty()) {
      auto [at, fresh] = undecided.try_emplace(answer.undecided, summary_.undecided.size());
      if (fresh) summary_.undecided.push_back({0, request.first_line, answer.undecided});
      summary_.undecided[at->second].count += request.count;
    } else if (answer.changed) {
      auto [at, fresh] = changes.try_emplace(ChangeKey(answer), summary_.changes.size());
      if (fresh) {
        ReplayChange& change = summary_.changes.emplace_back();
        change.first_line = request.first_line;
        change.request = std::move(answer.request.question);
        change.was = std::move(answer.was);
        change.would = std::move(answer.would);
      }
      summary_.changes[at->second].count += request.count;
    } else {
      summary_.same += request.count;
    }
  }
  SortGroups(&summary_.changes);
  SortGroups(&summary_.undecided);
  return std::move(summary_);
}

}  // namespace meshproof

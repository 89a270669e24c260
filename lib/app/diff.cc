#include "app/diff.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "app/access.h"
#include "app/git_files.h"
#include "app/version.h"
#include "base/parallel.h"
#include "base/text.h"
#include "proxy/same_config.h"
#include "reason/ask_all.h"
#include "report/change.h"
#include "report/description.h"
#include "report/request_text.h"

namespace meshproof {
namespace {

struct Version {
  std::shared_ptr<const FileSystem> files;  // of a revision
  Input input;
  std::unique_ptr<World> world;
  std::unique_ptr<Reasoner> reasoner;
};

Result<Version> LoadVersion(const std::string& path, const DiffOptions& options,
                            const Settings& settings, const Host& host) {
  Version version;
  const FileSystem* files = &host.files;
  if (IsRevision(path)) {
    auto opened = OpenRevision(path, host.directory);
    if (!opened.ok()) return opened.error();
    version.files = opened.Take();
    files = version.files.get();
  }
  std::vector<std::string> notes;
  auto input = LoadMesh({{path, ""}}, options.input, settings, *files, 0, &notes);
  for (const auto& note : notes) host.err << note;
  if (!input.ok()) return input.error();
  version.input = input.Take();
  version.world = std::make_unique<World>(version.input.mesh, FromDumps(version.input));
  version.reasoner = std::make_unique<Reasoner>(*version.world, BudgetOf(settings));
  return version;
}

bool HasProxy(const Workload& workload) {
  return workload.mode == ProxyMode::kSidecar || workload.mode == ProxyMode::kGateway;
}

// Nothing that decides differs: the compiled configurations say the same.
bool SameProxy(const Version& before, const Workload& a, const Version& after, const Workload& b) {
  if (a.mode != b.mode) return false;
  if (!HasProxy(a)) return a.mode == ProxyMode::kNone;
  const ProxyConfig& x = before.world->Proxy(a).proxy();
  const ProxyConfig& y = after.world->Proxy(b).proxy();
  return x.unmodelled.empty() && y.unmodelled.empty() && SameConfig(x, y);
}

std::string ModeText(const EffectiveMode& mode) {
  return std::string(ToString(mode.mode));
}

std::vector<std::string> NotesOf(const Version& before, const Workload& a, const Version& after,
                                 const Workload& b) {
  std::vector<std::string> notes;
  if (a.mode != b.mode) {
    notes.push_back("the proxy was " + std::string(ToString(a.mode)) + " and is " +
                    std::string(ToString(b.mode)) + " now");
    return notes;
  }
  if (!HasProxy(a)) return notes;
  auto enforced = [](const Version& version, const Workload& workload) {
    const auto policies = version.input.mesh->PoliciesFor(workload).allow;
    return static_cast<size_t>(
        std::count_if(policies.begin(), policies.end(),
                      [](const AuthorizationPolicy* policy) { return !policy->dry_run; }));
  };
  size_t old_allow = enforced(before, a);
  size_t new_allow = enforced(after, b);
  if (old_allow == 0 && new_allow != 0) {
    notes.emplace_back(
        "this is the first ALLOW policy on this workload: what no rule of it names is refused "
        "from now on");
  }
  if (old_allow != 0 && new_allow == 0) {
    notes.emplace_back(
        "the last ALLOW policy on this workload is gone: what no DENY rule names is let in");
  }
  EffectiveMtls old_mtls = before.input.mesh->MtlsFor(a);
  EffectiveMtls new_mtls = after.input.mesh->MtlsFor(b);
  if (old_mtls.workload.mode != new_mtls.workload.mode) {
    notes.push_back("mTLS was " + ModeText(old_mtls.workload) + " and is " +
                    ModeText(new_mtls.workload) + " now");
  }
  auto issuers = [](const Version& version, const Workload& workload) {
    std::set<std::string> names;
    for (const auto* one : version.input.mesh->PoliciesFor(workload).request_authentications) {
      for (const JwtRule& rule : one->jwt_rules) names.emplace(rule.issuer.value);
    }
    return names;
  };
  std::set<std::string> old_issuers = issuers(before, a);
  std::set<std::string> new_issuers = issuers(after, b);
  for (const auto& issuer : new_issuers) {
    if (old_issuers.count(issuer) == 0) notes.push_back("tokens of " + issuer + " are taken now");
  }
  for (const auto& issuer : old_issuers) {
    if (new_issuers.count(issuer) == 0) {
      notes.push_back("tokens of " + issuer + " are not taken any more");
    }
  }
  return notes;
}

// What tells one change from another: the words and who decides, not the workload.
std::string KeyOf(const Difference& difference) {
  auto cause = [](const Verdict& verdict) {
    Span span = verdict.decided_by.span;
    std::string key = std::to_string(static_cast<int>(verdict.outcome)) + verdict.details;
    if (span) key += ToString(Locate(span));
    return key;
  };
  return difference.region + "\n" + cause(difference.old_example.verdict) + "\n" +
         cause(difference.new_example.verdict) + "\n";
}

class Comparer {
 public:
  Comparer(const Version& before, const Version& after) : before_(before), after_(after) {}

  ChangeReport Run() {
    std::vector<std::pair<const Workload*, const Workload*>> both;
    for (const Workload& old_workload : before_.input.mesh->workloads()) {
      const Workload* now = after_.input.mesh->FindWorkload(old_workload.ns, old_workload.name);
      if (now == nullptr) {
        report_.removed.push_back(&old_workload);
      } else {
        both.emplace_back(&old_workload, now);
      }
    }
    std::vector<std::vector<int>> ports(both.size());
    ParallelFor(both.size(),
                [&](size_t i) { ports[i] = PortsToCompare(*both[i].first, *both[i].second); });
    std::vector<QuestionPair> questions;
    std::vector<size_t> ends;
    for (size_t i = 0; i < both.size(); ++i) {
      for (int port : ports[i]) {
        questions.push_back({{both[i].first, port, ""}, {both[i].second, port, ""}});
      }
      ends.push_back(questions.size());
    }
    std::vector<Comparison> comparisons(questions.size());
    AskAll(*before_.world, *after_.world, questions, [&](size_t i) {
      const QuestionPair& own = questions[i];
      comparisons[i] = Reasoner::Compare(*before_.reasoner, *own.before.workload, *after_.reasoner,
                                         *own.after.workload, own.after.port);
    });
    for (size_t i = 0; i < both.size(); ++i) {
      size_t begin = i == 0 ? 0 : ends[i - 1];
      for (size_t at = begin; at < ends[i]; ++at) {
        Report(*both[i].second, questions[at].after.port, &comparisons[at]);
      }
      if (begin != ends[i]) Finish(*both[i].first, *both[i].second);
    }
    for (const Workload& workload : after_.input.mesh->workloads()) {
      if (before_.input.mesh->FindWorkload(workload.ns, workload.name) == nullptr) {
        report_.added.push_back(&workload);
      }
    }
    return std::move(report_);
  }

 private:
  // None where nothing can have changed.
  std::vector<int> PortsToCompare(const Workload& a, const Workload& b) const {
    if (SameProxy(before_, a, after_, b)) return {};
    std::set<int> ports;
    for (int port : before_.reasoner->Ports(a)) ports.insert(port);
    for (int port : after_.reasoner->Ports(b)) ports.insert(port);
    return {ports.begin(), ports.end()};
  }

  // One port of the workload at hand.
  void Report(const Workload& workload, int port, Comparison* comparison) {
    if (!comparison->complete) {
      report_.undetermined.push_back(workload.ns + "/" + workload.name + ":" +
                                     std::to_string(port) + ": " + comparison->reason);
    }
    // Ports that change alike are one change.
    for (Difference& one : comparison->newly_allowed) {
      if (opened_.insert(KeyOf(one)).second) group_.newly_allowed.push_back(std::move(one));
    }
    for (Difference& one : comparison->newly_refused) {
      if (shut_.insert(KeyOf(one)).second) group_.newly_refused.push_back(std::move(one));
    }
  }

  // Puts the workload at hand to those that change alike.
  void Finish(const Workload& a, const Workload& b) {
    ChangeReport::Group group = std::exchange(group_, {});
    std::set<std::string> opened = std::exchange(opened_, {});
    std::set<std::string> shut = std::exchange(shut_, {});
    if (group.newly_allowed.empty() && group.newly_refused.empty()) return;
    group.notes = NotesOf(before_, a, after_, b);
    std::string key = "+" + Join({opened.begin(), opened.end()}, "+") + "-" +
                      Join({shut.begin(), shut.end()}, "-") + Join(group.notes, "|");
    auto [found, added] = groups_.try_emplace(key, report_.groups.size());
    if (added) report_.groups.push_back(std::move(group));
    report_.groups[found->second].objects.push_back(b.object);
    report_.groups[found->second].names.push_back(b.ns + "/" + b.name);
  }

  const Version& before_;
  const Version& after_;
  ChangeReport report_;
  std::map<std::string, size_t> groups_;
  ChangeReport::Group group_;
  std::set<std::string> opened_, shut_;
};

}  // namespace

Exit RunDiff(const DiffOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  auto old_version = LoadVersion(options.old_path, options, settings.value(), host);
  if (!old_version.ok()) return Fail(host, old_version.error());
  auto new_version = LoadVersion(options.new_path, options, settings.value(), host);
  if (!new_version.ok()) return Fail(host, new_version.error());
  const auto before = std::make_shared<const Version>(old_version.Take());
  const auto after = std::make_shared<const Version>(new_version.Take());
  Keep(host, before);
  Keep(host, after);
  ChangeReport report = Comparer(*before, *after).Run();
  if (options.format == "json") {
    host.out << WriteJson(ChangeJson(report), 2) << "\n";
  } else if (options.format == "markdown") {
    host.out << ChangeMarkdown(report);
  } else if (options.format == "sarif") {
    host.out << ChangeSarif(report, kVersion);
  } else {
    host.out << ChangeText(report, Style{host.colour});
  }
  if (before->input.broken || after->input.broken) return Exit::kUnusable;
  if (!report.undetermined.empty()) return Exit::kUndetermined;
  bool fails = options.fail_on_new_access ? report.opens() : report.differs();
  return fails ? Exit::kRefused : Exit::kOk;
}

}  // namespace meshproof

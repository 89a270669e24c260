// How a slip is found: the reasoner is asked for a request that fits everything else the rule asks
// for (its callers, methods, hosts, conditions) and carries one of the other spellings, and that is
// let through. The simulator then judges it as it is sent, and its twin that the rule names, which
// has to be refused. Without both verdicts nothing is said.

#include "analyze/slips.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "base/text.h"
#include "proxy/inbound.h"

namespace meshproof {
namespace {

constexpr size_t kMostSites = 3;       // of one policy
constexpr size_t kMostQuestions = 12;  // of one list at one port

struct Candidate {
  const Text* value = nullptr;
  std::string field_path;
  Spelling spelling;
};

// One list of a rule that is asked about.
struct Query {
  SlipKind kind = SlipKind::kSpelling;
  int rule = -1;
  Region rest;  // what the rule asks of a request beside the list
  std::vector<Candidate> candidates;
  std::string header;
};

Region AllowedCallers(const AuthorizationPolicy::Rule& rule, std::string_view ns) {
  if (rule.from.empty()) return Region::All();
  std::vector<Region> any;
  for (const auto& source : rule.from) any.push_back(RegionOf(source, ns));
  return Region::Or(std::move(any));
}

Region Conditions(const AuthorizationPolicy::Rule& rule, std::string_view ns,
                  const AuthorizationPolicy::Condition* without) {
  std::vector<Region> all;
  for (const auto& condition : rule.when) {
    if (&condition != without) all.push_back(RegionOf(condition, ns));
  }
  return Region::And(std::move(all));
}

bool NamesPort(const AuthorizationPolicy::Operation& operation, int port) {
  const auto names = [&](const TextList& list) {
    return std::any_of(list.values.begin(), list.values.end(),
                       [&](const Text& text) { return text.value == std::to_string(port); });
  };
  if (!operation.ports.empty() && !names(operation.ports)) return false;
  return !names(operation.not_ports);
}

bool IsRefused(const Verdict& verdict) {
  return verdict.outcome == Outcome::kDeny &&
         (verdict.stage == Stage::kDeny || verdict.stage == Stage::kAllow);
}

// A region's path is a pattern; a path that reads as one cannot be asked for.
bool CanBeAsked(const Spelling& spelling) {
  return spelling.seen.find_first_of("*{") == std::string::npos;
}

class Search {
 public:
  Search(const Analysis& analysis, const AuthorizationPolicy& policy, SlipKind kind, size_t most)
      : analysis_(analysis),
        policy_(policy),
        kind_(kind),
        most_(most),
        deny_(policy.action == AuthorizationPolicy::Action::kDeny),
        options_(PathOptionsOf(analysis.model.mesh_config)) {}

  std::vector<Slip> Run() {
    if (policy_.dry_run) return {};
    if (!deny_ && policy_.action != AuthorizationPolicy::Action::kAllow) return {};
    sites_ = analysis_.reach->SitesOf(policy_);
    if (sites_.size() > kMostSites) sites_.resize(kMostSites);
    if (sites_.empty()) return {};
    for (size_t i = 0; i < policy_.rules.size(); ++i) {
      if (kind_ == SlipKind::kHeader) {
        AskHeaders(i);
      } else {
        AskOperations(i);
      }
    }
    return std::move(slips_);
  }

 private:
  // The list that names what is to be kept out.
  const TextList& Guarded(const AuthorizationPolicy::Operation& operation) const {
    switch (kind_) {
      case SlipKind::kHost:
        return deny_ ? operation.hosts : operation.not_hosts;
      case SlipKind::kMethod:
        return deny_ ? operation.methods : operation.not_methods;
      default:
        return deny_ ? operation.paths : operation.not_paths;
    }
  }

  std::string ListName() const {
    switch (kind_) {
      case SlipKind::kHost:
        return deny_ ? "hosts" : "notHosts";
      case SlipKind::kMethod:
        return deny_ ? "methods" : "notMethods";
      default:
        return deny_ ? "paths" : "notPaths";
    }
  }

  Region WithoutList(const AuthorizationPolicy::Operation& operation) const {
    AuthorizationPolicy::Operation rest = operation;
    if (kind_ == SlipKind::kHost) {
      rest.hosts = {};
    } else if (kind_ == SlipKind::kMethod) {
      rest.methods = {};
    } else {
      rest.paths = {};
    }
    return RegionOf(rest);
  }

  void AskOperations(size_t index) {
    const AuthorizationPolicy::Rule& rule = policy_.rules[index];
    for (size_t j = 0; j < rule.to.size(); ++j) {
      const AuthorizationPolicy::Operation& operation = rule.to[j];
      Query query;
      query.kind = kind_;
      query.rule = static_cast<int>(index);
      query.candidates = Candidates(Guarded(operation), OperationPath(index, j));
      if (query.candidates.empty()) continue;
      query.rest = deny_
                       ? Region::And({AllowedCallers(rule, policy_.meta.ns), WithoutList(operation),
                                      Conditions(rule, policy_.meta.ns, nullptr)})
                       : Region::Rule(policy_.meta, query.rule);
      AskEverywhere(query, &operation);
    }
  }

  void AskHeaders(size_t index) {
    const AuthorizationPolicy::Rule& rule = policy_.rules[index];
    for (size_t k = 0; k < rule.when.size(); ++k) {
      const AuthorizationPolicy::Condition& condition = rule.when[k];
      const std::string_view name = HeaderOfKey(condition.key.value).value_or(std::string_view());
      if (name.empty() || name.front() == ':' || EqualsIgnoreCase(name, "host")) continue;
      const TextList& values = deny_ ? condition.values : condition.not_values;
      Query query;
      query.kind = SlipKind::kHeader;
      query.rule = static_cast<int>(index);
      query.header = name;
      std::string path = "spec.rules[" + std::to_string(index) + "].when[" + std::to_string(k) +
                         "]." + (deny_ ? "values[" : "notValues[");
      for (size_t v = 0; v < values.values.size(); ++v) {
        const Text& value = values.values[v];
        if (value.value.empty() || value.value == "*") continue;
        query.candidates.push_back({&value,
                                    path + std::to_string(v) + "]",
                                    {SampleOf(value.value), "", "", "the header left out"}});
        break;
      }
      if (query.candidates.empty()) continue;
      std::vector<Region> to;
      for (const auto& operation : rule.to) to.push_back(RegionOf(operation));
      query.rest = deny_ ? Region::And({AllowedCallers(rule, policy_.meta.ns),
                                        to.empty() ? Region::All() : Region::Or(std::move(to)),
                                        Conditions(rule, policy_.meta.ns, &condition)})
                         : Region::Rule(policy_.meta, query.rule);
      AskEverywhere(query, nullptr);
    }
  }

  std::vector<Candidate> Candidates(const TextList& list, const std::string& operation_path) const {
    if (kind_ == SlipKind::kMethod) return Methods(list, operation_path);
    std::vector<Candidate> candidates;
    for (size_t v = 0; v < list.values.size(); ++v) {
      const Text& value = list.values[v];
      std::string place = operation_path + "." + ListName() + "[" + std::to_string(v) + "]";
      for (Spelling& spelling : SpellingsOf(value.value)) {
        if (!CanBeAsked(spelling)) continue;
        candidates.push_back({&value, place, std::move(spelling)});
      }
    }
    return candidates;
  }

  std::vector<Spelling> SpellingsOf(std::string_view value) const {
    if (value.empty() || value == "*" || value == "/*") return {};
    if (kind_ == SlipKind::kHost) return HostSpellings(value);
    // A value that matches no path, or not what it seems to, has findings of its own.
    std::string sample = SamplePath(value);
    NormalizedPath normal = NormalizePath(sample, options_);
    if (normal.outcome != NormalizedPath::Outcome::kOk || normal.path != sample ||
        sample.find_first_of("?#*") != std::string::npos) {
      return {};
    }
    return kind_ == SlipKind::kEdge ? PathEdges(value) : PathSpellings(sample, options_);
  }

  // Methods that write and are left over where others are listed, and HEAD beside GET.
  std::vector<Candidate> Methods(const TextList& list, const std::string& operation_path) const {
    std::vector<Candidate> candidates;
    const auto add = [&](std::string_view listed, std::string_view left) {
      const Text* value = CoveringMethod(list, listed);
      if (value == nullptr || CoversMethod(list, left)) return;
      auto index = static_cast<size_t>(value - list.values.data());
      candidates.push_back({value,
                            operation_path + "." + ListName() + "[" + std::to_string(index) + "]",
                            {std::string(listed), std::string(left), std::string(left), ""}});
    };
    constexpr std::string_view kWriting[] = {"POST", "PUT", "PATCH", "DELETE"};
    for (std::string_view listed : kWriting) {
      if (!CoversMethod(list, listed)) continue;
      for (std::string_view left : kWriting) add(listed, left);
      break;
    }
    add("GET", "HEAD");
    for (const Text& value : list.values) {
      std::string upper;
      for (char c : value.value) {
        upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
      }
      if (upper == value.value || upper.find('*') != std::string::npos) continue;
      add(value.value, upper);
    }
    return candidates;
  }

  void AskEverywhere(const Query& query, const AuthorizationPolicy::Operation* operation) {
    size_t before = slips_.size();
    for (const Site* site : sites_) {
      for (int port : analysis_.reach->CalledPorts(*site)) {
        if (operation != nullptr && !NamesPort(*operation, port)) continue;
        if (!SpeaksHttp(*site, port)) continue;
        Ask(query, site->workload(), port);
        if (slips_.size() > before) return;
      }
    }
  }

  bool SpeaksHttp(const Site& site, int port) const {
    for (const InboundPort& declared : site.declared) {
      if (declared.port != port) continue;
      if (declared.protocol == Protocol::kGrpc) {
        return kind_ == SlipKind::kHost || kind_ == SlipKind::kHeader;
      }
      return IsHttp(declared.protocol) || declared.protocol == Protocol::kAuto;
    }
    return true;
  }

  Region Wants(const Query& query, const Spelling& spelling) const {
    switch (query.kind) {
      case SlipKind::kHeader:
        return Region::Not(Region::Is(Region::Field::kHeader, "*", query.header));
      case SlipKind::kHost:
        return Region::Is(Region::Field::kHost, spelling.seen);
      case SlipKind::kMethod:
        return Region::Is(Region::Field::kMethod, spelling.seen);
      default:
        return Region::Is(Region::Field::kPath, spelling.seen);
    }
  }

  void Ask(const Query& query, const Workload& workload, int port) {
    std::vector<const Candidate*> left;
    for (const Candidate& candidate : query.candidates) left.push_back(&candidate);
    size_t found = 0;
    for (size_t asked = 0; asked < kMostQuestions && !left.empty() && found < most_; ++asked) {
      std::vector<Region> any;
      for (const Candidate* candidate : left) any.push_back(Wants(query, candidate->spelling));
      std::vector<Region> all = {query.rest, Region::Or(std::move(any))};
      if (workload.mode == ProxyMode::kGateway) {
        all.push_back(Region::Is(Region::Field::kRouted));
      }
      Answer answer =
          analysis_.reach->Find(workload, port, Region::And(std::move(all)), Wanted::kAllowed);
      if (!answer.found()) return;
      const Candidate* hit = Hit(query, left, answer.example->request);
      if (hit == nullptr) return;
      // The plainest spelling of the same value first.
      const Text* value = hit->value;
      bool methods = kind_ == SlipKind::kMethod;  // each is a slip of its own
      bool confirmed = false;
      for (const Candidate* candidate : left) {
        if (candidate->value != value || confirmed || (methods && candidate != hit)) continue;
        confirmed = Confirm(query, *candidate, answer.example->request);
      }
      if (confirmed) ++found;
      std::erase_if(left, [&](const Candidate* candidate) {
        return confirmed && !methods ? candidate->value == value : candidate == hit;
      });
    }
  }

  static const Candidate* Hit(const Query& query, const std::vector<const Candidate*>& left,
                              const Case& request) {
    for (const Candidate* candidate : left) {
      const std::string& seen = candidate->spelling.seen;
      bool same = query.kind == SlipKind::kHeader || PathWithoutQuery(request.path) == seen;
      if (query.kind == SlipKind::kHost) {
        same = request.host.has_value() && EqualsIgnoreCase(*request.host, seen);
      } else if (query.kind == SlipKind::kMethod) {
        same = request.method.value_or("GET") == seen;
      }
      if (same) return candidate;
    }
    return nullptr;
  }

  static Case With(const Query& query, const Case& request, const std::string& value) {
    Case changed = request;
    if (query.kind == SlipKind::kHeader) {
      if (!value.empty()) changed.headers.emplace_back(query.header, value);
    } else if (query.kind == SlipKind::kHost) {
      changed.host = value;
    } else if (query.kind == SlipKind::kMethod) {
      changed.method = value;
    } else {
      changed.path = value + changed.path.substr(PathWithoutQuery(changed.path).size());
    }
    return changed;
  }

  std::optional<Verdict> Judge(const Case& request) const {
    Case asked = request;
    if (!asked.now) asked.now = analysis_.now;
    auto verdict = analysis_.world.Run(asked, World::Addresses::kAssume, Detail::kVerdict);
    if (!verdict.ok()) return std::nullopt;
    return verdict.Take();
  }

  bool Confirm(const Query& query, const Candidate& candidate, const Case& request) {
    const Spelling& spelling = candidate.spelling;
    Case slipping = With(query, request, spelling.sent);
    auto let_in = Judge(slipping);
    if (!let_in || let_in->outcome != Outcome::kAllow) return false;
    // A route that nobody takes is no way in.
    if (let_in->status == 404) return false;
    Case covered = With(query, request, spelling.covered);
    auto kept_out = Judge(covered);
    if (kept_out && kept_out->outcome == Outcome::kReject) {
      covered.protocol = WireProtocol::kHttp2;
      kept_out = Judge(covered);
    }
    if (query.kind == SlipKind::kMethod && kept_out && !IsRefused(*kept_out)) {
      // HTTP/1 cannot carry a method that it does not know.
      covered.protocol = WireProtocol::kHttp2;
      kept_out = Judge(covered);
    }
    if (!kept_out || !IsRefused(*kept_out)) return false;
    if (deny_ && kept_out->decided_by.object != &policy_.meta) return false;
    Slip slip;
    slip.kind = query.kind;
    slip.rule = query.rule;
    slip.value = *candidate.value;
    slip.field_path = candidate.field_path;
    slip.spelling = spelling;
    slip.header = query.header;
    slip.covered = std::move(covered);
    slip.slipping = std::move(slipping);
    slip.covered_verdict = *std::move(kept_out);
    slips_.push_back(std::move(slip));
    return true;
  }

  const Analysis& analysis_;
  const AuthorizationPolicy& policy_;
  SlipKind kind_;
  size_t most_;
  bool deny_;
  PathOptions options_;
  std::vector<const Site*> sites_;
  std::vector<Slip> slips_;
};

}  // namespace

std::vector<Slip> FindSlips(const Analysis& analysis, const AuthorizationPolicy& policy,
                            SlipKind kind, size_t most) {
  return Search(analysis, policy, kind, most).Run();
}

void AttachSlip(const Analysis& analysis, const Slip& slip, Finding* finding) {
  AttachWitness(analysis, slip.slipping, Outcome::kAllow, finding);
}

bool IsDeny(const AuthorizationPolicy& policy) {
  return policy.action == AuthorizationPolicy::Action::kDeny;
}

std::string OperationPath(size_t rule, size_t operation) {
  return "spec.rules[" + std::to_string(rule) + "].to[" + std::to_string(operation) + "].operation";
}

}  // namespace meshproof

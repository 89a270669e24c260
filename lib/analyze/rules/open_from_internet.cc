// Ways from the internet through a gateway to a workload on which nobody has to say who they are:
// no client certificate at the server, no token at the gateway or the workload, no external
// authorizer. A rule that admits the gateway's own identity says which proxy may call, not who is
// behind it. Each finding is a request that the simulator lets through to the end; where the
// request of the route itself is refused, the reasoning over all requests looks for another.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analyze/entrances.h"
#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/reach.h"
#include "analyze/route_twins.h"
#include "analyze/rule.h"
#include "base/parallel.h"

namespace meshproof::open_from_internet {
namespace {

constexpr size_t kMostRoutes = 12;  // of one Service that are tried one by one

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), twins_(analysis) {}

  // Of each the ways of one gateway to one Service. Questions are thought of one after the other,
  // as they are told from one group to its twins, and asked of many groups at a time.
  void Check(const std::vector<std::vector<const Entrance*>>& groups) {
    std::vector<Search> searches;
    for (const auto& ways : groups) {
      if (!ways.front()->service->workloads.empty()) searches.push_back({&ways, {}, {}, {}});
    }
    for (Search& search : searches) ThinkOfRoutes(&search);
    AskAll(&searches);
    bool more = true;
    for (size_t round = 0; more; ++round) {
      more = false;
      for (Search& search : searches) {
        if (search.verdict) continue;
        if (round == 0) search.regions = Regions(*search.ways->front());
        if (round >= search.regions.size()) continue;
        ThinkOfRegion(search.regions[round], &search);
        more = true;
      }
      AskAll(&searches);
    }
    ParallelFor(searches.size(), [&](size_t i) {
      if (searches[i].verdict) return;
      for (const Region& region : RegionsBehind(*searches[i].ways)) {
        ThinkOfWorkload(region, &searches[i]);
        AskInOrder(&searches[i]);
        if (searches[i].verdict) return;
      }
    });
    for (Search& search : searches) {
      if (!search.verdict) continue;
      auto& [way, question] = search.questions.front();
      Report(*way, question, *std::move(search.verdict));
    }
  }

 private:
  struct Search {
    const std::vector<const Entrance*>* ways = nullptr;
    // To be asked until one gets through, which is the only one left then.
    std::vector<std::pair<const Entrance*, Case>> questions;
    std::optional<Verdict> verdict;
    std::vector<Region> regions;
  };

  void AskInOrder(Search* search) const {
    for (auto& [way, question] : search->questions) {
      search->verdict = Ask(question);
      if (!search->verdict) continue;
      std::pair<const Entrance*, Case> found(way, std::move(question));
      search->questions.clear();
      search->questions.push_back(std::move(found));
      return;
    }
    search->questions.clear();
  }

  void AskAll(std::vector<Search>* searches) const {
    ParallelFor(searches->size(), [&](size_t i) {
      if (!(*searches)[i].verdict) AskInOrder(&(*searches)[i]);
    });
  }

  void ThinkOfRoutes(Search* search) {
    const std::vector<const Entrance*>& ways = *search->ways;
    for (size_t i = 0; i < ways.size() && i < kMostRoutes; ++i) {
      std::optional<Case> question = twins_.RequestFor(*ways[i]);
      if (question) search->questions.emplace_back(ways[i], *std::move(question));
    }
  }

  void ThinkOfRegion(const Region& region, Search* search) {
    std::optional<Case> question = twins_.Find(*search->ways, region);
    if (!question) return;
    question->follow = true;
    if (!question->ext_authz) question->ext_authz = ExtAuthzAnswer::kDeny;
    search->questions.emplace_back(search->ways->front(), *std::move(question));
  }

  // What a route takes as paths of the Service; nothing where it takes or makes other ones.
  static std::vector<std::string> PathsOf(const Route& route) {
    const RouteMatch& match = route.match;
    const bool rewritten = !route.prefix_rewrite.empty() || route.regex_rewrite;
    // In a policy's value these would mean something else.
    const bool plain = match.path.find_first_of("*{") == std::string::npos;
    if (rewritten || !match.case_sensitive || !plain) return {};
    switch (match.path_kind) {
      case RouteMatch::Path::kPrefix:
        return {match.path + "*"};
      case RouteMatch::Path::kPathSeparatedPrefix:
        return {match.path, match.path + "/*"};
      case RouteMatch::Path::kExact:
        return {match.path};
      case RouteMatch::Path::kRegex:
        return {};
    }
    return {};
  }

  // What the workload may let in of what comes by way of a gateway: anything without a token, then
  // what the routes take, in the gateway's name and in nobody's.
  static std::vector<Region> RegionsBehind(const std::vector<const Entrance*>& ways) {
    const Region no_token = Region::Not(Region::Is(Region::Field::kToken));
    std::vector<std::string> paths;
    for (size_t i = 0; i < ways.size() && i < kMostRoutes; ++i) {
      for (std::string& path : PathsOf(*ways[i]->route)) paths.push_back(std::move(path));
    }
    if (paths.empty()) return {no_token};
    const Region taken = Region::And({no_token, Region::AnyOf(Region::Field::kPath, paths)});
    const std::string& identity = ways.front()->gateway->identity;
    const size_t name = identity.find("//");
    if (name == std::string::npos) return {no_token, taken};
    return {no_token,
            Region::And({taken, Region::Is(Region::Field::kIdentity, identity.substr(name + 2))}),
            taken};
  }

  // What the workload lets in of that, sent by way of the gateway.
  void ThinkOfWorkload(const Region& region, Search* search) const {
    const std::vector<const Entrance*>& ways = *search->ways;
    const Entrance& first = *ways.front();
    const Workload& workload = analysis_.mesh.workloads()[first.service->workloads.front()];
    const MeshServicePort* port = first.service->FindPort(first.service_port);
    if (port == nullptr || workload.mode != ProxyMode::kSidecar) return;
    const Answer answer =
        analysis_.reach->Find(workload, analysis_.mesh.TargetPort(*first.service, *port, workload),
                              region, Wanted::kAllowedByAnyAuthorizer);
    if (!answer.found()) return;
    const Case& inside = answer.example->request;
    for (size_t i = 0; i < ways.size() && i < kMostRoutes; ++i) {
      Case question = RequestTo(*ways[i], inside.path, inside.method.value_or("GET"));
      question.headers = inside.headers;
      search->questions.emplace_back(ways[i], std::move(question));
    }
  }

  // Let through by every hop, the last of them one behind the gateway.
  std::optional<Verdict> Ask(Case question) const {
    question.now = analysis_.now;
    // Most are refused, of which nobody wants to read the story.
    for (const Detail detail : {Detail::kHops, Detail::kTrace}) {
      auto verdict = analysis_.world.Run(question, World::Addresses::kAssume, detail);
      if (!verdict.ok() || verdict.value().outcome != Outcome::kAllow) break;
      if (verdict.value().hops.size() < 2) break;
      if (detail == Detail::kTrace) return verdict.Take();
    }
    return std::nullopt;
  }

  // All requests of anybody, then those that the rules of its workload speak of.
  std::vector<Region> Regions(const Entrance& way) const {
    const Region plain = Region::And({Region::Not(Region::Is(Region::Field::kToken)),
                                      Region::Not(Region::Is(Region::Field::kMutualTls))});
    std::vector<Region> regions = {plain};
    const Workload& workload = analysis_.mesh.workloads()[way.service->workloads.front()];
    for (const AuthorizationPolicy* policy : analysis_.mesh.PoliciesFor(workload).allow) {
      for (const AuthorizationPolicy::Rule& rule : policy->rules) {
        for (const AuthorizationPolicy::Operation& operation : rule.to) {
          std::vector<Region> all = {plain};
          Add(Region::Field::kPath, operation.paths, &all);
          Add(Region::Field::kMethod, operation.methods, &all);
          if (all.size() > 1 && regions.size() < kMostRoutes) regions.push_back(Region::And(all));
        }
      }
    }
    return regions;
  }

  static void Add(Region::Field field, const TextList& values, std::vector<Region>* all) {
    if (values.empty()) return;
    std::vector<std::string> texts;
    for (const Text& value : values.values) texts.emplace_back(value.value);
    all->push_back(Region::AnyOf(field, texts));
  }

  // The rule that let it in names requests and no caller: open on purpose.
  static bool IsDeclaredOpen(const Verdict& verdict) {
    const ObjectMeta* object = verdict.decided_by.object;
    return object != nullptr && object->kind == "AuthorizationPolicy";
  }

  const AuthorizationPolicy::Rule* RuleOf(const Origin& origin) {
    if (policies_.empty()) {
      for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
        policies_[&policy.meta] = &policy;
      }
    }
    auto found = policies_.find(origin.object);
    if (found == policies_.end() || origin.rule < 0 ||
        static_cast<size_t>(origin.rule) >= found->second->rules.size()) {
      return nullptr;
    }
    return &found->second->rules[static_cast<size_t>(origin.rule)];
  }

  void Report(const Entrance& way, const Case& question, Verdict verdict) {
    const Workload& workload = analysis_.mesh.workloads()[way.service->workloads.front()];
    const ObjectMeta& object =
        way.route->origin.object != nullptr ? *way.route->origin.object : way.service->object[0];
    const AuthorizationPolicy::Rule* rule =
        IsDeclaredOpen(verdict) ? RuleOf(verdict.decided_by) : nullptr;
    const bool open =
        rule != nullptr && rule->from.empty() && !rule->to.empty() &&
        std::all_of(rule->to.begin(), rule->to.end(), [](const auto& operation) {
          return !operation.paths.empty() &&
                 std::none_of(operation.paths.values.begin(), operation.paths.values.end(),
                              [](const Text& path) { return path.value.size() < 3; });
        });
    const bool own = rule != nullptr && !rule->from.empty();
    std::string message =
        "everybody outside reaches " + Describe(workload) + " through " + Describe(way) +
        " and Service " + way.service->ns + "/" + way.service->name + ": " +
        (way.chain->tls ? "the server asks for no client certificate, and " : "") +
        "neither gateway nor workload asks for a token";
    if (own) message += "; the rule that lets it in checks the gateway, not who is behind it";
    message += ", so " + question.method.value_or("GET") + " " + question.path +
               " is answered for anybody; require a token at the gateway or the workload, or a "
               "client certificate (tls mode MUTUAL)";
    Finding& finding = ReportAt(reporter_, object, way.route->origin.span, std::move(message),
                                "Add a RequestAuthentication and a rule that asks for "
                                "`requestPrincipals`, or tls mode MUTUAL.");
    finding.detail = workload.ns + "/" + workload.name;
    if (open) finding.severity = Severity::kInfo;
    if (way.listener->origin.object != nullptr) {
      finding.related.push_back({way.listener->origin.span, "the server that it comes in by"});
    }
    if (verdict.decided_by.object != nullptr && verdict.decided_by.span) {
      finding.related.push_back({verdict.decided_by.span, "lets it in"});
    }
    finding.witness = Witness{question, std::move(verdict)};
    finding.certainty = way.facing == Facing::kInternet ? Certainty::kProven : Certainty::kLikely;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  RouteTwins twins_;
  std::map<const ObjectMeta*, const AuthorizationPolicy*> policies_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const std::vector<Entrance> entrances = FindEntrances(analysis);
  if (entrances.empty()) return;
  // One finding for each Service of a gateway, whatever the port.
  std::map<std::pair<std::string, std::string>, std::vector<const Entrance*>> ways;
  for (const Entrance& entrance : entrances) {
    ways[{entrance.gateway->ns + "/" + entrance.gateway->name, entrance.service->host}].push_back(
        &entrance);
  }
  std::vector<std::vector<const Entrance*>> groups;
  for (auto& [key, own] : ways) groups.push_back(std::move(own));
  Checker(analysis, reporter).Check(groups);
}

}  // namespace meshproof::open_from_internet

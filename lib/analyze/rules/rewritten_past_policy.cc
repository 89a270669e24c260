// A route and a policy that look at different paths. A gateway's rules see the path as it was sent,
// the workload's rules the one that the route rewrote; a route with `ignoreUriCase` or a regex that
// ignores case takes spellings that a rule on paths, which keeps case, does not match. For each
// DENY rule on paths the request that it is for is spelled so that the route makes it of something
// else, and both are asked of the simulator: refused as it is written, let through the other way.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "analyze/entrances.h"
#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/rule.h"
#include "analyze/spellings.h"
#include "base/text.h"

namespace meshproof::rewritten_past_policy {
namespace {

struct PolicyPath {
  const AuthorizationPolicy* policy = nullptr;
  const Text* value = nullptr;
  std::string path;  // one that it matches
  std::string method;
};

// A path of the pattern; "" where none is at hand.
std::string PlainPathOf(std::string_view pattern) {
  std::string path = FillTemplate(pattern);
  if (path.starts_with('*')) return path.size() > 1 && path[1] == '/' ? "/x" + path.substr(1) : "";
  if (path.ends_with('*')) path.pop_back();
  return path.starts_with('/') ? path : "";
}

std::string Swapped(std::string_view path) {
  std::string text(path);
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') {
      c = static_cast<char>(c - 'a' + 'A');
    } else if (c >= 'A' && c <= 'Z') {
      c = static_cast<char>(c - 'A' + 'a');
    }
  }
  return text;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const Entrance& way) {
    if (way.service->workloads.empty() || way.route->origin.object == nullptr) return;
    const Workload& workload = analysis_.mesh.workloads()[way.service->workloads.front()];
    const RouteMatch& match = way.route->match;
    const bool rewrites = !way.route->prefix_rewrite.empty() || way.route->regex_rewrite;
    const bool folds = !match.case_sensitive || (match.path_kind == RouteMatch::Path::kRegex &&
                                                 match.path.find("(?i") != std::string::npos);
    if (!rewrites && !folds) return;
    for (const PolicyPath& rule : PathsAt(*way.gateway)) {
      if (folds) Try(way, workload, rule, Swapped(rule.path), rule.path, true, kCase);
      if (!rewrites) continue;
      const std::optional<std::string> before = Unrewritten(*way.route, rule.path);
      if (before) Try(way, workload, rule, *before, rule.path, true, kRewrittenInto);
    }
    for (const PolicyPath& rule : PathsAt(workload)) {
      if (folds) Try(way, workload, rule, Swapped(rule.path), rule.path, true, kCase);
      if (rewrites) Try(way, workload, rule, rule.path, rule.path, false, kRewrittenAway);
    }
  }

 private:
  enum Kind { kCase, kRewrittenInto, kRewrittenAway };

  // DENY rules on paths, with one path of each value.
  const std::vector<PolicyPath>& PathsAt(const Workload& workload) {
    auto [found, added] = paths_.try_emplace(&workload);
    if (!added) return found->second;
    for (const AuthorizationPolicy* policy : analysis_.mesh.PoliciesFor(workload).deny) {
      if (policy->dry_run) continue;
      for (const AuthorizationPolicy::Rule& rule : policy->rules) {
        for (const AuthorizationPolicy::Operation& operation : rule.to) {
          std::string method = "GET";
          if (!operation.methods.empty() && operation.methods.values.front().value != "*") {
            method = operation.methods.values.front().value;
            if (method.ends_with('*')) method = "GET";
          }
          for (const Text& value : operation.paths.values) {
            std::string path = PlainPathOf(value.value);
            if (path.size() > 1) found->second.push_back({policy, &value, std::move(path), method});
          }
        }
      }
    }
    return found->second;
  }

  // A path that the route's prefix rewrite turns into `path`.
  static std::optional<std::string> Unrewritten(const Route& route, const std::string& path) {
    const RouteMatch& match = route.match;
    if (route.prefix_rewrite.empty() || match.path_kind == RouteMatch::Path::kRegex) {
      return UnrewrittenRegex(route, path);
    }
    if (!path.starts_with(route.prefix_rewrite)) return std::nullopt;
    if (match.path_kind == RouteMatch::Path::kExact) {
      return path == route.prefix_rewrite ? std::optional(match.path) : std::nullopt;
    }
    std::string before = match.path + path.substr(route.prefix_rewrite.size());
    return before == path ? std::nullopt : std::optional(before);
  }

  // Of a regex rewrite: the path behind something that the rewrite takes away.
  static std::optional<std::string> UnrewrittenRegex(const Route& route, const std::string& path) {
    if (!route.regex_rewrite) return std::nullopt;
    std::vector<std::string> heads;
    const std::string& pattern = route.regex_rewrite.pattern();
    std::string head;
    for (size_t i = pattern.starts_with('^') ? 1 : 0; i < pattern.size(); ++i) {
      const char c = pattern[i];
      if (c == '(' || c == '[' || c == '.' || c == '*' || c == '\\') break;
      head += c;
    }
    if (head.size() > 1) heads.push_back(head);
    if (route.match.path.size() > 1 && route.match.path_kind != RouteMatch::Path::kRegex) {
      heads.push_back(route.match.path);
    }
    for (std::string own : heads) {
      if (own.ends_with('/')) own.pop_back();
      std::string before = own + path;
      if (route.regex_rewrite.Replace(before, route.regex_substitution) == path) return before;
    }
    return std::nullopt;
  }

  // `sent` gets through by this route; `meant`, the policy's own, is refused: through the gateway,
  // or, where only the route hides it, at the workload itself.
  void Try(const Entrance& way, const Workload& workload, const PolicyPath& rule,
           const std::string& sent, const std::string& meant, bool same_way, Kind kind) {
    if (kind == kCase && sent == meant) return;
    const auto key = std::tuple(rule.value, way.route->origin.span.begin, kind);
    if (said_.contains(key)) return;
    Case question = RequestTo(way, sent, rule.method);
    question.ext_authz = ExtAuthzAnswer::kAllow;
    question.now = analysis_.now;
    auto passed = analysis_.world.Run(question, World::Addresses::kAssume, Detail::kTrace);
    if (!passed.ok() || passed.value().outcome != Outcome::kAllow ||
        passed.value().hops.size() < 2) {
      return;
    }
    Case refused = RequestTo(way, meant, rule.method);
    refused.ext_authz = ExtAuthzAnswer::kAllow;
    refused.now = analysis_.now;
    if (!same_way) {
      refused = {};
      refused.to_workload = workload.ns + "/" + workload.name;
      const MeshServicePort* port = way.service->FindPort(way.service_port);
      if (port == nullptr) return;
      refused.to_port = analysis_.mesh.TargetPort(*way.service, *port, workload);
      refused.from_workload = way.gateway->ns + "/" + way.gateway->name;
      refused.method = rule.method;
      refused.path = meant;
      refused.host = way.authority;
      refused.ext_authz = ExtAuthzAnswer::kAllow;
      refused.now = analysis_.now;
    }
    auto denied = analysis_.world.Run(refused, World::Addresses::kAssume, Detail::kTrace);
    if (!denied.ok() || denied.value().outcome != Outcome::kDeny ||
        denied.value().decided_by.object != &rule.policy->meta) {
      return;
    }
    said_.insert(key);
    Report(way, workload, rule, sent, meant, kind, std::move(question), passed.Take());
  }

  void Report(const Entrance& way, const Workload& workload, const PolicyPath& rule,
              const std::string& sent, const std::string& meant, Kind kind, Case question,
              Verdict verdict) {
    std::string message = "paths value `" + std::string(rule.value->value) + "` ";
    const std::string request = rule.method + " " + sent;
    switch (kind) {
      case kCase:
        message += "keeps case and a route of " + Describe(way) + " does not, so " + meant +
                   " is refused and " + request + " reaches " + Describe(workload) +
                   "; drop ignoreUriCase, or refuse by paths that the route cannot respell";
        break;
      case kRewrittenInto:
        message += "is compared with the path before a route of " + Describe(way) +
                   " rewrites it, so " + meant + " is refused and " + request + " reaches " +
                   Describe(workload) + " as " + meant + "; put the rule at the workload";
        break;
      case kRewrittenAway:
        message += "is compared with the path after a route of " + Describe(way) +
                   " has rewritten it, so " + request + ", which it names, reaches " +
                   Describe(workload) +
                   " as another path; name the rewritten path, or put the "
                   "rule at the gateway";
        break;
    }
    Finding& finding =
        ReportAt(reporter_, rule.policy->meta, rule.value->span, std::move(message),
                 kind == kRewrittenInto ? "Put the rule where the rewritten path is seen."
                                        : "Name the paths as they are when the rule sees them.");
    finding.detail =
        std::to_string(static_cast<int>(kind)) + " " + ToString(*way.route->origin.object);
    finding.related.push_back({way.route->origin.span, "the route"});
    finding.witness = Witness{std::move(question), std::move(verdict)};
    finding.certainty = Certainty::kProven;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<const Workload*, std::vector<PolicyPath>> paths_;
  std::set<std::tuple<const Text*, uint32_t, Kind>> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const Entrance& entrance : FindEntrances(analysis, true)) checker.Check(entrance);
}

}  // namespace meshproof::rewritten_past_policy

// Paths of applications' own management (metrics, health details, debuggers, consoles) that a route
// without a condition on the path lets people outside reach. Whether the application has them is
// not in the manifests, unless a probe, an annotation or a policy names one.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/entrances.h"
#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::sensitive_path_open {
namespace {

constexpr std::string_view kSensitive[] = {"/actuator/env", "/metrics", "/debug/pprof/", "/admin"};

// "/actuator" of "/actuator/env".
std::string_view RootOf(std::string_view path) {
  return path.substr(0, path.find('/', 1));
}

bool IsUnder(std::string_view path, std::string_view root) {
  return path == root || (path.starts_with(root) && path.size() > root.size() &&
                          (path[root.size()] == '/' || path[root.size()] == '*'));
}

bool TakesEveryPath(const RouteMatch& match) {
  const bool path =
      (match.path_kind == RouteMatch::Path::kPrefix && match.path == "/") ||
      (match.path_kind == RouteMatch::Path::kRegex && (match.path == ".*" || match.path == "/.*"));
  return path && match.headers.empty() && match.query_parameters.empty() &&
         match.dynamic_metadata.empty();
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const Entrance& entrance) {
    if (!TakesEveryPath(entrance.route->match) || entrance.route->origin.object == nullptr) return;
    if (entrance.service->workloads.empty()) return;
    // One route of several hosts and ports is one finding.
    const auto key = std::pair(entrance.route->origin.span.begin, entrance.service);
    if (!said_.insert(key).second) return;
    std::vector<std::string> open, known;
    std::optional<Witness> witness;
    Span evidence;
    std::string why;
    const Workload& workload = analysis_.mesh.workloads()[entrance.service->workloads.front()];
    for (std::string_view path : kSensitive) {
      Case question = RequestTo(entrance, std::string(path));
      question.now = analysis_.now;
      auto verdict = analysis_.world.Run(question, World::Addresses::kAssume, Detail::kTrace);
      if (!verdict.ok() || verdict.value().outcome != Outcome::kAllow ||
          verdict.value().hops.size() < 2) {
        continue;
      }
      open.emplace_back(path);
      Span place;
      std::string says = Evidence(workload, RootOf(path), &place);
      if (!says.empty()) {
        known.emplace_back(path);
        if (why.empty()) {
          why = says;
          evidence = place;
        }
      }
      if (!witness || (known.size() == 1 && known.front() == path)) {
        witness = Witness{std::move(question), verdict.Take()};
      }
    }
    if (open.empty()) return;
    const std::vector<std::string>& named = known.empty() ? open : known;
    Finding& finding =
        ReportAt(reporter_, *entrance.route->origin.object, entrance.route->origin.span,
                 "the route takes every path, so people outside reach " + ListNames(named) +
                     " of " + Describe(workload) + " through " + Describe(entrance) +
                     (why.empty() ? ", if it has them" : " (" + why + ")") +
                     "; route the paths that are meant, or refuse these",
                 "Route the paths that are meant, or refuse the sensitive ones in front.");
    if (known.empty()) finding.severity = Severity::kInfo;
    finding.detail = workload.ns + "/" + workload.name;
    if (evidence) finding.related.push_back({evidence, why});
    finding.witness = std::move(witness);
    finding.certainty = known.empty() || entrance.facing != Facing::kInternet ? Certainty::kLikely
                                                                              : Certainty::kProven;
  }

 private:
  // What in the manifests says that the application serves paths under `root`.
  std::string Evidence(const Workload& workload, std::string_view root, Span* place) {
    if (workload.pod == nullptr) return "";
    const ObjectMeta& meta = workload.pod->meta;
    const Labels& annotations = workload.pod->pod_annotations;
    const std::string* scraped = FindLabel(annotations, "prometheus.io/path");
    const std::string* scrape = FindLabel(annotations, "prometheus.io/scrape");
    if (scrape != nullptr && *scrape == "true" &&
        IsUnder(scraped == nullptr ? "/metrics" : *scraped, root) && ScrapesPort(workload)) {
      *place = PodAnnotationPlace(
          meta, scraped == nullptr ? "prometheus.io/scrape" : "prometheus.io/path");
      return "its annotation says that metrics are there";
    }
    for (const PodContainer& container : ContainersOf(meta)) {
      for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
        const Node* path = NodeAt(container.node, {probe, "httpGet", "path"});
        if (path == nullptr || !IsUnder(path->text, root)) continue;
        *place = SpanOf(meta.file, *path);
        return "its " + std::string(probe) + " asks there";
      }
    }
    const PolicySet policies = analysis_.mesh.PoliciesFor(workload);
    for (const auto* list : {&policies.deny, &policies.allow, &policies.custom}) {
      for (const AuthorizationPolicy* policy : *list) {
        for (const AuthorizationPolicy::Rule& rule : policy->rules) {
          for (const AuthorizationPolicy::Operation& operation : rule.to) {
            for (const auto* paths : {&operation.paths, &operation.not_paths}) {
              for (const Text& path : paths->values) {
                if (!IsUnder(path.value, root)) continue;
                *place = path.span;
                return "a policy names it";
              }
            }
          }
        }
      }
    }
    return "";
  }

  // The scraped port is one that the Services lead to, or none is said.
  bool ScrapesPort(const Workload& workload) const {
    const std::string* port = FindLabel(workload.pod->pod_annotations, "prometheus.io/port");
    if (port == nullptr) return true;
    for (const InboundPort& inbound : analysis_.mesh.InboundPorts(workload)) {
      if (std::to_string(inbound.port) == *port) return true;
    }
    return false;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::set<std::pair<uint32_t, const MeshService*>> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const Entrance& entrance : FindEntrances(analysis)) checker.Check(entrance);
}

}  // namespace meshproof::sensitive_path_open

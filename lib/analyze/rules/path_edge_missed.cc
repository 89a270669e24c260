// Values of `paths` know no segments: `/admin` is that path alone, `/admin/*` starts with
// `/admin/`,
// `/admin*` goes on in any way (istio-semantics section 1.4). Where a policy keeps a path out, its
// neighbours stay open; where it lets a prefix in, names that only begin alike come along.
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "analyze/reach.h"
#include "analyze/rule.h"
#include "analyze/slips.h"

namespace meshproof::path_edge_missed {
namespace {

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

void ReportMissed(const Analysis& analysis, const AuthorizationPolicy& policy, const Slip& slip,
                  Reporter& reporter) {
  const Spelling& spelling = slip.spelling;
  const std::string value(slip.value.value);
  std::string base = value;
  while (base.ends_with('*') || base.ends_with('/')) base.pop_back();
  if (base.ends_with("{**}")) base.resize(base.size() - 5);
  std::string both = "`" + base + "` and `" + base + "/*`";
  Finding& finding = reporter.Report(
      policy.meta, slip.value.span,
      "`" + spelling.sent + "`, " + spelling.how + ", gets through where `" + spelling.covered +
          "` is refused: `" + value + "` does not match it; list " + both);
  finding.field_path = slip.field_path;
  finding.fix = "List both " + both + ".";
  AttachSlip(analysis, slip, &finding);
}

// Paths that routes and policies of the input name.
std::vector<std::string> KnownPaths(const Model& model) {
  std::set<std::string> paths;
  for (const VirtualService& service : model.virtual_services) {
    for (const HttpRoute& route : service.http) {
      for (const HttpMatch& match : route.matches) {
        if (match.uri.kind == StringMatch::Kind::kExact ||
            match.uri.kind == StringMatch::Kind::kPrefix) {
          paths.emplace(match.uri.value.value);
        }
      }
    }
  }
  for (const AuthorizationPolicy& policy : model.authorization_policies) {
    for (const auto& rule : policy.rules) {
      for (const auto& operation : rule.to) {
        for (const TextList* list : {&operation.paths, &operation.not_paths}) {
          for (const Text& text : list->values) paths.insert(SamplePath(text.value));
        }
      }
    }
  }
  return {paths.begin(), paths.end()};
}

// An ALLOW prefix that ends within a segment.
class OpenPrefixes {
 public:
  OpenPrefixes(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const AuthorizationPolicy& policy) {
    if (policy.dry_run || policy.action != AuthorizationPolicy::Action::kAllow) return;
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      for (size_t j = 0; j < policy.rules[i].to.size(); ++j) {
        const TextList& paths = policy.rules[i].to[j].paths;
        for (size_t v = 0; v < paths.values.size(); ++v) {
          if (!EndsWithinSegment(paths.values[v].value)) continue;
          CheckValue(policy, i, j, v);
        }
      }
    }
  }

 private:
  static bool EndsWithinSegment(std::string_view value) {
    if (!value.starts_with('/') || !value.ends_with('*') || value.size() < 3) return false;
    std::string_view prefix = value.substr(0, value.size() - 1);
    return IsAlphanumeric(prefix.back()) && prefix.find_first_of("*{?#") == prefix.npos;
  }

  // A path of the input that begins alike and is another name; "" where none is known.
  std::string KnownNeighbour(const std::string& prefix) {
    if (!read_paths_) {
      known_ = KnownPaths(analysis_.model);
      read_paths_ = true;
    }
    auto found = std::lower_bound(known_.begin(), known_.end(), prefix);
    for (; found != known_.end() && found->starts_with(prefix); ++found) {
      if (found->size() > prefix.size() && IsAlphanumeric((*found)[prefix.size()])) return *found;
    }
    return {};
  }

  // Everything that lets the path in but this value.
  Region OnlyBy(const Site& site, const AuthorizationPolicy& policy, size_t rule, size_t operation,
                size_t value) const {
    std::vector<Region> others;
    for (const AuthorizationPolicy* other : site.policies.allow) {
      for (size_t k = 0; k < other->rules.size(); ++k) {
        if (other == &policy && k == rule) continue;
        others.push_back(Region::Rule(other->meta, static_cast<int>(k)));
      }
    }
    const AuthorizationPolicy::Rule& own = policy.rules[rule];
    for (size_t j = 0; j < own.to.size(); ++j) {
      if (j != operation) others.push_back(RegionOf(own.to[j]));
    }
    const TextList& paths = own.to[operation].paths;
    for (size_t v = 0; v < paths.values.size(); ++v) {
      if (v == value) continue;
      others.push_back(Region::Is(Region::Field::kPath, std::string(paths.values[v].value)));
    }
    return Region::And({Region::Rule(policy.meta, static_cast<int>(rule)),
                        Region::Not(Region::Or(std::move(others)))});
  }

  void CheckValue(const AuthorizationPolicy& policy, size_t i, size_t j, size_t v) {
    const Text& text = policy.rules[i].to[j].paths.values[v];
    std::string prefix(text.value.substr(0, text.value.size() - 1));
    std::string known = KnownNeighbour(prefix);
    std::string neighbour = known;
    if (known.empty()) neighbour = prefix + (prefix.ends_with("/admin") ? "istrator" : "x");
    constexpr size_t kMostSites = 3;
    std::vector<const Site*> sites = analysis_.reach->SitesOf(policy);
    if (sites.size() > kMostSites) sites.resize(kMostSites);
    for (const Site* site : sites) {
      Region region =
          Region::And({OnlyBy(*site, policy, i, j, v), Region::Is(Region::Field::kPath, neighbour),
                       Region::Is(Region::Field::kRouted)});
      for (int port : analysis_.reach->CalledPorts(*site)) {
        Answer answer = analysis_.reach->Find(site->workload(), port, region, Wanted::kAllowed);
        if (!answer.found()) continue;
        Report(policy, i, j, v, prefix, neighbour, !known.empty(), *answer.example);
        return;
      }
    }
  }

  void Report(const AuthorizationPolicy& policy, size_t i, size_t j, size_t v,
              const std::string& prefix, const std::string& neighbour, bool known,
              const Example& example) {
    const Text& text = policy.rules[i].to[j].paths.values[v];
    std::string both = "`" + prefix + "` and `" + prefix + "/*`";
    Finding& finding =
        reporter_.Report(policy.meta, text.span,
                         "`" + std::string(text.value) + "` lets `" + neighbour + "` in too" +
                             (known ? ", which the input names as a path of its own" : "") +
                             ": a prefix ends anywhere, not at a slash; list " + both);
    if (!known) finding.severity = Severity::kInfo;
    finding.field_path = OperationPath(i, j) + ".paths[" + std::to_string(v) + "]";
    finding.fix = "List both " + both + ".";
    AttachExample(analysis_, example, &finding);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  bool read_paths_ = false;
  std::vector<std::string> known_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  OpenPrefixes open(analysis, reporter);
  constexpr size_t kMostOfAList = 3;
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    for (const Slip& slip : FindSlips(analysis, policy, SlipKind::kEdge, kMostOfAList)) {
      ReportMissed(analysis, policy, slip, reporter);
    }
    open.Check(policy);
  }
}

}  // namespace meshproof::path_edge_missed

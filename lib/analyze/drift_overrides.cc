// A route may switch a security filter off or give it other rules; istiod writes nothing of the
// kind. Each such override is asked about with requests that its route takes: where none gets two
// verdicts (the filter stands in no chain, the rules say the same), it is no difference.

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analyze/drift_comparison.h"
#include "analyze/drift_probe.h"
#include "analyze/drift_rules.h"
#include "analyze/drift_verdicts.h"
#include "crypto/sign_jwt.h"
#include "simulate/simulate.h"

namespace meshproof {
namespace {

using OverrideKind = FilterOverride::Kind;

// The filters of a chain that an override of this name changes.
bool Changes(const ChainView& view, const FilterOverride& change) {
  auto named = [&](const std::string& name, std::string_view usual) {
    return change.filter == (name.empty() ? usual : std::string_view(name));
  };
  return std::any_of(view.filters.begin(), view.filters.end(), [&](const ChainView::Filter& one) {
    if (one.rbac != nullptr) return named(one.rbac->name, "envoy.filters.http.rbac");
    if (one.jwt != nullptr) return named(one.jwt->name, "envoy.filters.http.jwt_authn");
    if (one.ext_authz != nullptr) {
      return named(one.ext_authz->name, "envoy.filters.http.ext_authz");
    }
    return false;
  });
}

bool MayDecide(const FilterOverride& change) {
  return change.kind == OverrideKind::kDisabled || change.kind == OverrideKind::kRbac ||
         change.kind == OverrideKind::kJwtRequirement || change.kind == OverrideKind::kOpaque;
}

// What says of an override where it stands.
struct Place {
  const FilterOverride* change = nullptr;
  const VirtualHost* host = nullptr;  // null: the whole route configuration
  const Route* route = nullptr;       // null: all of the virtual host
};

std::vector<Place> PlacesOf(const RouteConfiguration& routes) {
  std::vector<Place> places;
  for (const FilterOverride& change : routes.overrides) places.push_back({&change});
  for (const VirtualHost& host : routes.virtual_hosts) {
    for (const FilterOverride& change : host.overrides) places.push_back({&change, &host});
    for (const Route& route : host.routes) {
      for (const FilterOverride& change : route.overrides) {
        places.push_back({&change, &host, &route});
      }
    }
  }
  return places;
}

std::string PlaceName(const Place& place) {
  if (place.route != nullptr) {
    return "route `" + place.route->name + "` of virtual host `" + place.host->name + "`";
  }
  if (place.host != nullptr) return "virtual host `" + place.host->name + "`";
  return "the route configuration";
}

std::string ChangeText(const FilterOverride& change) {
  switch (change.kind) {
    case OverrideKind::kDisabled:
      return "switches filter `" + change.filter + "` off";
    case OverrideKind::kRbac:
      return "gives filter `" + change.filter + "` other rules";
    case OverrideKind::kJwtRequirement:
      return "gives filter `" + change.filter + "` requirement `" + change.requirement + "`";
    default:
      return "changes filter `" + change.filter + "` in a way that cannot be seen through";
  }
}

class OverrideComparer {
 public:
  explicit OverrideComparer(DriftComparison& comparison) : c_(comparison) {}

  void Compare() {
    for (const ChainPair& pair : c_.pairs) {
      const HttpConnectionManager* manager = pair.got.manager;
      if (manager == nullptr) continue;
      const RouteConfiguration* routes = manager->routes.get();
      if (!manager->rds.empty()) routes = c_.dump.config->FindRoutes(manager->rds);
      if (routes == nullptr) continue;
      for (const Place& place : PlacesOf(*routes)) {
        const FilterOverride& change = *place.change;
        if (!MayDecide(change) || !Changes(pair.got, change)) continue;
        Ask(pair, place);
      }
    }
    for (auto& [change, found] : found_) Report(change, &found);
  }

 private:
  struct Found {
    std::set<std::string> places;
    std::string code, evidence;
    Span span;
    std::optional<Witness> witness;
  };

  static std::string HostFor(const Place& place) {
    if (place.host == nullptr || place.host->domains.empty()) return "x";
    std::string host = place.host->domains.front();
    if (host.starts_with('*')) host = "x" + host.substr(1);
    if (host.ends_with('*')) host = host.substr(0, host.size() - 1) + "x";
    return host;
  }

  static std::string PathFor(const Place& place) {
    if (place.route == nullptr || place.route->match.path_kind == RouteMatch::Path::kRegex) {
      return "/";
    }
    return place.route->match.path;
  }

  std::vector<ProxyRequest> RequestsFor(const ChainPair& pair, const Place& place) const {
    std::vector<ProxyRequest> seeds = SeedRequests(c_, pair);
    for (ProxyRequest& seed : seeds) {
      seed.authority = HostFor(place);
      seed.path = PathFor(place);
      if (place.route == nullptr) continue;
      for (const HeaderMatcher& header : place.route->match.headers) {
        if (header.kind != HeaderMatcher::Kind::kString) continue;
        if (header.name == ":method") seed.method = header.string.value;
        if (!header.name.starts_with(':')) {
          seed.headers.emplace_back(header.name, header.string.value);
        }
      }
    }
    Prober prober(seeds);
    for (const ChainView* view : {&pair.expected, &pair.got}) {
      for (const auto& [key, rule] : PoliciesOf(*view)) prober.Add(*rule.policy);
    }
    if (place.change->rbac != nullptr) {
      for (const auto* rules : {&place.change->rbac->rules, &place.change->rbac->shadow_rules}) {
        if (!*rules) continue;
        for (const auto& policy : (*rules)->policies) prober.Add(*policy);
      }
    }
    std::vector<ProxyRequest> requests = prober.Take();
    // A token that nobody signed shows a jwt_authn that is off; an authorizer that refuses shows
    // one that is not asked.
    for (const ProxyRequest& seed : seeds) {
      ProxyRequest bad = seed;
      bad.headers.emplace_back("authorization", "Bearer " + SignJwt("{}", "nobody's"));
      requests.push_back(std::move(bad));
      ProxyRequest refused = seed;
      refused.ext_authz = ExtAuthzAnswer::kDeny;
      requests.push_back(std::move(refused));
    }
    return requests;
  }

  void Ask(const ChainPair& pair, const Place& place) {
    const ProxySimulator expected(c_.expected), got(c_.dump.config);
    bool asked = false;
    for (const ProxyRequest& request : RequestsFor(pair, place)) {
      Verdict wanted = expected.Run(request), seen = got.Run(request);
      if (wanted.outcome == Outcome::kUndetermined || seen.outcome == Outcome::kUndetermined ||
          EndsBeforeRules(wanted) || EndsBeforeRules(seen)) {
        continue;
      }
      asked = true;
      if (wanted.outcome == seen.outcome && wanted.status == seen.status) continue;
      Found& found = Note(pair, place,
                          RequestText(request) + " gets " + VerdictText(seen) + " there and " +
                              VerdictText(wanted) + " by the manifests");
      if (!found.witness) found.witness = WitnessOf(c_, request, seen.outcome);
      return;
    }
    if (!asked) Note(pair, place, "no request could be asked of it");
  }

  Found& Note(const ChainPair& pair, const Place& place, const std::string& evidence) {
    const FilterOverride& change = *place.change;
    Found& found = found_[ChangeText(change)];
    found.places.insert(PlaceName(place) + " on " + PortText(*pair.got.chain));
    if (!found.evidence.empty()) return found;
    const bool rules =
        change.kind == OverrideKind::kRbac || change.kind == OverrideKind::kJwtRequirement;
    found.code = rules ? "MP0902" : "MP0904";
    found.evidence = evidence;
    found.span = change.span;
    return found;
  }

  void Report(const std::string& change, Found* found) {
    auto& difference =
        c_.Add(found->code, found->span,
               "the proxy of " + c_.who + " " + change + " in " + ListText(found->places) +
                   ", which no manifest does: " + found->evidence +
                   "; find the EnvoyFilter that writes it");
    difference.detail = c_.who + " override " + change;
    difference.witness = std::move(found->witness);
    if (difference.witness) difference.certainty = Certainty::kProven;
  }

  DriftComparison& c_;
  std::map<std::string, Found> found_;  // by what is changed
};

}  // namespace

void CompareOverrides(DriftComparison& comparison) {
  OverrideComparer(comparison).Compare();
}

}  // namespace meshproof

// Requests without a token that get through where tokens are verified. A RequestAuthentication
// refuses a bad token and lets a missing one pass (istio-semantics section 3), so only a rule can
// ask for one: an ALLOW rule with a request principal or claim, or a DENY rule for requests without
// one. What such rules miss is what the diagrams of the port let in without a token, route by
// route.
//
// Not reported is what somebody meant: paths that are public by name or that a DENY rule excepts,
// callers of the mesh of whom nobody ever asks a token, and what the gateway in front, or the
// workload behind it, asks a token for.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analyze/names.h"
#include "analyze/policy_lists.h"
#include "analyze/reach.h"
#include "analyze/rule.h"
#include "base/parallel.h"
#include "base/text.h"

namespace meshproof::token_not_required {
namespace {

using Field = Region::Field;
using Subject = PolicyList::Subject;
using Rule = AuthorizationPolicy::Rule;
using RuleName = std::pair<const AuthorizationPolicy*, size_t>;

constexpr size_t kMostRows = 4;

const JwtRule* FirstJwtRule(const Site& site, const RequestAuthentication** policy) {
  for (const RequestAuthentication* one : site.policies.request_authentications) {
    if (one->jwt_rules.empty()) continue;
    *policy = one;
    return &one->jwt_rules.front();
  }
  return nullptr;
}

bool HasToken(const std::vector<PolicyList>& lists, bool negative) {
  return std::any_of(lists.begin(), lists.end(), [&](const PolicyList& list) {
    return list.subject == Subject::kToken && list.negative == negative;
  });
}

// A rule that only says who calls.
Region CallersOf(const AuthorizationPolicy& policy, Rule rule) {
  rule.to.clear();
  for (AuthorizationPolicy::Source& source : rule.from) {
    source.request_principals = {};
    source.not_request_principals = {};
  }
  std::erase_if(rule.when, [](const AuthorizationPolicy::Condition& condition) {
    return !condition.key.value.starts_with("source.");
  });
  return RegionOf(rule, policy.meta.ns);
}

// A rule that only says which hosts and paths.
Region PlacesOf(const AuthorizationPolicy& policy, Rule rule) {
  rule.from.clear();
  rule.when.clear();
  for (AuthorizationPolicy::Operation& operation : rule.to) {
    operation.methods = {};
    operation.not_methods = {};
  }
  return RegionOf(rule, policy.meta.ns);
}

// Paths that are open on purpose wherever they are seen.
bool IsPublicByName(std::string_view path) {
  static constexpr std::string_view kWords[] = {
      "health", "ready",  "live",    "status", "ping",     "version", "metrics", "well-known",
      "login",  "logout", "oauth",   "oidc",   "callback", "signin",  "sign-in", "signup",
      "static", "assets", "favicon", "robots", "public",   "jwks",    "openid"};
  std::string lower = ToLower(path);
  return std::any_of(std::begin(kWords), std::end(kWords),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

bool IsWide(std::string_view path) {
  return path == "*" || path == "/*" || path == "/{**}" || path.starts_with('*');
}

// How much the author said that a rule opens.
enum class Meant { kOpen, kNarrow, kPublic };

Meant WhatIsMeant(const Rule& rule) {
  if (rule.to.empty()) return Meant::kOpen;
  bool narrow = true;
  bool open_by_name = true;
  for (const AuthorizationPolicy::Operation& operation : rule.to) {
    const std::vector<Text>& methods = operation.methods.values;
    bool preflight = methods.size() == 1 && methods.front().value == "OPTIONS";
    const std::vector<Text>& paths = operation.paths.values;
    if (preflight) continue;
    if (paths.empty()) return Meant::kOpen;
    for (const Text& path : paths) {
      narrow = narrow && !IsWide(path.value);
      open_by_name = open_by_name && IsPublicByName(path.value);
    }
  }
  if (open_by_name) return Meant::kPublic;
  return narrow ? Meant::kNarrow : Meant::kOpen;
}

std::string ListOr(const std::vector<std::string>& values, const std::string& otherwise) {
  return values.empty() ? otherwise : ListNames(values);
}

// "GET, HEAD on any path of shop.example.org, from edge/edge-gateway".
std::string RowText(const ExposureRow& row) {
  std::string text = ListOr(row.methods, "any method") + " on ";
  std::vector<std::string> paths = row.paths;
  std::vector<std::string> others;
  constexpr std::string_view kRoute = "route path ";
  for (const std::string& condition : row.conditions) {
    if (condition.starts_with(kRoute)) {
      paths.push_back(condition.substr(kRoute.size()));
    } else {
      others.push_back(condition);
    }
  }
  text += ListOr(paths, "any path");
  if (!row.hosts.empty()) text += " of " + ListNames(row.hosts);
  if (!row.from.empty()) {
    text += ", from " + ListNames(row.from);
  } else if (row.peer == ExposureRow::Peer::kAnyone) {
    text += ", from anybody";
  }
  if (!others.empty()) text += ", where " + ListNames(others);
  if (!row.destination.empty()) text += ", to " + row.destination;
  std::vector<std::string> except;
  for (const auto& exception : row.except) except.push_back(exception.text);
  if (!except.empty()) text += " (except " + ListNames(except) + ")";
  return text;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), reach_(*analysis.reach) {}

  void Run() {
    std::vector<Place> places;
    for (const Site& site : reach_.Sites()) {
      const RequestAuthentication* tokens = nullptr;
      if (FirstJwtRule(site, &tokens) == nullptr) continue;
      for (int port : CalledHttpPorts(site)) places.push_back(PlaceOf(site, *tokens, port));
    }
    if (!places.empty()) AskingGateways();
    std::vector<std::vector<Opening>> openings(places.size());
    ParallelFor(places.size(), [&](size_t i) { openings[i] = OpeningsOf(places[i]); });
    for (size_t i = 0; i < places.size(); ++i) {
      const bool gateway = places[i].site->workload().mode == ProxyMode::kGateway;
      for (Opening& opening : openings[i]) {
        if (gateway && BehindAsks(opening.row)) continue;
        Add(places[i], std::move(opening));
      }
    }
    for (const auto& [key, gap] : gaps_) Report(gap);
  }

 private:
  // What asks for tokens at a site.
  struct Demands {
    std::vector<RuleName> allow, deny;
    bool any() const { return !allow.empty() || !deny.empty(); }
  };

  struct Gap {
    const RequestAuthentication* tokens = nullptr;
    const AuthorizationPolicy* policy = nullptr;  // the ALLOW rule that opens it; null: none
    size_t rule = 0;
    bool narrow = false;    // the author named the paths
    bool demanded = false;  // something at the workload asks for tokens
    std::vector<const Site*> sites;
    std::vector<std::string> rows;
    size_t more = 0;
    std::vector<const Route*> routes;
    std::shared_ptr<const Example> example;
    const Site* site = nullptr;
    int port = 0;
  };

  std::vector<int> CalledHttpPorts(const Site& site) const {
    std::vector<int> ports;
    for (const InboundPort& port : site.declared) {
      if (IsHttp(port.protocol) || port.protocol == Protocol::kAuto) ports.push_back(port.port);
    }
    return site.declared.empty() ? reach_.CalledPorts(site) : ports;
  }

  static Demands DemandsOf(const Site& site) {
    Demands demands;
    auto collect = [](const std::vector<const AuthorizationPolicy*>& policies, bool negative,
                      std::vector<RuleName>* out) {
      for (const AuthorizationPolicy* policy : policies) {
        if (policy->dry_run) continue;
        for (size_t i = 0; i < policy->rules.size(); ++i) {
          if (HasToken(ListsOf(policy->rules[i]), negative)) out->push_back({policy, i});
        }
      }
    };
    collect(site.policies.allow, false, &demands.allow);
    collect(site.policies.deny, true, &demands.deny);
    return demands;
  }

  // What DENY rules for requests without a token leave out by name.
  static Region Excepted(const Demands& demands) {
    std::vector<Region> any;
    for (const auto& [policy, index] : demands.deny) {
      for (const AuthorizationPolicy::Operation& operation : policy->rules[index].to) {
        any.push_back(AnyOfField(Field::kPath, operation.not_paths));
        any.push_back(AnyOfField(Field::kMethod, operation.not_methods));
        any.push_back(AnyOfField(Field::kHost, operation.not_hosts));
      }
    }
    return Region::Or(std::move(any));
  }

  // Gateways that let no request without a token through: who comes from there had one.
  const std::vector<std::string>& AskingGateways() {
    if (asking_gateways_) return *asking_gateways_;
    asking_gateways_.emplace();
    gateways_.emplace();
    for (const Workload& workload : analysis_.mesh.workloads()) {
      if (workload.mode != ProxyMode::kGateway || workload.identity.empty()) continue;
      std::string identity = workload.identity.substr(workload.identity.find("//") + 2);
      gateways_->push_back(identity);
      if (AsksForTokens(workload)) asking_gateways_->push_back(identity);
    }
    return *asking_gateways_;
  }

  bool AsksForTokens(const Workload& workload) {
    auto [known, added] = asks_.try_emplace(&workload, false);
    if (!added) return known->second;
    const PolicySet policies = analysis_.mesh.PoliciesFor(workload);
    bool verifies = std::any_of(
        policies.request_authentications.begin(), policies.request_authentications.end(),
        [](const RequestAuthentication* one) { return !one->jwt_rules.empty(); });
    if (!verifies) return false;
    Region without = Region::Not(Region::Is(Field::kToken));
    if (workload.mode == ProxyMode::kGateway) {
      without = Region::And({without, Region::Is(Field::kRouted)});
    }
    bool closed = true;
    std::vector<int> ports;
    for (const InboundPort& port : analysis_.mesh.InboundPorts(workload)) {
      if (IsHttp(port.protocol) || port.protocol == Protocol::kAuto) ports.push_back(port.port);
    }
    if (workload.mode == ProxyMode::kGateway) ports = reach_.reasoner().Ports(workload);
    for (int port : ports) {
      closed = closed && reach_.reasoner().Find(workload, port, without, Wanted::kAllowed).empty();
    }
    known->second = closed && !ports.empty();
    return known->second;
  }

  // Whether all that a gateway's route leads to asks for tokens itself.
  bool BehindAsks(const ExposureRow& row) {
    if (row.route == nullptr || row.route->clusters.empty()) return false;
    for (const WeightedCluster& cluster : row.route->clusters) {
      std::vector<std::string_view> parts = Split(cluster.cluster, '|');
      if (parts.size() != 4) return false;
      const MeshService* service = analysis_.mesh.FindService(parts[3]);
      if (service == nullptr || service->workloads.empty()) return false;
      for (size_t index : service->workloads) {
        if (!AsksForTokens(analysis_.mesh.workloads()[index])) return false;
      }
    }
    return true;
  }

  // A port that is asked about.
  struct Place {
    const Site* site = nullptr;
    const RequestAuthentication* tokens = nullptr;
    int port = 0;
    Demands demands;
    Region open;  // what should not get through
  };

  struct Opening {
    RuleName rule{nullptr, 0};  // the ALLOW rule; null: none
    bool narrow = false;        // the author named the paths, and nothing asks for tokens there
    ExposureRow row;
  };

  Place PlaceOf(const Site& site, const RequestAuthentication& tokens, int port) {
    Place place{&site, &tokens, port, DemandsOf(site), Region::All()};
    std::vector<Region> all = {Region::Not(Region::Is(Field::kToken)),
                               Region::Not(Excepted(place.demands))};
    if (site.workload().mode == ProxyMode::kGateway) {
      all.push_back(Region::Is(Field::kRouted));
    } else {
      const std::vector<std::string>& asking = AskingGateways();
      if (!asking.empty()) all.push_back(Region::Not(Region::AnyOf(Field::kIdentity, asking)));
    }
    place.open = Region::And(std::move(all));
    return place;
  }

  // The ways in that should ask for a token and do not.
  std::vector<Opening> OpeningsOf(const Place& place) const {
    const Workload& workload = place.site->workload();
    std::vector<Opening> openings;
    if (!reach_.Find(workload, place.port, place.open, Wanted::kAllowed).found()) return openings;
    Exposure exposure = reach_.reasoner().ExposureOf(workload, place.port, place.open);
    for (ExposureRow& row : exposure.rows) {
      if (!row.http || row.token || !row.example) continue;
      Opening opening;
      if (!row.rules.empty()) {
        opening.rule = PolicyOf(*place.site, *row.rules.front());
        const auto& [policy, index] = opening.rule;
        if (policy == nullptr) continue;
        Meant meant = WhatIsMeant(policy->rules[index]);
        if (meant == Meant::kPublic) continue;
        opening.narrow = meant == Meant::kNarrow && !OverlapsDemand(place, opening.rule);
      }
      if (!IsAskedElsewhere(place, opening.rule, row)) continue;
      opening.row = std::move(row);
      openings.push_back(std::move(opening));
    }
    return openings;
  }

  static RuleName PolicyOf(const Site& site, const RbacPolicy& rule) {
    for (const AuthorizationPolicy* policy : site.policies.allow) {
      auto index = static_cast<size_t>(rule.origin.rule);
      if (&policy->meta == rule.origin.object && rule.origin.rule >= 0 &&
          index < policy->rules.size()) {
        return {policy, index};
      }
    }
    return {nullptr, 0};
  }

  static Region Of(const RuleName& name) {
    return Region::Rule(name.first->meta, static_cast<int>(name.second));
  }

  // Whether a rule that asks for tokens is about the same hosts and paths.
  bool OverlapsDemand(const Place& place, const RuleName& opener) const {
    std::vector<Region> asked;
    for (const auto& [policy, index] : place.demands.allow) {
      asked.push_back(PlacesOf(*policy, policy->rules[index]));
    }
    if (asked.empty()) return false;
    return LetsIn(place, Region::And({place.open, Of(opener), Region::Or(std::move(asked))}));
  }

  bool LetsIn(const Place& place, const Region& region) const {
    const Workload& workload = place.site->workload();
    return reach_.reasoner().Find(workload, place.port, region, Wanted::kAllowed).found();
  }

  // Whether these are callers of whom tokens are asked: by another rule, or, where no rule asks for
  // any, those from outside.
  bool IsAskedElsewhere(const Place& place, const RuleName& opener, const ExposureRow& row) const {
    const Demands& demands = place.demands;
    Region let_in = opener.first == nullptr ? place.open : Region::And({place.open, Of(opener)});
    std::vector<Region> asked;
    for (const auto* rules : {&demands.allow, &demands.deny}) {
      for (const auto& [policy, index] : *rules) {
        asked.push_back(CallersOf(*policy, policy->rules[index]));
      }
    }
    if (!asked.empty()) return LetsIn(place, Region::And({let_in, Region::Or(std::move(asked))}));
    const bool gateway = place.site->workload().mode == ProxyMode::kGateway;
    if (gateway || row.peer != ExposureRow::Peer::kNamed) return true;
    return LetsIn(place, Region::And({let_in, Region::AnyOf(Field::kIdentity, *gateways_)}));
  }

  void Add(const Place& place, Opening opening) {
    const auto& [policy, rule] = opening.rule;
    std::pair<const void*, size_t> key = {
        policy != nullptr ? static_cast<const void*>(policy) : place.tokens, rule};
    auto [found, added] = gaps_.try_emplace(key);
    Gap& gap = found->second;
    ExposureRow& row = opening.row;
    if (added) {
      gap.tokens = place.tokens;
      gap.policy = policy;
      gap.rule = rule;
      gap.narrow = opening.narrow;
      gap.demanded = place.demands.any();
      gap.site = place.site;
      gap.port = place.port;
      gap.example = std::move(row.example);
    }
    gap.narrow = gap.narrow && opening.narrow;
    if (std::find(gap.sites.begin(), gap.sites.end(), place.site) == gap.sites.end()) {
      gap.sites.push_back(place.site);
    }
    std::string text = RowText(row);
    bool known = std::find(gap.rows.begin(), gap.rows.end(), text) != gap.rows.end();
    if (!known && gap.rows.size() < kMostRows) {
      gap.rows.push_back(std::move(text));
    } else if (!known) {
      ++gap.more;
    }
    if (row.route != nullptr) gap.routes.push_back(row.route);
  }

  std::string WhatIsOpen(const Gap& gap) const {
    std::string text = Join(gap.rows, "; ");
    if (gap.more > 0) text += "; and " + std::to_string(gap.more) + " more";
    return text;
  }

  void Report(const Gap& gap) {
    Finding& finding = gap.policy != nullptr ? ReportRule(gap) : ReportTokens(gap);
    if (gap.narrow) finding.severity = Severity::kInfo;
    finding.detail = "token";
    for (const Route* route : gap.routes) {
      if (finding.related.size() == 5 || !route->origin.span) continue;
      finding.related.push_back({route->origin.span, "this route is open without a token"});
    }
    AddWaysIn(gap, &finding);
    if (gap.example) AttachExample(analysis_, *gap.example, &finding);
  }

  Finding& ReportRule(const Gap& gap) {
    const Rule& rule = gap.policy->rules[gap.rule];
    Span span = rule.span;
    std::string way = gap.demanded ? "tokens are asked for elsewhere and not here"
                                   : "a missing token is no error to the RequestAuthentication";
    Finding& finding = reporter_.Report(
        gap.policy->meta, span,
        "this rule needs no token at " + NamesOf(gap.sites) + ", where tokens of `" +
            std::string(gap.tokens->jwt_rules.front().issuer.value) + "` are verified: " + way +
            ", so without one are reachable " + WhatIsOpen(gap) +
            "; add `requestPrincipals` to the rule, or a DENY rule with `notRequestPrincipals: "
            "[\"*\"]`");
    finding.related.push_back({gap.tokens->meta.span, "verifies the tokens that are there"});
    finding.field_path = "spec.rules[" + std::to_string(gap.rule) + "]";
    finding.fix = "Add `requestPrincipals: [\"" +
                  std::string(gap.tokens->jwt_rules.front().issuer.value) +
                  "/*\"]` to the rule's source.";
    return finding;
  }

  Finding& ReportTokens(const Gap& gap) {
    Span span = gap.tokens->jwt_rules.front().issuer.span;
    std::string way = gap.demanded
                          ? "the rules that ask for one at " + NamesOf(gap.sites) + " miss "
                          : "a missing token is no error and no rule at " + NamesOf(gap.sites) +
                                " asks for one: ";
    std::string rest = gap.demanded ? "" : " are reachable";
    Finding& finding = reporter_.Report(
        gap.tokens->meta, span,
        "tokens are verified and not required: " + way + WhatIsOpen(gap) + rest +
            "; add an AuthorizationPolicy that denies `notRequestPrincipals: [\"*\"]`");
    for (const auto& [policy, index] : DemandsOf(*gap.site).deny) {
      finding.related.push_back({policy->rules[index].span, "asks for a token, and not for all"});
    }
    finding.field_path = "spec.jwtRules[0].issuer";
    finding.fix = "Add a DENY rule with `notRequestPrincipals: [\"*\"]` for the same workloads.";
    return finding;
  }

  // Through which gateways and routes somebody outside gets there.
  void AddWaysIn(const Gap& gap, Finding* finding) {
    if (gap.site->workload().mode == ProxyMode::kGateway) return;
    auto service = analysis_.mesh.ServiceForPort(gap.site->workload(), gap.port);
    if (!service) return;
    std::set<const Route*> known;
    for (const Workload& workload : analysis_.mesh.workloads()) {
      if (workload.mode != ProxyMode::kGateway) continue;
      for (int port : reach_.reasoner().Ports(workload)) {
        for (const ExposureRow& row : OpenWays(workload, port, service->first->host)) {
          if (row.route == nullptr || !row.route->origin.span || finding->related.size() >= 5)
            continue;
          if (!known.insert(row.route).second) continue;
          finding->related.push_back(
              {row.route->origin.span, "leads here from outside, through " + workload.ns + "/" +
                                           workload.name + ": " + RowText(row)});
        }
      }
    }
  }

  // What a gateway's port lets through to a Service without a token.
  std::vector<ExposureRow> OpenWays(const Workload& gateway, int port, const std::string& host) {
    // Where many ask, the ways to all Services are asked for once: no request takes two routes.
    constexpr size_t kMany = 8;
    if (gaps_.size() >= kMany) {
      auto [found, is_new] = open_ways_.try_emplace({&gateway, port});
      if (is_new) found->second = WaysByHost(ExposureTo(gateway, port, ""));
      if (found->second) return (*found->second)[host];
    }
    return ExposureTo(gateway, port, host).rows;
  }

  Exposure ExposureTo(const Workload& gateway, int port, const std::string& host) const {
    return reach_.reasoner().ExposureOf(
        gateway, port,
        Region::And({Region::Not(Region::Is(Field::kToken)), Region::Is(Field::kRouted, host)}));
  }

  using RowsByHost = std::map<std::string, std::vector<ExposureRow>, std::less<>>;

  // Nothing where the rows are not all.
  static std::optional<RowsByHost> WaysByHost(const Exposure& exposure) {
    if (!exposure.complete) return std::nullopt;
    RowsByHost ways;
    for (const ExposureRow& row : exposure.rows) {
      if (row.route == nullptr) return std::nullopt;
      std::set<std::string_view> hosts;
      for (const WeightedCluster& cluster : row.route->clusters) {
        hosts.insert(std::string_view(cluster.cluster).substr(cluster.cluster.rfind('|') + 1));
      }
      for (std::string_view host : hosts) ways[std::string(host)].push_back(row);
    }
    return ways;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const Reach& reach_;
  std::optional<std::vector<std::string>> asking_gateways_, gateways_;
  std::map<const Workload*, bool> asks_;
  std::map<std::pair<const void*, size_t>, Gap> gaps_;
  std::map<std::pair<const Workload*, int>, std::optional<RowsByHost>> open_ways_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::token_not_required

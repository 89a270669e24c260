// Routes that an earlier one takes everything of. Envoy takes the first route of a virtual host
// that matches; istiod keeps the order of spec.http and stops at the first entry without a
// condition, and sorts the rules of Gateway API routes by the precedence of their matches. TLS
// routes are filter chains, of which istiod drops one whose SNI host is taken; of TCP routes the
// first that applies counts.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/route_space.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "proxy/virtual_service.h"

namespace meshproof::shadowed_route {
namespace {

constexpr size_t kMostNamed = 3;

bool NamesIdentity(std::string_view header) {
  const std::string name = ToLower(header);
  for (std::string_view part : {"auth", "token", "cookie", "user", "identity", "client-cert"}) {
    if (name.find(part) != std::string::npos) return true;
  }
  return false;
}

bool Refuses(const HttpRoute& route) {
  return (route.has_direct_response && route.direct_response_status >= 400) ||
         route.has_fault_abort;
}

// A route that people rely on: it refuses, asks for claims, or changes what says who calls.
bool IsSecurityRelevant(const HttpRoute& route) {
  if (Refuses(route) && route.made_from == nullptr) return true;
  for (const HttpMatch& match : route.matches) {
    for (const auto* headers : {&match.headers, &match.without_headers}) {
      for (const auto& [name, value] : *headers) {
        if (StartsWithIgnoreCase(name.value, "@request.auth.claims")) return true;
      }
    }
  }
  for (const auto* headers : {&route.request_headers_set, &route.request_headers_add}) {
    for (const auto& [name, value] : *headers) {
      if (NamesIdentity(name.value)) return true;
    }
  }
  for (const Text& name : route.request_headers_remove.values) {
    if (NamesIdentity(name.value)) return true;
  }
  return false;
}

std::string SayAction(const HttpRoute& route) {
  if (route.has_redirect) return "is redirected";
  if (route.has_direct_response) {
    return "is answered " + std::to_string(route.direct_response_status);
  }
  if (route.routes.empty()) return "leads nowhere";
  return "goes to " + std::string(route.routes.front().destination.host.value);
}

struct Entry {
  const EffectiveHttpRoute* route = nullptr;
  const HttpMatch* match = nullptr;  // null: takes everything
  Expr expr = kAlways;
  RouteSpace::Node node = Bdd::kFalse;

  Span span() const { return match != nullptr ? match->span : route->route.span; }
  bool SameRule(const Entry& other) const {
    return route->object == other.route->object && route->index == other.route->index;
  }
  bool made() const { return route->route.made_from != nullptr; }
  std::string Name() const {
    std::string name = made() ? "rules[" : "http[";
    name += std::to_string(route->index) + "]";
    if (!made() && !route->route.name.value.empty()) {
      name += " (`" + std::string(route->route.name.value) + "`)";
    }
    return name;
  }
  // As seen from an entry of `object`.
  std::string NameFrom(const ObjectMeta* object) const {
    if (object == route->object) return Name();
    return Name() + " of " + std::string(route->object->kind) + " " + route->object->ns + "/" +
           std::string(route->object->name);
  }
};

std::string ScopeOf(const L4Match& match, const std::string& more = {}) {
  std::string scope = "port " + std::to_string(match.port);
  for (const auto& [key, value] : match.source_labels) scope += "\n" + key + "=" + value;
  for (const Text& gateway : match.gateways.values)
    scope += "\ngateway " + std::string(gateway.value);
  return scope + more;
}

using Keys = std::vector<std::vector<std::string>>;  // each is covered by any of its keys

Keys TlsKeys(const L4Match& match, const std::string& more) {
  Keys keys;
  for (const Text& host : match.sni_hosts.values) {
    keys.push_back({ToLower(host.value) + "\n" + ScopeOf(match, more)});
    keys.back().push_back(ToLower(host.value) + "\n" + ScopeOf(L4Match{}));
  }
  return keys.empty() ? Keys{{ScopeOf(match, more)}} : keys;
}

Keys TcpKeys(const L4Match& match, const std::string& more) {
  L4Match every;
  std::vector<std::string> wider = {ScopeOf(match, more), ScopeOf(every)};
  if (match.destination_subnets.empty()) return {wider};
  Keys keys;
  for (const Text& subnet : match.destination_subnets.values) {
    keys.push_back({std::string(subnet.value) + "\n" + ScopeOf(match, more)});
    keys.back().insert(keys.back().end(), wider.begin(), wider.end());
  }
  return keys;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void CheckHttp(const VirtualService& service) {
    const std::vector<EffectiveHttpRoute> routes = ResolveHttpRoutes(analysis_.mesh, service);
    gateways_ = GatewaysOf(service);
    service_ = &service;
    std::vector<Entry> entries;
    RouteSpace space;
    for (const EffectiveHttpRoute& route : routes) {
      if (route.route.matches.empty()) entries.push_back({&route, nullptr, kAlways, Bdd::kFalse});
      for (const HttpMatch& match : route.route.matches) {
        entries.push_back(
            {&route, &match, space.Add(match, service.meta.ns, gateways_), Bdd::kFalse});
      }
    }
    if (entries.size() < 2 || !space.Build()) return;
    for (Entry& entry : entries) entry.node = space.ToNode(entry.expr);
    std::vector<bool> dead(entries.size(), false);
    RouteSpace::Node taken = Bdd::kFalse;
    for (size_t i = 0; i < entries.size(); ++i) {
      dead[i] = space.bdd().Diff(entries[i].node, taken) == Bdd::kFalse;
      taken = space.bdd().Or(taken, entries[i].node);
    }
    if (space.bdd().exhausted()) return;
    for (size_t begin = 0; begin < entries.size();) {
      if (!dead[begin]) {
        if (!space.opaque()) CheckPartly(entries, begin, &space);
        ++begin;
        continue;
      }
      size_t end = begin + 1;
      // All of a rule's matches in a row.
      const bool first = begin == 0 || !entries[begin - 1].SameRule(entries[begin]);
      while (end < entries.size() && dead[end] && entries[end].SameRule(entries[begin])) ++end;
      const bool last = end == entries.size() || !entries[end].SameRule(entries[begin]);
      if (first && last && !OthersOfRule(entries, begin, end)) {
        ReportRule(entries, begin, end, &space);
      } else {
        for (size_t i = begin; i < end; ++i) ReportMatch(entries, i, &space);
      }
      begin = end;
    }
  }

  // Conditions that the model does not hold.
  static std::string MoreOf(const VirtualService& service, const char* list, size_t rule,
                            size_t match) {
    const std::span<const Node> rules = ListItems(NodeAt(service.meta.node, {"spec", list}));
    if (rule >= rules.size()) return "";
    const std::span<const Node> matches = ListItems(NodeAt(&rules[rule], {"match"}));
    if (match >= matches.size()) return "";
    std::string more;
    for (const char* field : {"sourceNamespace", "sourceSubnet", "sourceSubnets"}) {
      const Node* node = NodeAt(&matches[match], {field});
      if (node != nullptr) more += "\n" + std::string(field) + " " + std::string(node->text);
    }
    return more;
  }

  template <typename Key>
  void CheckL4(const VirtualService& service, const std::vector<L4Route>& routes, const char* list,
               Key key_of) {
    std::map<std::string, size_t> seen;  // what is taken, by which rule
    for (size_t i = 0; i < routes.size(); ++i) {
      std::vector<L4Match> matches = routes[i].matches;
      if (matches.empty()) matches.emplace_back();
      size_t dead = 0;
      std::vector<std::pair<size_t, size_t>> covered;  // match, rule
      for (size_t m = 0; m < matches.size(); ++m) {
        size_t by = i;
        bool all = true;
        const std::string more = MoreOf(service, list, i, m);
        const Keys wanted = key_of(matches[m], more);
        for (const std::vector<std::string>& keys : wanted) {
          bool one = false;
          for (const std::string& key : keys) {
            auto found = seen.find(key);
            if (found == seen.end()) continue;
            one = true;
            by = std::min(by, found->second);
          }
          all = all && one;
        }
        if (all) {
          ++dead;
          covered.emplace_back(m, by);
        }
        for (const std::vector<std::string>& keys : wanted) seen.emplace(keys.front(), i);
      }
      const std::string name = std::string(list) + "[" + std::to_string(i) + "]";
      if (dead == matches.size()) {
        const std::string by = std::string(list) + "[" + std::to_string(covered.front().second);
        Finding& finding = ReportAt(
            reporter_, service.meta, routes[i].span,
            "no connection takes " + name + ": " + by +
                "] before it takes every one that it matches; remove one of the two, or narrow "
                "the first",
            "Remove one of the two routes.");
        finding.istioctl_codes = {"IST0130"};
        finding.related.push_back({routes[covered.front().second].span, "takes them first"});
        continue;
      }
      for (const auto& [match, by] : covered) {
        Finding& finding = ReportAt(
            reporter_, service.meta, matches[match].span ? matches[match].span : routes[i].span,
            "match " + std::to_string(match) + " of " + name + " never counts: " + list + "[" +
                std::to_string(by) + "] takes every connection that it matches; remove it",
            "Remove the match.");
        finding.istioctl_codes = {"IST0131"};
        if (by == i) finding.severity = Severity::kInfo;
        finding.related.push_back({routes[by].span, "takes them first"});
      }
    }
  }

 private:
  // Whether the rule has matches outside [begin, end): routes of the Gateway API are sorted.
  static bool OthersOfRule(const std::vector<Entry>& entries, size_t begin, size_t end) {
    if (!entries[begin].made()) return false;
    for (size_t i = 0; i < entries.size(); ++i) {
      if ((i < begin || i >= end) && entries[i].SameRule(entries[begin])) return true;
    }
    return false;
  }

  // Earlier entries that together take all of `node`: one if possible. Ascending.
  static std::vector<size_t> Covering(const std::vector<Entry>& entries, size_t before,
                                      RouteSpace::Node node, Bdd* bdd) {
    for (size_t i = 0; i < before; ++i) {
      if (bdd->Diff(node, entries[i].node) == Bdd::kFalse) return {i};
    }
    std::vector<size_t> by;
    for (size_t i = 0; i < before && node != Bdd::kFalse; ++i) {
      const RouteSpace::Node rest = bdd->Diff(node, entries[i].node);
      if (rest != node) by.push_back(i);
      node = rest;
    }
    return by;
  }

  static std::string SayNames(const std::vector<Entry>& entries, const std::vector<size_t>& by,
                              const ObjectMeta* object) {
    std::vector<std::string> names;
    for (size_t i : by) {
      std::string name = entries[i].NameFrom(object);
      if (names.empty() || names.back() != name) names.push_back(std::move(name));
    }
    return ListNames(names, kMostNamed);
  }

  bool SaidBefore(const Entry& entry, Span span, const char* what) {
    const std::string key = std::string(what) + ToString(*entry.route->object) + "|" +
                            std::to_string(entry.route->index) + "|" + std::to_string(span.begin);
    return !said_.insert(key).second;
  }

  void ReportRule(const std::vector<Entry>& entries, size_t begin, size_t end, RouteSpace* space) {
    const Entry& entry = entries[begin];
    const ObjectMeta& object = *entry.route->object;
    const Span span = entry.route->route.span;
    if (SaidBefore(entry, span, "rule")) return;
    RouteSpace::Node all = Bdd::kFalse;
    for (size_t i = begin; i < end; ++i) all = space->bdd().Or(all, entries[i].node);
    if (all == Bdd::kFalse) return Impossible(entry, span);
    const std::vector<size_t> by = Covering(entries, begin, all, &space->bdd());
    const Entry& cover = entries[by.front()];
    const RouteExample example = space->Pick(space->bdd().And(all, cover.node));
    Finding& finding = ReportAt(
        reporter_, object, span,
        "no request takes " + entry.Name() + ": " + SayNames(entries, by, &object) + " before it " +
            (by.size() == 1 ? "takes" : "take") + " every request that it matches, so " +
            ToString(example) + " " + SayAction(cover.route->route) +
            " where this one says that it " + SayAction(entry.route->route) + "; " + Advice(entry),
        entry.made() ? "Remove one of the two rules, or make them match different requests."
                     : "Put the route in front of those that take its requests.");
    finding.istioctl_codes = {"IST0130"};
    Finish(entry, cover, by, entries, example, &finding);
  }

  static std::string Advice(const Entry& entry) {
    return entry.made() ? "make the rules match different requests"
                        : "put it in front, or narrow what comes before";
  }

  void ReportMatch(const std::vector<Entry>& entries, size_t at, RouteSpace* space) {
    const Entry& entry = entries[at];
    const ObjectMeta& object = *entry.route->object;
    if (SaidBefore(entry, entry.span(), "match")) return;
    if (entry.node == Bdd::kFalse) return Impossible(entry, entry.span());
    const std::vector<size_t> by = Covering(entries, at, entry.node, &space->bdd());
    const bool own =
        std::all_of(by.begin(), by.end(), [&](size_t i) { return entries[i].SameRule(entry); });
    const Entry& cover = entries[by.front()];
    const RouteExample example = space->Pick(space->bdd().And(entry.node, cover.node));
    std::string message = "this match of " + entry.Name() + " never counts: ";
    if (own) {
      message += "another match of the same route takes every request that it matches; remove it";
    } else {
      message += SayNames(entries, by, &object) + " before it " +
                 (by.size() == 1 ? "takes" : "take") + " every request that it matches, so " +
                 ToString(example) + " " + SayAction(cover.route->route) +
                 " where this one says that it " + SayAction(entry.route->route) + "; " +
                 Advice(entry);
    }
    Finding& finding = ReportAt(reporter_, object, entry.span(), std::move(message),
                                own ? "Remove the match." : "Narrow what comes before.");
    finding.istioctl_codes = {"IST0131"};
    if (own) {
      finding.severity = Severity::kInfo;
      finding.related.push_back({cover.span(), "takes the same requests"});
      return;
    }
    Finish(entry, cover, by, entries, example, &finding);
  }

  // What one match asks can never hold.
  void Impossible(const Entry& entry, Span span) {
    Finding& finding =
        ReportAt(reporter_, *entry.route->object, span,
                 "no request takes " + entry.Name() +
                     ": what its match asks for excludes each other; remove one of the conditions",
                 "Remove one of the conditions.");
    finding.istioctl_codes = {"IST0130"};
    if (IsSecurityRelevant(entry.route->route)) finding.severity = Severity::kError;
  }

  // A route that refuses, of whose requests some are forwarded by an earlier one that is no mere
  // exception to it.
  void CheckPartly(const std::vector<Entry>& entries, size_t at, RouteSpace* space) {
    const Entry& entry = entries[at];
    if (!Refuses(entry.route->route) || entry.made()) return;
    Bdd& bdd = space->bdd();
    RouteSpace::Node before = Bdd::kFalse;
    for (size_t i = 0; i < at; ++i) {
      const Entry& first = entries[i];
      const RouteSpace::Node both = bdd.Diff(bdd.And(entry.node, first.node), before);
      before = bdd.Or(before, first.node);
      const bool exception = bdd.Diff(first.node, entry.node) == Bdd::kFalse;
      if (both == Bdd::kFalse || exception || first.route->route.routes.empty() ||
          Refuses(first.route->route) || first.route->route.has_redirect) {
        continue;
      }
      if (bdd.exhausted() || SaidBefore(entry, entry.span(), "partly")) return;
      const ObjectMeta& object = *entry.route->object;
      const RouteExample example = space->Pick(both);
      Finding& finding = ReportAt(reporter_, object, entry.span(),
                                  entry.Name() + " refuses only a part of what it matches: " +
                                      first.NameFrom(&object) + " before it takes some of it, so " +
                                      ToString(example) + " " + SayAction(first.route->route) +
                                      " instead of being refused; put the refusing route "
                                      "in front",
                                  "Put the refusing route in front of those that forward.");
      finding.istioctl_codes.emplace();
      Finish(entry, first, {i}, entries, example, &finding);
      return;
    }
  }

  void Finish(const Entry& entry, const Entry& cover, const std::vector<size_t>& by,
              const std::vector<Entry>& entries, const RouteExample& example, Finding* finding) {
    if (IsSecurityRelevant(entry.route->route)) finding->severity = Severity::kError;
    for (size_t i = 0; i < by.size() && i < kMostNamed; ++i) {
      finding->related.push_back({entries[by[i]].span(), "takes the requests first"});
    }
    Show(cover, example, finding);
  }

  // Asks a gateway that the routes are bound to; kept where the request takes the other route.
  void Show(const Entry& cover, const RouteExample& example, Finding* finding) {
    if (!gateway_workloads_known_) FindGatewayWorkloads();
    if (service_->hosts.values.empty()) return;
    for (const std::string& name : gateways_) {
      if (!example.gateway.empty() && name != example.gateway) continue;
      for (auto [it, end] = servers_.equal_range(name); it != end; ++it) {
        const auto& [workload, bound] = it->second;
        if (example.port != 0 && example.port != bound.server->port) continue;
        Case question;
        question.name = "a request that another route takes";
        question.from_outside = true;
        question.to_workload = workload->ns + "/" + workload->name;
        question.to_port = bound.listen_port;
        question.method = example.method;
        question.path = example.path;
        question.headers = example.headers;
        question.host = example.authority.empty() ? SampleHost(service_->hosts.values.front().value)
                                                  : example.authority;
        if (bound.server->tls && !bound.server->tls->https_redirect) {
          question.sni = question.host;
        } else {
          question.tls = CaseTls::kPlaintext;
        }
        question.now = analysis_.now;
        auto verdict = analysis_.world.Run(question, World::Addresses::kAssume, Detail::kTrace);
        if (!verdict.ok() || !Took(cover.route->route, verdict.value())) continue;
        finding->witness = Witness{std::move(question), verdict.Take()};
        finding->certainty = Certainty::kProven;
        return;
      }
    }
  }

  static bool Took(const HttpRoute& route, const Verdict& verdict) {
    if (route.has_direct_response) return verdict.status == route.direct_response_status;
    if (route.has_redirect) return verdict.status / 100 == 3;
    if (route.routes.empty() || verdict.outcome != Outcome::kAllow) return false;
    return std::any_of(route.routes.begin(), route.routes.end(), [&](const auto& to) {
      const std::string_view host = to.destination.host.value;
      return verdict.cluster.find(host.substr(0, host.find('.'))) != std::string::npos;
    });
  }

  void FindGatewayWorkloads() {
    gateway_workloads_known_ = true;
    for (const Workload& workload : analysis_.mesh.workloads()) {
      if (workload.mode != ProxyMode::kGateway) continue;
      for (const Mesh::BoundServer& bound : analysis_.mesh.GatewayServersFor(workload)) {
        servers_.emplace(bound.gateway->meta.ns + "/" + std::string(bound.gateway->meta.name),
                         std::pair(&workload, bound));
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const VirtualService* service_ = nullptr;
  std::vector<std::string> gateways_;  // of service_
  std::set<std::string> said_;
  bool gateway_workloads_known_ = false;
  std::multimap<std::string, std::pair<const Workload*, Mesh::BoundServer>> servers_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  std::set<const VirtualService*> done;
  for (const VirtualService& service : analysis.model.virtual_services) {
    checker.CheckHttp(service);
    checker.CheckL4(service, service.tls, "tls", TlsKeys);
    checker.CheckL4(service, service.tcp, "tcp", TcpKeys);
  }
  // Those that istiod makes of the Gateway API's routes.
  for (const Workload& workload : analysis.mesh.workloads()) {
    if (workload.mode != ProxyMode::kGateway) continue;
    for (const Mesh::BoundServer& bound : analysis.mesh.GatewayServersFor(workload)) {
      if (bound.gateway->made_from == nullptr) continue;
      for (const VirtualService* service : analysis.mesh.VirtualServicesFor(*bound.gateway)) {
        const bool made = !service->http.empty() && service->http.front().made_from != nullptr;
        if (made && done.insert(service).second) checker.CheckHttp(*service);
      }
    }
  }
  for (const MeshService& target : analysis.mesh.services()) {
    for (const VirtualService* service : analysis.mesh.ServiceRoutesFor(target)) {
      if (done.insert(service).second) checker.CheckHttp(*service);
    }
  }
}

}  // namespace meshproof::shadowed_route

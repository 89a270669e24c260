// Two definitions of one host. Sidecars take one VirtualService a host: of those that the client's
// namespace sees the private ones of its own first, then the oldest. Gateways join the routes of
// all VirtualServices of a host, the oldest first, routes without conditions last. Of Services of
// one host the client's own namespace wins, then Kubernetes' ones, then the oldest. A
// DestinationRule is looked up in the client's namespace, the service's, the root.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/host_index.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "base/text.h"
#include "mesh/hosts.h"

namespace meshproof::host_captured {
namespace {

// A finding that istioctl has no message for, unless said otherwise.
Finding& Say(Reporter& reporter, const ObjectMeta& meta, Span span, std::string message,
             std::string fix) {
  Finding& finding = ReportAt(reporter, meta, span, std::move(message), std::move(fix));
  finding.istioctl_codes.emplace();
  return finding;
}

std::string NameIn(const ObjectMeta& meta) {
  return meta.ns + "/" + std::string(meta.name);
}

// Namespaces that an object is exported to, as written; "*" where all.
std::set<std::string> ScopesOf(const TextList& export_to, const std::string& ns) {
  std::set<std::string> scopes;
  for (const Text& value : export_to.values) {
    if (value.value == "*") return {"*"};
    if (value.value != "~") scopes.insert(value.value == "." ? ns : std::string(value.value));
  }
  return export_to.values.empty() ? std::set<std::string>{"*"} : scopes;
}

bool IsSeenElsewhere(const std::set<std::string>& scopes, const std::string& ns) {
  return std::any_of(scopes.begin(), scopes.end(),
                     [&](const std::string& scope) { return scope != ns; });
}

std::string SayScopes(const std::set<std::string>& scopes) {
  if (scopes.contains("*")) return "of every namespace";
  return "of " + ListNames({scopes.begin(), scopes.end()});
}

// Where the first route leads.
std::string FirstDestination(const VirtualService& service) {
  for (const HttpRoute& route : service.http) {
    if (!route.routes.empty()) return std::string(route.routes.front().destination.host.value);
  }
  for (const auto* routes : {&service.tls, &service.tcp}) {
    for (const L4Route& route : *routes) {
      if (!route.routes.empty()) return std::string(route.routes.front().destination.host.value);
    }
  }
  return "";
}

struct Claim {  // of a VirtualService on a host
  const VirtualService* service = nullptr;
  const Text* host = nullptr;
};

// The requests that a match takes, as text; "" for those that it takes without a condition.
std::string MatchKey(const HttpMatch& match) {
  const bool conditions =
      match.uri.kind != StringMatch::Kind::kNone || match.scheme.kind != StringMatch::Kind::kNone ||
      match.method.kind != StringMatch::Kind::kNone ||
      match.authority.kind != StringMatch::Kind::kNone || !match.headers.empty() ||
      !match.without_headers.empty() || !match.query_params.empty() || match.port != 0;
  if (!conditions) return "";
  const bool uri_only = match.headers.empty() && match.without_headers.empty() &&
                        match.query_params.empty() && match.port == 0 &&
                        match.scheme.kind == StringMatch::Kind::kNone &&
                        match.method.kind == StringMatch::Kind::kNone &&
                        match.authority.kind == StringMatch::Kind::kNone;
  if (!uri_only) {
    if (!match.span) return "?";
    std::string text;
    for (char c :
         match.span.file->text().substr(match.span.begin, match.span.end - match.span.begin)) {
      if (c != ' ' && c != '\n') text += c;
    }
    return text;
  }
  if (match.uri.kind == StringMatch::Kind::kPrefix && match.uri.value.value == "/") return "";
  return std::to_string(static_cast<int>(match.uri.kind)) + " " +
         std::string(match.uri.value.value);
}

std::set<std::string> RouteKeys(const VirtualService& service) {
  std::set<std::string> keys;
  for (const HttpRoute& route : service.http) {
    if (route.matches.empty()) keys.insert("");
    for (const HttpMatch& match : route.matches) keys.insert(MatchKey(match));
  }
  for (const L4Route& route : service.tls) {
    for (const L4Match& match : route.matches) {
      for (const Text& host : match.sni_hosts.values) keys.insert("sni " + std::string(host.value));
    }
  }
  if (!service.tcp.empty()) keys.insert("tcp");
  return keys;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), names_(analysis.views->Names()) {
    for (const MeshService& service : analysis.mesh.services()) {
      owners_[ToLower(service.host)].push_back(&service);
    }
  }

  void CheckMesh() {
    const std::vector<const VirtualService*>& services = analysis_.mesh.MeshVirtualServices();
    std::map<std::pair<std::string, std::string>, std::vector<Claim>> claims;  // scope, host
    for (const VirtualService* service : services) {
      const std::set<std::string> scopes = ScopesOf(service->export_to, service->meta.ns);
      std::set<std::string> seen;
      for (const Text& host : service->hosts.values) {
        std::string full = Complete(host.value, service->meta.ns);
        if (!seen.insert(full).second) continue;
        for (const std::string& scope : scopes) claims[{scope, full}].push_back({service, &host});
        defined_[full].insert(service->meta.ns);
      }
    }
    for (const VirtualService* service : services) {
      const std::set<std::string> scopes = ScopesOf(service->export_to, service->meta.ns);
      if (service->meta.ns == Root() || !IsSeenElsewhere(scopes, service->meta.ns)) continue;
      for (const Text& host : service->hosts.values) Capture(*service, host, scopes);
    }
    for (const auto& [key, group] : claims) {
      if (group.size() > 1) Duplicates(key.second, group);
    }
  }

  void CheckGateways() {
    std::map<std::pair<std::string, std::string>, std::vector<Claim>> claims;  // gateway, host
    for (const VirtualService& service : analysis_.model.virtual_services) {
      for (const Text& gateway : service.gateways.values) {
        if (gateway.value == "mesh") continue;
        std::string name(gateway.value);
        if (name.find('/') == std::string::npos) name = service.meta.ns + "/" + name;
        std::set<std::string> seen;
        for (const Text& host : service.hosts.values) {
          std::string full = Complete(host.value, service.meta.ns);
          if (seen.insert(full).second) claims[{name, full}].push_back({&service, &host});
        }
      }
    }
    for (auto& [key, group] : claims) {
      if (group.size() > 1) AtGateway(key.first, key.second, &group);
    }
  }

  void CheckServiceEntries() {
    struct Entry {
      const ServiceEntry* entry;
      const Text* host;
      const ServiceEntry::Port* port;
    };
    std::map<std::pair<std::string, int>, std::vector<Entry>> claims;  // host, port
    for (const ServiceEntry& entry : analysis_.model.service_entries) {
      for (const Text& host : entry.hosts.values) {
        OfService(entry, host);
        for (const ServiceEntry::Port& port : entry.ports) {
          claims[{ToLower(host.value), port.port}].push_back({&entry, &host, &port});
        }
      }
    }
    std::set<std::pair<const ServiceEntry*, const Text*>> said;
    for (const auto& [key, group] : claims) {
      for (const Entry& mine : group) {
        if (group.size() < 2 || said.contains({mine.entry, mine.host})) continue;
        const Entry* other = nullptr;
        int worst = -1;
        for (const Entry& candidate : group) {
          if (candidate.entry == mine.entry || !BothSeen(*mine.entry, *candidate.entry)) continue;
          int difference = Difference(*mine.entry, *mine.port, *candidate.entry, *candidate.port);
          if (difference > worst) {
            worst = difference;
            other = &candidate;
          }
        }
        if (other == nullptr) continue;
        said.insert({mine.entry, mine.host});
        SameEntry(*mine.entry, *mine.host, *mine.port, *other->entry, *other->port, worst);
      }
    }
  }

  void CheckDestinationRules() {
    std::map<std::pair<std::string, std::string>, const DestinationRule*> own;  // namespace, host
    for (const DestinationRule& rule : analysis_.model.destination_rules) {
      own.emplace(std::pair(rule.meta.ns, Complete(rule.host.value, rule.meta.ns)), &rule);
    }
    for (const DestinationRule& rule : analysis_.model.destination_rules) {
      const std::set<std::string> scopes = ScopesOf(rule.export_to, rule.meta.ns);
      if (rule.meta.ns == Root() || !IsSeenElsewhere(scopes, rule.meta.ns)) continue;
      const std::string host = Complete(rule.host.value, rule.meta.ns);
      const MeshService* service = ForeignService(host, rule.meta.ns);
      if (service == nullptr || !service->kubernetes) continue;
      auto replaced = own.find({service->ns, host});
      const bool replaces = replaced != own.end() && replaced->second->policy.has_value();
      const ClientTls* tls = WeakerTls(rule);
      if (!replaces && tls == nullptr) continue;
      OfRule(rule, host, *service, tls, replaces ? replaced->second : nullptr);
    }
  }

  // HTTPRoutes and their kin that take the same requests of one parent.
  void CheckRoutes() {
    struct Route {
      const ObjectMeta* meta;
      const Node* place;
      std::string section;
    };
    std::map<std::string, std::vector<Route>> claims;
    for (const OtherObject& object : analysis_.model.others) {
      const ObjectMeta& meta = object.meta;
      if (!IsGatewayApi(meta, "HTTPRoute") && !IsGatewayApi(meta, "GRPCRoute") &&
          !IsGatewayApi(meta, "TLSRoute")) {
        continue;
      }
      std::set<std::string> seen;
      VisitClaims(meta, [&](const std::string& key, const std::string& section, const Node& place) {
        if (seen.insert(key + "|" + section).second)
          claims[key].push_back({&meta, &place, section});
      });
    }
    std::set<std::pair<const ObjectMeta*, const ObjectMeta*>> said;
    for (const auto& [key, group] : claims) {
      for (const Route& mine : group) {
        for (const Route& other : group) {
          const bool same_place =
              mine.section.empty() || other.section.empty() || mine.section == other.section;
          if (mine.meta == other.meta || !same_place) continue;
          if (said.insert({mine.meta, other.meta}).second)
            SameRoute(*mine.meta, *mine.place, *other.meta);
          break;
        }
      }
    }
  }

 private:
  std::string Complete(std::string_view host, const std::string& ns) const {
    return CompleteHost(ToLower(host), ns, analysis_.model.mesh_config.domain);
  }
  const std::string& Root() const { return analysis_.model.mesh_config.root_namespace; }

  // The service of that host, unless namespace `ns` has one of it too.
  const MeshService* ForeignService(const std::string& host, const std::string& ns) const {
    auto found = owners_.find(host);
    if (found == owners_.end()) return nullptr;
    for (const MeshService* service : found->second) {
      if (service->ns == ns) return nullptr;
    }
    return found->second.front();
  }

  // Namespaces of the input whose sidecars are touched.
  std::string Clients(const std::set<std::string>& scopes, const std::string& ns) const {
    std::vector<std::string> touched;
    for (const std::string& name : names_.namespaces()) {
      const bool in_scope = scopes.contains("*") || scopes.contains(name);
      if (name != ns && in_scope && names_.HasWorkloads(name)) touched.push_back(name);
    }
    return SayScopes(scopes) +
           (touched.empty() ? "" : " (in the input: " + ListNames(touched) + ")");
  }

  void Capture(const VirtualService& service, const Text& written,
               const std::set<std::string>& scopes) {
    const std::string host = Complete(written.value, service.meta.ns);
    const MeshService* owner = nullptr;
    std::string owner_ns;
    if (host.starts_with('*')) {
      // Owners keep what they define more exactly.
      for (const MeshService& candidate : analysis_.mesh.services()) {
        if (candidate.ns == service.meta.ns || !HostCovers(host, ToLower(candidate.host))) continue;
        auto defined = defined_.find(ToLower(candidate.host));
        if (candidate.host == host || defined != defined_.end()) continue;
        owner = &candidate;
        break;
      }
    } else {
      owner = ForeignService(host, service.meta.ns);
      if (owner == nullptr && !owners_.contains(host)) {
        owner_ns = NamespaceOfHost(host, analysis_.model.mesh_config.domain);
        if (owner_ns == service.meta.ns || !analysis_.SeesNamespace(owner_ns)) owner_ns.clear();
      }
    }
    if (owner != nullptr) owner_ns = owner->ns;
    if (owner_ns.empty()) return;
    captured_.insert(&written);
    const std::string after = FirstDestination(service);
    Finding& finding =
        Say(reporter_, service.meta, written.span,
            "namespace " + service.meta.ns + " takes over host `" +
                (owner == nullptr ? host : owner->host) + "` of namespace " + owner_ns +
                " for sidecars " + Clients(scopes, service.meta.ns) + ": their requests go " +
                (after.empty() ? "where this VirtualService says" : "to `" + after + "`") +
                " instead of the service itself; let " + owner_ns +
                " define it, or keep it to the own namespace with `exportTo: [\".\"]`",
            "Add `exportTo: [\".\"]`, or move the VirtualService to namespace " + owner_ns + ".");
    finding.istioctl_codes = {"IST0109"};
    if (owner != nullptr) {
      finding.related.push_back({owner->object->span, "the host is defined here"});
    }
  }

  void Duplicates(const std::string& host, const std::vector<Claim>& group) {
    for (size_t i = 0; i < group.size(); ++i) {
      const VirtualService& mine = *group[i].service;
      if (captured_.contains(group[i].host) || !duplicate_.insert(group[i].host).second) continue;
      const VirtualService& other = *group[i == 0 ? 1 : 0].service;
      // Without times the order is that of names, which the cluster may not keep.
      const bool known = !mine.meta.created.empty() && !other.meta.created.empty();
      std::string effect = !known   ? ", so which of the two sidecars follow depends on which was "
                                      "created first"
                           : i == 0 ? ", which sidecars do not read since this one is older"
                                    : ", which is older, so sidecars do not read this one";
      Finding& finding =
          Say(reporter_, mine.meta, group[i].host->span,
              "host `" + host + "` is also that of VirtualService " + NameIn(other.meta) + effect +
                  "; put the routes of one host into one VirtualService",
              "Join the VirtualServices of the host.");
      finding.istioctl_codes = {"IST0109"};
      finding.related.push_back({other.hosts.span, "the same host"});
    }
  }

  void AtGateway(const std::string& gateway, const std::string& host, std::vector<Claim>* group) {
    std::stable_sort(group->begin(), group->end(), [](const Claim& a, const Claim& b) {
      const ObjectMeta& x = a.service->meta;
      const ObjectMeta& y = b.service->meta;
      return std::tie(x.created, x.name, x.ns) < std::tie(y.created, y.name, y.ns);
    });
    std::map<std::string, std::vector<const Claim*>> by_key;
    for (const Claim& claim : *group) {
      for (const std::string& key : RouteKeys(*claim.service)) by_key[key].push_back(&claim);
    }
    for (const Claim& claim : *group) {
      const Claim* rival = nullptr;
      for (const std::string& key : RouteKeys(*claim.service)) {
        for (const Claim* other : by_key[key]) {
          if (other == &claim) continue;
          const bool foreign = other->service->meta.ns != claim.service->meta.ns;
          if (rival == nullptr || foreign) rival = other;
          if (foreign) break;
        }
      }
      const Claim* neighbour = nullptr;  // of another namespace, with other requests
      for (const Claim& other : *group) {
        if (other.service->meta.ns != claim.service->meta.ns) {
          neighbour = &other;
          break;
        }
      }
      if (rival == nullptr && neighbour == nullptr) continue;
      if (captured_.contains(claim.host) || !duplicate_.insert(claim.host).second) continue;
      const VirtualService& other = *(rival != nullptr ? rival : neighbour)->service;
      std::string effect = rival != nullptr
                               ? " for the same requests, so only the one that was created first "
                                 "gets them"
                               : " of another namespace, so either can take requests from the "
                                 "other by a more exact or an older route";
      Finding& finding =
          Say(reporter_, claim.service->meta, claim.host->span,
              "host `" + host + "` at gateway `" + gateway + "` is also routed by VirtualService " +
                  NameIn(other.meta) + effect + "; give the host to one namespace (`<namespace>/" +
                  host + "` at the gateway) and keep its routes apart",
              "Write `<namespace>/" + host + "` at the gateway, and join the routes.");
      finding.istioctl_codes = {"IST0109"};
      finding.related.push_back({other.hosts.span, "the same host"});
      const bool foreign = other.meta.ns != claim.service->meta.ns;
      if (rival == nullptr) {
        finding.severity = Severity::kInfo;
      } else if (!foreign) {
        finding.severity = Severity::kWarning;
      }
    }
  }

  // A ServiceEntry for the name of a Kubernetes Service of another namespace.
  void OfService(const ServiceEntry& entry, const Text& written) {
    const std::set<std::string> scopes = ScopesOf(entry.export_to, entry.meta.ns);
    const std::string host = ToLower(written.value);
    if (entry.meta.ns == Root() || !IsSeenElsewhere(scopes, entry.meta.ns)) return;
    const MeshService* owner = nullptr;
    std::string owner_ns(NamespaceOfHost(host, analysis_.model.mesh_config.domain));
    auto found = owners_.find(host);
    if (found != owners_.end()) {
      for (const MeshService* service : found->second) {
        if (service->kubernetes) owner = service;
      }
    }
    if (owner != nullptr) owner_ns = owner->ns;
    if (owner_ns.empty() || owner_ns == entry.meta.ns) return;
    if (owner == nullptr && !analysis_.SeesNamespace(owner_ns)) return;
    Finding& finding =
        Say(reporter_, entry.meta, written.span,
            "namespace " + entry.meta.ns + " defines host `" + host + "` of namespace " + owner_ns +
                ", so clients of " + entry.meta.ns +
                (owner == nullptr ? " and of every namespace that sees it" : "") +
                " reach the endpoints that stand here instead of the service of " + owner_ns +
                "; use a host of the own namespace, or let " + owner_ns + " define it",
            "Use another host, or move the ServiceEntry to namespace " + owner_ns + ".");
    finding.detail = "service";
    if (owner != nullptr) {
      finding.related.push_back({owner->object->span, "the host is defined here"});
    }
  }

  static bool BothSeen(const ServiceEntry& a, const ServiceEntry& b) {
    const std::set<std::string> first = ScopesOf(a.export_to, a.meta.ns);
    const std::set<std::string> second = ScopesOf(b.export_to, b.meta.ns);
    return std::any_of(first.begin(), first.end(),
                       [&](const std::string& scope) { return second.contains(scope); });
  }

  // 2: another protocol; 1: other endpoints; 0: the same.
  static int Difference(const ServiceEntry& a, const ServiceEntry::Port& a_port,
                        const ServiceEntry& b, const ServiceEntry::Port& b_port) {
    if (!EqualsIgnoreCase(a_port.protocol.value, b_port.protocol.value)) return 2;
    auto addresses = [](const ServiceEntry& entry) {
      std::set<std::string_view> all;
      for (const auto& endpoint : entry.endpoints) all.insert(endpoint.address.value);
      return all;
    };
    const bool same = a.mesh_external == b.mesh_external && a.resolution == b.resolution &&
                      a_port.target_port == b_port.target_port && addresses(a) == addresses(b) &&
                      a.workload_selector.match_labels == b.workload_selector.match_labels;
    // In one namespace the endpoints of both are joined.
    return same || a.meta.ns == b.meta.ns ? 0 : 1;
  }

  void SameEntry(const ServiceEntry& mine, const Text& host, const ServiceEntry::Port& port,
                 const ServiceEntry& other, const ServiceEntry::Port& other_port, int difference) {
    std::string what = "host `" + std::string(host.value) + "` port " + std::to_string(port.port) +
                       " is also defined by ServiceEntry " + NameIn(other.meta);
    std::string effect = difference == 2 ? " as " + std::string(other_port.protocol.value) +
                                               " and not as " + std::string(port.protocol.value) +
                                               ", so proxies treat it as one or the other"
                         : difference == 1
                             ? " with other endpoints or settings, so clients of other namespaces "
                               "reach those of the one that was created first"
                             : " in the same way, so a change of one alone has no effect for all";
    Finding& finding = Say(reporter_, mine.meta, host.span,
                           what + effect +
                               "; define the host once, or keep each to its namespace with "
                               "`exportTo: [\".\"]`",
                           "Define the host once.");
    finding.detail = "entry";
    finding.severity = difference == 0 ? Severity::kInfo : Severity::kWarning;
    if (difference == 2) finding.istioctl_codes = {"IST0177"};
    finding.related.push_back({other.hosts.span, "the same host"});
  }

  static const ClientTls* WeakerTls(const DestinationRule& rule) {
    auto in = [](const std::optional<TrafficPolicy>& policy) -> const ClientTls* {
      if (!policy) return nullptr;
      if (policy->tls && policy->tls->mode != ClientTls::Mode::kIstioMutual) return &*policy->tls;
      for (const TrafficPolicy::Port& port : policy->ports) {
        if (port.tls && port.tls->mode != ClientTls::Mode::kIstioMutual) return &*port.tls;
      }
      return nullptr;
    };
    if (const ClientTls* tls = in(rule.policy)) return tls;
    for (const DestinationRule::Subset& subset : rule.subsets) {
      if (const ClientTls* tls = in(subset.policy)) return tls;
    }
    return nullptr;
  }

  void OfRule(const DestinationRule& rule, const std::string& host, const MeshService& service,
              const ClientTls* tls, const DestinationRule* replaced) {
    std::string effect = replaced == nullptr
                             ? "sets the TLS of host `" + host + "` of namespace " + service.ns
                             : "replaces DestinationRule " + NameIn(replaced->meta) +
                                   " of the owner of host `" + host + "`";
    Finding& finding = Say(
        reporter_, rule.meta, rule.host.span,
        "this rule of namespace " + rule.meta.ns + " " + effect + " for the clients of " +
            rule.meta.ns +
            " (and of no other, though it is exported), so what the owner asks of its clients "
            "does not hold for them; let " +
            service.ns + " define it, or say `exportTo: [\".\"]` if it is meant for these clients",
        "Move the rule to namespace " + service.ns + ", or add `exportTo: [\".\"]`.");
    finding.severity = Severity::kWarning;
    if (tls != nullptr) finding.related.push_back({tls->span, "the TLS settings"});
    if (replaced != nullptr) finding.related.push_back({replaced->meta.span, "the owner's rule"});
  }

  // Keys of what a route takes: parent, host and match.
  template <typename Visit>
  static void VisitClaims(const ObjectMeta& meta, const Visit& visit) {
    std::vector<std::string> hosts;
    for (const Node& host : ListItems(NodeAt(meta.node, {"spec", "hostnames"}))) {
      hosts.push_back(ToLower(host.text));
    }
    if (hosts.empty()) hosts.push_back("*");
    std::vector<std::pair<std::string, const Node*>> matches;
    for (const Node& rule : ListItems(NodeAt(meta.node, {"spec", "rules"}))) {
      std::span<const Node> list = ListItems(NodeAt(&rule, {"matches"}));
      if (list.empty()) matches.emplace_back("", &rule);
      for (const Node& match : list) matches.emplace_back(MatchText(match), &match);
    }
    for (const Node& ref : ListItems(NodeAt(meta.node, {"spec", "parentRefs"}))) {
      auto text = [&](std::string_view field, std::string_view fallback) {
        const Node* value = NodeAt(&ref, {field});
        return std::string(value == nullptr ? fallback : value->text);
      };
      const std::string kind = text("kind", "Gateway");
      const std::string ns = text("namespace", meta.ns);
      std::string parent = meta.ns;  // routes on a Service of another namespace hold at home alone
      if (kind == "Gateway" || ns == meta.ns) parent = "";
      parent += "|" + std::string(meta.kind) + "|" + kind + "|" + ns + "|" + text("name", "") +
                "|" + text("port", "");
      for (const std::string& host : hosts) {
        for (const auto& [match, place] : matches) {
          visit(parent + "|" + host + "|" + match, text("sectionName", ""), *place);
        }
      }
    }
  }

  static std::string MatchText(const Node& match) {
    const Node* type = NodeAt(&match, {"path", "type"});
    const Node* path = NodeAt(&match, {"path", "value"});
    std::string text = type == nullptr ? "PathPrefix" : std::string(type->text);
    text += " " + (path == nullptr ? "/" : std::string(path->text));
    for (const Entry& entry : match.entries()) {
      if (entry.key.text != "path") text += "|" + std::string(entry.key.text) + Flat(entry.value);
    }
    return text == "PathPrefix /" ? "" : text;
  }

  static std::string Flat(const Node& node) {
    std::string text = "(" + std::string(node.text);
    for (const Node& item : node.items()) text += Flat(item);
    for (const Entry& entry : node.entries())
      text += std::string(entry.key.text) + Flat(entry.value);
    return text + ")";
  }

  void SameRoute(const ObjectMeta& mine, const Node& place, const ObjectMeta& other) {
    Finding& finding = Say(
        reporter_, mine, SpanOf(mine.file, place),
        std::string(other.kind) + " " + NameIn(other) +
            " takes the same requests of the same parent, so they go to the backends of the route "
            "that was created first" +
            (mine.ns == other.ns ? "" : ", which another namespace writes") +
            "; keep one of the two, or set `hostname` and `allowedRoutes` so that each namespace "
            "has its own listener",
        "Keep one of the two routes.");
    finding.detail = NameIn(other);
    if (mine.ns == other.ns) finding.severity = Severity::kWarning;
    finding.related.push_back({other.span, "the other route"});
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const KnownNames& names_;
  std::map<std::string, std::vector<const MeshService*>> owners_;  // by host
  std::map<std::string, std::set<std::string>> defined_;  // VirtualServices of sidecars, by host
  std::set<const Text*> captured_, duplicate_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  checker.CheckMesh();
  checker.CheckGateways();
  checker.CheckServiceEntries();
  checker.CheckDestinationRules();
  checker.CheckRoutes();
}

}  // namespace meshproof::host_captured

// ztunnel's policies as RBAC filters (istio-semantics section 7.2). A group is one RBAC policy; its
// clauses that speak of ports and addresses of the destination become permissions, the others
// principals, each alternative an AND of lists as istiod would have written it for Envoy, so that
// the same words describe them. An empty match, which never matches, is an OR of nothing.
//
// Behind a waypoint the peer is the waypoint and the request is no matter of ztunnel's, so what the
// pods say to it is one answer for all requests of a port.

#include "reason/ambient.h"

#include <algorithm>
#include <set>

#include "mesh/workload_name.h"
#include "proxy/string_class.h"
#include "simulate/approach.h"
#include "simulate/ztunnel.h"

namespace meshproof {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kMostAlternatives = 256;

StringMatcher Exactly(std::string value) {
  StringMatcher matcher;
  matcher.kind = StringMatcher::Kind::kExact;
  matcher.value = std::move(value);
  return matcher;
}

StringMatcher StartingWith(std::string value) {
  StringMatcher matcher;
  matcher.kind = StringMatcher::Kind::kPrefix;
  matcher.value = std::move(value);
  return matcher;
}

StringMatcher Matching(const std::string& pattern) {
  StringMatcher matcher;
  matcher.kind = StringMatcher::Kind::kRegex;
  matcher.value = pattern;
  matcher.regex = Regex::Compile(pattern).Take();
  return matcher;
}

// Identities that come as far as a policy have the five segments.
StringMatcher PrincipalMatcher(const ZtunnelString& wanted) {
  const std::string quoted = QuoteGoRegex(wanted.value);
  switch (wanted.kind) {
    case ZtunnelString::Kind::kExact:
      return Exactly(std::string(kScheme) + wanted.value);
    case ZtunnelString::Kind::kPrefix:
      return StartingWith(std::string(kScheme) + wanted.value);
    case ZtunnelString::Kind::kSuffix:
      return Matching("spiffe://.*" + quoted);
    case ZtunnelString::Kind::kPresence:
      return Matching("spiffe://.+");
  }
  return Matching("spiffe://.+");
}

StringMatcher NamespaceMatcher(const ZtunnelString& wanted) {
  const std::string quoted = QuoteGoRegex(wanted.value);
  std::string segment;
  switch (wanted.kind) {
    case ZtunnelString::Kind::kExact:
      segment = quoted;
      break;
    case ZtunnelString::Kind::kPrefix:
      segment = quoted + "[^/]*";
      break;
    case ZtunnelString::Kind::kSuffix:
      segment = "[^/]*" + quoted;
      break;
    case ZtunnelString::Kind::kPresence:
      segment = "[^/]+";
      break;
  }
  return Matching("spiffe://[^/]*/ns/" + segment + "/sa/[^/]*");
}

std::string Written(const ZtunnelString& wanted) {
  switch (wanted.kind) {
    case ZtunnelString::Kind::kExact:
      return wanted.value;
    case ZtunnelString::Kind::kPrefix:
      return wanted.value + "*";
    case ZtunnelString::Kind::kSuffix:
      return "*" + wanted.value;
    case ZtunnelString::Kind::kPresence:
      return "*";
  }
  return wanted.value;
}

template <typename T>
Predicate Leaf(T match, std::string written, Span span) {
  Predicate predicate;
  predicate.match = std::move(match);
  predicate.written = std::move(written);
  predicate.span = span;
  return predicate;
}

class MatchTranslator {
 public:
  // The AND of a match's lists.
  Predicate Translate(const ZtunnelMatch& match) {
    if (match.empty()) return Predicate{OrPredicate{}, "", {}, ""};
    all_.clear();
    const auto principal = [](const ZtunnelString& one) {
      return Leaf(AuthenticatedPredicate{PrincipalMatcher(one)}, Written(one), one.span);
    };
    const auto ns = [](const ZtunnelString& one) {
      return Leaf(AuthenticatedPredicate{NamespaceMatcher(one)}, Written(one), one.span);
    };
    const auto account = [](const ZtunnelAccount& one) {
      return Leaf(AuthenticatedPredicate{Matching("spiffe://[^/]*/ns/" + QuoteGoRegex(one.ns) +
                                                  "/sa/" + QuoteGoRegex(one.name))},
                  one.ns + "/" + one.name, one.span);
    };
    const auto block = [](AddressField field) {
      return [field](const ZtunnelBlock& one) {
        return Leaf(AddressPredicate{field, one.range, one.address}, ToString(one.range), one.span);
      };
    };
    const auto port = [](const ZtunnelPort& one) {
      return Leaf(PortPredicate{one.port, one.port + 1}, std::to_string(one.port), one.span);
    };
    Add("principals", match.principals, match.not_principals, principal);
    Add("namespaces", match.namespaces, match.not_namespaces, ns);
    Add("serviceAccounts", match.service_accounts, match.not_service_accounts, account);
    Add("ipBlocks", match.source_ips, match.not_source_ips, block(AddressField::kDirectRemote));
    Add("ports", match.destination_ports, match.not_destination_ports, port);
    Add("when destination.ip", match.destination_ips, match.not_destination_ips,
        block(AddressField::kDestination));
    return Predicate{AndPredicate{std::move(all_)}, "", {}, ""};
  }

 private:
  template <typename T, typename Make>
  void Add(std::string_view field, const std::vector<T>& any, const std::vector<T>& none,
           const Make& make) {
    const auto list = [&](const std::vector<T>& values) {
      OrPredicate out;
      for (const T& value : values) out.any.push_back(make(value));
      return out;
    };
    if (!any.empty()) {
      all_.push_back(Predicate{list(any), std::string(field), any.front().span, ""});
    }
    if (none.empty()) return;
    std::string name(field);
    if (!field.starts_with("when ")) {
      name[0] = static_cast<char>(name[0] & ~0x20);
      name.insert(0, "not");
    }
    NotPredicate inverted;
    inverted.inner.push_back(Predicate{list(none), "", {}, ""});
    all_.push_back(Predicate{std::move(inverted), std::move(name), none.front().span, ""});
  }

  std::vector<Predicate> all_;
};

bool IsAboutDestination(const ZtunnelClause& clause) {
  return std::all_of(clause.matches.begin(), clause.matches.end(), [](const ZtunnelMatch& match) {
    return match.principals.empty() && match.not_principals.empty() && match.namespaces.empty() &&
           match.not_namespaces.empty() && match.service_accounts.empty() &&
           match.not_service_accounts.empty() && match.source_ips.empty() &&
           match.not_source_ips.empty();
  });
}

// The alternatives of an AND of ORs, each an AND; one of everything where there are none.
std::vector<Predicate> Alternatives(const std::vector<const ZtunnelClause*>& clauses) {
  MatchTranslator translator;
  std::vector<AndPredicate> ways(1);
  for (const ZtunnelClause* clause : clauses) {
    if (clause->matches.empty()) continue;
    std::vector<AndPredicate> longer;
    if (ways.size() * clause->matches.size() > kMostAlternatives) {
      OrPredicate any;
      for (const ZtunnelMatch& match : clause->matches)
        any.any.push_back(translator.Translate(match));
      for (AndPredicate& way : ways) way.all.push_back(Predicate{any, "", {}, ""});
      continue;
    }
    for (const ZtunnelMatch& match : clause->matches) {
      const Predicate translated = translator.Translate(match);
      for (const AndPredicate& way : ways) {
        longer.push_back(way);
        // Its parts stand beside those of other clauses: their fields are what is told.
        if (const auto* parts = std::get_if<AndPredicate>(&translated.match)) {
          longer.back().all.insert(longer.back().all.end(), parts->all.begin(), parts->all.end());
        } else {
          longer.back().all.push_back(translated);
        }
      }
    }
    ways = std::move(longer);
  }
  std::vector<Predicate> out;
  for (AndPredicate& way : ways) {
    if (way.all.empty()) {
      out.push_back(Predicate{AnyPredicate{}, "", {}, ""});
    } else {
      out.push_back(Predicate{std::move(way), "", {}, ""});
    }
  }
  return out;
}

std::shared_ptr<const RbacPolicy> PolicyOf(const ZtunnelPolicy& policy, const ZtunnelGroup& group,
                                           size_t index, const ZtunnelWorkload& workload) {
  auto out = std::make_shared<RbacPolicy>();
  const int rule = group.origin.rule >= 0 ? group.origin.rule : static_cast<int>(index);
  out->name =
      "ns[" + policy.ns + "]-policy[" + policy.name + "]-rule[" + std::to_string(rule) + "]";
  std::vector<const ZtunnelClause*> permissions, principals;
  for (const ZtunnelClause& clause : group.clauses) {
    (IsAboutDestination(clause) ? permissions : principals).push_back(&clause);
  }
  out->permissions = Alternatives(permissions);
  out->principals = Alternatives(principals);
  out->origin = group.origin;
  if (out->origin.object == nullptr && policy.from_peer_authentication &&
      workload.strict_by != nullptr) {
    out->origin = {&workload.strict_by->meta, -1, workload.strict_by->mode_span};
  }
  return out;
}

std::unique_ptr<const ProxyConfig> Translate(const World& world, const Workload& workload) {
  const ZtunnelConfig& config = world.Ztunnel();
  const ZtunnelWorkload& own = config.For(workload);
  Rbac deny, allow;
  deny.action = Rbac::Action::kDeny;
  bool any_deny = false;
  bool any_allow = false;
  for (const ZtunnelPolicy* policy : config.PoliciesFor(workload)) {
    if (policy->dry_run) continue;
    const bool is_deny = policy->action == ZtunnelPolicy::Action::kDeny;
    (is_deny ? any_deny : any_allow) = true;
    for (size_t i = 0; i < policy->groups.size(); ++i) {
      (is_deny ? deny : allow).policies.push_back(PolicyOf(*policy, policy->groups[i], i, own));
    }
  }
  auto filters = std::make_shared<std::vector<NetworkFilter>>();
  const auto add = [&](Rbac rules) {
    RbacFilter filter;
    filter.rules = std::move(rules);
    filters->emplace_back(std::move(filter));
  };
  if (any_deny) add(std::move(deny));
  if (any_allow) add(std::move(allow));
  filters->emplace_back(TcpProxy{"inbound", {}});

  auto proxy = std::make_unique<ProxyConfig>();
  proxy->ns = workload.ns;
  proxy->workload = workload.name;
  proxy->mode = ProxyMode::kAmbient;
  proxy->principal = workload.identity;
  Listener listener;
  listener.name = "ztunnel";
  FilterChain hbone;
  hbone.name = "HBONE";
  hbone.tls.emplace();
  hbone.tls->require_client_certificate = true;
  std::string domain = workload.identity.substr(std::min(workload.identity.size(), kScheme.size()));
  domain = domain.substr(0, domain.find('/'));
  hbone.tls->subject_alt_names.push_back(StartingWith(std::string(kScheme) + domain + "/"));
  hbone.filters = filters;
  FilterChain plaintext;
  plaintext.name = "plaintext";
  plaintext.filters = filters;
  listener.filter_chains.push_back(std::move(hbone));
  listener.filter_chains.push_back(std::move(plaintext));
  proxy->listeners.push_back(std::move(listener));
  return proxy;
}

}  // namespace

std::vector<Door> DoorsTo(const World& world, const Workload& workload, int port) {
  std::vector<Door> doors(1);
  if (workload.mode != ProxyMode::kAmbient) return doors;
  const Mesh& mesh = world.mesh();
  for (const MeshService& service : mesh.services()) {
    if (service.headless || mesh.WaypointFor(service).waypoint == nullptr) continue;
    const Door door = DoorOf(world, workload, port, service);
    if (door.service != nullptr) doors.push_back(door);
  }
  return doors;
}

Door DoorOf(const World& world, const Workload& workload, int port, const MeshService& service) {
  const Mesh& mesh = world.mesh();
  for (const size_t index : service.workloads) {
    if (&mesh.workloads()[index] != &workload) continue;
    for (const MeshServicePort& each : service.ports) {
      if (each.protocol != Protocol::kUdp && mesh.TargetPort(service, each, workload) == port) {
        return {&service, &each};
      }
    }
  }
  return {};
}

std::string DoorText(const World& world, const Door& door) {
  if (door.service == nullptr) return "";
  const std::string target = door.service->host + ":" + std::to_string(door.port->port);
  const Waypoint* waypoint = world.mesh().WaypointFor(*door.service).waypoint;
  if (waypoint == nullptr) return "through " + target;
  return "through waypoint " + NameOf(*waypoint) + " (" + target + ")";
}

const ProxyConfig& ZtunnelProxies::Of(const World& world, const Workload& workload) const {
  std::lock_guard lock(mutex_);
  std::unique_ptr<const ProxyConfig>& known = known_[&workload];
  if (!known) known = Translate(world, workload);
  return *known;
}

std::vector<int> ZtunnelPorts(const World& world, const Workload& workload) {
  std::set<int> ports;
  for (const ZtunnelPolicy* policy : world.Ztunnel().PoliciesFor(workload)) {
    for (const ZtunnelGroup& group : policy->groups) {
      for (const ZtunnelClause& clause : group.clauses) {
        for (const ZtunnelMatch& match : clause.matches) {
          for (const auto* list : {&match.destination_ports, &match.not_destination_ports}) {
            for (const ZtunnelPort& port : *list) ports.insert(static_cast<int>(port.port));
          }
        }
      }
    }
  }
  ports.erase(0);
  return {ports.begin(), ports.end()};
}

bool IsZtunnelsOwnPort(int port) {
  return port == 15001 || port == 15006 || port == 15008;
}

BehindWaypoint AskBehind(const World& world, const Workload& waypoint, const Door& door) {
  const Mesh& mesh = world.mesh();
  bool lets_in = false;
  bool refuses = false;
  for (const size_t index : door.service->workloads) {
    const Workload& pod = mesh.workloads()[index];
    const int target = mesh.TargetPort(*door.service, *door.port, pod);
    if (target == 0) continue;
    if (!world.Unknown(pod).empty()) return BehindWaypoint::kDepends;
    if (pod.mode == ProxyMode::kNone) {
      lets_in = true;
      continue;
    }
    if (pod.mode != ProxyMode::kAmbient) return BehindWaypoint::kDepends;
    ProxyRequest request;
    request.protocol = WireProtocol::kTcp;
    Connection& connection = request.connection;
    connection.hbone = true;
    connection.certificate = Certificate{true, {waypoint.identity}, {}, ""};
    connection.source = AddressOf(mesh, waypoint, World::Addresses::kUnknown);
    connection.destination = AddressOf(mesh, pod, World::Addresses::kUnknown);
    connection.destination_port = static_cast<uint32_t>(target);
    switch (RunZtunnel(world.Ztunnel(), pod, request, Detail::kVerdict).outcome) {
      case Outcome::kAllow:
        lets_in = true;
        break;
      case Outcome::kUndetermined:
        return BehindWaypoint::kDepends;
      default:
        refuses = true;
        break;
    }
  }
  if (lets_in && refuses) return BehindWaypoint::kDepends;  // the load balancer's choice
  return refuses || !lets_in ? BehindWaypoint::kRefuses : BehindWaypoint::kLetsIn;
}

}  // namespace meshproof

// The questions over all requests, asked of the diagrams of one port's model.
// What is found is replayed by the simulator before anybody hears of it.

#include "reason/reason.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <unordered_map>

#include "base/text.h"
#include "reason/ambient.h"
#include "reason/model.h"
#include "reason/proxy_key.h"
#include "simulate/predicate.h"

namespace meshproof {
namespace {

using RequestSet = Space::Node;

constexpr size_t kMaxRows = 400;

enum class Authorizers { kAgree, kRefuse };

// The diagrams that every question needs, with external authorizers taken out.
class Session {
 public:
  Session(PortModel* m, const Budget&) : model(*m), space(m->space()), bdd(space.bdd()) {
    authorizers_ = space.VariablesOf(
        [](const std::string& name) { return name.starts_with(PortModel::kAuthorizer); });
    opaque_ = space.VariablesOf(
        [](const std::string& name) { return name.starts_with(PortModel::kOpaque); });
    domain = space.Domain();
  }

  // Without what DENY rules match, one after the other: what is left is small where `requests` is.
  RequestSet MinusDenied(const ChainModel& chain, RequestSet requests) {
    for (const RuleInChain& rule : chain.rules) {
      if (requests == Bdd::kFalse) break;
      if (!rule.enforced || rule.action != Rbac::Action::kDeny) continue;
      requests = bdd.Diff(requests, space.ToNode(rule.match));
    }
    return requests;
  }

  // What comes as far as the DENY and ALLOW rules of a chain.
  RequestSet Arriving(const ChainModel& chain, RequestSet requests, Authorizers answers) {
    requests = bdd.And(requests, space.ToNode(chain.arrives));
    if (requests == Bdd::kFalse) return requests;
    requests = bdd.And(requests, space.ToNode(space.And(chain.token_ok, chain.clear)));
    return bdd.And(requests, Answered(chain.custom_ok, answers));
  }

  // Shows `visit` what a side lets through of `requests`, one ALLOW rule after the other, until it
  // says that it has seen enough. No diagram of all rules together is made.
  template <typename Visit>
  void EachAllowed(size_t side, RequestSet requests, Authorizers answers, Visit visit) {
    for (const ChainModel& chain : model.side(side).chains) {
      RequestSet arriving = Arriving(chain, requests, answers);
      if (arriving == Bdd::kFalse) continue;
      if (chain.allow_filters != 1) {
        RequestSet piece = bdd.And(MinusDenied(chain, arriving), space.ToNode(chain.admitted));
        if (piece != Bdd::kFalse && visit(piece)) return;
        continue;
      }
      for (const RuleInChain& rule : chain.rules) {
        if (rule.action != Rbac::Action::kAllow || !rule.enforced) continue;
        RequestSet piece = MinusDenied(chain, bdd.And(arriving, space.ToNode(rule.match)));
        if (piece != Bdd::kFalse && visit(piece)) return;
      }
    }
  }

  // `requests` without those that a side lets through.
  RequestSet MinusAllowed(size_t side, RequestSet requests, Authorizers answers) {
    RequestSet left = requests;
    EachAllowed(side, requests, answers, [&](RequestSet piece) {
      left = bdd.Diff(left, piece);
      return left == Bdd::kFalse;
    });
    return left;
  }
  RequestSet Answered(Expr expr, Authorizers answers) {
    RequestSet node = space.ToNode(expr);
    return answers == Authorizers::kAgree ? bdd.Exists(node, authorizers_)
                                          : bdd.ForAll(node, authorizers_);
  }
  RequestSet Surely(RequestSet node) {
    return model.has_opaque() ? bdd.ForAll(node, opaque_) : node;
  }
  bool spent() const { return bdd.exhausted(); }

  PortModel& model;
  Space& space;
  Bdd& bdd;
  RequestSet domain = Bdd::kFalse;

 private:
  std::vector<bool> authorizers_, opaque_;
};

std::string SpentReason() {
  return "the budget of nodes or seconds is spent";
}

bool IsRefusal(Outcome outcome) {
  return outcome == Outcome::kDeny || outcome == Outcome::kReject;
}

// A token that says what `claims` says and that nobody signed.
std::string UnsignedToken(const Json& claims) {
  auto encode = [](std::string_view text) {
    static constexpr char kDigits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string out;
    uint32_t bits = 0;
    int count = 0;
    for (char c : text) {
      bits = bits << 8 | static_cast<uint8_t>(c);
      count += 8;
      while (count >= 6) {
        count -= 6;
        out.push_back(kDigits[bits >> count & 63]);
      }
    }
    if (count > 0) out.push_back(kDigits[bits << (6 - count) & 63]);
    return out;
  };
  return encode(R"({"alg":"RS256","typ":"JWT"})") + "." + encode(WriteJson(claims)) + ".AAAA";
}

}  // namespace

struct Reasoner::Impl {
  Impl(const World& w, const Budget& b) : world(w), budget(b) {}

  const World& world;
  Budget budget;
  mutable std::atomic<size_t> unconfirmed{0};
  mutable std::mutex unconfirmed_mutex;
  mutable std::string last_unconfirmed;  // for people

  // Runs a point's request. Nothing: it cannot be sent, or the verdict is
  // another one.
  std::optional<Example> Confirm(Session* session, const Space::Point& point, size_t side,
                                 const World& at, Authorizers answers, bool refused) const {
    std::optional<Case> request = session->model.Decode(point, side);
    if (!request) {
      ++unconfirmed;
      return std::nullopt;
    }
    for (auto& [provider, answer] : request->ext_authz_by_provider) {
      answer = answers == Authorizers::kAgree ? ExtAuthzAnswer::kAllow : ExtAuthzAnswer::kDeny;
    }
    const SideModel& model = session->model.side(side);
    if (request->claims && model.has_jwt &&
        !session->space.Holds(session->space.ToNode(model.token_accepted), point)) {
      // Claims alone would be taken as valid by anybody.
      Case::Token token;
      token.text = UnsignedToken(*request->claims);
      request->tokens.push_back(std::move(token));
      request->claims.reset();
    }
    auto verdict = at.Run(*request, World::Addresses::kUnknown, Detail::kVerdict);
    bool as_expected = verdict.ok() && (refused ? IsRefusal(verdict.value().outcome)
                                                : verdict.value().outcome == Outcome::kAllow);
    if (!as_expected) {
      ++unconfirmed;
      std::lock_guard lock(unconfirmed_mutex);
      last_unconfirmed = request->to_workload + ":" + std::to_string(request->to_port) + " " +
                         request->method.value_or("GET") + " " + request->path + ": " +
                         (verdict.ok() ? std::string(ToString(verdict.value().outcome)) + " " +
                                             verdict.value().details
                                       : verdict.error().message);
      return std::nullopt;
    }
    return Example{*std::move(request), verdict.Take()};
  }

  // --- what was answered for proxies that say the same

  template <typename T>
  struct Memory {
    std::mutex mutex;
    std::unordered_map<std::string, std::shared_ptr<const T>> known;

    std::shared_ptr<const T> Get(const std::string& key) {
      std::lock_guard lock(mutex);
      auto found = known.find(key);
      return found == known.end() ? nullptr : found->second;
    }
    void Put(const std::string& key, const T& value) {
      std::lock_guard lock(mutex);
      known.try_emplace(key, std::make_shared<const T>(value));
    }
  };
  mutable Memory<Answer> known_answers;
  mutable Memory<std::vector<RuleStatus>> known_statuses;
  mutable Memory<Exposure> known_exposures;
  mutable ProxyKeys keys;

  // --- ambient workloads

  ZtunnelProxies ztunnels;

  PortModel::Side SideOf(const Workload& workload, int port, const Door& door) const {
    PortModel::Side side{&world, &workload, port, door, nullptr};
    if (workload.mode == ProxyMode::kAmbient) side.ztunnel = &ztunnels.Of(world, workload);
    return side;
  }

  Answer FindAt(const PortModel::Side& at, const Region& region, Wanted wanted) const;
  std::vector<RuleStatus> StatusesAt(const PortModel::Side& at) const;
  Exposure ExposureAt(const PortModel::Side& at, const Region& within) const;
  static Comparison CompareAt(const Impl& before, const PortModel::Side& old_side,
                              const Impl& after, const PortModel::Side& new_side, size_t limit);

  // The same request to another workload, judged there; false where the verdict is another kind.
  bool Readdress(const Workload& workload, int port, std::optional<Example>* example) const {
    if (!*example) return true;
    Case request = (*example)->request;
    request.to_workload = workload.ns + "/" + workload.name;
    request.to_port = port;
    auto verdict = world.Run(request, World::Addresses::kUnknown, Detail::kVerdict);
    if (!verdict.ok() || verdict.value().outcome != (*example)->verdict.outcome) return false;
    *example = Example{std::move(request), verdict.Take()};
    return true;
  }

  std::string UnconfirmedReason() const {
    std::lock_guard lock(unconfirmed_mutex);
    return "the simulator does not confirm the request found (an error of "
           "meshproof): " +
           last_unconfirmed;
  }

  // The answer for a set of requests that is already cut to the domain.
  Answer Ask(Session* session, RequestSet found, size_t side, Authorizers answers,
             bool refused) const {
    Answer answer;
    if (session->spent()) {
      answer.reason = SpentReason();
      return answer;
    }
    if (found == Bdd::kFalse) {
      answer.kind = Answer::Kind::kEmpty;
      return answer;
    }
    RequestSet sure = session->Surely(found);
    if (session->spent()) {
      answer.reason = SpentReason();
      return answer;
    }
    if (sure == Bdd::kFalse) {
      answer.reason = session->model.OpaqueReason();
      return answer;
    }
    Space::Point point = session->model.Choose(sure, side);
    answer.example = Confirm(session, point, side, world, answers, refused);
    if (!answer.example) {
      answer.reason = UnconfirmedReason();
      return answer;
    }
    answer.kind = Answer::Kind::kFound;
    answer.region = Generalize(session, sure, point);
    return answer;
  }

  // Drops every field of the request that may hold anything.
  static std::string Generalize(Session* session, RequestSet found, const Space::Point& point) {
    return session->model.Describe(
        point,
        session->space.Essential(session->bdd.Or(found, session->bdd.Not(session->domain)), point));
  }
};

Reasoner::Reasoner(const World& world, const Budget& budget)
    : impl_(std::make_unique<Impl>(world, budget)) {}
Reasoner::~Reasoner() = default;

const World& Reasoner::world() const {
  return impl_->world;
}

size_t Reasoner::unconfirmed() const {
  return impl_->unconfirmed;
}

namespace {

void CollectPorts(const Predicate& predicate, std::set<int>* ports) {
  const auto& match = predicate.match;
  if (const auto* port = std::get_if<PortPredicate>(&match)) {
    if (port->end == port->begin + 1) ports->insert(static_cast<int>(port->begin));
    return;
  }
  const std::vector<Predicate>* children = nullptr;
  if (const auto* all = std::get_if<AndPredicate>(&match)) children = &all->all;
  if (const auto* any = std::get_if<OrPredicate>(&match)) children = &any->any;
  if (const auto* negated = std::get_if<NotPredicate>(&match)) children = &negated->inner;
  if (children == nullptr) return;
  for (const Predicate& child : *children) CollectPorts(child, ports);
}

void CollectPorts(const RbacFilter& filter, std::set<int>* ports) {
  for (const auto* rules : {&filter.rules, &filter.shadow_rules}) {
    if (!*rules) continue;
    for (const auto& policy : (*rules)->policies) {
      for (const Predicate& one : policy->permissions) CollectPorts(one, ports);
    }
  }
}

void CollectPorts(const FilterChain& chain, std::set<int>* ports) {
  for (const NetworkFilter& filter : *chain.filters) {
    if (const auto* rbac = std::get_if<RbacFilter>(&filter)) CollectPorts(*rbac, ports);
    const auto* http = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
    if (http == nullptr) continue;
    for (const HttpFilter& each : (*http)->http_filters) {
      if (const auto* rbac = std::get_if<RbacFilter>(&each)) CollectPorts(*rbac, ports);
    }
  }
}

constexpr int kInboundPort = 15006;

std::set<int> NamedPorts(const World& world, const Workload& workload) {
  std::set<int> ports;
  for (const InboundPort& port : world.mesh().InboundPorts(workload)) ports.insert(port.port);
  if (workload.mode == ProxyMode::kWaypoint) return {};  // its policies guard what is behind it
  if (workload.mode == ProxyMode::kAmbient) {
    for (const int port : ZtunnelPorts(world, workload)) ports.insert(port);
    return ports;
  }
  if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kGateway) return ports;
  const ProxyConfig& proxy = world.Proxy(workload).proxy();
  const FilterChain* last = nullptr;
  for (const Listener& listener : proxy.listeners) {
    if (workload.mode == ProxyMode::kGateway) {
      ports.insert(static_cast<int>(listener.port));
      continue;
    }
    for (const FilterChain& chain : listener.filter_chains) {
      int port = static_cast<int>(chain.match.destination_port);
      if (port != 0 && port != kInboundPort) ports.insert(port);
      // Chains of all ports hold the same rules.
      if (last == nullptr || chain.filters->size() > last->filters->size()) last = &chain;
      if (chain.match.destination_port == 0) CollectPorts(chain, &ports);
    }
  }
  ports.erase(0);
  return ports;
}

}  // namespace

int Reasoner::OtherPort(const Workload& workload) const {
  if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kAmbient) return 0;
  std::set<int> named = NamedPorts(impl_->world, workload);
  int port = 9999;
  while (named.count(port) != 0) --port;
  return port;
}

std::vector<int> Reasoner::Ports(const Workload& workload) const {
  std::set<int> named = NamedPorts(impl_->world, workload);
  std::vector<int> ports(named.begin(), named.end());
  if (int other = OtherPort(workload); other != 0) ports.push_back(other);
  return ports;
}

Answer Reasoner::Impl::FindAt(const PortModel::Side& at, const Region& region,
                              Wanted wanted) const {
  PortModel model({at}, budget);
  Answer answer;
  if (!model.side(0).undetermined.empty()) {
    answer.reason = model.side(0).undetermined;
    return answer;
  }
  Expr where = model.RegionOf(region);
  if (!model.Build()) {
    answer.reason = model.reason();
    return answer;
  }
  Session session(&model, budget);
  Authorizers answers =
      wanted == Wanted::kAllowedByAnyAuthorizer ? Authorizers::kRefuse : Authorizers::kAgree;
  bool refused = wanted == Wanted::kRefused;
  RequestSet inside = session.bdd.And(session.domain, session.space.ToNode(where));
  // What is no HTTP request is refused by an HTTP port, which nobody asks about.
  inside = session.bdd.Diff(inside, session.space.ToNode(model.side(0).garbled));
  RequestSet found = Bdd::kFalse;
  if (refused) {
    found = session.MinusAllowed(0, inside, answers);
  } else {
    session.EachAllowed(0, inside, answers, [&](RequestSet piece) {
      found = session.bdd.Or(found, piece);
      return session.Surely(piece) != Bdd::kFalse;
    });
  }
  return Ask(&session, found, 0, answers, refused);
}

namespace {

// Of the requests of a region those that come through a door: only connections with a certificate
// pass a waypoint.
Region Through(const Door& door, const Region& region) {
  if (door.service == nullptr) return region;
  return Region::And({region, Region::Is(Region::Field::kMutualTls)});
}

}  // namespace

Answer Reasoner::FindAnew(const Workload& workload, int port, const Region& region,
                          Wanted wanted) const {
  Answer answer;
  answer.kind = Answer::Kind::kEmpty;
  for (const Door& door : DoorsTo(impl_->world, workload, port)) {
    Answer here = impl_->FindAt(impl_->SideOf(workload, port, door), Through(door, region), wanted);
    if (here.found()) return here;
    if (!here.empty() && answer.empty()) answer = std::move(here);
  }
  return answer;
}

namespace {

// One rule of a policy over all chains of a port.
struct RuleOverChains {
  const RbacPolicy* policy = nullptr;
  Rbac::Action action = Rbac::Action::kAllow;
  bool custom = false;
  RequestSet matches = Bdd::kFalse;  // in a chain that is reached
  RequestSet decides = Bdd::kFalse;  // and the filters before its own let it come so far
};

std::string ConjunctName(const Predicate& part) {
  std::string values = WrittenValues(part);
  return part.field.empty() ? values : part.field + (values.empty() ? "" : " [" + values + "]");
}

// Why nothing matches a rule: a smallest set of its conditions that exclude
// each other.
std::string ConflictOf(Session* session, const RbacPolicy& policy) {
  Space& space = session->space;
  Bdd& bdd = session->bdd;
  for (const ChainModel& chain : session->model.side(0).chains) {
    RequestSet reached = bdd.And(session->domain, space.ToNode(chain.arrives));
    if (reached == Bdd::kFalse) continue;
    for (const RuleInChain& rule : chain.rules) {
      if (rule.policy != &policy) continue;
      const auto& parts = rule.conditions;
      std::vector<bool> kept(parts.size(), true);
      auto satisfiable = [&] {
        RequestSet all = reached;
        for (size_t i = 0; i < parts.size(); ++i) {
          if (kept[i]) all = bdd.And(all, space.ToNode(parts[i].second));
        }
        return all != Bdd::kFalse;
      };
      if (parts.empty() || satisfiable()) return "its conditions exclude each other";
      std::vector<std::string> names;
      for (size_t i = 0; i < parts.size(); ++i) {
        kept[i] = false;
        if (satisfiable()) kept[i] = true;
      }
      for (size_t i = 0; i < parts.size(); ++i) {
        if (kept[i]) names.push_back(ConjunctName(*parts[i].first));
      }
      if (names.empty()) return "nothing reaches it";
      if (names.size() == 1) return names.front() + " matches no request here";
      return Join(names, " and ") + " exclude each other";
    }
  }
  return "nothing reaches it";
}

}  // namespace

std::vector<RuleStatus> Reasoner::Impl::StatusesAt(const PortModel::Side& at) const {
  std::vector<RuleStatus> statuses;
  PortModel model({at}, budget);
  const SideModel& side = model.side(0);
  bool built = side.undetermined.empty() && model.Build();
  std::string reason = !side.undetermined.empty() ? side.undetermined : model.reason();
  // The same rule stands in the HTTP and in the TCP chains, compiled apart.
  std::map<std::pair<const ObjectMeta*, std::pair<int, int>>, size_t> known;
  std::vector<RuleOverChains> rules;
  std::unique_ptr<Session> session;
  if (built) session = std::make_unique<Session>(&model, budget);
  for (const ChainModel& chain : side.chains) {
    for (const RuleInChain& rule : chain.rules) {
      auto key = std::make_pair(rule.policy->origin.object,
                                std::make_pair(rule.policy->origin.rule,
                                               static_cast<int>(rule.action) * 2 + rule.custom));
      auto [found, added] = known.try_emplace(key, rules.size());
      if (added) rules.push_back({rule.policy, rule.action, rule.custom});
      if (!built) continue;
      RuleOverChains& own = rules[found->second];
      Space& space = model.space();
      Bdd& bdd = space.bdd();
      RequestSet reached = bdd.And(session->domain, space.ToNode(chain.arrives));
      RequestSet matches = bdd.And(reached, space.ToNode(rule.match));
      own.matches = bdd.Or(own.matches, matches);
      RequestSet before = session->Arriving(chain, matches, Authorizers::kAgree);
      if (rule.custom) {
        own.decides = bdd.Or(own.decides, bdd.And(matches, space.ToNode(chain.token_ok)));
        continue;
      }
      if (rule.action == Rbac::Action::kDeny) {
        own.decides = bdd.Or(own.decides, before);
      } else {
        own.decides = bdd.Or(own.decides, session->MinusDenied(chain, before));
      }
    }
  }
  if (!built) {
    for (const RuleOverChains& rule : rules) {
      RuleStatus status;
      status.policy = rule.policy;
      status.action = rule.action;
      status.custom = rule.custom;
      status.reason = reason;
      statuses.push_back(std::move(status));
    }
    return statuses;
  }
  Bdd& bdd = model.space().bdd();
  // What no other rule of the same action matches of what one decides.
  auto alone_of = [&](size_t index) {
    RequestSet left = rules[index].decides;
    for (size_t i = 0; i < rules.size() && left != Bdd::kFalse; ++i) {
      bool alike = rules[i].action == rules[index].action && rules[i].custom == rules[index].custom;
      if (i != index && alike) left = bdd.Diff(left, rules[i].matches);
    }
    return left;
  };
  // Of what only this DENY rule matches: whether the filters behind would let anything pass.
  auto passes_without = [&](RequestSet requests) {
    RequestSet some = Bdd::kFalse;
    for (const ChainModel& chain : side.chains) {
      RequestSet here = session->Arriving(chain, requests, Authorizers::kAgree);
      if (here == Bdd::kFalse) continue;
      if (chain.allow_filters != 1) {
        some = bdd.Or(some, bdd.And(here, model.space().ToNode(chain.admitted)));
        continue;
      }
      for (const RuleInChain& rule : chain.rules) {
        if (rule.action != Rbac::Action::kAllow || !rule.enforced) continue;
        some = bdd.Or(some, bdd.And(here, model.space().ToNode(rule.match)));
        if (some != Bdd::kFalse && session->Surely(some) != Bdd::kFalse) return some;
      }
    }
    return some;
  };
  for (size_t i = 0; i < rules.size(); ++i) {
    const RuleOverChains& rule = rules[i];
    RuleStatus status;
    status.policy = rule.policy;
    status.action = rule.action;
    status.custom = rule.custom;
    using Kind = RuleStatus::Kind;
    RequestSet alone = alone_of(i);
    bool deny = rule.action == Rbac::Action::kDeny && !rule.custom;
    RequestSet effective = deny && alone != Bdd::kFalse ? passes_without(alone) : alone;
    // A minimal set of other rules that together hold `what`.
    auto cover = [&](RequestSet what, Rbac::Action action) {
      std::vector<const RbacPolicy*> by;
      std::vector<size_t> touching;
      for (size_t j = 0; j < rules.size(); ++j) {
        if (j == i || rules[j].action != action || rules[j].custom) continue;
        if (bdd.And(what, rules[j].matches) != Bdd::kFalse) touching.push_back(j);
      }
      std::vector<bool> kept(touching.size(), true);
      for (size_t drop = 0; drop < touching.size(); ++drop) {
        RequestSet left = what;
        for (size_t j = 0; j < touching.size(); ++j) {
          if (j != drop && kept[j]) left = bdd.Diff(left, rules[touching[j]].matches);
        }
        if (left == Bdd::kFalse) kept[drop] = false;
      }
      for (size_t j = 0; j < touching.size(); ++j) {
        if (kept[j]) by.push_back(rules[touching[j]].policy);
      }
      return by;
    };
    RequestSet witness = Bdd::kFalse;
    bool refused = deny;
    if (session->spent()) {
      status.reason = SpentReason();
    } else if (rule.matches == Bdd::kFalse) {
      status.kind = Kind::kUnreachable;
      status.reason = ConflictOf(session.get(), *rule.policy);
    } else if (rule.decides == Bdd::kFalse) {
      status.kind = Kind::kDenied;
      status.by = cover(rule.matches, Rbac::Action::kDeny);
    } else if (rule.custom || rule.action == Rbac::Action::kLog) {
      status.kind = Kind::kLive;
      witness = Bdd::kFalse;
    } else if (alone == Bdd::kFalse) {
      status.kind = Kind::kCovered;
      status.by = cover(rule.decides, rule.action);
    } else if (deny && effective == Bdd::kFalse) {
      status.kind = Kind::kCovered;
      status.reason = "what it denies is let in by no ALLOW rule";
    } else {
      status.kind = Kind::kLive;
      witness = deny ? effective : alone;
    }
    if (witness != Bdd::kFalse) {
      Answer answer = Ask(session.get(), witness, 0, Authorizers::kAgree, refused);
      if (answer.found()) {
        status.example = std::move(answer.example);
      } else {
        status.kind = Kind::kUndetermined;
        status.reason = answer.reason;
      }
    }
    if (session->spent()) {
      status.kind = Kind::kUndetermined;
      status.reason = SpentReason();
      status.by.clear();
    } else if (model.has_opaque() && status.kind != Kind::kLive) {
      // Some value of what cannot be seen through may revive the rule; all of
      // them were tried.
      if (status.kind == Kind::kUndetermined) status.reason = model.OpaqueReason();
    }
    statuses.push_back(std::move(status));
  }
  return statuses;
}

std::vector<RuleStatus> Reasoner::RuleStatusesAnew(const Workload& workload, int port) const {
  // A rule that several doors have is as good as at the door where it does most.
  const auto rank = [](const RuleStatus& status) {
    using Kind = RuleStatus::Kind;
    switch (status.kind) {
      case Kind::kLive:
        return 4;
      case Kind::kUndetermined:
        return 3;
      case Kind::kCovered:
        return 2;
      case Kind::kDenied:
        return 1;
      case Kind::kUnreachable:
        return 0;
    }
    return 0;
  };
  std::vector<RuleStatus> statuses;
  for (const Door& door : DoorsTo(impl_->world, workload, port)) {
    for (RuleStatus& status : impl_->StatusesAt(impl_->SideOf(workload, port, door))) {
      auto known = std::find_if(statuses.begin(), statuses.end(), [&](const RuleStatus& other) {
        return other.policy->origin.object == status.policy->origin.object &&
               other.policy->origin.rule == status.policy->origin.rule &&
               other.action == status.action && other.custom == status.custom;
      });
      if (door.service == nullptr || known == statuses.end()) {
        statuses.push_back(std::move(status));
      } else if (rank(status) > rank(*known)) {
        *known = std::move(status);
      }
    }
  }
  return statuses;
}

namespace {

// The author's own words for one permission or principal.
void Describe(const Predicate& predicate, ExposureRow* row) {
  const auto* all = std::get_if<AndPredicate>(&predicate.match);
  if (all == nullptr) return;
  for (const Predicate& part : all->all) {
    std::string field = part.field;
    if (field.empty()) continue;
    bool negated = field.starts_with("not");
    if (negated) {
      field = field.substr(3);
      field[0] = static_cast<char>(field[0] | 0x20);
    }
    bool when = field.starts_with("when ");
    if (when) field = field.substr(5);
    bool when_negated = when && std::holds_alternative<NotPredicate>(part.match);
    std::string lead = negated || when_negated ? "not " : "";
    std::string values = WrittenValues(part);
    for (std::string_view value : Split(values, ',')) {
      std::string text(TrimSpace(value));
      if (field == "hosts") {
        row->hosts.push_back(lead + text);
      } else if (field == "methods") {
        row->methods.push_back(lead + text);
      } else if (field == "paths") {
        row->paths.push_back(lead + text);
      } else if (field == "ports") {
        row->conditions.push_back(lead + "port " + text);
      } else if (field == "principals") {
        row->from.push_back(lead + text);
      } else if (field == "namespaces" || field == "source.namespace") {
        row->from.push_back(lead + "namespace " + text);
      } else if (field == "serviceAccounts" || field == "source.serviceAccount") {
        row->from.push_back(lead + "service account " + text);
      } else if (field == "trustDomains" || field == "source.trustDomain") {
        row->from.push_back(lead + "trust domain " + text);
      } else if (field == "source.principal") {
        row->from.push_back(lead + text);
      } else if (field == "ipBlocks" || field == "source.ip") {
        row->from.push_back(lead + "peer address " + text);
      } else if (field == "remoteIpBlocks" || field == "remote.ip") {
        row->from.push_back(lead + "client address " + text);
      } else if (field == "requestPrincipals" || field == "request.auth.principal") {
        row->conditions.push_back(lead + "token of " + text);
      } else {
        row->conditions.push_back(lead + field + " = " + text);
      }
    }
  }
}

std::string RouteText(const RouteMatch& match) {
  switch (match.path_kind) {
    case RouteMatch::Path::kPrefix:
      return match.path == "/" ? "" : match.path + "*";
    case RouteMatch::Path::kExact:
      return match.path;
    case RouteMatch::Path::kRegex:
      return "~ " + match.path;
    case RouteMatch::Path::kPathSeparatedPrefix:
      return match.path + "[/*]";
  }
  return "";
}

std::string DestinationText(const Route& route) {
  std::vector<std::string> names;
  for (const WeightedCluster& cluster : route.clusters) {
    auto parts = Split(cluster.cluster, '|');
    if (parts.size() == 4) {
      names.push_back(std::string(parts[3]) + ":" + std::string(parts[1]) +
                      (parts[2].empty() ? "" : " (" + std::string(parts[2]) + ")"));
    } else {
      names.push_back(cluster.cluster);
    }
  }
  return Join(names, ", ");
}

}  // namespace

namespace {

void MergeRow(ExposureRow more, ExposureRow* row) {
  if (more.peer < row->peer) {
    row->peer = more.peer;
    row->example = std::move(more.example);
  }
  row->token = row->token && more.token;
  if (!row->token) row->issuers.clear();
  for (std::string& provider : more.custom) {
    if (std::find(row->custom.begin(), row->custom.end(), provider) == row->custom.end()) {
      row->custom.push_back(std::move(provider));
    }
  }
  for (auto& exception : more.except) {
    bool known = std::any_of(row->except.begin(), row->except.end(), [&](const auto& one) {
      return one.rule == exception.rule && one.text == exception.text;
    });
    if (!known) row->except.push_back(std::move(exception));
  }
}

}  // namespace

Exposure Reasoner::Impl::ExposureAt(const PortModel::Side& at, const Region& within) const {
  Exposure exposure;
  exposure.port = at.port;
  PortModel model({at}, budget);
  const SideModel& side = model.side(0);
  if (!side.undetermined.empty()) {
    exposure.reason = side.undetermined;
    return exposure;
  }
  Expr where = model.RegionOf(within);
  Expr token = model.RegionOf(Region::Is(Region::Field::kToken));
  Expr certificate = model.RegionOf(Region::Is(Region::Field::kMutualTls));
  std::map<std::string, Expr> issuers;
  for (const ChainModel& chain : side.chains) {
    if (chain.jwt == nullptr) continue;
    for (const JwtProvider& provider : chain.jwt->providers) {
      if (provider.issuer.empty()) continue;
      auto field = model.space().Find("issuer");
      if (!field) continue;
      issuers[provider.issuer] =
          model.space().Matches(*field, {StringPattern::Kind::kExact, provider.issuer, false});
    }
  }
  if (!model.Build()) {
    exposure.reason = model.reason();
    return exposure;
  }
  Session session(&model, budget);
  Space& space = model.space();
  Bdd& bdd = space.bdd();
  bool gateway = at.workload->mode == ProxyMode::kGateway;
  RequestSet inside = bdd.And(session.domain, space.ToNode(where));
  std::vector<bool> not_identity =
      space.VariablesOf([](const std::string& name) { return name != "identity"; });
  std::vector<RequestSet> kept;
  std::map<std::tuple<const RbacPolicy*, size_t, const Route*, bool>, size_t> row_of;
  for (const ChainModel& chain : side.chains) {
    RequestSet open = session.Arriving(chain, inside, Authorizers::kAgree);
    if (open == Bdd::kFalse) continue;
    if (chain.allow_filters > 1) open = bdd.And(open, space.ToNode(chain.admitted));
    RequestSet any_identity =
        bdd.Exists(bdd.And(session.domain, space.ToNode(chain.arrives)), not_identity);

    struct Way {
      const RbacPolicy* policy = nullptr;
      RuleInChain::Pair pair;
      const RouteInChain* route = nullptr;
    };
    std::vector<Way> ways;
    auto add_ways = [&](const RbacPolicy* policy, const RuleInChain::Pair& pair) {
      if (!gateway || chain.routes.empty()) {
        ways.push_back({policy, pair, nullptr});
        return;
      }
      for (const RouteInChain& route : chain.routes) ways.push_back({policy, pair, &route});
    };
    if (chain.allow_filters == 0) {
      add_ways(nullptr, {0, 0, kAlways});
    } else {
      for (const RuleInChain& rule : chain.rules) {
        if (rule.action != Rbac::Action::kAllow || rule.custom) continue;
        for (const RuleInChain::Pair& pair : rule.pairs) add_ways(rule.policy, pair);
      }
    }
    for (const Way& way : ways) {
      RequestSet mine = space.ToNode(way.pair.match);
      if (way.route != nullptr) mine = bdd.And(mine, space.ToNode(way.route->match));
      RequestSet row_open = bdd.And(open, mine);
      RequestSet row_node = session.MinusDenied(chain, row_open);
      if (row_node == Bdd::kFalse) continue;
      if (session.spent()) break;
      if (exposure.rows.size() >= kMaxRows) {
        exposure.reason = "there are more rows than " + std::to_string(kMaxRows);
        break;
      }
      bool folded = false;
      for (RequestSet other : kept) folded |= bdd.Diff(row_node, other) == Bdd::kFalse;
      if (chain.http) exposure.http = true;
      if (folded) continue;
      kept.push_back(row_node);
      ExposureRow row;
      row.http = chain.http;
      RequestSet anonymous = bdd.Diff(row_node, space.ToNode(certificate));
      if (anonymous != Bdd::kFalse) {
        row.peer = ExposureRow::Peer::kAnyone;
      } else if (bdd.Exists(row_node, not_identity) == any_identity) {
        row.peer = ExposureRow::Peer::kAnyIdentity;
      } else {
        row.peer = ExposureRow::Peer::kNamed;
      }
      row.token = bdd.Diff(row_node, space.ToNode(token)) == Bdd::kFalse;
      if (row.token) {
        for (const auto& [issuer, expr] : issuers) {
          if (bdd.And(row_node, space.ToNode(expr)) != Bdd::kFalse) row.issuers.push_back(issuer);
        }
      }
      for (const auto& [provider, asked] : chain.gates) {
        if (bdd.And(row_node, space.ToNode(asked)) == Bdd::kFalse) continue;
        if (std::find(row.custom.begin(), row.custom.end(), provider) == row.custom.end()) {
          row.custom.push_back(provider);
        }
      }
      if (way.policy != nullptr) {
        row.rules.push_back(way.policy);
        meshproof::Describe(way.policy->permissions[way.pair.permission], &row);
        meshproof::Describe(way.policy->principals[way.pair.principal], &row);
      }
      if (way.route != nullptr) {
        row.route = way.route->route;
        row.destination = DestinationText(*way.route->route);
        if (row.hosts.empty()) {
          for (const std::string& domain : way.route->host->domains) {
            if (domain != "*") row.hosts.push_back(domain);
          }
        }
        std::string path = RouteText(way.route->route->match);
        if (!path.empty()) row.conditions.push_back("route path " + path);
      }
      for (const RuleInChain& rule : chain.rules) {
        if (rule.action != Rbac::Action::kDeny || rule.custom) continue;
        if (bdd.And(row_open, space.ToNode(rule.match)) == Bdd::kFalse) continue;
        ExposureRow words;
        ExposureRow::Exception exception;
        exception.rule = rule.policy;
        for (const Predicate& one : rule.policy->permissions) meshproof::Describe(one, &words);
        for (const Predicate& one : rule.policy->principals) meshproof::Describe(one, &words);
        std::vector<std::string> parts;
        for (const auto* list :
             {&words.from, &words.methods, &words.hosts, &words.paths, &words.conditions}) {
          if (!list->empty()) parts.push_back(Join(*list, ", "));
        }
        exception.text = parts.empty() ? "everything" : Join(parts, "; ");
        row.except.push_back(std::move(exception));
      }
      Answer answer = Ask(&session, row_node, 0, Authorizers::kAgree, false);
      if (answer.found()) {
        row.example = std::move(answer.example);
      } else if (exposure.reason.empty()) {
        exposure.reason = answer.reason;
      }
      // One rule in the chains of one port (plaintext, mTLS) is one row.
      auto key = std::make_tuple(way.policy, way.pair.permission * 65536 + way.pair.principal,
                                 row.route, row.http);
      auto [twin, added] = row_of.try_emplace(key, exposure.rows.size());
      if (added) {
        exposure.rows.push_back(std::move(row));
      } else {
        MergeRow(std::move(row), &exposure.rows[twin->second]);
      }
    }
  }
  // Every pair of a permission and a principal of every ALLOW rule is a row, lies in one, or lets
  // nothing in: the rows hold all that is let in.
  if (session.spent()) exposure.reason = SpentReason();
  exposure.complete = exposure.reason.empty();
  return exposure;
}

Exposure Reasoner::ExposureAnew(const Workload& workload, int port, const Region& within) const {
  const std::vector<Door> doors = DoorsTo(impl_->world, workload, port);
  Exposure exposure = impl_->ExposureAt(impl_->SideOf(workload, port, doors.front()), within);
  for (size_t i = 1; i < doors.size(); ++i) {
    Exposure more =
        impl_->ExposureAt(impl_->SideOf(workload, port, doors[i]), Through(doors[i], within));
    exposure.http = exposure.http || more.http;
    exposure.complete = exposure.complete && more.complete;
    if (exposure.reason.empty()) exposure.reason = std::move(more.reason);
    for (ExposureRow& row : more.rows) {
      row.conditions.push_back(DoorText(impl_->world, doors[i]));
      exposure.rows.push_back(std::move(row));
    }
  }
  return exposure;
}

namespace {

// What `to` lets through and `from` does not. A rule that stands on both sides in the same chain
// lets in more only where DENY rules are gone.
RequestSet Changed(Session* session, size_t from, size_t to, Authorizers answers) {
  Space& space = session->space;
  Bdd& bdd = session->bdd;
  RequestSet changed = Bdd::kFalse;
  for (const ChainModel& chain : session->model.side(to).chains) {
    const ChainModel* twin = nullptr;
    for (const ChainModel& other : session->model.side(from).chains) {
      bool alike = other.arrives == chain.arrives && other.token_ok == chain.token_ok &&
                   other.custom_ok == chain.custom_ok && other.clear == chain.clear &&
                   other.allow_filters == chain.allow_filters && chain.allow_filters <= 1;
      if (alike) twin = &other;
    }
    RequestSet gone = Bdd::kTrue;  // what changed outside the ALLOW rules
    if (twin != nullptr) {
      std::set<Expr> still;
      for (const RuleInChain& rule : chain.rules) {
        if (rule.enforced && rule.action == Rbac::Action::kDeny) still.insert(rule.match);
      }
      gone = Bdd::kFalse;
      for (const RuleInChain& rule : twin->rules) {
        bool deny = rule.enforced && rule.action == Rbac::Action::kDeny;
        if (deny && still.count(rule.match) == 0) gone = bdd.Or(gone, space.ToNode(rule.match));
      }
    }
    std::set<Expr> twins;
    if (twin != nullptr) {
      for (const RuleInChain& rule : twin->rules) {
        if (rule.enforced && rule.action == Rbac::Action::kAllow) twins.insert(rule.match);
      }
    }
    RequestSet arriving = session->Arriving(chain, session->domain, answers);
    auto look = [&](RequestSet admitted, bool known) {
      RequestSet piece = bdd.And(arriving, admitted);
      if (known) piece = bdd.And(piece, gone);
      if (piece == Bdd::kFalse) return;
      piece = session->MinusDenied(chain, piece);
      changed = bdd.Or(changed, session->MinusAllowed(from, piece, answers));
    };
    if (chain.allow_filters != 1) {
      look(space.ToNode(chain.admitted), twin != nullptr);
      continue;
    }
    for (const RuleInChain& rule : chain.rules) {
      if (!rule.enforced || rule.action != Rbac::Action::kAllow) continue;
      look(space.ToNode(rule.match), twins.count(rule.match) != 0);
    }
  }
  return changed;
}

}  // namespace

Comparison Reasoner::Impl::CompareAt(const Impl& before, const PortModel::Side& old_side,
                                     const Impl& after, const PortModel::Side& new_side,
                                     size_t limit) {
  Comparison comparison;
  const World* worlds[] = {&before.world, &after.world};
  PortModel model({old_side, new_side}, after.budget);
  auto give_up = [&](std::string reason) {
    comparison.complete = false;
    comparison.reason = std::move(reason);
    return comparison;
  };
  for (size_t i = 0; i < 2; ++i) {
    if (!model.side(i).undetermined.empty()) return give_up(model.side(i).undetermined);
  }
  // Only connections with a certificate pass a waypoint.
  const Expr through = old_side.door.service != nullptr
                           ? model.RegionOf(Region::Is(Region::Field::kMutualTls))
                           : kAlways;
  if (!model.Build()) return give_up(model.reason());
  Session session(&model, after.budget);
  Space& space = session.space;
  if (old_side.door.service != nullptr) {
    session.domain = session.bdd.And(session.domain, space.ToNode(through));
  }
  Bdd& bdd = session.bdd;
  // What the rule that decided a verdict matches.
  auto decided_region = [&](size_t side, const Verdict& verdict) {
    RequestSet any = Bdd::kFalse;
    if (verdict.decided_by.object == nullptr) return any;
    for (const ChainModel& chain : model.side(side).chains) {
      for (const RuleInChain& rule : chain.rules) {
        if (rule.policy->origin.object != verdict.decided_by.object ||
            rule.policy->origin.rule != verdict.decided_by.rule) {
          continue;
        }
        any = bdd.Or(any, bdd.And(space.ToNode(chain.arrives), space.ToNode(rule.match)));
      }
    }
    return any;
  };
  auto collect = [&](Authorizers answers, bool opened, std::vector<Difference>* out) {
    RequestSet found = Changed(&session, opened ? 0 : 1, opened ? 1 : 0, answers);
    while (found != Bdd::kFalse && out->size() < limit) {
      RequestSet sure = session.Surely(found);
      if (session.spent()) break;
      if (sure == Bdd::kFalse) {
        give_up(model.OpaqueReason());
        break;
      }
      Space::Point point = model.Choose(sure, opened ? 1 : 0);
      auto old_example = after.Confirm(&session, point, 0, *worlds[0], answers, opened);
      auto new_example = after.Confirm(&session, point, 1, *worlds[1], answers, !opened);
      if (!old_example || !new_example) {
        give_up(after.UnconfirmedReason());
        break;
      }
      Difference difference;
      difference.region = Impl::Generalize(&session, sure, point);
      // The next one shall have another cause.
      RequestSet old_cause = decided_region(0, old_example->verdict);
      RequestSet new_cause = decided_region(1, new_example->verdict);
      RequestSet same = old_cause == Bdd::kFalse   ? new_cause
                        : new_cause == Bdd::kFalse ? old_cause
                                                   : bdd.And(old_cause, new_cause);
      difference.old_example = *std::move(old_example);
      difference.new_example = *std::move(new_example);
      out->push_back(std::move(difference));
      if (same == Bdd::kFalse) break;
      found = bdd.Diff(found, same);
    }
  };
  for (bool opened : {true, false}) {
    auto& out = opened ? comparison.newly_allowed : comparison.newly_refused;
    collect(Authorizers::kAgree, opened, &out);
    // Whether an authorizer is asked at all shows only where it refuses.
    if (out.empty()) collect(Authorizers::kRefuse, opened, &out);
  }
  if (session.spent()) return give_up(SpentReason());
  return comparison;
}

Comparison Reasoner::Compare(const Reasoner& before, const Workload& old_workload,
                             const Reasoner& after, const Workload& new_workload, int port,
                             size_t limit) {
  const World& old_world = before.impl_->world;
  const World& new_world = after.impl_->world;
  const auto compare = [&](const Door& old_door, const Door& new_door) {
    return Impl::CompareAt(*before.impl_, before.impl_->SideOf(old_workload, port, old_door),
                           *after.impl_, after.impl_->SideOf(new_workload, port, new_door), limit);
  };
  Comparison comparison = compare({}, {});
  // By a Service that has a waypoint on either side.
  std::set<std::string> hosts;
  for (const Door& door : DoorsTo(old_world, old_workload, port)) {
    if (door.service != nullptr) hosts.insert(door.service->host);
  }
  for (const Door& door : DoorsTo(new_world, new_workload, port)) {
    if (door.service != nullptr) hosts.insert(door.service->host);
  }
  for (const std::string& host : hosts) {
    const MeshService* old_service = old_world.mesh().FindService(host);
    const MeshService* new_service = new_world.mesh().FindService(host);
    if (old_service == nullptr || new_service == nullptr) continue;
    const Door old_door = DoorOf(old_world, old_workload, port, *old_service);
    const Door new_door = DoorOf(new_world, new_workload, port, *new_service);
    if (old_door.service == nullptr || new_door.service == nullptr) continue;
    Comparison more = compare(old_door, new_door);
    if (!more.complete && comparison.complete) {
      comparison.complete = false;
      comparison.reason = std::move(more.reason);
    }
    const auto join = [&](std::vector<Difference>* to, std::vector<Difference>* from) {
      for (Difference& difference : *from) {
        if (to->size() >= limit) break;
        difference.region += ", " + DoorText(new_world, new_door);
        to->push_back(std::move(difference));
      }
    };
    join(&comparison.newly_allowed, &more.newly_allowed);
    join(&comparison.newly_refused, &more.newly_refused);
  }
  return comparison;
}

Answer Reasoner::Find(const Workload& workload, int port, const Region& region,
                      Wanted wanted) const {
  std::string key = impl_->keys.Of(impl_->world, workload, port);
  if (key.empty()) return FindAnew(workload, port, region, wanted);
  key += RegionKey(region) + std::to_string(static_cast<int>(wanted));
  if (auto known = impl_->known_answers.Get(key)) {
    Answer answer = *known;
    if (impl_->Readdress(workload, port, &answer.example)) return answer;
  }
  Answer answer = FindAnew(workload, port, region, wanted);
  impl_->known_answers.Put(key, answer);
  return answer;
}

std::vector<RuleStatus> Reasoner::RuleStatuses(const Workload& workload, int port) const {
  std::string key = impl_->keys.Of(impl_->world, workload, port);
  if (key.empty()) return RuleStatusesAnew(workload, port);
  if (auto known = impl_->known_statuses.Get(key)) {
    std::vector<RuleStatus> statuses = *known;
    bool all = true;
    for (RuleStatus& status : statuses) {
      all = all && impl_->Readdress(workload, port, &status.example);
    }
    if (all) return statuses;
  }
  std::vector<RuleStatus> statuses = RuleStatusesAnew(workload, port);
  impl_->known_statuses.Put(key, statuses);
  return statuses;
}

Exposure Reasoner::ExposureOf(const Workload& workload, int port, const Region& within) const {
  std::string key = impl_->keys.Of(impl_->world, workload, port);
  if (key.empty()) return ExposureAnew(workload, port, within);
  key += RegionKey(within);
  if (auto known = impl_->known_exposures.Get(key)) {
    Exposure exposure = *known;
    exposure.port = port;
    bool all = true;
    for (ExposureRow& row : exposure.rows) {
      all = all && impl_->Readdress(workload, port, &row.example);
    }
    if (all) return exposure;
  }
  Exposure exposure = ExposureAnew(workload, port, within);
  impl_->known_exposures.Put(key, exposure);
  return exposure;
}

}  // namespace meshproof

// Whether a rule decides anything. A rule is live as soon as one slice shows a request that it
// alone decides, so the pleasantest slices are looked at first; that it is covered or denied takes
// all slices in which it says something.

#include <algorithm>
#include <map>
#include <tuple>

#include "base/text.h"
#include "reason/reasoner_impl.h"
#include "simulate/predicate.h"

namespace meshproof {
namespace {

using RequestSet = Session::Node;

// So many slices are compared to find a pleasant request.
constexpr size_t kEnoughPlaces = 2;

// One rule of a policy over all chains of a port: the same rule stands in the HTTP and in the TCP
// chains, compiled apart.
struct RuleOverChains {
  const RbacPolicy* policy = nullptr;
  Rbac::Action action = Rbac::Action::kAllow;
  bool custom = false;
  std::vector<std::pair<size_t, size_t>> uses;  // chain, rule
};

std::string ConjunctName(const Predicate& part) {
  std::string values = WrittenValues(part);
  return part.field.empty() ? values : part.field + (values.empty() ? "" : " [" + values + "]");
}

class StatusFinder {
 public:
  StatusFinder(Session* session, std::vector<RuleOverChains> rules)
      : session_(*session), bdd_(session->bdd), rules_(std::move(rules)) {
    number_of_.resize(session->chains().size());
    for (size_t i = 0; i < rules_.size(); ++i) {
      for (auto [chain, rule] : rules_[i].uses) {
        std::vector<size_t>& numbers = number_of_[chain];
        if (rule >= numbers.size()) numbers.resize(rule + 1);
        numbers[rule] = i;
      }
    }
  }

  // What the rule does as far as slices show it; a live one with requests that show it.
  struct Seen {
    bool matches = false;
    bool decides = false;  // the filters before its own let something of it come so far
    bool alone = false;    // of which no other rule of its action matches something
    bool matters = false;  // and, DENY: which would be let in
    Session::Places sure;  // of what matters
  };

  Seen Look(size_t number) {
    Seen seen;
    const RuleOverChains& own = rules_[number];
    for (auto [chain, rule] : own.uses) {
      bool enough = EachPlace(chain, rule, [&](uint32_t slice, RequestSet rest) {
        RequestSet matches = bdd_.And(Arriving(chain, slice), rest);
        if (matches == Bdd::kFalse) return session_.Tick();
        seen.matches = true;
        RequestSet decides = Decides(own, chain, slice, matches);
        if (decides == Bdd::kFalse) return session_.Tick();
        seen.decides = true;
        if (own.custom || own.action == Rbac::Action::kLog) return true;
        RequestSet alone = Alone(number, chain, slice, rest, decides);
        if (alone == Bdd::kFalse) return session_.Tick();
        seen.alone = true;
        RequestSet matters = IsDeny(own) ? LetInWithout(chain, slice, rest, alone) : alone;
        if (matters == Bdd::kFalse) return session_.Tick();
        seen.matters = true;
        RequestSet sure = session_.Surely(matters);
        if (sure != Bdd::kFalse) seen.sure.push_back({slice, sure});
        return session_.Tick() || seen.sure.size() >= kEnoughPlaces;
      });
      if (enough) break;
    }
    return seen;
  }

  // A smallest set, as far as leaving out one after the other leads, of other rules of `action`
  // that together hold what the rule decides (or, DENY rules over another one: what comes to them
  // of what it matches).
  std::vector<const RbacPolicy*> CoverOf(size_t number, Rbac::Action action) {
    const RuleOverChains& own = rules_[number];
    bool by_denies = action == Rbac::Action::kDeny;
    std::vector<Piece> pieces;
    std::map<size_t, std::vector<size_t>> touching;  // by rule, the pieces
    for (auto [chain_number, rule_number] : own.uses) {
      const size_t chain = chain_number;
      EachPlace(chain, rule_number, [&](uint32_t slice, RequestSet rest) {
        RequestSet what = by_denies
                              ? bdd_.And(session_.Open(chain, slice, Authorizers::kAgree), rest)
                              : session_.FreeOf(chain, slice, rest, Authorizers::kAgree);
        if (what == Bdd::kFalse) return session_.Tick();
        Piece piece{what, {}};
        session_.EachRuleAt(chain, slice, [&](size_t rule, RequestSet other) {
          size_t at = number_of_[chain][rule];
          bool alike = at != number && rules_[at].action == action && !rules_[at].custom;
          if (alike && bdd_.And(what, other) != Bdd::kFalse) {
            piece.by.emplace_back(at, other);
            touching[at].push_back(pieces.size());
          }
          return false;
        });
        pieces.push_back(std::move(piece));
        return session_.Tick();
      });
    }
    std::vector<const RbacPolicy*> by;
    std::vector<bool> dropped(rules_.size(), false);
    for (const auto& [at, places] : touching) {
      dropped[at] = true;
      for (size_t place : places) {
        RequestSet left = pieces[place].what;
        for (const auto& [other, rest] : pieces[place].by) {
          if (!dropped[other]) left = bdd_.Diff(left, rest);
        }
        if (left == Bdd::kFalse) continue;
        dropped[at] = false;
        break;
      }
      if (!dropped[at]) by.push_back(rules_[at].policy);
    }
    return by;
  }

 private:
  struct Piece {
    RequestSet what = Bdd::kFalse;
    std::vector<std::pair<size_t, RequestSet>> by;  // rule, what it matches there
  };

  static bool IsDeny(const RuleOverChains& rule) {
    return rule.action == Rbac::Action::kDeny && !rule.custom;
  }
  template <typename Visit>
  bool EachPlace(size_t chain, size_t rule, Visit visit) {
    return session_.EachPlaceOf({session_.chains()[chain].rules[rule]}, visit);
  }
  RequestSet Arriving(size_t chain, uint32_t slice) {
    return bdd_.And(session_.domain, session_.At(session_.chains()[chain].arrives, slice));
  }
  RequestSet Decides(const RuleOverChains& own, size_t chain, uint32_t slice, RequestSet matches) {
    if (own.custom) {
      return bdd_.And(matches, session_.At(session_.chains()[chain].token_ok, slice));
    }
    if (IsDeny(own)) return bdd_.And(matches, session_.Open(chain, slice, Authorizers::kAgree));
    return session_.FreeOf(chain, slice, matches, Authorizers::kAgree);
  }
  // What is left of a part of what a rule matches.
  RequestSet Alone(size_t number, size_t chain, uint32_t slice, RequestSet matched,
                   RequestSet left) {
    const RuleOverChains& own = rules_[number];
    session_.EachRuleAt(chain, slice, [&](size_t rule, RequestSet rest) {
      size_t at = number_of_[chain][rule];
      bool alike =
          at != number && rules_[at].action == own.action && rules_[at].custom == own.custom;
      if (alike && bdd_.And(matched, rest) != Bdd::kFalse) left = bdd_.Diff(left, rest);
      return left == Bdd::kFalse;
    });
    return left;
  }
  // What of that would pass behind the DENY rules.
  RequestSet LetInWithout(size_t chain, uint32_t slice, RequestSet matched, RequestSet alone) {
    const Session::Chain& own = session_.chains()[chain];
    if (!own.one_filter) return bdd_.And(alone, session_.At(own.admitted, slice));
    RequestSet any = Bdd::kFalse;
    session_.EachRuleAt(chain, slice, [&](size_t rule, RequestSet rest) {
      bool touches =
          Session::Allows(own.model->rules[rule]) && bdd_.And(matched, rest) != Bdd::kFalse;
      if (touches) any = bdd_.Or(any, bdd_.And(alone, rest));
      return any == alone;
    });
    return any;
  }

  Session& session_;
  Bdd& bdd_;
  std::vector<RuleOverChains> rules_;
  std::vector<std::vector<size_t>> number_of_;  // by chain and rule
};

// Why nothing matches a rule: a smallest set of its conditions that exclude each other.
void ExplainConflict(Session* session, RuleStatus* status) {
  Space& space = session->space;
  Bdd& bdd = session->bdd;
  status->reason = "nothing reaches it";
  for (const ChainModel& chain : session->model.side(0).chains) {
    RequestSet reached = space.ToNode(chain.arrives);
    if (!session->IsPossible(reached)) continue;
    for (const RuleInChain& rule : chain.rules) {
      if (rule.policy != status->policy) continue;
      const auto& parts = rule.conditions;
      std::vector<bool> kept(parts.size(), true);
      auto satisfiable = [&] {
        RequestSet all = reached;
        for (size_t i = 0; i < parts.size(); ++i) {
          if (kept[i]) all = bdd.And(all, space.ToNode(parts[i].second));
        }
        return session->IsPossible(all);
      };
      if (parts.empty() || satisfiable()) {
        status->reason = "its conditions exclude each other";
        return;
      }
      for (size_t i = 0; i < parts.size(); ++i) {
        kept[i] = false;
        if (satisfiable()) kept[i] = true;
      }
      for (size_t i = 0; i < parts.size(); ++i) {
        if (kept[i]) status->conflict.push_back(i);
      }
      if (!status->conflict.empty()) {
        status->reason = ConflictText(*status->policy, status->conflict);
      }
      return;
    }
  }
}

std::vector<RuleOverChains> CollectRules(const SideModel& side) {
  using Key = std::tuple<const ObjectMeta*, int, Rbac::Action, bool>;
  std::map<Key, size_t> known;
  std::vector<RuleOverChains> rules;
  for (size_t chain = 0; chain < side.chains.size(); ++chain) {
    const std::vector<RuleInChain>& own = side.chains[chain].rules;
    for (size_t i = 0; i < own.size(); ++i) {
      const RbacPolicy& policy = *own[i].policy;
      Key key{policy.origin.object, policy.origin.rule, own[i].action, own[i].custom};
      auto [found, added] = known.try_emplace(key, rules.size());
      if (added) rules.push_back({own[i].policy, own[i].action, own[i].custom, {}});
      rules[found->second].uses.emplace_back(chain, i);
    }
  }
  return rules;
}

}  // namespace

std::vector<const Predicate*> ConditionsOf(const RbacPolicy& policy) {
  std::vector<const Predicate*> conditions;
  if (policy.permissions.size() != 1 || policy.principals.size() != 1) return conditions;
  for (const Predicate* side : {&policy.permissions.front(), &policy.principals.front()}) {
    const auto* all = std::get_if<AndPredicate>(&side->match);
    if (all == nullptr) continue;
    for (const Predicate& part : all->all) conditions.push_back(&part);
  }
  return conditions;
}

std::string ConflictText(const RbacPolicy& policy, const std::vector<size_t>& conditions) {
  const std::vector<const Predicate*> parts = ConditionsOf(policy);
  std::vector<std::string> names;
  for (size_t index : conditions) names.push_back(ConjunctName(*parts[index]));
  if (names.size() == 1) return names.front() + " matches no request here";
  return Join(names, " and ") + " exclude each other";
}

std::vector<RuleStatus> Reasoner::Impl::StatusesAt(const PortModel::Side& at) const {
  return AskAt(at, Region::All(), [this](OpenPort* port, Expr) { return StatusesOf(port); });
}

std::vector<RuleStatus> Reasoner::Impl::StatusesOf(OpenPort* port) const {
  using Kind = RuleStatus::Kind;
  PortModel& model = port->model;
  const SideModel& side = model.side(0);
  std::vector<RuleOverChains> rules = CollectRules(side);
  std::vector<RuleStatus> statuses;
  for (const RuleOverChains& rule : rules) {
    RuleStatus status;
    status.policy = rule.policy;
    status.action = rule.action;
    status.custom = rule.custom;
    statuses.push_back(std::move(status));
  }
  if (!port->built) {
    for (RuleStatus& status : statuses) {
      status.reason = port->reason;
    }
    return statuses;
  }
  Session& session = port->SessionFor({});
  StatusFinder finder(&session, std::move(rules));
  for (size_t i = 0; i < statuses.size(); ++i) {
    RuleStatus& status = statuses[i];
    bool deny = status.action == Rbac::Action::kDeny && !status.custom;
    if (!session.spent()) {
      StatusFinder::Seen seen = finder.Look(i);
      if (!seen.matches) {
        status.kind = Kind::kUnreachable;
        ExplainConflict(&session, &status);
      } else if (!seen.decides) {
        status.kind = Kind::kDenied;
        status.by = finder.CoverOf(i, Rbac::Action::kDeny);
        if (status.by.empty()) status.reason = "the filters before it refuse all that it matches";
      } else if (status.custom || status.action == Rbac::Action::kLog) {
        status.kind = Kind::kLive;
      } else if (!seen.alone) {
        status.kind = Kind::kCovered;
        status.by = finder.CoverOf(i, status.action);
      } else if (!seen.matters) {
        status.kind = Kind::kCovered;
        status.reason = "what it denies is let in by no ALLOW rule";
      } else if (seen.sure.empty()) {
        status.reason = model.OpaqueReason();
      } else {
        Answer answer = Show(&session, seen.sure, 0, Authorizers::kAgree, deny);
        if (answer.found()) {
          status.kind = Kind::kLive;
          status.example = std::move(answer.example);
        } else {
          status.reason = answer.reason;
        }
      }
    }
    if (session.spent()) {
      status.kind = Kind::kUndetermined;
      status.reason = SpentReason();
      status.conflict.clear();
      status.by.clear();
      status.example.reset();
    }
  }
  return statuses;
}

}  // namespace meshproof

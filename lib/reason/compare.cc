// Requests on which two proxies disagree. In a slice where the filters and rules of both sides are
// the same nothing has changed; only the others are looked into.

#include <algorithm>
#include <map>
#include <set>

#include "reason/reasoner_impl.h"

namespace meshproof {
namespace {

using RequestSet = Session::Node;

// Everything that decides in a slice on one side: two slices that say the same decide alike.
std::vector<RequestSet> ContentOf(Session* session, size_t side, uint32_t slice,
                                  Authorizers answers) {
  std::vector<RequestSet> content;
  std::vector<RequestSet> denied, allowed;
  auto add = [&](std::vector<RequestSet>* nodes) {
    std::sort(nodes->begin(), nodes->end());
    nodes->erase(std::unique(nodes->begin(), nodes->end()), nodes->end());
    content.push_back(static_cast<RequestSet>(nodes->size()));
    content.insert(content.end(), nodes->begin(), nodes->end());
    nodes->clear();
  };
  for (size_t chain = 0; chain < session->chains().size(); ++chain) {
    const Session::Chain& own = session->chains()[chain];
    if (own.side != side) continue;
    RequestSet open = session->Open(chain, slice, answers);
    if (open == Bdd::kFalse) continue;
    content.push_back(open);
    if (!own.one_filter) allowed.push_back(session->At(own.admitted, slice));
    session->EachRuleAt(chain, slice, [&](size_t number, RequestSet rest) {
      const RuleInChain& rule = own.model->rules[number];
      if (Session::Denies(rule)) denied.push_back(rest);
      if (own.one_filter && Session::Allows(rule)) allowed.push_back(rest);
      return false;
    });
    add(&denied);
    add(&allowed);
  }
  return content;
}

// Where something may have changed: what rules match that only one side has. Nothing: anywhere.
std::optional<std::map<uint32_t, RequestSet>> Touched(Session* session_at) {
  Session& session = *session_at;
  std::vector<size_t> sides[2];
  for (size_t chain = 0; chain < session.chains().size(); ++chain) {
    sides[session.chains()[chain].side].push_back(chain);
  }
  if (sides[0].size() != sides[1].size()) return std::nullopt;
  std::set<Session::Set> changed;
  for (size_t i = 0; i < sides[0].size(); ++i) {
    std::set<std::pair<Rbac::Action, Session::Set>> rules[2];
    const Session::Chain& before = session.chains()[sides[0][i]];
    const Session::Chain& after = session.chains()[sides[1][i]];
    bool alike = before.open[0] == after.open[0] && before.open[1] == after.open[1] &&
                 before.one_filter == after.one_filter &&
                 (before.one_filter || before.admitted == after.admitted);
    if (!alike) return std::nullopt;
    for (const Session::Chain* chain : {&before, &after}) {
      for (size_t rule = 0; rule < chain->rules.size(); ++rule) {
        const RuleInChain& own = chain->model->rules[rule];
        if (own.enforced) rules[chain == &after ? 1 : 0].emplace(own.action, chain->rules[rule]);
      }
    }
    for (size_t side = 0; side < 2; ++side) {
      for (const auto& rule : rules[side]) {
        if (rules[1 - side].count(rule) != 0) continue;
        if (session.slices.IsEverywhere(rule.second)) return std::nullopt;
        changed.insert(rule.second);
      }
    }
  }
  std::map<uint32_t, RequestSet> touched;
  for (Session::Set set : changed) {
    for (const Slices::Place& place : session.slices.PlacesOf(set)) {
      RequestSet& own = touched.try_emplace(place.slice, Bdd::kFalse).first->second;
      own = session.bdd.Or(own, place.rest);
    }
  }
  return touched;
}

// What side `to` lets in and `from` does not.
Session::Places Changed(Session* session, size_t from, size_t to, Authorizers answers) {
  Session::Places changed;
  auto look = [&](uint32_t slice, RequestSet within) {
    RequestSet now = session->AllowedBy(to, slice, within, answers);
    if (now == Bdd::kFalse) return;
    RequestSet node = session->bdd.Diff(now, session->AllowedBy(from, slice, now, answers));
    if (node != Bdd::kFalse) changed.push_back({slice, node});
  };
  if (auto touched = Touched(session)) {
    for (const auto& [slice, within] : *touched) {
      if (session->Tick()) break;
      look(slice, within);
    }
    return changed;
  }
  for (uint32_t slice = 0; slice < session->slices.count() && !session->Tick(); ++slice) {
    if (ContentOf(session, from, slice, answers) != ContentOf(session, to, slice, answers)) {
      look(slice, session->domain);
    }
  }
  return changed;
}

// The rule that decided a verdict, in every chain that holds it.
std::vector<std::pair<size_t, size_t>> DecidingRules(const Session& session, size_t side,
                                                     const Verdict& verdict) {
  std::vector<std::pair<size_t, size_t>> uses;
  if (verdict.decided_by.object == nullptr) return uses;
  for (size_t chain = 0; chain < session.chains().size(); ++chain) {
    if (session.chains()[chain].side != side) continue;
    const std::vector<RuleInChain>& rules = session.chains()[chain].model->rules;
    for (size_t rule = 0; rule < rules.size(); ++rule) {
      const Origin& origin = rules[rule].policy->origin;
      if (origin.object == verdict.decided_by.object && origin.rule == verdict.decided_by.rule) {
        uses.emplace_back(chain, rule);
      }
    }
  }
  return uses;
}

RequestSet MatchedAt(Session* session, const std::vector<std::pair<size_t, size_t>>& uses,
                     uint32_t slice) {
  RequestSet any = Bdd::kFalse;
  for (auto [chain, rule] : uses) {
    const Session::Chain& own = session->chains()[chain];
    any = session->bdd.Or(any, session->bdd.And(session->At(own.arrives, slice),
                                                session->At(own.rules[rule], slice)));
  }
  return any;
}

// Takes away what the same rules decide; false: nothing.
bool RemoveSameCause(Session* session, const Difference& difference, Session::Places* found) {
  auto old_uses = DecidingRules(*session, 0, difference.old_example.verdict);
  auto new_uses = DecidingRules(*session, 1, difference.new_example.verdict);
  Session::Places left;
  bool some = false;
  for (const Slices::Place& place : *found) {
    RequestSet old_cause = MatchedAt(session, old_uses, place.slice);
    RequestSet new_cause = MatchedAt(session, new_uses, place.slice);
    RequestSet same = old_uses.empty()   ? new_cause
                      : new_uses.empty() ? old_cause
                                         : session->bdd.And(old_cause, new_cause);
    RequestSet rest = session->bdd.Diff(place.rest, same);
    some = some || rest != place.rest;
    if (rest != Bdd::kFalse) left.push_back({place.slice, rest});
  }
  *found = std::move(left);
  return some;
}

}  // namespace

Comparison Reasoner::Impl::CompareAt(const Impl& before, const PortModel::Side& old_side,
                                     const Impl& after, const PortModel::Side& new_side,
                                     size_t limit) {
  Comparison comparison;
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
  const bool waypoint = old_side.door.service != nullptr;
  const Expr through = waypoint ? model.RegionOf(Region::Is(Region::Field::kMutualTls)) : kAlways;
  if (!model.Build()) return give_up(model.reason());
  Session session(&model, after.budget);
  session.domain = session.bdd.And(session.domain, session.space.ToNode(through));
  session.Start();
  if (session.spent()) return give_up(SpentReason());
  bool asks = std::any_of(session.chains().begin(), session.chains().end(),
                          [](const Session::Chain& chain) { return !chain.model->gates.empty(); });
  auto collect = [&](Authorizers answers, bool opened, std::vector<Difference>* out) {
    Session::Places found = Changed(&session, opened ? 0 : 1, opened ? 1 : 0, answers);
    while (!found.empty() && out->size() < limit && !session.spent()) {
      Session::Places sure;
      std::vector<RequestSet> sure_at(session.slices.count(), Bdd::kFalse);
      for (const Slices::Place& place : found) {
        RequestSet node = session.Surely(place.rest);
        if (node == Bdd::kFalse) continue;
        sure.push_back({place.slice, node});
        sure_at[place.slice] = node;
      }
      if (session.spent()) break;
      if (sure.empty()) {
        give_up(model.OpaqueReason());
        break;
      }
      Session::Chosen chosen = session.Choose(sure, opened ? 1 : 0);
      auto old_example = after.Confirm(&session, chosen.point, 0, before, answers, opened);
      auto new_example = after.Confirm(&session, chosen.point, 1, after, answers, !opened);
      if (!old_example || !new_example) {
        give_up(after.UnconfirmedReason());
        break;
      }
      Difference difference;
      difference.region =
          session.Generalize(chosen, [&](uint32_t slice) { return sure_at[slice]; });
      difference.old_example = *std::move(old_example);
      difference.new_example = *std::move(new_example);
      out->push_back(std::move(difference));
      // The next one shall have another cause.
      if (!RemoveSameCause(&session, out->back(), &found)) break;
    }
  };
  for (bool opened : {true, false}) {
    auto& out = opened ? comparison.newly_allowed : comparison.newly_refused;
    collect(Authorizers::kAgree, opened, &out);
    // Whether an authorizer is asked at all shows only where it refuses.
    if (asks && out.empty()) collect(Authorizers::kRefuse, opened, &out);
  }
  if (session.spent()) return give_up(SpentReason());
  return comparison;
}

}  // namespace meshproof

#include "reason/session.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "reason/numbers_hash.h"

namespace meshproof {

Session::Session(PortModel* port_model, const Budget& budget)
    : model(*port_model),
      space(port_model->space()),
      bdd(space.bdd()),
      slices(&space),
      entry_limit_(budget.nodes * 4) {
  authorizers_ = space.VariablesOf(
      [](const std::string& name) { return name.starts_with(PortModel::kAuthorizer); });
  opaque_ = space.VariablesOf(
      [](const std::string& name) { return name.starts_with(PortModel::kOpaque); });
  domain = space.DomainBeside(slices.path());
  for (size_t side = 0; side < model.sides(); ++side) {
    for (const ChainModel& chain : model.side(side).chains) {
      Chain own;
      own.model = &chain;
      own.side = side;
      own.arrives = Track(chain.arrives);
      own.token_ok = Track(chain.token_ok);
      own.one_filter = chain.allow_filters == 1;
      own.admitted = own.one_filter ? own.arrives : Track(chain.admitted);
      Node comes = bdd.And(space.ToNode(chain.arrives),
                           space.ToNode(space.And(chain.token_ok, chain.clear)));
      for (Authorizers answers : {Authorizers::kAgree, Authorizers::kRefuse}) {
        own.open[static_cast<size_t>(answers)] =
            slices.Track(bdd.And(comes, Answered(chain.custom_ok, answers)));
      }
      for (const RuleInChain& rule : chain.rules) own.rules.push_back(Track(rule.match));
      chains_.push_back(std::move(own));
    }
  }
}

Session::Node Session::Answered(Expr expr, Authorizers answers) {
  Node node = space.ToNode(expr);
  return answers == Authorizers::kAgree ? bdd.Exists(node, authorizers_)
                                        : bdd.ForAll(node, authorizers_);
}

void Session::Start(std::optional<Set> within) {
  for (size_t chain = 0; chain < chains_.size(); ++chain) {
    Chain& own = chains_[chain];
    for (size_t rule = 0; rule < own.rules.size(); ++rule) {
      Set set = own.rules[rule];
      if (slices.IsEverywhere(set)) {
        if (slices.NodeOf(set) != Bdd::kFalse) own.everywhere.push_back(rule);
        continue;
      }
      if (set >= uses_.size()) uses_.resize(set + 1);
      uses_[set].push_back({chain, rule});
    }
  }
  too_many_ = !slices.Cut(entry_limit_, within);
  if (too_many_) return;
  uses_.resize(std::max<size_t>(uses_.size(), slices.sets()));
  Group();
}

void Session::Group() {
  std::vector<bool> counts(slices.sets(), false);
  for (const Chain& chain : chains_) {
    for (Set set : chain.open) counts[set] = true;
    for (size_t rule = 0; rule < chain.rules.size(); ++rule) {
      if (Denies(chain.model->rules[rule])) counts[chain.rules[rule]] = true;
    }
  }
  std::unordered_map<std::vector<uint64_t>, uint32_t, NumbersHash> known;
  std::vector<uint64_t> content;
  for (uint32_t slice = 0; slice < slices.count(); ++slice) {
    content.clear();
    for (const Slices::Entry& entry : slices.EntriesAt(slice)) {
      if (counts[entry.set]) content.push_back(uint64_t{entry.set} << 32 | entry.rest);
    }
    auto [found, added] = known.try_emplace(content, static_cast<uint32_t>(known.size()));
    groups_.push_back(found->second);
    for (size_t chain = 0; chain < chains_.size() && added; ++chain) {
      std::vector<DenyRule>& denies = denies_.emplace_back();
      EachRuleAt(chain, slice, [&](size_t rule, Node rest) {
        if (Denies(chains_[chain].model->rules[rule])) denies.push_back({rule, rest});
        return false;
      });
    }
  }
}

Session::Node Session::FreeOf(size_t chain, uint32_t slice, Node wanted, Authorizers answers) {
  if (wanted == Bdd::kFalse) return wanted;
  Node left = bdd.And(wanted, Open(chain, slice, answers));
  if (left == Bdd::kFalse) return left;
  for (const DenyRule& deny : DeniesAt(chain, slice)) {
    // Most rules have nothing to do with each other, which the cache knows of whole rules.
    if (bdd.And(wanted, deny.rest) != Bdd::kFalse) left = bdd.Diff(left, deny.rest);
    if (left == Bdd::kFalse) break;
  }
  return left;
}

Session::Node Session::AllowedBy(size_t side, uint32_t slice, Node wanted, Authorizers answers) {
  Node allowed = Bdd::kFalse;
  for (size_t chain = 0; chain < chains_.size(); ++chain) {
    const Chain& own = chains_[chain];
    Node here = own.side == side ? bdd.And(wanted, Open(chain, slice, answers)) : Bdd::kFalse;
    if (here == Bdd::kFalse) continue;
    Node any = Bdd::kFalse;
    if (!own.one_filter) {
      any = bdd.And(here, At(own.admitted, slice));
    } else {
      EachRuleAt(chain, slice, [&](size_t rule, Node rest) {
        if (Allows(own.model->rules[rule])) any = bdd.Or(any, bdd.And(here, rest));
        return any == here;
      });
    }
    allowed = bdd.Or(allowed, FreeOf(chain, slice, any, answers));
  }
  return allowed;
}

bool Session::IsPossible(Node node) {
  node = bdd.And(node, domain);
  if (!slices.path() || !space.AsksAbout(*slices.path(), node)) return node != Bdd::kFalse;
  return space.EachClass(*slices.path(), node, [](uint32_t, Node) { return true; });
}

Session::Chosen Session::Choose(const Places& places, size_t side) {
  int fewest_missed = std::numeric_limits<int>::max();
  double best_cost = 0;
  Slices::Place best;
  struct Preferred {
    Node node = Bdd::kFalse;
    int missed = 0;
    double cost = 0;
  };
  std::unordered_map<Node, Preferred> known;
  for (const Slices::Place& place : places) {
    int rank = slices.RankOf(place.slice);
    if (fewest_missed == 0 && rank >= best_cost) continue;
    auto [found, added] = known.try_emplace(place.rest);
    Preferred& own = found->second;
    if (added) {
      own.node = model.Prefer(place.rest, side, &own.missed);
      own.cost = space.CostOf(own.node);
    }
    double cost = rank + own.cost;
    if (own.missed > fewest_missed || (own.missed == fewest_missed && cost >= best_cost)) continue;
    fewest_missed = own.missed;
    best_cost = cost;
    best = {place.slice, own.node};
  }
  Chosen chosen{best.slice, space.Pick(best.rest)};
  if (slices.path()) space.Move(&chosen.point, *slices.path(), slices.PathOf(best.slice));
  return chosen;
}

std::string Session::Generalize(const Chosen& chosen,
                                const std::function<Node(uint32_t)>& found_at) {
  Node cube = Bdd::kTrue;
  std::vector<Space::FieldId> fields = space.EssentialBeside(
      slices.path(), bdd.Diff(domain, found_at(chosen.slice)), chosen.point, &cube);
  if (slices.path() && !slices.HaveAllPaths()) {
    fields.insert(fields.begin(), *slices.path());
  } else if (slices.path()) {
    Node inside = bdd.And(domain, cube);
    for (uint32_t slice = 0; slice < slices.count(); ++slice) {
      if (bdd.Diff(inside, found_at(slice)) == Bdd::kFalse) continue;
      fields.insert(fields.begin(), *slices.path());
      break;
    }
  }
  return model.Describe(chosen.point, fields);
}

}  // namespace meshproof

#include "reason/session.h"

#include <algorithm>
#include <limits>

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

void Session::Start() {
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
  too_many_ = !slices.Cut(entry_limit_);
  if (too_many_) return;
  uses_.resize(std::max<size_t>(uses_.size(), slices.sets()));
  free_.assign(chains_.size() * 2, std::vector<Node>(slices.count(), kUnknown));
}

Session::Node Session::Free(size_t chain, uint32_t slice, Authorizers answers) {
  Node& known = free_[chain * 2 + static_cast<size_t>(answers)][slice];
  if (known != kUnknown) return known;
  Node left = Open(chain, slice, answers);
  const ChainModel& own = *chains_[chain].model;
  if (left != Bdd::kFalse) {
    EachRuleAt(chain, slice, [&](size_t rule, Node rest) {
      if (Denies(own.rules[rule])) left = bdd.Diff(left, rest);
      return left == Bdd::kFalse;
    });
  }
  if (!bdd.exhausted()) known = left;
  return left;
}

Session::Node Session::Allowed(size_t chain, uint32_t slice, Authorizers answers) {
  Node left = Free(chain, slice, answers);
  if (left == Bdd::kFalse) return left;
  const Chain& own = chains_[chain];
  if (!own.one_filter) return bdd.And(left, At(own.admitted, slice));
  Node any = Bdd::kFalse;
  EachRuleAt(chain, slice, [&](size_t rule, Node rest) {
    if (Allows(own.model->rules[rule])) any = bdd.Or(any, rest);
    return any == Bdd::kTrue;
  });
  return bdd.And(left, any);
}

Session::Node Session::AllowedBy(size_t side, uint32_t slice, Authorizers answers) {
  Node any = Bdd::kFalse;
  for (size_t chain = 0; chain < chains_.size(); ++chain) {
    if (chains_[chain].side == side) any = bdd.Or(any, Allowed(chain, slice, answers));
  }
  return any;
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
  for (const Slices::Place& place : places) {
    int rank = slices.RankOf(place.slice);
    if (fewest_missed == 0 && rank >= best_cost) continue;
    int missed = 0;
    Node node = model.Prefer(place.rest, side, &missed);
    double cost = rank + space.CostOf(node);
    if (missed > fewest_missed || (missed == fewest_missed && cost >= best_cost)) continue;
    fewest_missed = missed;
    best_cost = cost;
    best = {place.slice, node};
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
  if (slices.path()) {
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

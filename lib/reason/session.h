#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reason/model.h"
#include "reason/slices.h"

namespace meshproof {

enum class Authorizers { kAgree, kRefuse };

// The model of a port, cut into slices, with external authorizers taken out. First Track what a
// question asks about beside the rules, then Start, then ask. An answer counts only if `spent` is
// false afterwards.
class Session {
 public:
  using Node = Space::Node;
  using Set = Slices::Set;
  using Places = std::vector<Slices::Place>;

  Session(PortModel* port_model, const Budget& budget);

  // After Start only what `HasSlicesFor`.
  Set Track(Expr expr) { return slices.Track(space.ToNode(expr)); }
  bool HasSlicesFor(Expr expr) { return slices.Knows(space.ToNode(expr)); }
  // `within`: nothing else is asked about.
  void Start(std::optional<Set> within = std::nullopt);
  bool spent() const { return bdd.exhausted() || too_many_; }
  // For loops that may take long; true: give up.
  bool Tick() {
    bdd.CheckClock();
    return spent();
  }

  // The chains of all sides.
  struct Chain {
    const ChainModel* model = nullptr;
    size_t side = 0;
    Set arrives = 0, token_ok = 0, admitted = 0;
    Set open[2] = {0, 0};  // comes as far as the DENY and ALLOW rules
    std::vector<Set> rules;
    std::vector<size_t> everywhere;  // the rules that do not ask about the path
    bool one_filter = false;         // of ALLOW rules: any of them is enough
  };
  const std::vector<Chain>& chains() const { return chains_; }

  Node At(Set set, uint32_t slice) const { return slices.At(set, slice); }
  // What comes as far as the DENY rules of a chain.
  Node Open(size_t chain, uint32_t slice, Authorizers answers) {
    return bdd.And(domain, At(chains_[chain].open[static_cast<size_t>(answers)], slice));
  }
  // What DENY rules and all filters but the ALLOW rules' make of a request is the same in all
  // slices of a group.
  uint32_t GroupOf(uint32_t slice) const { return groups_[slice]; }
  // The enforced DENY rules of a chain that say something in a slice, with what they match there.
  struct DenyRule {
    size_t rule = 0;
    Node rest = Bdd::kFalse;
  };
  const std::vector<DenyRule>& DeniesAt(size_t chain, uint32_t slice) const {
    return denies_[groups_[slice] * chains_.size() + chain];
  }
  // And what they leave of `wanted`.
  Node FreeOf(size_t chain, uint32_t slice, Node wanted, Authorizers answers);
  // What a side lets in of `wanted`.
  Node AllowedBy(size_t side, uint32_t slice, Node wanted, Authorizers answers);

  // Visits the rules of a chain that say something in a slice, until `visit` has seen enough.
  // Visit: bool(size_t rule, Node rest).
  template <typename Visit>
  bool EachRuleAt(size_t chain, uint32_t slice, Visit visit) const {
    const Chain& own = chains_[chain];
    for (const Slices::Entry& entry : slices.EntriesAt(slice)) {
      for (const Use& use : uses_[entry.set]) {
        if (use.chain == chain && visit(use.rule, entry.rest)) return true;
      }
    }
    for (size_t rule : own.everywhere) {
      if (visit(rule, slices.NodeOf(own.rules[rule]))) return true;
    }
    return false;
  }
  // Visits the slices in which something is left of all of `sets`, pleasant paths first.
  // Visit: bool(uint32_t slice, Node rest).
  template <typename Visit>
  bool EachPlaceOf(const std::vector<Set>& sets, Visit visit) {
    const Places* fewest = nullptr;
    Set walked = 0;
    for (Set set : sets) {
      if (slices.NodeOf(set) == Bdd::kFalse) return false;
      if (slices.IsEverywhere(set)) continue;
      if (fewest == nullptr || slices.PlacesOf(set).size() < fewest->size()) {
        fewest = &slices.PlacesOf(set);
        walked = set;
      }
    }
    size_t count = fewest != nullptr ? fewest->size() : slices.count();
    for (size_t i = 0; i < count; ++i) {
      uint32_t slice = fewest != nullptr ? (*fewest)[i].slice : static_cast<uint32_t>(i);
      Node rest = fewest != nullptr ? (*fewest)[i].rest : Bdd::kTrue;
      for (Set set : sets) {
        if (fewest != nullptr && set == walked) continue;
        rest = bdd.And(rest, At(set, slice));
      }
      if (rest != Bdd::kFalse && visit(slice, rest)) return true;
    }
    return false;
  }

  static bool Allows(const RuleInChain& rule) {
    return rule.enforced && rule.action == Rbac::Action::kAllow;
  }
  static bool Denies(const RuleInChain& rule) {
    return rule.enforced && rule.action == Rbac::Action::kDeny;
  }

  // Whatever cannot be seen through.
  Node Surely(Node node) { return model.has_opaque() ? bdd.ForAll(node, opaque_) : node; }
  // Some request satisfies it.
  bool IsPossible(Node node);

  // A request of one of the places, which are not empty.
  struct Chosen {
    uint32_t slice = 0;
    Space::Point point;
  };
  Chosen Choose(const Places& places, size_t side);
  // In words what the requests like the chosen one have in common that are found as well.
  std::string Generalize(const Chosen& chosen, const std::function<Node(uint32_t)>& found_at);

  PortModel& model;
  Space& space;
  Bdd& bdd;
  Slices slices;
  Node domain = Bdd::kFalse;  // beside which paths there are

 private:
  struct Use {
    size_t chain = 0, rule = 0;
  };

  void Group();
  Node Answered(Expr expr, Authorizers answers);

  std::vector<bool> authorizers_, opaque_;
  std::vector<Chain> chains_;
  std::vector<std::vector<Use>> uses_;         // by set
  std::vector<std::vector<DenyRule>> denies_;  // by group and chain
  std::vector<uint32_t> groups_;               // by slice
  size_t entry_limit_ = 0;
  bool too_many_ = false;
};

}  // namespace meshproof

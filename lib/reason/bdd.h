#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace meshproof {

// Reduced ordered binary decision diagrams over variables 0, 1, … (0 on top).
// Equal functions are the same node of one kernel. Not for several threads at
// once.
//
// A spent budget is sticky: from then on every operation returns kFalse and
// `exhausted()` says so; whoever asks has to look before believing an answer.
class Bdd {
 public:
  using Node = uint32_t;
  static constexpr Node kFalse = 0;
  static constexpr Node kTrue = 1;

  Bdd(size_t node_limit, double seconds);

  Node Variable(uint32_t index);
  Node Not(Node f) { return Ite(f, kFalse, kTrue); }
  Node And(Node f, Node g) { return Ite(f, g, kFalse); }
  Node Or(Node f, Node g) { return Ite(f, kTrue, g); }
  Node Diff(Node f, Node g) { return Ite(g, kFalse, f); }
  Node Ite(Node f, Node g, Node h);
  // Exists: true where some value of the variables with `quantified[variable]`
  // makes `f` true.
  Node Exists(Node f, const std::vector<bool>& quantified);
  Node ForAll(Node f, const std::vector<bool>& quantified) {
    return Not(Exists(Not(f), quantified));
  }
  // Node of a variable with given children; low != high is not needed.
  Node Make(uint32_t variable, Node low, Node high);

  uint32_t VariableOf(Node f) const { return nodes_[f].variable; }  // of a terminal: the largest
  Node Low(Node f) const { return nodes_[f].low; }
  Node High(Node f) const { return nodes_[f].high; }

  size_t size() const { return nodes_.size(); }
  bool exhausted() const { return exhausted_; }
  // Starts the clock anew; a budget that is spent stays so.
  void RestartClock();
  // Looks at the clock now and then: for loops around the kernel.
  void CheckClock();

 private:
  struct Entry {
    uint32_t variable;
    Node low, high;
  };
  struct Cached {
    Node f = 0, g = 0, h = 0, result = 0;
  };

  Node IteStep(Node f, Node g, Node h);
  Node ExistsStep(Node f);
  void Grow();

  std::vector<Entry> nodes_;
  std::vector<Node> unique_;  // open addressing, 0 = free
  std::vector<Cached> cache_;
  // Of the last set of variables that Exists was asked for.
  std::vector<bool> quantified_;
  std::vector<Node> quantified_results_;
  size_t node_limit_;
  double seconds_;
  std::chrono::steady_clock::time_point start_;
  uint32_t ticks_ = 0;
  bool exhausted_ = false;
};

}  // namespace meshproof

// The usual kernel: a unique table keeps nodes canonical, if-then-else with a
// lossy cache computes everything. Nodes are never freed, a kernel lives as
// long as the questions about one space.

#include "reason/bdd.h"

#include <algorithm>
#include <limits>

namespace meshproof {
namespace {

constexpr uint32_t kTerminal = std::numeric_limits<uint32_t>::max();
constexpr size_t kFirstTable = size_t{1} << 13;
constexpr size_t kMaxCache = size_t{1} << 20;

size_t Mix(uint64_t a, uint64_t b, uint64_t c) {
  uint64_t h = a * 0x9E3779B97F4A7C15ULL;
  h = (h ^ (h >> 29)) + b * 0xBF58476D1CE4E5B9ULL;
  h = (h ^ (h >> 31)) + c * 0x94D049BB133111EBULL;
  return static_cast<size_t>(h ^ (h >> 32));
}

}  // namespace

Bdd::Bdd(size_t node_limit, double seconds)
    : unique_(kFirstTable, 0), cache_(kFirstTable), node_limit_(node_limit), seconds_(seconds) {
  nodes_.push_back({kTerminal, 0, 0});
  nodes_.push_back({kTerminal, 1, 1});
  start_ = std::chrono::steady_clock::now();
}

void Bdd::RestartClock() {
  start_ = std::chrono::steady_clock::now();
}

void Bdd::CheckClock() {
  if ((++ticks_ & 0x3FFF) != 0) return;
  std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
  if (spent.count() > seconds_) exhausted_ = true;
}

void Bdd::Grow() {
  std::vector<Node> old = std::move(unique_);
  unique_.assign(old.size() * 2, 0);
  size_t mask = unique_.size() - 1;
  for (Node node : old) {
    if (node == 0) continue;
    const Entry& entry = nodes_[node];
    size_t at = Mix(entry.variable, entry.low, entry.high) & mask;
    while (unique_[at] != 0) at = (at + 1) & mask;
    unique_[at] = node;
  }
  if (cache_.size() < kMaxCache) {
    cache_.assign(cache_.size() * 2, Cached());
  }
}

Bdd::Node Bdd::Make(uint32_t variable, Node low, Node high) {
  if (low == high) return low;
  size_t mask = unique_.size() - 1;
  size_t at = Mix(variable, low, high) & mask;
  while (unique_[at] != 0) {
    const Entry& entry = nodes_[unique_[at]];
    if (entry.variable == variable && entry.low == low && entry.high == high) return unique_[at];
    at = (at + 1) & mask;
  }
  if (nodes_.size() >= node_limit_) {
    exhausted_ = true;
    return kFalse;
  }
  auto node = static_cast<Node>(nodes_.size());
  nodes_.push_back({variable, low, high});
  unique_[at] = node;
  if (nodes_.size() * 2 > unique_.size()) Grow();
  return node;
}

Bdd::Node Bdd::Variable(uint32_t index) {
  return Make(index, kFalse, kTrue);
}

Bdd::Node Bdd::Ite(Node f, Node g, Node h) {
  if (exhausted_) return kFalse;
  Node result = IteStep(f, g, h);
  return exhausted_ ? kFalse : result;
}

Bdd::Node Bdd::IteStep(Node f, Node g, Node h) {
  if (f == kTrue) return g;
  if (f == kFalse) return h;
  if (g == f) g = kTrue;
  if (h == f) h = kFalse;
  if (g == h) return g;
  if (g == kTrue && h == kFalse) return f;
  if (exhausted_) return kFalse;
  // Conjunction and disjunction do not care for the order of their operands.
  if (h == kFalse && g < f) std::swap(f, g);
  if (g == kTrue && h < f) std::swap(f, h);
  size_t slot = Mix(f, g, h) & (cache_.size() - 1);
  {
    const Cached& cached = cache_[slot];
    if (cached.f == f && cached.g == g && cached.h == h && f > kTrue) return cached.result;
  }
  CheckClock();
  uint32_t top = std::min({nodes_[f].variable, nodes_[g].variable, nodes_[h].variable});
  auto low = [&](Node x) { return nodes_[x].variable == top ? nodes_[x].low : x; };
  auto high = [&](Node x) { return nodes_[x].variable == top ? nodes_[x].high : x; };
  Node when_false = IteStep(low(f), low(g), low(h));
  Node when_true = IteStep(high(f), high(g), high(h));
  Node result = Make(top, when_false, when_true);
  if (!exhausted_) cache_[Mix(f, g, h) & (cache_.size() - 1)] = {f, g, h, result};
  return result;
}

Bdd::Node Bdd::Exists(Node f, const std::vector<bool>& quantified) {
  if (f <= kTrue || exhausted_) return exhausted_ ? kFalse : f;
  if (quantified != quantified_) {
    quantified_ = quantified;
    quantified_results_.clear();
  }
  Node result = ExistsStep(f);
  return exhausted_ ? kFalse : result;
}

Bdd::Node Bdd::ExistsStep(Node f) {
  if (f <= kTrue || exhausted_) return f;
  if (f < quantified_results_.size() && quantified_results_[f] != kTerminal) {
    return quantified_results_[f];
  }
  uint32_t variable = nodes_[f].variable;
  Node low = ExistsStep(nodes_[f].low);
  Node high = ExistsStep(nodes_[f].high);
  bool drop = variable < quantified_.size() && quantified_[variable];
  Node result = drop ? IteStep(low, kTrue, high) : Make(variable, low, high);
  if (exhausted_) return kFalse;
  if (f >= quantified_results_.size()) quantified_results_.resize(nodes_.size(), kTerminal);
  quantified_results_[f] = result;
  return result;
}

}  // namespace meshproof

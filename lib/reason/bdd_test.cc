#include "reason/bdd.h"

#include <doctest/doctest.h>

#include <map>
#include <random>
#include <vector>

namespace meshproof::bdd_test {
namespace {

constexpr uint32_t kVariables = 6;
constexpr size_t kRows = size_t{1} << kVariables;

// The oracle: a function is the list of its values.
using Table = std::vector<bool>;

Table Evaluate(const Bdd& bdd, Bdd::Node node) {
  Table table(kRows);
  for (size_t row = 0; row < kRows; ++row) {
    Bdd::Node at = node;
    while (at > Bdd::kTrue) at = (row >> bdd.VariableOf(at) & 1) != 0 ? bdd.High(at) : bdd.Low(at);
    table[row] = at == Bdd::kTrue;
  }
  return table;
}

}  // namespace

TEST_CASE("bdd: random expressions equal their truth tables, equal functions are one node") {
  std::mt19937 random(3);
  Bdd bdd(100'000, 10);
  std::vector<std::pair<Bdd::Node, Table>> known;
  std::map<Table, Bdd::Node> nodes;
  for (uint32_t i = 0; i < kVariables; ++i) {
    Table table(kRows);
    for (size_t row = 0; row < kRows; ++row) table[row] = (row >> i & 1) != 0;
    known.emplace_back(bdd.Variable(i), table);
  }
  for (int round = 0; round < 4000; ++round) {
    auto pick = [&]() -> const auto& { return known[random() % known.size()]; };
    const auto& [f, a] = pick();
    const auto& [g, b] = pick();
    const auto& [h, c] = pick();
    Table expected(kRows);
    Bdd::Node node = Bdd::kFalse;
    size_t kind = random() % 6;
    std::vector<bool> quantified(kVariables);
    for (size_t i = 0; i < quantified.size(); ++i) quantified[i] = random() % 3 == 0;
    size_t mask = 0;
    for (size_t i = 0; i < quantified.size(); ++i) {
      if (quantified[i]) mask |= size_t{1} << i;
    }
    switch (kind) {
      case 0:
        node = bdd.And(f, g);
        break;
      case 1:
        node = bdd.Or(f, g);
        break;
      case 2:
        node = bdd.Not(f);
        break;
      case 3:
        node = bdd.Ite(f, g, h);
        break;
      case 4:
        node = bdd.Exists(f, quantified);
        break;
      default:
        node = bdd.ForAll(f, quantified);
        break;
    }
    for (size_t row = 0; row < kRows; ++row) {
      bool some = false;
      bool every = true;
      for (size_t other = 0; other < kRows; ++other) {
        if ((other | mask) != (row | mask)) continue;
        some = some || a[other];
        every = every && a[other];
      }
      const bool values[] = {
          a[row] && b[row], a[row] || b[row], !a[row], a[row] ? b[row] : c[row], some, every};
      expected[row] = values[kind];
    }
    REQUIRE(Evaluate(bdd, node) == expected);
    auto [found, added] = nodes.try_emplace(expected, node);
    CHECK(found->second == node);
    if (known.size() < 300) known.emplace_back(node, expected);
  }
  CHECK_FALSE(bdd.exhausted());
}

TEST_CASE("bdd: a spent budget is said and stays said") {
  Bdd bdd(200, 10);
  Bdd::Node parity = Bdd::kFalse;
  for (uint32_t i = 0; i < 300; ++i) {
    parity = bdd.Ite(parity, bdd.Not(bdd.Variable(i)), bdd.Variable(i));
  }
  CHECK(bdd.exhausted());
  CHECK(bdd.And(Bdd::kTrue, Bdd::kTrue) == Bdd::kFalse);
}

}  // namespace meshproof::bdd_test

// The same expressions in a second diagram kernel (BuDDy): equal functions, equal node counts.
#include <bdd.h>
#include <doctest/doctest.h>

#include <unordered_map>
#include <unordered_set>

#include "reason/model.h"
#include "reason/reason_testing.h"

namespace meshproof::second_engine_test {
namespace {

// BuDDy has one kernel for the process.
class SecondKernel {
 public:
  explicit SecondKernel(Space* space) : space_(*space) {
    bdd_init(100'000, 20'000);
    bdd_setvarnum(kVariables);
  }
  ~SecondKernel() { bdd_done(); }
  SecondKernel(const SecondKernel&) = delete;
  SecondKernel& operator=(const SecondKernel&) = delete;

  // What an expression says, made by the other kernel's own operations from the leaves on.
  bdd Make(Expr expr) {
    auto known = made_.find(expr);
    if (known != made_.end()) return known->second;
    Space::Shape shape = space_.ShapeOf(expr);
    bdd made = bddfalse;
    switch (shape.kind) {
      case Space::Shape::Kind::kConstant:
        made = shape.a == kNever ? bddfalse : bddtrue;
        break;
      case Space::Shape::Kind::kAnd:
        made = Make(shape.a) & Make(shape.b);
        break;
      case Space::Shape::Kind::kOr:
        made = Make(shape.a) | Make(shape.b);
        break;
      case Space::Shape::Kind::kNot:
        made = !Make(shape.a);
        break;
      case Space::Shape::Kind::kLeaf:
        made = Copy(space_.ToNode(expr));
        break;
    }
    made_.emplace(expr, made);
    return made;
  }

  // A finished diagram of ours, node by node.
  bdd Copy(Bdd::Node node) {
    if (node == Bdd::kFalse) return bddfalse;
    if (node == Bdd::kTrue) return bddtrue;
    auto known = copied_.find(node);
    if (known != copied_.end()) return known->second;
    Bdd& own = space_.bdd();
    REQUIRE(own.VariableOf(node) < kVariables);
    bdd copy = bdd_ite(bdd_ithvar(static_cast<int>(own.VariableOf(node))), Copy(own.High(node)),
                       Copy(own.Low(node)));
    copied_.emplace(node, copy);
    return copy;
  }

 private:
  static constexpr int kVariables = 400;
  Space& space_;
  std::unordered_map<Expr, bdd> made_;
  std::unordered_map<Bdd::Node, bdd> copied_;
};

size_t CountNodes(const Bdd& own, Bdd::Node node, std::unordered_set<Bdd::Node>* seen) {
  if (node == Bdd::kFalse || node == Bdd::kTrue || !seen->insert(node).second) return 0;
  return 1 + CountNodes(own, own.Low(node), seen) + CountNodes(own, own.High(node), seen);
}

}  // namespace

TEST_CASE("reason: a second diagram kernel comes to the same diagrams") {
  size_t compared = 0, nodes = 0;
  for (uint32_t seed = 0; seed < 200; ++seed) {
    std::string yaml = RandomMesh(seed).Text();
    CAPTURE(yaml);
    Loaded loaded = LoadText(yaml);
    PortModel model({{loaded.world.get(), loaded.workload, 8080}}, Budget{});
    REQUIRE(model.Build());
    Space& space = model.space();
    SecondKernel second(&space);
    const SideModel& side = model.side(0);
    std::vector<Expr> questions = {side.allowed, side.token_accepted, side.tidy};
    for (const ChainModel& chain : side.chains) {
      questions.push_back(chain.denied);
      questions.push_back(chain.admitted);
      for (const RuleInChain& rule : chain.rules) questions.push_back(rule.match);
    }
    for (Expr expr : questions) {
      Bdd::Node own = space.ToNode(expr);
      REQUIRE_FALSE(space.bdd().exhausted());
      bdd other = second.Make(expr);
      CHECK(other == second.Copy(own));
      std::unordered_set<Bdd::Node> seen;
      size_t count = CountNodes(space.bdd(), own, &seen);
      CHECK(count == static_cast<size_t>(bdd_nodecount(other)));
      nodes += count;
      ++compared;
    }
  }
  MESSAGE(compared << " diagrams of " << nodes << " nodes");
  CHECK(nodes > 5'000);
}

}  // namespace meshproof::second_engine_test

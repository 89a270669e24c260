// Turns the configuration of a proxy into expressions over the requests to one
// of its ports: which filter chain takes a connection (asked of the same index
// that the simulator uses), whether the handshake succeeds, and what the
// filters say in their order (envoy-facts sections 1 to 5).
//
// A matcher on something absent is false and its negation true, so "no such
// header", "no token" and "no peer" are values of their own. What a proxy makes
// up itself and what cannot be seen through becomes a free truth value whose
// name begins with kOpaque; an answer that depends on one is not given.

#include "reason/model.h"

#include "reason/translator.h"

namespace meshproof {

Transport TransportAt(size_t index) {
  return {static_cast<Transport::Security>(index / 3), static_cast<Transport::Speech>(index % 3)};
}

size_t IndexOf(const Transport& transport) {
  return static_cast<size_t>(transport.security) * 3 + static_cast<size_t>(transport.speech);
}

StringPattern ToPattern(const StringMatcher& matcher) {
  StringPattern pattern;
  pattern.value = matcher.value;
  pattern.ignore_case = matcher.ignore_case;
  switch (matcher.kind) {
    case StringMatcher::Kind::kExact:
      pattern.kind = StringPattern::Kind::kExact;
      break;
    case StringMatcher::Kind::kPrefix:
      pattern.kind = StringPattern::Kind::kPrefix;
      break;
    case StringMatcher::Kind::kSuffix:
      pattern.kind = StringPattern::Kind::kSuffix;
      break;
    case StringMatcher::Kind::kContains:
      pattern.kind = StringPattern::Kind::kContains;
      break;
    case StringMatcher::Kind::kRegex:
      pattern.kind = StringPattern::Kind::kRegex;
      break;
  }
  return pattern;
}

PortModel::PortModel(const std::vector<Side>& sides, const Budget& budget)
    : asked_(sides), space_(budget.classes, budget.nodes, budget.seconds, sides.front().classes) {
  for (Side& side : asked_) {
    if (side.callers != nullptr) continue;
    own_callers_.push_back(std::make_unique<Callers>(side.world->mesh()));
    side.callers = own_callers_.back().get();
  }
  translator_ = std::make_unique<Translator>(this);
  Translator& translator = *translator_;
  translator.Survey();
  sides_.resize(sides.size());
  for (size_t i = 0; i < sides.size(); ++i) {
    SideModel& side = sides_[i];
    translator.BuildSide(sides[i], &side);
    std::vector<Expr> any;
    for (ChainModel& chain : side.chains) {
      Expr passes = space_.AndAll({chain.arrives, chain.token_ok, chain.custom_ok,
                                   space_.Not(chain.denied), chain.admitted, chain.clear});
      any.push_back(passes);
    }
    side.allowed = space_.OrAll(std::move(any));
    if (translator.path_options_differ) {
      side.undetermined = "the two sides normalize paths differently";
    }
  }
}

PortModel::~PortModel() = default;

Callers::Callers(const Mesh& mesh) {
  for (const Workload& workload : mesh.workloads()) {
    const bool is_ambient = workload.mode == ProxyMode::kAmbient;
    if (!is_ambient && workload.mode != ProxyMode::kSidecar) continue;
    if (is_ambient && first_ambient == nullptr) first_ambient = &workload;
    const bool known =
        sidecars.count(workload.identity) != 0 || ambient.count(workload.identity) != 0;
    (is_ambient ? ambient : sidecars).try_emplace(workload.identity, &workload);
    if (!known) by_namespace[workload.ns].push_back(&workload);
  }
}

Expr PortModel::RegionOf(const Region& region) {
  return translator_->RegionExpr(region);
}

bool PortModel::Build() {
  translator_->AddCallers();
  translator_->AddConstraints();
  if (!space_.Build()) {
    reason_ = "the class budget is spent on field " + space_.exhausted_field();
    return false;
  }
  return true;
}

Space::Node PortModel::Prefer(Space::Node node, size_t side, int* missed) {
  Bdd& bdd = space_.bdd();
  auto prefer = [&](Expr wish, int weight) {
    Space::Node better = bdd.And(node, space_.ToNode(wish));
    if (better != Bdd::kFalse) {
      node = better;
    } else {
      *missed += weight;
    }
  };
  const Translator& own = *translator_;
  if (own.remote) prefer(space_.SameClass(*own.source, *own.remote), 2);
  prefer(sides_[side].tidy, 1);
  return node;
}

Space::Point PortModel::Choose(Space::Node node, size_t side) {
  int missed = 0;
  return space_.Pick(Prefer(node, side, &missed));
}

}  // namespace meshproof

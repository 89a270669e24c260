// The answers slice by slice beside those of one diagram of everything, which is slow and simple.

#include "reason/slices.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "reason/model.h"
#include "reason/reason_testing.h"

namespace meshproof::slices_test {
namespace {

using RequestSet = Space::Node;

// One model with everything in one diagram.
class Whole {
 public:
  explicit Whole(PortModel* model) : model_(*model), space_(model->space()), bdd_(space_.bdd()) {
    authorizers_ = space_.VariablesOf(
        [](const std::string& name) { return name.starts_with(PortModel::kAuthorizer); });
    opaque_ = space_.VariablesOf(
        [](const std::string& name) { return name.starts_with(PortModel::kOpaque); });
    domain = space_.Domain();
  }

  RequestSet Arriving(const ChainModel& chain, bool agree) {
    RequestSet custom = space_.ToNode(chain.custom_ok);
    custom = agree ? bdd_.Exists(custom, authorizers_) : bdd_.ForAll(custom, authorizers_);
    RequestSet node = bdd_.And(domain, space_.ToNode(chain.arrives));
    node = bdd_.And(node, space_.ToNode(chain.token_ok));
    node = bdd_.And(node, space_.ToNode(chain.clear));
    return bdd_.And(node, custom);
  }
  RequestSet Passing(const ChainModel& chain, bool agree) {
    RequestSet node = bdd_.Diff(Arriving(chain, agree), space_.ToNode(chain.denied));
    return bdd_.And(node, space_.ToNode(chain.admitted));
  }
  RequestSet Allowed(size_t side, bool agree) {
    RequestSet any = Bdd::kFalse;
    for (const ChainModel& chain : model_.side(side).chains) {
      any = bdd_.Or(any, Passing(chain, agree));
    }
    return any;
  }
  Answer::Kind KindOf(RequestSet node) {
    if (node == Bdd::kFalse) return Answer::Kind::kEmpty;
    return Sure(node) != Bdd::kFalse ? Answer::Kind::kFound : Answer::Kind::kUndetermined;
  }
  RequestSet Sure(RequestSet node) { return bdd_.ForAll(node, opaque_); }

  RequestSet domain = Bdd::kFalse;

 private:
  PortModel& model_;
  Space& space_;
  Bdd& bdd_;
  std::vector<bool> authorizers_, opaque_;
};

#ifdef NDEBUG
constexpr uint32_t kSets = 700;
#else
constexpr uint32_t kSets = 60;
#endif

struct WholeRule {
  const RbacPolicy* policy = nullptr;
  Rbac::Action action = Rbac::Action::kAllow;
  bool custom = false;
  RequestSet matches = Bdd::kFalse, decides = Bdd::kFalse;
};

std::vector<WholeRule> WholeRules(PortModel* model, Whole* whole) {
  Space& space = model->space();
  Bdd& bdd = space.bdd();
  std::map<std::tuple<const ObjectMeta*, int, Rbac::Action, bool>, size_t> known;
  std::vector<WholeRule> rules;
  for (const ChainModel& chain : model->side(0).chains) {
    for (const RuleInChain& rule : chain.rules) {
      auto key = std::make_tuple(rule.policy->origin.object, rule.policy->origin.rule, rule.action,
                                 rule.custom);
      auto [found, added] = known.try_emplace(key, rules.size());
      if (added) rules.push_back({rule.policy, rule.action, rule.custom});
      WholeRule& own = rules[found->second];
      RequestSet matches =
          bdd.And(bdd.And(whole->domain, space.ToNode(chain.arrives)), space.ToNode(rule.match));
      own.matches = bdd.Or(own.matches, matches);
      RequestSet decides = bdd.And(whole->Arriving(chain, true), matches);
      if (rule.custom) {
        decides = bdd.And(matches, space.ToNode(chain.token_ok));
      } else if (rule.action != Rbac::Action::kDeny) {
        decides = bdd.Diff(decides, space.ToNode(chain.denied));
      }
      own.decides = bdd.Or(own.decides, decides);
    }
  }
  return rules;
}

void CheckStatus(const World& world, const Workload& workload, int port, size_t* kinds) {
  PortModel model({{&world, &workload, port}}, Budget{});
  REQUIRE(model.Build());
  Whole whole(&model);
  Bdd& bdd = model.space().bdd();
  std::vector<WholeRule> rules = WholeRules(&model, &whole);
  Reasoner reasoner(world);
  std::vector<RuleStatus> statuses = reasoner.RuleStatuses(workload, port);
  REQUIRE(statuses.size() == rules.size());
  using Kind = RuleStatus::Kind;
  for (size_t i = 0; i < rules.size(); ++i) {
    const WholeRule& rule = rules[i];
    CAPTURE(i);
    REQUIRE(statuses[i].policy == rule.policy);
    bool deny = rule.action == Rbac::Action::kDeny && !rule.custom;
    RequestSet alone = rule.decides;
    for (size_t j = 0; j < rules.size(); ++j) {
      bool alike = rules[j].action == rule.action && rules[j].custom == rule.custom;
      if (j != i && alike) alone = bdd.Diff(alone, rules[j].matches);
    }
    RequestSet matters = alone;
    if (deny) {
      RequestSet behind = Bdd::kFalse;
      for (const ChainModel& chain : model.side(0).chains) {
        behind = bdd.Or(behind,
                        bdd.And(whole.Arriving(chain, true), model.space().ToNode(chain.admitted)));
      }
      matters = bdd.And(alone, behind);
    }
    Kind expected = Kind::kUndetermined;
    if (rule.matches == Bdd::kFalse) {
      expected = Kind::kUnreachable;
    } else if (rule.decides == Bdd::kFalse) {
      expected = Kind::kDenied;
    } else if (rule.custom || rule.action == Rbac::Action::kLog) {
      expected = Kind::kLive;
    } else if (matters == Bdd::kFalse) {
      expected = Kind::kCovered;
    } else if (whole.Sure(matters) != Bdd::kFalse) {
      expected = Kind::kLive;
    }
    CHECK(statuses[i].kind == expected);
    ++kinds[static_cast<size_t>(expected)];
    if (expected != Kind::kCovered || statuses[i].by.empty()) continue;
    // The rules named hold what this one decides, and none can be left out.
    for (size_t left_out = 0; left_out <= statuses[i].by.size(); ++left_out) {
      RequestSet left = rule.decides;
      for (size_t k = 0; k < statuses[i].by.size(); ++k) {
        if (k == left_out) continue;
        for (const WholeRule& other : rules) {
          if (other.policy == statuses[i].by[k]) left = bdd.Diff(left, other.matches);
        }
      }
      CHECK((left == Bdd::kFalse) == (left_out == statuses[i].by.size()));
    }
  }
  CHECK(reasoner.unconfirmed() == 0);
}

void CheckFind(const World& world, const Workload& workload, int port, size_t* kinds) {
  using Field = Region::Field;
  const Region regions[] = {
      Region::All(),
      Region::Not(Region::Is(Field::kToken)),
      Region::Is(Field::kPath, "/a*"),
      Region::Not(Region::Is(Field::kPath, "*/b")),
      Region::And({Region::Is(Field::kPath, "/a/b"), Region::Is(Field::kMethod, "GET")}),
      Region::Not(Region::Is(Field::kMutualTls))};
  Reasoner reasoner(world);
  for (const Region& region : regions) {
    for (Wanted wanted : {Wanted::kAllowed, Wanted::kAllowedByAnyAuthorizer, Wanted::kRefused}) {
      PortModel model({{&world, &workload, port}}, Budget{});
      Expr where = model.RegionOf(region);
      REQUIRE(model.Build());
      Whole whole(&model);
      Bdd& bdd = model.space().bdd();
      RequestSet inside = bdd.And(whole.domain, model.space().ToNode(where));
      inside = bdd.Diff(inside, model.space().ToNode(model.side(0).garbled));
      RequestSet allowed = whole.Allowed(0, wanted != Wanted::kAllowedByAnyAuthorizer);
      RequestSet found =
          wanted == Wanted::kRefused ? bdd.Diff(inside, allowed) : bdd.And(inside, allowed);
      // A rule whose piece is not sure does not hide another one whose piece is.
      Answer::Kind expected = whole.KindOf(found);
      Answer answer = reasoner.Find(workload, port, region, wanted);
      CAPTURE(static_cast<int>(wanted));
      CAPTURE(answer.reason);
      if (!model.has_opaque()) CHECK(answer.kind == expected);
      if (expected == Answer::Kind::kEmpty) CHECK(answer.empty());
      ++kinds[static_cast<size_t>(answer.kind)];
    }
  }
  CHECK(reasoner.unconfirmed() == 0);
}

using RowKey = std::tuple<const RbacPolicy*, bool, ExposureRow::Peer, bool, size_t>;

void CheckExposure(const World& world, const Workload& workload, int port, size_t* rows_seen) {
  PortModel model({{&world, &workload, port}}, Budget{});
  Expr token = model.RegionOf(Region::Is(Region::Field::kToken));
  Expr certificate = model.RegionOf(Region::Is(Region::Field::kMutualTls));
  REQUIRE(model.Build());
  if (model.has_opaque()) return;
  Whole whole(&model);
  Space& space = model.space();
  Bdd& bdd = space.bdd();
  std::vector<bool> not_identity =
      space.VariablesOf([](const std::string& name) { return name != "identity"; });
  std::vector<RequestSet> kept;
  std::map<std::tuple<const RbacPolicy*, size_t, size_t, bool>, RowKey> by_pair;
  std::vector<RowKey> expected;
  for (const ChainModel& chain : model.side(0).chains) {
    RequestSet any = bdd.Exists(bdd.And(whole.domain, space.ToNode(chain.arrives)), not_identity);
    auto look = [&](const RbacPolicy* policy, const RuleInChain::Pair& pair) {
      RequestSet open = bdd.And(whole.Arriving(chain, true), space.ToNode(pair.match));
      RequestSet row = bdd.Diff(open, space.ToNode(chain.denied));
      if (row == Bdd::kFalse) return;
      for (RequestSet other : kept) {
        if (bdd.Diff(row, other) == Bdd::kFalse) return;
      }
      kept.push_back(row);
      auto peer = bdd.Diff(row, space.ToNode(certificate)) != Bdd::kFalse
                      ? ExposureRow::Peer::kAnyone
                  : bdd.Exists(row, not_identity) == any ? ExposureRow::Peer::kAnyIdentity
                                                         : ExposureRow::Peer::kNamed;
      bool needs = bdd.Diff(row, space.ToNode(token)) == Bdd::kFalse;
      size_t taking = 0;
      for (const RuleInChain& rule : chain.rules) {
        bool deny = rule.action == Rbac::Action::kDeny && !rule.custom;
        taking += deny && bdd.And(open, space.ToNode(rule.match)) != Bdd::kFalse;
      }
      RowKey key{policy, chain.http, peer, needs, taking};
      auto [twin, added] =
          by_pair.try_emplace({policy, pair.permission, pair.principal, chain.http}, key);
      if (added) return;
      auto& own = twin->second;
      std::get<2>(own) = std::min(std::get<2>(own), peer);
      std::get<3>(own) = std::get<3>(own) && needs;
      std::get<4>(own) = std::max(std::get<4>(own), taking);
    };
    if (chain.allow_filters == 0) {
      look(nullptr, {0, 0, kAlways});
      continue;
    }
    for (const RuleInChain& rule : chain.rules) {
      if (rule.action != Rbac::Action::kAllow || rule.custom) continue;
      for (const RuleInChain::Pair& pair : rule.pairs) look(rule.policy, pair);
    }
  }
  for (const auto& [pair, key] : by_pair) expected.push_back(key);
  Reasoner reasoner(world);
  Exposure exposure = reasoner.ExposureOf(workload, port);
  CHECK(exposure.complete);
  std::vector<RowKey> got;
  for (const ExposureRow& row : exposure.rows) {
    CHECK(row.example != nullptr);
    got.emplace_back(row.rules.empty() ? nullptr : row.rules.front(), row.http, row.peer, row.token,
                     row.except.size());
  }
  std::sort(expected.begin(), expected.end());
  std::sort(got.begin(), got.end());
  CHECK(got.size() == expected.size());
  // Chains of one port may be denied by the same rule in other words; the numbers of exceptions
  // agree where there is one chain of a kind.
  for (size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
    std::get<4>(got[i]) = std::max(std::get<4>(got[i]), std::get<4>(expected[i]));
    std::get<4>(expected[i]) = std::get<4>(got[i]);
    CHECK(got[i] == expected[i]);
  }
  *rows_seen += got.size();
  CHECK(reasoner.unconfirmed() == 0);
}

}  // namespace

TEST_CASE("slices: rule status as one diagram of everything says it") {
  size_t kinds[5] = {};
  for (uint32_t seed = 0; seed < kSets; ++seed) {
    Loaded loaded = LoadText(RandomMesh(seed + 50'000).Text());
    CAPTURE(seed);
    for (int port : {8080, 81}) CheckStatus(*loaded.world, *loaded.workload, port, kinds);
  }
  MESSAGE("live " << kinds[0] << ", unreachable " << kinds[1] << ", denied " << kinds[2]
                  << ", covered " << kinds[3] << ", undetermined " << kinds[4]);
  for (size_t kind = 0; kind < 4; ++kind) CHECK(kinds[kind] > kSets / 100);
}

TEST_CASE("slices: what is found and what is not as one diagram of everything says it") {
  size_t kinds[3] = {};
  for (uint32_t seed = 0; seed < kSets / 2; ++seed) {
    Loaded loaded = LoadText(RandomMesh(seed + 60'000).Text());
    CAPTURE(seed);
    for (int port : {8080, 81}) CheckFind(*loaded.world, *loaded.workload, port, kinds);
  }
  CHECK(kinds[0] > kSets);
  CHECK(kinds[1] > kSets);
}

TEST_CASE("slices: exposure rows as one diagram of everything says them") {
  size_t rows = 0;
  for (uint32_t seed = 0; seed < kSets; ++seed) {
    Loaded loaded = LoadText(RandomMesh(seed + 70'000).Text());
    CAPTURE(seed);
    for (int port : {8080, 81}) CheckExposure(*loaded.world, *loaded.workload, port, &rows);
  }
  CHECK(rows > kSets);
}

TEST_CASE("slices: differences as one diagram of everything says them") {
  size_t opened = 0, same = 0;
  for (uint32_t seed = 0; seed < kSets; ++seed) {
    Loaded before = LoadText(RandomMesh(seed + 80'000).Text());
    Loaded after = LoadText(RandomMesh(seed + 80'000 + (seed % 5 == 0 ? 0 : 1)).Text());
    CAPTURE(seed);
    Reasoner old_reasoner(*before.world);
    Reasoner new_reasoner(*after.world);
    Comparison comparison =
        Reasoner::Compare(old_reasoner, *before.workload, new_reasoner, *after.workload, 8080);
    PortModel model(
        {{before.world.get(), before.workload, 8080}, {after.world.get(), after.workload, 8080}},
        Budget{});
    if (!model.side(0).undetermined.empty() || model.has_opaque()) continue;
    REQUIRE(model.Build());
    Whole whole(&model);
    Bdd& bdd = model.space().bdd();
    CHECK(comparison.complete);
    for (bool opens : {true, false}) {
      auto changes = [&](bool agree) {
        RequestSet to = whole.Allowed(opens ? 1 : 0, agree);
        return bdd.Diff(to, whole.Allowed(opens ? 0 : 1, agree)) != Bdd::kFalse;
      };
      bool expected = changes(true) || changes(false);
      CHECK((opens ? comparison.newly_allowed : comparison.newly_refused).empty() != expected);
      ++(expected ? opened : same);
    }
    CHECK(new_reasoner.unconfirmed() == 0);
  }
  CHECK(opened > kSets / 10);
  CHECK(same > kSets / 10);
}

}  // namespace meshproof::slices_test

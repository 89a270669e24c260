// What has to hold between two meshes whatever the policies say, and what a comparison claims.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "reason/model.h"
#include "reason/reason.h"
#include "reason/reason_testing.h"

namespace meshproof::laws_test {
namespace {

using Policies = std::vector<RandomMesh::Policy>;

size_t Given(const char* name, size_t otherwise) {
  const char* given = std::getenv(name);
  return given == nullptr ? otherwise : static_cast<size_t>(std::atoll(given));
}

Policies Shuffled(Policies policies, std::mt19937* random) {
  for (auto& policy : policies) {
    std::shuffle(policy.rules.begin(), policy.rules.end(), *random);
  }
  std::shuffle(policies.begin(), policies.end(), *random);
  return policies;
}

Policies Split(const Policies& policies, std::mt19937*) {
  Policies out;
  for (const auto& policy : policies) {
    for (const auto& rule : policy.rules) out.push_back({policy.action, {rule}});
  }
  return out;
}

Policies Merged(const Policies& policies, std::mt19937*) {
  Policies out;
  for (const auto& policy : policies) {
    auto same = std::find_if(out.begin(), out.end(),
                             [&](const auto& other) { return other.action == policy.action; });
    if (same == out.end()) {
      out.push_back(policy);
    } else {
      same->rules.insert(same->rules.end(), policy.rules.begin(), policy.rules.end());
    }
  }
  return out;
}

Policies Doubled(Policies policies, std::mt19937* random) {
  policies.push_back(policies[(*random)() % policies.size()]);
  auto& rules = policies.front().rules;
  rules.push_back(rules[(*random)() % rules.size()]);
  return policies;
}

// Asks both worlds `requests` points of their common space at random, fewer where most of what is
// drawn cannot be sent: pairs of verdicts that differ.
size_t Disagreements(const Loaded& before, const Loaded& after, size_t requests,
                     std::mt19937* random, size_t* asked) {
  PortModel model(
      {{before.world.get(), before.workload, 8080}, {after.world.get(), after.workload, 8080}},
      Budget{});
  REQUIRE(model.Build());
  Space& space = model.space();
  Bdd::Node domain = space.Domain();
  size_t count = space.CountPoints(size_t{1} << 40);
  REQUIRE(count != 0);
  size_t disagreements = 0, sent = 0;
  for (size_t draw = 0; draw < 100 * requests && sent < requests; ++draw) {
    size_t number = ((static_cast<size_t>((*random)()) << 32) ^ (*random)()) % count;
    Space::Point point = space.PointAt(number);
    if (!space.Holds(domain, point)) continue;
    auto request = model.Decode(point, 0);
    REQUIRE(request);
    auto was = before.world->Run(*request, World::Addresses::kUnknown, Detail::kVerdict);
    auto is = after.world->Run(*request, World::Addresses::kUnknown, Detail::kVerdict);
    REQUIRE((was.ok() && is.ok()));
    ++sent;
    bool differ =
        (was.value().outcome == Outcome::kAllow) != (is.value().outcome == Outcome::kAllow);
    disagreements += differ ? 1 : 0;
  }
  *asked += sent;
  return disagreements;
}

}  // namespace

TEST_CASE("reason: policies shuffled, split, merged or doubled say the same") {
  struct Law {
    std::string name;
    Policies (*rewrite)(const Policies&, std::mt19937*);
  };
  const Law laws[] = {
      {"shuffled", [](const Policies& p, std::mt19937* r) { return Shuffled(p, r); }},
      {"split", Split},
      {"merged", Merged},
      {"doubled", [](const Policies& p, std::mt19937* r) { return Doubled(p, r); }}};
  std::mt19937 random(7);
  size_t proved = 0;
  for (uint32_t seed = 0; seed < Given("MESHPROOF_REASON_LAWS", 60); ++seed) {
    RandomMesh mesh(seed);
    Loaded before = LoadText(mesh.Text());
    // Of a policy with one bad rule the API server refuses the good ones too.
    if (before.mesh->model().authorization_policies.size() != mesh.policies().size()) continue;
    Reasoner old_reasoner(*before.world);
    for (const Law& law : laws) {
      std::string text = mesh.Text(law.rewrite(mesh.policies(), &random));
      CAPTURE(law.name);
      CAPTURE(mesh.Text());
      CAPTURE(text);
      Loaded after = LoadText(text);
      Reasoner new_reasoner(*after.world);
      Comparison same =
          Reasoner::Compare(old_reasoner, *before.workload, new_reasoner, *after.workload, 8080);
      CHECK(same.newly_allowed.empty());
      CHECK(same.newly_refused.empty());
      proved += same.complete ? 1 : 0;
      CHECK(new_reasoner.unconfirmed() == 0);
    }
  }
  MESSAGE(proved << " rewritings proved to change nothing");
  CHECK(proved > Given("MESHPROOF_REASON_LAWS", 60));
}

TEST_CASE("reason: one more DENY never lets in, one more ALLOW beside another never shuts out") {
  for (uint32_t seed = 0; seed < Given("MESHPROOF_REASON_LAWS", 60); ++seed) {
    RandomMesh mesh(seed);
    Policies denied = mesh.policies(), allowed = mesh.policies();
    RandomMesh::Policy more = mesh.RandomPolicy();
    more.action = "DENY";
    denied.push_back(more);
    more.action = "ALLOW";
    allowed.push_back(more);
    bool has_allow = std::any_of(mesh.policies().begin(), mesh.policies().end(),
                                 [](const auto& policy) { return policy.action == "ALLOW"; });
    CAPTURE(mesh.Text(allowed));
    Loaded base = LoadText(mesh.Text()), shut = LoadText(mesh.Text(denied)),
           open = LoadText(mesh.Text(allowed));
    Reasoner one(*base.world), two(*shut.world), three(*open.world);
    Comparison narrower = Reasoner::Compare(one, *base.workload, two, *shut.workload, 8080);
    CHECK(narrower.newly_allowed.empty());
    // The first ALLOW policy shuts out everything else.
    if (!has_allow) continue;
    Comparison wider = Reasoner::Compare(one, *base.workload, three, *open.workload, 8080);
    CHECK(wider.newly_refused.empty());
  }
}

TEST_CASE("reason: a claimed difference is one, and where none is claimed none can be found") {
#ifdef NDEBUG
  size_t pairs = 1000;
#else
  size_t pairs = 100;  // a build without optimization is ten times slower
#endif
  pairs = Given("MESHPROOF_REASON_PAIRS", pairs);
  size_t attacks = Given("MESHPROOF_REASON_ATTACKS", 200);
  std::mt19937 random(11);
  size_t differences = 0, equal = 0, open_questions = 0, asked = 0;
  for (uint32_t seed = 0; seed < pairs; ++seed) {
    RandomMesh mesh(seed);
    Policies changed = mesh.policies();
    RandomMesh::Policy& victim = changed[random() % changed.size()];
    switch (random() % 4) {
      case 0:
        victim = mesh.RandomPolicy();
        break;
      case 1:
        victim.rules.push_back(mesh.RandomPolicy().rules.front());
        break;
      case 2:
        victim.rules.front() = mesh.RandomPolicy().rules.front();
        break;
      default:
        victim.rules.pop_back();
        break;
    }
    CAPTURE(mesh.Text());
    CAPTURE(mesh.Text(changed));
    Loaded before = LoadText(mesh.Text()), after = LoadText(mesh.Text(changed));
    Reasoner old_reasoner(*before.world), new_reasoner(*after.world);
    Comparison comparison =
        Reasoner::Compare(old_reasoner, *before.workload, new_reasoner, *after.workload, 8080);
    CHECK(old_reasoner.unconfirmed() + new_reasoner.unconfirmed() == 0);
    auto confirm = [&](const std::vector<Difference>& claimed, bool opened) {
      for (const Difference& difference : claimed) {
        auto was = before.world->Run(difference.old_example.request, World::Addresses::kUnknown,
                                     Detail::kVerdict);
        auto is = after.world->Run(difference.new_example.request, World::Addresses::kUnknown,
                                   Detail::kVerdict);
        REQUIRE((was.ok() && is.ok()));
        CHECK((was.value().outcome == Outcome::kAllow) != opened);
        CHECK((is.value().outcome == Outcome::kAllow) == opened);
        ++differences;
      }
    };
    confirm(comparison.newly_allowed, true);
    confirm(comparison.newly_refused, false);
    if (!comparison.complete) {
      ++open_questions;
    } else if (comparison.newly_allowed.empty() && comparison.newly_refused.empty()) {
      ++equal;
      CHECK(Disagreements(before, after, attacks, &random, &asked) == 0);
    }
  }
  MESSAGE(differences << " differences confirmed; " << equal << " pairs without one, asked "
                      << asked << " requests; " << open_questions << " not decided");
  CHECK(differences > pairs / 2);
  CHECK(equal > pairs / 20);
  CHECK(open_questions < pairs / 20);
}

}  // namespace meshproof::laws_test

// Questions about one port share a model and its replays: neither their order nor what was asked
// before may show in an answer.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "reason/reason.h"
#include "reason/reason_testing.h"

namespace meshproof::open_port_test {
namespace {

std::string InWords(const auto& example) {
  if (!example) return "none";
  const Case& request = example->request;
  std::string text = request.from_workload + "|" + request.from_identity.value_or("-") + "|" +
                     request.to_workload + ":" + std::to_string(request.to_port) + "|" +
                     std::to_string(static_cast<int>(request.tls)) +
                     std::to_string(static_cast<int>(request.protocol)) + "|" +
                     request.method.value_or("-") + " " + request.host.value_or("-") +
                     request.path + (request.claims ? WriteJson(*request.claims) : "");
  for (const auto& [name, value] : request.headers) text += "|" + name + "=" + value;
  return text + " -> " + std::string(ToString(example->verdict.outcome)) + example->verdict.details;
}

std::string FindInWords(const Reasoner& reasoner, const Workload& workload, const Region& region,
                        Wanted wanted) {
  Answer answer = reasoner.Find(workload, 8080, region, wanted);
  return std::to_string(static_cast<int>(answer.kind)) + answer.region + answer.reason +
         InWords(answer.example);
}

std::string StatusesInWords(const Reasoner& reasoner, const Workload& workload) {
  std::string text;
  for (const RuleStatus& status : reasoner.RuleStatuses(workload, 8080)) {
    text += std::to_string(static_cast<int>(status.kind)) + status.reason +
            std::to_string(status.by.size()) + InWords(status.example) + "\n";
  }
  return text;
}

std::string ExposureInWords(const Reasoner& reasoner, const Workload& workload) {
  Exposure exposure = reasoner.ExposureOf(workload, 8080);
  std::string text = exposure.reason + std::to_string(exposure.http) + "\n";
  for (const ExposureRow& row : exposure.rows) {
    text += std::to_string(static_cast<int>(row.peer)) + Join(row.paths, ",") +
            Join(row.conditions, ",") + std::to_string(row.except.size()) + InWords(row.example) +
            "\n";
  }
  return text;
}

TEST_CASE("no answer depends on what was asked before") {
  std::mt19937 random(5);
  for (uint32_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    Loaded loaded = LoadText(RandomMesh(seed).Text());
    const Workload& workload = *loaded.workload;
    const Region no_token = Region::Not(Region::Is(Region::Field::kToken));
    const Region below = Region::Is(Region::Field::kPath, "/a/*");
    using Ask = std::function<std::string(const Reasoner&)>;
    std::vector<Ask> questions = {
        [&](const Reasoner& asked) { return StatusesInWords(asked, workload); },
        [&](const Reasoner& asked) { return ExposureInWords(asked, workload); },
        [&](const Reasoner& asked) {
          return FindInWords(asked, workload, no_token, Wanted::kAllowed);
        },
        [&](const Reasoner& asked) {
          return FindInWords(asked, workload, below, Wanted::kAllowedByAnyAuthorizer);
        },
        [&](const Reasoner& asked) {
          return FindInWords(asked, workload, Region::All(), Wanted::kRefused);
        }};
    std::vector<std::string> alone;
    for (const Ask& ask : questions) alone.push_back(ask(Reasoner(*loaded.world)));
    std::vector<size_t> order = {0, 1, 2, 3, 4};
    std::shuffle(order.begin(), order.end(), random);
    Reasoner together(*loaded.world);
    for (size_t at : order) {
      CAPTURE(at);
      CHECK(questions[at](together) == alone[at]);
    }
    CHECK(together.unconfirmed() == 0);
  }
}

TEST_CASE("what was spent by earlier questions is no reason to give up") {
  // The budget is enough for each question alone.
  std::string rules;
  for (int i = 0; i < 12; ++i) {
    std::string number = std::to_string(i);
    rules += (i == 0 ? "" : ", ") +
             ("{from: [{source: {namespaces: [b" + number + "]}}], to: [{operation: {paths: ['/a" +
              number + "*', '*/c" + number + "'], methods: [M" + number + "]}}]}");
  }
  Loaded loaded = LoadText(BaseYaml() + PolicyYaml("p", "action: ALLOW, rules: [" + rules + "]"));
  const Workload& workload = *loaded.workload;
  auto complete = [&](const Budget& budget) {
    Reasoner fresh(*loaded.world, budget);
    return fresh.ExposureOf(workload, 8080).complete;
  };
  Budget budget;
  budget.nodes = 500;
  while (!complete(budget)) budget.nodes += 100;
  Reasoner together(*loaded.world, budget);
  const size_t statuses = together.RuleStatuses(workload, 8080).size();
  CHECK(statuses == 12);
  for (int i = 0; i < 3; ++i) {
    together.Find(workload, 8080, Region::Not(Region::Is(Region::Field::kToken)), Wanted::kRefused);
  }
  CHECK(together.ExposureOf(workload, 8080).complete);
}

}  // namespace
}  // namespace meshproof::open_port_test

// Addresses: blocks that begin alike, and the peer's own one beside the one it forwards.
#include <doctest/doctest.h>

#include <string>

#include "reason/reason.h"
#include "reason/reason_testing.h"

namespace meshproof::addresses_test {
namespace {

TEST_CASE("what lies behind a block is a class of its own") {
  struct Row {
    const char* source;
    bool found;
  };
  const Row rows[] = {
      {"ipBlocks: [10.0.0.0/8], notIpBlocks: [10.0.0.0/16]", true},
      {"ipBlocks: [10.0.0.0/8], notIpBlocks: [10.255.0.0/16]", true},
      {"ipBlocks: [10.0.0.0/8], notIpBlocks: [10.0.0.0/9, 10.128.0.0/9]", false},
      {"notIpBlocks: [0.0.0.0/1, '::/0']", true},
      {"notIpBlocks: [0.0.0.0/0, '8000::/1']", true},
      {"notIpBlocks: [0.0.0.0/0, '::/0']", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.source);
    Loaded loaded =
        LoadText(BaseYaml() +
                 PolicyYaml("p", std::string("rules: [{from: [{source: {") + row.source + "}}]}]"));
    Reasoner reasoner(*loaded.world);
    Answer answer = reasoner.Find(*loaded.workload, 8080, Region::All(), Wanted::kAllowed);
    CHECK(answer.found() == row.found);
    CHECK(answer.empty() == !row.found);
    CHECK(reasoner.unconfirmed() == 0);
  }
}

TEST_CASE("a caller may forward another address than its own") {
  Loaded loaded =
      LoadText(BaseYaml() +
               PolicyYaml("p",
                          "rules: [{from: [{source: {remoteIpBlocks: [203.0.113.7], notIpBlocks: "
                          "[203.0.113.7]}}]}]"));
  Reasoner reasoner(*loaded.world);
  Answer answer = reasoner.Find(*loaded.workload, 8080, Region::All(), Wanted::kAllowed);
  REQUIRE(answer.found());
  bool forwards = false;
  for (const auto& [name, value] : answer.example->request.headers) {
    forwards = forwards || (name == "x-forwarded-for" && value == "203.0.113.7");
  }
  CHECK(forwards);
}

}  // namespace
}  // namespace meshproof::addresses_test

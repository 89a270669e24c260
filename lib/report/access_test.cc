#include "report/access.h"

#include <doctest/doctest.h>

namespace meshproof::access_test {

TEST_CASE("the ways in by one gateway stand behind its name") {
  Workload workload;
  workload.ns = "shop";
  workload.name = "web";
  struct Row {
    std::vector<std::string> via;
    const char* text;
  };
  const Row rows[] = {
      {{"edge/gate (* /a)"}, "from outside by edge/gate (* /a)\n"},
      {{"edge/gate (* /a)", "edge/gate (h.io /b*)"},
       "from outside by edge/gate (* /a, h.io /b*)\n"},
      {{"edge/gate (* /a)", "edge/other (* /a)", "edge/third"},
       "from outside by edge/gate (* /a), edge/other (* /a), edge/third\n"},
  };
  for (const Row& row : rows) {
    PortAccess port;
    port.workload = &workload;
    port.via = row.via;
    port.exposure.complete = true;
    const std::string text = AccessText({port});
    CAPTURE(text);
    CHECK(text.find(row.text) != std::string::npos);
  }
}

}  // namespace meshproof::access_test

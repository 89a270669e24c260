#include "match/labels.h"

#include <doctest/doctest.h>

namespace meshproof::labels_test {

TEST_CASE("labels are found and selected") {
  const Labels labels = {{"app", "a"}, {"version", "v1"}, {"app", "b"}, {"empty", ""}};
  REQUIRE(FindLabel(labels, "app") != nullptr);
  CHECK(*FindLabel(labels, "app") == "b");
  CHECK(*FindLabel(labels, "empty") == "");
  CHECK(FindLabel(labels, "App") == nullptr);
  CHECK(FindLabel({}, "app") == nullptr);

  struct Row {
    Labels selector;
    bool selects;
  };
  for (const Row& row : {
           Row{{}, true},
           Row{{{"app", "b"}}, true},
           Row{{{"app", "a"}}, false},
           Row{{{"app", "b"}, {"version", "v1"}}, true},
           Row{{{"app", "b"}, {"version", "v2"}}, false},
           Row{{{"empty", ""}}, true},
           Row{{{"absent", ""}}, false},
           Row{{{"app", "a"}, {"app", "b"}}, true},
           Row{{{"app", "b"}, {"app", "a"}}, false},
       }) {
    CHECK(Selects(row.selector, labels) == row.selects);
  }
}

}  // namespace meshproof::labels_test

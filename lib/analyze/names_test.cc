#include "analyze/names.h"

#include <doctest/doctest.h>

namespace meshproof::names_test {

TEST_CASE("a slip of the keyboard is told from another name of the family") {
  struct Row {
    const char* written;
    const char* meant;
    bool typo;
  };
  for (const Row& row : {
           Row{"ordres", "orders", true},  // two letters swapped
           Row{"oders", "orders", true},   // one left out
           Row{"Orders", "orders", true},  // case
           Row{"storefrnt", "storefront", true},
           Row{"istio-injecton", "istio-injection", true},
           Row{"orders", "orders", false},  // the same
           Row{"team-a", "team-b", false},  // siblings
           Row{"shop-eu", "shop-us", false},
           Row{"prod1", "prod2", false},
           Row{"web", "wab", false},  // too short to tell
           Row{"billing", "orders", false},
       }) {
    CAPTURE(row.written);
    CAPTURE(row.meant);
    CHECK(IsTypoOf(row.written, row.meant) == row.typo);
  }
}

TEST_CASE("the nearest name prefers case over letters") {
  CHECK(NearestName("WEB", std::vector<std::string>{"wab", "web"}) == "web");
  CHECK(NearestName("shop-tsl", std::vector<std::string>{"shop-tls", "other"}) == "shop-tls");
  CHECK(NearestName("wbe", std::vector<std::string>{"api", "web"}) == "web");
  CHECK(NearestName("nothing-like-it", std::vector<std::string>{"web"}).empty());
}

TEST_CASE("lists of names read as a sentence") {
  CHECK(ListNames({}).empty());
  CHECK(ListNames({"a"}) == "a");
  CHECK(ListNames({"a", "b"}) == "a and b");
  CHECK(ListNames({"a", "b", "c"}) == "a, b and c");
  CHECK(ListNames({"a", "b", "c", "d", "e"}, 4) == "a, b, c and 2 more");
}

TEST_CASE("the group is what stands before the slash") {
  CHECK(GroupOfVersion("security.istio.io/v1") == "security.istio.io");
  CHECK(GroupOfVersion("v1").empty());
}

}  // namespace meshproof::names_test

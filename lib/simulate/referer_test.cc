// What Envoy 1.40 did with each value (HTTP/2, so that blanks at the end arrive).

#include "simulate/referer.h"

#include <doctest/doctest.h>

namespace meshproof::referer_test {

TEST_CASE("a Referer that is no reference is removed before the filters") {
  struct Row {
    const char* value;
    bool kept;
  };
  constexpr Row kRows[] = {
      {"a", true},
      {"a,b", true},
      {"Bearer x", false},
      {"http://x", true},
      {"x y", false},
      {"http://x y", false},
      {"/", true},
      {"/a", true},
      {"", true},
      {"*", true},
      {"a/b", true},
      {"http://", false},
      {"http:///a", false},
      {"https://x/\303\251", false},
      {"ftp://x", true},
      {"x:80", false},
      {"Bearer ", false},
      {"a\011b", false},
      {"http://a:99999/", false},
      {"http://a:b/", false},
      {"?x", true},
      {"#", false},
      {"//a", true},
      {"http://[::1]/", true},
      {"http://u@h/", false},
      {"a b/c", false},
      {"https://x y/z", false},
      {"http://x/a b", false},
      {"mailto:x", false},
      {"%", true},
      {"http://%", false},
      {"'", true},
      {"\042", false},
      {"<>", false},
      {"a|b", false},
      {"a;b", true},
      {"http://x/\042", true},
      {"http://x#a b", false},
      {"A", true},
      {"team:1", false},
      {"1.2.3.4", true},
      {"1", true},
      {"-", true},
      {"_", true},
      {"[", false},
      {"]", false},
      {"http://a/[", true},
      {"{}", false},
      {"a\134b", false},
      {"http://a_b/", false},
      {"http://a,b/", false},
      {"http://a'b/", false},
      {"Mozilla/5.0 (X)", false},
      {"curl/8", true},
  };
  for (const Row& row : kRows) {
    CAPTURE(row.value);
    CHECK(IsKeptReferer(row.value) == row.kept);
  }
}

}  // namespace meshproof::referer_test

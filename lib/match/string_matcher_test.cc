#include "match/string_matcher.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

namespace meshproof::string_matcher_test {

TEST_CASE("strings are matched as Envoy matches them") {
  using M = StringMatcher;
  struct Row {
    StringMatcher matcher;
    std::string text;
    bool matches;
  };
  const std::vector<Row> rows = {
      {M::Exact("/a"), "/a", true},
      {M::Exact("/a"), "/A", false},
      {M::Exact("/a", true), "/A", true},
      {M::Exact(""), "", true},
      {M::Exact(""), "a", false},
      {M::Prefix("/a"), "/ab", true},
      {M::Prefix("/a"), "/", false},
      {M::Prefix("/A", true), "/ab", true},
      {M::Suffix("b"), "/ab", true},
      {M::Suffix("ab"), "b", false},
      {M::Suffix("AB", true), "/ab", true},
      {M::Contains("ab"), "xaby", true},
      {M::Contains("ab"), "xAby", false},
      {M::Contains("AB", true), "xaBy", true},
      // Only ASCII is folded.
      {M::Exact("\xC3\x89", true), "\xC3\xA9", false},
      // A regular expression sees bytes, and has to match all of them.
      {M::Pattern("a"), "ab", false},
      {M::Pattern("a|ab"), "ab", true},
      {M::Pattern("a.b"),
       "a\xE9"
       "b",
       true},
      {M::Pattern("a.b"),
       "a\xC3\xA9"
       "b",
       false},
      {M::Pattern("a..b"),
       "a\xC3\xA9"
       "b",
       true},
      {M::Pattern(".+"), "a\nb", false},
      {M::Pattern("(?s).+"), "a\nb", true},
      {M::Pattern(".*"), "", true},
      {M::Pattern(".+"), "", false},
      {M::Pattern("^a$"), "a", true},
      {M::Pattern("a\nb"), "a\nb", true},
      {M::Pattern("\\xe9"), "\xE9", true},
      {M::Pattern("(?i)AB"), "ab", true},
      {M::Pattern(""), "", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.matcher.value);
    CAPTURE(row.text);
    CHECK(row.matcher.Matches(row.text) == row.matches);
  }
}

TEST_CASE("a pattern is compiled once and a bad one says why") {
  auto first = Regex::Compile("/a/[^/]+");
  auto second = Regex::Compile("/a/[^/]+");
  REQUIRE(first.ok());
  CHECK(&first.value().pattern() == &second.value().pattern());
  CHECK(first.value().pattern() == "/a/[^/]+");
  CHECK_FALSE(static_cast<bool>(Regex()));
  CHECK(static_cast<bool>(first.value()));
  for (const char* bad : {"(", "[", "a**", "*", "\\", "(?=a)", "a{2000}"}) {
    CAPTURE(bad);
    auto refused = Regex::Compile(bad);
    REQUIRE_FALSE(refused.ok());
    CHECK_FALSE(refused.error().message.empty());
  }
}

// All texts of at most `length` of these characters.
std::vector<std::string> TextsOf(std::string_view alphabet, size_t length) {
  std::vector<std::string> texts = {""};
  for (size_t begin = 0, round = 0; round < length; ++round) {
    const size_t end = texts.size();
    for (size_t i = begin; i < end; ++i) {
      for (char c : alphabet) texts.push_back(texts[i] + c);
    }
    begin = end;
  }
  return texts;
}

TEST_CASE("literals between stars match as the engine matches them") {
  const std::vector<std::string> texts = TextsOf("a/.\n", 5);
  size_t patterns = 0;
  for (const std::string& pattern : TextsOf("a/.*\\", 5)) {
    auto quick = Regex::Compile(pattern);
    if (!quick.ok()) continue;
    ++patterns;
    // The group sends this one to the engine.
    auto engine = Regex::Compile("(?:" + pattern + ")");
    REQUIRE(engine.ok());
    for (const std::string& text : texts) {
      if (quick.value().FullMatch(text) == engine.value().FullMatch(text)) continue;
      FAIL_CHECK("pattern " << pattern << " on " << text);
    }
  }
  CHECK(patterns > 500);
}

TEST_CASE("patterns of namespaces and identities") {
  const std::vector<std::string> patterns = {".*/ns/shop/.*",
                                             ".*/ns/shop.*/.*",
                                             ".*/ns/.*shop/.*",
                                             "spiffe://.*/ns/shop/sa/web",
                                             ".+",
                                             ".*",
                                             "",
                                             "spiffe:\\/\\/td\\/ns\\/shop.*",
                                             ".*/ns/my\\-shop/.*",
                                             "a.c",
                                             "(?i)shop",
                                             ".*\\.shop\\.svc",
                                             ".*[0-9].*",
                                             "[^.]*",
                                             "a|b.*",
                                             ".*\\d.*",
                                             "shop\\_x",
                                             "a{2}",
                                             ".*?/ns/.*"};
  const std::vector<std::string> texts = {"spiffe://td/ns/shop/sa/web",
                                          "spiffe://td/ns/shop",
                                          "spiffe://td/ns/my-shop/sa/a",
                                          "web.shop.svc",
                                          "spiffe://td/ns/shop2/sa/web",
                                          "spiffe://td/ns/ashop/",
                                          "",
                                          "abc",
                                          "a.c",
                                          "SHOP",
                                          "shop",
                                          "shop_x",
                                          "aa",
                                          "/ns/shop/\n",
                                          "spiffe://td\n/ns/shop/sa/web",
                                          "\xff"};
  for (const std::string& pattern : patterns) {
    auto quick = Regex::Compile(pattern);
    auto engine = Regex::Compile("(?:" + pattern + ")");
    CAPTURE(pattern);
    REQUIRE(quick.ok() == engine.ok());
    if (!quick.ok()) continue;
    for (const std::string& text : texts) {
      CAPTURE(text);
      CHECK(quick.value().FullMatch(text) == engine.value().FullMatch(text));
    }
  }
}

TEST_CASE("quoted text matches itself alone") {
  for (std::string text : {std::string("/a.b*c"), std::string("\0x", 2),
                           std::string("\xE9^$()[]{}|+?"), std::string("")}) {
    auto regex = Regex::Compile(QuoteRegex(text));
    REQUIRE(regex.ok());
    CHECK(regex.value().FullMatch(text));
    CHECK_FALSE(regex.value().FullMatch(text + "x"));
  }
}

TEST_CASE("compiling and matching from many threads") {
  std::vector<std::thread> threads;
  std::vector<int> matched(8, 0);
  for (size_t t = 0; t < matched.size(); ++t) {
    threads.emplace_back([&matched, t] {
      for (int i = 0; i < 200; ++i) {
        auto regex = Regex::Compile("/t" + std::to_string(i % 20) + "/.*");
        if (regex.value().FullMatch("/t" + std::to_string(i % 20) + "/x")) ++matched[t];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (int count : matched) CHECK(count == 200);
}

}  // namespace meshproof::string_matcher_test

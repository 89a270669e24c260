#include "reason/string_classes.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "match/string_matcher.h"

namespace meshproof::string_classes_test {
namespace {

StringMatcher MatcherOf(const StringPattern& pattern) {
  using Kind = StringPattern::Kind;
  switch (pattern.kind) {
    case Kind::kExact:
      return StringMatcher::Exact(pattern.value, pattern.ignore_case);
    case Kind::kPrefix:
      return StringMatcher::Prefix(pattern.value, pattern.ignore_case);
    case Kind::kSuffix:
      return StringMatcher::Suffix(pattern.value, pattern.ignore_case);
    case Kind::kContains:
      return StringMatcher::Contains(pattern.value, pattern.ignore_case);
    case Kind::kRegex:
      return StringMatcher::Pattern(pattern.value);
  }
  return {};
}

std::string RandomText(std::mt19937* random, const std::string& alphabet, size_t longest) {
  std::string text;
  size_t length = (*random)() % (longest + 1);
  for (size_t i = 0; i < length; ++i) text += alphabet[(*random)() % alphabet.size()];
  return text;
}

StringPattern RandomPattern(std::mt19937* random) {
  static const std::vector<std::string> kRegexes = {
      "/[a-b]+", "(/[^/]+)?/a", ".*/a/.*", "/a(b|)/.*", "[ab/]*b",  "/(a|b/)+",
      ".+",      "/[^a]*",      "/a.b?",   "/\\x61*",   "(a|/)?b*", "/a.*b.*/"};
  StringPattern pattern;
  pattern.kind = static_cast<StringPattern::Kind>((*random)() % 5);
  pattern.value = pattern.kind == StringPattern::Kind::kRegex
                      ? kRegexes[(*random)() % kRegexes.size()]
                      : RandomText(random, "ab/", 3);
  pattern.ignore_case = pattern.kind != StringPattern::Kind::kRegex && (*random)() % 5 == 0;
  return pattern;
}

}  // namespace

TEST_CASE("classes: every text of a tiny alphabet lies in the class that its patterns say") {
  // The oracle: RE2 and string functions on each of the texts; no automaton of ours.
  std::vector<std::string> texts = {""};
  for (size_t i = 0; texts[i].size() < 5; ++i) {
    for (char c : std::string("abA/")) texts.push_back(texts[i] + c);
  }
  std::mt19937 random(7);
  for (int round = 0; round < 150; ++round) {
    std::vector<StringPattern> patterns(1 + random() % 6);
    for (StringPattern& pattern : patterns) pattern = RandomPattern(&random);
    const std::string domain_pattern = round % 2 == 0 ? "[abA/]*" : "/[abA]*(/[ab]+)*";
    auto domain = PatternDomain(domain_pattern);
    StringMatcher in_domain = StringMatcher::Pattern(domain_pattern);
    std::vector<StringCandidate> candidates = {{RandomText(&random, "ab/", 4), 1}};
    StringClasses classes = BuildStringClasses(patterns, domain.get(), candidates, 5000);
    REQUIRE_FALSE(classes.too_many);
    auto signature_of_text = [&](const std::string& text) {
      std::vector<bool> signature;
      for (const auto& pattern : patterns) signature.push_back(MatcherOf(pattern).Matches(text));
      return signature;
    };
    std::set<std::vector<bool>> by_classes;
    for (uint32_t i = 0; i < classes.classes.size(); ++i) {
      const std::string& text = classes.classes[i].text;
      std::vector<bool> signature;
      for (const auto& members : classes.members) {
        signature.push_back(std::binary_search(members.begin(), members.end(), i));
      }
      CAPTURE(text);
      CHECK(in_domain.Matches(text));
      CHECK(signature == signature_of_text(text));
      by_classes.insert(std::move(signature));
    }
    std::set<std::vector<bool>> by_texts;
    for (const auto& text : texts) {
      if (in_domain.Matches(text)) by_texts.insert(signature_of_text(text));
    }
    // Every combination that a short text shows has a class.
    for (const auto& signature : by_texts) CHECK(by_classes.count(signature) == 1);
  }
}

TEST_CASE("classes: escapes in normalized paths") {
  std::vector<std::string> texts = {""};
  for (size_t i = 0; texts[i].size() < 6; ++i) {
    for (char c : std::string("/%41a.")) texts.push_back(texts[i] + c);
  }
  std::mt19937 random(13);
  for (int round = 0; round < 60; ++round) {
    PathOptions options;
    options.normalize = round % 4 != 0;
    options.merge_slashes = round % 3 == 0;
    static const std::vector<std::string> kRegexes = {"/[^/]+", "/.*%.*", "(/[a-z%]+)+", "/%4.*",
                                                      ".*[0-9]"};
    std::vector<StringPattern> patterns(1 + random() % 5);
    for (StringPattern& pattern : patterns) {
      pattern.kind = static_cast<StringPattern::Kind>(random() % 5);
      pattern.value = pattern.kind == StringPattern::Kind::kRegex
                          ? kRegexes[random() % kRegexes.size()]
                          : RandomText(&random, "/%41a.", 4);
    }
    auto domain = PathDomain(options, false);
    StringClasses classes = BuildStringClasses(patterns, domain.get(), {}, 5000);
    REQUIRE_FALSE(classes.too_many);
    auto signature_of = [&](const std::string& text) {
      std::vector<bool> signature;
      for (const auto& pattern : patterns) signature.push_back(MatcherOf(pattern).Matches(text));
      return signature;
    };
    auto in_domain = [&](const std::string& text) {
      int state = domain->Start();
      for (char c : text) {
        state = domain->Step(state, static_cast<uint8_t>(c));
        if (state == StringDomain::kDead) return false;
      }
      return domain->Accepts(state);
    };
    std::set<std::vector<bool>> by_classes, by_texts;
    for (const auto& one : classes.classes) {
      CAPTURE(one.text);
      CHECK(in_domain(one.text));
      by_classes.insert(signature_of(one.text));
    }
    for (const auto& text : texts) {
      if (in_domain(text)) by_texts.insert(signature_of(text));
    }
    for (const auto& signature : by_texts) CHECK(by_classes.count(signature) == 1);
  }
}

TEST_CASE("classes: too many for the budget is said, not guessed") {
  std::vector<StringPattern> patterns;
  for (int i = 0; i < 60; ++i) {
    patterns.push_back({StringPattern::Kind::kPrefix, "/p" + std::to_string(i), false});
    patterns.push_back({StringPattern::Kind::kSuffix, std::to_string(i) + "s", false});
  }
  auto domain = PathDomain({}, false);
  CHECK(BuildStringClasses(patterns, domain.get(), {}, 100).too_many);
  auto again = PathDomain({}, false);
  StringClasses all = BuildStringClasses(patterns, again.get(), {}, 20000);
  CHECK_FALSE(all.too_many);
  CHECK(all.classes.size() > 60 * 50);
}

TEST_CASE("paths: the domain is the image of normalization") {
  const std::string alphabet = "/.;%2eFfa\\?A\"";
  std::mt19937 random(11);
  for (int variant = 0; variant < 4; ++variant) {
    PathOptions options;
    options.normalize = variant != 0;
    options.merge_slashes = variant >= 2;
    if (variant == 3) options.escaped_slashes = EscapedSlashes::kUnescapeAndForward;
    std::set<std::string> image;
    for (int i = 0; i < 60000; ++i) {
      std::string sent = "/" + RandomText(&random, alphabet, 8);
      NormalizedPath seen = NormalizePath(sent, options);
      if (seen.outcome != NormalizedPath::Outcome::kOk) continue;
      image.insert(std::string(PathWithoutQuery(seen.path)));
    }
    auto domain = PathDomain(options, false);
    for (const auto& path : image) {
      int state = domain->Start();
      for (char c : path) {
        if (state == StringDomain::kDead) break;
        state = domain->Step(state, static_cast<uint8_t>(c));
      }
      CAPTURE(variant);
      CAPTURE(path);
      CHECK((state != StringDomain::kDead && domain->Accepts(state)));
    }
    // And nothing else: what the domain takes comes out of some request target.
    for (int i = 0; i < 60000; ++i) {
      std::string path = "/" + RandomText(&random, alphabet, 5);
      int state = domain->Start();
      for (char c : path) {
        if (state != StringDomain::kDead) state = domain->Step(state, static_cast<uint8_t>(c));
      }
      if (state == StringDomain::kDead || !domain->Accepts(state)) continue;
      bool dots = path.find("/.;") != std::string::npos || path.find("/..;") != std::string::npos;
      NormalizedPath seen = NormalizePath(path, options);
      CAPTURE(variant);
      CAPTURE(path);
      if (!dots) CHECK(seen.path == path);
    }
  }
}

}  // namespace meshproof::string_classes_test

#include "proxy/string_class.h"

#include <doctest/doctest.h>

#include "proxy/emit_match.h"

namespace meshproof::string_class_test {
namespace {

// "kind:value"
std::string Show(const StringMatcher& matcher) {
  const char* const names[] = {"exact", "prefix", "suffix", "contains", "regex"};
  return std::string(names[static_cast<int>(matcher.kind)]) + ":" + matcher.value +
         (matcher.ignore_case ? "/i" : "");
}

struct Row {
  const char* value;
  const char* expected;
};

TEST_CASE("class S interprets one star, a leading one first") {
  for (const Row& row : std::vector<Row>{{"*", "regex:.+"},
                                         {"/a", "exact:/a"},
                                         {"/a*", "prefix:/a"},
                                         {"*/a", "suffix:/a"},
                                         {"*a*", "suffix:a*"},
                                         {"**", "suffix:*"},
                                         {"a*b", "exact:a*b"},
                                         {"", "exact:"},
                                         {"a.b", "exact:a.b"}}) {
    CAPTURE(row.value);
    CHECK(Show(MatchString(row.value)) == row.expected);
  }
}

TEST_CASE("class H asks for presence where S wants text") {
  const HeaderMatcher present = MatchHeader(":method", "*", false);
  CHECK(present.kind == HeaderMatcher::Kind::kPresent);
  CHECK(present.present);
  const HeaderMatcher host = MatchHeader(":authority", "*.Example.com", true);
  CHECK(Show(host.string) == "suffix:.Example.com/i");
  CHECK(host.name == ":authority");
}

TEST_CASE("class P puts the scheme before everything but a lone star") {
  for (const Row& row :
       std::vector<Row>{{"*", "regex:.+"},
                        {"cluster.local/ns/a/sa/b", "exact:spiffe://cluster.local/ns/a/sa/b"},
                        {"cluster.local/*", "prefix:spiffe://cluster.local/"},
                        {"*/sa/b.c", "regex:spiffe://.*/sa/b\\.c"},
                        {"*-x*", "regex:spiffe://.*-x\\*"},
                        {"spiffe://a", "exact:spiffe://spiffe://a"}}) {
    CAPTURE(row.value);
    CHECK(Show(MatchPrincipal(row.value)) == row.expected);
  }
}

TEST_CASE("namespaces: every star is any text") {
  for (const Row& row : std::vector<Row>{{"shop", "regex:.*/ns/shop/.*"},
                                         {"shop-*", "regex:.*/ns/shop-.*/.*"},
                                         {"*o*p", "regex:.*/ns/.*o.*p/.*"},
                                         {"a.b", "regex:.*/ns/a\\.b/.*"},
                                         {"*", "regex:.*/ns/.*/.*"}}) {
    CAPTURE(row.value);
    CHECK(Show(MatchNamespace(row.value)) == row.expected);
  }
}

TEST_CASE("service accounts default to the policy's namespace and know no stars") {
  for (const Row& row :
       std::vector<Row>{{"sa", "regex:spiffe://.+/ns/home/(.+/|)sa/sa(/.+)?"},
                        {"ns/sa", "regex:spiffe://.+/ns/ns/(.+/|)sa/sa(/.+)?"},
                        {"n.s/s.a", "regex:spiffe://.+/ns/n\\.s/(.+/|)sa/s\\.a(/.+)?"},
                        {"s*", "regex:spiffe://.+/ns/home/(.+/|)sa/s\\*(/.+)?"}}) {
    CAPTURE(row.value);
    CHECK(Show(MatchServiceAccount(row.value, "home")) == row.expected);
  }
  const StringMatcher matcher = MatchServiceAccount("sa", "home");
  CHECK(matcher.Matches("spiffe://td/ns/home/sa/sa"));
  CHECK(matcher.Matches("spiffe://td/ns/home/x/sa/sa/y"));
  CHECK_FALSE(matcher.Matches("spiffe://td/ns/home/sa/sa2"));
  CHECK_FALSE(matcher.Matches("spiffe://td/ns/homes/sa/sa"));
}

TEST_CASE("trust domains") {
  for (const Row& row : std::vector<Row>{{"*", "prefix:spiffe://"},
                                         {"td", "prefix:spiffe://td/"},
                                         {"td.*", "regex:spiffe://td\\.[^/]*/.*"},
                                         {"*.local", "regex:spiffe://[^/]*\\.local/.*"},
                                         {"td*e", "regex:spiffe://td[^/]*e/.*"}}) {
    CAPTURE(row.value);
    CHECK(Show(MatchTrustDomain(row.value)) == row.expected);
  }
}

TEST_CASE("request principals split at the last slash") {
  struct Split {
    const char *value, *issuer, *subject;
  };
  for (const Split& row : std::vector<Split>{{"*", "regex:.+", "regex:.+"},
                                             {"*/s", "regex:.+", "exact:s"},
                                             {"*x/s", "suffix:x", "exact:s"},
                                             {"*x", "regex:.+", "suffix:x"},
                                             {"i/*", "exact:i", "regex:.+"},
                                             {"i/p*", "exact:i", "prefix:p"},
                                             {"i*", "prefix:i", "regex:.+"},
                                             {"i/s", "exact:i", "exact:s"},
                                             {"i", "exact:i", "exact:"},
                                             {"https://a/b", "exact:https://a", "exact:b"},
                                             // Traps.
                                             {"*/*", "regex:.+", "exact:*"},
                                             {"*a/b*", "suffix:a", "exact:b*"},
                                             {"https://idp*", "exact:https:/", "prefix:idp"},
                                             {"/*", "exact:", "regex:.+"}}) {
    CAPTURE(row.value);
    const auto [issuer, subject] = MatchRequestPrincipal(row.value);
    CHECK(Show(issuer) == row.issuer);
    CHECK(Show(subject) == row.subject);
  }
}

TEST_CASE("path templates") {
  CHECK_FALSE(PathTemplateOf("/a/*").has_value());
  CHECK_FALSE(PathTemplateOf("/a/{x}").has_value());
  CHECK(PathTemplateOf("/a/{*}/b") == "/a/*/b");
  CHECK(PathTemplateOf("/{*}/{**}") == "/*/**");
  CHECK(PathTemplateOf("{**}") == "**");
}

TEST_CASE("names in brackets") {
  CHECK(NameInBrackets("[x]") == "x");
  CHECK(NameInBrackets("[]") == "");
  CHECK_FALSE(NameInBrackets("x").has_value());
  CHECK_FALSE(NameInBrackets("X[x]").has_value());
  CHECK_FALSE(NameInBrackets("[").has_value());

  using Names = std::vector<std::string>;
  CHECK(NamesInNestedBrackets("[a]") == Names{"a"});
  CHECK(NamesInNestedBrackets("[a][b]") == Names{"a", "b"});
  CHECK(NamesInNestedBrackets("[a[b]c]") == Names{"a[b]c"});
  CHECK(NamesInNestedBrackets("[a]b]") == Names{"a]b"});
  CHECK(NamesInNestedBrackets("[a][b") == std::nullopt);
  CHECK(NamesInNestedBrackets("a") == std::nullopt);
  CHECK(NamesInNestedBrackets("[a].[b]") == Names{"a].[b"});
}

TEST_CASE("claims match strings and lists that hold one") {
  MetadataPredicate one;
  one.filter = "f";
  one.path = {"payload", "aud"};
  one.value = MatchClaim({MatchString("a")});
  CHECK(WriteJson(EmitMetadata(one)) ==
        R"({"filter":"f","path":[{"key":"payload"},{"key":"aud"}],"value":{"or_match":{)"
        R"("value_matchers":[{"list_match":{"one_of":{"string_match":{"exact":"a"}}}},)"
        R"({"string_match":{"exact":"a"}}]}}})");
}

TEST_CASE("a pattern beyond the engine's bounds is kept as text") {
  const StringMatcher matcher = MatchPattern("(");
  CHECK(matcher.value == "(");
  CHECK_FALSE(static_cast<bool>(matcher.regex));
  CHECK(QuoteGoRegex("a-b.c/d_e") == "a-b\\.c/d_e");
}

}  // namespace
}  // namespace meshproof::string_class_test

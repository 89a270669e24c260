#include <doctest/doctest.h>

#include <atomic>

#include "base/diagnostic.h"
#include "base/json.h"
#include "base/parallel.h"
#include "base/span.h"
#include "base/text.h"

namespace meshproof::base_test {

TEST_CASE("a span is located by lines and code points") {
  SourceFile file("a.yaml", "x: 1\r\ny: \"\xC3\xA9t\xC3\xA9\"\nlast");
  CHECK(file.LineCount() == 3);
  CHECK(file.Line(1) == "x: 1");
  CHECK(file.Line(3) == "last");
  CHECK(file.Line(4).empty());
  struct Row {
    uint32_t begin, end;
    int line, column, end_line, end_column;
  };
  for (const Row& row : {Row{0, 1, 1, 1, 1, 2}, Row{9, 16, 2, 4, 2, 9}, Row{17, 21, 3, 1, 3, 5},
                         Row{17, 99, 3, 1, 3, 5}, Row{99, 3, 3, 5, 3, 5}}) {
    Location at = Locate(Span{&file, row.begin, row.end});
    CHECK(at == Location{"a.yaml", row.line, row.column, row.end_line, row.end_column});
  }
}

TEST_CASE("diagnostics are ordered by place and said once") {
  SourceFile file("b.yaml", "one\ntwo\n");
  std::vector<Diagnostic> list = {
      {Severity::kError, Trouble::kSyntax, "later", {&file, 4, 5}, ""},
      {Severity::kWarning, Trouble::kSyntax, "first", {&file, 0, 1}, "do that"},
      {Severity::kError, Trouble::kSyntax, "later", {&file, 4, 5}, ""},
  };
  SortDiagnostics(&list);
  REQUIRE(list.size() == 2);
  CHECK(ToString(list[0]) == "b.yaml:1:1: warning: first\n    help: do that");
  CHECK(ToString(list[1]) == "b.yaml:2:1: error: later");
}

TEST_CASE("JSON is read and written back") {
  for (const char* text :
       {"null", "true", "[]", "{}", "[1,-2,0.5,1e+20]", R"({"b":1,"a":["x",null]})",
        R"("\"\\\n\t\r\u0001é")", "9223372036854775807"}) {
    auto value = ParseJson(text);
    REQUIRE(value.ok());
    CHECK(WriteJson(value.value()) == text);
  }
  for (const char* text : {"", " ", "{", "[1,]", "01", "\"\xff\"", "nul", "1 2"}) {
    CHECK_FALSE(ParseJson(text).ok());
  }
  CHECK(ParseJson(R"({"a":1,"a":2})").value().Find("a")->as_integer() == 2);
  CHECK_FALSE(ParseJson(R"({"a":1,"a":2})", DuplicateKeys::kRefuse).ok());
  CHECK_FALSE(ParseJson(R"([{"a":{"b":1,"b":1}}])", DuplicateKeys::kRefuse).ok());
  CHECK(WriteJson(Json("a\xffz")) == "\"a\xEF\xBF\xBDz\"");
  CHECK(WriteJson(Json::MakeObject({{"a", Json::Array{1, 2}}}), 2) ==
        "{\n  \"a\": [\n    1,\n    2\n  ]\n}");
}

TEST_CASE("every index is done once") {
  for (unsigned threads : {0U, 1U, 2U, 7U}) {
    std::vector<std::atomic<int>> seen(100);
    ParallelFor(seen.size(), [&](size_t i) { ++seen[i]; }, threads);
    for (auto& count : seen) CHECK(count == 1);
  }
}

TEST_CASE("the nearest name is suggested only when it is near") {
  const std::vector<std::string> names = {"--namespace", "--path", "--host"};
  CHECK(Nearest("--namspace", names) == "--namespace");
  CHECK(Nearest("--pth", names) == "--path");
  CHECK_FALSE(Nearest("--verbose", names).has_value());
}

TEST_CASE("text helpers") {
  CHECK(Split("a,,b", ',') == std::vector<std::string_view>{"a", "", "b"});
  CHECK(Split("", ',') == std::vector<std::string_view>{""});
  CHECK(TrimSpace(" \ta b\n") == "a b");
  CHECK(EndsWithIgnoreCase("X.Example.COM", ".example.com"));
  CHECK(StartsWithIgnoreCase("ABC", "ab"));
  CHECK_FALSE(EqualsIgnoreCase("a", "ab"));
  CHECK(ParseUnsigned("80") == 80UL);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "0x1", "99999999999999999999"}) {
    CHECK_FALSE(ParseUnsigned(text).has_value());
  }
  CHECK(IsValidUtf8("\xF0\x9F\x98\x80"));
  for (const char* text : {"\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF5\x80\x80\x80",
                           "\xF4\x90\x80\x80", "\xE2\x82"}) {
    CHECK_FALSE(IsValidUtf8(text));
  }
}

}  // namespace meshproof::base_test

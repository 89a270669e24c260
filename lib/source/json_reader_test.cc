#include "source/json_reader.h"

#include <doctest/doctest.h>

#include "source/source.h"
#include "source/tree_dump.h"
#include "source/yaml_reader.h"

namespace meshproof::json_reader_test {
namespace {

// All JSON values of a few tokens: every nesting of arrays and objects over a handful of scalars,
// with blanks and line breaks between some of them.
std::vector<std::string> Values(int depth) {
  std::vector<std::string> values = {"1",    "-0",      "1.5e3",   "true",           "null",
                                     "\"\"", "\"a b\"", "\"yes\"", "\"\\u00e9\\n\"", "\"#\""};
  if (depth == 0) return values;
  std::vector<std::string> inner = Values(depth - 1);
  if (depth > 1) {
    // A sample that still has every shape.
    std::vector<std::string> sample;
    for (size_t i = 0; i < inner.size(); i += depth == 2 ? 7 : 29) sample.push_back(inner[i]);
    inner = sample;
  }
  values.push_back("[]");
  values.push_back("{ }");
  for (const std::string& a : inner) {
    values.push_back("[" + a + "]");
    values.push_back("{\"k\": " + a + "}");
    values.push_back("{\n  \"a\\tb\" :\n\t" + a + "\n}");
    for (const std::string& b : inner) {
      values.push_back("[" + a + ", " + b + " ]");
      values.push_back("{\"k\":" + a + ",\"k\":" + b + "}");
    }
  }
  return values;
}

}  // namespace

TEST_CASE("JSON makes the tree that YAML makes of the same text") {
  size_t count = 0;
  YamlReader yaml;
  JsonReader json;
  for (const std::string& value : Values(3)) {
    if (value[0] != '[' && value[0] != '{') continue;
    auto file = std::make_shared<const SourceFile>("t.json", value);
    DocumentText all{0, static_cast<uint32_t>(value.size())};
    ReadResult as_json;
    ReadResult as_yaml;
    bool read = json.Read(file, all, &as_json);
    yaml.Read(file, all, &as_yaml);
    if (!read || as_yaml.documents.size() != 1) {
      FAIL_CHECK("not read: " << value);
      continue;
    }
    std::string a = DumpTree(*as_json.documents.at(0).root());
    std::string b = DumpTree(*as_yaml.documents.at(0).root());
    if (a != b) FAIL_CHECK("differs: " << value << "\n" << a << "\n" << b);
    if (as_json.diagnostics.size() != as_yaml.diagnostics.size()) {
      FAIL_CHECK("other diagnostics: " << value);
    }
    ++count;
  }
  CHECK(count > 10000);
}

TEST_CASE("JSON is read with exact places") {
  struct Row {
    std::string text;
    std::string expected;
  };
  for (const Row& row : std::vector<Row>{
           {"{}", "0-2{}"},
           {" [ ] ", "1-4[]"},
           {"{\"a\": {\"b\": [1, \"x\"]}}",
            "0-22{1-4s\"<a>: 6-21{7-10s\"<b>: 12-20[13-14i<1>, 16-19s\"<x>]}}"},
           {"[1e3,-0,12345678901234567890,0.5,true,null,\"\\u00e9\\ud83d\\ude00\"]",
            "0-64[1-4f<1e3>, 5-7i<-0>, 8-28i<12345678901234567890>, 29-32f<0.5>, 33-37b<true>, "
            "38-42n<null>, 43-63s\"<\xC3\xA9\xF0\x9F\x98\x80>]"},
           {"{\"a\\\"b\":\"\\\\\"}", "0-13{1-7s\"<a\"b>: 8-12s\"<\\>}"},
           {"{\"a\":1}{\"b\":2}", "0-7{1-4s\"<a>: 5-6i<1>}; 7-14{8-11s\"<b>: 12-13i<2>}"},
           {"{\"a\":1}\n[2]\n", "0-7{1-4s\"<a>: 5-6i<1>}; 8-11[9-10i<2>]"},
           {"\xEF\xBB\xBF{\"a\":1}", "3-10{4-7s\"<a>: 8-9i<1>}"},
           // What JSON refuses and YAML takes.
           {"{\"a\":1,}", "0-8{1-4s\"<a>: 5-6i<1>}"},
           {"{a: [01, 'b']} # c", "0-14{1-2s<a>: 4-13[5-7i<01>, 9-12s\"<b>]}"},
           {"[a]\n---\n{\"b\":1}", "0-3[1-2s<a>]; 8-15{9-12s\"<b>: 13-14i<1>}"},
           {"{\"a\": 1}\n{b: 2}\n", "0-8{1-4s\"<a>: 6-7i<1>}; 9-15{10-11s<b>: 13-14i<2>}"},
       }) {
    CAPTURE(row.text);
    ParsedFile file = ParseText("t.json", row.text);
    CHECK(DumpDiagnostics(file) == "");
    CHECK(DumpDocuments(file) == row.expected);
  }
}

TEST_CASE("fields that nobody reads are left out, and the places of the others stay") {
  const UnreadKeys unread = {"x", "long_name"};
  struct Row {
    std::string text;
    std::string expected;
  };
  for (const Row& row : std::vector<Row>{
           {R"({"a":1,"x":{"a":[1,{"b":2}]},"b":2})",
            "0-35{1-4s\"<a>: 5-6i<1>, 29-32s\"<b>: 33-34i<2>}"},
           {R"({"a":{"x":[1,2] } })", "0-19{1-4s\"<a>: 5-17{}}"},
           {R"({"x":"}]","a":1})", "0-16{10-13s\"<a>: 14-15i<1>}"},
           {R"({"x":1 })", "0-8{}"},
           {R"([{"long_name":{}}])", "0-18[1-17{}]"},
           {R"({"\u0078":1})", "0-12{1-9s\"<x>: 10-11i<1>}"},
           {R"({"a":1,"a":2})", "0-13{1-4s\"<a>: 5-6i<1>, 7-10s\"<a>: 11-12i<2>}"},
       }) {
    CAPTURE(row.text);
    auto file = std::make_shared<const SourceFile>("t.json", row.text);
    ReadResult result;
    REQUIRE(JsonReader().Read(file, {0, static_cast<uint32_t>(row.text.size())}, &result, &unread));
    CHECK(DumpTree(*result.documents.at(0).root(), true) == row.expected);
    CHECK(result.diagnostics.empty());
  }
}

TEST_CASE("a broken value among JSON values costs only itself") {
  struct Row {
    std::string text;
    std::string tree;
    std::string diagnostics;
  };
  for (const Row& row : std::vector<Row>{
           {"{\"a\":1}\n{\"a\":\n{\"b\":2}\n", "{s\"<a>: i<1>}; {s\"<b>: i<2>}",
            "8-9 error: this mapping is not closed by `}`"},
           {"{\"a\":1}\n{\"a\" 1}\n{\"b\":2}\n", "{s\"<a>: i<1>}; {s\"<b>: i<2>}",
            "13-14 error: expected `,` or `}` of the mapping that starts on line 2, found `1`"},
           {"{\"a\":1}\nrubbish: x\n{\"b\":2}", "{s\"<a>: i<1>}; {s\"<b>: i<2>}",
            "8-9 error: content behind the end of the document"},
           {"{\"a\": [1, 2}", "", "11-12 error: `}` closes nothing that is open"},
           {"{\"a\": \"x}", "", "6-7 error: the quoted text that starts here is not closed"},
       }) {
    CAPTURE(row.text);
    ParsedFile file = ParseText("t.json", row.text);
    CHECK(DumpDocuments(file, false) == row.tree);
    CHECK(DumpDiagnostics(file) == row.diagnostics);
  }
}

TEST_CASE("what is no JSON is not taken for it") {
  for (std::string text :
       {"[1,]",     "[01]",    "[1.]",       "[.5]",       "[+1]",      "[1e]",          "[--1]",
        "[tru]",    "[nullx]", "[null x]",   "[\"\x01\"]", "[\"\\x\"]", "[\"\\ud800\"]", "{\"a\"}",
        "{\"a\":}", "{a:1}",   "[1 2]",      "[}",         "{]",        "[\"a\" \"b\"]", "[1]]",
        "['a']",    "[True]",  "{\"a\":1,}", "[,1]"}) {
    CAPTURE(text);
    auto file = std::make_shared<const SourceFile>("t.json", text);
    ReadResult result;
    CHECK_FALSE(JsonReader().Read(file, {0, static_cast<uint32_t>(text.size())}, &result));
    CHECK(result.documents.empty());
  }
}

}  // namespace meshproof::json_reader_test

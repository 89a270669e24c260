#include "crypto/struct_json.h"

#include <doctest/doctest.h>

#include <string>

#include "crypto/recorded_rows.h"

namespace meshproof::struct_json_test {

TEST_CASE("the JSON of tokens is taken or refused as Envoy was seen to do it") {
  auto rows = RecordedRows("struct_json.tsv");
  REQUIRE(rows.size() > 400);
  for (const auto& row : rows) {
    CAPTURE(row[1]);
    CHECK(ParseStructJson(row[1]).has_value() == (row[0] == "valid"));
  }
}

TEST_CASE("values of the JSON of tokens") {
  struct Row {
    const char* text;
    const char* written;
  };
  for (const Row& row : {
           Row{"null", "{}"},
           Row{R"( {"a": [1, -0, 1.5, 1e2, 1e300], "b": {"c": null}} )",
               R"({"a":[1,0,1.5,100,1e+300],"b":{"c":null}})"},
           Row{"{a:'b\"c',}", R"({"a":"b\"c"})"},
           Row{R"({"a":"\u0041\U00e9\ud83d \ude00\'\/"})",
               "{\"a\":\"A\xC3\xA9\xF0\x9F\x98\x80'/\"}"},
           Row{"{\"a\":\"\n\"}", R"({"a":"\n"})"},
           Row{R"({"a":9007199254740993})", R"({"a":9007199254740992})"},
           Row{R"({"a":1e-400})", R"({"a":0})"},
           Row{R"({"a":true,"b":false})", R"({"a":true,"b":false})"},
       }) {
    CAPTURE(row.text);
    auto json = ParseStructJson(row.text);
    REQUIRE(json.has_value());
    CHECK(WriteJson(*json) == row.written);
  }
  std::string deep = R"({"a":)" + std::string(99, '[') + std::string(99, ']') + "}";
  CHECK(ParseStructJson(deep).has_value());
  deep = R"({"a":)" + std::string(100, '[') + std::string(100, ']') + "}";
  CHECK_FALSE(ParseStructJson(deep).has_value());
}

}  // namespace meshproof::struct_json_test

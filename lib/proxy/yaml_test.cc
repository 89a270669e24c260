#include <doctest/doctest.h>

#include "proxy/emit.h"
#include "source/source.h"

namespace meshproof::yaml_test {
namespace {

Json FromNode(const Node& node) {
  if (node.IsSequence()) {
    Json out = Json::MakeArray();
    for (const Node& item : node.items()) out.Append(FromNode(item));
    return out;
  }
  if (node.IsMapping()) {
    Json out = Json::MakeObject();
    for (const Entry& entry : node.entries()) {
      out.Set(std::string(entry.key.text), FromNode(entry.value));
    }
    return out;
  }
  if (node.IsNull()) return nullptr;
  if (node.IsBool()) return node.AsBool();
  if (const auto number = node.AsInt()) return *number;
  return std::string(node.text);
}

TEST_CASE("block YAML") {
  const Json value = Json::MakeObject(
      {{"a", 1},
       {"list", Json(Json::Array{Json("x"), Json::MakeObject({{"k", true}, {"m", "v"}}),
                                 Json(Json::Array{Json(1), Json(2)}), Json::MakeArray()})},
       {"empty", Json::MakeObject()}});
  CHECK(WriteYaml(value) ==
        "a: 1\n"
        "list:\n"
        "- x\n"
        "- k: true\n"
        "  m: v\n"
        "- - 1\n"
        "  - 2\n"
        "- []\n"
        "empty: {}\n");
  CHECK(WriteYaml(Json::MakeObject()) == "{}\n");
  CHECK(WriteYaml(Json("x")) == "x\n");
}

TEST_CASE("what is read back is what was written") {
  Json::Array texts;
  for (const char* text : {"",
                           "a",
                           "true",
                           "Yes",
                           "n",
                           "null",
                           "~",
                           "1",
                           "1.5",
                           "0x1F",
                           "1:30",
                           "2026-01-01",
                           "-",
                           "- a",
                           "a: b",
                           "a:b",
                           "a:",
                           ":a",
                           "#a",
                           "a #b",
                           "@type",
                           "*",
                           "&a",
                           "!a",
                           "|",
                           ">",
                           "%a",
                           "{",
                           "}",
                           "[",
                           "]",
                           ",",
                           "?",
                           "'",
                           "\"",
                           "`",
                           "\\",
                           "a\nb",
                           "\t",
                           " a",
                           "a ",
                           "é",
                           "/a/{*}",
                           "spiffe://a/b",
                           "outbound|80||a.b",
                           "type.googleapis.com/x",
                           ".inf",
                           "1e3",
                           "=",
                           "<<",
                           "[^/]*\\.local/.*",
                           "5s",
                           "a~b",
                           "inbound_0.0.0.0_80;"}) {
    texts.emplace_back(text);
  }
  const Json value = Json::MakeObject({{"texts", Json(texts)}});
  const ParsedFile parsed = ParseText("y.yaml", WriteYaml(value));
  REQUIRE(parsed.diagnostics.empty());
  REQUIRE(parsed.documents.size() == 1);
  CHECK(FromNode(*parsed.documents[0].root()) == value);
  // As keys, too.
  Json keys = Json::MakeObject();
  for (const Json& text : texts) keys.Set(text.as_string(), 1);
  const ParsedFile parsed_keys = ParseText("k.yaml", WriteYaml(keys));
  REQUIRE(parsed_keys.documents.size() == 1);
  CHECK(FromNode(*parsed_keys.documents[0].root()) == keys);
}

}  // namespace
}  // namespace meshproof::yaml_test

#include <doctest/doctest.h>

#include <array>

#include "source/source.h"
#include "source/tree_dump.h"

namespace meshproof::node_test {

TEST_CASE("plain scalars have the types of Kubernetes' YAML reader") {
  struct Row {
    ScalarType type;
    std::vector<std::string_view> texts;
  };
  const std::vector<Row> rows = {
      {ScalarType::kNull, {"", "~", "null", "Null", "NULL"}},
      {ScalarType::kBool,
       {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on",    "On",    "ON",
        "n", "N", "no",  "No",  "NO",  "off",  "Off",  "OFF",  "false", "False", "FALSE"}},
      {ScalarType::kInt,
       {"0", "1", "-1", "+1", "1_000", "0x1F", "0XfF", "0b101", "-0b11", "0o17", "017", "0_7",
        "0x_0A_74_AE", "+685_230", "-0", "9223372036854775807", "18446744073709551615",
        "-9223372036854775808", "0x1FFFFFFFFFFFFFFFFFFFF"}},
      {ScalarType::kFloat,
       {"1.0", ".5", "-.5", "1.", "1e3", "1E+3", "6.8523e+5", "685_230.15", "08", "0899",
        "123456789012345678901234567890", ".inf", "-.Inf", "+.INF", ".nan", ".NaN", "1e-999"}},
      {ScalarType::kString,
       {"yEs",    "tRUE",       "nULL",    "None", "yes ", "1s",    "0x",    "0b2",        "0xg",
        "1__x",   "+",          "-",       ".",    "..",   "1.2.3", "1:30",  "2001-01-01", "1e999",
        "-1e999", ".5_0",       "._5",     "_1",   "e3",   "inf",   "nan",   "+.nan",      "1e",
        "+-1",    "10.0.0.0/8", "0.0.0.0", "v1",   "<<",   "-0x",   "1,000", "0x1.8p1"}},
  };
  for (const Row& row : rows) {
    for (std::string_view text : row.texts) {
      CAPTURE(text);
      CHECK(ResolvePlainScalar(text) == row.type);
    }
  }
}

TEST_CASE("integers are read in all spellings") {
  struct Row {
    std::string_view text;
    std::optional<int64_t> value;
  };
  for (const Row& row : std::vector<Row>{{"0", 0},
                                         {"-0", 0},
                                         {"8080", 8080},
                                         {"+1_5", 15},
                                         {"0x1F", 31},
                                         {"-0b101010", -42},
                                         {"02472256", 685230},
                                         {"0o17", 15},
                                         {"9223372036854775807", INT64_MAX},
                                         {"-9223372036854775808", INT64_MIN},
                                         {"9223372036854775808", std::nullopt},
                                         {"18446744073709551615", std::nullopt},
                                         {"0x1FFFFFFFFFFFFFFFFFFFF", std::nullopt}}) {
    CAPTURE(row.text);
    Node node;
    node.type = ResolvePlainScalar(row.text);
    node.text = row.text;
    REQUIRE(node.IsInt());
    CHECK(node.AsInt() == row.value);
  }
  Node text;
  text.type = ScalarType::kString;
  text.text = "1";
  CHECK_FALSE(text.AsInt().has_value());
}

TEST_CASE("numbers of up to four characters resolve as the grammar says") {
  // The slow way: Go's integer syntax and go-yaml's float pattern, spelled out on digits.
  constexpr std::string_view kAlphabet = "0179.eE+-_xb";
  auto is_integer = [](std::string text) {
    std::erase(text, '_');
    if (!text.empty() && (text[0] == '+' || text[0] == '-')) text.erase(0, 1);
    std::string_view digits = "0123456789";
    if (text.size() > 1 && text[0] == '0') {
      bool hex = text[1] == 'x';
      bool binary = text[1] == 'b';
      digits = hex ? "0123456789abcdefABCDEF" : binary ? "01" : "01234567";
      text.erase(0, hex || binary ? 2 : 1);
    }
    return !text.empty() && text.find_first_not_of(digits) == std::string::npos;
  };
  auto is_float = [](std::string text) {
    if (text[0] != '.') std::erase(text, '_');
    size_t exponent = text.find_first_of("eE");
    std::string mantissa = text.substr(0, exponent);
    if (exponent != std::string::npos) {
      std::string power = text.substr(exponent + 1);
      if (!power.empty() && (power[0] == '+' || power[0] == '-')) power.erase(0, 1);
      if (power.empty() || power.find_first_not_of("0123456789") != std::string::npos) return false;
      if (power.size() >= 3 && mantissa.find_first_of("179") != std::string::npos &&
          text[exponent + 1] != '-') {
        return false;  // beyond float64
      }
    }
    if (!mantissa.empty() && (mantissa[0] == '+' || mantissa[0] == '-')) mantissa.erase(0, 1);
    size_t dot = mantissa.find('.');
    std::string digits = mantissa;
    if (dot != std::string::npos) digits.erase(dot, 1);
    return !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
  };
  size_t count = 0;
  std::vector<std::string> texts = {""};
  for (int length = 1; length <= 4; ++length) {
    std::vector<std::string> longer;
    for (const std::string& text : texts) {
      for (char c : kAlphabet) longer.push_back(text + c);
    }
    texts = longer;
    for (const std::string& text : texts) {
      ScalarType expected = ScalarType::kString;
      if (std::string_view("0123456789+-.").find(text[0]) != std::string_view::npos) {
        if (is_float(text)) expected = ScalarType::kFloat;
        if (text[0] != '.' && is_integer(text)) expected = ScalarType::kInt;
      }
      if (ResolvePlainScalar(text) != expected) FAIL_CHECK("differs: " << text);
      ++count;
    }
  }
  CHECK(count == 12 + 144 + 1728 + 20736);
}

TEST_CASE("the last of equal keys is found") {
  ParsedFile file = ParseText("t", "a: 1\nb: 2\na: 3\n");
  const Node& root = *file.documents.at(0).root();
  CHECK(root.entries().size() == 3);
  REQUIRE(root.Find("a") != nullptr);
  CHECK(root.Find("a")->AsInt() == 3);
  CHECK(root.FindEntry("a")->key.begin == 10);
  CHECK(root.Find("c") == nullptr);
  CHECK(root.Find("b")->Find("x") == nullptr);
}

}  // namespace meshproof::node_test

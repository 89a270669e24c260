#include "model/go_values.h"

#include <doctest/doctest.h>

#include <string>

namespace meshproof::go_values_test {
namespace {

TEST_CASE("booleans as strconv.ParseBool reads them") {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"}) CHECK(ParseGoBool(yes) == true);
  for (const char* no : {"0", "f", "F", "FALSE", "false", "False"}) CHECK(ParseGoBool(no) == false);
  for (const char* none : {"", "yes", "tRUE", "on", " true", "2"}) CHECK(!ParseGoBool(none));
}

TEST_CASE("durations as time.ParseDuration reads them") {
  struct Row {
    const char* text;
    int64_t nanoseconds;
  };
  const Row rows[] = {
      {"0", 0},
      {"-0", 0},
      {"5s", 5'000'000'000},
      {"300ms", 300'000'000},
      {"1.5h", 5'400'000'000'000},
      {"-1.5h", -5'400'000'000'000},
      {"2h45m", 9'900'000'000'000},
      {".5s", 500'000'000},
      {"1.s", 1'000'000'000},
      {"1us", 1'000},
      {"1\xC2\xB5s", 1'000},
      {"7ns", 7},
      {"+1m", 60'000'000'000},
      {"9223372036854775807ns", INT64_MAX},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(ParseGoDuration(row.text) == row.nanoseconds);
  }
  for (const char* bad : {"", "-", "5", "s", ".s", "5x", "5msx", "1 s", "5s ", "1h m", "..5s",
                          "9223372036854775808ns", "99999999999999999999s", "1e3s", "NaN"}) {
    CAPTURE(bad);
    CHECK(!ParseGoDuration(bad));
  }
}

}  // namespace
}  // namespace meshproof::go_values_test

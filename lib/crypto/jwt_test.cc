#include "crypto/jwt.h"

#include <doctest/doctest.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "crypto/recorded_rows.h"

namespace meshproof::jwt_test {
namespace {

std::string VerdictOf(const std::string& token, const Jwks& keys, int64_t now) {
  ParsedJwt parsed = ParseJwt(token);
  JwtStatus status = parsed.status;
  if (status.ok()) status = CheckTimes(parsed.jwt, now);
  if (status.ok()) status = keys.Verify(parsed.jwt);
  return status.ok() ? "ok" : status.text;
}

}  // namespace

TEST_CASE("key sets load as Envoy was seen to load them") {
  auto rows = RecordedRows("key_sets.tsv");
  REQUIRE(rows.size() > 300);
  for (const auto& row : rows) {
    CAPTURE(row[1]);
    Jwks keys = Jwks::Parse(row[1]);
    CHECK((keys.status().ok() ? "ok" : keys.status().text) == row[0]);
    CHECK((keys.size() > 0) == (row[0] == "ok" && !row[1].empty()));
  }
}

TEST_CASE("tokens are judged as Envoy was seen to judge them") {
  std::map<std::string, Jwks> sets;
  int64_t now = 0;
  int judged = 0;
  for (const auto& row : RecordedRows("tokens.tsv")) {
    if (row[0] == "now") {
      now = std::stoll(row[1]);
    } else if (row[0] == "set") {
      sets[row[1]] = Jwks::Parse(row[2]);
      REQUIRE(sets[row[1]].status().ok());
    } else {
      CAPTURE(row[3]);
      CAPTURE(row[1]);
      CHECK(VerdictOf(row[3], sets.at(row[1]), now) == row[2]);
      ++judged;
    }
  }
  CHECK(judged > 300);
}

TEST_CASE("one key set serves many threads") {
  std::map<std::string, Jwks> sets;
  std::vector<std::vector<std::string>> tokens;
  int64_t now = 0;
  for (const auto& row : RecordedRows("tokens.tsv")) {
    if (row[0] == "now") now = std::stoll(row[1]);
    if (row[0] == "set") sets[row[1]] = Jwks::Parse(row[2]);
    if (row[0] == "token" && tokens.size() < 40) tokens.push_back(row);
  }
  std::vector<std::thread> threads;
  std::vector<size_t> right(4, 0);
  for (size_t& count : right) {
    threads.emplace_back([&] {
      for (const auto& row : tokens) {
        if (VerdictOf(row[3], sets.at(row[1]), now) == row[2]) ++count;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (size_t count : right) CHECK(count == tokens.size());
}

TEST_CASE("a key set without a text fails every token") {
  // eyJhbGciOiJIUzI1NiJ9 = {"alg":"HS256"}, e30 = {}
  ParsedJwt parsed = ParseJwt("eyJhbGciOiJIUzI1NiJ9.e30.AA");
  REQUIRE(parsed.status.ok());
  CHECK(Jwks::Parse("").status().ok());
  CHECK(Jwks::Parse("").Verify(parsed.jwt).text == "Jwks doesn't have any valid public key");
  CHECK(Jwks::Parse("{}").Verify(parsed.jwt).text == "Jwks does not have [keys] field");
}

TEST_CASE("the parts of a token") {
  // {"alg":"ES256","kid":"k"} . {"iss":"i","sub":"s","aud":["a","b"],"nbf":5.9,"exp":7,"x":{"y":1}}
  std::string head = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ";
  std::string body =
      "eyJpc3MiOiJpIiwic3ViIjoicyIsImF1ZCI6WyJhIiwiYiJdLCJuYmYiOjUuOSwiZXhwIjo3LCJ4Ijp7InkiOjF9fQ";
  ParsedJwt parsed = ParseJwt("." + head + ".." + body + ".AQI.");
  REQUIRE(parsed.status.ok());
  const Jwt& jwt = parsed.jwt;
  CHECK(jwt.alg == "ES256");
  CHECK(jwt.kid == "k");
  CHECK(jwt.issuer == "i");
  CHECK(jwt.subject == "s");
  CHECK(jwt.audiences == std::vector<std::string>{"a", "b"});
  CHECK(jwt.not_before == 5);
  CHECK(jwt.expires == 7);
  CHECK(jwt.payload.Find("x")->Find("y")->as_integer() == 1);
  CHECK(jwt.signed_part == head + "." + body);
  CHECK(jwt.signature == "\x01\x02");
}

TEST_CASE("times have a minute of grace") {
  struct Row {
    uint64_t not_before, expires;
    int64_t now;
    const char* status;
  };
  for (const Row& row : {
           Row{0, 0, 1000, ""},
           Row{1060, 0, 1000, ""},
           Row{1061, 0, 1000, "Jwt not yet valid"},
           Row{0, 940, 1000, ""},
           Row{0, 939, 1000, "Jwt is expired"},
           Row{2000, 900, 1000, "Jwt not yet valid"},
           Row{0, UINT64_MAX, INT64_MAX, ""},
           Row{UINT64_MAX, 0, INT64_MAX, "Jwt not yet valid"},
       }) {
    Jwt jwt;
    jwt.not_before = row.not_before;
    jwt.expires = row.expires;
    CHECK(CheckTimes(jwt, row.now).text == row.status);
  }
  Jwt jwt;
  jwt.expires = 990;
  CHECK(CheckTimes(jwt, 1000, 10).ok());
  CHECK_FALSE(CheckTimes(jwt, 1000, 9).ok());
}

TEST_CASE("audiences overlap without scheme and trailing slash") {
  struct Row {
    std::vector<std::string> configured, token;
    bool allowed;
  };
  for (const Row& row : {
           Row{{}, {}, true},
           Row{{}, {"a"}, true},
           Row{{"a"}, {}, false},
           Row{{"a"}, {"b", "a"}, true},
           Row{{"http://a/"}, {"https://a"}, true},
           Row{{"a"}, {"a/"}, true},
           Row{{"a"}, {"a//"}, false},
           Row{{"a"}, {"A"}, false},
           Row{{"a"}, {"HTTP://a"}, false},
           Row{{"https://http://a"}, {"http://a"}, false},
           Row{{""}, {"http://"}, true},
           Row{{"/"}, {""}, true},
       }) {
    CHECK(AudienceAllowed(row.configured, row.token) == row.allowed);
  }
}

TEST_CASE("base64url as Envoy decodes it") {
  struct Row {
    const char* text;
    const char* bytes;  // null: refused
  };
  for (const Row& row : {
           Row{"", ""},           Row{"YWJj", "abc"},
           Row{"YWI", "ab"},      Row{"YWI=", "ab"},
           Row{"YQ==", "a"},      Row{"YQ", "a"},
           Row{"YR", "a"},        Row{"YQ=", nullptr},
           Row{"YQ===", nullptr}, Row{"Y", nullptr},
           Row{"YWJj=", nullptr}, Row{" Y Q\t=\n= ", "a"},
           Row{"YQ..", "a"},      Row{"YQ=.", "a"},
           Row{"Y=Q=", nullptr},  Row{"-_-_", "\xFB\xFF\xBF"},
           Row{"+/+/", nullptr},  Row{"=", nullptr},
           Row{" ", ""},          Row{"YWJj\xE9", nullptr},
       }) {
    CAPTURE(row.text);
    auto bytes = DecodeBase64Url(row.text);
    REQUIRE(bytes.has_value() == (row.bytes != nullptr));
    if (bytes) CHECK(*bytes == row.bytes);
  }
}

}  // namespace meshproof::jwt_test

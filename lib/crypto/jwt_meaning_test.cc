#include "crypto/jwt_meaning.h"

#include <doctest/doctest.h>

namespace meshproof::jwt_meaning_test {
namespace {

TEST_CASE("a status is known as a body and as details") {
  for (const char* status :
       {"Jwt is expired", "Jwt_is_expired", "Jwt_header_[alg]_is_not_supported"}) {
    CAPTURE(status);
    REQUIRE(FindJwtMeaning(status) != nullptr);
  }
  CHECK(FindJwtMeaning("Jwt_is_expired") == FindJwtMeaning("Jwt is expired"));
  CHECK(FindJwtMeaning("Jwt is") == nullptr);
  CHECK(FindJwtMeaning("") == nullptr);
}

Json Claims(const char* text) {
  auto json = ParseJson(text);
  REQUIRE(json.ok());
  return json.Take();
}

TEST_CASE("request principals need both claims") {
  CHECK(RequestPrincipalOf(Claims(R"({"iss":"a","sub":"b/c"})")) == "a/b/c");
  CHECK(RequestPrincipalOf(Claims(R"({"iss":"a"})")).empty());
  CHECK(RequestPrincipalOf(Claims(R"({"sub":"b"})")).empty());
}

TEST_CASE("service-account tokens, bound and old") {
  ServiceAccountToken token;
  CHECK(ReadServiceAccountToken(
      Claims(R"({"sub":"system:serviceaccount:a:b","exp":1,"kubernetes.io":{"pod":{"name":"p"}}})"),
      &token));
  CHECK(token.ns == "a");
  CHECK(token.account == "b");
  CHECK(token.pod == "p");
  CHECK(token.expires);
  ServiceAccountToken old;
  CHECK(ReadServiceAccountToken(Claims(R"({"sub":"system:serviceaccount:a:b"})"), &old));
  CHECK_FALSE(old.expires);
  for (const char* other : {"{}", R"({"sub":"me"})", R"({"sub":"system:serviceaccount:a"})",
                            R"({"sub":"system:serviceaccount:a:b:c"})", R"({"sub":1})"}) {
    CAPTURE(other);
    CHECK_FALSE(ReadServiceAccountToken(Claims(other), &token));
  }
}

TEST_CASE("claims that no string matcher can match") {
  auto claims = UnmatchableClaims(Claims(
      R"({"exp":1,"iat":2,"a":1,"b":"x","c":true,"d":null,"e":{"f":2,"g":"y"},"h":[1],"i":["z"]})"));
  CHECK(claims == std::vector<std::string>{"a", "c", "d", "e.f", "h"});
}

}  // namespace
}  // namespace meshproof::jwt_meaning_test

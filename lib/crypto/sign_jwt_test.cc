#include "crypto/sign_jwt.h"

#include <doctest/doctest.h>

#include "crypto/jwt.h"

namespace meshproof::sign_jwt_test {

TEST_CASE("a signed token is verified by its own key set alone") {
  for (std::string secret : {"a", "secret", "a longer secret with / and + in it \xFF"}) {
    CAPTURE(secret);
    ParsedJwt parsed = ParseJwt(SignJwt(R"({"iss":"i","aud":["a"]})", secret));
    REQUIRE(parsed.status.ok());
    CHECK(parsed.jwt.issuer == "i");
    Jwks own = Jwks::Parse(HmacKeySet(secret));
    CHECK(own.status().ok());
    CHECK(own.Verify(parsed.jwt).ok());
    CHECK_FALSE(Jwks::Parse(HmacKeySet(secret + "x")).Verify(parsed.jwt).ok());
  }
}

}  // namespace meshproof::sign_jwt_test

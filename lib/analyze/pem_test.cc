#include "analyze/pem.h"

#include <doctest/doctest.h>

namespace meshproof::pem_test {

TEST_CASE("a PEM block is known by its form") {
  // A DER sequence that holds the integer 1.
  constexpr const char* kGood =
      "-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  CHECK(PemProblem(kGood, "CERTIFICATE").empty());
  CHECK(PemProblem(std::string("comment\n") + kGood, "CERTIFICATE").empty());
  CHECK(PemProblem(kGood, "PRIVATE KEY") == "it holds no PEM block `PRIVATE KEY`");
  CHECK(PemProblem("-----BEGIN EC PRIVATE KEY-----\nMAMCAQE=\n-----END EC PRIVATE KEY-----",
                   "PRIVATE KEY")
            .empty());
  CHECK(PemProblem("", "CERTIFICATE") == "it holds no PEM block `CERTIFICATE`");
  CHECK(PemProblem("-----BEGIN CERTIFICATE-----\nMAMCAQE=\n", "CERTIFICATE") ==
        "its PEM block is cut off");
  CHECK(PemProblem("-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----", "CERTIFICATE") ==
        "its PEM block is no base64");
  CHECK(PemProblem("-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----", "CERTIFICATE") ==
        "its PEM block holds no ASN.1 structure");
}

}  // namespace meshproof::pem_test

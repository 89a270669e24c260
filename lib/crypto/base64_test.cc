#include "crypto/base64.h"

#include <doctest/doctest.h>

namespace meshproof::base64_test {
namespace {

TEST_CASE("base64 as Secrets hold it") {
  CHECK(DecodeBase64("").value() == "");
  CHECK(DecodeBase64("YQ==").value() == "a");
  CHECK(DecodeBase64("YWI=").value() == "ab");
  CHECK(DecodeBase64("YW\nJj").value() == "abc");
  for (const char* bad : {"Y", "YQ=", "YQ=a", "%%%%", "YQ===", "Y Q="}) {
    CAPTURE(bad);
    CHECK_FALSE(DecodeBase64(bad).has_value());
  }
}

}  // namespace
}  // namespace meshproof::base64_test

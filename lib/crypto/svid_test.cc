#include "crypto/svid.h"

#include <doctest/doctest.h>

namespace meshproof::svid_test {
namespace {

TEST_CASE("SPIFFE IDs") {
  struct Row {
    const char* id;
    const char* fault;  // a part of it; "" = it is one
  };
  const Row rows[] = {
      {"spiffe://cluster.local/ns/a/sa/b", ""},
      {"spiffe://cluster.local", ""},
      {"spiffe://a_b-c.d1/x", ""},
      {"https://cluster.local/ns/a", "does not start"},
      {"spiffe:///ns/a", "no trust domain"},
      {"spiffe://Cluster.local/ns/a", "trust domain has a character"},
      {"spiffe://u@cluster.local/a", "trust domain has a character"},
      {"spiffe://cluster.local:80/a", "trust domain has a character"},
      {"spiffe://cluster.local/", "empty or relative"},
      {"spiffe://cluster.local/a/", "empty or relative"},
      {"spiffe://cluster.local/a//b", "empty or relative"},
      {"spiffe://cluster.local/a/../b", "empty or relative"},
      {"spiffe://cluster.local/a?b", "path has a character"},
      {"spiffe://cluster.local/a#b", "path has a character"},
      {"spiffe://cluster.local/%61", "path has a character"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.id);
    std::string fault = SpiffeIdFault(row.id);
    CHECK(fault.empty() == std::string(row.fault).empty());
    CHECK(fault.find(row.fault) != std::string::npos);
  }
  CHECK(SpiffeIdFault("spiffe://" + std::string(255, 'a') + "/x").empty());
  CHECK_FALSE(SpiffeIdFault("spiffe://" + std::string(256, 'a') + "/x").empty());
  CHECK(SpiffeIdFault("spiffe://a/" + std::string(2037, 'b')).empty());
  CHECK_FALSE(SpiffeIdFault("spiffe://a/" + std::string(2038, 'b')).empty());
}

}  // namespace
}  // namespace meshproof::svid_test

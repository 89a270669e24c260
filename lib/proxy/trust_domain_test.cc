#include "proxy/trust_domain.h"

#include <doctest/doctest.h>

namespace meshproof::trust_domain_test {
namespace {

using Strings = std::vector<std::string>;

TEST_CASE("principals are written for every trust domain of the bundle") {
  struct Row {
    const char* principal;
    Strings bundle;
    Strings expected;
  };
  for (const Row& row : std::vector<Row>{
           {"td1/ns/a/sa/b", {"td1", "td2"}, {"td1/ns/a/sa/b", "td2/ns/a/sa/b"}},
           {"td2/ns/a/sa/b", {"td1", "td2"}, {"td1/ns/a/sa/b", "td2/ns/a/sa/b"}},
           // cluster.local points at the mesh's own trust domain, which may not be among them.
           {"cluster.local/ns/a/sa/b", {"td1"}, {"td1/ns/a/sa/b"}},
           {"other/ns/a/sa/b", {"td1", "td2"}, {"other/ns/a/sa/b"}},
           // Not five segments, or any trust domain.
           {"td1/ns/a/*", {"td1", "td2"}, {"td1/ns/a/*"}},
           {"*/ns/a/sa/b", {"td1", "td2"}, {"*/ns/a/sa/b"}},
           {"*", {"td1", "td2"}, {"*"}},
           {"*/sa/b", {"td1", "td2"}, {"*/sa/b"}},
           // Wildcards: a suffix stays where it fits, a prefix is replaced.
           {"*-td/ns/a/sa/b", {"old-td", "new-td", "x"}, {"*-td/ns/a/sa/b", "x/ns/a/sa/b"}},
           {"td*/ns/a/sa/b", {"td1", "x"}, {"td1/ns/a/sa/b", "x/ns/a/sa/b"}},
           {"cluster.local/ns/*/sa/b", {"td1"}, {"td1/ns/*/sa/b"}},
           {"a/ns/a/sa/b", {"*"}, {"*/ns/a/sa/b"}},
           {"td1/ns/a/sa/b", {"td1", "td1"}, {"td1/ns/a/sa/b"}},
       }) {
    CAPTURE(row.principal);
    CHECK(ExpandPrincipal(row.principal, row.bundle) == row.expected);
  }
}

TEST_CASE("trust domains expand only when they are exactly one of the bundle's") {
  CHECK(ExpandTrustDomain("td1", {"td1", "td2"}) == Strings{"td1", "td2"});
  CHECK(ExpandTrustDomain("td*", {"td1", "td2"}) == Strings{"td*"});
  CHECK(ExpandTrustDomain("cluster.local", {"td1"}) == Strings{"cluster.local"});
}

TEST_CASE("client certificates may be of these trust domains") {
  MeshConfig config;
  config.trust_domain = "td1";
  config.trust_domain_aliases = {"td2", "td1"};
  config.ca_trust_domains = {"td3", "td2"};
  CHECK(AcceptedTrustDomains(config) == Strings{"td1", "td2", "td3"});
}

}  // namespace
}  // namespace meshproof::trust_domain_test

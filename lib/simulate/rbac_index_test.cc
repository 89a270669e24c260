// A long list of policies against each of them alone, which no index touches.

#include "simulate/rbac_index.h"

#include <doctest/doctest.h>

#include <random>
#include <set>

#include "simulate/simulate_testing.h"

namespace meshproof::rbac_index_test {
namespace {

using testing::Any;
using testing::Enforce;
using testing::Get;
using testing::HeaderIs;
using testing::Make;
using testing::Negate;
using testing::Policy;
using testing::Summary;
using Action = Rbac::Action;

// Predicates as istiod writes them, and some that it does not.
class Generator {
 public:
  explicit Generator(unsigned seed) : random_(seed) {}

  size_t Below(size_t count) {
    return std::uniform_int_distribution<size_t>(0, count - 1)(random_);
  }

  StringMatcher Text(std::initializer_list<const char*> words, bool ignore_case) {
    std::string word = *(words.begin() + Below(words.size()));
    switch (Below(8)) {
      case 0:
        return StringMatcher::Prefix(word.substr(0, Below(word.size() + 1)), ignore_case);
      case 1:
        return StringMatcher::Suffix(word.substr(Below(word.size() + 1)), ignore_case);
      case 2:
        return StringMatcher::Contains(word.substr(word.size() / 2), ignore_case);
      case 3:
        return StringMatcher::Pattern(QuoteRegex(word) + ".*");
      default:
        return StringMatcher::Exact(word, ignore_case);
    }
  }

  Predicate Path() {
    return Make(UrlPathPredicate{Text({"/api/a", "/api/b", "/api", "/", "/x/y"}, Below(4) == 0)});
  }
  Predicate Host() {
    return HeaderIs(Below(5) == 0 ? "host" : ":authority",
                    Text({"a.example.com", "b.example.com", "A.Example.com"}, Below(2) == 0));
  }
  Predicate Method() {
    return HeaderIs(":method", StringMatcher::Exact(Below(2) == 0 ? "GET" : "POST"));
  }
  Predicate Peer() {
    AuthenticatedPredicate peer;
    switch (Below(6)) {
      case 0:
        break;
      case 1:
      case 2:
        peer.principal_name =
            StringMatcher::Pattern(Below(2) == 0 ? ".*/ns/shop/.*" : ".*/ns/sh.*/.*");
        break;
      case 3:
        return Make(
            FilterStatePredicate{"io.istio.peer_principal",
                                 StringMatcher::Exact("spiffe://cluster.local/ns/shop/sa/web")});
      default:
        peer.principal_name =
            Text({"spiffe://cluster.local/ns/shop/sa/web", "spiffe://cluster.local/ns/shop/sa/job",
                  "spiffe://cluster.local/ns/other/sa/web"},
                 Below(8) == 0);
    }
    return Make(std::move(peer));
  }

  Predicate Tree(bool principal, int depth) {
    switch (depth == 0 ? 4 + Below(4) : Below(8)) {
      case 0:
        return Negate(Tree(principal, depth - 1));
      case 1:
      case 2:
        return Make(AndPredicate{List(principal, depth)});
      case 3:
        return Make(OrPredicate{List(principal, depth)});
      case 4:
        return Below(4) == 0 ? Any() : Below(3) == 0 ? Make(OpaquePredicate{"cel"}) : Method();
      case 5:
        return Host();
      default:
        return principal ? Peer() : Path();
    }
  }

 private:
  std::vector<Predicate> List(bool principal, int depth) {
    std::vector<Predicate> list;
    for (size_t i = Below(4); i > 0; --i) list.push_back(Tree(principal, depth - 1));
    return list;
  }

  std::mt19937 random_;
};

std::shared_ptr<ProxyConfig> ProxyWith(std::vector<std::shared_ptr<const RbacPolicy>> policies) {
  FilterChain plain =
      testing::HttpChain(testing::Manager({Enforce(Action::kDeny, std::move(policies))}));
  plain.match.transport_protocol = "raw_buffer";
  FilterChain tls = plain;
  tls.match.transport_protocol = "tls";
  tls.tls.emplace();
  tls.tls->require_client_certificate = true;
  return testing::Sidecar({std::move(plain), std::move(tls)});
}

std::vector<ProxyRequest> Requests() {
  std::vector<ProxyRequest> requests;
  for (const char* path : {"/", "/api", "/api/a?x=/api/b", "/api/bc", "/x/y", "/API/a"}) {
    for (const char* host : {"a.example.com", "B.example.com", "c"}) {
      for (const char* peer : {"", "spiffe://cluster.local/ns/shop/sa/web",
                               "spiffe://cluster.local/ns/other/ns/shop/sa/web"}) {
        ProxyRequest request = Get(path);
        request.authority = host;
        if (*peer != '\0') testing::UseMtls(&request, peer);
        requests.push_back(std::move(request));
      }
    }
  }
  return requests;
}

}  // namespace

TEST_CASE("an indexed list of policies answers as its policies do one by one") {
  const std::vector<ProxyRequest> requests = Requests();
  std::set<std::string> answers;
  for (unsigned seed = 0; seed < 12; ++seed) {
    CAPTURE(seed);
    Generator generator(seed);
    std::vector<std::shared_ptr<const RbacPolicy>> policies;
    std::vector<std::unique_ptr<ProxySimulator>> alone;
    for (char name = 'a'; name <= 'z'; ++name) {
      auto policy = std::make_shared<RbacPolicy>(
          *Policy(std::string(1, name), generator.Tree(false, 2), generator.Tree(true, 2)));
      // Some match nothing else, so that later policies count too.
      if (generator.Below(2) == 0) policy->permissions = {generator.Path()};
      if (generator.Below(3) == 0) policy->permissions.push_back(generator.Host());
      policies.push_back(policy);
      alone.push_back(std::make_unique<ProxySimulator>(ProxyWith({policy})));
    }
    const ProxySimulator all(ProxyWith(policies));
    for (const ProxyRequest& request : requests) {
      std::string expected = "allow 200 via_upstream -";
      bool open = false;
      for (size_t i = 0; i < policies.size(); ++i) {
        const Verdict verdict = alone[i]->Run(request);
        if (verdict.outcome == Outcome::kAllow) continue;
        if (verdict.outcome == Outcome::kUndetermined) {
          open = true;
          continue;
        }
        expected = Summary(verdict);
        break;
      }
      const Verdict verdict = all.Run(request);
      answers.insert(Summary(verdict));
      if (!open) {
        CHECK(Summary(verdict) == expected);
      } else if (expected.starts_with("allow")) {
        CHECK(verdict.outcome == Outcome::kUndetermined);
      } else {
        CHECK(verdict.status == 403);  // whichever refuses
      }
    }
  }
  CHECK(answers.size() > 10);
}

TEST_CASE("a long list is indexed by what tells its policies apart") {
  std::vector<std::shared_ptr<const RbacPolicy>> policies;
  for (int i = 0; i < 40; ++i) {
    const std::string number = std::to_string(i);
    AuthenticatedPredicate peer;
    peer.principal_name = i % 2 == 0 ? StringMatcher::Exact("spiffe://td/ns/n/sa/" + number)
                                     : StringMatcher::Pattern(".*/ns/n" + number + "/.*");
    policies.push_back(
        Policy(number, Make(UrlPathPredicate{StringMatcher::Prefix("/api/")}), Make(peer)));
  }
  policies.push_back(Policy("path", testing::PathIs("/only"), Any()));
  policies.push_back(Policy("any", Any(), Any()));
  const Rbac rules{Action::kDeny, policies};
  const RbacIndex index(rules);
  auto found = [&](const char* path, const char* peer) {
    Stream stream;
    Certificate certificate;
    certificate.uri_sans = {peer};
    stream.certificate = &certificate;
    stream.headers.path = path;
    std::pmr::vector<uint32_t> positions;
    index.Find(stream, &positions);
    return std::vector<uint32_t>(positions.begin(), positions.end());
  };
  CHECK(found("/api/x", "spiffe://td/ns/n/sa/8") == std::vector<uint32_t>{8, 41});
  CHECK(found("/only?x=1", "spiffe://td/ns/n7/sa/8") == std::vector<uint32_t>{7, 40, 41});
  CHECK(found("/api/x", "spiffe://td/ns/none/sa/8") == std::vector<uint32_t>{41});
}

}  // namespace meshproof::rbac_index_test

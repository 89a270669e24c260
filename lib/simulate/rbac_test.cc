// Rows are what Envoy 1.40 answered (envoy-facts section 1); the oracles spell out Kleene's logic
// and the completion of unknown policies the slow way.

#include "simulate/rbac.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "simulate/simulate_testing.h"

namespace meshproof::rbac_test {
namespace {

using testing::Any;
using testing::Block;
using testing::Enforce;
using testing::Get;
using testing::HasHeader;
using testing::HeaderIs;
using testing::InBlock;
using testing::Ip;
using testing::Make;
using testing::Negate;
using testing::PathIs;
using testing::Policy;
using testing::RunFilters;
using testing::Summary;
using Action = Rbac::Action;
using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr const char* kAllowed = "allow 200 via_upstream -";
constexpr const char* kUndetermined = "undetermined 0  -";

std::string Denied(const std::string& id) {
  return "deny 403 rbac_access_denied_matched_policy[" + id + "] -";
}

Predicate Opaque(std::string name = "cel") {
  return Make(OpaquePredicate{std::move(name)});
}

// Whether a DENY policy of this predicate refuses: "yes", "no", "unknown".
std::string Matched(Predicate predicate, const ProxyRequest& request = Get()) {
  Verdict verdict =
      RunFilters({Enforce(Action::kDeny, {Policy("p", std::move(predicate))})}, request);
  if (verdict.outcome == Outcome::kUndetermined) return "unknown";
  return Summary(verdict) == kAllowed ? "no" : Summary(verdict) == Denied("p") ? "yes" : "other";
}

ProxyRequest With(Headers headers) {
  ProxyRequest request = Get();
  request.headers = std::move(headers);
  return request;
}

// A predicate and the tree that it was made of; kFalse, kUnknown, kTrue are 0, 1, 2, so that
// Kleene's AND is the minimum, OR the maximum and NOT the difference from 2.
struct Tree {
  enum class Kind { kAtom, kNot, kAnd, kOr } kind = Kind::kAtom;
  size_t a = 0, b = 0;
};

int SlowValue(const std::vector<Tree>& trees, size_t index, const std::array<int, 3>& atoms) {
  const Tree& tree = trees[index];
  switch (tree.kind) {
    case Tree::Kind::kAtom:
      return atoms[tree.a];
    case Tree::Kind::kNot:
      return 2 - SlowValue(trees, tree.a, atoms);
    case Tree::Kind::kAnd:
      return std::min(SlowValue(trees, tree.a, atoms), SlowValue(trees, tree.b, atoms));
    case Tree::Kind::kOr:
      return std::max(SlowValue(trees, tree.a, atoms), SlowValue(trees, tree.b, atoms));
  }
  return -1;
}

Predicate ToPredicate(const std::vector<Tree>& trees, size_t index,
                      const std::array<int, 3>& atoms) {
  const Tree& tree = trees[index];
  switch (tree.kind) {
    case Tree::Kind::kAtom:
      return atoms[tree.a] == 0 ? HasHeader("x-absent") : atoms[tree.a] == 1 ? Opaque() : Any();
    case Tree::Kind::kNot:
      return Negate(ToPredicate(trees, tree.a, atoms));
    case Tree::Kind::kAnd:
      return Make(
          AndPredicate{{ToPredicate(trees, tree.a, atoms), ToPredicate(trees, tree.b, atoms)}});
    case Tree::Kind::kOr:
      return Make(
          OrPredicate{{ToPredicate(trees, tree.a, atoms), ToPredicate(trees, tree.b, atoms)}});
  }
  return Any();
}

// All trees whose connectives are nested at most twice.
std::vector<Tree> AllTrees() {
  std::vector<Tree> trees = {
      {Tree::Kind::kAtom, 0, 0}, {Tree::Kind::kAtom, 1, 0}, {Tree::Kind::kAtom, 2, 0}};
  for (int depth = 0; depth < 2; ++depth) {
    size_t count = trees.size();
    for (size_t a = 0; a < count; ++a) {
      trees.push_back({Tree::Kind::kNot, a, 0});
      for (size_t b = 0; b < count; ++b) {
        trees.push_back({Tree::Kind::kAnd, a, b});
        trees.push_back({Tree::Kind::kOr, a, b});
      }
    }
  }
  return trees;
}

int ToNumber(Truth truth) {
  return truth == Truth::kFalse ? 0 : truth == Truth::kUnknown ? 1 : 2;
}

}  // namespace

TEST_CASE("rbac: every small tree, against Kleene's tables") {
  const std::vector<Tree> trees = AllTrees();
  REQUIRE(trees.size() == 24 + 24 + 2 * 24 * 24);
  ProxyRequest request = Get();
  ProxyConfig proxy;
  OpenQuestions questions;
  Verdict verdict;
  Stream stream;
  stream.request = &request;
  stream.proxy = &proxy;
  stream.questions = &questions;
  stream.verdict = &verdict;
  int compared = 0;
  for (int code = 0; code < 27; ++code) {
    const std::array<int, 3> atoms = {code % 3, code / 3 % 3, code / 9};
    for (size_t index = 0; index < trees.size(); ++index) {
      std::vector<std::string> unknown;
      Predicate predicate = ToPredicate(trees, index, atoms);
      Truth got = Evaluate(predicate, stream, FilterLevel::kHttp, &unknown);
      ++compared;
      int wanted = SlowValue(trees, index, atoms);
      if (ToNumber(got) != wanted) FAIL("tree " << index << " atoms " << code);
      if (got == Truth::kUnknown && unknown.empty()) FAIL("no reason: tree " << index);
      // The network filter combines alike.
      if (Evaluate(predicate, stream, FilterLevel::kNetwork, nullptr) != got) {
        FAIL("network: tree " << index << " atoms " << code);
      }
    }
  }
  CHECK(compared == 27 * 1200);
}

TEST_CASE("rbac: a policy is any permission and any principal, three-valued") {
  ProxyRequest request = Get();
  ProxyConfig proxy;
  Stream stream;
  stream.request = &request;
  stream.proxy = &proxy;
  auto leaf = [](int value) { return value == 0 ? Negate(Any()) : value == 1 ? Opaque() : Any(); };
  for (int code = 0; code < 81; ++code) {
    int values[] = {code % 3, code / 3 % 3, code / 9 % 3, code / 27};
    RbacPolicy policy;
    policy.permissions = {leaf(values[0]), leaf(values[1])};
    policy.principals = {leaf(values[2]), leaf(values[3])};
    int wanted = std::min(std::max(values[0], values[1]), std::max(values[2], values[3]));
    CAPTURE(code);
    CHECK(ToNumber(Evaluate(policy, stream, FilterLevel::kHttp, nullptr)) == wanted);
    policy.has_condition = true;  // CEL: never certainly true
    CHECK(ToNumber(Evaluate(policy, stream, FilterLevel::kHttp, nullptr)) == std::min(wanted, 1));
  }
  RbacPolicy none;
  none.permissions = {Any()};
  CHECK(Evaluate(none, stream, FilterLevel::kHttp, nullptr) == Truth::kFalse);
}

TEST_CASE("rbac: unknown policies, against all their completions") {
  auto leaf = [](int value, const char* name) {
    return value == 0 ? Negate(Any()) : value == 1 ? Opaque(name) : Any();
  };
  for (int code = 0; code < 81; ++code) {
    int values[] = {code % 3, code / 3 % 3, code / 9 % 3, code / 27};
    bool allowed_seen = false;
    bool denied_seen = false;
    for (int answers = 0; answers < 16; ++answers) {
      auto holds = [&](int at) {
        return values[at] == 1 ? (answers >> at & 1) != 0 : values[at] == 2;
      };
      bool allowed = !holds(0) && !holds(1) && (holds(2) || holds(3));
      (allowed ? allowed_seen : denied_seen) = true;
    }
    Outcome wanted = allowed_seen && denied_seen ? Outcome::kUndetermined
                     : allowed_seen              ? Outcome::kAllow
                                                 : Outcome::kDeny;
    Verdict verdict = RunFilters(
        {Enforce(Action::kDeny,
                 {Policy("a", leaf(values[0], "first")), Policy("b", leaf(values[1], "second"))}),
         Enforce(Action::kAllow,
                 {Policy("a", leaf(values[2], "third")), Policy("b", leaf(values[3], "fourth"))})},
        Get());
    CAPTURE(code);
    CHECK(verdict.outcome == wanted);
    CHECK(verdict.missing.empty() == (wanted != Outcome::kUndetermined));
    CHECK(verdict.status == (wanted == Outcome::kAllow ? 200 : wanted == Outcome::kDeny ? 403 : 0));
  }
}

TEST_CASE("rbac: actions, order of names and effective id") {
  const auto a = Policy("a", PathIs("/a"));
  const auto ten = Policy("rule[10]", Any());
  const auto two = Policy("rule[2]", Any());
  RbacFilter off;
  RbacFilter empty;
  empty.rules = Rbac{};
  struct Row {
    RbacFilter filter;
    const char* path;
    std::string answer;
  };
  const Row kRows[] = {
      {Enforce(Action::kDeny, {ten, two}), "/", Denied("rule[10]")},
      {empty, "/", Denied("none")},
      {off, "/", kAllowed},
      {Enforce(Action::kDeny, {}), "/", kAllowed},
      {Enforce(Action::kLog, {a}), "/a", kAllowed},
      {Enforce(Action::kLog, {a}), "/b", kAllowed},
      {Enforce(Action::kAllow, {a}), "/a", kAllowed},
      {Enforce(Action::kAllow, {a}), "/a?q=1", kAllowed},
      {Enforce(Action::kAllow, {a}), "/b", Denied("none")},
      {Enforce(Action::kDeny, {a}), "/a", Denied("a")},
      {Enforce(Action::kDeny, {a}), "/b", kAllowed},
      {Enforce(Action::kDeny, {Policy("ab df  xy\tz", Any())}), "/", Denied("ab_df__xy_z")},
  };
  int row_number = 0;
  for (const auto& row : kRows) {
    CAPTURE(row_number++);
    Verdict verdict = RunFilters({row.filter}, Get(row.path));
    CHECK(Summary(verdict) == row.answer);
    CHECK(verdict.body == (row.answer == kAllowed ? "" : "RBAC: access denied"));
  }
  CHECK(RbacDetails(" \t\f\v\n\r-") == "rbac_access_denied_matched_policy[______-]");
  // DENY stands before ALLOW and says so.
  Verdict both = RunFilters({Enforce(Action::kDeny, {Policy("d", PathIs("/a"))}),
                             Enforce(Action::kAllow, {Policy("p", PathIs("/a"))})},
                            Get("/a"));
  CHECK(Summary(both) == Denied("d"));
  CHECK(both.stage == Stage::kDeny);
  CHECK(RunFilters({empty}, Get()).stage == Stage::kAllow);
  ProxyRequest head = Get();
  head.method = "HEAD";
  CHECK(RunFilters({empty}, head).body == "");
}

TEST_CASE("rbac: an open question is told by its reason") {
  Verdict verdict = RunFilters({Enforce(Action::kDeny, {Policy("p", Opaque("my.cel"))})}, Get());
  CHECK(Summary(verdict) == kUndetermined);
  REQUIRE(verdict.missing.size() == 1);
  CHECK(verdict.missing[0].find("my.cel") != std::string::npos);
  // A later certain refusal makes the question idle: both answers are 403, by one policy or by
  // none, so that nobody is named.
  verdict = RunFilters(
      {Enforce(Action::kDeny, {Policy("p", Opaque())}), Enforce(Action::kAllow, {})}, Get());
  CHECK(verdict.outcome == Outcome::kDeny);
  CHECK(verdict.status == 403);
  CHECK(verdict.details == "");
  CHECK(verdict.decided_by.object == nullptr);
  CHECK(verdict.missing.empty());
}

TEST_CASE("rbac: shadow rules only leave metadata, which stays until it is overwritten") {
  auto shadow = [](std::shared_ptr<const RbacPolicy> policy) {
    RbacFilter filter;
    filter.shadow_rules = Rbac{Action::kDeny, {std::move(policy)}};
    filter.shadow_rules_stat_prefix = "istio_ext_authz_";
    return filter;
  };
  auto reads = [](const char* key, const char* value) {
    MetadataPredicate metadata;
    metadata.filter = "envoy.filters.http.rbac";
    metadata.path = {key};
    metadata.value = testing::Text(value);
    return Enforce(Action::kDeny, {Policy("seen", Make(std::move(metadata)))});
  };
  const auto a = Policy("id-a", PathIs("/a"));
  const auto b = Policy("id-b", PathIs("/b"));
  const char* id = "istio_ext_authz_shadow_effective_policy_id";
  const char* result = "istio_ext_authz_shadow_engine_result";
  CHECK(Summary(RunFilters({shadow(a)}, Get("/a"))) == kAllowed);
  CHECK(Summary(RunFilters({shadow(a), reads(id, "id-a")}, Get("/a"))) == Denied("seen"));
  CHECK(Summary(RunFilters({shadow(a), reads(id, "id-a")}, Get("/b"))) == kAllowed);
  CHECK(Summary(RunFilters({shadow(a), reads(result, "denied")}, Get("/a"))) == Denied("seen"));
  CHECK(Summary(RunFilters({shadow(a), reads(result, "allowed")}, Get("/b"))) == Denied("seen"));
  // A later filter that matches nothing does not clear the id, but does set the result.
  CHECK(Summary(RunFilters({shadow(a), shadow(b), reads(id, "id-a")}, Get("/a"))) ==
        Denied("seen"));
  CHECK(Summary(RunFilters({shadow(a), shadow(b), reads(result, "denied")}, Get("/a"))) ==
        kAllowed);
  // An AUDIT match stays visible as enforced id.
  CHECK(Summary(
            RunFilters({Enforce(Action::kLog, {a}), reads("enforced_effective_policy_id", "id-a")},
                       Get("/a"))) == Denied("seen"));
  RbacFilter prefixed = Enforce(Action::kLog, {a});
  prefixed.rules_stat_prefix = "pre_";
  CHECK(Summary(RunFilters({prefixed, reads("pre_enforced_engine_result", "allowed")},
                           Get("/b"))) == Denied("seen"));
  // Both engines of one filter: the shadow one decides nothing.
  RbacFilter two = Enforce(Action::kDeny, {b});
  two.shadow_rules = Rbac{Action::kDeny, {a}};
  CHECK(Summary(RunFilters({two}, Get("/a"))) == kAllowed);
  CHECK(Summary(RunFilters({two}, Get("/b"))) == Denied("id-b"));
}

TEST_CASE("rbac: header matchers") {
  auto header = [](HeaderMatcher::Kind kind, StringMatcher string = {}) {
    HeaderMatcher matcher;
    matcher.name = "X-A";
    matcher.kind = kind;
    matcher.string = std::move(string);
    return matcher;
  };
  const HeaderMatcher present = header(HeaderMatcher::Kind::kPresent);
  const HeaderMatcher exact = header(HeaderMatcher::Kind::kString, StringMatcher::Exact("a"));
  HeaderMatcher absent = present;
  absent.present = false;
  HeaderMatcher not_present = present;
  not_present.invert = true;
  HeaderMatcher not_absent = absent;
  not_absent.invert = true;
  HeaderMatcher not_exact = exact;
  not_exact.invert = true;
  HeaderMatcher empty_or_not = not_exact;
  empty_or_not.treat_missing_as_empty = true;
  HeaderMatcher exact_empty = header(HeaderMatcher::Kind::kString, StringMatcher::Exact(""));
  HeaderMatcher range = header(HeaderMatcher::Kind::kRange);
  range.low = -5;
  range.high = 10;
  struct Row {
    const char* name;
    HeaderMatcher matcher;
    Headers headers;
    bool matches;
  };
  const Row kRows[] = {
      {"present", present, {{"x-a", "v"}}, true},
      {"present, absent", present, {}, false},
      {"present but empty", present, {{"x-a", ""}}, true},
      {"name in any case", present, {{"x-A", "v"}}, true},
      {"inverted value, missing", not_exact, {}, false},
      {"inverted value, other", not_exact, {{"x-a", "b"}}, true},
      {"inverted value, same", not_exact, {{"x-a", "a"}}, false},
      {"missing as empty, inverted", empty_or_not, {}, true},
      {"inverted present, absent", not_present, {}, true},
      {"inverted present, present", not_present, {{"x-a", "v"}}, false},
      {"present false, absent", absent, {}, true},
      {"present false, present", absent, {{"x-a", "v"}}, false},
      {"inverted present false, absent", not_absent, {}, false},
      {"inverted present false, present", not_absent, {{"x-a", "v"}}, true},
      {"exact empty, other", exact_empty, {{"x-a", "v"}}, false},
      {"exact empty, empty", exact_empty, {{"x-a", ""}}, true},
      {"exact empty, missing", exact_empty, {}, false},
      {"range start", range, {{"x-a", "-5"}}, true},
      {"range", range, {{"x-a", "9"}}, true},
      {"range end", range, {{"x-a", "10"}}, false},
      {"range, no number", range, {{"x-a", "9x"}}, false},
      {"range on each value", range, {{"x-a", "x"}, {"x-a", "3"}}, true},
      {"repeated, first", exact, {{"x-a", "a"}, {"x-a", "b"}}, true},
      {"repeated, second", exact, {{"x-a", "b"}, {"x-a", "a"}}, true},
      {"repeated, none", exact, {{"x-a", "b"}, {"x-a", "c"}}, false},
      {"one line a,b", exact, {{"x-a", "a,b"}}, false},
      {"repeated inverted, one same", not_exact, {{"x-a", "a"}, {"x-a", "b"}}, false},
      {"repeated inverted, none same", not_exact, {{"x-a", "b"}, {"x-a", "c"}}, true},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.name);
    CHECK(Matched(Make(HeaderPredicate{row.matcher}), With(row.headers)) ==
          (row.matches ? "yes" : "no"));
  }
  // Under a negation a missing value is a match.
  CHECK(Matched(Negate(Make(HeaderPredicate{exact}))) == "yes");
  CHECK(Matched(Negate(Make(HeaderPredicate{exact})), With({{"x-a", "b"}, {"x-a", "a"}})) == "no");
}

TEST_CASE("rbac: headers that the header map joins itself") {
  const StringMatcher both = StringMatcher::Exact("a,b");
  const StringMatcher single = StringMatcher::Exact("a");
  for (const char* name : {"accept", "authorization", "user-agent", "origin", "content-type",
                           "cache-control", "x-forwarded-for", "x-request-id", "via", "if-match"}) {
    CAPTURE(name);
    CHECK(Matched(HeaderIs(name, both), With({{name, "a"}, {name, "b"}})) == "yes");
    CHECK(Matched(HeaderIs(name, single), With({{name, "a"}, {name, "b"}})) == "no");
  }
  for (const char* name : {"accept-language", "forwarded", "range", "proxy-authorization",
                           "x-real-ip", "x-api-key", "traceparent"}) {
    CAPTURE(name);
    CHECK(Matched(HeaderIs(name, both), With({{name, "a"}, {name, "b"}})) == "no");
    CHECK(Matched(HeaderIs(name, single), With({{name, "a"}, {name, "b"}})) == "yes");
  }
  ProxyRequest crumbs = With({{"cookie", "a=1"}, {"cookie", "b=2"}});
  CHECK(Matched(HeaderIs("cookie", StringMatcher::Exact("a=1")), crumbs) == "yes");
  crumbs.protocol = WireProtocol::kHttp2;
  CHECK(Matched(HeaderIs("cookie", StringMatcher::Exact("a=1; b=2")), crumbs) == "yes");
}

TEST_CASE("rbac: paths, hosts, ports and names") {
  CHECK(Matched(PathIs("/a"), Get("/a?b=c")) == "yes");
  CHECK(Matched(PathIs("/a b"), Get("/a%20b")) == "no");
  CHECK(Matched(PathIs("/admin"), Get("/admin;a=b")) == "no");
  CHECK(Matched(HeaderIs(":path", StringMatcher::Exact("/a?b=c")), Get("/a?b=c")) == "yes");
  CHECK(Matched(HeaderIs("host", StringMatcher::Exact("a.example.com"))) == "yes");
  CHECK(Matched(HeaderIs(":authority", StringMatcher::Exact("A.example.COM", true))) == "yes");
  CHECK(Matched(HeaderIs(":method", StringMatcher::Exact("get"))) == "no");
  CHECK(Matched(HeaderIs(":method", StringMatcher::Exact("GET"))) == "yes");
  CHECK(Matched(Make(PortPredicate{8080, 8081})) == "yes");
  CHECK(Matched(Make(PortPredicate{80, 8080})) == "no");  // half-open
  CHECK(Matched(Make(PortPredicate{80, 8081})) == "yes");
  CHECK(Matched(Make(ServerNamePredicate{StringMatcher::Exact("")})) == "yes");  // no TLS
  CHECK(Matched(Make(FilterStatePredicate{"io.istio.peer_principal",
                                          StringMatcher::Pattern(".*")})) == "no");
  CHECK(Matched(Make(UrlPathPredicate{StringMatcher::Pattern("/a")}), Get("/ab")) == "no");
}

TEST_CASE("rbac: addresses, known and not") {
  auto from = [](Address address) {
    ProxyRequest request = Get();
    request.connection.source = address;
    return request;
  };
  struct Row {
    const char* block;
    Address address;
    const char* matched;
  };
  const Row kRows[] = {
      {"10.0.0.0/8", Ip("10.1.2.3"), "yes"},
      {"10.0.0.0/8", Ip("11.1.2.3"), "no"},
      {"0.0.0.0/0", Ip("::1"), "no"},
      {"::/0", Ip("10.0.0.1"), "no"},
      {"0.0.0.0/0", Ip("::ffff:10.0.0.1"), "no"},
      {"::/0", Ip("::ffff:10.0.0.1"), "yes"},
      {"10.0.0.0/8", Block("10.244.0.0/16"), "yes"},
      {"10.244.1.0/24", Block("10.244.0.0/16"), "unknown"},
      {"192.168.0.0/16", Block("10.244.0.0/16"), "no"},
      {"10.0.0.0/8", Address{}, "unknown"},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.block);
    CAPTURE(ToString(row.address));
    for (AddressField field :
         {AddressField::kDirectRemote, AddressField::kRemote, AddressField::kSource}) {
      CHECK(Matched(InBlock(field, row.block), from(row.address)) == row.matched);
    }
    std::string opposite = row.matched;
    if (opposite != "unknown") opposite = opposite == "yes" ? "no" : "yes";
    CHECK(Matched(Negate(InBlock(AddressField::kSource, row.block)), from(row.address)) ==
          opposite);
  }
  CHECK(Matched(InBlock(AddressField::kDestination, "10.0.0.5/32")) == "yes");
  CHECK(Matched(InBlock(AddressField::kDestination, "10.0.0.6/32")) == "no");
  // X-Forwarded-For moves remote_ip alone.
  ProxyRequest forwarded = With({{"x-forwarded-for", "1.1.1.1"}});
  CHECK(Matched(InBlock(AddressField::kRemote, "1.1.1.1/32"), forwarded) == "yes");
  CHECK(Matched(InBlock(AddressField::kSource, "1.1.1.1/32"), forwarded) == "no");
  CHECK(Matched(InBlock(AddressField::kDirectRemote, "1.1.1.1/32"), forwarded) == "no");
}

TEST_CASE("rbac: at a waypoint the peer is no IP address") {
  auto config = testing::Sidecar({testing::HttpChain(testing::Manager({Enforce(
      Action::kDeny, {Policy("p", InBlock(AddressField::kDirectRemote, "0.0.0.0/0"))})}))});
  CHECK(Summary(testing::RunOn(config, Get())) == Denied("p"));
  config->mode = ProxyMode::kWaypoint;
  CHECK(Summary(testing::RunOn(config, Get())) == kAllowed);
}

TEST_CASE("rbac: authenticated tries URI names, DNS names, then the subject") {
  auto authenticated = [](std::optional<StringMatcher> name) {
    return Enforce(Action::kDeny, {Policy("p", Any(), Make(AuthenticatedPredicate{name}))});
  };
  TlsContext tls;
  tls.ca_secret = "ROOTCA";
  auto run = [&](std::optional<StringMatcher> name, std::optional<Certificate> certificate) {
    auto config = testing::Sidecar({testing::HttpChain(testing::Manager({authenticated(name)}))});
    config->listeners[0].filter_chains[0].tls = tls;
    ProxyRequest request = Get();
    request.connection.tls = WireTls::kTls;
    request.connection.certificate = std::move(certificate);
    return Summary(testing::RunOn(config, request)) == Denied("p");
  };
  const Certificate all{true, {"spiffe://a", "spiffe://b"}, {"d.example"}, "CN=s"};
  const Certificate subject_only{true, {}, {}, "CN=s"};
  CHECK(run(std::nullopt, all));
  CHECK(run(std::nullopt, std::nullopt));  // any TLS connection
  for (const char* name : {"spiffe://a", "spiffe://b", "d.example", "CN=s"}) {
    CAPTURE(name);
    CHECK(run(StringMatcher::Exact(name), all));
  }
  CHECK_FALSE(run(StringMatcher::Exact("spiffe://c"), all));
  CHECK(run(StringMatcher::Exact("CN=s"), subject_only));
  // Without a certificate the empty subject is compared.
  CHECK(run(StringMatcher::Pattern(".*"), std::nullopt));
  CHECK_FALSE(run(StringMatcher::Pattern(".+"), std::nullopt));
  CHECK(Summary(RunFilters({authenticated(std::nullopt)}, Get())) == kAllowed);  // plaintext
}

TEST_CASE("rbac: claims") {
  const char* kClaims = R"({"s": "x", "n": 3, "b": true, "l": ["x", 3], "o": {"k": "x", "m": ["y"]},
                            "z": null, "nl": "a\nb", "scope": "r w"})";
  auto kind = [](ValueMatcher::Kind k, std::vector<ValueMatcher> children = {}) {
    ValueMatcher value;
    value.kind = k;
    value.children = std::move(children);
    return value;
  };
  auto pattern = [](const char* regex) {
    ValueMatcher value;
    value.kind = ValueMatcher::Kind::kString;
    value.string = StringMatcher::Pattern(regex);
    return value;
  };
  using Kind = ValueMatcher::Kind;
  const ValueMatcher x = testing::Text("x");
  const ValueMatcher list = kind(Kind::kList, {x});
  const ValueMatcher either = kind(Kind::kOr, {list, x});
  ValueMatcher absent = kind(Kind::kPresent);
  absent.boolean = false;
  ValueMatcher range = kind(Kind::kDoubleRange);
  range.low = 3;
  range.high = 4;
  ValueMatcher below = range;
  below.low = 2;
  below.high = 3;
  struct Row {
    std::vector<std::string> path;
    ValueMatcher value;
    bool matches;
  };
  const Row kRows[] = {
      {{"s"}, x, true},
      {{"n"}, testing::Text("3"), false},
      {{"n"}, pattern(".*"), false},
      {{"b"}, testing::Text("true"), false},
      {{"l"}, list, true},
      {{"s"}, list, false},
      {{"l"}, x, false},
      {{"l"}, kind(Kind::kList, {testing::Text("3")}), false},
      {{"l"}, either, true},
      {{"s"}, either, true},
      {{"o", "k"}, x, true},
      {{"o", "m"}, kind(Kind::kList, {testing::Text("y")}), true},
      {{"l", "0"}, x, false},
      {{"o"}, pattern(".*"), false},
      {{"s"}, kind(Kind::kPresent), true},
      {{"o"}, kind(Kind::kPresent), true},
      {{"l"}, kind(Kind::kPresent), true},
      {{"z"}, kind(Kind::kPresent), true},
      {{"q"}, kind(Kind::kPresent), false},
      {{"q"}, absent, false},
      {{"z"}, kind(Kind::kNull), true},
      {{"q"}, kind(Kind::kNull), false},
      {{"b"}, kind(Kind::kBool), true},
      {{"n"}, range, true},
      {{"n"}, below, false},
      {{"nl"}, pattern(".+"), false},
      {{"scope"}, kind(Kind::kList, {testing::Text("w")}), true},
  };
  JwtProvider provider;
  provider.name = "p";
  provider.payload_in_metadata = "payload";
  provider.space_delimited_claims = {"scope"};
  provider.local_jwks = "";
  JwtRequirement requirement;
  requirement.kind = JwtRequirement::Kind::kProvider;
  requirement.provider = "p";
  JwtFilter jwt;
  jwt.providers = {provider};
  jwt.rules = {{"/", requirement}};
  ProxyRequest request = Get();
  request.claims = ParseJson(kClaims).value();
  int row_number = 0;
  for (const auto& row : kRows) {
    CAPTURE(row_number++);
    Predicate claim = testing::Claim(row.path, row.value);
    RbacFilter rbac = Enforce(Action::kDeny, {Policy("p", claim)});
    CHECK(Summary(RunFilters({jwt, rbac}, request)) == (row.matches ? Denied("p") : kAllowed));
    // CUSTOM and the like stand before jwt_authn and see no claim.
    CHECK(Summary(RunFilters({rbac, jwt}, request)) == kAllowed);
    std::get<MetadataPredicate>(claim.match).invert = true;
    CHECK(Summary(RunFilters({jwt, Enforce(Action::kDeny, {Policy("p", claim)})}, request)) ==
          (row.matches ? kAllowed : Denied("p")));
  }
}

TEST_CASE("rbac: the network filter closes the connection") {
  auto tcp = [](RbacFilter filter) {
    TcpProxy proxy;
    proxy.cluster = "inbound|9000||";
    return testing::Sidecar({testing::Chain({std::move(filter), proxy})});
  };
  ProxyRequest request = Get();
  request.protocol = WireProtocol::kTcp;
  CHECK(Summary(testing::RunOn(
            tcp(Enforce(Action::kDeny, {Policy("ns[a]-policy[b]-rule[0]", Any())})), request)) ==
        "reject 0 rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]] -");
  CHECK(Summary(testing::RunOn(tcp(Enforce(Action::kAllow, {})), request)) ==
        "reject 0 rbac_access_denied_matched_policy[none] -");
  CHECK(
      testing::RunOn(tcp(Enforce(Action::kDeny, {Policy("p", Make(PortPredicate{1, 2}))})), request)
          .outcome == Outcome::kAllow);
  // In front of an HTTP manager it ends the request without an answer.
  auto http = testing::Sidecar(
      {testing::Chain({Enforce(Action::kDeny, {Policy("n", Any())}),
                       std::make_shared<const HttpConnectionManager>(testing::Manager({}))})});
  CHECK(Summary(testing::RunOn(http, Get())) == "reject 0 rbac_access_denied_matched_policy[n] -");
}

}  // namespace meshproof::rbac_test

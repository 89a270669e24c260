// Each row is what Envoy 1.40 answered (envoy-facts section 2).

#include "simulate/jwt_authn.h"

#include <doctest/doctest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "simulate/simulate_testing.h"

namespace meshproof::jwt_authn_test {
namespace {

using testing::Enforce;
using testing::Get;
using testing::HasHeader;
using testing::HeaderIs;
using testing::Policy;
using testing::RunFilters;
using testing::Summary;
using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr const char* kAllowed = "allow 200 via_upstream -";
constexpr const char* kDenied = "deny 403 rbac_access_denied_matched_policy[p] -";
constexpr const char* kMissing = "Jwt is missing";
constexpr const char* kForeign = "Jwt issuer is not configured";
constexpr const char* kFails = "Jwt verification fails";
constexpr const char* kForm =
    "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections";
constexpr int64_t kNow = 1700000000;

std::string Refused(std::string status, int code = 401) {
  for (char& c : status) c = c == ' ' ? '_' : c;
  return "deny " + std::to_string(code) + " jwt_authn_access_denied{" + status + "} -";
}

std::string EncodeBase64Url(std::string_view bytes) {
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  uint32_t bits = 0;
  int count = 0;
  for (char c : bytes) {
    bits = bits << 8 | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) text += kAlphabet[bits >> (count - 6) & 63];
  }
  if (count > 0) text += kAlphabet[bits << (6 - count) & 63];
  return text;
}

std::string Token(std::string_view claims, std::string_view key = "secret",
                  std::string_view header = R"({"alg":"HS256"})") {
  std::string text = EncodeBase64Url(header) + "." + EncodeBase64Url(claims);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &length);
  return text + "." + EncodeBase64Url({reinterpret_cast<const char*>(digest), length});
}

JwtProvider Provider(std::string name, std::string issuer) {
  JwtProvider provider;
  provider.name = std::move(name);
  provider.issuer = std::move(issuer);
  provider.local_jwks =
      R"({"keys":[{"kty":"oct","alg":"HS256","k":")" + EncodeBase64Url("secret") + R"("}]})";
  provider.forward = true;
  provider.payload_in_metadata = "payload";
  return provider;
}

JwtRequirement Of(std::string provider) {
  JwtRequirement requirement;
  requirement.kind = JwtRequirement::Kind::kProvider;
  requirement.provider = std::move(provider);
  return requirement;
}
JwtRequirement Tree(JwtRequirement::Kind kind, std::vector<JwtRequirement> children = {}) {
  JwtRequirement requirement;
  requirement.kind = kind;
  requirement.children = std::move(children);
  return requirement;
}
JwtRequirement Optional(const std::string& provider) {
  return Tree(JwtRequirement::Kind::kAny,
              {Of(provider), Tree(JwtRequirement::Kind::kAllowMissing)});
}
// any[P0, P1, all[any[P0, missing], any[P1, missing]]].
JwtRequirement IstioTwo() {
  return Tree(JwtRequirement::Kind::kAny,
              {Of("p"), Of("q"), Tree(JwtRequirement::Kind::kAll, {Optional("p"), Optional("q")})});
}

JwtFilter Filter(std::vector<JwtProvider> providers, JwtRequirement requirement) {
  JwtFilter filter;
  filter.providers = std::move(providers);
  filter.rules = {{"/", std::move(requirement)}};
  return filter;
}
JwtFilter Required(JwtProvider provider) {
  JwtRequirement requirement = Of(provider.name);
  return Filter({std::move(provider)}, std::move(requirement));
}

ProxyRequest With(Headers headers, std::string path = "/") {
  ProxyRequest request = Get(std::move(path));
  request.headers = std::move(headers);
  return request;
}
ProxyRequest Bearer(const std::string& token) {
  return With({{"Authorization", "Bearer " + token}});
}

const std::string& Good() {
  static const std::string token = Token(R"({"iss":"i","sub":"s","exp":1700001000})");
  return token;
}
const std::string& Bad() {
  static const std::string token = Token(R"({"iss":"i","sub":"s"})", "other");
  return token;
}

std::string Answer(const JwtFilter& filter, const ProxyRequest& request) {
  return Summary(RunFilters({filter}, request));
}
RbacFilter Deny(Predicate predicate) {
  return Enforce(Rbac::Action::kDeny, {Policy("p", std::move(predicate))});
}
RbacFilter DenyIssuer(const char* issuer) {
  return Deny(testing::Claim({"iss"}, testing::Text(issuer)));
}

}  // namespace

TEST_CASE("jwt: where tokens are looked for") {
  JwtProvider plain = Provider("p", "i");
  JwtProvider header = plain;
  header.from_headers = {{"X-T", ""}};
  JwtProvider prefixed = plain;
  prefixed.from_headers = {{"x-t", "Tok "}};
  JwtProvider param = plain;
  param.from_params = {"t"};
  JwtProvider cookie = plain;
  cookie.from_cookies = {"ck"};
  std::string escaped = Good();
  for (size_t at = 0; (at = escaped.find('.', at)) != std::string::npos;) {
    escaped.replace(at, 1, "%2E");
  }
  const std::string& good = Good();
  const std::string& bad = Bad();
  struct Row {
    const char* name;
    const JwtProvider& provider;
    ProxyRequest request;
    std::string answer;
  };
  const Row kRows[] = {
      {"bearer", plain, Bearer(good), kAllowed},
      {"parameter", plain, Get("/?access_token=" + good), kAllowed},
      {"nothing", plain, Get(), Refused(kMissing)},
      {"other scheme", plain, With({{"authorization", "Basic " + good}}), Refused(kMissing)},
      {"prefix in lower case", plain, With({{"authorization", "bearer " + good}}),
       Refused(kMissing)},
      {"prefix anywhere", plain, With({{"authorization", "x Bearer " + good}}), kAllowed},
      {"first legal character", plain, Bearer(",;" + good), kAllowed},
      {"to the end of the value", plain, Bearer(good + ",xyz"),
       Refused("Jwt signature is an invalid Base64url encoded")},
      {"two bearers", plain,
       With({{"authorization", "Bearer " + good}, {"authorization", "Bearer " + good}}),
       Refused(kForm)},
      {"basic, then bearer", plain,
       With({{"authorization", "Basic abc"}, {"authorization", "Bearer " + good}}), kAllowed},
      {"explicit header: no bearer", header, Bearer(good), Refused(kMissing)},
      {"explicit header: no parameter", header, Get("/?access_token=" + good), Refused(kMissing)},
      {"explicit header", header, With({{"x-t", good}}), kAllowed},
      {"explicit prefix", prefixed, With({{"x-t", "Tok " + good}}), kAllowed},
      {"explicit prefix, absent", prefixed, With({{"x-t", good}}), Refused(kMissing)},
      {"explicit parameter", param, Get("/?t=" + good), kAllowed},
      {"explicit parameter: no default", param, Get("/?access_token=" + good), Refused(kMissing)},
      {"escaped parameter", plain, Get("/?access_token=" + escaped), kAllowed},
      {"first value good", plain, Get("/?access_token=" + good + "&access_token=" + bad), kAllowed},
      {"first value bad", plain, Get("/?access_token=" + bad + "&access_token=" + good),
       Refused(kFails)},
      {"cookie", cookie, With({{"Cookie", "a=b; ck=" + good}}), kAllowed},
      {"cookie of another name", cookie, With({{"Cookie", "a=" + good}}), Refused(kMissing)},
      {"two locations, header bad", plain,
       With({{"authorization", "Bearer " + bad}}, "/?access_token=" + good), Refused(kFails)},
      {"two locations, parameter bad", plain,
       With({{"authorization", "Bearer " + good}}, "/?access_token=" + bad), Refused(kFails)},
      {"two locations, both good", plain,
       With({{"authorization", "Bearer " + good}}, "/?access_token=" + good), kAllowed},
      {"empty pieces are skipped", plain, Bearer("." + good + "."), kAllowed},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.name);
    CHECK(Answer(Required(row.provider), row.request) == row.answer);
  }
}

TEST_CASE("jwt: what a verified token leaves behind") {
  JwtProvider keep = Provider("p", "i");
  JwtProvider drop = keep;
  drop.forward = false;
  const RbacFilter sees = Deny(HasHeader("authorization"));
  CHECK(Summary(RunFilters({Required(keep), sees}, Bearer(Good()))) == kDenied);
  CHECK(Summary(RunFilters({Required(drop), sees}, Bearer(Good()))) == kAllowed);
  auto path = [](const JwtProvider& provider) {
    return RunFilters({Required(provider)}, Get("/?access_token=" + Good() + "&x=1"),
                      Detail::kTrace)
        .forwarded_path;
  };
  CHECK(path(keep) == "/?access_token=" + Good() + "&x=1");
  CHECK(path(drop) == "/?x=1");
  JwtProvider cookie = drop;
  cookie.from_cookies = {"ck"};
  CHECK(Summary(RunFilters({Required(cookie), Deny(HasHeader("cookie"))},
                           With({{"cookie", "ck=" + Good()}}))) == kDenied);

  JwtProvider claims = keep;
  claims.claim_to_headers = {{"x-c", "c"}, {"x-n", "n"}, {"x-deep", "o.k"}};
  claims.forward_payload_header = "x-payload";
  JwtFilter optional = Filter({claims}, Optional("p"));
  optional.bypass_cors_preflight = true;
  const std::string token = Token(R"({"iss":"i","c":"v","n":3,"o":{"k":true}})");
  auto seen = [&](const char* name, const char* value, ProxyRequest request) {
    return Summary(RunFilters({optional, Deny(HeaderIs(name, StringMatcher::Exact(value)))},
                              request)) == kDenied;
  };
  CHECK(seen("x-c", "v", Bearer(token)));
  CHECK(seen("x-n", "3", Bearer(token)));
  CHECK(seen("x-deep", "true", Bearer(token)));
  CHECK_FALSE(seen("x-c", "v", With({{"x-c", "v"}})));
  CHECK_FALSE(seen("x-payload", "v", With({{"x-payload", "v"}})));
  ProxyRequest spoof = Bearer(token);
  spoof.headers.emplace_back("X-C", "spoof");
  CHECK_FALSE(seen("x-c", "spoof", spoof));
  CHECK(seen("x-c", "v", spoof));
  ProxyRequest preflight =
      With({{"x-c", "v"}, {"origin", "o"}, {"access-control-request-method", "GET"}});
  preflight.method = "OPTIONS";
  CHECK_FALSE(seen("x-c", "v", preflight));
  // Before the filter RBAC sees what the client sent.
  CHECK(Summary(RunFilters({Deny(HeaderIs("x-c", StringMatcher::Exact("v"))), optional},
                           With({{"x-c", "v"}}))) == kDenied);
}

TEST_CASE("jwt: order of checks and statuses") {
  JwtProvider provider = Provider("p", "i");
  JwtProvider audience = provider;
  audience.audiences = {"https://aud/"};
  JwtProvider any_issuer = Provider("p", "");
  const char* kAudience = "Audiences in Jwt are not allowed";
  struct Row {
    const char* name;
    const JwtProvider& provider;
    std::string token;
    std::string answer;
  };
  const Row kRows[] = {
      {"expired forgery", provider, Token(R"({"iss":"i","exp":1})", "other"),
       Refused("Jwt is expired")},
      {"issuer before expiry", provider, Token(R"({"iss":"j","exp":1})"), Refused(kForeign)},
      {"nbf before exp", provider, Token(R"({"iss":"i","exp":1,"nbf":1800000000})"),
       Refused("Jwt not yet valid")},
      {"exp before audience", audience, Token(R"({"iss":"i","exp":1,"aud":"x"})"),
       Refused("Jwt is expired")},
      {"audience before signature", audience, Token(R"({"iss":"i","aud":"x"})", "other"),
       Refused(kAudience, 403)},
      {"no audience", audience, Token(R"({"iss":"i"})"), Refused(kAudience, 403)},
      {"audience stripped", audience, Token(R"({"iss":"i","aud":["x","http://aud"]})"), kAllowed},
      {"audience bare", audience, Token(R"({"iss":"i","aud":"aud"})"), kAllowed},
      {"forgery", provider, Bad(), Refused(kFails)},
      {"any issuer", any_issuer, Token(R"({"iss":"zz"})"), kAllowed},
      {"any issuer, none", any_issuer, Token("{}"), kAllowed},
      {"no issuer", provider, Token("{}"), Refused(kForeign)},
      {"skew of exp", provider, Token(R"({"iss":"i","exp":)" + std::to_string(kNow - 50) + "}"),
       kAllowed},
      {"beyond the skew of exp", provider,
       Token(R"({"iss":"i","exp":)" + std::to_string(kNow - 70) + "}"), Refused("Jwt is expired")},
      {"skew of nbf", provider, Token(R"({"iss":"i","nbf":)" + std::to_string(kNow + 50) + "}"),
       kAllowed},
      {"beyond the skew of nbf", provider,
       Token(R"({"iss":"i","nbf":)" + std::to_string(kNow + 70) + "}"),
       Refused("Jwt not yet valid")},
      {"exp 0", provider, Token(R"({"iss":"i","exp":0})"), kAllowed},
      {"unsigned", provider, "e30.e30.", Refused(kForm)},
      {"no JWT", provider, "abc", Refused(kForm)},
      {"alg none", provider, Token(R"({"iss":"i"})", "secret", R"({"alg":"none"})"),
       Refused("Jwt header [alg] is not supported")},
      {"no alg", provider, Token(R"({"iss":"i"})", "secret", "{}"),
       Refused("Jwt header [alg] field is required and must be a string")},
      {"header is no JSON", provider, Token(R"({"iss":"i"})", "secret", "{"),
       Refused("Jwt header is an invalid JSON")},
      {"payload is no JSON", provider, Token("{"), Refused("Jwt payload is an invalid JSON")},
      {"duplicate keys", provider, Token(R"({"iss":"i","iss":"i"})"),
       Refused("Jwt payload is an invalid JSON")},
      {"issuer is no string", provider, Token(R"({"iss":3})"),
       Refused("Jwt payload [iss] field is not a string")},
      {"exp is a string", provider, Token(R"({"iss":"i","exp":"9"})"),
       Refused("Jwt payload [exp] field is not an integer")},
      {"another alg", provider, Token(R"({"iss":"i"})", "secret", R"({"alg":"HS384"})"),
       Refused("Jwks doesn't have key to match kid or alg from Jwt")},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.name);
    Verdict verdict = RunFilters({Required(row.provider)}, Bearer(row.token));
    CHECK(Summary(verdict) == row.answer);
    if (row.answer != kAllowed) CHECK(verdict.stage == Stage::kJwt);
  }
  CHECK(RunFilters({Required(provider)}, Get()).body == kMissing);
  CHECK(RunFilters({Required(provider)}, Bearer(Bad())).body == kFails);
}

TEST_CASE("jwt: Istio's requirement of one provider") {
  const JwtFilter filter = Filter({Provider("p", "i")}, Optional("p"));
  CHECK(Answer(filter, Get()) == kAllowed);
  CHECK(Answer(filter, Bearer(Good())) == kAllowed);
  CHECK(Answer(filter, Bearer(Bad())) == Refused(kFails));
  CHECK(Answer(filter, Bearer(Token(R"({"iss":"foreign"})"))) == Refused(kForeign));
  CHECK(Summary(RunFilters({filter, DenyIssuer("i")}, Bearer(Good()))) == kDenied);
  CHECK(Summary(RunFilters({filter, DenyIssuer("i")}, Get())) == kAllowed);
}

TEST_CASE("jwt: Istio's requirement of two providers") {
  JwtProvider p = Provider("p", "a");
  JwtProvider q = Provider("q", "b");
  const std::string a = Token(R"({"iss":"a"})");
  const std::string b = Token(R"({"iss":"b"})");
  JwtProvider p_apart = p;
  p_apart.from_headers = {{"x-a", ""}};
  JwtProvider q_apart = q;
  q_apart.from_headers = {{"x-b", ""}};
  const JwtFilter apart = Filter({p_apart, q_apart}, IstioTwo());
  const JwtFilter same = Filter({p, q}, IstioTwo());
  JwtProvider p_drop = p;
  p_drop.forward = false;
  JwtProvider q_drop = q;
  q_drop.forward = false;
  const JwtFilter same_drop = Filter({p_drop, q_drop}, IstioTwo());
  const ProxyRequest both = With({{"authorization", "Bearer " + a}}, "/?access_token=" + b);
  struct Row {
    const char* name;
    const JwtFilter& filter;
    ProxyRequest request;
    std::string answer;
  };
  const Row kRows[] = {
      {"none", same, Get(), kAllowed},
      {"the first's", same, Bearer(a), kAllowed},
      {"the second's", same, Bearer(b), kAllowed},
      {"foreign", same, Bearer(Token(R"({"iss":"c"})")), Refused(kForeign)},
      {"forged", same, Bearer(Token(R"({"iss":"b"})", "other")), Refused(kFails)},
      {"valid and garbage apart", apart, With({{"x-a", a}, {"x-b", "junk"}}), kAllowed},
      {"garbage and valid apart", apart, With({{"x-a", "junk"}, {"x-b", b}}), kAllowed},
      {"garbage alone", apart, With({{"x-a", "junk"}}), Refused(kForm)},
      {"garbage at both", apart, With({{"x-a", "junk"}, {"x-b", "junk"}}), Refused(kForm)},
      {"valid of each at common places", same, both, Refused(kForeign)},
      {"the same, not forwarded", same_drop, both, kAllowed},
  };
  for (const auto& row : kRows) {
    CAPTURE(row.name);
    CHECK(Answer(row.filter, row.request) == row.answer);
  }
  // Of two valid tokens only the claims of the first provider are seen.
  const ProxyRequest two = With({{"x-a", a}, {"x-b", b}});
  CHECK(Summary(RunFilters({apart, DenyIssuer("a")}, two)) == kDenied);
  CHECK(Summary(RunFilters({apart, DenyIssuer("b")}, two)) == kAllowed);
}

TEST_CASE("jwt: requirements by themselves") {
  using Kind = JwtRequirement::Kind;
  JwtProvider p = Provider("p", "a");
  p.from_headers = {{"x-a", ""}};
  JwtProvider q = Provider("q", "b");
  q.from_headers = {{"x-b", ""}};
  const std::string a = Token(R"({"iss":"a"})");
  const std::string b = Token(R"({"iss":"b"})");
  auto answer = [&](JwtRequirement requirement, Headers headers) {
    return Answer(Filter({p, q}, std::move(requirement)), With(std::move(headers)));
  };
  const JwtRequirement any = Tree(Kind::kAny, {Of("p"), Of("q")});
  CHECK(answer(any, {}) == Refused(kMissing));
  CHECK(answer(any, {{"x-a", Token(R"({"iss":"a"})", "other")}, {"x-b", "junk"}}) ==
        Refused(kForm));  // the last real failure
  CHECK(answer(any, {{"x-a", "junk"}, {"x-b", Token(R"({"iss":"c"})")}}) == Refused(kForm));
  CHECK(answer(any, {{"x-b", Token(R"({"iss":"c"})")}}) == Refused(kForeign));
  const JwtRequirement all = Tree(Kind::kAll, {Of("p"), Of("q")});
  CHECK(answer(all, {{"x-a", a}}) == Refused(kMissing));
  CHECK(answer(all, {{"x-a", a}, {"x-b", b}}) == kAllowed);
  CHECK(answer(Tree(Kind::kAllowMissing), {}) == kAllowed);
  CHECK(answer(Tree(Kind::kAllowMissing), {{"x-b", "junk"}}) == Refused(kForm));
  CHECK(answer(Tree(Kind::kAllowMissingOrFailed), {{"x-b", "junk"}}) == kAllowed);
  CHECK(answer(Tree(Kind::kAny, {Of("p"), Tree(Kind::kAllowMissingOrFailed)}), {{"x-a", "junk"}}) ==
        kAllowed);

  JwtFilter elsewhere = Filter({p}, Of("p"));
  elsewhere.rules[0].prefix = "/api";
  CHECK(Answer(elsewhere, Get("/other")) == kAllowed);
  CHECK(Answer(elsewhere, Get("/api/x")) == Refused(kMissing));
  elsewhere.rules[0].requirement.reset();
  CHECK(Answer(elsewhere, Get("/api/x")) == kAllowed);
}

TEST_CASE("jwt: a CORS preflight is not checked") {
  JwtFilter filter = Required(Provider("p", "i"));
  filter.bypass_cors_preflight = true;
  struct Row {
    const char* method;
    Headers headers;
    bool passes;
  };
  const Row kRows[] = {
      {"OPTIONS", {{"origin", "o"}, {"access-control-request-method", "GET"}}, true},
      {"GET", {{"origin", "o"}, {"access-control-request-method", "GET"}}, false},
      {"OPTIONS", {{"access-control-request-method", "GET"}}, false},
      {"OPTIONS", {{"origin", "o"}}, false},
      {"OPTIONS", {{"origin", ""}, {"access-control-request-method", "GET"}}, false},
      {"OPTIONS", {{"origin", "o"}, {"access-control-request-method", ""}}, false},
  };
  int row_number = 0;
  for (const auto& row : kRows) {
    CAPTURE(row_number++);
    ProxyRequest request = With(row.headers);
    request.method = row.method;
    CHECK(Answer(filter, request) == (row.passes ? kAllowed : Refused(kMissing)));
    JwtFilter without = filter;
    without.bypass_cors_preflight = false;
    CHECK(Answer(without, request) == Refused(kMissing));
  }
}

TEST_CASE("jwt: given claims stand for a valid token") {
  const JwtFilter filter = Filter({Provider("p", "a"), Provider("q", "b")}, IstioTwo());
  ProxyRequest request = Get();
  request.claims = ParseJson(R"({"iss":"b","sub":"s"})").value();
  CHECK(Answer(filter, request) == kAllowed);
  CHECK(Summary(RunFilters({filter, DenyIssuer("b")}, request)) == kDenied);
  // Beside them no token is looked for.
  request.headers = {{"authorization", "Bearer " + Bad()}};
  CHECK(Answer(filter, request) == kAllowed);
  // The provider's own settings apply: its claims become headers.
  JwtProvider q = Provider("q", "b");
  q.claim_to_headers = {{"x-sub", "sub"}};
  CHECK(Summary(RunFilters({Filter({Provider("p", "a"), q}, IstioTwo()),
                            Deny(HeaderIs("x-sub", StringMatcher::Exact("s")))},
                           request)) == kDenied);
  request.claims = ParseJson(R"({"iss":"a","sub":"s"})").value();
  CHECK(Summary(RunFilters({Filter({Provider("p", "a"), q}, IstioTwo()), Deny(HasHeader("x-sub"))},
                           request)) == kAllowed);
}

TEST_CASE("jwt: a key set that is not known leaves the answer open") {
  JwtProvider unknown = Provider("p", "i");
  unknown.local_jwks.reset();
  unknown.remote_jwks_uri = "https://keys.example/jwks";
  const JwtFilter filter = Filter({unknown}, Optional("p"));
  Verdict verdict = RunFilters({filter}, Bearer(Good()));
  CHECK(Summary(verdict) == "undetermined 0  -");
  REQUIRE(verdict.missing.size() == 1);
  CHECK(verdict.missing[0] ==
        "the key set of issuer i (https://keys.example/jwks) is not in the input");
  // What does not hang on the signature is known all the same.
  CHECK(Answer(filter, Get()) == kAllowed);
  CHECK(Answer(filter, Bearer(Token(R"({"iss":"i","exp":1})"))) == Refused("Jwt is expired"));
  CHECK(Answer(filter, Bearer(Token(R"({"iss":"j"})"))) == Refused(kForeign));
  CHECK(Summary(RunFilters({Enforce(Rbac::Action::kAllow, {}), filter}, Bearer(Good()))) ==
        "deny 403 rbac_access_denied_matched_policy[none] -");
  ProxyRequest claims = Get();
  claims.claims = ParseJson(R"({"iss":"i"})").value();
  CHECK(Answer(filter, claims) == kAllowed);
}

TEST_CASE("jwt: a listener with an unusable key set is refused") {
  JwtProvider broken = Provider("p", "i");
  broken.local_jwks = R"({"keys":[]})";
  Verdict verdict = RunFilters({Required(broken)}, Bearer(Good()));
  CHECK(verdict.outcome == Outcome::kUndetermined);
  REQUIRE(verdict.missing.size() == 1);
  CHECK(verdict.missing[0] ==
        "Envoy refuses listener virtualInbound: Provider 'p' in jwt_authn config has invalid local "
        "jwks: Jwks doesn't have any valid public key");
}

}  // namespace meshproof::jwt_authn_test

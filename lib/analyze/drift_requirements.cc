// jwt_authn's own rules: which provider is asked for which request, what a missing or a bad token
// means there, what becomes of CORS preflights (envoy-facts section 2). Filters that are written
// alike, issuers standing for the names of providers, decide alike. Of others requests are asked,
// without a token, with one that nobody signed, with a good one of each issuer, and with those of
// two issuers at once; as only the issuers themselves can sign, both filters are asked with a key
// of ours in place of their keys. The first request that gets two answers is the evidence, and so
// is one whose claims only one side hands on.

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "analyze/drift_comparison.h"
#include "analyze/drift_verdicts.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/sign_jwt.h"
#include "proxy/emit_route.h"
#include "simulate/jwt_probe.h"
#include "simulate/simulate.h"

namespace meshproof {
namespace {

constexpr std::string_view kSecret = "a key that signs for no issuer";
constexpr std::string_view kForeignSecret = "a key that no filter has";
constexpr int64_t kHour = 3600;

// The issuers of the filter's providers, each as often as it stands there.
std::vector<std::string> IssuersOf(const JwtFilter& filter) {
  std::vector<std::string> issuers;
  for (const JwtProvider& provider : filter.providers) issuers.push_back(provider.issuer);
  std::sort(issuers.begin(), issuers.end());
  return issuers;
}

// "https://issuer 0": names of providers are numbers that mean nothing.
std::string LabelOf(const JwtFilter& filter, const std::string& name) {
  std::map<std::string, int> seen;
  for (const JwtProvider& provider : filter.providers) {
    const int number = seen[provider.issuer]++;
    if (provider.name == name) return provider.issuer + " " + std::to_string(number);
  }
  return "unknown " + name;
}

std::string RequirementText(const JwtFilter& filter, const JwtRequirement& requirement) {
  using Kind = JwtRequirement::Kind;
  switch (requirement.kind) {
    case Kind::kProvider:
      return "provider " + LabelOf(filter, requirement.provider);
    case Kind::kAllowMissing:
      return "may be missing";
    case Kind::kAllowMissingOrFailed:
      return "may be missing or bad";
    case Kind::kAny:
    case Kind::kAll:
      break;
  }
  std::vector<std::string> children;
  for (const JwtRequirement& child : requirement.children) {
    children.push_back(RequirementText(filter, child));
  }
  return (requirement.kind == Kind::kAny ? "any(" : "all(") + Join(children, ", ") + ")";
}

std::string FilterText(const JwtFilter& filter) {
  std::string text = filter.bypass_cors_preflight ? "no preflights\n" : "preflights too\n";
  for (const JwtRuleMatch& rule : filter.rules) {
    text += rule.match != nullptr ? WriteJson(EmitRouteMatch(*rule.match)) : rule.prefix;
    text += ": " + (rule.requirement ? RequirementText(filter, *rule.requirement) : "nothing");
    text += "\n";
  }
  return text;
}

JwtFilter WithOwnKeys(JwtFilter filter) {
  for (JwtProvider& provider : filter.providers) {
    provider.local_jwks = HmacKeySet(kSecret);
    provider.unfetched_jwks.clear();
    provider.remote_jwks_uri.clear();
  }
  return filter;
}

std::string TokenFor(const JwtProvider& provider, int64_t now, std::string_view secret) {
  Json claims = Json::MakeObject({{"iss", provider.issuer}, {"sub", "drift"}});
  claims.Set("exp", Json(static_cast<double>(now + kHour)));
  if (!provider.audiences.empty()) claims.Set("aud", provider.audiences.front());
  return SignJwt(WriteJson(claims), secret);
}

// A request and what it carries, in words.
struct Question {
  ProxyRequest request;
  std::string token;     // "without a token"
  bool sendable = true;  // nobody but the issuer could sign what it carries
};

// Paths (and headers) that the rules tell apart.
std::vector<ProxyRequest> Shapes(const JwtFilter& filter) {
  std::vector<ProxyRequest> shapes;
  auto add = [&](std::string path) -> ProxyRequest& {
    ProxyRequest request;
    request.path = path.starts_with('/') ? std::move(path) : "/" + path;
    request.authority = "x";
    shapes.push_back(std::move(request));
    return shapes.back();
  };
  for (const JwtRuleMatch& rule : filter.rules) {
    if (rule.match == nullptr) {
      add(rule.prefix);
      add(rule.prefix + "x");
      continue;
    }
    const RouteMatch& match = *rule.match;
    const bool regex = match.path_kind == RouteMatch::Path::kRegex;
    ProxyRequest& met = add(regex ? "/" : match.path);
    for (const HeaderMatcher& header : match.headers) {
      if (header.kind != HeaderMatcher::Kind::kString) continue;
      if (header.name == ":method") met.method = header.string.value;
      if (!header.name.starts_with(':')) met.headers.emplace_back(header.name, header.string.value);
    }
    add(regex ? "/x" : match.path + "x");
  }
  return shapes;
}

ProxyRequest Preflight() {
  ProxyRequest request;
  request.method = "OPTIONS";
  request.authority = "x";
  request.headers = {{"origin", "https://example.com"}, {"access-control-request-method", "GET"}};
  return request;
}

// Tokens of two issuers in one request, where they are looked for in two places: what is asked of
// all is told from what is asked of any only so.
void AddPairs(const std::vector<JwtProvider>& providers, const std::vector<ProxyRequest>& shapes,
              int64_t now, std::vector<Question>* questions) {
  constexpr size_t kMostProviders = 8;  // of more the pairs outweigh what they could show
  const size_t count = std::min(providers.size(), kMostProviders);
  for (size_t i = 0; i < count; ++i) {
    for (size_t j = 0; j < count; ++j) {
      const JwtProvider& a = providers[i];
      const JwtProvider& b = providers[j];
      ProxyRequest scratch;
      if (i == j || PlaceToken(a, "", &scratch) == PlaceToken(b, "", &scratch)) continue;
      for (const ProxyRequest& shape : shapes) {
        for (const bool both_good : {false, true}) {
          if (both_good && j < i) continue;
          Question pair{shape, "with good tokens of `" + a.issuer + "` and `" + b.issuer + "`",
                        false};
          if (!both_good) {
            pair.token = "with a good token of `" + a.issuer + "` and one of `" + b.issuer +
                         "` that somebody else signed";
          }
          PlaceToken(a, TokenFor(a, now, kSecret), &pair.request);
          PlaceToken(b, TokenFor(b, now, both_good ? kSecret : kForeignSecret), &pair.request);
          questions->push_back(std::move(pair));
        }
      }
    }
  }
}

std::vector<Question> QuestionsFor(const JwtFilter& expected, const JwtFilter& got, int64_t now) {
  std::vector<ProxyRequest> shapes = Shapes(expected);
  for (ProxyRequest& shape : Shapes(got)) shapes.push_back(std::move(shape));
  ProxyRequest anywhere;
  anywhere.path = "/somewhere/else";
  anywhere.authority = "x";
  shapes.push_back(std::move(anywhere));
  shapes.push_back(Preflight());
  std::vector<Question> questions;
  for (ProxyRequest& shape : shapes) {
    shape.now = now;
    questions.push_back({shape, "without a token"});
  }
  for (const JwtProvider& provider : expected.providers) {
    for (const ProxyRequest& shape : shapes) {
      Question bad{shape, "with a token of `" + provider.issuer + "` that somebody else signed"};
      PlaceToken(provider, TokenFor(provider, now, kForeignSecret), &bad.request);
      questions.push_back(std::move(bad));
      Question good{shape, "with a good token of `" + provider.issuer + "`", false};
      PlaceToken(provider, TokenFor(provider, now, kSecret), &good.request);
      questions.push_back(std::move(good));
    }
  }
  AddPairs(expected.providers, shapes, now, &questions);
  return questions;
}

std::string AnswerText(const JwtProbeAnswer& answer) {
  if (answer.status != 0) return "gets " + std::to_string(answer.status) + " (" + answer.body + ")";
  return answer.claims.empty() ? "goes on without claims" : "goes on with its claims";
}

class RequirementComparer {
 public:
  explicit RequirementComparer(DriftComparison& comparison) : c_(comparison) {}

  void Compare() {
    for (const ChainPair& pair : c_.pairs) {
      std::vector<const JwtFilter*> expected = FiltersOf(pair.expected), got = FiltersOf(pair.got);
      // Filters that are absent and issuers that only one side knows are told as such.
      if (expected.size() != got.size()) continue;
      for (size_t i = 0; i < expected.size(); ++i) {
        if (IssuersOf(*expected[i]) != IssuersOf(*got[i])) continue;
        if (FilterText(*expected[i]) != FilterText(*got[i])) Ask(pair, *expected[i], *got[i]);
      }
    }
    for (auto& [text, found] : found_) Report(text, &found);
  }

 private:
  struct Found {
    std::set<std::string> ports;
    Span span;
    Origin origin;
    std::optional<Witness> witness;
  };

  static std::vector<const JwtFilter*> FiltersOf(const ChainView& view) {
    std::vector<const JwtFilter*> filters;
    for (const auto& filter : view.filters) {
      if (filter.jwt != nullptr) filters.push_back(filter.jwt);
    }
    return filters;
  }

  void Ask(const ChainPair& pair, const JwtFilter& expected, const JwtFilter& got) {
    const JwtFilter wanted_filter = WithOwnKeys(expected), seen_filter = WithOwnKeys(got);
    const JwtProbe wanted_probe(wanted_filter), seen_probe(seen_filter);
    for (const Question& question : QuestionsFor(expected, got, c_.input.now)) {
      JwtProbeAnswer wanted = wanted_probe.Ask(question.request);
      JwtProbeAnswer seen = seen_probe.Ask(question.request);
      const bool same = wanted.status == seen.status && wanted.claims == seen.claims;
      if (same) continue;
      Found& found =
          found_[question.request.method + " " + PathOf(question.request) + " " + question.token +
                 " " + AnswerText(seen) + " there and " + AnswerText(wanted) + " by the manifests"];
      found.ports.insert(PortText(*pair.got.chain));
      if (!found.span) found.span = pair.got.chain->span;
      if (!expected.providers.empty()) found.origin = expected.providers.front().origin;
      if (question.sendable && !found.witness) found.witness = ProxyWitness(pair, question.request);
      return;
    }
  }

  static std::string PathOf(const ProxyRequest& request) {
    return request.path.substr(0, request.path.find('?'));
  }

  // The request before the whole proxies, where these tell them apart too: rules behind the filter
  // may refuse it on both sides.
  std::optional<Witness> ProxyWitness(const ChainPair& pair, const ProxyRequest& asked) {
    const ProxySimulator expected(c_.expected), got(c_.dump.config);
    for (ProxyRequest& seed : SeedRequests(c_, pair)) {
      seed.method = asked.method;
      seed.path = asked.path;
      seed.headers = asked.headers;
      Verdict wanted = expected.Run(seed), seen = got.Run(seed);
      if (wanted.outcome == Outcome::kUndetermined || seen.outcome == Outcome::kUndetermined ||
          EndsBeforeRules(wanted) || EndsBeforeRules(seen)) {
        continue;
      }
      if (wanted.outcome == seen.outcome && wanted.status == seen.status) continue;
      if (auto witness = WitnessOf(c_, seed, seen.outcome)) return witness;
    }
    return std::nullopt;
  }

  void Report(const std::string& text, Found* found) {
    auto& difference =
        c_.Add("MP0902", found->span,
               "jwt_authn of " + c_.who + " asks otherwise for tokens on " +
                   ListText(found->ports) + " than the manifests: " + text +
                   "; see which EnvoyFilter changes the filter, and whether istiod pushed the "
                   "RequestAuthentication (istioctl proxy-status)");
    difference.detail = c_.who + " requirements " + text;
    difference.witness = std::move(found->witness);
    if (difference.witness) difference.certainty = Certainty::kProven;
    difference.object = found->origin.object;
    if (found->origin.span) {
      difference.related.push_back({found->origin.span, "the manifest's rule"});
    }
  }

  DriftComparison& c_;
  std::map<std::string, Found> found_;  // by what a request gets
};

}  // namespace

void CompareRequirements(DriftComparison& comparison) {
  RequirementComparer(comparison).Compare();
}

}  // namespace meshproof

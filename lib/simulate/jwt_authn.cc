// Envoy's jwt_authn filter on one request (envoy-facts section 2): where tokens are looked for, in
// which order they are verified, how requirements combine, what is refused and what of a good token
// the filters behind see.
//
// Locations are read anew for each provider requirement, from the headers as they are by then: a
// token that an earlier requirement verified and does not forward is gone.

#include "simulate/jwt_authn.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/ascii.h"
#include "base/text.h"
#include "match/path.h"
#include "simulate/query.h"
#include "simulate/router.h"

namespace meshproof {
namespace {

constexpr std::string_view kMissing = "Jwt is missing";
constexpr std::string_view kUnknownIssuer = "Jwt issuer is not configured";
constexpr std::string_view kBadAudience = "Audiences in Jwt are not allowed";
constexpr std::string_view kVerificationFails = "Jwt verification fails";

bool IsJwtChar(char c) {
  return IsAsciiAlphanumeric(c) || c == '_' || c == '-' || c == '.';
}

std::string Underscored(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c == ' ' || (c >= '\t' && c <= '\r')) c = '_';
  }
  return result;
}

std::string EncodeBase64(std::string_view bytes, bool url) {
  const char* alphabet = url ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
                             : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string result;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k) {
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (size_t k = 0; k < 4; ++k) {
      if (k <= count) {
        result += alphabet[group >> (18 - 6 * k) & 63];
      } else if (!url) {
        result += '=';
      }
    }
  }
  return result;
}

// Numbers are doubles for Envoy: whole ones print as such, others with six decimals.
std::string NumberText(double number) {
  if (number >= -9223372036854775808.0 && number < 9223372036854775808.0 &&
      std::trunc(number) == number) {
    return std::to_string(static_cast<int64_t>(number));
  }
  char text[400];
  std::snprintf(text, sizeof(text), "%f", number);
  return text;
}

// A claim as the value of a header; "" = no header is made.
std::string ClaimText(const Json& claim) {
  if (claim.is_string()) return claim.as_string();
  if (claim.is_number()) return NumberText(claim.as_double());
  if (claim.is_bool()) return claim.as_bool() ? "true" : "false";
  if (claim.is_null()) return "";
  return EncodeBase64(WriteJson(claim), false);
}

const Json* FindClaim(const Json& payload, std::string_view name) {
  const Json* value = &payload;
  for (std::string_view part : Split(name, '.')) {
    value = value->Find(part);
    if (value == nullptr) return nullptr;
  }
  return value;
}

// Strings of these claims become lists of their words.
Json NormalizePayload(const Json& payload, const std::vector<std::string>& space_delimited) {
  Json normalized = payload;
  if (!normalized.is_object()) return normalized;
  for (auto& [name, value] : normalized.as_object()) {
    if (!value.is_string() ||
        std::find(space_delimited.begin(), space_delimited.end(), name) == space_delimited.end()) {
      continue;
    }
    Json words = Json::MakeArray();
    for (std::string_view word : Split(value.as_string(), ' ')) {
      if (!word.empty()) words.Append(Json(word));
    }
    value = std::move(words);
  }
  return normalized;
}

// The first value of a cookie over all Cookie headers.
std::optional<std::string_view> FindCookie(const HeaderMap& headers, std::string_view name) {
  for (const auto& entry : headers.entries()) {
    if (entry.name != "cookie") continue;
    for (std::string_view cookie : Split(entry.value, ';')) {
      while (!cookie.empty() && cookie.front() == ' ') cookie.remove_prefix(1);
      size_t equal = cookie.find('=');
      if (equal == std::string_view::npos || cookie.substr(0, equal) != name) continue;
      std::string_view value = cookie.substr(equal + 1);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
      }
      return value;
    }
  }
  return std::nullopt;
}

bool IsCorsPreflight(const HeaderMap& headers) {
  const auto* origin = headers.Find("origin");
  const auto* method = headers.Find("access-control-request-method");
  return headers.method == "OPTIONS" && origin != nullptr && !origin->value.empty() &&
         method != nullptr && !method->value.empty();
}

bool IsRealFailure(std::string_view status) {
  return status != kMissing && status != kUnknownIssuer;
}

}  // namespace

struct JwtAuthenticator::Location {
  enum class Kind { kHeader, kParam, kCookie } kind = Kind::kHeader;
  std::string name;    // a header's in lower case
  std::string prefix;  // kHeader

  // The order in which locations are read.
  bool Before(const Location& other) const {
    return kind != other.kind ? kind < other.kind : name + prefix < other.name + other.prefix;
  }
  friend bool operator==(const Location&, const Location&) = default;
};

struct JwtAuthenticator::Provider {
  const JwtProvider* config = nullptr;
  const Jwks* keys = nullptr;  // null: not known here
  std::string unknown_keys;    // why
  std::vector<Location> locations;
};

struct JwtAuthenticator::Token {
  std::string text;
  const Location* location = nullptr;
  std::vector<const Provider*> providers;  // whose issuers are allowed there
};

// "" = OK.
struct JwtAuthenticator::Result {
  std::string status;
  const Provider* provider = nullptr;
  bool ok() const { return status.empty(); }
};

JwtAuthenticator::JwtAuthenticator(const JwtFilter& filter, KeySets* key_sets, TokenCache* tokens)
    : filter_(filter), tokens_(tokens) {
  using Kind = Location::Kind;
  for (const auto& config : filter.providers) {
    auto provider = std::make_shared<Provider>();
    provider->config = &config;
    if (config.local_jwks) {
      provider->keys = key_sets->Get(*config.local_jwks);
      if (!provider->keys->status().ok() && load_failure_.empty()) {
        load_failure_ =
            "Provider '" + config.name +
            "' in jwt_authn config has invalid local jwks: " + provider->keys->status().text;
      }
    } else {
      const std::string& source =
          !config.unfetched_jwks.empty() ? config.unfetched_jwks : config.remote_jwks_uri;
      provider->unknown_keys = "the key set of issuer " +
                               (config.issuer.empty() ? std::string("(any)") : config.issuer) +
                               (source.empty() ? "" : " (" + source + ")") + " is not in the input";
    }
    auto& locations = provider->locations;
    if (config.from_headers.empty() && config.from_params.empty() && config.from_cookies.empty()) {
      locations.push_back({Kind::kHeader, "authorization", "Bearer "});
      locations.push_back({Kind::kParam, "access_token", ""});
    }
    for (const auto& header : config.from_headers) {
      locations.push_back({Kind::kHeader, ToLower(header.name), header.prefix});
    }
    for (const auto& param : config.from_params) locations.push_back({Kind::kParam, param, ""});
    for (const auto& cookie : config.from_cookies) {
      locations.push_back({Kind::kCookie, cookie, ""});
    }
    std::stable_sort(locations.begin(), locations.end(),
                     [](const Location& a, const Location& b) { return a.Before(b); });
    locations.erase(std::unique(locations.begin(), locations.end()), locations.end());
    providers_.push_back(std::move(provider));
  }
}

const JwtAuthenticator::Provider* JwtAuthenticator::Find(std::string_view name) const {
  for (const auto& provider : providers_) {
    if (provider->config->name == name) return provider.get();
  }
  return nullptr;
}

// The verification of one request: the requirement tree over the stream's headers.
class JwtAuthenticator::Verifier {
 public:
  Verifier(const JwtAuthenticator& filter, Stream* stream) : filter_(filter), stream_(*stream) {}

  Result Verify(const JwtRequirement& requirement) {
    switch (requirement.kind) {
      case JwtRequirement::Kind::kProvider:
        return VerifyProvider(requirement.provider);
      case JwtRequirement::Kind::kAny:
        return VerifyAny(requirement);
      case JwtRequirement::Kind::kAll:
        return VerifyAll(requirement);
      case JwtRequirement::Kind::kAllowMissing:
      case JwtRequirement::Kind::kAllowMissingOrFailed:
        return VerifyAllowMissing(requirement.kind);
    }
    return {};
  }

  bool token_seen() const { return token_seen_; }
  const Provider* accepted() const { return accepted_; }

 private:
  Result VerifyProvider(std::string_view name) {
    const Provider* provider = filter_.Find(name);
    if (provider == nullptr) return {std::string(kUnknownIssuer), nullptr};
    std::vector<Token> tokens = Extract({provider});
    Result outcome{std::string(kMissing), provider};
    for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
      outcome = VerifyToken(*token, provider);
      if (!outcome.ok()) break;
    }
    return outcome;
  }

  // The first that succeeds ends it; else the last real failure is the answer, then an unknown
  // issuer, then a missing token. allow_missing beside the others forgives just that.
  Result VerifyAny(const JwtRequirement& requirement) {
    Result result{std::string(kMissing), nullptr};
    bool allow_missing = false;
    bool allow_failed = false;
    for (const auto& child : requirement.children) {
      if (child.kind == JwtRequirement::Kind::kAllowMissing) {
        allow_missing = true;
        continue;
      }
      if (child.kind == JwtRequirement::Kind::kAllowMissingOrFailed) {
        allow_failed = true;
        continue;
      }
      Result outcome = Verify(child);
      if (outcome.ok()) return outcome;
      if (IsRealFailure(outcome.status) || result.status == kMissing) result = std::move(outcome);
    }
    if (allow_failed || (allow_missing && result.status == kMissing)) return {};
    return result;
  }

  Result VerifyAll(const JwtRequirement& requirement) {
    Result outcome;
    for (const auto& child : requirement.children) {
      outcome = Verify(child);
      if (!outcome.ok()) return outcome;
    }
    return outcome;
  }

  // Alone these look at the tokens of all providers: the former answers with the last one's
  // status, the latter never refuses.
  Result VerifyAllowMissing(JwtRequirement::Kind kind) {
    std::vector<const Provider*> all;
    for (const auto& provider : filter_.providers_) all.push_back(provider.get());
    std::vector<Token> tokens = Extract(all);
    Result outcome;
    for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
      outcome = VerifyToken(*token, nullptr);
    }
    if (kind == JwtRequirement::Kind::kAllowMissingOrFailed) return {};
    return outcome;
  }

  // Headers by name and prefix, then parameters, then cookies, over all `providers`. Each line of a
  // header that the header map does not join is a token of its own.
  std::vector<Token> Extract(const std::vector<const Provider*>& providers) {
    std::vector<Token> tokens;
    for (const Provider* provider : providers) {
      for (const auto& location : provider->locations) {
        bool read = false;
        for (auto& token : tokens) {
          if (!(*token.location == location)) continue;
          token.providers.push_back(provider);
          read = true;
        }
        if (!read) Read(location, provider, &tokens);
      }
    }
    if (providers.size() > 1) {
      std::stable_sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) {
        return a.location->Before(*b.location);
      });
    }
    if (!tokens.empty()) token_seen_ = true;
    return tokens;
  }

  void Read(const Location& location, const Provider* provider, std::vector<Token>* tokens) {
    const HeaderMap& headers = stream_.headers;
    switch (location.kind) {
      case Location::Kind::kHeader:
        for (const auto& entry : headers.entries()) {
          if (entry.name != location.name) continue;
          auto text = FromHeader(entry.value, location.prefix);
          if (text) tokens->push_back({std::move(*text), &location, {provider}});
        }
        break;
      case Location::Kind::kParam: {
        if (headers.path.find('?') == std::string_view::npos) break;
        QueryParams params = ParseQuery(headers.path, PercentDecoding::kYes);
        auto found = params.find(location.name);
        if (found != params.end()) {
          tokens->push_back({found->second.front(), &location, {provider}});
        }
        break;
      }
      case Location::Kind::kCookie:
        if (auto cookie = FindCookie(headers, location.name)) {
          tokens->push_back({std::string(*cookie), &location, {provider}});
        }
        break;
    }
  }

  // The prefix may stand anywhere; the token starts at the first character of one behind it and
  // runs to the end. Without such a character the whole value is taken.
  static std::optional<std::string> FromHeader(std::string_view value, std::string_view prefix) {
    if (prefix.empty()) return std::string(value);
    size_t at = value.find(prefix);
    if (at == std::string_view::npos) return std::nullopt;
    for (size_t i = at + prefix.size(); i < value.size(); ++i) {
      if (IsJwtChar(value[i])) return std::string(value.substr(i));
    }
    return std::string(value);
  }

  Result VerifyToken(const Token& token, const Provider* provider) {
    auto cached = filter_.tokens_->Get(token.text);
    const ParsedJwt& parsed = cached->parsed();
    if (!parsed.status.ok()) return {parsed.status.text, provider};
    const Jwt& jwt = parsed.jwt;
    std::string_view issuer = jwt.issuer ? std::string_view(*jwt.issuer) : std::string_view();
    auto allows = [&](const Provider* candidate) {
      return candidate->config->issuer.empty() || candidate->config->issuer == issuer;
    };
    if (std::none_of(token.providers.begin(), token.providers.end(), allows)) {
      return {std::string(kUnknownIssuer), provider};
    }
    if (provider == nullptr) {
      auto found = std::find_if(filter_.providers_.begin(), filter_.providers_.end(),
                                [&](const auto& candidate) { return allows(candidate.get()); });
      if (found == filter_.providers_.end()) return {std::string(kUnknownIssuer), nullptr};
      provider = found->get();
    }
    JwtStatus times = CheckTimes(jwt, stream_.request->now);
    if (!times.ok()) return {times.text, provider};
    if (!AudienceAllowed(provider->config->audiences, jwt.audiences)) {
      return {std::string(kBadAudience), provider};
    }
    if (provider->keys == nullptr) {
      stream_.AddStep(Stage::kJwt, Step::Result::kUnknown, provider->unknown_keys,
                      provider->config->origin);
      if (!stream_.questions->Ask(provider, provider->unknown_keys)) {
        return {std::string(kVerificationFails), provider};
      }
    } else if (JwtStatus signature = cached->Verify(*provider->keys); !signature.ok()) {
      return {signature.text, provider};
    }
    Accept(*provider, jwt.payload, jwt.signed_part.substr(jwt.signed_part.find('.') + 1));
    Forget(*provider, token);
    return {"", provider};
  }

 public:
  // What a good token leaves behind: headers and the claims.
  void Accept(const Provider& provider, const Json& payload, std::string_view encoded_payload) {
    accepted_ = &provider;
    const JwtProvider& config = *provider.config;
    HeaderMap& headers = stream_.headers;
    if (!config.forward_payload_header.empty()) {
      headers.Append(config.forward_payload_header, headers.Own(encoded_payload));
    }
    for (const auto& [header, name] : config.claim_to_headers) {
      const Json* claim = FindClaim(payload, name);
      std::string text = claim == nullptr ? std::string() : ClaimText(*claim);
      if (!text.empty()) headers.Append(header, headers.Own(text));
    }
    if (!config.payload_in_metadata.empty()) {
      stream_.jwt_payload = NormalizePayload(payload, config.space_delimited_claims);
    }
    if (config.clear_route_cache) stream_.clear_route_cache = true;
  }

 private:
  // forward: false takes the token away: the header, the parameter, never a cookie.
  void Forget(const Provider& provider, const Token& token) {
    if (provider.config->forward) return;
    HeaderMap& headers = stream_.headers;
    if (token.location->kind == Location::Kind::kHeader) {
      headers.Remove(token.location->name);
    } else if (token.location->kind == Location::Kind::kParam) {
      QueryParams params = ParseQuery(headers.path, PercentDecoding::kYes);
      params.erase(token.location->name);
      headers.path = headers.Own(ReplaceQuery(headers.path, params));
    }
  }

  const JwtAuthenticator& filter_;
  Stream& stream_;
  bool token_seen_ = false;
  const Provider* accepted_ = nullptr;
};

void JwtAuthenticator::TakeClaims(Stream* stream) const {
  const Json& claims = *stream->request->claims;
  const Json* issuer = claims.Find("iss");
  auto find = [&](auto fits) -> const Provider* {
    for (const auto& provider : providers_) {
      if (fits(*provider->config)) return provider.get();
    }
    return nullptr;
  };
  const Provider* provider = nullptr;
  if (issuer != nullptr && issuer->is_string()) {
    provider = find([&](const JwtProvider& p) { return p.issuer == issuer->as_string(); });
  }
  if (provider == nullptr) provider = find([](const JwtProvider& p) { return p.issuer.empty(); });
  if (provider == nullptr && !providers_.empty()) provider = providers_.front().get();
  if (provider == nullptr) return;
  Verifier(*this, stream).Accept(*provider, claims, EncodeBase64(WriteJson(claims), true));
  stream->AddStep(Stage::kJwt, Step::Result::kPass,
                  "jwt_authn: the given claims are taken as a valid token of issuer " +
                      provider->config->issuer,
                  provider->config->origin);
}

// What the first rule that takes the path wants; null: nothing.
const JwtRequirement* JwtAuthenticator::RequirementFor(Stream* stream) const {
  std::string_view path = PathWithoutQuery(stream->headers.path);
  for (const auto& candidate : filter_.rules) {
    bool takes = false;
    if (candidate.match == nullptr) {
      takes = path.starts_with(candidate.prefix);
    } else {
      std::vector<std::string> unknown;
      Truth matched = MatchesRoute(*candidate.match, stream, &unknown);
      takes = matched == Truth::kTrue || (matched == Truth::kUnknown &&
                                          stream->questions->Ask(&candidate, Join(unknown, "; ")));
    }
    if (takes) return candidate.requirement ? &*candidate.requirement : nullptr;
  }
  return nullptr;
}

FilterStatus JwtAuthenticator::Run(Stream* stream, const std::string* named) const {
  // Headers that carry claims are the filter's to set: a client's are dropped, token or not.
  for (const auto& provider : providers_) {
    const JwtProvider& config = *provider->config;
    if (!config.forward_payload_header.empty()) {
      stream->headers.Remove(ToLower(config.forward_payload_header));
    }
    for (const auto& [header, claim] : config.claim_to_headers) {
      stream->headers.Remove(ToLower(header));
    }
  }
  if (filter_.bypass_cors_preflight && IsCorsPreflight(stream->headers)) {
    stream->AddStep(Stage::kJwt, Step::Result::kSkip, "jwt_authn: a CORS preflight is not checked");
    return FilterStatus::kContinue;
  }
  const JwtRequirement* requirement = nullptr;
  if (named != nullptr) {
    auto found = filter_.requirement_map.find(*named);
    if (found == filter_.requirement_map.end()) {
      std::string names;
      for (const auto& [name, ignored] : filter_.requirement_map) {
        names += (names.empty() ? "" : ", ") + name;
      }
      std::string body = "Failed JWT authentication: Wrong requirement_name: " + *named +
                         ". It should be one of [" + names + "]";
      stream->AddStep(Stage::kJwt, Step::Result::kRefuse, "jwt_authn: " + body);
      SendLocalReply(stream, Outcome::kDeny, 403,
                     "jwt_authn_access_denied{" + Underscored(body) + "}", body, Stage::kJwt);
      return FilterStatus::kStop;
    }
    requirement = &found->second;
  } else {
    requirement = RequirementFor(stream);
  }
  if (requirement == nullptr) {
    stream->AddStep(Stage::kJwt, Step::Result::kSkip, "jwt_authn: nothing is required here");
    return FilterStatus::kContinue;
  }
  if (stream->request->claims) {
    TakeClaims(stream);
    return FilterStatus::kContinue;
  }
  Verifier run(*this, stream);
  Result outcome = run.Verify(*requirement);
  if (outcome.ok()) {
    if (stream->trace) {
      const Provider* accepted = run.accepted();
      stream->AddStep(Stage::kJwt, Step::Result::kPass,
                      accepted != nullptr
                          ? "jwt_authn: a valid token of issuer " + accepted->config->issuer
                      : run.token_seen() ? "jwt_authn: no token counts, passes"
                                         : "jwt_authn: no token, passes",
                      accepted != nullptr ? accepted->config->origin : Origin());
    }
    return FilterStatus::kContinue;
  }
  Origin origin = outcome.provider != nullptr ? outcome.provider->config->origin : Origin();
  stream->AddStep(Stage::kJwt, Step::Result::kRefuse, "jwt_authn: " + outcome.status, origin);
  SendLocalReply(stream, Outcome::kDeny, outcome.status == kBadAudience ? 403 : 401,
                 "jwt_authn_access_denied{" + Underscored(outcome.status) + "}", outcome.status,
                 Stage::kJwt);
  stream->verdict->decided_by = origin;
  return FilterStatus::kStop;
}

}  // namespace meshproof

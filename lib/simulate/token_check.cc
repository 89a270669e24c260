// Asks the jwt_authn filter itself (envoy-facts section 2), so that a token gets here the answer
// that a request with it gets from `can`.

#include "simulate/token_check.h"

#include <algorithm>

#include "base/text.h"
#include "crypto/jwt.h"
#include "proxy/jwt.h"
#include "simulate/jwt_authn.h"
#include "simulate/jwt_probe.h"
#include "simulate/stream.h"

namespace meshproof {
namespace {

std::string IssuerOf(const std::string& token) {
  ParsedJwt parsed = ParseJwt(token);
  return parsed.status.ok() ? parsed.jwt.issuer.value_or("") : std::string();
}

const JwtProvider& ProviderFor(const JwtFilter& filter, const std::string& issuer) {
  for (const auto& provider : filter.providers) {
    if (provider.issuer == issuer) return provider;
  }
  return filter.providers.front();
}

bool SetsHeader(const JwtFilter& filter, std::string_view name) {
  for (const auto& provider : filter.providers) {
    if (EqualsIgnoreCase(provider.forward_payload_header, name)) return true;
    for (const auto& [header, claim] : provider.claim_to_headers) {
      if (EqualsIgnoreCase(header, name)) return true;
    }
  }
  return false;
}

TokenAnswer RunOnce(const JwtFilter& filter, const JwtAuthenticator& authenticator,
                    const ProxyRequest& request, const std::string& place,
                    OpenQuestions* questions) {
  TokenAnswer answer;
  answer.place = place;
  Verdict verdict;
  Stream stream;
  stream.request = &request;
  stream.questions = questions;
  stream.verdict = &verdict;
  stream.headers.method = "GET";
  stream.headers.path = request.path;
  for (const auto& [name, value] : request.headers) stream.headers.Append(name, value);
  stream.trace = true;
  if (authenticator.Run(&stream) == FilterStatus::kStop) {
    answer.kind = TokenAnswer::Kind::kRefused;
    answer.status = verdict.status;
    answer.body = verdict.body;
    answer.details = verdict.details;
    answer.origin = verdict.decided_by;
    return answer;
  }
  answer.kind = TokenAnswer::Kind::kAccepted;
  answer.status = 200;
  for (const auto& step : verdict.steps) {
    if (step.origin.object != nullptr) answer.origin = step.origin;
  }
  for (const auto& entry : stream.headers.entries()) {
    if (SetsHeader(filter, entry.name)) answer.headers.emplace_back(entry.name, entry.value);
  }
  return answer;
}

}  // namespace

TokenAnswer AskJwtFilter(const JwtFilter& filter, const std::string& token, int64_t now) {
  TokenAnswer answer;
  if (filter.providers.empty()) {
    answer.missing = "no rule says which tokens are taken";
    return answer;
  }
  KeySets key_sets;
  TokenCache tokens;
  JwtAuthenticator authenticator(filter, &key_sets, &tokens);
  ProxyRequest request;
  request.now = now;
  const std::string place = PlaceToken(ProviderFor(filter, IssuerOf(token)), token, &request);
  if (!authenticator.load_failure().empty()) {
    answer.missing = "Envoy refuses this configuration: " + authenticator.load_failure();
    answer.place = place;
    return answer;
  }
  OpenQuestions closed;
  answer = RunOnce(filter, authenticator, request, place, &closed);
  if (closed.asked().empty()) return answer;
  OpenQuestions open({true});
  TokenAnswer other = RunOnce(filter, authenticator, request, place, &open);
  if (other.kind == answer.kind && other.body == answer.body) return answer;
  TokenAnswer unknown;
  unknown.missing = closed.asked().front().reason;
  unknown.place = place;
  unknown.origin = other.origin;
  return unknown;
}

JwtFilter SingleProvider(JwtProvider provider) {
  JwtRequirement one;
  one.kind = JwtRequirement::Kind::kProvider;
  one.provider = provider.name;
  JwtRequirement missing;
  missing.kind = JwtRequirement::Kind::kAllowMissing;
  JwtRequirement any;
  any.kind = JwtRequirement::Kind::kAny;
  any.children = {one, missing};
  JwtFilter filter;
  filter.providers.push_back(std::move(provider));
  filter.rules.push_back({"/", any});
  filter.bypass_cors_preflight = true;
  return filter;
}

std::vector<TokenCheck> CheckToken(const Mesh& mesh, const std::string& token, int64_t now,
                                   const std::string* spare_keys) {
  std::vector<TokenCheck> checks;
  std::string issuer = IssuerOf(token);
  for (const auto& authentication : mesh.model().request_authentications) {
    auto filter = CompileJwtFilter(mesh, {&authentication}, mesh.config().root_namespace, false);
    if (!filter) continue;
    if (spare_keys != nullptr) FillKeys(*spare_keys, &*filter);
    for (auto& provider : filter->providers) {
      TokenCheck check;
      check.origin = provider.origin;
      check.issuer = provider.issuer;
      check.same_issuer = provider.issuer.empty() || provider.issuer == issuer;
      check.answer = AskJwtFilter(SingleProvider(std::move(provider)), token, now);
      checks.push_back(std::move(check));
    }
  }
  std::stable_sort(checks.begin(), checks.end(), [](const TokenCheck& a, const TokenCheck& b) {
    if (a.same_issuer != b.same_issuer) return a.same_issuer;
    std::string one = ToString(*a.origin.object), other = ToString(*b.origin.object);
    if (one != other) return one < other;
    return a.origin.rule < b.origin.rule;
  });
  return checks;
}

const JwtFilter* FindJwtFilter(const ProxyConfig& proxy) {
  for (const auto& listener : proxy.listeners) {
    for (const auto& chain : listener.filter_chains) {
      if (!chain.filters) continue;
      for (const auto& filter : *chain.filters) {
        const auto* manager = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
        if (manager == nullptr || *manager == nullptr) continue;
        for (const auto& http : (*manager)->http_filters) {
          if (const auto* jwt = std::get_if<JwtFilter>(&http)) return jwt;
        }
      }
    }
  }
  return nullptr;
}

void FillKeys(const std::string& keys, JwtFilter* filter) {
  for (auto& provider : filter->providers) {
    if (!provider.local_jwks) provider.local_jwks = keys;
  }
}

}  // namespace meshproof

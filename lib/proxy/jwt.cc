// All rules of all policies that reach a proxy are one list, sorted by issuer; the i-th becomes
// provider `origins-<i>`. One requirement over all of them: any provider that accepts, or, as long
// as no token stands where it looks, none at all (istio-semantics section 3).

#include "proxy/jwt.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace meshproof {
namespace {

struct RuleOrigin {
  const RequestAuthentication* authentication;
  const JwtRule* rule;
  int index;
};

// istiod looks at the workload's namespace first, then at the root namespace.
std::vector<RuleOrigin> SortedRules(
    const std::vector<const RequestAuthentication*>& authentications,
    const std::string& root_namespace) {
  std::vector<const RequestAuthentication*> ordered = authentications;
  std::stable_partition(ordered.begin(), ordered.end(), [&](const RequestAuthentication* one) {
    return one->meta.ns != root_namespace;
  });
  std::vector<RuleOrigin> rules;
  for (const RequestAuthentication* authentication : ordered) {
    for (size_t i = 0; i < authentication->jwt_rules.size(); ++i) {
      rules.push_back({authentication, &authentication->jwt_rules[i], static_cast<int>(i)});
    }
  }
  std::stable_sort(rules.begin(), rules.end(), [](const RuleOrigin& a, const RuleOrigin& b) {
    return a.rule->issuer.value < b.rule->issuer.value;
  });
  return rules;
}

std::vector<std::string> TextsOf(const TextList& list) {
  std::vector<std::string> strings;
  for (const Text& value : list.values) strings.emplace_back(value.value);
  return strings;
}

std::vector<std::string> SpaceDelimitedClaims(const TextList& own) {
  std::set<std::string> claims = {"permission", "scope"};
  for (const Text& claim : own.values) claims.emplace(claim.value);
  return {claims.begin(), claims.end()};
}

enum class JwksMode { kIstiod, kHybrid, kEnvoy };

JwksMode ModeOf(const Mesh& mesh) {
  const std::string mode = ToLower(mesh.Feature("PILOT_JWT_ENABLE_REMOTE_JWKS").value_or("false"));
  if (mode == "true" || mode == "hybrid") return JwksMode::kHybrid;
  return mode == "envoy" ? JwksMode::kEnvoy : JwksMode::kIstiod;
}

struct Endpoint {
  std::string host;
  std::string port;
};

Endpoint EndpointOf(std::string_view uri) {
  const bool secure = StartsWithIgnoreCase(uri, "https://");
  if (const size_t scheme = uri.find("://"); scheme != std::string_view::npos) {
    uri.remove_prefix(scheme + 3);
  }
  uri = uri.substr(0, uri.find_first_of("/?#"));
  if (const size_t user = uri.rfind('@'); user != std::string_view::npos) {
    uri.remove_prefix(user + 1);
  }
  Endpoint endpoint{std::string(uri), secure ? "443" : "80"};
  const size_t colon = uri.rfind(':');
  if (colon != std::string_view::npos && uri.find(']', colon) == std::string_view::npos) {
    endpoint.host = std::string(uri.substr(0, colon));
    endpoint.port = std::string(uri.substr(colon + 1));
  }
  return endpoint;
}

void SetKeys(const Mesh& mesh, const JwtRule& rule, JwtProvider* provider) {
  const JwksMode mode = ModeOf(mesh);
  if (mode != JwksMode::kIstiod && !rule.jwks_uri.value.empty()) {
    const Endpoint endpoint = EndpointOf(rule.jwks_uri.value);
    if (mode == JwksMode::kEnvoy || mesh.FindService(endpoint.host) != nullptr) {
      provider->remote_jwks_uri = std::string(rule.jwks_uri.value);
      provider->remote_jwks_cluster = "outbound|" + endpoint.port + "||" + endpoint.host;
      return;
    }
  }
  if (!rule.jwks.value.empty()) {
    provider->local_jwks = std::string(rule.jwks.value);
  } else if (!rule.jwks_uri.value.empty()) {
    provider->unfetched_jwks = std::string(rule.jwks_uri.value);
  } else {
    std::string_view issuer = rule.issuer.value;
    if (issuer.ends_with('/')) issuer.remove_suffix(1);
    provider->unfetched_jwks = std::string(issuer) + "/.well-known/openid-configuration";
  }
}

JwtProvider CompileProvider(const Mesh& mesh, const RuleOrigin& origin, size_t index,
                            bool clear_route_cache) {
  const JwtRule& rule = *origin.rule;
  JwtProvider provider;
  provider.name = "origins-" + std::to_string(index);
  provider.issuer = std::string(rule.issuer.value);
  provider.audiences = TextsOf(rule.audiences);
  SetKeys(mesh, rule, &provider);
  provider.forward = rule.forward_original_token;
  for (const JwtRule::Header& header : rule.from_headers) {
    provider.from_headers.push_back(
        {std::string(header.name.value), std::string(header.prefix.value)});
  }
  provider.from_params = TextsOf(rule.from_params);
  provider.from_cookies = TextsOf(rule.from_cookies);
  provider.forward_payload_header = std::string(rule.output_payload_to_header.value);
  for (const JwtRule::ClaimToHeader& claim : rule.output_claim_to_headers) {
    provider.claim_to_headers.emplace_back(claim.header.value, claim.claim.value);
  }
  provider.payload_in_metadata = "payload";
  provider.space_delimited_claims = SpaceDelimitedClaims(rule.space_delimited_claims);
  provider.clear_route_cache = clear_route_cache;
  provider.origin = {&origin.authentication->meta, origin.index, rule.span};
  return provider;
}

JwtRequirement Provider(const std::string& name) {
  JwtRequirement requirement;
  requirement.kind = JwtRequirement::Kind::kProvider;
  requirement.provider = name;
  return requirement;
}

JwtRequirement ProviderOrMissing(const std::string& name) {
  JwtRequirement requirement;
  requirement.kind = JwtRequirement::Kind::kAny;
  requirement.children = {Provider(name), JwtRequirement{}};
  return requirement;
}

JwtRequirement CompileRequirement(const std::vector<JwtProvider>& providers) {
  if (providers.size() == 1) return ProviderOrMissing(providers.front().name);
  JwtRequirement any;
  any.kind = JwtRequirement::Kind::kAny;
  JwtRequirement all;
  all.kind = JwtRequirement::Kind::kAll;
  for (const JwtProvider& provider : providers) {
    any.children.push_back(Provider(provider.name));
    all.children.push_back(ProviderOrMissing(provider.name));
  }
  any.children.push_back(std::move(all));
  return any;
}

}  // namespace

std::optional<JwtFilter> CompileJwtFilter(
    const Mesh& mesh, const std::vector<const RequestAuthentication*>& authentications,
    const std::string& root_namespace, bool clear_route_cache) {
  const std::vector<RuleOrigin> rules = SortedRules(authentications, root_namespace);
  if (rules.empty()) return std::nullopt;
  JwtFilter filter;
  for (size_t i = 0; i < rules.size(); ++i) {
    filter.providers.push_back(CompileProvider(mesh, rules[i], i, clear_route_cache));
  }
  filter.rules.push_back({"/", CompileRequirement(filter.providers)});
  filter.bypass_cors_preflight = true;
  // Envoy keeps providers in a map: by name, so origins-10 stands before origins-2.
  std::stable_sort(filter.providers.begin(), filter.providers.end(),
                   [](const JwtProvider& a, const JwtProvider& b) { return a.name < b.name; });
  return filter;
}

}  // namespace meshproof

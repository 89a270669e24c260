// Links what a dump holds with the manifests: policies by their keys, JWT providers by what stands
// in them.

#include "proxy/read_context.h"

#include <algorithm>

namespace meshproof {

std::optional<PolicyKey> ParsePolicyKey(std::string_view key) {
  PolicyKey out;
  constexpr std::string_view kCustom = "istio-ext-authz-", kNs = "ns[", kPolicy = "]-policy[",
                             kRule = "]-rule[";
  size_t ns = key.find(kNs);
  if (ns == std::string_view::npos) return std::nullopt;
  size_t policy = key.find(kPolicy, ns);
  size_t rule = policy == std::string_view::npos ? policy : key.find(kRule, policy);
  size_t end = rule == std::string_view::npos ? rule : key.find(']', rule + kRule.size());
  if (end == std::string_view::npos) return std::nullopt;
  out.ns = key.substr(ns + kNs.size(), policy - ns - kNs.size());
  out.name = key.substr(policy + kPolicy.size(), rule - policy - kPolicy.size());
  std::string_view number = key.substr(rule + kRule.size(), end - rule - kRule.size());
  if (number.empty() || number.size() > 6 ||
      number.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  out.rule = std::stoi(std::string(number));
  if (key.starts_with(kCustom) && ns > kCustom.size()) {
    out.provider = key.substr(kCustom.size(), ns - kCustom.size());
    if (out.provider.ends_with('-')) out.provider.remove_suffix(1);
  }
  return out;
}

ReadContext::ReadContext(std::shared_ptr<const Mesh> mesh) : mesh_(std::move(mesh)) {
  if (mesh_ == nullptr) return;
  for (const auto& policy : mesh_->model().authorization_policies) {
    policies_[{policy.meta.ns, std::string(policy.meta.name)}] = &policy;
  }
}

void ReadContext::NoteOpaque(std::string what, const Node& node) {
  // The same filter stands in many chains: it is named once a listener.
  for (const DumpOpaque& known : proxy->opaque) {
    if (known.what == what && known.where == where) return;
  }
  constexpr size_t kMany = 2000;
  if (proxy->opaque.size() < kMany) proxy->opaque.push_back({std::move(what), where, SpanOf(node)});
}

Origin ReadContext::OriginOf(const std::string& key, const Node& node) {
  Origin origin;
  origin.span = SpanOf(node);
  auto parsed = ParsePolicyKey(key);
  if (!parsed) return origin;
  origin.rule = parsed->rule;
  auto known = policies_.find({std::string(parsed->ns), std::string(parsed->name)});
  if (known != policies_.end()) {
    const AuthorizationPolicy& policy = *known->second;
    origin.object = &policy.meta;
    auto index = static_cast<size_t>(parsed->rule);
    origin.span = index < policy.rules.size() && policy.rules[index].span ? policy.rules[index].span
                                                                          : policy.meta.span;
    return origin;
  }
  ProxyConfig& config = *proxy->config;
  for (const auto& made : config.recovered) {
    if (made->ns == parsed->ns && made->name == parsed->name) {
      origin.object = made.get();
      return origin;
    }
  }
  struct Owned {
    std::string name;
    ObjectMeta meta;
  };
  auto owned = std::make_shared<Owned>();
  owned->name = std::string(parsed->name);
  owned->meta.kind = "AuthorizationPolicy";
  owned->meta.api_version = "security.istio.io/v1";
  owned->meta.name = owned->name;
  owned->meta.ns = std::string(parsed->ns);
  owned->meta.span = origin.span;
  owned->meta.file = file;
  origin.object = &owned->meta;
  config.recovered.push_back(std::shared_ptr<const ObjectMeta>(owned, &owned->meta));
  return origin;
}

namespace {

bool Same(const TextList& list, const std::vector<std::string>& texts) {
  return std::equal(list.values.begin(), list.values.end(), texts.begin(), texts.end(),
                    [](const Text& a, const std::string& b) { return a.value == b; });
}

// How much of a jwtRule stands in a provider: the keys count most, then where tokens are read.
int Likeness(const JwtRule& rule, const JwtProvider& provider) {
  bool keys = provider.local_jwks && rule.jwks.value == *provider.local_jwks;
  return (keys ? 32 : 0) + Same(rule.audiences, provider.audiences) * 16 +
         (rule.from_headers.size() == provider.from_headers.size()) * 8 +
         Same(rule.from_params, provider.from_params) * 4 +
         Same(rule.from_cookies, provider.from_cookies) * 2 +
         (rule.forward_original_token == provider.forward);
}

}  // namespace

Origin ReadContext::ProviderOrigin(const JwtProvider& provider, const Node& node) const {
  Origin origin;
  origin.span = SpanOf(node);
  if (mesh_ == nullptr || workload == nullptr) return origin;
  // Several objects may name one issuer: the one whose audiences, keys and headers agree.
  int best = -1;
  const PolicySet policies =
      service != nullptr ? mesh_->PoliciesFor(*workload, service) : mesh_->PoliciesFor(*workload);
  for (const auto* authentication : policies.request_authentications) {
    for (size_t i = 0; i < authentication->jwt_rules.size(); ++i) {
      const JwtRule& rule = authentication->jwt_rules[i];
      if (rule.issuer.value != provider.issuer) continue;
      int score = Likeness(rule, provider);
      if (score <= best) continue;
      best = score;
      origin.object = &authentication->meta;
      origin.rule = static_cast<int>(i);
      origin.span = rule.span;
    }
  }
  return origin;
}

EffectiveMode ReadContext::ModeFor(uint32_t port) const {
  if (mesh_ == nullptr || workload == nullptr || workload->mode != ProxyMode::kSidecar) return {};
  return mesh_->MtlsFor(*workload).ForPort(static_cast<int>(port));
}

const Workload* ReadContext::FindWorkload(std::string_view ns, std::string_view name) const {
  return mesh_ == nullptr ? nullptr : mesh_->FindWorkload(ns, name);
}

const MeshService* ReadContext::FindService(std::string_view host) const {
  return mesh_ == nullptr || host.empty() ? nullptr : mesh_->FindService(host);
}

}  // namespace meshproof

// Where the keys of a JWT rule come from. Over http anybody on the way from istiod can answer with
// keys of his own; private or symmetric keys in `jwks` let every reader of the policy sign tokens;
// a set without a usable key makes Envoy refuse the listener; of `jwks` and `jwksUri` together only
// one counts, and which depends on PILOT_JWT_ENABLE_REMOTE_JWKS (istio-semantics section 3).
#include <string>

#include "analyze/rule.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/jwt.h"

namespace meshproof::unsafe_jwt_keys {
namespace {

// "RSA" of a key that can sign, "" of one that cannot.
std::string SecretKind(const Json& key) {
  if (!key.is_object()) return "";
  const Json* type = key.Find("kty");
  std::string name = type != nullptr && type->is_string() ? std::string(type->as_string()) : "";
  if (key.Find("k") != nullptr || name == "oct") return "symmetric";
  if (key.Find("d") != nullptr) return "private " + name;
  return "";
}

std::string SecretIn(std::string_view text) {
  auto parsed = ParseJson(text);
  if (!parsed.ok() || !parsed.value().is_object()) return "";
  const Json* keys = parsed.value().Find("keys");
  if (keys == nullptr || !keys->is_array()) return SecretKind(parsed.value());
  for (const Json& key : keys->as_array()) {
    std::string kind = SecretKind(key);
    if (!kind.empty()) return kind;
  }
  return "";
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const RequestAuthentication& policy, const JwtRule& rule, size_t index) {
    policy_ = &policy;
    path_ = "spec.jwtRules[" + std::to_string(index) + "]";
    CheckUri(rule);
    CheckInline(rule);
    if (rule.jwks.value.empty() || rule.jwks_uri.value.empty()) return;
    auto mode = analysis_.mesh.Feature("PILOT_JWT_ENABLE_REMOTE_JWKS");
    bool remote = mode && (*mode == "true" || *mode == "hybrid" || *mode == "envoy");
    Report(remote ? rule.jwks.span : rule.jwks_uri.span, remote ? "jwks" : "jwksUri",
           std::string("both `jwks` and `jwksUri` are set: ") +
               (remote ? "here `jwksUri` wins" : "istiod takes the keys of `jwks`") +
               " and never looks at the other, so that rotating keys there changes nothing; keep "
               "one",
           "Keep one of `jwks` and `jwksUri`.");
  }

 private:
  void CheckUri(const JwtRule& rule) {
    if (!rule.jwks_uri.value.empty()) {
      if (!StartsWithIgnoreCase(rule.jwks_uri.value, "http://")) return;
      Report(rule.jwks_uri.span, "jwksUri",
             "the keys are fetched from `" + std::string(rule.jwks_uri.value) +
                 "` without TLS: whoever sits on the way can answer with keys of his own and then "
                 "sign any token; use https",
             "Use an https:// address.");
    } else if (rule.jwks.value.empty() && StartsWithIgnoreCase(rule.issuer.value, "http://")) {
      Report(rule.issuer.span, "issuer",
             "the keys are looked up below `" + std::string(rule.issuer.value) +
                 "` without TLS: whoever sits on the way can answer with keys of his own and then "
                 "sign any token; give a `jwksUri` with https, or `jwks`",
             "Add `jwksUri` with an https:// address.");
    }
  }

  void CheckInline(const JwtRule& rule) {
    if (rule.jwks.value.empty()) return;
    std::string secret = SecretIn(rule.jwks.value);
    if (!secret.empty()) {
      Finding* finding =
          Report(rule.jwks.span, "jwks",
                 "`jwks` holds a " + secret +
                     " key: everybody who can read this policy or a proxy's configuration can sign "
                     "tokens with it; put public keys here and replace this one, it is known now",
                 "Put the public keys here and rotate the key.");
      finding->istioctl_codes = {"IST0133"};
    }
    Jwks keys = Jwks::Parse(rule.jwks.value);
    if (keys.status().ok()) return;
    Report(rule.jwks.span, "jwks",
           "`jwks` has no key that Envoy can use (" + keys.status().text +
               "): Envoy refuses the listener, so that the workload keeps its old configuration or "
               "gets no traffic; add the issuer's public keys",
           "Add the issuer's public keys.");
  }

  Finding* Report(Span span, std::string_view field, std::string message, std::string fix) {
    Finding& finding = reporter_.Report(policy_->meta, span, std::move(message));
    finding.istioctl_codes.emplace();
    finding.field_path = path_ + "." + std::string(field);
    finding.detail = finding.message.substr(0, 24);
    finding.fix = std::move(fix);
    return &finding;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const RequestAuthentication* policy_ = nullptr;
  std::string path_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const RequestAuthentication& policy : analysis.model.request_authentications) {
    for (size_t i = 0; i < policy.jwt_rules.size(); ++i) {
      checker.Check(policy, policy.jwt_rules[i], i);
    }
  }
}

}  // namespace meshproof::unsafe_jwt_keys

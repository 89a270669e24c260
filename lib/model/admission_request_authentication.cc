// RequestAuthentication: what the webhook refuses beyond the schema (istio-semantics section 8).

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "model/admission.h"
#include "model/fields.h"
#include "model/go_values.h"

namespace meshproof {
namespace {

// The scheme of a URL as Go's net/url finds it, in lower case; "" where there is none.
std::string Scheme(std::string_view url) {
  size_t colon = url.find(':');
  if (colon == std::string_view::npos || colon == 0) return {};
  for (size_t i = 0; i < colon; ++i) {
    char c = url[i];
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
    if (!letter && (i == 0 || !other)) return {};
  }
  return ToLower(url.substr(0, colon));
}

// Refuses what Go's net/url surely does: control characters, blanks in the host, a port that is no
// number. Everything finer is accepted here.
bool IsUnparsableUrl(std::string_view url) {
  for (char c : url) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) return true;
  }
  size_t authority = url.find("://");
  if (authority == std::string_view::npos) return false;
  std::string_view host = url.substr(authority + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  if (size_t at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
  if (host.find_first_of(" <>\"") != std::string_view::npos) return true;
  if (!host.empty() && host.front() == '[') {
    size_t close = host.rfind(']');
    if (close == std::string_view::npos) return true;
    host.remove_prefix(close + 1);
    if (!host.empty() && host.front() != ':') return true;
  }
  size_t colon = host.rfind(':');
  if (colon == std::string_view::npos) return false;
  std::string_view port = host.substr(colon + 1);
  return !std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void AdmitJwksUri(const JwtRule& rule, Report& report) {
  if (rule.jwks_uri.value.empty()) return;
  if (IsUnparsableUrl(rule.jwks_uri.value)) {
    report.Refuse(rule.jwks_uri.span, Quote(rule.jwks_uri.value) + " is no URL");
    return;
  }
  std::string scheme = Scheme(rule.jwks_uri.value);
  if (scheme == "http" || scheme == "https") return;
  report.Refuse(rule.jwks_uri.span,
                scheme.empty() ? "`jwksUri` has no scheme: " + Quote(rule.jwks_uri.value)
                               : "`jwksUri` has the scheme " + Quote(scheme),
                "http:// and https:// are supported");
}

struct KeyType {
  std::string_view name;
  std::string_view needs[3];
};

constexpr KeyType kKeyTypes[] = {
    {"RSA", {"n", "e"}}, {"EC", {"crv", "x", "y"}}, {"OKP", {"crv", "x"}}, {"oct", {"k"}}};

// Why istiod's key parser refuses a key, "" where nothing speaks against it.
std::string KeyTrouble(const Json& key) {
  if (!key.is_object()) return "a key is no object";
  const Json* type = key.Find("kty");
  if (type == nullptr || !type->is_string()) return "a key has no `kty`";
  for (const KeyType& known : kKeyTypes) {
    if (known.name != type->as_string()) continue;
    for (std::string_view field : known.needs) {
      if (field.empty()) continue;
      const Json* value = key.Find(field);
      if (value == nullptr || !value->is_string()) {
        return "a key of type " + Quote(known.name) + " has no " + Quote(field);
      }
    }
    return {};
  }
  return "a key has the unknown type " + Quote(type->as_string());
}

std::string KeySetTrouble(const Json& set) {
  if (!set.is_object()) return "it is no JSON object";
  const Json* keys = set.Find("keys");
  if (keys == nullptr) {
    // A bare key is a set of one.
    return set.Find("kty") == nullptr ? "it has no `keys`" : KeyTrouble(set);
  }
  if (!keys->is_array()) return "`keys` is no list";
  for (const Json& key : keys->as_array()) {
    std::string trouble = KeyTrouble(key);
    if (!trouble.empty()) return trouble;
  }
  return {};
}

bool HoldsSecret(const Json& set) {
  const auto is_secret = [](const Json& key) {
    return key.Find("d") != nullptr || key.Find("k") != nullptr;
  };
  const Json* keys = set.Find("keys");
  if (keys == nullptr || !keys->is_array()) return is_secret(set);
  return std::any_of(keys->as_array().begin(), keys->as_array().end(), is_secret);
}

void AdmitJwks(const JwtRule& rule, Report& report) {
  if (rule.jwks.value.empty()) return;
  auto set = ParseJson(rule.jwks.value);
  if (!set.ok()) {
    report.Refuse(rule.jwks.span, "`jwks` is no JSON: " + set.error().message);
    return;
  }
  std::string trouble = KeySetTrouble(set.value());
  if (!trouble.empty()) {
    report.Refuse(rule.jwks.span, "`jwks` is no key set: " + trouble);
  } else if (HoldsSecret(set.value())) {
    report.Warn(rule.jwks.span, "`jwks` holds private or symmetric keys",
                "everybody who reads the policy can sign tokens; put the public keys here");
  }
}

bool IsHeaderName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
}

void AdmitClaimHeaders(const JwtRule& rule, Report& report) {
  for (const JwtRule::ClaimToHeader& claim : rule.output_claim_to_headers) {
    if (IsHeaderName(claim.header.value)) continue;
    report.Refuse(FirstSpan(claim.header.span, rule.span),
                  Quote(claim.header.value) + " is no header name");
  }
}

void AdmitTimeout(const JwtRule& rule, const Node* node, Report& report) {
  auto timeout = ParseGoDuration(rule.timeout);
  if (!timeout || *timeout % 1'000'000 == 0) return;
  report.Refuse(node == nullptr ? rule.span : report.SpanOf(*node),
                Quote(rule.timeout) + " is finer than a millisecond");
}

void AdmitJwtRule(const JwtRule& rule, const Node* node, Report& report) {
  if (rule.issuer.value.empty() && rule.jwks_uri.value.empty()) {
    report.Refuse(FirstSpan(rule.issuer.span, rule.span),
                  "a JWT rule needs an `issuer`, or at least a `jwksUri`");
  }
  AdmitJwksUri(rule, report);
  AdmitJwks(rule, report);
  AdmitClaimHeaders(rule, report);
  AdmitTimeout(rule, node == nullptr ? nullptr : node->Find("timeout"), report);
}

}  // namespace

void AdmitRequestAuthentication(const RequestAuthentication& policy, Report& report) {
  AdmitMetadata(policy.meta, false, report);
  AdmitSelector(policy.selector, report);
  AdmitTargetRefs(policy.target_refs, report);
  const Node* spec = policy.meta.node == nullptr ? nullptr : policy.meta.node->Find("spec");
  const Node* rules = spec == nullptr ? nullptr : spec->Find("jwtRules");
  for (size_t i = 0; i < policy.jwt_rules.size(); ++i) {
    const Node* node = rules != nullptr && rules->items().size() == policy.jwt_rules.size()
                           ? &rules->items()[i]
                           : nullptr;
    AdmitJwtRule(policy.jwt_rules[i], node, report);
  }
}

}  // namespace meshproof

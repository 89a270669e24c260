// Schemas of security.istio.io: PeerAuthentication, RequestAuthentication, AuthorizationPolicy.

#include "base/text.h"
#include "model/fields.h"
#include "model/go_values.h"
#include "model/schema.h"

namespace meshproof {
namespace {

using schema::Bool;
using schema::Enum;
using schema::Map;
using schema::Msg;
using schema::MsgMap;
using schema::Msgs;
using schema::Str;
using schema::Strs;

// A label value is at most 63 characters long in a selector.
constexpr FieldSchema kSelectorFields[] = {Map("matchLabels").Length(0, 63)};

void CheckTargetRefRule(const Node& ref, Report& report) {
  const Node* ns = ref.Find("namespace");
  if (ns == nullptr || !ns->IsString() || ns->text.empty()) return;
  report.Refuse(report.SpanOf(*ns), "a target in another namespace is not supported",
                "leave `namespace` out: the policy's own is meant");
}

constexpr FieldSchema kTargetRefFields[] = {
    Str("group").Length(0, 253), Str("kind").Length(1, 63).Required(),
    Str("name").Length(1, 253).Required(), Str("namespace")};

constexpr std::string_view kMtlsModes[] = {"UNSET", "DISABLE", "PERMISSIVE", "STRICT"};
constexpr FieldSchema kMtlsFields[] = {Enum("mode", kMtlsModes)};
constexpr MessageSchema kMtls{kMtlsFields};

void CheckPortLevelRule(const Node& spec, Report& report) {
  const Entry* ports = spec.FindEntry("portLevelMtls");
  if (ports == nullptr || !ports->value.IsMapping()) return;
  if (ports->value.entries().empty()) {
    report.Refuse(report.SpanOf(ports->value), "`portLevelMtls` is empty",
                  "name a port or leave the field out");
  }
  for (const Entry& entry : ports->value.entries()) {
    auto port = ParseUnsigned(entry.key.text);
    if (port && *port >= 1 && *port <= 65535) continue;
    report.Refuse(report.SpanOf(entry.key), Quote(entry.key.text) + " is no port: 1 to 65535 are");
  }
  const Node* selector = spec.Find("selector");
  const Node* labels = selector == nullptr ? nullptr : selector->Find("matchLabels");
  if (labels == nullptr || labels->entries().empty()) {
    report.Refuse(report.SpanOf(ports->key),
                  "`portLevelMtls` needs a selector with labels: a policy of a namespace or of the "
                  "mesh has no ports",
                  "add `selector.matchLabels`");
  }
}

constexpr FieldSchema kPeerAuthenticationFields[] = {
    Msg("selector", kSelectorSchema), Msg("mtls", kMtls), MsgMap("portLevelMtls", kMtls)};

constexpr FieldSchema kFromHeaderFields[] = {Str("name").Length(1).Required(), Str("prefix")};
constexpr MessageSchema kFromHeader{kFromHeaderFields};

constexpr FieldSchema kClaimToHeaderFields[] = {Str("header").Length(1).Required(),
                                                Str("claim").Length(1).Required()};
constexpr MessageSchema kClaimToHeader{kClaimToHeaderFields};

void CheckJwtRule(const Node& rule, Report& report) {
  const Node* last = nullptr;
  int set = 0;
  for (const Entry& entry : rule.entries()) {
    if (entry.value.IsNull()) continue;
    if (entry.key.text == "timeout" && entry.value.IsString()) {
      auto timeout = ParseGoDuration(entry.value.text);
      if (!timeout || *timeout < 1'000'000) {
        report.Refuse(report.SpanOf(entry.value),
                      Quote(entry.value.text) + " is no duration of at least 1ms");
      }
    }
    if (entry.key.text != "jwks" && entry.key.text != "jwksUri" && entry.key.text != "jwks_uri") {
      continue;
    }
    last = &entry.key;
    ++set;
  }
  if (set > 1) report.Refuse(report.SpanOf(*last), "only one of `jwks` and `jwksUri` can be set");
}

constexpr FieldSchema kJwtRuleFields[] = {Str("issuer").Length(1),
                                          Strs("audiences").Length(1),
                                          Str("jwksUri").Length(1, 2048),
                                          Str("jwks_uri").Length(1, 2048),
                                          Str("jwks"),
                                          Msgs("fromHeaders", kFromHeader),
                                          Strs("fromParams").Length(1),
                                          Str("outputPayloadToHeader"),
                                          Bool("forwardOriginalToken"),
                                          Msgs("outputClaimToHeaders", kClaimToHeader),
                                          Str("timeout"),
                                          Strs("fromCookies").Length(1),
                                          Strs("spaceDelimitedClaims").Length(1).Items(64),
                                          Str("presence")};
constexpr MessageSchema kJwtRule{kJwtRuleFields, CheckJwtRule};

constexpr FieldSchema kRequestAuthenticationFields[] = {
    Msg("selector", kSelectorSchema), Msg("targetRef", kTargetRefSchema),
    Msgs("targetRefs", kTargetRefSchema).Items(16), Msgs("jwtRules", kJwtRule).Items(4096)};

constexpr FieldSchema kSourceFields[] = {Strs("principals"),
                                         Strs("notPrincipals"),
                                         Strs("requestPrincipals"),
                                         Strs("notRequestPrincipals"),
                                         Strs("namespaces"),
                                         Strs("notNamespaces"),
                                         Strs("serviceAccounts").Length(0, 320).Items(16),
                                         Strs("notServiceAccounts").Length(0, 320).Items(16),
                                         Strs("trustDomains"),
                                         Strs("notTrustDomains"),
                                         Strs("ipBlocks"),
                                         Strs("notIpBlocks"),
                                         Strs("remoteIpBlocks"),
                                         Strs("notRemoteIpBlocks")};

void CheckSourceRule(const Node& source, Report& report) {
  const Node* accounts = nullptr;
  bool others = false;
  for (const Entry& entry : source.entries()) {
    if (entry.value.IsNull()) continue;
    std::string_view name = entry.key.text;
    if (name == "serviceAccounts" || name == "notServiceAccounts") accounts = &entry.key;
    others = others || name == "principals" || name == "notPrincipals" || name == "namespaces" ||
             name == "notNamespaces";
  }
  if (accounts == nullptr || !others) return;
  report.Refuse(report.SpanOf(*accounts),
                Quote(accounts->text) + " cannot be set together with principals or namespaces",
                "use two `from` entries, or name the identities by `principals` alone");
}

constexpr MessageSchema kSource{kSourceFields, CheckSourceRule};
constexpr FieldSchema kFromFields[] = {Msg("source", kSource)};
constexpr MessageSchema kFrom{kFromFields};

constexpr FieldSchema kOperationFields[] = {Strs("hosts"),    Strs("notHosts"), Strs("ports"),
                                            Strs("notPorts"), Strs("methods"),  Strs("notMethods"),
                                            Strs("paths"),    Strs("notPaths")};
constexpr MessageSchema kOperation{kOperationFields};
constexpr FieldSchema kToFields[] = {Msg("operation", kOperation)};
constexpr MessageSchema kTo{kToFields};

constexpr FieldSchema kConditionFields[] = {Str("key").Required(), Strs("values"),
                                            Strs("notValues")};
constexpr MessageSchema kCondition{kConditionFields};

constexpr FieldSchema kRuleFields[] = {Msgs("from", kFrom).Items(512), Msgs("to", kTo),
                                       Msgs("when", kCondition)};
constexpr MessageSchema kRule{kRuleFields};

constexpr FieldSchema kProviderFields[] = {Str("name")};
constexpr MessageSchema kProvider{kProviderFields};
constexpr std::string_view kActions[] = {"ALLOW", "DENY", "AUDIT", "CUSTOM"};

constexpr FieldSchema kAuthorizationPolicyFields[] = {
    Msg("selector", kSelectorSchema),
    Msg("targetRef", kTargetRefSchema),
    Msgs("targetRefs", kTargetRefSchema).Items(16),
    Msgs("rules", kRule).Items(512),
    Enum("action", kActions),
    Msg("provider", kProvider)};

}  // namespace

constexpr MessageSchema kSelectorSchema{kSelectorFields, CheckSelectorRule};
constexpr MessageSchema kTargetRefSchema{kTargetRefFields, CheckTargetRefRule};
constexpr MessageSchema kPeerAuthenticationSchema{kPeerAuthenticationFields, CheckPortLevelRule};
constexpr MessageSchema kRequestAuthenticationSchema{kRequestAuthenticationFields,
                                                     CheckAttachmentRule};
constexpr MessageSchema kAuthorizationPolicySchema{kAuthorizationPolicyFields, CheckAttachmentRule};

}  // namespace meshproof

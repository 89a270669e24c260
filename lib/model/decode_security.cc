// security.istio.io: PeerAuthentication, RequestAuthentication, AuthorizationPolicy; and what other
// kinds share with them (selectors, target references).

#include "base/text.h"
#include "model/decode.h"
#include "model/go_values.h"

namespace meshproof {
namespace {

MtlsMode ParseMode(const Text& text) {
  if (text.value == "DISABLE") return MtlsMode::kDisable;
  if (text.value == "PERMISSIVE") return MtlsMode::kPermissive;
  if (text.value == "STRICT") return MtlsMode::kStrict;
  return MtlsMode::kUnset;
}

TargetRef DecodeTargetRef(const Fields& ref) {
  TargetRef decoded;
  decoded.group = ref.String("group");
  decoded.kind = ref.String("kind");
  decoded.name = ref.String("name");
  decoded.ns = ref.String("namespace");
  decoded.span = ref.span();
  return decoded;
}

JwtRule DecodeJwtRule(const Fields& fields) {
  JwtRule rule;
  rule.issuer = fields.String("issuer");
  rule.audiences = fields.Strings("audiences");
  rule.jwks_uri = fields.String("jwksUri");
  if (!rule.jwks_uri.span) rule.jwks_uri = fields.String("jwks_uri");
  rule.jwks = fields.String("jwks");
  fields.ForEach("fromHeaders", [&](const Node& item) {
    Fields header(&item, fields.report(), "fromHeaders");
    if (header.present()) {
      rule.from_headers.push_back({header.String("name"), header.String("prefix")});
    }
  });
  rule.from_params = fields.Strings("fromParams");
  rule.from_cookies = fields.Strings("fromCookies");
  rule.output_payload_to_header = fields.String("outputPayloadToHeader");
  fields.ForEach("outputClaimToHeaders", [&](const Node& item) {
    Fields claim(&item, fields.report(), "outputClaimToHeaders");
    if (claim.present()) {
      rule.output_claim_to_headers.push_back({claim.String("header"), claim.String("claim")});
    }
  });
  rule.forward_original_token = fields.Bool("forwardOriginalToken");
  rule.space_delimited_claims = fields.Strings("spaceDelimitedClaims");
  rule.timeout = fields.View("timeout");
  rule.span = fields.span();
  return rule;
}

AuthorizationPolicy::Source DecodeSource(const Fields& from) {
  AuthorizationPolicy::Source source;
  Fields fields = from.Message("source");
  source.principals = fields.Strings("principals");
  source.not_principals = fields.Strings("notPrincipals");
  source.request_principals = fields.Strings("requestPrincipals");
  source.not_request_principals = fields.Strings("notRequestPrincipals");
  source.namespaces = fields.Strings("namespaces");
  source.not_namespaces = fields.Strings("notNamespaces");
  source.service_accounts = fields.Strings("serviceAccounts");
  source.not_service_accounts = fields.Strings("notServiceAccounts");
  source.trust_domains = fields.Strings("trustDomains");
  source.not_trust_domains = fields.Strings("notTrustDomains");
  source.ip_blocks = fields.Strings("ipBlocks");
  source.not_ip_blocks = fields.Strings("notIpBlocks");
  source.remote_ip_blocks = fields.Strings("remoteIpBlocks");
  source.not_remote_ip_blocks = fields.Strings("notRemoteIpBlocks");
  source.span = from.span();
  return source;
}

AuthorizationPolicy::Operation DecodeOperation(const Fields& to) {
  AuthorizationPolicy::Operation operation;
  Fields fields = to.Message("operation");
  operation.hosts = fields.Strings("hosts");
  operation.not_hosts = fields.Strings("notHosts");
  operation.methods = fields.Strings("methods");
  operation.not_methods = fields.Strings("notMethods");
  operation.paths = fields.Strings("paths");
  operation.not_paths = fields.Strings("notPaths");
  operation.ports = fields.Strings("ports");
  operation.not_ports = fields.Strings("notPorts");
  operation.span = to.span();
  return operation;
}

AuthorizationPolicy::Condition DecodeCondition(const Fields& fields) {
  AuthorizationPolicy::Condition condition;
  condition.key = fields.String("key");
  condition.values = fields.Strings("values");
  condition.not_values = fields.Strings("notValues");
  condition.span = fields.span();
  return condition;
}

AuthorizationPolicy::Rule DecodeRule(const Node& node, Report& report) {
  AuthorizationPolicy::Rule rule;
  rule.null = node.IsNull();
  rule.span = report.SpanOf(node);
  Fields fields(&node, report, "rules");
  fields.ForEach("from", [&](const Node& item) {
    rule.from.push_back(DecodeSource(Fields(&item, report, "from")));
    rule.from.back().span = report.SpanOf(item);
  });
  fields.ForEach("to", [&](const Node& item) {
    rule.to.push_back(DecodeOperation(Fields(&item, report, "to")));
    rule.to.back().span = report.SpanOf(item);
  });
  fields.ForEach("when", [&](const Node& item) {
    rule.when.push_back(DecodeCondition(Fields(&item, report, "when")));
    rule.when.back().span = report.SpanOf(item);
  });
  return rule;
}

AuthorizationPolicy::Action ParseAction(const Text& text) {
  using Action = AuthorizationPolicy::Action;
  if (text.value == "DENY") return Action::kDeny;
  if (text.value == "AUDIT") return Action::kAudit;
  if (text.value == "CUSTOM") return Action::kCustom;
  return Action::kAllow;
}

}  // namespace

Selector DecodeSelector(const Fields& spec, std::string_view key, std::string_view labels_key) {
  Fields fields = spec.Message(key);
  Selector selector;
  selector.present = fields.present();
  selector.has_match_labels = fields.Has(labels_key);
  selector.match_labels = fields.Map(labels_key);
  selector.span = fields.span();
  return selector;
}

std::vector<TargetRef> DecodeTargetRefs(const Fields& spec) {
  std::vector<TargetRef> refs;
  spec.ForEach("targetRefs", [&](const Node& item) {
    Fields ref(&item, spec.report(), "targetRefs");
    if (ref.present()) refs.push_back(DecodeTargetRef(ref));
  });
  Fields legacy = spec.Message("targetRef");
  if (refs.empty() && legacy.present()) refs.push_back(DecodeTargetRef(legacy));
  return refs;
}

PeerAuthentication DecodePeerAuthentication(const Fields& object, ObjectMeta meta) {
  PeerAuthentication policy;
  policy.meta = std::move(meta);
  Fields spec = object.Message("spec");
  policy.selector = DecodeSelector(spec, "selector", "matchLabels");
  Text mode = spec.Message("mtls").String("mode");
  policy.mode = ParseMode(mode);
  policy.mode_span = mode.span;
  spec.ForEachEntry("portLevelMtls", [&](const Node& key, const Node& value) {
    auto number = ParseUnsigned(key.text);
    if (!number || *number > 65535) return;
    Text port_mode = Fields(&value, object.report(), "portLevelMtls").String("mode");
    policy.ports.push_back({static_cast<int>(*number), ParseMode(port_mode),
                            FirstSpan(port_mode.span, object.report().SpanOf(key))});
  });
  return policy;
}

RequestAuthentication DecodeRequestAuthentication(const Fields& object, ObjectMeta meta) {
  RequestAuthentication policy;
  policy.meta = std::move(meta);
  Fields spec = object.Message("spec");
  policy.selector = DecodeSelector(spec, "selector", "matchLabels");
  policy.target_refs = DecodeTargetRefs(spec);
  spec.ForEach("jwtRules", [&](const Node& item) {
    Fields rule(&item, object.report(), "jwtRules");
    if (rule.present()) policy.jwt_rules.push_back(DecodeJwtRule(rule));
  });
  return policy;
}

AuthorizationPolicy DecodeAuthorizationPolicy(const Fields& object, ObjectMeta meta) {
  AuthorizationPolicy policy;
  policy.meta = std::move(meta);
  Fields spec = object.Message("spec");
  policy.selector = DecodeSelector(spec, "selector", "matchLabels");
  policy.target_refs = DecodeTargetRefs(spec);
  Text action = spec.String("action");
  policy.action = ParseAction(action);
  policy.action_span = action.span;
  Fields provider = spec.Message("provider");
  policy.has_provider = provider.present();
  policy.provider = provider.String("name");
  if (policy.has_provider && !policy.provider.span) policy.provider.span = provider.span();
  spec.ForEach("rules", [&](const Node& item) {
    policy.rules.push_back(DecodeRule(item, object.report()));
  });
  if (const std::string* dry_run = FindLabel(policy.meta.annotations, "istio.io/dry-run")) {
    policy.dry_run = ParseGoBool(*dry_run).value_or(false);
  }
  return policy;
}

}  // namespace meshproof

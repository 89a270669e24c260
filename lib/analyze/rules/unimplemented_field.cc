// Fields that the custom resource definitions accept and the release in question does not read
// (istio-semantics section 9), and definitions that are too old for it. Without a stated version
// the current release is meant: of the fields only `presence` of a JWT rule is then without effect,
// because no code of istiod reads it.
#include <array>
#include <optional>
#include <string>

#include "analyze/client_tls_sites.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"
#include "analyze/workload_index.h"
#include "base/text.h"

namespace meshproof::unimplemented_field {
namespace {

using Version = std::array<unsigned long, 3>;

// "v1.24.3-alpha", "1.24"; what stands behind the numbers does not count.
std::optional<Version> ParseVersion(std::string_view text) {
  if (text.starts_with('v')) text.remove_prefix(1);
  text = text.substr(0, text.find_first_of("-+ "));
  Version version{};
  std::vector<std::string_view> parts = Split(text, '.');
  if (parts.empty() || parts.size() > 3) return std::nullopt;
  for (size_t i = 0; i < parts.size(); ++i) {
    auto number = ParseUnsigned(parts[i]);
    if (!number) return std::nullopt;
    version[i] = *number;
  }
  return version;
}

std::string Text(const Version& version) {
  return std::to_string(version[0]) + "." + std::to_string(version[1]) + "." +
         std::to_string(version[2]);
}

// Collects the findings about fields that are younger than the stated version.
class FieldChecker {
 public:
  FieldChecker(Version version, Reporter& reporter) : version_(version), reporter_(reporter) {}

  void Need(Version since, const ObjectMeta& meta, Span span, std::string_view field,
            std::string_view obtained) {
    if (version_ >= since || !span) return;
    Finding& finding =
        reporter_.Report(meta, span,
                         "`" + std::string(field) + "` is known since Istio " + Text(since) +
                             ", and " + Text(version_) + " is stated: " + std::string(obtained) +
                             "; upgrade, or say it in fields that the release reads");
    finding.field_path = meta.node == nullptr ? "" : FieldPathAt(*meta.node, span.begin);
    finding.detail = field;
    finding.istioctl_codes.emplace();
    finding.fix = "Upgrade Istio, or use fields of the release that runs.";
  }

  void Policy(const AuthorizationPolicy& policy) {
    Targets(policy.meta, policy.target_refs);
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      for (const AuthorizationPolicy::Source& source : rule.from) {
        for (const TextList* list : {&source.service_accounts, &source.not_service_accounts}) {
          if (list->present) {
            Need({1, 25, 0}, policy.meta, list->span, "serviceAccounts",
                 "the field is dropped and the source tests the rest alone");
          }
        }
        for (const TextList* list : {&source.trust_domains, &source.not_trust_domains}) {
          if (list->present) {
            Need({1, 30, 2}, policy.meta, list->span, "trustDomains",
                 "the field is dropped and the source tests the rest alone");
          }
        }
      }
      for (const AuthorizationPolicy::Operation& operation : rule.to) {
        for (const TextList* list : {&operation.paths, &operation.not_paths}) {
          for (const auto& path : list->values) {
            if (path.value.find("{*}") == std::string_view::npos &&
                path.value.find("{**}") == std::string_view::npos) {
              continue;
            }
            Need({1, 22, 0}, policy.meta, path.span, "path templates",
                 "the braces are compared as they stand, so the path matches no request");
          }
        }
      }
      for (const AuthorizationPolicy::Condition& condition : rule.when) {
        if (condition.key.value == "source.serviceAccount") {
          Need({1, 25, 0}, policy.meta, condition.key.span, "source.serviceAccount",
               "the key is unknown and the rule is skipped");
        } else if (condition.key.value == "source.trustDomain") {
          Need({1, 30, 2}, policy.meta, condition.key.span, "source.trustDomain",
               "the key is unknown and the rule is skipped");
        }
      }
    }
  }

  void Authentication(const RequestAuthentication& policy) {
    Targets(policy.meta, policy.target_refs);
    for (const JwtRule& rule : policy.jwt_rules) {
      if (rule.issuer.value.empty()) {
        Need({1, 27, 0}, policy.meta, rule.span, "a JWT rule without issuer",
             "the policy is refused");
      }
      if (rule.space_delimited_claims.present) {
        Need({1, 28, 0}, policy.meta, rule.space_delimited_claims.span, "spaceDelimitedClaims",
             "the claims are compared whole");
      }
      if (rule.from_cookies.present) {
        Need({1, 21, 0}, policy.meta, rule.from_cookies.span, "fromCookies",
             "cookies are not looked into, so the token counts as missing");
      }
    }
  }

 private:
  void Targets(const ObjectMeta& meta, const std::vector<TargetRef>& refs) {
    for (const TargetRef& ref : refs) {
      if (ref.kind.value == "GatewayClass") {
        Need({1, 26, 0}, meta, ref.kind.span, "a GatewayClass as target", "nobody enforces it");
      } else if (ref.kind.value == "ServiceEntry") {
        Need({1, 24, 0}, meta, ref.kind.span, "a ServiceEntry as target", "nobody enforces it");
      } else if (ref.kind.value == "Service") {
        Need({1, 22, 0}, meta, ref.kind.span, "a Service as target", "nobody enforces it");
      } else {
        Need({1, 20, 0}, meta, ref.kind.span, "targetRefs",
             "the field is dropped and the policy applies to its whole namespace");
      }
    }
  }

  Version version_;
  Reporter& reporter_;
};

void CheckPresence(const Analysis& analysis, const RequestAuthentication& policy,
                   const WorkloadIndex& index, Reporter& reporter) {
  const Node* rules = NodeAt(policy.meta.node, {"spec", "jwtRules"});
  if (rules == nullptr) return;
  for (const Node& rule : rules->items()) {
    const Node* presence = NodeAt(&rule, {"presence"});
    if (presence == nullptr || presence->text != "REQUIRED") continue;
    Span span = SpanOf(policy.meta.file, *presence);
    Finding& finding = reporter.Report(
        policy.meta, span,
        "`presence: REQUIRED` is accepted and read by no release of istiod: a request without a "
        "token is still let in; require the token in an AuthorizationPolicy");
    finding.field_path = FieldPathAt(*policy.meta.node, presence->begin);
    finding.istioctl_codes.emplace();
    finding.fix =
        "Add an AuthorizationPolicy that denies `notRequestPrincipals: [\"*\"]` on the same "
        "workloads.";
    bool mesh_wide = policy.meta.ns == analysis.model.mesh_config.root_namespace;
    if (!policy.target_refs.empty()) continue;
    for (const Workload* workload :
         index.Selected(policy.selector.match_labels, mesh_wide ? "" : policy.meta.ns)) {
      auto port = FirstPort(analysis, *workload);
      if (!port) continue;
      Case question = PlaintextCase(*workload, port->port, port->protocol);
      question.name = "a request without a token";
      if (AttachWitness(analysis, question, Outcome::kAllow, &finding)) break;
    }
  }
}

// Settings that the current release reads otherwise than the stated one.
void CheckChangedDefaults(const Analysis& analysis, Version version, Reporter& reporter) {
  constexpr Version kAutoSni = {1, 21, 0};
  if (version >= kAutoSni) return;
  for (const DestinationRule& rule : analysis.model.destination_rules) {
    for (const TlsSite& site : TlsSitesOf(rule)) {
      if (site.tls == nullptr || !site.tls->sni.value.empty() ||
          (site.tls->mode != ClientTls::Mode::kSimple &&
           site.tls->mode != ClientTls::Mode::kMutual)) {
        continue;
      }
      Finding& finding = reporter.Report(
          rule.meta, site.FieldSpan("mode"),
          "no `sni` is set, and Istio " + Text(version) +
              " sends none of its own: a server with several names answers with the wrong "
              "certificate; from 1.21.0 on the request's host is sent, so write the `sni` down");
      finding.severity = Severity::kWarning;
      finding.istioctl_codes = {"IST0169"};
      finding.field_path = site.path;
      finding.detail = "sni";
      finding.fix = "Set `sni`.";
    }
  }
  for (const Service& service : analysis.model.services) {
    if (service.type != "ExternalName") continue;
    Finding& finding = reporter.Report(
        service.meta, service.meta.span,
        "Istio " + Text(version) +
            " treats this ExternalName as a host of its own, and from 1.21.0 on it is an alias of "
            "the one that it names: routes and policies for either then hold for both; look them "
            "over before the upgrade");
    finding.severity = Severity::kInfo;
    finding.istioctl_codes = {"IST0168"};
    finding.fix = "Compare the VirtualServices and DestinationRules of both hosts.";
  }
}

struct MinimumDefinition {
  std::string_view name;
  Version least;
};

// Bundle versions of the Gateway API under which istiod does not watch a kind (the current
// release).
constexpr MinimumDefinition kDefinitions[] = {
    {"backendtlspolicies.gateway.networking.k8s.io", {1, 4, 0}},
    {"grpcroutes.gateway.networking.k8s.io", {1, 1, 0}},
    {"tlsroutes.gateway.networking.k8s.io", {1, 5, 0}}};

void CheckDefinitions(const Analysis& analysis, Reporter& reporter) {
  constexpr std::string_view kBundle = "gateway.networking.k8s.io/bundle-version";
  bool any = false;
  for (const Model::Skipped& skipped : analysis.model.skipped) {
    any = any || skipped.kind == "CustomResourceDefinition";
  }
  for (const OtherObject& object : analysis.model.others) {
    any = any || object.meta.kind == "CustomResourceDefinition";
  }
  if (!any) return;
  for (const RawObject& object : ObjectsOf(analysis.objects, {"CustomResourceDefinition"})) {
    const Node* bundle = NodeAt(object.node, {"metadata", "annotations", kBundle});
    auto version = bundle == nullptr ? std::nullopt : ParseVersion(bundle->text);
    if (!version) continue;
    for (const MinimumDefinition& known : kDefinitions) {
      if (object.name != known.name || *version >= known.least) continue;
      Finding& finding = reporter.Report(
          NameOf(object), SpanOf(object.file, *bundle),
          "this definition is of Gateway API " + Text(*version) + ", and istiod reads it from " +
              Text(known.least) +
              " on: it does not watch the kind, so its objects route nothing and nobody says so; "
              "install a newer bundle");
      finding.field_path = "metadata.annotations." + std::string(kBundle);
      finding.istioctl_codes = {"IST0176"};
      finding.fix = "Install the Gateway API bundle " + Text(known.least) + " or a later one.";
    }
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  CheckDefinitions(analysis, reporter);
  if (!analysis.model.request_authentications.empty()) {
    const WorkloadIndex& index = *analysis.index;
    for (const RequestAuthentication& policy : analysis.model.request_authentications) {
      CheckPresence(analysis, policy, index, reporter);
    }
  }
  auto version = ParseVersion(analysis.istio_version);
  if (!version) return;
  CheckChangedDefaults(analysis, *version, reporter);
  FieldChecker checker(*version, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    checker.Policy(policy);
  }
  for (const RequestAuthentication& policy : analysis.model.request_authentications) {
    checker.Authentication(policy);
  }
}

}  // namespace meshproof::unimplemented_field

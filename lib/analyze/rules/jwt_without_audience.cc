// A JWT rule without `audiences`: the claim `aud` is not looked at (istio-semantics section 3), so
// a token that the issuer made for another service is as good as one for this.
#include <string>

#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"
#include "analyze/workload_index.h"
#include "base/json.h"

namespace meshproof::jwt_without_audience {
namespace {

void AttachForeignToken(const Analysis& analysis, const WorkloadIndex& index,
                        const RequestAuthentication& policy, const JwtRule& rule,
                        Finding* finding) {
  if (!policy.target_refs.empty() || rule.issuer.value.empty()) return;
  bool root = policy.meta.ns == analysis.model.mesh_config.root_namespace;
  for (const Workload* workload :
       index.Selected(policy.selector.match_labels, root ? "" : policy.meta.ns)) {
    if (workload->mode != ProxyMode::kSidecar) continue;
    auto port = FirstPort(analysis, *workload);
    if (!port || !(IsHttp(port->protocol) || port->protocol == Protocol::kAuto)) continue;
    auto question = MeshCase(analysis, *workload, port->port, port->protocol);
    if (!question) return;
    std::string issuer = WriteJson(Json(std::string(rule.issuer.value)));
    auto claims =
        ParseJson("{\"iss\":" + issuer + ",\"sub\":\"somebody\",\"aud\":\"another-service\"}");
    if (!claims.ok()) return;
    question->claims = claims.Take();
    AttachWitness(analysis, *question, Outcome::kAllow, finding);
    return;
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const WorkloadIndex& index = *analysis.index;
  for (const RequestAuthentication& policy : analysis.model.request_authentications) {
    for (size_t i = 0; i < policy.jwt_rules.size(); ++i) {
      const JwtRule& rule = policy.jwt_rules[i];
      if (!rule.audiences.empty()) continue;
      std::string issuer = rule.issuer.value.empty() ? std::string("any issuer")
                                                     : "`" + std::string(rule.issuer.value) + "`";
      Span span = rule.audiences.present ? rule.audiences.span
                  : rule.issuer.span     ? rule.issuer.span
                                         : rule.span;
      Finding& finding = reporter.Report(
          policy.meta, span,
          "no `audiences` for tokens of " + issuer +
              ": a token minted for another service (`aud: another-service`) is valid here too, so "
              "whoever receives one can replay it; list the audience that the issuer writes for "
              "this service");
      finding.field_path = "spec.jwtRules[" + std::to_string(i) + "]";
      finding.detail = "audiences";
      finding.fix = "Add `audiences` with the value that the issuer writes for this service.";
      AttachForeignToken(analysis, index, policy, rule, &finding);
    }
  }
}

}  // namespace meshproof::jwt_without_audience

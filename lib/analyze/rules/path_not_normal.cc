// What rules see of a path is what the mesh's normalization makes of it, without query and fragment
// (istio-semantics section 6, envoy-facts section 5). A value of `paths` that is no such path never
// matches. Values of another form altogether (regular expressions, stars) are value-never-as-meant.
#include "analyze/rule.h"
#include "analyze/value_forms.h"
#include "analyze/what_if.h"
#include "proxy/inbound.h"

namespace meshproof::path_not_normal {

void Check(const Analysis& analysis, Reporter& reporter) {
  const PathOptions options = PathOptionsOf(analysis.model.mesh_config);
  constexpr size_t kMostTried = 4;
  size_t tried = 0;
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    for (const PolicyValue& value : ValuesOf(policy)) {
      if (value.kind != PolicyValue::Kind::kPath || PathForm(value.text->value)) continue;
      auto problem = PathNotNormal(value.text->value, options);
      if (!problem) continue;
      const std::string written(value.text->value);
      std::string message = "`" + written + "` in `" + value.field +
                            "` equals no path that the proxy compares: " + problem->why + "; " +
                            EffectOfNoMatch(policy.action, value.negated);
      std::string instead = problem->meant.empty() ? "write the path as the application gets it"
                                                   : "write `" + problem->meant + "`";
      Finding& finding = reporter.Report(policy.meta, value.text->span, message + "; " + instead);
      finding.field_path = value.field_path;
      if (problem->meant.empty()) {
        finding.fix = "Write the path in its normal form.";
        continue;
      }
      finding.fix = "Write `" + problem->meant + "`.";
      finding.edits.push_back(EditOfValue(value.text->span, problem->meant));
      if (++tried > kMostTried) continue;
      auto what_if = WhatIf::Make(analysis, finding.edits);
      auto change = what_if == nullptr ? std::nullopt : what_if->FindChange(policy.meta);
      if (change) AttachChange(analysis, *change, "`" + problem->meant + "`", &finding);
    }
  }
}

}  // namespace meshproof::path_not_normal

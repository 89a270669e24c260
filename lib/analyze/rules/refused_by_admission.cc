// What the API server (schema, CEL rules of the CRDs) and istiod's webhook refuse or warn of:
// istio-semantics section 8. An object that is refused never reaches istiod, so a policy that is
// refused protects nothing.
#include <map>
#include <set>
#include <string>
#include <utility>

#include "analyze/diagnostic_places.h"
#include "analyze/rule.h"
#include "analyze/schema_checks.h"
#include "analyze/workload_index.h"

namespace meshproof::refused_by_admission {
namespace {

bool IsAdmission(Trouble trouble) {
  return trouble == Trouble::kRefused || trouble == Trouble::kWrongType ||
         trouble == Trouble::kAdmissionWarning;
}

bool IsPolicy(std::string_view kind) {
  return kind == "AuthorizationPolicy" || kind == "RequestAuthentication" ||
         kind == "PeerAuthentication";
}

// Warnings of the webhook that another rule decides exactly, for the workloads that are there:
// private keys in `jwks` have a rule of their own; a selector without labels and a DENY rule
// without ports are said here only in passing, the latter not at all where no TCP port is met.
bool IsSaidElsewhere(std::string_view path) {
  return path.ends_with(".jwks");
}

bool IsSaidInPassing(std::string_view kind, std::string_view path) {
  std::string plain = WithoutIndexes(path);
  return plain.starts_with("spec.selector") ||
         (kind == "AuthorizationPolicy" && plain.starts_with("spec.rules"));
}

std::string Consequence(const Diagnostic& diagnostic, const ObjectName& object) {
  if (diagnostic.trouble == Trouble::kAdmissionWarning) return {};
  if (diagnostic.message.find("is refused: ") == std::string::npos) return {};
  if (IsPolicy(object.kind)) return "; it never reaches the mesh, which runs without this policy";
  return "; it never reaches the mesh, which runs without it";
}

// Policies whose DENY rules meet no TCP port: those at waypoints and gateways by `targetRefs`, and
// those whose workloads have HTTP ports alone.
class HttpOnlyPolicies {
 public:
  explicit HttpOnlyPolicies(const Analysis& analysis)
      : analysis_(analysis), index_(*analysis.index) {
    for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
      policies_[{policy.meta.ns, std::string(policy.meta.name)}] = &policy;
    }
  }

  bool Has(const ObjectName& object) const {
    auto found = policies_.find({object.ns, object.name});
    if (found == policies_.end()) return false;
    const AuthorizationPolicy& policy = *found->second;
    if (!policy.target_refs.empty()) return true;
    const bool root = policy.meta.ns == analysis_.model.mesh_config.root_namespace;
    bool any = false;
    for (const Workload* workload :
         index_.Selected(policy.selector.match_labels, root ? "" : policy.meta.ns)) {
      if (workload->mode == ProxyMode::kAmbient) return false;
      for (const InboundPort& port : analysis_.mesh.InboundPorts(*workload)) {
        if (!IsHttp(port.protocol)) return false;
        any = true;
      }
    }
    return any;
  }

 private:
  const Analysis& analysis_;
  const WorkloadIndex& index_;
  std::map<std::pair<std::string, std::string>, const AuthorizationPolicy*> policies_;
};

void ReportDiagnostic(const Diagnostic& diagnostic, const DiagnosticPlace& place,
                      Reporter& reporter) {
  bool warning = diagnostic.trouble == Trouble::kAdmissionWarning;
  if (warning && IsSaidElsewhere(place.path)) return;
  std::string message = diagnostic.message + Consequence(diagnostic, place.object);
  if (!diagnostic.help.empty()) message += "; " + diagnostic.help;
  Finding& finding = reporter.Report(place.object, diagnostic.span, std::move(message));
  finding.field_path = place.path;
  finding.detail = diagnostic.message;
  finding.fix = warning ? "Change the field so that it says what is meant."
                        : "Correct the field; the message names what is allowed.";
  if (warning) {
    bool passing = IsSaidInPassing(place.object.kind, place.path);
    finding.severity = passing ? Severity::kInfo : Severity::kWarning;
    finding.istioctl_codes = {"IST0133"};
  } else {
    finding.istioctl_codes = {"IST0106"};
    if (diagnostic.message.find("is no regular expression") != std::string::npos) {
      finding.istioctl_codes->push_back("IST0122");
    }
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  DiagnosticPlaces places(analysis.model, analysis.objects);
  std::optional<HttpOnlyPolicies> http_only;
  std::set<std::pair<const SourceFile*, uint32_t>> said;
  const auto report = [&](const Diagnostic& diagnostic) {
    if (!IsAdmission(diagnostic.trouble)) return;
    said.emplace(diagnostic.span.file, diagnostic.span.begin);
    const DiagnosticPlace place = places.Of(diagnostic);
    if (diagnostic.trouble == Trouble::kAdmissionWarning &&
        place.object.kind == "AuthorizationPolicy" &&
        WithoutIndexes(place.path).starts_with("spec.rules")) {
      if (!http_only) http_only.emplace(analysis);
      if (http_only->Has(place.object)) return;
    }
    ReportDiagnostic(diagnostic, place, reporter);
  };
  for (const Diagnostic& diagnostic : analysis.model.diagnostics) report(diagnostic);
  for (const Diagnostic& diagnostic : CheckSchemas(analysis.model)) {
    if (!said.contains({diagnostic.span.file, diagnostic.span.begin})) report(diagnostic);
  }
}

}  // namespace meshproof::refused_by_admission

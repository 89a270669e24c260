// What the API server (schema, CEL rules of the CRDs) and istiod's webhook refuse or warn of:
// istio-semantics section 8. An object that is refused never reaches istiod, so a policy that is
// refused protects nothing.
#include <set>
#include <utility>

#include "analyze/diagnostic_places.h"
#include "analyze/rule.h"
#include "analyze/schema_checks.h"

namespace meshproof {
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
// without ports are said here only in passing.
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
  }
}

}  // namespace

void CheckRefusedByAdmission(const Analysis& analysis, Reporter& reporter) {
  DiagnosticPlaces places(analysis.model);
  std::set<std::pair<const SourceFile*, uint32_t>> said;
  const auto report = [&](const Diagnostic& diagnostic) {
    if (!IsAdmission(diagnostic.trouble)) return;
    said.emplace(diagnostic.span.file, diagnostic.span.begin);
    ReportDiagnostic(diagnostic, places.Of(diagnostic), reporter);
  };
  for (const Diagnostic& diagnostic : analysis.model.diagnostics) report(diagnostic);
  for (const Diagnostic& diagnostic : CheckSchemas(analysis.model)) {
    if (!said.contains({diagnostic.span.file, diagnostic.span.begin})) report(diagnostic);
  }
}

}  // namespace meshproof

// What could not be read: the reader says why and goes on behind it (istio-semantics knows no such
// objects: the API server never sees them).
#include "analyze/diagnostic_places.h"
#include "analyze/rule.h"

namespace meshproof::broken_document {
namespace {

// "; what stands in it is not judged" in the words that fit.
std::string_view Consequence(Trouble trouble) {
  switch (trouble) {
    case Trouble::kUnreadable:
      return "; nothing of it is judged, and what it holds may change every other answer";
    case Trouble::kTemplate:
      return "; templates are not objects, so nothing of this document is judged";
    default:
      return "; nothing of this document is judged, kubectl refuses it as well, and the other "
             "documents are judged without it";
  }
}

std::string_view Fix(Trouble trouble) {
  switch (trouble) {
    case Trouble::kUnreadable:
      return "Make the file readable, or list it under `ignore` in .meshproof.yaml.";
    case Trouble::kTemplate:
      return "Give meshproof what the template makes: helm template CHART | meshproof analyze -.";
    default:
      return "Correct the syntax at the place that is marked.";
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  DiagnosticPlaces places(analysis.model, analysis.objects);
  for (const Diagnostic& diagnostic : analysis.model.diagnostics) {
    if (diagnostic.trouble != Trouble::kSyntax && diagnostic.trouble != Trouble::kUnreadable &&
        diagnostic.trouble != Trouble::kTemplate) {
      continue;
    }
    std::string message = diagnostic.message + std::string(Consequence(diagnostic.trouble));
    if (!diagnostic.help.empty()) message += "; " + diagnostic.help;
    // A document that cannot be read is no object; the mesh config stands in one that can.
    DiagnosticPlace place = places.Of(diagnostic);
    Finding& finding = reporter.Report(place.in_mesh_config ? place.object : ObjectName{},
                                       diagnostic.span, std::move(message));
    finding.fix = Fix(diagnostic.trouble);
    finding.detail = diagnostic.message;
    if (diagnostic.span) finding.field_path = place.in_mesh_config ? place.path : "";
  }
}

}  // namespace meshproof::broken_document

// A path that a policy keeps out, written in another way that the proxy does not undo: what the
// proxy compares is the path after the mesh's normalization (istio-semantics section 6,
// envoy-facts section 5), what the application serves is its own reading of it.
#include "analyze/rule.h"
#include "analyze/slips.h"

namespace meshproof::path_spelling_bypass {
namespace {

std::string_view Name(PathNormalization normalization) {
  switch (normalization) {
    case PathNormalization::kNone:
      return "NONE";
    case PathNormalization::kMergeSlashes:
      return "MERGE_SLASHES";
    case PathNormalization::kDecodeAndMergeSlashes:
      return "DECODE_AND_MERGE_SLASHES";
    default:
      return "BASE";
  }
}

// Whether a stronger normalization of the mesh makes the two one.
bool NormalizationHelps(const Slip& slip) {
  PathOptions strongest;
  strongest.normalize = true;
  strongest.merge_slashes = true;
  strongest.escaped_slashes = EscapedSlashes::kUnescapeAndForward;
  return NormalizePath(slip.spelling.sent, strongest).path == slip.spelling.covered;
}

void Report(const Analysis& analysis, const AuthorizationPolicy& policy, const Slip& slip,
            Reporter& reporter) {
  const Spelling& spelling = slip.spelling;
  std::string_view normalization = Name(analysis.model.mesh_config.path_normalization);
  std::string message = "`" + spelling.sent + "` (" + spelling.how + ") gets through where `" +
                        spelling.covered + "` is refused: under the normalization " +
                        std::string(normalization) + " the proxy compares `" + spelling.seen +
                        "`, and ";
  message += spelling.parameters
                 ? "an application that cuts path parameters off, as servlet containers do, serves "
                   "it as `"
                 : "many applications serve it as `";
  message += spelling.covered + "`; ";
  bool helps = NormalizationHelps(slip);
  std::string fix =
      helps ? "set `pathNormalization` of the mesh to DECODE_AND_MERGE_SLASHES, or allow the paths "
              "that are meant to be open"
            : "allow the paths that are meant to be open instead";
  message += fix;
  Finding& finding = reporter.Report(policy.meta, slip.value.span, std::move(message));
  if (spelling.parameters) finding.severity = Severity::kWarning;
  finding.field_path = slip.field_path;
  fix.front() = static_cast<char>(fix.front() - 'a' + 'A');
  finding.fix = fix + ".";
  AttachSlip(analysis, slip, &finding);
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    for (const Slip& slip : FindSlips(analysis, policy, SlipKind::kSpelling)) {
      Report(analysis, policy, slip, reporter);
    }
  }
}

}  // namespace meshproof::path_spelling_bypass

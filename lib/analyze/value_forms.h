#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/finding.h"
#include "match/path.h"
#include "model/model.h"

// Values of AuthorizationPolicies whose form cannot do what was meant: istiod reads one star at one
// end, `{*}` and `{**}` in paths, and everything else as it stands (istio-semantics sections 1.4 to
// 1.6). No mesh is needed to tell.
namespace meshproof {

struct FormProblem {
  std::string why;    // a clause: "it is compared as it stands, star included"
  std::string meant;  // a value that does what was meant; "" where none is certain
};

std::optional<FormProblem> PathForm(std::string_view value);
std::optional<FormProblem> HostForm(std::string_view value);
std::optional<FormProblem> MethodForm(std::string_view value);
std::optional<FormProblem> PrincipalForm(std::string_view value, const MeshConfig& config);
std::optional<FormProblem> NamespaceForm(std::string_view value);
std::optional<FormProblem> RequestPrincipalForm(std::string_view value,
                                                const std::vector<std::string_view>& issuers);
// Values of `when` conditions on headers, claims and the like.
std::optional<FormProblem> PlainForm(std::string_view value);
std::optional<FormProblem> ServerNameForm(std::string_view value);

// A value of `paths` that no path has once the proxy has normalised it.
std::optional<FormProblem> PathNotNormal(std::string_view value, const PathOptions& options);

// One value of a policy with its place.
struct PolicyValue {
  const Text* text = nullptr;
  std::string field;       // "paths", "notPaths", "when request.headers[x]"
  std::string field_path;  // "spec.rules[0].to[0].operation.paths[1]"
  enum class Kind {
    kPath,
    kHost,
    kMethod,
    kPrincipal,
    kNamespace,
    kRequestPrincipal,
    kPlain,
    kServerName,
  } kind = Kind::kPlain;
  bool negated = false;
};

// Every value of a policy that is compared with text, in the order of the rules.
std::vector<PolicyValue> ValuesOf(const AuthorizationPolicy& policy);

// What a value that never matches does to its rule, as a clause: "the rule denies nothing by it".
std::string EffectOfNoMatch(AuthorizationPolicy::Action action, bool negated);

// Replaces the value at `span`, in quotes whether it has some or not.
Edit EditOfValue(const Span& span, const std::string& value);

}  // namespace meshproof

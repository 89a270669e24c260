// Values whose form says something that istiod does not read: a star within, regular expressions,
// `spiffe://` written out, identities of another shape, capitals where there are none
// (istio-semantics sections 1.4 to 1.6). Such a value matches nothing, or not what was meant.
#include <set>
#include <vector>

#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/value_forms.h"
#include "analyze/what_if.h"

namespace meshproof::value_never_as_meant {
namespace {

using Kind = PolicyValue::Kind;

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const RequestAuthentication& authentication : analysis.model.request_authentications) {
      for (const JwtRule& rule : authentication.jwt_rules) issuers_.push_back(rule.issuer.value);
    }
  }

  void Check() {
    std::set<const Node*> decoded;
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      decoded.insert(policy.meta.node);
      for (const PolicyValue& value : ValuesOf(policy)) {
        if (auto problem = ProblemOf(value)) Report(policy, value, *problem);
      }
    }
    // A path with other braces than `{*}` is refused on admission, which is said by its own rule;
    // here only what was meant.
    for (const RawObject& object : ObjectsOf(analysis_.objects, {"AuthorizationPolicy"})) {
      if (!decoded.contains(object.node)) CheckRefused(object);
    }
  }

 private:
  std::optional<FormProblem> ProblemOf(const PolicyValue& value) const {
    std::string_view text = value.text->value;
    switch (value.kind) {
      case Kind::kPath:
        return PathForm(text);
      case Kind::kHost:
        return HostForm(text);
      case Kind::kMethod:
        return MethodForm(text);
      case Kind::kPrincipal:
        return PrincipalForm(text, analysis_.model.mesh_config);
      case Kind::kNamespace:
        return NamespaceForm(text);
      case Kind::kRequestPrincipal:
        return RequestPrincipalForm(text, issuers_);
      case Kind::kServerName:
        return ServerNameForm(text);
      case Kind::kPlain:
        break;
    }
    return PlainForm(text);
  }

  void Report(const AuthorizationPolicy& policy, const PolicyValue& value,
              const FormProblem& problem) {
    const std::string written(value.text->value);
    std::string message = "`" + written + "` in `" + value.field +
                          "` does not say what was meant: " + problem.why + "; " +
                          EffectOfNoMatch(policy.action, value.negated);
    std::string instead = Instead(value, problem);
    Finding& finding = reporter_.Report(policy.meta, value.text->span, message + "; " + instead);
    finding.field_path = value.field_path;
    instead.front() = static_cast<char>(instead.front() - 'a' + 'A');
    finding.fix = instead + ".";
    if (problem.meant.empty()) return;
    finding.edits.push_back(EditOfValue(value.text->span, problem.meant));
    constexpr size_t kMostTried = 4;
    if (++tried_ > kMostTried) return;
    auto what_if = WhatIf::Make(analysis_, finding.edits);
    auto change = what_if == nullptr ? std::nullopt : what_if->FindChange(policy.meta);
    if (change) AttachChange(analysis_, *change, "`" + problem.meant + "`", &finding);
  }

  static std::string Instead(const PolicyValue& value, const FormProblem& problem) {
    if (!problem.meant.empty()) return "write `" + problem.meant + "`";
    switch (value.kind) {
      case Kind::kPath:
        return "list the paths, with `{*}` for one segment";
      case Kind::kMethod:
        return "list the methods one by one";
      case Kind::kPrincipal:
        return "list the identities, or use `namespaces` or `serviceAccounts`";
      case Kind::kNamespace:
        return "list the namespaces by name";
      case Kind::kRequestPrincipal:
        return "write `ISSUER/SUBJECT`, or `ISSUER/*` for any subject";
      default:
        return "list the values, each with at most one star at one end";
    }
  }

  void CheckRefused(const RawObject& object) {
    const Node* rules = NodeAt(object.node, {"spec", "rules"});
    if (rules == nullptr) return;
    for (const Node& rule : rules->items()) {
      const Node* to = rule.Find("to");
      if (to == nullptr) continue;
      for (const Node& item : to->items()) {
        const Node* operation = item.Find("operation");
        if (operation == nullptr) continue;
        for (const char* list : {"paths", "notPaths"}) {
          const Node* paths = operation->Find(list);
          if (paths == nullptr) continue;
          for (const Node& path : paths->items()) CheckRefusedPath(object, list, path);
        }
      }
    }
  }

  void CheckRefusedPath(const RawObject& object, const std::string& list, const Node& path) {
    if (path.text.find('{') == std::string_view::npos) return;
    auto problem = PathForm(path.text);
    if (!problem) return;
    Span span = SpanOf(object.file, path);
    Finding& finding = reporter_.Report(
        NameOf(object), span,
        "`" + std::string(path.text) + "` in `" + list + "` is no template: " + problem->why +
            "; admission refuses the policy, and it protects nothing; " +
            (problem->meant.empty() ? "write `{*}` for one segment"
                                    : "write `" + problem->meant + "`"));
    finding.severity = Severity::kInfo;
    finding.field_path = FieldPathOf(*object.node, span);
    finding.fix = "Write `{*}` for one segment, `{**}` for the rest.";
    if (!problem->meant.empty()) finding.edits.push_back(EditOfValue(span, problem->meant));
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::vector<std::string_view> issuers_;
  size_t tried_ = 0;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Check();
}

}  // namespace meshproof::value_never_as_meant

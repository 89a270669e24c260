// A field that the schema does not know is pruned by the API server (structural schemas), so the
// policy means what it says without it (istio-semantics section 8, "Typos"). Says which field was
// probably meant and what the rest of the object now does, with a request that is judged otherwise
// once the field is spelled as it was probably meant, or at least one that shows what is left.
#include <algorithm>
#include <optional>

#include "analyze/diagnostic_places.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "analyze/schema_checks.h"
#include "analyze/what_if.h"
#include "analyze/witness_cases.h"
#include "analyze/workload_index.h"

namespace meshproof::unknown_field {
namespace {

// One dropped field.
struct Dropped {
  const Diagnostic& diagnostic;
  DiagnosticPlace place;
  std::string key;     // as written
  std::string meant;   // nearest known one; "" where none is near
  std::string around;  // path of the mapping without indexes: "spec.rules.from.source"
  const Node* mapping = nullptr;
  const Node* value = nullptr;
};

// The word in backquotes of "did you mean `x`?".
std::string MeantOf(const Diagnostic& diagnostic) {
  size_t open = diagnostic.help.find("did you mean `");
  if (open == std::string::npos) return {};
  open += std::string_view("did you mean `").size();
  size_t close = diagnostic.help.find('`', open);
  return close == std::string::npos ? std::string() : diagnostic.help.substr(open, close - open);
}

Dropped Describe(const Diagnostic& diagnostic, DiagnosticPlace place) {
  Dropped dropped{diagnostic, std::move(place), {}, MeantOf(diagnostic), {}, nullptr, nullptr};
  if (dropped.place.root == nullptr) return dropped;
  dropped.around = WithoutIndexes(ParentPath(dropped.place.path));
  dropped.mapping = MappingOfKey(*dropped.place.root, diagnostic.span.begin);
  if (dropped.mapping == nullptr) return dropped;
  for (const Entry& entry : dropped.mapping->entries()) {
    if (entry.key.begin != diagnostic.span.begin) continue;
    dropped.key = entry.key.text;
    dropped.value = &entry.value;
  }
  return dropped;
}

bool IsEmpty(const Node& node) {
  if (node.IsSequence()) return node.items().empty();
  if (node.IsMapping()) return node.entries().empty();
  return node.IsNull();
}

// Fields that stay in the mapping, as a list for a sentence; "" where none does.
std::string Remaining(const Dropped& dropped) {
  constexpr std::string_view kSource[] = {
      "principals",   "requestPrincipals", "namespaces",     "serviceAccounts",
      "trustDomains", "ipBlocks",          "remoteIpBlocks", "hosts",
      "ports",        "methods",           "paths"};
  std::vector<std::string> names;
  for (const Entry& entry : dropped.mapping->entries()) {
    if (IsEmpty(entry.value)) continue;
    for (std::string_view known : kSource) {
      std::string negated = "not" + std::string(known);
      negated[3] = static_cast<char>(negated[3] - 'a' + 'A');
      if (entry.key.text == known || entry.key.text == negated) {
        names.push_back("`" + std::string(entry.key.text) + "`");
      }
    }
  }
  return ListNames(names);
}

bool Denies(const Dropped& dropped) {
  const Node* action = NodeAt(dropped.place.root, {"spec", "action"});
  return action != nullptr && action->text == "DENY";
}

std::string InWholeNamespace(const Analysis& analysis, const Dropped& dropped) {
  bool root = dropped.place.object.ns == analysis.model.mesh_config.root_namespace;
  return root ? "the policy applies to every workload of the mesh"
              : "the policy applies to every workload of namespace " + dropped.place.object.ns;
}

std::string AuthorizationEffect(const Analysis& analysis, const Dropped& dropped) {
  std::string_view around = dropped.around;
  if (around == "spec.rules.from.source" || around == "spec.rules.to.operation") {
    std::string_view what = around.ends_with("source") ? "source" : "operation";
    std::string rest = Remaining(dropped);
    if (rest.empty()) {
      return "the " + std::string(what) +
             " is left empty, and admission refuses the whole policy: it protects nothing";
    }
    return "the " + std::string(what) + " tests " + rest + " alone and " +
           (Denies(dropped) ? "denies" : "admits") + " more than it says";
  }
  if (around == "spec.rules" || around == "spec.rules.from" || around == "spec.rules.to") {
    std::string part = dropped.meant.empty() ? dropped.key : dropped.meant;
    return "the rule does not test `" + part + "` at all and " +
           (Denies(dropped) ? "denies" : "admits") + " whatever its other parts match";
  }
  if (around == "spec.rules.when") {
    return "the condition is left without it; without `values` and `notValues` admission refuses "
           "the whole policy";
  }
  if (around == "spec.selector") {
    return "the selector has no labels, so " + InWholeNamespace(analysis, dropped);
  }
  if (around != "spec") return {};
  if (dropped.meant == "selector" || dropped.meant == "targetRefs" ||
      dropped.meant == "targetRef") {
    return "nothing limits it: " + InWholeNamespace(analysis, dropped);
  }
  if (dropped.meant == "rules") {
    return Denies(dropped) ? "a DENY policy without rules is refused: nothing is denied"
                           : "an ALLOW policy without rules matches nothing: all requests are "
                             "denied";
  }
  if (dropped.meant == "action") return "the action stays ALLOW";
  return {};
}

std::string PeerEffect(const Analysis& analysis, const Dropped& dropped) {
  if (dropped.around == "spec.selector" || dropped.meant == "selector") {
    return "the selector has no labels, so " + InWholeNamespace(analysis, dropped);
  }
  if (dropped.around.starts_with("spec.portLevelMtls") || dropped.meant == "portLevelMtls") {
    return "the port keeps the mode of the workload";
  }
  if (dropped.around != "spec" && dropped.around != "spec.mtls") return {};
  EffectiveMode mode = analysis.mesh.NamespaceMtls(dropped.place.object.ns);
  std::string inherited = mode.mode == MtlsMode::kStrict    ? "STRICT"
                          : mode.mode == MtlsMode::kDisable ? "DISABLE"
                                                            : "PERMISSIVE";
  return "no mode is set, so the one around it holds: " + inherited +
         (mode.mode == MtlsMode::kStrict ? "" : ", and plaintext is accepted");
}

std::string JwtEffect(const Analysis& analysis, const Dropped& dropped) {
  if (dropped.around == "spec.selector" || dropped.meant == "selector") {
    return InWholeNamespace(analysis, dropped);
  }
  if (dropped.around == "spec" && dropped.meant == "jwtRules") {
    return "no token is checked: a forged one passes as if there were none";
  }
  if (dropped.around != "spec.jwtRules") return {};
  if (dropped.meant == "audiences") return "a token that was issued for another audience is valid";
  if (dropped.meant == "jwksUri" || dropped.meant == "jwks") {
    return "the keys are looked up at the issuer's own discovery document";
  }
  if (dropped.meant.starts_with("from")) {
    return "the token is looked for in the Authorization header and the query parameter "
           "access_token alone";
  }
  return {};
}

std::string ClientTlsEffect(const Dropped& dropped) {
  if (!dropped.around.ends_with(".tls")) return {};
  if (dropped.meant == "mode") return "the mode is DISABLE: the traffic leaves in plaintext";
  if (dropped.meant == "subjectAltNames") {
    return "a server with any name passes that the CA vouches for";
  }
  if (dropped.meant == "caCertificates") return "the CAs of the operating system are trusted";
  return {};
}

std::string GatewayEffect(const Dropped& dropped) {
  if (dropped.around == "spec" && dropped.meant == "selector") {
    return "it applies to every gateway of the mesh";
  }
  if (dropped.around != "spec.servers.tls") return {};
  if (dropped.meant == "mode") return "the mode is PASSTHROUGH: the gateway terminates no TLS";
  if (dropped.meant == "httpsRedirect") return "plain HTTP is served and not redirected";
  if (dropped.meant == "minProtocolVersion") return "the floor stays at the mesh's default";
  return {};
}

std::string MeshConfigEffect(const Dropped& dropped) {
  if (dropped.around == "data.mesh.outboundTrafficPolicy" ||
      dropped.meant == "outboundTrafficPolicy") {
    return "outbound traffic to unknown hosts stays allowed (ALLOW_ANY)";
  }
  if (dropped.around == "data.mesh.pathNormalization" || dropped.meant == "pathNormalization") {
    return "paths are normalised by the default (BASE) and compared so";
  }
  if (dropped.meant == "failOpen") return "requests are refused while the authorizer is down";
  return "istiod reads the mesh config without it";
}

std::string EffectOf(const Analysis& analysis, const Dropped& dropped) {
  std::string effect;
  std::string_view kind = dropped.place.object.kind;
  if (dropped.mapping == nullptr) return {};
  if (dropped.place.in_mesh_config) return MeshConfigEffect(dropped);
  if (kind == "AuthorizationPolicy") effect = AuthorizationEffect(analysis, dropped);
  if (kind == "PeerAuthentication") effect = PeerEffect(analysis, dropped);
  if (kind == "RequestAuthentication") effect = JwtEffect(analysis, dropped);
  if (kind == "DestinationRule") effect = ClientTlsEffect(dropped);
  if (kind == "Gateway") effect = GatewayEffect(dropped);
  if (!effect.empty()) return effect;
  return dropped.around.empty() ? "everything in it is lost"
                                : "what it was to set stays at its default";
}

const AuthorizationPolicy* FindPolicy(const Model& model, const ObjectName& name) {
  for (const AuthorizationPolicy& policy : model.authorization_policies) {
    if (policy.meta.name == name.name && policy.meta.ns == name.ns) return &policy;
  }
  return nullptr;
}

// A request from outside the mesh; nothing where the workload has no declared port.
std::optional<Case> RequestTo(const Analysis& analysis, const Workload& workload,
                              std::string name) {
  auto port = FirstPort(analysis, workload);
  if (!port) return std::nullopt;
  Case question = PlaintextCase(workload, port->port, port->protocol);
  question.name = std::move(name);
  return question;
}

// A plaintext request from outside the mesh, which a STRICT port would refuse.
void ShowPlaintext(const Analysis& analysis, const WorkloadIndex& index, const Dropped& dropped,
                   Finding* finding) {
  for (const PeerAuthentication& policy : analysis.model.peer_authentications) {
    if (policy.meta.name != dropped.place.object.name ||
        policy.meta.ns != dropped.place.object.ns) {
      continue;
    }
    bool mesh_wide = policy.meta.ns == analysis.model.mesh_config.root_namespace;
    for (const Workload* workload :
         index.Selected(policy.selector.match_labels, mesh_wide ? "" : policy.meta.ns)) {
      if (workload->mode != ProxyMode::kSidecar) continue;
      auto question = RequestTo(analysis, *workload, "plaintext from outside the mesh");
      if (question && AttachWitness(analysis, *question, Outcome::kAllow, finding)) return;
    }
  }
}

bool IsTheOnlyAllow(const Analysis& analysis, const Workload& workload,
                    const AuthorizationPolicy& policy) {
  PolicySet set = analysis.mesh.PoliciesFor(workload);
  return set.allow.size() == 1 && set.allow.front() == &policy;
}

bool Lists(const Node& values, const Workload& client) {
  return std::any_of(values.items().begin(), values.items().end(), [&](const Node& value) {
    return value.text == client.ns || value.text.find(client.service_account) != value.text.npos ||
           value.text.find('*') != value.text.npos;
  });
}

// A caller that the dropped field leaves out and the rest of the source lets in.
void ShowCaller(const Analysis& analysis, const WorkloadIndex& index, const Dropped& dropped,
                Finding* finding) {
  const AuthorizationPolicy* policy = FindPolicy(analysis.model, dropped.place.object);
  if (policy == nullptr || policy->action != AuthorizationPolicy::Action::kAllow ||
      dropped.value == nullptr || !dropped.value->IsSequence() || !policy->target_refs.empty()) {
    return;
  }
  bool mesh_wide = policy->meta.ns == analysis.model.mesh_config.root_namespace;
  constexpr size_t kMostTried = 8;
  size_t tried = 0;
  for (const Workload* server :
       index.Selected(policy->selector.match_labels, mesh_wide ? "" : policy->meta.ns)) {
    if (!IsTheOnlyAllow(analysis, *server, *policy)) continue;
    for (const Workload& client : analysis.mesh.workloads()) {
      if (client.identity.empty() || Lists(*dropped.value, client)) continue;
      if (++tried > kMostTried) return;
      auto question = RequestTo(analysis, *server, "a caller that the dropped field does not name");
      if (!question) break;
      question->from_outside = false;
      question->tls = CaseTls::kAuto;
      question->from_workload = client.ns + "/" + client.name;
      if (AttachWitness(analysis, *question, Outcome::kAllow, finding)) return;
    }
  }
}

// A workload that the lost selector did not name and that the policy now shuts off.
void ShowOtherWorkload(const Analysis& analysis, const WorkloadIndex& index, const Dropped& dropped,
                       Finding* finding) {
  const AuthorizationPolicy* policy = FindPolicy(analysis.model, dropped.place.object);
  if (policy == nullptr || policy->action != AuthorizationPolicy::Action::kAllow) return;
  const Node* labels = dropped.value;
  if (const Node* inner = labels == nullptr ? nullptr : labels->Find("matchLabels")) labels = inner;
  if (labels == nullptr || !labels->IsMapping()) return;
  Labels meant;
  for (const Entry& entry : labels->entries()) {
    if (entry.value.kind == NodeKind::kScalar) meant.emplace_back(entry.key.text, entry.value.text);
  }
  if (meant.empty()) return;
  bool mesh_wide = policy->meta.ns == analysis.model.mesh_config.root_namespace;
  for (const Workload* workload : index.Selected({}, mesh_wide ? "" : policy->meta.ns)) {
    if (Selects(meant, workload->labels) || !IsTheOnlyAllow(analysis, *workload, *policy)) continue;
    auto question =
        RequestTo(analysis, *workload, "a request to a workload that the selector did not name");
    if (question && AttachWitness(analysis, *question, Outcome::kDeny, finding)) return;
  }
}

void AddEvidence(const Analysis& analysis, const WorkloadIndex& index, const Dropped& dropped,
                 Finding* finding) {
  std::string_view kind = dropped.place.object.kind;
  if (kind == "PeerAuthentication" &&
      (dropped.around == "spec.mtls" || (dropped.around == "spec" && dropped.meant == "mtls"))) {
    ShowPlaintext(analysis, index, dropped, finding);
  } else if (kind == "AuthorizationPolicy" && dropped.around == "spec.rules.from.source") {
    ShowCaller(analysis, index, dropped, finding);
  } else if (kind == "AuthorizationPolicy" &&
             (dropped.around == "spec.selector" || dropped.meant == "selector")) {
    ShowOtherWorkload(analysis, index, dropped, finding);
  }
}

bool DecidesRequests(std::string_view kind) {
  return kind == "AuthorizationPolicy" || kind == "PeerAuthentication" ||
         kind == "RequestAuthentication";
}

// A request that is newly let in or shut out by the loss of the field: the one that is shown
// already, where the field decides about it.
void ShowChange(const Analysis& analysis, const Dropped& dropped, Finding* finding) {
  if (dropped.meant.empty() || !DecidesRequests(dropped.place.object.kind)) return;
  auto what_if = WhatIf::Make(analysis, finding->edits);
  if (what_if == nullptr) return;
  const std::string meant = "`" + dropped.meant + "`";
  if (finding->witness) {
    bool let_in = finding->witness->verdict.outcome == Outcome::kAllow;
    auto then = what_if->Judge(finding->witness->question);
    bool differs = then && *then != Outcome::kUndetermined && (*then == Outcome::kAllow) != let_in;
    if (differs) {
      SayChange(finding->witness->question, let_in, meant, finding);
      return;
    }
  }
  if (auto change = what_if->FindChange(dropped.place.object)) {
    AttachChange(analysis, *change, meant, finding);
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  DiagnosticPlaces places(analysis.model, analysis.objects);
  std::vector<Diagnostic> diagnostics;
  for (const Diagnostic& diagnostic : analysis.model.diagnostics) {
    if (diagnostic.trouble == Trouble::kUnknownField) diagnostics.push_back(diagnostic);
  }
  for (Diagnostic& diagnostic : CheckSchemas(analysis.model)) {
    if (diagnostic.trouble != Trouble::kUnknownField) continue;
    bool said = std::any_of(diagnostics.begin(), diagnostics.end(), [&](const Diagnostic& other) {
      return other.span.file == diagnostic.span.file && other.span.begin == diagnostic.span.begin;
    });
    if (!said) diagnostics.push_back(std::move(diagnostic));
  }
  if (diagnostics.empty()) return;
  const WorkloadIndex& index = *analysis.index;
  constexpr size_t kMostTried = 6;
  size_t tried = 0;
  for (const Diagnostic& diagnostic : diagnostics) {
    Dropped dropped = Describe(diagnostic, places.Of(diagnostic));
    std::string message = dropped.place.in_mesh_config
                              ? "the mesh config has no field `" + dropped.key + "`"
                              : diagnostic.message;
    std::string effect = EffectOf(analysis, dropped);
    if (!effect.empty()) message += "; without it " + effect;
    if (!diagnostic.help.empty()) message += "; " + diagnostic.help;
    Finding& finding = reporter.Report(dropped.place.object, diagnostic.span, std::move(message));
    finding.field_path = dropped.place.path;
    if (dropped.meant.empty()) {
      // A newer release may know it.
      if (dropped.place.in_mesh_config) finding.severity = Severity::kInfo;
      finding.fix = "Remove the field, or move it to where the API knows it.";
    } else {
      finding.fix = "Write `" + dropped.meant + "`.";
      finding.edits.push_back({diagnostic.span, dropped.meant});
    }
    AddEvidence(analysis, index, dropped, &finding);
    if (++tried <= kMostTried) ShowChange(analysis, dropped, &finding);
  }
}

}  // namespace meshproof::unknown_field

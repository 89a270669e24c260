// Tokens are an HTTP matter: ztunnel never looks at them and a waypoint looks at
// RequestAuthentications with targetRefs alone (istio-semantics sections 1.1 and 7.3).
#include <algorithm>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/witness_cases.h"

namespace meshproof::tokens_unchecked {
namespace {

// A token of the right form that nobody signed.
Case::Token Forged(const RequestAuthentication& policy) {
  // {"alg":"RS256","kid":"x"} and {"iss":"x"}
  Case::Token token;
  token.text = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJ4In0.Zm9yZ2Vk";
  for (const JwtRule& rule : policy.jwt_rules) {
    if (rule.from_headers.empty()) continue;
    token.header = std::string(rule.from_headers.front().name.value);
    token.prefix = std::string(rule.from_headers.front().prefix.value);
    break;
  }
  return token;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), view_(analysis.views->Ambient()) {}

  void Run() {
    for (const RequestAuthentication& policy : analysis_.model.request_authentications) {
      if (policy.target_refs.empty()) {
        CheckSelected(policy);
      } else {
        for (const TargetRef& ref : policy.target_refs) CheckTarget(policy, ref);
      }
    }
  }

 private:
  Finding& Report(const RequestAuthentication& policy, Span span, std::string message) {
    Finding& finding = reporter_.Report(policy.meta, span, std::move(message));
    finding.field_path = FieldPathOf(*policy.meta.node, span);
    finding.istioctl_codes.emplace();
    finding.fix = "Name the Service in `targetRefs` and put a waypoint before it.";
    return finding;
  }

  void CheckSelected(const RequestAuthentication& policy) {
    std::vector<const Workload*> ambient;
    const Workload* waypoint = nullptr;
    bool others = false;
    for (const Workload* workload : view_.Selected(policy.meta, policy.selector)) {
      if (workload->mode == ProxyMode::kAmbient) {
        ambient.push_back(workload);
      } else if (workload->mode == ProxyMode::kWaypoint) {
        waypoint = workload;
      } else {
        others = true;
      }
    }
    const bool selects = !policy.selector.match_labels.empty();
    const Span place = policy.selector.span ? policy.selector.span : policy.meta.span;
    if (ambient.empty()) {
      const bool root = policy.meta.ns == analysis_.model.mesh_config.root_namespace;
      if (waypoint == nullptr || (!selects && (others || root))) return;
      Finding& finding = Report(
          policy, place,
          "waypoint " + waypoint->ns + "/" + waypoint->name +
              " looks at RequestAuthentications with `targetRefs` only, so tokens are not checked "
              "there; name its Gateway in `targetRefs`");
      if (selects) finding.istioctl_codes = {"IST0166"};
      return;
    }
    AmbientView::Way way;
    for (const Workload* workload : ambient) {
      const std::vector<AmbientView::Way> ways = view_.WaypointsBefore(*workload);
      if (!ways.empty() && way.waypoint == nullptr) way = ways.front();
    }
    std::string message =
        "ztunnel checks no tokens, so at " + NameAll(ambient) + " a forged or expired one passes; ";
    if (way.waypoint != nullptr) {
      const std::string target = way.service == nullptr
                                     ? "Gateway " + std::string(way.waypoint->gateway->meta.name)
                                     : "Service " + way.service->name;
      message += "waypoint " + NameOf(*way.waypoint) +
                 " ignores this policy without `targetRefs`: "
                 "name " +
                 target + " there";
    } else {
      message += "put a waypoint before it and name the Service in `targetRefs`";
    }
    Finding& finding = Report(policy, place, std::move(message));
    if (!selects && others) finding.severity = Severity::kWarning;
    for (const Workload* workload : ambient) {
      for (const InboundPort& port : analysis_.mesh.InboundPorts(*workload)) {
        if (TryForged(policy, *workload, port, &finding)) return;
      }
    }
  }

  bool TryForged(const RequestAuthentication& policy, const Workload& workload,
                 const InboundPort& port, Finding* finding) {
    std::vector<std::string> callers = {""};
    if (const Workload* client = view_.Client(&workload))
      callers.insert(callers.begin(), client->identity);
    for (const AuthorizationPolicy* allow : analysis_.mesh.PoliciesFor(workload).allow) {
      for (const AuthorizationPolicy::Rule& rule : allow->rules) {
        for (const AuthorizationPolicy::Source& source : rule.from) {
          if (source.principals.empty()) continue;
          const std::string_view principal = source.principals.values.front().value;
          if (principal.find('*') == std::string_view::npos) callers.emplace_back(principal);
        }
      }
    }
    for (const std::string& caller : callers) {
      auto question = DirectRequest(view_, workload, port.port, port.protocol, caller);
      if (!question || question->protocol == WireProtocol::kTcp) continue;
      question->tokens.push_back(Forged(policy));
      if (AttachWitness(analysis_, *question, Outcome::kAllow, finding)) return true;
    }
    return false;
  }

  void CheckTarget(const RequestAuthentication& policy, const TargetRef& ref) {
    if (ref.kind.value != "Service" && ref.kind.value != "ServiceEntry") return;
    const MeshService* service = view_.FindService(ref.kind.value, policy.meta.ns, ref.name.value);
    if (service == nullptr) return;
    const WaypointChoice choice = analysis_.mesh.WaypointFor(*service);
    if (choice.waypoint != nullptr) return;
    const Workload* behind = nullptr;
    for (const size_t index : service->workloads) {
      const Workload& workload = analysis_.mesh.workloads()[index];
      if (workload.mode == ProxyMode::kAmbient) behind = &workload;
    }
    if (behind == nullptr) return;
    const Span span = ref.name.span ? ref.name.span : ref.span;
    Finding& finding =
        Report(policy, span,
               "no waypoint stands before " + std::string(ref.kind.value) + " " + service->name +
                   " (" + choice.reason + "), and ztunnel checks no tokens, so at " + behind->ns +
                   "/" + behind->name + " a forged one passes; give it a waypoint");
    finding.fix = "Give the Service a waypoint.";
    for (const InboundPort& port : analysis_.mesh.InboundPorts(*behind)) {
      if (TryForged(policy, *behind, port, &finding)) return;
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const AmbientView& view_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::tokens_unchecked

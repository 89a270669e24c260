// Who looks at a policy depends on how it is attached (istio-semantics section 1.1): waypoints take
// targetRefs alone, sidecars and ztunnels selectors alone. Found here: a policy about HTTP, by
// selector, of workloads behind a waypoint; a selector that means a waypoint's own pods; a
// targetRef to what no waypoint stands before.
#include <algorithm>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/witness_cases.h"

namespace meshproof::policy_at_wrong_proxy {
namespace {

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), view_(analysis.views->Ambient()) {}

  void Run() {
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      if (!policy.target_refs.empty()) {
        for (const TargetRef& ref : policy.target_refs) CheckTarget(policy, ref);
      } else if (!CheckSelectsWaypoint(policy)) {
        CheckBehindWaypoint(policy);
      }
    }
  }

 private:
  static Span SelectorPlace(const AuthorizationPolicy& policy) {
    return policy.selector.span ? policy.selector.span : policy.meta.span;
  }

  Finding& Report(const AuthorizationPolicy& policy, Span span, std::string message) {
    Finding& finding = reporter_.Report(policy.meta, span, std::move(message));
    finding.field_path = FieldPathOf(*policy.meta.node, span);
    finding.istioctl_codes.emplace();
    return finding;
  }

  // Its selector, or its namespace in which nothing else runs, means a waypoint's own proxy.
  bool CheckSelectsWaypoint(const AuthorizationPolicy& policy) {
    const bool selects = !policy.selector.match_labels.empty();
    if (!selects && policy.meta.ns == analysis_.model.mesh_config.root_namespace) return false;
    const std::vector<const Workload*> selected = view_.Selected(policy.meta, policy.selector);
    if (selected.empty()) return false;
    const auto is_waypoint = [](const Workload* workload) {
      return workload->mode == ProxyMode::kWaypoint;
    };
    const auto first = std::find_if(selected.begin(), selected.end(), is_waypoint);
    if (first == selected.end()) return false;
    if (!selects && !std::all_of(selected.begin(), selected.end(), is_waypoint)) return false;
    const Workload& waypoint = **first;
    const std::string gateway =
        waypoint.gateway == nullptr ? waypoint.name : std::string(waypoint.gateway->meta.name);
    Finding& finding = Report(
        policy, SelectorPlace(policy),
        std::string(selects ? "this selector means" : "this namespace holds") + " waypoint " +
            waypoint.ns + "/" + gateway + " alone, and waypoints look at policies with " +
            "`targetRefs` only, so nobody enforces this one; name Gateway " + gateway +
            " in `targetRefs`");
    finding.detail = "waypoint";
    finding.fix = "Name the Gateway in `targetRefs` in place of the selector.";
    if (selects) finding.istioctl_codes = {"IST0166"};
    if (waypoint.gateway != nullptr) {
      finding.related.push_back({waypoint.gateway->meta.span, "the waypoint"});
    }
    return true;
  }

  const ZtunnelPolicy* Sent(const AuthorizationPolicy& policy) const {
    return view_.ztunnel().Find(policy.meta.ns + "/" + std::string(policy.meta.name));
  }

  void CheckBehindWaypoint(const AuthorizationPolicy& policy) {
    if (!view_.any()) return;
    const ZtunnelPolicy* sent = Sent(policy);
    if (sent == nullptr || policy.dry_run) return;
    const auto speaks_of_http = [](const ZtunnelLoss& loss) {
      return !IsTrustDomainField(loss.field);
    };
    const auto loss = std::find_if(sent->losses.begin(), sent->losses.end(), speaks_of_http);
    if (loss == sent->losses.end()) return;
    std::vector<const Workload*> behind;
    AmbientView::Way way;
    for (const Workload* workload : view_.Reached(policy.meta, policy.selector)) {
      const std::vector<AmbientView::Way> ways = view_.WaypointsBefore(*workload);
      if (ways.empty()) continue;
      if (behind.empty()) way = ways.front();
      behind.push_back(workload);
    }
    if (behind.empty()) return;
    const std::string target = way.service == nullptr
                                   ? "Gateway " + std::string(way.waypoint->gateway->meta.name)
                                   : "Service " + way.service->name;
    Finding& finding =
        Report(policy, SelectorPlace(policy),
               "waypoint " + NameOf(*way.waypoint) + " stands before " + NameAll(behind) +
                   " and ignores policies " +
                   (policy.selector.present ? "by `selector`" : "without `targetRefs`") + ", so `" +
                   loss->field + "` is evaluated nowhere; name " + target + " in `targetRefs`");
    finding.fix = "Name " + target + " in `targetRefs`.";
    finding.related.push_back({way.waypoint->gateway->meta.span, "the waypoint that ignores it"});
    if (way.service == nullptr || policy.action != AuthorizationPolicy::Action::kDeny) return;
    auto question =
        RequestOf(view_, analysis_, policy, static_cast<size_t>(loss->rule), *behind.front());
    if (!question || way.service->ports.empty()) return;
    question->to_workload.clear();
    question->to_host = way.service->host;
    question->to_port = way.service->ports.front().port;
    AttachWitness(analysis_, *question, Outcome::kAllow, &finding);
  }

  static std::string ModeText(const Workload& workload) {
    return workload.mode == ProxyMode::kSidecar ? "their sidecars look" : "their ztunnel looks";
  }

  void CheckTarget(const AuthorizationPolicy& policy, const TargetRef& ref) {
    const Span span = ref.name.span ? ref.name.span : ref.span;
    if (ref.kind.value == "Gateway") {
      CheckWaypointTarget(policy, ref, span);
      return;
    }
    if (ref.kind.value != "Service" && ref.kind.value != "ServiceEntry") return;
    const MeshService* service = view_.FindService(ref.kind.value, policy.meta.ns, ref.name.value);
    if (service == nullptr) return;
    const WaypointChoice choice = analysis_.mesh.WaypointFor(*service);
    if (choice.waypoint != nullptr) return;
    std::vector<const Workload*> enrolled;
    for (const size_t index : service->workloads) {
      const Workload& workload = analysis_.mesh.workloads()[index];
      if (workload.mode == ProxyMode::kAmbient || workload.mode == ProxyMode::kSidecar) {
        enrolled.push_back(&workload);
      }
    }
    if (enrolled.empty()) return;
    Finding& finding = Report(
        policy, span,
        "no waypoint stands before " + std::string(ref.kind.value) + " " + service->name + " (" +
            choice.reason + "), and of " + NameAll(enrolled) + " " + ModeText(*enrolled.front()) +
            " at policies by selector alone, so nobody enforces this one; give it a waypoint, or "
            "use `selector`");
    finding.fix = "Give the " + std::string(ref.kind.value) + " a waypoint, or use `selector`.";
    if (service->object != nullptr)
      finding.related.push_back({service->object->span, "the target"});
    if (choice.asked_for && !analysis_.mesh.model().k8s_gateways.empty()) {
      finding.certainty = Certainty::kLikely;
    }
    AttachStranger(policy, *service, *enrolled.front(), &finding);
  }

  // Somebody whom an ALLOW does not name gets in, or what a DENY names does.
  void AttachStranger(const AuthorizationPolicy& policy, const MeshService& service,
                      const Workload& target, Finding* finding) {
    if (service.ports.empty() || policy.rules.empty() || policy.dry_run) return;
    if (policy.action == AuthorizationPolicy::Action::kDeny) {
      auto question = RequestOf(view_, analysis_, policy, 0, target);
      if (question) AttachWitness(analysis_, *question, Outcome::kAllow, finding);
      return;
    }
    if (policy.action != AuthorizationPolicy::Action::kAllow) return;
    const auto names_callers = [](const AuthorizationPolicy::Rule& rule) {
      return !rule.from.empty() &&
             std::all_of(rule.from.begin(), rule.from.end(), [](const auto& source) {
               return !source.principals.empty() || !source.service_accounts.empty();
             });
    };
    if (!std::all_of(policy.rules.begin(), policy.rules.end(), names_callers)) return;
    const std::vector<InboundPort> ports = analysis_.mesh.InboundPorts(target);
    if (ports.empty()) return;
    const std::string stranger =
        analysis_.model.mesh_config.trust_domain + "/ns/default/sa/somebody-else";
    auto question =
        DirectRequest(view_, target, ports.front().port, ports.front().protocol, stranger);
    if (question) AttachWitness(analysis_, *question, Outcome::kAllow, finding);
  }

  // A waypoint that nothing is sent through.
  void CheckWaypointTarget(const AuthorizationPolicy& policy, const TargetRef& ref, Span span) {
    const K8sGateway* gateway = analysis_.mesh.FindK8sGateway(policy.meta.ns, ref.name.value);
    if (gateway == nullptr || gateway->class_name.value != "istio-waypoint") return;
    bool used = false;
    bool shared = false;
    for (const Waypoint& waypoint : analysis_.mesh.waypoints()) {
      if (waypoint.gateway == gateway) used = !view_.GuardedBy(waypoint).empty();
    }
    for (const K8sListener& listener : gateway->listeners) {
      shared = shared || listener.allowed_routes.from == AllowedRoutes::From::kAll ||
               listener.allowed_routes.from == AllowedRoutes::From::kSelector;
    }
    if (used || !view_.any()) return;
    Finding& finding = Report(
        policy, span,
        "no Service or workload of the input is sent through waypoint " + policy.meta.ns + "/" +
            std::string(ref.name.value) +
            ", and nobody else looks at a policy for it, so nothing is guarded by this one; label "
            "the namespace or the Services `istio.io/use-waypoint: " +
            std::string(ref.name.value) + "`");
    finding.fix = "Label what it guards with istio.io/use-waypoint.";
    finding.related.push_back({gateway->meta.span, "the waypoint"});
    if (shared) finding.certainty = Certainty::kCannotSee;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const AmbientView& view_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::policy_at_wrong_proxy

// Objects that configure a sidecar, in namespaces that have none (istio-semantics sections 4 and
// 7): Sidecar, EnvoyFilter, WasmPlugin and Telemetry without targetRefs; and what ztunnel makes of
// a PeerAuthentication: DISABLE is PERMISSIVE, HBONE is always taken, and a DISABLE port under a
// STRICT parent stays STRICT.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/witness_cases.h"

namespace meshproof::no_effect_in_ambient {
namespace {

// What a selector reaches, by who runs there.
struct Reach {
  std::vector<const Workload*> ambient;
  const Workload* waypoint = nullptr;
  bool envoy = false;  // a sidecar or gateway
  bool sidecar = false;
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        view_(analysis.views->Ambient()),
        root_(analysis.model.mesh_config.root_namespace) {}

  void Run() {
    for (const Sidecar& sidecar : analysis_.model.sidecars) CheckSidecar(sidecar);
    for (const EnvoyFilter& filter : analysis_.model.envoy_filters) CheckFilter(filter);
    for (const OtherObject& object : analysis_.model.others) CheckOther(object);
    CheckPeerAuthentications();
  }

 private:
  Reach ReachOf(const ObjectMeta& meta, const Selector& selector) const {
    Reach reach;
    for (const Workload* workload : view_.Selected(meta, selector)) {
      switch (workload->mode) {
        case ProxyMode::kAmbient:
          reach.ambient.push_back(workload);
          break;
        case ProxyMode::kWaypoint:
          reach.waypoint = workload;
          break;
        case ProxyMode::kSidecar:
          reach.sidecar = true;
          [[fallthrough]];
        case ProxyMode::kGateway:
          reach.envoy = true;
          break;
        case ProxyMode::kNone:
          break;
      }
    }
    return reach;
  }

  bool IsAmbientNamespace(const std::string& name) const {
    const Namespace* ns = analysis_.mesh.FindNamespace(name);
    if (ns == nullptr) return false;
    const std::string* mode = FindLabel(ns->meta.labels, "istio.io/dataplane-mode");
    return mode != nullptr && *mode == "ambient";
  }

  static Span Place(const ObjectMeta& meta, const Selector& selector) {
    return selector.span ? selector.span : meta.span;
  }

  Finding& Report(const ObjectMeta& meta, Span place, std::string message, std::string fix) {
    Finding& finding = reporter_.Report(meta, place, std::move(message));
    finding.field_path = place.begin == meta.span.begin ? "" : FieldPathOf(*meta.node, place);
    finding.istioctl_codes.emplace();
    finding.fix = std::move(fix);
    return finding;
  }

  std::string Where(const Reach& reach, const ObjectMeta& meta) const {
    if (reach.ambient.empty()) return "namespace " + meta.ns + " is in ambient mode";
    return NameAll(reach.ambient) +
           (reach.ambient.size() == 1 ? " is in ambient mode" : " are in ambient mode");
  }

  void CheckSidecar(const Sidecar& sidecar) {
    const bool selects = !sidecar.workload_selector.match_labels.empty();
    if (!selects && sidecar.meta.ns == root_) return;
    const Reach reach = ReachOf(sidecar.meta, sidecar.workload_selector);
    const bool hit =
        selects ? !reach.ambient.empty()
                : !reach.sidecar && (!reach.ambient.empty() || IsAmbientNamespace(sidecar.meta.ns));
    if (!hit) return;
    Finding& finding = Report(
        sidecar.meta, Place(sidecar.meta, sidecar.workload_selector),
        Where(reach, sidecar.meta) +
            " and has no sidecar for this to configure, so neither "
            "its egress hosts nor its outbound policy hold; remove it, and keep callers from "
            "what they may not reach by a policy there",
        "Remove it.");
    finding.istioctl_codes = {"IST0167"};
  }

  void CheckFilter(const EnvoyFilter& filter) {
    if (!filter.target_refs.empty()) return;
    const bool selects = !filter.workload_selector.match_labels.empty();
    if (!selects && filter.meta.ns == root_) return;
    const Reach reach = ReachOf(filter.meta, filter.workload_selector);
    if (reach.envoy) return;
    const bool at_waypoint = selects && reach.waypoint != nullptr;
    if (reach.ambient.empty() && !at_waypoint && !(IsAmbientNamespace(filter.meta.ns) && !selects))
      return;
    if (reach.ambient.empty() && selects && !at_waypoint) return;
    Report(
        filter.meta, Place(filter.meta, filter.workload_selector),
        (at_waypoint && reach.ambient.empty()
             ? "waypoint " + reach.waypoint->ns + "/" + reach.waypoint->name +
                   " takes EnvoyFilters by `targetRefs` only"
             : Where(reach, filter.meta) + ", where no Envoy runs and ztunnel takes no patches") +
            ", so this changes nothing; patch the waypoint by `targetRefs`, or remove it",
        "Name the waypoint in `targetRefs`, or remove it.");
  }

  static bool HasTarget(const ObjectMeta& meta) {
    return NodeAt(meta.node, {"spec", "targetRef"}) != nullptr ||
           NodeAt(meta.node, {"spec", "targetRefs"}) != nullptr;
  }

  // Tracing, access logs and altered metrics are about requests; ztunnel has connections.
  static bool IsAboutRequests(const ObjectMeta& meta) {
    if (NodeAt(meta.node, {"spec", "tracing"}) != nullptr) return true;
    if (NodeAt(meta.node, {"spec", "accessLogging"}) != nullptr) return true;
    const Node* metrics = NodeAt(meta.node, {"spec", "metrics"});
    if (metrics == nullptr) return false;
    return std::any_of(metrics->items().begin(), metrics->items().end(),
                       [](const Node& item) { return NodeAt(&item, {"overrides"}) != nullptr; });
  }

  void CheckOther(const OtherObject& object) {
    const std::string_view kind = object.meta.kind;
    const bool telemetry = kind == "Telemetry";
    if (!telemetry && kind != "WasmPlugin" && kind != "TrafficExtension") return;
    if (HasTarget(object.meta)) return;
    const bool selects = !object.selector.match_labels.empty();
    if (!selects && object.meta.ns == root_) return;
    const Reach reach = ReachOf(object.meta, object.selector);
    const Span place = Place(object.meta, object.selector);
    if (selects && reach.waypoint != nullptr && reach.ambient.empty()) {
      Finding& finding =
          Report(object.meta, place,
                 "waypoint " + reach.waypoint->ns + "/" + reach.waypoint->name + " takes a " +
                     std::string(kind) +
                     " by `targetRefs` only, so this one does nothing there; name its "
                     "Gateway in `targetRefs`",
                 "Name the Gateway in `targetRefs`.");
      finding.istioctl_codes = {"IST0166"};
      return;
    }
    if (reach.envoy || (telemetry && !IsAboutRequests(object.meta))) return;
    if (reach.ambient.empty() && (selects || !IsAmbientNamespace(object.meta.ns))) return;
    Finding& finding = Report(
        object.meta, place,
        Where(reach, object.meta) + ": ztunnel " +
            (telemetry ? "sees connections and not the requests that this is about"
                       : "loads no plugins") +
            ", and waypoints ignore what has no `targetRefs`, so this does nothing; name a Service "
            "that has a waypoint, or the waypoint, in `targetRefs`",
        "Name the target in `targetRefs`.");
    if (telemetry) finding.severity = Severity::kInfo;
  }

  // ---- PeerAuthentication

  struct Off {
    const PeerAuthentication* policy = nullptr;
    Span span;
    std::vector<const Workload*> workloads;
  };

  void CheckPeerAuthentications() {
    std::map<std::pair<const PeerAuthentication*, uint32_t>, Off> disabled, kept;
    for (const Workload* workload : view_.all()) {
      const EffectiveMtls mtls = analysis_.mesh.MtlsFor(*workload);
      const auto note = [&](const EffectiveMode& mode, int port) {
        if (mode.source == nullptr || mode.mode == MtlsMode::kStrict) return;
        const bool strict =
            view_.ztunnel().StrictOn(*workload, static_cast<uint32_t>(port)) != nullptr;
        if (!strict && mode.mode != MtlsMode::kDisable) return;
        Off& off = (strict ? kept : disabled)[{mode.source, mode.span.begin}];
        off.policy = mode.source;
        off.span = mode.span;
        off.workloads.push_back(workload);
      };
      note(mtls.workload, 0);
      for (const auto& [port, mode] : mtls.ports) note(mode, port);
    }
    for (const auto& [place, off] : disabled) {
      Report(off.policy->meta, off.span,
             "`DISABLE` is PERMISSIVE in ambient mode: " + NameAll(off.workloads) + " still " +
                 (off.workloads.size() == 1 ? "takes" : "take") +
                 " mutual TLS (HBONE) and plaintext alike; write PERMISSIVE, or STRICT once no "
                 "caller needs plaintext",
             "Write PERMISSIVE or STRICT.");
    }
    for (const auto& [place, off] : kept) {
      std::string port;
      int number = 0;
      for (const PeerAuthentication::Port& entry : off.policy->ports) {
        if (entry.span.begin == off.span.begin) number = entry.port;
      }
      if (number != 0) port = "port " + std::to_string(number) + " of ";
      Finding& finding = Report(off.policy->meta, off.span,
                                port + NameAll(off.workloads) +
                                    " stays STRICT: ztunnel takes an exception from the "
                                    "parent's mode only where an entry says PERMISSIVE, so "
                                    "plaintext is refused; write PERMISSIVE",
                                "Write PERMISSIVE.");
      if (number != 0) {
        AttachRefusal(analysis_, PlaintextCase(*off.workloads.front(), number, Protocol::kAuto),
                      &finding);
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const AmbientView& view_;
  std::string root_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::no_effect_in_ambient

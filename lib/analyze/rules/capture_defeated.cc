// Containers that can undo the redirect to their sidecar: user or group 1337 is the proxy's own and
// is never redirected, NET_ADMIN and privileged rewrite iptables, NET_RAW sends packets past them.
// Without the CNI node agent, what runs before istio-init is not redirected at all.
#include <string>
#include <string_view>

#include "analyze/pod_fields.h"
#include "analyze/rule.h"

namespace meshproof::capture_defeated {
namespace {

constexpr int64_t kProxyId = 1337;

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const PodWorkload& pod : analysis.model.pod_workloads) {
      if (pod.meta.kind == "DaemonSet" && pod.meta.name.starts_with("istio-cni")) has_cni_ = true;
    }
    std::optional<std::string_view> native = analysis.mesh.Feature("ENABLE_NATIVE_SIDECARS");
    native_off_ = native && (*native == "false" || *native == "0");
  }

  void Check(const Workload& workload) {
    if (workload.pod == nullptr) return;
    bool sidecar = workload.mode == ProxyMode::kSidecar;
    bool captured = sidecar || workload.mode == ProxyMode::kAmbient;
    // An unlabelled pod of a namespace that is not in the input may well be injected.
    bool maybe =
        workload.mode == ProxyMode::kNone &&
        (AsksForProxy(*workload.pod) || analysis_.mesh.FindNamespace(workload.ns) == nullptr);
    if (!captured && !maybe) return;
    workload_ = &workload;
    certain_ = captured;
    const ObjectMeta& meta = workload.pod->meta;
    if (sidecar || maybe) CheckIds(NodeAt(PodSpec(meta), {"securityContext"}), "the pod");
    for (const PodContainer& container : ContainersOf(meta)) {
      if (IsIstioContainer(container.name)) continue;
      std::string who = "container " + std::string(container.name);
      const Node* context = NodeAt(container.node, {"securityContext"});
      if (sidecar || maybe) CheckIds(context, who);
      if (captured) CheckPrivileges(context, who);
    }
    if (sidecar) CheckOrder(workload);
  }

 private:
  static bool AsksForProxy(const PodWorkload& pod) {
    for (const Labels* where : {&pod.pod_labels, &pod.pod_annotations}) {
      const std::string* asked = FindLabel(*where, "sidecar.istio.io/inject");
      if (asked != nullptr && *asked == "true") return true;
    }
    return false;
  }

  void CheckIds(const Node* context, const std::string& who) {
    for (std::string_view key : {"runAsUser", "runAsGroup"}) {
      const Node* id = NodeAt(context, {key});
      if (id == nullptr || id->AsInt() != kProxyId) continue;
      std::string what = key == "runAsUser" ? "user" : "group";
      Finding& finding = Report(
          *id,
          who + " of " + Describe(*workload_) + " runs as " + what +
              " 1337, which is the proxy's own and is never redirected, so what it sends meets no "
              "sidecar; use another id",
          "Use another id than 1337.");
      if (key == "runAsUser") finding.istioctl_codes = {"IST0144"};
      if (!certain_) {
        finding.severity = Severity::kInfo;
        finding.certainty = Certainty::kCannotSee;
      }
    }
  }

  void CheckPrivileges(const Node* context, const std::string& who) {
    const Node* privileged = NodeAt(context, {"privileged"});
    if (privileged != nullptr && privileged->IsBool() && privileged->AsBool()) {
      Report(*privileged,
             who + " of " + Describe(*workload_) +
                 " is privileged and can rewrite the rules that redirect its traffic to the proxy; "
                 "run it without",
             "Remove `privileged: true`.");
    }
    const Node* added = NodeAt(context, {"capabilities", "add"});
    if (added == nullptr || !added->IsSequence()) return;
    for (const Node& capability : added->items()) {
      std::string_view name = capability.text;
      if (name.starts_with("CAP_")) name.remove_prefix(4);
      if (name != "NET_ADMIN" && name != "NET_RAW" && name != "ALL" && name != "SYS_ADMIN")
        continue;
      std::string_view effect =
          name == "NET_RAW" ? "can send packets past the proxy"
                            : "can rewrite the rules that redirect its traffic to the proxy";
      Report(capability,
             who + " of " + Describe(*workload_) + " holds capability " + std::string(name) +
                 " and " + std::string(effect) + "; drop it",
             "Remove the capability from `add`.");
    }
  }

  // Application init containers that run before the redirect is set up.
  void CheckOrder(const Workload& workload) {
    if (has_cni_) return;
    const ObjectMeta& meta = workload.pod->meta;
    std::vector<PodContainer> before;
    bool has_init = false;
    for (const PodContainer& container : ContainersOf(meta)) {
      if (!container.init) break;
      has_init = has_init || container.name == "istio-init";
      if (!has_init && !IsIstioContainer(container.name)) before.push_back(container);
    }
    if (before.empty() || (!has_init && !native_off_)) return;
    const Node* name = NodeAt(before.front().node, {"name"});
    Finding& finding = Report(
        name == nullptr ? *before.front().node : *name,
        "init container " + std::string(before.front().name) + " of " + Describe(workload) +
            " runs before istio-init redirects anything and the mesh has no CNI agent, so what it "
            "sends meets no sidecar; install the CNI agent or move the work into a container",
        "Install the istio-cni agent.");
    finding.severity = Severity::kInfo;
  }

  Finding& Report(const Node& place, std::string message, std::string fix) {
    const ObjectMeta& meta = workload_->pod->meta;
    Finding& finding = reporter_.Report(meta, SpanOf(meta.file, place), std::move(message));
    finding.istioctl_codes.emplace();
    finding.field_path = FieldPathAt(*meta.node, place.begin);
    finding.fix = std::move(fix);
    return finding;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const Workload* workload_ = nullptr;
  bool certain_ = false;
  bool has_cni_ = false;
  bool native_off_ = false;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const Workload& workload : analysis.mesh.workloads()) checker.Check(workload);
}

}  // namespace meshproof::capture_defeated

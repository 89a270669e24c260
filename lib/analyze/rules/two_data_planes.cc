// Labels that ask for a sidecar and for ambient at once, or for two revisions (istio-semantics
// section 5). Injection comes first: a pod with a sidecar is not captured; of the two injection
// labels `istio-injection` wins.
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "model/labels.h"

namespace meshproof::two_data_planes {
namespace {

constexpr std::string_view kInjection = "istio-injection";
constexpr std::string_view kInject = "sidecar.istio.io/inject";
constexpr std::string_view kRedirection = "ambient.istio.io/redirection";

bool Is(const Labels& labels, std::string_view key, std::string_view value) {
  const std::string* found = FindLabel(labels, key);
  return found != nullptr && *found == value;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Run() {
    for (const Namespace& ns : analysis_.model.namespaces) CheckNamespace(ns);
    for (const Workload& workload : analysis_.mesh.workloads()) {
      if (workload.pod != nullptr) CheckWorkload(workload, *workload.pod);
    }
  }

 private:
  static Span Place(const Namespace& ns, std::string_view key) {
    const Node* node = NodeAt(ns.meta.node, {"metadata", "labels", key});
    return node == nullptr ? ns.meta.span : SpanOf(ns.meta.file, *node);
  }

  Finding& Report(const ObjectMeta& meta, Span place, std::string message) {
    Finding& finding = reporter_.Report(meta, place, std::move(message));
    finding.field_path = FieldPathAt(*meta.node, place.begin);
    finding.istioctl_codes.emplace();
    return finding;
  }

  // "injection", "revision" or nothing.
  static std::string_view AsksForSidecars(const Labels& labels) {
    if (Is(labels, kInjection, "enabled")) return kInjection;
    if (FindLabel(labels, kInjection) != nullptr) return {};
    const std::string* revision = FindLabel(labels, kRevisionLabel);
    return revision != nullptr && !revision->empty() ? kRevisionLabel : std::string_view();
  }

  void CheckNamespace(const Namespace& ns) {
    const std::string name(ns.meta.name);
    const Labels& labels = ns.meta.labels;
    const std::string* injection = FindLabel(labels, kInjection);
    const std::string* revision = FindLabel(labels, kRevisionLabel);
    if (injection != nullptr && revision != nullptr) {
      Finding& finding = Report(ns.meta, Place(ns, kRevisionLabel),
                                "namespace " + name + " carries `istio-injection: " + *injection +
                                    "` and `istio.io/rev: " + *revision + "`: " +
                                    (*injection == "enabled" ? "the default revision injects and " +
                                                                   *revision + " does not"
                                                             : std::string("nothing is injected")) +
                                    ", whatever was meant; keep one of them");
      finding.istioctl_codes = {"IST0123"};
      finding.detail = "injection";
      finding.fix = "Remove one of the two labels.";
    }
    const std::string_view asks = AsksForSidecars(labels);
    if (asks.empty() || !Is(labels, kDataplaneModeLabel, "ambient")) return;
    std::vector<std::string> sidecars, captured;
    for (const Workload& workload : analysis_.mesh.workloads()) {
      if (workload.ns != name) continue;
      if (workload.mode == ProxyMode::kSidecar) sidecars.push_back(workload.name);
      if (workload.mode == ProxyMode::kAmbient) captured.push_back(workload.name);
    }
    std::string who;
    if (!sidecars.empty()) who += ": here sidecars at " + ListNames(sidecars, 3);
    if (!captured.empty())
      who += (who.empty() ? ": here ambient at " : ", ambient at ") + ListNames(captured, 3);
    Finding& finding = Report(
        ns.meta, Place(ns, kDataplaneModeLabel),
        "namespace " + name + " asks for sidecars (`" + std::string(asks) + ": " +
            *FindLabel(labels, asks) + "`) and for ambient at once: pods that are injected get a " +
            "sidecar and are not captured, all others are" + who + "; keep one of the two labels");
    finding.detail = "mode";
    finding.fix = "Keep one of the two labels.";
  }

  void CheckWorkload(const Workload& workload, const PodWorkload& pod) {
    if (workload.mode == ProxyMode::kGateway || workload.mode == ProxyMode::kWaypoint) return;
    const Namespace* ns = analysis_.mesh.FindNamespace(workload.ns);
    const bool ns_ambient = ns != nullptr && Is(ns->meta.labels, kDataplaneModeLabel, "ambient");
    const bool ns_sidecars = ns != nullptr && !AsksForSidecars(ns->meta.labels).empty();
    const bool own_ambient = Is(pod.pod_labels, kDataplaneModeLabel, "ambient");
    if (Is(pod.pod_labels, kDataplaneModeLabel, "none")) return;
    const bool own_sidecar = Is(pod.pod_labels, kInject, "true") ||
                             FindLabel(pod.pod_labels, kRevisionLabel) != nullptr ||
                             pod.has_proxy_container ||
                             FindLabel(pod.pod_annotations, "sidecar.istio.io/status") != nullptr;
    const bool opted_out = Is(pod.pod_labels, kInject, "false");
    const bool redirected = Is(pod.pod_annotations, kRedirection, "enabled");
    const bool sidecar = workload.mode == ProxyMode::kSidecar;
    Span place = pod.meta.span;
    std::string both;
    if (own_ambient && (own_sidecar || (ns_sidecars && !opted_out))) {
      place = PodLabelPlace(pod.meta, kDataplaneModeLabel);
      both = own_sidecar ? "asks for a sidecar and for ambient"
                         : "asks for ambient in a namespace of sidecars";
    } else if (ns_ambient && own_sidecar && sidecar) {
      if (Is(pod.pod_labels, kInject, "true")) place = PodLabelPlace(pod.meta, kInject);
      both = "has a sidecar in a namespace of ambient mode";
    } else if (redirected && (own_sidecar || (ns_sidecars && !opted_out))) {
      place = PodAnnotationPlace(pod.meta, kRedirection);
      both = "was taken into ambient and is to have a sidecar";
    } else {
      return;
    }
    const std::string wins =
        sidecar ? "the sidecar wins, and ztunnel does not capture it"
        : workload.mode == ProxyMode::kAmbient
            ? "ambient wins (" + workload.mode_reason + "), and no sidecar enforces anything"
            : "it has neither (" + workload.mode_reason + ")";
    Finding& finding =
        Report(pod.meta, place,
               Describe(workload) + " " + both + ": " + wins + "; " +
                   (sidecar ? "say so with the pod label `istio.io/dataplane-mode: none`, or let "
                              "the sidecar go"
                            : "keep one of the two"));
    finding.fix = sidecar ? "Label the pod istio.io/dataplane-mode: none." : "Keep one of the two.";
  }

  const Analysis& analysis_;
  Reporter& reporter_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::two_data_planes

// Policies whose workload runs no proxy that could enforce them, and the reasons for which pods get
// none: istio-semantics section 5, "Injection" and "Ambient capture". Mesh-wide policies of the
// root namespace are not counted: they speak of the mesh, and what is outside it is outside.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/injectors.h"
#include "analyze/pod_fields.h"
#include "analyze/rule.h"
#include "mesh/injection.h"
#include "model/labels.h"

namespace meshproof::policy_without_proxy {
namespace {

constexpr std::string_view kInject = "sidecar.istio.io/inject";

struct Governor {
  const ObjectMeta* meta = nullptr;
  const Selector* selector = nullptr;
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        root_(analysis.model.mesh_config.root_namespace),
        revisions_(Revisions::Of(analysis.model)),
        injectors_(ReadInjectors(analysis)) {
    for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
      if (policy.target_refs.empty()) Add(policy.meta, policy.selector);
    }
    for (const RequestAuthentication& policy : analysis.model.request_authentications) {
      if (policy.target_refs.empty()) Add(policy.meta, policy.selector);
    }
    for (const PeerAuthentication& policy : analysis.model.peer_authentications) {
      if (policy.mode != MtlsMode::kDisable) Add(policy.meta, policy.selector);
    }
    const std::vector<Workload>& workloads = analysis.mesh.workloads();
    served_.resize(workloads.size());
    for (const MeshService& service : analysis.mesh.services()) {
      for (size_t index : service.workloads) served_[index] = true;
    }
  }

  void CheckWorkloads() {
    const std::vector<Workload>& workloads = analysis_.mesh.workloads();
    for (size_t i = 0; i < workloads.size(); ++i) {
      const Workload& workload = workloads[i];
      if (workload.mode != ProxyMode::kNone) with_proxy_.insert(workload.ns);
      if (workload.pod == nullptr || IsIstiod(*workload.pod)) continue;
      if (WaitsInVain(*workload.pod)) {
        ReportAutoImage(workload, *AutoImage(*workload.pod), GovernorsOf(workload));
      } else if (workload.mode == ProxyMode::kNone) {
        CheckBare(workload, served_[i]);
      } else if (workload.mode == ProxyMode::kSidecar) {
        CheckCalled(workload);
      }
    }
    ReportUnseen();
  }

  // Pods of their own: istioctl asks them for the proxy that injection would have added.
  void CheckPods() {
    for (const PodWorkload& pod : analysis_.model.pod_workloads) {
      if (pod.meta.kind != "Pod" || pod.has_proxy_container || reported_.count(&pod.meta) > 0)
        continue;
      if (FindLabel(pod.pod_annotations, "sidecar.istio.io/status") != nullptr) continue;
      const Namespace* ns = analysis_.mesh.FindNamespace(pod.meta.ns);
      PodFacts facts{pod.meta.ns, ns == nullptr ? nullptr : &ns->meta.labels, &pod.pod_labels,
                     &pod.pod_annotations, pod.host_network};
      Injection injection = DecideInjection(facts, revisions_);
      if (!injection.injected) continue;
      bool live = !pod.ips.empty();
      Finding& finding = reporter_.Report(
          pod.meta, pod.meta.span,
          Describe(pod.meta) + " has no proxy although " + injection.reason +
              (live ? ": it runs since before that was so, and no policy holds for it; restart it"
                    : ": if it runs as it is written here, no policy holds for it; restart it"));
      finding.severity = live ? Severity::kWarning : Severity::kInfo;
      finding.istioctl_codes = {"IST0103"};
      finding.fix = "Delete the pod so that it is made anew with a proxy.";
    }
  }

  void CheckNamespaces() {
    for (const Namespace& ns : analysis_.model.namespaces) {
      if (IsPlatformNamespace(ns.meta.name, analysis_.model.mesh_config)) continue;
      const std::string* legacy = FindLabel(ns.meta.labels, "istio-injection");
      const std::string* revision = FindLabel(ns.meta.labels, kRevisionLabel);
      if (legacy != nullptr && revision != nullptr) {
        const Node* place = NodeAt(ns.meta.node, {"metadata", "labels", kRevisionLabel});
        Finding& finding = reporter_.Report(
            ns.meta, place == nullptr ? ns.meta.span : SpanOf(ns.meta.file, *place),
            "namespace " + std::string(ns.meta.name) + " carries both `istio-injection: " +
                *legacy + "` and `istio.io/rev: " + *revision + "`: the former wins, so revision " +
                *revision + " injects nothing here; keep one of them");
        finding.severity = Severity::kWarning;
        finding.istioctl_codes = {"IST0123"};
        finding.fix = "Remove one of the two labels.";
        continue;
      }
      if (revision != nullptr && !IsServed(ns)) {
        const Node* place = NodeAt(ns.meta.node, {"metadata", "labels", kRevisionLabel});
        Finding& finding = reporter_.Report(
            ns.meta, place == nullptr ? ns.meta.span : SpanOf(ns.meta.file, *place),
            "no injection webhook of the input serves revision " + *revision +
                ", which namespace " + std::string(ns.meta.name) +
                " asks for, so its pods get no proxy and no policy holds for them; name a revision "
                "or tag that is installed");
        finding.severity = Severity::kWarning;
        finding.certainty = Certainty::kCannotSee;
        finding.istioctl_codes = {"IST0102"};
        finding.fix = "Name a revision that is installed.";
        continue;
      }
      const std::string* ambient = FindLabel(ns.meta.labels, "istio.io/dataplane-mode");
      if (legacy != nullptr || revision != nullptr || ambient != nullptr ||
          with_proxy_.count(ns.meta.name) > 0) {
        continue;
      }
      Finding& finding =
          reporter_.Report(ns.meta, ns.meta.span,
                           "namespace " + std::string(ns.meta.name) +
                               " is not part of the mesh: it asks neither for sidecars nor for "
                               "ambient, so no policy "
                               "holds for its workloads; label it `istio-injection: enabled` or "
                               "`istio.io/dataplane-mode: ambient`, or `istio-injection: disabled` "
                               "where that is meant");
      finding.severity = Severity::kInfo;
      finding.istioctl_codes = {"IST0102"};
    }
  }

  // Whether some webhook takes pods of the namespace that carry no label of their own; true where
  // the input has none.
  bool IsServed(const Namespace& ns) const {
    if (injectors_.empty()) return true;
    Labels labels = ns.meta.labels;
    labels.emplace_back("kubernetes.io/metadata.name", ns.meta.name);
    return std::any_of(injectors_.begin(), injectors_.end(),
                       [&](const Injector& injector) { return Calls(injector, labels, {}); });
  }

  void CheckInjectors() {
    std::map<std::string, const Service*> services;
    std::set<std::string> namespaces;
    for (const Service& service : analysis_.model.services) {
      services[service.meta.ns + "/" + std::string(service.meta.name)] = &service;
      namespaces.insert(service.meta.ns);
    }
    for (size_t i = 0; i < injectors_.size(); ++i) {
      CheckTarget(injectors_[i], services, namespaces);
      for (size_t j = 0; j < injectors_.size(); ++j) {
        if (j != i) CheckOverlap(injectors_[i], injectors_[j]);
      }
    }
  }

 private:
  void Add(const ObjectMeta& meta, const Selector& selector) {
    bool selects = selector.present && !selector.match_labels.empty();
    if (meta.ns == root_ && !selects) return;
    governors_[meta.ns].push_back({&meta, &selector});
  }

  std::vector<Governor> GovernorsOf(const Workload& workload) const {
    std::vector<Governor> found;
    std::vector<std::string> scopes = {root_};
    if (workload.ns != root_) scopes.push_back(workload.ns);
    for (const std::string& ns : scopes) {
      auto list = governors_.find(ns);
      if (list == governors_.end()) continue;
      for (const Governor& governor : list->second) {
        // istiod ignores selectors of PeerAuthentications in the root namespace.
        if (ns == root_ && workload.ns != root_ && governor.meta->kind == "PeerAuthentication")
          continue;
        if (Selects(governor.selector->match_labels, workload.labels)) found.push_back(governor);
      }
    }
    return found;
  }

  bool AsksForProxy(const PodWorkload& pod) const {
    for (const Labels* where : {&pod.pod_labels, &pod.pod_annotations}) {
      const std::string* asked = FindLabel(*where, kInject);
      if (asked != nullptr) return *asked == "true";
    }
    return FindLabel(pod.pod_labels, kRevisionLabel) != nullptr;
  }

  static const Node* AutoImage(const PodWorkload& pod) {
    for (const PodContainer& container : ContainersOf(pod.meta)) {
      const Node* image = NodeAt(container.node, {"image"});
      if (image != nullptr && image->text == "auto") return image;
    }
    return nullptr;
  }

  // A container of its own for the proxy whose image injection would fill in, and no injection.
  bool WaitsInVain(const PodWorkload& pod) const {
    if (!pod.has_proxy_container || AutoImage(pod) == nullptr) return false;
    const Namespace* ns = analysis_.mesh.FindNamespace(pod.meta.ns);
    if (ns == nullptr) return false;
    PodFacts facts{pod.meta.ns, &ns->meta.labels, &pod.pod_labels, &pod.pod_annotations,
                   pod.host_network};
    return !DecideInjection(facts, revisions_).injected;
  }

  static Span Place(const PodWorkload& pod) {
    if (pod.host_network) {
      const Node* node = NodeAt(PodSpec(pod.meta), {"hostNetwork"});
      if (node != nullptr) return SpanOf(pod.meta.file, *node);
    }
    for (std::string_view key : {kInject, kRevisionLabel}) {
      if (FindLabel(pod.pod_labels, key) != nullptr) return PodLabelPlace(pod.meta, key);
    }
    if (FindLabel(pod.pod_annotations, kInject) != nullptr) {
      return PodAnnotationPlace(pod.meta, kInject);
    }
    return pod.meta.span;
  }

  void CheckBare(const Workload& workload, bool served) {
    const PodWorkload& pod = *workload.pod;
    std::vector<Governor> governors = GovernorsOf(workload);
    bool asks = AsksForProxy(pod);
    if (const Node* image = AutoImage(pod)) return ReportAutoImage(workload, *image, governors);
    if (governors.empty() && !asks) return;
    bool decided = pod.host_network || FindLabel(pod.pod_labels, kInject) != nullptr ||
                   FindLabel(pod.pod_annotations, kInject) != nullptr;
    // Without the Namespace object its labels are unknown.
    bool unseen = analysis_.mesh.FindNamespace(workload.ns) == nullptr;
    if (unseen && (!decided || (asks && !pod.host_network))) {
      unseen_[workload.ns].push_back(&workload);
      return;
    }
    std::string message = Describe(workload) + " has no proxy (" + workload.mode_reason + ")";
    message += governors.empty()
                   ? " although it asks for one, so no policy can be enforced on it"
                   : ", so " + Describe(*governors.front().meta) +
                         (governors.size() == 1 ? " is" : " and the other policies for it are") +
                         " not enforced and every caller is let in";
    message += "; " + Advice(workload);
    Finding& finding = reporter_.Report(pod.meta, Place(pod), std::move(message));
    Relate(governors, &finding);
    // Nobody calls what listens to nothing.
    if (governors.empty()) {
      finding.severity = Severity::kWarning;
    } else if (!served && pod.ports.empty() && AllNamespaceWide(governors)) {
      finding.severity = Severity::kInfo;
    }
    finding.istioctl_codes = {"IST0103"};
    finding.fix = "Let the workload be injected or enrolled in ambient.";
    reported_.insert(&pod.meta);
  }

  static bool AllNamespaceWide(const std::vector<Governor>& governors) {
    for (const Governor& governor : governors) {
      if (!governor.selector->match_labels.empty()) return false;
    }
    return true;
  }

  static std::string Advice(const Workload& workload) {
    const PodWorkload& pod = *workload.pod;
    if (pod.host_network) return "run it without hostNetwork, or guard it by other means";
    const std::string* annotation = FindLabel(pod.pod_annotations, kInject);
    if (annotation != nullptr && *annotation == "true") {
      return "the annotation alone is not read: make it a label of the pod, or label the namespace "
             "`istio-injection: enabled`";
    }
    return "label its namespace `istio-injection: enabled` or `istio.io/dataplane-mode: ambient`, "
           "or the pod `sidecar.istio.io/inject: \"true\"`";
  }

  static void Relate(const std::vector<Governor>& governors, Finding* finding) {
    for (const Governor& governor : governors) {
      if (finding->related.size() == 5) break;
      finding->related.push_back(
          {governor.meta->span, Describe(*governor.meta) + " is enforced by nobody here"});
    }
  }

  void ReportAutoImage(const Workload& workload, const Node& image,
                       const std::vector<Governor>& governors) {
    const PodWorkload& pod = *workload.pod;
    bool unseen = analysis_.mesh.FindNamespace(workload.ns) == nullptr;
    Finding& finding = reporter_.Report(
        pod.meta, SpanOf(pod.meta.file, image),
        "`image: auto` of " + Describe(workload) + " waits for injection, which does not happen" +
            (pod.has_proxy_container ? "" : " (" + workload.mode_reason + ")") +
            ", so the pod cannot start or runs without its proxy; label the pod "
            "`sidecar.istio.io/inject: \"true\"`");
    if (pod.meta.kind != "Pod") finding.severity = Severity::kWarning;
    if (unseen) finding.certainty = Certainty::kCannotSee;
    finding.istioctl_codes = {pod.meta.kind == "Pod" ? "IST0147" : "IST0146"};
    finding.field_path = FieldPathAt(*pod.meta.node, image.begin);
    finding.fix = "Label the pod so that it is injected.";
    Relate(governors, &finding);
    reported_.insert(&pod.meta);
  }

  // A sidecar that the labels promise but that no webhook of the input is asked for.
  void CheckCalled(const Workload& workload) {
    const PodWorkload& pod = *workload.pod;
    if (injectors_.empty() || (pod.has_proxy_container && AutoImage(pod) == nullptr)) return;
    if (FindLabel(pod.pod_annotations, "sidecar.istio.io/status") != nullptr) return;
    const Namespace* ns = analysis_.mesh.FindNamespace(workload.ns);
    if (ns == nullptr) return;
    Labels labels = ns->meta.labels;
    labels.emplace_back("kubernetes.io/metadata.name", workload.ns);
    for (const Injector& injector : injectors_) {
      if (Calls(injector, labels, pod.pod_labels)) return;
    }
    std::vector<Governor> governors = GovernorsOf(workload);
    std::string message = "no injection webhook of the input matches " + Describe(workload) + " (" +
                          workload.mode_reason + "), so it gets no proxy";
    if (!governors.empty()) {
      message += " and " + Describe(*governors.front().meta) + " is not enforced on it";
    }
    Finding& finding = reporter_.Report(pod.meta, Place(pod),
                                        message + "; use a label that a webhook's selectors match");
    if (governors.empty()) finding.severity = Severity::kWarning;
    finding.istioctl_codes = {AutoImage(pod) == nullptr ? "IST0103"
                              : pod.meta.kind == "Pod"  ? "IST0147"
                                                        : "IST0146"};
    const Injector& first = injectors_.front();
    finding.related.push_back(
        {first.configuration.span, "the selectors of this webhook do not match"});
    Relate(governors, &finding);
    reported_.insert(&pod.meta);
  }

  void CheckTarget(const Injector& injector, const std::map<std::string, const Service*>& services,
                   const std::set<std::string>& namespaces) {
    const Node* name = NodeAt(injector.service, {"name"});
    const Node* ns = NodeAt(injector.service, {"namespace"});
    if (name == nullptr || ns == nullptr) return;
    const RawObject& object = injector.configuration;
    std::string key = std::string(ns->text) + "/" + std::string(name->text);
    auto found = services.find(key);
    if (found == services.end()) {
      bool seen = namespaces.count(std::string(ns->text)) > 0;
      // One finding a configuration.
      if (!missing_.insert(std::string(object.name) + key).second) return;
      Finding& finding = reporter_.Report(
          NameOf(object), SpanOf(object.file, *name),
          "webhook " + injector.name + " calls Service " + key +
              ", which is not in the input, so pods get no proxy or are not made; install it, or "
              "name the Service of a running istiod");
      if (!seen) {
        finding.severity = Severity::kWarning;
        finding.certainty = Certainty::kCannotSee;
      }
      finding.istioctl_codes = {"IST0139"};
      finding.field_path = FieldPathAt(*object.node, name->begin);
      return;
    }
    const Node* port = NodeAt(injector.service, {"port"});
    constexpr int64_t kDefault = 443;
    int64_t wanted = port != nullptr && port->AsInt() ? *port->AsInt() : kDefault;
    for (const ServicePort& own : found->second->ports) {
      if (own.port == wanted) return;
    }
    Finding& finding =
        reporter_.Report(NameOf(object), SpanOf(object.file, port == nullptr ? *name : *port),
                         "webhook " + injector.name + " calls port " + std::to_string(wanted) +
                             " of Service " + key +
                             ", which has no such port, so pods get no proxy or are not made; name "
                             "a port that it has");
    finding.related.push_back({found->second->meta.span, "this Service"});
    finding.istioctl_codes = {"IST0139"};
    finding.field_path = FieldPathAt(*object.node, name->begin);
  }

  void CheckOverlap(const Injector& injector, const Injector& other) {
    if (injector.configuration.name == other.configuration.name && injector.name == other.name)
      return;
    std::string example = Overlap(injector, other);
    if (example.empty()) return;
    const RawObject& object = injector.configuration;
    const Node* name = NodeAt(injector.node, {"name"});
    Finding& finding = reporter_.Report(
        NameOf(object), name == nullptr ? object.span : SpanOf(object.file, *name),
        "webhooks " + injector.name + " of " + std::string(object.name) + " and " + other.name +
            " of " + std::string(other.configuration.name) + " both match " + example +
            ", so it is injected twice or by the wrong control plane; make their selectors exclude "
            "each other");
    finding.severity = Severity::kWarning;
    finding.istioctl_codes = {"IST0139"};
    finding.related.push_back({other.configuration.span, "the other webhook"});
    finding.detail = std::string(other.configuration.name) + "/" + other.name;
  }

  void ReportUnseen() {
    for (const auto& [ns, workloads] : unseen_) {
      const Workload& first = *workloads.front();
      Finding& finding = reporter_.Report(
          *first.object, first.object->span,
          "whether the workloads of namespace " + ns +
              " have a proxy that enforces their policies is outside my view: its Namespace object "
              "and labels are not in the input; add it");
      finding.severity = Severity::kInfo;
      finding.certainty = Certainty::kCannotSee;
      finding.detail = ns;
      finding.istioctl_codes.emplace();
      for (size_t i = 1; i < workloads.size() && i <= 5; ++i) {
        finding.related.push_back({workloads[i]->object->span, "this one too"});
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::string root_;
  Revisions revisions_;
  std::vector<Injector> injectors_;
  std::map<std::string, std::vector<Governor>> governors_;
  std::vector<bool> served_;  // by workload: a Service selects it
  std::set<std::string, std::less<>> with_proxy_;
  std::map<std::string, std::vector<const Workload*>> unseen_;
  std::set<const ObjectMeta*> reported_;
  std::set<std::string> missing_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  checker.CheckWorkloads();
  checker.CheckPods();
  checker.CheckNamespaces();
  checker.CheckInjectors();
}

}  // namespace meshproof::policy_without_proxy

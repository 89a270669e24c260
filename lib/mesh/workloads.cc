// Who runs where. A workload is what people write: the Deployment (or other controller), a bare
// pod, or a WorkloadEntry. Pods that a controller owns belong to it, also through a ReplicaSet or
// Job; where only pods are in the input, those of one ReplicaSet are named after the Deployment
// that its name and the label `pod-template-hash` give away, as istiod names workloads.
#include <algorithm>
#include <cctype>
#include <functional>
#include <string_view>
#include <unordered_map>

#include "base/parallel.h"
#include "mesh/builder.h"
#include "mesh/made_file.h"
#include "model/labels.h"

namespace meshproof {
namespace {

constexpr std::string_view kTlsMode = "security.istio.io/tlsMode";
constexpr std::string_view kTemplateHash = "pod-template-hash";

int KindRank(std::string_view kind) {
  static constexpr std::string_view kKinds[] = {
      "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet",   "ReplicationController",
      "CronJob",    "Job",         "Pod",       "WorkloadEntry"};
  int rank = 0;
  for (std::string_view known : kKinds) {
    if (kind == known) return rank;
    ++rank;
  }
  return rank;
}

// By namespace, name and kind.
void SortPods(std::vector<const PodWorkload*>* pods) {
  struct Ranked {
    std::string_view ns, name;
    int rank;
    const PodWorkload* pod;
  };
  std::vector<Ranked> ranked;
  ranked.reserve(pods->size());
  for (const PodWorkload* pod : *pods) {
    ranked.push_back({pod->meta.ns, pod->meta.name, KindRank(pod->meta.kind), pod});
  }
  auto before = [](const Ranked& a, const Ranked& b) {
    if (const int order = a.ns.compare(b.ns); order != 0) return order < 0;
    if (const int order = a.name.compare(b.name); order != 0) return order < 0;
    return a.rank < b.rank;
  };
  std::stable_sort(ranked.begin(), ranked.end(), before);
  for (size_t i = 0; i < ranked.size(); ++i) (*pods)[i] = ranked[i].pod;
}

std::string_view WithoutSuffix(std::string_view name, std::string_view hash) {
  if (hash.empty() || name.size() <= hash.size() + 1 || !name.ends_with(hash)) return "";
  std::string_view rest = name.substr(0, name.size() - hash.size());
  if (!rest.ends_with("-")) return "";
  rest.remove_suffix(1);
  return rest;
}

// "backup" of "backup-28712340": the CronJob behind a Job.
std::string_view WithoutSchedule(std::string_view name) {
  const size_t dash = name.rfind('-');
  if (dash == std::string_view::npos || dash == 0) return "";
  const std::string_view digits = name.substr(dash + 1);
  const bool all_digits = std::all_of(digits.begin(), digits.end(),
                                      [](unsigned char c) { return std::isdigit(c) != 0; });
  if (!all_digits || digits.size() < 8 || digits.size() > 10) return "";
  return name.substr(0, dash);
}

std::string_view TemplateHash(const PodWorkload& pod) {
  const std::string* hash = FindLabel(pod.pod_labels, kTemplateHash);
  if (!hash) hash = FindLabel(pod.meta.labels, kTemplateHash);
  return hash ? std::string_view(*hash) : std::string_view();
}

struct ObjectKey {
  std::string_view ns, name;
  bool operator==(const ObjectKey&) const = default;
};
struct HashOfKey {
  size_t operator()(const ObjectKey& key) const {
    const std::hash<std::string_view> hash;
    return hash(key.name) * 31 + hash(key.ns);
  }
};
using Controllers = std::unordered_map<ObjectKey, const PodWorkload*, HashOfKey>;

const PodWorkload* FindController(const Controllers& controllers, std::string_view ns,
                                  std::string_view name) {
  if (name.empty()) return nullptr;
  auto it = controllers.find(ObjectKey{ns, name});
  return it == controllers.end() ? nullptr : it->second;
}

// The controller of a ReplicaSet or Job, where it is in the input; else the object itself.
const PodWorkload* Parent(const Controllers& controllers, const PodWorkload* object) {
  const bool made_by_others = object->meta.kind == "ReplicaSet" || object->meta.kind == "Job";
  if (!made_by_others) return object;
  for (std::string_view name :
       {object->owner, WithoutSuffix(object->meta.name, TemplateHash(*object)),
        object->meta.kind == "Job" ? WithoutSchedule(object->meta.name) : std::string_view()}) {
    const PodWorkload* parent = FindController(controllers, object->meta.ns, name);
    if (parent && parent != object) return parent;
  }
  return object;
}

}  // namespace

struct MeshBuilder::Group {
  std::string name;
  const PodWorkload* lead = nullptr;      // the controller, else the first pod
  std::vector<const PodWorkload*> pods;   // of kind Pod
  std::vector<std::string_view> aliases;  // names of pods and ReplicaSets
};

std::vector<MeshBuilder::Group> MeshBuilder::GroupPods() const {
  std::vector<const PodWorkload*> objects;
  for (const PodWorkload& pod : model_.pod_workloads) objects.push_back(&pod);
  for (const auto& pod : mesh_.made_pods_) objects.push_back(pod.get());
  SortPods(&objects);

  Controllers controllers;
  controllers.reserve(objects.size());
  for (const PodWorkload* object : objects) {
    if (object->meta.kind == "Pod") continue;
    controllers.emplace(ObjectKey{object->meta.ns, object->meta.name}, object);
  }
  std::vector<Group> groups;
  std::unordered_map<const PodWorkload*, size_t> group_of;
  for (const PodWorkload* object : objects) {
    if (object->meta.kind == "Pod" || Parent(controllers, object) != object) continue;
    group_of[object] = groups.size();
    groups.push_back({std::string(object->meta.name), object, {}, {}});
  }
  for (const PodWorkload* object : objects) {
    if (object->meta.kind == "Pod") continue;
    auto it = group_of.find(Parent(controllers, object));
    if (it != group_of.end() && groups[it->second].lead != object) {
      groups[it->second].aliases.push_back(object->meta.name);
    }
  }
  std::unordered_map<ObjectKey, size_t, HashOfKey>
      orphans;  // pods whose controller is not in the input, by its name
  for (const PodWorkload* pod : objects) {
    if (pod->meta.kind != "Pod") continue;
    const PodWorkload* owner = FindController(controllers, pod->meta.ns, pod->owner);
    std::string_view name = WithoutSuffix(pod->owner, TemplateHash(*pod));
    if (!owner) owner = FindController(controllers, pod->meta.ns, name);
    if (owner) {
      auto it = group_of.find(Parent(controllers, owner));
      if (it != group_of.end()) {
        groups[it->second].pods.push_back(pod);
        groups[it->second].aliases.push_back(pod->meta.name);
        continue;
      }
    }
    if (pod->owner.empty()) {
      groups.push_back({std::string(pod->meta.name), pod, {pod}, {}});
      continue;
    }
    if (name.empty()) name = pod->owner;
    auto [it, added] = orphans.emplace(ObjectKey{pod->meta.ns, name}, groups.size());
    if (added) groups.push_back({std::string(name), pod, {}, {}});
    groups[it->second].pods.push_back(pod);
    groups[it->second].aliases.push_back(pod->meta.name);
  }
  return groups;
}

std::string MeshBuilder::Identity(const Workload& workload) const {
  if (workload.mode == ProxyMode::kNone) return "";
  return "spiffe://" + model_.mesh_config.trust_domain + "/ns/" + workload.ns + "/sa/" +
         workload.service_account;
}

Workload MeshBuilder::MakeWorkload(const Group& group) const {
  const PodWorkload& lead = *group.lead;
  Workload out;
  out.ns = lead.meta.ns;
  out.name = group.name;
  out.object = &lead.meta;
  out.pod = &lead;
  out.labels = lead.pod_labels;
  out.service_account =
      lead.service_account.empty() ? "default" : std::string(lead.service_account);

  const Namespace* ns = mesh_.FindNamespace(out.ns);
  auto decide = [&](const PodWorkload& pod) {
    PodFacts facts{out.ns, ns ? &ns->meta.labels : nullptr, &pod.pod_labels, &pod.pod_annotations,
                   pod.host_network};
    ProxyDecision decision = DecideProxy(facts, pod, revisions_, waypoint_gateways_);
    if (IsMade(pod.meta)) {
      decision.reason =
          decision.mode == ProxyMode::kNone ? "no dump says that it has a proxy" : "a dump says so";
    }
    return decision;
  };
  ProxyDecision decision = decide(lead);
  // What runs tells more than the template.
  size_t with_proxy = 0;
  ProxyDecision running;
  for (const PodWorkload* pod : group.pods) {
    ProxyDecision one = decide(*pod);
    if (one.mode != ProxyMode::kNone || with_proxy == 0) running = one;
    if (one.mode != ProxyMode::kNone) ++with_proxy;
    out.ips.insert(out.ips.end(), pod->ips.begin(), pod->ips.end());
  }
  if (!group.pods.empty()) {
    decision = running;
    if (with_proxy > 0 && with_proxy < group.pods.size()) {
      decision.reason += " (of " + std::to_string(with_proxy) + " of " +
                         std::to_string(group.pods.size()) + " pods)";
    }
  }
  out.mode = decision.mode;
  out.mode_reason = decision.reason;
  std::sort(out.ips.begin(), out.ips.end());
  out.ips.erase(std::unique(out.ips.begin(), out.ips.end()), out.ips.end());

  // The sidecar template sets the label where the pod does not; the gateway template never does.
  const std::string* tls_mode = FindLabel(lead.pod_labels, kTlsMode);
  out.tls_mode_istio = tls_mode ? *tls_mode == "istio" : out.mode == ProxyMode::kSidecar;
  out.identity = Identity(out);
  if (const std::string* gateway = FindLabel(out.labels, kGatewayNameLabel)) {
    out.gateway = mesh_.FindK8sGateway(out.ns, *gateway);
  }
  return out;
}

Workload MeshBuilder::MakeWorkload(const WorkloadEntry& entry) const {
  Workload out;
  out.ns = entry.meta.ns;
  out.name = std::string(entry.meta.name);
  out.object = &entry.meta;
  out.entry = &entry;
  out.labels = entry.labels;
  out.service_account =
      entry.service_account.empty() ? "default" : std::string(entry.service_account);
  const std::string* tls_mode = FindLabel(entry.labels, kTlsMode);
  out.tls_mode_istio = tls_mode ? *tls_mode == "istio" : !entry.service_account.empty();
  out.mode = out.tls_mode_istio ? ProxyMode::kSidecar : ProxyMode::kNone;
  if (tls_mode) {
    out.mode_reason = "label " + std::string(kTlsMode) + ": " + *tls_mode;
  } else {
    out.mode_reason = out.tls_mode_istio ? "the WorkloadEntry has a service account"
                                         : "the WorkloadEntry has no service account";
  }
  if (std::optional<IpAddress> ip = ParseIpAddress(entry.address.value)) out.ips.push_back(*ip);
  out.identity = Identity(out);
  return out;
}

void MeshBuilder::BuildWorkloads() {
  revisions_ = Revisions::Of(model_);
  waypoint_gateways_ = WaypointGateways(model_);
  struct Planned {
    std::string_view ns, name;
    int rank;
    const Group* group;  // exactly one of the two is set
    const WorkloadEntry* entry;
  };
  const std::vector<Group> groups = GroupPods();
  std::vector<Planned> planned;
  for (const Group& group : groups) {
    const ObjectMeta& meta = group.lead->meta;
    planned.push_back({meta.ns, group.name, KindRank(meta.kind), &group, nullptr});
  }
  for (const WorkloadEntry& entry : model_.workload_entries) {
    planned.push_back({entry.meta.ns, entry.meta.name, KindRank("WorkloadEntry"), nullptr, &entry});
  }
  std::stable_sort(planned.begin(), planned.end(), [](const Planned& a, const Planned& b) {
    return std::tie(a.ns, a.name, a.rank) < std::tie(b.ns, b.name, b.rank);
  });
  mesh_.workloads_.resize(planned.size());
  constexpr size_t kRun = 128;  // workloads; fewer are not worth a thread
  ParallelFor((planned.size() + kRun - 1) / kRun, [&](size_t run) {
    for (size_t i = run * kRun; i < std::min(planned.size(), (run + 1) * kRun); ++i) {
      mesh_.workloads_[i] =
          planned[i].group ? MakeWorkload(*planned[i].group) : MakeWorkload(*planned[i].entry);
    }
  });
  for (size_t i = 0; i < planned.size(); ++i) {
    const Workload& workload = mesh_.workloads_[i];
    mesh_.workload_index_.emplace(workload.ns + "/" + workload.name, i);
    for (const IpAddress& ip : workload.ips) mesh_.workload_addresses_.emplace(ip, i);
  }
  // A workload's own name goes before the name of another one's pod.
  for (size_t i = 0; i < planned.size(); ++i) {
    if (!planned[i].group) continue;
    for (std::string_view alias : planned[i].group->aliases) {
      mesh_.workload_index_.emplace(mesh_.workloads_[i].ns + "/" + std::string(alias), i);
    }
  }
}

}  // namespace meshproof

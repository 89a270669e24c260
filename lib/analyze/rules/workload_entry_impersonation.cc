// A WorkloadEntry or WorkloadGroup enters the mesh by what it says of itself: its labels put it
// behind every Service whose selector they fit, and whoever registers it gets a certificate for its
// account. istiod checks neither against the pods that stand there, so labels copied from a
// Deployment divert a share of its traffic, and an account copied from one answers to its grants.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"

namespace meshproof::workload_entry_impersonation {
namespace {

// A WorkloadEntry, or a WorkloadGroup that makes them.
struct Machine {
  const ObjectMeta* meta = nullptr;
  const Labels* labels = nullptr;
  std::string account;  // "default" where none is written
  const Node* account_node = nullptr;
  const Node* labels_node = nullptr;
  std::string identity() const { return meta->ns + "/" + account; }
};

using Accounts = std::map<std::string, std::set<std::string>, std::less<>>;  // by namespace

std::string AccountOr(std::string_view written) {
  return written.empty() ? "default" : std::string(written);
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const ServiceAccount& account : analysis.model.service_accounts) {
      existing_[account.meta.ns].emplace(account.meta.name);
      stated_.insert(account.meta.ns);
    }
    for (const Workload& workload : analysis.mesh.workloads()) {
      if (workload.pod == nullptr) continue;
      existing_[workload.ns].insert(workload.service_account);
      pods_of_[workload.ns + "/" + workload.service_account].push_back(&workload);
    }
    for (const MeshService& service : analysis.mesh.services()) {
      for (size_t index : service.workloads) {
        services_of_[&analysis.mesh.workloads()[index]].push_back(&service);
      }
      services_in_[service.ns].push_back(&service);
    }
  }

  void CheckEntries() {
    std::map<const WorkloadEntry*, const Workload*> workloads;
    for (const Workload& workload : analysis_.mesh.workloads()) {
      if (workload.entry != nullptr) workloads[workload.entry] = &workload;
    }
    for (const WorkloadEntry& entry : analysis_.model.workload_entries) {
      Machine machine{&entry.meta, &entry.labels, AccountOr(entry.service_account), nullptr,
                      nullptr};
      machine.account_node = NodeAt(entry.meta.node, {"spec", "serviceAccount"});
      machine.labels_node = NodeAt(entry.meta.node, {"spec", "labels"});
      auto found = workloads.find(&entry);
      const std::vector<const MeshService*> none;
      const auto& joined = found == workloads.end() || !services_of_.count(found->second)
                               ? none
                               : services_of_.at(found->second);
      Check(machine, joined);
    }
  }

  void CheckGroups() {
    std::map<std::string, std::vector<const WorkloadGroup*>> by_namespace;
    for (const WorkloadGroup& group : analysis_.model.workload_groups) {
      Machine machine{&group.meta, &group.labels, AccountOr(group.service_account), nullptr,
                      nullptr};
      machine.account_node = NodeAt(group.meta.node, {"spec", "template", "serviceAccount"});
      machine.labels_node = NodeAt(group.meta.node, {"spec", "metadata", "labels"});
      if (machine.labels_node == nullptr) {
        machine.labels_node = NodeAt(group.meta.node, {"spec", "template", "labels"});
      }
      std::vector<const MeshService*> joined;
      auto services = services_in_.find(group.meta.ns);
      if (services != services_in_.end() && !group.labels.empty()) {
        for (const MeshService* service : services->second) {
          if (Takes(*service, group.labels)) joined.push_back(service);
        }
      }
      Check(machine, joined);
      if (!group.labels.empty()) by_namespace[group.meta.ns].push_back(&group);
    }
    for (const auto& [ns, groups] : by_namespace) CheckTwins(groups);
  }

 private:
  static bool Takes(const MeshService& service, const Labels& labels) {
    if (service.service != nullptr) {
      return service.service->has_selector && !service.service->selector.empty() &&
             Selects(service.service->selector, labels);
    }
    return service.entry->workload_selector.present &&
           !service.entry->workload_selector.match_labels.empty() &&
           Selects(service.entry->workload_selector.match_labels, labels);
  }

  void Check(const Machine& machine, const std::vector<const MeshService*>& joined) {
    if (machine.account_node != nullptr) CheckExists(machine);
    bool behind_same_pods = CheckJoined(machine, joined);
    if (machine.account_node != nullptr && !behind_same_pods) CheckHeld(machine);
  }

  void CheckExists(const Machine& machine) {
    const std::string& ns = machine.meta->ns;
    if (machine.account == "default" || existing_[ns].count(machine.account) > 0) return;
    std::string nearest = NearestName(machine.account, existing_[ns]);
    Finding& finding = Report(
        machine, *machine.account_node,
        "service account " + machine.identity() +
            " does not exist, so no token can be made for the machine and whoever may create "
            "accounts in " +
            ns + " can take its identity; " +
            (nearest.empty() ? "create the account, or name the one that belongs to the machine"
                             : "did you mean `" + nearest + "`"));
    if (!nearest.empty()) {
      finding.fix = "Write `" + nearest + "`.";
    } else {
      finding.fix = "Create ServiceAccount " + machine.identity() + ".";
    }
    // Accounts may come from files that are not here; those of this namespace do not all.
    if (stated_.count(ns) == 0) {
      finding.severity = Severity::kInfo;
      finding.certainty = Certainty::kCannotSee;
    }
    finding.detail = "account";
  }

  // True where pods of the machine's own account stand behind a Service with it: a machine that
  // serves beside its Deployment.
  bool CheckJoined(const Machine& machine, const std::vector<const MeshService*>& joined) {
    bool beside_own = false;
    for (const MeshService* service : joined) {
      const Workload* other = nullptr;
      bool own = false;
      for (size_t index : service->workloads) {
        const Workload& workload = analysis_.mesh.workloads()[index];
        if (workload.pod == nullptr) continue;
        if (workload.ns + "/" + workload.service_account == machine.identity()) {
          own = true;
        } else if (other == nullptr) {
          other = &workload;
        }
      }
      beside_own = beside_own || own;
      if (other == nullptr || own) continue;
      const Node* place = machine.labels_node;
      const std::string name = service->ns + "/" + service->name;
      Finding& finding = ReportAt(
          machine, place == nullptr ? machine.meta->span : SpanOf(machine.meta->file, *place),
          "these labels put the machine, which runs as " + machine.identity() + ", behind " +
              std::string(service->object == nullptr ? "Service" : service->object->kind) + " " +
              name + " beside " + Describe(*other) + ", which runs as " + other->ns + "/" +
              other->service_account +
              ", so it gets a share of that traffic and its identity is accepted as the Service; "
              "give the machine labels of its own, or the account of the Service");
      finding.fix = "Use labels that no selector of another application's Service fits.";
      finding.detail = "service " + name;
      if (service->object != nullptr) {
        finding.related.push_back({service->object->span, "the Service that it joins"});
      }
      if (other->object != nullptr) {
        finding.related.push_back({other->object->span, "stands behind it as another account"});
      }
    }
    return beside_own;
  }

  void CheckHeld(const Machine& machine) {
    auto pods = pods_of_.find(machine.identity());
    if (pods == pods_of_.end()) return;
    // A machine with the pods' labels is the same application without a Service of its own.
    for (const Workload* pod : pods->second) {
      if (SharesApp(*machine.labels, pod->labels)) return;
    }
    std::vector<std::string> names;
    for (const Workload* pod : pods->second) names.push_back(Describe(*pod));
    Finding& finding = Report(
        machine, *machine.account_node,
        "the machine gets the identity of " + ListNames(names) + " (account " + machine.identity() +
            ") while it is another application by its labels, so every grant to that account is "
            "its own too; give the machine an account of its own");
    finding.fix = "Use an account that only this machine runs as.";
    finding.detail = "identity";
    for (const Workload* pod : pods->second) {
      if (pod->object == nullptr) continue;
      finding.related.push_back({pod->object->span, "runs as the same account"});
      break;
    }
  }

  static bool SharesApp(const Labels& machine, const Labels& pod) {
    for (std::string_view key :
         {"app", "app.kubernetes.io/name", "k8s-app", "service.istio.io/canonical-name"}) {
      const std::string* a = FindLabel(machine, key);
      const std::string* b = FindLabel(pod, key);
      if (a != nullptr && b != nullptr) return *a == *b;
    }
    return !machine.empty() && (Selects(machine, pod) || Selects(pod, machine));
  }

  // Groups of one namespace whose machines cannot be told apart.
  void CheckTwins(const std::vector<const WorkloadGroup*>& groups) {
    std::map<Labels, std::vector<const WorkloadGroup*>> by_labels;
    for (const WorkloadGroup* group : groups) {
      Labels sorted = group->labels;
      std::sort(sorted.begin(), sorted.end());
      by_labels[std::move(sorted)].push_back(group);
    }
    for (const auto& [labels, twins] : by_labels) {
      if (twins.size() < 2) continue;
      for (const WorkloadGroup* group : twins) {
        const WorkloadGroup* other = twins.front() == group ? twins[1] : twins.front();
        bool same_account = AccountOr(group->service_account) == AccountOr(other->service_account);
        const Node* place = NodeAt(group->meta.node, {"spec", "metadata", "labels"});
        if (place == nullptr) place = NodeAt(group->meta.node, {"spec", "template", "labels"});
        Span span = place == nullptr ? group->meta.span : SpanOf(group->meta.file, *place);
        Finding& finding = reporter_.Report(
            group->meta, span,
            "WorkloadGroup " + other->meta.ns + "/" + std::string(other->meta.name) +
                " has the same labels, so policies and Services take the machines of both for one "
                "application" +
                (same_account ? "" : " though they run as different accounts") +
                "; give each group a label of its own");
        if (same_account) finding.severity = Severity::kInfo;
        finding.fix = "Add a label that only this group has.";
        finding.detail = "twin";
        finding.field_path = place == nullptr ? "" : FieldPathOf(*group->meta.node, span);
        finding.related.push_back({other->meta.span, "has the same labels"});
      }
    }
  }

  Finding& Report(const Machine& machine, const Node& place, std::string message) {
    return ReportAt(machine, SpanOf(machine.meta->file, place), std::move(message));
  }

  Finding& ReportAt(const Machine& machine, const Span& span, std::string message) {
    Finding& finding = reporter_.Report(*machine.meta, span, std::move(message));
    if (machine.meta->node != nullptr && span) {
      finding.field_path = FieldPathOf(*machine.meta->node, span);
    }
    return finding;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  Accounts existing_;
  std::set<std::string, std::less<>> stated_;  // namespaces with ServiceAccount objects
  std::map<std::string, std::vector<const Workload*>, std::less<>> pods_of_;  // "ns/account"
  std::map<const Workload*, std::vector<const MeshService*>> services_of_;
  std::map<std::string, std::vector<const MeshService*>, std::less<>> services_in_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  if (analysis.model.workload_entries.empty() && analysis.model.workload_groups.empty()) return;
  Checker checker(analysis, reporter);
  checker.CheckEntries();
  checker.CheckGroups();
}

}  // namespace meshproof::workload_entry_impersonation

// A ztunnel's dump holds every policy that istiod sent it and every workload of the mesh. Rules are
// compared as lists without order, which is all that they mean to ztunnel; a pod that no manifest
// names is not judged.

#include "analyze/drift_ztunnel.h"

#include <algorithm>
#include <map>
#include <set>

#include "analyze/drift_certificates.h"
#include "base/json.h"
#include "base/text.h"
#include "proxy/dump_input.h"
#include "proxy/ztunnel.h"
#include "proxy/ztunnel_waypoints.h"

namespace meshproof {
namespace {

std::string Sorted(std::vector<std::string> texts, const char* separator) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return Join(texts, separator);
}

std::string TextOf(const ZtunnelString& value) {
  switch (value.kind) {
    case ZtunnelString::Kind::kExact:
      return "=" + value.value;
    case ZtunnelString::Kind::kPrefix:
      return value.value + "*";
    case ZtunnelString::Kind::kSuffix:
      return "*" + value.value;
    case ZtunnelString::Kind::kPresence:
      return "*";
  }
  return "";
}
std::string TextOf(const ZtunnelAccount& account) {
  return account.ns + "/" + account.name;
}
std::string TextOf(const ZtunnelBlock& block) {
  return ToString(block.range);
}
std::string TextOf(const ZtunnelPort& port) {
  return std::to_string(port.port);
}

template <typename T>
std::string FieldText(const char* name, const std::vector<T>& values) {
  if (values.empty()) return "";
  std::vector<std::string> texts;
  for (const T& value : values) texts.push_back(TextOf(value));
  return std::string(name) + "(" + Sorted(std::move(texts), ",") + ")";
}

std::string TextOf(const ZtunnelMatch& match) {
  if (match.empty()) return "never";
  return FieldText("namespaces", match.namespaces) +
         FieldText("notNamespaces", match.not_namespaces) +
         FieldText("principals", match.principals) +
         FieldText("notPrincipals", match.not_principals) +
         FieldText("serviceAccounts", match.service_accounts) +
         FieldText("notServiceAccounts", match.not_service_accounts) +
         FieldText("sourceIps", match.source_ips) +
         FieldText("notSourceIps", match.not_source_ips) +
         FieldText("destinationIps", match.destination_ips) +
         FieldText("notDestinationIps", match.not_destination_ips) +
         FieldText("destinationPorts", match.destination_ports) +
         FieldText("notDestinationPorts", match.not_destination_ports);
}

// Rules OR'd, their clauses AND'ed, a clause's matches OR'd.
std::string TextOf(const std::vector<ZtunnelGroup>& groups) {
  std::vector<std::string> rules;
  for (const ZtunnelGroup& group : groups) {
    std::vector<std::string> clauses;
    for (const ZtunnelClause& clause : group.clauses) {
      std::vector<std::string> matches;
      for (const ZtunnelMatch& match : clause.matches) matches.push_back(TextOf(match));
      if (!matches.empty()) clauses.push_back(Sorted(std::move(matches), " or "));
    }
    rules.push_back("[" + Sorted(std::move(clauses), " and ") + "]");
  }
  return Sorted(std::move(rules), " or ");
}

std::string ScopeName(ZtunnelPolicy::Scope scope) {
  switch (scope) {
    case ZtunnelPolicy::Scope::kGlobal:
      return "Global";
    case ZtunnelPolicy::Scope::kNamespace:
      return "Namespace";
    case ZtunnelPolicy::Scope::kWorkload:
      return "WorkloadSelector";
  }
  return "";
}

class ZtunnelComparer {
 public:
  ZtunnelComparer(const DriftInput& input, size_t index, std::vector<DriftDifference>* out)
      : input_(input),
        dump_(input.dumps.ztunnels[index]),
        index_(input.dumps.proxies.size() + index),
        config_(input.mesh),
        out_(*out) {}

  void Compare() {
    ComparePolicies();
    for (const DumpedWorkload& dumped : dump_.workloads) CompareWorkload(dumped);
    for (const WaypointDifference& one : CompareWaypoints(input_.mesh, dump_)) AddWaypoint(one);
  }

 private:
  DriftDifference& Add(const char* code, Span span, const std::string& detail,
                       std::string message) {
    DriftDifference difference;
    difference.code = code;
    difference.proxy = index_;
    difference.span = span ? span : dump_.span;
    difference.message = std::move(message);
    difference.detail = dump_.file + " " + detail;
    out_.push_back(std::move(difference));
    return out_.back();
  }

  void ComparePolicies() {
    std::map<std::string, const DumpedPolicy*> dumped;
    for (const DumpedPolicy& policy : dump_.policies) {
      dumped[policy.ns + "/" + policy.name] = &policy;
    }
    for (const ZtunnelPolicy& policy : config_.policies()) {
      auto found = dumped.find(policy.Name());
      if (found == dumped.end()) {
        auto& difference =
            Add("MP0901", policy.object != nullptr ? policy.object->span : Span(),
                "missing " + policy.Name(),
                "policy `" + policy.Name() +
                    "` is missing in the ztunnel: what it says is not enforced on its node; see "
                    "whether istiod pushed the update (istioctl ztunnel-config policy)");
        difference.object = policy.object;
        difference.related.push_back({dump_.span, "the dump of the ztunnel"});
        continue;
      }
      ComparePolicy(policy, *found->second);
    }
    for (const auto& [name, policy] : dumped) {
      if (config_.Find(name) != nullptr) continue;
      Add("MP0901", policy->span, "extra " + name,
          "policy `" + name +
              "` is in the ztunnel, but no manifest has it: somebody applied it by hand or it was "
              "deleted without reaching the ztunnel; add it to the manifests or delete it");
    }
  }

  void ComparePolicy(const ZtunnelPolicy& wanted, const DumpedPolicy& got) {
    std::vector<std::string> notes;
    auto note = [&](const char* what, const std::string& there, const std::string& here) {
      if (there == here) return;
      notes.push_back(std::string(what) + " " + (there.empty() ? "none" : there) +
                      " where the manifests give " + (here.empty() ? "none" : here));
    };
    note("scope", got.scope, ScopeName(wanted.scope));
    note("action", got.action, wanted.action == ZtunnelPolicy::Action::kDeny ? "Deny" : "Allow");
    note("dry run", got.dry_run ? "true" : "false", wanted.dry_run ? "true" : "false");
    note("rules", TextOf(got.groups), TextOf(wanted.groups));
    if (notes.empty()) return;
    auto& difference =
        Add("MP0902", got.span, "changed " + wanted.Name(),
            "policy `" + wanted.Name() + "` is another in the ztunnel than in the manifests: " +
                Join(notes, "; ") + "; find out which of the two is meant, and apply it");
    difference.object = wanted.object;
    if (wanted.object != nullptr) {
      difference.related.push_back({wanted.object->span, "the manifest's policy"});
    }
  }

  void CompareWorkload(const DumpedWorkload& dumped) {
    const Workload* workload = input_.mesh.FindWorkload(dumped.ns, dumped.workload);
    if (workload == nullptr) workload = input_.mesh.FindWorkload(dumped.ns, dumped.name);
    if (workload == nullptr || IsFromDump(*workload)) return;
    const std::string who = dumped.ns + "/" + dumped.name;
    auto add = [&](const char* code, const std::string& detail, std::string message) {
      auto& difference = Add(code, dumped.span, who + " " + detail, std::move(message));
      difference.object = workload->object;
    };
    const auto& listed = config_.For(*workload).listed;
    for (const std::string& name : std::set<std::string>(listed.begin(), listed.end())) {
      if (config_.Find(name) == nullptr) continue;
      bool known =
          std::find(dumped.policies.begin(), dumped.policies.end(), name) != dumped.policies.end();
      if (known) continue;
      add("MP0901", "unlisted " + name,
          "the ztunnel does not apply policy `" + name + "` to " + who +
              ", whose labels it selects; see whether the pod or the policy is newer than the "
              "dump");
    }
    if (input_.mesh.TakesHbone(*workload) && dumped.protocol == "TCP") {
      add("MP0903", "tcp",
          "the ztunnel reaches " + who +
              " in plaintext (protocol TCP), and by the manifests it is in the ambient mesh: "
              "nothing between them has an identity; see whether the pod is captured (istioctl "
              "ztunnel-config workload)");
    }
    if (!dumped.service_account.empty() && dumped.service_account != workload->service_account) {
      add("MP0905", "account",
          "the ztunnel has " + who + " under service account `" + dumped.service_account +
              "` where the manifests give `" + workload->service_account +
              "`: rules on principals judge it as somebody else; roll out the workload again");
    }
  }

  void AddWaypoint(const WaypointDifference& one) {
    std::string text;
    if (one.dumped.empty()) {
      text = "the ztunnel sends what is meant for " + one.what + " past its waypoint `" +
             one.manifests +
             "`, so that none of the waypoint's policies is enforced; see whether the waypoint "
             "runs and has an address";
    } else if (one.manifests.empty()) {
      text = "the ztunnel sends what is meant for " + one.what + " through waypoint `" +
             one.dumped +
             "`, and by the manifests it has none: what is behind it sees the waypoint as its "
             "caller; label it in the manifests, or take the label away in the cluster";
    } else {
      text = "the ztunnel sends what is meant for " + one.what + " through waypoint `" +
             one.dumped + "` where the manifests give `" + one.manifests +
             "`, whose policies are not enforced; see which of the two labels is meant";
    }
    auto& difference = Add("MP0904", one.span, one.what + " waypoint", std::move(text));
    difference.object = one.object;
    if (one.object != nullptr) difference.related.push_back({one.object->span, "the manifest"});
  }

  const DriftInput& input_;
  const ZtunnelDump& dump_;
  size_t index_;
  ZtunnelConfig config_;
  std::vector<DriftDifference>& out_;
};

}  // namespace

void FindZtunnelDrift(const DriftInput& input, size_t index, std::vector<DriftDifference>* out) {
  // Without a workload that a manifest names there is nothing to compare with.
  const auto& workloads = input.mesh.workloads();
  if (!std::all_of(workloads.begin(), workloads.end(), IsFromDump)) {
    ZtunnelComparer(input, index, out).Compare();
  }
  FindZtunnelCertificateDrift(input, index, out);
}

}  // namespace meshproof

#include "analyze/names.h"

#include <algorithm>

#include "base/text.h"

namespace meshproof {
namespace {

const std::set<std::string> kNothing;

std::string Key(std::string_view group, std::string_view kind) {
  return std::string(group) + "/" + std::string(kind);
}

// Edits of one letter, a swap of two neighbours counting as one.
size_t Edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<size_t>> cost(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::string WithoutDigits(std::string_view text) {
  std::string rest;
  for (char c : text) {
    if (c < '0' || c > '9') rest += c;
  }
  return rest;
}

// `team-a` and `team-b`, `shop-eu` and `shop-us`: two of a family.
bool AreSiblings(std::string_view a, std::string_view b) {
  constexpr size_t kShort = 3;
  if (WithoutDigits(a) == WithoutDigits(b)) return true;
  size_t dash = a.rfind('-');
  return dash != std::string_view::npos && b.rfind('-') == dash &&
         a.substr(0, dash) == b.substr(0, dash) && a.size() - dash - 1 <= kShort &&
         b.size() - dash - 1 <= kShort;
}

}  // namespace

bool IsTypoOf(std::string_view written, std::string_view meant) {
  constexpr size_t kLongest = 253;
  constexpr size_t kLong = 8;
  if (written.size() > kLongest || meant.size() > kLongest || written == meant) return false;
  if (EqualsIgnoreCase(written, meant)) return true;
  if (written.size() < 4 || AreSiblings(written, meant)) return false;
  return Edits(written, meant) <= (written.size() < kLong ? 1 : 2);
}

std::string_view GroupOfVersion(std::string_view api_version) {
  size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

std::string NearestName(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr size_t kLongest = 253;
  name = name.substr(0, kLongest);
  std::string nearest;
  size_t best = std::max<size_t>(1, name.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    if (EqualsIgnoreCase(candidate, name)) return candidate;
    size_t apart = candidate.size() < name.size() ? name.size() - candidate.size()
                                                  : candidate.size() - name.size();
    if (candidate.size() > kLongest || apart >= best) continue;
    size_t edits = Edits(name, candidate);
    if (edits >= best) continue;
    best = edits;
    nearest = candidate;
  }
  return nearest;
}

std::string NearestName(std::string_view name, const std::set<std::string>& candidates) {
  return NearestName(name, std::vector<std::string>(candidates.begin(), candidates.end()));
}

std::string ListNames(const std::vector<std::string>& names, size_t most) {
  std::string text;
  size_t shown = names.size() > most ? most - 1 : names.size();
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) text += i + 1 == names.size() ? " and " : ", ";
    text += names[i];
  }
  if (shown < names.size()) text += " and " + std::to_string(names.size() - shown) + " more";
  return text;
}

KnownNames::KnownNames(const Analysis& analysis) {
  const Model& model = analysis.model;
  namespaces_ = {"default", "kube-system", "kube-public", "kube-node-lease",
                 model.mesh_config.root_namespace};
  for (const Namespace& ns : model.namespaces) namespaces_.emplace(ns.meta.name);
  const auto add_all = [&](const auto& objects) {
    for (const auto& object : objects) Add(object.meta);
  };
  add_all(model.services);
  add_all(model.service_accounts);
  add_all(model.gateways);
  add_all(model.virtual_services);
  add_all(model.destination_rules);
  add_all(model.service_entries);
  add_all(model.workload_entries);
  add_all(model.workload_groups);
  add_all(model.others);
  add_all(model.secrets);
  for (const ServiceAccount& account : model.service_accounts) {
    accounts_[account.meta.ns].emplace(account.meta.name);
  }
  for (const Workload& workload : analysis.mesh.workloads()) {
    namespaces_.insert(workload.ns);
    with_workloads_.insert(workload.ns);
    accounts_[workload.ns].insert(workload.service_account);
  }
  for (const WorkloadGroup& group : model.workload_groups) {
    if (!group.service_account.empty()) accounts_[group.meta.ns].emplace(group.service_account);
  }
  for (const ServiceEntry& entry : model.service_entries) {
    for (const ServiceEntry::Endpoint& endpoint : entry.endpoints) {
      if (!endpoint.service_account.empty()) {
        accounts_[entry.meta.ns].emplace(endpoint.service_account);
      }
    }
  }
  for (const OtherObject& object : model.others) {
    if (object.meta.kind != "Gateway") continue;
    std::string name(object.meta.name);
    accounts_[object.meta.ns].insert(name);
    accounts_[object.meta.ns].insert(name + "-istio");
    accounts_[object.meta.ns].insert(name + "-istio-waypoint");
    const std::string* given =
        FindLabel(object.meta.annotations, "gateway.istio.io/service-account");
    if (given != nullptr) accounts_[object.meta.ns].insert(*given);
  }
}

void KnownNames::Add(const ObjectMeta& meta) {
  if (!meta.ns.empty() && (meta.namespace_given || meta.kind == "Service")) {
    namespaces_.insert(meta.ns);
  }
  objects_[Key(GroupOfVersion(meta.api_version), meta.kind)][meta.ns].emplace(meta.name);
}

bool KnownNames::HasNamespace(std::string_view ns) const {
  return namespaces_.contains(std::string(ns));
}

bool KnownNames::HasWorkloads(std::string_view ns) const {
  return with_workloads_.find(ns) != with_workloads_.end();
}

const std::set<std::string>& KnownNames::Accounts(std::string_view ns) const {
  auto found = accounts_.find(ns);
  return found == accounts_.end() ? kNothing : found->second;
}

const std::set<std::string>& KnownNames::Objects(std::string_view group, std::string_view kind,
                                                 std::string_view ns) const {
  auto kinds = objects_.find(Key(group, kind));
  if (kinds == objects_.end()) return kNothing;
  auto found = kinds->second.find(ns);
  return found == kinds->second.end() ? kNothing : found->second;
}

bool KnownNames::HasObject(std::string_view group, std::string_view kind, std::string_view ns,
                           std::string_view name) const {
  return Objects(group, kind, ns).contains(std::string(name));
}

std::vector<std::string> KnownNames::NamespacesOf(std::string_view group, std::string_view kind,
                                                  std::string_view name) const {
  std::vector<std::string> namespaces;
  auto kinds = objects_.find(Key(group, kind));
  if (kinds == objects_.end()) return namespaces;
  for (const auto& [ns, names] : kinds->second) {
    if (names.contains(std::string(name))) namespaces.push_back(ns);
  }
  return namespaces;
}

bool KnownNames::HasKind(std::string_view group, std::string_view kind) const {
  return objects_.find(Key(group, kind)) != objects_.end();
}

}  // namespace meshproof

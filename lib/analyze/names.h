#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/rule.h"

// What names exist in the input, so that a rule can tell a misspelt name from one that lives where
// the input does not reach.
namespace meshproof {

// Whether a name was probably meant to be the other: a slip or two of the keyboard or of case, and
// not two names of a family (`team-a`, `team-b`).
bool IsTypoOf(std::string_view written, std::string_view meant);

// The candidate nearest to a name, "" where none is near: by case alone or by edit distance.
std::string NearestName(std::string_view name, const std::vector<std::string>& candidates);
std::string NearestName(std::string_view name, const std::set<std::string>& candidates);

// "a", "a and b", "a, b and c", "a, b and 3 more".
std::string ListNames(const std::vector<std::string>& names, size_t most = 4);

// Namespaces, accounts and objects by kind, each read once from the model.
class KnownNames {
 public:
  explicit KnownNames(const Analysis& analysis);

  // Namespaces that any object of the input lives in, or that every cluster has.
  const std::set<std::string>& namespaces() const { return namespaces_; }
  bool HasNamespace(std::string_view ns) const;
  // Whether any workload of the namespace is in the input.
  bool HasWorkloads(std::string_view ns) const;
  // Accounts of a namespace: ServiceAccounts, those that workloads run as, and those that Istio
  // makes for Gateway API gateways.
  const std::set<std::string>& Accounts(std::string_view ns) const;
  // Names of the objects of a kind ("Gateway", "gateway.networking.k8s.io") in a namespace.
  const std::set<std::string>& Objects(std::string_view group, std::string_view kind,
                                       std::string_view ns) const;
  bool HasObject(std::string_view group, std::string_view kind, std::string_view ns,
                 std::string_view name) const;
  // Namespaces that hold an object of this kind and name.
  std::vector<std::string> NamespacesOf(std::string_view group, std::string_view kind,
                                        std::string_view name) const;
  // Whether any object of the kind is in the input.
  bool HasKind(std::string_view group, std::string_view kind) const;

 private:
  using ByNamespace = std::map<std::string, std::set<std::string>, std::less<>>;

  void Add(const ObjectMeta& meta);

  std::set<std::string> namespaces_;
  std::set<std::string, std::less<>> with_workloads_;
  ByNamespace accounts_;
  std::map<std::string, ByNamespace, std::less<>> objects_;  // by "group/kind"
};

// "networking.istio.io" of "networking.istio.io/v1".
std::string_view GroupOfVersion(std::string_view api_version);

}  // namespace meshproof

// A policy without metadata.namespace goes to whatever namespace the kubectl context names, and the
// namespace is the policy's scope: the root namespace makes it mesh-wide.
#include <map>
#include <string>

#include "analyze/raw_objects.h"
#include "analyze/rule.h"

namespace meshproof::namespace_not_given {
namespace {

constexpr std::string_view kDefault = "default";

std::string FolderOf(const SourceFile* file) {
  std::string_view name = file == nullptr ? std::string_view() : std::string_view(file->name());
  size_t slash = name.rfind('/');
  return std::string(slash == std::string_view::npos ? std::string_view() : name.substr(0, slash));
}

// The namespace that most objects of each folder name.
class Majorities {
 public:
  template <typename T>
  void Count(const std::vector<T>& objects) {
    for (const T& object : objects) {
      if (object.meta.namespace_given) ++counts_[FolderOf(object.meta.file)][object.meta.ns];
    }
  }

  // "" where the folder names none.
  std::string Of(const SourceFile* file) const {
    auto folder = counts_.find(FolderOf(file));
    std::string best;
    size_t most = 0;
    if (folder == counts_.end()) return best;
    for (const auto& [ns, count] : folder->second) {
      if (count > most) {
        most = count;
        best = ns;
      }
    }
    return best;
  }

 private:
  std::map<std::string, std::map<std::string, size_t>> counts_;
};

template <typename T>
void CheckPolicies(const Analysis& analysis, const std::vector<T>& policies,
                   const Majorities& majorities, Reporter& reporter) {
  const std::string& root = analysis.model.mesh_config.root_namespace;
  for (const T& policy : policies) {
    // A namespace that the command line or the settings give is given.
    if (policy.meta.namespace_given || policy.meta.ns != kDefault) continue;
    std::string message =
        "no `metadata.namespace`, so the context of kubectl decides where the policy holds: here "
        "it is taken for namespace default; in " +
        root + " it would hold for the whole mesh";
    std::string majority = majorities.Of(policy.meta.file);
    if (!majority.empty() && majority != kDefault && majority != root) {
      message += ", in " + majority + ", which most objects beside it name, for that one";
    }
    message += "; write the namespace down";
    Finding& finding = reporter.Report(policy.meta, policy.meta.span, std::move(message));
    finding.field_path = "metadata.namespace";
    finding.fix = "Add `namespace:` to the metadata.";
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const Model& model = analysis.model;
  Majorities majorities;
  majorities.Count(model.pod_workloads);
  majorities.Count(model.services);
  majorities.Count(model.authorization_policies);
  majorities.Count(model.request_authentications);
  majorities.Count(model.peer_authentications);
  CheckPolicies(analysis, model.authorization_policies, majorities, reporter);
  CheckPolicies(analysis, model.request_authentications, majorities, reporter);
  CheckPolicies(analysis, model.peer_authentications, majorities, reporter);
}

}  // namespace meshproof::namespace_not_given

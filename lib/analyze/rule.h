#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/finding.h"
#include "analyze/raw_objects.h"
#include "mesh/mesh.h"
#include "model/model.h"
#include "simulate/case.h"

// A rule is its page (`rules/<slug>.md`: front matter and text) and its function
// (`lib/analyze/rules/<slug>.cc`). The build joins the two folders into one table: a page without
// its function or a function without its page fails it.
namespace meshproof {

struct Dumps;
struct DriftDifference;
class Reach;
class SharedViews;
class WorkloadIndex;

// What every rule sees. Immutable; rules run in parallel.
struct Analysis {
  const Model& model;
  const Mesh& mesh;
  const World& world;
  const std::vector<RawObject>& objects;  // as they are written, read once for all rules
  int64_t now = 0;                        // seconds since the epoch, for certificates and witnesses
  std::string istio_version;  // as stated by the user ("1.24.3"), "" = the current release
  // What proxies run, and how it differs from the manifests; null where the input holds no dump.
  const Dumps* dumps = nullptr;
  const std::vector<DriftDifference>* drift = nullptr;
  // Questions about all requests (analyze/reach.h). Never null.
  const Reach* reach = nullptr;
  const WorkloadIndex* index = nullptr;  // never null
  const SharedViews* views = nullptr;    // never null

  // Whether the input holds any object of this kind or namespace at all; a rule about a missing
  // one lowers its certainty where the input cannot tell.
  bool HasWorkloads() const { return !mesh.workloads().empty(); }
  bool HasServices() const { return !model.services.empty(); }
  bool SeesNamespace(std::string_view ns) const;  // anything of it is in the input
  bool HasMeshConfig() const { return model.mesh_config.object != nullptr; }
};

// Collects the findings of one rule.
class Reporter {
 public:
  explicit Reporter(const Rule& rule) : rule_(rule) {}

  // Adds a finding about `object` at `span` (the object itself where `span` is empty), with the
  // rule's severity and certainty kLikely; the caller fills in the rest.
  Finding& Report(const ObjectMeta& object, Span span, std::string message);
  // The same about a file or an object that is not in the model.
  Finding& Report(ObjectName object, Span span, std::string message);

  std::vector<Finding> Take() { return std::move(findings_); }

 private:
  const Rule& rule_;
  std::vector<Finding> findings_;
};

using RuleFunction = void (*)(const Analysis&, Reporter&);

struct Rule {
  std::string_view slug;  // = name: says the bad thing, "permissive-mtls"
  std::string_view page;  // the whole Markdown file
  RuleFunction check;
  // From the front matter:
  std::string code;                        // "MP0201"
  Severity severity = Severity::kWarning;  // default
  std::string summary;                     // one line
  std::vector<std::string> kinds;
  std::string since;
  std::vector<std::string> istioctl;  // IST codes that it subsumes
  std::vector<std::string> refs;
};

// Every rule by code. The same objects for the life of the process.
std::span<const Rule> AllRules();
// By code or name, ignoring case; null where there is none.
const Rule* FindRule(std::string_view code_or_name);

// Puts a witness on a finding: asks the simulator, and keeps it (certainty kProven) only if the
// verdict is the expected one. False where it is not, or cannot be asked.
bool AttachWitness(const Analysis& analysis, const Case& question, Outcome expected,
                   Finding* finding);

}  // namespace meshproof

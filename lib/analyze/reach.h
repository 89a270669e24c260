#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/finding.h"
#include "mesh/mesh.h"
#include "model/model.h"
#include "reason/reason.h"
#include "reason/region.h"

// What rules ask about all requests to a workload (reason/reason.h), asked once for workloads that
// are alike. An answer that costs more than `analyze` gives it is undetermined: then a rule says
// nothing, or says it with less certainty.
namespace meshproof {

struct Analysis;

// Workloads of one namespace that are told apart by nothing that decides about requests: the same
// policies, token rules, mTLS modes and ports. Gateways and those that EnvoyFilters change are
// alone.
struct Site {
  std::vector<const Workload*> workloads;  // at least one, in the mesh's order
  PolicySet policies;                      // dry-run ones are among them
  std::vector<InboundPort> declared;       // of Services or the Sidecar resource; none at a gateway

  const Workload& workload() const { return *workloads.front(); }  // stands for all
  bool Has(const AuthorizationPolicy& policy) const;
};

// What became of one rule at one port.
struct RulePlace {
  const Site* site = nullptr;
  int port = 0;
  const RuleStatus* status = nullptr;
};

// One rule of an enforced policy wherever it stands.
struct RuleFate {
  const AuthorizationPolicy* policy = nullptr;
  size_t rule = 0;  // index in policy->rules
  std::vector<RulePlace> places;

  // Whether it is so at every place, and there is one.
  bool Everywhere(RuleStatus::Kind kind) const;
};

// Thread-safe; everything is computed when it is first asked for.
class Reach {
 public:
  explicit Reach(const World& world);
  ~Reach();
  Reach(const Reach&) = delete;
  Reach& operator=(const Reach&) = delete;

  const Reasoner& reasoner() const;

  // As Reasoner::Find. Of a site's workload the answer is that of the first site that is its twin
  // (analyze/twins.h), in its own names and judged again by the simulator; it has no words for the
  // region then.
  Answer Find(const Workload& workload, int port, const Region& region, Wanted wanted) const;

  // As Reasoner::RuleStatuses, of a site's workload; twins share them as they do with `Find`.
  std::vector<RuleStatus> RuleStatuses(const Site& site, int port) const;

  // Sidecars and gateways that an AuthorizationPolicy or RequestAuthentication applies to, in the
  // mesh's order.
  const std::vector<Site>& Sites() const;
  // Those that the policy applies to.
  std::vector<const Site*> SitesOf(const AuthorizationPolicy& policy) const;

  // Ports that clients are meant to call: the declared ones or a gateway's listeners; where a
  // sidecar has none, one that stands for all.
  std::vector<int> CalledPorts(const Site& site) const;

  // Of every rule of an enforced policy at every port of `Reasoner::Ports`, in the model's order.
  // Where what is written says that all rules are alive nothing is asked: there is one place then,
  // kLive, with port 0 and without an example.
  const std::vector<RuleFate>& Fates() const;

  struct Impl;

 private:
  std::unique_ptr<Impl> impl_;
};

// The set of requests that the author wrote down, in the words of the policy. With `positive` only
// what the lists name, without what they exclude: the requests that were meant. A port, a
// destination address, an audience list and the like stand for every request.
Region RegionOf(const AuthorizationPolicy::Source& source, std::string_view ns,
                bool positive = false);
Region RegionOf(const AuthorizationPolicy::Operation& operation, bool positive = false);
Region RegionOf(const AuthorizationPolicy::Condition& condition, std::string_view ns,
                bool positive = false);
Region RegionOf(const AuthorizationPolicy::Rule& rule, std::string_view ns, bool positive = false);
// One list of a source or operation: any of its values. `when` keys go by their own name.
Region AnyOfField(Region::Field field, const TextList& values, std::string_view ns = {});

// Puts an answer's request on a finding, which is proven then. False where the simulator, asked
// again for the whole story, says something else.
bool AttachExample(const Analysis& analysis, const Example& example, Finding* finding);

// "shop/web and shop/cart": the workloads of the sites.
std::string NamesOf(const std::vector<const Site*>& sites);

// "GET /admin of host shop.example.com, in plaintext": the request line and who sends it.
std::string InWords(const Case& request);

}  // namespace meshproof

#pragma once

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/json.h"
#include "mesh/mesh.h"
#include "proxy/config.h"

// What istiod sends to every ztunnel (istio-semantics sections 4 and 7.1): AuthorizationPolicies
// without what ztunnel does not know, PeerAuthentications as DENY policies, and who lists which.
namespace meshproof {

struct ZtunnelDump;
struct DumpedWorkload;

// Names that istiod gives to policies that nobody wrote.
inline constexpr std::string_view kStaticStrictName = "istio_converted_static_strict";
inline constexpr std::string_view kConvertedPrefix = "converted_peer_authentication_";

struct ZtunnelString {
  enum class Kind { kExact, kPrefix, kSuffix, kPresence };
  Kind kind = Kind::kExact;
  std::string value;
  Span span;

  bool Matches(std::string_view text) const;  // presence: not empty
};

struct ZtunnelAccount {
  std::string ns, name;
  Span span;
};

struct ZtunnelBlock {
  CidrRange range;
  std::string address;  // as emitted, host bits kept
  Span span;
};

struct ZtunnelPort {
  uint32_t port = 0;
  Span span;
};

// All types of list that stand here have to hold: of a list any, of a `not_` one none. Without any
// list it never matches.
struct ZtunnelMatch {
  std::vector<ZtunnelString> principals, not_principals, namespaces, not_namespaces;
  std::vector<ZtunnelAccount> service_accounts, not_service_accounts;
  std::vector<ZtunnelBlock> source_ips, not_source_ips, destination_ips, not_destination_ips;
  std::vector<ZtunnelPort> destination_ports, not_destination_ports;
  bool empty() const;
};

struct ZtunnelClause {  // any match; without matches it holds
  std::vector<ZtunnelMatch> matches;
};

struct ZtunnelGroup {  // every clause: what became of one rule
  std::vector<ZtunnelClause> clauses;
  Origin origin;
};

// What istiod left out on the way, for explanations.
struct ZtunnelLoss {
  enum class Effect {
    kRuleOmitted,   // ALLOW with something that ztunnel does not know: the rule is gone
    kFieldOmitted,  // DENY: the field is gone, what stands beside it matches more
    kNeverMatches,  // nothing is left of the clause: the rule has no effect
    kIgnored,       // trustDomains: gone without a word, ALLOW matches more
  };
  Effect effect = Effect::kRuleOmitted;
  int rule = 0;
  std::string field;  // as the author wrote it: "methods", "when remote.ip"
  Span span;
};

struct ZtunnelPolicy {
  enum class Scope { kGlobal, kNamespace, kWorkload };
  enum class Action { kAllow, kDeny };
  std::string ns, name;
  Scope scope = Scope::kGlobal;
  Action action = Action::kAllow;
  bool dry_run = false;
  std::vector<ZtunnelGroup> groups;
  const ObjectMeta* object = nullptr;  // null: istio_converted_static_strict
  bool from_peer_authentication = false;
  std::vector<ZtunnelLoss> losses;
  std::string Name() const { return ns + "/" + name; }
};

// Why a policy of the input is not sent at all.
enum class ZtunnelOmission { kNone, kTargetRef, kAudit, kCustom, kDryRun };
ZtunnelOmission OmissionOf(const Mesh& mesh, const AuthorizationPolicy& policy);

struct ZtunnelWorkload {
  const Workload* workload = nullptr;
  std::vector<std::string> listed;  // "ns/name" of what it lists; some may not exist
  // The PeerAuthentication that makes all its ports or some of them strict; null: none.
  const PeerAuthentication* strict_by = nullptr;
  std::string trust_domain;  // of the workload itself, which its clients have to share
  // Why it cannot be said what ztunnel lets through to it; "" where it can. Of dumps alone.
  std::string unknown;
  size_t sent = 0;  // whose policies count, where several ztunnels were dumped
};

// Immutable.
class ZtunnelConfig {
 public:
  explicit ZtunnelConfig(const Mesh& mesh);
  // What ztunnels were sent by their own dumps, which have to outlive this. For each workload the
  // first dump counts that holds it, of those that hold it the one whose ztunnel serves it.
  ZtunnelConfig(const Mesh& mesh, std::span<const ZtunnelDump> dumps);

  const Mesh& mesh() const { return mesh_; }
  const std::vector<ZtunnelPolicy>& policies() const { return policies_; }  // by namespace, name
  const ZtunnelWorkload& For(const Workload& workload) const;
  // In the order in which ztunnel names a DENY: namespace, global, the workload's list. A listed
  // policy that istiod does not send is not among them.
  std::vector<const ZtunnelPolicy*> PoliciesFor(const Workload& workload) const;
  const ZtunnelPolicy* Find(std::string_view name) const;  // "ns/name"
  // The policy that PeerAuthentication became and that refuses callers without identity on a port;
  // null: they are let in. Port 0 stands for ports that nothing names.
  const ZtunnelPolicy* StrictOn(const Workload& workload, uint32_t port) const;

 private:
  // Indexes of one ztunnel's policies; in the lists, of those that selectors do not choose.
  struct Sent {
    std::unordered_map<std::string, size_t> by_name;
    std::unordered_map<std::string, std::vector<size_t>> of_namespace;
    std::vector<size_t> global;
  };
  void Index(size_t begin);  // the policies from there on are one ztunnel's
  void AddDump(const ZtunnelDump& dump, const ZtunnelConfig& manifests);
  ZtunnelWorkload EntryOf(const Workload& workload, std::span<const ZtunnelDump> dumps,
                          const ZtunnelConfig& manifests) const;
  const ObjectMeta* ObjectOf(const ZtunnelPolicy& policy, const Span& span);

  const Mesh& mesh_;
  std::vector<ZtunnelPolicy> policies_;
  std::vector<Sent> sent_;
  std::vector<ZtunnelWorkload> workloads_;                    // as mesh.workloads()
  std::vector<std::shared_ptr<const ObjectMeta>> recovered_;  // of policies that no manifest has
};

// `compile ztunnel`: authorizations, workloads and services as proto-JSON with addresses as text.
Json EmitZtunnel(const ZtunnelConfig& config);

}  // namespace meshproof

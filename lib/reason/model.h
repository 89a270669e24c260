#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mesh/mesh.h"
#include "proxy/config.h"
#include "reason/ambient.h"
#include "reason/reason.h"
#include "reason/space.h"

namespace meshproof {

// How a client can connect. The order is that of the field `transport`.
struct Transport {
  enum class Security { kPlaintext, kCertificate, kNoCertificate };
  enum class Speech { kHttp1, kHttp2, kBytes };
  Security security = Security::kPlaintext;
  Speech speech = Speech::kHttp1;
};
constexpr size_t kTransports = 9;
Transport TransportAt(size_t index);
size_t IndexOf(const Transport& transport);

// One rule in one filter chain.
struct RuleInChain {
  const RbacPolicy* policy = nullptr;
  Rbac::Action action = Rbac::Action::kAllow;
  bool custom = false;
  bool enforced = true;  // false: it only says what an authorizer is asked about
  Expr match = kNever;
  // One entry for each pair of a permission and a principal.
  struct Pair {
    size_t permission = 0, principal = 0;
    Expr match = kNever;
  };
  std::vector<Pair> pairs;
  // The conditions of a rule that has one permission and one principal.
  std::vector<std::pair<const Predicate*, Expr>> conditions;
};

struct RouteInChain {
  const Route* route = nullptr;
  const VirtualHost* host = nullptr;
  Expr match = kNever;
};

// What one filter chain makes of a request that reaches it.
struct ChainModel {
  const FilterChain* chain = nullptr;
  bool http = false;
  Expr arrives = kNever;     // chosen, handshake done, the codec understands it
  Expr token_ok = kAlways;   // jwt_authn does not refuse
  Expr custom_ok = kAlways;  // no external authorizer refuses, no broken CUSTOM denies
  Expr denied = kNever;      // a DENY rule matches
  Expr admitted = kAlways;   // no ALLOW filter, or one of its rules matches
  Expr clear = kAlways;      // filters that cannot be seen through let it pass
  size_t allow_filters = 0;  // `admitted` is one of the rules of each
  std::vector<RuleInChain> rules;
  std::vector<RouteInChain> routes;                 // gateway
  std::vector<std::pair<std::string, Expr>> gates;  // provider, asked
  const JwtFilter* jwt = nullptr;
};

// One proxy's side of a question.
struct SideModel {
  const Workload* workload = nullptr;
  const ProxyConfig* proxy = nullptr;
  int port = 0;
  Door door;
  std::string undetermined;  // not empty: nothing can be said
  std::vector<ChainModel> chains;
  Expr allowed = kNever;
  Expr tidy = kNever;     // the protocol is the one that the chain speaks
  Expr garbled = kNever;  // bytes that reach an HTTP codec
  Expr token_accepted = kNever;
  bool has_jwt = false;
};

// Who there is to call: the identities of a mesh, each with its first workload.
struct Callers {
  explicit Callers(const Mesh& mesh);

  using ByIdentity = std::unordered_map<std::string_view, const Workload*>;
  ByIdentity sidecars, ambient;
  const Workload* first_ambient = nullptr;
  std::map<std::string_view, std::vector<const Workload*>> by_namespace;
};

// The requests to one port, and what one or two proxies make of them.
class PortModel {
 public:
  struct Side {
    const World* world = nullptr;
    const Workload* workload = nullptr;
    int port = 0;
    Door door = {};
    const ProxyConfig* ztunnel = nullptr;  // of an ambient workload
    // Of the world's mesh; nothing: they are collected anew.
    const Callers* callers = nullptr;
    ClassMemory* classes = nullptr;  // may be none; the first side's counts
  };

  PortModel(const std::vector<Side>& sides, const Budget& budget);

  const SideModel& side(size_t index) const { return sides_[index]; }
  size_t sides() const { return sides_.size(); }
  Space& space() { return space_; }
  // Before Build only.
  Expr RegionOf(const Region& region);
  // False: `reason` says what was spent. To be called once.
  bool Build();
  const std::string& reason() const { return reason_; }

  // True: some leaf could not be seen through.
  bool has_opaque() const { return !opaque_.empty(); }
  const std::string& OpaqueReason() const { return opaque_.begin()->second; }

  // The request that a point stands for, addressed to a side's workload.
  // Nothing: no client can send it (an error of ours).
  std::optional<Case> Decode(const Space::Point& point, size_t side) const;
  // These fields of a point in words.
  std::string Describe(const Space::Point& point, const std::vector<Space::FieldId>& fields) const;
  // Prefers what people send: the direct address, the chain's own protocol.
  Space::Point Choose(Space::Node node, size_t side);
  // The part of a set, not empty, in which people look first; `missed` grows with each wish that
  // had to be given up, the first one counting most.
  Space::Node Prefer(Space::Node node, size_t side, int* missed);

  // Names of fields.
  static constexpr std::string_view kOpaque = "opaque ";
  static constexpr std::string_view kAuthorizer = "authorizer ";

  struct Translator;

 private:
  friend struct Translator;

  std::vector<SideModel> sides_;
  std::vector<Side> asked_;
  std::vector<std::unique_ptr<const Callers>> own_callers_;
  Space space_;
  std::string reason_;
  std::map<std::string, std::string> opaque_;  // by field
  std::set<std::string> providers_;
  std::unique_ptr<Translator> translator_;
  PathOptions path_options_;
  std::map<std::string, std::pair<std::string, std::string>> query_flags_;  // field: name, value
  std::map<std::string, std::vector<std::string>> claim_fields_;            // field: claim's path
  std::map<std::string, std::string> header_fields_;                        // field: header
  std::set<std::string> list_claims_;  // claims that are always sent as a list
  uint32_t trusted_hops_ = 0;
  bool edge_ = false;

 public:
  ~PortModel();
  PortModel(const PortModel&) = delete;
  PortModel& operator=(const PortModel&) = delete;
};

}  // namespace meshproof

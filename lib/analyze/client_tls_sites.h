#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "analyze/rule.h"
#include "source/node.h"

// DestinationRules seen from what they do to TLS: the blocks of one rule, the Services that it
// covers, and what its clients then send to each endpoint (istio-semantics section 5).
namespace meshproof {

// One place of a rule that decides TLS: a `tls` block, or a port entry without one.
struct TlsSite {
  const DestinationRule* rule = nullptr;
  const DestinationRule::Subset* subset = nullptr;  // null: all subsets
  const ClientTls* tls = nullptr;                   // null: the entry takes TLS away
  int port = 0;                                     // 0: every port
  const Node* node = nullptr;                       // the block, or the entry without one; may lack
  Span span;                                        // of the same
  std::string path;                                 // "spec.trafficPolicy.tls"

  // The value of a field of the block; the block itself where the field is not there.
  Span FieldSpan(std::string_view field) const;
  std::string FieldPath(std::string_view field) const;  // the path that belongs to FieldSpan
};

// In the order of the rule: all subsets, then each; each time the whole before its ports.
std::vector<TlsSite> TlsSitesOf(const DestinationRule& rule);
// The site that decides for this subset ("" = none) and port, as istiod reads one rule; null where
// none does.
const TlsSite* DecidingSite(const std::vector<TlsSite>& sites, std::string_view subset, int port);

std::string_view ToString(ClientTls::Mode mode);

// What a rule makes one client do towards one endpoint.
struct TlsUse {
  const TlsSite* site = nullptr;  // null: the rule says nothing of TLS here
  std::string_view subset;
  const MeshService* service = nullptr;
  const MeshServicePort* port = nullptr;
  const Workload* client = nullptr;
  const Workload* server = nullptr;
  bool seen = false;  // both are workloads of the input that surely have a proxy
  ClientTlsChoice choice;
  int target_port = 0;
  EffectiveMode mode;         // of the server's port
  bool server_proxy = false;  // the server has a sidecar (or may have one: see `seen`)
};

// Answers questions about all rules of a mesh. Build once a rule function.
class ClientTlsSurvey {
 public:
  explicit ClientTlsSurvey(const Analysis& analysis);

  // Services in the mesh that the host of the rule covers, in the mesh's order.
  std::vector<const MeshService*> Covered(const DestinationRule& rule) const;
  // Visits (subset, Service, port, endpoint) where this very rule decides for some client; one
  // client stands for its namespace, and the first found for all. A rule without any client in the
  // input is judged for a client of its own namespace. External Services are left out.
  void VisitUses(const DestinationRule& rule,
                 const std::function<void(const TlsUse&)>& visit) const;
  // A sidecar that is not an endpoint of the Service, of its namespace if possible; null if none.
  const Workload* AnyClient(const MeshService& service) const;
  // The workload has a sidecar, or may have one: its namespace is not in the input.
  bool MayHaveProxy(const Workload& workload, bool* sure) const;

 private:
  // A client of the Service for which `rule` is looked up (the merged rules' first one may differ);
  // null where every client takes another rule, or none can see the Service. `budget` bounds how
  // many clients of other namespaces are asked in vain for one rule, so that the work stays linear.
  const Workload* ClientOf(const DestinationRule& rule, const MeshService& service, size_t* budget,
                           bool* seen) const;
  bool Applies(const DestinationRule& rule, const Workload& client,
               const MeshService& service) const;

  const Analysis& analysis_;
  std::vector<const Workload*> clients_;  // one sidecar or gateway a namespace
  std::unordered_map<std::string, const Workload*> client_of_;
  std::unordered_map<std::string, Workload> assumed_;  // by namespace of a rule
};

// "ledger:80 and basket:80" for messages.
std::string SayPlaces(const std::vector<std::string>& places);

}  // namespace meshproof

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/config.h"
#include "reason/region.h"
#include "simulate/case.h"
#include "simulate/verdict.h"

// Decides questions about all requests that can reach a port of a workload. The answer is exact
// over this domain: one connection that a client can make (plaintext, or TLS with at most one
// certificate of one URI name, shaped as a mesh identity where the mesh's root has to sign it), a
// well-formed HTTP/1.1 or HTTP/2 request or bytes, no token or valid tokens of one configured
// issuer. Paths are what a rule sees: the image of the listener's normalization.
//
// How to ask
//   for a request without a token that gets through:  Find(w, port, Not(Is(kToken)), kAllowed)
//   ... in spite of every external authorizer:        Find(..., kAllowedByAnyAuthorizer)
//   for a request of REGION that is refused:          Find(w, port, REGION, kRefused)
//   whether all of REGION gets through:               ... is kEmpty
//   which rules are unreachable, denied, covered:     RuleStatuses(w, port)
//   what is let in:                                   ExposureOf(w, port)
//   what a change opens and shuts:                    Compare(...)
// A request that security lets through and no route takes (404) counts as allowed; Is(kRouted)
// keeps those that a route takes.
namespace meshproof {

struct Budget {
  size_t classes = 50'000;   // equivalence classes of one field
  size_t nodes = 4'000'000;  // of a decision diagram
  double seconds = 30;       // of one question's own computation
};

// A request that shows an answer and the simulator's verdict on it; both were
// compared.
struct Example {
  Case request;
  Verdict verdict;
  // Not 0: examples of one Reasoner with the same number are the same but for the workload.
  uint64_t number = 0;
};

struct Answer {
  enum class Kind { kEmpty, kFound, kUndetermined };
  Kind kind = Kind::kUndetermined;
  std::optional<Example> example;  // kFound
  std::string region;              // kFound: what the requests like it have in common, in words
  std::string reason;              // kUndetermined: the budget, what cannot be seen through
  bool found() const { return kind == Kind::kFound; }
  bool empty() const { return kind == Kind::kEmpty; }  // proved
};

enum class Wanted {
  kAllowed,                 // where every external authorizer that is asked agrees
  kAllowedByAnyAuthorizer,  // even where all of them refuse (they are not asked)
  kRefused,                 // even where every authorizer agrees
};

struct RuleStatus {
  enum class Kind {
    kLive,         // a request is decided by it alone
    kUnreachable,  // no request matches it
    kDenied,       // ALLOW: whatever matches is refused by DENY rules (`by`)
    kCovered,      // whatever it decides is decided by other rules (`by`) of its
                   // action
    kUndetermined,
  };
  const RbacPolicy* policy = nullptr;
  Rbac::Action action = Rbac::Action::kAllow;
  bool custom = false;  // of a CUSTOM policy: it only says what the authorizer
                        // is asked about
  Kind kind = Kind::kUndetermined;
  std::vector<const RbacPolicy*> by;
  std::string reason;              // kUnreachable: which conditions exclude each other, or
                                   // the budget
  std::optional<Example> example;  // kLive
  std::vector<size_t> conflict;    // kUnreachable: these conditions, by ConditionsOf(*policy)
};

// What all has to hold of a rule that has one permission and one principal; of others nothing.
std::vector<const Predicate*> ConditionsOf(const RbacPolicy& policy);
// "ipBlocks [..] and notIpBlocks [..] exclude each other": some of these conditions.
std::string ConflictText(const RbacPolicy& policy, const std::vector<size_t>& conditions);

// One way in, in the words of the rule that lets it in.
struct ExposureRow {
  bool http = false;  // a row about HTTP requests, else about bytes (and about
                      // what is in them)
  enum class Peer { kAnyone, kAnyIdentity, kNamed };
  Peer peer = Peer::kAnyone;
  bool token = false;                // a valid token is needed
  std::vector<std::string> issuers;  // of these issuers, where a token is needed
  std::vector<std::string> custom;   // external authorizers that are asked about some of it
  // Empty = any. A value that is excluded starts with "not ".
  std::vector<std::string> from, methods, hosts, paths, conditions;
  struct Exception {
    std::string text;
    const RbacPolicy* rule = nullptr;
  };
  std::vector<Exception> except;           // DENY rules that take away a part of it
  std::vector<const RbacPolicy*> rules;    // ALLOW rules; empty: no ALLOW policy applies
  const Route* route = nullptr;            // gateway
  std::string destination;                 // gateway: its cluster's host and port
  std::shared_ptr<const Example> example;  // may be none
};

struct Exposure {
  int port = 0;
  bool http = false;  // some chain that admits anything speaks HTTP
  bool complete = false;
  std::string reason;  // not complete: why
  std::vector<ExposureRow> rows;
};

// A difference between two proxies: requests that one lets through and the
// other does not.
struct Difference {
  Example old_example, new_example;  // one request, judged by each side
  std::string region;                // in words: what the request's neighbours have in common
};

struct Comparison {
  std::vector<Difference> newly_allowed, newly_refused;
  bool complete = true;  // false: `reason`
  std::string reason;
};

// What was found out for one workload holds for all whose proxies say the same; only its examples
// have to be judged at each of them, which takes longer than all the rest.
enum class WithExamples { kYes, kNo };

// Asks one mesh. Thread-safe; remembers what it built for policies that are
// alike.
class Reasoner {
 public:
  explicit Reasoner(const World& world, const Budget& budget = {});
  ~Reasoner();
  Reasoner(const Reasoner&) = delete;
  Reasoner& operator=(const Reasoner&) = delete;

  const World& world() const;

  // The ports worth asking about: those that the proxy has listeners or filter
  // chains for, those that rules name, and, at a sidecar, one that stands for
  // all others (last; `OtherPort`).
  std::vector<int> Ports(const Workload& workload) const;
  // 0 where the proxy takes no other ports.
  int OtherPort(const Workload& workload) const;

  Answer Find(const Workload& workload, int port, const Region& region, Wanted wanted) const;
  // kNo: statuses and rows are without examples.
  std::vector<RuleStatus> RuleStatuses(const Workload& workload, int port,
                                       WithExamples examples = WithExamples::kYes) const;
  Exposure ExposureOf(const Workload& workload, int port, const Region& within = {},
                      WithExamples examples = WithExamples::kYes) const;

  // Requests to `port` on which the two worlds disagree, at most `limit` of
  // each direction.
  static Comparison Compare(const Reasoner& before, const Workload& old_workload,
                            const Reasoner& after, const Workload& new_workload, int port,
                            size_t limit = 5);

  // Witnesses that the simulator did not confirm: an error of meshproof; the
  // answer was kUndetermined then.
  size_t unconfirmed() const;

  struct Impl;

 private:
  Answer FindAnew(const Workload& workload, int port, const Region& region, Wanted wanted) const;
  std::vector<RuleStatus> RuleStatusesAnew(const Workload& workload, int port) const;
  Exposure ExposureAnew(const Workload& workload, int port, const Region& within) const;

  std::unique_ptr<Impl> impl_;
};

}  // namespace meshproof

#pragma once

#include <string>
#include <vector>

#include "analyze/rule.h"
#include "analyze/spellings.h"

// Requests that slip by a rule: the rule judges a request, and a request that somebody may take for
// the same one gets through. Both verdicts are the simulator's.
//
// Asked of what a DENY rule matches (`paths`, `hosts`, `methods`, header values) and of what an
// ALLOW rule leaves out (`notPaths`, …): there a spelling that is missed opens something, while
// elsewhere it shuts.
namespace meshproof {

enum class SlipKind {
  kSpelling,  // a path spelled otherwise
  kEdge,      // a neighbour of a path: with a slash, below it
  kHost,
  kMethod,  // a method beside the listed ones
  kHeader,  // the header left out
};

struct Slip {
  SlipKind kind = SlipKind::kSpelling;
  int rule = -1;
  Text value;              // the value that was to cover it
  std::string field_path;  // its place: "spec.rules[0].to[0].operation.paths[1]"
  Spelling spelling;       // kMethod: methods; kHeader: values of the header, `sent` is ""
  std::string header;      // kHeader: its name
  Case covered, slipping;
  Verdict covered_verdict;
};

// At most `most` of each list, found at the sites where the policy is enforced.
std::vector<Slip> FindSlips(const Analysis& analysis, const AuthorizationPolicy& policy,
                            SlipKind kind, size_t most = 1);

// Puts the request that slips by on a finding, and says in `related` where the rule is.
void AttachSlip(const Analysis& analysis, const Slip& slip, Finding* finding);

// "the DENY rule" or "the ALLOW rule's `notPaths`", as a subject.
bool IsDeny(const AuthorizationPolicy& policy);

// "spec.rules[0].to[1].operation"
std::string OperationPath(size_t rule, size_t operation);

}  // namespace meshproof

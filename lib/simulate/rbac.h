#pragma once

#include "simulate/predicate.h"
#include "simulate/stream.h"

namespace meshproof {

// envoy.filters.http.rbac and envoy.filters.network.rbac: shadow rules, then rules
// (envoy-facts sections 1.1, 1.5, 1.6). On kStop the stream's verdict says how it ended.
FilterStatus RunRbac(const RbacFilter& filter, FilterLevel level, Stream* stream);

// "rbac_access_denied_matched_policy[<id>]" with each whitespace character of the id as `_`.
std::string RbacDetails(std::string_view policy_id);

// A policy's three-valued match.
Truth Evaluate(const RbacPolicy& policy, Stream& stream, FilterLevel level,
               std::vector<std::string>* unknown);

// Of the policies of an ALLOW filter that matched nothing, those that failed on the fewest fields,
// nearest first.
std::vector<NearMiss> FindNearMisses(const Rbac& rules, Stream& stream, FilterLevel level);

}  // namespace meshproof

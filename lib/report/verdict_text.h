#pragma once

#include <string>
#include <string_view>

#include "report/style.h"
#include "simulate/verdict.h"

namespace meshproof {

// "DENY 403  rbac_access_denied_matched_policy[none]".
std::string VerdictLine(const Verdict& verdict, const Style& style = {});
// Which object and line decided, or why none did: one clause.
std::string DecisionText(const Verdict& verdict);
// "rule 2 of shop/allow-users fails only on hosts: got `a`, the policy has `b` (p.yaml:12:9)".
std::string NearMissText(const NearMiss& miss);

// The whole answer for people: verdict, who decided, near misses, hops, trace, what to do.
// `request` is one line that repeats the question.
std::string VerdictText(const Verdict& verdict, std::string_view request, const Style& style = {});

}  // namespace meshproof

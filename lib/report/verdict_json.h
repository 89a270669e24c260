#pragma once

#include "base/json.h"
#include "simulate/verdict.h"

namespace meshproof {

// A verdict as `can` prints it, without "version" (PRODUCT.md, *Formats*).
Json VerdictJson(const Verdict& verdict);

// The stage as formats name it: a request that nothing looked at was admitted, stage "allow".
std::string_view StageName(const Verdict& verdict);

}  // namespace meshproof

#pragma once

#include <string_view>

#include "analyze/rule.h"

namespace meshproof {

// Whether the stated Istio version is older than 1.`minor`; false where none is stated (the current
// release is meant).
bool IsOlderThan(const Analysis& analysis, unsigned minor);

}  // namespace meshproof

#pragma once

#include <cstddef>
#include <functional>

namespace meshproof {

// Calls body(0) … body(count - 1), each once, on up to `threads` threads (0 = one a core), and
// returns when all are done. Bodies must not throw. Results belong into slots by index, so that
// the outcome does not depend on the number of threads.
void ParallelFor(size_t count, const std::function<void(size_t)>& body, unsigned threads = 0);

}  // namespace meshproof

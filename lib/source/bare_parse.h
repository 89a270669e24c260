#pragma once

#include <cstddef>
#include <string>

namespace meshproof {

// yaml-cpp's event parse of `text` with a handler that does nothing: the baseline that benchmarks
// put beside the reader. Returns the number of events.
size_t BareEventParse(const std::string& text);

}  // namespace meshproof

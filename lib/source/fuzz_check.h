#pragma once

#include <string>

namespace meshproof {

// Reads `text` and ends the process where a promise of the tree is broken: places inside the file
// and in order, collections and scalars what they say they are, results the same on every number
// of threads.
void CheckReading(const std::string& text);

}  // namespace meshproof

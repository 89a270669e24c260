#pragma once

#include <string>

#include "source/source.h"

namespace meshproof {

// A tree in one line for tests. Scalars are `begin-end` with a letter for the type (n b i f s), `"`
// for quoted, `|` for block style, and the value in <>.
std::string DumpTree(const Node& node, bool places = true);

// Documents parted by `; `.
std::string DumpDocuments(const ParsedFile& file, bool places = true);

// `begin-end severity: message`, one a line.
std::string DumpDiagnostics(const ParsedFile& file);

}  // namespace meshproof

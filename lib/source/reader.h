#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "source/arena.h"
#include "source/document_stream.h"
#include "source/node.h"

namespace meshproof {

// Bounds on what a document may ask for. Nesting beyond that of any API object by an order of
// magnitude; nodes that aliases repeat, so that a few lines cannot stand for billions of values.
constexpr int kMaxDepth = 256;
constexpr uint64_t kMaxAliasNodes = 1'000'000;

// What the readers made of a stretch of a file.
struct ReadResult {
  std::vector<Document> documents;
  std::vector<Diagnostic> diagnostics;
  std::vector<Comment> comments;
};

// Warns of keys that stand twice.
void ReportDuplicateKeys(const SourceFile& file, std::span<const Entry> entries,
                         std::vector<Diagnostic>* diagnostics);

Diagnostic TooDeep(const SourceFile& file, uint32_t at);

}  // namespace meshproof
